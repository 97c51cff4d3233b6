/*
 * Open addressing with linear probing. A place is written once in the life of a generation of
 * the table: first the key, then, released, its tag. A key whose set became empty keeps
 * its place until the generation ends; readers see an empty set. When three quarters of
 * the places are used, the live keys move to a new generation, and the old one is
 * freed when its last reader is gone.
 */
#include "event/keytable.h"

#include <stdatomic.h>

#include "base/rcu.h"

#define FIRST_SIZE 64

struct place {
    struct rg_match_key key;
    _Atomic uint64_t reactors;
};

struct generation {
    struct rcu_head rcu;
    size_t mask;
    size_t used;            /* places with a tag; writers only */
    struct place *places;   /* mask + 1 of them, in the same allocation */
    _Atomic uint8_t tags[]; /* 0: free */
};

struct rg_keytable {
    _Atomic(struct generation *) current;
    atomic_size_t live;
};

/* Where a key starts to look, and what it leaves there; from different bits of the hash. */
static inline size_t start_of(const struct generation *g, const struct rg_match_key *key)
{
    return key->h.w[0] & g->mask;
}

static inline uint8_t tag_of(const struct rg_match_key *key)
{
    return (uint8_t)(key->h.w[1] >> 56) | 1;
}

static struct generation *generation_new(size_t size)
{
    size_t tags = (size + _Alignof(struct place) - 1) & ~(_Alignof(struct place) - 1);
    size_t head =
        (sizeof(struct generation) + _Alignof(struct place) - 1) & ~(_Alignof(struct place) - 1);
    struct generation *g = rg_zalloc(head + tags + size * sizeof(struct place));

    g->mask = size - 1;
    g->places = (struct place *)((char *)g + head + tags);
    return g;
}

static void free_generation(struct rcu_head *head)
{
    RG_RCU_CALLBACK(head);
    rg_free(RG_CONTAINER_OF(head, struct generation, rcu));
}

/* The place of key, or NULL. */
static inline struct place *find(const struct generation *g, const struct rg_match_key *key)
{
    uint8_t want = tag_of(key);

    for (size_t i = start_of(g, key);; i = (i + 1) & g->mask) {
        uint8_t tag = atomic_load_explicit(&g->tags[i], memory_order_acquire);
        if (tag == 0)
            return NULL;
        if (tag == want && rg_match_key_eq(g->places[i].key, *key))
            return &g->places[i];
    }
}

static void put(struct generation *g, const struct rg_match_key *key, uint64_t reactors)
{
    size_t i = start_of(g, key);

    while (atomic_load_explicit(&g->tags[i], memory_order_relaxed) != 0)
        i = (i + 1) & g->mask;
    g->places[i].key = *key;
    atomic_init(&g->places[i].reactors, reactors);
    atomic_store_explicit(&g->tags[i], tag_of(key), memory_order_release);
    g->used++;
}

struct rg_keytable *rg_keytable_new(void)
{
    struct rg_keytable *table = rg_zalloc(sizeof(*table));

    atomic_init(&table->current, generation_new(FIRST_SIZE));
    atomic_init(&table->live, 0);
    return table;
}

void rg_keytable_free(struct rg_keytable **tablep)
{
    struct rg_keytable *table = RG_STEAL(*tablep);

    if (table == NULL)
        return;
    rg_rcu_barrier();
    rg_free(atomic_load_explicit(&table->current, memory_order_relaxed));
    rg_free(table);
}

static struct generation *writers_generation(struct rg_keytable *table)
{
    return atomic_load_explicit(&table->current, memory_order_relaxed);
}

/* Makes room for one more key. */
static void make_room(struct rg_keytable *table)
{
    struct generation *old = writers_generation(table);
    size_t size = old->mask + 1;

    if (old->used < size / 4 * 3)
        return;
    /* Twice the size if it is full of live keys; the same or less if most of them died. */
    size_t live = atomic_load_explicit(&table->live, memory_order_relaxed);
    size = FIRST_SIZE;
    while (size / 8 * 3 <= live)
        size *= 2;
    struct generation *next = generation_new(size);
    for (size_t i = 0; i <= old->mask; i++) {
        uint64_t reactors = atomic_load_explicit(&old->places[i].reactors, memory_order_relaxed);
        if (reactors != 0)
            put(next, &old->places[i].key, reactors);
    }
    atomic_store_explicit(&table->current, next, memory_order_release);
    rg_rcu_call(&old->rcu, free_generation);
}

uint64_t rg_keytable_get(const struct rg_keytable *table, const struct rg_match_key *key)
{
    const struct generation *g = atomic_load_explicit(&table->current, memory_order_acquire);
    struct place *place = find(g, key);

    return place != NULL ? atomic_load_explicit(&place->reactors, memory_order_acquire) : 0;
}

uint64_t rg_keytable_add(struct rg_keytable *table, const struct rg_match_key *key, uint64_t bit)
{
    struct place *place = find(writers_generation(table), key);
    uint64_t before = 0;

    if (place != NULL) {
        before = atomic_fetch_or_explicit(&place->reactors, bit, memory_order_release);
    } else {
        make_room(table);
        put(writers_generation(table), key, bit);
    }
    if (before == 0)
        atomic_fetch_add_explicit(&table->live, 1, memory_order_relaxed);
    return before;
}

uint64_t rg_keytable_remove(struct rg_keytable *table, const struct rg_match_key *key, uint64_t bit)
{
    struct place *place = find(writers_generation(table), key);

    if (place == NULL)
        return 0;
    uint64_t before = atomic_fetch_and_explicit(&place->reactors, ~bit, memory_order_relaxed);
    if (before == bit)
        atomic_fetch_sub_explicit(&table->live, 1, memory_order_relaxed);
    return before;
}

size_t rg_keytable_count(const struct rg_keytable *table)
{
    return atomic_load_explicit(&table->live, memory_order_relaxed);
}
