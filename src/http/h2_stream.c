/*
 * A stream's life:
 *
 *   HEADERS --> request: head, body --> due --> handler --+--> answered: request freed
 *                                                         |
 *                                                         +--> taken: a struct rg_stream of an
 * owner
 *
 * A body that is streamed (router.h) comes behind the handler: it is kept until its stream's turn,
 * and while nobody wants it. Bytes that are kept for one stream hold up that stream only: the
 * window of the connection opens as they arrive, the stream's as they are told.
 *
 * A stream is freed when nghttp2 has forgotten it (is_over) and no owner has it. That happens in
 * rg_h2_serve() only or when the owner closes it, never inside of a callback of nghttp2.
 */
#include <inttypes.h>
#include <stdio.h>

#include "base/alloc.h"
#include "http/h1_fields_priv.h"
#include "http/h2_conn_priv.h"
#include "http/trailers.h"

#define RATE_WINDOW_MS 10000
#define MAX_HELD       ((size_t)8 * 1024 * 1024) /* for the unfinished requests of a connection */
/* A header block that goes on beyond its limits by that factor is no request any more. */
#define FLOOD_FACTOR   4
/* :status, date and content-length, too. */
#define MAX_NV         (RG_RESPONSE_MAX_FIELDS + RG_MAX_FIELDS_PER_MESSAGE + 3)
/* Of an answer in pieces: no more is asked for once so much is kept of a stream, until so little is
 * left. Less than in HTTP/1.1, because a connection has many. */
#define ENOUGH_KEPT    ((size_t)64 * 1024)
#define LITTLE_KEPT    ((size_t)16 * 1024)

static const struct rg_exchange_ops exchange_ops;
static const struct rg_stream_ops stream_ops;

static struct rg_h2_stream *of_stream(struct rg_stream *stream)
{
    return RG_CONTAINER_OF(stream, struct rg_h2_stream, stream);
}

/* ---- life ---- */

/* What has arrived needs no room in the stream's window any more. */
static void consumed(struct rg_h2_stream *s, size_t n)
{
    struct rg_h2_conn *c = s->conn;

    if (n == 0 || c->session == NULL)
        return;
    nghttp2_session_consume_stream(c->session, s->id, n);
    rg_h2_run_late(c);
}

static void forget_input(struct rg_h2_stream *s, size_t n)
{
    consumed(s, n);
    if (s->in != NULL && s->in->n == n) {
        rg_buf_done(s->in);
        rg_free(s->in);
        s->in = NULL;
    } else if (s->in != NULL) {
        rg_buf_consume(s->in, n);
    }
}

static struct rg_h2_stream *stream_new(struct rg_h2_conn *c, int32_t id)
{
    struct rg_h2_stream *s = rg_zalloc(sizeof(*s));
    struct rg_h2_request *request = rg_zalloc(sizeof(*request));

    rg_stream_init(&s->stream, &stream_ops, c->reactor);
    s->conn = c;
    s->id = id;
    s->request = request;
    s->next = c->streams;
    if (c->streams != NULL)
        c->streams->prev = s;
    c->streams = s;
    c->streams_n++;
    c->timed_n++;
    request->stream = s;
    request->since_ms = c->reactor->now_ms;
    request->exchange.ops = &exchange_ops;
    request->exchange.server = c->server;
    request->exchange.transport = &c->transport;
    return s;
}

static void stream_free(struct rg_h2_stream *s)
{
    struct rg_h2_conn *c = s->conn;

    if (s->prev != NULL)
        s->prev->next = s->next;
    else
        c->streams = s->next;
    if (s->next != NULL)
        s->next->prev = s->prev;
    if (c->next_writer == s)
        c->next_writer = s->next;
    if (--c->streams_n == 0)
        c->idle_since_ms = s->stream.reactor->now_ms;
    c->timed_n -= s->is_ending;
    rg_free(s);
    rg_h2_conn_reap(c);
}

static void forget_refusal(struct rg_h2_request *request)
{
    rg_free(request->why);
    request->why = NULL;
    request->refusal = 0;
}

static void forget_body(struct rg_h2_request *request)
{
    if (request->stream->is_tunnel)
        consumed(request->stream, request->body.n);
    rg_buf_done(&request->body);
}

/* What a request needs until its handler has run. */
static void forget_content(struct rg_h2_request *request)
{
    struct rg_h2_conn *c = request->stream->conn;

    rg_h2_head_done(&request->head);
    c->held_bytes -= request->held;
    request->held = 0;
    if (!request->exchange.is_receiving)
        forget_body(request);
    forget_refusal(request);
}

static struct rg_gone request_free(struct rg_h2_request *request)
{
    struct rg_gone gone = rg_exchange_lost(&request->exchange);

    forget_content(request);
    request->stream->conn->timed_n--;
    rg_buf_done(&request->rest);
    rg_buf_done(&request->trailers_in);
    rg_buf_done(&request->trailers_out);
    rg_free(request);
    return gone;
}

/*
 * Who answers in pieces has the exchange until it ends it, or is told that the peer is gone. That
 * the stream was complete before is neither: so it is with answers that have no body.
 */
