#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "base/counter.h"
#include "base/rcu.h"

static struct rg_buf out;

static int teardown(void **state)
{
    (void)state;
    rg_buf_done(&out);
    return 0;
}

static const char *exposed(struct rg_family *family)
{
    rg_buf_clear(&out);
    rg_family_expose(family, &out);
    rg_buf_add_char(&out, '\0');
    return out.p;
}

static size_t lines(const char *text)
{
    size_t n = 0;

    for (; *text != '\0'; text++)
        n += *text == '\n';
    return n;
}

static const struct rg_counter_row rows[] = {
    {"rg_open", "gauge", "transport=\"a\"", "Open."},
    {"rg_open", "gauge", "transport=\"b\"", ""},
    {"rg_done_total", "counter", NULL, "Done."},
};

static void rows_are_summed_over_the_blocks_under_one_head_per_name(void **state)
{
    struct rg_counters *a = rg_counters_new(3), *b = rg_counters_new(3);

    (void)state;
    rg_count(a, 0, 5);
    rg_count(a, 0, -2);
    rg_count(b, 0, -4);
    rg_count(b, 1, 7);
    rg_count(a, 2, 1);
    rg_count(b, 2, 2);
    assert_int_equal(rg_counters_get(a, 0), 3);
    rg_counters_expose(&out, rows, 3, (const struct rg_counters *const[]){a, b}, 2);
    rg_buf_add_char(&out, '\0');
    assert_string_equal(out.p, "# HELP rg_open Open.\n# TYPE rg_open gauge\n"
                               "rg_open{transport=\"a\"} -1\nrg_open{transport=\"b\"} 7\n"
                               "# HELP rg_done_total Done.\n# TYPE rg_done_total counter\n"
                               "rg_done_total 3\n");
    rg_counters_free(&a);
    rg_counters_free(&b);
    assert_null(a);
}

static const struct rg_family_row one_label = {"rg_one_total", "counter", {"type"}, "One."};
static const struct rg_family_row two_labels = {
    "rg_two_total", "counter", {"source", "topic"}, "Two."};
static const struct rg_family_row histogram = {
    "rg_ms", "histogram", {"source", "topic"}, "Milliseconds."};

static void a_family_without_series_has_its_head(void **state)
{
    struct rg_family *family = rg_family_new(&one_label);

    (void)state;
    assert_string_equal(exposed(family), "# HELP rg_one_total One.\n# TYPE rg_one_total counter\n");
    rg_family_free(&family);
    assert_null(family);
    rg_family_free(&family);
}

static void equal_labels_share_a_series(void **state)
{
    struct rg_family *one = rg_family_new(&one_label), *two = rg_family_new(&two_labels);
    struct rg_series *a = rg_family_get(two, RG_STR("ab"), RG_STR("c"));

    (void)state;
    assert_ptr_equal(rg_family_get(two, RG_STR("ab"), RG_STR("c")), a);
    assert_ptr_not_equal(rg_family_get(two, RG_STR("a"), RG_STR("bc")), a);
    assert_ptr_not_equal(rg_family_get(two, RG_STR("c"), RG_STR("ab")), a);
    rg_series_add(a, 3);
    rg_series_add(a, 4);
    assert_non_null(strstr(exposed(two), "rg_two_total{source=\"ab\",topic=\"c\"} 7\n"));
    /* A family of one label ignores the second. */
    assert_ptr_equal(rg_family_get(one, RG_STR("x"), RG_STR("1")),
                     rg_family_get(one, RG_STR("x"), RG_STR("2")));
    assert_non_null(strstr(exposed(one), "rg_one_total{type=\"x\"} 0\n"));
    rg_family_free(&one);
    rg_family_free(&two);
}

static void a_family_may_have_up_to_five_labels(void **state)
{
    static const struct rg_family_row five_labels = {
        "rg_five_total", "counter", {"a", "b", "c", "d", "e"}, "Five."};
    struct rg_family *family = rg_family_new(&five_labels);
    struct rg_str values[] = {RG_STR("1"), RG_STR("2"), RG_STR(""), RG_STR("4"), RG_STR("5")};

    (void)state;
    rg_series_add(rg_family_find(family, values), 1);
    rg_series_add(rg_family_find(family, values), 1);
    values[4] = RG_STR("6");
    rg_series_add(rg_family_find(family, values), 5);
    assert_non_null(
        strstr(exposed(family), "rg_five_total{a=\"1\",b=\"2\",c=\"\",d=\"4\",e=\"5\"} 2\n"));
    assert_non_null(
        strstr(exposed(family), "rg_five_total{a=\"1\",b=\"2\",c=\"\",d=\"4\",e=\"6\"} 5\n"));
    rg_family_free(&family);
}

