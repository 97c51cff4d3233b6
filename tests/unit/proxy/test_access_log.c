#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/err.h"
#include "event/json.h"
#include "proxy/access_log.h"

static int pipe_fds[2];
static struct rg_access_log *access_log;

static int setup(void **state)
{
    (void)state;
    signal(SIGPIPE, SIG_IGN);
    rg_assert(pipe(pipe_fds) == 0);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    rg_access_log_free(&access_log);
    close(pipe_fds[0]);
    close(pipe_fds[1]);
    return 0;
}

static void open_log(enum rg_access_format format, unsigned sample_ppm)
{
    const struct rg_access_log_settings settings = {format, sample_ppm, pipe_fds[1]};

    access_log = rg_access_log_new(&settings);
}

/* All that was put so far, with the log closed. */
static const char *close_and_read(void)
{
    static char got[65536];
    size_t n = 0;
    ssize_t more;

    rg_access_log_free(&access_log);
    close(pipe_fds[1]);
    pipe_fds[1] = -1;
    while ((more = read(pipe_fds[0], got + n, sizeof(got) - 1 - n)) > 0)
        n += (size_t)more;
    got[n] = '\0';
    return got;
}

static const struct rg_upstream_timing timing = {.queued_ns = 1000,
                                                 .connected_ns = 1501999,
                                                 .first_byte_ns = 12501999,
                                                 .is_reused = true,
                                                 .tries = 2,
                                                 .address = "192.0.2.9:80"};

static struct rg_access_record a_record(void)
{
    return (struct rg_access_record){
        .peer = "192.0.2.7",
        .method = RG_STR("GET"),
        .path = RG_STR("/items/5"),
        .version = "HTTP/1.1",
        .api = "shop",
        .endpoint = "item",
        .status = 200,
        .outcome = "ok",
        .bytes_in = 0,
        .bytes_out = 18446744073709551615u,
        .timing = &timing,
        .started_ns = 5000000,
        .ended_ns = 20000999,
        .request_id = RG_STR("r1"),
        .trace_id = RG_STR("0af7651916cd43dd8448eb211c80319c"),
        .session = RG_STR("s1"),
    };
}

/* form has d where a digit must be. */
static void assert_form(const char *text, const char *form)
{
    for (size_t i = 0; form[i] != '\0'; i++) {
        if (form[i] == 'd')
            assert_in_range(text[i], '0', '9');
        else
            assert_int_equal(text[i], form[i]);
    }
}

/* ---- forms ---- */

static void json_has_every_field(void **state)
{
    static const char form[] = "{\"time\":\"dddd-dd-ddTdd:dd:dd.ddddddZ\",";
    const struct rg_access_record record = a_record();

    (void)state;
    open_log(RG_ACCESS_JSON, 1000000);
    rg_access_log_put(access_log, &record);
    const char *line = close_and_read();
    assert_form(line, form);
    assert_string_equal(
        line + sizeof(form) - 1,
        "\"type\":\"access\",\"client\":\"192.0.2.7\",\"method\":\"GET\",\"path\":\"/items/5\","
        "\"version\":\"HTTP/1.1\",\"api\":\"shop\",\"endpoint\":\"item\",\"status\":200,"
        "\"outcome\":\"ok\",\"bytes_in\":0,\"bytes_out\":18446744073709551615,\"queue_ms\":0.001,"
        "\"connect_ms\":1.500,\"first_byte_ms\":11.000,\"total_ms\":15.000,"
        "\"upstream\":\"192.0.2.9:80\",\"reused\":true,\"tries\":2,\"request_id\":\"r1\","
        "\"trace_id\":\"0af7651916cd43dd8448eb211c80319c\",\"session\":\"s1\"}\n");
}

