/*
 * Clients that take compressed messages, on a loop that the test runs itself: what each of them
 * reads is unpacked as it would do it.
 */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "../event/fixture.h"
#include "../net/peer.h"
#include "base/alloc.h"
#include "base/log.h"
#include "base/rcu.h"
#include "gunzip.h"
#include "http/chunked.h"
#include "net/socket.h"
#include "push/hub.h"
#include "push/sse.h"

#define CHAT "[{\"eventType\":\"chat.posted\"}]"
#define HEAD "HTTP/1.1 200 OK\r\n\r\n"

static struct rg_extractors *extractors;
static struct rg_push *push;
static struct rg_reactor reactor;
static struct rg_hub *hub;
static struct rg_dispatcher *dispatcher;
static struct peer peers[4];
static size_t peers_n;

static void settle(void *ctx)
{
    rg_hub_settle(ctx);
}

static int setup(void **state)
{
    const struct rg_push_settings settings = {
        .cors = "*",
        .client_queue_bytes = 8192,
        .heartbeat_ms = 15000,
        .write_timeout_ms = 10000,
        .max_subscriptions = 1000,
        .max_event_bytes = 1 << 20,
        .compression_min_bytes = 300,
    };

    (void)state;
    push = rg_push_new(&settings, extractors);
    peer_reactor_init(&reactor);
    hub = rg_hub_new(push, &reactor);
    reactor.ctx = hub;
    reactor.on_batch = settle;
    dispatcher = rg_dispatcher_new(push);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    for (size_t i = 0; i < peers_n; i++)
        peer_close(&peers[i]);
    peers_n = 0;
    rg_hub_kill_all(hub);
    peer_turn(&reactor);
    rg_dispatcher_free(&dispatcher);
    rg_hub_free(&hub);
    rg_reactor_done(&reactor);
    rg_push_free(&push);
    rg_rcu_barrier();
    return 0;
}

static void nothing(struct rg_stream *stream)
{
    (void)stream;
}

static struct peer *sse(enum rg_encoding encoding, int send_buffer)
{
    static const struct rg_stream_events no_events = {nothing, nothing, nothing};
    struct rg_subscription_set *set = fixture_set(extractors, CHAT);
    int theirs;

    assert_true(peers_n < RG_COUNT_OF(peers));
    peers[peers_n] = peer_open(&theirs, send_buffer);
    struct rg_stream *stream = rg_socket_open(&reactor, theirs, &no_events, NULL);
    struct rg_client *client = rg_client_new(hub, &rg_sse_ops, encoding, stream);
    rg_client_begin(client, RG_STR(HEAD));
    rg_client_greet(client, &set);
    rg_hub_settle(hub);
    peer_turn(&reactor);
    return &peers[peers_n++];
}

static void put_event(const char *id, size_t padding)
{
    static const struct rg_origin origin = {RG_SOURCE_HTTP, 0, -1, -1, -1};
    struct rg_buf text = {0};

    rg_buf_addf(&text,
                "{\"specversion\":\"0.2\",\"type\":\"chat.posted\",\"source\":\"/t\",\"id\":\"%s\","
                "\"data\":\"%*s\"}",
                id, (int)padding, "");
    assert_int_equal(rg_dispatch(dispatcher, rg_buf_str(&text), RG_CHECK_ALL, &origin, NULL, NULL),
                     0);
    rg_buf_done(&text);
}

static void event(const char *id, size_t padding)
{
    put_event(id, padding);
    peer_turn(&reactor);
}

/* Takes the chunks apart; true if the last one is there. */
static bool unchunk(struct rg_str text, struct rg_buf *out)
{
    struct rg_chunked chunked = {0};
    bool is_done = false;

    while (text.n > 0 && !is_done) {
        struct rg_str data;
        long used = rg_chunked_take(&chunked, text.p, text.n, &data, &is_done, NULL);
        assert_true(used > 0);
        rg_buf_add_str(out, data);
        text = rg_str_n(text.p + used, text.n - (size_t)used);
    }
    assert_int_equal(text.n, 0);
    return is_done;
}

/* The text of a client's stream so far; its gzip stream must have an end or must not. */
static struct rg_buf read_text(struct peer *peer, enum rg_encoding encoding, bool is_whole)
{
    struct rg_buf packed = {0}, text = {0};

    peer_read(&reactor, peer);
    assert_true(peer->got.n > strlen(HEAD));
    assert_memory_equal(peer->got.p, HEAD, strlen(HEAD));
    struct rg_str body = rg_str_n(peer->got.p + strlen(HEAD), peer->got.n - strlen(HEAD));
    if (encoding == RG_ENC_SSE_GZIP_CHUNKED || encoding == RG_ENC_SSE_CHUNKED)
        assert_int_equal(unchunk(body, &packed), peer->has_seen_end);
    else
        rg_buf_add_str(&packed, body);
    if (encoding == RG_ENC_SSE_GZIP_CHUNKED || encoding == RG_ENC_SSE_GZIP_PLAIN) {
        assert_int_equal(gunzip(rg_buf_str(&packed), &text), is_whole ? 1 : 0);
        rg_buf_done(&packed);
    } else {
        text = packed;
    }
    return text;
}

