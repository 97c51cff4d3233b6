/*
 * Calls to a service that the test plays, on a loop that the test turns.
 */
#include "upstream_stage.h"

/* ---- requests ---- */

static void a_request_goes_out_as_it_is(void **state)
{
    static const struct rg_http_field fields[] = {
        {{"host", 4}, {"a.test:1", 8}}, {{"x-a", 3}, {"1", 1}}, {{"X-A", 3}, {"2", 1}}};
    struct rg_upstream_request request = {.method = RG_STR("PATCH"),
                                          .target = RG_STR("/a%20b?c=d&e"),
                                          .fields = fields,
                                          .fields_n = 3,
                                          .body = RG_STR("hello"),
                                          .has_body = true};

    (void)state;
    ask_with(&told, &request);
    peer = service_accept(&reactor, &service);
    service_expect(&reactor, &peer,
                   "PATCH /a%20b?c=d&e HTTP/1.1\r\nhost: a.test:1\r\nx-a: 1\r\nX-A: 2\r\n"
                   "content-length: 5\r\n\r\nhello");
    say(OK);
    expect_end(&told, "200 2|\nok");
}

static void a_request_without_a_body_says_nothing_of_one(void **state)
{
    (void)state;
    ask(&told, "GET", "", NULL);
    peer = service_accept(&reactor, &service);
    service_expect(&reactor, &peer, "GET / HTTP/1.1\r\nhost: a.test\r\n\r\n");
    assert_false(peer_has(&peer, "content-length"));
}

static void nothing_in_a_request_can_begin_another(void **state)
{
    const struct rg_http_field fields[] = {
        {RG_STR("host"), RG_STR("a")},
        {RG_STR("x"), RG_STR("a\r\n\r\nGET /b HTTP/1.1")},
        {RG_STR("y z"), RG_STR("a")},
        {RG_STR(""), RG_STR("a")},
        {RG_STR("Content-Length"), RG_STR("0")},
        {RG_STR("transfer-encoding"), RG_STR("chunked")},
        {RG_STR("Connection"), RG_STR("close")},
        {RG_STR("TE"), RG_STR("trailers")},
        {RG_STR("Expect"), RG_STR("100-continue")},
    };
    struct rg_upstream_request request = {.method = RG_STR("POST"),
                                          .target = RG_STR("/a HTTP/1.1\r\n\r\n\xc3#"),
                                          .fields = fields,
                                          .fields_n = RG_COUNT_OF(fields),
                                          .body = RG_STR(""),
                                          .has_body = true};

    (void)state;
    ask_with(&told, &request);
    peer = service_accept(&reactor, &service);
    service_expect(&reactor, &peer,
                   "POST /a%20HTTP/1.1%0D%0A%0D%0A%C3%23 HTTP/1.1\r\nhost: a\r\n"
                   "x: a    GET /b HTTP/1.1\r\ncontent-length: 0\r\n\r\n");
}

static void a_big_request_goes_out_as_the_service_reads(void **state)
{
    char *body = rg_alloc(BIG_N + 1);

    (void)state;
    memset(body, 'b', BIG_N);
    memcpy(body + BIG_N - 3, "end", 4);
    ask(&told, "PUT", "/big", body);
    rg_free(body);
    peer = service_accept(&reactor, &service);
    service_expect(&reactor, &peer, "bbbend");
    assert_true(peer.got.n > BIG_N);
    say(OK);
    expect_end(&told, "200 2|\nok");
    expect_reuse();
}

/* ---- answers ---- */

struct answer_row {
    const char *method, *answer, *told;
    bool closes; /* the service does, behind it */
};

