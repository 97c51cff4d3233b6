/*
 * produce.h - where rg-produce sends its events.
 *
 * Thread: one.
 */
#pragma once

#include <netinet/in.h>

#include "base/str.h"

struct rg_sink {
    /* Returns when the next event can be sent at once; it is stamped after that. */
    void (*wait_room)(struct rg_sink *sink);
    /* key: p is NULL if there is none. */
    void (*put)(struct rg_sink *sink, struct rg_str event, struct rg_str key);
    /* Waits until everything is accepted and frees the sink; sets *ret_failed. */
    void (*finish)(struct rg_sink *sink, uint64_t *ret_failed);
};

/* One keep-alive connection; at most pipeline requests without their answer. */
struct rg_sink *rg_produce_http_open(const struct sockaddr_in *server, const char *path,
                                     unsigned pipeline);

/* A datagram per event: the trigger of rg-bare-fanout. */
struct rg_sink *rg_produce_udp_open(const struct sockaddr_in *server);

/*
 * properties: name=value, comma-separated, for librdkafka. partitions: creates the topic with so
 * many if it is not 0 (an existing topic is left as it is).
 */
struct rg_sink *rg_produce_kafka_open(const char *brokers, const char *topic,
                                      const char *properties, int partitions);
