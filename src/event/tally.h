/*
 * tally.h - what became of the events that came in: the rig_consumed_* metrics.
 *
 * Every source counts here (a Kafka topic, an HTTP publisher), so that the families are the same
 * whatever is configured (management-api.md 7.1).
 *
 * Thread: any registered with rcu.h.
 */
#pragma once

#include "base/counter.h"

struct rg_tally {
    struct rg_family *consumed;  /* by source and topic: good and bad */
    struct rg_family *failed;    /* by source and topic: the bad ones, where they were read */
    struct rg_family *duration;  /* by source and topic: of the good ones, wanted or not */
    struct rg_family *forwarded; /* by event type: a subscription matched, once per event */
};

void rg_tally_init(struct rg_tally *tally);
void rg_tally_done(struct rg_tally *tally);

/*
 * Counts n events of one source and topic: failed ones if err < 0, otherwise good ones that took
 * since started_ns (rg_clock_mono_ns()). For who has them one by one; the consumer counts in bulk.
 */
void rg_tally_count(const struct rg_tally *tally, struct rg_str source, struct rg_str topic,
                    int err, size_t n, uint64_t started_ns);

/* Appends the four families. */
void rg_tally_expose(const struct rg_tally *tally, struct rg_buf *out);
