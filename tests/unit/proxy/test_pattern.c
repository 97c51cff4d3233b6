#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "base/buf.h"
#include "proxy/pattern.h"

static struct rg_pattern *compile(const char *text)
{
    struct rg_why why = {0};
    struct rg_pattern *pattern = rg_pattern_compile(rg_str_c(text), &why);

    if (pattern == NULL)
        print_error("%s: %s\n", text, why.text);
    assert_non_null(pattern);
    return pattern;
}

static int match_n(const char *text, struct rg_str path)
{
    struct rg_pattern *pattern = compile(text);
    struct rg_captures captures;
    int found = rg_pattern_match(pattern, path, &captures);

    rg_pattern_free(&pattern);
    return found;
}

static void expect(const char *text, const char *path, bool matches)
{
    if (match_n(text, rg_str_c(path)) != (matches ? 1 : 0))
        fail_msg("%s %s %s", text, matches ? "should match" : "should not match", path);
}

static void expect_groups(const char *text, const char *path, const char *groups)
{
    struct rg_pattern *pattern = compile(text);
    struct rg_captures captures;
    struct rg_buf got = {0};

    assert_int_equal(rg_pattern_match(pattern, rg_str_c(path), &captures), 1);
    for (size_t i = 0; i < captures.n; i++) {
        struct rg_str group = captures.group[i];
        if (group.p == NULL)
            rg_buf_add_c(&got, "-");
        rg_buf_add_str(&got, group);
        rg_buf_add_char(&got, ' ');
    }
    rg_buf_add_char(&got, '\0');
    assert_string_equal(got.p, groups);
    rg_buf_done(&got);
    rg_pattern_free(&pattern);
}

static void expect_refused(const char *text, const char *reason)
{
    struct rg_why why = {0};

    assert_null(rg_pattern_compile(rg_str_c(text), &why));
    assert_string_equal(why.text, reason);
    assert_null(rg_pattern_compile(rg_str_c(text), NULL));
}

static void the_whole_path_must_match(void **state)
{
    (void)state;
    expect("/items", "/items", true);
    expect("/items", "/evil/items", false);
    expect("/items", "/items/", false);
    expect("/items", "/item", false);
    expect("/a|/b", "/a", true);
    expect("/a|/b", "/b", true);
    expect("/a|/b", "/a/zzz", false);
    expect("/a|/b", "/x/b", false);
    expect("/i[tT]ems", "/evil/items", false);
    expect("/i[tT]ems", "/items/5", false);
    expect("/.*", "/", true);
    expect(".*", "/anything/at/all", true);
    /* Neither a verb nor an option nor a comment nor a look ahead gets around the end. */
    expect("/a(*ACCEPT)b", "/axxx", false);
    expect("(?x)/a #", "/a", true);
    expect("(?x)/a #", "/ab", false);
    expect("/a(?=/b)", "/a/b", false);
    expect("(?m)/a$", "/a\n/b", false);
    expect("/a$", "/a\n", false);
    expect("/[a]$", "/a\n", false);
}

static void anchors_of_its_own_say_nothing_new(void **state)
{
    (void)state;
    expect("^/x$", "/x", true);
    expect("^/x$", "/y/x", false);
    expect("^/x", "/x", true);
    expect("/x$", "/x", true);
    expect("/x\\$", "/x$", true);
    expect("/x\\$", "/x", false);
    expect("/x\\\\$", "/x\\", true);
    expect("^/[x]$", "/x", true);
    expect("^/[x]\\$", "/x$", true);
    expect("^^/x", "/x", true);
    expect("/\\Qa$", "/a$", true);
    expect("/\\Qa$", "/a", false);
}

static void letters_of_ascii_are_compared_without_case(void **state)
{
    (void)state;
    expect("/items", "/ITEMS", true);
    expect("/Items/([0-9]+)", "/iTEMS/5", true);
    expect("/Items/[^/]+/x", "/iTEMS/5/X", true);
}

static void no_other_sign_is_taken_for_a_letter_of_ascii(void **state)
{
    (void)state;
    /* U+212A and U+017F, which Unicode folds to k and s. */
    expect("/keys",
           "/\xe2\x84\xaa"
           "eys",
           false);
    expect("/key[s]",
           "/\xe2\x84\xaa"
           "eys",
           false);
    expect("/key[s]", "/key\xc5\xbf", false);
    expect("/[a-z]+", "/\xe2\x84\xaa", false);
    expect("/[^/a]+", "/\xe2\x84\xaa\xc5\xbf", true);
    expect("/\xc3\xa9", "/\xc3\x89", true);
    expect_groups("/(.)(.*)", "/\xe2\x84\xaax", "/\xe2\x84\xaax \xe2\x84\xaa x ");
}

