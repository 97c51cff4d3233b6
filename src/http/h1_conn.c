/*
 * A connection is in one of these states:
 *
 *        bytes             head complete           body complete
 *   IDLE ------> HEAD -------------------> BODY -----------------> ANSWERING
 *    ^                \__________________________________________/    |
 *    |                     (no body: straight on)                     |
 *    +----------------------------------------------------------------+
 *                     answered, keep-alive, everything written
 *
 *   any --> LINGERING (our last answer is written; what still arrives is dropped) --> closed
 *
 * A body that is streamed (router.h) arrives in ANSWERING, since its handler was called with the
 * head: while has_body_left, bytes go to the exchange as it wants them. If the exchange ends before
 * its body does, so does the connection.
 *
 * Bytes are read into the reactor's shared buffer and handled there; only what is incomplete is
 * copied to the connection's own buffer. So an idle connection holds no buffer, and a request
 * that arrives whole is never copied.
 */
#include "http/h1_conn_priv.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/alloc.h"
#include "base/log.h"
#include "event/json.h"
#include "http/trailers.h"

#define RATE_WINDOW_MS   10000
#define LINGER_MS        2000
/* More than a body that is just too long: a client that is cut off while it sends sees no 413. */
#define LINGER_MAX_BYTES (16 << 20)
/* An answer in pieces: no more is asked for once so much is kept, until so little is left. */
#define ENOUGH_KEPT      ((size_t)256 * 1024)
/* What most heads have room in. */
#define USUAL_HEAD       512
#define LITTLE_KEPT      ((size_t)64 * 1024)

static void process(struct rg_h1_conn *c, char *p, size_t n);

/* ---- the end of a connection ---- */

static void conn_free(struct rg_h1_conn *c)
{
    struct rg_gone gone = rg_exchange_lost(&c->exchange);

    rg_reactor_cancel_timer(c->server->reactor, &c->timer);
    rg_reactor_cancel_timer(c->server->reactor, &c->rate);
    rg_reactor_cancel_late(&c->late);
    rg_reactor_cancel_late(&c->resumption);
    rg_http_server_remove(c->server, &c->link);
    rg_buf_done(&c->in);
    rg_buf_done(&c->body);
    rg_buf_done(&c->out);
    rg_free(c);
    rg_gone_tell(gone);
}

static void conn_close(struct rg_h1_conn *c)
{
    rg_stream_close(&c->stream);
    /* process() still holds the connection and frees it when it sees that the stream is gone. */
    if (!c->is_processing)
        conn_free(c);
}

static void set_state(struct rg_h1_conn *c, enum rg_h1_state state, uint64_t timeout_ms)
{
    c->state = state;
    if (timeout_ms > 0)
        rg_reactor_set_timer(c->server->reactor, &c->timer, timeout_ms);
    else
        rg_reactor_cancel_timer(c->server->reactor, &c->timer);
}

static bool is_receiving(const struct rg_h1_conn *c)
{
    return c->has_body_left && rg_exchange_wants_body(&c->exchange);
}

/* Reads and writes what there is to read and write. */
static void update_wants(struct rg_h1_conn *c)
{
    rg_stream_want(c->stream, c->state != RG_H1_ANSWERING || is_receiving(c), c->is_blocked);
}

/* Our last word is out: let the peer read it before the connection goes (RFC 9112 9.6). */
static void linger(struct rg_h1_conn *c)
{
    rg_stream_shutdown(c->stream);
    rg_stream_want(c->stream, true, false);
    c->window_bytes = 0;
    set_state(c, RG_H1_LINGERING, LINGER_MS);
}

/* ---- writing ---- */

static void conn_finish_answer(struct rg_h1_conn *c)
{
    /* The answer may have been made before the draining began. */
    if (c->wants_close || c->server->is_draining) {
        linger(c);
        return;
    }
    set_state(c, RG_H1_IDLE, c->server->settings->idle_timeout_ms);
    update_wants(c);
}

/* What is kept waits for the socket. */
static void wait_for_room(struct rg_h1_conn *c)
{
    c->is_blocked = true;
    update_wants(c);
    rg_reactor_set_timer(c->server->reactor, &c->timer, c->server->settings->write_timeout_ms);
}

static size_t kept(const struct rg_h1_conn *c)
{
    return c->out.n - c->out_at;
}

