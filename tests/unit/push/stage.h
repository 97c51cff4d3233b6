/*
 * stage.h - two hubs on loops that the test runs itself, with the client API in front of them.
 *
 * Clients are socket pairs, events come in through dispatch, and time passes only where the test
 * says so.
 *
 * Thread: the test's, which stands in for both reactors'.
 */
#pragma once

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
#include "push/api.h"

#define CHAT      "[{\"eventType\":\"chat.posted\"}]"
#define BLUE      "[{\"eventType\":\"chat.posted\",\"oneOf\":[{\"room\":\"blue\"}]}]"
#define RED       "[{\"eventType\":\"chat.posted\",\"oneOf\":[{\"room\":\"red\"}]}]"
#define OTHER     "[{\"eventType\":\"other\"}]"
#define LAST_PART "0\r\n\r\n"
#define WS_FIELDS                                                                                  \
    "connection: upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\n"                   \
    "sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n"

struct shard {
    struct rg_reactor reactor;
    struct rg_hub *hub;
    struct rg_http_server *http;
    struct rg_publish_endpoint publish;
    struct rg_route routes[RG_API_ROUTES + 1];
};

static struct rg_extractors *extractors;
static struct rg_push *push;
static struct shard shards[2];
static struct rg_dispatcher *dispatcher;
static struct peer peers[40];
static size_t peers_n;
static unsigned emptied;

/* Things that happen in the same batch as the events put before and after them. */
struct batch_item {
    struct rg_inbox_item item;
    struct peer *peer;
};
static struct batch_item batch_items[4];
static size_t batch_items_n;

/* ---- the stage ---- */

static inline void settle(void *ctx)
{
    rg_hub_settle(ctx);
}

static inline void shard_init(unsigned id)
{
    struct shard *shard = &shards[id];

    rg_reactor_init(&shard->reactor, id, (size_t)8 << 20);
    shard->reactor.thread = pthread_self();
    shard->hub = rg_hub_new(push, &shard->reactor);
    shard->reactor.ctx = shard->hub;
    shard->reactor.on_batch = settle;
    size_t n = rg_api_routes(shard->hub, &shard->publish, shard->routes);
    shard->routes[n++] = (struct rg_route){RG_METHODS_ALL, "*", rg_api_not_found, push, 0};
    shard->http = rg_http_server_new(&shard->reactor, &rg_http_default_settings, shard->routes, n);
    shard->hub->http = shard->http;
}

static inline int setup(void **state)
{
    const struct rg_push_settings settings = {
        .cors = "*",
        .client_queue_bytes = 4096,
        .heartbeat_ms = 15000,
        .write_timeout_ms = 10000,
        .longpoll_wait_ms = 5000,
        .longpoll_idle_ms = 3600000,
        .max_subscriptions = 1000,
        .max_event_bytes = 1 << 20,
    };

    (void)state;
    push = rg_push_new(&settings, extractors);
    shard_init(0);
    shard_init(1);
    dispatcher = rg_dispatcher_new(push);
    emptied = 0;
    batch_items_n = 0;
    return 0;
}

static inline void turn(void)
{
    for (int i = 0; i < 4; i++) {
        peer_turn(&shards[0].reactor);
        peer_turn(&shards[1].reactor);
    }
}

static inline int teardown(void **state)
{
    (void)state;
    for (size_t i = 0; i < peers_n; i++)
        peer_close(&peers[i]);
    peers_n = 0;
    turn();
    for (unsigned i = 0; i < 2; i++) {
        rg_hub_kill_all(shards[i].hub);
        rg_http_server_close_all(shards[i].http);
    }
    turn();
    rg_dispatcher_free(&dispatcher);
    for (unsigned i = 0; i < 2; i++) {
        assert_int_equal(shards[i].hub->clients_n, 0);
        assert_int_equal(shards[i].reactor.wheel.pending, 0);
        assert_int_equal(rg_index_memberships(shards[i].hub->index), 0);
        assert_int_equal(rg_counters_get(shards[i].hub->counters, RG_HUB_SUBSCRIPTIONS), 0);
        rg_http_server_free(&shards[i].http);
        rg_hub_free(&shards[i].hub);
        rg_reactor_done(&shards[i].reactor);
    }
    assert_int_equal(rg_interest_count(push->interest), 0);
    rg_push_free(&push);
    rg_rcu_barrier();
    return 0;
}

