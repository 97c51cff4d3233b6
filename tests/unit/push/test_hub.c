#include "stage.h"

/* ---- what reaches whom ---- */

static void an_event_reaches_exactly_the_matching_clients_once(void **state)
{
    struct peer *all = sse(CHAT), *blue = sse(BLUE), *red = sse(RED), *other = sse(OTHER);
    struct peer *none = sse(NULL), *ws_blue = ws(BLUE), *ws_red = ws(RED);

    (void)state;
    event("e1", "blue");
    assert_int_equal(times(all, "e1"), 1);
    assert_int_equal(times(blue, "e1"), 1);
    assert_int_equal(times(ws_blue, "e1"), 1);
    assert_int_equal(times(red, "e1"), 0);
    assert_int_equal(times(ws_red, "e1"), 0);
    assert_int_equal(times(other, "e1"), 0);
    assert_int_equal(times(none, "e1"), 0);

    event("e2", "red");
    assert_int_equal(times(all, "e2"), 1);
    assert_int_equal(times(blue, "e2"), 0);
    assert_int_equal(times(red, "e2"), 1);
    assert_int_equal(times(ws_red, "e2"), 1);
    assert_int_equal(rg_counters_get(shards[0].hub->counters, RG_HUB_EVENTS), 2);
    assert_int_equal(rg_counters_get(shards[0].hub->counters, RG_HUB_DELIVERIES + RG_SSE), 4);
    assert_int_equal(rg_counters_get(shards[0].hub->counters, RG_HUB_DELIVERIES + RG_WS), 2);
}

static void several_matching_subscriptions_deliver_once(void **state)
{
    struct peer *peer = sse("[{\"eventType\":\"chat.posted\"},{\"eventType\":\"chat.posted\","
                            "\"oneOf\":[{\"room\":\"blue\"},{\"author\":\"ada\"},"
                            "{\"room\":\"blue\",\"author\":\"ada\"}]}]");

    (void)state;
    event("e1", "blue");
    event("e1", "blue");
    assert_int_equal(times(peer, "e1"), 2);
}

static void an_event_that_nobody_wants_goes_nowhere(void **state)
{
    (void)state;
    sse(RED);
    event("e1", "blue");
    assert_int_equal(rg_counters_get(shards[0].hub->counters, RG_HUB_EVENTS), 0);
    assert_int_equal(rg_counters_get(shards[1].hub->counters, RG_HUB_EVENTS), 0);
}

static void only_the_reactors_that_want_an_event_get_it(void **state)
{
    struct peer *far = connect_to(1, 0);
    struct peer *near = sse(RED);

    (void)state;
    request(far, "sse", BLUE, "1.1", "");
    event("e1", "blue");
    assert_int_equal(times(far, "e1"), 1);
    assert_int_equal(times(near, "e1"), 0);
    assert_int_equal(rg_counters_get(shards[0].hub->counters, RG_HUB_EVENTS), 0);
    assert_int_equal(rg_counters_get(shards[1].hub->counters, RG_HUB_EVENTS), 1);
}

static void events_of_one_batch_arrive_in_order_with_one_write(void **state)
{
    struct peer *peer = sse(CHAT);
    uint64_t before = rg_counters_get(shards[0].hub->counters, RG_HUB_WRITES);
    char id[16];
    const char *at;

    (void)state;
    for (int i = 0; i < 10; i++) {
        snprintf(id, sizeof(id), "n%d", i);
        put_event(id, "blue", 0);
    }
    at = hear(peer);
    for (int i = 0; i < 10; i++) {
        snprintf(id, sizeof(id), "\"n%d\"", i);
        at = strstr(at, id);
        assert_non_null(at);
    }
    assert_int_equal(rg_counters_get(shards[0].hub->counters, RG_HUB_WRITES), before + 1);
}

static void a_posted_event_reaches_a_subscriber(void **state)
{
    static const char body[] =
        "{\"specversion\":\"0.2\",\"type\":\"chat.posted\",\"source\":\"/t\",\"id\":\"p1\"}";
    struct peer *subscriber = sse(CHAT), *publisher = connect_to(1, 0);
    char text[300];

    (void)state;
    snprintf(text, sizeof(text),
             "POST /_rig/v1/events HTTP/1.1\r\nhost: h\r\ncontent-type: application/json\r\n"
             "content-length: %zu\r\n\r\n%s",
             strlen(body), body);
    say(publisher, text);
    hear(publisher);
    assert_true(peer_has(publisher, "HTTP/1.1 202 Accepted\r\n"));
    assert_int_equal(times(subscriber, "p1"), 1);
}

