#include "base/alloc.h"
#include "http/upstream_priv.h"

/* ---- pools ---- */

static bool is_of(const struct rg_map_link *link, const void *key)
{
    return rg_upstream_service_eq(RG_CONTAINER_OF(link, struct rg_upstream_pool, link)->service,
                                  key);
}

static struct rg_upstream_pool *pool_new(struct rg_upstreams *upstreams,
                                         struct rg_upstream_service *service)
{
    struct rg_upstream_pool *pool = rg_zalloc(sizeof(*pool));

    pool->upstreams = upstreams;
    pool->service = rg_upstream_service_ref(service);
    pool->next = upstreams->pools;
    if (pool->next != NULL)
        pool->next->prev = pool;
    upstreams->pools = pool;
    rg_map_add(&upstreams->by_service, &pool->link, service->hash);
    return pool;
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
    pool->users++;
    return pool;
}

void rg_upstream_pool_unref(struct rg_upstream_pool *pool)
{
    struct rg_upstreams *upstreams = pool->upstreams;

    if (--pool->users > 0)
        return;
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

/* ---- idle connections ---- */

bool rg_upstream_pool_keep(struct rg_upstream_conn *conn)
{
    struct rg_upstream_pool *pool = conn->pool;
    const struct rg_upstream_settings *settings = &pool->upstreams->settings;

    if (pool->idle_n >= settings->max_idle)
        return false;
    conn->state = RG_UPSTREAM_IDLE;
    conn->is_used = true;
    conn->prev = NULL;
    conn->next = pool->idle;
    if (conn->next != NULL)
        conn->next->prev = conn;
    pool->idle = conn;
    pool->idle_n++;
    rg_reactor_set_timer(pool->upstreams->reactor, &conn->timer, settings->idle_timeout_ms);
    rg_stream_want(conn->stream, true, false);
    return true;
}

void rg_upstream_pool_remove(struct rg_upstream_conn *conn)
{
    struct rg_upstream_pool *pool = conn->pool;

    if (conn->prev != NULL)
        conn->prev->next = conn->next;
    else
        pool->idle = conn->next;
    if (conn->next != NULL)
        conn->next->prev = conn->prev;
    pool->idle_n--;
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

struct rg_upstream_conn *rg_upstream_pool_take(struct rg_upstream_pool *pool,
                                               const struct rg_upstream_call *call)
{
    while (pool->idle != NULL) {
        struct rg_upstream_conn *conn = pool->idle;
        if (may_carry(conn, call)) {
            rg_upstream_pool_remove(conn);
            return conn;
        }
        rg_upstream_conn_close(conn);
    }
    return NULL;
}