static const struct answer_row answers[] = {
    {"GET", "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello", "200 5|\nhello", false},
    {"GET", "HTTP/1.1 200\r\ncontent-length: 0\r\n\r\n", "200 0|\n", false},
    {"GET", "HTTP/1.1 299 \xc3\xa4\r\ncontent-length: 1\r\n\r\na", "299 1|\na", false},
    {"POST",
     "HTTP/1.1 201 \r\ntransfer-encoding: chunked\r\n\r\n5;a=b\r\nhello\r\n6\r\n world\r\n0\r\nt: r"
     "\r\n\r\n",
     "201 -1|\nhello world|t: r", false},
    {"GET", "HTTP/1.1 200 OK\r\n\r\nto the end", "200 -1|\nto the end", true},
    {"GET", "HTTP/1.0 200 OK\r\n\r\n", "200 -1|\n", true},
    {"GET", "HTTP/1.0 200 OK\r\ncontent-length: 3\r\n\r\nabc", "200 3|\nabc", true},
    {"HEAD", "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n", "200 5|\n", false},
    {"HEAD", "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n", "200 -1|\n", false},
    {"HEAD", "HTTP/1.1 200 OK\r\n\r\n", "200 -1|\n", false},
    {"GET", "HTTP/1.1 204 No Content\r\n\r\n", "204 0|\n", false},
    {"GET", "HTTP/1.1 304 Not Modified\r\ncontent-length: 5\r\netag: \"a\"\r\n\r\n",
     "304 0|etag: \"a\"|\n", false},
    {"GET",
     "HTTP/1.1 103 Early Hints\r\nlink: a\r\n\r\nHTTP/1.1 100 \r\n\r\nHTTP/1.1 200 OK\r\n"
     "content-length: 1\r\n\r\na",
     "200 1|\na", false},
    {"GET",
     "HTTP/1.1 200 OK\r\nSet-Cookie: a=1\r\nset-cookie: b=2\r\nX-One: 1\r\nDate: d\r\n"
     "Connection: X-One , keep-alive\r\nkeep-alive: timeout=5\r\nUpgrade: h2c\r\nTrailer: t\r\n"
     "Proxy-Connection: x\r\ncontent-length: 1\r\n\r\na",
     "200 1|Set-Cookie: a=1|set-cookie: b=2|Date: d|\na", false},
};

static void answer_in_steps(const struct answer_row *row, size_t step)
{
    size_t n = strlen(row->answer);

    ask_first(row->method, NULL);
    for (size_t at = 0; at < n; at += step) {
        peer_put(&peer, row->answer + at, n - at < step ? n - at : step);
        if (step < n)
            peer_turn(&reactor);
    }
    if (row->closes)
        peer_close(&peer);
    expect_end(&told, row->told);
    forget(&told);
    rg_upstreams_close_all(upstreams);
    peer_close(&peer);
}

static void answers_are_told_whatever_their_form(void **state)
{
    (void)state;
    for (size_t i = 0; i < RG_COUNT_OF(answers); i++)
        answer_in_steps(&answers[i], SIZE_MAX / 2);
}

static void answers_may_come_byte_by_byte(void **state)
{
    (void)state;
    for (size_t i = 0; i < RG_COUNT_OF(answers); i++)
        answer_in_steps(&answers[i], 1);
}

static void chunks_that_come_together_are_one_piece(void **state)
{
    (void)state;
    ask_first("GET", NULL);
    say("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1\r\na\r\n1\r\nb\r\n1\r\nc\r\n");
    WAIT_FOR(&reactor, told.pieces > 0);
    assert_int_equal(told.pieces, 1);
    say("0\r\n\r\n");
    expect_end(&told, "200 -1|\nabc");
}

static void what_is_no_answer_ends_the_connection(void **state)
{
    static const char *const rows[] = {
        "HTTP/1.1 200 OK\r\ncontent-length: 1\r\ntransfer-encoding: chunked\r\n\r\n",
        "HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 1\r\n\r\na",
        "HTTP/1.1 200 OK\r\n folded\r\n\r\n",
        "HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n",
        "\r\nHTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\na",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1\nA",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1\r\nab\r\n",
        "SSH-2.0-x\r\n\r\n",
    };

    (void)state;
    for (size_t i = 0; i < RG_COUNT_OF(rows); i++) {
        ask_first("GET", NULL);
        say(rows[i]);
        expect_failure(&told, RG_UPSTREAM_MALFORMED);
        service_expect_end(&reactor, &peer);
        peer_close(&peer);
        forget(&told);
    }
}