static void an_inbox_without_room_refuses_and_nothing_happens(void **state)
{
    struct peer *peer = sse(CHAT);
    struct peer *far = connect_to(1, 0);

    (void)state;
    request(far, "sse", CHAT, "1.1", "");
    shards[0].reactor.inbox.max_bytes = 100;
    put_event("e1", "blue", 0);
    assert_int_equal(dispatch(dispatcher, "chat.posted", "e2", "blue", 0), RG_EAGAIN);
    turn();
    put_event("e3", "blue", 0);
    assert_int_equal(times(peer, "e1") + times(peer, "e3"), 2);
    assert_int_equal(times(peer, "e2"), 0);
    assert_int_equal(times(far, "e2"), 0);
}

/* ---- the bytes on each transport ---- */

static void an_http_1_0_client_gets_the_stream_without_chunks(void **state)
{
    struct peer *peer = connect_to(0, 0);

    (void)state;
    request(peer, "sse", CHAT, "1.0", "");
    hear(peer);
    assert_false(peer_has(peer, "transfer-encoding"));
    assert_true(peer_has(peer, "\r\n\r\nevent: rig.connection.create\ndata: {"));
    forget(peer);
    event("e1", "blue");
    hear(peer);
    assert_memory_equal(peer->got.p, "event: chat.posted\ndata: {", 26);
    assert_tail(peer, RG_STR("}\n\n"));
}

static void a_websocket_frame_has_exactly_the_event(void **state)
{
    struct peer *peer = ws(CHAT);
    static const char body[] =
        "{\"specversion\":\"0.2\",\"type\":\"chat.posted\",\"source\":\"/t\","
        "\"id\":\"e1\",\"data\":{\"room\":\"blue\",\"author\":\"ada\","
        "\"padding\":\"\"}}";

    (void)state;
    forget(peer);
    event("e1", "blue");
    hear(peer);
    assert_int_equal(peer->got.n, 2 + sizeof(body) - 1);
    assert_int_equal((unsigned char)peer->got.p[0], 0x81);
    assert_int_equal((unsigned char)peer->got.p[1], sizeof(body) - 1);
    assert_memory_equal(peer->got.p + 2, body, sizeof(body) - 1);
}

static void what_an_sse_client_sends_means_nothing(void **state)
{
    struct peer *peer = sse(CHAT);

    (void)state;
    say(peer, "GET / HTTP/1.1\r\n\r\n");
    event("e1", "blue");
    assert_int_equal(times(peer, "e1"), 1);
    assert_int_equal(peer_count(peer, "HTTP/1.1"), 1);
}

static void a_websocket_client_that_pings_gets_its_pong(void **state)
{
    struct peer *peer = ws(CHAT);

    (void)state;
    forget(peer);
    ws_send(peer, 0x89, "hi", 2);
    ws_send(peer, 0x89, "", 0);
    assert_tail(peer, RG_STR("\x8a\x02hi\x8a\x00"));
    assert_int_equal(clients(), 1);
}

static void a_websocket_client_that_talks_is_closed(void **state)
{
    struct peer *peer = ws(CHAT);

    (void)state;
    forget(peer);
    ws_send(peer, 0x81, "hi", 2);
    hear(peer);
    assert_memory_equal(peer->got.p, "\x88\x43\x03\xe8This WebSocket endpoint cannot", 34);
    assert_int_equal(ends(RG_END_POLICY), 1);
    /* It gets no more events, and its own close frame ends the matter. */
    event("e1", "blue");
    assert_int_equal(times(peer, "e1"), 0);
    ws_send(peer, 0x88, "\x03\xe8", 2);
    assert_ended(peer);
    assert_int_equal(clients(), 0);
}

/* RFC 7692: what is compressed is looked into, never beyond the limit, and ends in the same way. */
static void a_websocket_client_that_talks_compressed_is_closed(void **state)
{
    struct rg_deflater *deflater = rg_deflater_new();
    char *zeros = rg_zalloc(20000);
    struct rg_buf bomb = {0};
    (void)state;

    rg_deflater_add(deflater, rg_str_n(zeros, 20000), &bomb);
    bomb.n -= RG_DEFLATE_TAIL_N;
    assert_true(bomb.n <= 125);
    const struct {
        struct rg_str payload;
        const char *answer;
    } cases[] = {
        {RG_STR("\xf2\x48\xcd\xc9\xc9\x07\x00"), "\x88\x43\x03\xe8This WebSocket endpoint"},
        {rg_buf_str(&bomb), "\x88\x43\x03\xe8This WebSocket endpoint"},
        {RG_STR("Hello"), "\x88\x02\x03\xef"}, /* 1007 */
    };
    for (size_t i = 0; i < RG_COUNT_OF(cases); i++) {
        struct peer *peer = connect_to(0, 0);
        request(peer, "ws", CHAT, "1.1",
                WS_FIELDS "sec-websocket-extensions: permessage-deflate\r\n");
        hear(peer);
        assert_true(peer_has(peer, "sec-websocket-extensions: permessage-deflate; server_no_"));
        peer_forget(peer);
        ws_send(peer, 0xc2, cases[i].payload.p, cases[i].payload.n);
        hear(peer);
        assert_memory_equal(peer->got.p, cases[i].answer, strlen(cases[i].answer));
    }
    rg_buf_done(&bomb);
    rg_deflater_free(&deflater);
    rg_free(zeros);
}

