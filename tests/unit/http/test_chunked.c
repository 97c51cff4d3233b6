#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "base/buf.h"
#include "http/chunked.h"
#include "http/h1.h"

/* Decodes text in pieces of `step` bytes. Returns what was consumed, -1 if it did not end, -400. */
static long decode(struct rg_str text, size_t step, struct rg_buf *body)
{
    struct rg_chunked chunked = {0};
    size_t at = 0;

    rg_buf_clear(body);
    while (at < text.n) {
        size_t n = text.n - at < step ? text.n - at : step;
        char *piece = rg_alloc(n);
        struct rg_str data;
        bool is_done = false;

        memcpy(piece, text.p + at, n);
        long used = rg_chunked_take(&chunked, piece, n, &data, &is_done, NULL);
        if (used > 0)
            rg_buf_add_str(body, data);
        rg_free(piece);
        if (used < 0)
            return used;
        assert_true(used > 0 || is_done);
        at += (size_t)used;
        if (is_done)
            return (long)at;
    }
    return -1;
}

/* Decodes in pieces of every size; all must agree. The body is in *body afterwards. */
static long decode_all_ways(struct rg_str text, struct rg_buf *body)
{
    struct rg_buf other = {0};
    long result = decode(text, text.n, body);

    for (size_t step = 1; step < 40; step++) {
        assert_int_equal(decode(text, step, &other), result);
        if (result >= 0)
            assert_true(rg_str_eq(rg_buf_str(&other), rg_buf_str(body)));
    }
    rg_buf_done(&other);
    return result;
}

struct body_case {
    struct rg_str text;
    const char *body;
    size_t rest; /* bytes that belong to the next message */
};

#define CASE(literal, body, rest)                                                                  \
    {                                                                                              \
        {literal, sizeof(literal) - 1}, body, rest                                                 \
    }

static void good_bodies_are_decoded(void **state)
{
    static const struct body_case cases[] = {
        CASE("0\r\n\r\n", "", 0),
        CASE("5\r\nhello\r\n0\r\n\r\n", "hello", 0),
        CASE("5\r\nhello\r\n0\r\n\r\nGET /", "hello", 5),
        CASE("1\r\na\r\n2\r\nbc\r\n0\r\n\r\n", "abc", 0),
        CASE("A\r\n0123456789\r\n00\r\n\r\n", "0123456789", 0),
        CASE("a\r\n0123456789\r\n0\r\n\r\n", "0123456789", 0),
        CASE("0000000000000003\r\nabc\r\n0000000000000000\r\n\r\n", "abc", 0),
        CASE("2\r\n\r\n\r\n0\r\n\r\n", "\r\n", 0),
        CASE("1;a\r\nx\r\n0;b\r\n\r\n", "x", 0),
        CASE("1;a=b;c=\"d \\\" \x80\";e\r\nx\r\n0\r\n\r\n", "x", 0),
        CASE("1;a=\"\"\r\nx\r\n0\r\n\r\n", "x", 0),
        CASE("0\r\nX: y\r\nEmpty:\r\n\r\nz", "", 1),
    };
    struct rg_buf body = {0};
    (void)state;

    for (size_t i = 0; i < RG_COUNT_OF(cases); i++) {
        long used = decode_all_ways(cases[i].text, &body);
        if (used != (long)(cases[i].text.n - cases[i].rest))
            fail_msg("case %zu: %ld", i, used);
        assert_true(rg_str_eq(rg_buf_str(&body), rg_str_c(cases[i].body)));
    }
    rg_buf_done(&body);
}

