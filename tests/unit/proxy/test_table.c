#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "proxy/table.h"

#define MAX_APIS 8

static struct rg_api *apis[MAX_APIS];
static size_t apis_n;

static struct rg_api *add_api(const char *id, enum rg_dialect dialect, size_t max)
{
    struct rg_api *api = rg_zalloc(sizeof(*api));

    atomic_init(&api->refs, 1);
    api->id = rg_strndup(id, strlen(id));
    api->dialect = dialect;
    api->is_matched = true;
    api->endpoints = rg_realloc_array(NULL, max, sizeof(api->endpoints[0]));
    memset(api->endpoints, 0, max * sizeof(api->endpoints[0]));
    assert_true(apis_n < MAX_APIS);
    apis[apis_n++] = api;
    return api;
}

static void add_endpoint_n(struct rg_api *api, const char *id, const char *method,
                           struct rg_str text)
{
    struct rg_endpoint *endpoint = &api->endpoints[api->endpoints_n++];

    endpoint->api = api;
    endpoint->id = rg_strndup(id, strlen(id));
    endpoint->method = rg_strndup(method, strlen(method));
    endpoint->pattern = api->dialect == RG_DIALECT_2017 ? rg_pattern_compile_2017(text, NULL)
                                                        : rg_pattern_compile(text, NULL);
    assert_non_null(endpoint->pattern);
}

static void add_endpoint(struct rg_api *api, const char *id, const char *method, const char *text)
{
    add_endpoint_n(api, id, method, rg_str_c(text));
}

static struct rg_table *build(void)
{
    struct rg_table *table = rg_table_new(apis, apis_n);

    /* The table has references of its own. */
    while (apis_n > 0)
        rg_api_unref(&apis[--apis_n]);
    return table;
}

static void expect(const struct rg_table *table, const char *method, const char *path,
                   const char *id, bool others)
{
    struct rg_found found;
    bool has_others = !others;
    bool is_found = rg_table_find(table, rg_str_c(method), rg_str_c(path), &found, &has_others);

    assert_null(found.costly);
    if (is_found != (id != NULL) || (is_found && strcmp(found.endpoint->id, id) != 0))
        fail_msg("%s %s: %s instead of %s", method, path, is_found ? found.endpoint->id : "none",
                 id != NULL ? id : "none");
    assert_int_equal(has_others, others);
    assert_int_equal(rg_table_find(table, rg_str_c(method), rg_str_c(path), &found, NULL),
                     is_found);
}

static void a_table_without_endpoints_finds_nothing(void **state)
{
    struct rg_table *table = rg_table_new(NULL, 0);

    (void)state;
    expect(table, "GET", "/", NULL, false);
    assert_int_equal(rg_table_endpoints(table), 0);
    rg_table_free(&table);
    rg_table_free(&table);
}

static void method_and_whole_path_must_match(void **state)
{
    struct rg_api *api = add_api("shop", RG_DIALECT_APIS, 5);

    (void)state;
    add_endpoint(api, "list", "GET", "/items");
    add_endpoint(api, "item", "GET", "/items/([^/]+)");
    add_endpoint(api, "add", "POST", "/items");
    add_endpoint(api, "archive", "GET", "/items-archive");
    add_endpoint(api, "purge", "PURGE", "/[i]tems");
    struct rg_table *table = build();
    expect(table, "GET", "/items", "list", false);
    expect(table, "GET", "/ITEMS", "list", false);
    expect(table, "GET", "/items/5", "item", false);
    expect(table, "GET", "/items-archive", "archive", false);
    expect(table, "GET", "/items-", NULL, false);
    expect(table, "GET", "/item", NULL, false);
    expect(table, "GET", "/items/", NULL, false);
    expect(table, "GET", "/items/5/extra", NULL, false);
    expect(table, "GET", "/", NULL, false);
    expect(table, "POST", "/items", "add", false);
    expect(table, "POST", "/items/5", NULL, false);
    expect(table, "PURGE", "/items", "purge", false);
    expect(table, "get", "/items", NULL, false);
    expect(table, "HEAD", "/items", NULL, false);
    expect(table, "", "/items", NULL, false);
    assert_int_equal(rg_table_endpoints(table), 5);
    rg_table_free(&table);
}

