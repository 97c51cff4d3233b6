/*
 * counter.h - numbers an operator sees.
 *
 * A folder lists what it counts in one table of rows and keeps one block of
 * values per thread; only that thread writes its block, so counting costs a
 * plain add. What has labels that are known at run time only (a topic, an
 * event type) is a family of series.
 *
 * The text written is the Prometheus exposition format 0.0.4.
 */
#pragma once

#include <stdatomic.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/str.h"

/* One row of a folder's table. Rows with the same name stand together and share one # TYPE. */
struct rg_counter_row {
    const char *name;   /* e.g. "rgate_connections" */
    const char *type;   /* "counter" or "gauge" */
    const char *labels; /* e.g. "transport=\"sse\"", or NULL */
    const char *help;   /* one sentence */
};

/* The values of one table for one thread. */
struct rg_counters {
    size_t n;
    _Atomic uint64_t v[];
};

struct rg_counters *rg_counters_new(size_t n);
void rg_counters_free(struct rg_counters **blockp);

/* Adds delta (of a gauge: may be negative). Thread: the one that owns the block. */
static inline void rg_count(struct rg_counters *block, size_t row, int64_t delta)
{
    uint64_t v = atomic_load_explicit(&block->v[row], memory_order_relaxed);
    atomic_store_explicit(&block->v[row], v + (uint64_t)delta, memory_order_relaxed);
}

/* Thread: any. */
static inline uint64_t rg_counters_get(const struct rg_counters *block, size_t row)
{
    return atomic_load_explicit(&block->v[row], memory_order_relaxed);
}

/* Appends all n rows, each summed over the blocks. Thread: any. */
void rg_counters_expose(struct rg_buf *out, const struct rg_counter_row *rows, size_t n,
                        const struct rg_counters *const *blocks, size_t blocks_n);

/* Upper bounds in milliseconds; a last, implicit bucket is +Inf. management-api.md 7.1. */
#define RG_HISTOGRAM_BUCKETS 12
extern const unsigned rg_histogram_bounds_ms[RG_HISTOGRAM_BUCKETS];

/* One labelled value: a counter, or a histogram of durations. Never freed before its family. */
struct rg_series {
    _Atomic uint64_t count;
    _Atomic uint64_t sum_ns;                        /* histogram only */
    _Atomic uint64_t buckets[RG_HISTOGRAM_BUCKETS]; /* histogram only, not cumulative */
};

#define RG_FAMILY_MAX_LABELS 5

struct rg_family;
struct rg_family_row {
    const char *name;
    const char *type;                             /* "counter" or "histogram" */
    const char *labels[RG_FAMILY_MAX_LABELS + 1]; /* names, NULL-terminated */
    const char *help;
};

#define RG_FAMILY_MAX_SERIES 10000

/* row is borrowed for the family's life. */
struct rg_family *rg_family_new(const struct rg_family_row *row);
void rg_family_free(struct rg_family **familyp);

/*
 * The series with these values, one for each of the family's labels, made if new; keep the pointer
 * where they repeat. Beyond RG_FAMILY_MAX_SERIES all new values share the series "other". Thread:
 * any registered with rcu.h.
 */
struct rg_series *rg_family_find(struct rg_family *family, const struct rg_str *values);

/* The same for a family of one label (b is ignored) or two. */
struct rg_series *rg_family_get(struct rg_family *family, struct rg_str a, struct rg_str b);

/* Thread: any. */
static inline void rg_series_add(struct rg_series *s, uint64_t n)
{
    atomic_fetch_add_explicit(&s->count, n, memory_order_relaxed);
}

/* Records n equal durations in a histogram. Thread: any. */
void rg_series_observe(struct rg_series *s, uint64_t n, uint64_t duration_ns);

/* Appends the family, head lines included even while it has no series. Thread: as rg_family_get().
 */
void rg_family_expose(struct rg_family *family, struct rg_buf *out);

/* Appends # HELP and # TYPE lines. */
void rg_metric_head(struct rg_buf *out, const char *name, const char *type, const char *help);
