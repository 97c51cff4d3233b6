/* How an answer gets from the service to the client, and what happens where one of them fails. */
#include "stage.h"

#define LABELS(status)                                                                             \
    "method=\"GET\",path=\"/open/{id}\",target=\"http\",response_from=\"http\",status=\"" status   \
    "\""

static void ask_first(void)
{
    ask("GET /open/7 HTTP/1.1\r\n" HOST "\r\n");
    expect_asked("\r\n\r\n");
}

static void an_answer_comes_back_as_it_is(void **state)
{
    (void)state;
    ask_first();
    answer("HTTP/1.1 404 Gone Astray\r\nX-A: 1\r\nx-a: 2\r\nDate: yesterday\r\nKeep-Alive: 5\r\n"
           "Content-Length: 4\r\n\r\nnope");
    expect_answer("\r\n\r\nnope");
    assert_true(peer_has(&client, "HTTP/1.1 404 "));
    assert_true(peer_has(&client, "x-a: 1\r\nx-a: 2\r\ndate: yesterday\r\n"));
    assert_true(peer_has(&client, "content-length: 4\r\n"));
    assert_false(peer_has(&client, "keep-alive"));
    assert_false(peer_has(&client, "x-request-id"));
    expect_count(LABELS("ok"), 1);
}

static void pieces_come_as_the_service_sends_them(void **state)
{
    (void)state;
    ask_first();
    answer("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\none\r\n");
    expect_answer("one\r\n");
    answer("3\r\ntwo\r\n");
    expect_answer("two\r\n");
    assert_false(peer_has(&client, "0\r\n\r\n"));
    answer("0\r\n\r\n");
    expect_answer("0\r\n\r\n");
}

static void to_head_the_service_need_not_send_all_of_it(void **state)
{
    (void)state;
    ask("HEAD /open/7 HTTP/1.1\r\n" HOST "\r\n");
    expect_asked("\r\n\r\n");
    answer("HTTP/1.1 200 OK\r\ncontent-length: 1000000\r\nx-a: 1\r\n\r\nthe beg");
    expect_answer("\r\n\r\n");
    assert_true(peer_has(&client, "content-length: 1000000\r\n"));
    assert_true(peer_has(&client, "x-a: 1\r\n"));
    assert_false(peer_has(&client, "the beg"));
    service_expect_end(&reactor, &upstream);
    /* And the client can go on. */
    peer_forget(&client);
    peer_close(&upstream);
    upstream = (struct peer){.fd = -1};
    ask_first();
}

static void a_service_that_hangs_up_is_502(void **state)
{
    (void)state;
    /* POST is not sent twice. */
    ask("POST /open/7 HTTP/1.1\r\n" HOST "\r\n");
    expect_asked("\r\n\r\n");
    peer_close(&upstream);
    expect_refusal("HTTP/1.1 502 ", "{\"message\":\"Bad Gateway\"}");
    assert_true(peer_has(&client, "x-request-id: "));
}

static void a_malformed_answer_is_502(void **state)
{
    (void)state;
    ask_first();
    answer("HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nab");
    expect_refusal("HTTP/1.1 502 ", "{\"message\":\"Bad Gateway\"}");
    expect_count(LABELS("unreachable"), 1);
}

static void a_service_that_is_not_there_is_502(void **state)
{
    (void)state;
    service_close(&service);
    ask("GET /open/7 HTTP/1.1\r\n" HOST "\r\n");
    expect_answer("{\"message\":\"Bad Gateway\"}");
    expect_count(LABELS("unreachable"), 1);
}

static void a_service_that_is_silent_is_504(void **state)
{
    (void)state;
    ask_first();
    peer_let_pass(&reactor, TIMEOUT_MS - 1000);
    assert_int_equal(peer_take(&client, SIZE_MAX), 0);
    peer_let_pass(&reactor, 1000);
    expect_refusal("HTTP/1.1 504 ", "{\"message\":\"Gateway Timeout\"}");
    expect_count(LABELS("request_timeout"), 1);
}

