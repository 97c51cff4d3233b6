/*
 * A server on a loop that the test runs itself; its clients are socket pairs, and time passes only
 * where the test says so.
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
#include "base/log.h"
#include "base/rcu.h"
#include "http/server.h"

#define BIG_N ((size_t)3 * 1024 * 1024)

static struct rg_reactor reactor;
static struct rg_http_server *server;
static struct peer peer;
static char *big;

/* What the handlers saw and keep. */
static struct {
    unsigned calls;
    struct rg_buf body;
    bool is_pending;
    struct rg_exchange_handle pending;
    struct rg_stream *taken;
    struct rg_buf early;
    bool drains; /* the next handler drains the server before it answers */
} seen;

/* ---- handlers ---- */

static void respond(struct rg_exchange *exchange, int status, struct rg_str body)
{
    struct rg_response response = {.status = status, .body = body};
    rg_exchange_respond(exchange, &response);
}

/* Answers with the method, the target and the body. */
static void echo(void *arg, struct rg_exchange *exchange)
{
    const struct rg_request *req = rg_exchange_request(exchange);
    struct rg_buf text = {0};

    (void)arg;
    seen.calls++;
    rg_buf_clear(&seen.body);
    rg_buf_add_str(&seen.body, req->body);
    if (seen.drains)
        rg_http_server_drain(server);
    rg_buf_addf(&text, "<%.*s %.*s ", RG_STR_ARG(req->method_name), RG_STR_ARG(req->target));
    rg_buf_add_str(&text, req->body);
    rg_buf_add_char(&text, '>');
    respond(exchange, 200, rg_buf_str(&text));
    rg_buf_done(&text);
}

static void answer_later(void *arg, struct rg_exchange *exchange)
{
    (void)arg;
    seen.calls++;
    seen.is_pending = true;
    seen.pending = rg_exchange_get_handle(exchange);
}

/* Answers what is pending, and then itself like echo(). */
static void answer_other(void *arg, struct rg_exchange *exchange)
{
    respond(rg_http_server_find(server, seen.pending), 200, RG_STR("<other>"));
    echo(arg, exchange);
}

static void answer_big(void *arg, struct rg_exchange *exchange)
{
    (void)arg;
    seen.calls++;
    respond(exchange, 200, rg_str_n(big, BIG_N));
}

static void take_over(struct rg_exchange *exchange)
{
    struct rg_response head = {.status = 101};
    struct rg_taken taken;

    rg_exchange_take_stream(exchange, &head, &taken);
    seen.taken = taken.stream;
    rg_buf_add_str(&seen.early, rg_buf_str(&taken.early));
    rg_taken_done(&taken);
}

static void take(void *arg, struct rg_exchange *exchange)
{
    (void)arg;
    seen.calls++;
    take_over(exchange);
}

static void name(void *arg, struct rg_exchange *exchange)
{
    char text[100];
    struct rg_str param = rg_exchange_param(exchange, 0);

    (void)arg;
    assert_ptr_equal(rg_exchange_reactor(exchange), &reactor);
    snprintf(text, sizeof(text), "<name %.*s>", RG_STR_ARG(param));
    respond(exchange, 200, rg_str_c(text));
}

static const struct rg_route routes[] = {
    {RG_METHODS_ALL, "/later", answer_later, NULL, 0},
    {RG_METHODS_ALL, "/other", answer_other, NULL, 100},
    {RG_METHODS_ALL, "/big", answer_big, NULL, 0},
    {RG_METHODS_ALL, "/take", take, NULL, 0},
    {RG_METHODS_ALL, "/name/:name", name, NULL, 0},
    {RG_METHOD_BIT(RG_DELETE) | RG_METHOD_BIT(RG_GET), "/none", echo, NULL, 0},
    {RG_METHOD_BIT(RG_GET) | RG_METHOD_BIT(RG_POST), "/echo", echo, NULL, 100000},
};

/* ---- the stage ---- */

static uint64_t count(const char *name_and_labels)
{
    const struct rg_counters *block = rg_http_server_counters(server);
    struct rg_buf text = {0};
    uint64_t n = UINT64_MAX;

    rg_counters_expose(&text, rg_http_counter_rows, rg_http_counter_rows_n, &block, 1);
    rg_buf_add_char(&text, '\0');
    for (char *line = text.p; line != NULL; line = strchr(line, '\n')) {
        line += *line == '\n';
        size_t name_n = strlen(name_and_labels);
        if (strncmp(line, name_and_labels, name_n) == 0 && line[name_n] == ' ')
            n = strtoull(line + name_n, NULL, 10);
    }
    rg_buf_done(&text);
    return n;
}

static void connect_peer(int send_buffer)
{
    int theirs;

    peer = peer_open(&theirs, send_buffer);
    rg_http_server_accept(server, theirs);
}