static bool is_needed(const struct rg_h2_request *request)
{
    const struct rg_h2_stream *s = request->stream;
    bool is_gone = s->is_over && (s->is_reset || !s->has_sent_end);

    return request->exchange.is_streaming && !is_gone;
}

/* Frees what is not needed any more, maybe the stream itself. */
static void reap(struct rg_h2_stream *s)
{
    struct rg_gone gone = {0};

    if (s->is_called)
        return;
    if (!s->is_taken && s->request != NULL) {
        if (is_needed(s->request))
            return;
        if (s->request->is_done || s->is_over) {
            gone = request_free(s->request);
            s->request = NULL;
        }
    }
    if (s->is_over && !s->is_held) {
        rg_h2_cancel_due(s);
        stream_free(s);
    }
    rg_gone_tell(gone);
}

static void reset(struct rg_h2_stream *s, uint32_t code)
{
    nghttp2_submit_rst_stream(s->conn->session, NGHTTP2_FLAG_NONE, s->id, code);
    rg_h2_run_late(s->conn);
}

void rg_h2_stream_lost(struct rg_h2_stream *s)
{
    bool is_awaited = !s->is_taken && s->request != NULL && s->request->exchange.is_streaming;

    if (s->is_over && !is_awaited)
        return;
    s->is_over = true;
    s->is_reset = true;
    rg_h2_make_due(s);
}

int rg_h2_on_stream_close(nghttp2_session *session, int32_t id, uint32_t code, void *arg)
{
    struct rg_h2_stream *s = nghttp2_session_get_stream_user_data(session, id);

    (void)arg;
    if (s == NULL)
        return 0;
    s->is_over = true;
    s->is_reset = code != NGHTTP2_NO_ERROR;
    rg_h2_remember_closed(s->conn, s);
    rg_h2_make_due(s);
    return 0;
}

/* ---- DATA frames from what there is to send, and what follows the last one ---- */

/* A value that never comes again would only drive others out of the table, and how well a secret is
 * compressed would tell something of it (RFC 7541 7.1). */
static bool is_unique(struct rg_str name)
{
    return rg_str_eq_nocase(name, RG_STR("set-cookie")) ||
           rg_str_eq_nocase(name, RG_STR("x-request-id")) ||
           rg_str_eq_nocase(name, RG_STR("traceparent"));
}

static nghttp2_nv nv(struct rg_str name, struct rg_str value)
{
    uint8_t flags = is_unique(name) ? NGHTTP2_NV_FLAG_NO_INDEX : NGHTTP2_NV_FLAG_NONE;

    return (nghttp2_nv){(uint8_t *)name.p, (uint8_t *)value.p, name.n, value.n, flags};
}

static size_t left_to_send(const struct rg_h2_conn *c, const struct rg_h2_stream *s)
{
    if (c->source.stream == s)
        return c->source.left;
    if (!s->is_taken && s->request != NULL)
        return s->request->rest.n - s->request->rest_at;
    return 0;
}

/* What follows the last DATA frame, if anything does. */
static bool submit_trailers(const struct rg_h2_stream *s)
{
    struct rg_http_field fields[RG_MAX_TRAILERS];
    nghttp2_nv nva[RG_MAX_TRAILERS];

    if (s->is_taken || s->request == NULL || s->request->trailers_out.n == 0)
        return false;
    long n = rg_trailers_read(rg_buf_str(&s->request->trailers_out), fields, NULL);
    rg_assert(n > 0);
    for (long i = 0; i < n; i++)
        nva[i] = nv(fields[i].name, fields[i].value);
    return nghttp2_submit_trailer(s->conn->session, s->id, nva, (size_t)n) == 0;
}

static ssize_t plan_data(nghttp2_session *session, int32_t id, uint8_t *buf, size_t max,
                         uint32_t *flags, nghttp2_data_source *source, void *arg)
{
    struct rg_h2_conn *c = arg;
    const struct rg_h2_stream *s = source->ptr;
    size_t left = left_to_send(c, s);

    (void)session;
    (void)id;
    (void)buf;
    if (rg_h2_is_full(c))
        return NGHTTP2_ERR_PAUSE;
    if (left == 0 && !s->is_shut)
        return NGHTTP2_ERR_DEFERRED;
    if (left > 0)
        *flags |= NGHTTP2_DATA_FLAG_NO_COPY;
    if (left <= max && s->is_shut) {
        *flags |= NGHTTP2_DATA_FLAG_EOF;
        if (submit_trailers(s))
            *flags |= NGHTTP2_DATA_FLAG_NO_END_STREAM;
    }
    return (ssize_t)(left < max ? left : max);
}

static void add_from_source(struct rg_h2_source *source, size_t n, struct rg_buf *out)
{
    source->left -= n;
    while (n > 0) {
        size_t here = source->iov->iov_len - source->at;
        size_t run = n < here ? n : here;
        rg_buf_add(out, (const char *)source->iov->iov_base + source->at, run);
        source->at += run;
        n -= run;
        if (source->at == source->iov->iov_len) {
            source->iov++;
            source->at = 0;
        }
    }
}

