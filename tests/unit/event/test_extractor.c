#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "event/extractor.h"

#define SETTINGS(index, pointer)                                                                   \
    "{\"stable_field_index\":" #index ",\"event\":{\"json_pointer\":\"" pointer "\"}}"

static struct rg_extractors *build(const char *json)
{
    struct rg_problems problems = {0};
    struct rg_extractors *x = rg_extractors_new(rg_str_c(json), &problems);
    assert_int_equal(problems.n, 0);
    assert_non_null(x);
    rg_problems_done(&problems);
    return x;
}

/* Exactly n problems, and all the given texts among them. */
static void refuse(const char *json, size_t n, const char *const *texts)
{
    struct rg_problems problems = {0};

    assert_null(rg_extractors_new(rg_str_c(json), &problems));
    rg_buf_add_char(&problems.lines, '\0');
    if (problems.n != n)
        fail_msg("%zu problems instead of %zu:\n%s", problems.n, n, problems.lines.p);
    for (; *texts != NULL; texts++) {
        if (strstr(problems.lines.p, *texts) == NULL)
            fail_msg("not found: %s\nin: %s", *texts, problems.lines.p);
    }
    rg_problems_done(&problems);
}
#define REFUSE(json, n, ...) refuse(json, n, (const char *const[]){__VA_ARGS__, NULL})

static void fields_are_ordered_by_their_index(void **state)
{
    (void)state;
    RG_CLEANUP(rg_extractors_free)
    struct rg_extractors *x = build("{\"chat.posted\":{\"room\":" SETTINGS(
        7, "/data/room") ",\"author\":"
                         "{\"stable_field_index\":1,\"event\":{\"json_pointer\":\"/data/author\"},"
                         "\"jwt\":{\"json_pointer\":\"/username\"}}},\"other\":{}}");
    const struct rg_extractor_type *type = rg_extractors_find(x, RG_STR("chat.posted"));

    assert_int_equal(rg_extractors_count(x), 2);
    assert_ptr_equal(type, rg_extractors_at(x, 0));
    assert_string_equal(type->name, "chat.posted");
    assert_int_equal(type->fields_n, 2);
    assert_string_equal(type->fields[0].name, "author");
    assert_string_equal(type->fields[0].jwt_pointer, "/username");
    assert_int_equal(type->fields[0].stable_index, 1);
    assert_string_equal(type->fields[1].name, "room");
    assert_null(type->fields[1].jwt_pointer);
    assert_int_equal(rg_extractors_find(x, RG_STR("other"))->fields_n, 0);
}

static void types_are_found_by_their_exact_name(void **state)
{
    (void)state;
    RG_CLEANUP(rg_buf_done) struct rg_buf json = {0};
    char name[64];

    rg_buf_add_char(&json, '{');
    for (int i = 0; i < 200; i++)
        rg_buf_addf(&json, "%s\"com.example.%03d.same.tail\":{}", i > 0 ? "," : "", i);
    rg_buf_add_c(&json, "}");
    rg_buf_add_char(&json, '\0');
    RG_CLEANUP(rg_extractors_free) struct rg_extractors *x = build(json.p);
    for (int i = 0; i < 400; i++) {
        snprintf(name, sizeof(name), "com.example.%03d.same.tail", i);
        const struct rg_extractor_type *type = rg_extractors_find(x, rg_str_c(name));
        assert_int_equal(type != NULL, i < 200);
        if (type != NULL)
            assert_string_equal(type->name, name);
    }
    assert_null(rg_extractors_find(x, RG_STR("")));
    assert_null(rg_extractors_find(x, RG_STR("com.example.000.same.tai")));
    assert_null(rg_extractors_find(x, RG_STR("COM.example.000.same.tail")));
}

