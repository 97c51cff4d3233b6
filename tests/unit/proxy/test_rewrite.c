#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "proxy/rewrite.h"

static struct rg_captures captures_of(const char *const *groups, size_t n)
{
    struct rg_captures captures = {.n = n};

    for (size_t i = 0; i < n; i++)
        captures.group[i] = rg_str_c(groups[i]);
    return captures;
}

static void expect_query(const char *replacement, struct rg_str query, const char *wanted)
{
    static const char *const groups[] = {"/old/7/part/9", "7", "9", NULL, "..", "/"};
    struct rg_captures captures = captures_of(groups, 6);
    struct rg_rewrite *rewrite = rg_rewrite_new(rg_str_c(replacement));
    struct rg_buf out = {0};

    rg_buf_add_c(&out, "GET ");
    assert_int_equal(rg_rewrite_expand(rewrite, &captures, query, &out), 0);
    rg_buf_add_char(&out, '\0');
    assert_memory_equal(out.p, "GET ", 4);
    assert_string_equal(out.p + 4, wanted);
    rg_buf_done(&out);
    rg_rewrite_free(&rewrite);
    rg_rewrite_free(&rewrite);
}

static void expect(const char *replacement, const char *wanted)
{
    expect_query(replacement, (struct rg_str){NULL, 0}, wanted);
}

static void groups_are_put_in(void **state)
{
    (void)state;
    expect("/new/\\2/\\1", "/new/9/7");
    expect("/new/\\g{2}/\\g{1}", "/new/9/7");
    expect("/\\g{1}2", "/72");
    expect("/x\\0", "/x/old/7/part/9");
    expect("\\0", "/old/7/part/9");
    expect("/\\01/\\g{002}", "/7/9");
}

static void what_did_not_take_part_or_does_not_exist_is_empty(void **state)
{
    (void)state;
    expect("/k/\\3", "/k/");
    expect("/k/\\12", "/k/");
    expect("/k/\\33/\\g{33}", "/k//");
    expect("/k/\\18446744073709551617", "/k/");
    expect("/k/\\g{99999999999999999999999}", "/k/");
}

static void a_backslash_is_one_where_no_group_follows(void **state)
{
    (void)state;
    expect("/a\\\\b", "/a\\b");
    expect("/a\\\\1", "/a\\1");
    expect("/a\\\\\\1", "/a\\7");
    expect("/a\\b", "/a\\b");
    expect("/a\\", "/a\\");
    expect("/a\\g", "/a\\g");
    expect("/a\\g{", "/a\\g{");
    expect("/a\\g{1", "/a\\g{1");
    expect("/a\\g{}", "/a\\g{}");
    expect("/a\\g{-1}", "/a\\g{-1}");
    expect("/a\\g{1x}", "/a\\g{1x}");
}

static void a_path_begins_with_one_slash(void **state)
{
    (void)state;
    expect("new", "/new");
    expect("\\1", "/7");
    expect("\\3", "/");
    expect("?a", "/?a");
    expect("#", "/");
    expect("//other.host/x", "/other.host/x");
    expect("\\0\\0", "/old/7/part/9/old/7/part/9");
    expect("/\\0", "/old/7/part/9");
    expect("\\5\\5x", "/x");
}

static void a_fragment_is_dropped(void **state)
{
    (void)state;
    expect("/a#b", "/a");
    expect("/a?b#c", "/a?b");
    expect("/a#b?c", "/a");
    expect_query("/a#b", RG_STR("x=1"), "/a?x=1");
    expect_query("/a?b#c", RG_STR("x=1"), "/a?b&x=1");
}

static void the_query_of_the_client_follows(void **state)
{
    (void)state;
    expect_query("/a", RG_STR("b=2&a=1"), "/a?b=2&a=1");
    expect_query("/a?c=\\1", RG_STR("b=2"), "/a?c=7&b=2");
    expect_query("/a?", RG_STR("b=2"), "/a?b=2");
    expect_query("/a?c?", RG_STR("b=2"), "/a?c?b=2");
    expect_query("/a", RG_STR(""), "/a");
    expect_query("/a?c", RG_STR(""), "/a?c");
    expect("/a?c=../x", "/a?c=../x");
    expect("/a?", "/a?");
}

static void pieces_do_not_make_a_way_out(void **state)
{
    (void)state;
    expect("/a/\\4/b", "/b");
    expect("/a/b/\\4", "/a/");
    expect("/a/\\4/\\4/\\4/b", "/b");
    expect("/a/%2e\\4", "/a/%2e..");
    expect("/a/./b?x/../y", "/a/b?x/../y");
}

static void what_would_end_a_request_line_is_encoded(void **state)
{
    (void)state;
    expect("/a b\r\nx:\t1\x7f", "/a%20b%0D%0Ax:%091%7F");
    expect("/a?b c", "/a?b%20c");
}

static void a_result_that_is_too_long_is_refused(void **state)
{
    static char long_text[RG_REWRITE_MAX_BYTES];
    struct rg_captures captures = {.n = 2};
    struct rg_rewrite *rewrite = rg_rewrite_new(RG_STR("/\\1"));
    struct rg_buf out = {0};
    struct rg_str none = {NULL, 0};

    (void)state;
    memset(long_text, 'a', sizeof(long_text));
    rg_buf_add_c(&out, "GET ");
    /* The slash in front and that of the replacement are counted, though one is left of them. */
    captures.group[1] = rg_str_n(long_text, RG_REWRITE_MAX_BYTES - 2);
    assert_int_equal(rg_rewrite_expand(rewrite, &captures, none, &out), 0);
    assert_int_equal(out.n, 4 + RG_REWRITE_MAX_BYTES - 1);
    out.n = 4;
    captures.group[1].n++;
    assert_int_equal(rg_rewrite_expand(rewrite, &captures, none, &out), RG_EFULL);
    assert_int_equal(out.n, 4);
    captures.group[1].n = 10;
    struct rg_str query = rg_str_n(long_text, RG_REWRITE_MAX_BYTES - 12);
    assert_int_equal(rg_rewrite_expand(rewrite, &captures, query, &out), 0);
    assert_int_equal(out.n, 4 + RG_REWRITE_MAX_BYTES);
    out.n = 4;
    query.n++;
    assert_int_equal(rg_rewrite_expand(rewrite, &captures, query, &out), RG_EFULL);
    assert_int_equal(out.n, 4);
    rg_rewrite_free(&rewrite);

    /* Many references to what is long. */
    struct rg_buf many = {0};
    for (int i = 0; i < 5000; i++)
        rg_buf_add_c(&many, "\\1\\0");
    rewrite = rg_rewrite_new(rg_buf_str(&many));
    captures.group[0] = captures.group[1] = rg_str_n(long_text, 16384);
    assert_int_equal(rg_rewrite_expand(rewrite, &captures, none, &out), RG_EFULL);
    assert_true(out.cap < (size_t)4 * RG_REWRITE_MAX_BYTES);
    rg_rewrite_free(&rewrite);
    rg_buf_done(&many);
    rg_buf_done(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(groups_are_put_in),
        cmocka_unit_test(what_did_not_take_part_or_does_not_exist_is_empty),
        cmocka_unit_test(a_backslash_is_one_where_no_group_follows),
        cmocka_unit_test(a_path_begins_with_one_slash),
        cmocka_unit_test(a_fragment_is_dropped),
        cmocka_unit_test(the_query_of_the_client_follows),
        cmocka_unit_test(pieces_do_not_make_a_way_out),
        cmocka_unit_test(what_would_end_a_request_line_is_encoded),
        cmocka_unit_test(a_result_that_is_too_long_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
