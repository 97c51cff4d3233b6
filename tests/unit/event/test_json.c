#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "base/utf8.h"
#include "event/json.h"

/* A copy without anything behind it, so that the address sanitizer sees a read too far. */
static char *exact_copy(struct rg_str text)
{
    char *p = rg_alloc(text.n);
    if (text.n > 0)
        memcpy(p, text.p, text.n);
    return p;
}

static int check(struct rg_str text, struct rg_why *why)
{
    RG_CLEANUP(rg_free_ptr) char *copy = exact_copy(text);
    struct rg_json value;
    return rg_json_check(rg_str_n(copy, text.n), &value, why);
}

static int check_c(const char *text)
{
    return check(rg_str_c(text), NULL);
}

/* The text must outlive the value. */
static struct rg_json parse(const char *text)
{
    struct rg_json value;
    assert_int_equal(rg_json_check(rg_str_c(text), &value, NULL), 0);
    return value;
}

#define assert_str(s, literal)                                                                     \
    do {                                                                                           \
        struct rg_str s_ = (s);                                                                    \
        assert_int_equal(s_.n, sizeof(literal) - 1);                                               \
        assert_memory_equal(s_.n > 0 ? s_.p : "", literal, s_.n);                                  \
    } while (0)

static void value_is_the_text_without_white_space_around(void **state)
{
    (void)state;
    struct rg_json value = parse(" \t\r\n {\"a\": [1, 2]} \n");
    assert_int_equal(value.kind, RG_JSON_OBJECT);
    assert_str(value.text, "{\"a\": [1, 2]}");
    assert_int_equal(parse("true").kind, RG_JSON_TRUE);
    assert_int_equal(parse("false").kind, RG_JSON_FALSE);
    assert_int_equal(parse("null").kind, RG_JSON_NULL);
    assert_int_equal(parse("-0").kind, RG_JSON_NUMBER);
    assert_int_equal(parse("\"\"").kind, RG_JSON_STRING);
    assert_int_equal(parse("[ ]").kind, RG_JSON_ARRAY);
    assert_int_equal(parse("{ }").kind, RG_JSON_OBJECT);
}

static void mistakes_are_told_with_their_position(void **state)
{
    (void)state;
    static const struct {
        const char *text, *place, *what;
    } cases[] = {
        {"", "byte 0", "the text ends too early"},
        {"  ", "byte 2", "the text ends too early"},
        {"{\"a\":1", "byte 6", "the text ends too early"},
        {"{\"a\":tru}", "byte 5", "expected a value"},
        {"{\"a\" 1}", "byte 5", "expected ':' after a name"},
        {"{a:1}", "byte 1", "expected a name in double quotes"},
        {"{\"a\":1,}", "byte 7", "expected a name in double quotes"},
        {"[1,]", "byte 3", "expected a value"},
        {"[1 2]", "byte 3", "expected ',' or ']' after a value"},
        {"{\"a\":1]", "byte 6", "expected ',' or '}' after a value"},
        {"[1}", "byte 2", "expected ',' or ']' after a value"},
        {"1 2", "byte 2", "something follows the value"},
        {"01", "byte 1", "something follows the value"},
        {"-", "byte 1", "the text ends too early"},
        {"-a", "byte 1", "expected a digit"},
        {"1.e1", "byte 2", "expected a digit"},
        {"\"\\x\"", "byte 2", "no such escape in a string"},
        {"\"\\u12g4\"", "byte 5", "expected four hex digits"},
        {"\"\\u12", "byte 5", "the text ends too early"},
        {"\"a\nb\"", "byte 2", "a control byte in a string is not escaped"},
        {"\"\xc3\x28\"", "byte 1", "a string is not valid UTF-8"},
        {"\xef\xbb\xbf{}", "byte 0", "a byte order mark is not allowed"},
    };
    for (size_t i = 0; i < RG_COUNT_OF(cases); i++) {
        struct rg_why why;
        assert_int_equal(check(rg_str_c(cases[i].text), &why), RG_ESYNTAX);
        assert_string_equal(why.place, cases[i].place);
        assert_string_equal(why.text, cases[i].what);
    }
}

static void nest(struct rg_buf *text, size_t depth, const char *open, const char *close)
{
    rg_buf_clear(text);
    for (size_t i = 0; i < depth; i++)
        rg_buf_add_c(text, open);
    rg_buf_add_c(text, "0");
    for (size_t i = 0; i < depth; i++)
        rg_buf_add_c(text, close);
}