static bool conn_flush(struct rg_h1_conn *c)
{
    while (kept(c) > 0) {
        long n = rg_stream_write(c->stream, c->out.p + c->out_at, kept(c));
        if (n == UV_EAGAIN) {
            wait_for_room(c);
            return true;
        }
        if (n < 0) {
            conn_close(c);
            return false;
        }
        c->out_at += (size_t)n;
    }
    rg_buf_done(&c->out);
    c->out_at = 0;
    c->is_blocked = false;
    return true;
}

/* Writes the encoded answer; what the socket does not take is kept. */
static void conn_send(struct rg_h1_conn *c, const struct rg_buf *encoded)
{
    size_t at = 0;

    if (c->out.n == 0) {
        long n = rg_stream_write(c->stream, encoded->p, encoded->n);
        if (n < 0 && n != UV_EAGAIN) {
            conn_close(c);
            return;
        }
        at = n > 0 ? (size_t)n : 0;
    }
    if (at < encoded->n) {
        rg_buf_add(&c->out, encoded->p + at, encoded->n - at);
        if (!conn_flush(c) || c->is_blocked)
            return;
    }
    conn_finish_answer(c);
}

/* The socket has taken some of an answer in pieces. */
static void body_moved(struct rg_h1_conn *c)
{
    if (!c->is_blocked) {
        /* What comes next is not the peer's to say, only that it goes. */
        rg_reactor_cancel_timer(c->server->reactor, &c->timer);
        update_wants(c);
    }
    if (kept(c) <= LITTLE_KEPT)
        rg_exchange_tell_writable(&c->exchange);
}

static void on_writable(struct rg_stream *stream)
{
    struct rg_h1_conn *c = stream->owner;

    if (!conn_flush(c))
        return;
    if (c->exchange.is_streaming) {
        body_moved(c);
        return;
    }
    if (c->is_blocked)
        return;
    conn_finish_answer(c);
    /* What was pipelined behind the answered request is next. */
    if (c->state == RG_H1_IDLE && c->in.n > 0)
        process(c, NULL, 0);
}

/* Passes over the body if all of it is there; false if not, and nothing was passed over then. */
static bool pass_over_body(struct rg_h1_conn *c)
{
    struct rg_str *left = &c->behind;
    struct rg_str in = rg_buf_str(&c->in), data;
    struct rg_chunked chunked = c->chunked;
    size_t at = c->framing.is_chunked ? 0 : (size_t)c->body_left;
    bool is_done = !c->framing.is_chunked;

    if (left->p == NULL)
        left = &in;
    chunked.trailers = NULL;
    if (is_done && c->body_left > left->n)
        return false;
    while (!is_done && at < left->n) {
        long took = rg_chunked_take(&chunked, left->p + at, left->n - at, &data, &is_done, NULL);
        if (took < 0)
            return false;
        at += (size_t)took;
    }
    if (!is_done)
        return false;
    if (left == &in)
        rg_buf_consume(&c->in, at);
    else
        *left = rg_str_n(left->p + at, left->n - at);
    return true;
}

/* The exchange ends. What has not arrived of its body could not be told from a next request. */
static void end_body(struct rg_h1_conn *c)
{
    if (c->has_body_left && !c->wants_close)
        c->wants_close = !pass_over_body(c);
    c->has_body_left = false;
    rg_reactor_cancel_timer(c->server->reactor, &c->rate);
}

static void send_response(struct rg_h1_conn *c, const struct rg_response *response)
{
    struct rg_http_server *server = c->server;

    rg_http_server_count_status(server, response->status);
    end_body(c);
    c->wants_close |= !c->keep_alive || server->is_draining;
    rg_buf_clear(&server->encoded);
    rg_response_encode_h1(response, c->exchange.method, c->minor, !c->wants_close,
                          rg_reactor_http_date(server->reactor), &server->encoded);
    conn_send(c, &server->encoded);
    /* One huge answer must not pin its size for ever. */
    if (server->encoded.cap > RG_READ_BUFFER)
        rg_buf_done(&server->encoded);
}

/* Refuses what is no request we can answer otherwise, and closes. */
static void refuse(struct rg_h1_conn *c, int status, const struct rg_why *why)
{
    struct rg_response response = {.status = status};
    struct rg_buf body = {0};

    rg_http_server_refusal(c->server, status, why, &body);
    rg_response_add(&response, RG_STR("content-type"), RG_STR("application/json; charset=utf-8"));
    response.body = rg_buf_str(&body);
    set_state(c, RG_H1_ANSWERING, 0);
    c->keep_alive = false;
    c->exchange.method = RG_GET;
    c->minor = 1;
    send_response(c, &response);
    rg_buf_done(&body);
}

