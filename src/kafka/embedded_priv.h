/*
 * embedded_priv.h - for tests that make the embedded Kafka fail.
 */
#pragma once

#include "kafka/embedded.h"

struct rd_kafka_mock_cluster_s;

struct rd_kafka_mock_cluster_s *rg_embedded_kafka_cluster(struct rg_embedded_kafka *kafka);
