/*
 * keyset.h - keys by their kid, from a JWK Set (RFC 7517 section 5). Immutable and counted.
 *
 * Thread: any.
 */
#pragma once

#include "auth/key.h"

#define RG_KEYSET_MAX_BYTES (1 << 20)
#define RG_KEYSET_MAX_KEYS  100

struct rg_keyset;

/*
 * Reads a JWK Set. Keys that are not for verifying signatures are left out, with a line in the
 * log. The whole set is refused, with why, if it is not JSON of the right form, has a private key,
 * the same kid twice, secrets beside public keys, more than RG_KEYSET_MAX_KEYS, or none that can be
 * used.
 */
struct rg_keyset *rg_keyset_parse(struct rg_str text, struct rg_why *why);

struct rg_keyset *rg_keyset_ref(struct rg_keyset *set);
/* Gives up a reference and sets *setp to NULL (NULL is fine). */
void rg_keyset_unref(struct rg_keyset **setp);

/*
 * The key of this kid; with kid.p == NULL (a token that names none) the only key of the set that
 * allows alg. NULL if there is none. Borrowed from the set.
 */
const struct rg_key *rg_keyset_find(const struct rg_keyset *set, struct rg_str kid,
                                    struct rg_str alg);

size_t rg_keyset_count(const struct rg_keyset *set);

/* True if the set was read from exactly this text. */
bool rg_keyset_is_from(const struct rg_keyset *set, struct rg_str text);
