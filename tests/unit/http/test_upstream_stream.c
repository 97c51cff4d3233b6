/*
 * Requests whose body follows in pieces, trailers, and connections that change their protocol.
 */
#include "upstream_stage.h"

/* Begins a request with a body that follows; length -1: chunked. */
static void stream_to(struct told *who, const char *method, int64_t length)
{
    struct rg_upstream_request request = {.method = rg_str_c(method),
                                          .target = RG_STR("/up"),
                                          .is_streamed = true,
                                          .body_length = length};

    ask_with(who, &request);
}

static bool write_text(struct told *who, const char *text)
{
    return rg_upstream_write(who->call, rg_str_c(text));
}

static void finish(struct told *who)
{
    rg_upstream_finish(who->call, NULL, 0);
}

static void expect_request(const char *text)
{
    service_expect(&reactor, &peer, text);
}

#define HEAD_N  "POST /up HTTP/1.1\r\nhost: a.test\r\ncontent-length: "
#define CHUNKED "POST /up HTTP/1.1\r\nhost: a.test\r\ntransfer-encoding: chunked\r\n\r\n"

/* ---- bodies in pieces ---- */

static void a_body_of_known_length_goes_out_in_pieces(void **state)
{
    (void)state;
    stream_to(&told, "POST", 10);
    assert_true(write_text(&told, "hello"));
    peer = service_accept(&reactor, &service);
    expect_request(HEAD_N "10\r\n\r\nhello");
    assert_true(write_text(&told, "world"));
    finish(&told);
    expect_request("\r\n\r\nhelloworld");
    say(OK);
    expect_end(&told, "200 2|\nok");
    expect_reuse();
}

static void a_body_of_unknown_length_is_chunked(void **state)
{
    (void)state;
    stream_to(&told, "POST", -1);
    peer = service_accept(&reactor, &service);
    expect_request(CHUNKED);
    assert_true(write_text(&told, "hello"));
    assert_true(write_text(&told, "0123456789abcdef!"));
    expect_request(CHUNKED "5\r\nhello\r\n11\r\n0123456789abcdef!\r\n");
    assert_false(peer_has(&peer, "\r\n0\r\n"));
    finish(&told);
    expect_request("!\r\n0\r\n\r\n");
    say(OK);
    expect_end(&told, "200 2|\nok");
    expect_reuse();
}

static void an_empty_piece_is_no_end(void **state)
{
    (void)state;
    stream_to(&told, "POST", -1);
    assert_true(rg_upstream_write(told.call, RG_STR("")));
    peer = service_accept(&reactor, &service);
    expect_request(CHUNKED);
    assert_false(peer_has(&peer, "\r\n0\r\n"));
    finish(&told);
    expect_request(CHUNKED "0\r\n\r\n");
}

static void a_short_body_goes_out_together_with_its_head(void **state)
{
    (void)state;
    keep_one();
    peer_forget(&peer);
    stream_to(&second, "POST", -1);
    write_text(&second, "hello");
    /* Nothing was written yet: it is one piece on the wire. */
    assert_int_equal(peer_take(&peer, SIZE_MAX), 0);
    finish(&second);
    assert_true(peer_take(&peer, SIZE_MAX) > 0);
    assert_true(peer_has(&peer, CHUNKED "5\r\nhello\r\n0\r\n\r\n"));
    say(OK);
    expect_end(&second, "200 2|\nok");
}

static void trailers_go_out_behind_a_chunked_body(void **state)
{
    const struct rg_http_field trailers[] = {{RG_STR("x-sum"), RG_STR("1\r\n\r\n2")},
                                             {RG_STR("content-length"), RG_STR("5")},
                                             {RG_STR("Host"), RG_STR("b")},
                                             {RG_STR("authorization"), RG_STR("x")},
                                             {RG_STR("a b"), RG_STR("x")},
                                             {RG_STR("X-Last"), RG_STR("3")}};

    (void)state;
    stream_to(&told, "POST", -1);
    write_text(&told, "a");
    rg_upstream_finish(told.call, trailers, RG_COUNT_OF(trailers));
    peer = service_accept(&reactor, &service);
    expect_request(CHUNKED "1\r\na\r\n0\r\nx-sum: 1    2\r\nX-Last: 3\r\n\r\n");
}

