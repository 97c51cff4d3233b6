/*
 * HTTP/2 connections: whatever a peer sends, and whatever handlers and owners of streams do in
 * between, nothing is left when the connection is gone. The first byte says how to read the rest:
 * as bytes behind the preface, as bytes from the first one on, or as steps of four bytes and a
 * payload, each a well-formed frame or something that happens on this side.
 */
#include <stdlib.h>

#include "base/alloc.h"
#include "base/log.h"
#include "base/rcu.h"
#include "http/server_priv.h"

#define PREFACE   "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
#define MAX_TAKEN 8

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t n);
int LLVMFuzzerInitialize(int *argc, char ***argv);

static struct rg_reactor reactor;
static struct rg_http_server *server;
static struct rg_stream *taken[MAX_TAKEN];
static struct rg_exchange_handle pending;

/* ---- the socket ---- */

static struct {
    struct rg_stream stream;
    struct rg_str in; /* what is readable now */
    size_t room;      /* what may be written */
    bool has_ended, is_closed;
} fake;

static long fake_read(struct rg_stream *stream, void *p, size_t n)
{
    (void)stream;
    if (fake.in.n == 0)
        return fake.has_ended ? 0 : UV_EAGAIN;
    n = n < fake.in.n ? n : fake.in.n;
    memcpy(p, fake.in.p, n);
    fake.in = rg_str_n(fake.in.p + n, fake.in.n - n);
    return (long)n;
}

static long fake_write(struct rg_stream *stream, const void *p, size_t n)
{
    (void)stream;
    (void)p;
    rg_assert(n > 0 && !fake.is_closed);
    n = n < fake.room ? n : fake.room;
    fake.room -= n;
    return n > 0 ? (long)n : UV_EAGAIN;
}

static long fake_writev(struct rg_stream *stream, const struct iovec *iov, int n)
{
    (void)n;
    return fake_write(stream, iov->iov_base, iov->iov_len);
}

static void fake_nothing(struct rg_stream *stream)
{
    (void)stream;
}

static void fake_close(struct rg_stream *stream)
{
    (void)stream;
    fake.is_closed = true;
}

static const struct rg_stream_ops fake_ops = {
    fake_read, fake_write, fake_writev, fake_nothing, fake_nothing, fake_close,
};

static void turn(void)
{
    uv_run(&reactor.loop, UV_RUN_NOWAIT);
}

static void feed(struct rg_str bytes)
{
    fake.in = bytes;
    while (fake.in.n > 0 && !fake.is_closed && fake.stream.wants_read)
        fake.stream.events->on_readable(&fake.stream);
    /* What it does not want to read now is lost on its way. */
    fake.in.n = 0;
    turn();
}

/* ---- handlers and owners ---- */

static void echo(void *arg, struct rg_exchange *exchange)
{
    const struct rg_request *req = rg_exchange_request(exchange);
    struct rg_response response = {.status = 200, .body = req->body};

    (void)arg;
    rg_assert(req->path.n > 0 && req->fields_n <= RG_MAX_FIELDS_PER_MESSAGE);
    for (size_t i = 0; i < req->fields_n && i < RG_RESPONSE_MAX_FIELDS; i++)
        rg_response_add(&response, RG_STR("x-echo"), req->fields[i].value);
    rg_exchange_respond(exchange, &response);
}

static void answer_later(void *arg, struct rg_exchange *exchange)
{
    (void)arg;
    pending = rg_exchange_get_handle(exchange);
}

static void close_taken(size_t i)
{
    rg_stream_close(&taken[i]);
}

static size_t index_of(const struct rg_stream *stream)
{
    size_t i = 0;

    while (taken[i] != stream)
        i++;
    return i;
}

static void on_readable(struct rg_stream *stream)
{
    char buffer[100];

    if (rg_stream_read(stream, buffer, sizeof(buffer)) <= 0)
        close_taken(index_of(stream));
}

static void on_writable(struct rg_stream *stream)
{
    rg_stream_want(stream, true, rg_stream_write(stream, "writable", 8) != 8);
}

static void on_hangup(struct rg_stream *stream)
{
    close_taken(index_of(stream));
}

static const struct rg_stream_events owner_events = {on_readable, on_writable, on_hangup};