static void a_dot_is_one_character_and_not_one_byte(void **state)
{
    (void)state;
    expect("/.", "/\xc3\xa9", true);
    expect("/..", "/\xc3\xa9", false);
    assert_int_equal(match_n("/.*", RG_STR("/\xc3")), 0);
    assert_int_equal(match_n("/.*", RG_STR("/\xff\xfe")), 0);
    assert_int_equal(match_n("/.*", RG_STR("")), 0);
}

static void a_pattern_that_begins_with_a_letter_or_digit_may_do_without_the_slash(void **state)
{
    (void)state;
    expect("todos/1", "/todos/1", true);
    expect("todos/1", "/z/todos/1", false);
    expect("^todos/[0-9]", "/todos/1", true);
    expect("todos/[0-9]", "/z/todos/1", false);
    expect("1|/b", "/1", true);
    expect("1|/b", "/b", true);
    expect("x*/a", "/a", true);
    expect("[t]odos", "/todos", false);
    expect("_todos", "/_todos", false);
    expect_groups("todos/([^/]+)", "/todos/7", "todos/7 7 ");
    expect_groups("todos/([0-9]+)", "/todos/7", "todos/7 7 ");
}

static void percent_escapes_are_text(void **state)
{
    (void)state;
    expect("/a%20b", "/a%20b", true);
    expect("/a b", "/a%20b", false);
}

static void groups_are_slices_of_the_path(void **state)
{
    (void)state;
    expect_groups("/old/([^/]+)/part/([^/]+)", "/old/7/Part/9", "/old/7/Part/9 7 9 ");
    expect_groups("/a/[^/]+/([^/]+)", "/a/b/c", "/a/b/c c ");
    expect_groups("/x", "/x", "/x ");
    expect_groups("/(a)|/(b)", "/b", "/b - b ");
    expect_groups("/(a)|/(b)", "/a", "/a a - ");
    expect_groups("/(?<name>[a-z]*)(\\d*)", "/", "/   ");
    expect_groups("/a\\K/b", "/a/b", "/a/b ");
}

static void a_segment_is_not_empty_and_ends_at_a_slash(void **state)
{
    (void)state;
    expect("/a/[^/]+", "/a/", false);
    expect("/a/([^/]+)/b", "/a//b", false);
    expect("/a/([^/]+)/b", "/a/x/y/b", false);
    expect("/a/([^/]+)x", "/a/xx", true);
    expect("/a/([^/]+)([^/]+)", "/a/x", false);
    expect("/a/([^/]+)?", "/a/", true);
    expect("[^/]+/a", "/a", false);
}

static void what_does_not_compile_is_refused_with_the_reason(void **state)
{
    (void)state;
    expect_refused("/a(",
                   "must be a valid regular expression: byte 3: missing closing parenthesis");
    expect_refused("/a)(b",
                   "must be a valid regular expression: byte 2: unmatched closing parenthesis");
    expect_refused(
        "/*/a\\C",
        "must be a valid regular expression: byte 6: using \\C is disabled by the application");
    expect_refused(
        "*",
        "must be a valid regular expression: byte 0: quantifier does not follow a repeatable item");
}

static void what_is_too_much_is_refused(void **state)
{
    struct rg_why why = {0};
    struct rg_buf text = {0};

    (void)state;
    for (size_t i = 0; i <= RG_PATTERN_MAX_GROUPS; i++)
        rg_buf_add_c(&text, "/([^/]+)");
    assert_null(rg_pattern_compile(rg_buf_str(&text), &why));
    assert_string_equal(why.text,
                        "must be a valid regular expression: it has 33 groups, and 32 are allowed");
    text.n -= strlen("/([^/]+)");
    struct rg_pattern *pattern = rg_pattern_compile(rg_buf_str(&text), NULL);
    assert_non_null(pattern);
    rg_pattern_free(&pattern);

    rg_buf_clear(&text);
    while (text.n <= RG_PATTERN_MAX_BYTES)
        rg_buf_add_char(&text, 'a');
    assert_null(rg_pattern_compile(rg_buf_str(&text), &why));
    assert_string_equal(
        why.text, "must be a valid regular expression: it has 4097 bytes, and 4096 are allowed");
    assert_null(rg_pattern_compile_2017(rg_buf_str(&text), NULL));
    rg_buf_done(&text);
    expect_refused("/(?:(?:abc[a-z]{20}){30}){30}",
                   "must be a valid regular expression: it is too large once it is compiled");
}

