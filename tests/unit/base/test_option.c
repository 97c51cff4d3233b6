#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "base/option.h"

struct settings {
    char *name;
    char *path;
    char *password;
    int64_t port;
    int64_t wait_ms;
    int64_t queue_bytes;
    bool is_on;
    struct rg_option_list topics;
    int level;
};

#define AT(field) offsetof(struct settings, field)

static const struct rg_option rows[] = {
    {.name = "NAME", .type = RG_OPT_STRING, .offset = AT(name), .section = "Text", .help = "A."},
    {.name = "CERT",
     .type = RG_OPT_STRING,
     .def = "a.pem",
     .flags = RG_OPT_EMPTY_COUNTS,
     .offset = AT(path),
     .section = "Text",
     .help = "A file."},
    {.name = "PASS",
     .type = RG_OPT_STRING,
     .flags = RG_OPT_SECRET,
     .offset = AT(password),
     .section = "Text",
     .help = "A password."},
    {.name = "PORT",
     .type = RG_OPT_INT,
     .def = "4000",
     .min = 0,
     .max = 65535,
     .offset = AT(port),
     .section = "Numbers",
     .help = "A port."},
    {.name = "WAIT",
     .type = RG_OPT_MS,
     .def = "5000",
     .min = 0,
     .max = INT32_MAX,
     .offset = AT(wait_ms),
     .section = "Numbers",
     .help = "A time."},
    {.name = "QUEUE",
     .type = RG_OPT_BYTES,
     .def = "1024",
     .min = 1024,
     .max = 4096,
     .offset = AT(queue_bytes),
     .section = "Numbers",
     .help = "A size."},
    {.name = "ON",
     .type = RG_OPT_BOOL,
     .def = "true",
     .offset = AT(is_on),
     .section = "Others",
     .help = "On | off."},
    {.name = "TOPICS",
     .type = RG_OPT_LIST,
     .def = "rig",
     .offset = AT(topics),
     .section = "Others",
     .help = "Topics."},
    {.name = "LEVEL",
     .type = RG_OPT_CHOICE,
     .def = "warn",
     .choices = "debug|warn,warning|error",
     .offset = AT(level),
     .section = "Others",
     .help = "A level."},
};

/* What the test's environment holds: NAME, value, NAME, value, ..., NULL. */
static const char *const *environment;

static const char *env(const char *name)
{
    for (const char *const *p = environment; *p != NULL; p += 2) {
        if (strcmp(p[0], name) == 0)
            return p[1];
    }
    return NULL;
}

static struct settings parse(const char *const *variables, struct rg_problems *problems)
{
    struct settings out;

    memset(&out, 0xa5, sizeof(out)); /* parsing must not depend on what was there */
    environment = variables;
    rg_options_parse(rows, RG_COUNT_OF(rows), env, &out, problems);
    return out;
}

static void done(struct settings *out)
{
    rg_options_done(rows, RG_COUNT_OF(rows), out);
}

#define VARIABLES(...) ((const char *const[]){__VA_ARGS__ __VA_OPT__(, ) NULL})

static void assert_lines(struct rg_problems *problems, const char *expected)
{
    rg_buf_add_char(&problems->lines, '\0');
    assert_string_equal(problems->lines.p, expected);
    rg_problems_done(problems);
}

static void assert_contains(const struct rg_buf *text, const char *part)
{
    if (memmem(text->p, text->n, part, strlen(part)) == NULL)
        fail_msg("\"%s\" is not in:\n%.*s", part, (int)text->n, text->p);
}

static void unset_variables_get_their_defaults(void **state)
{
    struct rg_problems problems = {0};
    struct settings out = parse(VARIABLES(), &problems);

    (void)state;
    assert_int_equal(problems.n, 0);
    assert_null(out.name);
    assert_null(out.password);
    assert_string_equal(out.path, "a.pem");
    assert_int_equal(out.port, 4000);
    assert_int_equal(out.wait_ms, 5000);
    assert_int_equal(out.queue_bytes, 1024);
    assert_true(out.is_on);
    assert_int_equal(out.topics.n, 1);
    assert_string_equal(out.topics.items[0], "rig");
    assert_int_equal(out.level, 1);
    done(&out);
}

