/* Channel sockets over long-polling: what a GET is told and when, what a POST does, and both from
 * either of two reactors. */
#include "sockets.h"

#define JOIN_ADA "[\"1\",\"1\",\"user:ada\",\"phx_join\",{}]"
#define OK_ADA   "\"[\\\"1\\\",\\\"1\\\",\\\"user:ada\\\",\\\"phx_reply\\\","
#define BEAT(n)  "[null,\"" n "\",\"phoenix\",\"heartbeat\",{}]"
#define BEAT_OK(n)                                                                                 \
    "\"[null,\\\"" n "\\\",\\\"phoenix\\\",\\\"phx_reply\\\","                                     \
    "{\\\"status\\\":\\\"ok\\\",\\\"response\\\":{}}]\""
#define JSON   "content-type: application/json\r\n"
#define NDJSON "content-type: application/x-ndjson\r\n"

static struct rg_limits *limits;

static int end_longpoll(void **state)
{
    end_sockets(state);
    rg_limits_free(&limits);
    return 0;
}

#define LONGPOLL_TEST(f) cmocka_unit_test_setup_teardown(f, begin_sockets, end_longpoll)

/* ---- requests ---- */

static struct peer *get_on(unsigned shard, const char *query)
{
    return ask_on(shard, "GET", format("/socket/longpoll?%s", query), "");
}

/* The body of the answer that came, "" if none has; forgets it. */
static const char *body_of(struct peer *peer)
{
    hear(peer);
    if (peer->got.n == 0)
        return "";
    const char *length = strstr(peer->got.p, "content-length: ");
    assert_non_null(length);
    size_t n = strtoul(length + strlen("content-length: "), NULL, 10);
    forget_head(peer);
    return format("%.*s", (int)n, peer->got.p);
}

static void expect_body(struct peer *peer, const char *want)
{
    const char *got = body_of(peer);

    if (strcmp(got, want) != 0)
        fail_msg("expected %s, got %s", want, got);
    peer_forget(peer);
}

static void expect_waiting(struct peer *peer)
{
    hear(peer);
    if (peer->got.n > 0)
        fail_msg("answered: %.*s", RG_STR_ARG(rg_buf_str(&peer->got)));
}

/* Opens a socket; returns its id. */
static const char *open_with(unsigned shard, const char *query)
{
    struct peer *peer = get_on(shard, query);

    assert_true(peer_has(peer, "HTTP/1.1 200 OK\r\n"));
    assert_true(peer_has(peer, "{\"status\":410,\"token\":\""));
    assert_true(peer_has(peer, "\",\"messages\":[]}"));
    return format("%s", find_value(peer, "\"token\":\"", '"'));
}

static const char *open_polled(const char *claims)
{
    return open_with(0, format("token=%s&vsn=2.0.0&", token(claims)));
}

static struct peer *poll_on(unsigned shard, const char *id)
{
    return get_on(shard, format("token=%s", id));
}

static const char *answer_with(int status, const char *id, const char *messages)
{
    return format("{\"status\":%d,\"token\":\"%s\",\"messages\":[%s]}", status, id, messages);
}

static void put_post(struct peer *peer, const char *id, const char *fields, const char *body)
{
    const char *text = format("POST /socket/longpoll?vsn=2.0.0&token=%s HTTP/1.1\r\nhost: h\r\n%s"
                              "content-length: %zu\r\n\r\n%s",
                              id, fields, strlen(body), body);

    peer_put(peer, text, strlen(text));
    hear(peer);
}

static struct peer *post_on(unsigned shard, const char *id, const char *fields, const char *body)
{
    struct peer *peer = connect_to(shard, 0);

    put_post(peer, id, fields, body);
    return peer;
}

/* Posts and expects the status in the body, and, but for 400 and 413, 200 in the head. */
static void post(const char *id, const char *fields, const char *body, int status)
{
    struct peer *peer = post_on(0, id, fields, body);

    assert_true(
        peer_has(peer, format("HTTP/1.1 %d ", status == 400 || status == 413 ? status : 200)));
    expect_body(peer, format("{\"status\":%d}", status));
}

/* ---- opening ---- */

