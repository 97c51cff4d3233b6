/* Who may ask, what is listed, and what a ban of a token does; sessions are named by sid. */
#include "sockets.h"

#include "push/session.h"
#include "push/session_api.h"

#define KILLED "event: rig.session_killed\n"
#define ALL    "\"getSessions\",\"getSessionConnections\",\"deleteConnection\""
#define DENIED "{\"msg\":\"Unauthorized\"}"

static void on_ban(void *arg, struct rg_str session)
{
    rg_push_kill_session(arg, session);
}

static int begin_play(void **state)
{
    begin_sockets(state);
    rg_blacklist_on_ban(blacklist, on_ban, push);
    return 0;
}

/* ---- who may ---- */

static bool allows(const char *json, const char *action)
{
    struct rg_claims *claims = rg_claims_new(rg_str_c(json), 0, RG_STR(""), RG_STR(""));
    bool is_allowed = rg_session_api_allows(claims, rg_str_c(action));

    rg_claims_unref(&claims);
    return is_allowed;
}

static void only_a_listed_action_is_allowed(void **state)
{
    static const char *const without[] = {
        "{}",
        "{\"scopes\":null}",
        "{\"scopes\":[]}",
        "{\"scopes\":{\"rg\":\"a\"}}",
        "{\"scopes\":{\"rg\":{}}}",
        "{\"scopes\":{\"rg\":{\"actions\":[]}}}",
        "{\"scopes\":{\"rg\":{\"actions\":\"a\"}}}",
        "{\"scopes\":{\"rg\":{\"actions\":{\"a\":\"a\"}}}}",
        "{\"scopes\":{\"rg\":{\"actions\":[[\"a\"],1,null,\"A\",\"ab\",\"\",\"\\u0061b\"]}}}",
        "{\"scopes\":{\"x\":{\"actions\":[\"a\"]}}}",
        "{\"rg\":{\"actions\":[\"a\"]}}",
        "{\"/scopes/rg/actions\":[\"a\"]}"};

    (void)state;
    for (size_t i = 0; i < RG_COUNT_OF(without); i++) {
        if (allows(without[i], "a"))
            fail_msg("%s", without[i]);
    }
    assert_true(allows("{\"scopes\":{\"rg\":{\"actions\":[\"b\",1,\"a\"]}}}", "a"));
    assert_true(allows("{\"scopes\":{\"rg\":{\"actions\":[\"\\u0061\"]}}}", "a"));
}

/* ---- requests ---- */

static const char *scopes(const char *actions)
{
    return format("\"scopes\":{\"rg\":{\"actions\":[%s]}}", actions);
}

/* A request with this Authorization. */
static struct peer *call_as(const char *method, const char *target, const char *authorization)
{
    return ask_on(0, method, target, format("authorization: %s\r\n", authorization));
}

static struct peer *call(const char *method, const char *target, const char *actions)
{
    return call_as(method, target, token(scopes(actions)));
}

static void expect(struct peer *peer, int status, const char *text)
{
    bool has_text = *text == '\0' || peer_has(peer, text);
    char line[32];

    snprintf(line, sizeof(line), "HTTP/1.1 %d ", status);
    if (!rg_str_starts_with(rg_buf_str(&peer->got), rg_str_c(line)) || !has_text)
        fail_msg("expected %d %s, got %.*s", status, text, RG_STR_ARG(rg_buf_str(&peer->got)));
}

/* An event stream of this token. */
static struct peer *stream_on(unsigned shard, const char *claims)
{
    return ask_on(shard, "GET", format("/_rig/v1/connection/sse?jwt=%s", token(claims)), "");
}

static struct peer *stream(const char *claims)
{
    struct peer *peer = stream_on(0, claims);

    expect(peer, 200, "rig.subscriptions_set");
    return peer;
}

static void expect_open(struct peer *peer)
{
    hear(peer);
    assert_false(peer->has_seen_end);
}