static int setup(void **state)
{
    (void)state;
    memset(&seen, 0, sizeof(seen));
    peer_reactor_init(&reactor);
    server = rg_http_server_new(&reactor, &rg_http_default_settings, routes, RG_COUNT_OF(routes));
    connect_peer(0);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    peer_close(&peer);
    rg_stream_close(&seen.taken);
    rg_buf_done(&seen.early);
    rg_buf_done(&seen.body);
    rg_http_server_close_all(server);
    assert_int_equal(rg_http_server_connections(server), 0);
    assert_int_equal(reactor.wheel.pending, 0);
    rg_http_server_free(&server);
    rg_reactor_done(&reactor);
    return 0;
}

static void say(const char *text)
{
    peer_send(&reactor, &peer, text);
}

static const char *hear(void)
{
    return peer_read(&reactor, &peer);
}

static void assert_closed(void)
{
    hear();
    assert_true(peer.has_seen_end);
    /* Lingering ends at the latest when the peer closes too. */
    peer_close(&peer);
    peer_turn(&reactor);
    assert_int_equal(rg_http_server_connections(server), 0);
}

static void assert_open(void)
{
    hear();
    assert_false(peer.has_seen_end);
    assert_int_equal(rg_http_server_connections(server), 1);
}

/* A refusal: this status, a JSON message, and the end of the connection. */
static void assert_refused(const char *status)
{
    char start[64];

    snprintf(start, sizeof(start), "HTTP/1.1 %s ", status);
    hear();
    assert_memory_equal(peer.got.p, start, strlen(start));
    assert_true(peer_has(&peer, "\r\nconnection: close\r\n"));
    assert_true(peer_has(&peer, "\r\ncontent-type: application/json; charset=utf-8\r\n"));
    assert_true(peer_has(&peer, "\r\n\r\n{\"message\":\""));
    assert_int_equal(peer_count(&peer, "HTTP/1.1"), 1);
    assert_closed();
}

static struct rg_exchange *pending(void)
{
    assert_true(seen.is_pending);
    return rg_http_server_find(server, seen.pending);
}

#define GET(target)  "GET " target " HTTP/1.1\r\nhost: h\r\n\r\n"
#define POST(fields) "POST /echo HTTP/1.1\r\nhost: h\r\n" fields "\r\n"

/* ---- requests, one after the other ---- */

static void an_answer_keeps_the_connection_open(void **state)
{
    (void)state;
    say(GET("/echo"));
    assert_non_null(strstr(hear(), "HTTP/1.1 200 OK\r\n"));
    assert_true(peer_has(&peer, "\r\ncontent-length: 12\r\n"));
    assert_false(peer_has(&peer, "connection:"));
    assert_true(peer_has(&peer, "\r\n\r\n<GET /echo >"));
    say(GET("/echo?2"));
    hear();
    assert_true(peer_has(&peer, "<GET /echo?2 >"));
    assert_open();
    assert_int_equal(count("rgate_http_requests_total"), 2);
    assert_int_equal(count("rgate_http_accepted_total"), 1);
    assert_int_equal(count("rgate_http_responses_total{class=\"2xx\"}"), 2);
}

static void a_request_may_be_there_before_it_is_accepted(void **state)
{
    int theirs;

    (void)state;
    peer_close(&peer);
    peer_turn(&reactor);
    peer = peer_open(&theirs, 0);
    peer_put(&peer, GET("/echo"), strlen(GET("/echo")));
    rg_http_server_accept(server, theirs);
    assert_int_equal(seen.calls, 1);
    hear();
    assert_true(peer_has(&peer, "<GET /echo >"));
}

static void a_request_may_come_byte_by_byte(void **state)
{
    static const char text[] = POST("content-length: 5\r\n") "hello" POST(
        "transfer-encoding: chunked\r\n") "3;x=y\r\nabc\r\n02\r\nde\r\n0\r\nt: r\r\n\r\n" GET("/echo");

    (void)state;
    for (size_t i = 0; i + 1 < sizeof(text); i++) {
        peer_put(&peer, &text[i], 1);
        peer_turn(&reactor);
    }
    hear();
    assert_int_equal(seen.calls, 3);
    assert_true(peer_has(&peer, "<POST /echo hello>"));
    assert_true(peer_has(&peer, "<POST /echo abcde>"));
    assert_true(peer_has(&peer, "<GET /echo >"));
    assert_open();
}

