/*
 * hash.h - SipHash-2-4, the keyed hash behind match keys and hash tables.
 *
 * Clients choose what we hash, so every hash has a secret key: nobody outside
 * can make two texts collide. The 128-bit form is long enough to stand for the
 * text itself.
 *
 * J.-P. Aumasson, D. J. Bernstein: SipHash, a fast short-input PRF (2012).
 * Thread: any.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

struct rg_hash_key {
    uint64_t k[2];
};

struct rg_hash128 {
    uint64_t w[2];
};

/* Fills key from the system's random source. */
void rg_hash_key_random(struct rg_hash_key *key);

/* The 64-bit SipHash-2-4 of n bytes at p. */
uint64_t rg_hash64(const struct rg_hash_key *key, const void *p, size_t n);

/* The 128-bit SipHash-2-4 of n bytes at p. */
struct rg_hash128 rg_hash128(const struct rg_hash_key *key, const void *p, size_t n);
