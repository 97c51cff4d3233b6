/* The internal port on a loop of its own, with the two hubs of the stage behind it. */
#include "stage.h"

#include "auth/blacklist.h"
#include "auth/claims.h"
#include "push/session_admin.h"

#define FAR_S  4000000000
#define KILLED "event: rig.session_killed\n"

static const struct rg_route catch_all = {RG_METHODS_ALL, "*", rg_api_not_found, NULL, 65536};

static struct rg_reactor control;
static struct rg_http_server *internal;
static struct rg_session_admin admin;
static struct rg_route routes[RG_SESSION_ADMIN_ROUTES + 1];
static struct rg_blacklist *blacklist;

static void on_ban(void *arg, struct rg_str session)
{
    rg_push_kill_session(arg, session);
}

static int begin_play(void **state)
{
    setup(state);
    blacklist = rg_blacklist_new();
    rg_blacklist_on_ban(blacklist, on_ban, push);
    push->settings.blacklist = blacklist;
    push->settings.channels.session_role = "customer";
    push->settings.channels.identity = (struct rg_identity_fields){"username", "role", NULL, 0};
    rg_reactor_init(&control, 2, (size_t)1 << 20);
    control.thread = pthread_self();
    admin = (struct rg_session_admin){.push = push, .reactor = &control};
    rg_session_admin_routes(&admin, routes);
    routes[RG_SESSION_ADMIN_ROUTES] = catch_all;
    routes[RG_SESSION_ADMIN_ROUTES].arg = push;
    internal = rg_http_server_new(&control, &rg_http_default_settings, routes,
                                  RG_SESSION_ADMIN_ROUTES + 1);
    admin.http = internal;
    return 0;
}

static void turn_all(void)
{
    for (int i = 0; i < 4; i++) {
        peer_turn(&control);
        turn();
    }
}

static int end_play(void **state)
{
    for (size_t i = 0; i < peers_n; i++)
        peer_close(&peers[i]);
    turn_all();
    rg_http_server_close_all(internal);
    turn_all();
    assert_int_equal(admin.open_n, 0);
    rg_http_server_free(&internal);
    teardown(state);
    rg_reactor_done(&control);
    rg_blacklist_free(&blacklist);
    return 0;
}

/* ---- requests ---- */

/* Sends a request without a turn of any loop. */
static struct peer *send_only(const char *method, const char *target)
{
    struct rg_buf text = {0};
    int theirs;

    assert_true(peers_n < RG_COUNT_OF(peers));
    peers[peers_n] = peer_open(&theirs, 0);
    rg_http_server_accept(internal, theirs);
    rg_buf_addf(&text, "%s %s HTTP/1.1\r\nhost: h\r\n\r\n", method, target);
    peer_put(&peers[peers_n], text.p, text.n);
    rg_buf_done(&text);
    return &peers[peers_n++];
}

static void read_answer(struct peer *peer)
{
    do
        turn_all();
    while (peer_take(peer, SIZE_MAX) > 0);
    *rg_buf_reserve(&peer->got, 1) = '\0';
}

static struct peer *ask(const char *method, const char *target)
{
    struct peer *peer = send_only(method, target);

    read_answer(peer);
    return peer;
}

static void expect(struct peer *peer, int status, const char *text)
{
    char line[32];

    snprintf(line, sizeof(line), "HTTP/1.1 %d ", status);
    if (!rg_str_starts_with(rg_buf_str(&peer->got), rg_str_c(line)) ||
        !(*text == '\0' || peer_has(peer, text)))
        fail_msg("expected %d %s, got %s", status, text, peer->got.p);
}

/* ---- clients ---- */

static struct peer *stream_of(unsigned shard, const char *session, const char *claims)
{
    struct peer *peer = connect_to(shard, 0);
    struct rg_client_handle handle;

    request(peer, "sse", CHAT, "1.1", "");
    assert_int_equal(rg_token_read(push, rg_str_c(sse_token(peer)), &handle), 0);
    struct rg_client *client = rg_hub_find(shards[shard].hub, handle);
    struct rg_claims *of = rg_claims_new(rg_str_c(claims), FAR_S, rg_str_c(session), RG_STR(""));
    rg_client_bind(client, of);
    rg_claims_unref(&of);
    rg_hub_settle(shards[shard].hub);
    return peer;
}

static struct peer *stream(unsigned shard, const char *session)
{
    return stream_of(shard, session, "{\"username\":\"ada\"}");
}

/* ---- the query ---- */

static void assert_read(const char *query, const char *user, size_t limit, uint64_t after)
{
    struct rg_session_query ret = {0};
    struct rg_why why = {0};

    if (rg_session_query_read(rg_str_c(query), &ret, &why) < 0)
        fail_msg("%s: %s", query, why.text);
    assert_true(rg_str_eq(rg_buf_str(&ret.user), rg_str_c(user)));
    assert_int_equal(ret.limit, limit);
    assert_int_equal(ret.after, after);
    rg_buf_done(&ret.user);
}

