#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "http/cookie.h"

static struct rg_request req;

/* A request with up to two Cookie fields and others around them. */
static void given(const char *first, const char *second)
{
    req.fields_n = 0;
    req.fields[req.fields_n++] = (struct rg_http_field){RG_STR("X"), RG_STR("a=wrong")};
    req.fields[req.fields_n++] = (struct rg_http_field){RG_STR("Cookie"), rg_str_c(first)};
    req.fields[req.fields_n++] = (struct rg_http_field){RG_STR("Cookies"), RG_STR("a=wrong")};
    if (second != NULL)
        req.fields[req.fields_n++] = (struct rg_http_field){RG_STR("cookie"), rg_str_c(second)};
}

static void expect(const char *name, const char *value)
{
    struct rg_str got = rg_cookie_get(&req, rg_str_c(name));

    if (value == NULL) {
        assert_null(got.p);
        return;
    }
    assert_non_null(got.p);
    assert_int_equal(got.n, strlen(value));
    assert_memory_equal(got.p, value, got.n);
}

static void cookies_are_found_in_every_field(void **state)
{
    (void)state;
    given("a=1; b=2;c=3 ;  d=4", "e=5");
    expect("a", "1");
    expect("b", "2");
    expect("c", "3");
    expect("d", "4");
    expect("e", "5");
    expect("f", NULL);
}

static void the_first_of_equal_names_wins(void **state)
{
    (void)state;
    given("x=0; a=1; a=2", "a=3");
    expect("a", "1");
}

static void names_are_compared_exactly(void **state)
{
    (void)state;
    given("A=1; aa=2; $a=3", NULL);
    expect("a", NULL);
}

static void values_are_raw_but_for_their_quotes(void **state)
{
    (void)state;
    given("a=\"x y\"; b=\"; c=\"\"; d=p=q; e=%41; f=", NULL);
    expect("a", "x y");
    expect("b", "\"");
    expect("c", "");
    expect("d", "p=q");
    expect("e", "%41");
    expect("f", "");
}

static void pairs_without_equals_sign_are_no_cookies(void **state)
{
    (void)state;
    given("a; ;=; =b; a=1", NULL);
    expect("a", "1");
    given("a", "");
    expect("a", NULL);
}

static void a_request_without_cookies_has_none(void **state)
{
    (void)state;
    req.fields_n = 0;
    expect("a", NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(cookies_are_found_in_every_field),
        cmocka_unit_test(the_first_of_equal_names_wins),
        cmocka_unit_test(names_are_compared_exactly),
        cmocka_unit_test(values_are_raw_but_for_their_quotes),
        cmocka_unit_test(pairs_without_equals_sign_are_no_cookies),
        cmocka_unit_test(a_request_without_cookies_has_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