static void a_websocket_client_that_closes_gets_its_code_back(void **state)
{
    struct peer *peer = ws(CHAT);

    (void)state;
    forget(peer);
    ws_send(peer, 0x88, "\x0f\xa1mine", 6);
    assert_tail(peer, RG_STR("\x88\x02\x0f\xa1"));
    assert_ended(peer);
    assert_int_equal(ends(RG_END_PEER_CLOSE), 1);
    assert_int_equal(clients(), 0);
}

static void a_websocket_client_that_does_not_answer_our_close_is_left(void **state)
{
    struct peer *peer = ws(CHAT);

    (void)state;
    ws_send(peer, 0x81, "hi", 2);
    assert_int_equal(clients(), 1);
    pass(3000);
    assert_int_equal(clients(), 0);
    assert_ended(peer);
}

static void a_refused_websocket_client_is_opened_and_closed(void **state)
{
    struct peer *peer = connect_to(0, 0);

    (void)state;
    request(peer, "ws", "[{}]", "1.1", WS_FIELDS);
    assert_tail(peer, RG_STR("\r\n\r\n\x88\x0e\x03\xe8"
                             "Bad request."));
    assert_int_equal(ends(RG_END_REFUSED), 1);
    ws_send(peer, 0x88, "", 0);
    assert_ended(peer);
}

/* ---- slow and broken clients ---- */

/* Sends events of 1000 bytes until slow is dropped; fast reads along. Returns how many. */
static int flood(struct peer *fast)
{
    char id[16];
    int n = 0;

    while (ends(RG_END_SLOW) == 0) {
        assert_true(n < 1000);
        snprintf(id, sizeof(id), "f%d", n++);
        put_event(id, "blue", 1000);
        hear(fast);
    }
    for (int i = 0; i < n; i++) {
        snprintf(id, sizeof(id), "f%d", i);
        assert_int_equal(times(fast, id), 1);
    }
    return n;
}

static void a_slow_sse_client_is_dropped_with_a_goodbye(void **state)
{
    struct peer *fast = sse(CHAT), *slow = sse_with(CHAT, 4096);

    (void)state;
    flood(fast);
    assert_int_equal(clients(), 2);
    /* It reads on: the event that was cut off, then why, then the end of the body. */
    assert_tail(slow,
                RG_STR("\n\n\r\n27\r\n: closed: the client reads too slowly\n\n\r\n" LAST_PART));
    assert_ended(slow);
    assert_int_equal(clients(), 1);
    event("after", "blue");
    assert_int_equal(times(fast, "after"), 1);
}

static void a_slow_websocket_client_is_dropped_with_a_goodbye(void **state)
{
    struct peer *fast = ws(CHAT), *slow = ws_with(CHAT, 4096);

    (void)state;
    flood(fast);
    assert_tail(slow, RG_STR("}}\x88\x1e\x03\xf0The client reads too slowly."));
    ws_send(slow, 0x88, "\x03\xf0", 2);
    assert_ended(slow);
    assert_int_equal(clients(), 1);
}

static void a_slow_client_that_reads_no_more_is_cut_without_one(void **state)
{
    struct peer *fast = sse(CHAT);

    (void)state;
    sse_with(CHAT, 4096);
    flood(fast);
    pass(10000);
    assert_int_equal(clients(), 1);
}

/* More than the queue holds in one batch is no fault of a client whose socket takes it. */
static void a_batch_longer_than_the_queue_is_no_reason_to_drop(void **state)
{
    struct peer *peer = sse(CHAT);
    char id[16];

    (void)state;
    for (int i = 0; i < 50; i++) {
        snprintf(id, sizeof(id), "b%d", i);
        put_event(id, "blue", 1500);
    }
    for (int i = 0; i < 50; i++) {
        snprintf(id, sizeof(id), "b%d", i);
        assert_int_equal(times(peer, id), 1);
    }
    assert_int_equal(ends(RG_END_SLOW), 0);
}

static void an_event_longer_than_the_queue_fits_an_empty_one(void **state)
{
    struct peer *peer = sse(CHAT);

    (void)state;
    put_event("long", "blue", 200000);
    assert_int_equal(times(peer, "long"), 1);
    assert_int_equal(ends(RG_END_SLOW), 0);
}

