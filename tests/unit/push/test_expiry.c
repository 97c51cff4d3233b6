#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "push/expiry.h"

#define NOW_S  1700000000 /* by the wall clock; by the monotonic one it is NOW_MS */
#define NOW_US ((int64_t)NOW_S * 1000000)
#define NOW_MS 5000u

static bool extend(struct rg_expiry *expiry, int64_t exp_s, uint64_t warning_ms)
{
    return rg_expiry_extend(expiry, exp_s, NOW_US, NOW_MS, warning_ms);
}

static void without_a_token_nothing_is_ever_due(void **state)
{
    struct rg_expiry expiry = {0};

    (void)state;
    assert_true(rg_expiry_due_ms(&expiry) == UINT64_MAX);
}

static void the_warning_comes_before_the_end(void **state)
{
    struct rg_expiry expiry = {0};

    (void)state;
    assert_true(extend(&expiry, NOW_S + 600, 60000));
    assert_int_equal(expiry.at_ms, NOW_MS + 600000);
    assert_int_equal(rg_expiry_due_ms(&expiry), NOW_MS + 540000);
    expiry.warn_at_ms = UINT64_MAX;
    assert_int_equal(rg_expiry_due_ms(&expiry), NOW_MS + 600000);
}

static void a_short_life_is_warned_of_at_its_half(void **state)
{
    struct rg_expiry expiry = {0};

    (void)state;
    assert_true(extend(&expiry, NOW_S + 100, 60000));
    assert_int_equal(rg_expiry_due_ms(&expiry), NOW_MS + 50000);
}

static void no_warning_is_no_warning(void **state)
{
    struct rg_expiry expiry = {0};

    (void)state;
    assert_true(extend(&expiry, NOW_S + 100, 0));
    assert_int_equal(rg_expiry_due_ms(&expiry), NOW_MS + 100000);
}

static void a_later_token_prolongs_and_warns_anew(void **state)
{
    struct rg_expiry expiry = {0};

    (void)state;
    extend(&expiry, NOW_S + 100, 1000);
    expiry.warn_at_ms = UINT64_MAX;
    assert_true(extend(&expiry, NOW_S + 200, 1000));
    assert_int_equal(rg_expiry_due_ms(&expiry), NOW_MS + 199000);
}

static void an_earlier_token_shortens_nothing(void **state)
{
    struct rg_expiry expiry = {0};

    (void)state;
    extend(&expiry, NOW_S + 100, 1000);
    expiry.warn_at_ms = UINT64_MAX;
    assert_false(extend(&expiry, NOW_S + 50, 1000));
    assert_false(extend(&expiry, NOW_S + 100, 1000));
    assert_int_equal(rg_expiry_due_ms(&expiry), NOW_MS + 100000);
}

static void a_token_that_is_over_is_due_at_once(void **state)
{
    struct rg_expiry expiry = {0};

    (void)state;
    assert_true(extend(&expiry, NOW_S - 5, 60000));
    assert_int_equal(rg_expiry_due_ms(&expiry), NOW_MS);
}

static void a_token_without_end_is_not_due_in_our_time(void **state)
{
    struct rg_expiry expiry = {0};
    const uint64_t century_ms = UINT64_C(100) * 365 * 86400 * 1000;

    (void)state;
    assert_true(extend(&expiry, INT64_MAX, 60000));
    assert_true(rg_expiry_due_ms(&expiry) > NOW_MS + century_ms);
    assert_false(extend(&expiry, INT64_MAX, 60000));
}

/* The end is never before the token's: what is left is rounded up. */
static void parts_of_a_millisecond_count(void **state)
{
    struct rg_expiry expiry = {0};

    (void)state;
    assert_true(rg_expiry_extend(&expiry, NOW_S + 1, NOW_US + 1, NOW_MS, 0));
    assert_int_equal(expiry.at_ms, NOW_MS + 1000);
}

static void a_warning_says_when_and_in_how_many_seconds(void **state)
{
    struct rg_expiry expiry = {0};
    struct rg_buf text = {0};

    (void)state;
    extend(&expiry, NOW_S + 600, 60000);
    rg_expiry_add_warning(&expiry, NOW_MS + 540050, &text);
    rg_buf_add_char(&text, '\0');
    assert_string_equal(text.p,
                        "{\"expires_in\":60,\"expires_at\":\"2023-11-14T22:23:20.000000+00:00\"}");
    rg_buf_done(&text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(without_a_token_nothing_is_ever_due),
        cmocka_unit_test(the_warning_comes_before_the_end),
        cmocka_unit_test(a_short_life_is_warned_of_at_its_half),
        cmocka_unit_test(no_warning_is_no_warning),
        cmocka_unit_test(a_later_token_prolongs_and_warns_anew),
        cmocka_unit_test(an_earlier_token_shortens_nothing),
        cmocka_unit_test(a_token_that_is_over_is_due_at_once),
        cmocka_unit_test(a_token_without_end_is_not_due_in_our_time),
        cmocka_unit_test(parts_of_a_millisecond_count),
        cmocka_unit_test(a_warning_says_when_and_in_how_many_seconds),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
