/*
 * Requests whose bodies are streamed over HTTP/2, from a client of nghttp2's: what the handler is
 * told, how windows close and open, and that streams do not hold up each other.
 */
#include "base/clock.h"
#include "h2_client.h"
#include "http/h2_conn_priv.h"

#define WINDOW 65535 /* of a stream */

#define MAX_RECEIVERS 64

enum doing {
    NOTHING,
    RESPOND,
    BEGIN,   /* an answer in pieces */
    PASS_ON, /* in that, what comes */
    FINISH,
    ABORT,
    PAUSE,
    TAKE
};

/* Who receives, and what it was told. */
struct receiver {
    struct rg_exchange *exchange; /* NULL: ended */
    unsigned pieces, ends, errors, gone;
    int64_t length;
    int status;
    uint64_t received;
    struct rg_buf body;
    struct rg_buf trailers;
    bool is_paused;
};

/* What the next ones do. */
static struct {
    enum doing at_head, at_piece, at_end, at_error;
    bool receives_not;
    bool counts_only;
    uint64_t max;
} script;

static struct receiver receivers[MAX_RECEIVERS];
static size_t receivers_n;
static struct receiver *const receiver = receivers;
static bool is_inside; /* one of the functions that must not tell anything */
static struct rg_stream *taken;

/* ---- who receives ---- */

static void on_writable(void *arg)
{
    (void)arg;
}

static void on_gone(void *arg)
{
    struct receiver *r = arg;

    assert_false(is_inside);
    r->gone++;
    r->exchange = NULL;
}

static const struct rg_body_events body_events = {on_writable, on_gone};

static void respond(struct receiver *r, int status)
{
    struct rg_response response = {.status = status, .body = RG_STR("<answer>")};

    rg_exchange_respond(RG_STEAL(r->exchange), &response);
}

static void begin(struct receiver *r)
{
    struct rg_response head = {.status = 200};

    rg_exchange_begin_body(r->exchange, &head, -1, &body_events, r);
}

static void pause_receiving(struct receiver *r, bool is_paused)
{
    bool was_inside = is_inside;

    is_inside = true;
    r->is_paused = is_paused;
    if (is_paused)
        rg_exchange_pause_receiving(r->exchange);
    else
        rg_exchange_resume_receiving(r->exchange);
    is_inside = was_inside;
}

static void take(struct receiver *r)
{
    struct rg_response head = {.status = 200};
    struct rg_taken ret;

    rg_exchange_take_stream(RG_STEAL(r->exchange), &head, &ret);
    taken = ret.stream;
    rg_taken_done(&ret);
}

static void act(struct receiver *r, enum doing doing, struct rg_str piece)
{
    bool was_inside = is_inside;

    is_inside = true;
    switch (doing) {
    case NOTHING:
        break;
    case RESPOND:
        respond(r, r->status != 0 ? r->status : 200);
        break;
    case BEGIN:
        begin(r);
        break;
    case PASS_ON:
        rg_exchange_write_body(r->exchange, piece);
        break;
    case FINISH:
        rg_exchange_finish_body(RG_STEAL(r->exchange));
        break;
    case ABORT:
        rg_exchange_abort_body(RG_STEAL(r->exchange));
        break;
    case PAUSE:
        pause_receiving(r, true);
        break;
    case TAKE:
        take(r);
        break;
    }
    is_inside = was_inside;
}

static void expect_wanted(const struct receiver *r)
{
    assert_non_null(r->exchange);
    assert_false(is_inside || r->is_paused);
    assert_int_equal(r->ends + r->errors, 0);
}

static void on_piece(void *arg, struct rg_str piece)
{
    struct receiver *r = arg;

    expect_wanted(r);
    assert_true(piece.n > 0 && piece.n <= WINDOW);
    r->pieces++;
    r->received += piece.n;
    if (!script.counts_only)
        rg_buf_add_str(&r->body, piece);
    act(r, script.at_piece, piece);
}

