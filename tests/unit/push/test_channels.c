/* What channel sockets may join and leave, what they are told, and who is present because of it. */
#include "service.h"
#include "sockets.h"

#include "http/client.h"

#define REPLY(ref, topic, payload)                                                                 \
    "[\"" ref "\",\"" ref "\",\"" topic "\",\"phx_reply\"," payload "]"
#define CLOSE(ref, topic) "[\"" ref "\",\"" ref "\",\"" topic "\",\"phx_close\",{}]"
#define REASON(text)      "{\"status\":\"error\",\"response\":{\"reason\":\"" text "\"}}"
#define DENIED(user, name)                                                                         \
    "unauthorized user with id \\\"" user "\\\" tried to join \\\"" name "\\\"!"
#define REFUSED(text) "{\"status\":\"error\",\"response\":\"" text "\"}"
#define STATE(topic)  "[null,null,\"" topic "\",\"presence_state\","
#define DIFF(topic)   "[null,null,\"" topic "\",\"presence_diff\","
#define NO_LEAVES     ",\"leaves\":{}}]"

/* ---- topics ---- */

static void the_own_topic_gives_state_and_then_the_own_presence(void **state)
{
    struct peer *ada = open_socket(ADA);

    (void)state;
    join(ada, "1", "user:ada");
    expect_next(ada, STATE("user:ada") "{}]");
    const char *diff = expect_begin(ada, DIFF("user:ada") "{\"joins\":{\"ada\":{\"metas\":[{");
    expect_part(diff, NO_LEAVES);
    assert_int_equal(count_in(diff, "\"phx_ref\""), 1);
    expect_nothing(ada);
    assert_int_equal(present("user:ada"), 1);
    assert_int_equal(present("role:customer"), 1);
    assert_int_equal(counted(RG_HUB_JOINS), 1);
}

static void a_socket_of_the_first_version_hears_objects(void **state)
{
    struct peer *ada = open_on(0, token(ADA), "1.0.0");

    (void)state;
    tell(ada, "{\"topic\":\"user:ada\",\"event\":\"phx_join\",\"payload\":{},\"ref\":\"1\"}");
    const char *reply = expect_begin(ada, "{\"topic\":\"user:ada\",\"event\":\"phx_reply\"");
    expect_part(reply, "\"ref\":\"1\"");
    expect_part(reply, "\"payload\":" OK);
    expect_part(next(ada), "\"event\":\"presence_state\"");
    expect_part(next(ada), "\"event\":\"presence_diff\"");
    tell(ada, "{\"topic\":\"phoenix\",\"event\":\"heartbeat\",\"payload\":{},\"ref\":\"7\"}");
    expect_part(next(ada), "\"topic\":\"phoenix\"");
    tell(ada, "{\"topic\":\"user:ada\",\"event\":\"phx_leave\",\"payload\":{},\"ref\":\"8\","
              "\"join_ref\":\"0\"}");
    expect_part(next(ada), "\"ref\":\"8\"");
    expect_part(next(ada), "\"event\":\"phx_close\"");
    expect_nothing(ada);
}

static void what_is_somebody_elses_is_refused_in_so_many_words(void **state)
{
    struct peer *ada = open_socket(ADA);

    (void)state;
    tell(ada, "[\"1\",\"1\",\"user:bob\",\"phx_join\",{}]");
    expect_next(ada, REPLY("1", "user:bob", REFUSED(DENIED("ada", "user:bob"))));
    tell(ada, "[\"2\",\"2\",\"role:customer\",\"phx_join\",{}]");
    expect_next(ada, REPLY("2", "role:customer", REFUSED(DENIED("ada", "role:customer"))));
    tell(ada, "[\"3\",\"3\",\"user:Ada\",\"phx_join\",{}]");
    expect_next(ada, REPLY("3", "user:Ada", REFUSED(DENIED("ada", "user:Ada"))));
    expect_nothing(ada);
    assert_int_equal(counted(RG_HUB_JOIN_REFUSALS + RG_JOIN_DENIED), 3);
    assert_int_equal(present("user:bob"), 0);
}

static void names_in_a_refusal_are_quoted_with_backslashes(void **state)
{
    struct peer *odd = open_socket("\"username\":\"a\\\"\\\\\",\"jti\":\"j\"");

    (void)state;
    tell(odd, "[\"1\",\"1\",\"user:\\\"\\n\\u0001#{\\u00e9\",\"phx_join\",{}]");
    expect_part(next(odd),
                "\"response\":\"unauthorized user with id \\\"a\\\\\\\"\\\\\\\\\\\" tried to "
                "join \\\"user:\\\\\\\"\\\\n\\\\x01\\\\#{\xc3\xa9\\\"!\"");
}

static void whoever_has_a_privileged_role_may_join_all_of_them(void **state)
{
    struct peer *sam = open_socket(SAM);

    (void)state;
    join(sam, "1", "user:ada");
    expect_part(expect_begin(sam, DIFF("user:ada") "{\"joins\":{\"sam\":"), NO_LEAVES);
    expect_nothing(sam);
    join(sam, "2", "role:customer");
    expect_nothing(sam);
    join(sam, "3", "user:sam");
    expect_next(sam, STATE("user:sam") "{}]");
    expect_begin(sam, DIFF("user:sam") "{\"joins\":{\"sam\":");
    expect_nothing(sam);
    assert_int_equal(present("user:ada"), 1);
    assert_int_equal(present("role:customer"), 0);
    assert_int_equal(present("role:support"), 1);
}

static void a_token_without_a_user_joins_nothing_of_users(void **state)
{
    struct peer *nobody = open_socket("\"role\":[\"support\"],\"jti\":\"j\"");
    struct peer *number = open_socket("\"username\":5,\"role\":[\"support\"],\"jti\":\"j\"");

    (void)state;
    tell(nobody, "[\"1\",\"1\",\"user:ada\",\"phx_join\",{}]");
    expect_next(nobody, REPLY("1", "user:ada", REASON("join crashed")));
    tell(nobody, "[\"2\",\"2\",\"role:customer\",\"phx_join\",{}]");
    expect_next(nobody, REPLY("2", "role:customer", REASON("join crashed")));
    tell(number, "[\"1\",\"1\",\"user:5\",\"phx_join\",{}]");
    expect_next(number, REPLY("1", "user:5", REASON("join crashed")));
    join(nobody, "3", "events:chat.posted");
}

static void a_token_without_roles_has_its_own_topic(void **state)
{
    struct peer *ada = open_socket("\"username\":\"ada\",\"jti\":\"j\"");

    (void)state;
    join(ada, "1", "user:ada");
    forget(ada);
    tell(ada, "[\"2\",\"2\",\"user:bob\",\"phx_join\",{}]");
    expect_next(ada, REPLY("2", "user:bob", REFUSED(DENIED("ada", "user:bob"))));
    assert_int_equal(present("user:ada"), 1);
}