static void one_projection_yields_the_envelope_and_all_fields(void **state)
{
    (void)state;
    RG_CLEANUP(rg_extractors_free)
    struct rg_extractors *x = build("{\"a\":{\"f\":" SETTINGS(0, "/data/x") ",\"t\":" SETTINGS(
        1, "/type") "},"
                    "\"b\":{\"g\":" SETTINGS(0, "/data/x") "}}");
    const struct rg_extractor_type *a = rg_extractors_find(x, RG_STR("a"));
    const struct rg_extractor_type *b = rg_extractors_find(x, RG_STR("b"));

    assert_int_equal(a->fields[0].slot, RG_SLOT_ENVELOPE_COUNT);
    assert_int_equal(a->fields[1].slot, RG_SLOT_TYPE);
    assert_int_equal(b->fields[0].slot, a->fields[0].slot);
    assert_int_equal(rg_projection_slots(rg_extractors_projection(x)), RG_SLOT_ENVELOPE_COUNT + 1);
}

static void without_a_configuration_there_are_no_types(void **state)
{
    (void)state;
    RG_CLEANUP(rg_extractors_free) struct rg_extractors *x = build(NULL);
    assert_int_equal(rg_extractors_count(x), 0);
    assert_null(rg_extractors_find(x, RG_STR("a")));
    assert_int_equal(rg_projection_slots(rg_extractors_projection(x)), RG_SLOT_ENVELOPE_COUNT);
    RG_CLEANUP(rg_extractors_free) struct rg_extractors *empty = build("{}");
    assert_int_equal(rg_extractors_count(empty), 0);
}

static void what_is_not_an_object_of_types_is_refused_with_its_place(void **state)
{
    (void)state;
    REFUSE("{\"a\":\n  {]}", 1, "configuration error: EXTRACTORS: not JSON: line 2 column 4");
    REFUSE("", 1, "EXTRACTORS: not JSON: line 1");
    REFUSE("{\"a\":{},\"a\":{}}", 1, "duplicate");
    REFUSE("[]", 1, "must be a JSON object of event types");
    REFUSE("7", 1, "must be a JSON object of event types");
    REFUSE("{} {}", 1, "not JSON: line 1 column 4");
}

static void every_problem_is_reported_with_type_and_field(void **state)
{
    (void)state;
    REFUSE(
        "{\"a\":[],\"b\":{\"f\":1,\"g\":{}},"
        "\"c\":{\"h\":" SETTINGS(0, "data") ",\"i\":" SETTINGS(1, "#/data") "}}",
        6, "event type \"a\": must be an object of fields",
        "event type \"b\", field \"f\": must be an object",
        "event type \"b\", field \"g\": stable_field_index is missing",
        "event type \"b\", field \"g\": event.json_pointer is missing",
        "event type \"c\", field \"h\": event.json_pointer must begin with '/' (got \"data\")",
        "event type \"c\", field \"i\": event.json_pointer must begin with '/' (got \"#/data\")");
}

static void pointers_must_be_pointers(void **state)
{
    (void)state;
#define WITH_EVENT(event) "{\"a\":{\"f\":{\"stable_field_index\":0,\"event\":" event "}}}"
    REFUSE(WITH_EVENT("{}"), 1, "event.json_pointer is missing");
    REFUSE(WITH_EVENT("\"/a\""), 1, "event must be an object");
    REFUSE(WITH_EVENT("null"), 1, "event must be an object");
    REFUSE(WITH_EVENT("{\"json_pointer\":5}"), 1, "event.json_pointer must be a string");
    REFUSE(WITH_EVENT("{\"json_pointer\":\"\"}"), 1, "event.json_pointer must not be empty");
    REFUSE(WITH_EVENT("{\"json_pointer\":\"/a~2\"}"), 1, "'~'", "(got \"/a~2\")");
#define WITH_JWT(jwt)                                                                              \
    "{\"a\":{\"f\":{\"stable_field_index\":0,\"event\":{\"json_pointer\":\"/a\"},\"jwt\":" jwt "}}}"
    REFUSE(WITH_JWT("{}"), 1, "field \"f\": jwt.json_pointer is missing");
    REFUSE(WITH_JWT("[]"), 1, "jwt must be an object");
    REFUSE(WITH_JWT("{\"json_pointer\":true}"), 1, "jwt.json_pointer must be a string");
    REFUSE(WITH_JWT("{\"json_pointer\":\"\"}"), 1, "jwt.json_pointer must not be empty");
    REFUSE(WITH_JWT("{\"json_pointer\":\"sub\"}"), 1, "jwt.json_pointer must begin with '/'");
    REFUSE(WITH_JWT("{\"json_pointer\":\"/~\"}"), 1, "jwt.json_pointer has a '~'");
}