static void malformed_bodies_are_refused(void **state)
{
    static const struct body_case cases[] = {
        CASE("\r\n", "", 0),
        CASE("\n0\r\n\r\n", "", 0),
        CASE(" 5\r\nhello\r\n0\r\n\r\n", "", 0),
        CASE("5 \r\nhello\r\n0\r\n\r\n", "", 0),
        CASE("5\t;a\r\nhello\r\n0\r\n\r\n", "", 0),
        CASE("5\nhello\r\n0\r\n\r\n", "", 0),
        CASE("5\r\r\nhello\r\n0\r\n\r\n", "", 0),
        CASE("5\rhello\r\n0\r\n\r\n", "", 0),
        CASE("+5\r\nhello\r\n0\r\n\r\n", "", 0),
        CASE("-1\r\nhello\r\n0\r\n\r\n", "", 0),
        CASE("0x5\r\nhello\r\n0\r\n\r\n", "", 0),
        CASE("5h\r\nhello\r\n0\r\n\r\n", "", 0),
        CASE("g\r\n", "", 0),
        CASE("\0\r\n", "", 0),
        CASE("5,\r\nhello\r\n0\r\n\r\n", "", 0),
        CASE(";a\r\n", "", 0),
        CASE("00000000000000005\r\nhello\r\n0\r\n\r\n", "", 0),
        CASE("10000000000000005\r\nhello\r\n0\r\n\r\n", "", 0),
        CASE("5\r\nhello0\r\n\r\n", "", 0),
        CASE("5\r\nhello!\r\n0\r\n\r\n", "", 0),
        CASE("5\r\nhello\n0\r\n\r\n", "", 0),
        CASE("5\r\nhello\r0\r\n\r\n", "", 0),
        CASE("5\r\nhello\r\r\n0\r\n\r\n", "", 0),
        CASE("5;\r\nhello\r\n0\r\n\r\n", "", 0),
        CASE("5; a\r\nhello\r\n0\r\n\r\n", "", 0),
        CASE("5;a \r\nhello\r\n0\r\n\r\n", "", 0),
        CASE("5;a=\r\nhello\r\n0\r\n\r\n", "", 0),
        CASE("5;a==b\r\nhello\r\n0\r\n\r\n", "", 0),
        CASE("5;=b\r\nhello\r\n0\r\n\r\n", "", 0),
        CASE("5;a=\"\r\nhello\r\n0\r\n\r\n", "", 0),
        CASE("5;a=\"b\"c\r\nhello\r\n0\r\n\r\n", "", 0),
        CASE("5;a=\"\\\n\"\r\nhello\r\n0\r\n\r\n", "", 0),
        CASE("5;a\nxxx\r\nhello\r\n0\r\n\r\n", "", 0),
        CASE("5;a\rx\r\nhello\r\n0\r\n\r\n", "", 0),
        CASE("5;\0\r\nhello\r\n0\r\n\r\n", "", 0),
        CASE("0\r\n\n", "", 0),
        CASE("0\r\n\r\r\n", "", 0),
        CASE("0\n\n", "", 0),
        CASE("0\r\nX y: z\r\n\r\n", "", 0),
        CASE("0\r\n: z\r\n\r\n", "", 0),
        CASE("0\r\n X: z\r\n\r\n", "", 0),
        CASE("0\r\nX\r\n\r\n", "", 0),
        CASE("0\r\nX: y\nZ: z\r\n\r\n", "", 0),
        CASE("0\r\nX: y\rz\r\n\r\n", "", 0),
        CASE("0\r\nX: \0\r\n\r\n", "", 0),
        CASE("0\r\nX: y\r\n z\r\n\r\n", "", 0),
        CASE("0\r\nGET / HTTP/1.1\r\n\r\n", "", 0),
    };
    struct rg_buf body = {0};
    (void)state;

    for (size_t i = 0; i < RG_COUNT_OF(cases); i++) {
        long result = decode_all_ways(cases[i].text, &body);
        if (result != -400)
            fail_msg("case %zu: %ld", i, result);
    }
    rg_buf_done(&body);
}

static void the_largest_size_is_a_number_not_an_overflow(void **state)
{
    struct rg_chunked chunked = {0};
    struct rg_str text = RG_STR("FFFFFFFFFFFFFFFF\r\nabc");
    struct rg_str data;
    bool is_done;
    (void)state;

    assert_int_equal(rg_chunked_take(&chunked, text.p, text.n, &data, &is_done, NULL), text.n);
    assert_int_equal(data.n, 3);
    assert_false(is_done);
    assert_true(chunked.left == UINT64_MAX - 3);
}