static void what_the_service_does_not_read_is_kept_to_a_mark(void **state)
{
    char piece[65536];
    size_t written = 0;
    bool has_room = true;

    (void)state;
    memset(piece, 'p', sizeof(piece));
    stream_to(&told, "POST", -1);
    peer = service_accept(&reactor, &service);
    while (has_room && written < BIG_N * 16) {
        has_room = rg_upstream_write(told.call, rg_str_n(piece, sizeof(piece)));
        written += sizeof(piece);
        peer_turn(&reactor);
    }
    assert_false(has_room);
    assert_true(told.call->request.n <= RG_UPSTREAM_KEPT_BODY + 2 * sizeof(piece) + 65536);
    assert_int_equal(told.rooms, 0);
    WAIT_FOR(&reactor, peer_take(&peer, SIZE_MAX) == 0 || told.rooms > 0);
    WAIT_FOR(&reactor, peer_take(&peer, SIZE_MAX) == 0 && told.rooms > 0);
    assert_int_equal(told.rooms, 1);
    write_text(&told, "the end");
    finish(&told);
    expect_request("pp\r\n7\r\nthe end\r\n0\r\n\r\n");
    say(OK);
    expect_end(&told, "200 2|\nok");
    expect_reuse();
}

static void what_is_written_before_there_is_a_connection_is_kept_to_a_mark(void **state)
{
    char piece[65536];
    int n = 0;

    (void)state;
    memset(piece, 'p', sizeof(piece));
    stream_to(&told, "POST", -1);
    while (rg_upstream_write(told.call, rg_str_n(piece, sizeof(piece))))
        n++;
    assert_int_equal(n, 3);
    peer = service_accept(&reactor, &service);
    WAIT_FOR(&reactor, peer_take(&peer, SIZE_MAX) + told.rooms > 0);
    WAIT_FOR(&reactor, told.rooms == 1);
    finish(&told);
    expect_request("pp\r\n0\r\n\r\n");
}

static void a_writer_has_room_again_also_during_a_pause(void **state)
{
    char piece[65536];

    (void)state;
    memset(piece, 'p', sizeof(piece));
    stream_to(&told, "POST", -1);
    rg_upstream_pause(told.call);
    while (rg_upstream_write(told.call, rg_str_n(piece, sizeof(piece))))
        ;
    peer = service_accept(&reactor, &service);
    WAIT_FOR(&reactor, peer_take(&peer, SIZE_MAX) + told.rooms > 0);
    WAIT_FOR(&reactor, told.rooms == 1);
    rg_upstream_resume(told.call);
}

static void an_early_answer_is_told_and_costs_the_connection(void **state)
{
    (void)state;
    stream_to(&told, "POST", 1000000);
    write_text(&told, "begin");
    peer = service_accept(&reactor, &service);
    expect_request("begin");
    say("HTTP/1.1 413 Content Too Large\r\ncontent-length: 2\r\n\r\nno");
    expect_end(&told, "413 2|\nno");
    expect_no_reuse();
}

static void pieces_behind_a_complete_answer_are_dropped(void **state)
{
    (void)state;
    told.pauses = AT_BODY;
    stream_to(&told, "POST", -1);
    peer = service_accept(&reactor, &service);
    expect_request(CHUNKED);
    say(OK);
    WAIT_FOR(&reactor, told.pieces == 1);
    peer_forget(&peer);
    assert_true(write_text(&told, "nobody reads this"));
    finish(&told);
    peer_turn(&reactor);
    assert_int_equal(peer_take(&peer, SIZE_MAX), 0);
    rg_upstream_resume(told.call);
    expect_end(&told, "200 2|\nok");
    expect_no_reuse();
}

static void pieces_for_a_service_that_reads_no_more_are_dropped(void **state)
{
    char piece[65536];

    (void)state;
    memset(piece, 'p', sizeof(piece));
    told.pauses = AT_HEAD;
    stream_to(&told, "POST", -1);
    peer = service_accept(&reactor, &service);
    expect_request(CHUNKED);
    say("HTTP/1.1 401 Unauthorized\r\ncontent-length: 2\r\n\r\nno");
    WAIT_FOR(&reactor, told.heads == 1);
    rg_socket_set_abort(peer.fd);
    peer_close(&peer);
    for (int i = 0; i < 100; i++)
        assert_true(rg_upstream_write(told.call, rg_str_n(piece, sizeof(piece))));
    finish(&told);
    rg_upstream_resume(told.call);
    expect_end(&told, "401 2|\nno");
}