static void on_end(void *arg, const struct rg_http_field *trailers, size_t trailers_n)
{
    struct receiver *r = arg;

    expect_wanted(r);
    r->ends++;
    for (size_t i = 0; i < trailers_n; i++)
        rg_buf_addf(&r->trailers, "%.*s=%.*s;", RG_STR_ARG(trailers[i].name),
                    RG_STR_ARG(trailers[i].value));
    act(r, script.at_end, RG_STR(""));
}

static void on_error(void *arg, int status, const struct rg_why *why)
{
    struct receiver *r = arg;

    expect_wanted(r);
    assert_true(why->text[0] != '\0');
    r->errors++;
    r->status = status;
    act(r, script.at_error, RG_STR(""));
}

static const struct rg_receive_events receive_events = {on_piece, on_end, on_error};

static void handle(void *arg, struct rg_exchange *exchange)
{
    struct receiver *r = &receivers[receivers_n++];

    (void)arg;
    rg_assert(receivers_n <= MAX_RECEIVERS);
    r->exchange = exchange;
    r->length = rg_exchange_request(exchange)->body_length;
    assert_int_equal(rg_exchange_request(exchange)->body.n, 0);
    is_inside = true;
    rg_exchange_on_gone(exchange, on_gone, r);
    if (!script.receives_not)
        rg_exchange_receive(exchange, script.max, &receive_events, r);
    act(r, script.at_head, RG_STR(""));
    is_inside = false;
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
    (void)state;
    memset(receivers, 0, sizeof(receivers));
    receivers_n = 0;
    memset(&script, 0, sizeof(script));
    script.max = UINT64_MAX;
    script.at_end = script.at_error = RESPOND;
    taken = NULL;
    stage_open(routes, RG_COUNT_OF(routes));
    stage_connect(0);
    client_open(&client, NULL, 0, true);
    talk();
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    rg_stream_close(&taken);
    stage_close();
    for (size_t i = 0; i < receivers_n; i++) {
        rg_buf_done(&receivers[i].body);
        rg_buf_done(&receivers[i].trailers);
    }
    return 0;
}

static struct rg_h2_request *request_of(const struct receiver *r)
{
    return RG_CONTAINER_OF(r->exchange, struct rg_h2_request, exchange);
}

static void upload(const char *text)
{
    rg_buf_add_c(&client.upload, text);
}

static void upload_bytes(size_t n)
{
    memset(rg_buf_reserve(&client.upload, n), 'x', n);
    client.upload.n += n;
}

/* The client goes on with an upload that it has kept open. */
static void go_on(int32_t id)
{
    nghttp2_session_resume_data(client.session, id);
    talk();
}

static void expect_received(const struct receiver *r, const char *text)
{
    assert_int_equal(r->body.n, strlen(text));
    if (r->body.n > 0)
        assert_memory_equal(r->body.p, text, r->body.n);
}

static void expect_trailers(const struct receiver *r, const char *text)
{
    assert_int_equal(r->trailers.n, strlen(text));
    if (r->trailers.n > 0)
        assert_memory_equal(r->trailers.p, text, r->trailers.n);
}

static void expect_answered(int32_t id, int status)
{
    talk();
    assert_int_equal(answer(id)->status, status);
    assert_body(id, "<answer>");
    assert_true(answer(id)->is_over);
    assert_int_equal(answer(id)->code, NGHTTP2_NO_ERROR);
}

/* Other streams go on. */
static void expect_open(void)
{
    int32_t id = GET("/echo");

    talk();
    assert_body(id, "<echo>");
}

/* ---- pieces ---- */

static void the_handler_runs_with_the_head(void **state)
{
    (void)state;
    client.keeps_upload_open = true;
    int32_t id = POST("/x", "content-length: 5");
    talk();
    assert_int_equal(receivers_n, 1);
    assert_int_equal(receiver->length, 5);
    assert_int_equal(receiver->pieces, 0);
    upload("he");
    go_on(id);
    expect_received(receiver, "he");
    upload("llo");
    client.keeps_upload_open = false;
    go_on(id);
    expect_received(receiver, "hello");
    assert_int_equal(receiver->ends, 1);
    expect_answered(id, 200);
    expect_open();
}