static void nesting_ends_at_the_documented_depth(void **state)
{
    (void)state;
    RG_CLEANUP(rg_buf_done) struct rg_buf text = {0};

    nest(&text, RG_JSON_MAX_DEPTH, "[", "]");
    assert_int_equal(check(rg_buf_str(&text), NULL), 0);
    nest(&text, RG_JSON_MAX_DEPTH, "{\"a\":", "}");
    assert_int_equal(check(rg_buf_str(&text), NULL), 0);
    nest(&text, RG_JSON_MAX_DEPTH + 1, "[", "]");
    assert_int_equal(check(rg_buf_str(&text), NULL), RG_EINVAL);
    nest(&text, RG_JSON_MAX_DEPTH + 1, "{\"a\":", "}");
    assert_int_equal(check(rg_buf_str(&text), NULL), RG_EINVAL);
    nest(&text, 100000, "[", "]");
    assert_int_equal(check(rg_buf_str(&text), NULL), RG_EINVAL);
    nest(&text, RG_JSON_MAX_DEPTH, "[", "}");
    assert_int_equal(check(rg_buf_str(&text), NULL), RG_ESYNTAX);
    /* What was closed does not count any more. */
    assert_int_equal(check_c("[[[]],[[]],[{}],{\"a\":[]}]"), 0);
}

/* Whatever stands where in a block of 16 or 8 bytes, it is seen. */
static void every_byte_is_looked_at_wherever_it_stands(void **state)
{
    (void)state;
    char text[64];

    for (size_t n = 2; n < sizeof(text); n++) {
        memset(text, 'x', n);
        text[0] = text[n - 1] = '"';
        for (size_t i = 1; i + 1 < n; i++) {
            for (int c = 0; c < 256; c++) {
                text[i] = (char)c;
                bool is_fine = c >= 0x20 && c < 0x80 && c != '"' && c != '\\';
                assert_int_equal(check(rg_str_n(text, n), NULL) == 0, is_fine);
            }
            text[i] = 'x';
        }
    }
}

static void strings_hold_utf8_and_nothing_else(void **state)
{
    (void)state;
    RG_CLEANUP(rg_buf_done) struct rg_buf text = {0};

    for (uint32_t cp = 0x80; cp <= 0x10ffff; cp += cp < 0x3000 ? 1 : 0x3f) {
        rg_buf_clear(&text);
        rg_buf_add_c(&text, "\"a");
        rg_utf8_add(&text, cp);
        rg_buf_add_c(&text, "b\"");
        bool is_surrogate = cp >= 0xd800 && cp <= 0xdfff;
        assert_int_equal(check(rg_buf_str(&text), NULL), is_surrogate ? RG_ESYNTAX : 0);
        /* Cut off in the middle of the sequence. */
        rg_buf_clear(&text);
        rg_buf_add_c(&text, "\"");
        rg_utf8_add(&text, cp);
        text.p[text.n - 1] = '"';
        assert_int_equal(check(rg_buf_str(&text), NULL), RG_ESYNTAX);
    }
    assert_int_equal(check_c("\"\xc0\xaf\""), RG_ESYNTAX);
    assert_int_equal(check_c("\"\xe0\x80\xaf\""), RG_ESYNTAX);
    assert_int_equal(check_c("\"\xf4\x90\x80\x80\""), RG_ESYNTAX);
}

static char *read_file(const char *path, size_t *n)
{
    FILE *f = fopen(path, "rb");
    assert_non_null(f);
    char *p = rg_alloc(1 << 20);
    *n = fread(p, 1, 1 << 20, f);
    fclose(f);
    return p;
}

static bool is_refused_by_choice(const char *name)
{
    return strstr(name, "UTF-8") != NULL || strstr(name, "utf-8") != NULL ||
           strstr(name, "UTF8") != NULL || strstr(name, "utf8") != NULL ||
           strstr(name, "UTF-16") != NULL || strstr(name, "utf16") != NULL ||
           strstr(name, "iso_latin") != NULL || strstr(name, "overlong") != NULL ||
           strstr(name, "not_in_unicode") != NULL || strstr(name, "500_nested") != NULL;
}

