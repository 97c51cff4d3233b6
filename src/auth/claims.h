/*
 * claims.h - what a verified token says: immutable and counted.
 *
 * Thread: any.
 */
#pragma once

#include <stdatomic.h>

#include "base/err.h"
#include "base/str.h"

struct rg_claims {
    atomic_uint refs;
    int64_t exp_s;         /* seconds since 1970; the token is valid while exp_s > now */
    struct rg_str text;    /* the claims as JSON: an object without duplicate names */
    struct rg_str session; /* value at JWT_SESSION_FIELD (client-api.md 13.2); n == 0: none */
    struct rg_str jti;     /* n == 0: none */
};

/* Makes claims with one reference; everything is copied. */
struct rg_claims *rg_claims_new(struct rg_str text, int64_t exp_s, struct rg_str session,
                                struct rg_str jti);
struct rg_claims *rg_claims_ref(struct rg_claims *claims);
/* Gives up a reference and sets *claimsp to NULL (NULL is fine). */
void rg_claims_unref(struct rg_claims **claimsp);