static size_t kept(const struct rg_h2_request *request)
{
    return request->rest.n - request->rest_at;
}

static void take_from_rest(struct rg_h2_request *request, size_t n, struct rg_buf *out)
{
    rg_buf_add(out, request->rest.p + request->rest_at, n);
    request->rest_at += n;
    request->since_ms = request->stream->conn->reactor->now_ms;
    if (!request->exchange.is_streaming)
        return;
    if (kept(request) == 0) {
        rg_buf_done(&request->rest);
        request->rest_at = 0;
    }
    if (request->exchange.is_full && kept(request) <= LITTLE_KEPT)
        rg_h2_make_due(request->stream);
}

int rg_h2_send_data(nghttp2_session *session, nghttp2_frame *frame, const uint8_t *head, size_t n,
                    nghttp2_data_source *source, void *arg)
{
    struct rg_h2_conn *c = arg;
    const struct rg_h2_stream *s = source->ptr;

    (void)session;
    (void)frame;
    rg_buf_add(&c->out, head, RG_H2_FRAME_HEAD);
    if (c->source.stream == s) {
        add_from_source(&c->source, n, &c->out);
        return 0;
    }
    take_from_rest(s->request, n, &c->out);
    return 0;
}

/* Frames what the peer's windows and our own limit allow; returns how much of it. */
static size_t send_from(struct rg_h2_stream *s, const struct iovec *iov, int iov_n)
{
    struct rg_h2_conn *c = s->conn;
    size_t all = 0;

    for (int i = 0; i < iov_n; i++)
        all += iov[i].iov_len;
    c->source = (struct rg_h2_source){s, iov, 0, all};
    nghttp2_session_resume_data(c->session, s->id);
    rg_h2_pump(c);
    c->source.stream = NULL;
    return all - c->source.left;
}

/* ---- answers ---- */

static bool is_of_connection(struct rg_str name)
{
    static const struct rg_str names[] = {
        {"connection", 10},        {"keep-alive", 10},       {"upgrade", 7},
        {"transfer-encoding", 17}, {"proxy-connection", 16},
    };

    for (size_t i = 0; i < RG_COUNT_OF(names); i++) {
        if (rg_str_eq_nocase(name, names[i]))
            return true;
    }
    return false;
}

/* The value as it may stand in a field: no CR, LF or NUL, no white space around (RFC 9113 8.2.1).
 */
static struct rg_str clean(struct rg_str value, struct rg_buf *scratch)
{
    char *to = rg_buf_reserve(scratch, value.n);

    for (size_t i = 0; i < value.n; i++) {
        char c = value.p[i];
        to[i] = c == '\r' || c == '\n' || c == '\0' ? ' ' : c;
    }
    scratch->n += value.n;
    return rg_str_trim(rg_str_n(to, value.n));
}

/* Submits the head; length is told unless it is -1, for an end that is not known. */
static void submit_head(struct rg_h2_stream *s, const struct rg_response *response, int64_t length,
                        bool has_data)
{
    struct rg_http_server *server = s->conn->server;
    nghttp2_data_provider provider = {{.ptr = s}, plan_data};
    nghttp2_nv nva[MAX_NV];
    size_t n = 0, room = 0;
    char status[4], digits[24];

    rg_assert(response->more_n <= RG_MAX_FIELDS_PER_MESSAGE);
    /* All at once, so that nothing moves. */
    for (size_t i = 0; i < rg_response_fields_n(response); i++)
        room += rg_response_field(response, i)->value.n;
    rg_buf_clear(&server->encoded);
    rg_buf_reserve(&server->encoded, room);

    snprintf(status, sizeof(status), "%03u", (unsigned)response->status % 1000);
    nva[n++] = nv(RG_STR(":status"), rg_str_c(status));
    for (size_t i = 0; i < rg_response_fields_n(response); i++) {
        const struct rg_http_field *field = rg_response_field(response, i);
        if (!is_of_connection(field->name))
            nva[n++] = nv(field->name, clean(field->value, &server->encoded));
    }
    if (rg_response_find(response, RG_STR("date")).p == NULL)
        nva[n++] = nv(RG_STR("date"), rg_str_c(rg_reactor_http_date(server->reactor)));
    if (length >= 0) {
        snprintf(digits, sizeof(digits), "%" PRId64, length);
        nva[n++] = nv(RG_STR("content-length"), rg_str_c(digits));
    }
    rg_assert(
        nghttp2_submit_response(s->conn->session, s->id, nva, n, has_data ? &provider : NULL) == 0);
}

static void send_response(struct rg_h2_request *request, const struct rg_response *response)
{
    struct rg_h2_stream *s = request->stream;
    bool is_bodiless = rg_response_is_bodiless(response->status);
    bool has_data = !is_bodiless && request->exchange.method != RG_HEAD && response->body.n > 0;

    rg_http_server_count_status(s->conn->server, response->status);
    if (s->is_over)
        return;
    s->is_shut = true;
    submit_head(s, response, is_bodiless ? -1 : (int64_t)response->body.n, has_data);
    const struct iovec iov = {(void *)response->body.p, has_data ? response->body.n : 0};
    size_t sent = send_from(s, &iov, 1);
    request->is_done = sent == iov.iov_len;
    request->since_ms = s->stream.reactor->now_ms;
    if (!request->is_done)
        rg_buf_add(&request->rest, response->body.p + sent, response->body.n - sent);
    rg_h2_make_due(s);
}

