/*
 * A bucket is kept as its debt: what is missing until it is full. Units are chosen so that all of
 * it are whole numbers, whatever the rate: each millisecond pays `requests` of them back, and a
 * request costs `period_ms`, so that the bucket holds burst * period_ms. The products of two 64-bit
 * numbers and one more fit into 128 bits, so nothing can overflow and nothing is rounded.
 *
 * A bucket is known by a hash, under a secret key, of whose it is, where and at which rate; 128
 * bits are enough to stand for the text.
 */
#include "proxy/quota.h"

#include <arpa/inet.h>
#include <inttypes.h>
#include <pthread.h>

#include "base/alloc.h"
#include "base/counter.h"
#include "base/err.h"
#include "base/hash.h"
#include "base/map.h"

#define SHARDS      16
#define MIN_SHARD   256 /* buckets; a table that would have smaller parts is not divided */
#define IPV6_PREFIX 8   /* bytes: what a household or a host gets */
#define MAX_ADDRESS 64  /* bytes of text, scope included */

typedef unsigned __int128 units;

struct bucket {
    struct rg_map_link link;
    struct bucket *newer, *older;
    struct rg_hash128 id;
    uint64_t at_ms; /* when debt was what it is */
    units debt;
};

struct shard {
    pthread_mutex_t lock;
    struct rg_map buckets;
    struct bucket *newest, *oldest; /* by use */
    uint64_t refusals;
};

struct rg_quota {
    struct rg_hash_key hash_key; /* set once, like the next two */
    size_t shards_n;
    size_t max_each;
    struct shard shards[SHARDS];
};

struct rg_quota *rg_quota_new(size_t max_buckets)
{
    struct rg_quota *quota = rg_zalloc(sizeof(*quota));

    rg_assert(max_buckets > 0);
    rg_hash_key_random(&quota->hash_key);
    quota->shards_n = max_buckets / SHARDS >= MIN_SHARD ? SHARDS : 1;
    quota->max_each = max_buckets / quota->shards_n;
    for (size_t i = 0; i < quota->shards_n; i++)
        pthread_mutex_init(&quota->shards[i].lock, NULL);
    return quota;
}

static void shard_done(struct shard *shard)
{
    for (struct bucket *bucket = shard->newest, *older; bucket != NULL; bucket = older) {
        older = bucket->older;
        rg_free(bucket);
    }
    rg_map_done(&shard->buckets);
    pthread_mutex_destroy(&shard->lock);
}

void rg_quota_free(struct rg_quota **quotap)
{
    struct rg_quota *quota = *quotap;

    *quotap = NULL;
    if (quota == NULL)
        return;
    for (size_t i = 0; i < quota->shards_n; i++)
        shard_done(&quota->shards[i]);
    rg_free(quota);
}

/* ---- whose ---- */

/* What an address counts as: bytes of out, or as it is where it is none. */
static struct rg_str reduce_address(struct rg_str who, char out[sizeof(struct in6_addr)])
{
    static const unsigned char mapped[] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
    char text[MAX_ADDRESS];
    struct in6_addr address;

    if (who.n >= sizeof(text) || memchr(who.p, ':', who.n) == NULL)
        return who;
    struct rg_str bare = rg_str_split(&who, '%');
    memcpy(text, bare.p, bare.n);
    text[bare.n] = '\0';
    if (inet_pton(AF_INET6, text, &address) != 1)
        return bare;
    if (memcmp(&address, mapped, sizeof(mapped)) != 0) {
        memcpy(out, &address, IPV6_PREFIX);
        return rg_str_n(out, IPV6_PREFIX);
    }
    inet_ntop(AF_INET, address.s6_addr + sizeof(mapped), out, sizeof(struct in6_addr));
    return rg_str_c(out);
}

static struct rg_hash128 identify(const struct rg_quota *quota, const struct rg_rate *rate,
                                  struct rg_str place, struct rg_str who)
{
    char reduced[sizeof(struct in6_addr)];

    if (!rate->by_session && who.n > 0)
        who = reduce_address(who, reduced);
    struct rg_hash128 of_place = rg_hash128(&quota->hash_key, place.p, place.n);
    struct rg_hash128 of_who = rg_hash128(&quota->hash_key, who.p, who.n);
    const uint64_t words[] = {of_place.w[0],  of_place.w[1],   of_who.w[0], of_who.w[1],
                              rate->requests, rate->period_ms, rate->burst, rate->by_session};
    return rg_hash128(&quota->hash_key, words, sizeof(words));
}

/* ---- buckets ---- */

static void unlink_bucket(struct shard *shard, struct bucket *bucket)
{
    *(bucket->newer != NULL ? &bucket->newer->older : &shard->newest) = bucket->older;
    *(bucket->older != NULL ? &bucket->older->newer : &shard->oldest) = bucket->newer;
}

