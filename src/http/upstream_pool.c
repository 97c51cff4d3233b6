#include "base/alloc.h"
#include "http/upstream_priv.h"

static struct rg_reactor *reactor_of(const struct rg_upstream_pool *pool)
{
    return pool->upstreams->reactor;
}

/* ---- pools ---- */

static bool is_of(const struct rg_map_link *link, const void *key)
{
    return rg_upstream_service_eq(RG_CONTAINER_OF(link, struct rg_upstream_pool, link)->service,
                                  key);
}

static void on_unused(struct rg_timer *timer)
{
    rg_upstream_pool_free(RG_CONTAINER_OF(timer, struct rg_upstream_pool, timer));
}

static void serve(struct rg_late *late);

static struct rg_upstream_pool *pool_new(struct rg_upstreams *upstreams,
                                         struct rg_upstream_service *service)
{
    struct rg_upstream_pool *pool = rg_zalloc(sizeof(*pool));

    pool->upstreams = upstreams;
    pool->service = rg_upstream_service_ref(service);
    pool->timer.fn = on_unused;
    pool->late.fn = serve;
    pool->next = upstreams->pools;
    if (pool->next != NULL)
        pool->next->prev = pool;
    upstreams->pools = pool;
    rg_map_add(&upstreams->by_service, &pool->link, service->hash);
    rg_upstream_addresses_init(pool);
    return pool;
}

void rg_upstream_pool_free(struct rg_upstream_pool *pool)
{
    struct rg_upstreams *upstreams = pool->upstreams;

    rg_assert(pool->users == 0 && pool->line == NULL);
    rg_reactor_cancel_timer(upstreams->reactor, &pool->timer);
    rg_reactor_cancel_late(&pool->late);
    rg_upstream_addresses_done(pool);
    rg_map_remove(&upstreams->by_service, &pool->link);
    if (pool->prev != NULL)
        pool->prev->next = pool->next;
    else
        upstreams->pools = pool->next;
    if (pool->next != NULL)
        pool->next->prev = pool->prev;
    rg_upstream_service_unref(&pool->service);
    rg_free(pool);
}

struct rg_upstream_pool *rg_upstream_pool_ref(struct rg_upstreams *upstreams,
                                              struct rg_upstream_service *service)
{
    struct rg_map_link *link = rg_map_find(&upstreams->by_service, service->hash, is_of, service);
    struct rg_upstream_pool *pool;

    if (link == NULL) {
        pool = pool_new(upstreams, service);
    } else {
        pool = RG_CONTAINER_OF(link, struct rg_upstream_pool, link);
        /* New connections are made as the one that is asked for last says. */
        if (pool->service != service) {
            rg_upstream_service_unref(&pool->service);
            pool->service = rg_upstream_service_ref(service);
        }
    }
    if (pool->users++ == 0)
        rg_reactor_cancel_timer(upstreams->reactor, &pool->timer);
    return pool;
}

/* What is known of its addresses outlives short breaks. */
void rg_upstream_pool_unref(struct rg_upstream_pool *pool)
{
    if (--pool->users > 0)
        return;
    if (pool->is_closed)
        rg_upstream_pool_free(pool);
    else
        rg_reactor_set_timer(reactor_of(pool), &pool->timer,
                             pool->upstreams->settings.idle_timeout_ms);
}

/* ---- idle connections ---- */

bool rg_upstream_pool_keep(struct rg_upstream_conn *conn)
{
    struct rg_upstream_address *address = conn->address;
    const struct rg_upstream_settings *settings = &conn->pool->upstreams->settings;

    if (address->idle_n >= settings->max_idle || !address->is_listed)
        return false;
    conn->state = RG_UPSTREAM_IDLE;
    conn->is_used = true;
    conn->prev = NULL;
    conn->next = address->idle;
    if (conn->next != NULL)
        conn->next->prev = conn;
    address->idle = conn;
    address->idle_n++;
    rg_count(conn->pool->upstreams->counters, RG_UPSTREAM_ROW_KEPT, 1);
    rg_reactor_set_timer(reactor_of(conn->pool), &conn->timer, settings->idle_timeout_ms);
    rg_stream_want(conn->stream, true, false);
    rg_upstream_pool_serve_late(conn->pool);
    return true;
}

void rg_upstream_pool_remove(struct rg_upstream_conn *conn)
{
    struct rg_upstream_address *address = conn->address;

    if (conn->prev != NULL)
        conn->prev->next = conn->next;
    else
        address->idle = conn->next;
    if (conn->next != NULL)
        conn->next->prev = conn->prev;
    address->idle_n--;
    rg_count(conn->pool->upstreams->counters, RG_UPSTREAM_ROW_KEPT, -1);
}

/*
 * The loop watches what is kept, so that looking again finds nothing nearly always and costs a
 * system call. Who can be sent again does without; the others look.
 */
static bool may_carry(struct rg_upstream_conn *conn, const struct rg_upstream_call *call)
{
    return (rg_upstream_call_may_repeat(call) && !call->is_streamed) ||
           rg_upstream_conn_is_alive(conn);
}

static struct rg_upstream_conn *take_idle(struct rg_upstream_address *address,
                                          const struct rg_upstream_call *call)
{
    while (address->idle != NULL) {
        struct rg_upstream_conn *conn = address->idle;
        if (may_carry(conn, call)) {
            rg_upstream_pool_remove(conn);
            return conn;
        }
        rg_upstream_conn_close(conn);
    }
    return NULL;
}

/* ---- a connection for a call ---- */

static bool has_room(const struct rg_upstream_pool *pool)
{
    return pool->service->max_connections == 0 || pool->open < pool->service->max_connections;
}

