#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "base/err.h"
#include "base/str.h"

static const struct rg_str none = {NULL, 0};

static void assert_str(struct rg_str s, const char *expected)
{
    if (!rg_str_eq(s, rg_str_c(expected)))
        fail_msg("\"%.*s\" instead of \"%s\"", RG_STR_ARG(s), expected);
}

static void text_is_equal_by_length_and_bytes(void **state)
{
    (void)state;
    assert_true(rg_str_eq(RG_STR("a\0b"), rg_str_n("a\0b", 3)));
    assert_false(rg_str_eq(RG_STR("a\0b"), RG_STR("a\0c")));
    assert_false(rg_str_eq(RG_STR("a"), RG_STR("ab")));
    assert_false(rg_str_eq(RG_STR("a"), RG_STR("A")));
    assert_true(rg_str_eq(none, RG_STR("")));
    assert_int_equal(RG_STR("a\0b").n, 3);
    assert_null(rg_str_c(NULL).p);
    assert_int_equal(rg_str_c(NULL).n, 0);
}

/* Letters are those of ASCII: "[" and "{" differ in the same bit, and so do bytes of UTF-8. */
static void case_is_a_matter_of_ascii_letters(void **state)
{
    (void)state;
    assert_true(rg_str_eq_nocase(RG_STR("Content-Type"), RG_STR("cONTENT-tYPE")));
    assert_true(rg_str_eq_nocase(RG_STR("AZ"), RG_STR("az")));
    assert_false(rg_str_eq_nocase(RG_STR("@["), RG_STR("`{")));
    assert_false(rg_str_eq_nocase(RG_STR("\xc3\x89"), RG_STR("\xc3\xa9")));
    assert_false(rg_str_eq_nocase(RG_STR("ab"), RG_STR("abc")));
    assert_true(rg_str_eq_nocase(none, RG_STR("")));
}

static void prefixes_and_suffixes(void **state)
{
    (void)state;
    assert_true(rg_str_starts_with(RG_STR("abc"), RG_STR("ab")));
    assert_false(rg_str_starts_with(RG_STR("abc"), RG_STR("aB")));
    assert_false(rg_str_starts_with(RG_STR("a"), RG_STR("ab")));
    assert_true(rg_str_starts_with_nocase(RG_STR("aBc"), RG_STR("Ab")));
    assert_false(rg_str_starts_with_nocase(RG_STR("a"), RG_STR("ab")));
    assert_true(rg_str_ends_with(RG_STR("abc"), RG_STR("bc")));
    assert_false(rg_str_ends_with(RG_STR("abc"), RG_STR("ab")));
    assert_false(rg_str_ends_with(RG_STR("c"), RG_STR("bc")));
    assert_true(rg_str_starts_with(none, none));
    assert_true(rg_str_ends_with(RG_STR("a"), none));
}

static void trimming_takes_spaces_and_tabs_only(void **state)
{
    (void)state;
    assert_str(rg_str_trim(RG_STR(" \t a b\t ")), "a b");
    assert_str(rg_str_trim(RG_STR("\na\r")), "\na\r");
    assert_str(rg_str_trim(RG_STR(" \t")), "");
    assert_str(rg_str_trim(none), "");
}

static void splitting_yields_every_part_also_empty_ones(void **state)
{
    static const char *const expected[] = {"a", "", "b c", ""};
    struct rg_str rest = RG_STR("a,,b c,");
    size_t n = 0;

    (void)state;
    while (rest.p != NULL) {
        assert_true(n < RG_COUNT_OF(expected));
        assert_str(rg_str_split(&rest, ','), expected[n++]);
    }
    assert_int_equal(n, RG_COUNT_OF(expected));

    rest = RG_STR("");
    assert_str(rg_str_split(&rest, ','), "");
    assert_null(rest.p);
    assert_str(rg_str_split(&rest, ','), "");
}

static void unsigned_numbers_are_digits_and_at_most_the_limit(void **state)
{
    uint64_t value = 5;

    (void)state;
    assert_int_equal(rg_str_to_u64(RG_STR("0"), 0, &value), 0);
    assert_int_equal(value, 0);
    assert_int_equal(rg_str_to_u64(RG_STR("007"), 7, &value), 0);
    assert_int_equal(value, 7);
    assert_int_equal(rg_str_to_u64(RG_STR("18446744073709551615"), UINT64_MAX, &value), 0);
    assert_true(value == UINT64_MAX);

    value = 5;
    static const char *const malformed[] = {"", "-1", "+1", " 1", "1 ", "1a", "0x1", "1.0"};
    for (size_t i = 0; i < RG_COUNT_OF(malformed); i++)
        assert_int_equal(rg_str_to_u64(rg_str_c(malformed[i]), 100, &value), RG_ESYNTAX);
    assert_int_equal(rg_str_to_u64(none, 100, &value), RG_ESYNTAX);
    assert_int_equal(rg_str_to_u64(RG_STR("8"), 7, &value), RG_EINVAL);
    assert_int_equal(rg_str_to_u64(RG_STR("18446744073709551616"), UINT64_MAX, &value), RG_EINVAL);
    assert_int_equal(rg_str_to_u64(RG_STR("99999999999999999999999"), UINT64_MAX, &value),
                     RG_EINVAL);
    /* Not a number at all, however long it is. */
    assert_int_equal(rg_str_to_u64(RG_STR("99999999999999999999999x"), UINT64_MAX, &value),
                     RG_ESYNTAX);
    assert_int_equal(value, 5);
}

static void signed_numbers_may_have_a_sign(void **state)
{
    int64_t value = 5;

    (void)state;
    assert_int_equal(rg_str_to_i64(RG_STR("-9223372036854775807"), &value), 0);
    assert_true(value == -INT64_MAX);
    assert_int_equal(rg_str_to_i64(RG_STR("+12"), &value), 0);
    assert_int_equal(value, 12);
    assert_int_equal(rg_str_to_i64(RG_STR("-0"), &value), 0);
    assert_int_equal(value, 0);
    value = 5;
    assert_int_equal(rg_str_to_i64(RG_STR("9223372036854775808"), &value), RG_EINVAL);
    assert_int_equal(rg_str_to_i64(RG_STR("-"), &value), RG_ESYNTAX);
    assert_int_equal(rg_str_to_i64(RG_STR("--1"), &value), RG_ESYNTAX);
    assert_int_equal(rg_str_to_i64(none, &value), RG_ESYNTAX);
    assert_int_equal(value, 5);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(text_is_equal_by_length_and_bytes),
        cmocka_unit_test(case_is_a_matter_of_ascii_letters),
        cmocka_unit_test(prefixes_and_suffixes),
        cmocka_unit_test(trimming_takes_spaces_and_tabs_only),
        cmocka_unit_test(splitting_yields_every_part_also_empty_ones),
        cmocka_unit_test(unsigned_numbers_are_digits_and_at_most_the_limit),
        cmocka_unit_test(signed_numbers_may_have_a_sign),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
