#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "base/buf.h"
#include "http/h1_response.h"

static struct rg_h1_response res;
static struct rg_why why;

static int parse(enum rg_method method, const char *text)
{
    return rg_h1_parse_response(text, strlen(text), method, &res, &why);
}

#define OK "HTTP/1.1 200 OK\r\n"

/* ---- what is an answer ---- */

static void status_version_and_fields_are_read(void **state)
{
    (void)state;
    assert_int_equal(
        parse(RG_GET, "HTTP/1.0 404 Not Found \xff\r\nA:b\r\nSet-Cookie:  c=d ; e \r\nx:\r\n\r\n"),
        0);
    assert_int_equal(res.status, 404);
    assert_int_equal(res.minor, 0);
    assert_int_equal(res.fields_n, 3);
    assert_true(rg_str_eq(res.fields[0].name, RG_STR("A")));
    assert_true(rg_str_eq(res.fields[1].value, RG_STR("c=d ; e")));
    assert_true(rg_str_eq(res.fields[2].value, RG_STR("")));
}

struct body_row {
    enum rg_method method;
    const char *text;
    enum rg_h1_body body;
    int64_t length;
    bool keep_alive;
};

static void the_head_decides_what_follows(void **state)
{
    static const struct body_row rows[] = {
        {RG_GET, OK "\r\n", RG_H1_BODY_TO_CLOSE, -1, false},
        {RG_GET, OK "connection: keep-alive\r\n\r\n", RG_H1_BODY_TO_CLOSE, -1, false},
        {RG_GET, OK "content-length: 5\r\n\r\n", RG_H1_BODY_LENGTH, 5, true},
        {RG_GET, OK "content-length: 0\r\n\r\n", RG_H1_BODY_NONE, 0, true},
        {RG_GET, OK "content-length: 9223372036854775807\r\n\r\n", RG_H1_BODY_LENGTH, INT64_MAX,
         true},
        {RG_GET, OK "transfer-encoding: Chunked\r\n\r\n", RG_H1_BODY_CHUNKED, -1, true},
        {RG_GET, OK "content-length: 5\r\nconnection: x, CLOSE\r\n\r\n", RG_H1_BODY_LENGTH, 5,
         false},
        {RG_GET, "HTTP/1.0 200 OK\r\ncontent-length: 5\r\n\r\n", RG_H1_BODY_LENGTH, 5, false},
        {RG_GET, "HTTP/1.0 200 OK\r\ncontent-length: 5\r\nconnection: keep-alive\r\n\r\n",
         RG_H1_BODY_LENGTH, 5, true},
        {RG_HEAD, OK "content-length: 5\r\n\r\n", RG_H1_BODY_NONE, 5, true},
        {RG_HEAD, OK "transfer-encoding: chunked\r\n\r\n", RG_H1_BODY_NONE, -1, true},
        {RG_HEAD, OK "\r\n", RG_H1_BODY_NONE, -1, true},
        {RG_GET, "HTTP/1.1 204 No Content\r\n\r\n", RG_H1_BODY_NONE, -1, true},
        {RG_GET, "HTTP/1.1 204 No Content\r\ncontent-length: 0\r\n\r\n", RG_H1_BODY_NONE, 0, true},
        {RG_GET, "HTTP/1.1 304 Not Modified\r\ncontent-length: 5\r\n\r\n", RG_H1_BODY_NONE, 5,
         true},
        {RG_GET, "HTTP/1.1 304 Not Modified\r\ntransfer-encoding: chunked\r\n\r\n", RG_H1_BODY_NONE,
         -1, true},
        {RG_GET, "HTTP/1.1 100 Continue\r\n\r\n", RG_H1_BODY_NONE, -1, true},
        {RG_GET, "HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\n\r\n", RG_H1_BODY_NONE, -1,
         true},
        {RG_GET, "HTTP/1.1 599 \r\ncontent-length: 1\r\n\r\n", RG_H1_BODY_LENGTH, 1, true},
    };

    (void)state;
    for (size_t i = 0; i < RG_COUNT_OF(rows); i++) {
        assert_int_equal(parse(rows[i].method, rows[i].text), 0);
        assert_int_equal(res.body, rows[i].body);
        assert_int_equal(res.length, rows[i].length);
        assert_int_equal(res.keep_alive, rows[i].keep_alive);
    }
}

static void fields_between_neighbours_are_left_out(void **state)
{
    (void)state;
    assert_int_equal(parse(RG_GET, OK "a: 1\r\nconnection: B, ,close\r\nb: 2\r\nCONNECTION: c\r\n"
                                      "C: 3\r\nkeep-alive: x\r\nProxy-Connection: x\r\nTE: x\r\n"
                                      "trailer: x\r\nupgrade: x\r\nhttp2-settings: x\r\n"
                                      "content-length: 1\r\nd: 4\r\n\r\n"),
                     0);
    assert_int_equal(res.fields_n, 2);
    assert_true(rg_str_eq(res.fields[0].name, RG_STR("a")));
    assert_true(rg_str_eq(res.fields[1].name, RG_STR("d")));
}