static void a_request_without_its_action_is_denied_and_has_no_effect(void **state)
{
    struct peer *peer = stream("\"sid\":\"s\",\"jti\":\"t\"");
    const char *good = token(scopes(ALL));

    (void)state;
    expect(call("DELETE", "/rg/connections/t", "\"getSessions\",\"getSessionConnections\""), 403,
           DENIED);
    expect(call("GET", "/rg/sessions", "\"deleteConnection\""), 403, DENIED);
    expect(call("GET", "/rg/sessions/ada", "\"getSessions\""), 403, DENIED);
    expect(call_as("DELETE", "/rg/connections/t", token_until(time(NULL) - 5, scopes(ALL))), 403,
           DENIED);
    expect(call_as("GET", "/rg/sessions", format("Basic %s", good)), 403, DENIED);
    expect(call_as("GET", "/rg/sessions", format("Bearer %s, Bearer x", good)), 403, DENIED);
    expect(call_as("DELETE", "/rg/connections/t", "x"), 403, DENIED);
    expect(ask_on(0, "DELETE", "/rg/connections/t", ""), 403, DENIED);
    assert_int_equal(rg_blacklist_count(blacklist), 0);
    expect_open(peer);
}

static void a_banned_token_may_nothing(void **state)
{
    const char *admin = token(format("\"jti\":\"admin\",%s", scopes(ALL)));

    (void)state;
    expect(call_as("GET", "/rg/sessions", format("bearer %s", admin)), 200, "\r\n\r\n[]");
    assert_int_equal(rg_blacklist_add(blacklist, RG_STR("admin"), 60), 0);
    expect(call_as("GET", "/rg/sessions", format("bearer %s", admin)), 403, DENIED);
}

static void what_is_no_request_of_it_is_not_there(void **state)
{
    (void)state;
    expect(call("POST", "/rg/sessions", ALL), 404, "");
    expect(call("GET", "/rg/connections/t", ALL), 404, "");
    expect(call("DELETE", "/rg/sessions/t", ALL), 404, "");
    expect(call("GET", "/rg/sessions/%zz", ALL), 400, "malformed");
    expect(ask_on(0, "GET", "/rg/sessions", "accept: text/html\r\n"), 406, "application/json");
    expect(ask_on(0, "OPTIONS", "/rg/connections/t", ""), 204,
           "access-control-allow-methods: DELETE\r\n");
    assert_int_equal(rg_blacklist_count(blacklist), 0);
}

static int begin_without_channels(void **state)
{
    struct rg_push_settings settings = sockets_settings();

    (void)state;
    settings.channels.is_on = false;
    sockets_begin(settings);
    return 0;
}

static void without_the_channels_dialect_it_is_not_there(void **state)
{
    (void)state;
    expect(call("GET", "/rg/sessions", ALL), 404, "Not Found");
    expect(call("DELETE", "/rg/connections/t", ALL), 404, "Not Found");
    assert_int_equal(rg_blacklist_count(blacklist), 0);
}

/* ---- lists ---- */

static void the_users_of_the_role_are_listed_once(void **state)
{
    (void)state;
    join_quietly(open_socket(ADA), "1", "user:ada");
    join_quietly(open_on(1, token(ADA2), "2.0.0"), "1", "user:ada");
    join_quietly(open_socket(SAM), "1", "user:sam");
    expect(call("GET", "/rg/sessions", ALL), 200, "\r\n\r\n[\"ada\"]");
    join_quietly(open_socket(BOB), "1", "user:bob");
    struct peer *peer = call("GET", "/rg/sessions/", ALL);
    assert_true(peer_has(peer, "[\"ada\",\"bob\"]") || peer_has(peer, "[\"bob\",\"ada\"]"));
}

static void the_metas_of_a_users_topic_are_listed(void **state)
{
    struct peer *peer;

    (void)state;
    join_quietly(open_socket(ADA), "1", "user:ada");
    join_quietly(open_on(1, token(ADA2), "2.0.0"), "1", "user:ada");
    peer = call("GET", "/rg/sessions/%61da", "\"getSessionConnections\"");
    expect(peer, 200, "\"jti\":\"ja\"");
    assert_true(peer_has(peer, "\"jti\":\"ja2\""));
    assert_int_equal(peer_count(peer, "\"phx_ref\":\""), 2);
    expect(call("GET", "/rg/sessions/nobody", ALL), 200, "\r\n\r\n[]");
}