static void public_test_vectors_are_answered_as_they_ask(void **state)
{
    (void)state;
    DIR *dir = opendir(RG_VECTORS_DIR "/json");
    struct dirent *entry;
    size_t seen = 0;

    if (dir == NULL) {
        print_message("skipped: there is no folder " RG_VECTORS_DIR "/json\n");
        skip();
        return;
    }
    while ((entry = readdir(dir)) != NULL) {
        char path[1024];
        size_t n;
        if (entry->d_name[1] != '_' || strstr(entry->d_name, ".json") == NULL)
            continue;
        snprintf(path, sizeof(path), "%s/json/%s", RG_VECTORS_DIR, entry->d_name);
        RG_CLEANUP(rg_free_ptr) char *text = read_file(path, &n);
        bool is_accepted = check(rg_str_n(text, n), NULL) == 0;
        bool expected = entry->d_name[0] == 'y' ||
                        (entry->d_name[0] == 'i' && !is_refused_by_choice(entry->d_name));
        if (is_accepted != expected)
            fail_msg("%s is %s", entry->d_name, is_accepted ? "accepted" : "refused");
        seen++;
    }
    closedir(dir);
    assert_true(seen > 300);
}

static void cursor_visits_members_in_order(void **state)
{
    (void)state;
    struct rg_json object = parse("{ \"a\" : 1 ,\"b\\\"\":[1,\"]\",{\"x\":\"}\\\"\"}] , \"c\":{ } ,"
                                  "\"d\":\"\xc3\xa9\xc3\xa9\xc3\xa9, end of a longer string\" }");
    struct rg_json_cursor cursor = {0};
    struct rg_json value;
    struct rg_str key;

    assert_true(rg_json_next(object, &cursor, &key, &value));
    assert_str(key, "a");
    assert_str(value.text, "1");
    assert_true(rg_json_next(object, &cursor, &key, &value));
    assert_str(key, "b\\\"");
    assert_int_equal(value.kind, RG_JSON_ARRAY);
    assert_str(value.text, "[1,\"]\",{\"x\":\"}\\\"\"}]");
    assert_true(rg_json_next(object, &cursor, &key, &value));
    assert_str(value.text, "{ }");
    assert_true(rg_json_next(object, &cursor, &key, &value));
    assert_str(value.text, "\"\xc3\xa9\xc3\xa9\xc3\xa9, end of a longer string\"");
    assert_false(rg_json_next(object, &cursor, &key, &value));
    assert_false(rg_json_next(object, &cursor, &key, &value));
}

static void cursor_visits_elements_and_nothing_in_empty_or_scalar_values(void **state)
{
    (void)state;
    struct rg_json array = parse("[ true,null , -1e5,\"x\" ]");
    struct rg_json_cursor cursor = {0};
    struct rg_json value;
    struct rg_str key = RG_STR("unchanged");
    static const enum rg_json_kind kinds[] = {RG_JSON_TRUE, RG_JSON_NULL, RG_JSON_NUMBER,
                                              RG_JSON_STRING};

    for (size_t i = 0; i < RG_COUNT_OF(kinds); i++) {
        assert_true(rg_json_next(array, &cursor, &key, &value));
        assert_int_equal(key.n, 0);
        assert_int_equal(value.kind, kinds[i]);
    }
    assert_false(rg_json_next(array, &cursor, &key, &value));

    static const char *const empty[] = {"[]", "{ }", "1", "\"[1]\"", "null"};
    for (size_t i = 0; i < RG_COUNT_OF(empty); i++) {
        cursor = (struct rg_json_cursor){0};
        assert_false(rg_json_next(parse(empty[i]), &cursor, &key, &value));
    }
}

static void member_is_the_first_of_its_name_escaped_or_not(void **state)
{
    (void)state;
    struct rg_json object = parse("{\"x\":0,\"d\\u0061t\\u0061\":1,\"data\":2,\"\":3}");

    assert_str(rg_json_member(object, RG_STR("data")).text, "1");
    assert_str(rg_json_member(object, RG_STR("")).text, "3");
    assert_int_equal(rg_json_member(object, RG_STR("dat")).kind, RG_JSON_NONE);
    assert_int_equal(rg_json_member(parse("[1]"), RG_STR("0")).kind, RG_JSON_NONE);
}