static void a_client_may_break_in_the_middle_of_a_fan_out(void **state)
{
    struct peer *first = sse(CHAT), *broken = sse(CHAT), *ws_broken = ws(CHAT), *last = sse(CHAT);
    char id[16];

    (void)state;
    in_this_batch(hang_up_now, broken);
    in_this_batch(hang_up_now, ws_broken);
    /* The queue overflows within the batch, so that the fan-out itself writes. */
    for (int i = 0; i < 5; i++) {
        snprintf(id, sizeof(id), "b%d", i);
        put_event(id, "blue", 3000);
    }
    for (int i = 0; i < 5; i++) {
        snprintf(id, sizeof(id), "b%d", i);
        assert_int_equal(times(first, id), 1);
        assert_int_equal(times(last, id), 1);
    }
    assert_int_equal(clients(), 2);
    assert_int_equal(ends(RG_END_PEER), 2);
    event("after", "blue");
    assert_int_equal(times(first, "after") + times(last, "after"), 2);
}

static void a_client_that_closes_is_forgotten(void **state)
{
    struct peer *a = sse(CHAT), *b = ws(CHAT);

    (void)state;
    hang_up(a);
    hang_up(b);
    turn();
    assert_int_equal(clients(), 0);
    assert_int_equal(ends(RG_END_PEER), 2);
    event("e1", "blue");
    assert_int_equal(rg_counters_get(shards[0].hub->counters, RG_HUB_EVENTS), 0);
}

static void kill_all_now(struct rg_inbox_item *item, void *ctx)
{
    (void)item;
    rg_hub_kill_all(ctx);
}

static void clients_that_a_fan_out_has_ended_may_be_killed_before_the_batch_ends(void **state)
{
    struct peer *broken = sse(CHAT);

    (void)state;
    in_this_batch(hang_up_now, broken);
    put_event("e1", "blue", 3000);
    put_event("e2", "blue", 3000);
    in_this_batch(kill_all_now, NULL);
    turn();
    assert_int_equal(clients(), 0);
}

/* The queue is too small for the first words, and the socket is broken already. */
static void a_client_may_break_before_its_first_words(void **state)
{
    static const char text[] = "GET /_rig/v1/connection/sse?subscriptions=%5b%7b%22eventType%22:"
                               "%22chat.posted%22%7d%5d HTTP/1.1\r\nhost: h\r\n\r\n";
    struct peer *peer = connect_to(0, 0);

    (void)state;
    push->settings.client_queue_bytes = 100;
    peer_put(peer, text, strlen(text));
    hang_up(peer);
    turn();
    assert_int_equal(clients(), 0);
    event("e1", "blue");
    assert_int_equal(rg_interest_count(push->interest), 0);
}

/* ---- time ---- */

static void heartbeats_come_every_interval(void **state)
{
    struct peer *a = sse(CHAT), *b = ws(NULL);

    (void)state;
    forget(a);
    forget(b);
    peer_move_time(&shards[0].reactor, 14000);
    hear(a);
    assert_int_equal(a->got.n, 0);
    pass(1000);
    hear(a);
    hear(b);
    assert_int_equal(a->got.n, 18);
    assert_memory_equal(a->got.p, "d\r\n: heartbeat\n\n\r\n", 18);
    assert_int_equal(b->got.n, 2);
    assert_memory_equal(b->got.p, "\x89\x00", 2);
    pass(15000);
    assert_int_equal(peer_count(a, ": heartbeat"), 1);
    hear(a);
    assert_int_equal(peer_count(a, ": heartbeat"), 2);
    /* Missing pongs have no consequence. */
    for (int i = 0; i < 10; i++)
        pass(15000);
    assert_int_equal(clients(), 2);
}

/* Fills a client's socket until something waits in its queue. */
static void stall(void)
{
    put_event("stall", "blue", 60000);
    turn();
}

static void a_client_that_takes_no_byte_is_cut_at_the_deadline(void **state)
{
    struct peer *peer = sse_with(CHAT, 4096);

    (void)state;
    stall();
    peer_move_time(&shards[0].reactor, 9900);
    assert_int_equal(clients(), 1);
    pass(100);
    assert_int_equal(ends(RG_END_STALLED), 1);
    pass(0);
    assert_int_equal(clients(), 0);
    hear(peer);
    assert_true(peer->has_seen_end);
}

static void a_client_that_takes_a_little_is_not_cut(void **state)
{
    struct peer *peer = sse_with(CHAT, 4096);

    (void)state;
    stall();
    for (int i = 0; i < 5; i++) {
        peer_move_time(&shards[0].reactor, 9000);
        assert_true(peer_take(peer, SIZE_MAX) > 0);
        turn();
    }
    assert_int_equal(clients(), 1);
    assert_int_equal(times(peer, "stall"), 1);
    assert_int_equal(ends(RG_END_STALLED), 0);
    /* Now that all is out there is no deadline, but heartbeats. */
    pass(15000);
    assert_int_equal(clients(), 1);
}