static void a_body_may_come_in_two_pieces_wherever_it_is_cut(void **state)
{
    static const char *const texts[] = {
        POST("content-length: 26\r\n") "abcdefghijklmnopqrstuvwxyz",
        POST("transfer-encoding: chunked\r\n") "a\r\nabcdefghij\r\n10\r\nklmnopqrstuvwxyz\r\n0\r\n"
                                               "\r\n",
    };

    (void)state;
    for (size_t t = 0; t < RG_COUNT_OF(texts); t++) {
        for (size_t cut = 1; cut < strlen(texts[t]); cut++) {
            peer_put(&peer, texts[t], cut);
            peer_turn(&reactor);
            say(texts[t] + cut);
            hear();
            assert_int_equal(peer_count(&peer, "<POST /echo abcdefghijklmnopqrstuvwxyz>"), 1);
            assert_int_equal(peer_count(&peer, "HTTP/1.1 200"), 1);
            peer_forget(&peer);
        }
    }
    assert_open();
}

static void a_body_may_be_longer_than_the_read_buffer(void **state)
{
    char chunk[1000];

    (void)state;
    memset(chunk, 'c', sizeof(chunk));
    say(POST("content-length: 100000\r\n"));
    for (int i = 0; i < 100; i++) {
        peer_put(&peer, chunk, sizeof(chunk));
        if (i % 7 == 0)
            peer_turn(&reactor);
    }
    hear();
    assert_int_equal(seen.body.n, 100000);
    peer_forget(&peer);

    say(POST("transfer-encoding: chunked\r\n"));
    for (int i = 0; i < 100; i++) {
        say("3e8\r\n");
        peer_put(&peer, chunk, sizeof(chunk));
        say("\r\n");
    }
    say("0\r\n\r\n");
    hear();
    assert_int_equal(seen.body.n, 100000);
    assert_int_equal(seen.body.p[99999], 'c');
    assert_open();
}

static void head_gets_the_head_only(void **state)
{
    (void)state;
    say("HEAD /echo HTTP/1.1\r\nhost: h\r\n\r\n");
    hear();
    assert_true(peer_has(&peer, "\r\ncontent-length: 13\r\n"));
    assert_memory_equal(peer.got.p + peer.got.n - 4, "\r\n\r\n", 4);
}

static void a_handler_sees_parameters_and_the_peer(void **state)
{
    (void)state;
    say(GET("/name/x%20y"));
    hear();
    assert_true(peer_has(&peer, "<name x%20y>"));
}

static void the_parameters_survive_a_body_in_pieces(void **state)
{
    (void)state;
    say("POST /name/ada HTTP/1.1\r\nhost: h\r\ntransfer-encoding: chunked\r\n\r\n0\r\n");
    say("\r\n");
    hear();
    assert_true(peer_has(&peer, "<name ada>"));
}

/* ---- the end of a connection ---- */

static void connection_close_is_honoured(void **state)
{
    (void)state;
    say("GET /echo HTTP/1.1\r\nhost: h\r\nconnection: close\r\n\r\n");
    hear();
    assert_true(peer_has(&peer, "\r\nconnection: close\r\n"));
    assert_true(peer_has(&peer, "<GET /echo >"));
    assert_closed();
}

static void nothing_behind_a_last_request_is_handled(void **state)
{
    (void)state;
    say("GET /echo HTTP/1.1\r\nhost: h\r\nconnection: close\r\n\r\n" GET("/echo"));
    assert_int_equal(seen.calls, 1);
    say(GET("/echo"));
    assert_int_equal(seen.calls, 1);
    assert_closed();
}

static void http_1_0_closes_unless_asked_not_to(void **state)
{
    (void)state;
    say("GET /echo HTTP/1.0\r\nconnection: keep-alive\r\n\r\n");
    hear();
    assert_true(peer_has(&peer, "\r\nconnection: keep-alive\r\n"));
    assert_open();
    say("GET /echo HTTP/1.0\r\n\r\n");
    hear();
    assert_true(peer_has(&peer, "\r\nconnection: close\r\n"));
    assert_closed();
}

static void a_lingering_connection_ends_by_itself(void **state)
{
    (void)state;
    say("GET /echo HTTP/1.1\r\nhost: h\r\nconnection: close\r\n\r\n");
    hear();
    assert_int_equal(rg_http_server_connections(server), 1);
    peer_let_pass(&reactor, 2000);
    assert_int_equal(rg_http_server_connections(server), 0);
}

static void a_lingering_connection_does_not_read_for_ever(void **state)
{
    char chunk[65536] = {0};

    (void)state;
    say("GET /echo HTTP/1.1\r\nhost: h\r\nconnection: close\r\n\r\n");
    for (int i = 0; i < 256; i++) {
        peer_put(&peer, chunk, sizeof(chunk));
        peer_turn(&reactor);
        assert_int_equal(rg_http_server_connections(server), 1);
    }
    peer_put(&peer, "x", 1);
    peer_turn(&reactor);
    assert_int_equal(rg_http_server_connections(server), 0);
}

static void a_peer_that_closes_is_forgotten(void **state)
{
    (void)state;
    peer_close(&peer);
    peer_turn(&reactor);
    assert_int_equal(rg_http_server_connections(server), 0);
}