static void a_pointer_leads_to_its_value_or_nowhere(void **state)
{
    static const char text[] = "{\"a\":{\"b/c\":[10,{\"~\":2}],\"\":3},\"\":{\"\":4},\"a\":5,"
                               "\"\\u0064\":6,\"n\":null}";
    static const struct {
        const char *pointer, *value;
    } cases[] = {
        {"", text},           {"/a/b~1c/0", "10"}, {"/a/b~1c/1/~0", "2"}, {"/a/", "3"},
        {"//", "4"},          {"/d", "6"},         {"/n", "null"},        {"/a/b~1c/2", NULL},
        {"/a/b~1c/01", NULL}, {"/a/b~1c/-", NULL}, {"/a/b~1c/", NULL},    {"/a/b/c", NULL},
        {"/d/0", NULL},       {"/n/x", NULL},      {"/a/b~1c/-1", NULL},  {"/x/y", NULL},
    };

    (void)state;
    for (size_t i = 0; i < RG_COUNT_OF(cases); i++) {
        struct rg_json found = rg_json_at(parse(text), rg_str_c(cases[i].pointer));
        assert_int_equal(found.kind != RG_JSON_NONE, cases[i].value != NULL);
        assert_true(rg_str_eq(found.text, rg_str_c(cases[i].value)));
    }
}

static void keys_are_compared_by_what_they_mean(void **state)
{
    (void)state;
    assert_true(rg_json_key_eq(RG_STR("a\\/b"), RG_STR("a/b")));
    assert_true(rg_json_key_eq(RG_STR("a\\\\b"), RG_STR("a\\b")));
    assert_false(rg_json_key_eq(RG_STR("a\\\\b"), RG_STR("a\\\\b")));
    assert_true(rg_json_key_eq(RG_STR("\\u00e9"), RG_STR("\xc3\xa9")));
    assert_false(rg_json_key_eq(RG_STR("a"), RG_STR("A")));
    assert_true(rg_json_key_eq(RG_STR(""), RG_STR("")));
    assert_false(rg_json_key_eq(RG_STR("\\u0061"), RG_STR("")));
    /* Longer than the room on the stack. */
    assert_true(rg_json_key_eq(
        RG_STR(
            "\\u0061\\u0061\\u0061\\u0061\\u0061\\u0061\\u0061\\u0061\\u0061\\u0061\\u0061\\u0061"),
        RG_STR("aaaaaaaaaaaa")));
}

static void escapes_are_undone(void **state)
{
    (void)state;
    RG_CLEANUP(rg_buf_done) struct rg_buf out = {0};

    rg_json_unescape(parse("\"\\\"\\\\\\/\\b\\f\\n\\r\\t\\u0041\\u00E9\\u20ac\\ud83d\\ude00|\""),
                     &out);
    assert_str(rg_buf_str(&out), "\"\\/\b\f\n\r\tA\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80|");
    rg_buf_clear(&out);
    rg_json_unescape(parse("\"\\ud800x\\udc00\\ud800\\ud83d\\ude00\\ud800\\n\\ud800\""), &out);
    assert_str(rg_buf_str(&out), "\xef\xbf\xbdx\xef\xbf\xbd\xef\xbf\xbd\xf0\x9f\x98\x80"
                                 "\xef\xbf\xbd\n\xef\xbf\xbd");
    rg_buf_clear(&out);
    rg_json_unescape(parse("\"a\\u0000b\""), &out);
    assert_str(rg_buf_str(&out), "a\0b");
}

static void string_without_escapes_is_a_slice(void **state)
{
    (void)state;
    RG_CLEANUP(rg_buf_done) struct rg_buf scratch = {0};
    struct rg_json value = parse("\"plain\"");

    assert_ptr_equal(rg_json_string(value, &scratch).p, value.text.p + 1);
    assert_int_equal(scratch.n, 0);
    assert_str(rg_json_string(parse("\"a\\nb\""), &scratch), "a\nb");
    assert_str(rg_json_string(parse("\"c\\td\""), &scratch), "c\td");
    assert_str(rg_buf_str(&scratch), "a\nbc\td");
}

