/*
 * index.h - which clients of one reactor want which events.
 *
 * From a match key to the subscribers that hold it, as a plain array to run
 * over. A subscriber embeds a struct rg_subscriber. Joining and leaving cost
 * O(keys of that subscriber), whatever else is in the index; the first and last
 * subscriber of a key are told to the process-wide interest table.
 *
 * Thread: the reactor that owns it. Never shared, hence no lock.
 */
#pragma once

#include "event/interest.h"

struct rg_index;
struct rg_index_entry;

/* Where a subscriber stands in one entry; internal. */
struct rg_membership {
    struct rg_index_entry *entry;
    uint32_t at;
};

/* Embedded in whatever subscribes; zero-initialised. */
struct rg_subscriber {
    struct rg_membership *memberships; /* internal */
    uint32_t memberships_n;            /* internal */
};

/* One row of an entry: the subscriber and which of its memberships this is. */
struct rg_index_slot {
    struct rg_subscriber *subscriber;
    uint32_t membership;
};

/* interest is borrowed; reactor is the number under which this index speaks to it. */
struct rg_index *rg_index_new(struct rg_interest *interest, unsigned reactor);
/* Every subscriber must have left. */
void rg_index_free(struct rg_index **indexp);

/*
 * Replaces the keys of subscriber by those of set (borrowed). The new keys are in force
 * before the old ones end, so no event that both match is lost. RG_EFULL as
 * rg_interest_add(); the subscriber keeps its old keys then.
 */
int rg_index_set(struct rg_index *index, struct rg_subscriber *subscriber,
                 const struct rg_subscription_set *set);

/* Takes subscriber out of everything. */
void rg_index_leave(struct rg_index *index, struct rg_subscriber *subscriber);

/*
 * The subscribers of a key, *ret_n of them; NULL if none. Borrowed, valid until the next
 * set or leave.
 */
const struct rg_index_slot *rg_index_find(const struct rg_index *index, struct rg_match_key key,
                                          size_t *ret_n);

/* Keys and memberships held, for metrics and tests. */
size_t rg_index_keys(const struct rg_index *index);
size_t rg_index_memberships(const struct rg_index *index);