static void an_unknown_length_is_told_as_such(void **state)
{
    (void)state;
    client.keeps_upload_open = true;
    int32_t id = POST("/x");
    talk();
    assert_int_equal(receiver->length, -1);
    client.keeps_upload_open = false;
    go_on(id);
    assert_int_equal(receiver->ends, 1);
    expect_answered(id, 200);
}

static void a_body_that_is_all_there_has_its_length(void **state)
{
    (void)state;
    upload("hello");
    int32_t id = POST("/x");
    talk();
    assert_int_equal(receiver->length, 5);
    expect_received(receiver, "hello");
    expect_answered(id, 200);
}

static void a_request_without_a_body_ends_at_once(void **state)
{
    (void)state;
    int32_t id = GET("/x");
    talk();
    assert_int_equal(receiver->length, 0);
    assert_int_equal(receiver->ends, 1);
    expect_answered(id, 200);
}

static void a_long_body_is_never_kept_beyond_a_window(void **state)
{
    (void)state;
    script.counts_only = true;
    upload_bytes(5000000);
    int32_t id = POST("/x");
    for (int i = 0; i < 100000 && receiver->ends == 0; i++) {
        client_flush(&client);
        uv_run(&reactor.loop, UV_RUN_NOWAIT);
        client_take(&client);
        if (receivers_n > 0 && receiver->exchange != NULL)
            assert_true(request_of(receiver)->body.n <= WINDOW);
    }
    assert_int_equal(receiver->received, 5000000);
    expect_answered(id, 200);
}

/* ---- pausing ---- */

static void a_pause_closes_the_window_of_its_stream(void **state)
{
    (void)state;
    script.at_head = PAUSE;
    upload_bytes(1000000);
    int32_t id = POST("/x");
    talk();
    assert_int_equal(receiver->pieces, 0);
    assert_int_equal(request_of(receiver)->body.n, WINDOW);
    pause_receiving(receiver, false);
    talk();
    assert_int_equal(receiver->received, 1000000);
    assert_int_equal(receiver->ends, 1);
    expect_answered(id, 200);
}

static void paused_streams_do_not_hold_up_others(void **state)
{
    int32_t ids[40];

    (void)state;
    script.at_head = PAUSE;
    script.counts_only = true;
    upload_bytes(100000);
    for (size_t i = 0; i < RG_COUNT_OF(ids); i++) {
        ids[i] = POST("/x");
        talk();
    }
    assert_int_equal(receivers_n, RG_COUNT_OF(ids));
    for (size_t i = 0; i < receivers_n; i++)
        assert_int_equal(request_of(&receivers[i])->body.n, WINDOW);
    /* That is more than the window of the connection. */
    script.at_head = NOTHING;
    int32_t other = POST("/x");
    talk();
    expect_answered(other, 200);
    assert_int_equal(receivers[receivers_n - 1].received, 100000);
    for (size_t i = 0; i < RG_COUNT_OF(ids); i++) {
        pause_receiving(&receivers[i], false);
        expect_answered(ids[i], 200);
        assert_int_equal(receivers[i].received, 100000);
    }
}

static void a_pause_puts_off_the_end(void **state)
{
    (void)state;
    script.at_piece = PAUSE;
    upload("abc");
    int32_t id = POST("/x");
    talk();
    expect_received(receiver, "abc");
    assert_int_equal(receiver->ends, 0);
    pause_receiving(receiver, false);
    talk();
    assert_int_equal(receiver->ends, 1);
    expect_answered(id, 200);
}

static void a_pause_puts_off_that_it_is_too_long(void **state)
{
    (void)state;
    script.at_head = PAUSE;
    script.max = 2;
    client.keeps_upload_open = true;
    int32_t id = POST("/x", "expect: 100-continue", "content-length: 3");
    talk();
    assert_int_equal(receiver->errors, 0);
    pause_receiving(receiver, false);
    expect_answered(id, 413);
    assert_false(answer(id)->was_told_to_go_on);
}

