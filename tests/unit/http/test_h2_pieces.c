/*
 * Answers in pieces over HTTP/2, seen by a client of nghttp2's.
 */
#include "h2_client.h"
#include "http/h2_conn_priv.h"

#define ENOUGH ((size_t)64 * 1024)
#define LITTLE ((size_t)16 * 1024)
#define WINDOW 65535 /* of a stream and of a connection, unless somebody says otherwise */

#define MAX_WRITERS 4

enum ending {
    NOTHING,
    FINISH,
    ABORT
};

/* Who answers, and what it is told. */
struct writer {
    struct rg_exchange *exchange; /* NULL: ended */
    unsigned writable, gone;
    enum ending at_writable;
    size_t written;
};

static struct writer writers[MAX_WRITERS];
static size_t writers_n;
static struct writer *const writer = writers;
static bool is_inside; /* one of the functions that must not tell anything */
static bool writes_in_handler;
static struct rg_response head;
static int64_t length;
static char *text;

/* ---- who answers ---- */

static void on_writable(void *arg)
{
    struct writer *w = arg;

    assert_false(is_inside);
    w->writable++;
    if (w->at_writable == FINISH)
        rg_exchange_finish_body(RG_STEAL(w->exchange));
    else if (w->at_writable == ABORT)
        rg_exchange_abort_body(RG_STEAL(w->exchange));
}

static void on_gone(void *arg)
{
    struct writer *w = arg;

    assert_false(is_inside);
    w->gone++;
    w->exchange = NULL;
}

static const struct rg_body_events body_events = {on_writable, on_gone};

static void begin(struct writer *w)
{
    is_inside = true;
    rg_exchange_begin_body(w->exchange, &head, length, &body_events, w);
    is_inside = false;
}

/* Writes the next n bytes of the text. */
static bool put(struct writer *w, size_t n)
{
    is_inside = true;
    bool has_room = rg_exchange_write_body(w->exchange, rg_str_n(text + w->written, n));
    is_inside = false;
    w->written += n;
    return has_room;
}

static void put_until_full(struct writer *w)
{
    while (put(w, 10000))
        ;
}

static void finish(struct writer *w)
{
    is_inside = true;
    rg_exchange_finish_body(RG_STEAL(w->exchange));
    is_inside = false;
}

static void cut(struct writer *w)
{
    is_inside = true;
    rg_exchange_abort_body(RG_STEAL(w->exchange));
    is_inside = false;
}

static void handle(void *arg, struct rg_exchange *exchange)
{
    struct writer *w = &writers[writers_n++];

    (void)arg;
    rg_assert(writers_n <= MAX_WRITERS);
    w->exchange = exchange;
    if (writes_in_handler) {
        begin(w);
        put(w, 3);
        put(w, 4);
        finish(w);
    }
}

static void echo(void *arg, struct rg_exchange *exchange)
{
    struct rg_response response = {.status = 200, .body = RG_STR("<echo>")};

    (void)arg;
    rg_exchange_respond(exchange, &response);
}

static const struct rg_route routes[] = {
    {RG_METHODS_ALL, "/echo", echo, NULL, 0},
    {RG_METHODS_ALL, "/pieces", handle, NULL, 0},
};

/* ---- the stage ---- */

static void open_with(bool acks)
{
    stage_connect(0);
    client_open(&client, NULL, 0, acks);
    talk();
}

static int setup_bare(void **state)
{
    (void)state;
    memset(writers, 0, sizeof(writers));
    writers_n = 0;
    writes_in_handler = false;
    memset(&head, 0, sizeof(head));
    head.status = 200;
    length = -1;
    stage_open(routes, RG_COUNT_OF(routes));
    return 0;
}

static int setup(void **state)
{
    setup_bare(state);
    open_with(true);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    stage_close();
    return 0;
}

static int32_t ask(void)
{
    int32_t id = GET("/pieces");

    talk();
    begin(&writers[writers_n - 1]);
    return id;
}

static void expect_whole(int32_t id, size_t n)
{
    talk();
    assert_int_equal(answer(id)->body.n, n);
    assert_memory_equal(answer(id)->body.p, text, n);
    assert_true(answer(id)->is_over);
    assert_int_equal(answer(id)->code, NGHTTP2_NO_ERROR);
}

static struct rg_h2_stream *stream_of(const struct writer *w)
{
    return RG_CONTAINER_OF(w->exchange, struct rg_h2_request, exchange)->stream;
}