static void a_peer_that_closes_in_the_middle_of_a_request_is_forgotten(void **state)
{
    static const char *const texts[] = {"GET /ec", POST("content-length: 9\r\n") "a",
                                        POST("transfer-encoding: chunked\r\n") "5\r\nab"};

    (void)state;
    for (size_t i = 0; i < RG_COUNT_OF(texts); i++) {
        say(texts[i]);
        peer_close(&peer);
        peer_turn(&reactor);
        assert_int_equal(rg_http_server_connections(server), 0);
        connect_peer(0);
    }
    assert_int_equal(seen.calls, 0);
}

static void a_half_closed_peer_gets_its_answer(void **state)
{
    (void)state;
    peer_put(&peer, GET("/echo"), strlen(GET("/echo")));
    peer_half_close(&peer);
    hear();
    assert_true(peer_has(&peer, "<GET /echo >"));
    assert_closed();
}

static void a_half_closed_peer_gets_all_of_a_big_answer(void **state)
{
    (void)state;
    peer_put(&peer, GET("/big"), strlen(GET("/big")));
    peer_half_close(&peer);
    hear();
    assert_true(peer.got.n > BIG_N);
    assert_closed();
}

/* ---- pipelining and answers that come later ---- */

static void pipelined_requests_are_answered_in_order(void **state)
{
    const char *one, *two, *three;

    (void)state;
    say(GET("/echo?1") POST("content-length: 2\r\n") "ab" GET("/echo?3"));
    one = strstr(hear(), "<GET /echo?1 >");
    assert_non_null(one);
    two = strstr(one, "<POST /echo ab>");
    assert_non_null(two);
    three = strstr(two, "<GET /echo?3 >");
    assert_non_null(three);
    assert_open();
}

static void an_answer_may_come_later(void **state)
{
    (void)state;
    say(GET("/later"));
    assert_string_equal(hear(), "");
    assert_non_null(pending());
    respond(pending(), 200, RG_STR("<late>"));
    hear();
    assert_true(peer_has(&peer, "<late>"));
    assert_null(pending());
    say(GET("/echo"));
    hear();
    assert_true(peer_has(&peer, "<GET /echo >"));
    assert_open();
}

static void what_is_behind_an_unanswered_request_waits(void **state)
{
    (void)state;
    say(GET("/later") GET("/echo?2") GET("/ech"));
    say("more that is not even read");
    assert_int_equal(seen.calls, 1);
    assert_string_equal(hear(), "");

    respond(pending(), 200, RG_STR("<late>"));
    assert_int_equal(seen.calls, 2);
    hear();
    assert_true(strstr(peer.got.p, "<late>") < strstr(peer.got.p, "<GET /echo?2 >"));
}

static void several_pending_requests_in_a_row_are_answered_one_by_one(void **state)
{
    struct rg_exchange_handle first;

    (void)state;
    say(GET("/later") GET("/later") GET("/echo"));
    first = seen.pending;
    respond(pending(), 200, RG_STR("<1>"));
    assert_int_equal(seen.calls, 2);
    assert_null(rg_http_server_find(server, first));
    assert_non_null(pending());
    respond(pending(), 200, RG_STR("<2>"));
    hear();
    assert_int_equal(seen.calls, 3);
    assert_true(peer_has(&peer, "<1>HTTP/1.1 200"));
    assert_true(peer_has(&peer, "<2>HTTP/1.1 200"));
    assert_true(peer_has(&peer, "<GET /echo >"));
}

/* The answered connection goes on with its next request while the handler is still running. */
static void a_handler_that_answers_another_exchange_keeps_its_own_request(void **state)
{
    struct peer second;
    int theirs;

    (void)state;
    say(GET("/later") GET("/echo?behind-the-pending-one"));
    second = peer_open(&theirs, 0);
    rg_http_server_accept(server, theirs);
    peer_send(&reactor, &second,
              "POST /other?2 HTTP/1.1\r\nhost: h\r\ncontent-length: 3\r\n\r\nown");
    hear();
    assert_true(peer_has(&peer, "<other>"));
    assert_true(peer_has(&peer, "<GET /echo?behind-the-pending-one >"));
    peer_read(&reactor, &second);
    assert_true(peer_has(&second, "<POST /other?2 own>"));
    peer_close(&second);
    peer_turn(&reactor);
}

/* Nothing else tells that it is gone, and it would be waited for as long as the answer takes. */
static void a_half_closed_peer_counts_as_gone_while_its_answer_is_pending(void **state)
{
    (void)state;
    say(GET("/later"));
    peer_half_close(&peer);
    peer_turn(&reactor);
    assert_null(pending());
    assert_closed();
}

