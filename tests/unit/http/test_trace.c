#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "http/trace.h"

#define TRACE_ID "0af7651916cd43dd8448eb211c80319c"
#define SPAN_ID  "b7ad6b7169203331"
#define PARENT   "00-" TRACE_ID "-" SPAN_ID "-01"

static struct rg_request req;
static struct rg_trace trace;

static void with_field(const char *name, struct rg_str value)
{
    req = (struct rg_request){.fields_n = 1};
    req.fields[0] = (struct rg_http_field){rg_str_c(name), value};
    memset(&trace, 'x', sizeof(trace));
    rg_trace_begin(&req, &trace);
}

static bool is_lower_hex(const char *p, size_t n)
{
    return strspn(p, "0123456789abcdef") >= n;
}

/* A traceparent of ours is well-formed whatever it was made from. */
static void assert_well_formed(void)
{
    const char *p = trace.traceparent;

    assert_int_equal(strlen(p), RG_TRACEPARENT_LEN);
    assert_memory_equal(p, "00-", 3);
    assert_true(is_lower_hex(p + 3, 32));
    assert_true(strspn(p + 3, "0") < 32);
    assert_int_equal(p[35], '-');
    assert_true(is_lower_hex(p + 36, 16));
    assert_true(strspn(p + 36, "0") < 16);
    assert_int_equal(p[52], '-');
    assert_true(is_lower_hex(p + 53, 2));
}

static void request_ids_of_20_to_200_bytes_are_kept(void **state)
{
    static const size_t lengths[] = {20, 21, 199, 200};
    char id[200];

    (void)state;
    memset(id, 'i', sizeof(id));
    for (size_t i = 0; i < RG_COUNT_OF(lengths); i++) {
        with_field("X-Request-Id", rg_str_n(id, lengths[i]));
        assert_int_equal(trace.request_id_n, lengths[i]);
        assert_memory_equal(trace.request_id, id, lengths[i]);
    }
}

static void other_request_ids_are_replaced_by_one_of_ours(void **state)
{
    static const size_t lengths[] = {0, 1, 19, 201};
    char id[201], last[RG_REQUEST_ID_MAX] = {0};

    (void)state;
    memset(id, 'i', sizeof(id));
    for (size_t i = 0; i < RG_COUNT_OF(lengths); i++) {
        with_field("x-request-id", rg_str_n(id, lengths[i]));
        assert_in_range(trace.request_id_n, 20, 200);
        assert_true(is_lower_hex(trace.request_id, trace.request_id_n));
        assert_memory_not_equal(trace.request_id, last, trace.request_id_n);
        memcpy(last, trace.request_id, trace.request_id_n);
    }
}

static void a_valid_traceparent_is_continued_with_a_new_span(void **state)
{
    (void)state;
    with_field("traceparent", RG_STR(PARENT));
    assert_well_formed();
    assert_memory_equal(trace.traceparent + 3, TRACE_ID, 32);
    assert_memory_not_equal(trace.traceparent + 36, SPAN_ID, 16);
    assert_string_equal(trace.traceparent + 53, "01");

    with_field("traceparent", RG_STR("00-" TRACE_ID "-" SPAN_ID "-00"));
    assert_string_equal(trace.traceparent + 53, "00");
}

static void a_newer_version_is_read_by_the_layout_of_the_first(void **state)
{
    (void)state;
    with_field("traceparent", RG_STR("01-" TRACE_ID "-" SPAN_ID "-01"));
    assert_well_formed();
    assert_memory_equal(trace.traceparent + 3, TRACE_ID, 32);
    with_field("traceparent", RG_STR("cc-" TRACE_ID "-" SPAN_ID "-01-what-the-future-brings"));
    assert_well_formed();
    assert_memory_equal(trace.traceparent + 3, TRACE_ID, 32);
}

static void an_invalid_traceparent_starts_a_new_trace(void **state)
{
    static const char *const bad[] = {
        "",
        "00",
        "00-" TRACE_ID "-" SPAN_ID "-1",
        "00-" TRACE_ID "-" SPAN_ID "-01-",
        "00-" TRACE_ID "-" SPAN_ID "-01-more",
        "00-" TRACE_ID "-" SPAN_ID "-0g",
        "ff-" TRACE_ID "-" SPAN_ID "-01",
        "0g-" TRACE_ID "-" SPAN_ID "-01",
        "01-" TRACE_ID "-" SPAN_ID "-011",
        "00_" TRACE_ID "-" SPAN_ID "-01",
        "00-" TRACE_ID "_" SPAN_ID "-01",
        "00-" TRACE_ID "-" SPAN_ID "_01",
        "00-00000000000000000000000000000000-" SPAN_ID "-01",
        "00-" TRACE_ID "-0000000000000000-01",
        "00-0AF7651916CD43DD8448EB211C80319C-" SPAN_ID "-01",
        "00-0af7651916cd43dd8448eb211c80319 -" SPAN_ID "-01",
    };

    (void)state;
    for (size_t i = 0; i < RG_COUNT_OF(bad); i++) {
        with_field("traceparent", rg_str_c(bad[i]));
        assert_well_formed();
        if (memcmp(trace.traceparent + 3, TRACE_ID, 32) == 0)
            fail_msg("continued: %s", bad[i]);
    }
}

static void requests_without_a_trace_get_different_ones(void **state)
{
    struct rg_trace first;

    (void)state;
    with_field("host", RG_STR("here"));
    first = trace;
    with_field("host", RG_STR("here"));
    assert_well_formed();
    assert_memory_not_equal(first.traceparent + 3, trace.traceparent + 3, 32);
    assert_memory_not_equal(first.traceparent + 36, trace.traceparent + 36, 16);
}

