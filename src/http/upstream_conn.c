/*
 * A connection to a service, behind the handshake of TLS if there is one:
 *
 *           begin            head told              body told
 *   (new) -------> HEAD ----------------> BODY -------------------> COMPLETE --+--> IDLE (pool)
 *                  ^  |  \____________________________________________^        |     |
 *            1xx   +--+                  (no body)                             |     +-- begin
 *                     +-- 101 --> (somebody else's stream)                     +--> closed
 *
 * The request is written meanwhile; an answer that comes before its end is told, and costs the
 * connection.
 */
#include "base/alloc.h"
#include "http/upstream_priv.h"
#include "net/tls_client.h"

/* ---- the end of a connection ---- */

void rg_upstream_conn_free(struct rg_upstream_conn *conn)
{
    struct rg_upstream_pool *pool = conn->pool;

    rg_buf_done(&conn->in);
    rg_buf_done(&conn->trailers);
    rg_count(pool->upstreams->counters, RG_UPSTREAM_ROW_OPEN, -1);
    pool->open--;
    rg_upstream_pool_serve_late(pool);
    rg_upstream_address_unref(conn->address);
    rg_free(conn);
    rg_upstream_pool_unref(pool);
}

void rg_upstream_conn_close(struct rg_upstream_conn *conn)
{
    if (conn->state == RG_UPSTREAM_IDLE)
        rg_upstream_pool_remove(conn);
    rg_reactor_cancel_timer(conn->pool->upstreams->reactor, &conn->timer);
    rg_stream_close(&conn->stream);
    if (conn->call != NULL)
        conn->call->conn = NULL;
    conn->call = NULL;
    /* process() still looks at it, and frees it then. */
    if (!conn->is_processing)
        rg_upstream_conn_free(conn);
}

void rg_upstream_conn_fail(struct rg_upstream_conn *conn, enum rg_upstream_error error,
                           const struct rg_why *why)
{
    struct rg_upstream_call *call = conn->call;

    rg_upstream_address_failed(conn->address, why);
    rg_upstream_conn_close(conn);
    rg_upstream_call_fail(call, error, why);
}

void rg_upstream_conn_why(const struct rg_upstream_conn *conn, int err, struct rg_why *ret)
{
    const char *reason = err == 0 ? "closed" : rg_strerror(err);

    if (conn->is_tls && rg_tls_client_why(conn->stream)[0] != '\0')
        reason = rg_tls_client_why(conn->stream);
    rg_why_set(ret, err, "", "the connection ended before the answer: %s", reason);
}

void rg_upstream_conn_broken(struct rg_upstream_conn *conn, int err)
{
    struct rg_upstream_call *call = conn->call;
    bool was_kept = conn->is_used && !conn->is_heard;
    bool may_retry = was_kept && call->is_whole && call->may_retry && !call->was_retried &&
                     (!conn->has_sent || rg_upstream_call_may_repeat(call));
    struct rg_why why = {0};

    rg_upstream_conn_why(conn, err, &why);
    if (may_retry) {
        rg_upstream_conn_close(conn);
        rg_upstream_call_retry(call);
    } else if (was_kept) {
        /* That it was closed meanwhile says nothing of the service. */
        rg_upstream_conn_close(conn);
        rg_upstream_call_fail(call, RG_UPSTREAM_BROKEN, &why);
    } else {
        rg_upstream_conn_fail(conn, RG_UPSTREAM_BROKEN, &why);
    }
}

/* ---- time ---- */

/* The rest of the request is to come from the client. */
static bool awaits_client(const struct rg_upstream_conn *conn)
{
    const struct rg_upstream_call *call = conn->call;

    return !call->is_finished && !conn->is_mute && !conn->is_blocked &&
           rg_upstream_unsent(call) == 0;
}

void rg_upstream_conn_restart_timer(struct rg_upstream_conn *conn)
{
    struct rg_reactor *reactor = conn->stream->reactor;
    const struct rg_upstream_call *call = conn->call;

    if (call->is_paused || awaits_client(conn))
        rg_reactor_cancel_timer(reactor, &conn->timer);
    else
        rg_reactor_set_timer(reactor, &conn->timer,
                             conn->state == RG_UPSTREAM_HEAD ? call->response_timeout_ms
                                                             : call->idle_timeout_ms);
}

