/*
 * map.h - find a thing by its key: a hash table of things that embed their link.
 *
 * The owner brings the hash (see hash.h: peers choose keys, so it is a keyed one) and compares keys
 * itself. Finding, adding and removing cost O(1); the array of chains grows and shrinks with the
 * number of things.
 *
 * Thread: whoever owns it.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Embedded in what is found. */
struct rg_map_link {
    struct rg_map_link *next;
    uint64_t hash;
};

/* Zero-initialised, embedded. */
struct rg_map {
    struct rg_map_link **chains;
    size_t mask; /* chains, a power of two, less one; 0: none yet */
    size_t n;    /* things */
};

/* True if the thing of link has this key. Called only where the hashes are equal. */
typedef bool rg_map_is_fn(const struct rg_map_link *link, const void *key);

/* Frees the array; the things are the owner's. The map is empty then. */
void rg_map_done(struct rg_map *map);

/* The link of the thing with this key, or NULL. */
struct rg_map_link *rg_map_find(const struct rg_map *map, uint64_t hash, rg_map_is_fn *is,
                                const void *key);

/* The key must not be in the map yet. */
void rg_map_add(struct rg_map *map, struct rg_map_link *link, uint64_t hash);

/* link must be in the map. */
void rg_map_remove(struct rg_map *map, struct rg_map_link *link);