static void a_head_has_limits(void **state)
{
    char line[1100];

    (void)state;
    ask_first("GET", NULL);
    memset(line, 'a', sizeof(line));
    say("HTTP/1.1 200 OK\r\nx: ");
    peer_put(&peer, line, sizeof(line));
    expect_failure(&told, RG_UPSTREAM_MALFORMED);
    peer_close(&peer);
    forget(&told);

    ask_first("GET", NULL);
    say("HTTP/1.1 200 OK\r\n");
    for (int i = 0; i < 101; i++)
        put(&peer, "a:b\r\n");
    expect_failure(&told, RG_UPSTREAM_MALFORMED);
}

static void interim_answers_have_a_limit(void **state)
{
    (void)state;
    ask_first("GET", NULL);
    for (int i = 0; i < 10; i++)
        say("HTTP/1.1 100 Continue\r\n\r\n");
    assert_int_equal(told.failures, 0);
    say("HTTP/1.1 102 Processing\r\n\r\n");
    expect_failure(&told, RG_UPSTREAM_MALFORMED);
}

static void an_answer_that_ends_early_is_broken(void **state)
{
    static const char *const rows[] = {
        "",
        "HTTP/1.1 200 OK\r\n",
        "HTTP/1.1 100 Continue\r\n\r\n",
        "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\na",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1\r\na\r\n",
    };

    (void)state;
    for (size_t i = 0; i < RG_COUNT_OF(rows); i++) {
        ask_first("GET", NULL);
        say(rows[i]);
        peer_close(&peer);
        expect_failure(&told, RG_UPSTREAM_BROKEN);
        assert_true(service_is_alone(&reactor, &service));
        forget(&told);
    }
}

static void a_whole_answer_before_a_reset_is_one(void **state)
{
    char *body = rg_alloc(100000);

    (void)state;
    memset(body, 'b', 100000);
    ask_first("GET", NULL);
    /* More than is read at once. */
    put(&peer, "HTTP/1.1 200 OK\r\ncontent-length: 100000\r\n\r\n");
    peer_put(&peer, body, 100000);
    rg_socket_set_abort(peer.fd);
    peer_close(&peer);
    WAIT_FOR(&reactor, told.ends + told.failures > 0);
    assert_int_equal(told.ends, 1);
    assert_int_equal(told.text.n, strlen("200 100000|\n") + 100000);
    WAIT_FOR(&reactor, is_unused());
    rg_free(body);
}

static void a_reset_in_a_body_without_a_length_is_broken(void **state)
{
    (void)state;
    ask_first("GET", NULL);
    say("HTTP/1.1 200 OK\r\n\r\nhalf of");
    WAIT_FOR(&reactor, told.pieces > 0);
    rg_socket_set_abort(peer.fd);
    peer_close(&peer);
    expect_failure(&told, RG_UPSTREAM_BROKEN);
}

/* ---- the pool ---- */

static void a_connection_is_kept_and_owns_no_buffer(void **state)
{
    (void)state;
    keep_one();
    struct rg_upstream_conn *conn = the_address()->idle;
    assert_int_equal(the_address()->idle_n, 1);
    assert_null(conn->in.p);
    expect_reuse();
    assert_ptr_equal(the_address()->idle, conn);
}

static void the_end_of_a_call_may_begin_the_next_on_its_connection(void **state)
{
    (void)state;
    ask_first("GET", NULL);
    told.follows = "/second";
    say(OK);
    service_expect(&reactor, &peer, "GET /second HTTP/1.1\r\n");
    say(OK);
    expect_end(&second, "200 2|\nok");
    assert_true(service_is_alone(&reactor, &service));
}