/* Where no new one may be opened: at whatever address one is kept. */
static struct rg_upstream_conn *take_any(struct rg_upstream_pool *pool,
                                         const struct rg_upstream_call *call)
{
    struct rg_upstream_conn *conn = NULL;

    for (size_t i = 0; i < pool->addresses_n && conn == NULL; i++) {
        if (rg_upstream_address_is_usable(pool->addresses[i]))
            conn = take_idle(pool->addresses[i], call);
    }
    return conn;
}

/* What is kept at addresses that are left out is no use to anybody, and takes the room. */
static void make_room(struct rg_upstream_pool *pool)
{
    for (size_t i = 0; i < pool->addresses_n; i++) {
        if (pool->addresses[i]->idle != NULL) {
            rg_upstream_conn_close(pool->addresses[i]->idle);
            return;
        }
    }
}

static void give(struct rg_upstream_call *call, struct rg_upstream_conn *conn)
{
    call->timing.connected_ns = call->timing.queued_ns;
    rg_upstream_address_begin(conn->address, call);
    rg_upstream_conn_begin(conn, call);
}

bool rg_upstream_pool_assign(struct rg_upstream_pool *pool, struct rg_upstream_call *call)
{
    struct rg_upstream_address *address = rg_upstream_address_choose(pool, call);

    /* While it waited, those that it has not failed at may have gone. */
    if (address == NULL && call->is_in_line) {
        call->failed_n = 0;
        address = rg_upstream_address_choose(pool, call);
    }
    if (address == NULL)
        return false;
    /* A second try is made on a new one if there is room: the service may have closed them all. */
    struct rg_upstream_conn *conn = call->was_retried ? NULL : take_idle(address, call);
    if (conn == NULL && !has_room(pool))
        conn = take_any(pool, call);
    if (conn == NULL && !has_room(pool))
        make_room(pool);
    if (conn == NULL && !has_room(pool))
        return false;
    if (call->timing.queued_ns == 0)
        call->timing.queued_ns = call->is_in_line ? rg_upstream_call_age(call) : 1;
    if (conn != NULL)
        give(call, conn);
    else
        rg_upstream_connect_begin(call, address);
    return true;
}

/* ---- the line ---- */

static void on_waited(struct rg_timer *timer)
{
    struct rg_upstream_call *call = RG_CONTAINER_OF(timer, struct rg_upstream_call, timer);
    const struct rg_upstream_pool *pool = call->pool;
    const struct rg_upstream_origin *origin = &pool->service->origins[0];
    struct rg_why why = {0};

    if (pool->addresses_n == 0)
        rg_why_set(&why, UV_ETIMEDOUT, "", "cannot look up %s:%u: connection timed out",
                   origin->host, origin->port);
    else
        rg_why_set(&why, UV_ETIMEDOUT, "", "none of %zu connections to %s:%u was free in time",
                   pool->service->max_connections, origin->host, origin->port);
    rg_upstream_call_fail(call, RG_UPSTREAM_UNREACHABLE, &why);
}

static void join_line(struct rg_upstream_pool *pool, struct rg_upstream_call *call, bool is_first)
{
    call->line_prev = is_first ? NULL : pool->line_end;
    call->line_next = is_first ? pool->line : NULL;
    if (call->line_prev != NULL)
        call->line_prev->line_next = call;
    else
        pool->line = call;
    if (call->line_next != NULL)
        call->line_next->line_prev = call;
    else
        pool->line_end = call;
    call->is_in_line = true;
}

void rg_upstream_pool_wait(struct rg_upstream_pool *pool, struct rg_upstream_call *call,
                           bool is_first)
{
    struct rg_reactor *reactor = reactor_of(pool);
    uint64_t now_ms = reactor->now_ms;

    join_line(pool, call, is_first);
    call->timer.fn = on_waited;
    rg_reactor_set_timer(reactor, &call->timer,
                         call->deadline_ms > now_ms ? call->deadline_ms - now_ms : 0);
    rg_count(pool->upstreams->counters, RG_UPSTREAM_ROW_IN_LINE, 1);
}

void rg_upstream_pool_leave_line(struct rg_upstream_call *call)
{
    struct rg_upstream_pool *pool = call->pool;

    if (!call->is_in_line)
        return;
    if (call->line_prev != NULL)
        call->line_prev->line_next = call->line_next;
    else
        pool->line = call->line_next;
    if (call->line_next != NULL)
        call->line_next->line_prev = call->line_prev;
    else
        pool->line_end = call->line_prev;
    call->is_in_line = false;
    rg_reactor_cancel_timer(reactor_of(pool), &call->timer);
    rg_count(pool->upstreams->counters, RG_UPSTREAM_ROW_IN_LINE, -1);
}

void rg_upstream_pool_serve_late(struct rg_upstream_pool *pool)
{
    if (pool->line != NULL)
        rg_reactor_run_late(reactor_of(pool), &pool->late);
}

/* Nobody will be found: all of them fail. A callback may send another call, which waits anew. */
static void fail_line(struct rg_upstream_pool *pool, const struct rg_why *why)
{
    size_t n = 0;

    for (const struct rg_upstream_call *call = pool->line; call != NULL; call = call->line_next)
        n++;
    for (; n > 0 && pool->line != NULL; n--)
        rg_upstream_call_fail(pool->line, RG_UPSTREAM_UNREACHABLE, why);
}

static void serve(struct rg_late *late)
{
    struct rg_upstream_pool *pool = RG_CONTAINER_OF(late, struct rg_upstream_pool, late);
    struct rg_why why = {0};

    pool->users++;
    if (rg_upstream_addresses_are_none(pool, &why))
        fail_line(pool, &why);
    while (pool->line != NULL && rg_upstream_pool_assign(pool, pool->line))
        rg_upstream_pool_leave_line(pool->line);
    rg_upstream_pool_unref(pool);
}