static inline void pass(uint64_t ms)
{
    peer_let_pass(&shards[0].reactor, ms);
    peer_let_pass(&shards[1].reactor, ms);
    turn();
}

static inline uint64_t ends(enum rg_end end)
{
    return rg_counters_get(shards[0].hub->counters, RG_HUB_ENDS + (size_t)end);
}

static inline size_t clients(void)
{
    return shards[0].hub->clients_n;
}

/* ---- clients ---- */

/* A new connection; it lives until the end of the test, and its place does not move. */
static inline struct peer *connect_to(unsigned shard, int send_buffer)
{
    int theirs;

    assert_true(peers_n < RG_COUNT_OF(peers));
    peers[peers_n] = peer_open(&theirs, send_buffer);
    rg_http_server_accept(shards[shard].http, theirs);
    return &peers[peers_n++];
}

static inline void say(struct peer *peer, const char *text)
{
    peer_put(peer, text, strlen(text));
    turn();
}

static inline const char *hear(struct peer *peer)
{
    do
        turn();
    while (peer_take(peer, SIZE_MAX) > 0);
    *rg_buf_reserve(&peer->got, 1) = '\0';
    return peer->got.p;
}

/* Reads what came and forgets it. */
static inline void forget(struct peer *peer)
{
    hear(peer);
    peer_forget(peer);
}

static inline void hang_up(struct peer *peer)
{
    close(peer->fd);
    peer->fd = -1;
}

/* A request line with the subscriptions in the query, and the fields behind it. */
static inline void request(struct peer *peer, const char *path, const char *subscriptions,
                           const char *version, const char *fields)
{
    struct rg_buf text = {0};

    rg_buf_addf(&text, "GET /_rig/v1/connection/%s", path);
    if (subscriptions != NULL) {
        rg_buf_add_c(&text, "?subscriptions=");
        for (const char *p = subscriptions; *p != '\0'; p++)
            rg_buf_addf(&text, "%%%02x", (unsigned char)*p);
    }
    rg_buf_addf(&text, " HTTP/%s\r\nhost: h\r\n%s\r\n", version, fields);
    rg_buf_add_char(&text, '\0');
    say(peer, text.p);
    rg_buf_done(&text);
}

static inline struct peer *sse_with(const char *subscriptions, int send_buffer)
{
    struct peer *peer = connect_to(0, send_buffer);

    request(peer, "sse", subscriptions, "1.1", "");
    hear(peer);
    assert_true(peer_has(peer, "HTTP/1.1 200 OK\r\n"));
    assert_true(peer_has(peer, "event: rig.subscriptions_set\n"));
    return peer;
}

static inline struct peer *sse(const char *subscriptions)
{
    return sse_with(subscriptions, 0);
}

static inline struct peer *ws_with(const char *subscriptions, int send_buffer)
{
    struct peer *peer = connect_to(0, send_buffer);

    request(peer, "ws", subscriptions, "1.1", WS_FIELDS);
    hear(peer);
    assert_true(peer_has(peer, "HTTP/1.1 101 Switching Protocols\r\n"));
    assert_true(peer_has(peer, "rig.subscriptions_set"));
    return peer;
}

static inline struct peer *ws(const char *subscriptions)
{
    return ws_with(subscriptions, 0);
}

/* Sends a frame; masked with zeroes the payload stays as it is. */
static inline void ws_send(struct peer *peer, unsigned char first, const char *payload, size_t n)
{
    char header[6] = {(char)first, (char)(0x80 | n), 0, 0, 0, 0};

    peer_put(peer, header, sizeof(header));
    peer_put(peer, payload, n);
    turn();
}

/* The value of a cookie, or of connection_token, that stands in what peer got. */
static inline const char *find_value(struct peer *peer, const char *before, char end)
{
    static char value[2][256];
    static unsigned use;
    char *to = value[use++ % 2];
    const char *p = hear(peer);
    size_t n = 0;

    /* Not strstr(): WebSocket frames have NULs in their headers. */
    p = memmem(p, peer->got.n, before, strlen(before));
    assert_non_null(p);
    p += strlen(before);
    while (p[n] != end) {
        assert_true(n < sizeof(value[0]) - 1);
        to[n] = p[n];
        n++;
    }
    to[n] = '\0';
    return to;
}