static void other_topics_do_not_exist(void **state)
{
    static const char *const topics[] = {"room:1", "phoenix", "", "user", "users:ada", "ROLE:x"};
    struct peer *sam = open_socket(SAM);

    (void)state;
    for (size_t i = 0; i < RG_COUNT_OF(topics); i++) {
        tell(sam, format("[\"1\",\"1\",\"%s\",\"phx_join\",{}]", topics[i]));
        expect_next(sam, format("[\"1\",\"1\",\"%s\",\"phx_reply\"," REASON("unmatched topic") "]",
                                topics[i]));
    }
    assert_int_equal(counted(RG_HUB_JOIN_REFUSALS + RG_JOIN_UNMATCHED), RG_COUNT_OF(topics));
}

/* ---- joining again, leaving, and the rest ---- */

static void joining_again_replaces_the_channel(void **state)
{
    struct peer *ada = open_socket(ADA), *sam = open_socket(SAM);

    (void)state;
    join_quietly(sam, "1", "role:customer");
    join_quietly(ada, "1", "user:ada");
    const char *first = ref_in(next(sam));

    join(ada, "4", "user:ada");
    expect_next(ada, CLOSE("1", "user:ada"));
    expect_next(ada, STATE("user:ada") "{}]");
    expect_part(expect_begin(ada, DIFF("user:ada") "{\"joins\":{\"ada\":"), NO_LEAVES);
    expect_nothing(ada);
    assert_int_equal(present("user:ada"), 1);
    expect_part(expect_begin(sam, DIFF("role:customer") "{\"joins\":{},\"leaves\":"), first);
    expect_part(expect_begin(sam, DIFF("role:customer") "{\"joins\":{\"ada\":"), NO_LEAVES);
    expect_nothing(sam);

    assert_int_equal(message("user:ada", "{\"n\":1}"), 1);
    expect_next(ada, "[null,null,\"user:ada\",\"message\",{\"n\":1}]");
    expect_nothing(ada);
    assert_int_equal(counted(RG_HUB_SUBSCRIPTIONS), 2);
}

static void a_channel_that_is_left_is_closed_and_says_no_more(void **state)
{
    struct peer *ada = open_socket(ADA);

    (void)state;
    join_quietly(ada, "1", "user:ada");
    tell(ada, "[\"1\",\"5\",\"user:ada\",\"phx_leave\",{}]");
    expect_next(ada, "[\"1\",\"5\",\"user:ada\",\"phx_reply\"," OK "]");
    expect_next(ada, CLOSE("1", "user:ada"));
    expect_nothing(ada);
    assert_int_equal(message("user:ada", "{}"), 0);
    expect_nothing(ada);
    assert_int_equal(present("user:ada"), 0);
    assert_int_equal(present("role:customer"), 0);
    assert_int_equal(counted(RG_HUB_SUBSCRIPTIONS), 0);

    tell(ada, "[null,\"6\",\"user:ada\",\"phx_leave\",{}]");
    expect_next(ada, "[null,\"6\",\"user:ada\",\"phx_reply\"," OK "]");
    expect_nothing(ada);
}

static void a_late_leave_does_not_end_a_newer_join(void **state)
{
    struct peer *ada = open_socket(ADA);

    (void)state;
    join_quietly(ada, "1", "user:ada");
    join_quietly(ada, "4", "user:ada");
    tell(ada, "[\"1\",\"5\",\"user:ada\",\"phx_leave\",{}]");
    tell(ada, "[\"1\",\"6\",\"user:ada\",\"hello\",{}]");
    expect_nothing(ada);
    assert_int_equal(present("user:ada"), 1);
    tell(ada, "[null,\"7\",\"user:ada\",\"phx_leave\",{}]");
    expect_next(ada, "[null,\"7\",\"user:ada\",\"phx_reply\"," OK "]");
    expect_next(ada, CLOSE("4", "user:ada"));
    assert_int_equal(present("user:ada"), 0);
}

static void both_references_of_a_join_name_it(void **state)
{
    struct peer *ada = open_socket(ADA);

    (void)state;
    tell(ada, "[\"6\",\"9\",\"user:ada\",\"phx_join\",{}]");
    expect_next(ada, "[\"6\",\"9\",\"user:ada\",\"phx_reply\"," OK "]");
    forget(ada);
    tell(ada, "[\"7\",\"10\",\"user:ada\",\"phx_leave\",{}]");
    expect_nothing(ada);
    tell(ada, "[\"6\",\"11\",\"user:ada\",\"phx_leave\",{}]");
    expect_next(ada, "[\"6\",\"11\",\"user:ada\",\"phx_reply\"," OK "]");
    expect_next(ada, CLOSE("9", "user:ada"));
}

static void other_events_are_answered_only_where_nothing_is_joined(void **state)
{
    struct peer *ada = open_socket(ADA);

    (void)state;
    tell(ada, "[null,\"2\",\"user:ada\",\"hello\",{}]");
    expect_next(ada, "[null,\"2\",\"user:ada\",\"phx_reply\"," REASON("unmatched topic") "]");
    tell(ada, "[null,\"3\",\"phoenix\",\"hello\",{}]");
    expect_next(ada, "[null,\"3\",\"phoenix\",\"phx_reply\"," REASON("unmatched topic") "]");
    join_quietly(ada, "1", "user:ada");
    tell(ada, "[\"1\",\"4\",\"user:ada\",\"hello\",{}]");
    expect_nothing(ada);
    tell(ada, "[\"x\",\"5\",\"phoenix\",\"heartbeat\",{}]");
    expect_next(ada, "[null,\"5\",\"phoenix\",\"phx_reply\"," OK "]");
    assert_int_equal(counted(RG_HUB_MESSAGES), 5);
}

/* ---- messages and diffs ---- */

static void a_message_reaches_every_channel_of_its_topic_once(void **state)
{
    struct peer *ada = open_socket(ADA), *far = open_on(1, token(ADA2), "2.0.0");
    struct peer *sam = open_socket(SAM), *bob = open_socket(BOB);

    (void)state;
    join_quietly(ada, "1", "user:ada");
    join_quietly(far, "1", "user:ada");
    join_quietly(sam, "1", "user:ada");
    join_quietly(sam, "2", "user:sam");
    join_quietly(bob, "1", "user:bob");
    forget(ada), forget(far);
    assert_int_equal(message("user:ada", "{\"n\": 1}"), 2);
    expect_next(ada, "[null,null,\"user:ada\",\"message\",{\"n\": 1}]");
    expect_next(far, "[null,null,\"user:ada\",\"message\",{\"n\": 1}]");
    expect_next(sam, "[null,null,\"user:ada\",\"message\",{\"n\": 1}]");
    expect_nothing(ada);
    expect_nothing(sam);
    expect_nothing(bob);
}

