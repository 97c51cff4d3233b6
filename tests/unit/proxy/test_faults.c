#include "definitions.h"
#include "proxy/faults.h"

static struct rg_faults faults;
static struct rg_buf out;

static int teardown(void **state)
{
    (void)state;
    rg_faults_done(&faults);
    rg_buf_done(&out);
    return 0;
}

static const char *text(void)
{
    rg_buf_add_char(&out, '\0');
    return out.p;
}

static void faults_are_grouped_by_key_in_the_order_found(void **state)
{
    (void)state;
    rg_faults_add(&faults, "api", "name", "/name", "must be string");
    rg_faults_add(&faults, "o/p", "topic", "/x/0/topic", "must be %s", "present");
    rg_faults_add(&faults, "api", "name", "/name", "must have a length of at least %d", 1);
    rg_faults_add_json(&faults, &out);
    assert_string_equal(text(), "{\"api\":[{\"name\":\"must be string\"},{\"name\":\"must have a "
                                "length of at least 1\"}],\"o/p\":[{\"topic\":\"must be "
                                "present\"}]}");
}

static void no_faults_are_an_empty_object(void **state)
{
    (void)state;
    rg_faults_add_json(&faults, &out);
    assert_string_equal(text(), "{}");
}

static void keys_and_fields_are_escaped(void **state)
{
    (void)state;
    rg_faults_add(&faults, "a\"b", "x\ny", "/x\ny", "must be one of [\"jwt\"]");
    rg_faults_add_json(&faults, &out);
    assert_string_equal(text(), "{\"a\\\"b\":[{\"x\\ny\":\"must be one of [\\\"jwt\\\"]\"}]}");
}

static void a_problem_has_pointers_as_fragments(void **state)
{
    (void)state;
    rg_faults_add(&faults, "q/e", "path_regex", "/a b/%/\"/~1\xc3\xa9", "must be valid");
    rg_faults_explain(&faults, "missing )");
    rg_faults_add_problem(&faults, &out);
    assert_string_equal(
        text(), "{\"type\":\"about:blank\",\"title\":\"Bad Request\",\"status\":400,"
                "\"detail\":\"the definition has 1 fault\",\"errors\":[{\"detail\":\"path_regex "
                "must be valid: missing )\",\"pointer\":\"#/a%20b/%25/%22/~1%C3%A9\",\"key\":"
                "\"q/e\",\"field\":\"path_regex\"}]}");
}

static void a_reason_is_not_part_of_the_message(void **state)
{
    (void)state;
    rg_faults_explain(&faults, "of nothing");
    rg_faults_add(&faults, "k", "f", "/f", "must be valid");
    rg_faults_explain(&faults, "first");
    rg_faults_explain(&faults, "missing )");
    rg_faults_explain(&faults, "");
    rg_faults_add_json(&faults, &out);
    assert_string_equal(text(), "{\"k\":[{\"f\":\"must be valid\"}]}");
    rg_buf_clear(&out);
    rg_fault_add_text(&faults.list[0], &out);
    assert_string_equal(text(), "must be valid: missing )");
}

static void pointers_are_told_once_and_within_a_limit(void **state)
{
    (void)state;
    rg_faults_add(&faults, "api", "name", "/name", "1");
    rg_faults_add(&faults, "api", "name", "/name", "2");
    rg_faults_add(&faults, "api", "x", "/a,b", "3");
    rg_faults_add(&faults, "api", "x", "/proxy", "4");
    rg_faults_add_pointers(&faults, 1024, &out);
    assert_string_equal(text(), "/name,/a%2Cb,/proxy");
    rg_buf_clear(&out);
    rg_faults_add_pointers(&faults, 18, &out);
    assert_string_equal(text(), "/name,/a%2Cb");
}

static void too_many_faults_are_counted_but_not_kept(void **state)
{
    (void)state;
    for (int i = 0; i < RG_FAULTS_MAX + 5; i++)
        rg_faults_add(&faults, "api", "name", "/name", "must be string");
    assert_int_equal(faults.n, RG_FAULTS_MAX);
    assert_int_equal(faults.untold, 5);
    assert_int_equal(rg_faults_count(&faults), RG_FAULTS_MAX + 5);
    /* The last one that is kept is not the last one that was found. */
    rg_faults_explain(&faults, "reason");
    assert_null(faults.list[RG_FAULTS_MAX - 1].reason);
    rg_faults_add_problem(&faults, &out);
    assert_non_null(strstr(text(), "the definition has 1005 faults"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(faults_are_grouped_by_key_in_the_order_found, teardown),
        cmocka_unit_test_teardown(no_faults_are_an_empty_object, teardown),
        cmocka_unit_test_teardown(keys_and_fields_are_escaped, teardown),
        cmocka_unit_test_teardown(a_problem_has_pointers_as_fragments, teardown),
        cmocka_unit_test_teardown(a_reason_is_not_part_of_the_message, teardown),
        cmocka_unit_test_teardown(pointers_are_told_once_and_within_a_limit, teardown),
        cmocka_unit_test_teardown(too_many_faults_are_counted_but_not_kept, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