static void a_socket_is_opened_and_named_by_its_id(void **state)
{
    struct peer *peer = get_on(0, format("token=%s&vsn=2.0.0&", token(ADA)));

    (void)state;
    assert_true(peer_has(peer, "content-type: application/json; charset=utf-8\r\n"));
    assert_true(peer_has(peer, "cache-control: no-store\r\n"));
    assert_true(peer_has(peer, "access-control-allow-origin: *\r\n"));
    assert_false(peer_has(peer, "allow-credentials"));
    const char *id = find_value(peer, "\"token\":\"", '"');
    peer_forget(peer);
    post(id, JSON, BEAT("1"), 200);
    expect_body(poll_on(0, id), answer_with(200, id, BEAT_OK("1")));
    assert_int_equal(clients(), 1);
}

static void any_page_may_read_the_answers_whatever_cors_is(void **state)
{
    (void)state;
    push->settings.cors = "https://ui.example";
    for (int i = 0; i < 3; i++) {
        static const char *const methods[] = {"GET", "POST", "OPTIONS"};
        struct peer *peer = ask_on(0, methods[i], "/socket/longpoll?token=bad", "");
        assert_true(peer_has(peer, "access-control-allow-origin: *\r\n"));
        assert_false(peer_has(peer, "ui.example"));
        peer_forget(peer);
    }
}

static void whoever_is_not_let_in_is_told_403(void **state)
{
    const char *good = token(ADA);

    (void)state;
    expect_body(get_on(0, ""), "{\"status\":403}");
    expect_body(get_on(0, "token=bad&vsn=2.0.0"), "{\"status\":403}");
    expect_body(get_on(0, format("token=%s", token("\"username\":\"ada\""))), "{\"status\":403}");
    expect_body(get_on(0, format("token=%s&vsn=3.0.0", good)), "{\"status\":403}");
    expect_body(get_on(0, format("token=%s&x=%%", good)), "{\"status\":403}");
    assert_int_equal(rg_blacklist_add(blacklist, RG_STR("ja"), 60), 0);
    expect_body(get_on(0, format("token=%s", good)), "{\"status\":403}");
    assert_int_equal(clients(), 0);
}

static void one_good_token_of_several_is_enough(void **state)
{
    (void)state;
    open_with(0, format("token=bad&token=%s&token=", token(ADA)));
    struct peer *peer = ask("/socket/longpoll", format("x-phoenix-authtoken: %s\r\n", token(ADA)));
    assert_true(peer_has(peer, "{\"status\":410,\"token\":\""));
}

static void where_there_is_no_room_clients_are_asked_to_come_later(void **state)
{
    const struct rg_limits_settings one = {.per_minute = -1, .clients = 1};

    (void)state;
    push->settings.limits = limits = rg_limits_new(&one);
    open_polled(ADA);
    struct peer *second = get_on(0, format("token=%s", token(BOB)));
    assert_true(peer_has(second, "HTTP/1.1 429 "));
    assert_true(peer_has(second, "retry-after: "));
    expect_body(second, "{\"status\":500}");
}

static void other_methods_are_bad_requests(void **state)
{
    static const char *const methods[] = {"PUT", "DELETE", "PATCH", "HEAD", "WHATEVER"};
    const char *id = open_polled(ADA);

    (void)state;
    post(id, JSON, BEAT("1"), 200);
    for (size_t i = 0; i < RG_COUNT_OF(methods); i++)
        expect_empty(ask_on(0, methods[i], format("/socket/longpoll?token=%s", id), ""), 400);
    expect_body(poll_on(0, id), answer_with(200, id, BEAT_OK("1")));
}

static void pages_may_send_what_they_ask_for(void **state)
{
    struct peer *peer = ask_on(0, "OPTIONS", "/socket/longpoll",
                               "origin: https://ui.example\r\naccess-control-request-headers: "
                               "content-type,x-phoenix-authtoken\r\n");

    (void)state;
    expect_empty(peer, 200);
    assert_true(
        peer_has(peer, "access-control-allow-headers: content-type,x-phoenix-authtoken\r\n"));
    assert_true(peer_has(peer, "access-control-allow-methods: get, post, options\r\n"));
    assert_true(peer_has(peer, "access-control-max-age: 3600\r\n"));
    assert_true(peer_has(peer, "access-control-allow-origin: *\r\n"));
}

/* ---- fetching ---- */

