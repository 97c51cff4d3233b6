/*
 * bearer.h - the tokens in Authorization (RFC 6750 section 2.1, client-api.md 12.5.1).
 *
 * One rule for whoever asks, be it a check, the session or the claims: "Bearer <token>", the word
 * in any case, or a token without a scheme; other schemes are ignored with their parameters.
 *
 * Thread: any; no state.
 */
#pragma once

#include "base/str.h"

/*
 * Takes the next bearer token off *rest, which begins as the field's value (of several fields:
 * their values with commas between). False if there is none any more. A token may be anything that
 * is not empty; it is a slice of *rest.
 */
bool rg_bearer_next(struct rg_str *rest, struct rg_str *ret);
