/*
 * sockets.h - channel sockets on the stage: people with tokens, and what their WebSockets are told.
 *
 * What a socket says and hears is text: "[null,null,\"user:ada\",...]", or "close 1000 reason", or
 * "pong x". Presence is announced at once unless a test says otherwise.
 *
 * Thread: the test's.
 */
#pragma once

#include "stage.h"

#include <time.h>

#include "auth/jwt.h"
#include "http/websocket.h"
#include "push/channels.h"
#include "push/limits.h"

#define SECRET "a secret of thirty-two bytes or more"
#define ADA    "\"username\":\"ada\",\"role\":[\"customer\"],\"jti\":\"ja\""
#define ADA2   "\"username\":\"ada\",\"role\":[\"customer\"],\"jti\":\"ja2\""
#define BOB    "\"username\":\"bob\",\"role\":[\"customer\"],\"jti\":\"jb\""
#define SAM    "\"username\":\"sam\",\"role\":[\"support\"],\"jti\":\"js\""
#define OK     "{\"status\":\"ok\",\"response\":{}}"

static struct rg_blacklist *blacklist;
static struct rg_verifier *verifier;
static char *texts[4000];
static size_t texts_n;
static uint64_t passed_ms;
static const char *const privileged[] = {"support"};

/* Some text that stays until the end of the test. */
static inline const char *format(const char *fmt, ...)
{
    char *text;
    va_list args;

    assert_true(texts_n < RG_COUNT_OF(texts));
    va_start(args, fmt);
    assert_true(vasprintf(&text, fmt, args) >= 0);
    va_end(args);
    texts[texts_n++] = text;
    return text;
}

/* ---- the stage ---- */

static inline struct rg_verifier *verifier_with(const char *jwks, struct rg_http_client *http)
{
    struct rg_verifier_settings settings = {.alg = "HS256",
                                            .jwks = jwks,
                                            .jwks_interval_ms = 3600000,
                                            .session_field = "/sid",
                                            .cache_entries = 100,
                                            .blacklist = blacklist,
                                            .http = http};
    struct rg_why why = {0};

    if (jwks == NULL)
        settings.key = RG_STR(SECRET);
    struct rg_verifier *made = rg_verifier_new(&settings, &why);
    if (made == NULL)
        fail_msg("%s", why.text);
    return made;
}

/* Settings that a test changes before sockets_begin(), or in push->settings behind it. */
static inline struct rg_push_settings sockets_settings(void)
{
    return (struct rg_push_settings){
        .cors = "*",
        .client_queue_bytes = 65536,
        .heartbeat_ms = 15000,
        .write_timeout_ms = 10000,
        .longpoll_wait_ms = 5000,
        .longpoll_idle_ms = 3600000,
        .max_subscriptions = 20,
        .max_event_bytes = 1 << 20,
        .compression_min_bytes = SIZE_MAX,
        .channels = {.is_on = true,
                     .identity = {"username", "role", privileged, 1},
                     .session_role = "customer",
                     .max_channels = 8,
                     .max_message_bytes = 4096,
                     .idle_ms = 60000,
                     .heartbeat_ms = 10000,
                     .longpoll_wait_ms = 10000,
                     .longpoll_idle_ms = 20000,
                     .expiry_closes = true},
    };
}

static inline void sockets_begin(struct rg_push_settings settings)
{
    if (blacklist == NULL)
        blacklist = rg_blacklist_new();
    if (verifier == NULL)
        verifier = verifier_with(NULL, NULL);
    settings.verifier = verifier;
    settings.blacklist = blacklist;
    push = rg_push_new(&settings, extractors);
    shard_init(0);
    shard_init(1);
    dispatcher = rg_dispatcher_new(push);
    passed_ms = 0;
}

static inline int begin_sockets(void **state)
{
    (void)state;
    sockets_begin(sockets_settings());
    return 0;
}

/*
 * Lets what waits in the roster be announced. The loops go back to the real clock now and then, but
 * what has happened stays: so each time must be later than the last.
 */
static inline void pass_interval(void)
{
    for (unsigned i = 0; i < 2; i++) {
        if (shards[i].reactor.now_ms > passed_ms)
            passed_ms = shards[i].reactor.now_ms;
    }
    passed_ms += 1000;
    for (unsigned i = 0; i < 2; i++)
        peer_let_pass(&shards[i].reactor, passed_ms - shards[i].reactor.now_ms);
    turn();
}

