/* Channels over SSE: what a request must say, what a stream is told, and how it ends. */
#include "sockets.h"

#define REPLY(topic)                                                                               \
    "event: phx_reply\ndata: {\"topic\":\"" topic "\",\"event\":\"phx_reply\",\"ref\":null,"       \
    "\"join_ref\":null,\"payload\":" OK "}\n\n"
#define GOODBYE   "event: closing connection\n\n"
#define HEARTBEAT "event: heartbeat\n\n"

static struct rg_limits *limits;

static int end_sse(void **state)
{
    end_sockets(state);
    rg_limits_free(&limits);
    return 0;
}

#define SSE_TEST(f) cmocka_unit_test_setup_teardown(f, begin_sockets, end_sse)

/* ---- requests ---- */

static struct peer *get(const char *query)
{
    return ask(format("/socket/sse?%s", query), "");
}

/* The text of the stream so far, out of its chunks; forgets it. */
static const char *text_of(struct peer *peer)
{
    struct rg_buf text = {0};
    char *end;

    hear(peer);
    for (const char *p = peer->got.p; peer->got.n > 0 && *p != '\0';) {
        size_t n = strtoul(p, &end, 16);
        assert_memory_equal(end, "\r\n", 2);
        rg_buf_add(&text, end + 2, n);
        assert_memory_equal(end + 2 + n, "\r\n", 2);
        p = end + 4 + n;
    }
    const char *result = format("%.*s", RG_STR_ARG(rg_buf_str(&text)));
    rg_buf_done(&text);
    peer_forget(peer);
    return result;
}

/* A stream that has begun; its head is forgotten. */
static struct peer *stream(const char *claims, const char *topics)
{
    struct peer *peer = get(format("%s&token=%s", topics, token(claims)));

    assert_true(peer_has(peer, "HTTP/1.1 200 OK\r\n"));
    assert_true(peer_has(peer, "content-type: text/event-stream\r\n"));
    assert_true(peer_has(peer, "cache-control: no-cache\r\n"));
    assert_true(peer_has(peer, "access-control-allow-origin: *\r\n"));
    forget_head(peer);
    return peer;
}

static void expect_text(struct peer *peer, const char *want)
{
    const char *got = text_of(peer);

    if (strcmp(got, want) != 0)
        fail_msg("expected %s, got %s", want, got);
}

static void expect_refusal(struct peer *peer, int status, const char *body)
{
    if (!peer_has(peer, format("HTTP/1.1 %d ", status)) ||
        !peer_has(peer, format("\r\n\r\n%s", body)))
        fail_msg("expected %d %s, got %s", status, body, hear(peer));
    assert_true(peer_has(peer, "access-control-allow-origin: *\r\n"));
}

/* ---- joining ---- */

static void any_page_may_read_the_answers_whatever_cors_is(void **state)
{
    (void)state;
    push->settings.cors = "https://ui.example";
    peer_forget(stream(ADA, "users[]=ada"));
    expect_refusal(get("users[]=ada&token=bad"), 401, "event: unauthorized\n\n");
    struct peer *preflight = ask_on(0, "OPTIONS", "/socket/sse", "");
    assert_true(peer_has(preflight, "access-control-allow-origin: *\r\n"));
    peer_forget(preflight);
}

static void topics_are_joined_once_and_users_before_roles(void **state)
{
    struct peer *sam =
        stream(SAM, "roles[]=vip&users[]=ada&users%5B%5D=ada&roles[]=customer&users=b+c");

    (void)state;
    const char *text = text_of(sam);
    const char *ada = strstr(text, REPLY("user:ada")), *b = strstr(text, REPLY("user:b c"));
    const char *vip = strstr(text, REPLY("role:vip"));
    const char *customer = strstr(text, REPLY("role:customer"));
    assert_true(ada == text && b > ada && vip > b && customer > vip);
    assert_int_equal(count_in(text, "event: phx_reply"), 4);
    assert_int_equal(counted(RG_HUB_JOINS), 4);
}

static void the_own_topic_is_followed_by_who_is_there(void **state)
{
    const char *text = text_of(stream(ADA, "users[]=ada"));
    const char *there = REPLY("user:ada") "event: presence_state\ndata: {}\n\n"
                                          "event: presence_diff\ndata: {\"joins\":{\"ada\":";

    (void)state;
    assert_true(strncmp(text, there, strlen(there)) == 0);
    assert_null(strstr(text, "id:"));
}

