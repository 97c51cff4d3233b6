/*
 * presences_priv.h - what an entrant of the roster brings: its meta and its presences, in one
 * allocation.
 *
 * Thread: whoever made them; whoever holds the roster's lock, once they are in it.
 */
#pragma once

#include "base/alloc.h"
#include "base/map.h"
#include "presence/roster.h"

#define RG_REF_BYTES 8

struct rg_topic;

struct rg_user {
    struct rg_map_link link;
    uint32_t refs; /* entrants, those with a leave to be told included */
    uint32_t n;
    char name[];
};

/* There are very many of these. */
struct rg_presence {
    struct rg_map_link link;         /* of the first of a ring */
    struct rg_presence *next, *prev; /* the ring */
    struct rg_topic *topic;
    unsigned char ref[RG_REF_BYTES];
    uint32_t i : 31; /* in its entrant's */
    uint32_t is_first : 1;
    uint32_t joined; /* the roster's: 0, or where it has noted that this join is to be told */
};

struct rg_presences {
    struct rg_user *user;
    uint32_t refs; /* the owner's, and one of each presence whose leave is to be told */
    uint32_t n;
    uint32_t meta_n;
    struct rg_presence at[]; /* behind them the meta, ready for one more member: "{" or "{...," */
};

/* With one reference; user and the topics are still to be set. */
struct rg_presences *rg_presences_new(const struct rg_roster_entrant *entrant);

static inline struct rg_presences *rg_presences_of(const struct rg_presence *presence)
{
    return RG_CONTAINER_OF(presence - presence->i, struct rg_presences, at[0]);
}

static inline struct rg_user *rg_presence_user(const struct rg_presence *presence)
{
    return rg_presences_of(presence)->user;
}

static inline struct rg_str rg_user_name(const struct rg_user *user)
{
    return rg_str_n(user->name, user->n);
}

/* Appends the presence's meta as JSON, with its reference. */
void rg_presence_add_meta(struct rg_buf *out, const struct rg_presence *presence);
