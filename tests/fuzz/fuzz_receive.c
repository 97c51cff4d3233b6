/*
 * Requests of HTTP/1.1 whose bodies are streamed. The same bytes are sent three times: at once; in
 * pieces, to a receiver that pauses; and to one that answers when it likes. The first two must come
 * to the same. In the third, no request may be found that was not one in the first: where a body is
 * not read to its end, what is left of it must never be taken for a request.
 *
 * The first four bytes seed all that is random.
 */
#include "base/alloc.h"
#include "base/log.h"
#include "base/rcu.h"
#include "http/h1_conn_priv.h"

#define MAX_BYTES 100000

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t n);
int LLVMFuzzerInitialize(int *argc, char ***argv);

static struct rg_reactor reactor;
static struct rg_http_server *server;

enum mode {
    AT_ONCE,
    IN_PIECES,
    AT_WILL
};

static struct {
    enum mode mode;
    uint32_t seed;
    struct rg_exchange *exchange; /* NULL: ended */
    bool is_paused, is_streaming;
    bool must_not_tell;
    struct rg_buf body;
    struct rg_buf targets; /* of all requests */
    struct rg_buf outcome; /* of all requests that were received */
} receiver;

static uint32_t draw(uint32_t below)
{
    receiver.seed = receiver.seed * 1664525u + 1013904223u;
    return (receiver.seed >> 8) % below;
}

/* ---- the socket ---- */

static struct {
    struct rg_stream stream;
    struct rg_str in; /* what is readable now */
    bool is_closed;
} fake;

static long fake_read(struct rg_stream *stream, void *p, size_t n)
{
    (void)stream;
    if (fake.in.n == 0)
        return UV_EAGAIN;
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
    return receiver.mode == AT_WILL && draw(4) == 0 ? UV_EAGAIN : (long)n;
}

