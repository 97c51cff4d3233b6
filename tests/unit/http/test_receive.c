/*
 * Requests whose bodies are streamed over HTTP/1.1: what the handler is told, what the peer sees,
 * and how little is kept in between.
 */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "../net/peer.h"
#include "base/alloc.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/rcu.h"
#include "http/h1_conn_priv.h"

#define READ_BUFFER ((size_t)RG_READ_BUFFER)

static struct rg_reactor reactor;
static struct rg_http_server *server;
static struct peer peer;

enum doing {
    NOTHING,
    RESPOND,
    BEGIN,   /* an answer in pieces */
    PASS_ON, /* the same, of what comes */
    FINISH,
    ABORT,
    PAUSE,
    BLINK /* pause and resume */
};

/* Who receives: what it does, and what it was told. */
static struct {
    struct rg_exchange *exchange; /* NULL: ended */
    enum doing at_head, at_piece, at_end, at_error;
    bool receives_not; /* the handler answers without */
    bool asks_on_gone;
    uint64_t max;
    unsigned calls, pieces, ends, errors, gone;
    int64_t length;
    int status;
    struct rg_buf body;
    struct rg_buf trailers;
    size_t longest; /* piece */
    bool is_inside; /* one of the functions that must not tell anything */
    bool is_paused;
} receiver;

/* ---- who receives ---- */

static void on_writable(void *arg)
{
    (void)arg;
}

static void on_gone(void *arg)
{
    assert_ptr_equal(arg, &receiver);
    assert_false(receiver.is_inside);
    receiver.gone++;
    receiver.exchange = NULL;
}

static const struct rg_body_events body_events = {on_writable, on_gone};

static void respond(int status)
{
    struct rg_response response = {.status = status, .body = RG_STR("<answer>")};

    rg_exchange_respond(RG_STEAL(receiver.exchange), &response);
}

static void begin(void)
{
    struct rg_response head = {.status = 200};

    rg_exchange_begin_body(receiver.exchange, &head, -1, &body_events, &receiver);
}

static void pause_receiving(bool is_paused)
{
    receiver.is_paused = is_paused;
    if (is_paused)
        rg_exchange_pause_receiving(receiver.exchange);
    else
        rg_exchange_resume_receiving(receiver.exchange);
}

static void act(enum doing doing, struct rg_str piece)
{
    bool was_inside = receiver.is_inside;

    receiver.is_inside = true;
    switch (doing) {
    case NOTHING:
        break;
    case RESPOND:
        respond(receiver.status != 0 ? receiver.status : 200);
        break;
    case BEGIN:
        begin();
        break;
    case PASS_ON:
        rg_exchange_write_body(receiver.exchange, piece);
        break;
    case FINISH:
        rg_exchange_finish_body(RG_STEAL(receiver.exchange));
        break;
    case ABORT:
        rg_exchange_abort_body(RG_STEAL(receiver.exchange));
        break;
    case PAUSE:
        pause_receiving(true);
        break;
    case BLINK:
        pause_receiving(true);
        pause_receiving(false);
        break;
    }
    receiver.is_inside = was_inside;
}

static void on_piece(void *arg, struct rg_str piece)
{
    assert_ptr_equal(arg, &receiver);
    assert_non_null(receiver.exchange);
    assert_false(receiver.is_inside || receiver.is_paused);
    assert_true(piece.n > 0 && receiver.ends + receiver.errors == 0);
    receiver.pieces++;
    rg_buf_add_str(&receiver.body, piece);
    if (piece.n > receiver.longest)
        receiver.longest = piece.n;
    act(receiver.at_piece, piece);
}

static void on_end(void *arg, const struct rg_http_field *trailers, size_t trailers_n)
{
    assert_ptr_equal(arg, &receiver);
    assert_non_null(receiver.exchange);
    assert_false(receiver.is_inside || receiver.is_paused);
    assert_int_equal(receiver.ends + receiver.errors, 0);
    receiver.ends++;
    for (size_t i = 0; i < trailers_n; i++)
        rg_buf_addf(&receiver.trailers, "%.*s=%.*s;", RG_STR_ARG(trailers[i].name),
                    RG_STR_ARG(trailers[i].value));
    act(receiver.at_end, RG_STR(""));
}

static void on_error(void *arg, int status, const struct rg_why *why)
{
    assert_ptr_equal(arg, &receiver);
    assert_non_null(receiver.exchange);
    assert_false(receiver.is_inside || receiver.is_paused);
    assert_int_equal(receiver.ends + receiver.errors, 0);
    assert_true(why->text[0] != '\0');
    receiver.errors++;
    receiver.status = status;
    act(receiver.at_error, RG_STR(""));
}

