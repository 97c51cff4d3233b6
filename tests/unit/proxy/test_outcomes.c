#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/rcu.h"
#include "proxy/outcomes.h"

static struct rg_family *family;
static struct rg_outcomes *one, *other; /* of two reactors */

static int setup(void **state)
{
    (void)state;
    family = rg_family_new(&rg_outcomes_row);
    one = rg_outcomes_new(family);
    other = rg_outcomes_new(family);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    rg_outcomes_free(&one);
    rg_outcomes_free(&other);
    rg_family_free(&family);
    return 0;
}

static void count(struct rg_outcomes *outcomes, const char *method, const char *path,
                  enum rg_outcome outcome)
{
    const struct rg_outcome_labels labels = {rg_str_c(method), rg_str_c(path), "http", "http"};

    rg_outcomes_count(outcomes, &labels, outcome);
}

static void expect(const char *method, const char *path, const char *status, unsigned n)
{
    struct rg_buf out = {0};
    char line[600];

    rg_family_expose(family, &out);
    rg_buf_add_char(&out, '\0');
    snprintf(line, sizeof(line),
             "\nrig_proxy_requests_total{method=\"%s\",path=\"%s\",target=\"http\",response_from="
             "\"http\",status=\"%s\"} %u\n",
             method, path, status, n);
    assert_non_null(strstr(out.p, line));
    rg_buf_done(&out);
}

static void what_differs_in_anything_is_counted_apart(void **state)
{
    (void)state;
    count(one, "GET", "/a", RG_OUTCOME_OK);
    count(one, "GET", "/a", RG_OUTCOME_OK);
    count(one, "PUT", "/a", RG_OUTCOME_OK);
    count(one, "GET", "/b", RG_OUTCOME_OK);
    count(one, "GET", "/a", RG_OUTCOME_REQUEST_TIMEOUT);
    expect("GET", "/a", "ok", 2);
    expect("PUT", "/a", "ok", 1);
    expect("GET", "/b", "ok", 1);
    expect("GET", "/a", "request_timeout", 1);
}

static void all_reactors_count_in_one_place(void **state)
{
    (void)state;
    count(one, "GET", "/a", RG_OUTCOME_OK);
    count(other, "GET", "/a", RG_OUTCOME_OK);
    count(one, "GET", "/a", RG_OUTCOME_OK);
    expect("GET", "/a", "ok", 3);
}

static void however_many_paths_there_are_each_is_found_again(void **state)
{
    char path[16];

    (void)state;
    for (int round = 0; round < 2; round++) {
        for (int i = 0; i < 1000; i++) {
            snprintf(path, sizeof(path), "/%d", i);
            count(one, "GET", path, RG_OUTCOME_OK);
        }
    }
    expect("GET", "/0", "ok", 2);
    expect("GET", "/999", "ok", 2);
}

static void what_is_too_long_has_no_name_of_its_own(void **state)
{
    char path[RG_OUTCOMES_MAX_PATH + 2] = "/";

    (void)state;
    memset(path, 'a', RG_OUTCOMES_MAX_PATH);
    count(one, "GET", path, RG_OUTCOME_OK);
    expect("GET", path, "ok", 1);
    path[RG_OUTCOMES_MAX_PATH] = 'a';
    count(one, "GET", path, RG_OUTCOME_OK);
    count(one, "AMETHODTHATISLONG", "/a", RG_OUTCOME_OK);
    expect("GET", "other", "ok", 1);
    expect("other", "/a", "ok", 1);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(what_differs_in_anything_is_counted_apart),
        TEST(all_reactors_count_in_one_place),
        TEST(however_many_paths_there_are_each_is_found_again),
        TEST(what_is_too_long_has_no_name_of_its_own),
    };

    rg_rcu_thread_start();
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    rg_rcu_thread_stop();
    return failed;
}