static void indices_must_be_unique_and_not_negative(void **state)
{
    (void)state;
    REFUSE("{\"a\":{\"f\":" SETTINGS(-1, "/a") "}}", 1, "must be an integer from 0 on");
    REFUSE("{\"a\":{\"f\":" SETTINGS(1.0, "/a") "}}", 1, "must be an integer from 0 on");
    REFUSE("{\"a\":{\"f\":" SETTINGS("1", "/a") "}}", 1, "must be an integer from 0 on");
    REFUSE("{\"a\":{\"f\":" SETTINGS(null, "/a") "}}", 1, "must be an integer from 0 on");
    REFUSE("{\"a\":{\"f\":" SETTINGS(3, "/a") ",\"g\":" SETTINGS(3, "/b") "}}", 1,
           "event type \"a\", field \"g\": stable_field_index 3 is also that of field \"f\"");
    /* Another type has indices of its own. */
    RG_CLEANUP(rg_extractors_free)
    struct rg_extractors *x =
        build("{\"a\":{\"f\":" SETTINGS(3, "/a") "},\"b\":{\"f\":" SETTINGS(3, "/b") "}}");
    assert_int_equal(rg_extractors_count(x), 2);
}

static void names_must_not_be_empty(void **state)
{
    (void)state;
    REFUSE("{\"\":{}}", 1, "event type \"\": the name of the event type must not be empty");
    REFUSE("{\"a\":{\"\":" SETTINGS(0, "/a") "}}", 1, "the name of the field must not be empty");
    REFUSE("{\"a\\nb\":7}", 1, "event type \"a\\nb\"");
}

static void add_fields(struct rg_buf *json, int n)
{
    rg_buf_clear(json);
    rg_buf_add_c(json, "{\"a\":{");
    for (int i = 0; i < n; i++)
        rg_buf_addf(json,
                    "%s\"f%d\":{\"stable_field_index\":%d,\"event\":{\"json_pointer\":\"/%d\"}}",
                    i > 0 ? "," : "", i, n - i, i);
    rg_buf_add_c(json, "}}");
    rg_buf_add_char(json, '\0');
}

static void a_type_has_at_most_64_fields(void **state)
{
    (void)state;
    RG_CLEANUP(rg_buf_done) struct rg_buf json = {0};

    add_fields(&json, RG_MAX_FIELDS);
    RG_CLEANUP(rg_extractors_free) struct rg_extractors *x = build(json.p);
    const struct rg_extractor_type *type = rg_extractors_at(x, 0);
    assert_int_equal(type->fields_n, RG_MAX_FIELDS);
    for (size_t i = 1; i < type->fields_n; i++)
        assert_true(type->fields[i - 1].stable_index < type->fields[i].stable_index);
    add_fields(&json, RG_MAX_FIELDS + 6);
    REFUSE(json.p, 1, "event type \"a\": has 70 fields, at most 64 are possible");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fields_are_ordered_by_their_index),
        cmocka_unit_test(types_are_found_by_their_exact_name),
        cmocka_unit_test(one_projection_yields_the_envelope_and_all_fields),
        cmocka_unit_test(without_a_configuration_there_are_no_types),
        cmocka_unit_test(what_is_not_an_object_of_types_is_refused_with_its_place),
        cmocka_unit_test(every_problem_is_reported_with_type_and_field),
        cmocka_unit_test(pointers_must_be_pointers),
        cmocka_unit_test(indices_must_be_unique_and_not_negative),
        cmocka_unit_test(names_must_not_be_empty),
        cmocka_unit_test(a_type_has_at_most_64_fields),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
