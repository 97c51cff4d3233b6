#include "auth/identity.h"

#include "base/alloc.h"

struct rg_identity *rg_identity_new(const struct rg_identity_fields *fields, struct rg_str claims)
{
    (void)fields;
    (void)claims;
    return rg_zalloc(sizeof(struct rg_identity));
}

void rg_identity_free(struct rg_identity **identityp)
{
    rg_free(RG_STEAL(*identityp));
}
