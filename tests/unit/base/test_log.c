#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "base/err.h"
#include "base/log.h"

static int pipe_fds[2];
static char got[4096];

static int setup(void **state)
{
    (void)state;
    rg_assert(pipe(pipe_fds) == 0);
    rg_log_set_fd(pipe_fds[1]);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    rg_log_configure(RG_LOG_WARN, RG_LOG_TEXT);
    rg_log_set_fd(STDOUT_FILENO);
    close(pipe_fds[0]);
    close(pipe_fds[1]);
    return 0;
}

/* What one write(2) left in the pipe; there must have been one. */
static const char *line(void)
{
    ssize_t n = read(pipe_fds[0], got, sizeof(got) - 1);

    rg_assert(n > 0);
    got[n] = '\0';
    return got;
}

static void assert_time(const char *text)
{
    static const char form[] = "dddd-dd-ddTdd:dd:dd.dddZ";

    for (size_t i = 0; i < sizeof(form) - 1; i++) {
        if (form[i] == 'd')
            assert_in_range(text[i], '0', '9');
        else
            assert_int_equal(text[i], form[i]);
    }
}

enum {
    TIME_N = 24
};

static void text_has_the_time_the_level_and_the_fields(void **state)
{
    (void)state;
    rg_log_configure(RG_LOG_DEBUG, RG_LOG_TEXT);
    rg_log_warn("client dropped", RG_FS("reason", "slow"), RG_FU("queued", 512), RG_FI("rest", -1));
    assert_time(line());
    assert_string_equal(got + TIME_N, " [warn] client dropped reason=slow queued=512 rest=-1\n");
    rg_log_debug("nothing else");
    assert_string_equal(line() + TIME_N, " [debug] nothing else\n");
    rg_log_info("x", RG_FU("u", UINT64_MAX), RG_FI("i", INT64_MIN));
    assert_string_equal(line() + TIME_N,
                        " [info] x u=18446744073709551615 i=-9223372036854775808\n");
}

static void text_is_quoted_where_it_could_be_misread_and_stays_one_line(void **state)
{
    (void)state;
    rg_log_error("x", RG_FS("a", "two words"), RG_FS("b", ""), RG_FS("c", "k=v"),
                 RG_FSTR("d", RG_STR("\n\x1b[2J\0\x7f")), RG_FS("e", "\"\\"), RG_FS("f", NULL),
                 RG_FS("g", "\xc3\xa9"));
    assert_string_equal(line() + TIME_N,
                        " [error] x a=\"two words\" b=\"\" c=\"k=v\" "
                        "d=\"\\u000a\\u001b[2J\\u0000\\u007f\" e=\"\\\"\\\\\" f=\"\" g=\xc3\xa9\n");
}

static void json_has_the_fields_as_metadata(void **state)
{
    (void)state;
    rg_log_configure(RG_LOG_INFO, RG_LOG_JSON);
    rg_log_info("started", RG_FU("port", 4000), RG_FS("name", "a\"b\nc"));
    assert_memory_equal(line(), "{\"time\":\"", 9);
    assert_time(got + 9);
    assert_string_equal(got + 9 + TIME_N,
                        "\",\"severity\":\"info\",\"message\":\"started\",\"metadata\":"
                        "{\"port\":4000,\"name\":\"a\\\"b\\u000ac\"}}\n");
    rg_log_warn("alone");
    assert_string_equal(line() + 9 + TIME_N,
                        "\",\"severity\":\"warn\",\"message\":\"alone\",\"metadata\":{}}\n");
}