static inline int end_sockets(void **state)
{
    for (size_t i = 0; i < peers_n; i++)
        peer_close(&peers[i]);
    turn();
    for (unsigned i = 0; i < 2; i++)
        rg_hub_kill_all(shards[i].hub);
    pass_interval();
    pass_interval();
    teardown(state);
    rg_verifier_free(&verifier);
    rg_blacklist_free(&blacklist);
    while (texts_n > 0)
        free(texts[--texts_n]);
    return 0;
}

#define SOCKET_TEST(f) cmocka_unit_test_setup_teardown(f, begin_sockets, end_sockets)

static inline uint64_t counted(size_t row)
{
    return rg_counters_get(shards[0].hub->counters, row) +
           rg_counters_get(shards[1].hub->counters, row);
}

/* ---- tokens ---- */

/* Claims as JSON members. */
static inline const char *token_until(int64_t exp_s, const char *claims)
{
    const char *json =
        format("{\"exp\":%lld%s%s}", (long long)exp_s, *claims != '\0' ? "," : "", claims);
    struct rg_buf text = {0};
    struct rg_why why = {0};

    if (rg_jwt_mint("HS256", RG_STR(SECRET), rg_str_c(json), &text, &why) < 0)
        fail_msg("%s", why.text);
    const char *token = format("%.*s", RG_STR_ARG(rg_buf_str(&text)));
    rg_buf_done(&text);
    return token;
}

static inline const char *token(const char *claims)
{
    return token_until((int64_t)time(NULL) + 600, claims);
}

/* ---- requests ---- */

/* Sends a request and reads what is answered at once. */
static inline struct peer *ask_on(unsigned shard, const char *method, const char *target,
                                  const char *fields)
{
    struct peer *peer = connect_to(shard, 0);
    struct rg_buf text = {0};

    rg_buf_addf(&text, "%s %s HTTP/1.1\r\nhost: h\r\n%s\r\n", method, target, fields);
    peer_put(peer, text.p, text.n);
    rg_buf_done(&text);
    hear(peer);
    return peer;
}

static inline struct peer *ask(const char *target, const char *fields)
{
    return ask_on(0, "GET", target, fields);
}

/* The status of the answer, and whether it has a body. */
static inline void expect_empty(struct peer *peer, int status)
{
    char line[32];

    snprintf(line, sizeof(line), "HTTP/1.1 %d ", status);
    if (!rg_str_starts_with(rg_buf_str(&peer->got), rg_str_c(line)))
        fail_msg("expected %d, got %.*s", status, RG_STR_ARG(rg_buf_str(&peer->got)));
    assert_true(rg_str_ends_with(rg_buf_str(&peer->got), RG_STR("\r\n\r\n")));
}

/* ---- sockets ---- */

/* Forgets the head of a response. */
static inline void forget_head(struct peer *peer)
{
    const char *end = memmem(peer->got.p, peer->got.n, "\r\n\r\n", 4);

    assert_non_null(end);
    rg_buf_consume(&peer->got, (size_t)(end - peer->got.p) + 4);
}

static inline struct peer *open_on(unsigned shard, const char *token, const char *vsn)
{
    struct peer *peer =
        ask_on(shard, "GET", format("/socket/websocket?token=%s&vsn=%s", token, vsn), WS_FIELDS);

    if (!peer_has(peer, "HTTP/1.1 101 Switching Protocols\r\n"))
        fail_msg("%s", peer->got.p);
    forget_head(peer);
    return peer;
}

/* A V2 socket on the first reactor. */
static inline struct peer *open_socket(const char *claims)
{
    return open_on(0, token(claims), "2.0.0");
}

/* Sends a frame of any length, without a turn; masked with zeroes the payload stays as it is. */
static inline void put_frame(struct peer *peer, unsigned char first, const char *payload, size_t n)
{
    char header[8] = {(char)first};
    size_t header_n = 2;

    if (n < 126) {
        header[1] = (char)(0x80 | n);
    } else {
        assert_true(n < 65536);
        header[1] = (char)(0x80 | 126);
        header[2] = (char)(n >> 8);
        header[3] = (char)n;
        header_n = 4;
    }
    peer_put(peer, header, header_n);
    peer_put(peer, "\0\0\0\0", 4);
    peer_put(peer, payload, n);
}

