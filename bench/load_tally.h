/*
 * load_tally.h - what a worker of the load generator counts, and how it finds events in bytes.
 *
 * Thread: a worker writes its own tally, which lies in memory shared with the parent, who reads it.
 */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>

#include "bench/hist.h"
#include "bench/stamp.h"

struct rg_load_tally {
    atomic_uint_fast64_t ready;   /* clients that are, or with is_passing were, subscribed */
    atomic_uint_fast64_t failed;  /* clients that never were */
    atomic_uint_fast64_t closed;  /* clients that were and are gone, though they wanted to stay */
    atomic_uint_fast64_t resumed; /* TLS sessions */
    atomic_uint_fast64_t epoch;   /* of the counts below */
    atomic_uint_fast64_t events;
    atomic_uint_fast64_t bytes;
    atomic_uint_fast64_t inflated; /* messages that had to be decompressed to be read */
    /* Arrival of the first and the latest event; with is_passing the first connect and the latest
     * answer. 0: none. */
    atomic_uint_fast64_t first_ns, last_ns;
    struct rg_hist latency; /* of events; with is_passing, from connect to subscribed */
};

struct rg_load_shared {
    atomic_uint_fast64_t epoch; /* the parent raises it: start counting anew */
    atomic_uint_fast64_t goal;  /* clients to have come in the end; the parent raises it */
    atomic_bool must_end;
    char tls[64]; /* version and cipher of the first worker's first connection */
    struct rg_load_tally tallies[];
};

/* The end of a flow of bytes, in which something may have begun that the next bytes complete. */
struct rg_load_tail {
    unsigned char n;
    char p[RG_STAMP_SIZE - 1];
};

/* Counts every event in the next bytes of a flow. */
void rg_load_tally_scan(struct rg_load_tally *tally, struct rg_load_tail *tail, const char *p,
                        size_t n);

/* Counts one event. */
void rg_load_tally_event(struct rg_load_tally *tally, uint64_t sent_ns);

/* What a client is told when it is subscribed. */
#define RG_LOAD_SUBSCRIBED "rig.subscriptions_set"

/* True if a flow, with its next bytes, contains mark, which is no longer than a stamp. */
bool rg_load_tail_has(struct rg_load_tail *tail, const char *mark, const char *p, size_t n);