#define CROWD 1300 /* users, which is more than two pages */

static void populate(struct rg_presences *presences[CROWD])
{
    const struct rg_str topic = RG_STR("role:customer");
    uint64_t version;

    for (unsigned i = 0; i < CROWD; i++) {
        const struct rg_roster_entrant entrant = {rg_str_c(format("user-%u", i)), RG_STR("{}"),
                                                  &topic, 1};
        presences[i] = rg_roster_join(push->roster, &entrant, RG_STR(""), 0, NULL, &version);
    }
}

static void depopulate(struct rg_presences *presences[CROWD])
{
    for (unsigned i = 0; i < CROWD; i++)
        rg_roster_leave(push->roster, &presences[i], 0);
}

static void assert_all_listed(struct peer *peer)
{
    hear(peer);
    expect(peer, 200, "\r\n\r\n[\"user-");
    for (unsigned i = 0; i < CROWD; i++)
        assert_int_equal(peer_count(peer, format("\"user-%u\"", i)), 1);
    assert_true(rg_str_ends_with(rg_buf_str(&peer->got), RG_STR("\"]")));
}

static void put_request(struct peer *peer)
{
    const char *text = format("GET /rg/sessions HTTP/1.1\r\nhost: h\r\nauthorization: %s\r\n\r\n",
                              token(scopes(ALL)));
    peer_put(peer, text, strlen(text));
}

static void a_long_list_is_made_in_several_turns(void **state)
{
    struct rg_presences *presences[CROWD];
    struct peer *peer = connect_to(0, 0);

    (void)state;
    populate(presences);
    put_request(peer);
    while (shards[0].hub->questions_n == 0)
        uv_run(&shards[0].reactor.loop, UV_RUN_NOWAIT);
    assert_all_listed(peer);
    assert_int_equal(shards[0].hub->questions_n, 0);
    depopulate(presences);
}

static void a_long_list_for_one_who_has_gone_is_given_up(void **state)
{
    struct rg_presences *presences[CROWD];
    struct peer *peer = connect_to(0, 0);

    (void)state;
    populate(presences);
    put_request(peer);
    while (shards[0].hub->questions_n == 0)
        uv_run(&shards[0].reactor.loop, UV_RUN_NOWAIT);
    rg_http_server_close_all(shards[0].http);
    turn();
    assert_int_equal(shards[0].hub->questions_n, 0);
    assert_ended(peer);
    assert_int_equal(peer->got.n, 0);
    depopulate(presences);
}

static void nothing(void *arg)
{
    (void)arg;
}

static void a_long_list_is_finished_when_the_gateway_ends(void **state)
{
    struct rg_presences *presences[CROWD];
    struct peer *peer = connect_to(0, 0);

    (void)state;
    populate(presences);
    put_request(peer);
    while (shards[0].hub->questions_n == 0)
        uv_run(&shards[0].reactor.loop, UV_RUN_NOWAIT);
    rg_hub_drain(shards[0].hub, nothing, NULL);
    assert_all_listed(peer);
    depopulate(presences);
}

/* ---- bans ---- */

static void a_banned_token_loses_its_clients_on_every_reactor(void **state)
{
    struct peer *near = stream("\"sid\":\"s\",\"jti\":\"a/t\"");
    struct peer *far = stream_on(1, "\"sid\":\"s2\",\"jti\":\"a/t\"");
    struct peer *other = stream("\"sid\":\"s\",\"jti\":\"t2\"");
    struct peer *session = stream("\"sid\":\"a/t\",\"jti\":\"t3\"");

    (void)state;
    expect(call("DELETE", "/rg/connections/a%2Ft", "\"deleteConnection\""), 204, "");
    assert_ended(near);
    assert_ended(far);
    assert_true(peer_has(near, KILLED) && peer_has(far, KILLED));
    /* The names of sessions and of tokens are one list of bans. */
    assert_ended(session);
    expect_open(other);
    expect(stream_on(0, "\"sid\":\"s\",\"jti\":\"a/t\""), 400, "Ignoring blacklisted JWT");
}

