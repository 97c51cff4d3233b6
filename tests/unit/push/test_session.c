/* The index by itself, and then on the stage what its clients notice of bans and of expiry. */
#include "stage.h"

#include "auth/blacklist.h"
#include "auth/claims.h"
#include "base/clock.h"
#include "push/client.h"
#include "push/limits.h"
#include "push/session.h"

#define FAR_S      4000000000 /* when tokens expire that do not in these tests */
#define KILLED     "event: rig.session_killed\n"
#define EXPIRING   "event: rig.session_expiring\n"
#define EXPIRED    "event: rig.session_expired\n"
#define WS_KILLED  RG_STR("\x88\x11\x03\xe8Session killed.")
#define WS_EXPIRED RG_STR("\x88\x15\x11\x31rig.session_expired")

/* ---- the index ---- */

static struct rg_client fakes[4];
static struct rg_ties ties[4];
static struct rg_client *called[8];
static size_t called_n;

static void note(struct rg_client *client)
{
    called[called_n++] = client;
}

static void assert_members(struct rg_sessions *sessions, const char *name, size_t n)
{
    called_n = 0;
    rg_sessions_each(sessions, rg_str_c(name), note);
    assert_int_equal(called_n, n);
}

static void join(struct rg_sessions *sessions, size_t i, const char *name)
{
    assert_true(rg_sessions_join(sessions, &ties[i], &fakes[i], rg_str_c(name)) >= 0);
}

static void leave_all(struct rg_sessions *sessions)
{
    for (size_t i = 0; i < RG_COUNT_OF(ties); i++)
        rg_sessions_leave(sessions, &ties[i]);
}

static void a_session_has_exactly_its_clients(void **state)
{
    struct rg_sessions *sessions = rg_sessions_new();

    (void)state;
    join(sessions, 0, "a");
    join(sessions, 1, "b");
    join(sessions, 2, "a");
    assert_members(sessions, "a", 2);
    assert_ptr_equal(called[0], &fakes[2]);
    assert_ptr_equal(called[1], &fakes[0]);
    assert_members(sessions, "b", 1);
    assert_members(sessions, "", 0);
    assert_members(sessions, "aa", 0);
    leave_all(sessions);
    rg_sessions_free(&sessions);
}

static void who_leaves_is_in_no_session_any_more(void **state)
{
    struct rg_sessions *sessions = rg_sessions_new();

    (void)state;
    for (size_t i = 0; i < 3; i++) {
        join(sessions, i, "a");
        join(sessions, i, i == 1 ? "b" : "c");
    }
    /* From the middle, the end and the beginning of the session's list. */
    rg_sessions_leave(sessions, &ties[1]);
    assert_members(sessions, "a", 2);
    assert_members(sessions, "b", 0);
    assert_int_equal(rg_sessions_count(sessions), 2);
    rg_sessions_leave(sessions, &ties[0]);
    assert_members(sessions, "a", 1);
    assert_ptr_equal(called[0], &fakes[2]);
    rg_sessions_leave(sessions, &ties[2]);
    assert_int_equal(rg_sessions_count(sessions), 0);
    rg_sessions_free(&sessions);
}

static void joining_again_changes_nothing(void **state)
{
    struct rg_sessions *sessions = rg_sessions_new();

    (void)state;
    join(sessions, 0, "a");
    join(sessions, 0, "b");
    join(sessions, 0, "a");
    assert_members(sessions, "a", 1);
    leave_all(sessions);
    rg_sessions_free(&sessions);
}

static void a_client_cannot_belong_to_endless_sessions(void **state)
{
    struct rg_sessions *sessions = rg_sessions_new();
    char name[16];

    (void)state;
    for (unsigned i = 0; i < RG_MAX_SESSIONS_PER_CLIENT; i++) {
        snprintf(name, sizeof(name), "s%u", i);
        join(sessions, 0, name);
    }
    assert_int_equal(rg_sessions_join(sessions, &ties[0], &fakes[0], RG_STR("one more")), RG_EFULL);
    assert_int_equal(rg_sessions_count(sessions), RG_MAX_SESSIONS_PER_CLIENT);
    assert_int_equal(rg_sessions_join(sessions, &ties[0], &fakes[0], RG_STR("s7")), 0);
    leave_all(sessions);
    rg_sessions_free(&sessions);
}

