/* Who gets a channel socket: where tokens may be, of which pages, and what is waited for. */
#include "service.h"
#include "sockets.h"

#include "base/base64.h"
#include "http/client.h"
#include "push/socket_admission.h"

#define TARGET "/socket/websocket?vsn=2.0.0"

static void expect_in(struct peer *peer)
{
    if (!peer_has(peer, "HTTP/1.1 101 "))
        fail_msg("%.*s", RG_STR_ARG(rg_buf_str(&peer->got)));
}

/* A socket with these parameters behind vsn, and these fields. */
static struct peer *socket_with(const char *params, const char *fields)
{
    return ask(format(TARGET "%s", params), format(WS_FIELDS "%s", fields));
}

/* ---- tokens ---- */

/* Standard base64 without padding: its last digits are others than those of base64url. */
static const char *in_protocol(const char *token)
{
    struct rg_buf text = {0};

    rg_base64_add(&text, token, strlen(token));
    while (text.p[text.n - 1] == '=')
        text.n--;
    const char *field = format("sec-websocket-protocol: phoenix, base64url.bearer.phx.%.*s\r\n",
                               RG_STR_ARG(rg_buf_str(&text)));
    rg_buf_done(&text);
    return field;
}

static void a_token_may_be_in_three_places(void **state)
{
    const char *ada = token(ADA);

    (void)state;
    expect_in(socket_with(format("&token=%s", ada), ""));
    struct peer *peer = socket_with("", in_protocol(ada));
    expect_in(peer);
    assert_true(peer_has(peer, "\r\nsec-websocket-protocol: phoenix\r\n"));
    assert_false(peer_has(peer, "base64url"));
    expect_in(socket_with("", format("x-phoenix-authtoken: %s\r\n", ada)));
}

static void one_valid_token_is_enough(void **state)
{
    const char *ada = token(ADA), *old = token_until(1000, ADA), *no_jti = token("");

    (void)state;
    expect_in(socket_with(format("&token=%s&token=%s&token=garbage", old, ada), ""));
    expect_in(socket_with(format("&token=%s&token=%s", ada, no_jti), ""));
    expect_in(socket_with(format("&token=%s&token=%s", no_jti, ada), ""));
    expect_in(socket_with(format("&token=%s", old), in_protocol(ada)));
    expect_in(socket_with("&token=&token", format("x-phoenix-authtoken: %s\r\n", ada)));
    expect_empty(socket_with(format("&token=%s&token=%s", old, no_jti), ""), 403);
}

static void of_many_tokens_only_the_first_are_looked_at(void **state)
{
    const char *params = "";

    (void)state;
    for (int i = 0; i < RG_MAX_SOCKET_TOKENS; i++)
        params = format("%s&token=no%d", params, i);
    expect_empty(socket_with(format("%s&token=%s", params, token(ADA)), ""), 403);
}

static void what_is_no_base64_is_no_token(void **state)
{
    static const char *const entries[] = {"base64url.bearer.phx.",
                                          "base64url.bearer.phx.!!!!",
                                          "base64url.bearer.phx",
                                          "base64url.bearer.phx.A",
                                          ",,,",
                                          "phoenix"};

    (void)state;
    for (size_t i = 0; i < RG_COUNT_OF(entries); i++)
        expect_empty(socket_with("", format("sec-websocket-protocol: %s\r\n", entries[i])), 403);
}

static void banned_tokens_are_refused(void **state)
{
    (void)state;
    assert_int_equal(rg_blacklist_add(blacklist, RG_STR("ja"), 60), 0);
    expect_empty(socket_with(format("&token=%s", token(ADA)), ""), 403);
    expect_in(socket_with(format("&token=%s", token(ADA2)), ""));
}

static void the_version_that_is_given_last_counts(void **state)
{
    const char *ada = token(ADA);

    (void)state;
    expect_in(socket_with(format("&vsn=1.0.0&token=%s", ada), ""));
    expect_empty(socket_with(format("&vsn=9.0.0&token=%s", ada), ""), 403);
}

/* ---- origins ---- */

static void from(const char *origin, bool may_come)
{
    const char *fields = origin != NULL ? format("origin: %s\r\n", origin) : "";
    struct peer *peer = socket_with(format("&token=%s", token(ADA)), fields);

    if (may_come)
        expect_in(peer);
    else
        expect_empty(peer, 403);
}

static void pages_of_any_origin_may_come_by_default(void **state)
{
    (void)state;
    from(NULL, true);
    from("https://evil.example", true);
    from("null", true);
}

static void where_cors_names_an_origin_only_its_pages_may(void **state)
{
    (void)state;
    push->settings.cors = "https://ui.example";
    from(NULL, true);
    from("https://ui.example", true);
    from("HTTPS://UI.example", true);
    from("http://localhost:3000", true);
    from("https://localhost", true);
    from("https://evil.example", false);
    from("http://ui.example", false);
    from("https://ui.example:8443", false);
    from("https://ui.example.evil.example", false);
    from("http://localhost.evil.example", false);
    from("http://evil.example:80/localhost", false);
    from("localhost", false);
    from("null", false);
    assert_int_equal(counted(RG_HUB_REFUSALS + RG_REFUSED_ORIGIN), 8);
}

static void origins_say_more_than_cors(void **state)
{
    (void)state;
    push->settings.cors = "https://ui.example";
    push->settings.origins = "https://a.example, https://b.example";
    from("https://a.example", true);
    from("https://b.example", true);
    from("http://localhost", true);
    from("https://ui.example", false);
    push->settings.origins = "*";
    from("https://ui.example", true);
    from("https://a.example", false);
}

