/*
 * hist.h - how long things took.
 *
 * A histogram whose buckets grow with the value: every value is kept to within one part
 * in 128, from one nanosecond to years, in a fixed 58 KiB without pointers, so that it can
 * live in memory shared between processes.
 *
 * Thread: one writer; a reader may see a sum that is a few values behind.
 */
#pragma once

#include <stdint.h>

#include "base/buf.h"

#define RG_HIST_SUB     128 /* buckets per doubling */
#define RG_HIST_BUCKETS (RG_HIST_SUB * (64 - 7 + 1))

struct rg_hist {
    uint64_t counts[RG_HIST_BUCKETS];
    uint64_t n;
    uint64_t sum;
    uint64_t max;
};

void rg_hist_add(struct rg_hist *hist, uint64_t value);

/* Adds what is in other. */
void rg_hist_merge(struct rg_hist *hist, const struct rg_hist *other);

/* The value that the share of per_mille of all values does not exceed; 0 if there is none. */
uint64_t rg_hist_at(const struct rg_hist *hist, unsigned per_mille);

/* Appends "n", "mean_us", "p50_us", "p99_us", "p999_us" and "max_us" as JSON members. */
void rg_hist_describe(const struct rg_hist *hist, struct rg_buf *out);
