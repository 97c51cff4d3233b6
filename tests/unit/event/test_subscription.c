#include "fixture.h"

#include <stdio.h>

#include "base/alloc.h"

static struct rg_extractors *extractors;

static int parse(const char *json, bool is_object_ok, size_t max, struct rg_subscription_set **ret,
                 struct rg_why *why)
{
    return rg_subscription_parse(extractors, rg_str_c(json), is_object_ok, max, ret, why);
}

/* Whether two subscription lists ask for the same. */
static bool is_same(const char *a, const char *b)
{
    RG_CLEANUP(rg_subscription_set_free)
    struct rg_subscription_set *x = fixture_set(extractors, a);
    RG_CLEANUP(rg_subscription_set_free)
    struct rg_subscription_set *y = fixture_set(extractors, b);

    if (x->keys_n != y->keys_n)
        return false;
    return x->keys_n == 0 || memcmp(x->keys, y->keys, x->keys_n * sizeof(x->keys[0])) == 0;
}

static size_t count_keys(const char *json)
{
    RG_CLEANUP(rg_subscription_set_free)
    struct rg_subscription_set *set = fixture_set(extractors, json);
    return set->keys_n;
}

static void expect_echo(const char *json, const char *echo)
{
    RG_CLEANUP(rg_subscription_set_free)
    struct rg_subscription_set *set = fixture_set(extractors, json);

    assert_int_equal(set->echo.n, strlen(echo));
    assert_memory_equal(set->echo.p, echo, set->echo.n);
}

static void key_carries_its_type_and_field_set(void **state)
{
    RG_CLEANUP(rg_subscription_set_free)
    struct rg_subscription_set *set = fixture_set(
        extractors, "[{\"eventType\":\"chat.posted\",\"oneOf\":[{\"size\":1,\"room\":\"b\"}]}]");

    (void)state;
    assert_int_equal(set->keys_n, 1);
    assert_int_equal(set->keys[0].fields, 5);
    assert_true(rg_match_key_eq(set->keys[0].type, rg_match_key_of_type(RG_STR("chat.posted"))));
    assert_int_equal(set->subscriptions_n, 1);
}

static void no_constraint_asks_for_the_whole_type(void **state)
{
    static const char *const same[] = {
        "[{\"eventType\":\"chat.posted\",\"oneOf\":[]}]",
        "[{\"eventType\":\"chat.posted\",\"oneOf\":[{}]}]",
        "[{\"eventType\":\"chat.posted\",\"oneOf\":[{\"room\":null}]}]",
        "[{\"eventType\":\"chat.posted\",\"oneOf\":[{\"unknown\":\"x\"}]}]",
        "[{\"eventType\":\"chat.posted\",\"oneOf\":[{\"unknown\":[1]}]}]",
        "[{\"eventType\":\"chat.posted\",\"additional\":5}]",
        "[{\"eventType\":\"chat.posted\"},{\"eventType\":\"chat.posted\"}]",
    };

    (void)state;
    for (size_t i = 0; i < RG_COUNT_OF(same); i++) {
        if (!is_same(same[i], "[{\"eventType\":\"chat.posted\"}]"))
            fail_msg("%s", same[i]);
    }
}

static void type_without_extractors_ignores_constraints(void **state)
{
    (void)state;
    assert_true(is_same("[{\"eventType\":\"other\",\"oneOf\":[{\"room\":\"a\"}]}]",
                        "[{\"eventType\":\"other\"}]"));
}

static void aliases_have_an_order(void **state)
{
    (void)state;
    assert_true(is_same("[{\"eventType\":\"a\",\"event_type\":\"b\"}]", "[{\"eventType\":\"b\"}]"));
    expect_echo("[{\"eventType\":\"a\",\"oneOf\":[{\"x\":1}],\"one_of\":[{\"x\":2}],"
                "\"constraints\":[{\"x\":3}]}]",
                "[{\"eventType\":\"a\",\"oneOf\":[{\"x\":3}]}]");
    expect_echo("[{\"eventType\":\"a\",\"oneOf\":[{\"x\":1}],\"one_of\":[{\"x\":2}]}]",
                "[{\"eventType\":\"a\",\"oneOf\":[{\"x\":2}]}]");
}

static void first_of_duplicate_names_counts(void **state)
{
    (void)state;
    assert_true(is_same(
        "[{\"eventType\":\"chat.posted\",\"oneOf\":[{\"room\":\"a\",\"r\\u006fom\":\"b\"}]}]",
        "[{\"eventType\":\"chat.posted\",\"oneOf\":[{\"room\":\"a\"}]}]"));
    assert_true(
        is_same("[{\"eventType\":\"chat.posted\",\"oneOf\":[{\"room\":null,\"room\":\"b\"}]}]",
                "[{\"eventType\":\"chat.posted\"}]"));
    assert_int_equal(
        count_keys("[{\"eventType\":\"chat.posted\",\"oneOf\":[{\"room\":[],\"room\":\"b\"}]}]"),
        0);
}