static void a_paused_body_is_not_too_slow(void **state)
{
    (void)state;
    script.at_head = PAUSE;
    client.keeps_upload_open = true;
    int32_t id = POST("/x");
    talk();
    for (int i = 0; i < 100; i++)
        peer_move_time(&reactor, 1000);
    assert_int_equal(receiver->errors, 0);
    pause_receiving(receiver, false);
    client.keeps_upload_open = false;
    go_on(id);
    assert_int_equal(receiver->ends, 1);
}

/* ---- permission to send ---- */

static void permission_is_given_to_who_waits_for_it(void **state)
{
    (void)state;
    client.keeps_upload_open = true;
    int32_t id = POST("/x", "expect: 100-continue", "content-length: 3");
    talk();
    assert_true(answer(id)->was_told_to_go_on);
    upload("abc");
    client.keeps_upload_open = false;
    go_on(id);
    expect_received(receiver, "abc");
    expect_answered(id, 200);
}

static void permission_is_not_given_where_nobody_receives(void **state)
{
    (void)state;
    script.receives_not = true;
    script.at_head = RESPOND;
    client.keeps_upload_open = true;
    int32_t id = POST("/x", "expect: 100-continue", "content-length: 3");
    expect_answered(id, 200);
    assert_false(answer(id)->was_told_to_go_on);
}

static void too_much_is_refused_before_permission(void **state)
{
    (void)state;
    script.max = 2;
    client.keeps_upload_open = true;
    int32_t id = POST("/x", "expect: 100-continue", "content-length: 3");
    expect_answered(id, 413);
    assert_false(answer(id)->was_told_to_go_on);
}

/* ---- answers before the end of the body ---- */

static void an_early_answer_resets_without_an_error(void **state)
{
    (void)state;
    script.receives_not = true;
    script.at_head = RESPOND;
    client.keeps_upload_open = true;
    upload("abc");
    int32_t id = POST("/x");
    expect_answered(id, 200);
    assert_int_equal(count("rgate_http2_resets_total{by=\"us\"}"), 1);
    expect_open();
}

static void an_answer_in_the_middle_resets_without_an_error(void **state)
{
    (void)state;
    script.at_piece = RESPOND;
    client.keeps_upload_open = true;
    upload("abc");
    int32_t id = POST("/x");
    expect_answered(id, 200);
    assert_int_equal(receiver->pieces, 1);
    expect_open();
}

static void a_late_answer_without_receiving_drops_the_body(void **state)
{
    (void)state;
    script.receives_not = true;
    upload_bytes(1000000);
    int32_t id = POST("/x");
    talk();
    assert_int_equal(request_of(receiver)->body.n, 0);
    /* Its window stays closed; the others' are open. */
    expect_open();
    respond(receiver, 403);
    expect_answered(id, 403);
    expect_open();
}

static void a_stream_may_be_taken_in_the_middle(void **state)
{
    (void)state;
    script.at_piece = TAKE;
    upload("abc");
    int32_t id = POST("/x");
    talk();
    assert_non_null(taken);
    assert_int_equal(answer(id)->status, 200);
    rg_stream_close(&taken);
    talk();
    assert_true(answer(id)->is_over);
}

/* ---- both at once ---- */

static void an_answer_may_go_along(void **state)
{
    (void)state;
    script.at_head = BEGIN;
    script.at_piece = PASS_ON;
    script.at_end = FINISH;
    client.keeps_upload_open = true;
    upload("abc");
    int32_t id = POST("/x");
    talk();
    assert_body(id, "abc");
    upload("de");
    go_on(id);
    assert_body(id, "abcde");
    client.keeps_upload_open = false;
    go_on(id);
    assert_true(answer(id)->is_over);
    assert_int_equal(answer(id)->code, NGHTTP2_NO_ERROR);
}

static void much_goes_both_ways_at_once(void **state)
{
    (void)state;
    script.at_head = BEGIN;
    script.at_piece = PASS_ON;
    script.at_end = FINISH;
    script.counts_only = true;
    upload_bytes(3000000);
    int32_t id = POST("/x");
    talk();
    assert_int_equal(answer(id)->body.n, 3000000);
    assert_true(answer(id)->is_over);
}