/* ---- changing subscriptions ---- */

static void replaced_subscriptions_take_effect_between_two_events(void **state)
{
    struct peer *peer = sse(BLUE), *change;

    (void)state;
    event("b1", "blue");
    event("r1", "red");
    change = subscribe(0, sse_token(peer), RED);
    hear(change);
    assert_true(peer_has(change, "HTTP/1.1 204 No Content\r\n"));
    event("b2", "blue");
    event("r2", "red");
    assert_int_equal(times(peer, "b1"), 1);
    assert_int_equal(times(peer, "r1"), 0);
    assert_int_equal(times(peer, "b2"), 0);
    assert_int_equal(times(peer, "r2"), 1);
    assert_int_equal(peer_count(peer, "event: rig.subscriptions_set"), 2);
}

static void an_event_that_old_and_new_subscriptions_match_is_never_lost(void **state)
{
    struct peer *peer = sse(BLUE);
    char id[16], token[256];

    (void)state;
    snprintf(token, sizeof(token), "%s", sse_token(peer));
    for (int i = 0; i < 30; i++) {
        snprintf(id, sizeof(id), "x%d", i);
        put_event(id, "blue", 0);
        struct peer *change = subscribe((unsigned)i % 2, token, i % 2 == 0 ? CHAT : BLUE);
        snprintf(id, sizeof(id), "y%d", i);
        put_event(id, "blue", 0);
        hear(change);
        assert_true(peer_has(change, "HTTP/1.1 204 "));
    }
    for (int i = 0; i < 30; i++) {
        snprintf(id, sizeof(id), "x%d", i);
        assert_int_equal(times(peer, id), 1);
        snprintf(id, sizeof(id), "y%d", i);
        assert_int_equal(times(peer, id), 1);
    }
}

static void a_change_may_come_by_way_of_another_reactor(void **state)
{
    struct peer *peer = sse(NULL), *change = subscribe(1, sse_token(peer), BLUE);

    (void)state;
    hear(change);
    assert_true(peer_has(change, "HTTP/1.1 204 "));
    event("e1", "blue");
    assert_int_equal(times(peer, "e1"), 1);
}

static void the_token_of_a_client_that_is_gone_gets_410(void **state)
{
    struct peer *peer = sse(NULL), *change;
    char token[256];

    (void)state;
    snprintf(token, sizeof(token), "%s", sse_token(peer));
    hang_up(peer);
    turn();
    /* Somebody else has its place now. */
    peer = sse(NULL);
    assert_int_equal(clients(), 1);
    for (unsigned shard = 0; shard < 2; shard++) {
        change = subscribe(shard, token, CHAT);
        hear(change);
        assert_true(peer_has(change, "HTTP/1.1 410 Gone\r\n"));
    }
    event("e1", "blue");
    assert_int_equal(times(peer, "e1"), 0);
}

/* ---- long polling ---- */

static void a_poll_gets_what_is_new_since_the_last_one(void **state)
{
    struct peer *peer = longpoll(CHAT);
    char token[256];

    (void)state;
    snprintf(token, sizeof(token), "%s", find_value(peer, "connection_token=", ';'));
    peer_forget(peer);
    event("e1", "blue");
    poll_with(peer, token, "first_event");
    assert_int_equal(times(peer, "e1"), 1);
    assert_true(peer_has(peer, "rig.connection.create"));
    assert_true(peer_has(peer, "rig.subscriptions_set"));
    assert_true(peer_has(peer, "set-cookie: last_event_id=\"e1\"; path=/; HttpOnly\r\n"));
    peer_forget(peer);

    event("e2", "blue");
    event("e3", "blue");
    poll_with(peer, token, "e1");
    hear(peer);
    assert_non_null(strstr(peer->got.p, "{\"last_event_id\":\"e3\",\"events\":[{"));
    assert_int_equal(times(peer, "e1"), 0);
    assert_int_equal(times(peer, "e2"), 1);
    assert_int_equal(times(peer, "e3"), 1);
}

static void a_waiting_poll_is_answered_when_an_event_comes(void **state)
{
    struct peer *peer = longpoll(CHAT), *second = connect_to(1, 0);
    char token[256];

    (void)state;
    snprintf(token, sizeof(token), "%s", find_value(peer, "connection_token=", ';'));
    event("e1", "blue");
    peer_forget(peer);
    poll_with(peer, token, "e1");
    poll_with(second, token, "e1");
    hear(peer);
    assert_int_equal(peer->got.n, 0);
    event("e2", "blue");
    assert_int_equal(times(peer, "e2"), 1);
    assert_int_equal(times(second, "e2"), 1);
}

