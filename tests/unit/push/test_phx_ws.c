/* The WebSocket of channel sockets: its handshake, its frames, its silence, and its end. */
#include "sockets.h"

#include "http/websocket.h"

#define TARGET(token)  format("/socket/websocket?token=%s&vsn=2.0.0", token)
#define HEARTBEAT      "[null,\"1\",\"phoenix\",\"heartbeat\",{}]"
#define HEARTBEAT_BACK "[null,\"1\",\"phoenix\",\"phx_reply\"," OK "]"

/* ---- the handshake ---- */

static void only_a_get_is_a_request_for_a_socket(void **state)
{
    static const char *const methods[] = {"POST", "PUT", "DELETE", "OPTIONS", "HEAD", "PATCH", "X"};

    (void)state;
    for (size_t i = 0; i < RG_COUNT_OF(methods); i++)
        expect_empty(ask_on(0, methods[i], TARGET(token(ADA)), WS_FIELDS), 400);
}

static void who_may_not_come_in_hears_that_before_anything_else(void **state)
{
    (void)state;
    expect_empty(ask("/socket/websocket", ""), 403);
    expect_empty(ask(TARGET("garbage"), ""), 403);
    expect_empty(ask(TARGET("garbage"), WS_FIELDS), 403);
    expect_empty(ask(TARGET(token_until(1000, ADA)), WS_FIELDS), 403);
    expect_empty(ask(TARGET(token("\"username\":\"ada\"")), WS_FIELDS), 403);
    expect_empty(ask(format("/socket/websocket?token=%s&vsn=3.0.0", token(ADA)), WS_FIELDS), 403);
    expect_empty(ask(format("/socket/websocket?token=%s&vsn=abc", token(ADA)), WS_FIELDS), 403);
    expect_empty(ask(format("/socket/websocket?token=%s&vsn=%%", token(ADA)), WS_FIELDS), 403);
    assert_int_equal(counted(RG_HUB_REFUSALS + RG_REFUSED_TOKEN), 5);
    assert_int_equal(counted(RG_HUB_REFUSALS + RG_REFUSED_QUERY), 3);
    assert_int_equal(clients(), 0);
}

static void whoever_may_and_asks_for_no_upgrade_is_told_so(void **state)
{
    (void)state;
    expect_empty(ask(TARGET(token(ADA)), ""), 400);
    expect_empty(ask(TARGET(token(ADA)), "connection: upgrade\r\nupgrade: websocket\r\n"
                                         "sec-websocket-version: 99\r\n"
                                         "sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n"),
                 400);
    assert_int_equal(clients(), 0);
}

static void the_protocol_is_named_if_the_client_names_it(void **state)
{
    struct peer *peer = ask(TARGET(token(ADA)), WS_FIELDS "sec-websocket-protocol: x, phoenix\r\n");

    (void)state;
    assert_true(peer_has(peer, "\r\nsec-websocket-protocol: phoenix\r\n"));
    peer = ask(TARGET(token(ADA)), WS_FIELDS);
    assert_true(peer_has(peer, "HTTP/1.1 101 "));
    assert_true(peer_has(peer, "\r\nsec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"));
    assert_false(peer_has(peer, "sec-websocket-protocol"));
    peer = ask(TARGET(token(ADA)), WS_FIELDS "sec-websocket-protocol: phoenixes, PHOENIX\r\n");
    assert_true(peer_has(peer, "HTTP/1.1 101 "));
    assert_false(peer_has(peer, "sec-websocket-protocol"));
    peer = ask(TARGET(token(ADA)), WS_FIELDS "sec-websocket-extensions: permessage-deflate\r\n");
    assert_false(peer_has(peer, "sec-websocket-extensions"));
}

static int begin_without_channels(void **state)
{
    struct rg_push_settings settings = sockets_settings();

    (void)state;
    settings.channels.is_on = false;
    sockets_begin(settings);
    return 0;
}

static void nothing_is_there_unless_it_is_on(void **state)
{
    struct peer *peer = ask(TARGET(token(ADA)), WS_FIELDS);

    (void)state;
    assert_true(peer_has(peer, "HTTP/1.1 404 "));
}

static void what_came_with_the_request_is_heard(void **state)
{
    struct peer *peer = connect_to(0, 0);
    const char *head =
        format("GET %s HTTP/1.1\r\nhost: h\r\n" WS_FIELDS "\r\n", TARGET(token(ADA)));
    struct rg_buf bytes = {0};

    (void)state;
    rg_buf_add_c(&bytes, head);
    rg_ws_add_frame(&bytes, RG_WS_TEXT, RG_STR(HEARTBEAT), true);
    peer_put(peer, bytes.p, bytes.n);
    rg_buf_done(&bytes);
    hear(peer);
    forget_head(peer);
    expect_next(peer, HEARTBEAT_BACK);
}

