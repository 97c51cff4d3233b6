/*
 * What a name means is used while it is fresh, and still while it is looked up again: only the
 * first calls of a pool wait. A failed lookup changes nothing.
 */
#include "base/alloc.h"
#include "base/log.h"
#include "http/upstream_priv.h"

#define FRESH_MS      10000
#define TRY_AGAIN_MS  1000
#define NEVER         UINT64_MAX
#define MAX_ADDRESSES ((size_t)256)

/* ---- the list ---- */

void rg_upstream_address_unref(struct rg_upstream_address *address)
{
    if (--address->refs == 0)
        rg_free(address);
}

static void add(struct rg_upstream_pool *pool, size_t origin, const struct rg_address *at)
{
    if (pool->addresses_n == MAX_ADDRESSES)
        return;
    struct rg_upstream_address *address = rg_zalloc(sizeof(*address));

    address->pool = pool;
    address->at = *at;
    rg_address_text(at, address->text);
    address->origin = origin;
    address->refs = 1;
    address->is_listed = true;
    pool->addresses = rg_realloc_array(pool->addresses, pool->addresses_n + 1,
                                       sizeof(struct rg_upstream_address *));
    pool->addresses[pool->addresses_n++] = address;
}

/* Takes the address at i off the list; calls that are under way to it go on. */
static void drop(struct rg_upstream_pool *pool, size_t i)
{
    struct rg_upstream_address *address = pool->addresses[i];

    memmove(&pool->addresses[i], &pool->addresses[i + 1],
            (--pool->addresses_n - i) * sizeof(struct rg_upstream_address *));
    address->is_listed = false;
    rg_upstream_address_forgotten(address);
    while (address->idle_n > 0)
        rg_upstream_conn_close(address->idle);
    rg_upstream_address_unref(address);
}

static bool is_among(const struct rg_address *at, const struct rg_address *list, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (rg_address_eq(at, &list[i]))
            return true;
    }
    return false;
}

static bool is_listed(const struct rg_upstream_pool *pool, size_t origin,
                      const struct rg_address *at)
{
    for (size_t i = 0; i < pool->addresses_n; i++) {
        if (pool->addresses[i]->origin == origin && rg_address_eq(at, &pool->addresses[i]->at))
            return true;
    }
    return false;
}

/* What is still there keeps its connections and its health. */
static void update(struct rg_upstream_pool *pool, size_t origin, const struct rg_address *list,
                   size_t n)
{
    for (size_t i = pool->addresses_n; i > 0; i--) {
        const struct rg_upstream_address *address = pool->addresses[i - 1];
        if (address->origin == origin && !is_among(&address->at, list, n))
            drop(pool, i - 1);
    }
    for (size_t i = 0; i < n; i++) {
        if (!is_listed(pool, origin, &list[i]))
            add(pool, origin, &list[i]);
    }
}

/* ---- names ---- */

static void note_next_lookup(struct rg_upstream_pool *pool)
{
    pool->next_lookup_ms = NEVER;
    for (size_t i = 0; i < pool->service->origins_n; i++) {
        const struct rg_upstream_name *name = &pool->names[i];
        if (name->is_looked_up && name->lookup == NULL &&
            name->next_lookup_ms < pool->next_lookup_ms)
            pool->next_lookup_ms = name->next_lookup_ms;
    }
}

static void log_failure(struct rg_upstream_name *name, const struct rg_why *why)
{
    const struct rg_upstream_pool *pool = name->pool;
    uint64_t untold;

    if (!rg_throttle_pass(&name->failures, pool->upstreams->reactor->now_ms, &untold))
        return;
    rg_log_warn("service cannot be looked up", RG_FS("reason", why->text),
                RG_FU("addresses_kept", pool->addresses_n), RG_FU("untold", untold));
}

static void on_lookup(void *arg, int err, const struct rg_address *list, size_t n,
                      const struct rg_why *why)
{
    struct rg_upstream_name *name = arg;
    struct rg_upstream_pool *pool = name->pool;
    uint64_t now_ms = pool->upstreams->reactor->now_ms;

    name->lookup = NULL;
    rg_count(pool->upstreams->counters,
             err < 0 ? RG_UPSTREAM_ROW_LOOKUPS_FAILED : RG_UPSTREAM_ROW_LOOKUPS_DONE, 1);
    if (err < 0) {
        name->why = *why;
        name->next_lookup_ms = now_ms + TRY_AGAIN_MS;
        log_failure(name, why);
    } else {
        name->next_lookup_ms = now_ms + FRESH_MS;
        update(pool, (size_t)(name - pool->names), list, n);
    }
    note_next_lookup(pool);
    rg_upstream_pool_serve_late(pool);
}

