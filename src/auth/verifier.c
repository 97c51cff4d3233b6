#include "auth/verifier.h"

const char rg_verifier_algorithms[] = "HS256,HS384,HS512";

int rg_verifier_check(struct rg_verifier *verifier, struct rg_str token, struct rg_claims **ret,
                      struct rg_why *why)
{
    (void)verifier;
    (void)token;
    (void)ret;
    return rg_why_set(why, RG_EDENIED, "", "Could not verify token");
}
