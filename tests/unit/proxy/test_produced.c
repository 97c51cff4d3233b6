#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/rcu.h"
#include "proxy/produced.h"

static struct rg_produced produced;
static struct rg_buf out;

static int setup(void **state)
{
    (void)state;
    rg_rcu_thread_start();
    rg_produced_init(&produced);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    rg_produced_done(&produced);
    rg_buf_done(&out);
    rg_rcu_thread_stop();
    return 0;
}

static const char *exposed(void)
{
    rg_buf_clear(&out);
    rg_produced_expose(&produced, &out);
    rg_buf_add_char(&out, '\0');
    return out.p;
}

static void the_heads_are_there_before_the_first_message(void **state)
{
    (void)state;
    assert_non_null(strstr(exposed(), "# TYPE rig_produced_events_total counter\n"));
    assert_non_null(strstr(exposed(), "# TYPE rig_produced_events_failed_total counter\n"));
    assert_null(strstr(exposed(), "topic="));
}

static void messages_are_counted_by_topic_and_fate(void **state)
{
    (void)state;
    rg_produced_count(&produced, RG_STR("kafka"), RG_STR("t1"), 0);
    rg_produced_count(&produced, RG_STR("kafka"), RG_STR("t1"), 0);
    rg_produced_count(&produced, RG_STR("kafka"), RG_STR("t2"), -1);
    assert_non_null(
        strstr(exposed(), "rig_produced_events_total{target=\"kafka\",topic=\"t1\"} 2\n"));
    assert_non_null(
        strstr(exposed(), "rig_produced_events_failed_total{target=\"kafka\",topic=\"t2\"} 1\n"));
    assert_null(strstr(exposed(), "rig_produced_events_total{target=\"kafka\",topic=\"t2\"}"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(the_heads_are_there_before_the_first_message, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(messages_are_counted_by_topic_and_fate, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
