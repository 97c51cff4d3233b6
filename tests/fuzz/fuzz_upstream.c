/*
 * Answers on a connection to a service: what a call is told depends neither on how the bytes are
 * cut nor on pauses, and nothing is left when it is over. The first four bytes seed both, the fifth
 * chooses the method, whether the call is cancelled on the way, whether its body is streamed, and
 * whether it asks for another protocol.
 */
#include <sys/socket.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/rcu.h"
#include "http/upstream_priv.h"

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t n);

static struct rg_reactor reactor;
static struct rg_upstreams *upstreams;

/* What a call was told. */
struct told {
    struct rg_upstream_call *call; /* NULL: over */
    struct rg_buf text;
    uint32_t *seed; /* NULL: no pauses */
    bool has_head, may_cancel;
    bool is_streaming; /* and has not finished */
};

/* What the fifth byte says. */
enum {
    IS_HEAD = 1,
    MAY_CANCEL = 2,
    IS_STREAMED = 4,
    IS_UPGRADE = 8
};

static uint32_t next_random(uint32_t *seed)
{
    *seed = *seed * 1664525u + 1013904223u;
    return *seed >> 8;
}

static void maybe_pause(struct told *told)
{
    if (told->seed == NULL)
        return;
    uint32_t choice = next_random(told->seed) % 16;
    if (choice < 6)
        rg_upstream_pause(told->call);
    if (choice < 2)
        rg_upstream_resume(told->call);
    if (choice == 15 && told->may_cancel) {
        rg_upstream_cancel(told->call);
        told->call = NULL;
    }
}

static void on_head(void *arg, const struct rg_upstream_head *head)
{
    struct told *told = arg;

    rg_assert(told->call != NULL && !told->call->is_paused && !told->has_head);
    rg_assert(head->status >= 200 && head->fields_n <= RG_MAX_FIELDS_PER_MESSAGE);
    told->has_head = true;
    rg_buf_addf(&told->text, "%d %lld|", head->status, (long long)head->length);
    for (size_t i = 0; i < head->fields_n; i++) {
        rg_buf_add_str(&told->text, head->fields[i].name);
        rg_buf_add_char(&told->text, ':');
        rg_buf_add_str(&told->text, head->fields[i].value);
        rg_buf_add_char(&told->text, '\n');
    }
    maybe_pause(told);
}

static void on_body(void *arg, struct rg_str piece)
{
    struct told *told = arg;

    rg_assert(told->call != NULL && !told->call->is_paused && told->has_head && piece.n > 0);
    rg_buf_add_str(&told->text, piece);
    maybe_pause(told);
}

static void on_end(void *arg, const struct rg_http_field *trailers, size_t trailers_n)
{
    struct told *told = arg;

    rg_assert(told->call != NULL && told->has_head && trailers_n <= RG_MAX_TRAILERS);
    for (size_t i = 0; i < trailers_n; i++) {
        rg_buf_add_str(&told->text, trailers[i].name);
        rg_buf_add_str(&told->text, trailers[i].value);
    }
    told->call = NULL;
    rg_buf_add_c(&told->text, "<end>");
}

static void on_failure(void *arg, enum rg_upstream_error error, const struct rg_why *why)
{
    struct told *told = arg;

    rg_assert(told->call != NULL && why->text[0] != '\0');
    told->call = NULL;
    rg_buf_addf(&told->text, "<failure %d>", error);
}

static void on_writable(void *arg)
{
    rg_assert(((struct told *)arg)->call != NULL);
}

static void on_switch(void *arg, const struct rg_upstream_head *head,
                      struct rg_upstream_switched *switched)
{
    struct told *told = arg;

    rg_assert(told->call != NULL && !told->has_head && head->status == 101);
    told->call = NULL;
    rg_buf_addf(&told->text, "<switch %zu>", head->fields_n);
    rg_stream_close(&switched->stream);
    rg_buf_done(&switched->early);
}

static const struct rg_upstream_events events = {on_head,    on_body,     on_end,
                                                 on_failure, on_writable, on_switch};

static void turn(void)
{
    for (int i = 0; i < 3; i++)
        uv_run(&reactor.loop, UV_RUN_NOWAIT);
}