/* ---- reading requests ---- */

/* Keeps what was not used up; p[0..n) lies in the shared buffer or in c->in itself. */
static void keep(struct rg_h1_conn *c, const char *p, size_t n)
{
    if (n == 0)
        rg_buf_done(&c->in);
    else if (c->in.n > 0)
        rg_buf_consume(&c->in, (size_t)(p - c->in.p));
    else
        rg_buf_add(&c->in, p, n);
}

static void call_handler(struct rg_h1_conn *c, struct rg_str body, int64_t body_length)
{
    c->server->request.body = body;
    c->server->request.body_length = body_length;
    set_state(c, RG_H1_ANSWERING, 0);
    rg_exchange_begin(&c->exchange);
}

/* A complete head is at p. Finds the route and decides about the body. Returns 0 or minus a status.
 */
static int begin_request(struct rg_h1_conn *c, const char *p, struct rg_why *why)
{
    struct rg_http_server *server = c->server;
    struct rg_request *req = &server->request;
    int err = rg_h1_parse_head(p, c->head_n, req, &c->framing, why);

    if (err < 0)
        return err;
    rg_count(server->counters, RG_HTTP_REQUESTS, 1);
    c->minor = req->minor;
    c->keep_alive = c->framing.keep_alive;
    c->exchange.method = req->method;
    rg_exchange_note_start(&c->exchange);
    if (!rg_router_find(server->routes, server->routes_n, req->method, req->path,
                        &c->exchange.match))
        return rg_why_set(why, -404, "", "there is nothing here");
    c->max_body = c->exchange.match.route->max_body;
    if (c->max_body == RG_BODY_STREAMED)
        c->max_body = INT64_MAX;
    if (c->framing.length > c->max_body)
        return rg_why_set(why, -413, "", "the body is longer than %" PRIu64 " bytes", c->max_body);
    return 0;
}

/* False if the connection cannot go on. */
static bool send_go_on(struct rg_h1_conn *c)
{
    static const char go_on[] = "HTTP/1.1 100 Continue\r\n\r\n";
    long n = rg_stream_write(c->stream, go_on, sizeof(go_on) - 1);

    /* An interim answer that the socket does not take is not worth waiting for, but half of one
     * would spoil the answer that follows. */
    return n == UV_EAGAIN || n == (long)sizeof(go_on) - 1;
}

/* False if the connection cannot go on. */
static bool begin_body(struct rg_h1_conn *c, bool has_body_bytes)
{
    c->chunked = (struct rg_chunked){0};
    c->window_bytes = 0;
    set_state(c, RG_H1_BODY, RATE_WINDOW_MS);
    return !c->framing.expects_continue || has_body_bytes || send_go_on(c);
}

/*
 * Looks for the whole body behind the head at p. Returns its length on the wire, 0 if more is
 * needed, or minus a status. A chunked body is collected in c->body, and its bytes are dropped from
 * the input by way of *used.
 */
static long take_body(struct rg_h1_conn *c, char *p, size_t n, size_t *used, bool *is_done,
                      struct rg_why *why)
{
    *used = 0;
    *is_done = false;
    if (!c->framing.is_chunked) {
        *is_done = n >= c->framing.length;
        *used = *is_done ? (size_t)c->framing.length : 0;
        return 0;
    }
    while (*used < n && !*is_done) {
        struct rg_str data = {NULL, 0};
        long took = rg_chunked_take(&c->chunked, p + *used, n - *used, &data, is_done, why);
        if (took < 0)
            return took;
        if (data.n > c->max_body - c->body.n)
            return rg_why_set(why, -413, "", "the body is longer than %" PRIu64 " bytes",
                              c->max_body);
        rg_buf_add(&c->body, data.p, data.n);
        *used += (size_t)took;
    }
    return 0;
}

/* Drops used bytes that follow the head (which stays for the time when the body is complete). */
static void drop_behind_head(struct rg_h1_conn *c, size_t used)
{
    size_t end = c->head_n + used;
    if (used == 0)
        return;
    memmove(c->in.p + c->head_n, c->in.p + end, c->in.n - end);
    c->in.n -= used;
}

/* The head has moved since it was parsed, and other requests have been parsed since. */
static void parse_again(struct rg_h1_conn *c, const char *p)
{
    struct rg_http_server *server = c->server;
    struct rg_request *req = &server->request;

    rg_assert(rg_h1_parse_head(p, c->head_n, req, &c->framing, NULL) == 0);
    rg_assert(rg_router_find(server->routes, server->routes_n, req->method, req->path,
                             &c->exchange.match));
}