static bool take_one(void *arg, struct rg_client *client)
{
    *(struct rg_client **)arg = client;
    return false;
}

static void a_walk_over_a_session_ends_where_it_is_told_to(void **state)
{
    struct rg_sessions *sessions = rg_sessions_new();
    struct rg_client *first = NULL;

    (void)state;
    join(sessions, 0, "a");
    join(sessions, 1, "a");
    rg_sessions_walk(sessions, RG_STR("a"), take_one, &first);
    assert_ptr_equal(first, &fakes[1]);
    leave_all(sessions);
    rg_sessions_free(&sessions);
}

static void add_name(void *arg, struct rg_str name)
{
    rg_buf_add_str(arg, name);
}

static void a_client_knows_its_sessions(void **state)
{
    struct rg_sessions *sessions = rg_sessions_new();
    struct rg_buf names = {0};

    (void)state;
    assert_int_equal(rg_sessions_join(sessions, &ties[0], &fakes[0], RG_STR("a")), 1);
    assert_int_equal(rg_sessions_join(sessions, &ties[0], &fakes[0], RG_STR("b")), 1);
    assert_int_equal(rg_sessions_join(sessions, &ties[0], &fakes[0], RG_STR("a")), 0);
    join(sessions, 1, "c");
    assert_true(rg_ties_have(&ties[0], RG_STR("b")));
    assert_false(rg_ties_have(&ties[0], RG_STR("c")));
    rg_ties_each(&ties[0], add_name, &names);
    assert_int_equal(names.n, 2);
    assert_non_null(memchr(names.p, 'a', 2));
    assert_non_null(memchr(names.p, 'b', 2));
    rg_buf_done(&names);
    leave_all(sessions);
    rg_sessions_free(&sessions);
}

/* ---- on the stage ---- */

/* The client at the other end of peer, by what it was told of its token. */
static struct rg_client *client_of(struct peer *peer, bool is_longpoll)
{
    const char *token = is_longpoll ? find_value(peer, "connection_token=", ';') : sse_token(peer);
    struct rg_client_handle handle;

    assert_int_equal(rg_token_read(push, rg_str_c(token), &handle), 0);
    struct rg_client *client = rg_hub_find(shards[handle.reactor].hub, handle);
    assert_non_null(client);
    return client;
}

static void bind_token(struct rg_client *client, const char *session, const char *jti,
                       int64_t exp_s)
{
    struct rg_hub *hub = client->hub;
    struct rg_claims *claims =
        rg_claims_new(RG_STR("{\"username\":\"ada\"}"), exp_s, rg_str_c(session), rg_str_c(jti));

    rg_client_bind(client, claims);
    rg_claims_unref(&claims);
    rg_hub_settle(hub);
    turn();
}

static void bind_client(struct rg_client *client, const char *session, int64_t exp_s)
{
    bind_token(client, session, NULL, exp_s);
}

static struct peer *of_session(struct peer *peer, const char *session)
{
    bind_client(client_of(peer, false), session, FAR_S);
    return peer;
}

static void kill_session(const char *session)
{
    rg_push_kill_session(push, rg_str_c(session));
    turn();
}

static void assert_alive(struct peer *peer, const char *id)
{
    event(id, "blue");
    assert_int_equal(times(peer, id), 1);
    assert_false(peer_has(peer, KILLED));
    assert_false(peer->has_seen_end);
}

static void a_ban_ends_the_clients_of_its_session_on_every_reactor(void **state)
{
    struct peer *near = of_session(sse(CHAT), "s1"), *far = connect_to(1, 0);
    struct peer *web = of_session(ws(CHAT), "s1");
    struct peer *other = of_session(sse(CHAT), "s2"), *nobody = sse(CHAT);

    (void)state;
    request(far, "sse", CHAT, "1.1", "");
    of_session(far, "s1");
    forget(web);
    kill_session("s1");
    assert_tail(near, RG_STR("\"}\n\n\r\n" LAST_PART));
    assert_true(peer_has(near, KILLED));
    assert_tail(far, RG_STR("\"}\n\n\r\n" LAST_PART));
    assert_true(peer_has(far, KILLED));
    assert_tail(web, WS_KILLED);
    assert_int_equal(web->got.n, WS_KILLED.n);
    assert_alive(other, "e1");
    assert_alive(nobody, "e2");
    assert_int_equal(ends(RG_END_KILLED), 2);
    assert_int_equal(rg_sessions_count(shards[0].hub->sessions), 1);
    assert_int_equal(rg_sessions_count(shards[1].hub->sessions), 0);
}