static void a_poll_without_events_is_answered_after_a_while(void **state)
{
    struct peer *peer = longpoll(CHAT);
    char token[256];

    (void)state;
    snprintf(token, sizeof(token), "%s", find_value(peer, "connection_token=", ';'));
    event("e1", "blue");
    peer_forget(peer);
    poll_with(peer, token, "e1");
    peer_move_time(&shards[0].reactor, 4900);
    hear(peer);
    assert_int_equal(peer->got.n, 0);
    pass(100);
    assert_tail(peer, RG_STR("\r\n\r\n{\"last_event_id\":\"e1\",\"events\":[]}"));
}

static void a_client_keeps_the_newest_200_events(void **state)
{
    struct peer *peer = longpoll(CHAT);
    char token[256], id[16];

    (void)state;
    snprintf(token, sizeof(token), "%s", find_value(peer, "connection_token=", ';'));
    for (int i = 0; i < 430; i++) {
        snprintf(id, sizeof(id), "n%d", i);
        put_event(id, "blue", 0);
    }
    turn();
    /* The id is known no more: all that is kept, oldest first. */
    peer_forget(peer);
    poll_with(peer, token, "n100");
    hear(peer);
    assert_int_equal(peer_count(peer, "\"specversion\""), 200);
    assert_int_equal(times(peer, "n229"), 0);
    assert_int_equal(times(peer, "n230"), 1);
    assert_int_equal(times(peer, "n429"), 1);
    assert_true(strstr(peer->got.p, "\"n230\"") < strstr(peer->got.p, "\"n231\""));

    peer_forget(peer);
    poll_with(peer, token, "n427");
    hear(peer);
    assert_int_equal(peer_count(peer, "\"specversion\""), 2);
}

static void a_client_that_stops_polling_expires(void **state)
{
    struct peer *peer = longpoll(CHAT);
    char token[256];

    (void)state;
    snprintf(token, sizeof(token), "%s", find_value(peer, "connection_token=", ';'));
    pass(3600000);
    assert_int_equal(clients(), 0);
    assert_int_equal(ends(RG_END_EXPIRED), 1);
    /* The next poll opens a new one. The connection has been idle for too long as well. */
    peer = connect_to(0, 0);
    poll_with(peer, token, "e1");
    assert_tail(peer, RG_STR("\r\n\r\n\"ok\""));
    assert_int_equal(clients(), 1);
}

static void a_requester_that_hangs_up_is_no_reason_to_end_the_client(void **state)
{
    struct peer *peer = longpoll(CHAT);
    char token[256];

    (void)state;
    snprintf(token, sizeof(token), "%s", find_value(peer, "connection_token=", ';'));
    event("e1", "blue");
    poll_with(peer, token, "e1");
    hang_up(peer);
    turn();
    event("e2", "blue");
    peer = connect_to(0, 0);
    poll_with(peer, token, "e1");
    assert_int_equal(times(peer, "e2"), 1);
}

static void pipelined_polls_are_answered_one_by_one(void **state)
{
    struct peer *peer = longpoll(CHAT);
    char token[256];

    (void)state;
    snprintf(token, sizeof(token), "%s", find_value(peer, "connection_token=", ';'));
    event("e1", "blue");
    peer_forget(peer);
    for (int i = 0; i < 3; i++)
        poll_with(peer, token, "e1");
    event("e2", "blue");
    /* The first waited; the others come to a client that has something new. */
    assert_int_equal(times(peer, "e2"), 3);
    assert_int_equal(peer_count(peer, "HTTP/1.1 200"), 3);
}

/* ---- the end ---- */

static void count_empty(void *arg)
{
    assert_ptr_equal(arg, shards[0].hub);
    emptied++;
}

static void drain(void)
{
    rg_hub_drain(shards[0].hub, count_empty, shards[0].hub);
}

static void draining_says_goodbye_to_everybody(void **state)
{
    struct peer *a = sse(CHAT), *b = ws(CHAT), *c = longpoll(CHAT);
    char token[256];

    (void)state;
    snprintf(token, sizeof(token), "%s", find_value(c, "connection_token=", ';'));
    event("e1", "blue");
    peer_forget(c);
    poll_with(c, token, "e1");
    forget(a);
    forget(b);
    drain();
    assert_tail(a, RG_STR(LAST_PART));
    assert_int_equal(a->got.n, strlen(LAST_PART));
    assert_ended(a);
    assert_tail(b, RG_STR("\x88\x1f\x03\xe9The gateway is shutting down."));
    assert_tail(c, RG_STR("{\"last_event_id\":\"e1\",\"events\":[]}"));
    assert_int_equal(ends(RG_END_SHUTDOWN), 3);

    /* Only the WebSocket client has something left to say. */
    assert_int_equal(clients(), 1);
    assert_int_equal(emptied, 0);
    ws_send(b, 0x88, "\x03\xe9", 2);
    assert_ended(b);
    assert_int_equal(emptied, 1);
}