/* The stream without the first event, which differs from client to client. */
static struct rg_str behind_first(const struct rg_buf *text)
{
    const char *at = memmem(text->p, text->n, "\n\n", 2);

    assert_non_null(at);
    return rg_str_n(at, text->n - (size_t)(at - text->p));
}

static size_t count(struct rg_str text, const char *part)
{
    size_t n = 0;
    const char *at;

    while ((at = memmem(text.p, text.n, part, strlen(part))) != NULL) {
        n++;
        text.n -= (size_t)(at - text.p) + 1;
        text.p = at + 1;
    }
    return n;
}

static void every_client_reads_the_same(void **state)
{
    static const enum rg_encoding encodings[] = {RG_ENC_SSE_CHUNKED, RG_ENC_SSE_GZIP_CHUNKED,
                                                 RG_ENC_SSE_GZIP_PLAIN};
    struct rg_buf texts[RG_COUNT_OF(encodings)];

    (void)state;
    for (size_t i = 0; i < RG_COUNT_OF(encodings); i++)
        sse(encodings[i], 0);
    event("small", 10);
    event("large", 1000);
    put_event("b1", 400);
    put_event("b2", 1);
    put_event("b3", 700);
    peer_turn(&reactor);
    peer_let_pass(&reactor, 15000);
    rg_hub_drain(hub, NULL, NULL);
    for (size_t i = 0; i < RG_COUNT_OF(encodings); i++) {
        texts[i] = read_text(&peers[i], encodings[i], true);
        assert_true(peers[i].has_seen_end);
    }
    struct rg_str want = behind_first(&texts[0]);
    assert_int_equal(count(want, "\ndata: {\"specversion\""), 6);
    assert_int_equal(count(want, ": heartbeat\n\n"), 1);
    /* The subscriptions' event has an id of its own per client, of the same length. */
    const char *same = strstr(want.p, "\"id\":\"small\"");
    assert_non_null(same);
    size_t skipped = (size_t)(same - want.p);
    for (size_t i = 1; i < RG_COUNT_OF(encodings); i++) {
        struct rg_str got = behind_first(&texts[i]);
        assert_int_equal(got.n, want.n);
        assert_memory_equal(got.p + skipped, want.p + skipped, want.n - skipped);
    }
    for (size_t i = 0; i < RG_COUNT_OF(encodings); i++)
        rg_buf_done(&texts[i]);
}

static void what_was_sent_can_be_read_at_once(void **state)
{
    struct peer *peer = sse(RG_ENC_SSE_GZIP_CHUNKED, 0);

    (void)state;
    for (int i = 0; i < 5; i++) {
        char id[16], part[32];
        snprintf(id, sizeof(id), "e%d", i);
        snprintf(part, sizeof(part), "\"id\":\"e%d\"", i);
        event(id, i % 2 == 0 ? 1000 : 1);
        struct rg_buf text = read_text(peer, RG_ENC_SSE_GZIP_CHUNKED, false);
        assert_int_equal(count(rg_buf_str(&text), part), 1);
        assert_memory_equal(text.p + text.n - 2, "\n\n", 2);
        rg_buf_done(&text);
    }
}

static void only_events_of_some_size_are_compressed(void **state)
{
    struct peer *peer = sse(RG_ENC_SSE_GZIP_PLAIN, 0);

    (void)state;
    event("small", 200);
    peer_read(&reactor, peer);
    assert_true(peer_has(peer, "\"id\":\"small\""));
    size_t before = peer->got.n;
    event("large", 1000);
    peer_read(&reactor, peer);
    assert_false(peer_has(peer, "\"id\":\"large\""));
    assert_true(peer->got.n - before < 200);
}

static void clients_of_one_encoding_share_the_bytes(void **state)
{
    static const enum rg_encoding encodings[] = {RG_ENC_SSE_GZIP_CHUNKED, RG_ENC_SSE_GZIP_PLAIN};
    const struct rg_envelope envelope = {
        .text =
            RG_STR("{\"a\":\"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\"}"),
        .type = RG_STR("t"),
        .id = RG_STR("e1")};
    const struct rg_origin origin = {.partition = -1, .offset = -1, .broker_ms = -1};
    struct rg_compressor *compressor = rg_compressor_new(0);
    struct rg_event *shared = rg_event_new(&envelope, &origin, NULL, 0, 1);

    (void)state;
    for (size_t i = 0; i < RG_COUNT_OF(encodings); i++) {
        struct rg_msg *a = rg_msg_from_event(shared, encodings[i], compressor);
        struct rg_msg *b = rg_msg_from_event(shared, encodings[i], compressor);
        assert_ptr_equal(a->p, b->p);
        assert_true(a->sum.n > a->n);
        rg_msg_unref(&a);
        rg_msg_unref(&b);
    }
    rg_event_unref(&shared);
    rg_compressor_free(&compressor);
}

