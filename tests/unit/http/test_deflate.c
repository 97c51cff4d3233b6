#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "base/err.h"
#include "http/deflate.h"

static const struct rg_inflate_limits wide = {.max_bytes = (size_t)64 << 20};

static struct rg_deflater *deflater;
static struct rg_inflater *inflater;

static int setup(void **state)
{
    (void)state;
    deflater = rg_deflater_new();
    inflater = rg_inflater_new();
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    rg_deflater_free(&deflater);
    rg_inflater_free(&inflater);
    return 0;
}

/* Text compressed as a message, without its tail. */
static struct rg_buf pack(struct rg_str text)
{
    struct rg_buf out = {0};

    rg_deflater_add(deflater, text, &out);
    assert_true(out.n >= RG_DEFLATE_TAIL_N);
    out.n -= RG_DEFLATE_TAIL_N;
    assert_memory_equal(out.p + out.n, RG_DEFLATE_TAIL, RG_DEFLATE_TAIL_N);
    return out;
}

static void expect(struct rg_str data, int result, struct rg_str text)
{
    struct rg_buf out = {0};

    assert_int_equal(rg_inflater_add(inflater, data, &wide, &out), result);
    if (result == 0)
        assert_true(rg_str_eq(rg_buf_str(&out), text));
    rg_buf_done(&out);
}

static void a_message_comes_back_as_it_was(void **state)
{
    (void)state;
    for (size_t n = 0; n < 300000; n = n * 3 + 1) {
        char *text = rg_alloc(n + 1);
        for (size_t i = 0; i < n; i++)
            text[i] = (char)(i * i / 7);
        struct rg_buf packed = pack(rg_str_n(text, n));
        expect(rg_buf_str(&packed), 0, rg_str_n(text, n));
        rg_buf_done(&packed);
        rg_free(text);
    }
}

/* The same text always gives the same bytes, whatever was compressed before. */
static void a_message_knows_nothing_of_the_one_before(void **state)
{
    struct rg_str text = RG_STR("the same text, the same text, the same text");
    struct rg_buf first = pack(text);
    struct rg_buf other = pack(RG_STR("another text"));
    struct rg_buf again = pack(text);

    (void)state;
    assert_true(rg_str_eq(rg_buf_str(&first), rg_buf_str(&again)));
    expect(rg_buf_str(&again), 0, text);
    expect(rg_buf_str(&other), 0, RG_STR("another text"));
    rg_buf_done(&first);
    rg_buf_done(&other);
    rg_buf_done(&again);
}

/* RFC 7692 7.2.3. */
static void examples_of_the_rfc_are_inflated(void **state)
{
    const struct rg_str hello = RG_STR("Hello");

    (void)state;
    expect(RG_STR("\xf2\x48\xcd\xc9\xc9\x07\x00"), 0, hello);
    expect(RG_STR("\x00\x05\x00\xfa\xff\x48\x65\x6c\x6c\x6f\x00"), 0, hello);
    expect(RG_STR("\xf3\x48\xcd\xc9\xc9\x07\x00\x00"), 0, hello);
    expect(RG_STR("\xf2\x48\x05\x00\x00\x00\xff\xff\xca\xc9\xc9\x07\x00"), 0, hello);
    expect(RG_STR("\x00"), 0, RG_STR(""));
    expect(RG_STR("\x02\x00"), 0, RG_STR(""));
}

/* 7.2.3.2: refers to the message before, which no longer counts. */
static void a_context_taken_over_is_refused(void **state)
{
    (void)state;
    expect(RG_STR("\xf2\x48\xcd\xc9\xc9\x07\x00"), 0, RG_STR("Hello"));
    expect(RG_STR("\xf2\x00\x11\x00\x00"), RG_ESYNTAX, RG_STR(""));
}