static void calls_at_a_time_have_connections_of_their_own(void **state)
{
    struct peer other;

    (void)state;
    ask_first("GET", NULL);
    ask(&second, "GET", "/second", NULL);
    other = service_accept(&reactor, &service);
    service_expect(&reactor, &other, "GET /second");
    put(&other, "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nother");
    expect_end(&second, "200 5|\nother");
    say(OK);
    expect_end(&told, "200 2|\nok");
    assert_int_equal(the_address()->idle_n, 2);
    peer_close(&other);
    WAIT_FOR(&reactor, the_address()->idle_n == 1);
}

static void places_do_not_share_connections(void **state)
{
    struct service elsewhere = service_open(16);
    struct rg_upstream_request request = {
        .method = RG_STR("GET"), .target = RG_STR("/"), .port = elsewhere.port};
    struct peer other;

    (void)state;
    keep_one();
    ask_with(&second, &request);
    other = service_accept(&reactor, &elsewhere);
    put(&other, OK);
    expect_end(&second, "200 2|\nok");
    peer_close(&other);
    service_close(&elsewhere);
}

static void no_more_connections_are_kept_than_wanted(void **state)
{
    struct peer others[3];
    struct told all[3];

    (void)state;
    upstreams->settings.max_idle = 2;
    memset(all, 0, sizeof(all));
    for (int i = 0; i < 3; i++) {
        ask(&all[i], "GET", "/", NULL);
        others[i] = service_accept(&reactor, &service);
    }
    for (int i = 0; i < 3; i++) {
        put(&others[i], OK);
        expect_end(&all[i], "200 2|\nok");
        forget(&all[i]);
    }
    assert_int_equal(the_address()->idle_n, 2);
    service_expect_end(&reactor, &others[2]);
    for (int i = 0; i < 3; i++)
        peer_close(&others[i]);
}

static void an_idle_connection_ends_in_time_and_its_pool_with_it(void **state)
{
    (void)state;
    keep_one();
    peer_let_pass(&reactor, settings.idle_timeout_ms);
    assert_true(is_unused());
    peer_let_pass(&reactor, settings.idle_timeout_ms);
    assert_null(upstreams->pools);
    service_expect_end(&reactor, &peer);
}

static void connection_close_is_honoured(void **state)
{
    (void)state;
    ask_first("GET", NULL);
    say("HTTP/1.1 200 OK\r\nConnection: Close\r\ncontent-length: 2\r\n\r\nok");
    expect_end(&told, "200 2|\nok");
    expect_no_reuse();
}

static void an_answer_of_http_1_0_is_the_last_unless_it_says_otherwise(void **state)
{
    (void)state;
    ask_first("GET", NULL);
    say("HTTP/1.0 200 OK\r\nconnection: keep-alive\r\ncontent-length: 2\r\n\r\nok");
    expect_end(&told, "200 2|\nok");
    expect_reuse();
    forget(&told);
    forget(&second);
    ask(&told, "GET", "/third", NULL);
    service_expect(&reactor, &peer, "GET /third");
    say("HTTP/1.0 200 OK\r\ncontent-length: 2\r\n\r\nok");
    expect_end(&told, "200 2|\nok");
    expect_no_reuse();
}

static void what_follows_an_answer_costs_the_connection(void **state)
{
    (void)state;
    ask_first("GET", NULL);
    say(OK "HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\npoison");
    expect_end(&told, "200 2|\nok");
    expect_no_reuse();
}

static void what_comes_unasked_costs_the_connection(void **state)
{
    (void)state;
    keep_one();
    say("HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\npoison");
    expect_no_reuse();
}

static void what_came_unasked_in_the_same_turn_is_not_taken_for_the_answer(void **state)
{
    (void)state;
    keep_one();
    put(&peer, "HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\npoison");
    expect_no_reuse();
}

