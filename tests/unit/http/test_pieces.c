/*
 * Answers in pieces over HTTP/1.1: what the peer sees, and what whoever answers is told. At the end
 * a service's big answer on its way to a slow client.
 */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "base/log.h"
#include "base/rcu.h"
#include "http/h1_conn_priv.h"
#include "http/upstream_priv.h"
#include "service.h"

#define ENOUGH ((size_t)256 * 1024)
#define LITTLE ((size_t)64 * 1024)

static struct rg_reactor reactor;
static struct rg_http_server *server;
static struct rg_upstreams *upstreams;
static struct service service;
static struct peer peer;

enum ending {
    NOTHING,
    FINISH,
    ABORT
};

/* Who answers, and what it is told. */
static struct {
    struct rg_exchange *exchange; /* NULL: ended */
    struct rg_exchange_handle handle;
    struct rg_response head;
    int64_t length;
    unsigned calls, writable, gone;
    bool is_inside; /* one of the functions that must not tell anything */
    bool writes_in_handler;
    enum ending at_writable;
    size_t written;
    struct rg_upstream_call *call;
    uint64_t passed; /* bytes of a service's answer */
} writer;

/* ---- who answers ---- */

static void on_writable(void *arg)
{
    assert_ptr_equal(arg, &writer);
    assert_false(writer.is_inside);
    writer.writable++;
    if (writer.at_writable == FINISH)
        rg_exchange_finish_body(RG_STEAL(writer.exchange));
    else if (writer.at_writable == ABORT)
        rg_exchange_abort_body(RG_STEAL(writer.exchange));
}

static void on_gone(void *arg)
{
    assert_ptr_equal(arg, &writer);
    assert_false(writer.is_inside);
    writer.gone++;
    writer.exchange = NULL;
}

static const struct rg_body_events body_events = {on_writable, on_gone};

static void begin(void)
{
    writer.is_inside = true;
    rg_exchange_begin_body(writer.exchange, &writer.head, writer.length, &body_events, &writer);
    writer.is_inside = false;
}

static bool write_text(struct rg_str text)
{
    writer.is_inside = true;
    bool has_room = rg_exchange_write_body(writer.exchange, text);
    writer.is_inside = false;
    return has_room;
}

static bool write_piece(const char *text)
{
    return write_text(rg_str_c(text));
}

static void finish(void)
{
    writer.is_inside = true;
    rg_exchange_finish_body(RG_STEAL(writer.exchange));
    writer.is_inside = false;
}

static void cut(void)
{
    writer.is_inside = true;
    rg_exchange_abort_body(RG_STEAL(writer.exchange));
    writer.is_inside = false;
}

static void handle(void *arg, struct rg_exchange *exchange)
{
    (void)arg;
    writer.calls++;
    writer.exchange = exchange;
    writer.handle = rg_exchange_get_handle(exchange);
    if (writer.writes_in_handler) {
        begin();
        write_piece("at ");
        write_piece("once");
        finish();
    }
}

static void echo(void *arg, struct rg_exchange *exchange)
{
    struct rg_response response = {.status = 200, .body = RG_STR("<echo>")};

    (void)arg;
    rg_exchange_respond(exchange, &response);
}

/* ---- who passes on what a service answers ---- */

static void pass_writable(void *arg)
{
    (void)arg;
    rg_upstream_resume(writer.call);
}

static void pass_gone(void *arg)
{
    (void)arg;
    writer.gone++;
    rg_upstream_cancel(RG_STEAL(writer.call));
}

static const struct rg_body_events pass_events = {pass_writable, pass_gone};

static void pass_head(void *arg, const struct rg_upstream_head *head)
{
    struct rg_response response = {
        .status = head->status, .more = head->fields, .more_n = head->fields_n};

    (void)arg;
    rg_exchange_begin_body(writer.exchange, &response, head->length, &pass_events, NULL);
}

static void pass_body(void *arg, struct rg_str piece)
{
    (void)arg;
    writer.passed += piece.n;
    if (!rg_exchange_write_body(writer.exchange, piece))
        rg_upstream_pause(writer.call);
}

static void pass_end(void *arg, const struct rg_http_field *trailers, size_t trailers_n)
{
    (void)trailers;
    (void)trailers_n;
    (void)arg;
    writer.call = NULL;
    rg_exchange_finish_body(RG_STEAL(writer.exchange));
}