static void label_values_are_escaped(void **state)
{
    struct rg_family *family = rg_family_new(&one_label);

    (void)state;
    rg_family_get(family, RG_STR("a\"b\\c\nd\xc3\xa9"), RG_STR(""));
    assert_non_null(strstr(exposed(family), "rg_one_total{type=\"a\\\"b\\\\c\\nd\xc3\xa9\"} 0\n"));
    rg_family_free(&family);
}

static void a_histogram_counts_each_duration_up_to_its_bound(void **state)
{
    static const uint64_t durations[] = {0, 1000000, 1000001, 9999999, 1000000000, 1000000001};
    struct rg_family *family = rg_family_new(&histogram);
    struct rg_series *series = rg_family_get(family, RG_STR("kafka"), RG_STR("t"));

    (void)state;
    for (size_t i = 0; i < RG_COUNT_OF(durations); i++)
        rg_series_observe(series, 1, durations[i]);
#define LABELS "{source=\"kafka\",topic=\"t\""
    static const char *const expected[] = {
        "rg_ms_bucket" LABELS ",le=\"1\"} 2\n",    "rg_ms_bucket" LABELS ",le=\"2\"} 3\n",
        "rg_ms_bucket" LABELS ",le=\"5\"} 3\n",    "rg_ms_bucket" LABELS ",le=\"10\"} 4\n",
        "rg_ms_bucket" LABELS ",le=\"1000\"} 5\n", "rg_ms_bucket" LABELS ",le=\"+Inf\"} 6\n",
        "rg_ms_sum" LABELS "} 2012.000001\n",      "rg_ms_count" LABELS "} 6\n",
    };
    for (size_t i = 0; i < RG_COUNT_OF(expected); i++) {
        if (strstr(exposed(family), expected[i]) == NULL)
            fail_msg("%s lacks %s", exposed(family), expected[i]);
    }
    assert_int_equal(lines(exposed(family)), 2 + RG_HISTOGRAM_BUCKETS + 1 + 2);
    rg_family_free(&family);
}

static void beyond_the_limit_new_labels_share_one_series(void **state)
{
    struct rg_family *family = rg_family_new(&two_labels);
    char name[16];

    (void)state;
    for (int i = 0; i < RG_FAMILY_MAX_SERIES; i++) {
        snprintf(name, sizeof(name), "n%d", i);
        rg_series_add(rg_family_get(family, rg_str_c(name), RG_STR("")), 1);
    }
    struct rg_series *known = rg_family_get(family, RG_STR("n7"), RG_STR(""));
    struct rg_series *a = rg_family_get(family, RG_STR("new"), RG_STR("1"));
    assert_ptr_equal(rg_family_get(family, RG_STR("newer"), RG_STR("2")), a);
    rg_series_add(a, 2);
    assert_non_null(strstr(exposed(family), "rg_two_total{source=\"other\",topic=\"other\"} 2\n"));
    assert_int_equal(lines(exposed(family)), 2 + RG_FAMILY_MAX_SERIES + 1);
    assert_ptr_equal(rg_family_get(family, RG_STR("n7"), RG_STR("")), known);
    rg_family_free(&family);
}

enum {
    THREADS = 4,
    ROUNDS = 2000
};

static void *count_all(void *arg)
{
    struct rg_family *family = arg;
    char name[16];

    rg_rcu_thread_start();
    for (int i = 0; i < ROUNDS; i++) {
        snprintf(name, sizeof(name), "n%d", i % 50);
        rg_series_add(rg_family_get(family, rg_str_c(name), RG_STR("")), 1);
    }
    rg_rcu_thread_stop();
    return NULL;
}

static void threads_that_meet_at_new_labels_count_in_one_series(void **state)
{
    struct rg_family *family = rg_family_new(&one_label);
    pthread_t threads[THREADS];
    char expected[64];

    (void)state;
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, count_all, family), 0);
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    assert_int_equal(lines(exposed(family)), 2 + 50);
    for (int i = 0; i < 50; i++) {
        snprintf(expected, sizeof(expected), "{type=\"n%d\"} %d\n", i, THREADS * ROUNDS / 50);
        assert_non_null(strstr(out.p, expected));
    }
    rg_family_free(&family);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(rows_are_summed_over_the_blocks_under_one_head_per_name,
                                  teardown),
        cmocka_unit_test_teardown(a_family_without_series_has_its_head, teardown),
        cmocka_unit_test_teardown(equal_labels_share_a_series, teardown),
        cmocka_unit_test_teardown(a_family_may_have_up_to_five_labels, teardown),
        cmocka_unit_test_teardown(label_values_are_escaped, teardown),
        cmocka_unit_test_teardown(a_histogram_counts_each_duration_up_to_its_bound, teardown),
        cmocka_unit_test_teardown(beyond_the_limit_new_labels_share_one_series, teardown),
        cmocka_unit_test_teardown(threads_that_meet_at_new_labels_count_in_one_series, teardown),
    };

    rg_rcu_thread_start();
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    rg_rcu_thread_stop();
    return failed;
}