static void the_second_device_finds_the_first_and_both_hear_of_it(void **state)
{
    struct peer *first = open_socket(ADA), *second = open_on(1, token(ADA2), "2.0.0");

    (void)state;
    join_quietly(first, "1", "user:ada");
    join(second, "1", "user:ada");
    const char *there = expect_begin(second, STATE("user:ada") "{\"ada\":{\"metas\":[{");
    assert_int_equal(count_in(there, "\"jti\":\"ja\""), 1);
    assert_int_equal(count_in(there, "\"phx_ref\""), 1);
    const char *diff = expect_begin(second, DIFF("user:ada") "{\"joins\":{\"ada\":");
    assert_int_equal(count_in(diff, "\"phx_ref\""), 1);
    expect_part(diff, "\"jti\":\"ja2\"");
    expect_nothing(second);
    expect_next(first, diff);
    expect_nothing(first);

    hang_up(second);
    turn();
    const char *left = expect_begin(first, DIFF("user:ada") "{\"joins\":{},\"leaves\":{\"ada\":");
    expect_part(left, "\"jti\":\"ja2\"");
    expect_part(left, ref_in(diff));
}

static void each_own_role_has_a_presence_of_its_own(void **state)
{
    struct peer *sam = open_socket(SAM);
    struct peer *ada =
        open_socket("\"username\":\"ada\",\"role\":[\"customer\",\"vip\"],\"jti\":\"jv\"");

    (void)state;
    join(sam, "1", "role:customer");
    join(sam, "2", "role:vip");
    join(ada, "1", "user:ada");
    const char *customer = expect_begin(sam, DIFF("role:customer") "{\"joins\":{\"ada\":");
    const char *vip = expect_begin(sam, DIFF("role:vip") "{\"joins\":{\"ada\":");
    expect_nothing(sam);
    assert_string_not_equal(strstr(customer, "\"phx_ref\""), strstr(vip, "\"phx_ref\""));
    tell(ada, "[\"1\",\"2\",\"user:ada\",\"phx_leave\",{}]");
    expect_begin(sam, DIFF("role:customer") "{\"joins\":{},\"leaves\":{\"ada\":");
    expect_begin(sam, DIFF("role:vip") "{\"joins\":{},\"leaves\":{\"ada\":");
}

static void join_now(struct rg_inbox_item *item, void *ctx)
{
    struct peer *peer = RG_CONTAINER_OF(item, struct batch_item, item)->peer;
    struct rg_hub *hub = ctx;
    const struct rg_phx_message message = {.join_ref = RG_STR("\"1\""),
                                           .ref = RG_STR("\"1\""),
                                           .topic = RG_STR("role:customer"),
                                           .event = RG_STR("phx_join")};

    (void)peer;
    for (uint32_t i = 0; i < hub->clients.n; i++) {
        if (hub->clients.at[i].thing != NULL)
            rg_channels_take(hub->clients.at[i].thing, &message);
    }
}

/* Both on the first reactor: the diff of ada's joining is in its inbox, behind sam's and eve's. */
static void a_diff_from_before_the_join_is_not_told(void **state)
{
    struct peer *sam = open_socket(SAM);
    struct peer *ada = open_on(1, token(ADA), "2.0.0");

    (void)state;
    join_quietly(sam, "0", "role:customer");
    /* In the inbox first; then what joins again, before the diff is looked at. */
    in_this_batch(join_now, NULL);
    put_text(ada, "[\"1\",\"1\",\"user:ada\",\"phx_join\",{}]");
    peer_turn(&shards[1].reactor);
    turn();
    expect_next(sam, REPLY("1", "role:customer", OK));
    expect_next(sam, CLOSE("0", "role:customer"));
    expect_nothing(sam);
    forget(ada);
    tell(ada, "[\"1\",\"2\",\"user:ada\",\"phx_leave\",{}]");
    expect_begin(sam, DIFF("role:customer") "{\"joins\":{},\"leaves\":{\"ada\":");
}

static void a_presence_says_who_and_with_what(void **state)
{
    struct peer *ada = ask(
        format("/socket/websocket?token=%s&vsn=2.0.0",
               token(ADA ",\"time\":\"claimed\",\"address\":1,\"device\":2,\"browser\":3,"
                         "\"transport\":4,\"user_agent\":5,\"ph\\u0078_ref\":6,\"more\":[1, 2]")),
        WS_FIELDS "user-agent: Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 "
                  "Firefox/140.0\r\n");
    int64_t now_ms = (int64_t)time(NULL) * 1000;
    long long time_ms;

    (void)state;
    forget_head(ada);
    join(ada, "1", "user:ada");
    next(ada);
    const char *diff = next(ada);
    expect_part(diff, "\"username\":\"ada\",\"role\":[\"customer\"],\"jti\":\"ja\"");
    expect_part(diff, "\"more\":[1, 2]");
    expect_part(diff, "\"exp\":");
    expect_part(diff, "\"device\":\"desktop\",\"browser\":\"Firefox\"");
    expect_part(diff, "\"user_agent\":\"Mozilla/5.0 (X11;");
    expect_part(diff, "\"transport\":\"websocket\"");
    expect_part(diff, "\"address\":\"");
    assert_int_equal(count_in(diff, "\"time\":"), 1);
    assert_int_equal(count_in(diff, "\"address\":"), 1);
    assert_int_equal(count_in(diff, "_ref\":"), 1);
    assert_int_equal(sscanf(strstr(diff, "\"time\":"), "\"time\":%lld", &time_ms), 1);
    assert_true(time_ms >= now_ms && time_ms < now_ms + 60000);
}

/* ---- presence as events ---- */

static void subscribers_hear_once_of_each_device(void **state)
{
    struct peer *watcher = sse("[{\"eventType\":\"rig.presence.join\"},"
                               "{\"eventType\":\"rig.presence.leave\"}]");
    struct peer *ada =
        open_socket("\"username\":\"ada\",\"role\":[\"customer\",\"vip\"],\"jti\":\"jv\"");
    struct peer *sam = open_socket(SAM);

    (void)state;
    forget(watcher);
    join(ada, "1", "user:ada");
    next(ada);
    const char *diff = next(ada);
    hear(watcher);
    assert_int_equal(peer_count(watcher, "event: rig.presence.join\n"), 1);
    assert_true(peer_has(watcher, "\"specversion\":\"1.0\""));
    assert_true(peer_has(watcher, "\"data\":{\"user\":\"ada\",\"roles\":[\"customer\",\"vip\"],"));
    assert_true(peer_has(watcher, ref_in(diff)));
    assert_true(peer_has(watcher, "\"transport\":\"websocket\""));
    assert_false(peer_has(watcher, "address"));
    assert_false(peer_has(watcher, "jti"));
    assert_false(peer_has(watcher, "rig.presence.leave"));

    forget(watcher);
    join_quietly(sam, "1", "user:ada");
    join_quietly(sam, "2", "role:customer");
    hear(watcher);
    assert_int_equal(watcher->got.n, 0);
    hang_up(ada);
    hear(watcher);
    assert_int_equal(peer_count(watcher, "event: rig.presence.leave\n"), 1);
    assert_true(peer_has(watcher, ref_in(diff)));
    assert_false(peer_has(watcher, "rig.presence.join"));
}

