/*
 * map.h - find a thing by its key: a hash table of things that embed their link.
 *
 * The owner brings the hash (see hash.h: peers choose keys, so it is a keyed one) and compares keys
 * itself. Finding, adding and removing cost O(1); the array of chains grows and shrinks with the
 * number of things, and a handful of things needs none.
 *
 * All things stand in the order of their hashes, whatever the array's size: a list can be read page
 * by page while things come and go, and what is there all the time is seen exactly once.
 *
 * Thread: whoever owns it.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Embedded in what is found. */
struct rg_map_link {
    struct rg_map_link *next; /* in its chain, which is sorted by hash */
    uint64_t hash;
};

/* Zero-initialised, embedded. */
struct rg_map {
    union {
        struct rg_map_link *only;    /* bits == 0: the one chain */
        struct rg_map_link **chains; /* else: one for each value of the hash's highest bits */
    };
    uint32_t n;    /* things */
    uint32_t bits; /* the array has 1 << bits chains */
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

/* ---- in order ---- */

/* The first thing whose hash is from or more, or NULL: with 0, the first of all. */
struct rg_map_link *rg_map_first(const struct rg_map *map, uint64_t from);

/*
 * The thing behind link, or NULL. Whoever removes things on the way asks for the next one first; to
 * ask for the first again and again would look at the empty chains of all that are gone.
 */
struct rg_map_link *rg_map_next(const struct rg_map *map, const struct rg_map_link *link);

/*
 * Calls fn for the first max things whose hash is from or more, and for those with the same hash as
 * the last of them, so that the next page begins with the hash behind it. Returns how many; fewer
 * than max: there are no more. fn must not change the map.
 */
size_t rg_map_page(const struct rg_map *map, uint64_t from, size_t max,
                   void (*fn)(void *arg, const struct rg_map_link *link), void *arg);