static void an_answer_that_breaks_off_is_not_finished(void **state)
{
    (void)state;
    ask_first();
    answer("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\none\r\n");
    expect_answer("one\r\n");
    peer_close(&upstream);
    service_expect_end(&reactor, &client);
    assert_false(peer_has(&client, "0\r\n\r\n"));
    expect_count(LABELS("ok"), 1);
}

static void a_client_that_leaves_ends_the_call(void **state)
{
    (void)state;
    ask_first();
    peer_close(&client);
    service_expect_end(&reactor, &upstream);
}

static void so_does_one_that_leaves_in_the_middle(void **state)
{
    (void)state;
    ask_first();
    answer("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\none\r\n");
    expect_answer("one\r\n");
    peer_close(&client);
    service_expect_end(&reactor, &upstream);
}

static void the_end_of_the_server_ends_the_call(void **state)
{
    (void)state;
    ask_first();
    rg_http_server_close_all(server);
    service_expect_end(&reactor, &upstream);
}

/* Sends until the service's socket takes no more, turning the loop. Returns how much it took. */
static size_t flood(void)
{
    static char piece[65536];
    size_t sent = 0;

    for (int idle = 0; idle < 20 && sent < ((size_t)256 << 20);) {
        ssize_t n = send(upstream.fd, piece, sizeof(piece), MSG_NOSIGNAL);
        sent += n > 0 ? (size_t)n : 0;
        idle = n > 0 ? 0 : idle + 1;
        peer_turn(&reactor);
    }
    return sent;
}

static void a_client_that_does_not_read_holds_the_service_back(void **state)
{
    size_t n;
    char head[100];

    (void)state;
    ask_first();
    snprintf(head, sizeof(head), "HTTP/1.1 200 OK\r\ncontent-length: %zu\r\n\r\n", (size_t)1 << 40);
    answer(head);
    n = flood();
    assert_in_range(n, 1, (size_t)64 << 20);
    /* What is kept for it is taken, and there is room again. */
    size_t more = 0;
    WAIT_FOR(&reactor, (more += peer_take(&client, SIZE_MAX)) >= n);
    assert_true(flood() > 0);
}

/* ---- definitions ---- */

#define ITEMS(method, status)                                                                      \
    "method=\"" method                                                                             \
    "\",path=\"/items\",target=\"http\",response_from=\"http\",status=\"" status "\""

static void ask_items(void)
{
    ask("GET /items HTTP/1.1\r\n" HOST "\r\n");
    expect_asked("\r\n\r\n");
}

static void a_service_that_is_silent_is_502_for_those_who_know_only_that(void **state)
{
    (void)state;
    ask_items();
    peer_let_pass(&reactor, TIMEOUT_MS);
    expect_refusal("HTTP/1.1 502 ", "Bad gateway.");
    expect_count(ITEMS("GET", "request_timeout"), 1);
}

static void a_service_that_fails_is_502(void **state)
{
    (void)state;
    service_close(&service);
    ask("GET /items HTTP/1.1\r\n" HOST "\r\n");
    expect_answer("Bad gateway.");
    expect_count(ITEMS("GET", "unreachable"), 1);
}

/* ---- bodies on their way in ---- */

static void a_body_goes_on_as_it_comes(void **state)
{
    (void)state;
    ask("POST /items HTTP/1.1\r\n" HOST "transfer-encoding: chunked\r\n\r\n3\r\none\r\n");
    expect_asked("3\r\none\r\n");
    ask("3\r\ntwo\r\n");
    expect_asked("3\r\ntwo\r\n");
    ask("0\r\nx-sum: 6\r\n\r\n");
    expect_asked("0\r\nx-sum: 6\r\n\r\n");
    answer("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok");
    expect_answer("\r\n\r\nok");
}

static void one_with_a_length_keeps_it(void **state)
{
    (void)state;
    ask("PUT /items/1 HTTP/1.1\r\n" HOST "content-length: 6\r\n\r\none");
    expect_asked("content-length: 6\r\n");
    expect_asked("one");
    ask("two");
    expect_asked("onetwo");
}