static void a_body_that_ends_early_ends_its_connection(void **state)
{
    (void)state;
    stream_to(&told, "POST", 10);
    peer = service_accept(&reactor, &service);
    write_text(&told, "half");
    expect_request("half");
    finish(&told);
    assert_int_equal(told.failures, 0);
    expect_failure(&told, RG_UPSTREAM_BROKEN);
    service_expect_end(&reactor, &peer);
}

static void a_body_may_end_early_before_there_is_a_connection(void **state)
{
    (void)state;
    stream_to(&told, "POST", 10);
    finish(&told);
    expect_failure(&told, RG_UPSTREAM_BROKEN);
}

/* ---- time ---- */

static void a_slow_client_is_not_the_services_fault(void **state)
{
    (void)state;
    stream_to(&told, "POST", 10);
    peer = service_accept(&reactor, &service);
    write_text(&told, "half");
    expect_request("half");
    peer_let_pass(&reactor, 10 * TIMEOUT_MS);
    assert_int_equal(told.failures, 0);
    write_text(&told, "-and-i");
    finish(&told);
    peer_move_time(&reactor, TIMEOUT_MS - RG_WHEEL_TICK_MS);
    assert_int_equal(told.failures, 0);
    peer_let_pass(&reactor, RG_WHEEL_TICK_MS);
    expect_failure(&told, RG_UPSTREAM_TIMEOUT);
}

static void a_service_that_reads_no_piece_times_out(void **state)
{
    char piece[65536];

    (void)state;
    memset(piece, 'p', sizeof(piece));
    stream_to(&told, "POST", -1);
    peer = service_accept(&reactor, &service);
    while (rg_upstream_write(told.call, rg_str_n(piece, sizeof(piece))))
        peer_turn(&reactor);
    peer_let_pass(&reactor, TIMEOUT_MS);
    expect_failure(&told, RG_UPSTREAM_TIMEOUT);
}

static void pieces_of_an_answer_have_a_time_of_their_own(void **state)
{
    struct rg_upstream_request request = {
        .method = RG_STR("GET"), .target = RG_STR("/"), .idle_timeout_ms = 2 * TIMEOUT_MS};

    (void)state;
    ask_with(&told, &request);
    peer = service_accept(&reactor, &service);
    expect_request("\r\n\r\n");
    say("HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\na");
    WAIT_FOR(&reactor, told.pieces == 1);
    peer_move_time(&reactor, 2 * TIMEOUT_MS - RG_WHEEL_TICK_MS);
    assert_int_equal(told.failures, 0);
    peer_let_pass(&reactor, RG_WHEEL_TICK_MS);
    expect_failure(&told, RG_UPSTREAM_TIMEOUT);
}

static void timing_is_known_at_the_end(void **state)
{
    (void)state;
    keep_one();
    ask(&second, "GET", "/second", NULL);
    expect_request("/second");
    say(OK);
    expect_end(&second, "200 2|\nok");
    assert_true(second.timing.queued_ns > 0);
    assert_true(second.timing.connected_ns > 0);
    assert_true(second.timing.first_byte_ns > 0);
    assert_true(second.timing.is_reused);
    assert_int_equal(second.timing.tries, 1);
}

/* ---- a second try ---- */

/* Streams on a kept connection, which the service closes when it has the piece. */
static void lose_stream(const char *method, size_t n)
{
    char *piece = rg_alloc(n);

    memset(piece, 'p', n);
    memcpy(piece + n - 3, "end", 3);
    keep_one();
    stream_to(&second, method, -1);
    rg_upstream_write(second.call, rg_str_n(piece, n));
    expect_request("end\r\n");
    peer_close(&peer);
    rg_free(piece);
}

static void a_short_body_is_sent_again(void **state)
{
    (void)state;
    lose_stream("PUT", 30000);
    peer = service_accept(&reactor, &service);
    expect_request("PUT /up HTTP/1.1\r\n");
    expect_request("ppend\r\n");
    write_text(&second, "more");
    finish(&second);
    expect_request("ppend\r\n4\r\nmore\r\n0\r\n\r\n");
    assert_true(peer.got.n > 30000);
    say(OK);
    expect_end(&second, "200 2|\nok");
    assert_int_equal(second.timing.tries, 2);
}