void rg_upstream_addresses_refresh(struct rg_upstream_pool *pool)
{
    struct rg_reactor *reactor = pool->upstreams->reactor;
    const struct rg_upstream_service *service = pool->service;
    /* Nobody waits longer for the first address than a lookup takes. */
    bool has_none = pool->addresses_n == 0;

    if (reactor->now_ms < pool->next_lookup_ms && !has_none)
        return;
    for (size_t i = 0; i < service->origins_n; i++) {
        struct rg_upstream_name *name = &pool->names[i];
        if (!name->is_looked_up || name->lookup != NULL ||
            (reactor->now_ms < name->next_lookup_ms && !has_none))
            continue;
        name->lookup = rg_lookup_start(reactor, service->origins[i].host, service->origins[i].port,
                                       on_lookup, name);
    }
    note_next_lookup(pool);
}

bool rg_upstream_addresses_are_none(const struct rg_upstream_pool *pool, struct rg_why *why)
{
    if (pool->addresses_n > 0)
        return false;
    for (size_t i = 0; i < pool->service->origins_n; i++) {
        if (pool->names[i].lookup != NULL)
            return false;
        *why = pool->names[i].why;
    }
    return true;
}

void rg_upstream_addresses_init(struct rg_upstream_pool *pool)
{
    const struct rg_upstream_service *service = pool->service;
    struct rg_address at;

    pool->names = rg_zalloc(service->origins_n * sizeof(pool->names[0]));
    pool->next_lookup_ms = NEVER;
    for (size_t i = 0; i < service->origins_n; i++) {
        pool->names[i].pool = pool;
        if (rg_address_parse(&at, service->origins[i].host, service->origins[i].port)) {
            add(pool, i, &at);
        } else {
            pool->names[i].is_looked_up = true;
            pool->next_lookup_ms = 0;
        }
    }
}

void rg_upstream_addresses_done(struct rg_upstream_pool *pool)
{
    for (size_t i = 0; i < pool->service->origins_n; i++)
        rg_lookup_cancel(&pool->names[i].lookup);
    while (pool->addresses_n > 0)
        drop(pool, pool->addresses_n - 1);
    rg_free(pool->addresses);
    rg_free(pool->names);
}

/* ---- the choice ---- */

static bool has_failed_at(const struct rg_upstream_call *call,
                          const struct rg_upstream_address *address)
{
    for (size_t i = 0; i < call->failed_n; i++) {
        if (call->failed[i] == address)
            return true;
    }
    return false;
}

static struct rg_upstream_address *choose(struct rg_upstream_pool *pool,
                                          const struct rg_upstream_call *call, bool only_usable)
{
    struct rg_upstream_address *best = NULL;
    size_t n = pool->addresses_n, best_at = 0;

    for (size_t i = 0, at = pool->turn % n; i < n; i++, at = at + 1 < n ? at + 1 : 0) {
        struct rg_upstream_address *address = pool->addresses[at];
        if ((best != NULL && address->calls >= best->calls) || has_failed_at(call, address) ||
            (only_usable && !rg_upstream_address_is_usable(address)))
            continue;
        best = address;
        best_at = at;
    }
    if (best != NULL)
        pool->turn = best_at + 1;
    return best;
}

struct rg_upstream_address *rg_upstream_address_choose(struct rg_upstream_pool *pool,
                                                       const struct rg_upstream_call *call)
{
    if (pool->addresses_n == 0 || call->failed_n == RG_UPSTREAM_MAX_ATTEMPTS)
        return NULL;
    if (pool->addresses_n == 1)
        return has_failed_at(call, pool->addresses[0]) ? NULL : pool->addresses[0];
    struct rg_upstream_address *best = choose(pool, call, true);
    return best != NULL ? best : choose(pool, call, false);
}

void rg_upstream_address_begin(struct rg_upstream_address *address, struct rg_upstream_call *call)
{
    address->refs++;
    address->calls++;
    call->address = address;
    call->timing.address = address->text;
}

void rg_upstream_address_end(struct rg_upstream_call *call)
{
    struct rg_upstream_address *address = call->address;

    if (address == NULL)
        return;
    call->address = NULL;
    call->timing.address = "";
    address->calls--;
    rg_upstream_address_unref(address);
}