/* ---- bodies that are streamed ---- */

static void measure_rate(struct rg_h1_conn *c)
{
    c->window_bytes = 0;
    rg_reactor_set_timer(c->server->reactor, &c->rate, RATE_WINDOW_MS);
}

/* What comes from here on is not read any more. */
static void fail_receiving(struct rg_h1_conn *c, int status, const struct rg_why *why)
{
    c->wants_close = true;
    rg_reactor_cancel_timer(c->server->reactor, &c->rate);
    rg_exchange_tell_error(&c->exchange, status, why);
}

/* Tells that more is announced than may come, once somebody wants to know. True if it is so. */
static bool is_announced_too_long(struct rg_h1_conn *c)
{
    struct rg_why why = {0};

    if (!c->has_body_left || !c->exchange.is_receiving || c->framing.is_chunked ||
        !rg_exchange_is_too_long(&c->exchange, c->body_left, &why))
        return false;
    if (is_receiving(c))
        fail_receiving(c, 413, &why);
    return true;
}

/* Tells the end of a body that has ended, once somebody wants to know. */
static void tell_end_if_due(struct rg_h1_conn *c)
{
    struct rg_http_field trailers[RG_MAX_TRAILERS];
    struct rg_why why = {0};

    if (c->has_body_left || !rg_exchange_wants_body(&c->exchange))
        return;
    long n = rg_trailers_read(rg_buf_str(&c->body), trailers, &why);
    if (n < 0)
        fail_receiving(c, (int)-n, &why);
    else
        rg_exchange_tell_end(&c->exchange, trailers, (size_t)n);
    rg_buf_done(&c->body);
}

static void body_ended(struct rg_h1_conn *c)
{
    c->has_body_left = false;
    rg_reactor_cancel_timer(c->server->reactor, &c->rate);
}

/* Takes what is next of the body off c->behind and tells it; minus a status if it is malformed. */
static int receive_run(struct rg_h1_conn *c, struct rg_why *why)
{
    struct rg_str data = c->behind;
    long took;
    bool is_done;

    if (c->framing.is_chunked) {
        took = rg_chunked_take(&c->chunked, data.p, data.n, &data, &is_done, why);
        if (took < 0)
            return (int)took;
    } else {
        data.n = data.n < c->body_left ? data.n : (size_t)c->body_left;
        took = (long)data.n;
        c->body_left -= data.n;
        is_done = c->body_left == 0;
    }
    c->behind = rg_str_n(c->behind.p + took, c->behind.n - (size_t)took);
    if (data.n > 0 && rg_exchange_is_too_long(&c->exchange, data.n, why))
        return -413;
    if (is_done)
        body_ended(c);
    if (data.n > 0)
        rg_exchange_tell_piece(&c->exchange, data);
    return 0;
}

/* Tells what of the body is in c->behind, as long as it is wanted; -1 if the rest is void. */
static int receive(struct rg_h1_conn *c)
{
    struct rg_why why = {0};
    int status = 0;

    while (status == 0 && c->behind.n > 0 && is_receiving(c))
        status = -receive_run(c, &why);
    if (status != 0)
        fail_receiving(c, status, &why);
    tell_end_if_due(c);
    return status != 0 ? -1 : 0;
}

/* The handler has run and wants the body. False if the connection cannot go on. */
static bool begin_receiving(struct rg_h1_conn *c)
{
    if (!c->has_body_left || !c->exchange.is_receiving || is_announced_too_long(c))
        return true;
    if (is_receiving(c))
        measure_rate(c);
    /* Behind the head of the answer it would be a part of that. */
    if (!c->framing.expects_continue || c->behind.n > 0 || c->exchange.is_streaming)
        return true;
    return send_go_on(c);
}

/* As process_one(), of a request whose head is complete and whose body is streamed. */
static long process_streamed(struct rg_h1_conn *c, char *p, size_t n)
{
    const struct rg_h1_framing *framing = &c->framing;

    c->has_body_left = framing->is_chunked || framing->length > 0;
    c->body_left = framing->length;
    c->chunked = (struct rg_chunked){.trailers = &c->body};
    c->scan = (struct rg_h1_scan){0};
    c->behind = rg_str_n(p + c->head_n, n - c->head_n);
    call_handler(c, RG_STR(""), framing->is_chunked ? -1 : (int64_t)framing->length);
    if (!begin_receiving(c)) {
        conn_close(c);
        return -1;
    }
    return receive(c) < 0 ? -1 : (long)(n - c->behind.n);
}