static void an_answer_without_a_body_waits_for_the_request(void **state)
{
    (void)state;
    script.at_head = BEGIN;
    script.at_end = FINISH;
    client.keeps_upload_open = true;
    int32_t id = SUBMIT(true, HEAD("HEAD", "/x"));
    talk();
    assert_int_equal(answer(id)->status, 200);
    assert_false(answer(id)->is_over);
    upload("abc");
    client.keeps_upload_open = false;
    go_on(id);
    expect_received(receiver, "abc");
    assert_true(answer(id)->is_over);
    assert_int_equal(answer(id)->code, NGHTTP2_NO_ERROR);
}

static void an_abort_in_a_piece_resets(void **state)
{
    (void)state;
    script.at_head = BEGIN;
    script.at_piece = ABORT;
    upload_bytes(100000);
    int32_t id = POST("/x");
    talk();
    assert_true(answer(id)->is_over);
    assert_int_equal(answer(id)->code, NGHTTP2_CANCEL);
    expect_open();
}

/* ---- what goes wrong ---- */

static void a_body_that_is_not_as_long_as_announced_is_gone(void **state)
{
    (void)state;
    client.keeps_upload_open = true;
    upload("abc");
    int32_t id = POST("/x", "content-length: 5");
    talk();
    expect_received(receiver, "abc");
    client.keeps_upload_open = false;
    go_on(id);
    assert_int_equal(receiver->ends, 0);
    assert_int_equal(receiver->gone, 1);
    assert_true(answer(id)->is_over);
    assert_int_equal(answer(id)->code, NGHTTP2_PROTOCOL_ERROR);
}

static void too_slow_is_408(void **state)
{
    (void)state;
    client.keeps_upload_open = true;
    upload("abc");
    int32_t id = POST("/x");
    talk();
    for (int i = 0; i < 12; i++)
        peer_move_time(&reactor, 1000);
    assert_int_equal(receiver->status, 408);
    expect_answered(id, 408);
    assert_int_equal(count("rgate_http_timeouts_total"), 1);
}

static void fast_enough_goes_on(void **state)
{
    (void)state;
    client.keeps_upload_open = true;
    int32_t id = POST("/x");
    talk();
    for (int i = 0; i < 60; i++) {
        upload_bytes(2000);
        go_on(id);
        peer_move_time(&reactor, 1000);
    }
    assert_int_equal(receiver->errors, 0);
    client.keeps_upload_open = false;
    go_on(id);
    expect_answered(id, 200);
}

static void a_pause_forgives_slowness(void **state)
{
    (void)state;
    client.keeps_upload_open = true;
    int32_t id = POST("/x");
    talk();
    reactor.now_ms += 11000;
    rg_wheel_advance(&reactor.wheel, reactor.now_ms);
    /* Noticed, and not told yet. */
    pause_receiving(receiver, true);
    talk();
    pause_receiving(receiver, false);
    client.keeps_upload_open = false;
    go_on(id);
    assert_int_equal(receiver->errors, 0);
    expect_answered(id, 200);
}

static void a_longer_body_is_413(void **state)
{
    (void)state;
    script.max = 5;
    client.keeps_upload_open = true;
    upload("abc");
    int32_t id = POST("/x");
    talk();
    upload("abc");
    go_on(id);
    expect_received(receiver, "abc");
    expect_answered(id, 413);
    expect_open();
}

static void a_stream_that_the_peer_resets_is_gone(void **state)
{
    (void)state;
    client.keeps_upload_open = true;
    upload("abc");
    int32_t id = POST("/x");
    talk();
    nghttp2_submit_rst_stream(client.session, NGHTTP2_FLAG_NONE, id, NGHTTP2_CANCEL);
    talk();
    assert_int_equal(receiver->gone, 1);
    assert_int_equal(receiver->errors + receiver->ends, 0);
    expect_open();
}

static void a_paused_stream_that_the_peer_resets_is_gone(void **state)
{
    (void)state;
    script.at_head = PAUSE;
    client.keeps_upload_open = true;
    upload("abc");
    int32_t id = POST("/x");
    talk();
    nghttp2_submit_rst_stream(client.session, NGHTTP2_FLAG_NONE, id, NGHTTP2_CANCEL);
    talk();
    assert_int_equal(receiver->gone, 1);
    expect_open();
}

