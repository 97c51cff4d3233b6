/*
 * Requests, answers and taken streams of HTTP/2, seen by a client of nghttp2's.
 */
#include "h2_client.h"

#define BIG_N ((size_t)1024 * 1024)

static char *big;

/* What the handlers saw and keep. */
static struct {
    unsigned calls;
    bool is_pending;
    struct rg_exchange_handle pending;
    struct rg_stream *taken;
    struct rg_buf early;
    bool drains;
} seen;

/* What the owner of a taken stream was told and did. */
static struct {
    struct rg_buf got;
    long result; /* of the last read */
    unsigned readable, writable, hangups;
    bool reads_nothing;
    size_t reads_at_most;
    bool closes; /* when it is told anything */
} owner;

/* ---- handlers ---- */

static void respond(struct rg_exchange *exchange, int status, struct rg_str body)
{
    struct rg_response response = {.status = status, .body = body};
    rg_exchange_respond(exchange, &response);
}

/* Answers with everything the request says. */
static void echo(void *arg, struct rg_exchange *exchange)
{
    const struct rg_request *req = rg_exchange_request(exchange);
    struct rg_buf text = {0};

    (void)arg;
    seen.calls++;
    if (seen.drains)
        rg_http_server_drain(server);
    rg_buf_addf(&text, "<%.*s %.*s %.*s|", RG_STR_ARG(req->method_name), RG_STR_ARG(req->path),
                RG_STR_ARG(req->query));
    for (size_t i = 0; i < req->fields_n; i++)
        rg_buf_addf(&text, "%.*s=%.*s|", RG_STR_ARG(req->fields[i].name),
                    RG_STR_ARG(req->fields[i].value));
    rg_buf_add_str(&text, req->body);
    rg_buf_add_char(&text, '>');
    assert_true(req->is_h2);
    assert_int_equal(req->minor, 1);
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

static void answer_oddly(void *arg, struct rg_exchange *exchange)
{
    struct rg_response response = {.status = 204, .body = RG_STR("not to be seen")};

    (void)arg;
    rg_response_add(&response, RG_STR("connection"), RG_STR("upgrade"));
    rg_response_add(&response, RG_STR("upgrade"), RG_STR("websocket"));
    rg_response_add(&response, RG_STR("transfer-encoding"), RG_STR("chunked"));
    rg_response_add(&response, RG_STR("Keep-Alive"), RG_STR("1"));
    rg_response_add(&response, RG_STR("X-Upper"), RG_STR(" a\r\nb: c\n"));
    rg_exchange_respond(exchange, &response);
}

static struct rg_exchange *pending(void)
{
    assert_true(seen.is_pending);
    return rg_http_server_find(server, seen.pending);
}

static void take_over(struct rg_exchange *exchange)
{
    struct rg_response head = {.status = 200};
    struct rg_taken taken;

    rg_response_add(&head, RG_STR("content-type"), RG_STR("text/event-stream"));
    rg_exchange_take_stream(exchange, &head, &taken);
    assert_false(taken.is_chunked);
    assert_int_equal(taken.head.n, 0);
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

static void take_and_close(void *arg, struct rg_exchange *exchange)
{
    take(arg, exchange);
    rg_stream_close(&seen.taken);
}

static const struct rg_route routes[] = {
    {RG_METHODS_ALL, "/later", answer_later, NULL, 0},
    {RG_METHODS_ALL, "/other", answer_other, NULL, 100},
    {RG_METHODS_ALL, "/big", answer_big, NULL, 0},
    {RG_METHODS_ALL, "/odd", answer_oddly, NULL, 0},
    {RG_METHODS_ALL, "/take", take, NULL, 0},
    {RG_METHODS_ALL, "/take-and-close", take_and_close, NULL, 0},
    {RG_METHODS_ALL, "/name/:name", echo, NULL, 0},
    {RG_METHODS_ALL, "/upload", echo, NULL, (size_t)3 * 1024 * 1024},
    {RG_METHODS_ALL, "/echo", echo, NULL, 100000},
    {RG_METHODS_ALL, "*", echo, NULL, 100},
};

/* ---- the owner of a taken stream ---- */

static void on_readable(struct rg_stream *stream)
{
    char buffer[70000];

    owner.readable++;
    if (owner.reads_nothing)
        return;
    size_t max = owner.reads_at_most > 0 ? owner.reads_at_most : sizeof(buffer);
    owner.result = rg_stream_read(stream, buffer, max);
    if (owner.result > 0)
        rg_buf_add(&owner.got, buffer, (size_t)owner.result);
    if (owner.closes)
        rg_stream_close(&seen.taken);
}

static void on_writable(struct rg_stream *stream)
{
    (void)stream;
    owner.writable++;
    if (owner.closes)
        rg_stream_close(&seen.taken);
}

static void on_hangup(struct rg_stream *stream)
{
    (void)stream;
    owner.hangups++;
    if (owner.closes)
        rg_stream_close(&seen.taken);
}

static const struct rg_stream_events owner_events = {on_readable, on_writable, on_hangup};

static void adopt(void)
{
    assert_non_null(seen.taken);
    rg_stream_adopt(seen.taken, &owner_events, &owner);
}

/* ---- the stage ---- */

static void open_with(const nghttp2_settings_entry *entries, size_t n, bool acks)
{
    stage_connect(0);
    client_open(&client, entries, n, acks);
    talk();
}

static int setup_bare(void **state)
{
    (void)state;
    memset(&seen, 0, sizeof(seen));
    memset(&owner, 0, sizeof(owner));
    stage_open(routes, RG_COUNT_OF(routes));
    return 0;
}

static int setup(void **state)
{
    setup_bare(state);
    open_with(NULL, 0, true);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    rg_stream_close(&seen.taken);
    rg_buf_done(&seen.early);
    rg_buf_done(&owner.got);
    stage_close();
    return 0;
}

/* ---- requests and answers ---- */

static void a_request_is_answered(void **state)
{
    (void)state;
    int32_t id = GET("/echo?a=b", "x-one: 1");
    talk();
    assert_int_equal(answer(id)->status, 200);
    assert_body(id, "<GET /echo a=b|x-one=1|host=h|>");
    assert_true(has_field(id, "content-length: 31\n"));
    assert_true(has_field(id, "date: "));
    assert_true(answer(id)->is_over);
    assert_int_equal(answer(id)->code, NGHTTP2_NO_ERROR);
    assert_int_equal(count("rgate_http_requests_total"), 1);
    assert_int_equal(count("rgate_http_responses_total{class=\"2xx\"}"), 1);
    assert_int_equal(count("rgate_http2_streams_total"), 1);
    assert_int_equal(count("rgate_http2_connections"), 1);
    assert_int_equal(rg_http_server_connections(server), 1);
}

static void many_requests_share_a_connection(void **state)
{
    int32_t ids[100];

    (void)state;
    for (size_t i = 0; i < 100; i++)
        ids[i] = GET("/name/ada");
    talk();
    for (size_t i = 0; i < 100; i++)
        assert_body(ids[i], "<GET /name/ada |host=h|>");
    assert_int_equal(seen.calls, 100);
    assert_int_equal(rg_http_server_connections(server), 1);
}

static void head_gets_the_head_only(void **state)
{
    (void)state;
    int32_t id = SUBMIT(false, HEAD("HEAD", "/echo"));
    talk();
    assert_true(has_field(id, "content-length: 21\n"));
    assert_body(id, "");
    assert_true(answer(id)->is_over);
}

static void fields_of_the_connection_are_left_out_and_values_cleaned(void **state)
{
    (void)state;
    int32_t id = GET("/odd");
    talk();
    assert_int_equal(answer(id)->status, 204);
    assert_body(id, "");
    assert_false(has_field(id, "connection"));
    assert_false(has_field(id, "upgrade"));
    assert_false(has_field(id, "transfer-encoding"));
    assert_false(has_field(id, "keep-alive"));
    assert_false(has_field(id, "content-length"));
    assert_true(has_field(id, "x-upper: a  b: c\n"));
}

static void cookies_in_pieces_are_one_field(void **state)
{
    (void)state;
    int32_t id = GET("/echo", "cookie: a=1", "x: y", "cookie: b=2", "cookie: c=3");
    talk();
    assert_body(id, "<GET /echo |x=y|cookie=a=1; b=2; c=3|host=h|>");
}

static void host_may_stand_for_the_authority(void **state)
{
    (void)state;
    int32_t id = SUBMIT(false, ":method: GET", ":scheme: https", ":path: /echo", "host: other:1");
    talk();
    assert_body(id, "<GET /echo |host=other:1|>");
}

static void options_may_be_for_the_whole_server(void **state)
{
    (void)state;
    int32_t id = SUBMIT(false, HEAD("OPTIONS", "*"));
    talk();
    assert_body(id, "<OPTIONS * |host=h|>");
}

static void a_body_in_many_frames_is_collected(void **state)
{
    (void)state;
    rg_buf_add(&client.upload, big, 100000);
    int32_t a = POST("/echo?a"), b = POST("/echo?b");
    talk();
    assert_int_equal(seen.calls, 2);
    assert_int_equal(answer(a)->body.n, 100000 + strlen("<POST /echo a|host=h|>"));
    assert_memory_equal(answer(b)->body.p + strlen("<POST /echo b|host=h|"), big, 100000);
}

static void a_body_longer_than_the_windows_arrives(void **state)
{
    (void)state;
    rg_buf_add(&client.upload, big, BIG_N);
    rg_buf_add(&client.upload, big, BIG_N);
    int32_t id = POST("/upload");
    talk();
    assert_int_equal(answer(id)->body.n, 2 * BIG_N + strlen("<POST /upload |host=h|>"));
}

static void a_body_that_says_that_it_is_too_long_is_refused_unread(void **state)
{
    (void)state;
    client.keeps_upload_open = true;
    int32_t id = POST("/echo", "content-length: 100001");
    talk();
    assert_int_equal(answer(id)->status, 413);
    assert_true(has_field(id, "content-type: application/json; charset=utf-8\n"));
    assert_body(id, "{\"message\":\"the body is longer than 100000 bytes\"}");
    assert_true(answer(id)->is_over);
    assert_int_equal(answer(id)->code, NGHTTP2_NO_ERROR);
    assert_int_equal(seen.calls, 0);
}

static void a_body_that_becomes_too_long_is_refused(void **state)
{
    (void)state;
    rg_buf_add(&client.upload, big, 100001);
    int32_t id = POST("/echo");
    talk();
    assert_int_equal(answer(id)->status, 413);
    assert_int_equal(seen.calls, 0);
    /* What was under way for it has not used up the windows. */
    rg_buf_clear(&client.upload);
    rg_buf_add(&client.upload, big, 100000);
    for (int i = 0; i < 30; i++) {
        id = POST("/echo");
        talk();
        assert_int_equal(answer(id)->status, 200);
    }
}

static void unfinished_requests_have_a_limit_together(void **state)
{
    int32_t ids[9];

    (void)state;
    rg_buf_add(&client.upload, big, BIG_N);
    client.keeps_upload_open = true;
    for (size_t i = 0; i < 9; i++) {
        ids[i] = POST("/upload");
        talk();
        assert_int_equal(answer(ids[i])->is_over, i == 7 || i == 8);
    }
    /* Seven bodies and their heads fit, and what was given up makes room again. */
    assert_int_equal(answer(ids[8])->code, NGHTTP2_REFUSED_STREAM);
    client.keeps_upload_open = false;
    for (size_t i = 0; i < 7; i++)
        nghttp2_session_resume_data(client.session, ids[i]);
    talk();
    assert_int_equal(seen.calls, 7);
    int32_t id = POST("/upload");
    talk();
    assert_int_equal(answer(id)->status, 200);
}

/* With a table of the peer's own a few bytes name a large field again and again. */
static void heads_of_unfinished_requests_count(void **state)
{
    const char *texts[MAX_REQUEST_FIELDS] = {HEAD("POST", "/upload")};
    struct rg_buf text = {0};
    unsigned refused = 0;

    (void)state;
    rg_buf_add_c(&text, "x: ");
    rg_buf_add(&text, big, 3900);
    rg_buf_add_char(&text, '\0');
    for (size_t i = 4; i < 20; i++)
        texts[i] = text.p;
    client.keeps_upload_open = true;
    rg_buf_add_char(&client.upload, 'x');
    for (size_t i = 0; i < 100; i++) {
        int32_t id = submit(true, texts);
        talk();
        refused += answer(id)->is_over;
    }
    assert_int_equal(refused, 0);
    rg_buf_add(&client.upload, big, 50000);
    for (int32_t id = 1; id < 200; id += 2) {
        nghttp2_session_resume_data(client.session, id);
        talk();
        refused += answer(id)->is_over && answer(id)->code == NGHTTP2_REFUSED_STREAM;
    }
    /* The bodies alone would all fit; with their heads of 61 KiB some 74 do. */
    assert_in_range(refused, 20, 30);
    rg_buf_done(&text);
}

static void a_length_that_is_not_kept_resets_the_stream(void **state)
{
    (void)state;
    rg_buf_add_c(&client.upload, "four");
    int32_t id = POST("/echo", "content-length: 3");
    talk();
    assert_true(answer(id)->is_over);
    assert_int_equal(answer(id)->code, NGHTTP2_PROTOCOL_ERROR);
    assert_int_equal(seen.calls, 0);
}

static void who_expects_it_is_told_to_go_on(void **state)
{
    (void)state;
    client.keeps_upload_open = true;
    int32_t id = POST("/echo", "expect: 100-continue");
    talk();
    assert_true(answer(id)->was_told_to_go_on);
    rg_buf_add_c(&client.upload, "body");
    client.keeps_upload_open = false;
    nghttp2_session_resume_data(client.session, id);
    talk();
    assert_body(id, "<POST /echo |expect=100-continue|host=h|body>");

    id = POST("/echo", "expect: wonders");
    talk();
    assert_int_equal(answer(id)->status, 417);
}

static void trailers_are_dropped(void **state)
{
    const nghttp2_nv trailer = field("x-late: 1");

    (void)state;
    client.keeps_upload_open = true;
    rg_buf_add_c(&client.upload, "body");
    int32_t id = POST("/echo");
    talk();
    nghttp2_submit_headers(client.session, NGHTTP2_FLAG_END_STREAM, id, NULL, &trailer, 1, NULL);
    talk();
    assert_body(id, "<POST /echo |host=h|body>");
}

static void an_answer_may_come_later(void **state)
{
    (void)state;
    int32_t a = GET("/later");
    talk();
    int32_t b = GET("/echo");
    talk();
    assert_true(answer(b)->is_over);
    assert_int_equal(answer(a)->status, 0);
    respond(pending(), 200, RG_STR("<late>"));
    talk();
    assert_body(a, "<late>");
    assert_null(pending());
}

static void a_handler_may_answer_another_exchange(void **state)
{
    (void)state;
    int32_t a = GET("/later");
    talk();
    rg_buf_add_c(&client.upload, "own");
    int32_t b = POST("/other");
    talk();
    assert_body(a, "<other>");
    assert_body(b, "<POST /other |host=h|own>");
}

static void a_handle_of_a_stream_that_was_reset_finds_nothing(void **state)
{
    (void)state;
    int32_t id = GET("/later");
    talk();
    assert_non_null(pending());
    nghttp2_submit_rst_stream(client.session, NGHTTP2_FLAG_NONE, id, NGHTTP2_CANCEL);
    talk();
    assert_null(pending());
    assert_int_equal(count("rgate_http2_resets_total{by=\"peer\"}"), 1);
}

static void a_handle_of_a_peer_that_is_gone_finds_nothing(void **state)
{
    (void)state;
    GET("/later");
    talk();
    assert_non_null(pending());
    peer_close(&client.peer);
    peer_turn(&reactor);
    assert_null(pending());
}

static void what_is_reset_with_the_same_bytes_is_never_handled(void **state)
{
    (void)state;
    int32_t id = GET("/echo");
    client_flush(&client);
    nghttp2_submit_rst_stream(client.session, NGHTTP2_FLAG_NONE, id, NGHTTP2_CANCEL);
    talk();
    assert_int_equal(seen.calls, 0);
    assert_int_equal(count("rgate_http2_streams_total"), 1);
}

/* ---- what is refused ---- */

static void assert_status(int32_t id, int status, const char *reason)
{
    talk();
    assert_int_equal(answer(id)->status, status);
    assert_true(answer(id)->is_over);
    rg_buf_add_char(&answer(id)->body, '\0');
    assert_non_null(strstr(answer(id)->body.p, reason));
}

static void connect_is_refused(void **state)
{
    (void)state;
    assert_status(SUBMIT(false, ":method: CONNECT", ":authority: h:1"), 501, "CONNECT");
    assert_status(SUBMIT(false, HEAD("CONNECT", "/take"), ":protocol: webtransport"), 501,
                  "protocol");
    assert_int_equal(seen.calls, 0);
}

static void odd_targets_are_refused(void **state)
{
    (void)state;
    assert_status(GET("/a#b"), 400, "not allowed");
    assert_status(GET("/\x80"), 400, "not allowed");
    assert_status(SUBMIT(false, ":method: GET", ":scheme: ftp", ":authority: h", ":path: a"), 400,
                  "scheme");
    assert_status(SUBMIT(false, ":method: GET", ":scheme: http", ":authority: a@b", ":path: /"),
                  400, "host and port");
    assert_status(SUBMIT(false, HEAD("GET", "/"), "host: other"), 400, "differs");
    assert_int_equal(seen.calls, 0);
    assert_int_equal(count("rgate_http_malformed_total"), 5);
}

static void fields_have_limits(void **state)
{
    const char *many[MAX_REQUEST_FIELDS] = {HEAD("GET", "/echo")};
    struct rg_buf text = {0};

    (void)state;
    for (size_t i = 4; i < 104; i++)
        many[i] = "cookie: a";
    assert_status(submit(false, many), 200, "GET");
    many[104] = "cookie: a";
    assert_status(submit(false, many), 431, "more than 100");

    rg_buf_add_c(&text, "x: ");
    rg_buf_add(&text, big, 16384);
    rg_buf_add_char(&text, '\0');
    assert_status(GET("/echo", text.p), 431, "too large");
    const char *large[MAX_REQUEST_FIELDS] = {HEAD("GET", "/echo")};
    text.p[16000] = '\0';
    for (size_t i = 4; i < 9; i++)
        large[i] = text.p;
    assert_status(submit(false, large), 431, "too large");

    rg_buf_clear(&text);
    rg_buf_add_c(&text, ":path: /");
    rg_buf_add(&text, big, 16384);
    rg_buf_add_char(&text, '\0');
    assert_status(SUBMIT(false, ":method: GET", ":scheme: http", ":authority: h", text.p), 414,
                  "too long");
    rg_buf_done(&text);
}

static void a_method_may_not_be_too_long(void **state)
{
    (void)state;
    assert_status(SUBMIT(false, HEAD("ABCDEFGHIJKLMNOPQRSTUVWXYZABCDEFG", "/echo")), 501, "method");
}

/* ---- windows ---- */

static void a_big_answer_waits_for_the_peers_windows(void **state)
{
    (void)state;
    open_with(NULL, 0, false);
    int32_t a = GET("/big");
    talk();
    assert_int_equal(answer(a)->body.n, 65535);
    assert_false(answer(a)->is_over);
    /* The connection's window was it: others wait, too. */
    int32_t b = GET("/echo");
    talk();
    assert_int_equal(answer(b)->status, 200);
    assert_int_equal(answer(b)->body.n, 0);

    nghttp2_submit_window_update(client.session, NGHTTP2_FLAG_NONE, 0, (int32_t)BIG_N);
    talk();
    assert_true(answer(b)->is_over);
    assert_int_equal(answer(a)->body.n, 65535);
    nghttp2_submit_window_update(client.session, NGHTTP2_FLAG_NONE, a, (int32_t)BIG_N);
    talk();
    assert_int_equal(answer(a)->body.n, BIG_N);
    assert_memory_equal(answer(a)->body.p, big, BIG_N);
    assert_true(answer(a)->is_over);
}

static void an_answer_that_the_peer_does_not_take_is_reset(void **state)
{
    const nghttp2_settings_entry none[] = {{NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, 0}};

    (void)state;
    open_with(none, 1, true);
    int32_t a = GET("/echo"), b = GET("/later");
    talk();
    assert_int_equal(answer(a)->status, 200);
    peer_let_pass(&reactor, settings.write_timeout_ms - 2000);
    talk();
    assert_false(answer(a)->is_over);
    peer_let_pass(&reactor, 2000);
    talk();
    peer_let_pass(&reactor, 1000);
    talk();
    assert_true(answer(a)->is_over);
    assert_int_equal(answer(a)->code, NGHTTP2_CANCEL);
    assert_int_equal(count("rgate_http_timeouts_total"), 1);
    /* The connection and what waits on it live on. */
    assert_non_null(pending());
    assert_false(answer(b)->is_over);
}

/* ---- taken streams ---- */

static void what_a_taker_writes_arrives_as_the_answers_body(void **state)
{
    char text[] = "one two three";
    const struct iovec iov[] = {{text, 4}, {text, 0}, {text + 4, 4}, {text + 8, 5}};

    (void)state;
    int32_t id = GET("/take");
    talk();
    adopt();
    assert_int_equal(answer(id)->status, 200);
    assert_true(has_field(id, "content-type: text/event-stream\n"));
    assert_false(has_field(id, "content-length"));
    assert_int_equal(rg_stream_write(seen.taken, "zero ", 5), 5);
    assert_int_equal(rg_stream_writev(seen.taken, iov, 4), 13);
    talk();
    assert_body(id, "zero one two three");
    assert_false(answer(id)->is_over);
    assert_int_equal(owner.readable + owner.hangups, 0);
}

static void closing_a_taken_stream_ends_the_answer_in_good_order(void **state)
{
    (void)state;
    int32_t id = GET("/take");
    talk();
    adopt();
    rg_stream_write(seen.taken, "last", 4);
    rg_stream_close(&seen.taken);
    talk();
    assert_body(id, "last");
    assert_true(answer(id)->is_over);
    assert_int_equal(answer(id)->code, NGHTTP2_NO_ERROR);
    id = GET("/take-and-close");
    talk();
    assert_int_equal(answer(id)->status, 200);
    assert_int_equal(answer(id)->code, NGHTTP2_NO_ERROR);
    assert_true(answer(id)->is_over);
    assert_int_equal(owner.readable + owner.writable + owner.hangups, 0);
}

static void closing_with_something_unsaid_resets(void **state)
{
    (void)state;
    int32_t id = GET("/take");
    talk();
    adopt();
    rg_stream_want(seen.taken, true, true);
    rg_stream_close(&seen.taken);
    talk();
    assert_true(answer(id)->is_over);
    assert_int_equal(answer(id)->code, NGHTTP2_CANCEL);
}

/* Takes a stream whose window is full with what was written. */
static int32_t fill_window(void)
{
    const nghttp2_settings_entry small[] = {{NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, 4}};

    open_with(small, 1, false);
    int32_t id = GET("/take");
    talk();
    adopt();
    assert_int_equal(rg_stream_write(seen.taken, "full", 4), 4);
    talk();
    return id;
}

static void an_end_that_the_window_does_not_take_comes_when_it_opens(void **state)
{
    (void)state;
    int32_t id = fill_window();
    rg_stream_close(&seen.taken);
    talk();
    assert_false(answer(id)->is_over);
    nghttp2_submit_window_update(client.session, NGHTTP2_FLAG_NONE, id, 1);
    talk();
    assert_body(id, "full");
    assert_true(answer(id)->is_over);
    assert_int_equal(answer(id)->code, NGHTTP2_NO_ERROR);
}

static void an_end_that_the_peer_never_takes_becomes_a_reset(void **state)
{
    (void)state;
    int32_t id = fill_window();
    rg_stream_close(&seen.taken);
    peer_let_pass(&reactor, settings.write_timeout_ms - 2000);
    talk();
    assert_false(answer(id)->is_over);
    peer_let_pass(&reactor, 3000);
    talk();
    assert_true(answer(id)->is_over);
    assert_int_equal(answer(id)->code, NGHTTP2_CANCEL);
    assert_int_equal(count("rgate_http_timeouts_total"), 1);
}

static void a_stream_may_be_taken_when_the_handler_is_long_gone(void **state)
{
    (void)state;
    int32_t id = GET("/later");
    talk();
    take_over(pending());
    adopt();
    rg_stream_write(seen.taken, "late", 4);
    talk();
    assert_body(id, "late");
}

static void a_stream_that_is_shut_can_still_be_told_of_the_end(void **state)
{
    (void)state;
    int32_t id = GET("/take");
    talk();
    adopt();
    rg_stream_shutdown(seen.taken);
    assert_int_equal(rg_stream_write(seen.taken, "x", 1), UV_EPIPE);
    talk();
    assert_true(answer(id)->is_over);
    assert_int_equal(owner.readable, 1);
    assert_int_equal(owner.result, 0);
}

static void a_full_window_takes_nothing_until_it_opens(void **state)
{
    const nghttp2_settings_entry small[] = {{NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, 10}};

    (void)state;
    open_with(small, 1, false);
    int32_t a = GET("/take");
    talk();
    struct rg_stream *first = seen.taken;
    int32_t b = GET("/take");
    talk();
    adopt();
    struct rg_stream *second = seen.taken;
    seen.taken = first;
    adopt();

    assert_int_equal(rg_stream_write(first, "0123456789abc", 13), 10);
    assert_int_equal(rg_stream_write(first, "abc", 3), UV_EAGAIN);
    rg_stream_want(first, true, true);
    talk();
    assert_int_equal(owner.writable, 0);
    /* Another stream of the connection does not notice. */
    assert_int_equal(rg_stream_write(second, "other", 5), 5);
    talk();
    assert_body(a, "0123456789");
    assert_body(b, "other");

    nghttp2_submit_window_update(client.session, NGHTTP2_FLAG_NONE, a, 2);
    talk();
    assert_int_equal(owner.writable, 1);
    assert_int_equal(rg_stream_write(first, "abc", 3), 2);
    /* The settings open all windows alike. */
    nghttp2_settings_entry more[] = {{NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, 20}};
    nghttp2_submit_settings(client.session, NGHTTP2_FLAG_NONE, more, 1);
    talk();
    assert_int_equal(owner.writable, 2);
    assert_int_equal(rg_stream_write(first, "c", 1), 1);
    talk();
    assert_body(a, "0123456789abc");
    rg_stream_close(&second);
}

static void who_asks_to_write_where_there_is_room_is_told(void **state)
{
    (void)state;
    GET("/take");
    talk();
    adopt();
    rg_stream_want(seen.taken, true, true);
    talk();
    assert_int_equal(owner.writable, 1);
}

static void a_reset_is_told_to_the_owner(void **state)
{
    (void)state;
    int32_t id = GET("/take");
    talk();
    adopt();
    nghttp2_submit_rst_stream(client.session, NGHTTP2_FLAG_NONE, id, NGHTTP2_CANCEL);
    talk();
    assert_int_equal(owner.readable, 1);
    assert_int_equal(owner.result, UV_ECONNRESET);
    assert_int_equal(rg_stream_write(seen.taken, "x", 1), UV_ECONNRESET);
    rg_stream_close(&seen.taken);
}

static void a_reset_is_told_even_if_the_owner_wants_nothing(void **state)
{
    (void)state;
    int32_t id = GET("/take");
    talk();
    adopt();
    rg_stream_want(seen.taken, false, false);
    nghttp2_submit_rst_stream(client.session, NGHTTP2_FLAG_NONE, id, NGHTTP2_CANCEL);
    talk();
    assert_int_equal(owner.readable, 0);
    assert_int_equal(owner.hangups, 1);
}

static void a_lost_connection_is_told_to_all_its_owners(void **state)
{
    (void)state;
    GET("/take");
    talk();
    adopt();
    struct rg_stream *first = seen.taken;
    GET("/take");
    talk();
    adopt();
    peer_close(&client.peer);
    peer_turn(&reactor);
    assert_int_equal(owner.readable, 2);
    assert_int_equal(owner.result, UV_ECONNRESET);
    assert_int_equal(rg_http_server_connections(server), 0);
    /* The streams outlive their connection. */
    assert_int_equal(rg_stream_write(first, "x", 1), UV_ECONNRESET);
    rg_stream_shutdown(first);
    rg_stream_close(&first);
}

static void an_owner_may_close_when_it_is_told_of_the_end(void **state)
{
    (void)state;
    owner.closes = true;
    GET("/take");
    talk();
    adopt();
    peer_close(&client.peer);
    peer_turn(&reactor);
    assert_null(seen.taken);
    assert_int_equal(owner.readable, 1);
}

static void a_stream_taken_for_a_peer_that_has_reset_it_says_so(void **state)
{
    (void)state;
    int32_t id = GET("/later");
    talk();
    struct rg_exchange *exchange = pending();
    /* Both in the same turn of the server. */
    nghttp2_submit_rst_stream(client.session, NGHTTP2_FLAG_NONE, id, NGHTTP2_CANCEL);
    client_flush(&client);
    take_over(exchange);
    adopt();
    peer_turn(&reactor);
    assert_int_equal(owner.result, UV_ECONNRESET);
}

/* ---- tunnels (RFC 8441) ---- */

#define TUNNEL(path) SUBMIT(true, HEAD("CONNECT", path), ":protocol: websocket", "x: y")

static void the_peer_is_told_that_tunnels_are_possible(void **state)
{
    (void)state;
    assert_int_equal(nghttp2_session_get_remote_settings(client.session,
                                                         NGHTTP2_SETTINGS_ENABLE_CONNECT_PROTOCOL),
                     1);
    assert_int_equal(nghttp2_session_get_remote_settings(client.session,
                                                         NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS),
                     100);
}

static void a_tunnel_goes_both_ways(void **state)
{
    (void)state;
    client.keeps_upload_open = true;
    rg_buf_add_c(&client.upload, "early");
    int32_t id = TUNNEL("/take");
    talk();
    adopt();
    assert_int_equal(answer(id)->status, 200);
    assert_int_equal(seen.early.n, 5);
    assert_memory_equal(seen.early.p, "early", 5);
    rg_buf_add_c(&client.upload, " and late");
    nghttp2_session_resume_data(client.session, id);
    talk();
    assert_int_equal(owner.got.n, 9);
    assert_memory_equal(owner.got.p, " and late", 9);
    rg_stream_write(seen.taken, "back", 4);
    talk();
    assert_body(id, "back");

    client.keeps_upload_open = false;
    nghttp2_session_resume_data(client.session, id);
    talk();
    assert_int_equal(owner.result, 0);
    assert_false(answer(id)->is_over);
    rg_stream_close(&seen.taken);
    talk();
    assert_true(answer(id)->is_over);
    assert_int_equal(answer(id)->code, NGHTTP2_NO_ERROR);
}

static void a_tunnel_that_we_close_first_is_over(void **state)
{
    (void)state;
    client.keeps_upload_open = true;
    int32_t id = TUNNEL("/take");
    talk();
    adopt();
    rg_stream_close(&seen.taken);
    talk();
    assert_true(answer(id)->is_over);
    assert_int_equal(answer(id)->code, NGHTTP2_NO_ERROR);
}

static void what_a_tunnels_owner_does_not_read_stays_with_the_peer(void **state)
{
    (void)state;
    client.keeps_upload_open = true;
    rg_buf_add(&client.upload, big, BIG_N);
    owner.reads_nothing = true;
    int32_t id = TUNNEL("/take");
    talk();
    adopt();
    talk();
    assert_true(seen.early.n <= 65535);
    assert_int_equal(nghttp2_session_get_stream_remote_window_size(client.session, id), 0);
    assert_true(nghttp2_session_get_remote_window_size(client.session) > 0);

    /* What it reads makes room; an owner that reads little is called again. */
    owner.reads_nothing = false;
    owner.reads_at_most = 1000;
    rg_stream_want(seen.taken, false, false);
    rg_stream_want(seen.taken, true, false);
    talk();
    assert_int_equal(owner.got.n, BIG_N - seen.early.n);
    assert_memory_equal(owner.got.p, big + seen.early.n, owner.got.n);
}

static void bytes_may_wait_while_reading_is_off(void **state)
{
    (void)state;
    client.keeps_upload_open = true;
    int32_t id = TUNNEL("/take");
    talk();
    adopt();
    rg_stream_want(seen.taken, false, false);
    rg_buf_add_c(&client.upload, "bytes");
    nghttp2_session_resume_data(client.session, id);
    talk();
    assert_int_equal(owner.readable + owner.hangups, 0);
    rg_stream_want(seen.taken, true, false);
    talk();
    assert_int_equal(owner.got.n, 5);
}

static void a_plain_answer_does_not_open_a_tunnel(void **state)
{
    (void)state;
    client.keeps_upload_open = true;
    int32_t id = TUNNEL("/echo");
    talk();
    assert_int_equal(answer(id)->status, 400);
    assert_true(answer(id)->is_over);
    assert_int_equal(seen.calls, 1);
}

/* ---- draining ---- */

static void draining_says_goaway_and_lets_streams_finish(void **state)
{
    (void)state;
    int32_t a = GET("/later"), b = GET("/take");
    talk();
    adopt();
    rg_http_server_drain(server);
    rg_http_server_drain(server);
    talk();
    assert_true(client.has_goaway);
    assert_int_equal(client.goaway_code, NGHTTP2_NO_ERROR);
    assert_int_equal(client.goaway_last_id, b);
    assert_false(client.peer.has_seen_end);

    respond(pending(), 200, RG_STR("<late>"));
    rg_stream_write(seen.taken, "last", 4);
    talk();
    assert_body(a, "<late>");
    assert_false(client.peer.has_seen_end);
    rg_stream_close(&seen.taken);
    talk();
    assert_body(b, "last");
    assert_closed();
}

static void draining_closes_an_idle_connection(void **state)
{
    (void)state;
    rg_http_server_drain(server);
    talk();
    assert_cut_off(NGHTTP2_NO_ERROR);
}

static void a_handler_may_drain_the_server(void **state)
{
    (void)state;
    seen.drains = true;
    int32_t id = GET("/echo");
    talk();
    assert_body(id, "<GET /echo |host=h|>");
    assert_cut_off(NGHTTP2_NO_ERROR);
}

static void closing_all_leaves_nothing(void **state)
{
    (void)state;
    GET("/later");
    GET("/take");
    talk();
    adopt();
    rg_http_server_close_all(server);
    assert_int_equal(rg_http_server_connections(server), 0);
    assert_null(pending());
    assert_int_equal(owner.result, UV_ECONNRESET);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
#define BARE(name) cmocka_unit_test_setup_teardown(name, setup_bare, teardown)

int main(void)
{
    static const struct CMUnitTest tests[] = {
        TEST(a_request_is_answered),
        TEST(many_requests_share_a_connection),
        TEST(head_gets_the_head_only),
        TEST(fields_of_the_connection_are_left_out_and_values_cleaned),
        TEST(cookies_in_pieces_are_one_field),
        TEST(host_may_stand_for_the_authority),
        TEST(options_may_be_for_the_whole_server),
        TEST(a_body_in_many_frames_is_collected),
        TEST(a_body_longer_than_the_windows_arrives),
        TEST(a_body_that_says_that_it_is_too_long_is_refused_unread),
        TEST(a_body_that_becomes_too_long_is_refused),
        TEST(unfinished_requests_have_a_limit_together),
        TEST(heads_of_unfinished_requests_count),
        TEST(a_length_that_is_not_kept_resets_the_stream),
        TEST(who_expects_it_is_told_to_go_on),
        TEST(trailers_are_dropped),
        TEST(an_answer_may_come_later),
        TEST(a_handler_may_answer_another_exchange),
        TEST(a_handle_of_a_stream_that_was_reset_finds_nothing),
        TEST(a_handle_of_a_peer_that_is_gone_finds_nothing),
        TEST(what_is_reset_with_the_same_bytes_is_never_handled),
        TEST(connect_is_refused),
        TEST(odd_targets_are_refused),
        TEST(fields_have_limits),
        TEST(a_method_may_not_be_too_long),
        BARE(a_big_answer_waits_for_the_peers_windows),
        BARE(an_answer_that_the_peer_does_not_take_is_reset),
        TEST(what_a_taker_writes_arrives_as_the_answers_body),
        TEST(closing_a_taken_stream_ends_the_answer_in_good_order),
        TEST(closing_with_something_unsaid_resets),
        BARE(an_end_that_the_window_does_not_take_comes_when_it_opens),
        BARE(an_end_that_the_peer_never_takes_becomes_a_reset),
        TEST(a_stream_may_be_taken_when_the_handler_is_long_gone),
        TEST(a_stream_that_is_shut_can_still_be_told_of_the_end),
        BARE(a_full_window_takes_nothing_until_it_opens),
        TEST(who_asks_to_write_where_there_is_room_is_told),
        TEST(a_reset_is_told_to_the_owner),
        TEST(a_reset_is_told_even_if_the_owner_wants_nothing),
        TEST(a_lost_connection_is_told_to_all_its_owners),
        TEST(an_owner_may_close_when_it_is_told_of_the_end),
        TEST(a_stream_taken_for_a_peer_that_has_reset_it_says_so),
        TEST(the_peer_is_told_that_tunnels_are_possible),
        TEST(a_tunnel_goes_both_ways),
        TEST(a_tunnel_that_we_close_first_is_over),
        TEST(what_a_tunnels_owner_does_not_read_stays_with_the_peer),
        TEST(bytes_may_wait_while_reading_is_off),
        TEST(a_plain_answer_does_not_open_a_tunnel),
        TEST(draining_says_goaway_and_lets_streams_finish),
        TEST(draining_closes_an_idle_connection),
        TEST(a_handler_may_drain_the_server),
        TEST(closing_all_leaves_nothing),
    };

    big = rg_alloc(BIG_N);
    for (size_t i = 0; i < BIG_N; i++)
        big[i] = (char)('a' + i % 23);
    int failed = RUN(tests);
    rg_free(big);
    rg_rcu_thread_stop();
    return failed;
}
