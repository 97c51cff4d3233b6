/*
 * The rate is one number: the minute in its upper half, the connections of that minute in its lower
 * one, so that a new minute and its first connection are one step. Open clients are another number.
 * Addresses stand in a table under a lock, and a client's seat is its address there; without a
 * limit per address all share one seat, and nothing is locked.
 */
#include "push/limits.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>

#include "base/alloc.h"
#include "base/counter.h"
#include "base/err.h"
#include "base/hash.h"
#include "base/map.h"
#include "base/random.h"

#define MINUTE_MS      60000
#define RETRY_SPREAD_S 10 /* who is refused for want of a place comes back at different times */
#define COUNT_BITS     32
#define COUNT_MASK     UINT32_MAX

struct rg_seat {
    struct rg_map_link link;
    size_t clients;
    char peer[RG_PEER_SIZE];
};

struct rg_limits {
    struct rg_limits_settings settings; /* set once */
    struct rg_hash_key hash_key;

    _Atomic uint64_t window; /* any thread: minute << COUNT_BITS | connections in it */
    atomic_size_t clients;
    _Atomic uint64_t refused[RG_LIMIT_CLIENTS + 1];

    pthread_mutex_t lock; /* for the addresses and their seats */
    struct rg_map addresses;
    struct rg_seat anybody; /* where addresses do not matter; never locked, never counted */
};

struct rg_limits *rg_limits_new(const struct rg_limits_settings *settings)
{
    struct rg_limits *limits = rg_zalloc(sizeof(*limits));

    limits->settings = *settings;
    rg_hash_key_random(&limits->hash_key);
    pthread_mutex_init(&limits->lock, NULL);
    return limits;
}

void rg_limits_free(struct rg_limits **limitsp)
{
    struct rg_limits *limits = RG_STEAL(*limitsp);

    if (limits == NULL)
        return;
    rg_assert(limits->addresses.n == 0 && atomic_load(&limits->clients) == 0);
    rg_map_done(&limits->addresses);
    pthread_mutex_destroy(&limits->lock);
    rg_free(limits);
}

/*
 * The window with one more connection. The reactors' clocks differ a little, so one that is still
 * in the minute before counts into the window that has begun; a clock that was set back by more
 * than that begins a new one.
 */
static uint64_t count_in(uint64_t window, uint64_t minute)
{
    uint64_t begun = window >> COUNT_BITS;

    if (minute != begun && minute + 1 != begun)
        return minute << COUNT_BITS | 1;
    return (window & COUNT_MASK) < COUNT_MASK ? window + 1 : window;
}

/* The number of this connection in its minute, from 1. */
static uint64_t count_connection(struct rg_limits *limits, uint64_t wall_ms)
{
    uint64_t window = atomic_load_explicit(&limits->window, memory_order_relaxed);
    uint64_t next;

    do
        next = count_in(window, wall_ms / MINUTE_MS);
    while (!atomic_compare_exchange_weak_explicit(&limits->window, &window, next,
                                                  memory_order_relaxed, memory_order_relaxed));
    return next & COUNT_MASK;
}

static bool add_client(struct rg_limits *limits)
{
    size_t max = limits->settings.clients;
    size_t n = atomic_load_explicit(&limits->clients, memory_order_relaxed);

    do {
        if (max > 0 && n >= max)
            return false;
    } while (!atomic_compare_exchange_weak_explicit(&limits->clients, &n, n + 1,
                                                    memory_order_relaxed, memory_order_relaxed));
    return true;
}

static void remove_client(struct rg_limits *limits)
{
    atomic_fetch_sub_explicit(&limits->clients, 1, memory_order_relaxed);
}

static bool is_of_peer(const struct rg_map_link *link, const void *peer)
{
    return strcmp(RG_CONTAINER_OF(link, const struct rg_seat, link)->peer, peer) == 0;
}