/* Answers what is no request that a handler could answer. */
static void refuse(struct rg_h2_request *request, int status, const struct rg_why *why)
{
    struct rg_response response = {.status = status};
    struct rg_buf body = {0};

    rg_http_server_refusal(request->stream->conn->server, status, why, &body);
    rg_response_add(&response, RG_STR("content-type"), RG_STR("application/json; charset=utf-8"));
    response.body = rg_buf_str(&body);
    request->state = RG_H2_ANSWERING;
    send_response(request, &response);
    rg_buf_done(&body);
}

/* To the peer any 2xx would say that the tunnel is open (RFC 9110 9.3.6). */
static void refuse_tunnel(struct rg_h2_request *request)
{
    struct rg_why why = {0};

    rg_why_set(&why, 0, ":protocol", "there is no WebSocket here");
    refuse(request, 400, &why);
}

static void respond(struct rg_exchange *exchange, const struct rg_response *response)
{
    struct rg_h2_request *request = RG_CONTAINER_OF(exchange, struct rg_h2_request, exchange);

    if (request->stream->is_tunnel && response->status / 100 == 2)
        refuse_tunnel(request);
    else
        send_response(request, response);
}

static void take(struct rg_exchange *exchange, const struct rg_response *head, struct rg_taken *ret)
{
    struct rg_h2_request *request = RG_CONTAINER_OF(exchange, struct rg_h2_request, exchange);
    struct rg_h2_stream *s = request->stream;
    struct rg_h2_conn *c = s->conn;

    if (!s->is_over)
        submit_head(s, head, -1, true);
    if (s->is_tunnel) {
        ret->early = request->body;
        request->body = (struct rg_buf){0};
        consumed(s, ret->early.n);
    }
    ret->stream = &s->stream;
    request->is_done = true;
    s->is_taken = true;
    s->is_held = true;
    s->in = NULL;
    if (!s->is_called)
        request_free(request);
    rg_h2_run_late(c);
}

/* ---- answers in pieces ---- */

static struct rg_h2_request *of_exchange(struct rg_exchange *exchange)
{
    return RG_CONTAINER_OF(exchange, struct rg_h2_request, exchange);
}

static void begin_pieces(struct rg_exchange *exchange, const struct rg_response *head,
                         int64_t length)
{
    struct rg_h2_request *request = of_exchange(exchange);
    struct rg_h2_stream *s = request->stream;

    if (s->is_tunnel && head->status / 100 == 2) {
        exchange->drops_body = true;
        refuse_tunnel(request);
        return;
    }
    rg_http_server_count_status(s->conn->server, head->status);
    if (s->is_over)
        return;
    /* The end of an answer would end a request that is still received (RFC 9113 8.1). */
    s->is_shut = exchange->drops_body && !exchange->is_receiving;
    submit_head(s, head, rg_response_is_bodiless(head->status) ? -1 : length, !s->is_shut);
    /* Framed at the end of the turn, maybe together with the first piece. */
    rg_h2_run_late(s->conn);
}

static bool write_piece(struct rg_exchange *exchange, struct rg_str piece)
{
    struct rg_h2_request *request = of_exchange(exchange);
    struct rg_h2_stream *s = request->stream;
    const struct iovec iov = {(void *)piece.p, piece.n};
    size_t sent = 0;

    if (s->is_over)
        return true;
    if (kept(request) == 0) {
        sent = send_from(s, &iov, 1);
        request->since_ms = s->conn->reactor->now_ms;
    }
    if (request->rest_at > 0) {
        rg_buf_consume(&request->rest, request->rest_at);
        request->rest_at = 0;
    }
    rg_buf_add(&request->rest, piece.p + sent, piece.n - sent);
    return kept(request) < ENOUGH_KEPT;
}

static void finish_pieces(struct rg_exchange *exchange, const struct rg_http_field *trailers,
                          size_t trailers_n)
{
    (void)trailers;
    (void)trailers_n;
    struct rg_h2_request *request = of_exchange(exchange);
    struct rg_h2_stream *s = request->stream;

    if (!s->is_over && !s->is_shut && !exchange->drops_body)
        rg_trailers_add(&request->trailers_out, trailers, trailers_n);
    request->is_done = kept(request) == 0 && request->trailers_out.n == 0;
    rg_h2_make_due(s);
    if (s->is_over || s->is_shut)
        return;
    s->is_shut = true;
    nghttp2_session_resume_data(s->conn->session, s->id);
}

static void abort_pieces(struct rg_exchange *exchange)
{
    struct rg_h2_request *request = of_exchange(exchange);
    struct rg_h2_stream *s = request->stream;

    request->is_done = true;
    rg_h2_make_due(s);
    /* Not an error of a kind that counts against the peer. */
    if (!s->is_over)
        reset(s, NGHTTP2_CANCEL);
}

/* ---- requests in pieces ---- */