/*
 * Handles one request at p[0..n). Returns the bytes used up, 0 if more are needed (they are kept
 * then), or -1 if it was refused.
 */
static long process_one(struct rg_h1_conn *c, char *p, size_t n)
{
    struct rg_why why = {0};
    size_t used;
    bool is_done;
    bool is_parsed = c->state != RG_H1_BODY;

    if (c->state == RG_H1_IDLE)
        set_state(c, RG_H1_HEAD, c->server->settings->header_timeout_ms);
    if (c->state == RG_H1_HEAD) {
        long head_n = rg_h1_scan(&c->scan, p, n, &c->server->settings->limits, &why);
        if (head_n == 0) {
            keep(c, p, n);
            return 0;
        }
        c->head_n = head_n > 0 ? (size_t)head_n : 0;
        int status = head_n < 0 ? (int)-head_n : -begin_request(c, p, &why);
        if (status != 0) {
            refuse(c, status, &why);
            return -1;
        }
        if (c->exchange.match.route->max_body == RG_BODY_STREAMED)
            return process_streamed(c, p, n);
        if (!begin_body(c, n > c->head_n)) {
            conn_close(c);
            return -1;
        }
    }

    long err = take_body(c, p + c->head_n, n - c->head_n, &used, &is_done, &why);
    if (err < 0) {
        refuse(c, (int)-err, &why);
        return -1;
    }
    if (!is_done) {
        keep(c, p, n);
        if (c->framing.is_chunked)
            drop_behind_head(c, used);
        return 0;
    }
    if (!is_parsed)
        parse_again(c, p);

    struct rg_str body =
        c->framing.is_chunked ? rg_buf_str(&c->body) : rg_str_n(p + c->head_n, used);
    size_t total = c->head_n + used;
    c->scan = (struct rg_h1_scan){0};
    c->behind = rg_str_n(p + total, n - total);
    call_handler(c, body, (int64_t)body.n);
    rg_buf_done(&c->body);
    return (long)total;
}

/* The same for bytes of a body that is streamed. */
static long process_more(struct rg_h1_conn *c, char *p, size_t n)
{
    c->behind = rg_str_n(p, n);
    return receive(c) < 0 ? -1 : (long)(n - c->behind.n);
}

/*
 * The first bytes may say that this is a connection of HTTP/2. True if they do, or begin to; the
 * connection may be gone then.
 */
static bool is_for_h2(struct rg_h1_conn *c, const char *p, size_t n)
{
    struct rg_stream *stream = c->stream;
    int verdict = c->may_be_h2 ? rg_h2_detect(p, n) : -1;

    /* Who has agreed on HTTP/2 is not answered in another version, whatever comes. */
    if (c->may_be_h2 && stream->speaks_h2)
        verdict = 1;
    if (verdict < 0) {
        c->may_be_h2 = false;
        return false;
    }
    if (verdict == 0) {
        if (c->state == RG_H1_IDLE)
            set_state(c, RG_H1_HEAD, c->server->settings->header_timeout_ms);
        keep(c, p, n);
        return true;
    }
    c->stream = NULL;
    rg_h2_conn_open(c->server, stream, c->transport, p, n);
    conn_free(c);
    return true;
}

/*
 * Handles all requests that are complete. p[0..n) are new bytes in the shared buffer, or nothing if
 * only c->in is to be looked at.
 */
static void process(struct rg_h1_conn *c, char *p, size_t n)
{
    long used = 0;

    if (c->in.n > 0) {
        rg_buf_add(&c->in, p, n);
        p = c->in.p;
        n = c->in.n;
    }
    if (is_for_h2(c, p, n))
        return;
    c->is_processing = true;
    c->behind = rg_str_n(p, n);
    if (!is_announced_too_long(c))
        tell_end_if_due(c);
    while (n > 0 && c->stream != NULL && (c->state <= RG_H1_BODY || is_receiving(c))) {
        used = c->state == RG_H1_ANSWERING ? process_more(c, p, n) : process_one(c, p, n);
        if (used <= 0)
            break;
        p += used;
        n -= (size_t)used;
    }
    c->is_processing = false;
    c->behind = (struct rg_str){NULL, 0};

    if (c->stream == NULL) {
        conn_free(c);
        return;
    }
    if (c->state == RG_H1_LINGERING || used < 0)
        rg_buf_done(&c->in);
    else if (used > 0)
        keep(c, p, n);
    if (c->state == RG_H1_ANSWERING)
        update_wants(c);
}

