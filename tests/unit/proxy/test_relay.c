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
    assert_true(peer_has(&client, "X-A: 1\r\nx-a: 2\r\nDate: yesterday\r\n"));
    assert_true(peer_has(&client, "content-length: 4\r\n"));
    assert_false(peer_has(&client, "Keep-Alive"));
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(an_answer_comes_back_as_it_is),
        TEST(pieces_come_as_the_service_sends_them),
        TEST(to_head_the_service_need_not_send_all_of_it),
        TEST(a_service_that_hangs_up_is_502),
        TEST(a_malformed_answer_is_502),
        TEST(a_service_that_is_not_there_is_502),
        TEST(a_service_that_is_silent_is_504),
        TEST(an_answer_that_breaks_off_is_not_finished),
        TEST(a_client_that_leaves_ends_the_call),
        TEST(so_does_one_that_leaves_in_the_middle),
        TEST(the_end_of_the_server_ends_the_call),
        TEST(a_client_that_does_not_read_holds_the_service_back),
    };

    return cmocka_run_group_tests(tests, group_setup, group_teardown);
}
