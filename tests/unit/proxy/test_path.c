#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "proxy/path.h"

static void expect(const char *path, const char *reason)
{
    struct rg_why why = {0};
    int err = rg_path_check(rg_str_c(path), &why);

    assert_int_equal(err, reason != NULL ? RG_EINVAL : 0);
    assert_string_equal(why.text, reason != NULL ? reason : "");
    assert_int_equal(rg_path_check(rg_str_c(path), NULL), err);
}

static void a_path_that_can_only_be_read_in_one_way_is_taken(void **state)
{
    static const char *const paths[] = {
        "/",       "/a",         "/a/b/",  "//a",    "/x.y-1",         "/.a",
        "/a.",     "/...",       "/..a/b", "/a..b",  "/a;b=c/d;e",     "/a%20b",
        "/%C3%a9", "/a:b@c,d+e", "/%25",   "/%252e", "/.well-known/x",
    };

    (void)state;
    for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++)
        expect(paths[i], NULL);
}

static void dot_segments_are_refused_wherever_they_are(void **state)
{
    static const char *const paths[] = {
        "/.", "/..", "/./a", "/../a", "/a/.", "/a/..", "/a/./b", "/a/../b", "/..;x/a", "/a/.;",
    };

    (void)state;
    for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++)
        expect(paths[i], "the path has a dot segment");
}

static void what_a_service_may_decode_into_another_path_is_refused(void **state)
{
    (void)state;
    expect("/a/%2e%2e/b", "the path has an encoded dot");
    expect("/a%2Eb", "the path has an encoded dot");
    expect("/a%2fb", "the path has an encoded slash");
    expect("/a%2F", "the path has an encoded slash");
    expect("/a%5cb", "the path has an encoded backslash");
    expect("/a%00", "the path has an encoded NUL");
    expect("/a\\b", "the path has a backslash");
}

static void an_escape_has_two_hex_digits(void **state)
{
    static const char *const paths[] = {"/%", "/a%2", "/%zz", "/%2g/", "/%%20"};

    (void)state;
    for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++)
        expect(paths[i], "the path has a % that two hex digits do not follow");
}

static void a_path_begins_with_a_slash(void **state)
{
    (void)state;
    expect("", "the path does not begin with a slash");
    expect("*", "the path does not begin with a slash");
    expect("a/b", "the path does not begin with a slash");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_path_that_can_only_be_read_in_one_way_is_taken),
        cmocka_unit_test(dot_segments_are_refused_wherever_they_are),
        cmocka_unit_test(what_a_service_may_decode_into_another_path_is_refused),
        cmocka_unit_test(an_escape_has_two_hex_digits),
        cmocka_unit_test(a_path_begins_with_a_slash),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