static void any_bytes_become_a_valid_string(void **state)
{
    (void)state;
    RG_CLEANUP(rg_buf_done) struct rg_buf out = {0};

    rg_json_add_string(&out, RG_STR("a\"b\\c\n\r\t\b\f\x01\x7f\xc3\xa9\xff\xe2\x82"));
    assert_str(rg_buf_str(&out), "\"a\\\"b\\\\c\\n\\r\\t\\b\\f\\u0001\x7f\xc3\xa9"
                                 "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\"");
    assert_int_equal(check(rg_buf_str(&out), NULL), 0);
    rg_buf_clear(&out);
    rg_json_add_string(&out, (struct rg_str){NULL, 0});
    assert_str(rg_buf_str(&out), "\"\"");
    rg_buf_clear(&out);
    rg_json_add_string(&out, RG_STR("\0"));
    assert_str(rg_buf_str(&out), "\"\\u0000\"");
}

static void whole_numbers_are_integers_however_written(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int64_t value;
    } cases[] = {
        {"0", 0},
        {"-0", 0},
        {"-0.0e5", 0},
        {"0e999999999999999999999", 0},
        {"30", 30},
        {"30.0", 30},
        {"3e1", 30},
        {"3E+1", 30},
        {"300e-1", 30},
        {"0.03e3", 30},
        {"-30.000", -30},
        {"1000000000000000000", 1000000000000000000},
        {"1e18", 1000000000000000000},
        {"9223372036854775807", INT64_MAX},
        {"-9223372036854775808", INT64_MIN},
        {"9007199254740993.0", 9007199254740993},
        {"0.0000000000000000000000000000000000000001e40", 1},
    };
    for (size_t i = 0; i < RG_COUNT_OF(cases); i++) {
        struct rg_json_number number;
        assert_int_equal(rg_json_number(parse(cases[i].text), &number), 0);
        assert_true(number.is_integer);
        assert_true(number.v.i == cases[i].value);
    }
}

static void other_numbers_are_doubles(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        double value;
    } cases[] = {
        {"0.5", 0.5},
        {"-1.25e-1", -0.125},
        {"30.5", 30.5},
        {"9223372036854775808", 9223372036854775808.0},
        {"-9223372036854775809", -9223372036854775808.0},
        {"1e19", 1e19},
        {"12345678901234567890", 12345678901234567890.0},
        {"1e-400", 0.0},
        {"1e400", __builtin_inf()},
        {"-1e99999999999999999999", -__builtin_inf()},
    };
    for (size_t i = 0; i < RG_COUNT_OF(cases); i++) {
        struct rg_json_number number;
        assert_int_equal(rg_json_number(parse(cases[i].text), &number), 0);
        assert_false(number.is_integer);
        assert_true(number.v.d == cases[i].value);
    }
    struct rg_json_number zero;
    assert_int_equal(rg_json_number(parse("-1e-400"), &zero), 0);
    assert_false(__builtin_signbit(zero.v.d));
}

static void endless_numbers_are_refused(void **state)
{
    (void)state;
    char text[514];
    struct rg_json_number number;

    memset(text, '7', sizeof(text));
    text[512] = '\0';
    assert_int_equal(rg_json_number(parse(text), &number), 0);
    text[512] = '7';
    text[513] = '\0';
    assert_int_equal(rg_json_number(parse(text), &number), RG_EINVAL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(value_is_the_text_without_white_space_around),
        cmocka_unit_test(mistakes_are_told_with_their_position),
        cmocka_unit_test(nesting_ends_at_the_documented_depth),
        cmocka_unit_test(every_byte_is_looked_at_wherever_it_stands),
        cmocka_unit_test(strings_hold_utf8_and_nothing_else),
        cmocka_unit_test(public_test_vectors_are_answered_as_they_ask),
        cmocka_unit_test(cursor_visits_members_in_order),
        cmocka_unit_test(cursor_visits_elements_and_nothing_in_empty_or_scalar_values),
        cmocka_unit_test(member_is_the_first_of_its_name_escaped_or_not),
        cmocka_unit_test(a_pointer_leads_to_its_value_or_nowhere),
        cmocka_unit_test(keys_are_compared_by_what_they_mean),
        cmocka_unit_test(escapes_are_undone),
        cmocka_unit_test(string_without_escapes_is_a_slice),
        cmocka_unit_test(any_bytes_become_a_valid_string),
        cmocka_unit_test(whole_numbers_are_integers_however_written),
        cmocka_unit_test(other_numbers_are_doubles),
        cmocka_unit_test(endless_numbers_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
