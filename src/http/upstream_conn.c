/*
 * A connection to a service:
 *
 *           begin            head told              body told
 *   (new) -------> HEAD ----------------> BODY -------------------> COMPLETE --+--> IDLE (pool)
 *                  ^  |  \____________________________________________^        |     |
 *            1xx   +--+                  (no body)                             |     +-- begin
 *                                                                              +--> closed
 *
 * Bytes are read into the reactor's shared buffer and told from there, in one piece a read (a
 * chunked body is moved together in it). Only the beginning of a head, and what came before a pause
 * and was not told, is copied to the connection: one that is kept owns no buffer.
 *
 * The request is written meanwhile; an answer that comes before its end is told, and costs the
 * connection.
 */
#include "http/upstream_priv.h"

#include "base/alloc.h"

#define MAX_INTERIMS 10

/* ---- the end of a connection ---- */

static void conn_free(struct rg_upstream_conn *conn)
{
    rg_buf_done(&conn->in);
    rg_upstream_pool_unref(conn->pool);
    rg_free(conn);
}

void rg_upstream_conn_close(struct rg_upstream_conn *conn)
{
    struct rg_reactor *reactor = conn->stream->reactor;

    if (conn->state == RG_UPSTREAM_IDLE)
        rg_upstream_pool_remove(conn);
    rg_reactor_cancel_timer(reactor, &conn->timer);
    rg_reactor_cancel_late(&conn->late);
    rg_stream_close(&conn->stream);
    conn->call = NULL;
    /* process() still looks at it, and frees it then. */
    if (!conn->is_processing)
        conn_free(conn);
}

static void fail(struct rg_upstream_conn *conn, enum rg_upstream_error error,
                 const struct rg_why *why)
{
    struct rg_upstream_call *call = conn->call;

    rg_upstream_conn_close(conn);
    rg_upstream_call_fail(call, error, why);
}

static void malformed(struct rg_upstream_conn *conn, const struct rg_why *why)
{
    fail(conn, RG_UPSTREAM_MALFORMED, why);
}

static void broken(struct rg_upstream_conn *conn, int err)
{
    struct rg_upstream_call *call = conn->call;
    bool was_kept = conn->is_used && !conn->is_heard;
    bool may_retry = was_kept && (call->is_idempotent || conn->sent == 0);
    struct rg_why why = {0};

    rg_why_set(&why, err, "", "the connection ended before the answer: %s",
               err == 0 ? "closed" : rg_strerror(err));
    rg_upstream_conn_close(conn);
    rg_upstream_call_broken(call, may_retry, &why);
}

/* Both messages are complete; has_more: something follows the answer. */
static void complete(struct rg_upstream_conn *conn, bool has_more)
{
    struct rg_upstream_call *call = conn->call;
    bool may_keep = conn->keep_alive && conn->is_sent && !conn->is_mute && !has_more;

    conn->call = NULL;
    if (!may_keep || !rg_upstream_pool_keep(conn))
        rg_upstream_conn_close(conn);
    rg_upstream_call_end(call);
}

/* ---- time ---- */

/* From here on it is the service's turn, unless it is we who do not read. */
static void restart_timer(struct rg_upstream_conn *conn)
{
    struct rg_reactor *reactor = conn->stream->reactor;

    if (conn->call->is_paused)
        rg_reactor_cancel_timer(reactor, &conn->timer);
    else
        rg_reactor_set_timer(reactor, &conn->timer, conn->call->response_timeout_ms);
}

static void on_timer(struct rg_timer *timer)
{
    struct rg_upstream_conn *conn = RG_CONTAINER_OF(timer, struct rg_upstream_conn, timer);
    struct rg_why why = {0};

    if (conn->call == NULL) {
        rg_upstream_conn_close(conn);
        return;
    }
    rg_why_set(&why, UV_ETIMEDOUT, "", "nothing came for %llu ms",
               (unsigned long long)conn->call->response_timeout_ms);
    fail(conn, RG_UPSTREAM_TIMEOUT, &why);
}

/* ---- the request ---- */

static bool has_unsent(const struct rg_upstream_conn *conn)
{
    return !conn->is_sent && !conn->is_mute;
}

static void update_want(struct rg_upstream_conn *conn)
{
    rg_stream_want(conn->stream, !conn->call->is_paused, has_unsent(conn));
}

/* It is not needed any more where no second try can follow. */
static void forget_request(struct rg_upstream_conn *conn)
{
    struct rg_upstream_call *call = conn->call;

    if (conn->is_sent && (conn->is_heard || !conn->is_used || call->was_retried))
        rg_buf_done(&call->request);
}