static struct rg_seat *take_seat_locked(struct rg_limits *limits, const char *peer)
{
    uint64_t hash = rg_hash64(&limits->hash_key, peer, strlen(peer));
    struct rg_map_link *link = rg_map_find(&limits->addresses, hash, is_of_peer, peer);
    struct rg_seat *seat;

    if (link != NULL) {
        seat = RG_CONTAINER_OF(link, struct rg_seat, link);
        if (seat->clients >= limits->settings.per_address)
            return NULL;
    } else {
        seat = rg_zalloc(sizeof(*seat));
        memcpy(seat->peer, peer, strlen(peer) + 1);
        rg_map_add(&limits->addresses, &seat->link, hash);
    }
    seat->clients++;
    return seat;
}

/* A seat for a client from peer, or NULL. */
static struct rg_seat *take_seat(struct rg_limits *limits, const char peer[RG_PEER_SIZE])
{
    if (limits->settings.per_address == 0)
        return &limits->anybody;
    pthread_mutex_lock(&limits->lock);
    struct rg_seat *seat = take_seat_locked(limits, peer);
    pthread_mutex_unlock(&limits->lock);
    return seat;
}

static void give_seat_back(struct rg_limits *limits, struct rg_seat *seat)
{
    if (seat == &limits->anybody)
        return;
    pthread_mutex_lock(&limits->lock);
    if (--seat->clients == 0) {
        rg_map_remove(&limits->addresses, &seat->link);
        rg_free(seat);
    }
    pthread_mutex_unlock(&limits->lock);
}

static enum rg_limit enter(struct rg_limits *limits, const char peer[RG_PEER_SIZE],
                           uint64_t wall_ms, struct rg_seat **ret_seat)
{
    uint64_t n = count_connection(limits, wall_ms);

    if (limits->settings.per_minute >= 0 && n > (uint64_t)limits->settings.per_minute)
        return RG_LIMIT_RATE;
    if (!add_client(limits))
        return RG_LIMIT_CLIENTS;
    *ret_seat = take_seat(limits, peer);
    if (*ret_seat == NULL) {
        remove_client(limits);
        return RG_LIMIT_ADDRESS;
    }
    return RG_LIMIT_NONE;
}

enum rg_limit rg_limits_enter(struct rg_limits *limits, const char peer[RG_PEER_SIZE],
                              uint64_t wall_ms, struct rg_seat **ret_seat,
                              unsigned *ret_retry_after_s)
{
    *ret_seat = NULL;
    enum rg_limit limit = enter(limits, peer, wall_ms, ret_seat);
    if (limit == RG_LIMIT_NONE)
        return limit;
    atomic_fetch_add_explicit(&limits->refused[limit], 1, memory_order_relaxed);
    if (limit == RG_LIMIT_RATE)
        *ret_retry_after_s = (unsigned)((MINUTE_MS - wall_ms % MINUTE_MS + 999) / 1000);
    else
        *ret_retry_after_s = 1 + (unsigned)rg_random_below(RETRY_SPREAD_S);
    return limit;
}

void rg_limits_leave(struct rg_limits *limits, struct rg_seat **seatp)
{
    struct rg_seat *seat = RG_STEAL(*seatp);

    if (seat == NULL)
        return;
    give_seat_back(limits, seat);
    remove_client(limits);
}

void rg_limits_expose(const struct rg_limits *limits, struct rg_buf *out)
{
    static const char *const names[] = {
        [RG_LIMIT_RATE] = "rate", [RG_LIMIT_ADDRESS] = "address", [RG_LIMIT_CLIENTS] = "clients"};

    rg_metric_head(out, "rgate_limit_refusals_total", "counter",
                   "Connections that were refused because of a limit, by limit.");
    for (size_t i = RG_LIMIT_RATE; i < RG_COUNT_OF(names); i++)
        rg_buf_addf(out, "rgate_limit_refusals_total{limit=\"%s\"} %" PRIu64 "\n", names[i],
                    atomic_load_explicit(&limits->refused[i], memory_order_relaxed));
}