static size_t kept(const struct writer *w)
{
    const struct rg_h2_request *request = stream_of(w)->request;

    return request->rest.n - request->rest_at;
}

static void open_window(int32_t id, int32_t n)
{
    nghttp2_submit_window_update(client.session, NGHTTP2_FLAG_NONE, 0, n);
    nghttp2_submit_window_update(client.session, NGHTTP2_FLAG_NONE, id, n);
    talk();
}

/* ---- forms of an answer ---- */

static void a_known_length_is_told(void **state)
{
    (void)state;
    length = 7;
    int32_t id = ask();
    assert_true(put(writer, 3));
    assert_true(put(writer, 4));
    finish(writer);
    expect_whole(id, 7);
    assert_int_equal(answer(id)->status, 200);
    assert_true(has_field(id, "content-length: 7\n"));
    assert_int_equal(writer->gone, 0);
    assert_int_equal(count("rgate_http_responses_total{class=\"2xx\"}"), 1);
}

static void an_unknown_length_is_not(void **state)
{
    (void)state;
    int32_t id = ask();
    talk();
    assert_int_equal(answer(id)->status, 200);
    for (size_t n = 1; n < 5; n++) {
        put(writer, 1);
        talk();
        assert_int_equal(answer(id)->body.n, n);
        assert_false(answer(id)->is_over);
    }
    finish(writer);
    expect_whole(id, 4);
    assert_false(has_field(id, "content-length"));
    assert_false(has_field(id, "transfer-encoding"));
}

static void an_answer_may_be_complete_before_the_handler_returns(void **state)
{
    (void)state;
    writes_in_handler = true;
    int32_t a = GET("/pieces"), b = GET("/pieces"), c = GET("/echo");
    expect_whole(a, 7);
    expect_whole(b, 7);
    assert_body(c, "<echo>");
    assert_int_equal(writers[0].gone + writers[1].gone, 0);
}

static void answers_without_a_body_drop_it(void **state)
{
    (void)state;
    length = 1000;
    int32_t id = SUBMIT(false, HEAD("HEAD", "/pieces"));
    talk();
    begin(writer);
    talk();
    assert_true(has_field(id, "content-length: 1000\n"));
    /* Complete for the peer, and nevertheless not over for who answers. */
    assert_true(answer(id)->is_over);
    assert_int_equal(writer->gone, 0);
    assert_true(put(writer, 10));
    finish(writer);
    talk();
    assert_body(id, "");

    head.status = 204;
    id = ask();
    put(&writers[1], 10);
    finish(&writers[1]);
    expect_whole(id, 0);
    assert_false(has_field(id, "content-length"));
    assert_int_equal(writer->gone + writers[1].gone, 0);
}

static void the_end_of_all_comes_before_one_that_has_no_body(void **state)
{
    (void)state;
    head.status = 304;
    int32_t id = ask();
    talk();
    assert_true(answer(id)->is_over);
    rg_http_server_close_all(server);
    assert_int_equal(writer->gone, 1);
}

static void a_hundred_fields_keep_their_order(void **state)
{
    struct rg_http_field fields[RG_MAX_FIELDS_PER_MESSAGE];
    char values[RG_MAX_FIELDS_PER_MESSAGE][8];
    struct rg_buf expected = {0};

    (void)state;
    for (size_t i = 0; i < RG_COUNT_OF(fields); i++) {
        snprintf(values[i], sizeof(values[i]), "c=%zu", i);
        fields[i] = (struct rg_http_field){RG_STR("Set-Cookie"), rg_str_c(values[i])};
        rg_buf_addf(&expected, "set-cookie: %s\n", values[i]);
    }
    rg_buf_add_char(&expected, '\0');
    rg_response_add(&head, RG_STR("date"), RG_STR("theirs"));
    head.more = fields;
    head.more_n = RG_COUNT_OF(fields);
    int32_t id = ask();
    finish(writer);
    expect_whole(id, 0);
    assert_true(has_field(id, expected.p));
    assert_true(has_field(id, "date: theirs\n"));
    assert_int_equal(peer_count(&(struct peer){.got = answer(id)->fields}, "date: "), 1);
    rg_buf_done(&expected);
}

