/*
 * An open-addressing table (linear probing) leads from a key to its entry. A slot carries
 * half of the key, so that probing rarely has to look into an entry; keys are random already
 * and need no further hash. Removal moves later slots back instead of leaving marks.
 *
 *   table:       w0 | entry ---> entry: key, subscribers[] ---> subscriber: memberships[]
 *                                 ^  [at] = {subscriber, membership}   [membership] = {entry, at}
 *                                 '----------------------------------------'
 *
 * The two arrays point at each other by position. Whoever moves an element of one corrects
 * the position in the other.
 */
#include "event/index.h"

#include "base/alloc.h"

#define MIN_TABLE 16

/* Most entries of an idle client are its alone: one subscriber fits without an allocation. */
struct rg_index_entry {
    struct rg_subscription_key key;
    uint32_t n;
    uint32_t cap; /* 1: in place */
    union {
        struct rg_index_slot one;
        struct rg_index_slot *many;
    } u;
};

struct table_slot {
    uint64_t w0;
    struct rg_index_entry *entry; /* NULL: free */
};

struct rg_index {
    struct rg_interest *interest;
    unsigned reactor;
    struct table_slot *table;
    size_t mask; /* slots of the table, a power of two, less one */
    size_t keys;
    size_t memberships;
};

struct rg_index *rg_index_new(struct rg_interest *interest, unsigned reactor)
{
    struct rg_index *index = rg_zalloc(sizeof(*index));

    rg_assert(reactor < RG_MAX_REACTORS);
    index->interest = interest;
    index->reactor = reactor;
    index->mask = MIN_TABLE - 1;
    index->table = rg_zalloc(MIN_TABLE * sizeof(index->table[0]));
    return index;
}

void rg_index_free(struct rg_index **indexp)
{
    struct rg_index *index = RG_STEAL(*indexp);

    if (index == NULL)
        return;
    rg_assert(index->keys == 0 && index->memberships == 0);
    rg_free(index->table);
    rg_free(index);
}

/* The slot of a key, or the free slot where it would go. */
static size_t table_find(const struct rg_index *index, struct rg_match_key key)
{
    size_t at = key.h.w[0] & index->mask;

    for (;; at = (at + 1) & index->mask) {
        const struct table_slot *slot = &index->table[at];
        if (slot->entry == NULL)
            return at;
        if (slot->w0 == key.h.w[0] && rg_match_key_eq(slot->entry->key.key, key))
            return at;
    }
}

static void table_resize(struct rg_index *index, size_t slots)
{
    struct table_slot *old = index->table;
    size_t old_slots = index->mask + 1;

    index->table = rg_realloc_array(NULL, slots, sizeof(index->table[0]));
    memset(index->table, 0, slots * sizeof(index->table[0]));
    index->mask = slots - 1;
    for (size_t i = 0; i < old_slots; i++) {
        if (old[i].entry != NULL)
            index->table[table_find(index, old[i].entry->key.key)] = old[i];
    }
    rg_free(old);
}

static void table_add(struct rg_index *index, struct rg_index_entry *entry)
{
    size_t slots = index->mask + 1;

    if (index->keys + 1 > slots / 4 * 3)
        table_resize(index, slots * 2);
    index->table[table_find(index, entry->key.key)] =
        (struct table_slot){entry->key.key.h.w[0], entry};
    index->keys++;
}

/* Closes the gap at hole: what probing could not reach past it any more moves back. */
static void table_close_gap(struct rg_index *index, size_t hole)
{
    for (size_t at = (hole + 1) & index->mask; index->table[at].entry != NULL;
         at = (at + 1) & index->mask) {
        size_t home = index->table[at].w0 & index->mask;
        if (((at - home) & index->mask) < ((at - hole) & index->mask))
            continue;
        index->table[hole] = index->table[at];
        hole = at;
    }
    index->table[hole] = (struct table_slot){0};
}

static void table_remove(struct rg_index *index, struct rg_match_key key)
{
    size_t slots = index->mask + 1;

    table_close_gap(index, table_find(index, key));
    index->keys--;
    if (slots > MIN_TABLE && index->keys < slots / 8)
        table_resize(index, slots / 2);
}

static struct rg_index_slot *entry_slots(struct rg_index_entry *entry)
{
    return entry->cap > 1 ? entry->u.many : &entry->u.one;
}

static void entry_resize(struct rg_index_entry *entry, uint32_t cap)
{
    struct rg_index_slot *old = entry->cap > 1 ? entry->u.many : NULL;
    struct rg_index_slot one;

    if (cap > 1 && old != NULL) {
        entry->u.many = rg_realloc_array(old, cap, sizeof(*old));
    } else if (cap > 1) {
        one = entry->u.one;
        entry->u.many = rg_realloc_array(NULL, cap, sizeof(one));
        entry->u.many[0] = one;
    } else if (old != NULL) {
        one = old[0];
        rg_free(old);
        entry->u.one = one;
    }
    entry->cap = cap;
}

/* Appends a slot and returns its position. */
static uint32_t entry_add(struct rg_index_entry *entry, struct rg_index_slot slot)
{
    if (entry->n == entry->cap) {
        rg_assert(entry->cap <= UINT32_MAX / 2);
        entry_resize(entry, entry->cap * 2);
    }
    entry_slots(entry)[entry->n] = slot;
    return entry->n++;
}

