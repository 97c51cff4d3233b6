#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/rcu.h"
#include "event/tally.h"

static struct rg_tally tally;
static struct rg_buf out;

static int setup(void **state)
{
    (void)state;
    rg_tally_init(&tally);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    rg_tally_done(&tally);
    rg_buf_done(&out);
    return 0;
}

static const char *exposed(void)
{
    rg_buf_clear(&out);
    rg_tally_expose(&tally, &out);
    rg_buf_add_char(&out, '\0');
    return out.p;
}

static void assert_exposed(const char *line)
{
    if (strstr(exposed(), line) == NULL)
        fail_msg("%s lacks %s", exposed(), line);
}

static void all_families_are_there_before_anything_was_counted(void **state)
{
    (void)state;
    assert_exposed("# TYPE rig_consumed_events_total counter\n");
    assert_exposed("# TYPE rig_consumed_events_failed_total counter\n");
    assert_exposed("# TYPE rig_consumed_event_processing_duration_milliseconds histogram\n");
    assert_exposed("# TYPE rig_consumed_events_forwarded_total counter\n");
    assert_null(strchr(exposed(), '{'));
}

static void sources_and_topics_are_counted_apart(void **state)
{
    (void)state;
    rg_series_add(rg_family_get(tally.consumed, RG_STR("kafka"), RG_STR("a")), 2);
    rg_series_add(rg_family_get(tally.consumed, RG_STR("kafka"), RG_STR("b")), 3);
    rg_series_add(rg_family_get(tally.consumed, RG_STR("http"), RG_STR("")), 4);
    rg_series_add(rg_family_get(tally.failed, RG_STR("kafka"), RG_STR("b")), 1);
    rg_series_observe(rg_family_get(tally.duration, RG_STR("kafka"), RG_STR("a")), 1, 500000);
    rg_series_add(rg_family_get(tally.forwarded, RG_STR("chat"), RG_STR("ignored")), 5);
    assert_exposed("\nrig_consumed_events_total{source=\"kafka\",topic=\"a\"} 2\n");
    assert_exposed("\nrig_consumed_events_total{source=\"kafka\",topic=\"b\"} 3\n");
    assert_exposed("\nrig_consumed_events_total{source=\"http\",topic=\"\"} 4\n");
    assert_exposed("\nrig_consumed_events_failed_total{source=\"kafka\",topic=\"b\"} 1\n");
    assert_exposed("\nrig_consumed_event_processing_duration_milliseconds_count"
                   "{source=\"kafka\",topic=\"a\"} 1\n");
    assert_exposed("\nrig_consumed_events_forwarded_total{type=\"chat\"} 5\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(all_families_are_there_before_anything_was_counted, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(sources_and_topics_are_counted_apart, setup, teardown),
    };

    rg_rcu_thread_start();
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    rg_rcu_thread_stop();
    return failed;
}