static void a_tracestate_of_at_most_512_bytes_is_repeated(void **state)
{
    char long_state[RG_TRACESTATE_MAX + 1];

    (void)state;
    memset(long_state, 's', sizeof(long_state));
    with_field("tracestate", RG_STR("vendor=1"));
    assert_int_equal(trace.tracestate_n, 8);
    assert_memory_equal(trace.tracestate, "vendor=1", 8);
    with_field("tracestate", rg_str_n(long_state, RG_TRACESTATE_MAX));
    assert_int_equal(trace.tracestate_n, RG_TRACESTATE_MAX);
    assert_memory_equal(trace.tracestate, long_state, RG_TRACESTATE_MAX);
    with_field("tracestate", rg_str_n(long_state, RG_TRACESTATE_MAX + 1));
    assert_int_equal(trace.tracestate_n, 0);
    with_field("host", RG_STR("here"));
    assert_int_equal(trace.tracestate_n, 0);
}

static void assert_field(const struct rg_response *response, size_t i, const char *name,
                         const char *value, size_t n)
{
    assert_true(i < response->fields_n);
    assert_true(rg_str_eq(response->fields[i].name, rg_str_c(name)));
    assert_true(rg_str_eq(response->fields[i].value, rg_str_n(value, n)));
}

static void a_response_repeats_what_was_begun(void **state)
{
    struct rg_response response = {0};

    (void)state;
    with_field("tracestate", RG_STR("vendor=1"));
    rg_trace_add(&trace, &response);
    assert_int_equal(response.fields_n, 3);
    assert_field(&response, 0, "x-request-id", trace.request_id, trace.request_id_n);
    assert_field(&response, 1, "traceparent", trace.traceparent, RG_TRACEPARENT_LEN);
    assert_field(&response, 2, "tracestate", "vendor=1", 8);

    response = (struct rg_response){0};
    with_field("host", RG_STR("here"));
    rg_trace_add(&trace, &response);
    assert_int_equal(response.fields_n, 2);
}

static void with_lines(const char *name, const char *first, const char *second)
{
    req = (struct rg_request){.fields_n = 2};
    req.fields[0] = (struct rg_http_field){rg_str_c(name), rg_str_c(first)};
    req.fields[1] = (struct rg_http_field){rg_str_c(name), rg_str_c(second)};
    memset(&trace, 'x', sizeof(trace));
    rg_trace_begin(&req, &trace);
}

static void two_traceparents_are_none(void **state)
{
    (void)state;
    with_field("traceparent", RG_STR(PARENT));
    assert_true(trace.is_continued);
    with_lines("traceparent", PARENT, PARENT);
    assert_well_formed();
    assert_false(trace.is_continued);
    assert_memory_not_equal(trace.traceparent + 3, TRACE_ID, 32);
}

static void of_a_newer_version_only_the_sampled_flag_is_kept(void **state)
{
    (void)state;
    with_field("traceparent", RG_STR("01-" TRACE_ID "-" SPAN_ID "-ff"));
    assert_string_equal(trace.traceparent + 53, "01");
    with_field("traceparent", RG_STR("01-" TRACE_ID "-" SPAN_ID "-fe"));
    assert_string_equal(trace.traceparent + 53, "00");
}

static void lines_of_tracestate_are_one(void **state)
{
    char half[257];

    (void)state;
    with_lines("tracestate", "a=1", "b=2");
    assert_int_equal(trace.tracestate_n, 7);
    assert_memory_equal(trace.tracestate, "a=1,b=2", 7);
    with_lines("tracestate", "", "b=2");
    assert_int_equal(trace.tracestate_n, 3);
    memset(half, 'a', sizeof(half));
    half[256] = '\0';
    with_lines("tracestate", half, half + 1);
    assert_int_equal(trace.tracestate_n, 512);
    with_lines("tracestate", half, half);
    assert_int_equal(trace.tracestate_n, 0);
}

static void a_child_is_another_span_of_the_same_trace(void **state)
{
    char child[RG_TRACEPARENT_LEN + 1], parent[RG_TRACEPARENT_LEN + 1];

    (void)state;
    with_field("traceparent", RG_STR("00-" TRACE_ID "-" SPAN_ID "-00"));
    memcpy(parent, trace.traceparent, sizeof(parent));
    rg_trace_child(&trace, child);
    assert_string_equal(trace.traceparent, parent);
    assert_memory_equal(child, "00-" TRACE_ID "-", 36);
    assert_memory_not_equal(child + 36, parent + 36, 16);
    assert_memory_not_equal(child + 36, SPAN_ID, 16);
    assert_string_equal(child + 52, "-00");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(two_traceparents_are_none),
        cmocka_unit_test(of_a_newer_version_only_the_sampled_flag_is_kept),
        cmocka_unit_test(lines_of_tracestate_are_one),
        cmocka_unit_test(a_child_is_another_span_of_the_same_trace),
        cmocka_unit_test(request_ids_of_20_to_200_bytes_are_kept),
        cmocka_unit_test(other_request_ids_are_replaced_by_one_of_ours),
        cmocka_unit_test(a_valid_traceparent_is_continued_with_a_new_span),
        cmocka_unit_test(a_newer_version_is_read_by_the_layout_of_the_first),
        cmocka_unit_test(an_invalid_traceparent_starts_a_new_trace),
        cmocka_unit_test(requests_without_a_trace_get_different_ones),
        cmocka_unit_test(a_tracestate_of_at_most_512_bytes_is_repeated),
        cmocka_unit_test(a_response_repeats_what_was_begun),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
