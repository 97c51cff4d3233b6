#include "definitions.h"
#include "proxy/apis_priv.h"

#define A(id) "{\"id\":\"" id "\",\"name\":\"n\"," PROXY "," VERSION "}"

static struct rg_apis apis;
static struct rg_apis_answer answer;

static int setup(void **state)
{
    (void)state;
    rg_rcu_thread_start();
    apis = (struct rg_apis){rg_catalogue_new(NULL, 0), "rig@127.0.0.1", definition_env};
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    rg_apis_answer_done(&answer);
    rg_catalogue_free(&apis.catalogue);
    rg_rcu_thread_stop();
    return 0;
}

static const char *body(void)
{
    return answer.body.p;
}

static void ask(enum rg_method method, const char *id, const char *text, bool takes_problems)
{
    struct rg_apis_question question = {method, rg_str_c(id), text != NULL, takes_problems,
                                        rg_str_c(text)};

    rg_apis_answer_done(&answer);
    answer = (struct rg_apis_answer){0};
    rg_apis_answer(&apis, &question, &answer);
    rg_buf_add_char(&answer.body, '\0');
    rg_buf_add_char(&answer.pointers, '\0');
}

static void expect(enum rg_method method, const char *id, const char *text, int status,
                   const char *json)
{
    ask(method, id, text, false);
    assert_int_equal(answer.status, status);
    assert_string_equal(body(), json);
}

static void expect_shown(const char *id, const char *part)
{
    ask(RG_GET, id, NULL, false);
    assert_int_equal(answer.status, 200);
    if (strstr(body(), part) == NULL)
        fail_msg("%s is not in %s", part, body());
}

static void a_definition_is_shown_with_what_is_kept_beside_it(void **state)
{
    (void)state;
    expect(RG_GET, "", NULL, 200, "[]");
    expect(RG_POST, "", A("a"), 201, "{\"message\":\"ok\"}");
    ask(RG_GET, "a", NULL, false);
    const char *beginning =
        "{\"id\":\"a\",\"name\":\"n\"," PROXY "," VERSION ",\"auth_type\":\"none\",\"versioned\":"
        "false,\"auth\":{\"use_header\":false,\"header_name\":\"\",\"use_query\":false,"
        "\"query_name\":\"\"},\"active\":true,\"ref_number\":0,\"timestamp\":\"";
    assert_memory_equal(body(), beginning, strlen(beginning));
    assert_string_equal(body() + strlen(beginning) + 27, "\",\"node_name\":\"rig@127.0.0.1\"}");
    expect(RG_POST, "", A("0"), 201, "{\"message\":\"ok\"}");
    ask(RG_GET, "", NULL, false);
    assert_memory_equal(body(), "[{\"id\":\"0\",", 11);
    assert_non_null(strstr(body(), "\"},{\"id\":\"a\","));
}

static void what_is_not_there_is_404_in_rigs_words(void **state)
{
    static const char json[] = "{\"message\":\"API with id=z\\\"z doesn't exists.\"}";

    (void)state;
    expect(RG_GET, "z\"z", NULL, 404, json);
    expect(RG_DELETE, "z\"z", NULL, 404, json);
    expect(RG_PUT, "z\"z", A("a"), 404, json);
}

static void a_second_post_is_409_and_changes_nothing(void **state)
{
    (void)state;
    ask(RG_POST, "", A("a"), false);
    expect(RG_POST, "", "{\"id\":\"a\",\"name\":\"m\"," PROXY "," VERSION "}", 409,
           "{\"message\":\"API with id=a already exists.\"}");
    expect_shown("a", "\"name\":\"n\"");
    expect_shown("a", "\"ref_number\":0");
    /* What is wrong is told first. */
    ask(RG_POST, "", "{\"id\":\"a\"}", false);
    assert_int_equal(answer.status, 400);
}

static void put_replaces_what_it_names_and_keeps_the_rest(void **state)
{
    (void)state;
    ask(RG_POST, "",
        "{\"id\":\"a\",\"name\":\"n\"," PROXY "," VERSION ",\"auth_type\":\"jwt\",\"x\":{\"p\":1,"
        "\"q\":2},\"y\":3}",
        false);
    expect(RG_PUT, "a", "{\"id\":\"other\",\"name\":\"m\"," PROXY "," VERSION ",\"x\":{\"p\":5}}",
           200, "{\"message\":\"ok\"}");
    expect_shown("a", "{\"id\":\"a\",\"name\":\"m\",");
    expect_shown("a", "\"auth_type\":\"jwt\"");
    /* Whole members: nothing is merged below the top. */
    expect_shown("a", "\"x\":{\"p\":5}");
    expect_shown("a", "\"y\":3");
    expect_shown("a", "\"ref_number\":1");
    expect(RG_GET, "other", NULL, 404, "{\"message\":\"API with id=other doesn't exists.\"}");
    /* As it is given: defaults are for new ones. */
    ask(RG_PUT, "a", "{\"name\":\"m\"," PROXY "," VERSION ",\"auth\":{\"use_query\":false}}",
        false);
    expect_shown("a", "\"auth\":{\"use_query\":false}");
}

static void put_may_leave_auth_that_does_not_fit_any_more(void **state)
{
    (void)state;
    ask(RG_POST, "", "{\"id\":\"a\",\"name\":\"n\"," PROXY "," VERSION ",\"auth_type\":\"jwt\"}",
        false);
    expect(RG_PUT, "a", "{\"name\":\"n\"," PROXY "," VERSION ",\"auth_type\":\"none\"}", 200,
           "{\"message\":\"ok\"}");
    expect_shown("a", "\"auth_type\":\"none\"");
    expect_shown("a", "\"use_header\":true");
    struct rg_api *api = rg_catalogue_get(apis.catalogue, RG_STR("a"));
    assert_false(api->checks_tokens || api->use_header);
    rg_api_unref(&api);
}