static void a_handle_of_a_peer_that_is_gone_finds_nothing(void **state)
{
    (void)state;
    say(GET("/later"));
    assert_non_null(pending());
    peer_close(&peer);
    peer_turn(&reactor);
    assert_int_equal(rg_http_server_connections(server), 0);
    assert_null(pending());
    /* Nor does it find the next exchange in the same place. */
    struct rg_exchange_handle old = seen.pending;
    connect_peer(0);
    say(GET("/later"));
    assert_int_equal(seen.pending.slot, old.slot);
    assert_null(rg_http_server_find(server, old));
    assert_non_null(pending());
}

static void a_handle_that_was_never_given_finds_nothing(void **state)
{
    (void)state;
    assert_null(rg_http_server_find(server, (struct rg_exchange_handle){0, 0, 1}));
    say(GET("/later"));
    assert_null(rg_http_server_find(server, (struct rg_exchange_handle){0, 1, 1}));
    assert_null(rg_http_server_find(server, (struct rg_exchange_handle){0, 4000000000u, 1}));
}

static void many_exchanges_may_be_pending_at_once(void **state)
{
    enum {
        N = 70
    };
    struct peer peers[N];
    struct rg_exchange_handle handles[N];
    char text[32];

    (void)state;
    for (int i = 0; i < N; i++) {
        int theirs;
        peers[i] = peer_open(&theirs, 0);
        rg_http_server_accept(server, theirs);
        peer_send(&reactor, &peers[i], GET("/later"));
        handles[i] = seen.pending;
    }
    for (int i = N - 1; i >= 0; i--) {
        snprintf(text, sizeof(text), "<%d>", i);
        respond(rg_http_server_find(server, handles[i]), 200, rg_str_c(text));
    }
    for (int i = 0; i < N; i++) {
        snprintf(text, sizeof(text), "\r\n\r\n<%d>", i);
        peer_read(&reactor, &peers[i]);
        assert_true(peer_has(&peers[i], text));
        peer_close(&peers[i]);
    }
    peer_turn(&reactor);
    assert_int_equal(rg_http_server_connections(server), 1);
}

/* ---- limits ---- */

static void what_is_no_request_is_refused(void **state)
{
    (void)state;
    say("GET /echo\r\n\r\n");
    assert_refused("400");
    assert_int_equal(count("rgate_http_malformed_total"), 1);
    assert_int_equal(count("rgate_http_responses_total{class=\"4xx\"}"), 1);
}

static void a_malformed_chunk_is_refused(void **state)
{
    (void)state;
    say(POST("transfer-encoding: chunked\r\n") "3\r\nabc\r\n");
    say("x\r\n");
    assert_refused("400");
    assert_int_equal(seen.calls, 0);
}

static void a_path_or_method_without_a_route_is_refused(void **state)
{
    (void)state;
    say("DELETE /echo HTTP/1.1\r\nhost: h\r\n\r\n");
    assert_refused("404");
}

static void a_length_beyond_the_limit_is_refused_before_the_body(void **state)
{
    (void)state;
    say(POST("content-length: 100001\r\n"));
    assert_refused("413");
    assert_int_equal(seen.calls, 0);
}

static void a_chunked_body_beyond_the_limit_is_refused_when_it_gets_there(void **state)
{
    char chunk[50000];

    (void)state;
    memset(chunk, 'c', sizeof(chunk));
    say(POST("transfer-encoding: chunked\r\n") "c350\r\n");
    peer_put(&peer, chunk, sizeof(chunk));
    say("\r\nc350\r\n");
    peer_put(&peer, chunk, sizeof(chunk));
    say("\r\n");
    assert_string_equal(hear(), "");
    say("1\r\nx");
    assert_refused("413");
}

static void a_body_where_none_is_allowed_is_refused(void **state)
{
    (void)state;
    say("GET /none HTTP/1.1\r\nhost: h\r\ncontent-length: 1\r\n\r\n");
    assert_refused("413");
}

static void a_head_beyond_the_limit_is_refused(void **state)
{
    char line[16500];

    (void)state;
    memset(line, 'a', sizeof(line));
    say("GET /echo HTTP/1.1\r\nhost: h\r\nx: ");
    peer_put(&peer, line, sizeof(line));
    assert_refused("431");

    connect_peer(0);
    say("GET /");
    peer_put(&peer, line, sizeof(line));
    assert_refused("414");
}

static void a_refusal_behind_a_good_request_follows_its_answer(void **state)
{
    (void)state;
    say(GET("/echo") "nonsense\r\n\r\n");
    hear();
    assert_int_equal(peer_count(&peer, "HTTP/1.1 "), 2);
    assert_true(strstr(peer.got.p, "HTTP/1.1 200") < strstr(peer.got.p, "HTTP/1.1 400"));
    assert_closed();
}