static void a_banned_token_loses_its_sockets(void **state)
{
    struct peer *ada = open_socket(ADA), *far = open_on(1, token(ADA), "1.0.0");
    struct peer *ada2 = open_socket(ADA2);

    (void)state;
    join_quietly(ada, "1", "user:ada");
    expect_empty(call("DELETE", "/rg/connections/ja", ALL), 204);
    expect_part(next(ada), "phx_error");
    expect_next(ada, "close 1000");
    expect_next(far, "close 1000");
    expect_nothing(ada2);
    assert_int_equal(present("user:ada"), 0);
    expect_empty(ask(format("/socket/websocket?token=%s&vsn=2.0.0", token(ADA)), WS_FIELDS), 403);
    expect_empty(call("DELETE", "/rg/connections/nobody", ALL), 204);
}

static uint64_t fake_now_ms;

static uint64_t fake_clock(void)
{
    return fake_now_ms;
}

static void delete_until(int64_t exp_s)
{
    expect(call_as("DELETE", "/rg/connections/t", token_until(exp_s, scopes(ALL))), 204, "");
}

static void a_ban_lasts_until_the_token_of_who_asks_ends_and_is_not_prolonged(void **state)
{
    struct rg_blacklist *timed = rg_blacklist_new_with(10, fake_clock);

    (void)state;
    push->settings.blacklist = timed;
    delete_until(time(NULL) + 60);
    fake_now_ms += 10000;
    delete_until(time(NULL) + 1000);
    fake_now_ms += 45000;
    assert_true(rg_blacklist_has(timed, RG_STR("t")));
    fake_now_ms += 6000;
    assert_false(rg_blacklist_has(timed, RG_STR("t")));
    push->settings.blacklist = blacklist;
    rg_blacklist_free(&timed);
}

static void a_token_without_a_near_end_bans_as_long_as_can_be(void **state)
{
    (void)state;
    delete_until(INT64_MAX);
    assert_int_equal(rg_blacklist_count(blacklist), 1);
}

static void a_full_blacklist_is_told(void **state)
{
    struct rg_blacklist *full = rg_blacklist_new_with(0, fake_clock);

    (void)state;
    push->settings.blacklist = full;
    expect(call("DELETE", "/rg/connections/t", ALL), 503, "too many");
    push->settings.blacklist = blacklist;
    rg_blacklist_free(&full);
}

#define PLAY(f) cmocka_unit_test_setup_teardown(f, begin_play, end_sockets)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(only_a_listed_action_is_allowed),
        PLAY(a_request_without_its_action_is_denied_and_has_no_effect),
        PLAY(a_banned_token_may_nothing),
        PLAY(what_is_no_request_of_it_is_not_there),
        cmocka_unit_test_setup_teardown(without_the_channels_dialect_it_is_not_there,
                                        begin_without_channels, end_sockets),
        PLAY(the_users_of_the_role_are_listed_once),
        PLAY(the_metas_of_a_users_topic_are_listed),
        PLAY(a_long_list_is_made_in_several_turns),
        PLAY(a_long_list_for_one_who_has_gone_is_given_up),
        PLAY(a_long_list_is_finished_when_the_gateway_ends),
        PLAY(a_banned_token_loses_its_clients_on_every_reactor),
        PLAY(a_banned_token_loses_its_sockets),
        PLAY(a_ban_lasts_until_the_token_of_who_asks_ends_and_is_not_prolonged),
        PLAY(a_token_without_a_near_end_bans_as_long_as_can_be),
        PLAY(a_full_blacklist_is_told),
    };

    stage_begin();
    int failures = cmocka_run_group_tests(tests, NULL, NULL);
    stage_end();
    return failures;
}
