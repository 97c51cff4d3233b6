#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "http/h1.h"
#include "http/response.h"

#define DATE "Sun, 06 Nov 1994 08:49:37 GMT"

static void check(const struct rg_response *res, enum rg_method method, unsigned minor,
                  bool keep_alive, const char *expected)
{
    struct rg_buf out = {0};

    rg_buf_add_c(&out, "before|");
    rg_response_encode_h1(res, method, minor, keep_alive, DATE, &out);
    rg_buf_add_char(&out, '\0');
    assert_memory_equal(out.p, "before|", 7);
    assert_string_equal(out.p + 7, expected);
    rg_buf_done(&out);
}

static void a_response_has_its_fields_and_our_own(void **state)
{
    struct rg_response res = {.status = 200, .body = RG_STR("hello")};
    (void)state;

    rg_response_add(&res, RG_STR("content-type"), RG_STR("text/plain"));
    rg_response_add(&res, RG_STR("x-empty"), RG_STR(""));
    check(&res, RG_GET, 1, true,
          "HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\nx-empty: \r\ndate: " DATE
          "\r\ncontent-length: 5\r\n\r\nhello");
}

static void connection_is_said_where_the_version_does_not_imply_it(void **state)
{
    struct rg_response res = {.status = 202};
    (void)state;

    check(&res, RG_POST, 1, false,
          "HTTP/1.1 202 Accepted\r\ndate: " DATE
          "\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
    check(&res, RG_POST, 0, false,
          "HTTP/1.1 202 Accepted\r\ndate: " DATE
          "\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
    check(&res, RG_POST, 0, true,
          "HTTP/1.1 202 Accepted\r\ndate: " DATE
          "\r\ncontent-length: 0\r\nconnection: keep-alive\r\n\r\n");
}

static void head_gets_the_length_without_the_body(void **state)
{
    struct rg_response res = {.status = 404, .body = RG_STR("no such thing")};
    (void)state;

    check(&res, RG_HEAD, 1, true,
          "HTTP/1.1 404 Not Found\r\ndate: " DATE "\r\ncontent-length: 13\r\n\r\n");
}

static void statuses_without_body_have_neither_length_nor_body(void **state)
{
    struct rg_response res = {.status = 204, .body = RG_STR("ignored")};
    (void)state;

    check(&res, RG_GET, 1, true, "HTTP/1.1 204 No Content\r\ndate: " DATE "\r\n\r\n");
    res.status = 304;
    check(&res, RG_GET, 1, true, "HTTP/1.1 304 Not Modified\r\ndate: " DATE "\r\n\r\n");
    res.status = 101;
    check(&res, RG_GET, 1, false, "HTTP/1.1 101 Switching Protocols\r\ndate: " DATE "\r\n\r\n");
}

static void no_value_can_split_the_response(void **state)
{
    struct rg_response res = {.status = 400};
    (void)state;

    rg_response_add(&res, RG_STR("x"), RG_STR("a\r\nset-cookie: b\0c\n\r"));
    check(&res, RG_GET, 1, true,
          "HTTP/1.1 400 Bad Request\r\nx: a  set-cookie: b c  \r\ndate: " DATE
          "\r\ncontent-length: 0\r\n\r\n");
}

static void every_status_of_the_parser_has_a_reason(void **state)
{
    static const int statuses[] = {400, 408, 413, 414, 417, 426, 431, 501, 505};
    (void)state;

    for (size_t i = 0; i < sizeof(statuses) / sizeof(statuses[0]); i++)
        assert_string_not_equal(rg_h1_reason(statuses[i]), "Unknown");
    assert_string_equal(rg_h1_reason(299), "Unknown");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_response_has_its_fields_and_our_own),
        cmocka_unit_test(connection_is_said_where_the_version_does_not_imply_it),
        cmocka_unit_test(head_gets_the_length_without_the_body),
        cmocka_unit_test(statuses_without_body_have_neither_length_nor_body),
        cmocka_unit_test(no_value_can_split_the_response),
        cmocka_unit_test(every_status_of_the_parser_has_a_reason),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