/* Both of the ways PCRE2 has: compiled and interpreted. */
static void a_match_that_would_cost_too_much_is_given_up(void **state)
{
    static const char *const texts[] = {"/(a+)+[bc]", "(*NO_JIT)/(a+)+[bc]", "/(?:a|a)*[bc]",
                                        "(*LIMIT_MATCH=4000000000)(*NO_JIT)/(a+)+[bc]"};
    /* Half a million steps, which PCRE2 itself would allow. */
    char path[20];

    (void)state;
    memset(path, 'a', sizeof(path));
    path[0] = '/';
    for (size_t i = 0; i < RG_COUNT_OF(texts); i++)
        assert_int_equal(match_n(texts[i], rg_str_n(path, sizeof(path))), RG_EFULL);
}

static void a_path_of_16_kib_is_matched(void **state)
{
    static const char *const texts[] = {"/(a|b)*", "(*NO_JIT)/[^/]*", "/.*", "/[^/]+"};
    struct rg_buf path = {0};

    (void)state;
    rg_buf_add_char(&path, '/');
    while (path.n < 16384)
        rg_buf_add_char(&path, 'a');
    for (size_t i = 0; i < RG_COUNT_OF(texts); i++)
        assert_int_equal(match_n(texts[i], rg_buf_str(&path)), 1);
    rg_buf_done(&path);
}

/* ---- 2017 ---- */

static void expect_2017(const char *text, const char *path, bool matches)
{
    struct rg_pattern *pattern = rg_pattern_compile_2017(rg_str_c(text), NULL);
    struct rg_captures captures;

    assert_non_null(pattern);
    if (rg_pattern_match(pattern, rg_str_c(path), &captures) != (matches ? 1 : 0))
        fail_msg("%s %s %s", text, matches ? "should match" : "should not match", path);
    if (matches)
        assert_int_equal(captures.n, 1);
    rg_pattern_free(&pattern);
}

static void a_path_of_2017_is_literal_but_for_ids(void **state)
{
    (void)state;
    expect_2017("/orders/{id}/items", "/orders/a.b-1/items", true);
    expect_2017("/orders/{id}/items", "/orders//items", false);
    expect_2017("/orders/{id}/items", "/x/orders/1/items", false);
    expect_2017("/orders/{id}/items", "/Orders/1/items", false);
    expect_2017("/a.b", "/axb", false);
    expect_2017("/a.b", "/a.b", true);
    expect_2017("/(a)+[b]", "/(a)+[b]", true);
    expect_2017("ts/users", "/ts/users", true);
    expect_2017("/a/{id}.json", "/a/5.json", true);
    expect_2017("/a/{id}.json", "/a/5xjson", false);
    expect_2017("/a/{id}.json", "/A/5.json", false);
    expect_2017("/a/{id}{id}", "/a/5", false);
    expect_2017("/a/{id}{id}", "/a/55", true);
    expect_2017("/\xff{id}x",
                "/\xff"
                "ax",
                true);
    expect_2017("/{ID}", "/{ID}", true);
}

/* ---- prefixes ---- */

static void expect_prefix(const char *text, const char *prefix)
{
    struct rg_pattern *pattern = compile(text);
    struct rg_pattern_prefix got = rg_pattern_prefix(pattern);

    if (!rg_str_eq(got.text, rg_str_c(prefix)))
        fail_msg("%s: %.*s instead of %s", text, RG_STR_ARG(got.text), prefix);
    rg_pattern_free(&pattern);
}

