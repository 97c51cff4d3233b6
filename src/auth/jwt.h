/*
 * jwt.h - JSON Web Tokens (RFC 7519, RFC 7515).
 *
 * Thread: any.
 */
#pragma once

#include "base/buf.h"
#include "base/err.h"

/*
 * Appends a compact JWS over the claims (JSON text of an object), signed with an HMAC algorithm
 * ("HS256", "HS384", "HS512") under secret, for development. Returns RG_EINVAL with why for another
 * algorithm, an empty secret or claims that are not a JSON object.
 */
int rg_jwt_mint(const char *alg, struct rg_str secret, struct rg_str claims, struct rg_buf *out,
                struct rg_why *why);
