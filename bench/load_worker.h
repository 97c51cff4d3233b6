/*
 * load_worker.h - one process of the load generator: its share of the clients.
 *
 * It connects its clients, asks for their subscriptions, and from then on only receives: per
 * received block one look at the clock and a search for stamps. With is_passing each client leaves
 * once it is subscribed, and another one comes in its place until the goal is reached.
 *
 * Thread: a process of its own.
 */
#pragma once

#include "bench/load_plan.h"
#include "bench/load_tally.h"

/* Runs worker number no until the parent says so or is gone. */
void rg_load_worker_run(const struct rg_load_plan *plan, struct rg_load_shared *shared,
                        unsigned no);
