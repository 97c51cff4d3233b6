#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/alloc.h"
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

/* ---- one form ---- */

static void expect_form(const char *path, const char *wanted)
{
    struct rg_buf scratch = {0};
    struct rg_str got;

    rg_buf_add_c(&scratch, "what was there before");
    int err = rg_path_normalise(rg_str_c(path), &scratch, &got, NULL);
    if (err != 0 || !rg_str_eq(got, rg_str_c(wanted)))
        fail_msg("%s: %d %.*s instead of %s", path, err, err == 0 ? (int)got.n : 0, got.p, wanted);
    assert_int_equal(got.p == path, strcmp(path, wanted) == 0);
    rg_buf_done(&scratch);
}

static void expect_no_form(struct rg_str path, const char *reason)
{
    struct rg_buf scratch = {0};
    struct rg_why why = {0};
    struct rg_str got = {NULL, 0};

    assert_int_equal(rg_path_normalise(path, &scratch, &got, &why), RG_EINVAL);
    assert_string_equal(why.text, reason);
    assert_null(got.p);
    assert_int_equal(rg_path_normalise(path, &scratch, &got, NULL), RG_EINVAL);
    rg_buf_done(&scratch);
}

static void a_path_in_its_one_form_is_not_copied(void **state)
{
    static const char *const paths[] = {
        "/",          "/a",       "/a/",         "/a//b",     "/a//",      "/a/b.c",
        "/.a/..b/c.", "/...",     "/%2e%2e%2e",  "/a%2eb",    "/a%2Fb%5c", "/%C3%A9\xc3\xa9",
        "/%252e/x",   "/a;b/c;.", "/x:y@z,$&'*", "/%0a%0D/x", "/a..;x",    "/a;..;/x",
    };

    (void)state;
    for (size_t i = 0; i < RG_COUNT_OF(paths); i++)
        expect_form(paths[i], paths[i]);
}

static void slashes_in_front_are_one(void **state)
{
    (void)state;
    expect_form("//", "/");
    expect_form("////", "/");
    expect_form("//127.0.0.1:9200/x", "/127.0.0.1:9200/x");
    expect_form("///a//b", "/a//b");
    expect_form("/.//host/x", "/host/x");
    expect_form("/a/..//host/x", "/host/x");
    expect_form("/..//", "/");
}

static void dot_segments_are_removed(void **state)
{
    static const char *const rows[][2] = {
        {"/a/b/c/./../../g", "/a/g"},
        {"/x/../items", "/items"},
        {"/open/../private", "/private"},
        {"/..", "/"},
        {"/.", "/"},
        {"/../../a", "/a"},
        {"/a/.", "/a/"},
        {"/a/..", "/"},
        {"/a/b/..", "/a/"},
        {"/a/b/../", "/a/"},
        {"/a/./b/./", "/a/b/"},
        {"/a//../b", "/a/b"},
        {"/a//..", "/a/"},
        {"/a/%2e", "/a/"},
        {"/a/%2E./b", "/b"},
        {"/a/.%2e/b", "/b"},
        {"/a/%2e%2E/b", "/b"},
        {"/a/../%2e%2e/%252e", "/%252e"},
        {"/a/../b/../c/..", "/"},
        {"/a/.../../b", "/a/b"},
    };

    (void)state;
    for (size_t i = 0; i < RG_COUNT_OF(rows); i++)
        expect_form(rows[i][0], rows[i][1]);
}

static void what_is_no_path_is_refused(void **state)
{
    static const char *const controls[] = {"/a b", "/a\tb", "/a\r\n", "/\x7f", "/\x01"};
    static const char *const escapes[] = {"/%", "/a%2", "/%zz", "/../%%2e", "/a/%2", "/%2/"};

    (void)state;
    expect_no_form(RG_STR(""), "the path does not begin with a slash");
    expect_no_form(RG_STR("*"), "the path does not begin with a slash");
    expect_no_form(RG_STR("../a"), "the path does not begin with a slash");
    for (size_t i = 0; i < RG_COUNT_OF(controls); i++)
        expect_no_form(rg_str_c(controls[i]), "the path has a space or control byte");
    for (size_t i = 0; i < RG_COUNT_OF(escapes); i++)
        expect_no_form(rg_str_c(escapes[i]), "the path has a % that two hex digits do not follow");
    expect_no_form(RG_STR("/a\0b"), "the path has a space or control byte");
    expect_no_form(RG_STR("/a%00"), "the path has an encoded NUL");
    expect_no_form(RG_STR("/a\\b"), "the path has a backslash");
    expect_no_form(RG_STR("/a?b"), "the path has a query or fragment");
    expect_no_form(RG_STR("/a#b"), "the path has a query or fragment");
    expect_no_form(RG_STR("/a\xff"), "the path is not UTF-8");
    expect_no_form(RG_STR("/a\xc3/\xa9"), "the path is not UTF-8");
    expect_no_form(RG_STR("/\xc0\xaf"), "the path is not UTF-8");
}