static void what_is_queued_is_fetched_in_order_and_once(void **state)
{
    const char *id = open_polled(ADA);

    (void)state;
    post(id, JSON, JOIN_ADA, 200);
    const char *body = body_of(poll_on(0, id));
    expect_part(body, format("{\"status\":200,\"token\":\"%s\",\"messages\":[" OK_ADA, id));
    assert_true(strstr(body, "presence_state") < strstr(body, "presence_diff"));
    assert_int_equal(message("user:ada", "{\"n\":1}"), 1);
    assert_int_equal(message("user:ada", "{\"n\":2}"), 1);
    expect_body(poll_on(0, id),
                answer_with(200, id,
                            "\"[null,null,\\\"user:ada\\\",\\\"message\\\",{\\\"n\\\":1}]\","
                            "\"[null,null,\\\"user:ada\\\",\\\"message\\\",{\\\"n\\\":2}]\""));
    expect_waiting(poll_on(0, id));
}

static void in_the_first_version_messages_are_objects(void **state)
{
    const char *id = open_with(0, format("token=%s", token(ADA)));

    (void)state;
    post(id, JSON, BEAT("1"), 400);
    post(id, JSON, "{\"topic\":\"phoenix\",\"event\":\"heartbeat\",\"payload\":{},\"ref\":\"7\"}",
         200);
    expect_body(poll_on(0, id),
                answer_with(200, id,
                            "{\"topic\":\"phoenix\",\"event\":\"phx_reply\",\"ref\":\"7\","
                            "\"join_ref\":null,\"payload\":" OK "}"));
}

static void a_get_waits_until_there_is_something(void **state)
{
    (void)state;
    for (unsigned shard = 0; shard < 2; shard++) {
        const char *id = open_polled(ADA);
        post(id, JSON, JOIN_ADA, 200);
        body_of(poll_on(0, id));
        struct peer *waiting = poll_on(shard, id);
        expect_waiting(waiting);
        message("user:ada", "{\"n\":1}");
        expect_body(
            waiting,
            answer_with(200, id, "\"[null,null,\\\"user:ada\\\",\\\"message\\\",{\\\"n\\\":1}]\""));
    }
}

static void a_get_that_finds_nothing_is_told_so_in_time(void **state)
{
    const char *id = open_polled(ADA);
    struct peer *near = poll_on(0, id);

    (void)state;
    pass(9000);
    expect_waiting(near);
    pass(10500);
    expect_body(near, answer_with(204, id, ""));
    struct peer *far = poll_on(1, id);
    expect_waiting(far);
    pass(30000);
    expect_body(far, answer_with(204, id, ""));
}

static void a_second_get_sends_the_first_away(void **state)
{
    const char *id = open_polled(ADA);
    struct peer *first = poll_on(0, id), *second = poll_on(1, id);

    (void)state;
    expect_body(first, answer_with(204, id, ""));
    expect_waiting(second);
    struct peer *third = poll_on(0, id);
    expect_body(second, answer_with(204, id, ""));
    post(id, JSON, BEAT("1"), 200);
    expect_body(third, answer_with(200, id, BEAT_OK("1")));
    expect_waiting(second);
}

static void whoever_leaves_while_it_waits_misses_nothing(void **state)
{
    (void)state;
    for (unsigned shard = 0; shard < 2; shard++) {
        const char *id = open_polled(ADA);
        post(id, JSON, JOIN_ADA, 200);
        body_of(poll_on(0, id));
        struct peer *leaving = poll_on(shard, id);
        expect_waiting(leaving);
        hang_up(leaving);
        turn();
        message("user:ada", "{\"n\":1}");
        expect_body(
            poll_on(0, id),
            answer_with(200, id, "\"[null,null,\\\"user:ada\\\",\\\"message\\\",{\\\"n\\\":1}]\""));
    }
}

static void whoever_leaves_while_it_waits_does_not_poll(void **state)
{
    (void)state;
    push->settings.channels.longpoll_wait_ms = 60000;
    struct peer *near = poll_on(0, open_polled(ADA)), *far = poll_on(1, open_polled(BOB));
    hang_up(near);
    hang_up(far);
    turn();
    assert_int_equal(clients(), 2);
    pass(20500);
    assert_int_equal(clients(), 0);
    assert_int_equal(ends(RG_END_EXPIRED), 2);
}

static void of_several_ids_the_last_one_counts(void **state)
{
    const char *ada = open_polled(ADA), *bob = open_polled(BOB);

    (void)state;
    post(bob, JSON, BEAT("1"), 200);
    expect_body(get_on(0, format("token=%s&token=%s&token=%s", token(SAM), ada, bob)),
                answer_with(200, bob, BEAT_OK("1")));
}

/* ---- the end of a socket ---- */