static void the_event_of_a_ban_has_no_data(void **state)
{
    struct peer *peer = of_session(sse(CHAT), "s1");

    (void)state;
    forget(peer);
    kill_session("s1");
    hear(peer);
    assert_true(peer_has(peer,
                         KILLED "data: {\"specversion\":\"0.2\",\"type\":\"rig.session_killed\","
                                "\"source\":\"rig\",\"id\":\""));
    assert_false(peer_has(peer, "\"data\""));
}

static void a_client_of_several_sessions_ends_with_any_of_them(void **state)
{
    struct peer *peer = sse(CHAT);

    (void)state;
    of_session(peer, "s1");
    of_session(peer, "s2");
    of_session(peer, "s3");
    assert_alive(peer, "e1");
    kill_session("s2");
    assert_true(peer_has(peer, KILLED) || strstr(hear(peer), KILLED) != NULL);
    assert_int_equal(clients(), 0);
    assert_int_equal(rg_sessions_count(shards[0].hub->sessions), 0);
}

static void a_token_ends_its_clients_by_another_name_than_their_session(void **state)
{
    struct peer *peer = sse(CHAT), *other = sse(CHAT), *namesake = sse(CHAT);

    (void)state;
    bind_token(client_of(peer, false), "s1", "t1", FAR_S);
    bind_token(client_of(other, false), "s1", "t2", FAR_S);
    bind_token(client_of(namesake, false), "t1", "t3", FAR_S);
    rg_push_kill_token(push, RG_STR("t1"));
    assert_ended(peer);
    assert_true(peer_has(peer, KILLED));
    assert_alive(other, "e1");
    assert_alive(namesake, "e2");
    kill_session("t2");
    assert_alive(other, "e3");
    assert_int_equal(rg_sessions_count(shards[0].hub->tokens), 2);
}

static void a_banned_token_ends_the_client_when_it_is_bound(void **state)
{
    struct rg_blacklist *blacklist = rg_blacklist_new();
    struct peer *peer = sse(CHAT);

    (void)state;
    push->settings.blacklist = blacklist;
    assert_int_equal(rg_blacklist_add(blacklist, RG_STR("t1"), 60), 0);
    bind_token(client_of(peer, false), "s1", "t1", FAR_S);
    assert_ended(peer);
    assert_int_equal(rg_directory_count(push->directory, RG_STR("")), 0);
    push->settings.blacklist = NULL;
    rg_blacklist_free(&blacklist);
}

static size_t connections;

static void note_connections(void *arg, const struct rg_directory_session *session)
{
    (void)arg;
    assert_true(rg_str_eq(session->user, RG_STR("ada")));
    connections = session->connections;
}

static size_t connections_of(const char *session)
{
    connections = 0;
    rg_directory_find(push->directory, rg_str_c(session), note_connections, NULL);
    return connections;
}

static void the_directory_has_the_sessions_of_all_reactors(void **state)
{
    struct peer *near = sse(CHAT), *far = connect_to(1, 0);

    (void)state;
    push->settings.channels.identity = (struct rg_identity_fields){"username", "role", NULL, 0};
    request(far, "sse", CHAT, "1.1", "");
    of_session(far, "s1");
    of_session(near, "s1");
    of_session(near, "s2");
    of_session(near, "s1");
    assert_int_equal(connections_of("s1"), 2);
    assert_int_equal(connections_of("s2"), 1);
    hang_up(near);
    turn();
    assert_int_equal(connections_of("s1"), 1);
    assert_int_equal(rg_directory_count(push->directory, RG_STR("")), 1);
    hang_up(far);
    turn();
    assert_int_equal(rg_directory_count(push->directory, RG_STR("")), 0);
}

static void a_session_without_a_name_is_none(void **state)
{
    struct peer *peer = of_session(sse(CHAT), "");

    (void)state;
    kill_session("");
    assert_alive(peer, "e1");
}