/* Sends a request on one end of a socket pair; returns the other. */
static int begin(struct told *told, unsigned flags)
{
    static const struct rg_http_field upgrade[] = {{{"upgrade", 7}, {"websocket", 9}}};
    const struct rg_upstream_request request = {
        .host = "127.0.0.1",
        .port = 1,
        .method = (flags & IS_HEAD) != 0 ? RG_STR("HEAD") : RG_STR("POST"),
        .target = RG_STR("/"),
        .fields = upgrade,
        .fields_n = 1,
        .is_streamed = (flags & IS_STREAMED) != 0,
        .body_length = -1,
        .is_upgrade = (flags & IS_UPGRADE) != 0,
        .response_timeout_ms = 1000,
    };
    int fds[2];

    rg_assert(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds) == 0);
    struct rg_upstream_call *call = rg_upstreams_send(upstreams, &request, &events, told);
    told->call = call;
    told->is_streaming = request.is_streamed;
    /* In place of the connection that is being made. */
    rg_connect_cancel(&call->connect);
    rg_upstream_conn_begin(rg_upstream_conn_new(call->address, fds[0], 0), call);
    return fds[1];
}

/* A little of the body, or its end. */
static void write_some(struct told *told)
{
    static const char piece[20000];

    if (told->call == NULL || !told->is_streaming || told->seed == NULL)
        return;
    uint32_t choice = next_random(told->seed) % 8;
    if (choice == 0) {
        rg_upstream_finish(told->call, NULL, 0);
        told->is_streaming = false;
    } else if (choice < 4) {
        rg_upstream_write(told->call, rg_str_n(piece, next_random(told->seed) % sizeof(piece)));
    }
}

/* Has the answer told, in pieces and with pauses if there is a seed. */
static void play(struct told *told, struct rg_str answer, unsigned flags)
{
    int fd = begin(told, flags);

    for (size_t at = 0; at < answer.n;) {
        size_t n = answer.n - at;
        if (told->seed != NULL && n > 1)
            n = 1 + next_random(told->seed) % (n < 40 ? n : 40);
        write_some(told);
        if (send(fd, answer.p + at, n, MSG_NOSIGNAL) != (ssize_t)n)
            break;
        at += n;
        turn();
        if (told->call != NULL && told->seed != NULL && next_random(told->seed) % 2 == 0)
            rg_upstream_resume(told->call);
    }
    shutdown(fd, SHUT_WR);
    for (int i = 0; i < 1000 && told->call != NULL; i++) {
        turn();
        if (told->call != NULL)
            rg_upstream_resume(told->call);
    }
    close(fd);
    turn();
    rg_assert(told->call == NULL);
    rg_upstreams_close_all(upstreams);
    turn();
    rg_assert(upstreams->pools == NULL && reactor.wheel.pending == 0);
}

static void start(void)
{
    struct rg_upstream_settings settings = rg_upstream_default_settings;

    settings.max_head_bytes = 200;
    rg_rcu_thread_start();
    rg_reactor_init(&reactor, 0, 1024);
    reactor.thread = pthread_self();
    upstreams = rg_upstreams_new(&reactor, &settings);
}

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t n)
{
    struct told at_once = {0}, cut = {0};
    uint32_t seed;

    if (n < 5 || n > 8192)
        return 0;
    if (upstreams == NULL)
        start();
    memcpy(&seed, input, sizeof(seed));
    struct rg_str answer = rg_str_n((const char *)input + 5, n - 5);

    play(&at_once, answer, input[4]);
    cut.seed = &seed;
    cut.may_cancel = (input[4] & MAY_CANCEL) != 0;
    play(&cut, answer, input[4]);
    /* A piece of a body may have been told before what is malformed behind it. */
    bool has_failed = at_once.text.n > 0 && at_once.text.p[at_once.text.n - 1] == '>' &&
                      memmem(at_once.text.p, at_once.text.n, "<failure", 8) != NULL;
    if (!cut.may_cancel && !has_failed)
        rg_assert(rg_str_eq(rg_buf_str(&at_once.text), rg_buf_str(&cut.text)));
    rg_buf_done(&at_once.text);
    rg_buf_done(&cut.text);
    return 0;
}