/* Says one message; the first without a turn. */
static inline void put_text(struct peer *peer, const char *text)
{
    put_frame(peer, 0x81, text, strlen(text));
}
static inline void tell(struct peer *peer, const char *text)
{
    put_text(peer, text);
    turn();
}

static inline const char *describe(const struct rg_ws_part *part)
{
    struct rg_str data = part->data;
    unsigned code = 0;

    switch (part->opcode) {
    case RG_WS_TEXT:
        return format("%.*s", RG_STR_ARG(data));
    case RG_WS_CLOSE:
        if (data.n < 2)
            return "close";
        code = (unsigned)(unsigned char)data.p[0] << 8 | (unsigned char)data.p[1];
        return data.n == 2 ? format("close %u", code)
                           : format("close %u %.*s", code, (int)data.n - 2, data.p + 2);
    case RG_WS_PONG:
        return format("pong %.*s", RG_STR_ARG(data));
    default:
        return format("frame %d", part->opcode);
    }
}

/* The next frame that peer was sent, "" if there is none. */
static inline const char *next(struct peer *peer)
{
    struct rg_ws_reader reader = {0};
    struct rg_ws_part part = {0};
    bool has_part = false;

    hear(peer);
    if (peer->got.n == 0)
        return "";
    long used = rg_ws_read(&reader, peer->got.p, peer->got.n, &part, &has_part, NULL);
    if (used == 2 && !part.ends_frame)
        used += rg_ws_read(&reader, peer->got.p + 2, peer->got.n - 2, &part, &has_part, NULL);
    assert_true(used > 0 && has_part && part.ends_frame && part.is_final);
    const char *text = describe(&part);
    rg_buf_consume(&peer->got, (size_t)used);
    return text;
}

/* The next message is exactly this. */
#define expect_next(peer, want)                                                                    \
    do {                                                                                           \
        const char *got_ = next(peer);                                                             \
        if (strcmp(got_, (want)) != 0)                                                             \
            fail_msg("expected %s, got %s", (want), got_);                                         \
    } while (0)
#define expect_nothing(peer) expect_next((peer), "")

/* The next message begins with this; returns it. */
static inline const char *expect_begin(struct peer *peer, const char *begin)
{
    const char *got = next(peer);

    if (strncmp(got, begin, strlen(begin)) != 0)
        fail_msg("expected %s..., got %s", begin, got);
    return got;
}

static inline void expect_part(const char *text, const char *part)
{
    if (strstr(text, part) == NULL)
        fail_msg("expected %s in %s", part, text);
}

static inline size_t count_in(const char *text, const char *part)
{
    size_t n = 0;

    while ((text = strstr(text, part)) != NULL) {
        n++;
        text += strlen(part);
    }
    return n;
}

/* The first "phx_ref":"..." in text. */
static inline const char *ref_in(const char *text)
{
    const char *at = strstr(text, "\"phx_ref\":\"");

    assert_non_null(at);
    return format("%.24s", at);
}

/* Joins topic with this reference, which must work; what follows the reply is not read. */
static inline void join(struct peer *peer, const char *ref, const char *topic)
{
    tell(peer, format("[\"%s\",\"%s\",\"%s\",\"phx_join\",{}]", ref, ref, topic));
    expect_next(peer, format("[\"%s\",\"%s\",\"%s\",\"phx_reply\"," OK "]", ref, ref, topic));
}

/* Joins and forgets what that brings. */
static inline void join_quietly(struct peer *peer, const char *ref, const char *topic)
{
    join(peer, ref, topic);
    forget(peer);
}

static inline size_t present(const char *topic)
{
    return rg_roster_count(push->roster, rg_str_c(topic));
}

/* A message for all on a topic. */
static inline int message(const char *topic, const char *payload)
{
    const struct rg_channel_message m = {rg_str_c(topic), RG_STR("message"), rg_str_c(payload)};
    static const struct rg_origin origin = {RG_SOURCE_KAFKA, 0, 0, 0, -1};
    int reactors = rg_dispatch_to_channel(push, RG_EVENT_CHANNEL, &m, &origin);

    turn();
    return reactors;
}