static void pass_failure(void *arg, enum rg_upstream_error error, const struct rg_why *why)
{
    (void)arg;
    (void)error;
    (void)why;
    writer.call = NULL;
    rg_exchange_abort_body(RG_STEAL(writer.exchange));
}

static const struct rg_upstream_events call_events = {pass_head,    pass_body, pass_end,
                                                      pass_failure, NULL,      NULL};

static void pass(void *arg, struct rg_exchange *exchange)
{
    const struct rg_http_field host[] = {{RG_STR("host"), RG_STR("s")}};
    struct rg_upstream_request request = {.host = "127.0.0.1",
                                          .port = service.port,
                                          .method = RG_STR("GET"),
                                          .target = rg_exchange_request(exchange)->target,
                                          .fields = host,
                                          .fields_n = 1,
                                          .response_timeout_ms = 5000};

    (void)arg;
    writer.exchange = exchange;
    writer.call = rg_upstreams_send(upstreams, &request, &call_events, NULL);
    rg_exchange_on_gone(exchange, pass_gone, NULL);
}

static const struct rg_route routes[] = {
    {RG_METHODS_ALL, "/echo", echo, NULL, 0},
    {RG_METHODS_ALL, "/pass", pass, NULL, 0},
    {RG_METHODS_ALL, "/pieces", handle, NULL, 0},
};

/* ---- the stage ---- */

static void connect_peer(int send_buffer)
{
    int theirs;

    peer = peer_open(&theirs, send_buffer);
    rg_http_server_accept(server, theirs);
}

