#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "rgate/args.h"

static void assert_text(struct rg_buf *buf, const char *expected)
{
    rg_buf_add_char(buf, '\0');
    assert_string_equal(buf->p, expected);
    rg_buf_done(buf);
}

static void members_are_json_where_they_can_be(void **state)
{
    struct rg_buf out = {0};

    (void)state;
    rg_buf_add_char(&out, '{');
    assert_int_equal(rg_args_add_member(&out, "room=blue"), 0);
    assert_int_equal(rg_args_add_member(&out, "urgent=true"), 0);
    assert_int_equal(rg_args_add_member(&out, "n=30"), 0);
    assert_int_equal(rg_args_add_member(&out, "s=\"30\""), 0);
    assert_int_equal(rg_args_add_member(&out, "quote=a\"b=c"), 0);
    assert_int_equal(rg_args_add_member(&out, "empty="), 0);
    assert_text(&out, "{\"room\":\"blue\",\"urgent\":true,\"n\":30,\"s\":\"30\","
                      "\"quote\":\"a\\\"b=c\",\"empty\":\"\"");
}

static void members_need_a_name(void **state)
{
    struct rg_buf out = {0};

    (void)state;
    assert_int_equal(rg_args_add_member(&out, "blue"), RG_ESYNTAX);
    assert_int_equal(rg_args_add_member(&out, "=blue"), RG_ESYNTAX);
    assert_int_equal(out.n, 0);
}

static void urls_are_joined_by_one_slash(void **state)
{
    struct rg_buf out = {0};

    (void)state;
    rg_args_add_url(&out, "http://h:1//", "/a");
    assert_text(&out, "http://h:1/a");
    rg_args_add_url(&out, "http://h:1", "/a");
    assert_text(&out, "http://h:1/a");
}

static void the_nearest_word_is_a_correction_and_not_a_guess(void **state)
{
    static const char *const words[] = {"serve", "subscribe", "publish", "token", NULL};

    (void)state;
    assert_string_equal(rg_args_nearest("serv", words), "serve");
    assert_string_equal(rg_args_nearest("sub", words), "subscribe");
    assert_string_equal(rg_args_nearest("pubilsh", words), "publish");
    assert_string_equal(rg_args_nearest("tokne", words), "token");
    assert_null(rg_args_nearest("status", words));
    assert_null(rg_args_nearest("xyz", words));
    assert_null(rg_args_nearest("", words));
}

static void a_file_that_is_not_there_is_told_with_its_name(void **state)
{
    RG_CLEANUP(rg_buf_done) struct rg_buf out = {0};
    struct rg_why why;

    (void)state;
    assert_true(rg_args_read("@/no/such/file", &out, &why) < 0);
    assert_non_null(strstr(why.text, "/no/such/file"));
    assert_int_equal(rg_args_read("itself", &out, &why), 0);
    assert_text(&out, "itself");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(members_are_json_where_they_can_be),
        cmocka_unit_test(members_need_a_name),
        cmocka_unit_test(urls_are_joined_by_one_slash),
        cmocka_unit_test(the_nearest_word_is_a_correction_and_not_a_guess),
        cmocka_unit_test(a_file_that_is_not_there_is_told_with_its_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