/* ---- frames ---- */

static void text_in_a_binary_frame_is_text(void **state)
{
    struct peer *ada = open_socket(ADA);

    (void)state;
    put_frame(ada, 0x82, HEARTBEAT, strlen(HEARTBEAT));
    expect_next(ada, HEARTBEAT_BACK);
}

static void a_message_may_come_in_fragments_with_a_ping_between(void **state)
{
    struct peer *ada = open_socket(ADA);
    size_t half = strlen(HEARTBEAT) / 2;

    (void)state;
    put_frame(ada, 0x01, HEARTBEAT, half);
    put_frame(ada, 0x89, "x", 1);
    put_frame(ada, 0x80, HEARTBEAT + half, strlen(HEARTBEAT) - half);
    expect_next(ada, "pong x");
    expect_next(ada, HEARTBEAT_BACK);
    expect_nothing(ada);
}

static void several_messages_in_one_read_are_all_answered(void **state)
{
    struct peer *ada = open_socket(ADA);

    (void)state;
    for (int i = 0; i < 10; i++)
        put_text(ada, HEARTBEAT);
    for (int i = 0; i < 10; i++)
        expect_next(ada, HEARTBEAT_BACK);
    expect_nothing(ada);
}

static void what_cannot_be_decoded_ends_the_socket_and_no_other(void **state)
{
    static const char *const bad[] = {"garbage",
                                      "{}",
                                      "[]",
                                      "[1,2]",
                                      "[null,\"1\",\"phoenix\",\"heartbeat\"]",
                                      "null",
                                      "\"\"",
                                      "",
                                      "[null,{},\"phoenix\",\"heartbeat\",{}]"};
    struct peer *other = open_socket(ADA2);

    (void)state;
    for (size_t i = 0; i < RG_COUNT_OF(bad); i++) {
        struct peer *ada = open_socket(ADA);
        join_quietly(ada, "1", "user:ada");
        tell(ada, bad[i]);
        expect_next(ada, "close 1011");
        expect_nothing(ada);
        assert_int_equal(present("user:ada"), 0);
        hang_up(ada);
    }
    assert_int_equal(counted(RG_HUB_ENDS + RG_END_PROTOCOL), RG_COUNT_OF(bad));
    tell(other, HEARTBEAT);
    expect_next(other, HEARTBEAT_BACK);
}

static void what_is_behind_the_end_is_not_heard(void **state)
{
    struct peer *ada = open_socket(ADA);

    (void)state;
    put_text(ada, "garbage");
    put_text(ada, "[\"1\",\"1\",\"user:ada\",\"phx_join\",{}]");
    put_frame(ada, 0x89, "x", 1);
    expect_next(ada, "close 1011");
    expect_nothing(ada);
    assert_int_equal(present("user:ada"), 0);
    put_frame(ada, 0x88, "\x03\xf3", 2);
    assert_ended(ada);
    assert_int_equal(clients(), 0);
}

static void too_long_a_message_ends_the_socket(void **state)
{
    struct peer *ada = open_socket(ADA), *bob = open_socket(BOB);
    const char *fits = format("[null,\"1\",\"phoenix\",\"heartbeat\",\"%*s\"]", 4050, "");
    const char *long_one = format("[null,\"1\",\"phoenix\",\"heartbeat\",\"%*s\"]", 4097, "");

    (void)state;
    tell(ada, fits);
    expect_next(ada, HEARTBEAT_BACK);
    tell(ada, long_one);
    expect_next(ada, "close 1009");
    for (int i = 0; i < 65; i++)
        put_frame(bob, i == 0 ? 0x01 : 0x00, "[", 1);
    expect_next(bob, "close 1009");
}

static void malformed_frames_and_text_end_the_socket(void **state)
{
    struct peer *rsv = open_socket(ADA), *latin1 = open_socket(ADA), *plain = open_socket(ADA);

    (void)state;
    put_frame(rsv, 0xc1, HEARTBEAT, strlen(HEARTBEAT));
    expect_next(rsv, "close 1002");
    tell(latin1, "[null,\"\xe9\",\"phoenix\",\"heartbeat\",{}]");
    expect_next(latin1, "close 1007");
    peer_put(plain, "\x81\x02[]", 4);
    expect_next(plain, "close 1002");
}

static void a_close_is_echoed(void **state)
{
    struct peer *ada = open_socket(ADA), *bob = open_socket(BOB), *sam = open_socket(SAM);

    (void)state;
    join_quietly(ada, "1", "user:ada");
    put_frame(ada, 0x88, "\x0b\xb8why", 5);
    expect_next(ada, "close 3000");
    assert_ended(ada);
    assert_int_equal(present("user:ada"), 0);
    put_frame(bob, 0x88, "", 0);
    expect_next(bob, "close");
    assert_ended(bob);
    put_frame(sam, 0x88, "\x03\xed", 2);
    expect_next(sam, "close 1002");
    assert_int_equal(counted(RG_HUB_ENDS + RG_END_PEER_CLOSE), 2);
}