static void captures_are_those_of_what_is_found(void **state)
{
    struct rg_api *api = add_api("a", RG_DIALECT_APIS, 2);
    struct rg_found found;

    (void)state;
    add_endpoint(api, "first", "GET", "/old/([^/]+)/part/([^/]+)");
    add_endpoint(api, "second", "GET", "/(.*)");
    struct rg_table *table = build();
    assert_true(rg_table_find(table, RG_STR("GET"), RG_STR("/old/7/part/9"), &found, NULL));
    assert_int_equal(found.captures.n, 3);
    assert_true(rg_str_eq(found.captures.group[0], RG_STR("/old/7/part/9")));
    assert_true(rg_str_eq(found.captures.group[1], RG_STR("7")));
    assert_true(rg_str_eq(found.captures.group[2], RG_STR("9")));
    rg_table_free(&table);
}

static void apis_are_visited_by_id_and_endpoints_in_list_order(void **state)
{
    struct rg_api *b = add_api("bbb", RG_DIALECT_APIS, 2), *a = add_api("aaa", RG_DIALECT_APIS, 3);
    struct rg_api *upper = add_api("Z", RG_DIALECT_APIS, 1),
                  *high = add_api("\xc3\xa9", RG_DIALECT_APIS, 1);

    (void)state;
    add_endpoint(b, "b0", "GET", "/dup");
    add_endpoint(b, "b1", "GET", "/.*");
    add_endpoint(a, "a0", "GET", "/x/.*");
    add_endpoint(a, "a1", "GET", "/d[u]p");
    add_endpoint(a, "a2", "GET", "/dup");
    add_endpoint(upper, "z0", "GET", "/x/y/[z]");
    add_endpoint(high, "h0", "GET", "/h.*");
    struct rg_table *table = build();
    expect(table, "GET", "/dup", "a1", true);
    expect(table, "GET", "/x/y/z", "z0", true);
    expect(table, "GET", "/x/y", "a0", true);
    expect(table, "GET", "/hello", "b1", true);
    expect(table, "GET", "/other", "b1", false);
    rg_table_free(&table);
}

static void routes_of_2017_come_last_and_have_case(void **state)
{
    struct rg_api *old = add_api("", RG_DIALECT_2017, 4), *api = add_api("z", RG_DIALECT_APIS, 1);

    (void)state;
    add_endpoint(old, "o0", "GET", "/orders/{id}");
    add_endpoint(old, "o1", "GET", "/Orders/{id}");
    add_endpoint(old, "o2", "GET", "/Fixed");
    add_endpoint(old, "o3", "GET", "/fixed");
    add_endpoint(api, "a0", "GET", "/orders/1");
    struct rg_table *table = build();
    expect(table, "GET", "/orders/1", "a0", true);
    expect(table, "GET", "/orders/2", "o0", false);
    expect(table, "GET", "/Orders/2", "o1", false);
    expect(table, "GET", "/ORDERS/2", NULL, false);
    expect(table, "GET", "/fixed", "o3", false);
    expect(table, "GET", "/Fixed", "o2", false);
    expect(table, "GET", "/FIXED", NULL, false);
    rg_table_free(&table);
}

static void an_api_that_is_not_matched_is_left_out(void **state)
{
    struct rg_api *api = add_api("a", RG_DIALECT_APIS, 1);

    (void)state;
    add_endpoint(api, "a0", "GET", "/x");
    api->is_matched = false;
    struct rg_table *table = build();
    expect(table, "GET", "/x", NULL, false);
    assert_int_equal(rg_table_endpoints(table), 0);
    rg_table_free(&table);
}