static long fake_writev(struct rg_stream *stream, const struct iovec *iov, int n)
{
    size_t all = 0;

    for (int i = 0; i < n; i++)
        all += iov[i].iov_len;
    return fake_write(stream, iov, all);
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

/* ---- who receives ---- */

static void on_writable(void *arg)
{
    (void)arg;
}

static void on_gone(void *arg)
{
    (void)arg;
    rg_assert(receiver.exchange != NULL && !receiver.must_not_tell);
    receiver.exchange = NULL;
}

static const struct rg_body_events body_events = {on_writable, on_gone};

static void answer(int status)
{
    struct rg_response response = {.status = status, .body = RG_STR("<answer>")};

    /* The next request may come from inside of these; nothing of this one any more. */
    if (receiver.is_streaming)
        rg_exchange_finish_body(RG_STEAL(receiver.exchange));
    else
        rg_exchange_respond(RG_STEAL(receiver.exchange), &response);
}

static void begin(void)
{
    struct rg_response head = {.status = 200};

    receiver.is_streaming = true;
    rg_exchange_begin_body(receiver.exchange, &head, -1, &body_events, NULL);
}

static void set_paused(bool is_paused)
{
    receiver.must_not_tell = true;
    receiver.is_paused = is_paused;
    if (is_paused)
        rg_exchange_pause_receiving(receiver.exchange);
    else
        rg_exchange_resume_receiving(receiver.exchange);
    receiver.must_not_tell = false;
}

/* Something that it may do at any time. */
static void act(void)
{
    if (receiver.mode != AT_ONCE && draw(4) == 0)
        set_paused(!receiver.is_paused);
    if (receiver.mode != AT_WILL)
        return;
    switch (draw(16)) {
    case 0:
        answer(200);
        break;
    case 1:
        if (!receiver.is_streaming)
            begin();
        break;
    case 2:
        if (receiver.is_streaming)
            rg_exchange_abort_body(RG_STEAL(receiver.exchange));
        break;
    default:
        break;
    }
}

static void on_piece(void *arg, struct rg_str piece)
{
    (void)arg;
    rg_assert(receiver.exchange != NULL && !receiver.is_paused && !receiver.must_not_tell);
    rg_assert(piece.n > 0 && piece.n <= RG_READ_BUFFER);
    rg_buf_add_str(&receiver.body, piece);
    if (receiver.is_streaming)
        rg_exchange_write_body(receiver.exchange, piece);
    act();
}

static void add_slice(struct rg_str s)
{
    rg_buf_addf(&receiver.outcome, "%zu:", s.n);
    rg_buf_add_str(&receiver.outcome, s);
}

static void on_end(void *arg, const struct rg_http_field *trailers, size_t trailers_n)
{
    (void)arg;
    rg_assert(receiver.exchange != NULL && !receiver.is_paused && !receiver.must_not_tell);
    add_slice(rg_buf_str(&receiver.body));
    rg_assert(trailers_n <= 32);
    for (size_t i = 0; i < trailers_n; i++) {
        add_slice(trailers[i].name);
        add_slice(trailers[i].value);
    }
    answer(200);
}

static void on_error(void *arg, int status, const struct rg_why *why)
{
    (void)arg;
    rg_assert(receiver.exchange != NULL && !receiver.is_paused && !receiver.must_not_tell);
    rg_assert(why->text[0] != '\0' && (status == 400 || status == 413));
    rg_buf_addf(&receiver.outcome, "error %d", status);
    if (receiver.is_streaming)
        rg_exchange_abort_body(RG_STEAL(receiver.exchange));
    else
        answer(status);
}

static const struct rg_receive_events events = {on_piece, on_end, on_error};

static void handle(void *arg, struct rg_exchange *exchange)
{
    const struct rg_request *req = rg_exchange_request(exchange);

    (void)arg;
    rg_assert(receiver.exchange == NULL && !receiver.must_not_tell);
    receiver.exchange = exchange;
    receiver.is_paused = receiver.is_streaming = false;
    rg_buf_clear(&receiver.body);
    rg_buf_addf(&receiver.targets, "%zu:", req->target.n);
    rg_buf_add_str(&receiver.targets, req->target);
    rg_exchange_on_gone(exchange, on_gone, NULL);
    if (receiver.mode != AT_WILL || draw(4) != 0)
        rg_exchange_receive(exchange, 5000, &events, NULL);
    act();
}

static const struct rg_route routes[] = {{RG_METHODS_ALL, "*", handle, NULL, RG_BODY_STREAMED}};

/* ---- a connection ---- */

static void turn(void)
{
    uv_run(&reactor.loop, UV_RUN_NOWAIT);
    if (!fake.is_closed && fake.stream.wants_write)
        fake.stream.events->on_writable(&fake.stream);
}

static struct rg_h1_conn *conn(void)
{
    return RG_CONTAINER_OF(server->links, struct rg_h1_conn, link);
}

/* Sends what it will read; whoever does not read pauses, or is to answer. */
static void feed(struct rg_str bytes)
{
    fake.in = bytes;
    while (fake.in.n > 0 && !fake.is_closed) {
        if (fake.stream.wants_read)
            fake.stream.events->on_readable(&fake.stream);
        else if (receiver.exchange != NULL && receiver.is_paused)
            set_paused(false);
        else if (receiver.exchange != NULL)
            answer(200);
        turn();
        rg_assert(fake.is_closed || conn()->in.n <= 2 * (size_t)RG_READ_BUFFER);
    }
}

/* Sends all of it in one way, and closes. */
static void run(enum mode mode, uint32_t seed, struct rg_str bytes)
{
    fake.is_closed = false;
    receiver.mode = mode;
    receiver.seed = seed;
    rg_buf_clear(&receiver.targets);
    rg_buf_clear(&receiver.outcome);
    rg_stream_init(&fake.stream, &fake_ops, &reactor);
    fake.in = (struct rg_str){NULL, 0};
    rg_h1_conn_open(server, &fake.stream, (struct rg_http_transport){.fd = -1});
    while (bytes.n > 0 && !fake.is_closed) {
        size_t most = draw(4) == 0 ? 2000 : 20;
        size_t run_n = mode == AT_ONCE ? bytes.n : 1 + draw((uint32_t)most);
        run_n = run_n < bytes.n ? run_n : bytes.n;
        feed(rg_str_n(bytes.p, run_n));
        bytes = rg_str_n(bytes.p + run_n, bytes.n - run_n);
    }
    while (!fake.is_closed && receiver.exchange != NULL && receiver.is_paused) {
        set_paused(false);
        turn();
    }
    rg_http_server_close_all(server);
    turn();
    rg_assert(fake.is_closed && receiver.exchange == NULL);
    rg_assert(rg_http_server_connections(server) == 0 && reactor.wheel.pending == 0);
    rg_assert(reactor.late.next == &reactor.late);
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    static struct rg_http_settings settings;

    (void)argc;
    (void)argv;
    settings = rg_http_default_settings;
    settings.is_h2_on = false;
    rg_log_configure(RG_LOG_ERROR, RG_LOG_TEXT);
    rg_reactor_init(&reactor, 0, 1 << 20);
    reactor.thread = pthread_self();
    rg_rcu_thread_start();
    server = rg_http_server_new(&reactor, &settings, routes, RG_COUNT_OF(routes));
    return 0;
}

static bool is_prefix(const struct rg_buf *prefix, const struct rg_buf *all)
{
    return prefix->n <= all->n && (prefix->n == 0 || memcmp(prefix->p, all->p, prefix->n) == 0);
}

static bool is_same(const struct rg_buf *a, const struct rg_buf *b)
{
    return a->n == b->n && is_prefix(a, b);
}

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t n)
{
    struct rg_buf targets = {0}, outcome = {0};
    struct rg_str bytes;
    uint32_t seed;

    if (n < sizeof(seed) || n > MAX_BYTES)
        return 0;
    memcpy(&seed, input, sizeof(seed));
    bytes = rg_str_n((const char *)input + sizeof(seed), n - sizeof(seed));
    run(AT_ONCE, seed, bytes);
    rg_buf_add_str(&targets, rg_buf_str(&receiver.targets));
    rg_buf_add_str(&outcome, rg_buf_str(&receiver.outcome));
    run(IN_PIECES, seed, bytes);
    rg_assert(is_same(&receiver.targets, &targets));
    rg_assert(is_same(&receiver.outcome, &outcome));
    run(AT_WILL, seed, bytes);
    rg_assert(is_prefix(&receiver.targets, &targets));
    rg_buf_done(&targets);
    rg_buf_done(&outcome);
    rg_buf_done(&receiver.body);
    rg_buf_done(&receiver.targets);
    rg_buf_done(&receiver.outcome);
    return 0;
}