static void a_prefix_is_what_all_matches_begin_with(void **state)
{
    static const char *const rows[][2] = {
        {"/Orders", "/orders"},
        {"^/orders$", "/orders"},
        {"/orders/([^/]+)/x", "/orders/"},
        {"/orders/(\\d+)", "/orders/"},
        {"/orders/\\d+", "/orders"},
        {"/orders/[0-9]+", "/orders/"},
        {"/orders.*", "/orders"},
        {"/orders?", "/order"},
        {"/ord{2}", "/or"},
        {"/orders/(new|old)", "/orders/"},
        {"/orders/(?:new|old)", "/orders"},
        {"/orders/[|]", "/orders/"},
        {"/orders/[]|]x", "/orders/"},
        {"/orders/\\|", "/orders/|"},
        {"/orders|/items", ""},
        {"/orders/[a](x|y)|/items", ""},
        {"/orders/[\\]](x|y)|/items", ""},
        {"/orders(?#c)*|x", ""},
        {"/orders(?#c)*", "/order"},
        {"/orders\\E*", "/order"},
        {"/orders(?x)(a#(\n)|/items", ""},
        {"/orders[[:alpha:]]|b", ""},
        {"/orders/[[:alpha:](]|/b", ""},
        {"todos/[0-9]", "/todos/"},
        {"t*odos", ""},
        {"t|/b", ""},
        {".*", ""},
        {"/v1\\.0/x", "/v1.0/x"},
        {"/v1.0/x", "/v1"},
        {"/a\xc3\xa9*", "/"},
    };

    (void)state;
    for (size_t i = 0; i < RG_COUNT_OF(rows); i++)
        expect_prefix(rows[i][0], rows[i][1]);
}

static void only_plain_text_is_the_whole(void **state)
{
    static const struct {
        const char *text;
        bool is_whole;
    } rows[] = {{"/a", true},    {"^/a$", true},     {"a/b", true},  {"/a\\.b", true},
                {"/a.b", false}, {"/a[^/]+", false}, {"/[a]", false}};

    (void)state;
    for (size_t i = 0; i < RG_COUNT_OF(rows); i++) {
        struct rg_pattern *pattern = compile(rows[i].text);
        assert_int_equal(rg_pattern_prefix(pattern).is_whole, rows[i].is_whole);
        assert_false(rg_pattern_prefix(pattern).has_case);
        rg_pattern_free(&pattern);
    }
    struct rg_pattern *pattern = rg_pattern_compile_2017(RG_STR("/A/{id}"), NULL);
    struct rg_pattern_prefix prefix = rg_pattern_prefix(pattern);
    assert_true(rg_str_eq(prefix.text, RG_STR("/a/")));
    assert_true(prefix.has_case);
    rg_pattern_free(&pattern);
}

/* ---- by chance ---- */

static uint64_t chance = 20171012;

static size_t below(size_t bound)
{
    chance = chance * 6364136223846793005ULL + 1442695040888963407ULL;
    return (size_t)(chance >> 33) % bound;
}

static void add_pieces(struct rg_buf *out, const char *const *pieces, size_t n, size_t max)
{
    for (size_t left = 1 + below(max); left > 0; left--)
        rg_buf_add_c(out, pieces[below(n)]);
}

static void random_path(struct rg_buf *path)
{
    static const char *const pieces[] = {
        "/", "/", "a", "B", "b", ".", "-", "x", "\xc3\xa9", "\xe2\x84\xaa", "k", "+", "("};

    rg_buf_clear(path);
    rg_buf_add_char(path, '/');
    add_pieces(path, pieces, RG_COUNT_OF(pieces), 8);
}

static void expect_same(const struct rg_captures *a, const struct rg_captures *b)
{
    assert_int_equal(a->n, b->n);
    for (size_t i = 0; i < a->n; i++) {
        assert_ptr_equal(a->group[i].p, b->group[i].p);
        assert_int_equal(a->group[i].n, b->group[i].n);
    }
}

/* In a group a pattern is never recognised as plain, and means the same. */
static void plain_patterns_match_as_pcre2_says(void **state)
{
    static const char *const pieces[] = {"/", "/", "a",   "B",       "b",         "\\.",    "[^/]+",
                                         "-", "k", "\\+", "([^/]+)", "/([^/]+)/", "/[^/]+/"};
    struct rg_buf text = {0}, slow_text = {0}, path = {0};
    struct rg_captures fast_found, slow_found;
    size_t matches = 0;

    (void)state;
    for (int i = 0; i < 4000; i++) {
        rg_buf_clear(&text);
        rg_buf_clear(&slow_text);
        rg_buf_add_char(&text, '/');
        add_pieces(&text, pieces, RG_COUNT_OF(pieces), 5);
        rg_buf_addf(&slow_text, "(?:%.*s)", RG_STR_ARG(rg_buf_str(&text)));
        struct rg_pattern *fast = rg_pattern_compile(rg_buf_str(&text), NULL);
        struct rg_pattern *slow = rg_pattern_compile(rg_buf_str(&slow_text), NULL);
        for (int j = 0; j < 50; j++) {
            random_path(&path);
            int found = rg_pattern_match(slow, rg_buf_str(&path), &slow_found);
            assert_int_equal(rg_pattern_match(fast, rg_buf_str(&path), &fast_found), found);
            if (found == 1) {
                expect_same(&fast_found, &slow_found);
                matches++;
            }
        }
        rg_pattern_free(&fast);
        rg_pattern_free(&slow);
    }
    assert_true(matches > 1000);
    rg_buf_done(&text);
    rg_buf_done(&slow_text);
    rg_buf_done(&path);
}

