#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/rcu.h"
#include "proxy/proxy.h"

static char path[] = "/a/{id}";
static const struct rg_proxy_route route = {.path = path};

static void requests_are_counted_by_route_and_outcome(void **state)
{
    const struct rg_proxy_settings settings = {0};
    struct rg_proxy *proxy = rg_proxy_new(&settings);
    struct rg_buf out = {0};

    (void)state;
    rg_proxy_count(proxy, &route, RG_STR("GET"), RG_PROXY_OK);
    rg_proxy_count(proxy, &route, RG_STR("GET"), RG_PROXY_OK);
    rg_proxy_count(proxy, &route, RG_STR("PUT"), RG_PROXY_TIMEOUT);
    rg_proxy_count(proxy, &route, RG_STR("PUT"), RG_PROXY_UNREACHABLE);
    rg_proxy_count(proxy, NULL, RG_STR("GET"), RG_PROXY_NOT_FOUND);
    rg_proxy_expose(proxy, &out);
    rg_buf_add_char(&out, '\0');
#define LINE(method, place, to, status, n)                                                         \
    "\nrig_proxy_requests_total{method=\"" method "\",path=\"" place "\",target=\"" to             \
    "\",response_from=\"" to "\",status=\"" status "\"} " n "\n"
    assert_non_null(strstr(out.p, "# TYPE rig_proxy_requests_total counter\n"));
    assert_non_null(strstr(out.p, LINE("GET", "/a/{id}", "http", "ok", "2")));
    assert_non_null(strstr(out.p, LINE("PUT", "/a/{id}", "http", "request_timeout", "1")));
    assert_non_null(strstr(out.p, LINE("PUT", "/a/{id}", "http", "unreachable", "1")));
    assert_non_null(strstr(out.p, LINE("GET", "N/A", "N/A", "not_found", "1")));
    /* Nothing is recorded, and nothing said of it. */
    assert_null(strstr(out.p, "rig_produced"));
    rg_buf_done(&out);
    rg_proxy_free(&proxy);
    assert_null(proxy);
    rg_proxy_free(&proxy);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(requests_are_counted_by_route_and_outcome),
    };

    rg_rcu_thread_start();
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    rg_rcu_thread_stop();
    return failed;
}
