/*
 * ring_priv.h - one user's presences in one topic, from the oldest on, and maps of them by user.
 *
 * Most rings have one member, so nothing stands for a ring: the oldest is itself the thing in the
 * map, and the next oldest takes its place when it leaves.
 *
 * Thread: whoever holds the roster's lock.
 */
#pragma once

#include "presence/presences_priv.h"

/* The first of the ring of a link in a map of rings. */
static inline struct rg_presence *rg_ring_of(const struct rg_map_link *link)
{
    return RG_CONTAINER_OF(link, struct rg_presence, link);
}

/* The first of the user's ring, or NULL. */
struct rg_presence *rg_ring_find(const struct rg_map *rings, const struct rg_user *user);

/* As the newest of its user's. */
void rg_ring_add(struct rg_map *rings, struct rg_presence *presence);
void rg_ring_take(struct rg_map *rings, struct rg_presence *presence);

/* NULL: 0. */
size_t rg_ring_count(const struct rg_presence *first);

/* ---- as JSON ---- */

/* Appends the metas of a ring to a list, which may have some already. */
void rg_ring_add_metas(struct rg_buf *out, const struct rg_presence *first);

/* Appends {"ada":{"metas":[...]},...} with all of these rings. */
void rg_ring_add_all(struct rg_buf *out, const struct rg_map *rings);

/*
 * Appends the same form with these n presences, whose joins are to be told (their member joined is
 * not 0; afterwards it is). Those of one ring must be its newest.
 */
void rg_ring_add_joined(struct rg_buf *out, struct rg_presence *const *joined, size_t n);