static void framing_cannot_be_nominated_away(void **state)
{
    (void)state;
    assert_int_equal(parse(RG_GET, OK "connection: content-length\r\ncontent-length: 3\r\n\r\n"),
                     0);
    assert_int_equal(res.body, RG_H1_BODY_LENGTH);
    assert_int_equal(res.length, 3);
    assert_int_equal(
        parse(RG_GET, OK "connection: transfer-encoding\r\ntransfer-encoding: chunked\r\n\r\n"), 0);
    assert_int_equal(res.body, RG_H1_BODY_CHUNKED);
    assert_true(parse(RG_GET, OK "connection: content-length, transfer-encoding\r\n"
                                 "content-length: 3\r\ntransfer-encoding: chunked\r\n\r\n") < 0);
}

/* ---- what is none ---- */

static void whatever_could_be_read_in_two_ways_is_refused(void **state)
{
    static const char *const rows[] = {
        /* the status line */
        "HTTP/2.0 200 OK\r\n\r\n",
        "HTTP/1.2 200 OK\r\n\r\n",
        "HTTP/1.10 200 OK\r\n\r\n",
        "http/1.1 200 OK\r\n\r\n",
        " HTTP/1.1 200 OK\r\n\r\n",
        "\r\nHTTP/1.1 200 OK\r\n\r\n",
        "HTTP/1.1  200 OK\r\n\r\n",
        "HTTP/1.1\t200 OK\r\n\r\n",
        "HTTP/1.1 20 OK\r\n\r\n",
        "HTTP/1.1 2000 OK\r\n\r\n",
        "HTTP/1.1 +20 OK\r\n\r\n",
        "HTTP/1.1 099 OK\r\n\r\n",
        "HTTP/1.1 600 OK\r\n\r\n",
        "HTTP/1.1 200\tOK\r\n\r\n",
        "HTTP/1.1 200OK\r\n\r\n",
        "HTTP/1.1 200 a\rb\r\n\r\n",
        "HTTP/1.1 200 a\x01\r\n\r\n",
        "HTTP/1.1 200 OK\n\r\n",
        "ICY 200 OK\r\n\r\n",
        "",
        /* lengths */
        OK "content-length: 1\r\ncontent-length: 1\r\n\r\n",
        OK "content-length: 1\r\nContent-Length: 2\r\n\r\n",
        OK "content-length: 1, 1\r\n\r\n",
        OK "content-length:\r\n\r\n",
        OK "content-length: +1\r\n\r\n",
        OK "content-length: -1\r\n\r\n",
        OK "content-length: 0x1\r\n\r\n",
        OK "content-length: 1 1\r\n\r\n",
        OK "content-length: 1.0\r\n\r\n",
        OK "content-length: 1\xb2\r\n\r\n",
        OK "content-length: 9223372036854775808\r\n\r\n",
        OK "content-length: 18446744073709551617\r\n\r\n",
        OK "content-length: 00000000000000000001\r\n\r\n",
        /* codings */
        OK "content-length: 1\r\ntransfer-encoding: chunked\r\n\r\n",
        OK "transfer-encoding: chunked\r\ncontent-length: 0\r\n\r\n",
        OK "transfer-encoding: chunked\r\ntransfer-encoding: chunked\r\n\r\n",
        OK "transfer-encoding: chunked, chunked\r\n\r\n",
        OK "transfer-encoding: gzip, chunked\r\n\r\n",
        OK "transfer-encoding: gzip\r\n\r\n",
        OK "transfer-encoding: identity\r\n\r\n",
        OK "transfer-encoding: xchunked\r\n\r\n",
        OK "transfer-encoding: \"chunked\"\r\n\r\n",
        OK "transfer-encoding: chunked;a=b\r\n\r\n",
        OK "transfer-encoding: chunked,\r\n\r\n",
        OK "transfer-encoding:\r\n\r\n",
        OK "transfer-encoding:\x0b"
           "chunked\r\n\r\n",
        OK "transfer-encoding : chunked\r\n\r\n",
        "HTTP/1.0 200 OK\r\ntransfer-encoding: chunked\r\n\r\n",
        /* bodies where there is none */
        "HTTP/1.1 204 No Content\r\ncontent-length: 5\r\n\r\n",
        "HTTP/1.1 204 No Content\r\ntransfer-encoding: chunked\r\n\r\n",
        "HTTP/1.1 100 Continue\r\ncontent-length: 5\r\n\r\n",
        "HTTP/1.1 103 Early Hints\r\ntransfer-encoding: chunked\r\n\r\n",
        /* fields */
        OK "a: b\r\n c\r\n\r\n",
        OK " a: b\r\n\r\n",
        OK "a : b\r\n\r\n",
        OK "a\r\n\r\n",
        OK ": b\r\n\r\n",
        OK "a b: c\r\n\r\n",
        OK "a(b): c\r\n\r\n",
        OK "a: b\rc\r\n\r\n",
        OK "a: b\nc: d\r\n\r\n",
        OK "a: b\x7f\r\n\r\n",
        OK "a: b\x01\r\n\r\n",
        OK "a: b\r\n",
        OK "a: b\r\n\r\nc",
    };

    (void)state;
    for (size_t i = 0; i < RG_COUNT_OF(rows); i++) {
        memset(&why, 0, sizeof(why));
        int err = parse(RG_GET, rows[i]);
        if (err == 0)
            print_error("accepted: %s\n", rows[i]);
        assert_int_equal(err, RG_ESYNTAX);
        assert_true(why.text[0] != '\0');
    }
}