static void an_answer_before_the_end_of_its_request_is_told_and_costs_the_connection(void **state)
{
    /* More than the sockets take of it, twice. */
    size_t n = 4 * BIG_N;
    char *body = rg_alloc(n + 1);

    (void)state;
    memset(body, 'b', n);
    body[n] = '\0';
    ask_first("POST", body);
    rg_free(body);
    say("HTTP/1.1 413 Content Too Large\r\ncontent-length: 2\r\n\r\nno");
    expect_end(&told, "413 2|\nno");
    assert_true(peer.got.n < n);
    expect_no_reuse();
}

static void an_early_answer_is_read_although_writing_fails(void **state)
{
    char *body = rg_alloc(BIG_N + 1);

    (void)state;
    memset(body, 'b', BIG_N);
    body[BIG_N] = '\0';
    ask_first("POST", body);
    rg_free(body);
    put(&peer, "HTTP/1.1 401 Unauthorized\r\ncontent-length: 2\r\n\r\nno");
    rg_socket_set_abort(peer.fd);
    peer_close(&peer);
    expect_end(&told, "401 2|\nno");
}

/* ---- a second try ---- */

static void a_connection_that_the_service_closed_meanwhile_is_not_used(void **state)
{
    (void)state;
    keep_one();
    peer_close(&peer);
    ask(&second, "POST", "/second", "b");
    peer = service_accept(&reactor, &service);
    service_expect(&reactor, &peer, "POST /second");
    say(OK);
    expect_end(&second, "200 2|\nok");
}

/* Asks on a kept connection, which the service closes when it has the request. */
static void lose_second(const char *method, const char *body)
{
    keep_one();
    ask(&second, method, "/second", body);
    service_expect(&reactor, &peer, "/second HTTP/1.1");
    peer_close(&peer);
}

static void an_idempotent_request_is_sent_again(void **state)
{
    static const char *const methods[] = {"GET", "HEAD", "PUT", "DELETE", "OPTIONS"};

    (void)state;
    for (size_t i = 0; i < RG_COUNT_OF(methods); i++) {
        lose_second(methods[i], "body");
        peer = service_accept(&reactor, &service);
        service_expect(&reactor, &peer,
                       "/second HTTP/1.1\r\nhost: a.test\r\ncontent-length: 4\r\n"
                       "\r\nbody");
        say("HTTP/1.1 204 No Content\r\nconnection: close\r\n\r\n");
        expect_end(&second, "204 0|\n");
        forget(&second);
        peer_close(&peer);
    }
}

static void but_once(void **state)
{
    (void)state;
    lose_second("GET", NULL);
    peer = service_accept(&reactor, &service);
    service_expect(&reactor, &peer, "/second");
    peer_close(&peer);
    expect_failure(&second, RG_UPSTREAM_BROKEN);
    assert_true(service_is_alone(&reactor, &service));
}

static void one_that_is_not_idempotent_is_not_sent_again(void **state)
{
    (void)state;
    lose_second("POST", "body");
    expect_failure(&second, RG_UPSTREAM_BROKEN);
    assert_true(service_is_alone(&reactor, &service));
}

static void nor_is_one_whose_answer_had_begun(void **state)
{
    (void)state;
    keep_one();
    ask(&second, "GET", "/second", NULL);
    service_expect(&reactor, &peer, "/second");
    say("H");
    peer_close(&peer);
    expect_failure(&second, RG_UPSTREAM_BROKEN);
    assert_true(service_is_alone(&reactor, &service));
}

/* ---- time ---- */

static void a_head_that_does_not_come_times_out(void **state)
{
    (void)state;
    ask_first("GET", NULL);
    say("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n");
    peer_move_time(&reactor, TIMEOUT_MS - RG_WHEEL_TICK_MS);
    assert_int_equal(told.failures, 0);
    /* A piece of a head is no progress. */
    say("a: b\r\n");
    peer_let_pass(&reactor, RG_WHEEL_TICK_MS);
    expect_failure(&told, RG_UPSTREAM_TIMEOUT);
    service_expect_end(&reactor, &peer);
}