static void pause_receiving(struct rg_exchange *exchange)
{
    /* Its window closes by itself. */
    (void)exchange;
}

static void measure_rate(struct rg_h2_request *request)
{
    request->rate_since_ms = request->stream->conn->reactor->now_ms;
    request->window_bytes = 0;
}

static void resume_receiving(struct rg_exchange *exchange)
{
    struct rg_h2_request *request = of_exchange(exchange);

    measure_rate(request);
    rg_h2_make_due(request->stream);
}

static void fail_receiving(struct rg_h2_request *request, int status, const struct rg_why *why)
{
    forget_body(request);
    rg_exchange_tell_error(&request->exchange, status, why);
}

static void tell_end(struct rg_h2_request *request)
{
    struct rg_http_field trailers[RG_MAX_TRAILERS];
    struct rg_why why = {0};
    long n = rg_trailers_read(rg_buf_str(&request->trailers_in), trailers, &why);

    if (n < 0)
        fail_receiving(request, (int)-n, &why);
    else
        rg_exchange_tell_end(&request->exchange, trailers, (size_t)n);
}

/* Tells what there is of the body, as long as it is wanted. */
static void receive(struct rg_h2_request *request)
{
    struct rg_exchange *exchange = &request->exchange;
    /* What comes through a tunnel is not a body. */
    bool has_end = request->stream->is_tunnel || request->stream->has_ended;
    struct rg_why why = {0};

    if (request->refusal != 0 && rg_exchange_wants_body(exchange))
        fail_receiving(request, request->refusal, request->why);
    /* What came too slowly before a pause was not told in time; what is too long remains so. */
    if (request->refusal == 408 || !exchange->is_receiving)
        forget_refusal(request);
    if (request->is_streamed && request->body.n > 0 && rg_exchange_wants_body(exchange)) {
        struct rg_buf piece = request->body;
        request->body = (struct rg_buf){0};
        consumed(request->stream, piece.n);
        if (rg_exchange_is_too_long(exchange, piece.n, &why))
            fail_receiving(request, 413, &why);
        else
            rg_exchange_tell_piece(exchange, rg_buf_str(&piece));
        rg_buf_done(&piece);
    }
    if (has_end && rg_exchange_wants_body(exchange))
        tell_end(request);
}

static const struct rg_exchange_ops exchange_ops = {
    respond,       take,         begin_pieces,    write_piece,
    finish_pieces, abort_pieces, pause_receiving, resume_receiving,
};

/* ---- requests ---- */

int rg_h2_on_begin_headers(nghttp2_session *session, const nghttp2_frame *frame, void *arg)
{
    struct rg_h2_conn *c = arg;

    c->block_fields = 0;
    c->block_bytes = 0;
    if (frame->hd.type == NGHTTP2_HEADERS && frame->headers.cat == NGHTTP2_HCAT_REQUEST) {
        rg_count(c->server->counters, RG_HTTP_H2_STREAMS, 1);
        nghttp2_session_set_stream_user_data(session, frame->hd.stream_id,
                                             stream_new(c, frame->hd.stream_id));
    }
    return 0;
}

static void note_refusal(struct rg_h2_request *request, int status, const struct rg_why *why)
{
    request->refusal = status;
    request->why = rg_alloc(sizeof(*request->why));
    *request->why = *why;
}

/* Whether what comes of its body is told to somebody, or may be. */
static bool is_streaming_in(const struct rg_h2_request *request)
{
    return request->is_streamed &&
           (request->state == RG_H2_READY || request->exchange.is_receiving);
}

static void add_trailer(struct rg_h2_request *request, struct rg_str name, struct rg_str value)
{
    /* One more than is allowed is found out when they are read. */
    if (is_streaming_in(request) && request->trailers_in.n <= RG_MAX_TRAILER_BYTES)
        rg_h1_add_field(&request->trailers_in, name, value);
}

int rg_h2_on_header(nghttp2_session *session, const nghttp2_frame *frame, const uint8_t *name,
                    size_t name_n, const uint8_t *value, size_t value_n, uint8_t flags, void *arg)
{
    struct rg_h2_conn *c = arg;
    const struct rg_h1_limits *limits = &c->server->settings->limits;
    struct rg_h2_stream *s = nghttp2_session_get_stream_user_data(session, frame->hd.stream_id);
    struct rg_why why = {0};

    (void)flags;
    c->block_bytes += name_n + value_n;
    if (++c->block_fields > FLOOD_FACTOR * RG_MAX_FIELDS_PER_MESSAGE ||
        c->block_bytes > FLOOD_FACTOR * limits->head) {
        c->is_flooded = true;
        return NGHTTP2_ERR_CALLBACK_FAILURE;
    }
    /* What follows a field too many is dropped, and trailers that nobody wants. */
    if (s == NULL || s->is_taken || s->request == NULL || s->request->refusal != 0)
        return 0;
    if (s->request->state != RG_H2_HEAD) {
        add_trailer(s->request, rg_str_n((const char *)name, name_n),
                    rg_str_n((const char *)value, value_n));
        return 0;
    }
    int status = -rg_h2_head_add(&s->request->head, limits, rg_str_n((const char *)name, name_n),
                                 rg_str_n((const char *)value, value_n), &why);
    if (status != 0)
        note_refusal(s->request, status, &why);
    return 0;
}