static void a_body_that_is_not_kept_any_more_is_not(void **state)
{
    (void)state;
    lose_stream("PUT", RG_UPSTREAM_KEPT_REPLAY + 1);
    expect_failure(&second, RG_UPSTREAM_BROKEN);
    assert_true(service_is_alone(&reactor, &service));
}

static void nor_is_one_of_a_method_that_is_not_idempotent(void **state)
{
    (void)state;
    lose_stream("POST", 100);
    expect_failure(&second, RG_UPSTREAM_BROKEN);
    assert_true(service_is_alone(&reactor, &service));
}

/* Streams on a kept connection that the service has cut off, which is not read before all is
 * written.
 */
static void lose_what_is_written(const char *method, const char *first, const char *rest)
{
    keep_one();
    rg_socket_set_abort(peer.fd);
    stream_to(&second, method, -1);
    write_text(&second, first);
    rg_upstream_pause(second.call);
    peer_close(&peer);
    WAIT_FOR(&reactor, second.call->conn->is_mute);
    if (rest != NULL)
        write_text(&second, rest);
    finish(&second);
    rg_upstream_resume(second.call);
}

static void nor_is_one_of_which_something_was_dropped(void **state)
{
    static const char *const rests[] = {"rest", NULL};
    static const char *const methods[] = {"PUT", "POST"};

    (void)state;
    for (size_t i = 0; i < RG_COUNT_OF(rests); i++) {
        for (size_t k = 0; k < RG_COUNT_OF(methods); k++) {
            lose_what_is_written(methods[k], "first", rests[i]);
            expect_failure(&second, RG_UPSTREAM_BROKEN);
            assert_true(service_is_alone(&reactor, &service));
            forget(&told);
            forget(&second);
        }
    }
}

static void nothing_is_sent_again_where_that_is_not_allowed(void **state)
{
    struct rg_upstream_service_settings of_service = {
        .origins = &(struct rg_upstream_origin){"127.0.0.1", service.port}, .origins_n = 1};
    struct rg_upstream_service *to = rg_upstream_service_new(&of_service);
    struct rg_upstream_request request = {.service = to,
                                          .method = RG_STR("GET"),
                                          .target = RG_STR("/second"),
                                          .response_timeout_ms = TIMEOUT_MS};

    (void)state;
    keep_one();
    second.call = rg_upstreams_send(upstreams, &request, &events, &second);
    expect_request("/second");
    peer_close(&peer);
    expect_failure(&second, RG_UPSTREAM_BROKEN);
    assert_true(service_is_alone(&reactor, &service));
    rg_upstream_service_unref(&to);
}

static void what_came_before_the_request_in_its_turn_is_no_answer(void **state)
{
    (void)state;
    keep_one();
    struct rg_stream *stream = the_address()->idle->stream;
    ask(&second, "GET", "/second", NULL);
    put(&peer, "HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\npoison");
    /* As in a turn of the loop that has found both. */
    stream->events->on_readable(stream);
    peer_close(&peer);
    peer = service_accept(&reactor, &service);
    expect_request("GET /second HTTP/1.1\r\n");
    say(OK);
    expect_end(&second, "200 2|\nok");
}

/* ---- services ---- */

static void equal_services_share_connections_and_others_do_not(void **state)
{
    struct rg_upstream_origin origin = {"127.0.0.1", service.port};
    struct rg_upstream_service_settings of_service = {.origins = &origin, .origins_n = 1};
    struct rg_upstream_service *a = rg_upstream_service_new(&of_service);
    struct rg_upstream_service *b = rg_upstream_service_new(&of_service);
    of_service.max_connections = 3;
    struct rg_upstream_service *c = rg_upstream_service_new(&of_service);
    struct rg_upstream_request request = {
        .method = RG_STR("GET"), .target = RG_STR("/"), .service = a};
    struct peer other;

    (void)state;
    ask_with(&told, &request);
    rg_upstream_service_unref(&a);
    peer = service_accept(&reactor, &service);
    expect_request("\r\n\r\n");
    say(OK);
    expect_end(&told, "200 2|\nok");
    forget(&told);
    request.service = b;
    ask_with(&told, &request);
    expect_request("\r\n\r\nGET");
    say(OK);
    expect_end(&told, "200 2|\nok");
    assert_true(service_is_alone(&reactor, &service));
    request.service = c;
    ask_with(&second, &request);
    other = service_accept(&reactor, &service);
    put(&other, OK);
    expect_end(&second, "200 2|\nok");
    peer_close(&other);
    rg_upstream_service_unref(&b);
    rg_upstream_service_unref(&c);
    rg_upstream_service_unref(&c);
}