/* Takes the slot at this position out; the last one moves there. */
static void entry_remove(struct rg_index_entry *entry, uint32_t at)
{
    struct rg_index_slot *slots = entry_slots(entry);
    struct rg_index_slot last = slots[--entry->n];

    slots[at] = last;
    last.subscriber->memberships[last.membership].at = at;
    if (entry->cap > 1 && entry->n <= entry->cap / 4)
        entry_resize(entry, entry->cap / 4 > 1 ? entry->cap / 2 : 1);
}

/* The entry of a key, made and announced if this reactor had none yet. */
static int entry_get(struct rg_index *index, const struct rg_subscription_key *key,
                     struct rg_index_entry **ret)
{
    struct rg_index_entry *entry = index->table[table_find(index, key->key)].entry;
    int err;

    if (entry == NULL) {
        err = rg_interest_add(index->interest, index->reactor, key);
        if (err < 0)
            return err;
        entry = rg_zalloc(sizeof(*entry));
        entry->key = *key;
        entry->cap = 1;
        table_add(index, entry);
    }
    *ret = entry;
    return 0;
}

/* Ends an entry without subscribers. */
static void entry_free(struct rg_index *index, struct rg_index_entry *entry)
{
    rg_interest_remove(index->interest, index->reactor, &entry->key);
    table_remove(index, entry->key.key);
    rg_assert(entry->cap == 1);
    rg_free(entry);
}

static int join(struct rg_index *index, struct rg_subscriber *subscriber,
                const struct rg_subscription_key *key)
{
    uint32_t membership = subscriber->memberships_n;
    struct rg_index_entry *entry;
    int err = entry_get(index, key, &entry);

    if (err < 0)
        return err;
    subscriber->memberships[membership] = (struct rg_membership){
        entry, entry_add(entry, (struct rg_index_slot){subscriber, membership})};
    subscriber->memberships_n++;
    index->memberships++;
    return 0;
}

/* Ends the memberships from first up to, without, end; the array keeps their dead places. */
static void leave_range(struct rg_index *index, struct rg_subscriber *subscriber, uint32_t first,
                        uint32_t end)
{
    for (uint32_t i = first; i < end; i++) {
        struct rg_membership membership = subscriber->memberships[i];
        entry_remove(membership.entry, membership.at);
        if (membership.entry->n == 0)
            entry_free(index, membership.entry);
    }
    index->memberships -= end - first;
}

static void resize_memberships(struct rg_subscriber *subscriber, size_t n)
{
    subscriber->memberships =
        rg_realloc_array(subscriber->memberships, n, sizeof(struct rg_membership));
}

/* Gives back the room behind the first memberships_n. */
static void trim_memberships(struct rg_subscriber *subscriber)
{
    if (subscriber->memberships_n > 0) {
        resize_memberships(subscriber, subscriber->memberships_n);
    } else {
        rg_free(subscriber->memberships);
        subscriber->memberships = NULL;
    }
}

/* Drops the first `gone` places, which are dead, and tells the entries the new positions. */
static void close_memberships(struct rg_subscriber *subscriber, uint32_t gone)
{
    uint32_t n = subscriber->memberships_n - gone;

    for (uint32_t i = 0; i < n; i++) {
        struct rg_membership membership = subscriber->memberships[gone + i];
        subscriber->memberships[i] = membership;
        entry_slots(membership.entry)[membership.at].membership = i;
    }
    subscriber->memberships_n = n;
    trim_memberships(subscriber);
}

/*
 * The new memberships stand behind the old ones until those are gone. A key of both sets is
 * in the entry twice for that moment, which nobody can see and which spares the interest
 * table a remove and an add.
 */
int rg_index_set(struct rg_index *index, struct rg_subscriber *subscriber,
                 const struct rg_subscription_set *set)
{
    uint32_t old_n = subscriber->memberships_n;

    rg_assert(set->keys_n < UINT32_MAX - old_n);
    resize_memberships(subscriber, old_n + set->keys_n);
    for (size_t i = 0; i < set->keys_n; i++) {
        int err = join(index, subscriber, &set->keys[i]);
        if (err < 0) {
            leave_range(index, subscriber, old_n, subscriber->memberships_n);
            subscriber->memberships_n = old_n;
            trim_memberships(subscriber);
            return err;
        }
    }
    leave_range(index, subscriber, 0, old_n);
    close_memberships(subscriber, old_n);
    return 0;
}

void rg_index_leave(struct rg_index *index, struct rg_subscriber *subscriber)
{
    leave_range(index, subscriber, 0, subscriber->memberships_n);
    subscriber->memberships_n = 0;
    trim_memberships(subscriber);
}

const struct rg_index_slot *rg_index_find(const struct rg_index *index, struct rg_match_key key,
                                          size_t *ret_n)
{
    struct rg_index_entry *entry = index->table[table_find(index, key)].entry;

    *ret_n = entry != NULL ? entry->n : 0;
    return entry != NULL ? entry_slots(entry) : NULL;
}

size_t rg_index_keys(const struct rg_index *index)
{
    return index->keys;
}

size_t rg_index_memberships(const struct rg_index *index)
{
    return index->memberships;
}
