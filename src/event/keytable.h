/*
 * keytable.h - match keys that anybody wants, and by which reactors.
 *
 * The table that every event's keys are looked up in, most of them in vain. One byte per place
 * says whether a key can be there at all: these bytes stay in the processor's cache
 * where the keys themselves would not, so a key that is not in the table costs no
 * access to memory.
 *
 * Thread: looking up, any inside of rg_rcu_read_lock(); changing, one at a time (the caller
 * holds a lock).
 */
#pragma once

#include "event/matchkey.h"

struct rg_keytable;

struct rg_keytable *rg_keytable_new(void);
/* Nobody may look up any more. Waits for a grace period: never on a reactor. */
void rg_keytable_free(struct rg_keytable **tablep);

/* The set of reactors that want key, a bit each; 0 if it is not in the table. */
uint64_t rg_keytable_get(const struct rg_keytable *table, const struct rg_match_key *key);

/*
 * Adds bit to, or takes it from, the set of key and returns what the set was before. In force for
 * every look-up that begins after the return.
 */
uint64_t rg_keytable_add(struct rg_keytable *table, const struct rg_match_key *key, uint64_t bit);
uint64_t rg_keytable_remove(struct rg_keytable *table, const struct rg_match_key *key,
                            uint64_t bit);

/* Keys with a set that is not empty. Thread: any. */
size_t rg_keytable_count(const struct rg_keytable *table);
