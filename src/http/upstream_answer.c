/*
 * Bytes are read into the reactor's shared buffer and told from there, in one piece a read (a
 * chunked body is moved together in it). Only the beginning of a head, and what came before a pause
 * and was not told, is copied to the connection: one that is kept owns no buffer.
 */
#include "base/alloc.h"
#include "http/upstream_priv.h"

#define MAX_INTERIMS 10

static void malformed(struct rg_upstream_conn *conn, const struct rg_why *why)
{
    rg_upstream_conn_fail(conn, RG_UPSTREAM_MALFORMED, why);
}

/* Takes a run of bytes off what has arrived. */
static struct rg_str take(struct rg_str *rest, size_t n)
{
    struct rg_str run = rg_str_n(rest->p, n);

    *rest = rg_str_n(rest->p + n, rest->n - n);
    return run;
}

/* ---- heads ---- */

static struct rg_upstream_head head_of(const struct rg_h1_response *response)
{
    bool is_bare = response->status == 204 || response->status == 304;

    return (struct rg_upstream_head){
        .status = response->status,
        .fields = response->fields,
        .fields_n = response->fields_n,
        .length = is_bare ? 0 : response->length,
    };
}

static void tell_head(struct rg_upstream_conn *conn, const struct rg_h1_response *response)
{
    struct rg_upstream_call *call = conn->call;
    struct rg_upstream_head head = head_of(response);

    conn->body = response->body;
    conn->left = response->body == RG_H1_BODY_LENGTH ? (uint64_t)response->length : 0;
    conn->chunked = (struct rg_chunked){.trailers = &conn->trailers};
    conn->keep_alive = response->keep_alive;
    conn->state = response->body == RG_H1_BODY_NONE ? RG_UPSTREAM_COMPLETE : RG_UPSTREAM_BODY;
    if (conn->state == RG_UPSTREAM_BODY)
        rg_upstream_conn_restart_timer(conn);
    call->events->on_head(call->arg, &head);
}

static bool is_asked_for(const struct rg_upstream_call *call, struct rg_str protocol)
{
    struct rg_str list = rg_buf_str(&call->upgrade);

    while (list.p != NULL) {
        if (rg_str_eq_nocase(rg_str_trim(rg_str_split(&list, ',')), protocol))
            return true;
    }
    return false;
}

/* RFC 9110 7.8: one of those that were asked for, after the whole request. */
static const char *check_switch(const struct rg_upstream_conn *conn,
                                const struct rg_h1_response *response)
{
    const struct rg_upstream_call *call = conn->call;

    if (call->upgrade.n == 0)
        return "the protocol changes without being asked to";
    if (response->upgrade.n == 0 || !response->says_upgrade ||
        !is_asked_for(call, response->upgrade))
        return "the protocol changes to another than was asked for";
    if (!call->is_finished || call->has_dropped || rg_upstream_unsent(call) > 0 || conn->is_mute)
        return "the protocol changes before the request is complete";
    return NULL;
}

static void tell_switch(struct rg_upstream_conn *conn, const struct rg_h1_response *response,
                        struct rg_str *rest)
{
    struct rg_upstream_call *call = conn->call;
    struct rg_upstream_head head = head_of(response);
    struct rg_upstream_switched switched = {.stream = conn->stream};

    rg_buf_add_str(&switched.early, take(rest, rest->n));
    rg_reactor_cancel_timer(conn->stream->reactor, &conn->timer);
    conn->stream = NULL;
    conn->call = NULL;
    call->conn = NULL;
    rg_upstream_call_switched(call, &head, &switched);
}

static bool take_interim(struct rg_upstream_conn *conn, const struct rg_h1_response *response,
                         struct rg_str *rest)
{
    bool is_switch = response->status == 101;
    const char *wrong = is_switch ? check_switch(conn, response) : NULL;
    struct rg_why why = {0};

    if (!is_switch && ++conn->interims > MAX_INTERIMS)
        wrong = "too many interim answers";
    if (wrong != NULL) {
        rg_why_set(&why, RG_ESYNTAX, "status line", "%s", wrong);
        malformed(conn, &why);
        return false;
    }
    if (is_switch) {
        rg_upstream_address_answered(conn->address);
        tell_switch(conn, response, rest);
    }
    return !is_switch;
}

/* Each take_...() returns false if there is nothing more to do for now. */
static bool take_head(struct rg_upstream_conn *conn, struct rg_str *rest)
{
    struct rg_h1_response *response = &conn->pool->upstreams->response;
    struct rg_why why = {0};
    long head_n =
        rg_h1_scan_response(&conn->scan, rest->p, rest->n, conn->call->max_head_bytes, &why);

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
        return take_interim(conn, response, rest);
    rg_upstream_address_answered(conn->address);
    tell_head(conn, response);
    return true;
}

/* ---- bodies ---- */

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
    if (conn->state == RG_UPSTREAM_BODY)
        rg_upstream_conn_restart_timer(conn);
    if (piece.n > 0)
        call->events->on_body(call->arg, piece);
    return true;
}

/* ---- the end ---- */

static bool may_keep(const struct rg_upstream_conn *conn)
{
    const struct rg_upstream_call *call = conn->call;

    return conn->keep_alive && call->is_finished && !call->has_dropped &&
           rg_upstream_unsent(call) == 0 && !conn->is_mute;
}

/* All is told but that; has_more: something follows the answer. */
static void complete(struct rg_upstream_conn *conn, bool has_more)
{
    struct rg_upstream_call *call = conn->call;
    struct rg_buf trailers = conn->trailers;
    struct rg_http_field fields[RG_MAX_TRAILERS];
    struct rg_why why = {0};
    long fields_n = rg_trailers_read(rg_buf_str(&trailers), fields, &why);

    if (fields_n < 0) {
        malformed(conn, &why);
        return;
    }
    bool is_kept = may_keep(conn) && !has_more;
    /* The callee's for the call: the connection may carry the next one in it. */
    conn->trailers = (struct rg_buf){0};
    conn->call = NULL;
    call->conn = NULL;
    if (!is_kept || !rg_upstream_pool_keep(conn))
        rg_upstream_conn_close(conn);
    rg_upstream_call_end(call, fields, (size_t)fields_n);
    rg_buf_done(&trailers);
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

/* Of the writer, whom a pause does not concern. */
static void tell_room(struct rg_upstream_conn *conn)
{
    struct rg_upstream_call *call = conn->call;

    if (!rg_upstream_has_room_again(call))
        return;
    call->is_full = false;
    call->events->on_writable(call->arg);
}

void rg_upstream_conn_process(struct rg_upstream_conn *conn, const char *p, size_t n)
{
    struct rg_str rest = {p, n};

    if (conn->in.n > 0) {
        rg_buf_add(&conn->in, p, n);
        rest = rg_buf_str(&conn->in);
    }
    conn->is_processing = true;
    tell_room(conn);
    while (step(conn, &rest))
        ;
    conn->is_processing = false;
    if (conn->stream == NULL)
        rg_upstream_conn_free(conn);
    else
        keep(conn, rest);
}

void rg_upstream_conn_end_of_stream(struct rg_upstream_conn *conn)
{
    if (conn->state == RG_UPSTREAM_BODY && conn->body == RG_H1_BODY_TO_CLOSE) {
        conn->state = RG_UPSTREAM_COMPLETE;
        rg_upstream_conn_process(conn, NULL, 0);
    } else {
        rg_upstream_conn_broken(conn, 0);
    }
}
