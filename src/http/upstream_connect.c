/*
 * A call that has no connection tries one address after the other. Nothing of it was written yet,
 * so that its method does not matter.
 *
 *   begin --> connect --> (TLS) --> rg_upstream_conn_begin()
 *     ^          |          |
 *     +-- next address -----+--> no more, or too late: the call fails
 */
#include "base/alloc.h"
#include "http/upstream_priv.h"
#include "net/tls_client.h"

/* An address gets its share of the time that is left, but others do not make it shorter than this
 * part. */
#define MIN_SHARE 3

static void on_connect(void *arg, int fd, const struct rg_why *why);

static uint64_t share_of(const struct rg_upstream_call *call)
{
    uint64_t now_ms = call->pool->upstreams->reactor->now_ms;
    uint64_t left_ms = call->deadline_ms > now_ms ? call->deadline_ms - now_ms : 0;
    size_t all = call->pool->addresses_n;
    size_t others = all > call->failed_n ? all - call->failed_n : 1;

    return left_ms / (others < MIN_SHARE ? others : MIN_SHARE);
}

void rg_upstream_connect_begin(struct rg_upstream_call *call, struct rg_upstream_address *address)
{
    struct rg_reactor *reactor = call->pool->upstreams->reactor;
    uint64_t share_ms = share_of(call);

    rg_upstream_address_begin(address, call);
    call->pool->open++;
    call->attempt_deadline_ms = reactor->now_ms + share_ms;
    call->connect = rg_connect_start(reactor, &address->at, share_ms, on_connect, call);
}

void rg_upstream_connect_cancel(struct rg_upstream_call *call)
{
    if (call->connect == NULL)
        return;
    rg_connect_cancel(&call->connect);
    call->pool->open--;
    rg_upstream_pool_serve_late(call->pool);
}

static void try_next(struct rg_upstream_call *call, const struct rg_why *why)
{
    struct rg_upstream_pool *pool = call->pool;

    rg_upstream_address_refused(call->address, why);
    if (call->failed_n < RG_UPSTREAM_MAX_ATTEMPTS)
        call->failed[call->failed_n++] = call->address;
    bool is_late = pool->upstreams->reactor->now_ms >= call->deadline_ms;
    if (!is_late && rg_upstream_address_choose(pool, call) != NULL) {
        rg_upstream_address_end(call);
        if (!rg_upstream_pool_assign(pool, call))
            rg_upstream_pool_wait(pool, call, true);
        return;
    }
    rg_upstream_call_fail(call, RG_UPSTREAM_UNREACHABLE, why);
}

static void on_connect(void *arg, int fd, const struct rg_why *why)
{
    struct rg_upstream_call *call = arg;
    struct rg_upstream_conn *conn = NULL;
    struct rg_why refused = {0};

    call->connect = NULL;
    if (fd >= 0)
        conn = rg_upstream_conn_new(call->address, fd, call->attempt_deadline_ms);
    if (conn == NULL) {
        call->pool->open--;
        rg_upstream_pool_serve_late(call->pool);
        if (fd >= 0) {
            rg_why_set(&refused, UV_EMFILE, "", "the loop does not take the connection");
            why = &refused;
        }
        try_next(call, why);
        return;
    }
    if (conn->state == RG_UPSTREAM_HANDSHAKE) {
        conn->call = call;
        call->conn = conn;
        return;
    }
    call->timing.connected_ns = rg_upstream_call_age(call);
    rg_upstream_conn_begin(conn, call);
}

void rg_upstream_connect_shaken(struct rg_upstream_conn *conn)
{
    struct rg_upstream_call *call = conn->call;
    struct rg_why why = {0};

    if (rg_tls_client_is_ready(conn->stream)) {
        call->timing.connected_ns = rg_upstream_call_age(call);
        rg_upstream_conn_begin(conn, call);
        return;
    }
    rg_why_set(&why, UV_EPROTO, "", "no TLS with %s: %s", call->address->text,
               rg_tls_client_why(conn->stream));
    rg_upstream_conn_close(conn);
    try_next(call, &why);
}