static void what_is_not_asked_for_has_a_default(void **state)
{
    (void)state;
    assert_read(NULL, "", 100, 0);
    assert_read("", "", 100, 0);
    assert_read("x=1&Limit=5", "", 100, 0);
    assert_read("limit=1", "", 1, 0);
    assert_read("limit=1000&after=18446744073709551615", "", 1000, UINT64_MAX);
    assert_read("after=7&user=a%26+b&limit=2", "a& b", 2, 7);
}

static void what_is_not_acceptable_is_said_in_a_sentence(void **state)
{
    static const char *const wrong[] = {"limit=0",
                                        "limit=1001",
                                        "limit=-1",
                                        "limit=1.5",
                                        "limit=",
                                        "limit=x",
                                        "after=-1",
                                        "after=",
                                        "after=x",
                                        "after=1%201",
                                        "user=",
                                        "user=%zz",
                                        "user=%ff",
                                        "x=%",
                                        "limit=18446744073709551616",
                                        "after=18446744073709551616"};

    (void)state;
    for (size_t i = 0; i < RG_COUNT_OF(wrong); i++) {
        struct rg_session_query ret = {0};
        struct rg_why why = {0};
        if (rg_session_query_read(rg_str_c(wrong[i]), &ret, &why) != RG_EINVAL)
            fail_msg("%s", wrong[i]);
        assert_int_equal(why.text[strlen(why.text) - 1], '.');
        rg_buf_done(&ret.user);
    }
}

/* ---- on the stage ---- */

static void sessions_are_listed_page_by_page_and_each_once(void **state)
{
    char name[16], target[64] = "/v3/sessions?limit=3";
    struct rg_buf all = {0};
    unsigned pages = 0;

    (void)state;
    for (unsigned i = 0; i < 7; i++) {
        snprintf(name, sizeof(name), "s%u", i);
        stream(i % 2, name);
    }
    for (;;) {
        struct peer *peer = ask("GET", target);
        expect(peer, 200, "{\"sessions\":[");
        rg_buf_add_str(&all, rg_buf_str(&peer->got));
        pages++;
        if (peer_has(peer, "\"next\":null"))
            break;
        const char *next = strstr(peer->got.p, "\"next\":\"");
        assert_non_null(next);
        next += strlen("\"next\":\"");
        snprintf(target, sizeof(target), "/v3/sessions?limit=3&after=%.*s",
                 (int)strcspn(next, "\""), next);
    }
    assert_int_equal(pages, 3);
    rg_buf_add_char(&all, '\0');
    for (unsigned i = 0; i < 7; i++) {
        snprintf(name, sizeof(name), "{\"id\":\"s%u\"", i);
        const char *at = strstr(all.p, name);
        assert_non_null(at);
        assert_null(strstr(at + 1, name));
    }
    rg_buf_done(&all);
}

static void the_sessions_of_one_user_can_be_listed(void **state)
{
    struct peer *peer;

    (void)state;
    stream(0, "s1");
    stream_of(1, "s2", "{\"username\":\"bob\"}");
    stream_of(1, "s3", "{}");
    peer = ask("GET", "/v3/sessions?user=ada");
    expect(peer, 200, "{\"sessions\":[{\"id\":\"s1\",\"user\":\"ada\",\"since\":\"20");
    assert_true(peer_has(peer, "\",\"connections\":1}],\"next\":null}"));
    expect(ask("GET", "/v3/sessions?user=eve"), 200, "{\"sessions\":[],\"next\":null}");
    expect(ask("GET", "/v3/sessions"), 200, "{\"id\":\"s3\",\"user\":null,");
    expect(ask("GET", "/v3/sessions?user="), 400, "user must not be empty.");
}

static void a_session_is_shown_with_its_connections_on_all_reactors(void **state)
{
    struct peer *peer;

    (void)state;
    stream(0, "a/b");
    stream(1, "a/b");
    stream(1, "other");
    peer = ask("GET", "/v3/sessions/a%2Fb");
    expect(peer, 200, "{\"id\":\"a/b\",\"user\":\"ada\",\"since\":\"20");
    assert_int_equal(peer_count(peer, "\"transport\":\"sse\""), 2);
    assert_true(peer_has(peer, "{\"id\":\"0-0-1\"") && peer_has(peer, "{\"id\":\"1-0-1\""));
    assert_true(peer_has(peer, "],\"truncated\":false}"));
    expect(ask("GET", "/v3/sessions/a"), 404, "There is no such session.");
    expect(ask("GET", "/v3/sessions/%zz"), 400, "malformed");
}

static void the_numbers_are_those_of_all_reactors(void **state)
{
    (void)state;
    stream(0, "s1");
    stream(1, "s1");
    stream(1, "s2");
    sse(CHAT);
    expect(ask("GET", "/v2/sessions/count"), 200, "{\"sessions\":2,\"users\":0,\"connections\":4}");
}

