#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "http/router.h"

#define GET  RG_METHOD_BIT(RG_GET)
#define POST RG_METHOD_BIT(RG_POST)
#define PUT  RG_METHOD_BIT(RG_PUT)

enum {
    ROOT,
    EVENTS_POST,
    EVENTS_GET,
    SUBSCRIPTIONS,
    FOUR,
    FIVE,
    CATCH_ALL,
    ROUTES
};

static const struct rg_route routes[ROUTES] = {
    [ROOT] = {.methods = GET, .pattern = "/"},
    [EVENTS_POST] = {.methods = POST | PUT, .pattern = "/v1/events"},
    [EVENTS_GET] = {.methods = GET, .pattern = "/v1/events"},
    [SUBSCRIPTIONS] = {.methods = PUT, .pattern = "/v1/connection/:transport/:token/subscriptions"},
    [FOUR] = {.methods = GET, .pattern = "/four/:a/:b/:c/:d"},
    [FIVE] = {.methods = GET, .pattern = "/five/:a/:b/:c/:d/:e"},
    [CATCH_ALL] = {.methods = RG_METHODS_ALL, .pattern = "*"},
};

static struct rg_route_match match;

static size_t find(enum rg_method method, const char *path)
{
    assert_true(rg_router_find(routes, ROUTES, method, rg_str_c(path), &match));
    return (size_t)(match.route - routes);
}

static void assert_param(size_t i, const char *want)
{
    assert_true(i < match.params_n);
    assert_int_equal(match.params[i].n, strlen(want));
    assert_memory_equal(match.params[i].p, want, strlen(want));
}

static void the_method_and_the_whole_path_decide(void **state)
{
    (void)state;
    assert_int_equal(find(RG_GET, "/"), ROOT);
    assert_int_equal(find(RG_POST, "/v1/events"), EVENTS_POST);
    assert_int_equal(find(RG_PUT, "/v1/events"), EVENTS_POST);
    assert_int_equal(find(RG_GET, "/v1/events"), EVENTS_GET);
    assert_int_equal(find(RG_DELETE, "/v1/events"), CATCH_ALL);
    assert_int_equal(find(RG_GET, "/v1/event"), CATCH_ALL);
    assert_int_equal(find(RG_GET, "/v1/events/x"), CATCH_ALL);
    assert_int_equal(find(RG_GET, "/v1/Events"), CATCH_ALL);
    assert_int_equal(find(RG_GET, "//v1/events"), CATCH_ALL);
    assert_int_equal(find(RG_GET, "/x/v1/events"), CATCH_ALL);
    assert_int_equal(find(RG_POST, "/"), CATCH_ALL);
}

static void head_finds_what_get_finds(void **state)
{
    (void)state;
    assert_int_equal(find(RG_HEAD, "/v1/events"), EVENTS_GET);
    assert_int_equal(find(RG_HEAD, "/"), ROOT);
}

static void one_trailing_slash_is_ignored(void **state)
{
    (void)state;
    assert_int_equal(find(RG_GET, "/v1/events/"), EVENTS_GET);
    assert_int_equal(find(RG_PUT, "/v1/connection/sse/abc/subscriptions/"), SUBSCRIPTIONS);
    assert_int_equal(find(RG_GET, "/v1/events//"), CATCH_ALL);
    assert_int_equal(find(RG_GET, "///"), CATCH_ALL);
}

static void parameters_are_the_segments_as_received(void **state)
{
    (void)state;
    assert_int_equal(find(RG_PUT, "/v1/connection/sse/a%2Fb:c*/subscriptions"), SUBSCRIPTIONS);
    assert_int_equal(match.params_n, 2);
    assert_param(0, "sse");
    assert_param(1, "a%2Fb:c*");

    assert_int_equal(find(RG_GET, "/four/1/2/3/4"), FOUR);
    assert_int_equal(match.params_n, 4);
    assert_param(0, "1");
    assert_param(3, "4");
}

static void a_parameter_is_one_segment_and_not_empty(void **state)
{
    (void)state;
    assert_int_equal(find(RG_PUT, "/v1/connection//abc/subscriptions"), CATCH_ALL);
    assert_int_equal(find(RG_PUT, "/v1/connection/sse/subscriptions"), CATCH_ALL);
    assert_int_equal(find(RG_PUT, "/v1/connection/sse/a/b/subscriptions"), CATCH_ALL);
    assert_int_equal(find(RG_PUT, "/v1/connection/sse/abc"), CATCH_ALL);
    assert_int_equal(find(RG_GET, "/four/1/2/3/"), CATCH_ALL);
}

static void a_match_leaves_no_parameters_of_earlier_attempts(void **state)
{
    (void)state;
    assert_int_equal(find(RG_GET, "/four/1/2/3/4/5"), CATCH_ALL);
    assert_int_equal(match.params_n, 0);
}

static void a_pattern_with_too_many_parameters_never_matches(void **state)
{
    (void)state;
    assert_int_equal(find(RG_GET, "/five/1/2/3/4/5"), CATCH_ALL);
}

static void the_catch_all_takes_every_method_and_path(void **state)
{
    (void)state;
    for (enum rg_method m = RG_GET; m <= RG_METHOD_OTHER; m++)
        assert_int_equal(find(m, "/nowhere"), CATCH_ALL);
    assert_int_equal(find(RG_OPTIONS, "*"), CATCH_ALL);
    assert_int_equal(find(RG_GET, ""), CATCH_ALL);
}

static void without_a_catch_all_nothing_may_match(void **state)
{
    (void)state;
    assert_false(rg_router_find(routes, CATCH_ALL, RG_GET, RG_STR("/nowhere"), &match));
    assert_false(rg_router_find(routes, 0, RG_GET, RG_STR("/"), &match));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_method_and_the_whole_path_decide),
        cmocka_unit_test(head_finds_what_get_finds),
        cmocka_unit_test(one_trailing_slash_is_ignored),
        cmocka_unit_test(parameters_are_the_segments_as_received),
        cmocka_unit_test(a_parameter_is_one_segment_and_not_empty),
        cmocka_unit_test(a_match_leaves_no_parameters_of_earlier_attempts),
        cmocka_unit_test(a_pattern_with_too_many_parameters_never_matches),
        cmocka_unit_test(the_catch_all_takes_every_method_and_path),
        cmocka_unit_test(without_a_catch_all_nothing_may_match),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