static void a_client_that_waits_for_permission_gets_it(void **state)
{
    (void)state;
    say(POST("content-length: 2\r\nexpect: 100-continue\r\n"));
    assert_string_equal(hear(), "HTTP/1.1 100 Continue\r\n\r\n");
    say("ab");
    hear();
    assert_true(peer_has(&peer, "<POST /echo ab>"));
    peer_forget(&peer);

    say(POST("content-length: 2\r\nexpect: 100-continue\r\n") "a");
    assert_string_equal(hear(), "");
    say("b");
    hear();
    assert_false(peer_has(&peer, "HTTP/1.1 100"));
    assert_true(peer_has(&peer, "<POST /echo ab>"));
}

static void a_client_that_waits_for_permission_is_told_when_its_body_is_too_long(void **state)
{
    (void)state;
    say(POST("content-length: 999999999\r\nexpect: 100-continue\r\n"));
    assert_refused("413");
}

/* ---- time ---- */

static void an_idle_connection_is_closed_after_a_minute(void **state)
{
    (void)state;
    peer_move_time(&reactor, 59999);
    assert_open();
    peer_let_pass(&reactor, 1);
    assert_true(peer_take(&peer, 1) == 0);
    assert_closed();
    assert_int_equal(peer.got.n, 0);
}

static void each_answer_restarts_the_minute(void **state)
{
    (void)state;
    peer_move_time(&reactor, 50000);
    say(GET("/echo"));
    peer_move_time(&reactor, 50000);
    assert_open();
    peer_let_pass(&reactor, 10000);
    assert_closed();
}

static void a_head_that_does_not_end_gets_408(void **state)
{
    (void)state;
    say("GET /echo HT");
    /* A byte now and then does not help. */
    peer_move_time(&reactor, 9000);
    say("TP/1.1\r\nx:");
    peer_move_time(&reactor, 900);
    assert_string_equal(hear(), "");
    peer_let_pass(&reactor, 100);
    assert_refused("408");
    assert_int_equal(count("rgate_http_timeouts_total"), 1);
    assert_int_equal(count("rgate_http_malformed_total"), 0);
}

static void a_body_that_comes_too_slowly_gets_408(void **state)
{
    char chunk[10240] = {0};

    (void)state;
    say(POST("content-length: 50000\r\n"));
    for (int i = 0; i < 3; i++) {
        peer_put(&peer, chunk, sizeof(chunk));
        peer_turn(&reactor);
        peer_let_pass(&reactor, 10000);
        assert_string_equal(hear(), "");
    }
    peer_put(&peer, chunk, sizeof(chunk) - 1);
    peer_turn(&reactor);
    peer_let_pass(&reactor, 10000);
    assert_refused("408");
}

static void a_pending_answer_has_no_deadline_here(void **state)
{
    (void)state;
    say(GET("/later"));
    peer_let_pass(&reactor, 3600000);
    assert_non_null(pending());
    respond(pending(), 200, RG_STR("<late>"));
    hear();
    assert_true(peer_has(&peer, "<late>"));
    /* From here on it is idle. */
    peer_move_time(&reactor, 59000);
    assert_open();
    peer_let_pass(&reactor, 1000);
    assert_closed();
}

/* ---- answers that the socket does not take at once ---- */

static void a_big_answer_arrives_whole_and_what_follows_it(void **state)
{
    static const char tail[] = "\r\n\r\n<GET /echo >";

    (void)state;
    say(GET("/big") GET("/echo"));
    assert_int_equal(seen.calls, 1);
    hear();
    assert_int_equal(seen.calls, 2);
    const char *body = strstr(peer.got.p, "\r\n\r\n") + 4;
    assert_memory_equal(body, big, BIG_N);
    assert_memory_equal(body + BIG_N, "HTTP/1.1 200 OK", 15);
    assert_memory_equal(peer.got.p + peer.got.n - strlen(tail), tail, strlen(tail));
    assert_open();
}

static void a_big_answer_that_comes_later_arrives_whole(void **state)
{
    (void)state;
    say(GET("/later") GET("/echo"));
    respond(pending(), 200, rg_str_n(big, BIG_N));
    hear();
    const char *body = strstr(peer.got.p, "\r\n\r\n") + 4;
    assert_memory_equal(body, big, BIG_N);
    assert_true(peer_has(&peer, "<GET /echo >"));
}

static void a_peer_that_takes_nothing_is_cut_and_one_that_takes_a_little_is_not(void **state)
{
    (void)state;
    peer_close(&peer);
    peer_turn(&reactor);
    connect_peer(8192);
    say(GET("/big"));
    for (int i = 0; i < 5; i++) {
        peer_move_time(&reactor, 9000);
        assert_int_equal(rg_http_server_connections(server), 1);
        assert_true(peer_take(&peer, 20000) > 0);
        peer_turn(&reactor);
    }
    peer_let_pass(&reactor, 10000);
    assert_int_equal(rg_http_server_connections(server), 0);
    assert_int_equal(count("rgate_http_timeouts_total"), 1);
}

