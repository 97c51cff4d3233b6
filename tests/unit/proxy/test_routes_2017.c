#include "definitions.h"
#include "proxy/routes_2017.h"

#define GOOD                                                                                       \
    "{\"host\":\"UP_HOST\",\"port\":8100,\"path\":\"/a/{id}\",\"method\":\"GET\",\"auth\":true}"

static const char *value_of_up_host;

static const char *env(const char *name)
{
    return strcmp(name, "UP_HOST") == 0 ? value_of_up_host : NULL;
}

static struct rg_problems problems;
static struct rg_buf warnings;

static struct rg_api *read_list(const char *json)
{
    rg_problems_done(&problems);
    rg_buf_done(&warnings);
    json_t *list = rg_document_read(rg_str_c(json), NULL);
    struct rg_api *api = rg_routes_2017_read(list, env, &problems, &warnings);
    rg_document_unref(&list);
    rg_buf_add_char(&problems.lines, '\0');
    rg_buf_add_char(&warnings, '\0');
    return api;
}

static int teardown(void **state)
{
    (void)state;
    rg_problems_done(&problems);
    rg_buf_done(&warnings);
    value_of_up_host = NULL;
    return 0;
}

/* The only problem is this one. */
static void expect_problem(const char *json, const char *line)
{
    char whole[1024];

    assert_null(read_list(json));
    snprintf(whole, sizeof(whole), "rgate: configuration error: %s\n", line);
    assert_string_equal(problems.lines.p, whole);
    assert_int_equal(problems.n, 1);
}

static void expect_host(const char *value, const char *host)
{
    value_of_up_host = value;
    struct rg_api *api = read_list("[" GOOD "]");
    assert_non_null(api);
    assert_string_equal(api->endpoints[0].host, host);
    assert_string_equal(api->endpoints[0].target_text, "UP_HOST");
    rg_api_unref(&api);
}

static void the_list_is_one_api_and_a_route_an_endpoint(void **state)
{
    struct rg_api *api = read_list("[" GOOD ",{\"host\":\"B\",\"port\":1,\"path\":\"ts/n\","
                                   "\"method\":\"post\",\"auth\":false,\"note\":1}]");

    (void)state;
    assert_non_null(api);
    assert_int_equal(api->dialect, RG_DIALECT_2017);
    assert_string_equal(api->id, "");
    assert_true(api->is_active && api->is_matched && api->checks_tokens);
    assert_int_equal(api->endpoints_n, 2);
    const struct rg_endpoint *first = &api->endpoints[0];
    assert_ptr_equal(first->api, api);
    assert_string_equal(first->id, "GET /a/{id}");
    assert_string_equal(first->method, "GET");
    assert_string_equal(first->path_regex, "/a/{id}");
    assert_string_equal(first->host, "localhost:8100");
    assert_non_null(first->pattern);
    assert_non_null(first->service);
    assert_true(first->is_secured);
    const struct rg_endpoint *second = &api->endpoints[1];
    assert_string_equal(second->method, "POST");
    assert_string_equal(second->path_regex, "/ts/n");
    assert_false(second->is_secured);
    assert_string_equal(warnings.p, "");
    rg_api_unref(&api);
}

static void a_route_is_shown_as_in_2017(void **state)
{
    struct rg_api *api = read_list("[" GOOD ",{\"host\":\"B\",\"port\":1,\"path\":\"ts/n\","
                                   "\"method\":\"PUT\",\"auth\":false}]");

    (void)state;
    assert_string_equal(api->endpoints[0].definition,
                        "%{\"auth\" => true, \"host\" => \"UP_HOST\", \"method\" => \"GET\", "
                        "\"path\" => \"/a/{id}\", \"port\" => 8100}");
    /* The path as it is in the file. */
    assert_string_equal(api->endpoints[1].definition,
                        "%{\"auth\" => false, \"host\" => \"B\", \"method\" => \"PUT\", "
                        "\"path\" => \"ts/n\", \"port\" => 1}");
    rg_api_unref(&api);
}

static void a_list_may_be_empty(void **state)
{
    struct rg_api *api = read_list(" [] ");

    (void)state;
    assert_non_null(api);
    assert_int_equal(api->endpoints_n, 0);
    rg_api_unref(&api);
}

static void the_host_is_what_its_variable_says(void **state)
{
    (void)state;
    expect_host(NULL, "localhost:8100");
    expect_host("", "localhost:8100");
    expect_host("  ", "localhost:8100");
    expect_host(" orders.example ", "orders.example:8100");
    expect_host("http://orders_1", "orders_1:8100");
    expect_host("HTTP://10.0.0.1", "10.0.0.1:8100");
    expect_host("[::1]", "[::1]:8100");
    expect_host("::1", "[::1]:8100");
}

static void a_value_that_is_no_host_is_a_problem_of_that_variable(void **state)
{
    static const char *const values[] = {"a:80",    "http://a/b", "a b",    "[]",
                                         "http://", "a@b",        "ftp://a"};

    (void)state;
    for (size_t i = 0; i < RG_COUNT_OF(values); i++) {
        value_of_up_host = values[i];
        /* Told once, although two routes use it. */
        assert_null(read_list("[" GOOD "," GOOD "]"));
        assert_int_equal(problems.n, 1);
        assert_non_null(strstr(problems.lines.p, "error: UP_HOST: must be the name or address of a "
                                                 "host without port and path"));
        assert_non_null(strstr(problems.lines.p, values[i]));
    }
}

