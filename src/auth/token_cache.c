#include "auth/token_cache.h"

#include "base/hash.h"
#include "base/random.h"
#include "base/rcu.h"

#define WAYS 4 /* entries of a bucket */

/* Immutable once it is in the array. */
struct entry {
    struct rcu_head rcu;
    struct rg_hash128 id;
    uint64_t generation;
    struct rg_claims *claims;
};

struct bucket {
    _Atomic(struct entry *) ways[WAYS];
};

struct rg_token_cache {
    struct rg_hash_key key;
    size_t buckets_n;
    struct bucket buckets[];
};

struct rg_token_cache *rg_token_cache_new(size_t max)
{
    size_t n = (max + WAYS - 1) / WAYS;
    struct rg_token_cache *cache = rg_zalloc(sizeof(*cache) + n * sizeof(cache->buckets[0]));

    rg_hash_key_random(&cache->key);
    cache->buckets_n = n;
    return cache;
}

static void free_entry(struct rcu_head *head)
{
    struct entry *entry = RG_CONTAINER_OF(head, struct entry, rcu);

    RG_RCU_CALLBACK(head);
    rg_claims_unref(&entry->claims);
    rg_free(entry);
}

void rg_token_cache_free(struct rg_token_cache **cachep)
{
    struct rg_token_cache *cache = RG_STEAL(*cachep);

    for (size_t i = 0; cache != NULL && i < cache->buckets_n * WAYS; i++) {
        struct entry *entry = atomic_load(&cache->buckets[i / WAYS].ways[i % WAYS]);
        if (entry != NULL)
            free_entry(&entry->rcu);
    }
    rg_free(cache);
}

static struct rg_hash128 id_of(const struct rg_token_cache *cache, struct rg_str token)
{
    return rg_hash128(&cache->key, token.p, token.n);
}

static bool is_id(const struct entry *entry, struct rg_hash128 id)
{
    return entry->id.w[0] == id.w[0] && entry->id.w[1] == id.w[1];
}

static struct entry *get(const struct bucket *bucket, size_t way)
{
    return atomic_load_explicit(&bucket->ways[way], memory_order_acquire);
}

static bool is_good(const struct entry *entry, uint64_t generation, int64_t now_s)
{
    return entry->generation == generation && entry->claims->exp_s > now_s;
}

struct rg_claims *rg_token_cache_find(const struct rg_token_cache *cache, struct rg_str token,
                                      uint64_t generation, int64_t now_s)
{
    struct rg_claims *claims = NULL;

    if (cache->buckets_n == 0)
        return NULL;
    struct rg_hash128 id = id_of(cache, token);
    const struct bucket *bucket = &cache->buckets[id.w[0] % cache->buckets_n];
    rg_rcu_read_lock();
    for (size_t i = 0; i < WAYS && claims == NULL; i++) {
        const struct entry *entry = get(bucket, i);
        if (entry != NULL && is_id(entry, id) && is_good(entry, generation, now_s))
            claims = rg_claims_ref(entry->claims);
    }
    rg_rcu_read_unlock();
    return claims;
}

/* Where a new entry goes: where the token is, else where nothing of use is, else anywhere. */
static size_t choose_way(const struct bucket *bucket, struct rg_hash128 id, uint64_t generation,
                         int64_t now_s)
{
    size_t way = rg_random_below(WAYS);

    rg_rcu_read_lock();
    for (size_t i = 0; i < WAYS; i++) {
        const struct entry *entry = get(bucket, i);
        if (entry != NULL && is_id(entry, id)) {
            way = i;
            break;
        }
        if (entry == NULL || !is_good(entry, generation, now_s))
            way = i;
    }
    rg_rcu_read_unlock();
    return way;
}

void rg_token_cache_add(struct rg_token_cache *cache, struct rg_str token, uint64_t generation,
                        int64_t now_s, struct rg_claims *claims)
{
    if (cache->buckets_n == 0)
        return;
    struct entry *entry = rg_zalloc(sizeof(*entry));
    entry->id = id_of(cache, token);
    entry->generation = generation;
    entry->claims = rg_claims_ref(claims);
    struct bucket *bucket = &cache->buckets[entry->id.w[0] % cache->buckets_n];
    size_t way = choose_way(bucket, entry->id, generation, now_s);
    struct entry *old = atomic_exchange_explicit(&bucket->ways[way], entry, memory_order_acq_rel);
    if (old != NULL)
        rg_rcu_call(&old->rcu, free_entry);
}

void rg_token_cache_drop(struct rg_token_cache *cache, struct rg_str token)
{
    if (cache->buckets_n == 0)
        return;
    struct rg_hash128 id = id_of(cache, token);
    struct bucket *bucket = &cache->buckets[id.w[0] % cache->buckets_n];
    rg_rcu_read_lock();
    for (size_t i = 0; i < WAYS; i++) {
        struct entry *entry = get(bucket, i);
        if (entry != NULL && is_id(entry, id) &&
            atomic_compare_exchange_strong(&bucket->ways[i], &entry, NULL))
            rg_rcu_call(&entry->rcu, free_entry);
    }
    rg_rcu_read_unlock();
}