static void gcl_has_its_own_severities_the_place_and_the_operation(void **state)
{
    static const struct rg_field none[] = {{0}};
    const struct rg_field fields[] = {RG_FI("n", 1), RG_FS("request_id", "r\"1"), {0}};

    (void)state;
    rg_log_configure(RG_LOG_INFO, RG_LOG_GCL);
    rg_log_emit(RG_LOG_WARN, "src/a.c", 7, "said", fields);
    assert_time(line() + 9);
    assert_string_equal(got + 9 + TIME_N,
                        "\",\"severity\":\"WARNING\",\"message\":\"said\",\"n\":1,"
                        "\"request_id\":\"r\\\"1\","
                        "\"logging.googleapis.com/sourceLocation\":"
                        "{\"file\":\"src/a.c\",\"line\":7},"
                        "\"logging.googleapis.com/operation\":{\"id\":\"r\\\"1\"}}\n");
    rg_log_emit(RG_LOG_ERROR, "src/a.c", 8, "said", none);
    assert_string_equal(line() + 9 + TIME_N, "\",\"severity\":\"ERROR\",\"message\":\"said\","
                                             "\"logging.googleapis.com/sourceLocation\":"
                                             "{\"file\":\"src/a.c\",\"line\":8}}\n");
}

static unsigned evaluated;

static const char *evaluate(void)
{
    evaluated++;
    return "x";
}

static void what_is_below_the_level_costs_and_writes_nothing(void **state)
{
    (void)state;
    rg_log_configure(RG_LOG_WARN, RG_LOG_TEXT);
    assert_false(rg_log_enabled(RG_LOG_INFO));
    assert_true(rg_log_enabled(RG_LOG_WARN));
    rg_log_info("no", RG_FS("a", evaluate()));
    assert_int_equal(evaluated, 0);
    rg_log_warn("yes", RG_FS("a", evaluate()));
    assert_int_equal(evaluated, 1);
    assert_string_equal(line() + TIME_N, " [warn] yes a=x\n");
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

static void a_line_is_utf8_whatever_a_peer_sent(void **state)
{
    (void)state;
    rg_log_configure(RG_LOG_DEBUG, RG_LOG_TEXT);
    rg_log_warn("x", RG_FS("a", "\xffz\xc3"), RG_FS("b", "\xc3\xbc"));
    assert_string_equal(line() + TIME_N, " [warn] x a=\"\\ufffdz\\ufffd\" b=\xc3\xbc\n");
    rg_log_configure(RG_LOG_DEBUG, RG_LOG_JSON);
    rg_log_warn("x", RG_FS("a", "\xff"));
    assert_non_null(strstr(line(), "\"a\":\"\\ufffd\""));
}

static void a_line_of_its_own_is_bare_in_text_and_a_message_elsewhere(void **state)
{
    const struct rg_str text = RG_STR("CALL: [a] GET /\\d+\n\xff\" => x");

    (void)state;
    rg_log_configure(RG_LOG_ERROR, RG_LOG_TEXT);
    rg_log_line(text);
    assert_string_equal(line(), "CALL: [a] GET /\\d+\\u000a\\ufffd\" => x\n");
    rg_log_configure(RG_LOG_ERROR, RG_LOG_JSON);
    rg_log_line(text);
    assert_time(line() + 9);
    assert_string_equal(got + 9 + TIME_N,
                        "\",\"severity\":\"info\",\"message\":"
                        "\"CALL: [a] GET /\\\\d+\\u000a\\ufffd\\\" => x\",\"metadata\":{}}\n");
    rg_log_configure(RG_LOG_ERROR, RG_LOG_GCL);
    rg_log_line(RG_STR("x"));
    assert_string_equal(line() + 9 + TIME_N, "\",\"severity\":\"INFO\",\"message\":\"x\"}\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(text_has_the_time_the_level_and_the_fields),
        TEST(text_is_quoted_where_it_could_be_misread_and_stays_one_line),
        TEST(json_has_the_fields_as_metadata),
        TEST(gcl_has_its_own_severities_the_place_and_the_operation),
        TEST(what_is_below_the_level_costs_and_writes_nothing),
        TEST(a_line_is_utf8_whatever_a_peer_sent),
        TEST(a_line_of_its_own_is_bare_in_text_and_a_message_elsewhere),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