static void link_newest(struct shard *shard, struct bucket *bucket)
{
    bucket->newer = NULL;
    bucket->older = shard->newest;
    *(shard->newest != NULL ? &shard->newest->newer : &shard->oldest) = bucket;
    shard->newest = bucket;
}

static bool has_id(const struct rg_map_link *link, const void *key)
{
    const struct rg_hash128 *id = key;

    return memcmp(&RG_CONTAINER_OF(link, const struct bucket, link)->id, id, sizeof(*id)) == 0;
}

/* A bucket for another use, or a new one. */
static struct bucket *make_room(struct shard *shard, size_t max)
{
    struct bucket *bucket = shard->oldest;

    if (shard->buckets.n < max)
        return rg_alloc(sizeof(*bucket));
    rg_map_remove(&shard->buckets, &bucket->link);
    unlink_bucket(shard, bucket);
    return bucket;
}

static struct bucket *take_bucket_locked(struct shard *shard, size_t max,
                                         const struct rg_hash128 *id, uint64_t now_ms)
{
    struct rg_map_link *link = rg_map_find(&shard->buckets, id->w[0], has_id, id);
    struct bucket *bucket;

    if (link != NULL) {
        bucket = RG_CONTAINER_OF(link, struct bucket, link);
        unlink_bucket(shard, bucket);
    } else {
        bucket = make_room(shard, max);
        *bucket = (struct bucket){.id = *id, .at_ms = now_ms};
        rg_map_add(&shard->buckets, &bucket->link, id->w[0]);
    }
    link_newest(shard, bucket);
    return bucket;
}

/* ---- arithmetic ---- */

static uint64_t divide_up(units a, units b)
{
    units result = a / b + (a % b > 0);

    return result > UINT64_MAX ? UINT64_MAX : (uint64_t)result;
}

static uint64_t seconds_until_paid(units debt, const struct rg_rate *rate)
{
    return divide_up(divide_up(debt, rate->requests), 1000);
}

static void pay_back(struct bucket *bucket, const struct rg_rate *rate, uint64_t now_ms)
{
    if (now_ms <= bucket->at_ms)
        return;
    units paid = (units)(now_ms - bucket->at_ms) * rate->requests;
    bucket->debt = bucket->debt > paid ? bucket->debt - paid : 0;
    bucket->at_ms = now_ms;
}

static void take_one(struct bucket *bucket, const struct rg_rate *rate, struct rg_quota_state *ret)
{
    units holds = (units)rate->period_ms * (rate->burst > 0 ? rate->burst : 1);
    units debt = bucket->debt + rate->period_ms;

    ret->is_allowed = debt <= holds;
    if (ret->is_allowed) {
        bucket->debt = debt;
    } else {
        uint64_t wait_s = seconds_until_paid(debt - holds, rate);
        ret->retry_after_s = wait_s > 0 ? wait_s : 1;
    }
    ret->remaining = (uint64_t)((holds - bucket->debt) / rate->period_ms);
    ret->reset_s = seconds_until_paid(bucket->debt, rate);
}

void rg_quota_take(struct rg_quota *quota, const struct rg_rate *rate, struct rg_str place,
                   struct rg_str who, uint64_t now_ms, struct rg_quota_state *ret)
{
    *ret = (struct rg_quota_state){.is_allowed = true, .remaining = UINT64_MAX};
    if (rate->requests == 0 || rate->period_ms == 0)
        return;

    struct rg_hash128 id = identify(quota, rate, place, who);
    struct shard *shard = &quota->shards[id.w[1] % quota->shards_n];
    pthread_mutex_lock(&shard->lock);
    struct bucket *bucket = take_bucket_locked(shard, quota->max_each, &id, now_ms);
    pay_back(bucket, rate, now_ms);
    take_one(bucket, rate, ret);
    shard->refusals += !ret->is_allowed;
    pthread_mutex_unlock(&shard->lock);
}

void rg_quota_expose(struct rg_quota *quota, struct rg_buf *out)
{
    uint64_t buckets = 0, refusals = 0;

    for (size_t i = 0; i < quota->shards_n; i++) {
        struct shard *shard = &quota->shards[i];
        pthread_mutex_lock(&shard->lock);
        buckets += shard->buckets.n;
        refusals += shard->refusals;
        pthread_mutex_unlock(&shard->lock);
    }
    rg_metric_head(out, "rgate_proxy_quota_buckets", "gauge",
                   "Addresses and sessions whose use of endpoints with a rate limit is known.");
    rg_buf_addf(out, "rgate_proxy_quota_buckets %" PRIu64 "\n", buckets);
    rg_metric_head(out, "rgate_proxy_quota_refusals_total", "counter",
                   "Requests that were refused because of an endpoint's rate limit.");
    rg_buf_addf(out, "rgate_proxy_quota_refusals_total %" PRIu64 "\n", refusals);
}