static void a_head_may_be_as_large_as_a_service_may_send_one(void **state)
{
    struct rg_http_field fields[4];
    char *value = rg_alloc(16000);

    (void)state;
    memset(value, 'v', 16000);
    for (size_t i = 0; i < RG_COUNT_OF(fields); i++)
        fields[i] = (struct rg_http_field){RG_STR("x-large"), rg_str_n(value, 16000)};
    head.more = fields;
    head.more_n = RG_COUNT_OF(fields);
    int32_t id = ask();
    finish(writer);
    expect_whole(id, 0);
    assert_int_equal(answer(id)->status, 200);
    rg_free(value);
}

static void a_tunnel_is_not_opened_by_it(void **state)
{
    (void)state;
    int32_t id = SUBMIT(true, ":method: CONNECT", ":protocol: websocket", ":scheme: http",
                        ":path: /pieces", ":authority: h");
    talk();
    begin(writer);
    put(writer, 10);
    talk();
    assert_int_equal(answer(id)->status, 400);
    put(writer, 10);
    finish(writer);
    talk();
    assert_true(answer(id)->is_over);
    assert_body(id, "{\"message\":\"there is no WebSocket here\",\"where\":\":protocol\"}");
    assert_int_equal(count("rgate_http_responses_total{class=\"2xx\"}"), 0);
    assert_int_equal(count("rgate_http_responses_total{class=\"4xx\"}"), 1);
}

/* ---- lengths that are not kept ---- */

static void more_than_announced_does_not_go_out(void **state)
{
    (void)state;
    length = 5;
    int32_t id = ask();
    put(writer, 3);
    put(writer, 10);
    put(writer, 10);
    finish(writer);
    expect_whole(id, 5);
}

static void expect_reset(int32_t id)
{
    talk();
    assert_true(answer(id)->is_over);
    assert_int_equal(answer(id)->code, NGHTTP2_CANCEL);
    /* The connection is none the worse for it. */
    nghttp2_submit_window_update(client.session, NGHTTP2_FLAG_NONE, 0, 100);
    id = GET("/echo");
    talk();
    assert_body(id, "<echo>");
}

static void less_than_announced_resets_the_stream(void **state)
{
    (void)state;
    length = 5;
    int32_t id = ask();
    put(writer, 3);
    finish(writer);
    expect_reset(id);
    assert_int_equal(writer->gone, 0);
}

static void an_aborted_body_resets_the_stream(void **state)
{
    (void)state;
    int32_t id = ask();
    put(writer, 3);
    talk();
    cut(writer);
    expect_reset(id);
    assert_int_equal(answer(id)->body.n, 3);
    assert_int_equal(writer->gone, 0);
}

static void what_is_kept_of_an_aborted_body_does_not_go_out(void **state)
{
    (void)state;
    open_with(false);
    int32_t id = ask();
    put_until_full(writer);
    cut(writer);
    expect_reset(id);
    assert_int_equal(answer(id)->body.n, WINDOW);
}

static void services_that_fail_do_not_count_against_the_peer(void **state)
{
    (void)state;
    for (int i = 0; i < 1000; i++) {
        writers_n = 0;
        ask();
        talk();
        cut(writer);
        talk();
        rg_buf_done(&answer_of(&client, 2 * i + 1)->fields);
        client.answers_n = 0;
    }
    assert_false(client.has_goaway);
    assert_int_equal(count("rgate_http2_floods_total"), 0);
    assert_int_equal(count("rgate_http2_resets_total{by=\"us\"}"), 1000);
}

/* ---- slow peers ---- */

static void a_peer_without_a_window_holds_the_writer_up(void **state)
{
    (void)state;
    open_with(false);
    int32_t id = ask();
    put_until_full(writer);
    assert_in_range(kept(writer), ENOUGH, ENOUGH + 10000);
    talk();
    assert_int_equal(answer(id)->body.n, WINDOW);
    assert_int_equal(writer->writable, 0);

    open_window(id, (int32_t)(kept(writer) - LITTLE - 1));
    assert_int_equal(writer->writable, 0);
    assert_int_equal(kept(writer), LITTLE + 1);
    open_window(id, 1);
    assert_int_equal(writer->writable, 1);
    put_until_full(writer);
    open_window(id, 1000000);
    assert_int_equal(writer->writable, 2);
    assert_int_equal(kept(writer), 0);
    assert_null(stream_of(writer)->request->rest.p);
    put(writer, 5);
    finish(writer);
    expect_whole(id, writer->written);
}