static void without_chunks_there_is_only_the_text(void **state)
{
    struct peer *peer = connect_to(0, 0);

    (void)state;
    say(peer, format("GET /socket/sse?roles=vip&token=%s HTTP/1.0\r\n\r\n", token(SAM)));
    hear(peer);
    assert_false(peer_has(peer, "transfer-encoding"));
    forget_head(peer);
    assert_tail(peer, RG_STR(REPLY("role:vip")));
    assert_int_equal(peer->got.n, strlen(REPLY("role:vip")));
    peer_forget(peer);
    rg_push_kill_session(push, RG_STR("js"));
    assert_ended(peer);
    assert_true(peer_has(peer, GOODBYE));
    assert_tail(peer, RG_STR(GOODBYE));
}

static void a_refused_topic_ends_the_stream_behind_all_replies(void **state)
{
    struct peer *ada = stream(ADA, "users[]=bob&users[]=ada&roles[]=customer");

    (void)state;
    assert_ended(ada);
    const char *text = text_of(ada);
    const char *denied =
        "\"payload\":{\"status\":\"error\",\"response\":\"unauthorized user with id "
        "\\\"ada\\\" tried to join \\\"user:bob\\\"!\"}}\n\n";
    const char *end = strstr(text, GOODBYE);
    assert_non_null(strstr(text, denied));
    assert_non_null(strstr(text, REPLY("user:ada")));
    assert_int_equal(count_in(text, "event: phx_reply"), 3);
    assert_non_null(end);
    assert_string_equal(end, GOODBYE);
    assert_int_equal(ends(RG_END_REFUSED), 1);
    assert_int_equal(present("user:ada"), 0);
}

/* ---- what a request must say ---- */

static void what_is_missing_is_told_in_order(void **state)
{
    const char *jwt = token(ADA);

    (void)state;
    expect_refusal(get(""), 400, "Bad request. ");
    expect_refusal(get("users[]=ada"), 400, "Bad request. ");
    expect_refusal(get(format("token=%s", jwt)), 404, "no channels selected\n");
    expect_refusal(get("token=bad"), 404, "no channels selected\n");
    expect_refusal(get(format("users[]&roles[x]=y&token=%s", jwt)), 404, "no channels selected\n");
    expect_refusal(get("users[]=ada&token=bad"), 401, "event: unauthorized\n\n");
    expect_refusal(get("users[]=ada&token="), 401, "event: unauthorized\n\n");
    expect_refusal(get(format("users[]=%%zz&token=%s", jwt)), 400, "Bad request. ");
    expect_refusal(get(format("users[]=ada&token=%s&%%", jwt)), 400, "Bad request. ");
    expect_refusal(
        ask_on(0, "POST", format("/socket/sse?users[]=ada&token=%s", jwt), "content-length: 0\r\n"),
        400, "Bad request. ");
    assert_int_equal(clients(), 0);
}

static void streams_are_of_the_first_version(void **state)
{
    const char *jwt = token(ADA);

    (void)state;
    expect_refusal(get(format("users[]=ada&vsn=2.0.0&token=%s", jwt)), 401,
                   "event: unauthorized\n\n");
    expect_refusal(get(format("users[]=ada&vsn=abc&token=%s", jwt)), 401,
                   "event: unauthorized\n\n");
    assert_true(peer_has(get(format("users[]=ada&vsn=1.0.0&token=%s", jwt)), "HTTP/1.1 200 OK"));
}

static void there_are_as_many_topics_as_channels_and_no_more(void **state)
{
    struct rg_buf query = {0};

    (void)state;
    for (size_t i = 0; i < push->settings.channels.max_channels; i++)
        rg_buf_addf(&query, "roles[]=r%zu&roles[]=r%zu&", i, i / 2);
    const char *full = format("%.*s", RG_STR_ARG(rg_buf_str(&query)));
    rg_buf_done(&query);
    assert_int_equal(count_in(text_of(stream(SAM, full)), OK),
                     push->settings.channels.max_channels);
    expect_refusal(get(format("%stoken=%s&users[]=ada", full, token(SAM))), 400, "Bad request. ");
}

static void a_topic_is_as_long_as_messages_allow(void **state)
{
    (void)state;
    const char *long_name = format("%0*d", RG_PHX_MAX_TOPIC - 5, 0);
    assert_non_null(strstr(text_of(stream(SAM, format("users[]=%s", long_name))), OK));
    expect_refusal(get(format("users[]=%s0&token=%s", long_name, token(SAM))), 400,
                   "Bad request. ");
}

static void where_there_is_no_room_clients_are_asked_to_come_later(void **state)
{
    const struct rg_limits_settings one = {.per_minute = -1, .clients = 1};

    (void)state;
    push->settings.limits = limits = rg_limits_new(&one);
    stream(ADA, "users[]=ada");
    struct peer *second = get(format("users[]=bob&token=%s", token(BOB)));
    expect_refusal(second, 429, "Reached maximum number of connections");
    assert_true(peer_has(second, "retry-after: "));
}