static void text_looks_like_the_other_log(void **state)
{
    static const char form[] = "dddd-dd-ddTdd:dd:dd.dddZ";
    const struct rg_access_record record = a_record();

    (void)state;
    open_log(RG_ACCESS_TEXT, 1000000);
    rg_access_log_put(access_log, &record);
    const char *line = close_and_read();
    assert_form(line, form);
    assert_string_equal(
        line + sizeof(form) - 1,
        " [info] access client=192.0.2.7 method=GET path=/items/5 version=HTTP/1.1 api=shop "
        "endpoint=item status=200 outcome=ok bytes_in=0 bytes_out=18446744073709551615 "
        "queue_ms=0.001 connect_ms=1.500 first_byte_ms=11.000 total_ms=15.000 "
        "upstream=192.0.2.9:80 reused=true tries=2 request_id=r1 "
        "trace_id=0af7651916cd43dd8448eb211c80319c session=s1\n");
}

static void what_is_not_known_is_left_out(void **state)
{
    const struct rg_access_record record = {.peer = "",
                                            .method = RG_STR("GET"),
                                            .path = RG_STR("/"),
                                            .version = "HTTP/2",
                                            .outcome = "not_found",
                                            .status = 404,
                                            .started_ns = 2,
                                            .ended_ns = 1};
    const struct rg_upstream_timing nowhere = {.address = ""};
    struct rg_access_record unreachable = record;

    (void)state;
    unreachable.timing = &nowhere;
    open_log(RG_ACCESS_TEXT, 1000000);
    rg_access_log_put(access_log, &record);
    rg_access_log_put(access_log, &unreachable);
    const char *lines = close_and_read();
    assert_string_equal(strstr(lines, " method"),
                        strstr(lines, " method=GET path=/ version=HTTP/2 status=404 "
                                      "outcome=not_found bytes_in=0 bytes_out=0 total_ms=0.000\n"));
    assert_non_null(strstr(lines, " total_ms=0.000 reused=false tries=0\n"));
}

static void nobody_writes_a_line_of_their_own(void **state)
{
    struct rg_access_record record = a_record();

    (void)state;
    record.path = RG_STR("/a\r\n{\"b\"}\x7f\xff\\ =\0c");
    record.request_id = RG_STR("x status=200");
    open_log(RG_ACCESS_TEXT, 1000000);
    rg_access_log_put(access_log, &record);
    const char *line = close_and_read();
    assert_ptr_equal(strchr(line, '\n') + 1, line + strlen(line));
    assert_non_null(
        strstr(line, " path=\"/a\\u000d\\u000a{\\\"b\\\"}\\u007f\\ufffd\\\\ =\\u0000c\" "));
    assert_non_null(strstr(line, " request_id=\"x status=200\" "));
}

static void a_line_is_json_and_fits_a_pipe_whatever_it_is_of(void **state)
{
    static char text[20000];
    struct rg_access_record record = a_record();
    struct rg_json json;

    (void)state;
    for (int c = 0; c < 256; c++) {
        memset(text, c, sizeof(text));
        struct rg_str long_text = rg_str_n(text, sizeof(text));
        char long_name[1000];
        memset(long_name, c == 0 ? 'a' : c, sizeof(long_name));
        long_name[sizeof(long_name) - 1] = '\0';
        record.peer = record.version = record.api = record.endpoint = record.outcome = long_name;
        record.method = record.path = record.request_id = record.trace_id = record.session =
            long_text;
        record.bytes_in = UINT64_MAX;
        record.ended_ns = UINT64_MAX;
        if (pipe_fds[1] < 0) {
            close(pipe_fds[0]);
            rg_assert(pipe(pipe_fds) == 0);
        }
        open_log(RG_ACCESS_JSON, 1000000);
        rg_access_log_put(access_log, &record);
        const char *line = close_and_read();
        size_t n = strlen(line);
        assert_in_range(n, 2000, PIPE_BUF);
        assert_int_equal(rg_json_check(rg_str_n(line, n), &json, NULL), 0);
        assert_ptr_equal(strchr(line, '\n'), line + n - 1);
    }
}

/* ---- which ---- */

static void failures_are_always_told_of(void **state)
{
    (void)state;
    open_log(RG_ACCESS_TEXT, 0);
    for (int i = 0; i < 1000; i++) {
        assert_true(rg_access_log_wants(access_log, 500));
        assert_true(rg_access_log_wants(access_log, 599));
        assert_true(rg_access_log_wants(access_log, 0));
        assert_false(rg_access_log_wants(access_log, 200));
        assert_false(rg_access_log_wants(access_log, 499));
    }
}