static void blank_is_the_same_as_unset(void **state)
{
    struct rg_problems problems = {0};
    struct settings out = parse(
        VARIABLES("NAME", " \t\n", "PASS", "", "PORT", " ", "ON", "", "TOPICS", "", "LEVEL", "\n"),
        &problems);

    (void)state;
    assert_int_equal(problems.n, 0);
    assert_null(out.name);
    assert_null(out.password);
    assert_int_equal(out.port, 4000);
    assert_true(out.is_on);
    assert_int_equal(out.topics.n, 1);
    assert_int_equal(out.level, 1);
    done(&out);
}

static void empty_counts_only_where_the_row_says_so(void **state)
{
    struct rg_problems problems = {0};
    struct settings out = parse(VARIABLES("CERT", " "), &problems);

    (void)state;
    assert_string_equal(out.path, "");
    done(&out);
}

static void values_are_trimmed_and_secrets_are_not(void **state)
{
    struct rg_problems problems = {0};
    struct settings out =
        parse(VARIABLES("NAME", "  a b\n", "PASS", " s ", "PORT", " +80 ", "ON", " No"), &problems);

    (void)state;
    assert_int_equal(problems.n, 0);
    assert_string_equal(out.name, "a b");
    assert_string_equal(out.password, " s ");
    assert_int_equal(out.port, 80);
    assert_false(out.is_on);
    done(&out);
}

static void numbers_are_decimal_whole_and_within_bounds(void **state)
{
    static const char *const wrong[] = {
        "abc", "40 00", "0x50", "1.5", "1e3", "70000", "-1", "+", "99999999999999999999"};

    (void)state;
    for (size_t i = 0; i < RG_COUNT_OF(wrong); i++) {
        struct rg_problems problems = {0};
        struct settings out = parse(VARIABLES("PORT", wrong[i]), &problems);
        assert_int_equal(problems.n, 1);
        assert_int_equal(out.port, 4000);
        rg_problems_done(&problems);
        done(&out);
    }
}

static void booleans_have_six_words_in_any_case(void **state)
{
    static const struct {
        const char *word;
        bool is_on;
    } words[] = {{"true", true},   {"TRUE", true}, {"1", true},  {"Yes", true},
                 {"false", false}, {"0", false},   {"NO", false}};

    (void)state;
    for (size_t i = 0; i < RG_COUNT_OF(words); i++) {
        struct rg_problems problems = {0};
        struct settings out = parse(VARIABLES("ON", words[i].word), &problems);
        assert_int_equal(problems.n, 0);
        assert_int_equal(out.is_on, words[i].is_on);
        done(&out);
    }
    struct rg_problems problems = {0};
    struct settings out = parse(VARIABLES("ON", "maybe"), &problems);
    assert_true(out.is_on);
    assert_lines(&problems, "rgate: configuration error: ON: must be true, 1 or yes, or false, 0 "
                            "or no (got \"maybe\")\n");
    done(&out);
}

static void lists_are_split_trimmed_and_lose_empty_items(void **state)
{
    struct rg_problems problems = {0};
    struct settings out = parse(VARIABLES("TOPICS", ",a, b c ,,d,"), &problems);

    (void)state;
    assert_int_equal(out.topics.n, 3);
    assert_string_equal(out.topics.items[0], "a");
    assert_string_equal(out.topics.items[1], "b c");
    assert_string_equal(out.topics.items[2], "d");
    done(&out);
    assert_int_equal(out.topics.n, 0);
    assert_null(out.topics.items);
}

static void choices_have_synonyms_in_any_case(void **state)
{
    struct rg_problems problems = {0};
    struct settings out = parse(VARIABLES("LEVEL", "Warning"), &problems);

    (void)state;
    assert_int_equal(out.level, 1);
    done(&out);
    out = parse(VARIABLES("LEVEL", "ERROR"), &problems);
    assert_int_equal(out.level, 2);
    done(&out);
    assert_int_equal(problems.n, 0);
    out = parse(VARIABLES("LEVEL", "loud"), &problems);
    assert_int_equal(out.level, 1);
    done(&out);
    assert_lines(&problems, "rgate: configuration error: LEVEL: must be one of debug, warn, error "
                            "(got \"loud\")\n");
}