static void a_socket_that_is_not_polled_ends(void **state)
{
    const char *id = open_polled(ADA), *jwt = token(ADA);

    (void)state;
    post(id, JSON, JOIN_ADA, 200);
    assert_int_equal(present("user:ada"), 1);
    pass(19000);
    assert_int_equal(clients(), 1);
    pass(20500);
    assert_int_equal(clients(), 0);
    assert_int_equal(present("user:ada"), 0);
    assert_int_equal(ends(RG_END_EXPIRED), 1);
    post(id, JSON, BEAT("2"), 410);
    expect_body(poll_on(0, id), "{\"status\":403}");
    assert_string_not_equal(open_with(0, format("token=%s&vsn=2.0.0&token=%s", jwt, id)), id);
}

static void posts_do_not_keep_a_socket(void **state)
{
    const char *id = open_polled(ADA);

    (void)state;
    pass(19000);
    post(id, JSON, BEAT("1"), 200);
    pass(20500);
    assert_int_equal(clients(), 0);
}

static void whoever_waits_polls(void **state)
{
    const char *id = open_polled(ADA);

    (void)state;
    push->settings.channels.longpoll_wait_ms = 60000;
    struct peer *waiting = poll_on(0, id);
    pass(50000);
    expect_waiting(waiting);
    assert_int_equal(clients(), 1);
    post(id, JSON, BEAT("1"), 200);
    expect_body(waiting, answer_with(200, id, BEAT_OK("1")));
    pass(71000);
    assert_int_equal(clients(), 0);
}

static void a_dead_id_beside_a_good_token_opens_a_new_socket(void **state)
{
    const char *jwt = token(ADA);

    (void)state;
    for (unsigned shard = 0; shard < 2; shard++) {
        const char *id = open_with(0, format("token=%s&vsn=2.0.0", jwt));
        rg_hub_kill_all(shards[0].hub);
        const char *query = format("token=%s&vsn=2.0.0&token=%s", jwt, id);
        const char *new_id = open_with(shard, query);
        assert_string_not_equal(new_id, id);
        assert_int_equal(shards[shard].hub->clients_n, 1);
        rg_hub_kill_all(shards[shard].hub);
        expect_body(poll_on(shard, id), "{\"status\":403}");
        expect_body(get_on(shard, format("token=bad&token=%s", id)), "{\"status\":403}");
        expect_body(get_on(shard, format("token=%s&vsn=9&token=%s", jwt, id)), "{\"status\":403}");
    }
}

static void a_ban_answers_the_get_that_waits(void **state)
{
    (void)state;
    for (unsigned shard = 0; shard < 2; shard++) {
        const char *jti = format("j%u", shard);
        const char *jwt = token(format("\"username\":\"ada\",\"jti\":\"%s\"", jti));
        const char *id = open_with(0, format("token=%s&vsn=2.0.0", jwt));
        struct peer *waiting = poll_on(shard, id);

        assert_int_equal(rg_blacklist_add(blacklist, rg_str_c(jti), 60), 0);
        rg_push_kill_session(push, rg_str_c(jti));
        expect_body(waiting, "{\"status\":403}");
        expect_body(get_on(shard, format("token=%s&token=%s", jwt, id)), "{\"status\":403}");
    }
    assert_int_equal(ends(RG_END_KILLED), 2);
}

static void an_end_of_the_token_answers_the_get_that_waits(void **state)
{
    const char *id =
        open_with(0, format("token=%s&vsn=2.0.0", token_until((int64_t)time(NULL) + 5, ADA)));

    (void)state;
    push->settings.channels.longpoll_wait_ms = 60000;
    struct peer *waiting = poll_on(0, id);
    expect_waiting(waiting);
    pass(6000);
    expect_body(waiting, "{\"status\":403}");
    assert_int_equal(ends(RG_END_TOKEN), 1);
}