static void a_client_that_goes_leaves_its_sessions(void **state)
{
    struct peer *peer = of_session(sse(CHAT), "s1");

    (void)state;
    assert_int_equal(rg_sessions_count(shards[0].hub->sessions), 1);
    hang_up(peer);
    turn();
    assert_int_equal(rg_sessions_count(shards[0].hub->sessions), 0);
    kill_session("s1");
    assert_int_equal(ends(RG_END_KILLED), 0);
}

static void a_ban_that_came_before_the_client_ends_it_when_it_is_bound(void **state)
{
    struct rg_blacklist *blacklist = rg_blacklist_new();
    struct peer *banned = sse(CHAT), *other = sse(CHAT);

    (void)state;
    push->settings.blacklist = blacklist;
    assert_int_equal(rg_blacklist_add(blacklist, RG_STR("s1"), 60), 0);
    of_session(banned, "s1");
    of_session(other, "s2");
    assert_ended(banned);
    assert_true(peer_has(banned, KILLED));
    assert_alive(other, "e1");
    push->settings.blacklist = NULL;
    rg_blacklist_free(&blacklist);
}

static void events_before_a_ban_arrive_and_those_behind_it_do_not(void **state)
{
    struct peer *peer = of_session(sse(CHAT), "s1");

    (void)state;
    put_event("before", "blue", 0);
    rg_push_kill_session(push, RG_STR("s1"));
    rg_push_kill_session(push, RG_STR("s1"));
    put_event("behind", "blue", 0);
    assert_int_equal(times(peer, "before"), 1);
    assert_int_equal(times(peer, "behind"), 0);
    assert_ended(peer);
    assert_int_equal(ends(RG_END_KILLED), 1);
}

static void kill_everything_now(struct rg_inbox_item *item, void *ctx)
{
    (void)item;
    rg_hub_kill_all(ctx);
}

static void a_ban_and_the_end_of_everything_may_be_in_one_batch(void **state)
{
    struct peer *peer = of_session(sse(CHAT), "s1");

    (void)state;
    rg_push_kill_session(push, RG_STR("s1"));
    in_this_batch(kill_everything_now, peer);
    rg_push_kill_session(push, RG_STR("s1"));
    assert_ended(peer);
    assert_int_equal(clients(), 0);
}

static void a_client_whose_queue_is_full_ends_all_the_same(void **state)
{
    struct peer *peer = of_session(sse_with(CHAT, 4096), "s1");
    struct rg_client *client = client_of(peer, false);
    char id[16];

    (void)state;
    /* What the socket does not take stays in the queue, until the last event would not fit. */
    for (int i = 0; client->outbox.bytes < 4096 - 400; i++) {
        snprintf(id, sizeof(id), "e%d", i);
        put_event(id, "blue", 0);
        peer_turn(&shards[0].reactor);
        assert_int_equal(client->state, RG_CLIENT_OPEN);
    }
    kill_session("s1");
    assert_ended(peer);
    assert_int_equal(clients(), 0);
    assert_int_equal(ends(RG_END_KILLED) + ends(RG_END_SLOW), 1);
}

/* ---- long polling ---- */

static void a_banned_longpolling_client_is_gone_and_its_poll_is_answered(void **state)
{
    struct peer *peer = longpoll(CHAT);
    struct rg_client *client = client_of(peer, true);
    char token[256];

    (void)state;
    snprintf(token, sizeof(token), "%s", find_value(peer, "connection_token=", ';'));
    poll_with(peer, token, "first_event");
    char last_id[64];
    snprintf(last_id, sizeof(last_id), "%s", find_value(peer, "{\"last_event_id\":\"", '"'));
    bind_client(client, "s1", FAR_S);
    forget(peer);
    poll_with(peer, token, last_id);
    hear(peer);
    assert_false(peer_has(peer, "HTTP/1.1"));
    kill_session("s1");
    hear(peer);
    assert_true(peer_has(peer, "\"events\":[]}"));
    assert_int_equal(clients(), 0);

    forget(peer);
    poll_with(peer, token, last_id);
    hear(peer);
    assert_true(peer_has(peer, "\r\n\r\n\"ok\""));
}

/* ---- tokens that expire ---- */

/* Seconds of the wall clock; the tests allow for what passes of them while they run. */
static int64_t now_s(void)
{
    return rg_clock_wall_us() / 1000000;
}

static void close_on_expiry(uint64_t warning_ms)
{
    push->settings.expiry_closes = true;
    push->settings.expiry_warning_ms = warning_ms;
}

