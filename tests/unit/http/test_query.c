#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "base/err.h"
#include "http/query.h"

/* Asks for the parameter "a"; expects its value, or no value if `value` is NULL. */
static void check_get(const char *query, int expected, const char *value)
{
    struct rg_buf scratch = {0};
    struct rg_str got = {NULL, 0};

    rg_buf_add_c(&scratch, "kept");
    int result = rg_query_get(rg_str_c(query), RG_STR("a"), &scratch, &got);
    if (result != expected)
        fail_msg("%d instead of %d for %s", result, expected, query);
    assert_memory_equal(scratch.p, "kept", 4);
    if (value != NULL) {
        assert_non_null(got.p);
        if (!rg_str_eq(got, rg_str_c(value)))
            fail_msg("%.*s instead of %s for %s", RG_STR_ARG(got), value, query);
    } else {
        assert_int_equal(scratch.n, 4);
    }
    rg_buf_done(&scratch);
}

static void parameters_are_found_and_decoded(void **state)
{
    (void)state;
    check_get("a=b", 1, "b");
    check_get("x=y&a=b&z=w", 1, "b");
    check_get("a=", 1, "");
    check_get("a=b=c", 1, "b=c");
    check_get("&&a=b&&", 1, "b");
    check_get("%61=%62", 1, "b");
    check_get("a=b+c%2Bd%2bd", 1, "b c+d+d");
    check_get("a=%C3%BC", 1, "\xc3\xbc");
    check_get("a=\xc3\xbc", 1, "\xc3\xbc");
    check_get("a=%26%3D", 1, "&=");
    check_get("a=b?c/d", 1, "b?c/d");
    check_get("+a=1&a=2&a+=3&A=4", 1, "2");
}

static void the_last_of_repeated_parameters_wins(void **state)
{
    (void)state;
    check_get("a=1&a=2", 1, "2");
    check_get("a=long+long+long&b=x&a=2&c=y", 1, "2");
    check_get("a=1&a=", 1, "");
    check_get("a=1&a", 0, NULL);
    check_get("a&a=1", 1, "1");
}

static void absent_parameters_are_told_from_empty_ones(void **state)
{
    (void)state;
    check_get(NULL, 0, NULL);
    check_get("", 0, NULL);
    check_get("a", 0, NULL);
    check_get("aa=1&b=a", 0, NULL);
    check_get("=a", 0, NULL);
}

static void malformed_queries_are_refused_wherever_the_fault_is(void **state)
{
    static const char *const queries[] = {
        "a=%",        "a=%4",        "a=%4g",     "a=%g4",      "a=%%41",   "%=1&a=2",
        "a=2&b=%zz",  "a=2&%zz",     "a=%ff",     "a=%C3",      "%ff&a=1",  "a=%C0%80",
        "a=1&b=\xff", "a=%ED%A0%80", "a=%C3&%BC", "a=%C3=%BC&", "a=%u0041",
    };
    (void)state;
    for (size_t i = 0; i < RG_COUNT_OF(queries); i++)
        check_get(queries[i], RG_ESYNTAX, NULL);
}

static void reserved_scratch_keeps_earlier_results_valid(void **state)
{
    struct rg_str query = RG_STR("a=first&b=second");
    struct rg_buf scratch = {0};
    struct rg_str a, b;
    (void)state;

    rg_buf_reserve(&scratch, 2 * (query.n + 1));
    assert_int_equal(rg_query_get(query, RG_STR("a"), &scratch, &a), 1);
    assert_int_equal(rg_query_get(query, RG_STR("b"), &scratch, &b), 1);
    assert_true(rg_str_eq(a, RG_STR("first")));
    assert_true(rg_str_eq(b, RG_STR("second")));
    rg_buf_done(&scratch);
}

static void plus_is_a_space_in_forms_only(void **state)
{
    struct rg_buf out = {0};
    (void)state;

    assert_int_equal(rg_percent_decode(RG_STR("a+b%20c"), false, &out), 0);
    assert_true(rg_str_eq(rg_buf_str(&out), RG_STR("a+b c")));
    rg_buf_clear(&out);
    assert_int_equal(rg_percent_decode(RG_STR("a+b%20c"), true, &out), 0);
    assert_true(rg_str_eq(rg_buf_str(&out), RG_STR("a b c")));
    assert_int_equal(rg_percent_decode(RG_STR("x%2"), true, &out), RG_ESYNTAX);
    assert_true(rg_str_eq(rg_buf_str(&out), RG_STR("a b c")));
    rg_buf_done(&out);
}

static void a_nul_byte_is_decoded_as_such(void **state)
{
    struct rg_buf out = {0};
    (void)state;

    assert_int_equal(rg_percent_decode(RG_STR("a%00b"), false, &out), 0);
    assert_int_equal(out.n, 3);
    assert_memory_equal(out.p, "a\0b", 3);
    rg_buf_done(&out);
}