static void a_deleted_session_is_banned_and_all_its_connections_end(void **state)
{
    struct peer *near = stream(0, "s1"), *far = stream(1, "s1"), *other = stream(0, "s2");

    (void)state;
    expect(ask("DELETE", "/v3/sessions/s1?seconds=60"), 204, "");
    assert_ended(near);
    assert_ended(far);
    assert_true(peer_has(near, KILLED) && peer_has(far, KILLED));
    hear(other);
    assert_false(other->has_seen_end);
    assert_true(rg_blacklist_has(blacklist, RG_STR("s1")));
    expect(ask("DELETE", "/v3/sessions/nobody"), 204, "");
    assert_true(rg_blacklist_has(blacklist, RG_STR("nobody")));
    expect(ask("GET", "/v3/sessions/s1"), 404, "");
}

static void a_ban_without_a_good_length_has_no_effect(void **state)
{
    struct peer *peer = stream(0, "s1");

    (void)state;
    expect(ask("DELETE", "/v3/sessions/s1?seconds=0"), 400, "seconds must be a whole number");
    expect(ask("DELETE", "/v3/sessions/s1?seconds=2147483649"), 400, "seconds must be");
    expect(ask("DELETE", "/v3/sessions/s1?seconds=1h"), 400, "seconds must be");
    assert_int_equal(rg_blacklist_count(blacklist), 0);
    hear(peer);
    assert_false(peer->has_seen_end);
}

static void one_connection_is_closed_alone_and_its_session_not_banned(void **state)
{
    struct peer *near = stream(0, "s1"), *far = stream(1, "s1");

    (void)state;
    expect(ask("DELETE", "/v3/sessions/s1/connections/1-0-1"), 204, "");
    assert_ended(far);
    assert_true(peer_has(far, KILLED));
    hear(near);
    assert_false(near->has_seen_end);
    assert_int_equal(rg_blacklist_count(blacklist), 0);
    expect(ask("DELETE", "/v3/sessions/s1/connections/1-0-1"), 404, "no such connection");
}

static void a_connection_of_another_session_is_not_closed(void **state)
{
    static const char *const wrong[] = {
        "/v3/sessions/s2/connections/0-0-1", "/v3/sessions/s1/connections/0-1-1",
        "/v3/sessions/s1/connections/0-0-2", "/v3/sessions/s1/connections/0-1000-1",
        "/v3/sessions/s1/connections/2-0-1", "/v3/sessions/s1/connections/x"};
    struct peer *peer = stream(0, "s1"), *nobody = sse(CHAT);

    (void)state;
    stream(1, "s2");
    for (size_t i = 0; i < RG_COUNT_OF(wrong); i++)
        expect(ask("DELETE", wrong[i]), 404, "There is no such connection of this session.");
    hear(peer);
    hear(nobody);
    assert_false(peer->has_seen_end || nobody->has_seen_end);
}

static void nobody_is_answered_who_has_gone(void **state)
{
    struct peer *peer;

    (void)state;
    stream(0, "s1");
    peer = send_only("GET", "/v3/sessions/s1");
    peer_turn(&control);
    assert_int_equal(admin.open_n, 1);
    hang_up(peer);
    peer_turn(&control);
    turn_all();
    assert_int_equal(admin.open_n, 0);
}

static unsigned idle;

static void on_idle(void *arg)
{
    assert_ptr_equal(arg, &idle);
    idle++;
}

static void its_end_waits_for_what_is_under_way(void **state)
{
    struct peer *peer;

    (void)state;
    idle = 0;
    stream(0, "s1");
    peer = send_only("GET", "/v3/sessions/s1");
    peer_turn(&control);
    rg_session_admin_stop(&admin, on_idle, &idle);
    assert_int_equal(idle, 0);
    read_answer(peer);
    expect(peer, 200, "{\"id\":\"s1\"");
    assert_int_equal(idle, 1);
    expect(ask("GET", "/v3/sessions/s1"), 503, "shutting down");
    expect(ask("DELETE", "/v3/sessions/s1/connections/0-0-1"), 503, "shutting down");
    assert_int_equal(idle, 1);
}

static void its_end_is_at_once_where_nothing_is_under_way(void **state)
{
    (void)state;
    idle = 0;
    rg_session_admin_stop(&admin, on_idle, &idle);
    assert_int_equal(idle, 1);
}

#define PLAY(f) cmocka_unit_test_setup_teardown(f, begin_play, end_play)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_not_asked_for_has_a_default),
        cmocka_unit_test(what_is_not_acceptable_is_said_in_a_sentence),
        PLAY(sessions_are_listed_page_by_page_and_each_once),
        PLAY(the_sessions_of_one_user_can_be_listed),
        PLAY(a_session_is_shown_with_its_connections_on_all_reactors),
        PLAY(the_numbers_are_those_of_all_reactors),
        PLAY(a_deleted_session_is_banned_and_all_its_connections_end),
        PLAY(a_ban_without_a_good_length_has_no_effect),
        PLAY(one_connection_is_closed_alone_and_its_session_not_banned),
        PLAY(a_connection_of_another_session_is_not_closed),
        PLAY(nobody_is_answered_who_has_gone),
        PLAY(its_end_waits_for_what_is_under_way),
        PLAY(its_end_is_at_once_where_nothing_is_under_way),
    };

    stage_begin();
    int failures = cmocka_run_group_tests(tests, NULL, NULL);
    stage_end();
    return failures;
}
