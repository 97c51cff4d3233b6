#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "base/log.h"
#include "event/json.h"
#include "proxy/request_log.h"

static char definition[] = "%{\"auth\" => true}";
static char route_path[] = "/v1/users/{id}";
static const struct rg_endpoint route = {.path_regex = route_path, .definition = definition};

/* What was given to be sent. */
static struct {
    int answer;
    size_t n;
    char topic[32];
    struct rg_buf key, value;
    rg_record_sent_fn *sent;
    void *sent_arg;
} outgoing;

static int take(void *arg, const char *topic, struct rg_str key, struct rg_str value,
                rg_record_sent_fn *sent, void *sent_arg)
{
    assert_ptr_equal(arg, &outgoing);
    outgoing.n++;
    strcpy(outgoing.topic, topic);
    rg_buf_clear(&outgoing.key);
    rg_buf_clear(&outgoing.value);
    rg_buf_add_str(&outgoing.key, key);
    rg_buf_add_str(&outgoing.value, value);
    outgoing.sent = sent;
    outgoing.sent_arg = sent_arg;
    return outgoing.answer;
}

static struct rg_request_log *log_new(void)
{
    struct rg_request_log_settings settings = {
        .topic = "message",
        .identity = {.user = "/username", .roles = "/role"},
        .send = take,
        .send_arg = &outgoing,
    };

    return rg_request_log_new(&settings);
}

static int teardown(void **state)
{
    (void)state;
    rg_buf_done(&outgoing.key);
    rg_buf_done(&outgoing.value);
    memset(&outgoing, 0, sizeof(outgoing));
    return 0;
}

static void put(struct rg_request_log *log, const char *claims_json, const char *jti,
                const char *peer)
{
    struct rg_claims *claims =
        rg_claims_new(rg_str_c(claims_json), 0, rg_str_c(jti), rg_str_c(jti));

    rg_request_log_record(log, &route, claims, RG_STR("/v1/users/7"), peer);
    rg_claims_unref(&claims);
}

static void expect_text(struct rg_json record, const char *pointer, const char *text)
{
    struct rg_buf scratch = {0};
    struct rg_json value = rg_json_at(record, rg_str_c(pointer));

    assert_int_equal(value.kind, RG_JSON_STRING);
    assert_true(rg_str_eq(rg_json_string(value, &scratch), rg_str_c(text)));
    rg_buf_done(&scratch);
}

static void expect_failures(struct rg_request_log *log, unsigned n)
{
    struct rg_buf out = {0};
    char line[128];

    rg_request_log_expose(log, &out);
    rg_buf_add_char(&out, '\0');
    snprintf(line, sizeof(line), "\nrgate_request_log_failed_total %u\n", n);
    assert_non_null(strstr(out.p, line));
    rg_buf_done(&out);
}

static void a_record_says_who_asked_for_what(void **state)
{
    struct rg_request_log *log = log_new();
    struct rg_json record;
    struct rg_json_number number;

    (void)state;
    put(log, "{\"username\":\"a\\\"da\",\"jti\":\"ja\"}", "ja", "192.0.2.7");
    assert_int_equal(outgoing.n, 1);
    assert_string_equal(outgoing.topic, "message");
    assert_true(rg_str_eq(rg_buf_str(&outgoing.key), RG_STR("a\"da")));
    assert_int_equal(rg_json_check(rg_buf_str(&outgoing.value), &record, NULL), 0);
    expect_text(record, "/username", "a\"da");
    expect_text(record, "/jti", "ja");
    expect_text(record, "/type", "PROXY_API_CALL");
    expect_text(record, "/version", "1.0");
    expect_text(record, "/payload/service_def", definition);
    expect_text(record, "/payload/request_path", "/v1/users/7");
    expect_text(record, "/payload/remote_ip", "192.0.2.7");
    assert_true(rg_str_eq(rg_json_at(record, RG_STR("/level")).text, RG_STR("0")));
    assert_int_equal(rg_json_number(rg_json_at(record, RG_STR("/timestamp")), &number), 0);
    assert_true(number.is_integer && llabs(number.v.i - (int64_t)time(NULL)) < 5);
    struct rg_str id = rg_json_at(record, RG_STR("/id")).text;
    assert_int_equal(id.n, 38);
    assert_int_equal(id.p[15], '4'); /* the version of a UUID */
    rg_request_log_free(&log);
    assert_null(log);
}

static void each_record_has_an_id_of_its_own(void **state)
{
    struct rg_request_log *log = log_new();
    struct rg_buf first = {0};

    (void)state;
    put(log, "{\"username\":\"ada\"}", "ja", "::1");
    rg_buf_add(&first, outgoing.value.p, 50);
    put(log, "{\"username\":\"ada\"}", "ja", "::1");
    assert_int_equal(outgoing.n, 2);
    assert_memory_not_equal(first.p, outgoing.value.p, 50);
    rg_buf_done(&first);
    rg_request_log_free(&log);
}

static void who_has_no_name_or_no_jti_is_not_recorded(void **state)
{
    struct rg_request_log *log = log_new();

    (void)state;
    put(log, "{\"jti\":\"ja\"}", "ja", "");
    put(log, "{\"username\":5}", "ja", "");
    put(log, "{\"username\":\"\"}", "ja", "");
    put(log, "{\"username\":\"ada\"}", "", "");
    assert_int_equal(outgoing.n, 0);
    expect_failures(log, 4);
    rg_request_log_free(&log);
}