/* Whatever matches begins with the prefix, or the index would not find it. */
static void what_matches_begins_with_the_prefix(void **state)
{
    static const char *const pieces[] = {
        "/",   "a", "b",   "x",   ".",   "*",   "?",   "+",   "|",    "(",
        ")",   "[", "]",   "^",   "$",   "\\",  "(?:", "(?",  "(?x)", "#",
        "{2}", "-", "\\Q", "\\E", "(?#", "\\c", "[^",  "(?|", "(*",   "[:alpha:]"};
    struct rg_buf text = {0}, path = {0};
    struct rg_captures found;
    size_t matches = 0;

    (void)state;
    for (int i = 0; i < 60000; i++) {
        rg_buf_clear(&text);
        rg_buf_add_c(&text, below(4) == 0 ? "" : "/");
        add_pieces(&text, pieces, RG_COUNT_OF(pieces), 9);
        struct rg_pattern *pattern = rg_pattern_compile(rg_buf_str(&text), NULL);
        for (int j = 0; pattern != NULL && j < 20; j++) {
            random_path(&path);
            if (rg_pattern_match(pattern, rg_buf_str(&path), &found) != 1)
                continue;
            struct rg_pattern_prefix prefix = rg_pattern_prefix(pattern);
            if (!rg_str_starts_with_nocase(rg_buf_str(&path), prefix.text) ||
                (prefix.is_whole && path.n != prefix.text.n))
                fail_msg("%.*s matches %.*s in spite of %.*s", RG_STR_ARG(rg_buf_str(&text)),
                         RG_STR_ARG(rg_buf_str(&path)), RG_STR_ARG(prefix.text));
            matches++;
        }
        if (pattern != NULL)
            rg_pattern_free(&pattern);
    }
    assert_true(matches > 1000);
    rg_buf_done(&text);
    rg_buf_done(&path);
}

static void *match_often(void *arg)
{
    struct rg_captures captures;

    for (int i = 0; i < 1000; i++)
        rg_assert(rg_pattern_match(arg, RG_STR("/a/15"), &captures) == 1 && captures.n == 2);
    return NULL;
}

static void threads_match_with_what_is_their_own(void **state)
{
    struct rg_pattern *pattern = compile("/[a-z]/([0-9]+)");
    pthread_t threads[4];

    (void)state;
    for (size_t i = 0; i < RG_COUNT_OF(threads); i++)
        assert_int_equal(pthread_create(&threads[i], NULL, match_often, pattern), 0);
    for (size_t i = 0; i < RG_COUNT_OF(threads); i++)
        pthread_join(threads[i], NULL);
    rg_pattern_free(&pattern);
    rg_pattern_free(&pattern);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_whole_path_must_match),
        cmocka_unit_test(anchors_of_its_own_say_nothing_new),
        cmocka_unit_test(letters_of_ascii_are_compared_without_case),
        cmocka_unit_test(no_other_sign_is_taken_for_a_letter_of_ascii),
        cmocka_unit_test(a_dot_is_one_character_and_not_one_byte),
        cmocka_unit_test(a_pattern_that_begins_with_a_letter_or_digit_may_do_without_the_slash),
        cmocka_unit_test(percent_escapes_are_text),
        cmocka_unit_test(groups_are_slices_of_the_path),
        cmocka_unit_test(a_segment_is_not_empty_and_ends_at_a_slash),
        cmocka_unit_test(what_does_not_compile_is_refused_with_the_reason),
        cmocka_unit_test(what_is_too_much_is_refused),
        cmocka_unit_test(a_match_that_would_cost_too_much_is_given_up),
        cmocka_unit_test(a_path_of_16_kib_is_matched),
        cmocka_unit_test(a_path_of_2017_is_literal_but_for_ids),
        cmocka_unit_test(a_prefix_is_what_all_matches_begin_with),
        cmocka_unit_test(only_plain_text_is_the_whole),
        cmocka_unit_test(plain_patterns_match_as_pcre2_says),
        cmocka_unit_test(what_matches_begins_with_the_prefix),
        cmocka_unit_test(threads_match_with_what_is_their_own),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