/* "1", then `name_n` bytes of extension including ';', then the rest of a body. */
static long decode_with_extension(size_t ext_n)
{
    struct rg_buf text = {0};
    struct rg_buf body = {0};

    for (int i = 0; i < 2; i++) {
        rg_buf_add_c(&text, "1;");
        memset(rg_buf_reserve(&text, ext_n), 'e', ext_n);
        text.n += ext_n;
        rg_buf_add_c(&text, "\r\nx\r\n");
    }
    rg_buf_add_c(&text, "0\r\n\r\n");
    long result = decode_all_ways(rg_buf_str(&text), &body);
    rg_buf_done(&text);
    rg_buf_done(&body);
    return result;
}

static void extensions_are_limited_per_chunk(void **state)
{
    (void)state;
    assert_true(decode_with_extension(200) > 0);
    assert_true(decode_with_extension(255) > 0); /* and the CR makes 256 */
    assert_int_equal(decode_with_extension(256), -400);
    assert_int_equal(decode_with_extension(100000), -400);
}

/* n trailers, each with so many bytes of value; what comes of them, and -400 is the same in pieces.
 */
static long decode_trailers(unsigned n, size_t value_n)
{
    struct rg_buf text = {0};
    struct rg_buf body = {0};

    rg_buf_add_c(&text, "0\r\n");
    for (unsigned i = 0; i < n; i++) {
        rg_buf_add_c(&text, "a:");
        memset(rg_buf_reserve(&text, value_n), 'b', value_n);
        text.n += value_n;
        rg_buf_add_c(&text, "\r\n");
    }
    rg_buf_add_c(&text, "\r\n");
    long once = decode(rg_buf_str(&text), text.n, &body);
    assert_int_equal(decode(rg_buf_str(&text), 1, &body), once);
    assert_true(once == -400 || once == (long)text.n);
    rg_buf_done(&text);
    rg_buf_done(&body);
    return once;
}

static void trailers_are_limited(void **state)
{
    (void)state;
    assert_true(decode_trailers(1, 8192 - 6) > 0);
    assert_int_equal(decode_trailers(1, 8192 - 5), -400);
    assert_true(decode_trailers(32, 8) > 0);
    assert_int_equal(decode_trailers(33, 8), -400);
}

static void unfinished_bodies_ask_for_more(void **state)
{
    struct rg_str whole = RG_STR("3;a=\"b\"\r\nabc\r\n0\r\nX: y\r\n\r\n");
    struct rg_buf body = {0};
    (void)state;

    for (size_t n = 1; n < whole.n; n++)
        assert_int_equal(decode_all_ways(rg_str_n(whole.p, n), &body), -1);
    assert_int_equal(decode_all_ways(whole, &body), whole.n);
    rg_buf_done(&body);
}

static void nothing_is_taken_after_the_end(void **state)
{
    struct rg_chunked chunked = {0};
    struct rg_str data;
    bool is_done;
    (void)state;

    assert_int_equal(rg_chunked_take(&chunked, "0\r\n\r\n", 5, &data, &is_done, NULL), 5);
    assert_true(is_done);
    assert_int_equal(rg_chunked_take(&chunked, "5\r\n", 3, &data, &is_done, NULL), 0);
    assert_true(is_done);
    assert_int_equal(data.n, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(good_bodies_are_decoded),
        cmocka_unit_test(malformed_bodies_are_refused),
        cmocka_unit_test(the_largest_size_is_a_number_not_an_overflow),
        cmocka_unit_test(extensions_are_limited_per_chunk),
        cmocka_unit_test(trailers_are_limited),
        cmocka_unit_test(unfinished_bodies_ask_for_more),
        cmocka_unit_test(nothing_is_taken_after_the_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