static void take_over(struct rg_exchange *exchange)
{
    struct rg_response head = {.status = 200};
    struct rg_taken ret;
    size_t i = 0;

    while (i + 1 < MAX_TAKEN && taken[i] != NULL)
        i++;
    close_taken(i);
    rg_exchange_take_stream(exchange, &head, &ret);
    taken[i] = ret.stream;
    rg_taken_done(&ret);
    rg_stream_adopt(taken[i], &owner_events, &taken[i]);
    rg_stream_write(taken[i], "hello", 5);
}

static void take(void *arg, struct rg_exchange *exchange)
{
    (void)arg;
    take_over(exchange);
}

static void answer_pending(bool by_taking)
{
    struct rg_response response = {.status = 200, .body = RG_STR("later")};
    struct rg_exchange *exchange = rg_http_server_find(server, pending);

    if (exchange == NULL)
        return;
    if (by_taking)
        take_over(exchange);
    else
        rg_exchange_respond(exchange, &response);
}

/* ---- bodies that are streamed ---- */

/* The last one. */
static struct {
    struct rg_exchange *exchange; /* NULL: ended */
    bool is_paused, is_streaming;
} receiver;

static void on_gone(void *arg)
{
    if (receiver.exchange == arg)
        receiver.exchange = NULL;
}

static void on_room(void *arg)
{
    (void)arg;
}

static const struct rg_body_events body_events = {on_room, on_gone};

static void end_received(struct rg_exchange *exchange)
{
    const struct rg_http_field trailer = {RG_STR("x-trailer"), RG_STR("1")};
    struct rg_response response = {.status = 200, .body = RG_STR("received")};
    bool is_streaming = receiver.exchange == exchange && receiver.is_streaming;

    on_gone(exchange);
    if (is_streaming)
        rg_exchange_finish_body_with(exchange, &trailer, 1);
    else
        rg_exchange_respond(exchange, &response);
}

static void on_piece(void *arg, struct rg_str piece)
{
    rg_assert(piece.n > 0);
    if (receiver.exchange != arg)
        return;
    rg_assert(!receiver.is_paused);
    if (receiver.is_streaming && !rg_exchange_write_body(arg, piece)) {
        receiver.is_paused = true;
        rg_exchange_pause_receiving(arg);
    }
}

static void on_end(void *arg, const struct rg_http_field *trailers, size_t trailers_n)
{
    rg_assert(trailers_n == 0 || trailers[0].name.n > 0);
    end_received(arg);
}

static void on_error(void *arg, int status, const struct rg_why *why)
{
    rg_assert(status >= 400 && why->text[0] != '\0');
    end_received(arg);
}

static const struct rg_receive_events receive_events = {on_piece, on_end, on_error};

static void receive(void *arg, struct rg_exchange *exchange)
{
    struct rg_response response = {.status = 503};

    (void)arg;
    /* Whoever was before waits no more. */
    if (receiver.exchange != NULL && receiver.is_streaming)
        rg_exchange_abort_body(receiver.exchange);
    else if (receiver.exchange != NULL)
        rg_exchange_respond(receiver.exchange, &response);
    receiver.exchange = exchange;
    receiver.is_paused = receiver.is_streaming = false;
    rg_exchange_on_gone(exchange, on_gone, exchange);
    rg_exchange_receive(exchange, 20000, &receive_events, exchange);
}

static void act_on_received(size_t amount)
{
    struct rg_response head = {.status = 200};

    if (receiver.exchange == NULL)
        return;
    switch (amount % 4) {
    case 0:
        if (!receiver.is_paused)
            rg_exchange_pause_receiving(receiver.exchange);
        else
            rg_exchange_resume_receiving(receiver.exchange);
        receiver.is_paused = !receiver.is_paused;
        break;
    case 1:
        end_received(receiver.exchange);
        break;
    case 2:
        if (!receiver.is_streaming)
            rg_exchange_begin_body(receiver.exchange, &head, -1, &body_events, receiver.exchange);
        receiver.is_streaming = true;
        break;
    default:
        break;
    }
}