static const struct rg_receive_events receive_events = {on_piece, on_end, on_error};

static void handle(void *arg, struct rg_exchange *exchange)
{
    (void)arg;
    receiver.calls++;
    receiver.pieces = receiver.ends = receiver.errors = 0;
    receiver.exchange = exchange;
    receiver.length = rg_exchange_request(exchange)->body_length;
    assert_int_equal(rg_exchange_request(exchange)->body.n, 0);
    receiver.is_inside = true;
    if (receiver.asks_on_gone)
        rg_exchange_on_gone(exchange, on_gone, &receiver);
    if (!receiver.receives_not)
        rg_exchange_receive(exchange, receiver.max, &receive_events, &receiver);
    act(receiver.at_head, RG_STR(""));
    receiver.is_inside = false;
}

static void echo(void *arg, struct rg_exchange *exchange)
{
    const struct rg_request *req = rg_exchange_request(exchange);
    struct rg_response response = {.status = 200, .body = RG_STR("<echo>")};

    (void)arg;
    assert_int_equal(req->body_length, (int64_t)req->body.n);
    rg_exchange_respond(exchange, &response);
}

static const struct rg_route routes[] = {
    {RG_METHODS_ALL, "/echo", echo, NULL, 100},
    {RG_METHODS_ALL, "*", handle, NULL, RG_BODY_STREAMED},
};

/* ---- the stage ---- */

static int setup(void **state)
{
    int theirs;

    (void)state;
    memset(&receiver, 0, sizeof(receiver));
    receiver.max = UINT64_MAX;
    receiver.asks_on_gone = true;
    receiver.at_error = RESPOND;
    receiver.at_end = RESPOND;
    peer_reactor_init(&reactor);
    server = rg_http_server_new(&reactor, &rg_http_default_settings, routes, RG_COUNT_OF(routes));
    peer = peer_open(&theirs, 0);
    rg_http_server_accept(server, theirs);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    peer_close(&peer);
    rg_http_server_close_all(server);
    peer_turn(&reactor);
    assert_int_equal(rg_http_server_connections(server), 0);
    assert_int_equal(reactor.wheel.pending, 0);
    assert_ptr_equal(reactor.late.next, &reactor.late);
    rg_http_server_free(&server);
    rg_reactor_done(&reactor);
    rg_buf_done(&receiver.body);
    rg_buf_done(&receiver.trailers);
    return 0;
}

#define POST(fields) "POST /x HTTP/1.1\r\nhost: h\r\n" fields "\r\n"
#define LENGTH(n)    POST("content-length: " #n "\r\n")
#define CHUNKED      POST("transfer-encoding: chunked\r\n")
#define GET(target)  "GET " target " HTTP/1.1\r\nhost: h\r\n\r\n"

static void say(const char *text)
{
    peer_send(&reactor, &peer, text);
}

static const char *hear(void)
{
    return peer_read(&reactor, &peer);
}

static struct rg_h1_conn *conn(void)
{
    return RG_CONTAINER_OF(server->links, struct rg_h1_conn, link);
}

static void expect_received(const char *text)
{
    assert_int_equal(receiver.body.n, strlen(text));
    assert_memory_equal(receiver.body.p, text, receiver.body.n);
}

static void expect_trailers(const char *text)
{
    assert_int_equal(receiver.trailers.n, strlen(text));
    if (receiver.trailers.n > 0)
        assert_memory_equal(receiver.trailers.p, text, receiver.trailers.n);
}

/* The connection goes on with another request. */
static void expect_open(void)
{
    assert_false(peer_has(&peer, "connection: close"));
    peer_forget(&peer);
    say(GET("/echo"));
    hear();
    assert_true(peer_has(&peer, "<echo>"));
}

static void expect_answered(const char *status)
{
    hear();
    assert_true(peer_has(&peer, status));
    assert_true(peer_has(&peer, "<answer>"));
}

/* Answered, and nothing that follows is taken for a request. */
static void expect_last_answer(const char *status)
{
    unsigned calls = receiver.calls;

    expect_answered(status);
    assert_true(peer_has(&peer, "\r\nconnection: close\r\n"));
    assert_true(peer.has_seen_end);
    say(GET("/y"));
    hear();
    assert_int_equal(receiver.calls, calls);
    assert_int_equal(peer_count(&peer, "HTTP/1.1 "), 1);
}

/* ---- pieces ---- */

