#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "base/buf.h"
#include "proxy/route.h"

static char *text(const char *s)
{
    return rg_strndup(s, strlen(s));
}

/* Returns the number of the route that the new one can never be used because of, or -1. */
static long add(struct rg_proxy_routes *routes, const char *method, const char *path)
{
    struct rg_proxy_route route = {.method = text(method), .path = text(path)};
    long shadow = 99;

    rg_proxy_routes_add(routes, &route, &shadow);
    return shadow;
}

static void expect(const struct rg_proxy_routes *routes, const char *method, const char *path,
                   const char *wanted)
{
    const struct rg_proxy_route *route =
        rg_proxy_routes_find(routes, rg_str_c(method), rg_str_c(path));

    if (wanted == NULL) {
        assert_null(route);
        return;
    }
    assert_non_null(route);
    assert_string_equal(route->method, method);
    assert_string_equal(route->path, wanted);
}

static void the_whole_path_must_match_and_the_method(void **state)
{
    struct rg_proxy_routes *routes = rg_proxy_routes_new();

    (void)state;
    add(routes, "GET", "/orders/{id}/items");
    add(routes, "POST", "/login");
    expect(routes, "GET", "/orders/1/items", "/orders/{id}/items");
    expect(routes, "GET", "/orders/x.y-1/items", "/orders/{id}/items");
    expect(routes, "POST", "/login", "/login");
    expect(routes, "GET", "/login", NULL);
    expect(routes, "post", "/login", NULL);
    expect(routes, "GET", "/x/orders/1/items", NULL);
    expect(routes, "GET", "/orders/1/items/2", NULL);
    expect(routes, "GET", "/orders/1/items/", NULL);
    expect(routes, "GET", "/orders/1/2/items", NULL);
    expect(routes, "GET", "/orders/1/Items", NULL);
    expect(routes, "GET", "//login", NULL);
    expect(routes, "GET", "/", NULL);
    expect(routes, "GET", "", NULL);
    expect(routes, "GET", "orders/1/items", NULL);
    rg_proxy_routes_free(&routes);
    assert_null(routes);
}

static void an_id_is_not_empty(void **state)
{
    struct rg_proxy_routes *routes = rg_proxy_routes_new();

    (void)state;
    add(routes, "GET", "/users/{id}");
    add(routes, "GET", "/{id}/a/{id}");
    expect(routes, "GET", "/users/", NULL);
    expect(routes, "GET", "/users", NULL);
    expect(routes, "GET", "//a/1", NULL);
    expect(routes, "GET", "/1/a/", NULL);
    expect(routes, "GET", "/1/a/1", "/{id}/a/{id}");
    rg_proxy_routes_free(&routes);
}

static void everything_but_ids_is_literal(void **state)
{
    struct rg_proxy_routes *routes = rg_proxy_routes_new();

    (void)state;
    add(routes, "GET", "/a.b");
    add(routes, "GET", "/c*");
    add(routes, "GET", "/a/");
    expect(routes, "GET", "/a.b", "/a.b");
    expect(routes, "GET", "/axb", NULL);
    expect(routes, "GET", "/ccc", NULL);
    expect(routes, "GET", "/a/", "/a/");
    expect(routes, "GET", "/a", NULL);
    rg_proxy_routes_free(&routes);
}

static void the_first_in_order_wins_whatever_its_shape(void **state)
{
    struct rg_proxy_routes *routes = rg_proxy_routes_new();

    (void)state;
    add(routes, "GET", "/a/{id}");
    add(routes, "GET", "/a/b");
    add(routes, "GET", "/c/d");
    add(routes, "GET", "/{id}/d");
    add(routes, "GET", "/{id}/{id}");
    expect(routes, "GET", "/a/b", "/a/{id}");
    expect(routes, "GET", "/c/d", "/c/d");
    expect(routes, "GET", "/x/d", "/{id}/d");
    expect(routes, "GET", "/a/d", "/a/{id}");
    expect(routes, "GET", "/x/y", "/{id}/{id}");
    rg_proxy_routes_free(&routes);
}

