/*
 * identity.h - who a token's bearer is: the user's name and roles (legacy-channels.md 2.3, 9).
 *
 * Thread: any; immutable.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/str.h"

/* Which claims say so. All is borrowed. */
struct rg_identity_fields {
    const char *user;              /* JWT_USER_FIELD: a JSON pointer, or the name of a claim */
    const char *roles;             /* JWT_ROLES_FIELD: the same */
    const char *const *privileged; /* CHANNEL_ROLES */
    size_t privileged_n;
};

/* One allocation, with everything that it points to. */
struct rg_identity {
    struct rg_str user;         /* p == NULL: no name, or one that is not a non-empty string */
    const struct rg_str *roles; /* without duplicates, as listed; what is no string is left out */
    size_t roles_n;
    bool is_privileged; /* has one of the privileged roles */
};

/*
 * Reads claims, the JSON object of a verified token (struct rg_claims). Never fails: what is not
 * there is not there. A single string as roles is a list of one. The caller owns the result.
 */
struct rg_identity *rg_identity_new(const struct rg_identity_fields *fields, struct rg_str claims);
void rg_identity_free(struct rg_identity **identityp);