static void order_of_fields_does_not_matter(void **state)
{
    (void)state;
    assert_true(is_same("[{\"eventType\":\"chat.posted\","
                        "\"oneOf\":[{\"room\":\"a\",\"size\":1,\"urgent\":false}]}]",
                        "[{\"eventType\":\"chat.posted\","
                        "\"oneOf\":[{\"urgent\":false,\"size\":1.0,\"room\":\"a\"}]}]"));
}

static void impossible_constraint_has_no_key(void **state)
{
    (void)state;
    assert_int_equal(
        count_keys("[{\"eventType\":\"chat.posted\",\"oneOf\":[{\"room\":[\"blue\"]}]}]"), 0);
    assert_int_equal(
        count_keys("[{\"eventType\":\"chat.posted\",\"oneOf\":[{\"size\":1,\"room\":{}}]}]"), 0);
    assert_true(
        is_same("[{\"eventType\":\"chat.posted\",\"oneOf\":[{\"room\":[]},{\"author\":\"ada\"}]}]",
                "[{\"eventType\":\"chat.posted\",\"oneOf\":[{\"author\":\"ada\"}]}]"));
}

static void duplicates_are_one_key(void **state)
{
    RG_CLEANUP(rg_subscription_set_free)
    struct rg_subscription_set *set = fixture_set(
        extractors, "[{\"eventType\":\"chat.posted\",\"oneOf\":[{\"size\":1},{\"size\":1.0},"
                    "{\"size\":2}]},{\"eventType\":\"chat.posted\",\"oneOf\":[{\"size\":10e-1}]}]");

    (void)state;
    assert_int_equal(set->keys_n, 2);
    assert_int_equal(set->subscriptions_n, 2);
}

static void echo_is_as_given_and_in_order(void **state)
{
    (void)state;
    expect_echo("[]", "[]");
    expect_echo(
        "[{\"eventType\":\"b\"},{\"event_type\":\"a.b\",\"one_of\":[{\"x\":1}]}]",
        "[{\"eventType\":\"b\",\"oneOf\":[]},{\"eventType\":\"a.b\",\"oneOf\":[{\"x\":1}]}]");
    expect_echo(
        " [ { \"eventType\" : \"\\u0062\\u0022\" , \"oneOf\" : [ {\"x\": null } ] , \"z\":0 } ] ",
        "[{\"eventType\":\"b\\\"\",\"oneOf\":[ {\"x\": null } ]}]");
}

static void wrong_subscriptions_are_refused_with_place_and_reason(void **state)
{
    static const struct {
        const char *json, *place, *text;
    } cases[] = {
        {"[{\"eventType\":\"\"}]", "/0/eventType", "event-type empty"},
        {"[{\"eventType\":5}]", "/0/eventType", "event-type not found"},
        {"[{\"eventType\":null}]", "/0/eventType", "event-type not found"},
        {"[{\"eventType\":\"a\",\"event_type\":\"\"}]", "/0/event_type", "event-type empty"},
        {"[{}]", "/0", "event-type not found"},
        {"[1]", "/0", "a subscription expected"},
        {"[{\"eventType\":\"a\"},[]]", "/1", "a subscription expected"},
        {"[{\"eventType\":\"a\",\"oneOf\":{}}]", "/0/oneOf",
         "constraints expected to be a list of disjunctive clauses"},
        {"[{\"eventType\":\"a\",\"oneOf\":null}]", "/0/oneOf",
         "constraints expected to be a list of disjunctive clauses"},
        {"[{\"eventType\":\"a\",\"oneOf\":[],\"constraints\":1}]", "/0/constraints",
         "constraints expected to be a list of disjunctive clauses"},
        {"[{\"eventType\":\"a\",\"oneOf\":[1]}]", "/0/oneOf/0",
         "a disjunctive clause expected to be a conjunction represented by a map"},
        {"[{\"eventType\":\"a\",\"one_of\":[{},[]]}]", "/0/one_of/1",
         "a disjunctive clause expected to be a conjunction represented by a map"},
        {"[{\"eventType\":\"a\",\"oneOf\":[{\"\":1}]}]", "/0/oneOf/0/", "a field name"},
        {"[{\"eventType\":\"chat.posted\",\"oneOf\":[{\"room\":[],\"\":1}]}]", "/0/oneOf/0/",
         "a field name"},
        {"{\"subscriptions\":[]}", "", "subscriptions expected to be a list"},
        {"5", "", "subscriptions expected to be a list"},
    };

    (void)state;
    for (size_t i = 0; i < RG_COUNT_OF(cases); i++) {
        struct rg_subscription_set *set = NULL;
        struct rg_why why = {0};

        if (parse(cases[i].json, false, 10, &set, &why) != RG_EINVAL || set != NULL)
            fail_msg("accepted: %s", cases[i].json);
        assert_string_equal(why.place, cases[i].place);
        assert_true(rg_str_starts_with(rg_str_c(why.text), rg_str_c(cases[i].text)));
    }
}