static void on_timer(struct rg_timer *timer)
{
    struct rg_upstream_conn *conn = RG_CONTAINER_OF(timer, struct rg_upstream_conn, timer);
    const struct rg_upstream_call *call = conn->call;
    struct rg_why why = {0};

    if (call == NULL) {
        rg_upstream_conn_close(conn);
        return;
    }
    rg_why_set(&why, UV_ETIMEDOUT, "", "nothing came for %llu ms",
               (unsigned long long)(conn->state == RG_UPSTREAM_HEAD ? call->response_timeout_ms
                                                                    : call->idle_timeout_ms));
    rg_upstream_conn_fail(conn, RG_UPSTREAM_TIMEOUT, &why);
}

/* ---- the request ---- */

static void update_want(struct rg_upstream_conn *conn)
{
    rg_stream_want(conn->stream, !conn->call->is_paused, conn->is_blocked && !conn->is_mute);
}

/* What is unsent, and more. Returns the number of slices. */
static int gather(const struct rg_upstream_call *call, const struct iovec *more, int more_n,
                  struct iovec *ret, size_t *ret_bytes)
{
    size_t unsent = rg_upstream_unsent(call);
    int n = 0;

    *ret_bytes = unsent;
    if (unsent > 0)
        ret[n++] = (struct iovec){call->request.p + call->sent, unsent};
    for (int i = 0; i < more_n; i++) {
        ret[n++] = more[i];
        *ret_bytes += more[i].iov_len;
    }
    return n;
}

#define MAX_MORE 3

size_t rg_upstream_conn_send(struct rg_upstream_conn *conn, const struct iovec *more, int more_n)
{
    struct rg_upstream_call *call = conn->call;
    struct iovec slices[1 + MAX_MORE];
    size_t bytes, unsent = rg_upstream_unsent(call), taken = 0;

    rg_assert(more_n <= MAX_MORE);
    int slices_n = gather(call, more, more_n, slices, &bytes);
    long n = 0;
    if (bytes > 0 && !conn->is_mute)
        n = slices_n == 1 ? rg_stream_write(conn->stream, slices[0].iov_base, slices[0].iov_len)
                          : rg_stream_writev(conn->stream, slices, slices_n);
    /* A failure says nothing yet: the service may have answered and closed. Reading will tell. */
    if (n < 0 && n != UV_EAGAIN)
        conn->is_mute = true;
    size_t sent = n > 0 ? (size_t)n : 0;
    conn->has_sent |= sent > 0;
    conn->is_blocked = sent < bytes;
    taken = sent > unsent ? sent - unsent : 0;
    call->sent += sent - taken;
    if (conn->is_mute)
        taken = bytes - unsent;
    rg_upstream_forget_sent(call);
    /* While the head is awaited only progress of our own counts. */
    if (conn->state == RG_UPSTREAM_HEAD)
        rg_upstream_conn_restart_timer(conn);
    update_want(conn);
    if (rg_upstream_has_room_again(call))
        rg_reactor_run_late(conn->stream->reactor, &call->late);
    return taken;
}

/* ---- the stream ---- */

/*
 * On a kept connection, in the turn in which its call began: the loop has known of it longer than
 * of the request, so it is no answer to that. (The others have looked: may_carry() in
 * upstream_pool.c.)
 */
static bool is_unasked(const struct rg_upstream_conn *conn)
{
    return conn->is_used && !conn->is_heard && conn->begun_turn == conn->pool->upstreams->turn &&
           rg_upstream_call_may_repeat(conn->call) && !conn->call->is_streamed;
}

static void take_bytes(struct rg_upstream_conn *conn, const char *p, size_t n)
{
    struct rg_upstream_call *call = conn->call;

    if (!conn->is_heard) {
        conn->is_heard = true;
        call->timing.first_byte_ns = rg_upstream_call_age(call);
        rg_upstream_forget_sent(call);
    }
    rg_upstream_conn_process(conn, p, n);
}

static void on_readable(struct rg_stream *stream)
{
    struct rg_upstream_conn *conn = stream->owner;
    char *buffer = stream->reactor->read_buffer;

    /* What was kept is told first, at the end of this turn; the next one says again what is here.
     */
    if (conn->call != NULL && conn->call->late.next != NULL)
        return;
    long n = rg_stream_read(stream, buffer, RG_READ_BUFFER);
    if (n == UV_EAGAIN)
        return;
    if (conn->call == NULL) {
        /* Whatever it is, nobody has asked for it. */
        rg_upstream_conn_close(conn);
    } else if (n > 0 && is_unasked(conn)) {
        rg_upstream_conn_broken(conn, 0);
    } else if (n < 0) {
        rg_upstream_conn_broken(conn, (int)n);
    } else if (n == 0) {
        rg_upstream_conn_end_of_stream(conn);
    } else {
        take_bytes(conn, buffer, (size_t)n);
    }
}

