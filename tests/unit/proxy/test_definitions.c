#include "definitions.h"

#define ROUTE "{\"host\":\"A\",\"port\":1,\"path\":\"/a\",\"method\":\"GET\",\"auth\":true}"
#define ERROR "rgate: configuration error: PROXY_CONFIG_FILE: "
#define A(id) "{\"id\":\"" id "\",\"name\":\"n\"," PROXY "," VERSION "}"

static struct rg_problems problems;
static struct rg_buf warnings;
static struct rg_api **apis;
static size_t apis_n;

static void forget(void)
{
    for (size_t i = 0; i < apis_n; i++)
        rg_api_unref(&apis[i]);
    rg_free(apis);
    apis = NULL;
    apis_n = 0;
    rg_problems_done(&problems);
    rg_buf_done(&warnings);
}

static int teardown(void **state)
{
    (void)state;
    forget();
    return 0;
}

static int read_text(const char *text)
{
    forget();
    int err =
        rg_definitions_read(rg_str_c(text), definition_env, &problems, &warnings, &apis, &apis_n);
    rg_buf_add_char(&problems.lines, '\0');
    rg_buf_add_char(&warnings, '\0');
    return err;
}

static void expect_lines(const char *text, const char *lines, size_t n)
{
    assert_int_equal(read_text(text), RG_EINVAL);
    assert_string_equal(problems.lines.p, lines);
    assert_int_equal(problems.n, n);
}

static void a_list_of_definitions_is_read_in_its_order(void **state)
{
    (void)state;
    assert_int_equal(read_text(" [" A("b") ",\n" A("a") "] "), 0);
    assert_int_equal(apis_n, 2);
    assert_string_equal(apis[0]->id, "b");
    assert_string_equal(apis[1]->id, "a");
    assert_int_equal(apis[0]->dialect, RG_DIALECT_APIS);
    assert_string_equal(warnings.p, "");
}

static void a_list_may_be_empty(void **state)
{
    (void)state;
    assert_int_equal(read_text("[]"), 0);
    assert_int_equal(apis_n, 0);
}

static void the_routes_of_2017_are_known_by_their_shape(void **state)
{
    (void)state;
    assert_int_equal(read_text("[" ROUTE "]"), 0);
    assert_int_equal(apis_n, 1);
    assert_int_equal(apis[0]->dialect, RG_DIALECT_2017);
    assert_int_equal(apis[0]->endpoints_n, 1);
    /* Also where one of them is no route at all, or lacks something. */
    expect_lines("[" ROUTE ",5]",
                 ERROR "/1: must be an object with host, port, path, method and auth\n", 1);
    expect_lines("[{\"host\":\"A\",\"port\":1,\"method\":\"GET\",\"auth\":true}]",
                 ERROR "/0/path: is missing\n", 1);
}

static void a_list_of_both_kinds_is_refused(void **state)
{
    (void)state;
    expect_lines("[" ROUTE ",{}," A("a") "," A("b") "]",
                 ERROR "is a list of API definitions (/2) and of routes of 2017 (/0): it must be "
                       "one of them\n",
                 1);
}

static void what_is_no_list_is_refused(void **state)
{
    (void)state;
    expect_lines("{}", ERROR "must be a JSON array of API definitions\n", 1);
    expect_lines("null", ERROR "must be a JSON array of API definitions\n", 1);
    assert_int_equal(read_text("[{\"id\":\"a\",\n  \"id\":\"b\"}]"), RG_EINVAL);
    assert_non_null(strstr(problems.lines.p, ERROR "not JSON: line 2 column "));
    assert_int_equal(read_text("[{]"), RG_EINVAL);
    assert_non_null(strstr(problems.lines.p, ERROR "not JSON: line 1 column 3: "));
    assert_int_equal(read_text(""), RG_EINVAL);
    assert_int_equal(problems.n, 1);
}