static void every_origin_that_a_request_names_counts(void **state)
{
    (void)state;
    push->settings.cors = "https://ui.example";
    expect_empty(socket_with(format("&token=%s", token(ADA)),
                             "origin: https://ui.example\r\norigin: https://evil.example\r\n"),
                 403);
}

/* ---- room ---- */

static void who_finds_no_room_is_told_when_to_come_again(void **state)
{
    struct rg_limits *limits =
        rg_limits_new(&(struct rg_limits_settings){.per_minute = -1, .clients = 1});

    (void)state;
    push->settings.limits = limits;
    struct peer *first = socket_with(format("&token=%s", token(ADA)), "");
    expect_in(first);
    struct peer *second = socket_with(format("&token=%s", token(ADA2)), "");
    expect_empty(second, 429);
    assert_true(peer_has(second, "\r\nretry-after: "));
    assert_int_equal(counted(RG_HUB_REFUSALS + RG_REFUSED_LIMIT), 1);
    hang_up(first);
    turn();
    /* Neither takes a place: the one is refused before, the other after. */
    expect_empty(socket_with("&token=garbage", ""), 403);
    expect_empty(ask(format(TARGET "&token=%s", token(ADA)), ""), 400);
    struct peer *third = socket_with(format("&token=%s", token(ADA2)), "");
    expect_in(third);
    hang_up(third);
    turn();
    rg_hub_kill_all(shards[0].hub);
    push->settings.limits = NULL;
    rg_limits_free(&limits);
}

/* ---- keys that are on their way ---- */

static struct rg_http_client *http;

static int begin_with_keys(void **state)
{
    (void)state;
    http = rg_http_client_new(&rg_http_client_default_settings);
    service.requests = 0;
    service_hold(true);
    blacklist = rg_blacklist_new();
    verifier = verifier_with(service.url, http);
    sockets_begin(sockets_settings());
    while (service_requests() < 1)
        sched_yield();
    return 0;
}

static int end_with_keys(void **state)
{
    for (unsigned i = 0; i < 2; i++) {
        rg_hub_kill_all(shards[i].hub);
        rg_http_server_close_all(shards[i].http);
    }
    service_hold(false);
    rg_http_client_free(&http);
    turn();
    assert_int_equal(shards[0].hub->questions_n, 0);
    return end_sockets(state);
}

#define KEYS_TEST(f) cmocka_unit_test_setup_teardown(f, begin_with_keys, end_with_keys)

static const char *key_set(void)
{
    struct rg_buf key = {0};

    rg_base64url_add(&key, SECRET, sizeof(SECRET) - 1);
    const char *set = format("{\"keys\":[{\"kty\":\"oct\",\"alg\":\"HS256\",\"k\":\"%.*s\"}]}",
                             RG_STR_ARG(rg_buf_str(&key)));
    rg_buf_done(&key);
    return set;
}

static void wait_for_answers(void)
{
    while (shards[0].hub->questions_n > 0) {
        sched_yield();
        turn();
    }
}

static void whoever_comes_waits_for_them(void **state)
{
    struct peer *query = socket_with(format("&token=garbage&token=%s", token(ADA)), "");
    struct peer *protocol = socket_with("", in_protocol(token(ADA)));
    struct peer *gone = socket_with(format("&token=%s", token(ADA)), "");
    struct peer *plain = ask(format(TARGET "&token=%s", token(ADA)), "");
    struct peer *none = socket_with("&token=garbage", "");

    (void)state;
    assert_int_equal(query->got.n + protocol->got.n + plain->got.n, 0);
    expect_empty(none, 403); /* what is no token will not become one */
    hang_up(gone);
    turn();
    service_answers(200, key_set());
    service_hold(false);
    wait_for_answers();
    hear(query), hear(protocol), hear(plain);
    expect_in(query);
    expect_in(protocol);
    expect_empty(plain, 400);
    assert_int_equal(clients(), 2);
    forget_head(query);
    join(query, "1", "user:ada");
}

static void who_waits_in_vain_is_refused(void **state)
{
    struct peer *peer = socket_with(format("&token=%s", token(ADA)), "");

    (void)state;
    service_answers(404, "");
    service_hold(false);
    wait_for_answers();
    hear(peer);
    expect_empty(peer, 403);
    assert_int_equal(counted(RG_HUB_REFUSALS + RG_REFUSED_TOKEN), 1);
}

static void who_waits_when_the_gateway_ends_is_refused(void **state)
{
    struct peer *peer = socket_with(format("&token=%s", token(ADA)), "");

    (void)state;
    rg_hub_drain(shards[0].hub, NULL, NULL);
    service_answers(200, key_set());
    service_hold(false);
    wait_for_answers();
    hear(peer);
    expect_empty(peer, 503);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SOCKET_TEST(a_token_may_be_in_three_places),
        SOCKET_TEST(one_valid_token_is_enough),
        SOCKET_TEST(of_many_tokens_only_the_first_are_looked_at),
        SOCKET_TEST(what_is_no_base64_is_no_token),
        SOCKET_TEST(banned_tokens_are_refused),
        SOCKET_TEST(the_version_that_is_given_last_counts),
        SOCKET_TEST(pages_of_any_origin_may_come_by_default),
        SOCKET_TEST(where_cors_names_an_origin_only_its_pages_may),
        SOCKET_TEST(origins_say_more_than_cors),
        SOCKET_TEST(every_origin_that_a_request_names_counts),
        SOCKET_TEST(who_finds_no_room_is_told_when_to_come_again),
        KEYS_TEST(whoever_comes_waits_for_them),
        KEYS_TEST(who_waits_in_vain_is_refused),
        KEYS_TEST(who_waits_when_the_gateway_ends_is_refused),
    };

    stage_begin();
    service_start();
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    service_stop();
    stage_end();
    return failed;
}