static void an_end_of_the_token_is_told_on_each_channel_first(void **state)
{
    const char *error = "\"[\\\"1\\\",\\\"1\\\",\\\"events:a\\\",\\\"phx_error\\\","
                        "{\\\"reason\\\":\\\"token expired\\\"}]\"";

    (void)state;
    push->settings.channels.longpoll_wait_ms = 60000;
    const char *jwt = token_until((int64_t)time(NULL) + 5, ADA), *ids[2];
    struct peer *waiting[2];
    for (unsigned shard = 0; shard < 2; shard++) {
        ids[shard] = open_with(0, format("token=%s&vsn=2.0.0", jwt));
        post(ids[shard], JSON, "[\"1\",\"1\",\"events:a\",\"phx_join\",{}]", 200);
        forget(poll_on(0, ids[shard]));
        waiting[shard] = poll_on(shard, ids[shard]);
        expect_waiting(waiting[shard]);
    }
    pass(6000);
    for (unsigned shard = 0; shard < 2; shard++) {
        expect_body(waiting[shard], answer_with(200, ids[shard], error));
        expect_body(poll_on(shard, ids[shard]), "{\"status\":403}");
    }
    assert_int_equal(ends(RG_END_TOKEN), 2);
}

static void emptied_once(void *arg)
{
    (void)arg;
    emptied++;
}

static void an_end_of_the_gateway_sends_everybody_to_another_one(void **state)
{
    const char *id = open_polled(ADA), *jwt = token(ADA);
    struct peer *near = poll_on(0, id), *far = poll_on(1, open_polled(BOB));

    (void)state;
    rg_hub_drain(shards[0].hub, emptied_once, NULL);
    expect_body(near, "{\"status\":410}");
    expect_body(far, "{\"status\":410}");
    assert_int_equal(emptied, 1);
    struct peer *late = get_on(0, format("token=%s&token=%s", jwt, id));
    assert_true(peer_has(late, "HTTP/1.1 503 "));
    assert_true(peer_has(late, "retry-after: 1\r\n"));
    expect_body(late, "{\"status\":500}");
}

/* Fills a queue of 2000 bytes with messages of about 400. */
static void send_messages(unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        const struct rg_channel_message m = {RG_STR("user:ada"), RG_STR("message"),
                                             rg_str_c(format("{\"n\":%u,\"x\":\"%0350d\"}", i, 0))};
        static const struct rg_origin origin = {RG_SOURCE_KAFKA, 0, 0, 0, -1};
        rg_dispatch_to_channel(push, RG_EVENT_CHANNEL, &m, &origin);
    }
    turn();
}

static void a_socket_whose_queue_is_full_ends(void **state)
{
    const char *id = open_polled(ADA), *jwt = token(ADA);

    (void)state;
    post(id, JSON, JOIN_ADA, 200);
    body_of(poll_on(0, id));
    push->settings.client_queue_bytes = 2000;
    send_messages(4);
    assert_int_equal(clients(), 1);
    send_messages(4);
    assert_int_equal(clients(), 0);
    assert_int_equal(ends(RG_END_SLOW), 1);
    assert_string_not_equal(open_with(0, format("token=%s&token=%s", jwt, id)), id);
}

static void whoever_waits_gets_a_batch_that_is_longer_than_the_queue(void **state)
{
    const char *id = open_polled(ADA);

    (void)state;
    post(id, JSON, JOIN_ADA, 200);
    body_of(poll_on(0, id));
    push->settings.client_queue_bytes = 2000;
    struct peer *waiting = poll_on(0, id);
    send_messages(12);
    const char *body = body_of(waiting);
    assert_int_equal(count_in(body, "\\\"message\\\""), 12);
    assert_int_equal(clients(), 1);
    /* There is an end to that, too. */
    waiting = poll_on(0, id);
    send_messages(60);
    expect_body(waiting, "{\"status\":410}");
    assert_int_equal(ends(RG_END_SLOW), 1);
}

/* ---- posting ---- */

static void lines_are_messages_in_this_order(void **state)
{
    const char *id = open_polled(ADA);

    (void)state;
    post(id, NDJSON, "\n\r\n" BEAT("1") "\n" BEAT("2") "\r\n\n" BEAT("3"), 200);
    expect_body(poll_on(0, id),
                answer_with(200, id, BEAT_OK("1") "," BEAT_OK("2") "," BEAT_OK("3")));
    post(id, "content-type: Application/X-NDJSON ; charset=utf-8\r\n", BEAT("4") "\n" BEAT("5"),
         200);
    expect_body(poll_on(0, id), answer_with(200, id, BEAT_OK("4") "," BEAT_OK("5")));
    post(id, NDJSON, "", 200);
}

static void without_lines_a_body_is_one_message(void **state)
{
    const char *id = open_polled(ADA);

    (void)state;
    post(id, JSON, BEAT("1") "\n" BEAT("2"), 400);
    post(id, "", BEAT("3") "\n", 200);
    post(id, "content-type: application/x-ndjson2\r\n", BEAT("4") "\n" BEAT("5"), 400);
    post(id, JSON, "", 400);
    expect_body(poll_on(0, id), answer_with(200, id, BEAT_OK("3")));
}