/* Events have filled the watcher's inbox; returns what it hears of somebody who joins then. */
static size_t joins_heard_behind(size_t bytes)
{
    struct peer *watcher =
        sse("[{\"eventType\":\"rig.presence.join\"},{\"eventType\":\"chat.posted\"}]");
    struct peer *ada = open_on(1, token(ADA), "2.0.0");

    forget(watcher);
    shards[0].reactor.inbox.max_bytes = 5000;
    put_event("waits", "blue", bytes);
    assert_int_equal(dispatch(dispatcher, "chat.posted", "next", "blue", 0), RG_EAGAIN);
    put_text(ada, "[\"1\",\"1\",\"user:ada\",\"phx_join\",{}]");
    peer_turn(&shards[1].reactor);
    hear(watcher);
    return peer_count(watcher, "event: rig.presence.join\n");
}

static void a_full_inbox_has_room_for_them(void **state)
{
    (void)state;
    assert_int_equal(joins_heard_behind(5000), 1);
    assert_int_equal(counted(RG_HUB_PRESENCE_LOST), 0);
}

static void there_is_an_end_to_that_as_well(void **state)
{
    (void)state;
    assert_int_equal(joins_heard_behind(20000), 0);
    assert_int_equal(counted(RG_HUB_PRESENCE_LOST), 1);
    assert_int_equal(present("user:ada"), 1);
}

/* ---- topics of events ---- */

static void a_topic_of_events_gives_the_events_of_a_type(void **state)
{
    struct peer *ada = open_socket(ADA), *first = open_on(0, token(ADA), "1.0.0");

    (void)state;
    join(ada, "1", "events:chat.posted");
    tell(first, "{\"topic\":\"events:chat.posted\",\"event\":\"phx_join\",\"payload\":"
                "{\"oneOf\":[{\"room\":\"blue\"},{\"author\":\"bob\"}]},\"ref\":\"1\"}");
    expect_part(next(first), "\"status\":\"ok\"");
    event("e1", "red");
    expect_part(expect_begin(ada, "[null,null,\"events:chat.posted\",\"message\",{"),
                "\"id\":\"e1\"");
    expect_nothing(first);
    event("e2", "blue");
    expect_part(next(ada), "\"id\":\"e2\"");
    expect_part(next(first), "\"id\":\"e2\"");
    tell(ada, "[\"1\",\"2\",\"events:chat.posted\",\"phx_leave\",{}]");
    expect_next(ada, "[\"1\",\"2\",\"events:chat.posted\",\"phx_reply\"," OK "]");
    expect_next(ada, CLOSE("1", "events:chat.posted"));
    event("e3", "blue");
    expect_nothing(ada);
    expect_part(next(first), "\"id\":\"e3\"");
}

static void joining_again_changes_the_constraints(void **state)
{
    struct peer *ada = open_socket(ADA);

    (void)state;
    join(ada, "1", "user:ada");
    forget(ada);
    tell(ada,
         "[\"2\",\"2\",\"events:chat.posted\",\"phx_join\",{\"oneOf\":[{\"room\":\"blue\"}]}]");
    forget(ada);
    tell(ada, "[\"3\",\"3\",\"events:chat.posted\",\"phx_join\",{\"oneOf\":[{\"room\":\"red\"}]}]");
    expect_next(ada, REPLY("3", "events:chat.posted", OK));
    expect_next(ada, CLOSE("2", "events:chat.posted"));
    event("e1", "blue");
    expect_nothing(ada);
    event("e2", "red");
    expect_part(next(ada), "\"id\":\"e2\"");
    expect_nothing(ada);
    message("user:ada", "{}");
    expect_begin(ada, "[null,null,\"user:ada\",\"message\"");
    assert_int_equal(counted(RG_HUB_SUBSCRIPTIONS), 2);
}

static void constraints_that_are_none_are_refused_with_the_reason(void **state)
{
    static const struct {
        const char *payload, *reason;
    } cases[] = {
        {"{\"oneOf\":5}", "constraints expected to be a list of disjunctive clauses at /oneOf"},
        {"{\"oneOf\":[5]}", "a disjunctive clause expected to be a conjunction represented by a map"
                            " at /oneOf/0"},
        {"[]", "the payload must be an object"},
        {"\"x\"", "the payload must be an object"},
    };
    struct peer *ada = open_socket(ADA);

    (void)state;
    for (size_t i = 0; i < RG_COUNT_OF(cases); i++) {
        join(ada, "1", "events:chat.posted");
        tell(ada, format("[\"2\",\"2\",\"events:chat.posted\",\"phx_join\",%s]", cases[i].payload));
        expect_next(ada, format("[\"2\",\"2\",\"events:chat.posted\",\"phx_reply\",{\"status\":"
                                "\"error\",\"response\":{\"reason\":\"%s\"}}]",
                                cases[i].reason));
        expect_next(ada, CLOSE("1", "events:chat.posted"));
        event("e", "blue");
        expect_nothing(ada);
    }
    tell(ada, "[\"3\",\"3\",\"events:\",\"phx_join\",{}]");
    expect_next(ada, REPLY("3", "events:", REASON("event-type empty at /eventType")));
    assert_int_equal(counted(RG_HUB_JOIN_REFUSALS + RG_JOIN_SUBSCRIPTIONS), RG_COUNT_OF(cases) + 1);
    tell(ada, "[\"4\",\"4\",\"events:x\",\"phx_join\",null]");
    expect_next(ada, REPLY("4", "events:x", OK));
}

/* ---- limits ---- */

static void a_socket_has_only_so_many_channels(void **state)
{
    struct peer *sam = open_socket(SAM);

    (void)state;
    for (unsigned i = 0; i < 8; i++)
        join_quietly(sam, "1", format("role:r%u", i));
    tell(sam, "[\"2\",\"2\",\"role:x\",\"phx_join\",{}]");
    expect_next(sam, REPLY("2", "role:x", REASON("too many channels")));
    join(sam, "3", "role:r5");
    expect_next(sam, CLOSE("1", "role:r5"));
    tell(sam, "[null,\"4\",\"role:r0\",\"phx_leave\",{}]");
    forget(sam);
    join(sam, "5", "role:x");
    assert_int_equal(counted(RG_HUB_SUBSCRIPTIONS), 8);
    assert_int_equal(counted(RG_HUB_JOIN_REFUSALS + RG_JOIN_LIMIT), 1);
}