static void every_missing_member_is_told(void **state)
{
    (void)state;
    assert_null(read_list("[" GOOD ",{}]"));
    assert_string_equal(problems.lines.p,
                        "rgate: configuration error: PROXY_CONFIG_FILE: /1/host: is missing\n"
                        "rgate: configuration error: PROXY_CONFIG_FILE: /1/port: is missing\n"
                        "rgate: configuration error: PROXY_CONFIG_FILE: /1/path: is missing\n"
                        "rgate: configuration error: PROXY_CONFIG_FILE: /1/method: is missing\n"
                        "rgate: configuration error: PROXY_CONFIG_FILE: /1/auth: is missing\n");
}

static void members_of_a_wrong_type_are_told(void **state)
{
    (void)state;
    assert_null(read_list("[{\"host\":1,\"port\":\"8100\",\"path\":null,\"method\":[],\"auth\":"
                          "\"true\"}, 5]"));
    assert_string_equal(
        problems.lines.p,
        "rgate: configuration error: PROXY_CONFIG_FILE: /0/host: must be a string\n"
        "rgate: configuration error: PROXY_CONFIG_FILE: /0/port: must be a whole number from 1 to "
        "65535\n"
        "rgate: configuration error: PROXY_CONFIG_FILE: /0/path: must be a string\n"
        "rgate: configuration error: PROXY_CONFIG_FILE: /0/method: must be a string\n"
        "rgate: configuration error: PROXY_CONFIG_FILE: /0/auth: must be true or false\n"
        "rgate: configuration error: PROXY_CONFIG_FILE: /1: must be an object with host, port, "
        "path, method and auth\n");
}

/* The problem of a list whose only route has this text in place of another. */
static void expect_wrong(const char *member, const char *json_value, const char *line)
{
    char json[512], whole[512];

    snprintf(json, sizeof(json),
             "[{\"host\":%s,\"port\":%s,\"path\":%s,\"method\":%s,\"auth\":true}]",
             strcmp(member, "host") == 0 ? json_value : "\"A\"",
             strcmp(member, "port") == 0 ? json_value : "1",
             strcmp(member, "path") == 0 ? json_value : "\"/a\"",
             strcmp(member, "method") == 0 ? json_value : "\"GET\"");
    snprintf(whole, sizeof(whole), "PROXY_CONFIG_FILE: /0/%s: %s", member, line);
    expect_problem(json, whole);
}

static void values_that_cannot_work_are_told(void **state)
{
    const char range[] = "must be a whole number from 1 to 65535";
    const char braces[] = "may have no braces but in {id}, which is a whole segment";

    (void)state;
    expect_wrong("host", "\"\"", "must not be empty");
    expect_wrong("host", "\"orders.example\"",
                 "must be the name of the environment variable with the host (got "
                 "\"orders.example\")");
    expect_wrong("port", "0", range);
    expect_wrong("port", "65536", range);
    expect_wrong("port", "80.5", range);
    expect_wrong("method", "\"GET /\"", "must be a method of HTTP like GET (got \"GET /\")");
    expect_wrong("path", "\"\"", "must not be empty");
    char line[128];
    static const char *const braced[] = {"/{name}", "/a{id}", "/{id}.json", "/}"};
    for (size_t i = 0; i < RG_COUNT_OF(braced); i++) {
        char value[32];
        snprintf(value, sizeof(value), "\"%s\"", braced[i]);
        snprintf(line, sizeof(line), "%s (got %s)", braces, value);
        expect_wrong("path", value, line);
    }
    expect_wrong("path", "\"/a?b\"", "must be a path without query and fragment (got \"/a?b\")");
    expect_wrong("path", "\"/a b\"",
                 "has a character that a path has only percent-encoded (got \"/a b\")");
    expect_wrong("path", "\"/a/../b\"", "the path has a dot segment (got \"/a/../b\")");
    expect_wrong("path", "\"/a%2fb\"", "the path has an encoded slash (got \"/a%2fb\")");
}

static void a_route_that_is_never_used_is_warned_of(void **state)
{
    struct rg_api *api = read_list("[" GOOD "," GOOD "]");

    (void)state;
    assert_non_null(api);
    assert_string_equal(warnings.p,
                        "PROXY_CONFIG_FILE: /1 is never used: /0 has the same method and path\n");
    rg_api_unref(&api);
}

static void routes_are_told_from_definitions(void **state)
{
    static const char *const routes[] = {GOOD, "{\"host\":1}", "{\"path\":null,\"x\":1}"};
    static const char *const others[] = {"{\"id\":\"a\"}",
                                         "{\"host\":\"A\",\"id\":\"a\"}",
                                         "{\"path\":\"/\",\"proxy\":{}}",
                                         "{}",
                                         "5",
                                         "[]"};

    (void)state;
    for (size_t i = 0; i < RG_COUNT_OF(routes) + RG_COUNT_OF(others); i++) {
        bool is_route = i < RG_COUNT_OF(routes);
        json_t *json = rg_document_read(
            rg_str_c(is_route ? routes[i] : others[i - RG_COUNT_OF(routes)]), NULL);
        assert_int_equal(rg_routes_2017_is_route(json), is_route);
        rg_document_unref(&json);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(the_list_is_one_api_and_a_route_an_endpoint, teardown),
        cmocka_unit_test_teardown(a_route_is_shown_as_in_2017, teardown),
        cmocka_unit_test_teardown(a_list_may_be_empty, teardown),
        cmocka_unit_test_teardown(the_host_is_what_its_variable_says, teardown),
        cmocka_unit_test_teardown(a_value_that_is_no_host_is_a_problem_of_that_variable, teardown),
        cmocka_unit_test_teardown(every_missing_member_is_told, teardown),
        cmocka_unit_test_teardown(members_of_a_wrong_type_are_told, teardown),
        cmocka_unit_test_teardown(values_that_cannot_work_are_told, teardown),
        cmocka_unit_test_teardown(a_route_that_is_never_used_is_warned_of, teardown),
        cmocka_unit_test_teardown(routes_are_told_from_definitions, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