static void only_unreserved_characters_stay_unencoded(void **state)
{
    struct rg_buf out = {0};
    (void)state;

    rg_percent_encode(&out, RG_STR("azAZ09-._~ /?&=+%\xc3\xbc\n"));
    assert_true(rg_str_eq(rg_buf_str(&out), RG_STR("azAZ09-._~%20%2F%3F%26%3D%2B%25%C3%BC%0A")));
    rg_buf_done(&out);
}

static void encoded_text_decodes_to_itself(void **state)
{
    struct rg_buf encoded = {0};
    struct rg_buf decoded = {0};
    char all[128];
    (void)state;

    for (int i = 0; i < 128; i++)
        all[i] = (char)i;
    for (int is_form = 0; is_form < 2; is_form++) {
        rg_buf_clear(&encoded);
        rg_buf_clear(&decoded);
        rg_percent_encode(&encoded, rg_str_n(all, sizeof(all)));
        assert_int_equal(rg_percent_decode(rg_buf_str(&encoded), is_form, &decoded), 0);
        assert_true(rg_str_eq(rg_buf_str(&decoded), rg_str_n(all, sizeof(all))));
    }
    rg_buf_done(&encoded);
    rg_buf_done(&decoded);
}

/* All parameters as "name=value;", a '!' for a malformed part and no '=' where there was none. */
static void check_next(const char *query, const char *expected)
{
    struct rg_buf scratch = {0}, got = {0};
    struct rg_str rest = rg_str_c(query), name, value;
    int result;

    while ((result = rg_query_next(&rest, &scratch, &name, &value)) != 0) {
        if (result < 0) {
            assert_int_equal(result, RG_ESYNTAX);
            rg_buf_add_c(&got, "!;");
            continue;
        }
        rg_buf_add_str(&got, name);
        if (value.p != NULL)
            rg_buf_add_char(&got, '=');
        rg_buf_add_str(&got, value);
        rg_buf_add_char(&got, ';');
    }
    assert_null(rest.p);
    if (!rg_str_eq(rg_buf_str(&got), rg_str_c(expected)))
        fail_msg("%.*s instead of %s for %s", RG_STR_ARG(rg_buf_str(&got)), expected, query);
    rg_buf_done(&scratch);
    rg_buf_done(&got);
}

static void all_parameters_come_in_the_order_of_the_query(void **state)
{
    (void)state;
    check_next(NULL, "");
    check_next("", "");
    check_next("&&", "");
    check_next("a=1&b=2&a=3", "a=1;b=2;a=3;");
    check_next("token=x&vsn=2.0.0&", "token=x;vsn=2.0.0;");
    check_next("users%5B%5D=ada&users[]=b+c%2B", "users[]=ada;users[]=b c+;");
    check_next("a&=&=b&c=", "a;=;=b;c=;");
    check_next("a=b=c", "a=b=c;");
}

static void a_malformed_parameter_does_not_hide_the_others(void **state)
{
    (void)state;
    check_next("a=%&b=1", "!;b=1;");
    check_next("%zz=1&b=%c3%28&c=3&%ff", "!;!;c=3;!;");
}

static void parameters_taken_before_stay_where_they_are(void **state)
{
    struct rg_buf scratch = {0};
    struct rg_str rest = RG_STR("one=1&two=%32&%74hree=3&four");
    struct rg_str names[4], values[4];

    (void)state;
    for (size_t i = 0; i < 4; i++)
        assert_int_equal(rg_query_next(&rest, &scratch, &names[i], &values[i]), 1);
    assert_true(rg_str_eq(names[0], RG_STR("one")) && rg_str_eq(values[0], RG_STR("1")));
    assert_true(rg_str_eq(names[1], RG_STR("two")) && rg_str_eq(values[1], RG_STR("2")));
    assert_true(rg_str_eq(names[2], RG_STR("three")) && rg_str_eq(values[2], RG_STR("3")));
    assert_true(rg_str_eq(names[3], RG_STR("four")) && values[3].p == NULL);
    assert_ptr_equal(names[0].p, scratch.p);
    rg_buf_done(&scratch);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(parameters_are_found_and_decoded),
        cmocka_unit_test(the_last_of_repeated_parameters_wins),
        cmocka_unit_test(absent_parameters_are_told_from_empty_ones),
        cmocka_unit_test(malformed_queries_are_refused_wherever_the_fault_is),
        cmocka_unit_test(reserved_scratch_keeps_earlier_results_valid),
        cmocka_unit_test(plus_is_a_space_in_forms_only),
        cmocka_unit_test(a_nul_byte_is_decoded_as_such),
        cmocka_unit_test(only_unreserved_characters_stay_unencoded),
        cmocka_unit_test(encoded_text_decodes_to_itself),
        cmocka_unit_test(all_parameters_come_in_the_order_of_the_query),
        cmocka_unit_test(a_malformed_parameter_does_not_hide_the_others),
        cmocka_unit_test(parameters_taken_before_stay_where_they_are),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