/* ---- answers ---- */

/* Goes on with what is pipelined behind an answer that came later. */
static void go_on(struct rg_h1_conn *c)
{
    struct rg_http_server *server = c->server;
    /* Who answers may be the handler of another exchange, which still looks at its own request. */
    struct rg_request current = server->request;

    process(c, NULL, 0);
    server->request = current;
}

/* The end of a function that may have ended the answer, and with it the connection. */
static void after_answer(struct rg_h1_conn *c, bool was_processing)
{
    c->is_processing = was_processing;
    if (was_processing)
        return;
    if (c->stream == NULL)
        conn_free(c);
    else if (c->state == RG_H1_LINGERING)
        rg_buf_done(&c->in);
    else if (c->state == RG_H1_IDLE && c->in.n > 0)
        go_on(c);
}

static void respond(struct rg_exchange *exchange, const struct rg_response *response)
{
    struct rg_h1_conn *c = RG_CONTAINER_OF(exchange, struct rg_h1_conn, exchange);
    bool was_processing = c->is_processing;

    rg_assert(c->state == RG_H1_ANSWERING);
    c->is_processing = true;
    send_response(c, response);
    after_answer(c, was_processing);
}

static void take(struct rg_exchange *exchange, const struct rg_response *head, struct rg_taken *ret)
{
    struct rg_h1_conn *c = RG_CONTAINER_OF(exchange, struct rg_h1_conn, exchange);

    rg_assert(c->state == RG_H1_ANSWERING && c->out.n == 0);
    ret->stream = c->stream;
    ret->is_chunked = head->status != 101 && c->minor == 1;
    rg_response_encode_h1_stream(head, ret->is_chunked, rg_reactor_http_date(c->server->reactor),
                                 &ret->head);
    /* While the handler runs, what follows its request may still lie in the shared buffer. */
    rg_buf_add_str(&ret->early, c->behind.p != NULL ? c->behind : rg_buf_str(&c->in));
    c->has_body_left = false;
    c->stream = NULL;
    if (!c->is_processing)
        conn_free(c);
}

/* ---- answers in pieces ---- */

static void at_turn_end(struct rg_late *late)
{
    struct rg_h1_conn *c = RG_CONTAINER_OF(late, struct rg_h1_conn, late);

    if (c->is_broken)
        conn_close(c);
    else if (!c->is_blocked)
        conn_flush(c);
}

static void begin_pieces(struct rg_exchange *exchange, const struct rg_response *head,
                         int64_t length)
{
    struct rg_h1_conn *c = RG_CONTAINER_OF(exchange, struct rg_h1_conn, exchange);
    struct rg_http_server *server = c->server;
    bool is_open_ended = length < 0 && !exchange->drops_body;

    rg_assert(c->state == RG_H1_ANSWERING && c->out.n == 0);
    rg_http_server_count_status(server, head->status);
    /* A body that is received meanwhile may have ended when the answer does. */
    if (!exchange->is_receiving)
        end_body(c);
    c->is_broken = false;
    c->is_chunked = is_open_ended && c->minor == 1;
    c->is_to_close = is_open_ended && c->minor == 0;
    c->wants_close |= !c->keep_alive || server->is_draining || c->is_to_close;
    rg_buf_reserve(&c->out, USUAL_HEAD);
    rg_response_encode_h1_pieces(head, length, c->is_chunked, c->minor, !c->wants_close,
                                 rg_reactor_http_date(server->reactor), &c->out);
    /* It leaves together with the first piece, which is usually there already. */
    rg_reactor_run_late(server->reactor, &c->late);
}

/* Keeps what of these slices lies behind the first skip bytes. */
static void keep_pieces(struct rg_h1_conn *c, const struct iovec *iov, int n, size_t skip)
{
    if (c->out_at > 0) {
        rg_buf_consume(&c->out, c->out_at);
        c->out_at = 0;
    }
    for (int i = 0; i < n; i++) {
        size_t past = skip < iov[i].iov_len ? skip : iov[i].iov_len;
        rg_buf_add(&c->out, (const char *)iov[i].iov_base + past, iov[i].iov_len - past);
        skip -= past;
    }
}

/* Writes what is kept and then iov[1..n); keeps what the socket does not take. iov[0] is free for
 * use. */