static void a_bad_line_ends_its_post_and_nothing_else(void **state)
{
    const char *id = open_polled(ADA);

    (void)state;
    post(id, NDJSON, BEAT("1") "\ngarbage\n" BEAT("2"), 400);
    post(id, NDJSON, BEAT("3") "\n[1,2,3]", 400);
    post(id, NDJSON, format("%s\n[null,null,\"t\",\"e\",\"%04096d\"]\n%s", BEAT("4"), 0, BEAT("5")),
         413);
    expect_body(poll_on(0, id),
                answer_with(200, id, BEAT_OK("1") "," BEAT_OK("3") "," BEAT_OK("4")));
}

static void a_post_has_a_hundred_messages_at_most(void **state)
{
    const char *id = open_polled(ADA);
    struct rg_buf lines = {0};

    (void)state;
    for (int i = 0; i < 100; i++)
        rg_buf_addf(&lines, "[null,\"%d\",\"phoenix\",\"heartbeat\",{}]\n", i);
    rg_buf_add_char(&lines, '\0');
    post(id, NDJSON, lines.p, 200);
    assert_int_equal(count_in(body_of(poll_on(0, id)), "phx_reply"), 100);
    lines.n--;
    rg_buf_add_c(&lines, BEAT("100"));
    rg_buf_add_char(&lines, '\0');
    post(id, NDJSON, lines.p, 400);
    assert_int_equal(count_in(body_of(poll_on(0, id)), "phx_reply"), 100);
    rg_buf_done(&lines);
}

static size_t longest_post(size_t message_bytes, size_t event_bytes)
{
    struct rg_route rows[RG_API_ROUTES];

    push->settings.channels.max_message_bytes = message_bytes;
    push->settings.max_event_bytes = event_bytes;
    size_t n = rg_api_routes(shards[0].hub, &shards[0].publish, rows);
    for (size_t i = 0; i < n; i++) {
        if (strcmp(rows[i].pattern, "/socket/longpoll") == 0)
            return rows[i].max_body;
    }
    return 0;
}

static void a_post_is_no_longer_than_what_else_strangers_may_send(void **state)
{
    (void)state;
    assert_int_equal(longest_post(1000, 1000000), 100000);
    assert_int_equal(longest_post(100000, 1000000), 1000000);
    assert_int_equal(longest_post(2000000, 1000000), 2000000);
}

static void whoever_posts_to_no_socket_is_told_410(void **state)
{
    const char *id = open_polled(ADA);

    (void)state;
    rg_hub_kill_all(shards[0].hub);
    for (unsigned shard = 0; shard < 2; shard++) {
        expect_body(post_on(shard, id, JSON, BEAT("1")), "{\"status\":410}");
        expect_body(post_on(shard, token(ADA), JSON, BEAT("1")), "{\"status\":410}");
        expect_body(post_on(shard, "", JSON, "garbage"), "{\"status\":410}");
    }
}

static void a_post_reaches_its_socket_from_any_reactor(void **state)
{
    const char *id = open_polled(ADA);

    (void)state;
    expect_body(post_on(1, id, NDJSON, BEAT("1") "\n" BEAT("2")), "{\"status\":200}");
    expect_body(post_on(1, id, JSON, "garbage"), "{\"status\":400}");
    expect_body(poll_on(0, id), answer_with(200, id, BEAT_OK("1") "," BEAT_OK("2")));
}

/* Its GET is answered then, but not in the middle of what ends the socket. */
static void a_socket_may_end_while_it_is_posted_to(void **state)
{
    const char *id = open_polled(ADA);
    struct peer *getting = connect_to(0, 0), *posting = connect_to(0, 0);
    struct rg_buf lines = {0};
    unsigned posts = 0;

    (void)state;
    for (int i = 0; i < 100; i++)
        rg_buf_add_c(&lines, BEAT("1") "\n");
    rg_buf_add_char(&lines, '\0');
    const char *get = format("GET /socket/longpoll?token=%s HTTP/1.1\r\nhost: h\r\n\r\n", id);
    do {
        peer_forget(getting);
        peer_forget(posting);
        peer_put(getting, get, strlen(get));
        turn();
        put_post(posting, id, NDJSON, lines.p);
        hear(getting);
    } while (++posts < 50 && peer_has(posting, "{\"status\":200}"));
    assert_true(peer_has(posting, "{\"status\":410}"));
    assert_int_equal(ends(RG_END_POLICY), 1);
    assert_int_equal(clients(), 0);
    rg_buf_done(&lines);
}

