/*
 * roster.h - who is present in which topic, for all reactors of the process.
 *
 * A presence is one user in one topic because of one joined channel. It has a meta, a JSON object
 * that says with what the user is there, and a reference of its own in it (phx_ref). Whoever
 * watches a topic is told what joins and what leaves, as diffs; each change gets the next version
 * of the roster, and those of one topic are announced in the order of their versions.
 *
 * The first change of a topic is announced at once, those that follow within the interval together
 * at its end, or earlier where they are many; what joins and leaves in between is not announced at
 * all. Where nobody watches a topic a change costs one step in a table, and nothing is written or
 * kept for it; what still waits there is forgotten.
 *
 * Thread: any registered with rcu.h, except for building and freeing. One lock, held for a few
 * table steps and, where a topic is watched, for writing the diff; announce is called under it.
 */
#pragma once

#include "base/buf.h"
#include "base/err.h"

struct rg_roster;
struct rg_presences;

/* A diff of one topic: {"joins":{...},"leaves":{...}} (legacy-channels.md 10.5). */
struct rg_roster_diff {
    struct rg_str topic;
    struct rg_str json;
    uint64_t version; /* of the last change in it */
};

struct rg_roster_settings {
    uint64_t interval_ms; /* PRESENCE_INTERVAL; 0: every change by itself */
    /* True if somebody may watch topic. Called under the lock; must not call the roster. */
    bool (*is_watched)(void *arg, struct rg_str topic);
    /* Takes a diff (borrowed for the call) to whoever watches. The same. */
    void (*announce)(void *arg, const struct rg_roster_diff *diff);
    /* rg_roster_flush() must be called at due_ms, which is before any moment asked for so far. The
     * same. */
    void (*wait)(void *arg, uint64_t due_ms);
    void *arg;
};

struct rg_roster *rg_roster_new(const struct rg_roster_settings *settings);
/* Nobody is present any more (rg_assert). */
void rg_roster_free(struct rg_roster **rosterp);

/* Who comes with what. */
struct rg_roster_entrant {
    struct rg_str user;
    struct rg_str meta; /* a JSON object without phx_ref; copied once for all topics */
    const struct rg_str *topics;
    size_t topics_n;
};

/*
 * Makes the user of entrant present in its topics. Where watched is not empty, the channel behind
 * this joins watched, which it has made known to the index already: what waits for this
 * topic is announced first (the newcomer must not be told of it), *ret_version becomes the version
 * from which on diffs concern it (diff->version >= *ret_version), and, if state is not NULL, the
 * presence_state before the own presence is appended: {"ada":{"metas":[...]}} (10.1, 10.4).
 * entrant->topics_n may be 0, for a channel that only watches; NULL is returned then. Otherwise the
 * caller owns the result and ends it with rg_roster_leave().
 */
struct rg_presences *rg_roster_join(struct rg_roster *roster,
                                    const struct rg_roster_entrant *entrant, struct rg_str watched,
                                    uint64_t now_ms, struct rg_buf *state, uint64_t *ret_version);

/* Ends presences and sets *presencesp to NULL (NULL is fine). */
void rg_roster_leave(struct rg_roster *roster, struct rg_presences **presencesp, uint64_t now_ms);

/*
 * Announces what has waited long enough. Returns when to call again, if wait() does not ask for it
 * earlier; UINT64_MAX: nothing waits. Any number of calls at any time do no harm.
 */
uint64_t rg_roster_flush(struct rg_roster *roster, uint64_t now_ms);

/* The reference of the presence in topics[i] of the entrant, as its meta shows it: 12 characters.
 */
#define RG_PHX_REF_LEN 12
void rg_presences_ref(const struct rg_presences *presences, size_t i, char out[RG_PHX_REF_LEN + 1]);

/* ---- questions ---- */

/* Presences in topic; those of one user in it, which takes as many steps. */
size_t rg_roster_count(struct rg_roster *roster, struct rg_str topic);
size_t rg_roster_count_user(struct rg_roster *roster, struct rg_str topic, struct rg_str user);
/* Users in topic. */
size_t rg_roster_count_users(struct rg_roster *roster, struct rg_str topic);

/* Appends the metas of all in topic, whoever they are: [{...},...]. */
void rg_roster_add_metas(struct rg_roster *roster, struct rg_str topic, struct rg_buf *out);

/*
 * Up to max users in topic, in the order of an unpredictable but fixed hash, beginning behind the
 * one with hash after (0: from the start). fn gets name and hash, and must not call the roster.
 * Returns how many; fewer than max: there are no more. (In the unlikely case that users have the
 * same hash as the last one, they are in the same page, which has more than max then.) Holds the
 * lock for O(max).
 */
size_t rg_roster_list_users(struct rg_roster *roster, struct rg_str topic, uint64_t after,
                            size_t max, void (*fn)(void *arg, struct rg_str user, uint64_t hash),
                            void *arg);

/* Appends metrics: presences, users and topics now; joins, leaves, and diffs announced so far. */
void rg_roster_expose(struct rg_roster *roster, struct rg_buf *out);