static void a_pattern_without_its_slash_is_found(void **state)
{
    struct rg_api *api = add_api("a", RG_DIALECT_APIS, 3);

    (void)state;
    add_endpoint(api, "a0", "GET", "todos/1");
    add_endpoint(api, "a1", "GET", "todos/[0-9]+");
    add_endpoint(api, "a2", "GET", "x|/y");
    struct rg_table *table = build();
    expect(table, "GET", "/todos/1", "a0", true);
    expect(table, "GET", "/todos/2", "a1", false);
    expect(table, "GET", "/z/todos/1", NULL, false);
    expect(table, "GET", "/x", "a2", false);
    expect(table, "GET", "/y", "a2", false);
    rg_table_free(&table);
}

/* Else the path that guards a service would be left for one that lets in. */
static void a_pattern_that_costs_too_much_hides_what_comes_after(void **state)
{
    struct rg_api *api = add_api("a", RG_DIALECT_APIS, 4);
    struct rg_found found;
    char path[64];

    (void)state;
    memset(path, 'a', sizeof(path));
    memcpy(path, "/s/", 3);
    add_endpoint(api, "before", "GET", "/s/a{61}");
    add_endpoint(api, "guard", "GET", "/s/(a+)+[bc]");
    add_endpoint(api, "after", "GET", "/s/.*");
    add_endpoint(api, "last", "GET", ".*");
    struct rg_table *table = build();
    assert_true(rg_table_find(table, RG_STR("GET"), rg_str_n(path, 64), &found, NULL));
    assert_string_equal(found.endpoint->id, "before");
    assert_null(found.costly);
    assert_false(rg_table_find(table, RG_STR("GET"), rg_str_n(path, 60), &found, NULL));
    assert_null(found.endpoint);
    assert_string_equal(found.costly->id, "guard");
    expect(table, "GET", "/s/x", "after", true);
    expect(table, "GET", "/x", "last", false);
    rg_table_free(&table);
}

/* ---- by chance: the index finds what trying all of them finds ---- */

static uint64_t chance = 20180101;

static size_t below(size_t bound)
{
    chance = chance * 6364136223846793005ULL + 1442695040888963407ULL;
    return (size_t)(chance >> 33) % bound;
}

static void random_text(struct rg_buf *out, bool is_pattern)
{
    static const char *const pieces[] = {"/",     "a", "b",     "ab", "/a",  "/b/",  "A",  "x",
                                         "[^/]+", ".", "(a|b)", "a*", "|/b", "[ab]", ".*", "b?"};

    rg_buf_clear(out);
    rg_buf_add_c(out, is_pattern && below(6) == 0 ? "" : "/");
    for (size_t left = below(5); left > 0 || out->n == 0; left -= left > 0)
        rg_buf_add_c(out, pieces[below(is_pattern ? RG_COUNT_OF(pieces) : 8)]);
}

static const char *const methods[] = {"GET", "POST", "PUT"};

static void add_random_apis(void)
{
    static const char *const ids[] = {"m", "c", "", "q", "d"};
    struct rg_buf text = {0};

    for (size_t i = 0; i < RG_COUNT_OF(ids); i++) {
        bool is_old = ids[i][0] == '\0';
        struct rg_api *api = add_api(ids[i], is_old ? RG_DIALECT_2017 : RG_DIALECT_APIS, 20);
        for (size_t left = below(20); left > 0; left--) {
            char id[8];
            random_text(&text, !is_old);
            struct rg_pattern *pattern = rg_pattern_compile(rg_buf_str(&text), NULL);
            if (pattern == NULL)
                continue;
            rg_pattern_free(&pattern);
            snprintf(id, sizeof(id), "%zu", api->endpoints_n);
            add_endpoint_n(api, id, methods[below(RG_COUNT_OF(methods))], rg_buf_str(&text));
        }
    }
    rg_buf_done(&text);
}

/* The first of all, tried one by one, and how many match. */
static const struct rg_endpoint *try_all(struct rg_str method, struct rg_str path, size_t *matches)
{
    static const char *const order[] = {"c", "d", "m", "q", ""};
    const struct rg_endpoint *first = NULL;
    struct rg_captures captures;

    *matches = 0;
    for (size_t i = 0; i < RG_COUNT_OF(order); i++) {
        const struct rg_api *api = apis[0];
        for (size_t j = 0; strcmp(api->id, order[i]) != 0; j++)
            api = apis[j];
        for (size_t j = 0; j < api->endpoints_n; j++) {
            const struct rg_endpoint *endpoint = &api->endpoints[j];
            if (!rg_str_eq(rg_str_c(endpoint->method), method) ||
                rg_pattern_match(endpoint->pattern, path, &captures) != 1)
                continue;
            ++*matches;
            if (first == NULL)
                first = endpoint;
        }
    }
    return first;
}