static void draining_waits_for_a_silent_websocket_only_so_long(void **state)
{
    (void)state;
    ws(CHAT);
    drain();
    assert_int_equal(emptied, 0);
    pass(3000);
    assert_int_equal(emptied, 1);
}

static void draining_lets_a_slow_reader_have_what_is_queued(void **state)
{
    struct peer *peer = sse_with(CHAT, 4096);

    (void)state;
    stall();
    drain();
    assert_int_equal(emptied, 0);
    assert_int_equal(times(peer, "stall"), 1);
    assert_tail(peer, RG_STR("\r\n" LAST_PART));
    assert_int_equal(emptied, 1);
}

static void an_empty_hub_is_drained_at_once(void **state)
{
    (void)state;
    drain();
    assert_int_equal(emptied, 1);
    rg_hub_settle(shards[0].hub);
    assert_int_equal(emptied, 1);
}

static void who_comes_during_the_draining_is_sent_away(void **state)
{
    struct peer *a = connect_to(0, 0), *b, *c = connect_to(0, 0);

    (void)state;
    drain();
    request(a, "sse", CHAT, "1.1", "");
    assert_tail(a, RG_STR(LAST_PART));
    assert_ended(a);
    b = ws(CHAT);
    assert_tail(b, RG_STR("\x88\x1f\x03\xe9The gateway is shutting down."));
    request(c, "longpolling", CHAT, "1.1", "");
    assert_tail(c, RG_STR("\"ok\""));
    ws_send(b, 0x88, "\x03\xe9", 2);
    assert_int_equal(clients(), 0);
}

static void drain_now(struct rg_inbox_item *item, void *ctx)
{
    (void)item;
    (void)ctx;
    drain();
}

static void draining_in_one_batch_with_an_event_answers_the_waiting_poll_with_it(void **state)
{
    struct peer *peer = longpoll(CHAT);
    char token[256];

    (void)state;
    snprintf(token, sizeof(token), "%s", find_value(peer, "connection_token=", ';'));
    event("e1", "blue");
    peer_forget(peer);
    poll_with(peer, token, "e1");
    put_event("e2", "blue", 0);
    in_this_batch(drain_now, NULL);
    assert_int_equal(times(peer, "e2"), 1);
    assert_int_equal(emptied, 1);
}

static void draining_in_one_batch_with_a_fan_out_that_ends_clients(void **state)
{
    struct peer *broken = sse(CHAT), *fine = sse(CHAT);

    (void)state;
    in_this_batch(hang_up_now, broken);
    put_event("e1", "blue", 3000);
    put_event("e2", "blue", 3000);
    in_this_batch(drain_now, NULL);
    assert_int_equal(times(fine, "e2"), 1);
    assert_tail(fine, RG_STR(LAST_PART));
    assert_int_equal(emptied, 1);
    assert_int_equal(ends(RG_END_PEER), 1);
    assert_int_equal(ends(RG_END_SHUTDOWN), 1);
}

static void killing_closes_everything_without_a_word(void **state)
{
    struct peer *a = sse(CHAT), *b = ws(CHAT), *c = longpoll(CHAT);

    (void)state;
    (void)c;
    forget(a);
    forget(b);
    rg_hub_kill_all(shards[0].hub);
    assert_int_equal(clients(), 0);
    assert_ended(a);
    assert_ended(b);
    assert_int_equal(a->got.n + b->got.n, 0);
}

static void a_handle_finds_its_client_and_no_other(void **state)
{
    struct rg_client_handle handle = {0};
    struct peer *peer = sse(CHAT);

    (void)state;
    assert_int_equal(rg_token_read(push, rg_str_c(sse_token(peer)), &handle), 0);
    assert_non_null(rg_hub_find(shards[0].hub, handle));
    hang_up(peer);
    turn();
    assert_null(rg_hub_find(shards[0].hub, handle));
    sse(CHAT);
    assert_null(rg_hub_find(shards[0].hub, handle));
    handle.slot = 1u << 31;
    assert_null(rg_hub_find(shards[0].hub, handle));
}

/* ---- events from another thread ---- */

enum {
    THREAD_EVENTS = 3000
};

static void *dispatch_all(void *arg)
{
    struct rg_dispatcher *d = rg_dispatcher_new(push);
    char id[16];

    (void)arg;
    rg_rcu_thread_start();
    for (int i = 0; i < THREAD_EVENTS; i++) {
        snprintf(id, sizeof(id), "t%d", i);
        while (dispatch(d, "chat.posted", id, "blue", 100) == RG_EAGAIN)
            sched_yield();
    }
    rg_rcu_thread_stop();
    rg_dispatcher_free(&d);
    return NULL;
}

/* True when peer has the last event of the thread. */
static bool has_last(struct peer *peer)
{
    static const char last[] = "\"t2999\"";

    hear(peer);
    assert_false(peer->has_seen_end);
    return peer->got.n > 0 && memmem(peer->got.p, peer->got.n, last, sizeof(last) - 1) != NULL;
}

