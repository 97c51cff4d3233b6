#include "auth/claims.h"

#include "base/alloc.h"

struct rg_claims *rg_claims_new(struct rg_str text, int64_t exp_s, struct rg_str session,
                                struct rg_str jti)
{
    struct rg_claims *claims = rg_alloc(sizeof(*claims) + text.n + session.n + jti.n);
    struct rg_str parts[] = {text, session, jti};
    char *at = (char *)(claims + 1);

    for (size_t i = 0; i < RG_COUNT_OF(parts); i++) {
        if (parts[i].n > 0)
            memcpy(at, parts[i].p, parts[i].n);
        parts[i].p = at;
        at += parts[i].n;
    }
    *claims =
        (struct rg_claims){.exp_s = exp_s, .text = parts[0], .session = parts[1], .jti = parts[2]};
    atomic_init(&claims->refs, 1);
    return claims;
}

struct rg_claims *rg_claims_ref(struct rg_claims *claims)
{
    atomic_fetch_add_explicit(&claims->refs, 1, memory_order_relaxed);
    return claims;
}

void rg_claims_unref(struct rg_claims **claimsp)
{
    struct rg_claims *claims = RG_STEAL(*claimsp);

    if (claims != NULL && atomic_fetch_sub_explicit(&claims->refs, 1, memory_order_acq_rel) == 1)
        rg_free(claims);
}