static void trailers_go_on_but_for_those_that_are_ours(void **state)
{
    (void)state;
    ask("POST /items HTTP/1.1\r\n" HOST "transfer-encoding: chunked\r\n\r\n"
        "1\r\nx\r\n0\r\nTraceparent: forged\r\nX_Forwarded_For: ::1\r\nX-Sum: 1\r\n\r\n");
    expect_asked("0\r\nX-Sum: 1\r\n\r\n");
}

static void trailers_come_back(void **state)
{
    (void)state;
    ask_items();
    answer(
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\none\r\n0\r\nx-sum: 3\r\n\r\n");
    expect_answer("0\r\nx-sum: 3\r\n\r\n");
}

static void an_early_answer_is_passed_on(void **state)
{
    (void)state;
    ask("POST /items HTTP/1.1\r\n" HOST "content-length: 60000\r\n\r\none");
    expect_asked("one");
    answer("HTTP/1.1 409 Conflict\r\ncontent-length: 2\r\n\r\nno");
    expect_answer("\r\n\r\nno");
    assert_true(peer_has(&client, "HTTP/1.1 409 "));
}

static void a_body_that_is_announced_too_long_does_not_reach_the_service(void **state)
{
    (void)state;
    ask("POST /items HTTP/1.1\r\n" HOST "content-length: 100001\r\n\r\n");
    expect_refusal("HTTP/1.1 413 ", "Content too large.");
}

static void one_that_becomes_too_long_is_413(void **state)
{
    struct rg_buf piece = {0};

    (void)state;
    ask("POST /items HTTP/1.1\r\n" HOST "transfer-encoding: chunked\r\n\r\n3\r\none\r\n");
    expect_asked("one");
    rg_buf_add_c(&piece, "186a0\r\n");
    memset(rg_buf_reserve(&piece, 100000), 'x', 100000);
    piece.n += 100000;
    rg_buf_add(&piece, "\r\n", 3);
    ask(piece.p);
    rg_buf_done(&piece);
    expect_answer("Content too large");
    assert_true(peer_has(&client, "HTTP/1.1 413 "));
    service_expect_end(&reactor, &upstream);
}

static void a_malformed_body_is_400_and_the_service_left(void **state)
{
    (void)state;
    ask("POST /items HTTP/1.1\r\n" HOST "transfer-encoding: chunked\r\n\r\n3\r\none\r\n");
    expect_asked("one");
    ask("zz\r\n");
    expect_answer("Bad request: ");
    assert_true(peer_has(&client, "HTTP/1.1 400 "));
    service_expect_end(&reactor, &upstream);
}

static void a_malformed_body_cuts_an_answer_that_has_begun(void **state)
{
    (void)state;
    ask("POST /items HTTP/1.1\r\n" HOST "transfer-encoding: chunked\r\n\r\n3\r\none\r\n");
    expect_asked("one");
    answer("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nyes\r\n");
    expect_answer("yes");
    ask("zz\r\n");
    service_expect_end(&reactor, &client);
    assert_false(peer_has(&client, "0\r\n\r\n"));
    service_expect_end(&reactor, &upstream);
}

static void who_must_be_told_to_go_on_is_told_once_it_is_known_where_to(void **state)
{
    (void)state;
    ask("POST /items HTTP/1.1\r\n" HOST "expect: 100-continue\r\ncontent-length: 2\r\n\r\n");
    expect_answer("HTTP/1.1 100 Continue\r\n\r\n");
    ask("hi");
    expect_asked("\r\n\r\nhi");
    assert_false(peer_has(&upstream, "expect"));
    stage_again();
    ask("POST /nowhere HTTP/1.1\r\n" HOST "expect: 100-continue\r\ncontent-length: 2\r\n\r\n");
    expect_answer("{\"message\":\"Not Found\"}");
    assert_false(peer_has(&client, "100 Continue"));
}

/* Sends from the client until its socket takes no more. */
static size_t pour(void)
{
    static char piece[65536];
    size_t sent = 0;

    for (int idle = 0; idle < 20 && sent < ((size_t)256 << 20);) {
        ssize_t n = send(client.fd, piece, sizeof(piece), MSG_NOSIGNAL);
        sent += n > 0 ? (size_t)n : 0;
        idle = n > 0 ? 0 : idle + 1;
        peer_turn(&reactor);
    }
    return sent;
}

static void a_service_that_does_not_read_holds_the_client_back(void **state)
{
    (void)state;
    proxy->settings.max_body_bytes = 0;
    ask("POST /items HTTP/1.1\r\n" HOST "content-length: 1099511627776\r\n\r\n");
    expect_asked("content-length: 1099511627776\r\n\r\n");
    size_t n = pour();
    assert_in_range(n, 1, (size_t)64 << 20);
    size_t more = 0;
    WAIT_FOR(&reactor, (more += peer_take(&upstream, SIZE_MAX)) >= n);
    assert_true(pour() > 0);
}

/* ---- rates ---- */

static void answers_say_how_much_is_left(void **state)
{
    (void)state;
    ask("GET /rare HTTP/1.1\r\n" HOST "\r\n");
    expect_asked("\r\n\r\n");
    answer("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok");
    expect_answer("\r\n\r\nok");
    assert_true(peer_has(&client, "ratelimit-limit: 2\r\nratelimit-remaining: 1\r\n"));
    peer_forget(&client);
    ask("GET /rare HTTP/1.1\r\n" HOST "\r\n");
    answer("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok");
    expect_answer("ratelimit-remaining: 0\r\n");
    peer_forget(&client);
    ask("GET /rare HTTP/1.1\r\n" HOST "\r\n");
    expect_refusal("HTTP/1.1 429 ", "Too many requests.");
    assert_true(peer_has(&client, "ratelimit-remaining: 0\r\n"));
    assert_true(peer_has(&client, "retry-after: "));
}

/* ---- answers that come another way ---- */

/* What the service was asked with, NUL-terminated. */
static void take_correlation(char id[RG_ANSWER_MAX_ID + 1])
{
    const char name[] = "correlation=";
    char *at, *end;

    rg_buf_add_char(&upstream.got, '\0');
    at = strstr(upstream.got.p, name);
    assert_non_null(at);
    at += strlen(name);
    end = strchr(at, ' ');
    assert_in_range(end - at, 16, RG_ANSWER_MAX_ID);
    memcpy(id, at, (size_t)(end - at));
    id[end - at] = '\0';
}

static void deliver(const char *id, const char *body)
{
    const struct rg_http_field field = {RG_STR("x-from"), RG_STR("afar")};
    const struct rg_answer given = {201, &field, 1, rg_str_c(body)};

    assert_int_equal(rg_answers_deliver(answers, rg_str_c(id), &given), 0);
    peer_turn(&reactor);
}

static void a_202_is_answered_by_somebody_else(void **state)
{
    char id[RG_ANSWER_MAX_ID + 1];

    (void)state;
    ask("GET /later?correlation=mine&a=1 HTTP/1.1\r\n" HOST "\r\n");
    expect_asked("GET /later?a=1&correlation=");
    assert_false(peer_has(&upstream, "mine"));
    take_correlation(id);
    answer("HTTP/1.1 202 Accepted\r\nx-a: 1\r\ncontent-length: 4\r\n\r\nsoon");
    assert_int_equal(peer_take(&client, SIZE_MAX), 0);
    deliver(id, "here");
    expect_answer("\r\n\r\nhere");
    assert_true(peer_has(&client, "HTTP/1.1 201 "));
    assert_true(peer_has(&client, "x-from: afar\r\n"));
    assert_true(peer_has(&client, "access-control-allow-headers: content-type\r\n"));
    assert_false(peer_has(&client, "x-a: "));
    expect_count("method=\"GET\",path=\"/later\",target=\"http\",response_from=\"http_async\","
                 "status=\"ok\"",
                 1);
    deliver(id, "too late");
}

static void an_answer_that_comes_before_the_202_is_kept(void **state)
{
    char id[RG_ANSWER_MAX_ID + 1];

    (void)state;
    ask("GET /later HTTP/1.1\r\n" HOST "\r\n");
    expect_asked("GET /later?correlation=");
    take_correlation(id);
    deliver(id, "early");
    assert_int_equal(peer_take(&client, SIZE_MAX), 0);
    answer("HTTP/1.1 202 Accepted\r\ncontent-length: 0\r\n\r\n");
    expect_answer("\r\n\r\nearly");
}

static void any_other_status_is_the_answer(void **state)
{
    char id[RG_ANSWER_MAX_ID + 1];

    (void)state;
    ask("GET /later HTTP/1.1\r\n" HOST "\r\n");
    expect_asked("GET /later?correlation=");
    take_correlation(id);
    answer("HTTP/1.1 400 Bad\r\ncontent-length: 4\r\n\r\nsync");
    expect_answer("\r\n\r\nsync");
    deliver(id, "nobody waits");
}

static void who_is_not_answered_in_time_is_told_504(void **state)
{
    (void)state;
    ask("POST /later HTTP/1.1\r\n" HOST "content-length: 1\r\n\r\nx");
    expect_asked("\r\n\r\nx");
    answer("HTTP/1.1 202 Accepted\r\ncontent-length: 0\r\n\r\n");
    peer_let_pass(&reactor, 1000);
    expect_answer("HTTP/1.1 504 ");
    expect_answer("content-length: 0\r\n");
    assert_true(peer_has(&client, "access-control-allow-origin: https://a.test\r\n"));
    expect_count("method=\"POST\",path=\"/later\",target=\"http\",response_from=\"kafka\","
                 "status=\"response_timeout\"",
                 1);
}

static void who_leaves_waits_no_more(void **state)
{
    char id[RG_ANSWER_MAX_ID + 1];

    (void)state;
    ask("GET /later HTTP/1.1\r\n" HOST "\r\n");
    expect_asked("GET /later?correlation=");
    take_correlation(id);
    answer("HTTP/1.1 202 Accepted\r\ncontent-length: 0\r\n\r\n");
    peer_close(&client);
    peer_turn(&reactor);
    deliver(id, "nobody is there");
    stage_client();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST_2017(an_answer_comes_back_as_it_is),
        TEST_2017(pieces_come_as_the_service_sends_them),
        TEST_2017(to_head_the_service_need_not_send_all_of_it),
        TEST_2017(a_service_that_hangs_up_is_502),
        TEST_2017(a_malformed_answer_is_502),
        TEST_2017(a_service_that_is_not_there_is_502),
        TEST_2017(a_service_that_is_silent_is_504),
        TEST_2017(an_answer_that_breaks_off_is_not_finished),
        TEST_2017(a_client_that_leaves_ends_the_call),
        TEST_2017(so_does_one_that_leaves_in_the_middle),
        TEST_2017(the_end_of_the_server_ends_the_call),
        TEST_2017(a_client_that_does_not_read_holds_the_service_back),
        TEST(a_service_that_is_silent_is_502_for_those_who_know_only_that),
        TEST(a_service_that_fails_is_502),
        TEST(a_body_goes_on_as_it_comes),
        TEST(one_with_a_length_keeps_it),
        TEST(trailers_go_on_but_for_those_that_are_ours),
        TEST(trailers_come_back),
        TEST(an_early_answer_is_passed_on),
        TEST(a_body_that_is_announced_too_long_does_not_reach_the_service),
        TEST(one_that_becomes_too_long_is_413),
        TEST(a_malformed_body_is_400_and_the_service_left),
        TEST(a_malformed_body_cuts_an_answer_that_has_begun),
        TEST(who_must_be_told_to_go_on_is_told_once_it_is_known_where_to),
        TEST(a_service_that_does_not_read_holds_the_client_back),
        TEST(answers_say_how_much_is_left),
        TEST(a_202_is_answered_by_somebody_else),
        TEST(an_answer_that_comes_before_the_202_is_kept),
        TEST(any_other_status_is_the_answer),
        TEST(who_is_not_answered_in_time_is_told_504),
        TEST(who_leaves_waits_no_more),
    };

    return cmocka_run_group_tests(tests, group_setup, group_teardown);
}