static void a_stream_is_warned_of_the_end_of_its_token_and_then_ends(void **state)
{
    struct peer *peer = sse(CHAT);
    int64_t exp_s = now_s() + 600;
    char at[RG_RFC3339_SIZE], data[128];

    (void)state;
    close_on_expiry(60000);
    bind_client(client_of(peer, false), "s1", exp_s);
    pass(530000);
    hear(peer);
    assert_false(peer_has(peer, EXPIRING));
    pass(10000);
    hear(peer);
    rg_clock_rfc3339(at, exp_s * 1000000);
    snprintf(data, sizeof(data), ",\"expires_at\":\"%s\"}}\n", at);
    assert_int_equal(peer_count(peer, EXPIRING), 1);
    assert_true(peer_has(peer, "\"data\":{\"expires_in\":60,") ||
                peer_has(peer, "\"data\":{\"expires_in\":59,"));
    assert_true(peer_has(peer, data));
    pass(50000);
    hear(peer);
    assert_int_equal(peer_count(peer, EXPIRING), 1);
    assert_false(peer->has_seen_end);
    pass(10000);
    assert_tail(peer, RG_STR("\"}\n\n\r\n" LAST_PART));
    assert_true(peer_has(peer, EXPIRED));
    assert_int_equal(ends(RG_END_TOKEN), 1);
}

static void a_websocket_is_closed_with_4401(void **state)
{
    struct peer *peer = ws(CHAT);

    (void)state;
    close_on_expiry(60000);
    bind_client(client_of(peer, false), "s1", now_s() + 600);
    pass(550000);
    hear(peer);
    assert_true(peer_has(peer, "\"type\":\"rig.session_expiring\""));
    pass(50000);
    assert_tail(peer, WS_EXPIRED);
    assert_false(peer_has(peer, "\"type\":\"rig.session_expired\""));
    assert_int_equal(ends(RG_END_TOKEN), 1);
}

static void heartbeats_go_on_until_the_token_ends(void **state)
{
    struct peer *peer = sse(CHAT);

    (void)state;
    close_on_expiry(10000);
    bind_client(client_of(peer, false), "s1", now_s() + 100);
    for (int i = 1; i <= 6; i++) {
        pass(15000);
        hear(peer);
        assert_int_equal(peer_count(peer, ": heartbeat"), i);
    }
    assert_false(peer->has_seen_end);
}

static void a_fresh_token_prolongs_and_is_warned_of_again(void **state)
{
    struct peer *peer = sse(CHAT);
    int64_t exp_s = now_s() + 100;

    (void)state;
    close_on_expiry(10000);
    bind_client(client_of(peer, false), "s1", exp_s);
    pass(95000);
    hear(peer);
    assert_int_equal(peer_count(peer, EXPIRING), 1);
    /* The wall clock did not move with us: for the client it is 100 s, and 200 s from now on. */
    bind_client(client_of(peer, false), "s1", exp_s + 100);
    pass(100000);
    hear(peer);
    assert_int_equal(peer_count(peer, EXPIRING), 1);
    pass(95000);
    hear(peer);
    assert_int_equal(peer_count(peer, EXPIRING), 2);
    assert_false(peer->has_seen_end);
    pass(10000);
    assert_ended(peer);
}

static void a_token_that_ends_earlier_shortens_nothing(void **state)
{
    struct peer *peer = sse(CHAT);
    int64_t exp_s = now_s() + 200;

    (void)state;
    close_on_expiry(0);
    bind_client(client_of(peer, false), "s1", exp_s);
    bind_client(client_of(peer, false), "s1", exp_s - 100);
    pass(150000);
    hear(peer);
    assert_false(peer->has_seen_end);
    pass(50000);
    assert_ended(peer);
    assert_false(peer_has(peer, EXPIRING));
}

static void a_token_that_is_over_ends_the_client(void **state)
{
    struct peer *peer = sse(CHAT);

    (void)state;
    close_on_expiry(60000);
    bind_client(client_of(peer, false), "s1", now_s() - 1);
    pass(100);
    assert_ended(peer);
    assert_true(peer_has(peer, EXPIRED));
    assert_false(peer_has(peer, EXPIRING));
}

