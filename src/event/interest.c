/*
 * Two tables under RCU. Readers ask the first one about the type, which ends the matter for an
 * event nobody wants, and then the second one once per field set:
 *
 *   types: type key -> node -> list of field sets, immutable but for the counts
 *   keys:  match key -> set of reactors, see keytable.h
 *
 * Writers hold the lock, which nothing else is taken under. A list of field sets is replaced
 * when a set appears or disappears, not when its count changes: 19,000 clients that each ask
 * for their own name share one list.
 */
#include "event/interest.h"

#include <pthread.h>
#include <stdatomic.h>

#include "base/rcu.h"
#include "event/keytable.h"

struct field_set {
    uint64_t fields; /* immutable once the list is published */
    size_t keys;     /* how many keys have it; under the lock, readers do not look */
};

struct field_sets {
    struct rcu_head rcu;
    size_t n;
    struct field_set sets[];
};

struct type_node {
    struct cds_lfht_node node;
    struct rcu_head rcu;
    struct rg_match_key key;
    _Atomic(struct field_sets *) list; /* replaced under the lock; never NULL */
};

struct rg_interest {
    struct cds_lfht *types;   /* read under RCU, changed under the lock */
    struct rg_keytable *keys; /* the same */

    pthread_mutex_t lock;
};

/* Puts node, the part of object that the table knows, in. */
static void table_add(struct cds_lfht *table, struct rg_match_key key, struct cds_lfht_node *node,
                      void *object)
{
    RG_TSAN_RELEASE(object);
    rg_rcu_table_add(table, key.h.w[0], node);
}

struct rg_interest *rg_interest_new(void)
{
    struct rg_interest *interest = rg_zalloc(sizeof(*interest));

    interest->types = rg_rcu_table_new();
    interest->keys = rg_keytable_new();
    pthread_mutex_init(&interest->lock, NULL);
    return interest;
}

static void free_list(struct rcu_head *head)
{
    RG_RCU_CALLBACK(head);
    rg_free(RG_CONTAINER_OF(head, struct field_sets, rcu));
}

static void free_type(struct rcu_head *head)
{
    struct type_node *type = RG_CONTAINER_OF(head, struct type_node, rcu);

    RG_RCU_CALLBACK(head);
    rg_free(atomic_load_explicit(&type->list, memory_order_relaxed));
    rg_free(type);
}

static int type_is(struct cds_lfht_node *node, const void *key)
{
    const struct type_node *type = RG_CONTAINER_OF(node, struct type_node, node);

    RG_TSAN_ACQUIRE(type);
    return rg_match_key_eq(type->key, *(const struct rg_match_key *)key);
}

/* Needs the RCU read lock. A match key is its own hash. */
static struct type_node *find_type(struct rg_interest *interest, const struct rg_match_key *key)
{
    struct cds_lfht_iter iter;

    cds_lfht_lookup(interest->types, key->h.w[0], type_is, key, &iter);
    struct cds_lfht_node *node = cds_lfht_iter_get_node(&iter);
    return node != NULL ? RG_CONTAINER_OF(node, struct type_node, node) : NULL;
}

static struct field_sets *new_list(size_t n)
{
    struct field_sets *list = rg_alloc(sizeof(*list) + n * sizeof(list->sets[0]));
    list->n = n;
    return list;
}

static struct field_set *find_set(struct field_sets *list, uint64_t fields)
{
    for (size_t i = 0; i < list->n; i++) {
        if (list->sets[i].fields == fields)
            return &list->sets[i];
    }
    return NULL;
}

static void replace_list(struct type_node *type, struct field_sets *next)
{
    struct field_sets *old = atomic_load_explicit(&type->list, memory_order_relaxed);

    atomic_store_explicit(&type->list, next, memory_order_release);
    rg_rcu_call(&old->rcu, free_list);
}

static void add_type_locked(struct rg_interest *interest, const struct rg_subscription_key *key)
{
    struct type_node *type = rg_zalloc(sizeof(*type));
    struct field_sets *list = new_list(1);

    list->sets[0] = (struct field_set){key->fields, 1};
    type->key = key->type;
    atomic_init(&type->list, list);
    table_add(interest->types, type->key, &type->node, type);
}

/* Counts one more key with this field set. */
static int add_set_locked(struct rg_interest *interest, const struct rg_subscription_key *key)
{
    struct type_node *type = find_type(interest, &key->type);
    struct field_sets *list, *next;
    struct field_set *set;

    if (type == NULL) {
        add_type_locked(interest, key);
        return 0;
    }
    list = atomic_load_explicit(&type->list, memory_order_relaxed);
    set = find_set(list, key->fields);
    if (set != NULL) {
        set->keys++;
        return 0;
    }
    if (list->n >= RG_MAX_FIELD_SETS)
        return RG_EFULL;
    next = new_list(list->n + 1);
    memcpy(next->sets, list->sets, list->n * sizeof(list->sets[0]));
    next->sets[list->n] = (struct field_set){key->fields, 1};
    replace_list(type, next);
    return 0;
}

/* Counts one key less; the last one takes the set along, the last set the type. */
static void remove_set_locked(struct rg_interest *interest, const struct rg_subscription_key *key)
{
    struct type_node *type = find_type(interest, &key->type);
    struct field_sets *list, *next;
    struct field_set *set;

    rg_assert(type != NULL);
    list = atomic_load_explicit(&type->list, memory_order_relaxed);
    set = find_set(list, key->fields);
    rg_assert(set != NULL && set->keys > 0);
    if (--set->keys > 0)
        return;
    if (list->n == 1) {
        rg_rcu_table_del(interest->types, &type->node);
        rg_rcu_call(&type->rcu, free_type);
        return;
    }
    size_t at = (size_t)(set - list->sets);
    next = new_list(list->n - 1);
    memcpy(next->sets, list->sets, at * sizeof(*set));
    memcpy(next->sets + at, set + 1, (list->n - at - 1) * sizeof(*set));
    replace_list(type, next);
}