static void on_writable(struct rg_stream *stream)
{
    struct rg_upstream_conn *conn = stream->owner;

    if (conn->state == RG_UPSTREAM_HANDSHAKE)
        rg_upstream_connect_shaken(conn);
    else
        rg_upstream_conn_send(conn, NULL, 0);
}

/* Told while the call is paused: there may be more to read, which resuming will find out. */
static void on_hangup(struct rg_stream *stream)
{
    (void)stream;
}

static const struct rg_stream_events conn_events = {on_readable, on_writable, on_hangup};

/* ---- what the pool and its calls do ---- */

static struct rg_stream *open_stream(struct rg_upstream_conn *conn, int fd, uint64_t deadline_ms)
{
    const struct rg_upstream_service *service = conn->pool->service;
    struct rg_reactor *reactor = conn->pool->upstreams->reactor;
    const char *name = service->server_name;

    if (service->tls == NULL)
        return rg_socket_open(reactor, fd, &conn_events, conn);
    if (name == NULL)
        name = service->origins[conn->address->origin].host;
    uint64_t left_ms = deadline_ms > reactor->now_ms ? deadline_ms - reactor->now_ms : 0;
    return rg_tls_client_open(service->tls, reactor, fd, name, left_ms, &conn_events, conn);
}

struct rg_upstream_conn *rg_upstream_conn_new(struct rg_upstream_address *address, int fd,
                                              uint64_t deadline_ms)
{
    struct rg_upstream_conn *conn = rg_zalloc(sizeof(*conn));
    struct rg_upstream_pool *pool = address->pool;

    conn->pool = pool;
    conn->address = address;
    conn->is_tls = pool->service->tls != NULL;
    conn->stream = open_stream(conn, fd, deadline_ms);
    if (conn->stream == NULL) {
        rg_free(conn);
        return NULL;
    }
    conn->timer.fn = on_timer;
    conn->state = RG_UPSTREAM_COMPLETE;
    address->refs++;
    pool->users++;
    rg_count(pool->upstreams->counters, RG_UPSTREAM_ROW_OPEN, 1);
    if (conn->is_tls) {
        conn->state = RG_UPSTREAM_HANDSHAKE;
        conn->is_blocked = true;
        rg_stream_want(conn->stream, false, true);
    }
    return conn;
}

bool rg_upstream_conn_is_alive(struct rg_upstream_conn *conn)
{
    char byte;

    /* Not the shared buffer: whoever calls may still look at a request in it. */
    return rg_stream_read(conn->stream, &byte, 1) == UV_EAGAIN;
}

void rg_upstream_conn_begin(struct rg_upstream_conn *conn, struct rg_upstream_call *call)
{
    struct rg_upstreams *upstreams = conn->pool->upstreams;

    call->conn = conn;
    call->sent = 0;
    call->timing.tries++;
    call->timing.is_reused = conn->is_used;
    conn->call = call;
    conn->state = RG_UPSTREAM_HEAD;
    conn->scan = (struct rg_h1_scan){0};
    conn->interims = 0;
    conn->is_heard = false;
    conn->is_blocked = false;
    conn->has_sent = false;
    conn->begun_turn = upstreams->turn;
    rg_reactor_run_late(upstreams->reactor, &upstreams->turn_end);
    /* A head goes out with what is written in this turn, if anything is. */
    if (call->is_streamed && !call->is_finished && !call->has_pieces) {
        rg_reactor_cancel_timer(upstreams->reactor, &conn->timer);
        rg_reactor_run_late(upstreams->reactor, &call->late);
    } else {
        rg_upstream_conn_send(conn, NULL, 0);
    }
}

void rg_upstream_conn_pause(struct rg_upstream_conn *conn)
{
    rg_upstream_conn_restart_timer(conn);
    update_want(conn);
}

void rg_upstream_conn_resume(struct rg_upstream_conn *conn)
{
    rg_upstream_conn_restart_timer(conn);
    update_want(conn);
    /* Not from here: the caller is not prepared for it. */
    if (conn->in.n > 0 || conn->state == RG_UPSTREAM_COMPLETE)
        rg_reactor_run_late(conn->stream->reactor, &conn->call->late);
}