/* ---- silence ---- */

static void a_socket_that_says_nothing_is_closed(void **state)
{
    struct peer *ada = open_socket(ADA);

    (void)state;
    join_quietly(ada, "1", "user:ada");
    pass(59000);
    message("user:ada", "{}");
    expect_begin(ada, "[null,null,\"user:ada\",\"message\"");
    pass(60000);
    expect_next(ada, "close 1000");
    assert_int_equal(counted(RG_HUB_ENDS + RG_END_IDLE), 1);
    assert_int_equal(present("user:ada"), 0);
}

static void any_frame_counts_as_saying_something(void **state)
{
    static const unsigned char frames[] = {0x81, 0x89, 0x8a};
    struct peer *ada = open_socket(ADA);

    (void)state;
    for (size_t i = 0; i < RG_COUNT_OF(frames); i++) {
        pass(40000);
        put_frame(ada, frames[i], HEARTBEAT, frames[i] == 0x81 ? strlen(HEARTBEAT) : 1);
        forget(ada);
        assert_int_equal(clients(), 1);
    }
    pass(61000);
    expect_next(ada, "close 1000");
}

/* ---- the end ---- */

static void whoever_is_there_when_the_gateway_ends_is_told_to_come_back(void **state)
{
    struct peer *ada = open_socket(ADA);

    (void)state;
    join_quietly(ada, "1", "user:ada");
    rg_hub_drain(shards[0].hub, NULL, NULL);
    expect_next(ada, "close 1001 The gateway is shutting down.");
    put_frame(ada, 0x88, "\x03\xe9", 2);
    assert_ended(ada);
    expect_empty(ask(TARGET(token(ADA)), WS_FIELDS), 503);
    assert_int_equal(counted(RG_HUB_REFUSALS + RG_REFUSED_DRAINING), 1);
}

static void a_peer_that_never_answers_a_close_is_cut_off(void **state)
{
    struct peer *ada = open_socket(ADA);

    (void)state;
    tell(ada, "garbage");
    expect_next(ada, "close 1011");
    assert_int_equal(clients(), 1);
    pass(3000);
    assert_int_equal(clients(), 0);
}

static void a_silent_socket_keeps_no_queue(void **state)
{
    struct peer *ada = open_socket(ADA);

    (void)state;
    put_frame(ada, 0x01, HEARTBEAT, 10);
    put_frame(ada, 0x80, HEARTBEAT + 10, strlen(HEARTBEAT) - 10);
    forget(ada);
    for (uint32_t i = 0; i < shards[0].hub->clients.n; i++) {
        const struct rg_client *client = shards[0].hub->clients.at[i].thing;
        if (client == NULL)
            continue;
        assert_null(client->outbox.ring);
        assert_null(client->outbox.single);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SOCKET_TEST(only_a_get_is_a_request_for_a_socket),
        SOCKET_TEST(who_may_not_come_in_hears_that_before_anything_else),
        SOCKET_TEST(whoever_may_and_asks_for_no_upgrade_is_told_so),
        SOCKET_TEST(the_protocol_is_named_if_the_client_names_it),
        cmocka_unit_test_setup_teardown(nothing_is_there_unless_it_is_on, begin_without_channels,
                                        end_sockets),
        SOCKET_TEST(what_came_with_the_request_is_heard),
        SOCKET_TEST(text_in_a_binary_frame_is_text),
        SOCKET_TEST(a_message_may_come_in_fragments_with_a_ping_between),
        SOCKET_TEST(several_messages_in_one_read_are_all_answered),
        SOCKET_TEST(what_cannot_be_decoded_ends_the_socket_and_no_other),
        SOCKET_TEST(what_is_behind_the_end_is_not_heard),
        SOCKET_TEST(too_long_a_message_ends_the_socket),
        SOCKET_TEST(malformed_frames_and_text_end_the_socket),
        SOCKET_TEST(a_close_is_echoed),
        SOCKET_TEST(a_socket_that_says_nothing_is_closed),
        SOCKET_TEST(any_frame_counts_as_saying_something),
        SOCKET_TEST(whoever_is_there_when_the_gateway_ends_is_told_to_come_back),
        SOCKET_TEST(a_peer_that_never_answers_a_close_is_cut_off),
        SOCKET_TEST(a_silent_socket_keeps_no_queue),
    };

    stage_begin();
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    stage_end();
    return failed;
}