static void every_problem_is_reported_in_order(void **state)
{
    struct rg_problems problems = {0};
    struct settings out = parse(VARIABLES("LEVEL", "x", "WAIT", "-1", "PORT", "abc"), &problems);

    (void)state;
    assert_int_equal(problems.n, 3);
    assert_lines(
        &problems,
        "rgate: configuration error: PORT: must be a whole number between 0 and 65535 (got "
        "\"abc\")\n"
        "rgate: configuration error: WAIT: must be a number of milliseconds between 0 and "
        "2147483647 (got \"-1\")\n"
        "rgate: configuration error: LEVEL: must be one of debug, warn, error (got \"x\")\n");
    done(&out);
}

static void problems_show_control_bytes_escaped_and_long_values_cut(void **state)
{
    struct rg_problems problems = {0};
    char long_value[4001];

    (void)state;
    rg_problem_add(&problems, "V", "a\x1b[2J\nb\xff\xc3\xa4", "is %s", "o\nd");
    assert_lines(&problems, "rgate: configuration error: V: is o\\x0ad (got "
                            "\"a\\x1b[2J\\x0ab\\xff\xc3\xa4\")\n");
    memset(long_value, 'x', sizeof(long_value) - 1);
    long_value[sizeof(long_value) - 1] = '\0';
    rg_problem_add(&problems, "V", long_value, "is long");
    assert_in_range(problems.lines.n, 200, 300);
    assert_contains(&problems.lines, "xxx...\")\n");
    rg_problems_done(&problems);
}

static void a_problem_without_value_has_no_parenthesis(void **state)
{
    struct rg_problems problems = {0};

    (void)state;
    rg_problem_add(&problems, "KEY", NULL, "is missing");
    assert_lines(&problems, "rgate: configuration error: KEY: is missing\n");
}

static void a_dump_shows_what_is_in_force_and_no_secret(void **state)
{
    struct rg_problems problems = {0};
    RG_CLEANUP(rg_buf_done) struct rg_buf out = {0};
    struct settings values = parse(
        VARIABLES("NAME", "n", "PASS", "hidden", "TOPICS", "a,b", "LEVEL", "warning"), &problems);

    (void)state;
    rg_options_dump(rows, RG_COUNT_OF(rows), &values, &out);
    rg_buf_add_char(&out, '\0');
    assert_string_equal(out.p, "NAME=n\nCERT=a.pem\nPASS=***\nPORT=4000\nWAIT=5000\nQUEUE=1024\n"
                               "ON=true\nTOPICS=a,b\nLEVEL=warn\n");
    done(&values);
}

static void a_description_names_every_row_under_its_section(void **state)
{
    RG_CLEANUP(rg_buf_done) struct rg_buf text = {0};
    RG_CLEANUP(rg_buf_done) struct rg_buf markdown = {0};

    (void)state;
    rg_options_describe(rows, RG_COUNT_OF(rows), false, &text);
    assert_contains(&text,
                    "\nNumbers\n  PORT\n      A port. (integer, 0 to 65535; default 4000)\n");
    rg_options_describe(rows, RG_COUNT_OF(rows), true, &markdown);
    assert_contains(&markdown, "\n## Others\n");
    assert_contains(&markdown, "| `ON` | `true` or `false` | `true` | On \\| off. |\n");
    assert_contains(&markdown, "| `PASS` | secret | | A password. |\n");
    for (size_t i = 0; i < RG_COUNT_OF(rows); i++) {
        assert_contains(&text, rows[i].name);
        assert_contains(&markdown, rows[i].name);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(unset_variables_get_their_defaults),
        cmocka_unit_test(blank_is_the_same_as_unset),
        cmocka_unit_test(empty_counts_only_where_the_row_says_so),
        cmocka_unit_test(values_are_trimmed_and_secrets_are_not),
        cmocka_unit_test(numbers_are_decimal_whole_and_within_bounds),
        cmocka_unit_test(booleans_have_six_words_in_any_case),
        cmocka_unit_test(lists_are_split_trimmed_and_lose_empty_items),
        cmocka_unit_test(choices_have_synonyms_in_any_case),
        cmocka_unit_test(every_problem_is_reported_in_order),
        cmocka_unit_test(problems_show_control_bytes_escaped_and_long_values_cut),
        cmocka_unit_test(a_problem_without_value_has_no_parenthesis),
        cmocka_unit_test(a_dump_shows_what_is_in_force_and_no_secret),
        cmocka_unit_test(a_description_names_every_row_under_its_section),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
