#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "auth/identity.h"
#include "base/alloc.h"
#include "base/buf.h"

static const char *const support[] = {"support", "chief"};
static const struct rg_identity_fields names = {"username", "role", support, 2};

/* Compares with "<user>|<role>,<role>,|<is privileged>"; '-' for no user. */
static void expect(const struct rg_identity_fields *fields, const char *claims, const char *want)
{
    struct rg_identity *identity = rg_identity_new(fields, rg_str_c(claims));
    struct rg_buf got = {0};

    if (identity->user.p == NULL)
        rg_buf_add_char(&got, '-');
    rg_buf_add_str(&got, identity->user);
    rg_buf_add_char(&got, '|');
    for (size_t i = 0; i < identity->roles_n; i++) {
        rg_buf_add_str(&got, identity->roles[i]);
        rg_buf_add_char(&got, ',');
    }
    rg_buf_add_c(&got, identity->is_privileged ? "|yes" : "|no");
    if (!rg_str_eq(rg_buf_str(&got), rg_str_c(want)))
        fail_msg("%.*s instead of %s for %s", RG_STR_ARG(rg_buf_str(&got)), want, claims);
    rg_buf_done(&got);
    rg_identity_free(&identity);
    assert_null(identity);
}

static void claims_say_who_it_is(void **state)
{
    (void)state;
    expect(&names, "{\"username\":\"ada\",\"role\":[\"customer\",\"vip\"],\"jti\":\"j\"}",
           "ada|customer,vip,|no");
    expect(&names, "{\"role\":[\"customer\",\"support\"],\"username\":\"sam\"}",
           "sam|customer,support,|yes");
    expect(&names, "{\"username\":\"\\u00e4\\n\",\"role\":[\"a\\tb\",\"\\u0063hief\"]}",
           "\xc3\xa4\n|a\tb,chief,|yes");
}

static void what_is_not_there_is_not_there(void **state)
{
    (void)state;
    expect(&names, "{}", "-||no");
    expect(&names, "{\"username\":5,\"role\":{}}", "-||no");
    expect(&names, "{\"username\":\"\",\"role\":null}", "-||no");
    expect(&names, "{\"username\":[\"ada\"],\"role\":7}", "-||no");
    expect(&names, "{\"username\":\"ada\"}", "ada||no");
    expect(&names, "{\"role\":[\"support\"]}", "-|support,|yes");
    expect(&names, "not JSON", "-||no");
}

static void one_string_is_a_list_of_one_role(void **state)
{
    (void)state;
    expect(&names, "{\"username\":\"ada\",\"role\":\"customer\"}", "ada|customer,|no");
    expect(&names, "{\"username\":\"ada\",\"role\":\"chief\"}", "ada|chief,|yes");
}

static void roles_are_listed_once_and_only_if_they_are_strings(void **state)
{
    (void)state;
    expect(&names, "{\"role\":[\"b\",\"a\",\"b\",5,null,[\"c\"],\"\\u0061\",\"d\"]}",
           "-|b,a,d,|no");
    expect(&names, "{\"role\":[[\"support\"],{\"support\":1}]}", "-||no");
}

static void a_field_is_a_pointer_or_a_name(void **state)
{
    const struct rg_identity_fields pointers = {"/username", "/role", support, 2};
    const struct rg_identity_fields deep = {"/who/0/name", "/realm/a~1b", support, 2};
    const struct rg_identity_fields urls = {"https://id.example/name", "a~1b", NULL, 0};

    (void)state;
    expect(&pointers, "{\"username\":\"ada\",\"role\":[\"vip\"]}", "ada|vip,|no");
    expect(&deep, "{\"who\":[{\"name\":\"ada\"}],\"realm\":{\"a/b\":[\"chief\"]}}",
           "ada|chief,|yes");
    expect(&urls, "{\"https://id.example/name\":\"ada\",\"a~1b\":[\"vip\"],\"a/b\":[\"x\"]}",
           "ada|vip,|no");
}

static void an_identity_keeps_nothing_of_the_claims(void **state)
{
    char claims[] = "{\"username\":\"ada\",\"role\":[\"vip\"]}";
    struct rg_identity *identity = rg_identity_new(&names, rg_str_c(claims));

    (void)state;
    memset(claims, 'x', sizeof(claims));
    assert_true(rg_str_eq(identity->user, RG_STR("ada")));
    assert_true(rg_str_eq(identity->roles[0], RG_STR("vip")));
    rg_identity_free(&identity);
    rg_identity_free(&identity);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(claims_say_who_it_is),
        cmocka_unit_test(what_is_not_there_is_not_there),
        cmocka_unit_test(one_string_is_a_list_of_one_role),
        cmocka_unit_test(roles_are_listed_once_and_only_if_they_are_strings),
        cmocka_unit_test(a_field_is_a_pointer_or_a_name),
        cmocka_unit_test(an_identity_keeps_nothing_of_the_claims),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
