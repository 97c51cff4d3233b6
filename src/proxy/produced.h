/*
 * produced.h - what became of the messages that went out: the rig_produced_* metrics
 * (management-api.md 7.1).
 *
 * Whoever sends for the proxy counts here, so that the families are the same whatever is
 * configured.
 *
 * Thread: any registered with rcu.h.
 */
#pragma once

#include "base/counter.h"

struct rg_produced {
    struct rg_family *events; /* by target and topic: those that were taken */
    struct rg_family *failed; /* by target and topic: those that were not */
};

void rg_produced_init(struct rg_produced *produced);
void rg_produced_done(struct rg_produced *produced);

/* Counts one message: one that was taken if err == 0, else one that was not. */
void rg_produced_count(const struct rg_produced *produced, struct rg_str target,
                       struct rg_str topic, int err);

/* Appends both families. */
void rg_produced_expose(const struct rg_produced *produced, struct rg_buf *out);
