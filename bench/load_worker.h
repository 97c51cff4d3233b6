/*
 * load_worker.h - one process of the load generator: its share of the clients.
 *
 * It connects its clients, asks for their subscriptions, and from then on only receives: per
 * received block one look at the clock and a search for stamps. What it counts lies in memory
 * shared with the parent.
 *
 * Thread: a process of its own; the tally is written here and read by the parent.
 */
#pragma once

#include <netinet/in.h>
#include <stdatomic.h>
#include <stdbool.h>

#include "bench/hist.h"

enum rg_load_kind {
    RG_LOAD_SSE,
    RG_LOAD_WS,
    RG_LOAD_MIXED
};

/* What to do; the same for all workers. */
struct rg_load_plan {
    struct sockaddr_in server;
    enum rg_load_kind kind;
    bool is_bare;              /* no HTTP: one byte that names the kind, then bytes come */
    const char *subscriptions; /* JSON; {n} stands for the client's number, seven digits */
    unsigned clients;          /* of all workers */
    unsigned workers;
    unsigned addresses; /* source addresses 127.0.0.2 and following */
    unsigned window;    /* connections in the making per worker */
};

/* What one worker counts. */
struct rg_load_tally {
    atomic_uint_fast64_t ready;  /* clients that are subscribed */
    atomic_uint_fast64_t failed; /* clients that never were */
    atomic_uint_fast64_t closed; /* clients that were and are gone */
    atomic_uint_fast64_t epoch;  /* of the counts below */
    atomic_uint_fast64_t events;
    atomic_uint_fast64_t bytes;
    atomic_uint_fast64_t first_ns; /* arrival of the first and the latest event; 0: none */
    atomic_uint_fast64_t last_ns;
    struct rg_hist latency;
};

struct rg_load_shared {
    atomic_uint_fast64_t epoch; /* the parent raises it: start counting anew */
    atomic_bool must_end;
    struct rg_load_tally tallies[];
};

/* Runs worker number no until the parent says so or is gone. */
void rg_load_worker_run(const struct rg_load_plan *plan, struct rg_load_shared *shared,
                        unsigned no);