static void a_body_that_stops_coming_times_out_and_one_that_comes_slowly_does_not(void **state)
{
    (void)state;
    ask_first("GET", NULL);
    say("HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n");
    WAIT_FOR(&reactor, told.heads == 1);
    for (unsigned i = 1; i < 6; i++) {
        peer_move_time(&reactor, TIMEOUT_MS - RG_WHEEL_TICK_MS);
        say("a");
        WAIT_FOR(&reactor, told.pieces == i);
    }
    peer_let_pass(&reactor, TIMEOUT_MS);
    expect_failure(&told, RG_UPSTREAM_TIMEOUT);
}

static void a_service_that_does_not_read_times_out(void **state)
{
    char *body = rg_alloc(BIG_N + 1);

    (void)state;
    memset(body, 'b', BIG_N);
    body[BIG_N] = '\0';
    ask_first("PUT", body);
    rg_free(body);
    peer_let_pass(&reactor, TIMEOUT_MS);
    expect_failure(&told, RG_UPSTREAM_TIMEOUT);
}

static void the_time_of_a_pause_does_not_count(void **state)
{
    (void)state;
    told.pauses = AT_HEAD;
    ask_first("GET", NULL);
    say("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n");
    WAIT_FOR(&reactor, told.heads == 1);
    peer_let_pass(&reactor, 10 * TIMEOUT_MS);
    assert_int_equal(told.failures, 0);
    rg_upstream_resume(told.call);
    peer_let_pass(&reactor, TIMEOUT_MS);
    expect_failure(&told, RG_UPSTREAM_TIMEOUT);
}

/* ---- pauses ---- */

static void nothing_is_told_during_a_pause(void **state)
{
    (void)state;
    told.pauses = AT_HEAD;
    ask_first("GET", NULL);
    say("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n");
    WAIT_FOR(&reactor, told.heads == 1);
    peer_turn(&reactor);
    assert_int_equal(told.pieces + told.ends, 0);
    told.pauses = AT_BODY;
    rg_upstream_resume(told.call);
    assert_int_equal(told.pieces, 0);
    WAIT_FOR(&reactor, told.pieces == 1);
    peer_turn(&reactor);
    assert_int_equal(told.ends, 0);
    rg_upstream_resume(told.call);
    assert_int_equal(told.ends, 0);
    expect_end(&told, "200 -1|\nabc");
    expect_reuse();
}

static void a_paused_answer_stays_with_the_service(void **state)
{
    char chunk[65536];
    size_t put = 0;
    ssize_t n;

    (void)state;
    memset(chunk, 'c', sizeof(chunk));
    told.pauses = AT_HEAD;
    ask_first("GET", NULL);
    say("HTTP/1.1 200 OK\r\ncontent-length: 104857600\r\n\r\n");
    WAIT_FOR(&reactor, told.heads == 1);
    do {
        n = send(peer.fd, chunk, sizeof(chunk), MSG_NOSIGNAL);
        put += n > 0 ? (size_t)n : 0;
        peer_turn(&reactor);
    } while (n > 0 && put < 104857600);
    assert_true(put < 104857600);
    assert_int_equal(told.pieces, 0);
    assert_true(told.call->conn->in.cap <= 2 * RG_READ_BUFFER);
}

static void what_came_before_the_end_is_told_after_a_pause(void **state)
{
    (void)state;
    told.pauses = AT_HEAD;
    ask_first("GET", NULL);
    say("HTTP/1.1 200 OK\r\n\r\n");
    WAIT_FOR(&reactor, told.heads == 1);
    say("all of it");
    peer_close(&peer);
    peer_turn(&reactor);
    /* Nobody watches the socket meanwhile: a hang-up is told once. */
    assert_int_equal(uv_backend_timeout(&reactor.loop), -1);
    rg_upstream_resume(told.call);
    expect_end(&told, "200 -1|\nall of it");
}

/* As in a turn of the loop in which both are due. */
static void resume_as_the_service_closes(void)
{
    struct rg_stream *stream = told.call->conn->stream;

    peer_close(&peer);
    rg_upstream_resume(told.call);
    stream->events->on_readable(stream);
}