static void a_peer_that_leaves_is_gone_from_all_of_them(void **state)
{
    (void)state;
    client.keeps_upload_open = true;
    upload("abc");
    POST("/x");
    script.at_head = PAUSE;
    POST("/x");
    talk();
    peer_close(&client.peer);
    peer_turn(&reactor);
    assert_int_equal(receivers[0].gone, 1);
    assert_int_equal(receivers[1].gone, 1);
}

/* ---- trailers ---- */

#define NV(name, value)                                                                            \
    (nghttp2_nv)                                                                                   \
    {                                                                                              \
        (uint8_t *)name, (uint8_t *)value, sizeof(name) - 1, sizeof(value) - 1,                    \
            NGHTTP2_NV_FLAG_NONE                                                                   \
    }

static void trailers_are_told_without_those_that_may_not_be_there(void **state)
{
    const nghttp2_nv trailers[] = {
        NV("x-sum", "7"), NV("host", "evil"),         NV("authorization", "b"),
        NV("a", "b"),     NV("x-forwarded-for", "1"),
    };

    (void)state;
    client.keeps_upload_open = true;
    upload("abc");
    int32_t id = POST("/x");
    talk();
    nghttp2_submit_trailer(client.session, id, trailers, RG_COUNT_OF(trailers));
    talk();
    expect_received(receiver, "abc");
    expect_trailers(receiver, "x-sum=7;a=b;");
    expect_answered(id, 200);
}

static void too_many_trailers_are_400(void **state)
{
    nghttp2_nv trailers[33];

    (void)state;
    for (size_t i = 0; i < RG_COUNT_OF(trailers); i++)
        trailers[i] = NV("t", "1");
    client.keeps_upload_open = true;
    int32_t id = POST("/x");
    talk();
    nghttp2_submit_trailer(client.session, id, trailers, RG_COUNT_OF(trailers));
    expect_answered(id, 400);
    expect_open();
}

static void long_trailers_are_400(void **state)
{
    static char value[9000];
    nghttp2_nv trailer = {(uint8_t *)"t", (uint8_t *)value, 1, sizeof(value), NGHTTP2_NV_FLAG_NONE};

    (void)state;
    memset(value, 'v', sizeof(value));
    client.keeps_upload_open = true;
    int32_t id = POST("/x");
    talk();
    nghttp2_submit_trailer(client.session, id, &trailer, 1);
    expect_answered(id, 400);
}

static void trailers_follow_an_answer(void **state)
{
    const struct rg_http_field trailers[] = {
        {RG_STR("Grpc-Status"), RG_STR("0")},    {RG_STR("content-length"), RG_STR("5")},
        {RG_STR("bad name"), RG_STR("x")},       {RG_STR(":status"), RG_STR("500")},
        {RG_STR("connection"), RG_STR("close")}, {RG_STR("x-bad"), RG_STR("a\1b")},
    };

    (void)state;
    script.at_head = BEGIN;
    script.at_end = NOTHING;
    int32_t id = GET("/x");
    talk();
    rg_exchange_write_body(receiver->exchange, RG_STR("abc"));
    rg_exchange_finish_body_with(RG_STEAL(receiver->exchange), trailers, RG_COUNT_OF(trailers));
    talk();
    assert_body(id, "abc");
    assert_true(has_field(id, "grpc-status: 0\n"));
    assert_int_equal(answer(id)->status, 200);
    assert_false(has_field(id, "content-length") || has_field(id, "bad name") ||
                 has_field(id, "connection") || has_field(id, "x-bad"));
    assert_true(answer(id)->is_over);
    assert_int_equal(answer(id)->code, NGHTTP2_NO_ERROR);
    expect_open();
}

