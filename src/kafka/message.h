/*
 * message.h - one Kafka message as the rest of the program sees it.
 */
#pragma once

#include <stdint.h>

#include "base/err.h"
#include "base/str.h"
#include "event/format.h"

#define RG_RECORD_MAX_HEADERS 64

/* One record header, as it came. */
struct rg_record_header {
    struct rg_str name;
    struct rg_str value; /* p may be NULL */
};

struct rg_kafka_message {
    struct rg_str topic;
    uint32_t topic_no; /* its number among the topics that are read */
    int32_t partition;
    int64_t offset;
    int64_t timestamp_ms;  /* the broker's or producer's; -1: none */
    struct rg_str key;     /* p is NULL if there is none */
    enum rg_format format; /* what event may be: as KAFKA_TOPIC_FORMATS and the headers say */
    struct rg_str event;   /* structured JSON, decoded from whatever form the message had; where
                              messages are taken as they come (consumer.h) the value itself */
    const struct rg_record_header *headers; /* at most RG_RECORD_MAX_HEADERS + 1 */
    size_t headers_n;
};

/*
 * Where consumed messages go. Called on the consumer's thread, in partition order; the message is
 * borrowed for the call. Returns 0 if it was handed over (or nobody wants it), RG_EAGAIN if the
 * receiver has no room now: the consumer then pauses its partitions, keeps the message and
 * offers it again; any other negative code, with why, if the message is not usable: it is
 * counted, logged and skipped.
 */
typedef int rg_kafka_sink_fn(void *arg, const struct rg_kafka_message *message, struct rg_why *why);