static void of_others_as_many_as_are_asked_for(void **state)
{
    unsigned wanted = 0;

    (void)state;
    open_log(RG_ACCESS_TEXT, 250000);
    for (int i = 0; i < 100000; i++)
        wanted += rg_access_log_wants(access_log, 200);
    /* 22 standard deviations to each side. */
    assert_in_range(wanted, 22000, 28000);
    rg_access_log_free(&access_log);
    open_log(RG_ACCESS_TEXT, 1000000);
    for (int i = 0; i < 1000; i++)
        assert_true(rg_access_log_wants(access_log, 200));
}

static void off_means_nothing(void **state)
{
    const struct rg_access_record record = a_record();
    RG_CLEANUP(rg_buf_done) struct rg_buf metrics = {0};

    (void)state;
    open_log(RG_ACCESS_OFF, 1000000);
    assert_false(rg_access_log_wants(access_log, 500));
    rg_access_log_put(access_log, &record);
    rg_access_log_expose(access_log, &metrics);
    assert_int_equal(metrics.n, 0);
    assert_string_equal(close_and_read(), "");
}

/* ---- the writer ---- */

static uint64_t metric(const char *name)
{
    RG_CLEANUP(rg_buf_done) struct rg_buf text = {0};
    char line[80];
    unsigned long long value;

    rg_access_log_expose(access_log, &text);
    rg_buf_add_char(&text, '\0');
    snprintf(line, sizeof(line), "\n%s ", name);
    const char *at = strstr(text.p, line);
    assert_non_null(at);
    assert_int_equal(sscanf(at + strlen(line), "%llu", &value), 1);
    return value;
}

static void a_reader_who_does_not_read_delays_nobody(void **state)
{
    const struct rg_access_record record = a_record();
    uint64_t n = 0;

    (void)state;
    open_log(RG_ACCESS_JSON, 1000000);
    while (metric("rgate_access_log_dropped_total") == 0) {
        for (int i = 0; i < 100; i++, n++)
            rg_access_log_put(access_log, &record);
        /* The pipe, both buffers, and no more. */
        assert_in_range(n, 0, (5 << 20) / 400);
    }
    uint64_t start = rg_clock_mono_ms();
    rg_access_log_free(&access_log);
    assert_in_range(rg_clock_mono_ms() - start, 900, 10000);
}

static void a_reader_who_comes_back_gets_what_was_kept(void **state)
{
    const struct rg_access_record record = a_record();
    static char got[65536];
    uint64_t put = 0, lines = 0;

    (void)state;
    open_log(RG_ACCESS_JSON, 1000000);
    while (metric("rgate_access_log_dropped_total") == 0) {
        rg_access_log_put(access_log, &record);
        put++;
    }
    uint64_t dropped = metric("rgate_access_log_dropped_total");
    while (lines < put - dropped) {
        ssize_t n = read(pipe_fds[0], got, sizeof(got));
        assert_true(n > 0);
        for (ssize_t i = 0; i < n; i++)
            lines += got[i] == '\n';
    }
    assert_int_equal(lines, put - dropped);
    rg_access_log_put(access_log, &record);
    assert_true(read(pipe_fds[0], got, sizeof(got)) > 0);
}

static void a_reader_who_has_gone_is_counted(void **state)
{
    const struct rg_access_record record = a_record();

    (void)state;
    open_log(RG_ACCESS_JSON, 1000000);
    close(pipe_fds[0]);
    rg_access_log_put(access_log, &record);
    uint64_t until = rg_clock_mono_ms() + 10000;
    while (metric("rgate_access_log_dropped_total") == 0) {
        assert_in_range(rg_clock_mono_ms(), 0, until);
        poll(NULL, 0, 1);
    }
    assert_int_equal(metric("rgate_access_log_lines_total"), 0);
    pipe_fds[0] = dup(pipe_fds[1]); /* for teardown */
}

