/* Who may ask, and what a ban of a token does; on the stage, with a verifier and a blacklist. */
#include "stage.h"

#include "auth/jwt.h"
#include "base/clock.h"
#include "push/session_api.h"

#define SECRET "a secret of thirty-two bytes or more"
#define KILLED "event: rig.session_killed\n"
#define ALL    "\"getSessions\",\"getSessionConnections\",\"deleteConnection\""
#define DENIED "{\"msg\":\"Unauthorized\"}"

static struct rg_blacklist *blacklist;
static struct rg_verifier *verifier;

static void on_ban(void *arg, struct rg_str session)
{
    rg_push_kill_session(arg, session);
}

static int begin_play(void **state)
{
    struct rg_why why = {0};

    setup(state);
    blacklist = rg_blacklist_new();
    rg_blacklist_on_ban(blacklist, on_ban, push);
    verifier = rg_verifier_new(
        &(struct rg_verifier_settings){
            .alg = "HS256", .key = RG_STR(SECRET), .session_field = "/sid", .blacklist = blacklist},
        &why);
    assert_non_null(verifier);
    push->settings.blacklist = blacklist;
    push->settings.verifier = verifier;
    push->settings.channels.is_on = true;
    push->settings.channels.session_role = "customer";
    return 0;
}

static int end_play(void **state)
{
    teardown(state);
    rg_verifier_free(&verifier);
    rg_blacklist_free(&blacklist);
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

/* ---- on the stage ---- */

static int64_t in_s(int64_t s)
{
    return rg_clock_wall_us() / 1000000 + s;
}

static void mint(struct rg_buf *out, int64_t exp_s, const char *claims)
{
    struct rg_buf json = {0};
    struct rg_why why = {0};

    rg_buf_addf(&json, "{\"exp\":%lld,%s}", (long long)exp_s, claims);
    if (rg_jwt_mint("HS256", RG_STR(SECRET), rg_buf_str(&json), out, &why) < 0)
        fail_msg("%s", why.text);
    rg_buf_done(&json);
}

static struct peer *ask_with(const char *method, const char *target, const char *scheme,
                             int64_t exp_s, const char *claims)
{
    struct peer *peer = connect_to(0, 0);
    struct rg_buf text = {0};

    rg_buf_addf(&text, "%s %s HTTP/1.1\r\nhost: h\r\nauthorization: %s", method, target, scheme);
    mint(&text, exp_s, claims);
    rg_buf_add_c(&text, "\r\n\r\n");
    peer_put(peer, text.p, text.n);
    rg_buf_done(&text);
    hear(peer);
    return peer;
}

static struct peer *ask(const char *method, const char *target, const char *actions)
{
    char claims[256];

    snprintf(claims, sizeof(claims), "\"scopes\":{\"rg\":{\"actions\":[%s]}}", actions);
    return ask_with(method, target, "", in_s(600), claims);
}

static void expect(struct peer *peer, int status, const char *text)
{
    char line[32];

    snprintf(line, sizeof(line), "HTTP/1.1 %d ", status);
    if (!rg_str_starts_with(rg_buf_str(&peer->got), rg_str_c(line)) ||
        !(*text == '\0' || peer_has(peer, text)))
        fail_msg("expected %d %s, got %s", status, text, peer->got.p);
}

static struct peer *stream_on(unsigned shard, const char *sid, const char *jti)
{
    struct peer *peer = connect_to(shard, 0);
    struct rg_buf text = {0};
    char claims[128];

    snprintf(claims, sizeof(claims), "\"sid\":\"%s\",\"jti\":\"%s\"", sid, jti);
    rg_buf_add_c(&text, "GET /_rig/v1/connection/sse?jwt=");
    mint(&text, in_s(600), claims);
    rg_buf_add_c(&text, " HTTP/1.1\r\nhost: h\r\n\r\n");
    peer_put(peer, text.p, text.n);
    rg_buf_done(&text);
    hear(peer);
    return peer;
}

static struct peer *stream(const char *sid, const char *jti)
{
    struct peer *peer = stream_on(0, sid, jti);

    expect(peer, 200, "rig.subscriptions_set");
    return peer;
}

static void a_request_without_its_action_is_denied_and_has_no_effect(void **state)
{
    struct peer *peer = stream("s", "t");

    (void)state;
    expect(ask("DELETE", "/rg/connections/t", "\"getSessions\",\"getSessionConnections\""), 403,
           DENIED);
    expect(ask("GET", "/rg/sessions", "\"deleteConnection\""), 403, DENIED);
    expect(ask("GET", "/rg/sessions/ada", "\"getSessions\""), 403, DENIED);
    expect(ask_with("DELETE", "/rg/connections/t", "", in_s(-5),
                    "\"scopes\":{\"rg\":{\"actions\":[" ALL "]}}"),
           403, DENIED);
    expect(ask_with("GET", "/rg/sessions", "Basic ", in_s(600),
                    "\"scopes\":{\"rg\":{\"actions\":[" ALL "]}}"),
           403, DENIED);
    assert_int_equal(rg_blacklist_count(blacklist), 0);
    hear(peer);
    assert_false(peer->has_seen_end);
}

static void a_banned_token_may_nothing(void **state)
{
    (void)state;
    assert_int_equal(rg_blacklist_add(blacklist, RG_STR("admin"), 60), 0);
    expect(ask_with("GET", "/rg/sessions", "Bearer ", in_s(600),
                    "\"jti\":\"admin\",\"scopes\":{\"rg\":{\"actions\":[" ALL "]}}"),
           403, DENIED);
    expect(ask_with("GET", "/rg/sessions", "bearer ", in_s(600),
                    "\"jti\":\"other\",\"scopes\":{\"rg\":{\"actions\":[" ALL "]}}"),
           200, "\r\n\r\n[]");
}

static void a_banned_token_loses_its_clients_on_every_reactor(void **state)
{
    struct peer *near = stream("s", "a/t"), *far = stream_on(1, "s2", "a/t");
    struct peer *other = stream("s", "t2"), *session = stream("a/t", "t3");

    (void)state;
    expect(ask("DELETE", "/rg/connections/a%2Ft", "\"deleteConnection\""), 204, "");
    assert_ended(near);
    assert_ended(far);
    assert_true(peer_has(near, KILLED) && peer_has(far, KILLED));
    /* The names of sessions and of tokens are one list of bans. */
    assert_ended(session);
    hear(other);
    assert_false(other->has_seen_end);
    expect(stream_on(0, "s", "a/t"), 400, "Ignoring blacklisted JWT");
}

static uint64_t fake_now_ms;

static uint64_t fake_clock(void)
{
    return fake_now_ms;
}

static void a_ban_lasts_until_the_token_of_who_asks_ends_and_is_not_prolonged(void **state)
{
    struct rg_blacklist *real = blacklist;

    (void)state;
    blacklist = rg_blacklist_new_with(10, fake_clock);
    push->settings.blacklist = blacklist;
    expect(ask_with("DELETE", "/rg/connections/t", "", in_s(60),
                    "\"scopes\":{\"rg\":{\"actions\":[" ALL "]}}"),
           204, "");
    fake_now_ms += 10000;
    expect(ask_with("DELETE", "/rg/connections/t", "", in_s(1000),
                    "\"scopes\":{\"rg\":{\"actions\":[" ALL "]}}"),
           204, "");
    fake_now_ms += 45000;
    assert_true(rg_blacklist_has(blacklist, RG_STR("t")));
    fake_now_ms += 6000;
    assert_false(rg_blacklist_has(blacklist, RG_STR("t")));
    push->settings.blacklist = real;
    rg_blacklist_free(&blacklist);
    blacklist = real;
}

static void what_is_no_request_of_it_is_not_there(void **state)
{
    (void)state;
    expect(ask("POST", "/rg/sessions", ALL), 404, "");
    expect(ask("GET", "/rg/connections/t", ALL), 404, "");
    expect(ask("DELETE", "/rg/sessions/t", ALL), 404, "");
    expect(ask("GET", "/rg/sessions/%zz", ALL), 400, "");
    push->settings.channels.is_on = false;
    expect(ask("GET", "/rg/sessions", ALL), 404, "");
    expect(ask("DELETE", "/rg/connections/t", ALL), 404, "");
    assert_int_equal(rg_blacklist_count(blacklist), 0);
}

#define PLAY(f) cmocka_unit_test_setup_teardown(f, begin_play, end_play)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(only_a_listed_action_is_allowed),
        PLAY(a_request_without_its_action_is_denied_and_has_no_effect),
        PLAY(a_banned_token_may_nothing),
        PLAY(a_banned_token_loses_its_clients_on_every_reactor),
        PLAY(a_ban_lasts_until_the_token_of_who_asks_ends_and_is_not_prolonged),
        PLAY(what_is_no_request_of_it_is_not_there),
    };

    stage_begin();
    int failures = cmocka_run_group_tests(tests, NULL, NULL);
    stage_end();
    return failures;
}