static void every_fault_is_a_line_with_pointer_ids_and_field(void **state)
{
    (void)state;
    expect_lines(
        "[" A(
            "a") ",{\"id\":\"q\",\"name\":\"\"," PROXY ",\"version_data\":{\"default\":{"
                 "\"endpoints\":[{\"id\":\"e\",\"path_regex\":\"/\"},{\"id\":\"f\",\"path_regex\":\"/\","
                 "\"method\":\"GET\",\"target\":\"nats\"},{\"path_regex\":\"/\",\"method\":\"GET\"}]}}},"
                 "{\"name\":\"n\"," PROXY "," VERSION "},7]",
        ERROR "/1/name: API \"q\": name must have a length of at least 1\n" ERROR
              "/1/version_data/default/endpoints/0/method: API \"q\", endpoint \"e\": method must "
              "be string\n" ERROR
              "/1/version_data/default/endpoints/1/topic: API \"q\", endpoint \"f\": topic must be "
              "present\n" ERROR
              "/1/version_data/default/endpoints/2/id: API \"q\", endpoint without id: id must be "
              "string\n" ERROR "/2/id: API without id: id must be string\n" ERROR
              "/3: API without id: api must be object\n",
        6);
    assert_null(apis);
}

static void an_id_stands_once(void **state)
{
    (void)state;
    expect_lines("[" A("a") "," A("b") "," A("a") "," A("a") "]",
                 ERROR "/2/id: API \"a\": id is that of /0 already\n" ERROR
                       "/3/id: API \"a\": id is that of /0 already\n",
                 2);
}

static void what_is_never_used_is_warned_of(void **state)
{
    (void)state;
    assert_int_equal(
        read_text("[{\"id\":\"a\",\"name\":\"n\"," PROXY "," VERSION ",\"active\":false},{\"id\":"
                  "\"b\",\"name\":\"n\"," PROXY "," VERSION ",\"versioned\":true},{\"id\":\"c\","
                  "\"name\":\"n\"," PROXY ",\"version_data\":{\"default\":{\"endpoints\":[{\"id\":"
                  "\"e\",\"method\":\"GET,POST\",\"path_regex\":\"/x\"}]}}}]"),
        0);
    assert_int_equal(apis_n, 3);
    assert_string_equal(warnings.p,
                        "PROXY_CONFIG_FILE: /0: API \"a\" is never used: it is not active\n"
                        "PROXY_CONFIG_FILE: /1: API \"b\" is never used: it is versioned\n"
                        "PROXY_CONFIG_FILE: /2: API \"c\", endpoint \"e\" is never used: its "
                        "method is none of HTTP\n");
}

static void very_many_faults_end_with_their_number(void **state)
{
    struct rg_buf text = {0};

    (void)state;
    rg_buf_add_c(&text, "[{" NAMED "," PROXY ",\"version_data\":{\"default\":{\"endpoints\":[1");
    for (int i = 1; i < RG_FAULTS_MAX + 7; i++)
        rg_buf_add_c(&text, ",1");
    rg_buf_add_c(&text, "]}}}]");
    rg_buf_add_char(&text, '\0');
    assert_int_equal(read_text(text.p), RG_EINVAL);
    assert_int_equal(problems.n, RG_FAULTS_MAX + 1);
    assert_non_null(strstr(problems.lines.p, ERROR "and 7 more\n"));
    rg_buf_done(&text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(a_list_of_definitions_is_read_in_its_order, teardown),
        cmocka_unit_test_teardown(a_list_may_be_empty, teardown),
        cmocka_unit_test_teardown(the_routes_of_2017_are_known_by_their_shape, teardown),
        cmocka_unit_test_teardown(a_list_of_both_kinds_is_refused, teardown),
        cmocka_unit_test_teardown(what_is_no_list_is_refused, teardown),
        cmocka_unit_test_teardown(every_fault_is_a_line_with_pointer_ids_and_field, teardown),
        cmocka_unit_test_teardown(an_id_stands_once, teardown),
        cmocka_unit_test_teardown(what_is_never_used_is_warned_of, teardown),
        cmocka_unit_test_teardown(very_many_faults_end_with_their_number, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