static const struct rg_route routes[] = {
    {RG_METHODS_ALL, "/s", receive, NULL, RG_BODY_STREAMED},
    {RG_METHODS_ALL, "/t", take, NULL, 0},
    {RG_METHODS_ALL, "/l", answer_later, NULL, 10},
    {RG_METHODS_ALL, "*", echo, NULL, 1000},
};

/* ---- steps ---- */

static void let_pass(uint64_t ms)
{
    reactor.now_ms += ms;
    rg_wheel_advance(&reactor.wheel, reactor.now_ms);
}

/* Something that happens on this side. */
static void happen(uint8_t what, uint8_t i, size_t amount)
{
    static const char bytes[70000];
    struct rg_stream **stream = &taken[i % MAX_TAKEN];

    switch (what % 10) {
    case 0:
        let_pass(amount * 100);
        break;
    case 1:
        fake.room = amount * 100;
        break;
    case 2:
        if (*stream != NULL)
            rg_stream_write(*stream, bytes, amount * 273);
        break;
    case 3:
        rg_stream_close(stream);
        break;
    case 4:
        answer_pending(false);
        break;
    case 5:
        answer_pending(true);
        break;
    case 6:
        if (*stream != NULL)
            rg_stream_want(*stream, (amount & 1) != 0, (amount & 2) != 0);
        break;
    case 7:
        if (*stream != NULL)
            rg_stream_shutdown(*stream);
        break;
    case 8:
        if (amount == 255)
            rg_http_server_drain(server);
        else
            act_on_received(amount);
        break;
    default:
        if (!fake.is_closed && fake.stream.wants_write)
            fake.stream.events->on_writable(&fake.stream);
        break;
    }
}

/* type, flags, stream and length, then the payload as far as there is one. */
static void run_steps(const uint8_t *p, size_t n)
{
    while (n >= 4 && !fake.is_closed) {
        size_t length = p[3] < n - 4 ? p[3] : n - 4;
        if (p[0] >= 0x80) {
            happen(p[0], p[2], p[3]);
            length = 0;
        } else {
            char frame[9 + 255] = {0, 0, (char)length, (char)(p[0] % 12), (char)p[1], 0,
                                   0, 0, (char)p[2]};
            memcpy(frame + 9, p + 4, length);
            feed(rg_str_n(frame, 9 + length));
        }
        p += 4 + length;
        n -= 4 + length;
        turn();
    }
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    (void)argc;
    (void)argv;
    rg_log_configure(RG_LOG_ERROR, RG_LOG_TEXT);
    rg_reactor_init(&reactor, 0, 1 << 20);
    reactor.thread = pthread_self();
    rg_rcu_thread_start();
    server = rg_http_server_new(&reactor, &rg_http_default_settings, routes, RG_COUNT_OF(routes));
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t n)
{
    if (n < 2)
        return 0;
    fake.in = (struct rg_str){NULL, 0};
    fake.room = SIZE_MAX;
    fake.has_ended = fake.is_closed = false;
    server->is_draining = false;
    rg_stream_init(&fake.stream, &fake_ops, &reactor);
    rg_h1_conn_open(server, &fake.stream, (struct rg_http_transport){.fd = -1});

    if (input[0] != 'b')
        feed(RG_STR(PREFACE));
    if (input[0] == 's') {
        feed(rg_str_n("\0\0\0\4\0\0\0\0\0", 9));
        run_steps(input + 1, n - 1);
    } else {
        /* In pieces, whose size the second byte says. */
        for (size_t at = 2; at < n && !fake.is_closed;) {
            size_t run = input[1] == 0 || input[1] > n - at ? n - at : input[1];
            feed(rg_str_n((const char *)input + at, run));
            at += run;
        }
    }
    let_pass(1000);
    turn();
    if (n % 2 == 0 && !fake.is_closed && fake.stream.wants_read) {
        fake.has_ended = true;
        fake.stream.events->on_readable(&fake.stream);
    }
    rg_http_server_close_all(server);
    for (size_t i = 0; i < MAX_TAKEN; i++)
        close_taken(i);
    turn();
    rg_assert(fake.is_closed && receiver.exchange == NULL);
    rg_assert(rg_http_server_connections(server) == 0 && reactor.wheel.pending == 0);
    rg_assert(reactor.late.next == &reactor.late);
    return 0;
}