static void constraints_of_all_channels_count_together(void **state)
{
    struct peer *ada = open_socket(ADA);
    struct rg_buf many = {0};

    (void)state;
    for (int i = 0; i < 15; i++)
        rg_buf_addf(&many, "%s{\"room\":%d}", i > 0 ? "," : "", i);
    rg_buf_add_char(&many, '\0');
    tell(ada, format("[\"1\",\"1\",\"events:a\",\"phx_join\",{\"oneOf\":[%s]}]", many.p));
    expect_next(ada, REPLY("1", "events:a", OK));
    tell(ada, format("[\"2\",\"2\",\"events:b\",\"phx_join\",{\"oneOf\":[%s]}]", many.p));
    expect_next(ada, REPLY("2", "events:b", REASON("too many subscriptions")));
    tell(ada, format("[\"3\",\"3\",\"events:a\",\"phx_join\",{\"oneOf\":[%s]}]", many.p));
    expect_next(ada, REPLY("3", "events:a", OK));
    expect_next(ada, CLOSE("1", "events:a"));
    for (int i = 0; i < 5; i++)
        join(ada, "4", format("events:c%d", i));
    tell(ada, "[\"5\",\"5\",\"events:d\",\"phx_join\",{}]");
    expect_next(ada, REPLY("5", "events:d", REASON("too many subscriptions")));
    rg_buf_done(&many);
}

static void a_topic_that_is_too_long_is_refused_and_the_socket_stays(void **state)
{
    struct peer *ada = open_socket(ADA);
    char topic[RG_PHX_MAX_TOPIC + 2];

    (void)state;
    memset(topic, 'x', sizeof(topic) - 1);
    memcpy(topic, "user:", 5);
    topic[sizeof(topic) - 1] = '\0';
    tell(ada, format("[\"1\",\"1\",\"%s\",\"phx_join\",{}]", topic));
    assert_non_null(strstr(next(ada), REASON("topic too long")));
    join_quietly(ada, "2", "user:ada");
}

static void a_flood_of_messages_ends_the_socket(void **state)
{
    struct peer *ada = open_socket(ADA);
    const char *heartbeat = "[null,\"1\",\"phoenix\",\"heartbeat\",{}]";
    unsigned answers = 0;
    const char *text;

    (void)state;
    join_quietly(ada, "1", "user:ada");
    for (int i = 0; i < RG_CHANNELS_RATE + 100; i++) {
        put_frame(ada, 0x81, heartbeat, strlen(heartbeat));
        if (i % 50 == 0)
            turn();
    }
    while (rg_str_starts_with(rg_str_c(text = next(ada)), RG_STR("[")))
        answers++;
    /* One was for the join; the clock has moved by a few milliseconds. */
    assert_in_range(answers, RG_CHANNELS_RATE - 1, RG_CHANNELS_RATE + 90);
    assert_string_equal(text, "close 1008 Too many messages.");
    assert_int_equal(present("user:ada"), 0);
    assert_int_equal(counted(RG_HUB_ENDS + RG_END_POLICY), 1);
}

static void as_many_messages_again_may_come_a_second_later(void **state)
{
    struct peer *ada = open_socket(ADA);
    const char *heartbeat = "[null,\"1\",\"phoenix\",\"heartbeat\",{}]";

    (void)state;
    for (int second = 0; second < 3; second++) {
        for (int i = 0; i < RG_CHANNELS_RATE; i++) {
            put_frame(ada, 0x81, heartbeat, strlen(heartbeat));
            if (i % 50 == 0)
                forget(ada);
        }
        forget(ada);
        pass(1000);
    }
    tell(ada, heartbeat);
    expect_next(ada, "[null,\"1\",\"phoenix\",\"phx_reply\"," OK "]");
}

/* ---- the end ---- */

static void whoever_is_banned_hears_it_on_each_channel(void **state)
{
    struct peer *ada = open_socket(ADA), *other = open_on(1, token(ADA2), "2.0.0");

    (void)state;
    join_quietly(ada, "1", "user:ada");
    join_quietly(ada, "2", "events:chat.posted");
    join_quietly(other, "1", "user:ada");
    forget(ada);
    assert_int_equal(rg_blacklist_add(blacklist, RG_STR("ja"), 60), 0);
    rg_push_kill_session(push, RG_STR("ja"));
    turn();
    expect_next(ada, "[\"2\",\"2\",\"events:chat.posted\",\"phx_error\","
                     "{\"reason\":\"session ended\"}]");
    expect_next(ada, "[\"1\",\"1\",\"user:ada\",\"phx_error\",{\"reason\":\"session ended\"}]");
    expect_next(ada, "close 1000");
    expect_nothing(ada);
    expect_part(next(other), "\"leaves\":{\"ada\":");
    assert_int_equal(present("user:ada"), 1);
    assert_int_equal(counted(RG_HUB_ENDS + RG_END_KILLED), 1);
    join(other, "2", "events:chat.posted");
}

static void the_session_that_the_token_names_counts_as_well(void **state)
{
    struct peer *ada = open_socket(ADA ",\"sid\":\"login\"");

    (void)state;
    rg_push_kill_session(push, RG_STR("login"));
    turn();
    expect_next(ada, "close 1000");
}

static void a_socket_ends_with_its_token(void **state)
{
    struct peer *ada = open_on(0, token_until((int64_t)time(NULL) + 5, ADA), "2.0.0");

    (void)state;
    join_quietly(ada, "1", "user:ada");
    pass(3000);
    expect_nothing(ada);
    pass(3000);
    expect_next(ada, "[\"1\",\"1\",\"user:ada\",\"phx_error\",{\"reason\":\"token expired\"}]");
    expect_next(ada, "close 4401 token expired");
    assert_int_equal(present("user:ada"), 0);
    assert_int_equal(counted(RG_HUB_ENDS + RG_END_TOKEN), 1);
}

static void it_may_outlive_its_token_if_that_is_wanted(void **state)
{
    (void)state;
    push->settings.channels.expiry_closes = false;
    push->settings.expiry_closes = true; /* which is about other clients */
    struct peer *ada = open_on(0, token_until((int64_t)time(NULL) + 5, ADA), "2.0.0");
    join_quietly(ada, "1", "user:ada");
    pass(10000);
    expect_nothing(ada);
    assert_int_equal(present("user:ada"), 1);
}

