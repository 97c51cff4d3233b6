/*
 * partitioner.h - which partition a key belongs to.
 *
 * murmur3_x86_32 with seed 0, as an unsigned number, modulo the number of partitions
 * (configuration.md 6.4). Not the Java client's, which is murmur2: whoever reads what older
 * gateways wrote must find a key's messages in the same partition.
 *
 * Thread: any.
 */
#pragma once

#include <stdint.h>

#include "base/str.h"

/* MurmurHash3 x86 32 bit (A. Appleby, 2011), seed 0. */
uint32_t rg_murmur3(struct rg_str key);

/* A number in [0, partitions), partitions > 0; a random one for an empty or missing key. */
int32_t rg_partition_choose(struct rg_str key, int32_t partitions);