static void send_pieces(struct rg_h1_conn *c, struct iovec *iov, int n)
{
    bool has_kept = kept(c) > 0;
    long sent = 0;

    if (c->is_broken)
        return;
    if (has_kept)
        iov[0] = (struct iovec){c->out.p + c->out_at, kept(c)};
    if (!c->is_blocked) {
        sent = rg_stream_writev(c->stream, has_kept ? iov : iov + 1, has_kept ? n : n - 1);
        if (sent < 0 && sent != UV_EAGAIN) {
            c->is_broken = true;
            rg_reactor_run_late(c->server->reactor, &c->late);
            return;
        }
    }
    size_t taken = sent > 0 ? (size_t)sent : 0;
    size_t from_kept = taken < kept(c) ? taken : kept(c);
    c->out_at += from_kept;
    keep_pieces(c, iov + 1, n - 1, taken - from_kept);
    if (kept(c) == 0)
        rg_buf_done(&c->out);
    else if (!c->is_blocked)
        wait_for_room(c);
}

static bool write_piece(struct rg_exchange *exchange, struct rg_str piece)
{
    struct rg_h1_conn *c = RG_CONTAINER_OF(exchange, struct rg_h1_conn, exchange);
    struct iovec iov[4];
    char size[24];
    int n = 1;

    if (c->is_chunked)
        iov[n++] = (struct iovec){size, (size_t)snprintf(size, sizeof(size), "%zx\r\n", piece.n)};
    iov[n++] = (struct iovec){(void *)piece.p, piece.n};
    if (c->is_chunked)
        iov[n++] = (struct iovec){(void *)"\r\n", 2};
    send_pieces(c, iov, n);
    return kept(c) < ENOUGH_KEPT;
}

static void finish_pieces(struct rg_exchange *exchange, const struct rg_http_field *trailers,
                          size_t trailers_n)
{
    struct rg_h1_conn *c = RG_CONTAINER_OF(exchange, struct rg_h1_conn, exchange);
    struct rg_buf *last = &c->server->encoded;
    bool was_processing = c->is_processing;

    c->is_processing = true;
    rg_reactor_cancel_late(&c->late);
    end_body(c);
    if (c->is_chunked) {
        /* RFC 9112 7.1.2 */
        rg_buf_clear(last);
        rg_buf_add(last, "0\r\n", 3);
        rg_trailers_add(last, trailers, trailers_n);
        rg_buf_add(last, "\r\n", 2);
        struct iovec iov[2] = {{0}, {last->p, last->n}};
        send_pieces(c, iov, 2);
    }
    if (c->is_broken)
        conn_close(c);
    else if (!c->is_blocked && conn_flush(c) && !c->is_blocked)
        conn_finish_answer(c);
    else if (c->stream != NULL)
        update_wants(c);
    after_answer(c, was_processing);
}

static void abort_pieces(struct rg_exchange *exchange)
{
    struct rg_h1_conn *c = RG_CONTAINER_OF(exchange, struct rg_h1_conn, exchange);

    /* As much of it as there is: a client that gets nothing at all may take the connection for one
     * that was closed while it was idle, and send its request again (RFC 9112 9.3.1). */
    if (!c->is_broken && !c->is_blocked && kept(c) > 0)
        rg_stream_write(c->stream, c->out.p + c->out_at, kept(c));
    /* An orderly end would be the body's own. */
    if (c->is_to_close)
        rg_socket_set_abort(c->transport.fd);
    conn_close(c);
}

/* ---- requests in pieces ---- */

static void pause_receiving(struct rg_exchange *exchange)
{
    struct rg_h1_conn *c = RG_CONTAINER_OF(exchange, struct rg_h1_conn, exchange);

    rg_reactor_cancel_timer(c->server->reactor, &c->rate);
    if (!c->is_processing)
        update_wants(c);
}

static void resume_receiving(struct rg_exchange *exchange)
{
    struct rg_h1_conn *c = RG_CONTAINER_OF(exchange, struct rg_h1_conn, exchange);

    if (c->has_body_left)
        measure_rate(c);
    rg_reactor_run_late(c->server->reactor, &c->resumption);
}

static void at_resumption(struct rg_late *late)
{
    struct rg_h1_conn *c = RG_CONTAINER_OF(late, struct rg_h1_conn, resumption);

    if (!rg_exchange_wants_body(&c->exchange))
        return;
    process(c, NULL, 0);
}

static const struct rg_exchange_ops exchange_ops = {
    respond,       take,         begin_pieces,    write_piece,
    finish_pieces, abort_pieces, pause_receiving, resume_receiving,
};

/* ---- reading ---- */