static void the_handler_runs_with_the_head(void **state)
{
    (void)state;
    say(LENGTH(5));
    assert_int_equal(receiver.calls, 1);
    assert_int_equal(receiver.length, 5);
    assert_int_equal(receiver.pieces, 0);
    say("he");
    expect_received("he");
    say("llo");
    expect_received("hello");
    assert_int_equal(receiver.ends, 1);
    expect_answered("HTTP/1.1 200 ");
    expect_open();
}

static void a_request_without_a_body_ends_at_once(void **state)
{
    (void)state;
    say(GET("/x"));
    assert_int_equal(receiver.length, 0);
    assert_int_equal(receiver.ends, 1);
    expect_answered("HTTP/1.1 200 ");
    expect_open();
}

static void a_body_of_length_zero_ends_at_once(void **state)
{
    (void)state;
    say(LENGTH(0));
    assert_int_equal(receiver.length, 0);
    assert_int_equal(receiver.ends, 1);
    expect_answered("HTTP/1.1 200 ");
    expect_open();
}

static void the_coding_is_removed(void **state)
{
    (void)state;
    say(CHUNKED "3;ext=\"1\"\r\nabc\r\n10\r\n0123456789abcdef\r\n0\r\n\r\n");
    assert_int_equal(receiver.length, -1);
    expect_received("abc0123456789abcdef");
    assert_int_equal(receiver.ends, 1);
    expect_trailers("");
    expect_answered("HTTP/1.1 200 ");
    expect_open();
}

/* Whatever the cuts: the same body, the same trailers, and the request behind it. */
static void check_cut_at_each_byte(const char *text, const char *body, const char *trailers)
{
    size_t n = strlen(text);

    for (size_t cut = 1; cut < n; cut++) {
        rg_buf_clear(&receiver.body);
        rg_buf_clear(&receiver.trailers);
        peer_forget(&peer);
        peer_put(&peer, text, cut);
        peer_turn(&reactor);
        peer_put(&peer, text + cut, n - cut);
        hear();
        expect_received(body);
        expect_trailers(trailers);
        assert_int_equal(peer_count(&peer, "HTTP/1.1 200 "), 2);
        assert_true(peer_has(&peer, "<echo>"));
    }
}

static void a_chunked_body_may_be_cut_anywhere(void **state)
{
    (void)state;
    check_cut_at_each_byte(CHUNKED
                           "3\r\nabc\r\n4\r\ndefg\r\n0\r\nx-sum: 7\r\ny: z\r\n\r\n" GET("/echo"),
                           "abcdefg", "x-sum=7;y=z;");
}

static void a_body_with_a_length_may_be_cut_anywhere(void **state)
{
    (void)state;
    check_cut_at_each_byte(LENGTH(7) "abcdefg" GET("/echo"), "abcdefg", "");
}

static void one_byte_at_a_time_is_the_same(void **state)
{
    const char text[] = CHUNKED "2\r\nab\r\n1\r\nc\r\n0\r\na: b\r\n\r\n" GET("/echo");

    (void)state;
    for (size_t i = 0; i < sizeof(text) - 1; i++) {
        peer_put(&peer, text + i, 1);
        peer_turn(&reactor);
    }
    hear();
    expect_received("abc");
    expect_trailers("a=b;");
    assert_int_equal(peer_count(&peer, "HTTP/1.1 200 "), 2);
}