static void pages_may_send_what_they_ask_for(void **state)
{
    struct peer *peer = ask_on(0, "OPTIONS", "/socket/sse", "");

    (void)state;
    expect_empty(peer, 200);
    assert_true(peer_has(peer, "access-control-allow-methods: get, post, options\r\n"));
    assert_false(peer_has(peer, "access-control-allow-headers"));
}

/* ---- while it is open ---- */

static void a_message_is_its_payload_alone(void **state)
{
    struct peer *ada = stream(ADA, "users[]=ada");

    (void)state;
    text_of(ada);
    assert_int_equal(message("user:ada", "{\"username\":\"ada\",\r\n\"n\":1}"), 1);
    expect_text(ada, "event: message\ndata: {\"username\":\"ada\",  \"n\":1}\n\n");
}

static void heartbeats_come_whatever_else_is_sent(void **state)
{
    struct peer *ada = stream(ADA, "users[]=ada");

    (void)state;
    text_of(ada);
    pass(9000);
    expect_text(ada, "");
    message("user:ada", "1");
    expect_text(ada, "event: message\ndata: 1\n\n");
    pass(10500);
    expect_text(ada, HEARTBEAT);
    pass(20500);
    expect_text(ada, HEARTBEAT);
}

/* ---- how it ends ---- */

static void a_ban_ends_it_with_a_goodbye(void **state)
{
    struct peer *ada = stream(ADA, "users[]=ada"), *other = stream(ADA2, "users[]=ada");

    (void)state;
    text_of(ada);
    rg_push_kill_session(push, RG_STR("ja"));
    assert_ended(ada);
    assert_tail(ada, RG_STR(GOODBYE "\r\n" LAST_PART));
    assert_false(other->has_seen_end);
    assert_int_equal(present("user:ada"), 1);
}

static void emptied_once(void *arg)
{
    (void)arg;
    emptied++;
}

static void an_end_of_the_gateway_ends_it_with_a_goodbye(void **state)
{
    struct peer *ada = stream(ADA, "users[]=ada");

    (void)state;
    rg_hub_drain(shards[0].hub, emptied_once, NULL);
    assert_ended(ada);
    assert_tail(ada, RG_STR(GOODBYE "\r\n" LAST_PART));
    assert_int_equal(emptied, 1);
    struct peer *late = get(format("users[]=bob&token=%s", token(BOB)));
    expect_refusal(late, 503, "The gateway is shutting down.");
    assert_true(peer_has(late, "retry-after: 1\r\n"));
}

static void whoever_reads_too_slowly_is_told_so_instead(void **state)
{
    struct peer *ada = connect_to(0, 4096);

    (void)state;
    say(ada,
        format("GET /socket/sse?users[]=ada&token=%s HTTP/1.1\r\nhost: h\r\n\r\n", token(ADA)));
    for (int i = 0; i < 60 && ends(RG_END_SLOW) == 0; i++)
        message("user:ada", format("\"%04000d\"", 0));
    assert_int_equal(ends(RG_END_SLOW), 1);
    assert_ended(ada);
    assert_false(peer_has(ada, GOODBYE));
    assert_true(peer_has(ada, ": closed: the client reads too slowly\n\n"));
}

static void whoever_goes_is_not_there_any_more(void **state)
{
    struct peer *ada = stream(ADA, "users[]=ada");

    (void)state;
    assert_int_equal(present("user:ada"), 1);
    hang_up(ada);
    turn();
    assert_int_equal(present("user:ada"), 0);
    assert_int_equal(clients(), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SSE_TEST(any_page_may_read_the_answers_whatever_cors_is),
        SSE_TEST(topics_are_joined_once_and_users_before_roles),
        SSE_TEST(the_own_topic_is_followed_by_who_is_there),
        SSE_TEST(without_chunks_there_is_only_the_text),
        SSE_TEST(a_refused_topic_ends_the_stream_behind_all_replies),
        SSE_TEST(what_is_missing_is_told_in_order),
        SSE_TEST(streams_are_of_the_first_version),
        SSE_TEST(there_are_as_many_topics_as_channels_and_no_more),
        SSE_TEST(a_topic_is_as_long_as_messages_allow),
        SSE_TEST(where_there_is_no_room_clients_are_asked_to_come_later),
        SSE_TEST(pages_may_send_what_they_ask_for),
        SSE_TEST(a_message_is_its_payload_alone),
        SSE_TEST(heartbeats_come_whatever_else_is_sent),
        SSE_TEST(a_ban_ends_it_with_a_goodbye),
        SSE_TEST(an_end_of_the_gateway_ends_it_with_a_goodbye),
        SSE_TEST(whoever_reads_too_slowly_is_told_so_instead),
        SSE_TEST(whoever_goes_is_not_there_any_more),
    };

    stage_begin();
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    stage_end();
    return failed;
}