static void send_request(struct rg_upstream_conn *conn)
{
    const struct rg_buf *request = &conn->call->request;

    while (conn->sent < request->n) {
        long n = rg_stream_write(conn->stream, request->p + conn->sent, request->n - conn->sent);
        if (n == UV_EAGAIN)
            break;
        if (n < 0) {
            /* The service may have answered and closed: reading will tell. */
            conn->is_mute = true;
            break;
        }
        conn->sent += (size_t)n;
    }
    conn->is_sent = conn->sent == request->n;
    forget_request(conn);
    /* While the head is awaited only progress of our own counts. */
    if (conn->state == RG_UPSTREAM_HEAD)
        restart_timer(conn);
    update_want(conn);
}

/* ---- the answer ---- */

/* Takes a run of bytes off what has arrived. */
static struct rg_str take(struct rg_str *rest, size_t n)
{
    struct rg_str run = rg_str_n(rest->p, n);

    *rest = rg_str_n(rest->p + n, rest->n - n);
    return run;
}

static void tell_head(struct rg_upstream_conn *conn, const struct rg_h1_response *response)
{
    struct rg_upstream_call *call = conn->call;
    bool is_bare = response->status == 204 || response->status == 304;
    struct rg_upstream_head head = {
        .status = response->status,
        .fields = response->fields,
        .fields_n = response->fields_n,
        .length = is_bare ? 0 : response->length,
    };

    conn->body = response->body;
    conn->left = response->body == RG_H1_BODY_LENGTH ? (uint64_t)response->length : 0;
    conn->chunked = (struct rg_chunked){0};
    conn->keep_alive = response->keep_alive;
    conn->state = response->body == RG_H1_BODY_NONE ? RG_UPSTREAM_COMPLETE : RG_UPSTREAM_BODY;
    restart_timer(conn);
    call->events->on_head(call->arg, &head);
}

static bool take_interim(struct rg_upstream_conn *conn, int status)
{
    struct rg_why why = {0};

    if (status != 101 && ++conn->interims <= MAX_INTERIMS)
        return true;
    rg_why_set(&why, RG_ESYNTAX, "status line", "%s",
               status == 101 ? "the protocol changes without being asked to"
                             : "too many interim answers");
    malformed(conn, &why);
    return false;
}

/* Each take_...() returns false if there is nothing more to do for now. */
static bool take_head(struct rg_upstream_conn *conn, struct rg_str *rest)
{
    struct rg_upstreams *upstreams = conn->pool->upstreams;
    struct rg_h1_response *response = &upstreams->response;
    struct rg_why why = {0};
    long head_n = rg_h1_scan_response(&conn->scan, rest->p, rest->n,
                                      upstreams->settings.max_head_bytes, &why);

    if (head_n == 0)
        return false;
    if (head_n < 0 ||
        rg_h1_parse_response(rest->p, (size_t)head_n, conn->call->method, response, &why) < 0) {
        malformed(conn, &why);
        return false;
    }
    conn->scan = (struct rg_h1_scan){0};
    take(rest, (size_t)head_n);
    if (response->status < 200)
        return take_interim(conn, response->status);
    tell_head(conn, response);
    return true;
}

/* Takes the chunks that are there; what they carry is moved together. */
static int take_chunks(struct rg_upstream_conn *conn, struct rg_str *rest, struct rg_str *ret_piece,
                       struct rg_why *why)
{
    /* The shared buffer or the connection's own: ours to write to. */
    char *start = (char *)rest->p;
    char *to = start;
    bool is_done = false;

    while (rest->n > 0 && !is_done) {
        struct rg_str run;
        long used = rg_chunked_take(&conn->chunked, rest->p, rest->n, &run, &is_done, why);
        if (used < 0)
            return RG_ESYNTAX;
        memmove(to, run.p, run.n);
        to += run.n;
        take(rest, (size_t)used);
    }
    if (is_done)
        conn->state = RG_UPSTREAM_COMPLETE;
    *ret_piece = rg_str_n(start, (size_t)(to - start));
    return 0;
}

static bool take_body(struct rg_upstream_conn *conn, struct rg_str *rest)
{
    struct rg_upstream_call *call = conn->call;
    struct rg_str piece = {NULL, 0};
    struct rg_why why = {0};

    if (conn->body == RG_H1_BODY_CHUNKED) {
        if (take_chunks(conn, rest, &piece, &why) < 0) {
            malformed(conn, &why);
            return false;
        }
    } else if (conn->body == RG_H1_BODY_LENGTH) {
        piece = take(rest, rest->n < conn->left ? rest->n : (size_t)conn->left);
        conn->left -= piece.n;
        if (conn->left == 0)
            conn->state = RG_UPSTREAM_COMPLETE;
    } else {
        piece = take(rest, rest->n);
    }
    restart_timer(conn);
    if (piece.n > 0)
        call->events->on_body(call->arg, piece);
    return true;
}