static void a_nul_is_refused(void **state)
{
    static const char text[] = OK "a: b\0c\r\n\r\n";

    (void)state;
    assert_int_equal(rg_h1_parse_response(text, sizeof(text) - 1, RG_GET, &res, &why), RG_ESYNTAX);
}

static void a_head_request_has_no_excuse_for_two_lengths(void **state)
{
    (void)state;
    assert_true(parse(RG_HEAD, OK "content-length: 1\r\ncontent-length: 1\r\n\r\n") < 0);
    assert_true(parse(RG_HEAD, OK "content-length: 1\r\ntransfer-encoding: chunked\r\n\r\n") < 0);
}

/* ---- limits ---- */

static void fields_are_counted(void **state)
{
    struct rg_buf text = {0};

    (void)state;
    rg_buf_add_c(&text, OK);
    for (int i = 0; i < 100; i++)
        rg_buf_addf(&text, "a%d: b\r\n", i);
    size_t n = text.n;
    rg_buf_add_c(&text, "\r\n");
    assert_int_equal(rg_h1_parse_response(text.p, text.n, RG_GET, &res, &why), 0);
    assert_int_equal(res.fields_n, 100);
    text.n = n;
    rg_buf_add_c(&text, "b: c\r\n\r\n");
    assert_int_equal(rg_h1_parse_response(text.p, text.n, RG_GET, &res, &why), RG_ESYNTAX);
    rg_buf_done(&text);
}

static void so_are_options_of_the_connection(void **state)
{
    struct rg_buf text = {0};

    (void)state;
    rg_buf_add_c(&text, OK "connection: a");
    for (int i = 0; i < 31; i++)
        rg_buf_addf(&text, ",b%d", i);
    size_t n = text.n;
    rg_buf_add_c(&text, "\r\n\r\n");
    assert_int_equal(rg_h1_parse_response(text.p, text.n, RG_GET, &res, &why), 0);
    text.n = n;
    rg_buf_add_c(&text, ",c\r\n\r\n");
    assert_int_equal(rg_h1_parse_response(text.p, text.n, RG_GET, &res, &why), RG_ESYNTAX);
    rg_buf_done(&text);
}

/* The result of looking for the end of text, whole and byte by byte. */
static long scan(const char *text, size_t max_bytes)
{
    struct rg_h1_scan at_once = {0}, cut = {0};
    size_t n = strlen(text);
    long result = rg_h1_scan_response(&at_once, text, n, max_bytes, &why);
    long other = 0;

    for (size_t i = 1; i <= n && other == 0; i++)
        other = rg_h1_scan_response(&cut, text, i, max_bytes, &why);
    assert_int_equal(result, other);
    assert_true(result >= 0 || why.text[0] != '\0');
    return result;
}

static void the_end_of_a_head_is_found_within_its_limits(void **state)
{
    (void)state;
    assert_int_equal(scan(OK "a: b\r\n\r\nbody", 100), 25);
    assert_int_equal(scan(OK "a: b\r\n", 100), 0);
    assert_int_equal(scan(OK "a: b\r\n\r\n", 10), RG_ESYNTAX);
    assert_int_equal(scan(OK "a: 34567890123456\r\n\r\n", 17), 38);
    assert_int_equal(scan(OK "a: 345678901234567\r\n\r\n", 17), RG_ESYNTAX);
    assert_int_equal(scan(OK "a: 34567\r\nb: 345678\r\n\r\n", 19), 40);
    assert_int_equal(scan(OK "a: 34567\r\nb: 345678\r\n\r\n", 18), RG_ESYNTAX);
    assert_int_equal(scan(OK "a: b\n\r\n", 100), RG_ESYNTAX);
    assert_int_equal(scan(OK "a: b\rc", 100), RG_ESYNTAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(status_version_and_fields_are_read),
        cmocka_unit_test(the_head_decides_what_follows),
        cmocka_unit_test(fields_between_neighbours_are_left_out),
        cmocka_unit_test(framing_cannot_be_nominated_away),
        cmocka_unit_test(whatever_could_be_read_in_two_ways_is_refused),
        cmocka_unit_test(a_nul_is_refused),
        cmocka_unit_test(a_head_request_has_no_excuse_for_two_lengths),
        cmocka_unit_test(fields_are_counted),
        cmocka_unit_test(so_are_options_of_the_connection),
        cmocka_unit_test(the_end_of_a_head_is_found_within_its_limits),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
