/*
 * automatic.h - subscriptions that a client gets because of what its token claims.
 *
 * For every event type whose extractors take fields from tokens: one constraint with those fields
 * that the claims have a value for (client-api.md 12.6). A claim that is missing or null leaves its
 * field out, which makes the subscription broader; no claim at all, no subscription.
 *
 * Thread: any; no state.
 */
#pragma once

#include "event/subscription.h"

/*
 * Puts the automatic subscriptions of claims (JSON objects) before those of set. Of several
 * objects the one listed first decides about a name (12.5.2). Claims that are no JSON objects, or
 * nested too deep to be subscribed to, give nothing.
 */
void rg_automatic_prepend(const struct rg_extractors *extractors, const struct rg_str *claims,
                          size_t claims_n, struct rg_subscription_set *set);
