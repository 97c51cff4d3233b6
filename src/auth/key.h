/*
 * key.h - one key that verifies signatures (RFC 7515, 7517, 7518, 8037).
 *
 * A key knows which algorithms it may be used with; a token that names another one is none of its
 * business, whatever its signature says (RFC 8725 3.1).
 *
 * Thread: making, any; a key is immutable then, so verifying, any.
 */
#pragma once

#include "base/err.h"
#include "base/str.h"

struct json_t;
struct rg_key;

/* Every algorithm that exists here. */
#define RG_KEY_ALGORITHMS                                                                          \
    "HS256,HS384,HS512,RS256,RS384,RS512,PS256,PS384,PS512,ES256,ES384,ES512,EdDSA"

bool rg_key_is_algorithm(const char *name);

/*
 * A key for one algorithm: text is the secret of an HS algorithm, else a public key or certificate
 * as PEM. NULL with why (place: "alg" or "key") if the algorithm is unknown, the text is no key,
 * the key does not fit the algorithm, is too short or long (RSA has 2,048 to 8,192 bits), comes
 * from a broken generator (ROCA), is private or empty; or if a public key stands where a secret
 * should.
 */
struct rg_key *rg_key_new(const char *alg, struct rg_str text, struct rg_why *why);

/*
 * A key from a JWK (a borrowed object of jansson), for the algorithm it names or, without
 * alg, for those of its type. NULL with why if it is none that can verify signatures.
 */
struct rg_key *rg_key_from_jwk(const struct json_t *jwk, struct rg_why *why);

void rg_key_free(struct rg_key **keyp);

/* True if the key may be used with this algorithm, compared byte for byte. */
bool rg_key_allows(const struct rg_key *key, struct rg_str alg);

/* True for a secret that both sides share, which must not be in a set with public keys. */
bool rg_key_is_symmetric(const struct rg_key *key);

/*
 * Verifies token, a compact JWS (RFC 7515 7.1) whose header says alg, which rg_key_allows(). The
 * caller has checked that its three parts are base64url. Returns 0 or RG_EDENIED.
 */
int rg_key_verify(const struct rg_key *key, struct rg_str alg, struct rg_str token);