static void trailers_follow_an_answer_that_waits_for_the_window(void **state)
{
    static char text[300000];
    const struct rg_http_field trailers[] = {{RG_STR("x"), RG_STR("y")}};

    (void)state;
    memset(text, 't', sizeof(text));
    script.at_head = BEGIN;
    script.at_end = NOTHING;
    int32_t id = GET("/x");
    talk();
    rg_exchange_write_body(receiver->exchange, rg_str_n(text, sizeof(text)));
    rg_exchange_finish_body_with(RG_STEAL(receiver->exchange), trailers, 1);
    talk();
    assert_int_equal(answer(id)->body.n, sizeof(text));
    assert_true(has_field(id, "x: y\n"));
    assert_true(answer(id)->is_over);
}

static void trailers_follow_an_answer_without_any_piece(void **state)
{
    const struct rg_http_field trailers[] = {{RG_STR("grpc-status"), RG_STR("12")}};

    (void)state;
    script.at_head = BEGIN;
    script.at_end = NOTHING;
    int32_t id = GET("/x");
    talk();
    rg_exchange_finish_body_with(RG_STEAL(receiver->exchange), trailers, 1);
    talk();
    assert_true(has_field(id, "grpc-status: 12\n"));
    assert_true(answer(id)->is_over);
}

static void trailers_of_an_early_answer_are_followed_by_a_reset(void **state)
{
    const struct rg_http_field trailers[] = {{RG_STR("grpc-status"), RG_STR("12")}};

    (void)state;
    script.at_head = BEGIN;
    client.keeps_upload_open = true;
    int32_t id = POST("/x");
    talk();
    rg_exchange_finish_body_with(RG_STEAL(receiver->exchange), trailers, 1);
    talk();
    assert_true(has_field(id, "grpc-status: 12\n"));
    assert_true(answer(id)->is_over);
    assert_int_equal(answer(id)->code, NGHTTP2_NO_ERROR);
}

static void the_start_is_told_finely(void **state)
{
    uint64_t before = rg_clock_mono_ns();

    (void)state;
    script.at_end = NOTHING;
    GET("/x");
    talk();
    assert_true(rg_exchange_started_ns(receiver->exchange) >= before);
    respond(receiver, 200);
    talk();
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(the_handler_runs_with_the_head),
        TEST(an_unknown_length_is_told_as_such),
        TEST(a_body_that_is_all_there_has_its_length),
        TEST(a_request_without_a_body_ends_at_once),
        TEST(a_long_body_is_never_kept_beyond_a_window),
        TEST(a_pause_closes_the_window_of_its_stream),
        TEST(paused_streams_do_not_hold_up_others),
        TEST(a_pause_puts_off_the_end),
        TEST(a_pause_puts_off_that_it_is_too_long),
        TEST(a_paused_body_is_not_too_slow),
        TEST(permission_is_given_to_who_waits_for_it),
        TEST(permission_is_not_given_where_nobody_receives),
        TEST(too_much_is_refused_before_permission),
        TEST(an_early_answer_resets_without_an_error),
        TEST(an_answer_in_the_middle_resets_without_an_error),
        TEST(a_late_answer_without_receiving_drops_the_body),
        TEST(a_stream_may_be_taken_in_the_middle),
        TEST(an_answer_may_go_along),
        TEST(much_goes_both_ways_at_once),
        TEST(an_answer_without_a_body_waits_for_the_request),
        TEST(an_abort_in_a_piece_resets),
        TEST(a_body_that_is_not_as_long_as_announced_is_gone),
        TEST(too_slow_is_408),
        TEST(fast_enough_goes_on),
        TEST(a_pause_forgives_slowness),
        TEST(a_longer_body_is_413),
        TEST(a_stream_that_the_peer_resets_is_gone),
        TEST(a_paused_stream_that_the_peer_resets_is_gone),
        TEST(a_peer_that_leaves_is_gone_from_all_of_them),
        TEST(trailers_are_told_without_those_that_may_not_be_there),
        TEST(too_many_trailers_are_400),
        TEST(long_trailers_are_400),
        TEST(trailers_follow_an_answer),
        TEST(trailers_follow_an_answer_that_waits_for_the_window),
        TEST(trailers_follow_an_answer_without_any_piece),
        TEST(trailers_of_an_early_answer_are_followed_by_a_reset),
        TEST(the_start_is_told_finely),
    };

    int failed = RUN(tests);
    rg_rcu_thread_stop();
    return failed;
}
