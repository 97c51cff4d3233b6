/* What all reactors know of the proxy. */
#include "stage.h"

static void what_has_an_endpoint_is_known(void **state)
{
    (void)state;
    assert_true(rg_proxy_has(proxy, RG_STR("GET"), RG_STR("/items")));
    assert_false(rg_proxy_has(proxy, RG_STR("GET"), RG_STR("/")));
    assert_false(rg_proxy_has(proxy, RG_STR("PATCH"), RG_STR("/items")));
}

static void metrics_are_there_before_anything_happens(void **state)
{
    struct rg_buf out = {0};

    (void)state;
    rg_proxy_expose(proxy, &out);
    rg_buf_add_char(&out, '\0');
    assert_non_null(strstr(out.p, "# TYPE rig_proxy_requests_total counter\n"));
    assert_non_null(strstr(out.p, "\nrgate_proxy_tunnels 0\n"));
    assert_non_null(strstr(out.p, "\nrgate_proxy_tunnels_total 0\n"));
    assert_non_null(strstr(out.p, "\nrgate_request_log_failed_total 0\n"));
    rg_buf_done(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(what_has_an_endpoint_is_known),
        TEST(metrics_are_there_before_anything_happens),
    };

    return cmocka_run_group_tests(tests, group_setup, group_teardown);
}
