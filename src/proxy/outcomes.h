/*
 * outcomes.h - counts what became of requests: rig_proxy_requests_total (api-gateway.md section
 * 14).
 *
 * Each reactor remembers where the counts are that it has used, so that one that repeats is found
 * without asking for it.
 *
 * Thread: the reactor, registered with rcu.h.
 */
#pragma once

#include "base/counter.h"

/* What became of a request. */
enum rg_outcome {
    RG_OUTCOME_OK, /* the service has answered */
    RG_OUTCOME_NOT_FOUND,
    RG_OUTCOME_BAD_REQUEST,
    RG_OUTCOME_UNREACHABLE,
    RG_OUTCOME_REQUEST_TIMEOUT,
    RG_OUTCOME_RESPONSE_TIMEOUT
};
/* As the label says it: "ok", "not_found", … */
extern const char *const rg_outcome_names[];

/* For rg_family_new(). */
extern const struct rg_family_row rg_outcomes_row;

struct rg_outcomes;

/* family, made of rg_outcomes_row, is borrowed. */
struct rg_outcomes *rg_outcomes_new(struct rg_family *family);
void rg_outcomes_free(struct rg_outcomes **outcomesp);

#define RG_OUTCOMES_MAX_PATH 256 /* bytes; longer ones are counted as "other" */

struct rg_outcome_labels {
    struct rg_str method, path;
    const char *target, *response_from;
};

/* Counts one request. */
void rg_outcomes_count(struct rg_outcomes *outcomes, const struct rg_outcome_labels *given,
                       enum rg_outcome outcome);