/* ---- trailers of answers ---- */

#define CHUNKS "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n"

static void trailers_are_told_without_those_that_may_not_be_there(void **state)
{
    static const char answer[] = CHUNKS "x-sum: 1\r\nContent-Length: 5\r\nSet-Cookie: a\r\n"
                                        "Host: b\r\nX-Sum:2 \r\n\r\n";

    (void)state;
    ask_first("GET", NULL);
    say(answer);
    expect_end(&told, "200 -1|\nok|x-sum: 1|X-Sum: 2");
    forget(&told);
    ask(&told, "GET", "/again", NULL);
    for (size_t i = 0; i + 1 < sizeof(answer); i++) {
        peer_put(&peer, answer + i, 1);
        peer_turn(&reactor);
    }
    expect_end(&told, "200 -1|\nok|x-sum: 1|X-Sum: 2");
    assert_null(the_address()->idle->trailers.p);
    expect_reuse();
}

static void trailers_have_a_limit(void **state)
{
    struct rg_buf answer = {0};

    (void)state;
    for (int n = RG_MAX_TRAILERS; n <= RG_MAX_TRAILERS + 1; n++) {
        rg_buf_clear(&answer);
        rg_buf_add_c(&answer, CHUNKS);
        for (int i = 0; i < n; i++)
            rg_buf_add_c(&answer, "host: b\r\n");
        rg_buf_add_c(&answer, "\r\n");
        ask_first("GET", NULL);
        peer_put(&peer, answer.p, answer.n);
        if (n == RG_MAX_TRAILERS)
            expect_end(&told, "200 -1|\nok");
        else
            expect_failure(&told, RG_UPSTREAM_MALFORMED);
        forget(&told);
        rg_upstreams_close_all(upstreams);
        peer_close(&peer);
    }
    rg_buf_done(&answer);
}

/* ---- upgrades ---- */

static const struct rg_http_field to_websocket[] = {
    {{"host", 4}, {"a.test", 6}}, {{"Upgrade", 7}, {"websocket", 9}}, {{"x", 1}, {"1", 1}}};

static void upgrade(void)
{
    struct rg_upstream_request request = {.method = RG_STR("GET"),
                                          .target = RG_STR("/ws"),
                                          .fields = to_websocket,
                                          .fields_n = 3,
                                          .is_upgrade = true};

    ask_with(&told, &request);
    peer = service_accept(&reactor, &service);
    expect_request("GET /ws HTTP/1.1\r\nhost: a.test\r\nx: 1\r\nconnection: upgrade\r\n"
                   "upgrade: websocket\r\n\r\n");
    peer_forget(&peer);
}

#define SWITCH "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nupgrade: WebSocket\r\n"

static struct rg_buf tunnel_got;

static void tunnel_readable(struct rg_stream *stream)
{
    char bytes[100];
    long n = rg_stream_read(stream, bytes, sizeof(bytes));

    rg_buf_add(&tunnel_got, bytes, n > 0 ? (size_t)n : 0);
}

static void tunnel_other(struct rg_stream *stream)
{
    (void)stream;
}

static const struct rg_stream_events tunnel_events = {tunnel_readable, tunnel_other, tunnel_other};

static void a_switch_hands_the_stream_over_with_what_came_behind_it(void **state)
{
    (void)state;
    upgrade();
    say(SWITCH "accept: x\r\n\r\nearly");
    WAIT_FOR(&reactor, told.ends == 1);
    assert_int_equal(told.failures, 0);
    assert_int_equal(told.text.n, strlen("101 -1|upgrade: WebSocket|accept: x|\n"));
    assert_memory_equal(told.text.p, "101 -1|upgrade: WebSocket|accept: x|\n", told.text.n);
    assert_int_equal(told.switched.early.n, 5);
    assert_memory_equal(told.switched.early.p, "early", 5);
    rg_stream_adopt(told.switched.stream, &tunnel_events, &tunnel_got);
    rg_upstreams_close_all(upstreams);
    assert_int_equal(rg_stream_write(told.switched.stream, "ping", 4), 4);
    expect_request("ping");
    say("pong");
    WAIT_FOR(&reactor, tunnel_got.n == 4);
    rg_stream_close(&told.switched.stream);
    service_expect_end(&reactor, &peer);
    rg_buf_done(&told.switched.early);
    rg_buf_done(&tunnel_got);
}