static void requests_behind_a_get_run_when_its_socket_ends(void **state)
{
    const char *id = open_polled(ADA);
    struct peer *waiting = connect_to(0, 0);
    const char *get = format("GET /socket/longpoll?token=%s HTTP/1.1\r\nhost: h\r\n\r\n", id);

    (void)state;
    peer_put(waiting, get, strlen(get));
    peer_put(waiting, get, strlen(get));
    turn();
    expect_waiting(waiting);
    for (int i = 0; i < 1001 && clients() > 0; i++) {
        const struct rg_phx_message beat = {
            RG_STR("null"), RG_STR("1"), RG_STR("phoenix"), RG_STR("none"), {RG_JSON_NULL, {0}}};
        for (uint32_t slot = 0; slot < shards[0].hub->clients.n; slot++) {
            struct rg_client *client = shards[0].hub->clients.at[slot].thing;
            if (client != NULL)
                rg_channels_take(client, &beat);
        }
    }
    hear(waiting);
    rg_hub_settle(shards[0].hub);
    hear(waiting);
    assert_int_equal(peer_count(waiting, "HTTP/1.1 200 OK\r\n"), 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        LONGPOLL_TEST(a_socket_is_opened_and_named_by_its_id),
        LONGPOLL_TEST(any_page_may_read_the_answers_whatever_cors_is),
        LONGPOLL_TEST(whoever_is_not_let_in_is_told_403),
        LONGPOLL_TEST(one_good_token_of_several_is_enough),
        LONGPOLL_TEST(where_there_is_no_room_clients_are_asked_to_come_later),
        LONGPOLL_TEST(other_methods_are_bad_requests),
        LONGPOLL_TEST(pages_may_send_what_they_ask_for),
        LONGPOLL_TEST(what_is_queued_is_fetched_in_order_and_once),
        LONGPOLL_TEST(in_the_first_version_messages_are_objects),
        LONGPOLL_TEST(a_get_waits_until_there_is_something),
        LONGPOLL_TEST(a_get_that_finds_nothing_is_told_so_in_time),
        LONGPOLL_TEST(a_second_get_sends_the_first_away),
        LONGPOLL_TEST(whoever_leaves_while_it_waits_misses_nothing),
        LONGPOLL_TEST(whoever_leaves_while_it_waits_does_not_poll),
        LONGPOLL_TEST(of_several_ids_the_last_one_counts),
        LONGPOLL_TEST(a_socket_that_is_not_polled_ends),
        LONGPOLL_TEST(posts_do_not_keep_a_socket),
        LONGPOLL_TEST(whoever_waits_polls),
        LONGPOLL_TEST(a_dead_id_beside_a_good_token_opens_a_new_socket),
        LONGPOLL_TEST(a_ban_answers_the_get_that_waits),
        LONGPOLL_TEST(an_end_of_the_token_answers_the_get_that_waits),
        LONGPOLL_TEST(an_end_of_the_token_is_told_on_each_channel_first),
        LONGPOLL_TEST(an_end_of_the_gateway_sends_everybody_to_another_one),
        LONGPOLL_TEST(a_socket_whose_queue_is_full_ends),
        LONGPOLL_TEST(whoever_waits_gets_a_batch_that_is_longer_than_the_queue),
        LONGPOLL_TEST(lines_are_messages_in_this_order),
        LONGPOLL_TEST(without_lines_a_body_is_one_message),
        LONGPOLL_TEST(a_bad_line_ends_its_post_and_nothing_else),
        LONGPOLL_TEST(a_post_has_a_hundred_messages_at_most),
        LONGPOLL_TEST(a_post_is_no_longer_than_what_else_strangers_may_send),
        LONGPOLL_TEST(whoever_posts_to_no_socket_is_told_410),
        LONGPOLL_TEST(a_post_reaches_its_socket_from_any_reactor),
        LONGPOLL_TEST(a_socket_may_end_while_it_is_posted_to),
        LONGPOLL_TEST(requests_behind_a_get_run_when_its_socket_ends),
    };

    stage_begin();
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    stage_end();
    return failed;
}