static void without_the_setting_tokens_end_and_clients_stay(void **state)
{
    struct peer *peer = of_session(sse(CHAT), "s1");

    (void)state;
    push->settings.expiry_warning_ms = 1000;
    bind_client(client_of(peer, false), "s1", now_s() + 10);
    pass(1000000);
    assert_alive(peer, "e1");
    assert_false(peer_has(peer, EXPIRING));
}

/* A long-polling client with a token of ten seconds that has fetched all there is. */
struct poller {
    struct peer *peer;
    struct rg_client *client;
    char token[256], last_id[64];
};

static struct poller poller_open(void)
{
    struct poller p = {.peer = longpoll(CHAT)};

    close_on_expiry(0);
    p.client = client_of(p.peer, true);
    snprintf(p.token, sizeof(p.token), "%s", find_value(p.peer, "connection_token=", ';'));
    poll_with(p.peer, p.token, "first_event");
    snprintf(p.last_id, sizeof(p.last_id), "%s", find_value(p.peer, "{\"last_event_id\":\"", '"'));
    bind_client(p.client, "s1", now_s() + 10);
    forget(p.peer);
    return p;
}

static void a_waiting_poll_gets_the_end_of_the_token(void **state)
{
    struct poller p = poller_open();

    (void)state;
    push->settings.longpoll_wait_ms = 60000;
    poll_with(p.peer, p.token, p.last_id);
    hear(p.peer);
    assert_false(peer_has(p.peer, "HTTP/1.1"));
    pass(10000);
    hear(p.peer);
    assert_true(peer_has(p.peer, "\"type\":\"rig.session_expired\""));
    assert_int_equal(clients(), 0);
    assert_int_equal(ends(RG_END_TOKEN), 1);
}

static void the_next_poll_fetches_the_end_of_the_token(void **state)
{
    struct poller p = poller_open();

    (void)state;
    pass(10000);
    assert_int_equal(clients(), 1);
    poll_with(p.peer, p.token, p.last_id);
    hear(p.peer);
    assert_true(peer_has(p.peer, "\"type\":\"rig.session_expired\""));
    assert_int_equal(clients(), 0);
    forget(p.peer);
    poll_with(p.peer, p.token, p.last_id);
    hear(p.peer);
    assert_true(peer_has(p.peer, "\r\n\r\n\"ok\""));
}

static void an_expired_longpolling_client_does_not_wait_for_ever(void **state)
{
    struct poller p = poller_open();

    (void)state;
    pass(10000);
    assert_int_equal(clients(), 1);
    pass(3000);
    assert_int_equal(clients(), 0);
    poll_with(p.peer, p.token, p.last_id);
    hear(p.peer);
    assert_true(peer_has(p.peer, "\r\n\r\n\"ok\""));
}

static void an_expired_longpolling_client_holds_no_shutdown_up(void **state)
{
    (void)state;
    poller_open();
    pass(10000);
    assert_int_equal(clients(), 1);
    rg_hub_drain(shards[0].hub, NULL, NULL);
    assert_int_equal(clients(), 0);
}

static void a_longpolling_client_with_a_token_still_ends_when_it_stops_polling(void **state)
{
    struct poller p = poller_open();

    (void)state;
    bind_client(p.client, "s1", FAR_S);
    pass(3600000);
    assert_int_equal(clients(), 0);
    assert_int_equal(ends(RG_END_EXPIRED), 1);
}

/* ---- threads ---- */

#define RACERS 30

static void on_ban(void *arg, struct rg_str session)
{
    rg_push_kill_session(arg, session);
}

static const char *racer(char out[32], int i)
{
    snprintf(out, 32, "racer %d", i);
    return out;
}

static void *ban_all(void *arg)
{
    char name[32];

    rg_rcu_thread_start();
    for (int i = 0; i < RACERS; i++)
        rg_assert(rg_blacklist_add(arg, rg_str_c(racer(name, i)), 60) == 0);
    rg_rcu_thread_stop();
    return NULL;
}