static int setup(void **state)
{
    (void)state;
    memset(&writer, 0, sizeof(writer));
    writer.head.status = 200;
    writer.length = -1;
    peer_reactor_init(&reactor);
    server = rg_http_server_new(&reactor, &rg_http_default_settings, routes, RG_COUNT_OF(routes));
    upstreams = rg_upstreams_new(&reactor, &rg_upstream_default_settings);
    service = (struct service){.fd = -1};
    connect_peer(0);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    peer_close(&peer);
    rg_http_server_close_all(server);
    rg_upstreams_close_all(upstreams);
    peer_turn(&reactor);
    assert_int_equal(rg_http_server_connections(server), 0);
    assert_int_equal(reactor.wheel.pending, 0);
    rg_upstreams_free(&upstreams);
    rg_http_server_free(&server);
    service_close(&service);
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

#define GET(target) "GET " target " HTTP/1.1\r\nhost: h\r\n\r\n"
#define OLD(target) "GET " target " HTTP/1.0\r\n\r\n"

/* Asks for pieces and begins the answer. */
static void ask(const char *request)
{
    say(request);
    assert_non_null(writer.exchange);
    begin();
}

static struct rg_h1_conn *conn(void)
{
    return RG_CONTAINER_OF(server->links, struct rg_h1_conn, link);
}

static size_t kept(void)
{
    return conn()->out.n - conn()->out_at;
}

static void expect_closed(void)
{
    hear();
    assert_true(peer.has_seen_end);
    peer_close(&peer);
    peer_turn(&reactor);
    assert_int_equal(rg_http_server_connections(server), 0);
}

/* The connection goes on with another request. */
static void expect_open(void)
{
    peer_forget(&peer);
    say(GET("/echo"));
    hear();
    assert_true(peer_has(&peer, "<echo>"));
}

/* What is behind the head, as far as it has been heard. */
static void expect_body(const char *text)
{
    hear();
    const char *body = memmem(peer.got.p, peer.got.n, "\r\n\r\n", 4);
    assert_non_null(body);
    assert_string_equal(body + 4, text);
}

/* ---- forms of an answer ---- */

static void a_known_length_is_told(void **state)
{
    (void)state;
    writer.length = 7;
    ask(GET("/pieces"));
    write_piece("abc");
    write_piece("defg");
    finish();
    expect_body("abcdefg");
    assert_true(peer_has(&peer, "\r\ncontent-length: 7\r\n"));
    assert_false(peer_has(&peer, "transfer-encoding"));
    assert_false(peer_has(&peer, "connection:"));
    expect_open();
}

static void an_unknown_length_makes_chunks(void **state)
{
    (void)state;
    ask(GET("/pieces"));
    assert_true(write_piece("abc"));
    assert_true(write_piece(""));
    assert_true(write_piece("0123456789abcdef"));
    finish();
    expect_body("3\r\nabc\r\n10\r\n0123456789abcdef\r\n0\r\n\r\n");
    assert_true(peer_has(&peer, "\r\ntransfer-encoding: chunked\r\n"));
    assert_false(peer_has(&peer, "content-length"));
    expect_open();
}

static void an_unknown_length_ends_with_the_connection_in_http_1_0(void **state)
{
    (void)state;
    ask("GET /pieces HTTP/1.0\r\nconnection: keep-alive\r\n\r\n");
    write_piece("abc");
    finish();
    expect_body("abc");
    assert_true(peer_has(&peer, "\r\nconnection: close\r\n"));
    assert_false(peer_has(&peer, "content-length"));
    assert_false(peer_has(&peer, "transfer-encoding"));
    expect_closed();
}

static void http_1_0_keeps_its_connection_where_the_length_is_known(void **state)
{
    (void)state;
    writer.length = 3;
    ask("GET /pieces HTTP/1.0\r\nconnection: keep-alive\r\n\r\n");
    write_piece("abc");
    finish();
    expect_body("abc");
    assert_true(peer_has(&peer, "\r\nconnection: keep-alive\r\n"));
    expect_open();
}

static void connection_close_is_honoured(void **state)
{
    (void)state;
    ask("GET /pieces HTTP/1.1\r\nhost: h\r\nconnection: close\r\n\r\n");
    write_piece("abc");
    finish();
    expect_body("3\r\nabc\r\n0\r\n\r\n");
    assert_true(peer_has(&peer, "\r\nconnection: close\r\n"));
    expect_closed();
}

static void an_empty_body_is_one(void **state)
{
    (void)state;
    ask(GET("/pieces"));
    finish();
    expect_body("0\r\n\r\n");
    expect_open();
    peer_forget(&peer);
    writer.length = 0;
    ask(GET("/pieces"));
    finish();
    expect_body("");
    assert_true(peer_has(&peer, "\r\ncontent-length: 0\r\n"));
    expect_open();
}

static void answers_without_a_body_drop_it(void **state)
{
    static const struct {
        const char *request;
        int status;
        int64_t length;
        const char *told; /* of the length */
    } rows[] = {
        {"HEAD /pieces HTTP/1.1\r\nhost: h\r\n\r\n", 200, 1000, "\r\ncontent-length: 1000\r\n"},
        {"HEAD /pieces HTTP/1.1\r\nhost: h\r\n\r\n", 200, -1, NULL},
        {GET("/pieces"), 204, 5, NULL},
        {GET("/pieces"), 304, -1, NULL},
    };

    (void)state;
    for (size_t i = 0; i < RG_COUNT_OF(rows); i++) {
        writer.head.status = rows[i].status;
        writer.length = rows[i].length;
        ask(rows[i].request);
        assert_true(write_piece("not to be seen"));
        finish();
        expect_body("");
        assert_false(peer_has(&peer, "transfer-encoding"));
        if (rows[i].told != NULL)
            assert_true(peer_has(&peer, rows[i].told));
        else
            assert_false(peer_has(&peer, "content-length"));
        expect_open();
        peer_forget(&peer);
    }
    assert_int_equal(writer.gone, 0);
}

static void the_head_does_not_wait_for_a_piece(void **state)
{
    (void)state;
    ask(GET("/pieces"));
    expect_body("");
    write_piece("a");
    expect_body("1\r\na\r\n");
}

static void a_hundred_fields_keep_their_order(void **state)
{
    struct rg_http_field fields[RG_MAX_FIELDS_PER_MESSAGE];
    char values[RG_MAX_FIELDS_PER_MESSAGE][8];
    struct rg_buf expected = {0};

    (void)state;
    for (size_t i = 0; i < RG_COUNT_OF(fields); i++) {
        snprintf(values[i], sizeof(values[i]), "c=%zu", i);
        fields[i] = (struct rg_http_field){RG_STR("set-cookie"), rg_str_c(values[i])};
        rg_buf_addf(&expected, "set-cookie: %s\r\n", values[i]);
    }
    fields[99] = (struct rg_http_field){RG_STR("Date"), RG_STR("theirs\r\nx: y")};
    expected.n -= strlen("set-cookie: c=99\r\n");
    rg_buf_addf(&expected, "date: theirs  x: y\r\ntransfer-encoding:%c", '\0');
    rg_response_add(&writer.head, RG_STR("x-ours"), RG_STR("first"));
    writer.head.more = fields;
    writer.head.more_n = RG_COUNT_OF(fields);
    ask(GET("/pieces"));
    finish();
    hear();
    assert_true(peer_has(&peer, "200 OK\r\nx-ours: first\r\nset-cookie: c=0\r\n"));
    assert_true(peer_has(&peer, expected.p));
    assert_int_equal(peer_count(&peer, "\r\ndate:"), 1);
    rg_buf_done(&expected);
}

static void an_answer_may_be_complete_before_the_handler_returns(void **state)
{
    (void)state;
    writer.writes_in_handler = true;
    say(GET("/pieces") GET("/pieces") GET("/echo"));
    hear();
    assert_int_equal(writer.calls, 2);
    assert_int_equal(peer_count(&peer, "3\r\nat \r\n4\r\nonce\r\n0\r\n\r\n"), 2);
    assert_true(peer_has(&peer, "<echo>"));
    expect_open();
}

static void what_is_pipelined_behind_it_waits_for_its_end(void **state)
{
    (void)state;
    ask(GET("/pieces") GET("/echo"));
    write_piece("abc");
    hear();
    assert_false(peer_has(&peer, "<echo>"));
    finish();
    hear();
    assert_true(peer_has(&peer, "0\r\n\r\nHTTP/1.1 200 OK\r\n"));
    assert_true(peer_has(&peer, "<echo>"));
}

static void an_exchange_that_has_begun_its_answer_is_found_no_more(void **state)
{
    (void)state;
    ask(GET("/pieces"));
    assert_null(rg_http_server_find(server, writer.handle));
    finish();
}

/* ---- lengths that are not kept ---- */

static void more_than_announced_does_not_go_out(void **state)
{
    (void)state;
    writer.length = 5;
    ask(GET("/pieces"));
    write_piece("abc");
    write_piece("defHTTP/1.1 200 OK\r\n");
    write_piece("and more");
    finish();
    expect_body("abcde");
    expect_open();
}

static void less_than_announced_cuts_the_connection(void **state)
{
    (void)state;
    writer.length = 5;
    ask(GET("/pieces") GET("/echo"));
    write_piece("abc");
    finish();
    expect_body("abc");
    assert_false(peer_has(&peer, "<echo>"));
    expect_closed();
    assert_int_equal(writer.gone, 0);
}

static void an_aborted_body_has_no_last_chunk(void **state)
{
    (void)state;
    ask(GET("/pieces"));
    write_piece("abc");
    cut();
    expect_body("3\r\nabc\r\n");
    expect_closed();
    assert_int_equal(writer.gone, 0);
}

static void an_aborted_body_of_http_1_0_does_not_look_whole(void **state)
{
    struct sockaddr_in address = {.sin_family = AF_INET};
    char bytes[1000];
    ssize_t n;

    (void)state;
    peer_close(&peer);
    service = service_open(1);
    address.sin_port = htons((uint16_t)service.port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    peer.fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(connect(peer.fd, (struct sockaddr *)&address, sizeof(address)), 0);
    rg_http_server_accept(server, accept4(service.fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC));
    peer_put(&peer, OLD("/pieces"), strlen(OLD("/pieces")));
    WAIT_FOR(&reactor, writer.exchange != NULL);
    begin();
    write_piece("abc");
    assert_true(read(peer.fd, bytes, sizeof(bytes)) > 0);
    cut();
    while ((n = read(peer.fd, bytes, sizeof(bytes))) > 0)
        ;
    assert_int_equal(n, -1);
    assert_int_equal(errno, ECONNRESET);
}

static void an_answer_may_be_aborted_before_its_handler_returns(void **state)
{
    (void)state;
    writer.writes_in_handler = true;
    writer.length = 100;
    say(GET("/pieces") GET("/echo"));
    hear();
    assert_false(peer_has(&peer, "<echo>"));
    expect_closed();
}

/* ---- slow peers ---- */

static char text_at(size_t i)
{
    return (char)('a' + i % 23);
}

/* Writes pieces of n bytes until enough is kept. */
static void write_until_full(size_t n)
{
    char *piece = rg_alloc(n);
    bool has_room = true;

    while (has_room) {
        for (size_t i = 0; i < n; i++)
            piece[i] = text_at(writer.written + i);
        has_room = write_text(rg_str_n(piece, n));
        writer.written += n;
    }
    rg_free(piece);
}

static void a_peer_that_does_not_read_holds_the_writer_up(void **state)
{
    (void)state;
    writer.length = (int64_t)10 * 1024 * 1024;
    ask(GET("/pieces"));
    write_until_full(10000);
    assert_in_range(kept(), ENOUGH, ENOUGH + 10000);
    peer_turn(&reactor);
    assert_int_equal(writer.writable, 0);
    /* Until little is left. */
    while (kept() > LITTLE) {
        assert_int_equal(writer.writable, 0);
        assert_true(peer_take(&peer, 20000) > 0);
        peer_turn(&reactor);
    }
    assert_int_equal(writer.writable, 1);
    write_until_full(10000);
    hear();
    assert_int_equal(writer.writable, 2);
    assert_int_equal(kept(), 0);
    assert_null(conn()->out.p);
    const char *body = (const char *)memmem(peer.got.p, peer.got.n, "\r\n\r\n", 4) + 4;
    assert_int_equal(peer.got.p + peer.got.n - body, writer.written);
    for (size_t i = 0; i < writer.written; i++)
        assert_int_equal(body[i], text_at(i));
}

static void a_finished_answer_that_is_not_read_yet_goes_out_and_what_follows_it(void **state)
{
    (void)state;
    ask(GET("/pieces") GET("/echo"));
    write_until_full(50000);
    finish();
    assert_true(kept() >= ENOUGH);
    hear();
    assert_int_equal(writer.writable, 0);
    assert_true(peer_has(&peer, "\r\n0\r\n\r\nHTTP/1.1 200 OK\r\n"));
    assert_true(peer_has(&peer, "<echo>"));
}

static void the_end_may_come_when_there_is_room(void **state)
{
    (void)state;
    writer.at_writable = FINISH;
    ask(GET("/pieces") GET("/echo"));
    write_until_full(50000);
    hear();
    assert_int_equal(writer.writable, 1);
    assert_true(peer_has(&peer, "\r\n0\r\n\r\nHTTP/1.1 200 OK\r\n"));
    expect_open();

    writer.at_writable = ABORT;
    ask(GET("/pieces") GET("/echo"));
    write_until_full(50000);
    peer_forget(&peer);
    hear();
    assert_int_equal(writer.writable, 2);
    assert_false(peer_has(&peer, "<echo>"));
    expect_closed();
}

static void a_peer_that_takes_nothing_is_cut(void **state)
{
    uint64_t timeout_ms = rg_http_default_settings.write_timeout_ms;

    (void)state;
    ask(GET("/pieces"));
    write_until_full(50000);
    peer_move_time(&reactor, timeout_ms - RG_WHEEL_TICK_MS);
    assert_int_equal(writer.gone, 0);
    /* Writing more is no progress of the peer's. */
    write_piece("more");
    peer_let_pass(&reactor, RG_WHEEL_TICK_MS);
    assert_int_equal(writer.gone, 1);
    assert_int_equal(rg_http_server_connections(server), 0);
}

static void a_writer_that_takes_its_time_is_not_cut(void **state)
{
    (void)state;
    ask(GET("/pieces"));
    write_until_full(50000);
    hear();
    peer_let_pass(&reactor, (uint64_t)3600 * 1000);
    assert_int_equal(writer.gone, 0);
    write_piece("late");
    finish();
    hear();
    assert_true(peer_has(&peer, "4\r\nlate\r\n0\r\n\r\n"));
}

/* ---- peers that leave ---- */

static void a_peer_that_leaves_between_pieces_is_gone(void **state)
{
    (void)state;
    ask(GET("/pieces"));
    write_piece("abc");
    hear();
    peer_close(&peer);
    peer_turn(&reactor);
    assert_int_equal(writer.gone, 1);
    assert_int_equal(rg_http_server_connections(server), 0);
}

static void a_peer_that_leaves_with_pieces_unread_is_gone(void **state)
{
    (void)state;
    ask(GET("/pieces"));
    write_until_full(50000);
    peer_close(&peer);
    peer_turn(&reactor);
    assert_int_equal(writer.gone, 1);
    assert_int_equal(writer.writable, 0);
}

static void a_writer_is_not_told_while_it_writes(void **state)
{
    (void)state;
    ask(GET("/pieces"));
    peer_close(&peer);
    write_piece("abc");
    write_piece("def");
    assert_int_equal(writer.gone, 0);
    assert_int_equal(rg_http_server_connections(server), 1);
    peer_turn(&reactor);
    assert_int_equal(writer.gone, 1);
    assert_int_equal(rg_http_server_connections(server), 0);
}

static void a_writer_that_ends_first_is_not_told(void **state)
{
    (void)state;
    ask(GET("/pieces"));
    peer_close(&peer);
    write_piece("abc");
    finish();
    peer_turn(&reactor);
    assert_int_equal(writer.gone, 0);
    assert_int_equal(rg_http_server_connections(server), 0);
}

static void who_has_not_begun_to_answer_may_be_told(void **state)
{
    (void)state;
    say(GET("/pieces"));
    rg_exchange_on_gone(writer.exchange, on_gone, &writer);
    peer_close(&peer);
    peer_turn(&reactor);
    assert_int_equal(writer.gone, 1);
    assert_null(rg_http_server_find(server, writer.handle));
}

static void but_not_when_it_has_answered(void **state)
{
    struct rg_response response = {.status = 200};

    (void)state;
    say(GET("/pieces"));
    rg_exchange_on_gone(writer.exchange, on_gone, &writer);
    rg_exchange_respond(writer.exchange, &response);
    hear();
    /* The next one has not asked for it. */
    say(GET("/pieces"));
    peer_close(&peer);
    peer_turn(&reactor);
    assert_int_equal(writer.gone, 0);
}

/* ---- the end of the server ---- */

static void draining_waits_for_the_end(void **state)
{
    (void)state;
    ask(GET("/pieces") GET("/echo"));
    write_piece("abc");
    rg_http_server_drain(server);
    peer_turn(&reactor);
    assert_int_equal(rg_http_server_connections(server), 1);
    write_piece("def");
    finish();
    expect_body("3\r\nabc\r\n3\r\ndef\r\n0\r\n\r\n");
    expect_closed();
}

static void an_answer_that_begins_while_draining_says_that_it_is_the_last(void **state)
{
    (void)state;
    say(GET("/pieces"));
    rg_http_server_drain(server);
    begin();
    finish();
    hear();
    assert_true(peer_has(&peer, "\r\nconnection: close\r\n"));
    expect_closed();
}

static void closing_all_is_told(void **state)
{
    struct peer other;
    int theirs;

    (void)state;
    ask(GET("/pieces"));
    write_piece("abc");
    other = peer_open(&theirs, 0);
    rg_http_server_accept(server, theirs);
    rg_http_server_close_all(server);
    assert_int_equal(writer.gone, 1);
    assert_int_equal(rg_http_server_connections(server), 0);
    peer_close(&other);
}

/* ---- a service's answer ---- */

static void a_big_answer_on_its_way_to_a_slow_client_stays_small(void **state)
{
    const uint64_t total = (uint64_t)64 * 1024 * 1024;
    size_t most_out = 0, most_in = 0, most_behind = 0;
    uint64_t sent = 0, got = 0, hash = 0, expected = 0;
    char chunk[65536];
    struct peer origin;

    (void)state;
    service = service_open(1);
    say(GET("/pass"));
    origin = service_accept(&reactor, &service);
    service_expect(&reactor, &origin, "GET /pass HTTP/1.1\r\n");
    peer_put(&origin, "HTTP/1.1 200 OK\r\ncontent-length: 67108864\r\n\r\n", 45);
    WAIT_FOR(&reactor, service_has(&peer, "\r\n\r\n"));
    assert_true(peer_has(&peer, "\r\ncontent-length: 67108864\r\n"));
    peer_forget(&peer);
    while (got < total) {
        for (size_t i = 0; i < sizeof(chunk); i++)
            chunk[i] = text_at((size_t)(sent + i) * 7);
        size_t n = total - sent < sizeof(chunk) ? (size_t)(total - sent) : sizeof(chunk);
        ssize_t put = n > 0 ? send(origin.fd, chunk, n, MSG_NOSIGNAL) : 0;
        for (ssize_t i = 0; i < put; i++)
            expected = expected * 31 + (unsigned char)chunk[i];
        sent += put > 0 ? (uint64_t)put : 0;
        peer_turn(&reactor);

        most_out = kept() > most_out ? kept() : most_out;
        size_t in = writer.call != NULL ? writer.call->conn->in.cap : 0;
        most_in = in > most_in ? in : most_in;
        most_behind = sent - got > most_behind ? (size_t)(sent - got) : most_behind;
        /* The client reads only when the service can say nothing more, and then a little. */
        if (put > 0)
            continue;
        got += peer_take(&peer, 100000);
        for (size_t i = 0; i < peer.got.n; i++)
            hash = hash * 31 + (unsigned char)peer.got.p[i];
        peer_forget(&peer);
    }
    assert_int_equal(writer.passed, total);
    assert_true(hash == expected);
    assert_null(writer.exchange);
    /* It was held up, and what was kept here is what was agreed on. */
    assert_true(most_out >= ENOUGH);
    assert_true(most_out <= ENOUGH + RG_READ_BUFFER);
    assert_true(most_in <= 2 * RG_READ_BUFFER);
    assert_true(most_behind < total / 2);
    expect_open();
    peer_close(&origin);
}

static void a_client_that_leaves_takes_its_call_with_it(void **state)
{
    struct peer origin;

    (void)state;
    service = service_open(1);
    for (int has_head = 0; has_head <= 1; has_head++) {
        say(GET("/pass"));
        origin = service_accept(&reactor, &service);
        service_expect(&reactor, &origin, "GET /pass");
        if (has_head) {
            peer_put(&origin, "HTTP/1.1 200 OK\r\n\r\nabc", 22);
            WAIT_FOR(&reactor, service_has(&peer, "abc"));
        }
        peer_close(&peer);
        service_expect_end(&reactor, &origin);
        assert_int_equal(writer.gone, 1 + has_head);
        assert_null(upstreams->calls);
        peer_close(&origin);
        connect_peer(0);
    }
}

static void a_service_that_breaks_off_is_not_taken_for_whole(void **state)
{
    struct peer origin;

    (void)state;
    service = service_open(1);
    say(GET("/pass"));
    origin = service_accept(&reactor, &service);
    service_expect(&reactor, &origin, "GET /pass");
    peer_put(&origin, "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nabc", 53);
    WAIT_FOR(&reactor, service_has(&peer, "3\r\nabc\r\n"));
    peer_close(&origin);
    WAIT_FOR(&reactor, service_sees_end(&peer));
    assert_false(peer_has(&peer, "\r\n0\r\n"));
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_known_length_is_told),
        TEST(an_unknown_length_makes_chunks),
        TEST(an_unknown_length_ends_with_the_connection_in_http_1_0),
        TEST(http_1_0_keeps_its_connection_where_the_length_is_known),
        TEST(connection_close_is_honoured),
        TEST(an_empty_body_is_one),
        TEST(answers_without_a_body_drop_it),
        TEST(the_head_does_not_wait_for_a_piece),
        TEST(a_hundred_fields_keep_their_order),
        TEST(an_answer_may_be_complete_before_the_handler_returns),
        TEST(what_is_pipelined_behind_it_waits_for_its_end),
        TEST(an_exchange_that_has_begun_its_answer_is_found_no_more),
        TEST(more_than_announced_does_not_go_out),
        TEST(less_than_announced_cuts_the_connection),
        TEST(an_aborted_body_has_no_last_chunk),
        TEST(an_aborted_body_of_http_1_0_does_not_look_whole),
        TEST(an_answer_may_be_aborted_before_its_handler_returns),
        TEST(a_peer_that_does_not_read_holds_the_writer_up),
        TEST(a_finished_answer_that_is_not_read_yet_goes_out_and_what_follows_it),
        TEST(the_end_may_come_when_there_is_room),
        TEST(a_peer_that_takes_nothing_is_cut),
        TEST(a_writer_that_takes_its_time_is_not_cut),
        TEST(a_peer_that_leaves_between_pieces_is_gone),
        TEST(a_peer_that_leaves_with_pieces_unread_is_gone),
        TEST(a_writer_is_not_told_while_it_writes),
        TEST(a_writer_that_ends_first_is_not_told),
        TEST(who_has_not_begun_to_answer_may_be_told),
        TEST(but_not_when_it_has_answered),
        TEST(draining_waits_for_the_end),
        TEST(an_answer_that_begins_while_draining_says_that_it_is_the_last),
        TEST(closing_all_is_told),
        TEST(a_big_answer_on_its_way_to_a_slow_client_stays_small),
        TEST(a_client_that_leaves_takes_its_call_with_it),
        TEST(a_service_that_breaks_off_is_not_taken_for_whole),
    };

    signal(SIGPIPE, SIG_IGN);
    rg_log_set_fd(open("/dev/null", O_WRONLY | O_CLOEXEC));
    rg_rcu_thread_start();
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    rg_rcu_thread_stop();
    return failed;
}