static void drop_lingering(struct rg_h1_conn *c, long n)
{
    c->window_bytes += n > 0 ? (uint64_t)n : 0;
    if (n == 0 || c->window_bytes > LINGER_MAX_BYTES)
        conn_close(c);
}

static void on_readable(struct rg_stream *stream)
{
    struct rg_h1_conn *c = stream->owner;
    struct rg_reactor *reactor = c->server->reactor;
    long n = rg_stream_read(stream, reactor->read_buffer, RG_READ_BUFFER);

    if (n == UV_EAGAIN)
        return;
    if (n < 0) {
        conn_close(c);
    } else if (c->state == RG_H1_LINGERING) {
        drop_lingering(c, n);
    } else if (n == 0) {
        /* A peer that closes between requests, or in the middle of one, gets no answer. */
        conn_close(c);
    } else {
        c->window_bytes += (uint64_t)n;
        process(c, reactor->read_buffer, (size_t)n);
    }
}

static void on_hangup(struct rg_stream *stream)
{
    conn_close(stream->owner);
}

static const struct rg_stream_events conn_events = {on_readable, on_writable, on_hangup};

static bool is_fast_enough(const struct rg_h1_conn *c)
{
    return c->window_bytes >= c->server->settings->body_min_rate * RATE_WINDOW_MS / 1000;
}

static void say_too_slow(struct rg_why *why)
{
    rg_why_set(why, 0, "", "the body came too slowly");
}

static void on_rate(struct rg_timer *timer)
{
    struct rg_h1_conn *c = RG_CONTAINER_OF(timer, struct rg_h1_conn, rate);
    struct rg_why why = {0};

    if (is_fast_enough(c)) {
        measure_rate(c);
        return;
    }
    say_too_slow(&why);
    c->is_processing = true;
    fail_receiving(c, 408, &why);
    if (c->stream != NULL)
        update_wants(c);
    after_answer(c, false);
}

static void body_window_ended(struct rg_h1_conn *c)
{
    struct rg_why why = {0};

    if (is_fast_enough(c)) {
        c->window_bytes = 0;
        rg_reactor_set_timer(c->server->reactor, &c->timer, RATE_WINDOW_MS);
        return;
    }
    say_too_slow(&why);
    refuse(c, 408, &why);
}

static void on_timer(struct rg_timer *timer)
{
    struct rg_h1_conn *c = RG_CONTAINER_OF(timer, struct rg_h1_conn, timer);
    struct rg_why why = {0};

    switch (c->state) {
    case RG_H1_HEAD:
        rg_why_set(&why, 0, "", "the request head was not complete in time");
        refuse(c, 408, &why);
        break;
    case RG_H1_BODY:
        body_window_ended(c);
        break;
    case RG_H1_ANSWERING: /* the peer does not read the answer */
        rg_count(c->server->counters, RG_HTTP_TIMEOUTS, 1);
        conn_close(c);
        break;
    case RG_H1_IDLE:
    case RG_H1_LINGERING:
        conn_close(c);
        break;
    }
}

/* ---- life ---- */

static void drain(struct rg_http_link *link)
{
    struct rg_h1_conn *c = RG_CONTAINER_OF(link, struct rg_h1_conn, link);

    if (c->state == RG_H1_IDLE)
        conn_close(c);
}

static void close_link(struct rg_http_link *link)
{
    conn_close(RG_CONTAINER_OF(link, struct rg_h1_conn, link));
}

static const struct rg_http_link_ops link_ops = {drain, close_link};

void rg_h1_conn_open(struct rg_http_server *server, struct rg_stream *stream,
                     struct rg_http_transport transport)
{
    struct rg_h1_conn *c = rg_zalloc(sizeof(*c));

    c->server = server;
    c->transport = transport;
    c->timer.fn = on_timer;
    c->rate.fn = on_rate;
    c->late.fn = at_turn_end;
    c->resumption.fn = at_resumption;
    c->stream = stream;
    c->may_be_h2 = server->settings->is_h2_on;
    c->exchange.ops = &exchange_ops;
    c->exchange.server = server;
    c->exchange.transport = &c->transport;
    rg_http_server_add(server, &c->link, &link_ops);
    rg_stream_adopt(stream, &conn_events, c);
    /* The first request is due like any other: a peer that says nothing is idle. */
    set_state(c, RG_H1_IDLE, server->settings->idle_timeout_ms);
    /* The request is usually there already; reading it now saves a turn of the loop. */
    on_readable(stream);
}
