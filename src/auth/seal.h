/*
 * seal.h - opaque tokens that only this gateway can have made.
 *
 * A sealed token is a few bytes of ours followed by an authentication tag (HMAC-SHA-256 cut to 128
 * bits), in base64url. It hides nothing; it cannot be forged. The key is random per start unless
 * derived from a configured secret.
 *
 * Thread: after rg_seal_new(), any.
 */
#pragma once

#include "base/buf.h"
#include "base/err.h"

#define RG_SEAL_MAX_PAYLOAD 64

struct rg_seal;

/* secret.n == 0: a random key. purpose keeps tokens of different uses apart. */
struct rg_seal *rg_seal_new(struct rg_str secret, const char *purpose);
void rg_seal_free(struct rg_seal **sealp);

/* Appends the sealed form of payload (at most RG_SEAL_MAX_PAYLOAD bytes). */
void rg_seal_add(const struct rg_seal *seal, const void *payload, size_t n, struct rg_buf *out);

/*
 * Opens token and copies its payload, which must have exactly n bytes. Returns 0, or RG_EINVAL for
 * whatever was not sealed with this key. The comparison takes constant time.
 */
int rg_seal_open(const struct rg_seal *seal, struct rg_str token, void *payload, size_t n);