static void put_is_complete_by_itself(void **state)
{
    (void)state;
    static const char json[] =
        "{\"api\":[{\"name\":\"must be string\"},{\"name\":\"must have a length of at least 1\"},"
        "{\"proxy\":\"must be present\"},{\"version_data\":\"must be present\"}]}";
    expect(RG_PUT, "zzz", "{}", 400, json);
    ask(RG_POST, "", A("a"), false);
    expect(RG_PUT, "a", "", 400, json);
    expect_shown("a", "\"ref_number\":0");
}

static void put_can_deactivate(void **state)
{
    (void)state;
    ask(RG_POST, "", A("a"), false);
    expect(RG_PUT, "a", "{\"name\":\"n\"," PROXY "," VERSION ",\"active\":false}", 200,
           "{\"message\":\"ok\"}");
    expect(RG_GET, "a", NULL, 404, "{\"message\":\"API with id=a doesn't exists.\"}");
    expect(RG_PUT, "a", A("a"), 404, "{\"message\":\"API with id=a doesn't exists.\"}");
    expect(RG_POST, "", A("a"), 201, "{\"message\":\"ok\"}");
    expect_shown("a", "\"active\":true,\"ref_number\":2");
}

static void what_is_deleted_is_gone_but_its_number_is_not(void **state)
{
    (void)state;
    ask(RG_POST, "", A("a"), false);
    expect(RG_DELETE, "a", NULL, 204, "");
    expect(RG_DELETE, "a", NULL, 404, "{\"message\":\"API with id=a doesn't exists.\"}");
    expect(RG_GET, "", NULL, 200, "[]");
    ask(RG_POST, "", A("a"), false);
    expect_shown("a", "\"ref_number\":2");
}

static void what_clients_say_of_numbers_is_ignored(void **state)
{
    (void)state;
    ask(RG_POST, "",
        "{\"id\":\"a\",\"name\":\"n\"," PROXY "," VERSION
        ",\"ref_number\":9,\"timestamp\":\"x\",\"node_name\":\"y\",\"phx_ref\":\"z\"}",
        false);
    expect_shown("a", "\"ref_number\":0,");
    assert_null(strstr(body(), "\"y\""));
    assert_null(strstr(body(), "phx_ref"));
    ask(RG_PUT, "a", "{\"name\":\"n\"," PROXY "," VERSION ",\"ref_number\":9}", false);
    expect_shown("a", "\"ref_number\":1,");
}

static void a_body_that_is_no_object_is_a_bad_request(void **state)
{
    static const char *const bodies[] = {
        "{", "[]", "5", "null", "{\"a\":1,\"a\":2}", "{} x", "{\"id\":\"\\u0000\"}", "\xff"};

    (void)state;
    for (size_t i = 0; i < RG_COUNT_OF(bodies); i++) {
        expect(RG_POST, "", bodies[i], 400, "{\"errors\":{\"detail\":\"Bad request\"}}");
        expect(RG_PUT, "a", bodies[i], 400, "{\"errors\":{\"detail\":\"Bad request\"}}");
    }
}

static void without_a_type_there_is_no_body(void **state)
{
    struct rg_apis_question question = {RG_POST, RG_STR(""), false, false, RG_STR(A("a"))};

    (void)state;
    rg_apis_answer(&apis, &question, &answer);
    assert_int_equal(answer.status, 400);
    assert_true(rg_str_starts_with(rg_buf_str(&answer.body),
                                   RG_STR("{\"api\":[{\"id\":\"must be string\"},")));
}

static void faults_are_told_by_pointer_as_well(void **state)
{
    (void)state;
    ask(RG_POST, "", "{\"id\":\"a\",\"name\":\"n\"," PROXY ",\"version_data\":{\"default\":{}}}",
        false);
    assert_false(answer.is_problem);
    assert_string_equal(body(), "{\"api\":[{\"endpoints\":\"must be list\"}]}");
    assert_string_equal(answer.pointers.p, "/version_data/default/endpoints");
    ask(RG_POST, "", "{\"id\":\"a\",\"name\":\"n\"," PROXY ",\"version_data\":{\"default\":{}}}",
        true);
    assert_true(answer.is_problem);
    assert_int_equal(answer.status, 400);
    assert_non_null(strstr(body(), "\"errors\":[{\"detail\":\"endpoints must be list\",\"pointer\":"
                                   "\"#/version_data/default/endpoints\""));
    assert_string_equal(answer.pointers.p, "/version_data/default/endpoints");
    /* Only what is wrong with a definition is. */
    ask(RG_GET, "a", NULL, true);
    assert_false(answer.is_problem);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(a_definition_is_shown_with_what_is_kept_beside_it),
        TEST(what_is_not_there_is_404_in_rigs_words),
        TEST(a_second_post_is_409_and_changes_nothing),
        TEST(put_replaces_what_it_names_and_keeps_the_rest),
        TEST(put_may_leave_auth_that_does_not_fit_any_more),
        TEST(put_is_complete_by_itself),
        TEST(put_can_deactivate),
        TEST(what_is_deleted_is_gone_but_its_number_is_not),
        TEST(what_clients_say_of_numbers_is_ignored),
        TEST(a_body_that_is_no_object_is_a_bad_request),
        TEST(without_a_type_there_is_no_body),
        TEST(faults_are_told_by_pointer_as_well),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