static void dots_that_a_service_may_uncover_are_refused(void **state)
{
    static const char *const paths[] = {"/a/..;x/b", "/a/.;/b",     "/..%2fb",     "/a%2f..",
                                        "/a%5C%2e.", "/a/%2e%2e;x", "/a%2f..%2Fb", "/x%2f.;y",
                                        "/..;",      "/a/../..;/b", "/a;b%2f..;c", "/a/..%3bx",
                                        "/.%3B"};

    (void)state;
    for (size_t i = 0; i < RG_COUNT_OF(paths); i++)
        expect_no_form(rg_str_c(paths[i]), "the path has a dot segment in disguise");
}

static uint64_t chance = 3986;

static size_t below(size_t bound)
{
    chance = chance * 6364136223846793005ULL + 1442695040888963407ULL;
    return (size_t)(chance >> 33) % bound;
}

static void expect_one_form(struct rg_str form)
{
    struct rg_buf again = {0};
    struct rg_str same;

    assert_int_equal(rg_path_normalise(form, &again, &same, NULL), 0);
    assert_ptr_equal(same.p, form.p);
    assert_int_equal(same.n, form.n);
    assert_true(form.n >= 1 && form.p[0] == '/' && (form.n == 1 || form.p[1] != '/'));
    rg_buf_done(&again);
}

/* RFC 3986 5.2.4, as it is written there, on a path without encoded dots. */
static void remove_as_the_rfc_says(struct rg_str in, struct rg_buf *out)
{
    struct rg_buf input = {0};

    rg_buf_add_str(&input, in);
    while (input.n > 0) {
        struct rg_str rest = rg_buf_str(&input);
        if (rg_str_starts_with(rest, RG_STR("/./"))) {
            rg_buf_consume(&input, 2);
        } else if (rg_str_eq(rest, RG_STR("/."))) {
            input.n = 1;
        } else if (rg_str_starts_with(rest, RG_STR("/../")) || rg_str_eq(rest, RG_STR("/.."))) {
            if (rest.n == 3)
                input.n = 1;
            else
                rg_buf_consume(&input, 3);
            while (out->n > 0 && out->p[--out->n] != '/')
                ;
        } else {
            const char *slash = memchr(rest.p + 1, '/', rest.n - 1);
            size_t n = slash != NULL ? (size_t)(slash - rest.p) : rest.n;
            rg_buf_add(out, rest.p, n);
            rg_buf_consume(&input, n);
        }
    }
    rg_buf_done(&input);
}

static void the_form_is_that_of_the_rfc_and_the_same_ever_after(void **state)
{
    static const char *const pieces[] = {"/", "/", "/", ".", "..", "a", "b.", "/../", "/./", "//"};
    struct rg_buf path = {0}, scratch = {0}, wanted = {0};
    struct rg_str form;

    (void)state;
    for (int i = 0; i < 50000; i++) {
        rg_buf_clear(&path);
        rg_buf_clear(&wanted);
        rg_buf_add_char(&path, '/');
        for (size_t left = below(9); left > 0; left--)
            rg_buf_add_c(&path, pieces[below(RG_COUNT_OF(pieces))]);
        assert_int_equal(rg_path_normalise(rg_buf_str(&path), &scratch, &form, NULL), 0);
        expect_one_form(form);
        remove_as_the_rfc_says(rg_buf_str(&path), &wanted);
        while (wanted.n > 1 && wanted.p[1] == '/')
            rg_buf_consume(&wanted, 1);
        assert_true(rg_str_eq(form, rg_buf_str(&wanted)));
    }
    rg_buf_done(&path);
    rg_buf_done(&scratch);
    rg_buf_done(&wanted);
}

static void encoded_slashes_are_seen_in_either_case(void **state)
{
    (void)state;
    assert_true(rg_path_has_encoded_slash(RG_STR("/a%2fb")));
    assert_true(rg_path_has_encoded_slash(RG_STR("/a%2F")));
    assert_true(rg_path_has_encoded_slash(RG_STR("/a%5cb")));
    assert_true(rg_path_has_encoded_slash(RG_STR("/%25%5C")));
    assert_false(rg_path_has_encoded_slash(RG_STR("/a%252fb")));
    assert_false(rg_path_has_encoded_slash(RG_STR("/a/b%2")));
    assert_false(rg_path_has_encoded_slash(RG_STR("/a%2")));
    assert_false(rg_path_has_encoded_slash(RG_STR("")));
    assert_false(rg_path_has_encoded_slash(RG_STR("/%2e%20")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_path_that_can_only_be_read_in_one_way_is_taken),
        cmocka_unit_test(dot_segments_are_refused_wherever_they_are),
        cmocka_unit_test(what_a_service_may_decode_into_another_path_is_refused),
        cmocka_unit_test(an_escape_has_two_hex_digits),
        cmocka_unit_test(a_path_begins_with_a_slash),
        cmocka_unit_test(a_path_in_its_one_form_is_not_copied),
        cmocka_unit_test(slashes_in_front_are_one),
        cmocka_unit_test(dot_segments_are_removed),
        cmocka_unit_test(what_is_no_path_is_refused),
        cmocka_unit_test(dots_that_a_service_may_uncover_are_refused),
        cmocka_unit_test(the_form_is_that_of_the_rfc_and_the_same_ever_after),
        cmocka_unit_test(encoded_slashes_are_seen_in_either_case),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
