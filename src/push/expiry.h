/*
 * expiry.h - when the token of a client ends, and with it the client (JWT_EXPIRY_CLOSES).
 *
 * A token's end is a time of the wall clock, a client's timer goes by the monotonic one: the first
 * becomes the second when the client is bound to the token. Plain arithmetic; the caller brings the
 * time and does what is due.
 *
 * Thread: whoever owns it.
 */
#pragma once

#include "base/buf.h"

struct rg_expiry {
    int64_t exp_s;       /* seconds since 1970; 0: there is no token yet */
    uint64_t at_ms;      /* the same moment by the monotonic clock */
    uint64_t warn_at_ms; /* when to warn of it; UINT64_MAX: not any more */
};

/*
 * Another token ends at exp_s. If that is later than what was known, it counts from now on, with a
 * warning of its own warning_ms before (or half of the remaining time, if that is shorter; 0:
 * none). Returns whether it does.
 */
bool rg_expiry_extend(struct rg_expiry *expiry, int64_t exp_s, int64_t wall_us, uint64_t now_ms,
                      uint64_t warning_ms);

/* When something is due: the warning or the end. UINT64_MAX without a token. */
uint64_t rg_expiry_due_ms(const struct rg_expiry *expiry);

/* Appends the data of a warning: {"expires_in":60,"expires_at":"2024-05-06T07:08:09.000000+00:00"}.
 */
void rg_expiry_add_warning(const struct rg_expiry *expiry, uint64_t now_ms, struct rg_buf *out);