static void events_of_another_thread_arrive_in_order(void **state)
{
    struct peer *near, *far = connect_to(1, 0);
    pthread_t thread;
    const char *at;
    char id[16];

    (void)state;
    push->settings.client_queue_bytes = (size_t)64 << 20;
    near = sse(CHAT);
    request(far, "ws", CHAT, "1.1", WS_FIELDS);
    forget(near);
    forget(far);
    assert_int_equal(pthread_create(&thread, NULL, dispatch_all, NULL), 0);
    /* Subscriptions come and go meanwhile. */
    while (!has_last(near) || !has_last(far)) {
        if (peers_n < RG_COUNT_OF(peers))
            hang_up(sse(peers_n % 2 == 0 ? BLUE : OTHER));
    }
    pthread_join(thread, NULL);
    at = near->got.p;
    for (int i = 0; i < THREAD_EVENTS; i++) {
        snprintf(id, sizeof(id), "\"t%d\"", i);
        at = strstr(at, id);
        assert_non_null(at);
    }
    assert_int_equal(peer_count(near, "\"id\":\"t"), THREAD_EVENTS);
    assert_int_equal(peer_count(far, "\"id\":\"t"), THREAD_EVENTS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(an_event_reaches_exactly_the_matching_clients_once),
        TEST(several_matching_subscriptions_deliver_once),
        TEST(an_event_that_nobody_wants_goes_nowhere),
        TEST(only_the_reactors_that_want_an_event_get_it),
        TEST(events_of_one_batch_arrive_in_order_with_one_write),
        TEST(a_posted_event_reaches_a_subscriber),
        TEST(an_inbox_without_room_refuses_and_nothing_happens),
        TEST(an_http_1_0_client_gets_the_stream_without_chunks),
        TEST(a_websocket_frame_has_exactly_the_event),
        TEST(what_an_sse_client_sends_means_nothing),
        TEST(a_websocket_client_that_pings_gets_its_pong),
        TEST(a_websocket_client_that_talks_is_closed),
        TEST(a_websocket_client_that_talks_compressed_is_closed),
        TEST(a_websocket_client_that_closes_gets_its_code_back),
        TEST(a_websocket_client_that_does_not_answer_our_close_is_left),
        TEST(a_refused_websocket_client_is_opened_and_closed),
        TEST(a_slow_sse_client_is_dropped_with_a_goodbye),
        TEST(a_slow_websocket_client_is_dropped_with_a_goodbye),
        TEST(a_slow_client_that_reads_no_more_is_cut_without_one),
        TEST(a_batch_longer_than_the_queue_is_no_reason_to_drop),
        TEST(an_event_longer_than_the_queue_fits_an_empty_one),
        TEST(a_client_may_break_in_the_middle_of_a_fan_out),
        TEST(a_client_that_closes_is_forgotten),
        TEST(clients_that_a_fan_out_has_ended_may_be_killed_before_the_batch_ends),
        TEST(a_client_may_break_before_its_first_words),
        TEST(heartbeats_come_every_interval),
        TEST(a_client_that_takes_no_byte_is_cut_at_the_deadline),
        TEST(a_client_that_takes_a_little_is_not_cut),
        TEST(replaced_subscriptions_take_effect_between_two_events),
        TEST(an_event_that_old_and_new_subscriptions_match_is_never_lost),
        TEST(a_change_may_come_by_way_of_another_reactor),
        TEST(the_token_of_a_client_that_is_gone_gets_410),
        TEST(a_poll_gets_what_is_new_since_the_last_one),
        TEST(a_waiting_poll_is_answered_when_an_event_comes),
        TEST(a_poll_without_events_is_answered_after_a_while),
        TEST(a_client_keeps_the_newest_200_events),
        TEST(a_client_that_stops_polling_expires),
        TEST(a_requester_that_hangs_up_is_no_reason_to_end_the_client),
        TEST(pipelined_polls_are_answered_one_by_one),
        TEST(draining_says_goodbye_to_everybody),
        TEST(draining_waits_for_a_silent_websocket_only_so_long),
        TEST(draining_lets_a_slow_reader_have_what_is_queued),
        TEST(an_empty_hub_is_drained_at_once),
        TEST(who_comes_during_the_draining_is_sent_away),
        TEST(draining_in_one_batch_with_an_event_answers_the_waiting_poll_with_it),
        TEST(draining_in_one_batch_with_a_fan_out_that_ends_clients),
        TEST(killing_closes_everything_without_a_word),
        TEST(a_handle_finds_its_client_and_no_other),
        TEST(events_of_another_thread_arrive_in_order),
    };

    stage_begin();
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    stage_end();
    return failed;
}
