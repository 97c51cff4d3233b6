/*
 * producer.h - messages to Kafka.
 *
 * Thread: send from any; the delivery callback runs on the producer's own thread, which is
 * registered with rcu.h.
 */
#pragma once

#include "kafka/message.h"
#include "kafka/settings.h"

struct rg_producer;

/* err is 0, or negative with why. */
typedef void rg_delivery_fn(void *arg, int err, const struct rg_why *why, int32_t partition,
                            int64_t offset);

/* settings is borrowed for the call. NULL with why if librdkafka refuses. Owns one thread. */
struct rg_producer *rg_producer_start(const struct rg_kafka_settings *settings, struct rg_why *why);

/*
 * Queues one message; topic is NUL-terminated, key may have p == NULL (an empty key is sent as
 * null); all is copied. Returns 0, and then done (may be NULL) is called exactly once; RG_EAGAIN if
 * the queue is full, or another negative code if the message can never be sent (too large), and
 * then done is not called. The partitioner is the reference's, see partitioner.h.
 */
int rg_producer_send(struct rg_producer *producer, const char *topic, struct rg_str key,
                     struct rg_str value, rg_delivery_fn *done, void *arg);

/* The same with record headers, at most RG_RECORD_MAX_HEADERS. */
int rg_producer_send_with(struct rg_producer *producer, const char *topic, struct rg_str key,
                          struct rg_str value, const struct rg_record_header *headers,
                          size_t headers_n, rg_delivery_fn *done, void *arg);

/* Waits at most timeout_ms for what is queued, then ends. Sets *producerp to NULL. */
void rg_producer_stop(struct rg_producer **producerp, int timeout_ms);