/* The errors of a hundred channels are more than the queue takes. */
static void a_queue_too_small_for_the_last_words_ends_the_socket_all_the_same(void **state)
{
    struct peer *sam = open_socket(SAM);

    (void)state;
    for (unsigned i = 0; i < 8; i++)
        join_quietly(sam, "1", format("role:%0400u", i));
    push->settings.client_queue_bytes = 1000;
    shards[0].hub->is_delivering = false;
    rg_push_kill_session(push, RG_STR("js"));
    turn();
    forget(sam);
    assert_int_equal(shards[0].hub->clients_n, 1); /* until it has closed, too */
    hang_up(sam);
    turn();
    assert_int_equal(shards[0].hub->clients_n, 0);
}

static void whoever_reads_too_slowly_loses_channels_and_presence(void **state)
{
    struct peer *ada = connect_to(0, 4096);
    char *big = malloc(30001);

    (void)state;
    memset(big, '1', 30000);
    big[30000] = '\0';
    peer_put(ada, "GET /socket/websocket?vsn=2.0.0&token=", 38);
    const char *rest = format("%s HTTP/1.1\r\nhost: h\r\n" WS_FIELDS "\r\n", token(ADA));
    peer_put(ada, rest, strlen(rest));
    hear(ada);
    forget_head(ada);
    join_quietly(ada, "1", "user:ada");
    for (int i = 0; i < 6; i++)
        message("user:ada", big);
    free(big);
    assert_int_equal(present("user:ada"), 0);
    assert_int_equal(counted(RG_HUB_ENDS + RG_END_SLOW), 1);
    hang_up(ada);
}

/* ---- what is announced later ---- */

static int begin_with_interval(void **state)
{
    struct rg_push_settings settings = sockets_settings();

    (void)state;
    settings.channels.presence_interval_ms = 200;
    sockets_begin(settings);
    return 0;
}

static void changes_within_the_interval_are_told_together(void **state)
{
    struct peer *sam = open_socket(SAM), *others[4];

    (void)state;
    join_quietly(sam, "1", "role:customer");
    for (unsigned i = 0; i < 4; i++) {
        others[i] = open_on(i % 2,
                            token(format("\"username\":\"u%u\",\"role\":[\"customer\"],"
                                         "\"jti\":\"%u\"",
                                         i, i)),
                            "2.0.0");
        join(others[i], "1", format("user:u%u", i));
    }
    expect_begin(sam, DIFF("role:customer") "{\"joins\":{\"u0\":");
    expect_nothing(sam);
    pass_interval();
    const char *diff = next(sam);
    for (unsigned i = 1; i < 4; i++)
        expect_part(diff, format("\"u%u\":{\"metas\"", i));
    expect_nothing(sam);
    for (unsigned i = 0; i < 4; i++)
        hang_up(others[i]);
    turn();
    pass_interval();
    forget(sam);
    pass_interval();
    expect_nothing(sam);
}

static void what_still_waits_at_the_end_is_forgotten(void **state)
{
    struct peer *ada = open_socket(ADA), *ada2 = open_socket(ADA2), *sam = open_socket(SAM);

    (void)state;
    join_quietly(sam, "1", "role:customer");
    join(ada, "1", "user:ada");
    join(ada2, "1", "user:ada");
    hang_up(ada);
    hang_up(ada2);
    hang_up(sam);
    turn();
    assert_int_equal(present("role:customer"), 0);
}

/* ---- SUBSCRIPTION_CHECK ---- */

static struct rg_http_client *http;
static struct rg_policy asks;

static int begin_asking(void **state)
{
    struct rg_push_settings settings = sockets_settings();
    struct rg_why why = {0};

    (void)state;
    http = rg_http_client_new(&rg_http_client_default_settings);
    assert_int_equal(rg_policy_init(&asks, "SUBSCRIPTION_CHECK", service.url, http, &why), 0);
    settings.subscription_check = asks;
    sockets_begin(settings);
    service_answers(200, "");
    service.requests = 0;
    return 0;
}

/* Ends in the order that the program must follow; see question.h. */
static int end_asking(void **state)
{
    for (size_t i = 0; i < peers_n; i++)
        peer_close(&peers[i]);
    turn();
    for (unsigned i = 0; i < 2; i++)
        rg_hub_kill_all(shards[i].hub);
    rg_http_client_free(&http);
    turn();
    assert_int_equal(shards[0].hub->questions_n, 0);
    return end_sockets(state);
}

#define ASKING_TEST(f) cmocka_unit_test_setup_teardown(f, begin_asking, end_asking)

static void wait_for_requests(unsigned n)
{
    while (service_requests() < n) {
        sched_yield();
        turn();
    }
}

static void wait_for_answers(void)
{
    while (shards[0].hub->questions_n > 0) {
        sched_yield();
        turn();
    }
}

static void the_service_is_asked_about_events_only(void **state)
{
    const char *ada_token = token(ADA);
    struct peer *ada = open_on(0, ada_token, "2.0.0");

    (void)state;
    join_quietly(ada, "1", "user:ada");
    assert_int_equal(service_requests(), 0);
    tell(ada,
         "[\"2\",\"2\",\"events:chat.posted\",\"phx_join\",{\"oneOf\":[{\"room\": \"blue\"}]}]");
    wait_for_answers();
    expect_next(ada, REPLY("2", "events:chat.posted", OK));
    assert_int_equal(service_requests(), 1);
    assert_true(service_got("content-type: application/json; charset=utf-8\r\n"));
    assert_true(service_got(format("authorization: Bearer %s\r\n", ada_token)));
    assert_true(service_got("\r\n\r\n{\"subscriptions\":[{\"eventType\":\"chat.posted\","
                            "\"oneOf\":[{\"room\": \"blue\"}]}]}"));
    event("e1", "blue");
    expect_part(next(ada), "\"id\":\"e1\"");
}

static void what_the_service_denies_is_not_joined(void **state)
{
    struct peer *ada = open_socket(ADA);

    (void)state;
    service_answers(403, "");
    tell(ada, "[\"2\",\"2\",\"events:chat.posted\",\"phx_join\",{}]");
    wait_for_answers();
    expect_next(ada,
                REPLY("2", "events:chat.posted", REASON("subscription denied (not authorized)")));
    event("e1", "blue");
    expect_nothing(ada);
    assert_int_equal(counted(RG_HUB_JOIN_REFUSALS + RG_JOIN_CHECK), 1);
    assert_int_equal(counted(RG_HUB_SUBSCRIPTIONS), 0);
}

static void what_waits_is_joined_by_nobody_yet(void **state)
{
    struct peer *ada = open_socket(ADA);

    (void)state;
    service_hold(true);
    tell(ada, "[\"2\",\"2\",\"events:chat.posted\",\"phx_join\",{}]");
    wait_for_requests(1);
    event("e1", "blue");
    expect_nothing(ada);
    tell(ada, "[\"2\",\"3\",\"events:chat.posted\",\"hello\",{}]");
    expect_nothing(ada);
    service_hold(false);
    wait_for_answers();
    expect_next(ada, REPLY("2", "events:chat.posted", OK));
    expect_nothing(ada);
}