/* Sends as much as the other side takes. */
static size_t put_all(size_t max)
{
    static const char bytes[65536];
    size_t all = 0;

    while (all < max) {
        size_t left = max - all < sizeof(bytes) ? max - all : sizeof(bytes);
        ssize_t n = send(peer.fd, bytes, left, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (n <= 0)
            break;
        all += (size_t)n;
    }
    return all;
}

static void a_long_body_is_never_kept(void **state)
{
    size_t all = 0;

    (void)state;
    say(LENGTH(20000000));
    while (all < 20000000) {
        all += put_all(20000000 - all);
        peer_turn(&reactor);
        if (server->links != NULL && conn()->has_body_left)
            assert_int_equal(conn()->in.cap + conn()->body.cap, 0);
    }
    assert_int_equal(receiver.body.n, 20000000);
    assert_true(receiver.longest <= READ_BUFFER);
    assert_int_equal(receiver.ends, 1);
    expect_answered("HTTP/1.1 200 ");
    expect_open();
}

/* ---- pausing ---- */

static void a_pause_stops_the_reading(void **state)
{
    (void)state;
    receiver.at_piece = PAUSE;
    say(LENGTH(10000000));
    size_t sent = put_all(10000000);
    peer_turn(&reactor);
    assert_true(sent < 10000000);
    assert_int_equal(receiver.pieces, 1);
    for (int i = 0; i < 20; i++) {
        sent += put_all(10000000 - sent);
        peer_turn(&reactor);
    }
    assert_int_equal(receiver.pieces, 1);
    assert_true(conn()->in.n <= READ_BUFFER);
    receiver.at_piece = NOTHING;
    pause_receiving(false);
    while (sent < 10000000 || receiver.ends == 0) {
        sent += put_all(10000000 - sent);
        peer_turn(&reactor);
    }
    assert_int_equal(receiver.body.n, 10000000);
    expect_answered("HTTP/1.1 200 ");
    expect_open();
}

static void what_is_there_waits_for_the_end_of_a_pause(void **state)
{
    (void)state;
    receiver.at_head = PAUSE;
    say(CHUNKED "3\r\nabc\r\n0\r\nt: 1\r\n\r\n" GET("/echo"));
    assert_int_equal(receiver.pieces + receiver.ends, 0);
    receiver.is_inside = true;
    pause_receiving(false);
    receiver.is_inside = false;
    peer_turn(&reactor);
    expect_received("abc");
    expect_trailers("t=1;");
    hear();
    assert_int_equal(peer_count(&peer, "HTTP/1.1 200 "), 2);
}

static void a_pause_in_the_last_piece_puts_off_the_end(void **state)
{
    (void)state;
    receiver.at_piece = PAUSE;
    say(LENGTH(3) "abc" GET("/echo"));
    expect_received("abc");
    assert_int_equal(receiver.ends, 0);
    pause_receiving(false);
    peer_turn(&reactor);
    assert_int_equal(receiver.ends, 1);
    hear();
    assert_int_equal(peer_count(&peer, "HTTP/1.1 200 "), 2);
}

static void a_pause_puts_off_the_end_of_no_body(void **state)
{
    (void)state;
    receiver.at_head = PAUSE;
    say(GET("/x"));
    assert_int_equal(receiver.ends, 0);
    pause_receiving(false);
    peer_turn(&reactor);
    assert_int_equal(receiver.ends, 1);
    expect_answered("HTTP/1.1 200 ");
    expect_open();
}

static void a_pause_puts_off_that_it_is_too_long(void **state)
{
    (void)state;
    receiver.at_head = PAUSE;
    receiver.max = 2;
    say("POST /x HTTP/1.1\r\nhost: h\r\nexpect: 100-continue\r\ncontent-length: 3\r\n\r\n");
    assert_int_equal(receiver.errors, 0);
    pause_receiving(false);
    peer_turn(&reactor);
    assert_int_equal(receiver.status, 413);
    expect_last_answer("HTTP/1.1 413 ");
    assert_int_equal(peer_count(&peer, "HTTP/1.1 "), 1);
}

static void a_pause_of_no_time_changes_nothing(void **state)
{
    (void)state;
    receiver.at_head = BLINK;
    receiver.at_piece = BLINK;
    say(CHUNKED "1\r\na\r\n1\r\nb\r\n0\r\n\r\n");
    expect_received("ab");
    assert_int_equal(receiver.ends, 1);
    expect_answered("HTTP/1.1 200 ");
    expect_open();
}

static void resuming_and_pausing_again_tells_nothing(void **state)
{
    (void)state;
    receiver.at_head = PAUSE;
    say(LENGTH(3) "abc");
    pause_receiving(false);
    pause_receiving(true);
    peer_turn(&reactor);
    assert_int_equal(receiver.pieces, 0);
    pause_receiving(false);
    peer_turn(&reactor);
    expect_received("abc");
}

static void a_paused_body_is_not_too_slow(void **state)
{
    (void)state;
    receiver.at_head = PAUSE;
    say(LENGTH(3));
    peer_move_time(&reactor, 3600000);
    assert_int_equal(receiver.errors, 0);
    pause_receiving(false);
    say("abc");
    assert_int_equal(receiver.ends, 1);
}

/* ---- permission to send ---- */

#define EXPECTING POST("content-length: 3\r\nexpect: 100-continue\r\n")

static void permission_is_given_to_who_waits_for_it(void **state)
{
    (void)state;
    say(EXPECTING);
    hear();
    assert_int_equal(peer_count(&peer, "HTTP/1.1 100 Continue\r\n\r\n"), 1);
    say("abc");
    expect_received("abc");
    expect_answered("HTTP/1.1 200 ");
    expect_open();
}

static void permission_is_not_given_to_who_has_not_waited(void **state)
{
    (void)state;
    say(EXPECTING "abc");
    expect_answered("HTTP/1.1 200 ");
    assert_false(peer_has(&peer, " 100 "));
    expect_open();
}

static void permission_is_not_given_where_nobody_receives(void **state)
{
    (void)state;
    receiver.receives_not = true;
    receiver.status = 401;
    receiver.at_head = RESPOND;
    say(EXPECTING);
    expect_last_answer("HTTP/1.1 401 ");
    assert_false(peer_has(&peer, " 100 "));
}

static void permission_is_not_given_behind_an_answer(void **state)
{
    (void)state;
    receiver.at_head = BEGIN;
    receiver.at_end = FINISH;
    say(EXPECTING);
    hear();
    assert_false(peer_has(&peer, " 100 "));
    say("abc");
    assert_int_equal(receiver.ends, 1);
}

static void too_much_is_refused_before_permission(void **state)
{
    (void)state;
    receiver.max = 2;
    say(EXPECTING);
    assert_int_equal(receiver.status, 413);
    expect_last_answer("HTTP/1.1 413 ");
    assert_false(peer_has(&peer, " 100 "));
}

/* ---- answers before the end of the body ---- */

static void an_early_answer_costs_the_connection(void **state)
{
    (void)state;
    receiver.receives_not = true;
    receiver.status = 401;
    receiver.at_head = RESPOND;
    say(LENGTH(1000) "abc");
    expect_last_answer("HTTP/1.1 401 ");
}

static void an_answer_in_the_middle_costs_the_connection(void **state)
{
    (void)state;
    receiver.at_piece = RESPOND;
    say(CHUNKED "3\r\nabc\r\n");
    expect_last_answer("HTTP/1.1 200 ");
}

static void a_late_answer_without_receiving_costs_the_connection(void **state)
{
    (void)state;
    receiver.receives_not = true;
    say(LENGTH(1000) "abc");
    respond(403);
    expect_last_answer("HTTP/1.1 403 ");
}

static void a_body_that_is_all_there_is_passed_over(void **state)
{
    (void)state;
    receiver.receives_not = true;
    receiver.at_head = RESPOND;
    say(LENGTH(3) "abc" CHUNKED "3\r\nabc\r\n0\r\nt: 1\r\n\r\n" GET("/x"));
    hear();
    assert_int_equal(receiver.calls, 3);
    assert_int_equal(receiver.pieces, 0);
    assert_int_equal(peer_count(&peer, "HTTP/1.1 200 "), 3);
    expect_open();
}

static void a_body_that_waits_is_passed_over(void **state)
{
    (void)state;
    receiver.receives_not = true;
    say(CHUNKED "3\r\nabc\r\n0\r\n\r\n" GET("/echo"));
    respond(200);
    hear();
    assert_int_equal(peer_count(&peer, "HTTP/1.1 200 "), 2);
    expect_open();
}

static void the_rest_of_a_paused_body_is_passed_over(void **state)
{
    (void)state;
    receiver.at_piece = PAUSE;
    say(CHUNKED "3\r\nabc\r\n4\r\nabcd\r\n0\r\n\r\n" GET("/echo"));
    assert_int_equal(receiver.pieces, 1);
    respond(200);
    hear();
    assert_int_equal(peer_count(&peer, "HTTP/1.1 200 "), 2);
    expect_open();
}

static void a_malformed_body_is_never_passed_over(void **state)
{
    (void)state;
    receiver.receives_not = true;
    receiver.at_head = RESPOND;
    say(CHUNKED "3\r\nabcd\r\n0\r\n\r\n" GET("/x"));
    expect_last_answer("HTTP/1.1 200 ");
    assert_int_equal(receiver.calls, 1);
}

static void what_still_comes_behind_an_early_answer_is_dropped(void **state)
{
    (void)state;
    receiver.receives_not = true;
    receiver.at_head = RESPOND;
    say(LENGTH(5000000));
    size_t sent = 0;
    while (sent < 5000000) {
        sent += put_all(5000000 - sent);
        peer_turn(&reactor);
    }
    expect_last_answer("HTTP/1.1 200 ");
}

/* ---- both at once ---- */

static void an_answer_may_go_along(void **state)
{
    (void)state;
    receiver.at_head = BEGIN;
    receiver.at_piece = PASS_ON;
    receiver.at_end = FINISH;
    say(CHUNKED);
    say("3\r\nabc\r\n");
    hear();
    assert_true(peer_has(&peer, "\r\n\r\n3\r\nabc\r\n"));
    say("2\r\nde\r\n");
    hear();
    assert_true(peer_has(&peer, "3\r\nabc\r\n2\r\nde\r\n"));
    say("0\r\n\r\n");
    hear();
    assert_true(peer_has(&peer, "2\r\nde\r\n0\r\n\r\n"));
    expect_open();
}

static void much_goes_both_ways_at_once(void **state)
{
    size_t sent = 0, want = 8000000;

    (void)state;
    receiver.at_head = BEGIN;
    receiver.at_piece = PASS_ON;
    receiver.at_end = FINISH;
    say(LENGTH(8000000));
    while (sent < want || receiver.ends == 0) {
        sent += put_all(want - sent);
        peer_turn(&reactor);
        peer_take(&peer, 100000);
    }
    hear();
    assert_true(peer.got.n > want);
    assert_true(peer_has(&peer, "\r\n0\r\n\r\n"));
    expect_open();
}

static void an_answer_that_ends_first_costs_the_connection(void **state)
{
    (void)state;
    receiver.at_head = BEGIN;
    receiver.at_piece = FINISH;
    say(CHUNKED "3\r\nabc\r\n");
    hear();
    assert_true(peer_has(&peer, "0\r\n\r\n"));
    assert_true(peer.has_seen_end);
    assert_int_equal(receiver.ends, 0);
}

static void an_abort_in_a_piece_cuts(void **state)
{
    (void)state;
    receiver.at_head = BEGIN;
    receiver.at_piece = ABORT;
    say(CHUNKED "3\r\nabc\r\n3\r\nabc\r\n");
    hear();
    assert_true(peer.has_seen_end);
    assert_false(peer_has(&peer, "0\r\n\r\n"));
    assert_int_equal(receiver.pieces, 1);
    assert_int_equal(rg_http_server_connections(server), 0);
}

/* ---- what goes wrong ---- */

static void a_malformed_chunk_is_400(void **state)
{
    (void)state;
    say(CHUNKED "3\r\nabc\r\n");
    expect_received("abc");
    say("3\r\nabcd\r\n0\r\n\r\n" GET("/x"));
    assert_int_equal(receiver.status, 400);
    assert_int_equal(receiver.calls, 1);
    expect_last_answer("HTTP/1.1 400 ");
}

static void an_error_behind_a_begun_answer_is_told_too(void **state)
{
    (void)state;
    receiver.at_head = BEGIN;
    receiver.at_error = ABORT;
    say(CHUNKED "zzz\r\n");
    assert_int_equal(receiver.status, 400);
    hear();
    assert_true(peer.has_seen_end);
}

static void an_error_may_be_answered_later(void **state)
{
    (void)state;
    receiver.at_error = NOTHING;
    say(CHUNKED "zzz\r\n");
    assert_int_equal(receiver.errors, 1);
    assert_non_null(receiver.exchange);
    say("more of it");
    respond(400);
    expect_last_answer("HTTP/1.1 400 ");
}

static void too_slow_is_408(void **state)
{
    (void)state;
    say(LENGTH(100000) "abc");
    peer_let_pass(&reactor, 10000);
    assert_int_equal(receiver.status, 408);
    expect_last_answer("HTTP/1.1 408 ");
    assert_int_equal(rg_counters_get(rg_http_server_counters(server), RG_HTTP_TIMEOUTS), 1);
}

static void fast_enough_goes_on(void **state)
{
    static const char bytes[20000];

    (void)state;
    say(LENGTH(100000));
    for (int i = 0; i < 5; i++) {
        peer_put(&peer, bytes, sizeof(bytes));
        peer_turn(&reactor);
        peer_let_pass(&reactor, 9000);
    }
    assert_int_equal(receiver.errors, 0);
    assert_int_equal(receiver.ends, 1);
}

static void a_longer_chunked_body_is_413(void **state)
{
    (void)state;
    receiver.max = 5;
    say(CHUNKED "3\r\nabc\r\n");
    say("3\r\nabc\r\n0\r\n\r\n" GET("/x"));
    expect_received("abc");
    assert_int_equal(receiver.status, 413);
    expect_last_answer("HTTP/1.1 413 ");
}

static void the_longest_allowed_body_passes(void **state)
{
    (void)state;
    receiver.max = 6;
    say(CHUNKED "3\r\nabc\r\n3\r\ndef\r\n0\r\n\r\n" LENGTH(6) "abcdef");
    hear();
    assert_int_equal(peer_count(&peer, "HTTP/1.1 200 "), 2);
}

static void a_length_beyond_all_is_refused(void **state)
{
    (void)state;
    say(LENGTH(9999999999999999999));
    assert_int_equal(receiver.calls, 0);
    hear();
    assert_true(peer_has(&peer, "HTTP/1.1 413 "));
}

static void who_leaves_while_sending_is_gone(void **state)
{
    (void)state;
    say(LENGTH(100) "abc");
    peer_close(&peer);
    peer_turn(&reactor);
    assert_int_equal(receiver.gone, 1);
    assert_int_equal(receiver.errors, 0);
}

static void who_leaves_in_a_pause_is_gone(void **state)
{
    (void)state;
    receiver.at_head = PAUSE;
    say(LENGTH(100) "abc");
    peer_close(&peer);
    peer_turn(&reactor);
    assert_int_equal(receiver.gone, 1);
}

static void who_leaves_between_pause_and_resumption_is_gone_once(void **state)
{
    (void)state;
    receiver.at_head = PAUSE;
    say(LENGTH(100) "abc");
    pause_receiving(false);
    rg_http_server_close_all(server);
    peer_turn(&reactor);
    assert_int_equal(receiver.gone, 1);
    assert_int_equal(receiver.pieces, 0);
}

static void who_leaves_a_begun_answer_is_gone(void **state)
{
    (void)state;
    receiver.asks_on_gone = false;
    receiver.at_head = BEGIN;
    say(LENGTH(100) "abc");
    peer_close(&peer);
    peer_turn(&reactor);
    assert_int_equal(receiver.gone, 1);
}

/* ---- trailers ---- */

static void trailers_that_may_not_be_there_are_left_out(void **state)
{
    (void)state;
    say(CHUNKED "0\r\nContent-Length: 9\r\nx-a: 1\r\nTransfer-Encoding: chunked\r\nhost: evil\r\n"
                "Authorization: b\r\nCookie: c\r\nX-Forwarded-For: 1.2.3.4\r\nTE: x\r\n"
                "connection: x-a\r\ngrpc-status: 0\r\n\r\n");
    expect_trailers("x-a=1;grpc-status=0;");
    expect_answered("HTTP/1.1 200 ");
    expect_open();
}

static void too_many_trailers_are_400(void **state)
{
    struct rg_buf text = {0};

    (void)state;
    rg_buf_add_c(&text, CHUNKED "0\r\n");
    for (int i = 0; i < 33; i++)
        rg_buf_addf(&text, "t%d: 1\r\n", i);
    rg_buf_add(&text, "\r\n", 3);
    say(text.p);
    rg_buf_done(&text);
    assert_int_equal(receiver.status, 400);
    expect_last_answer("HTTP/1.1 400 ");
}

static void long_trailers_are_400(void **state)
{
    char line[101];

    (void)state;
    memset(line, 'a', 100);
    line[100] = '\0';
    say(CHUNKED "0\r\nt: ");
    for (int i = 0; i < 90 && receiver.errors == 0; i++)
        say(line);
    assert_int_equal(receiver.status, 400);
    assert_true(server->links == NULL || conn()->body.cap <= 16384);
    expect_last_answer("HTTP/1.1 400 ");
}

static void trailers_follow_a_chunked_answer(void **state)
{
    const struct rg_http_field trailers[] = {
        {RG_STR("grpc-status"), RG_STR("0")},     {RG_STR("content-length"), RG_STR("5")},
        {RG_STR("bad name"), RG_STR("x")},        {RG_STR(":status"), RG_STR("500")},
        {RG_STR("x-split"), RG_STR("a\r\nb: c")}, {RG_STR(""), RG_STR("x")},
    };

    (void)state;
    receiver.at_head = BEGIN;
    receiver.at_end = NOTHING;
    say(GET("/x"));
    rg_exchange_write_body(receiver.exchange, RG_STR("abc"));
    rg_exchange_finish_body_with(RG_STEAL(receiver.exchange), trailers, RG_COUNT_OF(trailers));
    hear();
    assert_true(peer_has(&peer, "3\r\nabc\r\n0\r\ngrpc-status: 0\r\n\r\n"));
    expect_open();
}

static void trailers_are_dropped_where_there_is_no_place(void **state)
{
    const struct rg_http_field trailers[] = {{RG_STR("x"), RG_STR("y")}};
    struct rg_response head = {.status = 200};

    (void)state;
    receiver.at_end = NOTHING;
    say(GET("/x"));
    rg_exchange_begin_body(receiver.exchange, &head, 3, &body_events, &receiver);
    rg_exchange_write_body(receiver.exchange, RG_STR("abc"));
    rg_exchange_finish_body_with(RG_STEAL(receiver.exchange), trailers, 1);
    hear();
    assert_true(peer_has(&peer, "\r\n\r\nabc"));
    assert_false(peer_has(&peer, "x: y"));
    expect_open();
}

/* ---- the rest ---- */

static void the_start_is_told_finely(void **state)
{
    uint64_t before = rg_clock_mono_ns();

    (void)state;
    receiver.at_end = NOTHING;
    say(GET("/x"));
    assert_true(rg_exchange_started_ns(receiver.exchange) >= before);
    assert_true(rg_exchange_started_ns(receiver.exchange) <= rg_clock_mono_ns());
    respond(200);
}

static void the_peer_is_asked_for_once(void **state)
{
    char address[RG_PEER_SIZE];

    (void)state;
    receiver.at_end = NOTHING;
    say(GET("/x"));
    rg_exchange_peer(receiver.exchange, address);
    assert_string_equal(address, "");
    assert_true(conn()->transport.knows_peer);
    memcpy(conn()->transport.peer, "192.0.2.1", 10);
    rg_exchange_peer(receiver.exchange, address);
    assert_string_equal(address, "192.0.2.1");
    respond(200);
}

static void a_drained_server_lets_a_body_end(void **state)
{
    (void)state;
    say(LENGTH(6) "abc");
    rg_http_server_drain(server);
    peer_turn(&reactor);
    say("def");
    expect_received("abcdef");
    expect_last_answer("HTTP/1.1 200 ");
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(the_handler_runs_with_the_head),
        TEST(a_request_without_a_body_ends_at_once),
        TEST(a_body_of_length_zero_ends_at_once),
        TEST(the_coding_is_removed),
        TEST(a_chunked_body_may_be_cut_anywhere),
        TEST(a_body_with_a_length_may_be_cut_anywhere),
        TEST(one_byte_at_a_time_is_the_same),
        TEST(a_long_body_is_never_kept),
        TEST(a_pause_stops_the_reading),
        TEST(what_is_there_waits_for_the_end_of_a_pause),
        TEST(a_pause_in_the_last_piece_puts_off_the_end),
        TEST(a_pause_puts_off_the_end_of_no_body),
        TEST(a_pause_puts_off_that_it_is_too_long),
        TEST(a_pause_of_no_time_changes_nothing),
        TEST(resuming_and_pausing_again_tells_nothing),
        TEST(a_paused_body_is_not_too_slow),
        TEST(permission_is_given_to_who_waits_for_it),
        TEST(permission_is_not_given_to_who_has_not_waited),
        TEST(permission_is_not_given_where_nobody_receives),
        TEST(permission_is_not_given_behind_an_answer),
        TEST(too_much_is_refused_before_permission),
        TEST(an_early_answer_costs_the_connection),
        TEST(an_answer_in_the_middle_costs_the_connection),
        TEST(a_late_answer_without_receiving_costs_the_connection),
        TEST(a_body_that_is_all_there_is_passed_over),
        TEST(a_body_that_waits_is_passed_over),
        TEST(the_rest_of_a_paused_body_is_passed_over),
        TEST(a_malformed_body_is_never_passed_over),
        TEST(what_still_comes_behind_an_early_answer_is_dropped),
        TEST(an_answer_may_go_along),
        TEST(much_goes_both_ways_at_once),
        TEST(an_answer_that_ends_first_costs_the_connection),
        TEST(an_abort_in_a_piece_cuts),
        TEST(a_malformed_chunk_is_400),
        TEST(an_error_behind_a_begun_answer_is_told_too),
        TEST(an_error_may_be_answered_later),
        TEST(too_slow_is_408),
        TEST(fast_enough_goes_on),
        TEST(a_longer_chunked_body_is_413),
        TEST(the_longest_allowed_body_passes),
        TEST(a_length_beyond_all_is_refused),
        TEST(who_leaves_while_sending_is_gone),
        TEST(who_leaves_in_a_pause_is_gone),
        TEST(who_leaves_between_pause_and_resumption_is_gone_once),
        TEST(who_leaves_a_begun_answer_is_gone),
        TEST(trailers_that_may_not_be_there_are_left_out),
        TEST(too_many_trailers_are_400),
        TEST(long_trailers_are_400),
        TEST(trailers_follow_a_chunked_answer),
        TEST(trailers_are_dropped_where_there_is_no_place),
        TEST(the_start_is_told_finely),
        TEST(the_peer_is_asked_for_once),
        TEST(a_drained_server_lets_a_body_end),
    };

    signal(SIGPIPE, SIG_IGN);
    rg_log_set_fd(open("/dev/null", O_WRONLY | O_CLOEXEC));
    rg_rcu_thread_start();
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    rg_rcu_thread_stop();
    return failed;
}