/* Whether the ban or the client is first: no client of a banned session is left. */
static void a_client_that_races_with_its_ban_ends(void **state)
{
    struct rg_blacklist *blacklist = rg_blacklist_new();
    struct peer *racers[RACERS];
    pthread_t thread;
    char name[32];

    (void)state;
    push->settings.blacklist = blacklist;
    rg_blacklist_on_ban(blacklist, on_ban, push);
    for (int i = 0; i < RACERS; i++)
        racers[i] = sse(CHAT);
    assert_int_equal(pthread_create(&thread, NULL, ban_all, blacklist), 0);
    for (int i = RACERS - 1; i >= 0; i--)
        of_session(racers[i], racer(name, i));
    pthread_join(thread, NULL);
    turn();
    assert_int_equal(clients(), 0);
    assert_int_equal(ends(RG_END_KILLED), RACERS);
    push->settings.blacklist = NULL;
    rg_blacklist_free(&blacklist);
}

/* ---- seats ---- */

static void a_client_gives_its_seat_up_when_it_is_gone(void **state)
{
    const struct rg_limits_settings settings = {.per_minute = -1, .clients = 1};
    const char address[RG_PEER_SIZE] = "192.0.2.7";
    struct rg_limits *limits = rg_limits_new(&settings);
    struct rg_client *client = client_of(ws(CHAT), false);
    struct rg_seat *seat;
    unsigned retry;

    (void)state;
    push->settings.limits = limits;
    assert_int_equal(rg_limits_enter(limits, address, 0, &client->seat, &retry), RG_LIMIT_NONE);
    assert_int_equal(rg_limits_enter(limits, address, 0, &seat, &retry), RG_LIMIT_CLIENTS);
    rg_client_end(client, RG_END_POLICY, 1000, "");
    /* It still has its socket until the peer has answered the close frame. */
    assert_int_equal(rg_limits_enter(limits, address, 0, &seat, &retry), RG_LIMIT_CLIENTS);
    rg_client_kill(client);
    assert_int_equal(rg_limits_enter(limits, address, 0, &seat, &retry), RG_LIMIT_NONE);
    rg_limits_leave(limits, &seat);
    rg_hub_settle(shards[0].hub);
    rg_limits_free(&limits);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_session_has_exactly_its_clients),
        cmocka_unit_test(who_leaves_is_in_no_session_any_more),
        cmocka_unit_test(joining_again_changes_nothing),
        cmocka_unit_test(a_client_cannot_belong_to_endless_sessions),
        cmocka_unit_test(a_walk_over_a_session_ends_where_it_is_told_to),
        cmocka_unit_test(a_client_knows_its_sessions),
        TEST(a_ban_ends_the_clients_of_its_session_on_every_reactor),
        TEST(the_event_of_a_ban_has_no_data),
        TEST(a_client_of_several_sessions_ends_with_any_of_them),
        TEST(a_token_ends_its_clients_by_another_name_than_their_session),
        TEST(a_banned_token_ends_the_client_when_it_is_bound),
        TEST(the_directory_has_the_sessions_of_all_reactors),
        TEST(a_session_without_a_name_is_none),
        TEST(a_client_that_goes_leaves_its_sessions),
        TEST(a_ban_that_came_before_the_client_ends_it_when_it_is_bound),
        TEST(events_before_a_ban_arrive_and_those_behind_it_do_not),
        TEST(a_ban_and_the_end_of_everything_may_be_in_one_batch),
        TEST(a_client_whose_queue_is_full_ends_all_the_same),
        TEST(a_banned_longpolling_client_is_gone_and_its_poll_is_answered),
        TEST(a_stream_is_warned_of_the_end_of_its_token_and_then_ends),
        TEST(a_websocket_is_closed_with_4401),
        TEST(heartbeats_go_on_until_the_token_ends),
        TEST(a_fresh_token_prolongs_and_is_warned_of_again),
        TEST(a_token_that_ends_earlier_shortens_nothing),
        TEST(a_token_that_is_over_ends_the_client),
        TEST(without_the_setting_tokens_end_and_clients_stay),
        TEST(a_waiting_poll_gets_the_end_of_the_token),
        TEST(the_next_poll_fetches_the_end_of_the_token),
        TEST(an_expired_longpolling_client_does_not_wait_for_ever),
        TEST(an_expired_longpolling_client_holds_no_shutdown_up),
        TEST(a_longpolling_client_with_a_token_still_ends_when_it_stops_polling),
        TEST(a_client_that_races_with_its_ban_ends),
        TEST(a_client_gives_its_seat_up_when_it_is_gone),
    };

    stage_begin();
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    stage_end();
    return failed;
}
