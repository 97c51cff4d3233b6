/*
 * embedded.h - a Kafka inside the process, for development and tests.
 *
 * librdkafka's mock cluster: it speaks the real protocol, consumer groups included, on a
 * loopback port, keeps messages in memory only and forgets old ones.
 *
 * Thread: start/stop from one thread; its clients may be anywhere.
 */
#pragma once

#include "base/err.h"
#include "base/option.h"

struct rg_embedded_kafka;

/* Starts one broker with the given topics, each with partitions partitions. NULL with why on
 * failure. */
struct rg_embedded_kafka *rg_embedded_kafka_start(const struct rg_option_list *topics,
                                                  int partitions, struct rg_why *why);

/* "127.0.0.1:PORT". Borrowed. */
const char *rg_embedded_kafka_bootstrap(const struct rg_embedded_kafka *kafka);

void rg_embedded_kafka_stop(struct rg_embedded_kafka **kafkap);