static void a_peer_that_closes_during_a_big_answer_is_forgotten(void **state)
{
    (void)state;
    say(GET("/big"));
    peer_take(&peer, 1000);
    peer_close(&peer);
    peer_turn(&reactor);
    assert_int_equal(rg_http_server_connections(server), 0);
}

static void a_peer_that_is_gone_when_its_answer_comes_is_forgotten(void **state)
{
    (void)state;
    say(GET("/later") GET("/echo"));
    /* The loop has not told yet. */
    peer_close(&peer);
    respond(pending(), 200, RG_STR("<late>"));
    peer_turn(&reactor);
    assert_int_equal(rg_http_server_connections(server), 0);
    assert_int_equal(seen.calls, 1);
}

/* ---- taking the connection over ---- */

static void on_nothing(struct rg_stream *stream)
{
    (void)stream;
}

static const struct rg_stream_events no_events = {on_nothing, on_nothing, on_nothing};

static void the_stream_goes_to_who_takes_it_with_the_bytes_behind(void **state)
{
    char more[16];

    (void)state;
    say(GET("/take") "early bytes");
    assert_non_null(seen.taken);
    assert_int_equal(rg_http_server_connections(server), 0);
    assert_int_equal(seen.early.n, 11);
    assert_memory_equal(seen.early.p, "early bytes", 11);
    rg_stream_adopt(seen.taken, &no_events, &seen);
    peer_put(&peer, "later", 5);
    assert_int_equal(rg_stream_read(seen.taken, more, sizeof(more)), 5);
    assert_int_equal(rg_stream_write(seen.taken, "hello", 5), 5);
    assert_string_equal(hear(), "hello");
}

static void a_stream_may_be_taken_behind_other_requests(void **state)
{
    (void)state;
    say(GET("/later") GET("/echo") GET("/take") "early");
    assert_null(seen.taken);
    respond(pending(), 200, RG_STR("<late>"));
    assert_non_null(seen.taken);
    assert_memory_equal(seen.early.p, "early", 5);
    assert_int_equal(rg_http_server_connections(server), 0);
    rg_stream_adopt(seen.taken, &no_events, &seen);
    hear();
    assert_true(peer_has(&peer, "<GET /echo >"));
    assert_int_equal(count("rgate_http_requests_total"), 3);
}

static void a_stream_may_be_taken_when_the_handler_is_long_gone(void **state)
{
    (void)state;
    say(GET("/later") "early bytes");
    assert_true(seen.is_pending);
    take_over(pending());
    assert_int_equal(rg_http_server_connections(server), 0);
    assert_int_equal(seen.early.n, 11);
    assert_memory_equal(seen.early.p, "early bytes", 11);
    rg_stream_adopt(seen.taken, &no_events, &seen);
    assert_int_equal(rg_stream_write(seen.taken, "hello", 5), 5);
    assert_string_equal(hear(), "hello");
}

/* ---- draining ---- */

static void draining_closes_idle_connections_at_once(void **state)
{
    (void)state;
    say(GET("/echo"));
    rg_http_server_drain(server);
    assert_int_equal(rg_http_server_connections(server), 0);
    assert_closed();
}

static void draining_lets_a_pending_answer_out_and_closes(void **state)
{
    (void)state;
    say(GET("/later") GET("/echo"));
    rg_http_server_drain(server);
    assert_int_equal(rg_http_server_connections(server), 1);
    respond(pending(), 200, RG_STR("<late>"));
    hear();
    assert_true(peer_has(&peer, "\r\nconnection: close\r\n"));
    assert_true(peer_has(&peer, "<late>"));
    assert_int_equal(seen.calls, 1);
    assert_closed();
}

static void draining_lets_a_request_that_has_begun_finish(void **state)
{
    (void)state;
    say(POST("content-length: 4\r\n") "ab");
    rg_http_server_drain(server);
    say("cd");
    hear();
    assert_true(peer_has(&peer, "<POST /echo abcd>"));
    assert_true(peer_has(&peer, "\r\nconnection: close\r\n"));
    assert_closed();
}

static void draining_closes_behind_an_answer_that_is_being_written(void **state)
{
    (void)state;
    say(GET("/big"));
    rg_http_server_drain(server);
    assert_int_equal(rg_http_server_connections(server), 1);
    hear();
    assert_true(peer.got.n > BIG_N);
    assert_closed();
}

static void a_handler_may_drain_the_server(void **state)
{
    (void)state;
    seen.drains = true;
    say(GET("/echo") GET("/echo"));
    hear();
    assert_int_equal(seen.calls, 1);
    assert_true(peer_has(&peer, "\r\nconnection: close\r\n"));
    assert_closed();
}