enum {
    PUTTERS = 4,
    LINES_EACH = 1000
};

static void *put_many(void *arg)
{
    struct rg_access_record record = a_record();
    char path[64];

    for (unsigned i = 0; i < LINES_EACH; i++) {
        int n = snprintf(path, sizeof(path), "/%u/%u", (unsigned)(uintptr_t)arg, i);
        record.path = rg_str_n(path, (size_t)n);
        if (rg_access_log_wants(access_log, 200))
            rg_access_log_put(access_log, &record);
    }
    return NULL;
}

struct reader {
    unsigned next[PUTTERS]; /* lines of one thread come in their order */
    unsigned lines;
};

static void check_line(struct reader *reader, struct rg_str line)
{
    struct rg_json root;
    unsigned putter, number;
    char path[64];

    rg_assert(rg_json_check(line, &root, NULL) == 0);
    struct rg_str text = rg_json_member(root, RG_STR("path")).text;
    snprintf(path, sizeof(path), "%.*s", RG_STR_ARG(text));
    rg_assert(sscanf(path, "\"/%u/%u\"", &putter, &number) == 2);
    rg_assert(putter < PUTTERS && number == reader->next[putter]);
    reader->next[putter]++;
    reader->lines++;
}

static void *read_many(void *arg)
{
    struct reader *reader = arg;
    struct rg_buf text = {0};
    ssize_t n;

    /* Non-blocking on the other side, and little by little on this: partial writes and waits. */
    while ((n = read(pipe_fds[0], rg_buf_reserve(&text, 7000), 7000)) > 0) {
        text.n += (size_t)n;
        const char *end;
        while (text.n > 0 && (end = memchr(text.p, '\n', text.n)) != NULL) {
            size_t line_n = (size_t)(end - text.p);
            check_line(reader, rg_str_n(text.p, line_n));
            rg_buf_consume(&text, line_n + 1);
        }
    }
    rg_assert(text.n == 0);
    rg_buf_done(&text);
    return NULL;
}

static void lines_of_many_threads_arrive_whole_and_in_order(void **state)
{
    struct reader reader = {0};
    pthread_t putters[PUTTERS], reading;

    (void)state;
    rg_assert(fcntl(pipe_fds[1], F_SETFL, O_NONBLOCK) == 0);
    open_log(RG_ACCESS_JSON, 1000000);
    pthread_create(&reading, NULL, read_many, &reader);
    for (uintptr_t i = 0; i < PUTTERS; i++)
        pthread_create(&putters[i], NULL, put_many, (void *)i);
    for (size_t i = 0; i < PUTTERS; i++)
        pthread_join(putters[i], NULL);
    rg_access_log_free(&access_log);
    close(pipe_fds[1]);
    pthread_join(reading, NULL);
    pipe_fds[1] = -1;
    /* One buffer holds all of them, at any speed of the reader's. */
    assert_int_equal(reader.lines, PUTTERS * LINES_EACH);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(json_has_every_field, setup, teardown),
        cmocka_unit_test_setup_teardown(text_looks_like_the_other_log, setup, teardown),
        cmocka_unit_test_setup_teardown(what_is_not_known_is_left_out, setup, teardown),
        cmocka_unit_test_setup_teardown(nobody_writes_a_line_of_their_own, setup, teardown),
        cmocka_unit_test_setup_teardown(a_line_is_json_and_fits_a_pipe_whatever_it_is_of, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(failures_are_always_told_of, setup, teardown),
        cmocka_unit_test_setup_teardown(of_others_as_many_as_are_asked_for, setup, teardown),
        cmocka_unit_test_setup_teardown(off_means_nothing, setup, teardown),
        cmocka_unit_test_setup_teardown(a_reader_who_does_not_read_delays_nobody, setup, teardown),
        cmocka_unit_test_setup_teardown(a_reader_who_comes_back_gets_what_was_kept, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(a_reader_who_has_gone_is_counted, setup, teardown),
        cmocka_unit_test_setup_teardown(lines_of_many_threads_arrive_whole_and_in_order, setup,
                                        teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