static void an_end_in_the_turn_of_a_resume_takes_nothing_away(void **state)
{
    (void)state;
    told.pauses = AT_BODY;
    ask_first("GET", NULL);
    say(OK);
    WAIT_FOR(&reactor, told.pieces == 1);
    resume_as_the_service_closes();
    expect_end(&told, "200 2|\nok");
    forget(&told);
    told.pauses = AT_HEAD;
    ask_first("GET", NULL);
    say("HTTP/1.1 200 OK\r\n\r\nall of it");
    WAIT_FOR(&reactor, told.heads == 1);
    resume_as_the_service_closes();
    expect_end(&told, "200 -1|\nall of it");
}

/* ---- the end of calls ---- */

static void a_call_may_be_cancelled_whenever(void **state)
{
    (void)state;
    /* While connecting. */
    rg_upstream_cancel(ask(&told, "GET", "/", NULL));
    assert_true(is_unused());
    peer = service_accept(&reactor, &service);
    service_expect_end(&reactor, &peer);
    peer_close(&peer);
    /* While the answer is awaited. */
    ask_first("GET", NULL);
    rg_upstream_cancel(told.call);
    service_expect_end(&reactor, &peer);
    peer_close(&peer);
    /* By what it tells. */
    for (enum place place = AT_HEAD; place <= AT_BODY; place++) {
        told.cancels = place;
        ask_first("GET", NULL);
        say(OK);
        WAIT_FOR(&reactor, told.call == NULL);
        service_expect_end(&reactor, &peer);
        peer_close(&peer);
        assert_int_equal(told.ends + told.failures, 0);
        forget(&told);
    }
    /* With something kept for the end of the turn. */
    told.pauses = AT_HEAD;
    ask_first("GET", NULL);
    say(OK);
    WAIT_FOR(&reactor, told.heads == 1);
    rg_upstream_resume(told.call);
    rg_upstream_cancel(told.call);
    peer_turn(&reactor);
    assert_int_equal(told.pieces + told.ends + told.failures, 0);
    assert_true(is_unused());
}

static void closing_all_tells_nobody(void **state)
{
    struct told third = {0};

    (void)state;
    keep_one();
    ask(&told, "GET", "/busy", NULL);
    ask(&second, "GET", "/idle", NULL);
    struct peer idle = service_accept(&reactor, &service);
    put(&idle, OK);
    expect_end(&second, "200 2|\nok");
    forget(&second);
    upstreams->settings.max_idle = 0;
    ask(&second, "GET", "/connecting", NULL);
    struct rg_upstream_request request = {
        .method = RG_STR("GET"), .target = RG_STR("/"), .host = "localhost"};
    ask_with(&third, &request);
    rg_upstreams_close_all(upstreams);
    assert_true(is_unused());
    peer_turn(&reactor);
    assert_int_equal(told.ends + told.failures + second.ends + second.failures, 0);
    assert_int_equal(third.ends + third.failures, 0);
    peer_close(&idle);
}

/* ---- connecting ---- */

static void a_name_is_looked_up(void **state)
{
    struct rg_upstream_request request = {
        .method = RG_STR("GET"), .target = RG_STR("/"), .host = "localhost"};

    (void)state;
    ask_with(&told, &request);
    peer = service_accept(&reactor, &service);
    say(OK);
    expect_end(&told, "200 2|\nok");
}

static void a_name_that_is_none_is_unreachable(void **state)
{
    struct rg_upstream_request request = {
        .method = RG_STR("GET"), .target = RG_STR("/"), .host = "not a name"};

    (void)state;
    ask_with(&told, &request);
    expect_failure(&told, RG_UPSTREAM_UNREACHABLE);
}

static void a_port_without_a_service_is_unreachable(void **state)
{
    (void)state;
    service_close(&service);
    ask(&told, "GET", "/", NULL);
    expect_failure(&told, RG_UPSTREAM_UNREACHABLE);
    assert_true(is_unused());
    service = service_open(1);
}