static void a_leave_takes_the_place_of_a_join_that_waits(void **state)
{
    struct peer *ada = open_socket(ADA);

    (void)state;
    service_hold(true);
    tell(ada, "[\"2\",\"2\",\"events:chat.posted\",\"phx_join\",{}]");
    wait_for_requests(1);
    tell(ada, "[\"1\",\"3\",\"events:chat.posted\",\"phx_leave\",{}]");
    expect_nothing(ada);
    tell(ada, "[\"2\",\"3\",\"events:chat.posted\",\"phx_leave\",{}]");
    expect_next(ada, "[\"2\",\"3\",\"events:chat.posted\",\"phx_reply\"," OK "]");
    service_hold(false);
    wait_for_answers();
    expect_nothing(ada);
    event("e1", "blue");
    expect_nothing(ada);
}

static void another_join_takes_the_place_of_one_that_waits(void **state)
{
    struct peer *ada = open_socket(ADA);

    (void)state;
    tell(ada, "[\"1\",\"1\",\"events:chat.posted\",\"phx_join\",{\"oneOf\":[{\"room\":\"red\"}]}]");
    wait_for_answers();
    forget(ada);
    service_hold(true);
    tell(ada,
         "[\"2\",\"2\",\"events:chat.posted\",\"phx_join\",{\"oneOf\":[{\"room\":\"blue\"}]}]");
    tell(ada,
         "[\"3\",\"3\",\"events:chat.posted\",\"phx_join\",{\"oneOf\":[{\"room\":\"pink\"}]}]");
    wait_for_requests(2);
    event("e1", "red"); /* what was joined before lasts until it is decided */
    expect_part(next(ada), "\"id\":\"e1\"");
    service_hold(false);
    wait_for_answers();
    expect_next(ada, REPLY("3", "events:chat.posted", OK));
    expect_next(ada, CLOSE("1", "events:chat.posted"));
    event("e2", "blue");
    event("e3", "red");
    expect_nothing(ada);
    event("e4", "pink");
    expect_part(next(ada), "\"id\":\"e4\"");
}

static void a_socket_may_end_while_its_joins_wait(void **state)
{
    struct peer *ada = open_socket(ADA);

    (void)state;
    service_hold(true);
    tell(ada, "[\"2\",\"2\",\"events:a\",\"phx_join\",{}]");
    tell(ada, "[\"3\",\"3\",\"events:b\",\"phx_join\",{}]");
    wait_for_requests(1);
    hang_up(ada);
    turn();
    assert_int_equal(shards[0].hub->clients_n, 0);
    service_hold(false);
    wait_for_answers();
}

static void those_that_wait_count_as_channels(void **state)
{
    struct peer *ada = open_socket(ADA);

    (void)state;
    service_hold(true);
    for (unsigned i = 0; i < 8; i++)
        tell(ada, format("[\"2\",\"2\",\"events:t%u\",\"phx_join\",{}]", i));
    tell(ada, "[\"3\",\"3\",\"events:x\",\"phx_join\",{}]");
    expect_next(ada, REPLY("3", "events:x", REASON("too many channels")));
    service_hold(false);
    wait_for_answers();
    for (unsigned i = 0; i < 8; i++)
        expect_part(next(ada), OK);
}

/* ---- anything in any order ---- */

#define ACTORS 12

#define MAX_SEEN 64

/* What a socket should have, and whom it has been told of in its own topic, by reference. */
struct actor {
    struct peer *peer; /* NULL: not connected */
    unsigned who;
    bool is_in[4]; /* "user:u0" to "user:u2", "role:r" */
    const char *seen[MAX_SEEN];
    size_t seen_n;
};

static uint64_t seed;

static unsigned pick(unsigned n)
{
    seed = seed * 6364136223846793005u + 1442695040888963407u;
    return (unsigned)(seed >> 33) % n;
}

static const char *topic_name(unsigned topic)
{
    return topic < 3 ? format("user:u%u", topic) : "role:r";
}

static void check_against(const struct actor *actors)
{
    size_t in_user[3] = {0}, in_role = 0, in_support = 0, channels = 0;

    for (unsigned i = 0; i < ACTORS; i++) {
        const struct actor *a = &actors[i];
        for (unsigned topic = 0; a->peer != NULL && topic < 4; topic++) {
            if (!a->is_in[topic])
                continue;
            channels++;
            if (topic < 3)
                in_user[topic]++;
            if (topic == a->who && a->who > 0)
                in_role++;
            if (topic == a->who && a->who == 0)
                in_support++;
        }
    }
    for (unsigned topic = 0; topic < 3; topic++)
        assert_int_equal(present(topic_name(topic)), in_user[topic]);
    assert_int_equal(present("role:r"), in_role);
    assert_int_equal(present("role:support"), in_support);
    assert_int_equal(counted(RG_HUB_SUBSCRIPTIONS), channels);
}

/* u0 is privileged. */
static void act(struct actor *a, unsigned number)
{
    unsigned topic = pick(4), what = pick(10);

    if (a->peer == NULL) {
        *a = (struct actor){.who = pick(3)};
        a->peer = open_on(pick(2),
                          token(format("\"username\":\"u%u\",\"role\":[\"%s\"],\"jti\":\"j%u\"",
                                       a->who, a->who == 0 ? "support" : "r", number)),
                          "2.0.0");
    } else if (what < 5) {
        put_text(a->peer, format("[\"%u\",\"%u\",\"%s\",\"phx_join\",{}]", pick(3), pick(3),
                                 topic_name(topic)));
        a->is_in[topic] |= a->who == 0 || topic == a->who;
    } else if (what < 8) {
        put_text(a->peer, format("[null,\"x\",\"%s\",\"phx_leave\",{}]", topic_name(topic)));
        a->is_in[topic] = false;
    } else if (what == 8) {
        hang_up(a->peer);
        a->peer = NULL;
    } else {
        rg_push_kill_session(push, rg_str_c(format("j%u", number)));
        turn();
        hang_up(a->peer);
        a->peer = NULL;
    }
}

/* Adds the references in text, of which n bytes count, to what the actor sees, or takes them off.
 */
static void see(struct actor *a, const char *text, size_t n, bool is_there)
{
    const char *end = text + n;

    while ((text = memmem(text, (size_t)(end - text), "\"phx_ref\":\"", 11)) != NULL) {
        const char *ref = ref_in(text);
        size_t at = 0;
        while (at < a->seen_n && strcmp(a->seen[at], ref) != 0)
            at++;
        assert_true((at < a->seen_n) == !is_there); /* nothing comes or goes twice */
        if (is_there) {
            assert_true(a->seen_n < MAX_SEEN);
            a->seen[a->seen_n++] = ref;
        } else {
            a->seen[at] = a->seen[--a->seen_n];
        }
        text += 11;
    }
}