static int add_locked(struct rg_interest *interest, uint64_t reactor_bit,
                      const struct rg_subscription_key *key)
{
    /* The set of fields comes first: whoever finds it may then look for the key. */
    if (rg_keytable_get(interest->keys, &key->key) == 0) {
        int err = add_set_locked(interest, key);
        if (err < 0)
            return err;
    }
    rg_keytable_add(interest->keys, &key->key, reactor_bit);
    return 0;
}

static void remove_locked(struct rg_interest *interest, uint64_t reactor_bit,
                          const struct rg_subscription_key *key)
{
    uint64_t before = rg_keytable_remove(interest->keys, &key->key, reactor_bit);

    rg_assert((before & reactor_bit) != 0);
    if (before == reactor_bit)
        remove_set_locked(interest, key);
}

int rg_interest_add(struct rg_interest *interest, unsigned reactor,
                    const struct rg_subscription_key *key)
{
    int err;

    rg_assert(reactor < RG_MAX_REACTORS);
    pthread_mutex_lock(&interest->lock);
    rg_rcu_read_lock();
    err = add_locked(interest, (uint64_t)1 << reactor, key);
    rg_rcu_read_unlock();
    pthread_mutex_unlock(&interest->lock);
    return err;
}

void rg_interest_remove(struct rg_interest *interest, unsigned reactor,
                        const struct rg_subscription_key *key)
{
    rg_assert(reactor < RG_MAX_REACTORS);
    pthread_mutex_lock(&interest->lock);
    rg_rcu_read_lock();
    remove_locked(interest, (uint64_t)1 << reactor, key);
    rg_rcu_read_unlock();
    pthread_mutex_unlock(&interest->lock);
}

bool rg_interest_look(struct rg_interest *interest, struct rg_str type,
                      struct rg_interest_view *ret, uint64_t *ret_fields)
{
    ret->type_key = rg_match_key_of_type(type);
    struct type_node *node = find_type(interest, &ret->type_key);
    if (node == NULL)
        return false;

    const struct field_sets *list = atomic_load_explicit(&node->list, memory_order_acquire);
    ret->sets = list;
    *ret_fields = 0;
    for (size_t i = 0; i < list->n; i++)
        *ret_fields |= list->sets[i].fields;
    return true;
}

size_t rg_interest_look_match(struct rg_interest *interest, const struct rg_interest_view *view,
                              const struct rg_extractor_type *extractor_type,
                              const struct rg_projector *projector,
                              struct rg_match_key_builder *builder,
                              struct rg_interest_match matches[RG_MAX_FIELD_SETS])
{
    const struct field_sets *list = view->sets;
    size_t n = 0;

    for (size_t i = 0; i < list->n; i++) {
        struct rg_interest_match *match = &matches[n];
        if (rg_match_key_of_event(builder, view->type_key, extractor_type, list->sets[i].fields,
                                  projector, &match->key) < 0)
            continue;
        match->reactors = rg_keytable_get(interest->keys, &match->key);
        n += match->reactors != 0;
    }
    return n;
}

bool rg_interest_of_type(struct rg_interest *interest, struct rg_str type, uint64_t *ret_fields)
{
    struct rg_interest_view view;

    rg_rcu_read_lock();
    bool is_wanted = rg_interest_look(interest, type, &view, ret_fields);
    rg_rcu_read_unlock();
    return is_wanted;
}

size_t rg_interest_match(struct rg_interest *interest, struct rg_str type,
                         const struct rg_extractor_type *extractor_type,
                         const struct rg_projector *projector, struct rg_match_key_builder *builder,
                         struct rg_interest_match matches[RG_MAX_FIELD_SETS])
{
    struct rg_interest_view view;
    uint64_t fields;
    size_t n = 0;

    rg_rcu_read_lock();
    if (rg_interest_look(interest, type, &view, &fields))
        n = rg_interest_look_match(interest, &view, extractor_type, projector, builder, matches);
    rg_rcu_read_unlock();
    return n;
}

uint64_t rg_interest_get(struct rg_interest *interest, struct rg_match_key key)
{
    rg_rcu_read_lock();
    uint64_t reactors = rg_keytable_get(interest->keys, &key);
    rg_rcu_read_unlock();
    return reactors;
}

bool rg_interest_has_channels(struct rg_interest *interest)
{
    struct rg_match_key channels = rg_match_key_of_channels();

    rg_rcu_read_lock();
    bool has = find_type(interest, &channels) != NULL;
    rg_rcu_read_unlock();
    return has;
}

size_t rg_interest_count(const struct rg_interest *interest)
{
    return rg_keytable_count(interest->keys);
}

/* Nodes go through RCU even now: the tables' own thread may still walk them to resize. */
static void empty_types(struct rg_interest *interest)
{
    struct cds_lfht_iter iter;
    struct cds_lfht_node *node;

    cds_lfht_for_each (interest->types, &iter, node) {
        struct type_node *type = RG_CONTAINER_OF(node, struct type_node, node);
        rg_rcu_table_del(interest->types, node);
        rg_rcu_call(&type->rcu, free_type);
    }
}

void rg_interest_free(struct rg_interest **interestp)
{
    struct rg_interest *interest = RG_STEAL(*interestp);

    if (interest == NULL)
        return;
    rg_rcu_read_lock();
    empty_types(interest);
    rg_rcu_read_unlock();
    rg_rcu_barrier();
    rg_rcu_table_free(&interest->types);
    rg_keytable_free(&interest->keys);
    pthread_mutex_destroy(&interest->lock);
    rg_free(interest);
}