/* Text that hardly shrinks. */
static void make_noise(char *out, size_t n)
{
    unsigned seed = 3;

    for (size_t i = 0; i + 1 < n; i++) {
        seed = seed * 1664525u + 1013904223u;
        out[i] = (char)('a' + (seed >> 24) % 26);
    }
    out[n - 1] = '\0';
}

/* What is missing must not look as if it had never been there. */
static void a_slow_reader_gets_no_end(void **state)
{
    struct peer *peer = sse(RG_ENC_SSE_GZIP_CHUNKED, 4096);
    char noise[3000];

    (void)state;
    make_noise(noise, sizeof(noise));
    for (int i = 0; i < 10; i++)
        event(noise, 0);
    assert_int_equal(rg_counters_get(hub->counters, RG_HUB_ENDS + RG_END_SLOW), 1);
    struct rg_buf text = read_text(peer, RG_ENC_SSE_GZIP_CHUNKED, false);
    assert_true(peer->has_seen_end);
    assert_int_equal(count(rg_buf_str(&text), ": closed: the client reads too slowly\n\n"), 1);
    rg_buf_done(&text);
}

static void the_event_of_an_end_is_part_of_the_stream(void **state)
{
    struct peer *peer = sse(RG_ENC_SSE_GZIP_CHUNKED, 0);

    (void)state;
    event("large", 1000);
    rg_client_end_killed(hub->clients.at[0].thing);
    rg_hub_settle(hub);
    struct rg_buf text = read_text(peer, RG_ENC_SSE_GZIP_CHUNKED, true);
    assert_true(peer->has_seen_end);
    assert_int_equal(count(rg_buf_str(&text), "event: rig.session_killed\n"), 1);
    rg_buf_done(&text);
}

static void a_message_that_a_socket_takes_in_parts_counts_once(void **state)
{
    struct peer *peer = sse(RG_ENC_SSE_GZIP_CHUNKED, 4096);
    char noise[7000];

    (void)state;
    make_noise(noise, sizeof(noise));
    for (int i = 0; i < 5; i++) {
        event(noise, 0);
        peer_read(&reactor, peer);
    }
    rg_hub_drain(hub, NULL, NULL);
    struct rg_buf text = read_text(peer, RG_ENC_SSE_GZIP_CHUNKED, true);
    assert_int_equal(count(rg_buf_str(&text), noise), 5);
    rg_buf_done(&text);
}

static void nothing_is_negotiated_while_compression_is_off(void **state)
{
    static struct rg_request req;
    struct rg_buf extension = {0};

    (void)state;
    req.fields_n = 2;
    req.fields[0] = (struct rg_http_field){RG_STR("accept-encoding"), RG_STR("gzip")};
    req.fields[1] =
        (struct rg_http_field){RG_STR("sec-websocket-extensions"), RG_STR("permessage-deflate")};
    assert_true(rg_compression_accepts_gzip(push, &req));
    assert_true(rg_compression_accepts_deflate(push, &req, &extension));
    assert_true(extension.n > 0);
    rg_buf_clear(&extension);
    push->settings.compression_min_bytes = SIZE_MAX;
    assert_false(rg_compression_accepts_gzip(push, &req));
    assert_false(rg_compression_accepts_deflate(push, &req, &extension));
    assert_int_equal(extension.n, 0);
    assert_null(rg_compressor_new(SIZE_MAX));
    rg_buf_done(&extension);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(every_client_reads_the_same),
        TEST(what_was_sent_can_be_read_at_once),
        TEST(only_events_of_some_size_are_compressed),
        TEST(clients_of_one_encoding_share_the_bytes),
        TEST(a_slow_reader_gets_no_end),
        TEST(the_event_of_an_end_is_part_of_the_stream),
        TEST(a_message_that_a_socket_takes_in_parts_counts_once),
        TEST(nothing_is_negotiated_while_compression_is_off),
    };

    signal(SIGPIPE, SIG_IGN);
    rg_log_set_fd(open("/dev/null", O_WRONLY | O_CLOEXEC));
    rg_rcu_thread_start();
    rg_match_key_init();
    extractors = fixture_extractors();
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    rg_extractors_free(&extractors);
    rg_rcu_thread_stop();
    return failed;
}