static void a_service_may_answer_an_upgrade_without_one(void **state)
{
    (void)state;
    upgrade();
    say("HTTP/1.1 403 Forbidden\r\ncontent-length: 2\r\n\r\nno");
    expect_end(&told, "403 2|\nno");
    assert_null(told.switched.stream);
    expect_reuse();
}

static void a_switch_that_was_not_asked_for_is_malformed(void **state)
{
    static const char *const rows[] = {
        "HTTP/1.1 101 S\r\nconnection: upgrade\r\nupgrade: h2c\r\n\r\n",
        "HTTP/1.1 101 S\r\nconnection: upgrade\r\n\r\n",
        "HTTP/1.1 101 S\r\nupgrade: websocket\r\n\r\n",
        "HTTP/1.1 101 S\r\nconnection: upgrade\r\nupgrade: websocket\r\nupgrade: websocket\r\n\r\n",
        "HTTP/1.1 101 S\r\nconnection: upgrade\r\nupgrade: websocket, h2c\r\n\r\n",
        "HTTP/1.1 101 S\r\nconnection: upgrade\r\nupgrade: \r\n\r\n",
        SWITCH "content-length: 5\r\n\r\n",
    };

    (void)state;
    for (size_t i = 0; i < RG_COUNT_OF(rows); i++) {
        upgrade();
        say(rows[i]);
        expect_failure(&told, RG_UPSTREAM_MALFORMED);
        service_expect_end(&reactor, &peer);
        peer_close(&peer);
        forget(&told);
    }
}

static void an_upgrade_is_not_sent_again(void **state)
{
    struct rg_upstream_request request = {.method = RG_STR("GET"),
                                          .target = RG_STR("/ws"),
                                          .fields = to_websocket,
                                          .fields_n = 3,
                                          .is_upgrade = true};

    (void)state;
    keep_one();
    ask_with(&second, &request);
    expect_request("/ws");
    peer_close(&peer);
    expect_failure(&second, RG_UPSTREAM_BROKEN);
    assert_true(service_is_alone(&reactor, &service));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_body_of_known_length_goes_out_in_pieces),
        TEST(a_body_of_unknown_length_is_chunked),
        TEST(an_empty_piece_is_no_end),
        TEST(a_short_body_goes_out_together_with_its_head),
        TEST(trailers_go_out_behind_a_chunked_body),
        TEST(what_the_service_does_not_read_is_kept_to_a_mark),
        TEST(what_is_written_before_there_is_a_connection_is_kept_to_a_mark),
        TEST(a_writer_has_room_again_also_during_a_pause),
        TEST(an_early_answer_is_told_and_costs_the_connection),
        TEST(pieces_behind_a_complete_answer_are_dropped),
        TEST(pieces_for_a_service_that_reads_no_more_are_dropped),
        TEST(a_body_that_ends_early_ends_its_connection),
        TEST(a_body_may_end_early_before_there_is_a_connection),
        TEST(a_slow_client_is_not_the_services_fault),
        TEST(a_service_that_reads_no_piece_times_out),
        TEST(pieces_of_an_answer_have_a_time_of_their_own),
        TEST(timing_is_known_at_the_end),
        TEST(a_short_body_is_sent_again),
        TEST(a_body_that_is_not_kept_any_more_is_not),
        TEST(nor_is_one_of_a_method_that_is_not_idempotent),
        TEST(nor_is_one_of_which_something_was_dropped),
        TEST(nothing_is_sent_again_where_that_is_not_allowed),
        TEST(what_came_before_the_request_in_its_turn_is_no_answer),
        TEST(equal_services_share_connections_and_others_do_not),
        TEST(trailers_are_told_without_those_that_may_not_be_there),
        TEST(trailers_have_a_limit),
        TEST(a_switch_hands_the_stream_over_with_what_came_behind_it),
        TEST(a_service_may_answer_an_upgrade_without_one),
        TEST(a_switch_that_was_not_asked_for_is_malformed),
        TEST(an_upgrade_is_not_sent_again),
    };

    stage_begin();
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    rg_rcu_thread_stop();
    return failed;
}