static bool step(struct rg_upstream_conn *conn, struct rg_str *rest)
{
    /* A callback may have ended or paused the call. */
    if (conn->call == NULL || conn->call->is_paused)
        return false;
    switch (conn->state) {
    case RG_UPSTREAM_HEAD:
        return rest->n > 0 && take_head(conn, rest);
    case RG_UPSTREAM_BODY:
        return rest->n > 0 && take_body(conn, rest);
    case RG_UPSTREAM_COMPLETE:
        complete(conn, rest->n > 0);
        return false;
    default:
        return false;
    }
}

/* Keeps what was not used up; it lies in the shared buffer or in conn->in itself. */
static void keep(struct rg_upstream_conn *conn, struct rg_str rest)
{
    if (rest.n == 0)
        rg_buf_done(&conn->in);
    else if (conn->in.n > 0)
        rg_buf_consume(&conn->in, (size_t)(rest.p - conn->in.p));
    else
        rg_buf_add_str(&conn->in, rest);
}

/* Handles what was kept and p[0..n), which is new and may be nothing. */
static void process(struct rg_upstream_conn *conn, const char *p, size_t n)
{
    struct rg_str rest = {p, n};

    if (conn->in.n > 0) {
        rg_buf_add(&conn->in, p, n);
        rest = rg_buf_str(&conn->in);
    }
    conn->is_processing = true;
    while (step(conn, &rest))
        ;
    conn->is_processing = false;
    if (conn->stream == NULL)
        conn_free(conn);
    else
        keep(conn, rest);
}

static void go_on(struct rg_late *late)
{
    process(RG_CONTAINER_OF(late, struct rg_upstream_conn, late), NULL, 0);
}

/* ---- the stream ---- */

static void on_end_of_stream(struct rg_upstream_conn *conn)
{
    if (conn->state == RG_UPSTREAM_BODY && conn->body == RG_H1_BODY_TO_CLOSE) {
        conn->state = RG_UPSTREAM_COMPLETE;
        process(conn, NULL, 0);
    } else {
        broken(conn, 0);
    }
}

static void on_readable(struct rg_stream *stream)
{
    struct rg_upstream_conn *conn = stream->owner;
    char *buffer = stream->reactor->read_buffer;

    /* What was kept is told first, at the end of this turn; the next one says again what is here.
     */
    if (conn->call != NULL && conn->late.next != NULL)
        return;
    long n = rg_stream_read(stream, buffer, RG_READ_BUFFER);
    if (n == UV_EAGAIN)
        return;
    if (conn->call == NULL) {
        /* Whatever it is, nobody has asked for it. */
        rg_upstream_conn_close(conn);
    } else if (n < 0) {
        broken(conn, (int)n);
    } else if (n == 0) {
        on_end_of_stream(conn);
    } else {
        conn->is_heard = true;
        forget_request(conn);
        process(conn, buffer, (size_t)n);
    }
}

static void on_writable(struct rg_stream *stream)
{
    send_request(stream->owner);
}

/* Told while the call is paused: there may be more to read, which resuming will find out. */
static void on_hangup(struct rg_stream *stream)
{
    (void)stream;
}

static const struct rg_stream_events conn_events = {on_readable, on_writable, on_hangup};

/* ---- what the pool and its calls do ---- */

struct rg_upstream_conn *rg_upstream_conn_new(struct rg_upstream_pool *pool, int fd)
{
    struct rg_upstream_conn *conn = rg_zalloc(sizeof(*conn));

    conn->stream = rg_socket_open(pool->upstreams->reactor, fd, &conn_events, conn);
    if (conn->stream == NULL) {
        rg_free(conn);
        return NULL;
    }
    conn->pool = pool;
    conn->timer.fn = on_timer;
    conn->late.fn = go_on;
    conn->state = RG_UPSTREAM_COMPLETE;
    pool->users++;
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
    call->conn = conn;
    conn->call = call;
    conn->state = RG_UPSTREAM_HEAD;
    conn->scan = (struct rg_h1_scan){0};
    conn->interims = 0;
    conn->sent = 0;
    conn->is_sent = false;
    conn->is_heard = false;
    send_request(conn);
}

void rg_upstream_conn_pause(struct rg_upstream_conn *conn)
{
    restart_timer(conn);
    update_want(conn);
}

void rg_upstream_conn_resume(struct rg_upstream_conn *conn)
{
    restart_timer(conn);
    update_want(conn);
    /* Not from here: the caller is not prepared for it. */
    if (conn->in.n > 0 || conn->state == RG_UPSTREAM_COMPLETE)
        rg_reactor_run_late(conn->stream->reactor, &conn->late);
}