static inline const char *sse_token(struct peer *peer)
{
    return find_value(peer, "\"connection_token\":\"", '"');
}

/* Sets the subscriptions of a connection by another one; returns that one. */
static inline struct peer *subscribe(unsigned shard, const char *token, const char *subscriptions)
{
    struct peer *peer = connect_to(shard, 0);
    struct rg_buf text = {0};

    rg_buf_addf(&text,
                "PUT /_rig/v1/connection/sse/%s/subscriptions HTTP/1.1\r\nhost: h\r\n"
                "content-type: application/json\r\ncontent-length: %zu\r\n\r\n"
                "{\"subscriptions\":%s}",
                token, strlen(subscriptions) + strlen("{\"subscriptions\":}"), subscriptions);
    rg_buf_add_char(&text, '\0');
    peer_put(peer, text.p, text.n - 1);
    rg_buf_done(&text);
    return peer;
}

/* Long polling: the first request, and those that follow with both cookies. */
static inline struct peer *longpoll(const char *subscriptions)
{
    struct peer *peer = connect_to(0, 0);

    request(peer, "longpolling", subscriptions, "1.1", "");
    hear(peer);
    assert_true(peer_has(peer, "\r\n\r\n\"ok\""));
    return peer;
}

static inline void poll_with(struct peer *peer, const char *token, const char *last_id)
{
    char fields[600];

    snprintf(fields, sizeof(fields), "cookie: connection_token=%s; last_event_id=\"%s\"\r\n", token,
             last_id);
    request(peer, "longpolling", NULL, "1.1", fields);
}

/* ---- events ---- */

static inline int dispatch(struct rg_dispatcher *d, const char *type, const char *id,
                           const char *room, size_t padding)
{
    static const struct rg_origin origin = {RG_SOURCE_HTTP, 0, -1, -1, -1};
    struct rg_buf text = {0};

    rg_buf_addf(&text,
                "{\"specversion\":\"0.2\",\"type\":\"%s\",\"source\":\"/t\",\"id\":\"%s\","
                "\"data\":{\"room\":\"%s\",\"author\":\"ada\",\"padding\":\"%*s\"}}",
                type, id, room, (int)padding, "");
    int err = rg_dispatch(d, rg_buf_str(&text), RG_CHECK_ALL, &origin, NULL, NULL);
    rg_buf_done(&text);
    return err;
}

/* Puts an event into the inboxes, without a turn. */
static inline void put_event(const char *id, const char *room, size_t padding)
{
    assert_int_equal(dispatch(dispatcher, "chat.posted", id, room, padding), 0);
}

static inline void event(const char *id, const char *room)
{
    put_event(id, room, 0);
    turn();
}

/* How often the event with this id stands in what peer got. */
static inline size_t times(struct peer *peer, const char *id)
{
    char part[64];

    snprintf(part, sizeof(part), "\"id\":\"%s\"", id);
    hear(peer);
    return peer_count(peer, part);
}

static inline void assert_ended(struct peer *peer)
{
    hear(peer);
    assert_true(peer->has_seen_end);
}

/* What peer got ends with these bytes. */
static inline void assert_tail(struct peer *peer, struct rg_str tail)
{
    hear(peer);
    assert_true(peer->got.n >= tail.n);
    assert_memory_equal(peer->got.p + peer->got.n - tail.n, tail.p, tail.n);
}

static inline void in_this_batch(rg_inbox_fn *run, struct peer *peer)
{
    struct batch_item *item = &batch_items[batch_items_n++];

    assert_true(batch_items_n <= RG_COUNT_OF(batch_items));
    item->peer = peer;
    rg_reactor_post(&shards[0].reactor, &item->item, run, 0);
}

/* The loop cannot have seen this when the events behind it are delivered. */
static inline void hang_up_now(struct rg_inbox_item *item, void *ctx)
{
    (void)ctx;
    hang_up(RG_CONTAINER_OF(item, struct batch_item, item)->peer);
}

/* ---- the test program ---- */

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

static inline void stage_begin(void)
{
    signal(SIGPIPE, SIG_IGN);
    rg_log_set_fd(open("/dev/null", O_WRONLY | O_CLOEXEC));
    rg_rcu_thread_start();
    rg_match_key_init();
    extractors = fixture_extractors();
}

static inline void stage_end(void)
{
    rg_extractors_free(&extractors);
    rg_rcu_thread_stop();
}