static void make_ready(struct rg_h2_request *request)
{
    request->state = RG_H2_READY;
    rg_h2_make_due(request->stream);
}

/* Finds the route and decides about the body. Returns 0 or minus a status. */
static int begin_request(struct rg_h2_request *request, struct rg_why *why)
{
    struct rg_http_server *server = request->stream->conn->server;
    struct rg_exchange *exchange = &request->exchange;
    struct rg_request *req = &server->request;
    int err = rg_h2_head_read(&request->head, req, &request->framing, why);

    if (err < 0)
        return err;
    exchange->method = req->method;
    rg_exchange_note_start(exchange);
    request->stream->is_tunnel = req->protocol.p != NULL;
    if (!rg_router_find(server->routes, server->routes_n, req->method, req->path, &exchange->match))
        return rg_why_set(why, -404, "", "there is nothing here");
    request->is_streamed =
        exchange->match.route->max_body == RG_BODY_STREAMED && !request->stream->is_tunnel;
    if (request->framing.length > exchange->match.route->max_body)
        return rg_why_set(why, -413, "", "the body is longer than %zu bytes",
                          exchange->match.route->max_body);
    return 0;
}

/*
 * Counts n more bytes that have to be kept until the request is complete: a few bytes of a header
 * block can mean thousands. False if they are too many; the peer may try again then.
 */
static bool hold(struct rg_h2_request *request, size_t n)
{
    struct rg_h2_conn *c = request->stream->conn;

    /* Alone it may be as long as its route allows. */
    if (c->held_bytes + n > MAX_HELD && c->held_bytes > request->held) {
        reset(request->stream, NGHTTP2_REFUSED_STREAM);
        return false;
    }
    c->held_bytes += n;
    request->held += n;
    return true;
}

static void go_on(struct rg_h2_stream *s)
{
    nghttp2_nv status = nv(RG_STR(":status"), RG_STR("100"));

    nghttp2_submit_headers(s->conn->session, NGHTTP2_FLAG_NONE, s->id, NULL, &status, 1, NULL);
}

void rg_h2_head_complete(struct rg_h2_stream *s, bool is_end)
{
    struct rg_h2_request *request = s->request;
    struct rg_why why = {0};
    int status;

    rg_count(s->conn->server->counters, RG_HTTP_REQUESTS, 1);
    s->has_ended = is_end;
    if (request->refusal == 0) {
        status = -begin_request(request, &why);
        if (status != 0)
            note_refusal(request, status, &why);
    }
    /* A tunnel's handler is called at once: what follows is not a body. */
    if (request->refusal != 0 || is_end || s->is_tunnel || request->is_streamed) {
        make_ready(request);
        return;
    }
    request->state = RG_H2_BODY;
    request->since_ms = s->stream.reactor->now_ms;
    if (hold(request, request->head.bytes) && request->framing.expects_continue)
        go_on(s);
}

void rg_h2_stream_ended(struct rg_h2_stream *s)
{
    s->has_ended = true;
    if (!s->is_taken && s->request != NULL && s->request->state == RG_H2_BODY)
        make_ready(s->request);
    else if (s->is_taken || (s->request != NULL && s->request->is_streamed))
        rg_h2_make_due(s);
}

static void take_body(struct rg_h2_request *request, struct rg_str data)
{
    size_t max = request->exchange.match.route->max_body;
    struct rg_why why = {0};

    if (data.n > max - request->body.n) {
        rg_why_set(&why, 0, "", "the body is longer than %zu bytes", max);
        note_refusal(request, 413, &why);
        make_ready(request);
        return;
    }
    if (!hold(request, data.n))
        return;
    rg_buf_add_str(&request->body, data);
    request->window_bytes += data.n;
}

/* Of a body that is streamed; dropped where nobody will ask for it, who need not be sent more. */
static void take_piece(struct rg_h2_request *request, struct rg_str data)
{
    if (!is_streaming_in(request))
        return;
    rg_buf_add_str(&request->body, data);
    request->window_bytes += data.n;
    rg_h2_make_due(request->stream);
}

int rg_h2_on_data(nghttp2_session *session, uint8_t flags, int32_t id, const uint8_t *p, size_t n,
                  void *arg)
{
    struct rg_h2_stream *s = nghttp2_session_get_stream_user_data(session, id);
    struct rg_str data = rg_str_n((const char *)p, n);

    (void)flags;
    (void)arg;
    /* Whoever is slow holds up its own stream, not the others. */
    nghttp2_session_consume_connection(session, n);
    if (s != NULL && s->is_tunnel && s->is_held) {
        if (s->in == NULL)
            s->in = rg_zalloc(sizeof(*s->in));
        rg_buf_add_str(s->in, data);
        rg_h2_make_due(s);
        return 0;
    }
    if (s != NULL && s->is_tunnel && !s->is_taken && s->request != NULL && !s->is_shut) {
        rg_buf_add_str(&s->request->body, data);
        return 0;
    }
    if (s != NULL && !s->is_taken && s->request != NULL && s->request->is_streamed) {
        take_piece(s->request, data);
        return 0;
    }
    if (s != NULL && !s->is_taken && s->request != NULL && s->request->state == RG_H2_BODY)
        take_body(s->request, data);
    nghttp2_session_consume_stream(session, id, n);
    return 0;
}