static void a_service_that_does_not_accept_is_unreachable_in_time(void **state)
{
    struct service full = service_open(0);
    struct rg_upstream_request request = {
        .method = RG_STR("GET"), .target = RG_STR("/"), .port = full.port};
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)full.port)};
    int fds[8];

    (void)state;
    /* Once its queue is full, the system answers nobody any more. */
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    for (size_t i = 0; i < RG_COUNT_OF(fds); i++) {
        fds[i] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        (void)!connect(fds[i], (struct sockaddr *)&address, sizeof(address));
    }
    ask_with(&told, &request);
    peer_turn(&reactor);
    peer_move_time(&reactor, settings.connect_timeout_ms - RG_WHEEL_TICK_MS);
    assert_int_equal(told.failures, 0);
    peer_let_pass(&reactor, RG_WHEEL_TICK_MS);
    expect_failure(&told, RG_UPSTREAM_UNREACHABLE);
    for (size_t i = 0; i < RG_COUNT_OF(fds); i++)
        close(fds[i]);
    service_close(&full);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_request_goes_out_as_it_is),
        TEST(a_request_without_a_body_says_nothing_of_one),
        TEST(nothing_in_a_request_can_begin_another),
        TEST(a_big_request_goes_out_as_the_service_reads),
        TEST(answers_are_told_whatever_their_form),
        TEST(answers_may_come_byte_by_byte),
        TEST(chunks_that_come_together_are_one_piece),
        TEST(what_is_no_answer_ends_the_connection),
        TEST(a_head_has_limits),
        TEST(interim_answers_have_a_limit),
        TEST(an_answer_that_ends_early_is_broken),
        TEST(a_whole_answer_before_a_reset_is_one),
        TEST(a_reset_in_a_body_without_a_length_is_broken),
        TEST(a_connection_is_kept_and_owns_no_buffer),
        TEST(the_end_of_a_call_may_begin_the_next_on_its_connection),
        TEST(calls_at_a_time_have_connections_of_their_own),
        TEST(places_do_not_share_connections),
        TEST(no_more_connections_are_kept_than_wanted),
        TEST(an_idle_connection_ends_in_time_and_its_pool_with_it),
        TEST(connection_close_is_honoured),
        TEST(an_answer_of_http_1_0_is_the_last_unless_it_says_otherwise),
        TEST(what_follows_an_answer_costs_the_connection),
        TEST(what_comes_unasked_costs_the_connection),
        TEST(what_came_unasked_in_the_same_turn_is_not_taken_for_the_answer),
        TEST(an_answer_before_the_end_of_its_request_is_told_and_costs_the_connection),
        TEST(an_early_answer_is_read_although_writing_fails),
        TEST(a_connection_that_the_service_closed_meanwhile_is_not_used),
        TEST(an_idempotent_request_is_sent_again),
        TEST(but_once),
        TEST(one_that_is_not_idempotent_is_not_sent_again),
        TEST(nor_is_one_whose_answer_had_begun),
        TEST(a_head_that_does_not_come_times_out),
        TEST(a_body_that_stops_coming_times_out_and_one_that_comes_slowly_does_not),
        TEST(a_service_that_does_not_read_times_out),
        TEST(the_time_of_a_pause_does_not_count),
        TEST(nothing_is_told_during_a_pause),
        TEST(a_paused_answer_stays_with_the_service),
        TEST(what_came_before_the_end_is_told_after_a_pause),
        TEST(an_end_in_the_turn_of_a_resume_takes_nothing_away),
        TEST(a_call_may_be_cancelled_whenever),
        TEST(closing_all_tells_nobody),
        TEST(a_name_is_looked_up),
        TEST(a_name_that_is_none_is_unreachable),
        TEST(a_port_without_a_service_is_unreachable),
        TEST(a_service_that_does_not_accept_is_unreachable_in_time),
    };

    stage_begin();
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    rg_rcu_thread_stop();
    return failed;
}