static void text_that_is_not_json_is_a_syntax_error(void **state)
{
    static const char *const texts[] = {"can't { be", "", "[", "[]]", "[{\"eventType\":\"a\"},]"};

    (void)state;
    for (size_t i = 0; i < RG_COUNT_OF(texts); i++) {
        struct rg_subscription_set *set = NULL;
        struct rg_why why = {0};
        assert_int_equal(parse(texts[i], true, 10, &set, &why), RG_ESYNTAX);
        assert_null(set);
        assert_true(why.text[0] != '\0');
    }
}

static void object_form_is_taken_where_allowed(void **state)
{
    struct rg_subscription_set *set = NULL;
    struct rg_why why = {0};

    (void)state;
    assert_int_equal(parse("{\"subscriptions\":[{\"eventType\":\"a\"}]}", true, 10, &set, &why), 0);
    assert_int_equal(set->keys_n, 1);
    rg_subscription_set_free(&set);
    assert_int_equal(parse("[{\"eventType\":\"a\"}]", true, 10, &set, &why), 0);
    rg_subscription_set_free(&set);

    assert_int_equal(parse("{\"foo\":1}", true, 10, &set, &why), RG_EINVAL);
    assert_int_equal(parse("{\"subscriptions\":\"x\"}", true, 10, &set, &why), RG_EINVAL);
    assert_string_equal(why.place, "/subscriptions");
    assert_int_equal(parse("{\"subscriptions\":[{\"a\":1}]}", true, 10, &set, &why), RG_EINVAL);
    assert_string_equal(why.place, "/subscriptions/0");
    assert_null(set);
}

static void limit_counts_constraints(void **state)
{
    static const char json[] = "[{\"eventType\":\"a\"},"
                               "{\"eventType\":\"b\",\"oneOf\":[{\"x\":1},{\"x\":2}]}]";
    struct rg_subscription_set *set = NULL;
    struct rg_why why = {0};

    (void)state;
    assert_int_equal(parse(json, false, 3, &set, &why), 0);
    assert_int_equal(set->subscriptions_n, 2);
    rg_subscription_set_free(&set);
    assert_int_equal(parse(json, false, 2, &set, &why), RG_EFULL);
    assert_null(set);
    assert_true(why.text[0] != '\0');
}

static void event_type_may_be_long(void **state)
{
    size_t n = 4096;
    char *json = rg_alloc(n + 64);
    char *type = rg_alloc(n);
    struct rg_subscription_set *set = NULL;

    (void)state;
    memset(type, 't', n);
    int json_n = snprintf(json, n + 64, "[{\"eventType\":\"%.*s\"}]", (int)n, type);
    assert_int_equal(
        rg_subscription_parse(extractors, rg_str_n(json, (size_t)json_n), false, 10, &set, NULL),
        0);
    assert_true(rg_match_key_eq(set->keys[0].key, rg_match_key_of_type(rg_str_n(type, n))));
    rg_subscription_set_free(&set);
    rg_free(type);
    rg_free(json);
}

static void empty_set_has_an_empty_echo(void **state)
{
    struct rg_subscription_set *set = rg_subscription_set_empty();

    (void)state;
    assert_int_equal(set->keys_n, 0);
    assert_int_equal(set->echo.n, 2);
    assert_memory_equal(set->echo.p, "[]", 2);
    rg_subscription_set_free(&set);
    assert_null(set);
    rg_subscription_set_free(&set);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(key_carries_its_type_and_field_set),
        cmocka_unit_test(no_constraint_asks_for_the_whole_type),
        cmocka_unit_test(type_without_extractors_ignores_constraints),
        cmocka_unit_test(aliases_have_an_order),
        cmocka_unit_test(first_of_duplicate_names_counts),
        cmocka_unit_test(order_of_fields_does_not_matter),
        cmocka_unit_test(impossible_constraint_has_no_key),
        cmocka_unit_test(duplicates_are_one_key),
        cmocka_unit_test(echo_is_as_given_and_in_order),
        cmocka_unit_test(wrong_subscriptions_are_refused_with_place_and_reason),
        cmocka_unit_test(text_that_is_not_json_is_a_syntax_error),
        cmocka_unit_test(object_form_is_taken_where_allowed),
        cmocka_unit_test(limit_counts_constraints),
        cmocka_unit_test(event_type_may_be_long),
        cmocka_unit_test(empty_set_has_an_empty_echo),
    };

    rg_match_key_init();
    extractors = fixture_extractors();
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    rg_extractors_free(&extractors);
    return failed;
}