static void the_index_finds_what_trying_all_would_find(void **state)
{
    struct rg_buf path = {0};
    size_t found_n = 0;

    (void)state;
    for (int i = 0; i < 300; i++) {
        add_random_apis();
        struct rg_table *table = rg_table_new(apis, apis_n);
        for (int j = 0; j < 200; j++) {
            struct rg_str method = rg_str_c(methods[below(RG_COUNT_OF(methods))]);
            struct rg_found found;
            bool others;
            size_t matches;
            random_text(&path, false);
            const struct rg_endpoint *wanted = try_all(method, rg_buf_str(&path), &matches);
            rg_table_find(table, method, rg_buf_str(&path), &found, &others);
            assert_ptr_equal(found.endpoint, wanted);
            assert_int_equal(others, matches > 1);
            found_n += wanted != NULL;
        }
        rg_table_free(&table);
        while (apis_n > 0)
            rg_api_unref(&apis[--apis_n]);
    }
    assert_true(found_n > 5000);
    rg_buf_done(&path);
}

/* ---- what is large ---- */

static void prefixes_of_prefixes_are_found(void **state)
{
    struct rg_api *api = add_api("a", RG_DIALECT_APIS, 4000);
    struct rg_buf text = {0};
    struct rg_found found;

    (void)state;
    rg_buf_add_char(&text, '/');
    for (size_t i = 0; i < 4000; i++) {
        rg_buf_add_char(&text, 'a');
        add_endpoint_n(api, "deep", "GET", rg_buf_str(&text));
    }
    struct rg_table *table = build();
    assert_true(rg_table_find(table, RG_STR("GET"), rg_str_n(text.p, 2001), &found, NULL));
    assert_true(rg_str_eq(found.captures.group[0], rg_str_n(text.p, 2001)));
    rg_buf_add_char(&text, 'b');
    assert_false(rg_table_find(table, RG_STR("GET"), rg_buf_str(&text), &found, NULL));
    rg_table_free(&table);
    rg_buf_done(&text);
}

static void a_path_of_16_kib_is_looked_up(void **state)
{
    struct rg_api *api = add_api("a", RG_DIALECT_APIS, 3);
    struct rg_buf path = {0};

    (void)state;
    add_endpoint(api, "a0", "GET", "/a/([^/]+)/x");
    add_endpoint(api, "a1", "GET", "/a/[^/]+");
    add_endpoint(api, "a2", "GET", "/aaaa");
    struct rg_table *table = build();
    rg_buf_add_c(&path, "/a/");
    while (path.n < 16384)
        rg_buf_add_char(&path, 'a');
    rg_buf_add_char(&path, '\0');
    expect(table, "GET", path.p, "a1", false);
    path.p[1] = '/';
    expect(table, "GET", path.p, NULL, false);
    rg_table_free(&table);
    rg_buf_done(&path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_table_without_endpoints_finds_nothing),
        cmocka_unit_test(method_and_whole_path_must_match),
        cmocka_unit_test(captures_are_those_of_what_is_found),
        cmocka_unit_test(apis_are_visited_by_id_and_endpoints_in_list_order),
        cmocka_unit_test(routes_of_2017_come_last_and_have_case),
        cmocka_unit_test(an_api_that_is_not_matched_is_left_out),
        cmocka_unit_test(a_pattern_without_its_slash_is_found),
        cmocka_unit_test(a_pattern_that_costs_too_much_hides_what_comes_after),
        cmocka_unit_test(the_index_finds_what_trying_all_would_find),
        cmocka_unit_test(prefixes_of_prefixes_are_found),
        cmocka_unit_test(a_path_of_16_kib_is_looked_up),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