static void a_finished_answer_that_waits_for_windows_goes_out(void **state)
{
    (void)state;
    open_with(false);
    int32_t id = ask();
    put_until_full(writer);
    finish(writer);
    talk();
    assert_false(answer(id)->is_over);
    open_window(id, 1000000);
    expect_whole(id, writer->written);
    assert_int_equal(writer->writable + writer->gone, 0);
}

static void the_end_may_come_when_there_is_room(void **state)
{
    (void)state;
    open_with(false);
    int32_t a = ask();
    put_until_full(&writers[0]);
    writers[0].at_writable = FINISH;
    open_window(a, 200000);
    expect_whole(a, writers[0].written);
    int32_t b = ask();
    put_until_full(&writers[1]);
    writers[1].at_writable = ABORT;
    open_window(b, 200000);
    expect_reset(b);
    assert_int_equal(writers[0].writable, 1);
    assert_int_equal(writers[1].writable, 1);
}

static void a_slow_stream_does_not_hold_up_another(void **state)
{
    (void)state;
    open_with(false);
    nghttp2_submit_window_update(client.session, NGHTTP2_FLAG_NONE, 0, 10000000);
    int32_t a = ask();
    put_until_full(&writers[0]);
    int32_t b = ask();
    assert_true(put(&writers[1], 50000));
    finish(&writers[1]);
    expect_whole(b, 50000);
    assert_false(answer(a)->is_over);
    assert_int_equal(writers[0].writable, 0);
}

static void a_socket_that_takes_nothing_holds_the_writers_up(void **state)
{
    (void)state;
    nghttp2_settings_entry large = {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, 100000000};
    stage_connect(0);
    client_open(&client, &large, 1, true);
    nghttp2_submit_window_update(client.session, NGHTTP2_FLAG_NONE, 0, 100000000);
    talk();
    int32_t id = ask();
    put_until_full(writer);
    /* The client reads nothing here. */
    for (int i = 0; i < 10; i++)
        peer_turn(&reactor);
    assert_true(kept(writer) >= ENOUGH);
    assert_int_equal(writer->writable, 0);
    assert_true(stream_of(writer)->conn->out.n < 2 * RG_H2_MAX_UNSENT);
    talk();
    assert_int_equal(writer->writable, 1);
    finish(writer);
    expect_whole(id, writer->written);
}

static void a_peer_that_opens_no_window_is_cut(void **state)
{
    uint64_t timeout_ms = settings.write_timeout_ms;

    (void)state;
    open_with(false);
    int32_t id = ask();
    /* What was written long ago says nothing about what is written now. */
    put(writer, WINDOW);
    talk();
    peer_let_pass(&reactor, 3 * timeout_ms);
    assert_int_equal(writer->gone, 0);
    put_until_full(writer);
    peer_move_time(&reactor, timeout_ms - 1000);
    assert_int_equal(writer->gone, 0);
    peer_let_pass(&reactor, 1000);
    peer_let_pass(&reactor, 1000);
    assert_int_equal(writer->gone, 1);
    expect_reset(id);
}

static void a_writer_that_takes_its_time_is_not_cut(void **state)
{
    (void)state;
    int32_t id = ask();
    put(writer, 5);
    talk();
    for (int i = 0; i < 60; i++)
        peer_let_pass(&reactor, 60000);
    assert_int_equal(writer->gone, 0);
    finish(writer);
    expect_whole(id, 5);
}

/* ---- peers that leave ---- */

static void a_stream_that_the_peer_resets_is_gone(void **state)
{
    static const uint32_t codes[] = {NGHTTP2_CANCEL, NGHTTP2_NO_ERROR};

    (void)state;
    for (size_t i = 0; i < RG_COUNT_OF(codes); i++) {
        int32_t id = ask();
        put(&writers[i], 5);
        talk();
        nghttp2_submit_rst_stream(client.session, NGHTTP2_FLAG_NONE, id, codes[i]);
        talk();
        assert_int_equal(writers[i].gone, 1);
        assert_int_equal(server->links != NULL, 1);
    }
}

static void a_peer_that_leaves_is_gone_from_all_of_them(void **state)
{
    (void)state;
    ask();
    ask();
    put_until_full(&writers[0]);
    put(&writers[1], 5);
    peer_close(&client.peer);
    peer_turn(&reactor);
    peer_turn(&reactor);
    assert_int_equal(writers[0].gone, 1);
    assert_int_equal(writers[1].gone, 1);
    assert_int_equal(rg_http_server_connections(server), 0);
}