/* What presence in phoenix.js does with what its socket gets. */
static void read_all(struct actor *a)
{
    const char *own = format("[null,null,\"user:u%u\",\"presence_", a->who);
    const char *text;

    while (*(text = next(a->peer)) != '\0') {
        const char *rest = text + strlen(own), *leaves = strstr(text, ",\"leaves\":{");
        if (strncmp(text, own, strlen(own)) != 0)
            continue;
        if (*rest == 's') {
            a->seen_n = 0;
            see(a, text, strlen(text), true);
        } else {
            see(a, text, (size_t)(leaves - text), true);
            see(a, leaves, strlen(leaves), false);
        }
    }
}

/* Once nothing waits any more: whoever is in the own topic sees exactly who is there. */
static void check_views(struct actor *actors)
{
    for (unsigned i = 0; i < ACTORS; i++) {
        struct actor *a = &actors[i];
        struct rg_buf metas = {0};
        if (a->peer == NULL)
            continue;
        read_all(a);
        if (!a->is_in[a->who])
            continue;
        rg_roster_add_metas(push->roster, rg_str_c(topic_name(a->who)), &metas);
        rg_buf_add_char(&metas, '\0');
        assert_int_equal(count_in(metas.p, "\"phx_ref\""), a->seen_n);
        for (size_t k = 0; k < a->seen_n; k++)
            expect_part(metas.p, a->seen[k]);
        rg_buf_done(&metas);
    }
}

/* Steps of anybody, up to `together` of them before the loops turn. */
static void play(unsigned steps, unsigned together)
{
    struct actor actors[ACTORS] = {{0}};

    push->settings.channels.idle_ms = UINT32_MAX;
    push->settings.channels.expiry_closes = false;
    for (unsigned step = 0; step < steps; step++) {
        for (unsigned n = pick(together); n != UINT32_MAX; n--) {
            unsigned number = pick(ACTORS);
            /* A place for a connection is used once. */
            if (actors[number].peer != NULL || peers_n < RG_COUNT_OF(peers))
                act(&actors[number], number);
        }
        turn();
        check_against(actors);
        if (pick(4) == 0) {
            pass_interval();
            check_views(actors);
        }
    }
}

static void who_is_present_is_always_who_has_joined(void **state)
{
    (void)state;
    play(500, 1);
}

static void it_is_so_when_much_happens_at_once(void **state)
{
    (void)state;
    play(200, 6);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SOCKET_TEST(the_own_topic_gives_state_and_then_the_own_presence),
        SOCKET_TEST(a_socket_of_the_first_version_hears_objects),
        SOCKET_TEST(what_is_somebody_elses_is_refused_in_so_many_words),
        SOCKET_TEST(names_in_a_refusal_are_quoted_with_backslashes),
        SOCKET_TEST(whoever_has_a_privileged_role_may_join_all_of_them),
        SOCKET_TEST(a_token_without_a_user_joins_nothing_of_users),
        SOCKET_TEST(a_token_without_roles_has_its_own_topic),
        SOCKET_TEST(other_topics_do_not_exist),
        SOCKET_TEST(joining_again_replaces_the_channel),
        SOCKET_TEST(a_channel_that_is_left_is_closed_and_says_no_more),
        SOCKET_TEST(a_late_leave_does_not_end_a_newer_join),
        SOCKET_TEST(both_references_of_a_join_name_it),
        SOCKET_TEST(other_events_are_answered_only_where_nothing_is_joined),
        SOCKET_TEST(a_message_reaches_every_channel_of_its_topic_once),
        SOCKET_TEST(the_second_device_finds_the_first_and_both_hear_of_it),
        SOCKET_TEST(each_own_role_has_a_presence_of_its_own),
        SOCKET_TEST(a_diff_from_before_the_join_is_not_told),
        SOCKET_TEST(a_presence_says_who_and_with_what),
        SOCKET_TEST(subscribers_hear_once_of_each_device),
        SOCKET_TEST(a_full_inbox_has_room_for_them),
        SOCKET_TEST(there_is_an_end_to_that_as_well),
        SOCKET_TEST(a_topic_of_events_gives_the_events_of_a_type),
        SOCKET_TEST(joining_again_changes_the_constraints),
        SOCKET_TEST(constraints_that_are_none_are_refused_with_the_reason),
        SOCKET_TEST(a_socket_has_only_so_many_channels),
        SOCKET_TEST(constraints_of_all_channels_count_together),
        SOCKET_TEST(a_topic_that_is_too_long_is_refused_and_the_socket_stays),
        SOCKET_TEST(a_flood_of_messages_ends_the_socket),
        SOCKET_TEST(as_many_messages_again_may_come_a_second_later),
        SOCKET_TEST(whoever_is_banned_hears_it_on_each_channel),
        SOCKET_TEST(the_session_that_the_token_names_counts_as_well),
        SOCKET_TEST(a_socket_ends_with_its_token),
        SOCKET_TEST(it_may_outlive_its_token_if_that_is_wanted),
        SOCKET_TEST(a_queue_too_small_for_the_last_words_ends_the_socket_all_the_same),
        SOCKET_TEST(whoever_reads_too_slowly_loses_channels_and_presence),
        cmocka_unit_test_setup_teardown(changes_within_the_interval_are_told_together,
                                        begin_with_interval, end_sockets),
        cmocka_unit_test_setup_teardown(what_still_waits_at_the_end_is_forgotten,
                                        begin_with_interval, end_sockets),
        ASKING_TEST(the_service_is_asked_about_events_only),
        ASKING_TEST(what_the_service_denies_is_not_joined),
        ASKING_TEST(what_waits_is_joined_by_nobody_yet),
        ASKING_TEST(a_leave_takes_the_place_of_a_join_that_waits),
        ASKING_TEST(another_join_takes_the_place_of_one_that_waits),
        ASKING_TEST(a_socket_may_end_while_its_joins_wait),
        ASKING_TEST(those_that_wait_count_as_channels),
        SOCKET_TEST(who_is_present_is_always_who_has_joined),
        SOCKET_TEST(it_is_so_when_much_happens_at_once),
        cmocka_unit_test_setup_teardown(who_is_present_is_always_who_has_joined,
                                        begin_with_interval, end_sockets),
        cmocka_unit_test_setup_teardown(it_is_so_when_much_happens_at_once, begin_with_interval,
                                        end_sockets),
    };

    stage_begin();
    service_start();
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    service_stop();
    stage_end();
    return failed;
}