static void what_is_no_message_is_refused(void **state)
{
    (void)state;
    expect(RG_STR(""), RG_ESYNTAX, RG_STR(""));
    expect(RG_STR("Hello"), RG_ESYNTAX, RG_STR(""));
    expect(RG_STR("\x06"), RG_ESYNTAX, RG_STR(""));                    /* reserved kind of block */
    expect(RG_STR("\x00\x05\x00\xfa\xfe"), RG_ESYNTAX, RG_STR(""));    /* wrong length */
    expect(RG_STR("\x00\x05\x00\xfa\xffHel"), RG_ESYNTAX, RG_STR("")); /* cut off */
    expect(RG_STR("\xf2\x48\xcd"), RG_ESYNTAX, RG_STR(""));
    expect(RG_STR("\xf3\x48\xcd\xc9\xc9\x07\x00"), RG_ESYNTAX, RG_STR("")); /* nothing behind */
}

static void inflating_ends_at_the_limit(void **state)
{
    enum {
        N = 10 << 20
    };
    char *zeros = rg_zalloc(N);
    struct rg_buf bomb = pack(rg_str_n(zeros, N));

    (void)state;
    static const size_t limits[] = {0, 1, 100, 4096, 16384, 65536, N - 1};
    for (size_t i = 0; i < RG_COUNT_OF(limits); i++) {
        struct rg_buf out = {0};
        const struct rg_inflate_limits limit = {.max_bytes = limits[i]};
        assert_int_equal(rg_inflater_add(inflater, rg_buf_str(&bomb), &limit, &out), RG_EFULL);
        assert_int_equal(out.n, limits[i] + 1);
        rg_buf_done(&out);
    }
    const struct rg_inflate_limits exact = {.max_bytes = N};
    struct rg_buf out = {0};
    assert_int_equal(rg_inflater_add(inflater, rg_buf_str(&bomb), &exact, &out), 0);
    assert_int_equal(out.n, N);
    rg_buf_done(&out);
    rg_buf_done(&bomb);
    rg_free(zeros);
}

static void inflating_ends_at_the_ratio(void **state)
{
    enum {
        N = 1 << 20
    };
    char *zeros = rg_zalloc(N);
    struct rg_buf bomb = pack(rg_str_n(zeros, N));
    struct rg_buf small = pack(rg_str_n(zeros, 65536));
    struct rg_inflate_limits limits = {.max_bytes = N, .max_ratio = 100};
    struct rg_buf out = {0};

    (void)state;
    assert_true(bomb.n * 101 < N && bomb.n * 2000 > N);
    assert_int_equal(rg_inflater_add(inflater, rg_buf_str(&bomb), &limits, &out), RG_EFULL);
    assert_int_equal(out.n, bomb.n * 100 + 1);
    rg_buf_clear(&out);
    limits.max_ratio = 2000;
    assert_int_equal(rg_inflater_add(inflater, rg_buf_str(&bomb), &limits, &out), 0);
    rg_buf_clear(&out);
    /* So little harms nobody. */
    limits.max_ratio = 1;
    assert_int_equal(rg_inflater_add(inflater, rg_buf_str(&small), &limits, &out), 0);
    assert_int_equal(out.n, 65536);
    rg_buf_done(&out);
    rg_buf_done(&bomb);
    rg_buf_done(&small);
    rg_free(zeros);
}

static void an_inflater_recovers_from_an_error(void **state)
{
    (void)state;
    expect(RG_STR("\x00\x05\x00\xfa\xffHel"), RG_ESYNTAX, RG_STR(""));
    inflating_ends_at_the_limit(state);
    expect(RG_STR("\xf2\x48\xcd\xc9\xc9\x07\x00"), 0, RG_STR("Hello"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_message_comes_back_as_it_was, setup, teardown),
        cmocka_unit_test_setup_teardown(a_message_knows_nothing_of_the_one_before, setup, teardown),
        cmocka_unit_test_setup_teardown(examples_of_the_rfc_are_inflated, setup, teardown),
        cmocka_unit_test_setup_teardown(a_context_taken_over_is_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(what_is_no_message_is_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(inflating_ends_at_the_limit, setup, teardown),
        cmocka_unit_test_setup_teardown(inflating_ends_at_the_ratio, setup, teardown),
        cmocka_unit_test_setup_teardown(an_inflater_recovers_from_an_error, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