static int64_t body_length(const struct rg_h2_request *request)
{
    const struct rg_h1_framing *framing = &request->framing;

    if (request->stream->is_tunnel)
        return 0;
    /* All is there, and nothing will follow it. */
    if (request->stream->has_ended && request->trailers_in.n == 0)
        return (int64_t)request->body.n;
    return framing->has_length ? (int64_t)framing->length : -1;
}

static void call_handler(struct rg_h2_request *request)
{
    struct rg_http_server *server = request->stream->conn->server;
    struct rg_request *req = &server->request;
    bool has_body = !request->stream->is_tunnel && !request->is_streamed;

    /* Others have been read since. */
    rg_assert(rg_h2_head_read(&request->head, req, &request->framing, NULL) == 0);
    rg_assert(rg_router_find(server->routes, server->routes_n, req->method, req->path,
                             &request->exchange.match));
    req->body = has_body ? rg_buf_str(&request->body) : RG_STR("");
    req->body_length = body_length(request);
    request->state = RG_H2_ANSWERING;
    rg_exchange_begin(&request->exchange);
}

/* The handler has run and wants the body. */
static void begin_receiving(struct rg_h2_request *request)
{
    struct rg_exchange *exchange = &request->exchange;
    struct rg_h2_stream *s = request->stream;
    struct rg_why why = {0};

    if (!exchange->is_receiving)
        return;
    measure_rate(request);
    if (rg_exchange_is_too_long(exchange, request->framing.length, &why)) {
        note_refusal(request, 413, &why);
        return;
    }
    if (request->framing.expects_continue && request->body.n == 0 && !s->has_ended &&
        !exchange->is_streaming)
        go_on(s);
}

static void begin_answer(struct rg_h2_request *request)
{
    if (request->refusal != 0)
        refuse(request, request->refusal, request->why);
    else
        call_handler(request);
    /* A tunnel that is still to be answered keeps what the peer has sent already. */
    if (!request->stream->is_tunnel || request->stream->is_taken)
        forget_content(request);
    begin_receiving(request);
}

static void serve_request(struct rg_h2_stream *s)
{
    struct rg_h2_request *request = s->request;

    if (s->is_over)
        return;
    if (request->state == RG_H2_ANSWERING && kept(request) <= LITTLE_KEPT)
        rg_exchange_tell_writable(&request->exchange);
    if (request->state == RG_H2_READY)
        begin_answer(request);
    if (request->exchange.is_receiving)
        receive(request);
    if (s->is_taken)
        request_free(request);
}

/* Whether the time of a streamed body is over; measures it anew. */
static bool is_late_to_receive(struct rg_h2_request *request)
{
    const struct rg_http_server *server = request->stream->conn->server;
    uint64_t want = server->settings->body_min_rate * RATE_WINDOW_MS / 1000;
    bool is_late = request->window_bytes < want;

    if (!rg_exchange_wants_body(&request->exchange) || request->stream->has_ended ||
        request->refusal != 0 || server->reactor->now_ms < request->rate_since_ms + RATE_WINDOW_MS)
        return false;
    measure_rate(request);
    return is_late;
}

void rg_h2_check_time(struct rg_h2_stream *s)
{
    const struct rg_http_settings *settings = s->conn->server->settings;
    struct rg_http_server *server = s->conn->server;
    struct rg_h2_request *request = s->is_taken ? NULL : s->request;
    uint64_t now = server->reactor->now_ms;
    struct rg_why why = {0};

    if (s->is_over)
        return;
    if (s->is_taken) {
        if (s->is_ending && !s->has_sent_end && now >= s->closed_ms + settings->write_timeout_ms) {
            rg_count(server->counters, RG_HTTP_TIMEOUTS, 1);
            reset(s, NGHTTP2_CANCEL);
        }
        return;
    }
    if (request == NULL)
        return;
    if (request->state == RG_H2_BODY && now >= request->since_ms + RATE_WINDOW_MS) {
        uint64_t want = settings->body_min_rate * RATE_WINDOW_MS / 1000;
        request->since_ms = now;
        if (request->window_bytes < want) {
            rg_why_set(&why, 0, "", "the body came too slowly");
            note_refusal(request, 408, &why);
            make_ready(request);
        }
        request->window_bytes = 0;
    } else if (is_late_to_receive(request)) {
        rg_why_set(&why, 0, "", "the body came too slowly");
        note_refusal(request, 408, &why);
        rg_h2_make_due(s);
    } else if (request->rest.n > request->rest_at &&
               now >= request->since_ms + settings->write_timeout_ms) {
        rg_count(server->counters, RG_HTTP_TIMEOUTS, 1);
        reset(s, NGHTTP2_CANCEL);
    }
}

/* ---- the stream that an owner has ---- */

