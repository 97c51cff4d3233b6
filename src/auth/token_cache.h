/*
 * token_cache.h - tokens that were verified, so that a signature is checked once.
 *
 * Bounded: an array of buckets, each with room for a few. A token is known by a keyed 128-bit hash,
 * nothing of it is kept. What has expired, or was verified under an earlier generation of the
 * keys, is not found any more. No thread ever waits for another: looking is a hash and a few
 * comparisons under RCU, adding exchanges one pointer. The worst that two at once can do is to
 * verify the same token twice.
 *
 * Thread: any registered with rcu.h; making and freeing, one.
 */
#pragma once

#include "auth/claims.h"

struct rg_token_cache;

/* Room for about max tokens; 0: for none. */
struct rg_token_cache *rg_token_cache_new(size_t max);
/* Nobody uses it any more. */
void rg_token_cache_free(struct rg_token_cache **cachep);

/* A reference to the claims of a token that is valid at now_s; NULL if it is not known. */
struct rg_claims *rg_token_cache_find(const struct rg_token_cache *cache, struct rg_str token,
                                      uint64_t generation, int64_t now_s);

/* Remembers a token (a reference to claims is taken), possibly in place of another. */
void rg_token_cache_add(struct rg_token_cache *cache, struct rg_str token, uint64_t generation,
                        int64_t now_s, struct rg_claims *claims);

/* Forgets a token. */
void rg_token_cache_drop(struct rg_token_cache *cache, struct rg_str token);