static void a_route_that_is_never_used_is_told(void **state)
{
    struct rg_proxy_routes *routes = rg_proxy_routes_new();

    (void)state;
    assert_int_equal(add(routes, "GET", "/a/{id}"), -1);
    assert_int_equal(add(routes, "PUT", "/a/{id}"), -1);
    assert_int_equal(add(routes, "GET", "/a/b"), -1);
    assert_int_equal(add(routes, "PUT", "/a/{id}"), 1);
    assert_int_equal(add(routes, "PUT", "/a/{id}"), 1);
    assert_int_equal(rg_proxy_routes_count(routes), 5);
    assert_string_equal(rg_proxy_routes_at(routes, 3)->method, "PUT");
    rg_proxy_routes_free(&routes);
}

static void a_path_may_have_many_segments_but_not_any_number(void **state)
{
    struct rg_proxy_routes *routes = rg_proxy_routes_new();
    struct rg_buf path = {0};

    (void)state;
    for (size_t i = 0; i < RG_ROUTE_MAX_SEGMENTS; i++)
        rg_buf_add_c(&path, "/{id}");
    rg_buf_add_char(&path, '\0');
    add(routes, "GET", path.p);
    expect(routes, "GET", path.p, path.p);
    path.n--;
    rg_buf_add_c(&path, "/a");
    assert_null(rg_proxy_routes_find(routes, RG_STR("GET"), rg_buf_str(&path)));
    rg_buf_done(&path);
    rg_proxy_routes_free(&routes);
}

static void a_thousand_routes_are_told_apart(void **state)
{
    struct rg_proxy_routes *routes = rg_proxy_routes_new();
    char path[64], wanted[64];

    (void)state;
    for (int i = 0; i < 1000; i++) {
        snprintf(path, sizeof(path), i % 2 == 0 ? "/api/v1/r%d/{id}" : "/api/v1/r%d/all", i);
        assert_int_equal(add(routes, i % 3 == 0 ? "POST" : "GET", path), -1);
    }
    for (int i = 0; i < 1000; i++) {
        snprintf(wanted, sizeof(wanted), i % 2 == 0 ? "/api/v1/r%d/{id}" : "/api/v1/r%d/all", i);
        snprintf(path, sizeof(path), i % 2 == 0 ? "/api/v1/r%d/x" : "/api/v1/r%d/all", i);
        expect(routes, i % 3 == 0 ? "POST" : "GET", path, wanted);
        expect(routes, i % 3 == 0 ? "GET" : "POST", path, NULL);
    }
    expect(routes, "GET", "/api/v1/r1000/x", NULL);
    rg_proxy_routes_free(&routes);
}

static void it_is_known_whether_tokens_are_needed(void **state)
{
    struct rg_proxy_routes *routes = rg_proxy_routes_new();
    struct rg_proxy_route route = {.method = text("GET"), .path = text("/a"), .needs_token = true};
    long shadow;

    (void)state;
    assert_false(rg_proxy_routes_need_tokens(routes));
    add(routes, "GET", "/b");
    assert_false(rg_proxy_routes_need_tokens(routes));
    rg_proxy_routes_add(routes, &route, &shadow);
    assert_true(rg_proxy_routes_need_tokens(routes));
    rg_proxy_routes_free(&routes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_whole_path_must_match_and_the_method),
        cmocka_unit_test(an_id_is_not_empty),
        cmocka_unit_test(everything_but_ids_is_literal),
        cmocka_unit_test(the_first_in_order_wins_whatever_its_shape),
        cmocka_unit_test(a_route_that_is_never_used_is_told),
        cmocka_unit_test(a_path_may_have_many_segments_but_not_any_number),
        cmocka_unit_test(a_thousand_routes_are_told_apart),
        cmocka_unit_test(it_is_known_whether_tokens_are_needed),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