static bool has_news(const struct rg_h2_stream *s)
{
    return s->in != NULL || s->is_over || (s->is_tunnel && s->has_ended);
}

static bool can_write(const struct rg_h2_stream *s)
{
    const struct rg_h2_conn *c = s->conn;

    return !s->is_over && !s->is_shut && !rg_h2_is_full(c) &&
           nghttp2_session_get_remote_window_size(c->session) > 0 &&
           nghttp2_session_get_stream_remote_window_size(c->session, s->id) > 0;
}

static void tell_readable(struct rg_h2_stream *s)
{
    struct rg_stream *stream = &s->stream;
    size_t before = s->in != NULL ? s->in->n : 0;

    if (before == 0 && s->knows_end)
        return;
    s->knows_end = before == 0;
    if (!stream->wants_read) {
        /* Bytes can wait, the end cannot. */
        if (before == 0)
            stream->events->on_hangup(stream);
        return;
    }
    stream->events->on_readable(stream);
    /* An owner that takes only a part is called again; one that takes nothing, when more comes. */
    if (stream->owner != NULL && has_news(s) && before > 0 && (s->in == NULL || s->in->n < before))
        rg_h2_make_due(s);
}

static void tell_owner(struct rg_h2_stream *s)
{
    struct rg_stream *stream = &s->stream;

    if (stream->owner != NULL && stream->wants_write && can_write(s))
        stream->events->on_writable(stream);
    else if (stream->wants_write && s->conn->next_writer == NULL)
        s->conn->next_writer = s;
    /* The callback may have closed it. */
    if (stream->owner != NULL && has_news(s))
        tell_readable(s);
}

void rg_h2_serve(struct rg_h2_stream *s)
{
    s->is_called = true;
    if (s->is_taken)
        tell_owner(s);
    else if (s->request != NULL)
        serve_request(s);
    s->is_called = false;
    reap(s);
}

void rg_h2_wake_writer(struct rg_h2_stream *s)
{
    if (s->is_taken && s->stream.owner != NULL && s->stream.wants_write && can_write(s))
        rg_h2_make_due(s);
}

static long stream_read(struct rg_stream *stream, void *p, size_t n)
{
    struct rg_h2_stream *s = of_stream(stream);

    if (s->in != NULL) {
        n = n < s->in->n ? n : s->in->n;
        memcpy(p, s->in->p, n);
        forget_input(s, n);
        return (long)n;
    }
    if (s->is_over)
        return s->is_reset ? UV_ECONNRESET : 0;
    /* A request that is complete says nothing about who waits for the answer. */
    return s->is_tunnel && s->has_ended ? 0 : UV_EAGAIN;
}

static long stream_writev(struct rg_stream *stream, const struct iovec *iov, int n)
{
    struct rg_h2_stream *s = of_stream(stream);

    if (s->is_over)
        return UV_ECONNRESET;
    if (s->is_shut)
        return UV_EPIPE;
    size_t sent = send_from(s, iov, n);
    return sent > 0 ? (long)sent : UV_EAGAIN;
}

static long stream_write(struct rg_stream *stream, const void *p, size_t n)
{
    const struct iovec iov = {(void *)p, n};

    return stream_writev(stream, &iov, 1);
}

/* Only a change makes it due: an owner that repeats itself is not to be called in circles. */
static void stream_update(struct rg_stream *stream)
{
    struct rg_h2_stream *s = of_stream(stream);
    bool begins_reading = stream->wants_read && !s->asks_read;
    bool begins_writing = stream->wants_write && !s->asks_write;

    s->asks_read = stream->wants_read;
    s->asks_write = stream->wants_write;
    if ((begins_reading && has_news(s)) || (begins_writing && can_write(s)) ||
        (s->is_over && !s->knows_end))
        rg_h2_make_due(s);
}

static void stream_shutdown(struct rg_stream *stream)
{
    struct rg_h2_stream *s = of_stream(stream);

    if (s->is_over || s->is_shut)
        return;
    s->is_shut = true;
    nghttp2_session_resume_data(s->conn->session, s->id);
    rg_h2_run_late(s->conn);
}

/* The end of what was written goes out as soon as the peer's windows allow, within limits. */
static void end_later(struct rg_h2_stream *s)
{
    struct rg_h2_conn *c = s->conn;

    s->is_ending = true;
    s->closed_ms = c->reactor->now_ms;
    c->timed_n++;
}

static void stream_close(struct rg_stream *stream)
{
    struct rg_h2_stream *s = of_stream(stream);

    forget_input(s, s->in != NULL ? s->in->n : 0);
    s->is_held = false;
    if (!s->is_over && stream->wants_write) {
        /* What waits to be written would be missing: only a reset says so. */
        reset(s, NGHTTP2_CANCEL);
    } else if (!s->is_over) {
        stream_shutdown(stream);
        rg_h2_pump(s->conn);
        if (!s->is_over && !s->has_sent_end)
            end_later(s);
    }
    reap(s);
}

static const struct rg_stream_ops stream_ops = {
    .read = stream_read,
    .write = stream_write,
    .writev = stream_writev,
    .update = stream_update,
    .shutdown = stream_shutdown,
    .close = stream_close,
};