static void what_was_not_recorded_is_counted(void **state)
{
    struct rg_request_log *log = log_new();
    struct rg_why why = {.text = "no broker"};

    (void)state;
    put(log, "{\"username\":\"ada\"}", "ja", "");
    outgoing.sent(outgoing.sent_arg, 0, &why, 0, 0);
    expect_failures(log, 0);
    outgoing.sent(outgoing.sent_arg, RG_ENOTFOUND, &why, -1, -1);
    expect_failures(log, 1);
    outgoing.answer = RG_EAGAIN;
    put(log, "{\"username\":\"ada\"}", "ja", "");
    expect_failures(log, 2);
    rg_request_log_free(&log);
}

/* ---- of definitions ---- */

static char endpoint_id[] = "get", endpoint_method[] = "GET", regex[] = "/items/(\\d+)",
            target[] = "http://127.0.0.1", shown[] = "{\"id\":\"get\",\"x\":[1]}";
static const struct rg_endpoint endpoint = {.id = endpoint_id,
                                            .method = endpoint_method,
                                            .path_regex = regex,
                                            .definition = shown,
                                            .target_text = target};
static const struct rg_trace trace = {
    .traceparent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
    .tracestate_n = 3,
    .tracestate = {'a', '=', '1'},
};

static struct rg_request_log *log_for(bool writes_lines, rg_record_send_fn *send_event)
{
    const struct rg_request_log_settings settings = {.topic = "message",
                                                     .send_arg = &outgoing,
                                                     .send_event = send_event,
                                                     .writes_lines = writes_lines};

    return rg_request_log_new(&settings);
}

static void a_call_becomes_an_event(void **state)
{
    struct rg_request_log *log = log_for(false, take);
    struct rg_json event;

    (void)state;
    rg_request_log_call(log, &endpoint, RG_STR("/items/5\""), "2001:db8::1", &trace);
    assert_int_equal(outgoing.n, 1);
    assert_true(rg_str_eq(rg_buf_str(&outgoing.key), RG_STR("partition")));
    assert_int_equal(rg_json_check(rg_buf_str(&outgoing.value), &event, NULL), 0);
    expect_text(event, "/specversion", "0.2");
    expect_text(event, "/type", "com.rig.proxy.api.call");
    expect_text(event, "/source", "/rig");
    expect_text(event, "/contenttype", "application/json");
    expect_text(event, "/data/request_path", "/items/5\"");
    expect_text(event, "/data/remote_ip", "2001:db8::1");
    expect_text(event, "/traceparent", trace.traceparent);
    expect_text(event, "/tracestate", "a=1");
    assert_true(rg_str_eq(rg_json_at(event, RG_STR("/data/endpoint")).text, rg_str_c(shown)));
    assert_int_equal(rg_json_at(event, RG_STR("/id")).text.n, 38);
    assert_int_equal(rg_json_at(event, RG_STR("/time")).text.n, 34);
    rg_request_log_free(&log);
}

/* What writes to the log within calls(). */
static void expect_output(void (*calls)(void), const char *text)
{
    int pipe_fds[2];
    char got[500] = "";

    assert_int_equal(pipe(pipe_fds), 0);
    rg_log_set_fd(pipe_fds[1]);
    calls();
    rg_log_set_fd(STDOUT_FILENO);
    close(pipe_fds[1]);
    assert_true(read(pipe_fds[0], got, sizeof(got) - 1) >= 0);
    close(pipe_fds[0]);
    assert_string_equal(got, text);
}

static void call_with_lines(void)
{
    struct rg_request_log *log = log_for(true, NULL);

    rg_request_log_call(log, &endpoint, RG_STR("/items/5"), "", &trace);
    rg_request_log_free(&log);
}

static void call_without_lines(void)
{
    struct rg_request_log *log = log_for(false, take);

    rg_request_log_call(log, &endpoint, RG_STR("/items/5"), "", &trace);
    rg_request_log_free(&log);
}

static void a_call_becomes_a_line(void **state)
{
    (void)state;
    expect_output(call_with_lines, "CALL: [get] GET /items/(\\d+) => http://127.0.0.1\n");
    assert_int_equal(outgoing.n, 0);
}

static void without_console_no_line_is_written(void **state)
{
    (void)state;
    expect_output(call_without_lines, "");
    assert_int_equal(outgoing.n, 1);
}

static void an_endpoint_of_2017_is_recorded_like_a_route(void **state)
{
    struct rg_request_log *log = log_new();
    struct rg_claims *claims =
        rg_claims_new(RG_STR("{\"username\":\"ada\"}"), 0, RG_STR("ja"), RG_STR("ja"));
    struct rg_json record;

    (void)state;
    rg_request_log_record(log, &endpoint, claims, RG_STR("/items/5"), "::1");
    assert_int_equal(rg_json_check(rg_buf_str(&outgoing.value), &record, NULL), 0);
    expect_text(record, "/username", "ada");
    expect_text(record, "/payload/service_def", shown);
    expect_text(record, "/payload/request_path", "/items/5");
    rg_claims_unref(&claims);
    rg_request_log_free(&log);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(a_record_says_who_asked_for_what, teardown),
        cmocka_unit_test_teardown(each_record_has_an_id_of_its_own, teardown),
        cmocka_unit_test_teardown(who_has_no_name_or_no_jti_is_not_recorded, teardown),
        cmocka_unit_test_teardown(what_was_not_recorded_is_counted, teardown),
        cmocka_unit_test_teardown(a_call_becomes_an_event, teardown),
        cmocka_unit_test_teardown(a_call_becomes_a_line, teardown),
        cmocka_unit_test_teardown(without_console_no_line_is_written, teardown),
        cmocka_unit_test_teardown(an_endpoint_of_2017_is_recorded_like_a_route, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