static void a_writer_may_go_on_until_it_is_told(void **state)
{
    (void)state;
    int32_t id = ask();
    talk();
    nghttp2_submit_rst_stream(client.session, NGHTTP2_FLAG_NONE, id, NGHTTP2_CANCEL);
    client_flush(&client);
    /* The bytes are read in this turn, its end has not come. */
    for (int i = 0; i < 3; i++)
        put(writer, 5);
    talk();
    assert_int_equal(writer->gone, 1);

    id = ask();
    talk();
    nghttp2_submit_rst_stream(client.session, NGHTTP2_FLAG_NONE, id, NGHTTP2_CANCEL);
    client_flush(&client);
    put(&writers[1], 5);
    finish(&writers[1]);
    talk();
    assert_int_equal(writers[1].gone, 0);
}

static void who_has_not_begun_to_answer_may_be_told(void **state)
{
    (void)state;
    int32_t id = GET("/pieces");
    talk();
    rg_exchange_on_gone(writer->exchange, on_gone, writer);
    nghttp2_submit_rst_stream(client.session, NGHTTP2_FLAG_NONE, id, NGHTTP2_CANCEL);
    talk();
    assert_int_equal(writer->gone, 1);
}

/* ---- the end of the server ---- */

static void draining_waits_for_the_end(void **state)
{
    (void)state;
    int32_t id = ask();
    put(writer, 5);
    rg_http_server_drain(server);
    talk();
    assert_true(client.has_goaway);
    assert_int_equal(rg_http_server_connections(server), 1);
    put(writer, 5);
    finish(writer);
    expect_whole(id, 10);
    assert_closed();
    assert_int_equal(writer->gone, 0);
}

static void closing_all_is_told(void **state)
{
    (void)state;
    ask();
    ask();
    put(&writers[0], 5);
    rg_http_server_close_all(server);
    assert_int_equal(writers[0].gone, 1);
    assert_int_equal(writers[1].gone, 1);
    assert_int_equal(rg_http_server_connections(server), 0);
}

#define TEST(fn)      cmocka_unit_test_setup_teardown(fn, setup, teardown)
#define BARE_TEST(fn) cmocka_unit_test_setup_teardown(fn, setup_bare, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_known_length_is_told),
        TEST(an_unknown_length_is_not),
        TEST(an_answer_may_be_complete_before_the_handler_returns),
        TEST(answers_without_a_body_drop_it),
        TEST(the_end_of_all_comes_before_one_that_has_no_body),
        TEST(a_hundred_fields_keep_their_order),
        TEST(a_head_may_be_as_large_as_a_service_may_send_one),
        TEST(a_tunnel_is_not_opened_by_it),
        TEST(more_than_announced_does_not_go_out),
        TEST(less_than_announced_resets_the_stream),
        TEST(an_aborted_body_resets_the_stream),
        BARE_TEST(what_is_kept_of_an_aborted_body_does_not_go_out),
        TEST(services_that_fail_do_not_count_against_the_peer),
        BARE_TEST(a_peer_without_a_window_holds_the_writer_up),
        BARE_TEST(a_finished_answer_that_waits_for_windows_goes_out),
        BARE_TEST(the_end_may_come_when_there_is_room),
        BARE_TEST(a_slow_stream_does_not_hold_up_another),
        BARE_TEST(a_socket_that_takes_nothing_holds_the_writers_up),
        BARE_TEST(a_peer_that_opens_no_window_is_cut),
        TEST(a_writer_that_takes_its_time_is_not_cut),
        TEST(a_stream_that_the_peer_resets_is_gone),
        TEST(a_peer_that_leaves_is_gone_from_all_of_them),
        TEST(a_writer_may_go_on_until_it_is_told),
        TEST(who_has_not_begun_to_answer_may_be_told),
        TEST(draining_waits_for_the_end),
        TEST(closing_all_is_told),
    };

    text = rg_alloc((size_t)4 * 1024 * 1024);
    for (size_t i = 0; i < (size_t)4 * 1024 * 1024; i++)
        text[i] = (char)('a' + i % 23);
    int failed = RUN(tests);
    rg_free(text);
    rg_rcu_thread_stop();
    return failed;
}