static void closing_all_leaves_nothing(void **state)
{
    struct peer others[3];
    static const char *const texts[] = {"GET /ec", POST("content-length: 5\r\n") "a", GET("/big")};
    int theirs;

    (void)state;
    say(GET("/later"));
    for (size_t i = 0; i < RG_COUNT_OF(others); i++) {
        others[i] = peer_open(&theirs, 0);
        rg_http_server_accept(server, theirs);
        peer_send(&reactor, &others[i], texts[i]);
    }
    assert_int_equal(rg_http_server_connections(server), 4);
    rg_http_server_close_all(server);
    assert_int_equal(rg_http_server_connections(server), 0);
    assert_null(pending());
    peer_turn(&reactor);
    for (size_t i = 0; i < RG_COUNT_OF(others); i++)
        peer_close(&others[i]);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(an_answer_keeps_the_connection_open),
        TEST(a_request_may_be_there_before_it_is_accepted),
        TEST(a_request_may_come_byte_by_byte),
        TEST(a_body_may_come_in_two_pieces_wherever_it_is_cut),
        TEST(a_body_may_be_longer_than_the_read_buffer),
        TEST(head_gets_the_head_only),
        TEST(a_handler_sees_parameters_and_the_peer),
        TEST(the_parameters_survive_a_body_in_pieces),
        TEST(connection_close_is_honoured),
        TEST(nothing_behind_a_last_request_is_handled),
        TEST(http_1_0_closes_unless_asked_not_to),
        TEST(a_lingering_connection_ends_by_itself),
        TEST(a_lingering_connection_does_not_read_for_ever),
        TEST(a_peer_that_closes_is_forgotten),
        TEST(a_peer_that_closes_in_the_middle_of_a_request_is_forgotten),
        TEST(a_half_closed_peer_gets_its_answer),
        TEST(a_half_closed_peer_gets_all_of_a_big_answer),
        TEST(pipelined_requests_are_answered_in_order),
        TEST(an_answer_may_come_later),
        TEST(what_is_behind_an_unanswered_request_waits),
        TEST(several_pending_requests_in_a_row_are_answered_one_by_one),
        TEST(a_handler_that_answers_another_exchange_keeps_its_own_request),
        TEST(a_half_closed_peer_counts_as_gone_while_its_answer_is_pending),
        TEST(a_handle_of_a_peer_that_is_gone_finds_nothing),
        TEST(a_handle_that_was_never_given_finds_nothing),
        TEST(many_exchanges_may_be_pending_at_once),
        TEST(what_is_no_request_is_refused),
        TEST(a_malformed_chunk_is_refused),
        TEST(a_path_or_method_without_a_route_is_refused),
        TEST(a_length_beyond_the_limit_is_refused_before_the_body),
        TEST(a_chunked_body_beyond_the_limit_is_refused_when_it_gets_there),
        TEST(a_body_where_none_is_allowed_is_refused),
        TEST(a_head_beyond_the_limit_is_refused),
        TEST(a_refusal_behind_a_good_request_follows_its_answer),
        TEST(a_client_that_waits_for_permission_gets_it),
        TEST(a_client_that_waits_for_permission_is_told_when_its_body_is_too_long),
        TEST(an_idle_connection_is_closed_after_a_minute),
        TEST(each_answer_restarts_the_minute),
        TEST(a_head_that_does_not_end_gets_408),
        TEST(a_body_that_comes_too_slowly_gets_408),
        TEST(a_pending_answer_has_no_deadline_here),
        TEST(a_big_answer_arrives_whole_and_what_follows_it),
        TEST(a_big_answer_that_comes_later_arrives_whole),
        TEST(a_peer_that_takes_nothing_is_cut_and_one_that_takes_a_little_is_not),
        TEST(a_peer_that_closes_during_a_big_answer_is_forgotten),
        TEST(a_peer_that_is_gone_when_its_answer_comes_is_forgotten),
        TEST(the_stream_goes_to_who_takes_it_with_the_bytes_behind),
        TEST(a_stream_may_be_taken_behind_other_requests),
        TEST(a_stream_may_be_taken_when_the_handler_is_long_gone),
        TEST(draining_closes_idle_connections_at_once),
        TEST(draining_lets_a_pending_answer_out_and_closes),
        TEST(draining_lets_a_request_that_has_begun_finish),
        TEST(draining_closes_behind_an_answer_that_is_being_written),
        TEST(a_handler_may_drain_the_server),
        TEST(closing_all_leaves_nothing),
    };

    signal(SIGPIPE, SIG_IGN);
    rg_log_set_fd(open("/dev/null", O_WRONLY | O_CLOEXEC));
    rg_rcu_thread_start();
    big = rg_alloc(BIG_N);
    for (size_t i = 0; i < BIG_N; i++)
        big[i] = (char)('a' + i % 23);
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    rg_free(big);
    rg_rcu_thread_stop();
    return failed;
}
