#include "fixture.h"

#include "base/alloc.h"

static struct rg_match_key type_key(void)
{
    return rg_match_key_of_type(RG_STR("chat.posted"));
}

/* The key of a set of one or two fields with these values. */
static struct rg_match_key key_of(uint64_t fields, const char *first, const char *second)
{
    struct rg_match_key_builder b = {0};
    struct rg_match_key key;

    rg_match_key_begin(&b, type_key(), fields);
    assert_int_equal(rg_match_key_add(&b, fixture_json(first)), 0);
    if (second != NULL)
        assert_int_equal(rg_match_key_add(&b, fixture_json(second)), 0);
    key = rg_match_key_end(&b);
    rg_buf_done(&b.text);
    return key;
}

static bool is_same(const char *a, const char *b)
{
    return rg_match_key_eq(key_of(1, a, NULL), key_of(1, b, NULL));
}

static void types_have_keys_of_their_own(void **state)
{
    (void)state;
    assert_true(rg_match_key_eq(type_key(), type_key()));
    assert_false(rg_match_key_eq(type_key(), rg_match_key_of_type(RG_STR("chat.posted."))));
    assert_false(rg_match_key_eq(type_key(), rg_match_key_of_type(RG_STR("Chat.posted"))));
    assert_false(rg_match_key_eq(type_key(), rg_match_key_of_type(RG_STR(""))));
}

static void empty_field_set_is_the_type(void **state)
{
    struct rg_match_key_builder b = {0};

    (void)state;
    rg_match_key_begin(&b, type_key(), 0);
    assert_true(rg_match_key_eq(rg_match_key_end(&b), type_key()));
    rg_buf_done(&b.text);
}

static void equal_values_give_equal_keys(void **state)
{
    static const char *const pairs[][2] = {
        {"30", "30.0"},
        {"30", "3e1"},
        {"30", "300e-1"},
        {"30", "0.30E+2"},
        {"0", "-0"},
        {"0", "-0.0"},
        {"0", "0e7"},
        {"0", "1e-400"},
        {"0", "-1e-400"},
        {"0.5", "5e-1"},
        {"9223372036854775807", "9223372036854775807.0"},
        {"18446744073709551616", "1.8446744073709551616e19"},
        {"\"a\"", "\"\\u0061\""},
        {"\"a/b\"", "\"a\\/b\""},
        {"\"\"", "\"\""},
        {"\"x\xf0\x9f\x98\x80y\"", "\"x\\uD83D\\ude00y\""},
        {"true", " true "},
    };

    (void)state;
    for (size_t i = 0; i < RG_COUNT_OF(pairs); i++) {
        if (!is_same(pairs[i][0], pairs[i][1]))
            fail_msg("%s and %s should be equal", pairs[i][0], pairs[i][1]);
    }
}

static void different_values_give_different_keys(void **state)
{
    static const char *const values[] = {
        "30",
        "\"30\"",
        "31",
        "-30",
        "30.5",
        "0",
        "1",
        "true",
        "false",
        "\"true\"",
        "\"false\"",
        "\"\"",
        "\"\\u0000\"",
        "\"\\u0000\\u0000\"",
        "\"blue\"",
        "\"Blue\"",
        "\"blue \"",
        "9007199254740992",
        "9007199254740993",
        "9223372036854775807",
        "9223372036854775806",
        "1e300",
        "-1e300",
    };

    (void)state;
    for (size_t i = 0; i < RG_COUNT_OF(values); i++) {
        for (size_t k = 0; k < i; k++) {
            if (is_same(values[i], values[k]))
                fail_msg("%s and %s should differ", values[i], values[k]);
        }
    }
}

static void values_do_not_run_into_each_other(void **state)
{
    (void)state;
    assert_false(rg_match_key_eq(key_of(3, "\"ab\"", "\"c\""), key_of(3, "\"a\"", "\"bc\"")));
    assert_false(rg_match_key_eq(key_of(3, "\"\"", "\"ab\""), key_of(3, "\"ab\"", "\"\"")));
    assert_false(rg_match_key_eq(key_of(3, "\"a\"", "\"b\""), key_of(3, "\"b\"", "\"a\"")));
    assert_true(rg_match_key_eq(key_of(3, "\"a\"", "2"), key_of(3, "\"\\u0061\"", "2.0")));
}

static void field_set_is_part_of_the_key(void **state)
{
    (void)state;
    assert_false(rg_match_key_eq(key_of(1, "\"a\"", NULL), key_of(2, "\"a\"", NULL)));
}

static void what_is_not_scalar_is_refused(void **state)
{
    struct rg_match_key_builder b = {0};
    char *digits = rg_alloc(601);

    (void)state;
    rg_match_key_begin(&b, type_key(), 1);
    assert_int_equal(rg_match_key_add(&b, fixture_json("null")), RG_EINVAL);
    assert_int_equal(rg_match_key_add(&b, fixture_json("[\"a\"]")), RG_EINVAL);
    assert_int_equal(rg_match_key_add(&b, fixture_json("{}")), RG_EINVAL);
    assert_int_equal(rg_match_key_add(&b, (struct rg_json){0}), RG_EINVAL);
    memset(digits, '7', 600);
    digits[600] = '\0';
    assert_int_equal(rg_match_key_add(&b, fixture_json(digits)), RG_EINVAL);
    rg_free(digits);
    rg_buf_done(&b.text);
}

static void builder_allocates_once(void **state)
{
    struct rg_match_key_builder b = {0};
    char *p;

    (void)state;
    rg_match_key_begin(&b, type_key(), 1);
    rg_match_key_add(&b, fixture_json("\"something of twenty\\u0020bytes\""));
    rg_match_key_end(&b);
    p = b.text.p;
    size_t cap = b.text.cap;
    for (int i = 0; i < 100; i++) {
        rg_match_key_begin(&b, type_key(), 1);
        rg_match_key_add(&b, fixture_json("\"something\\nshorter\""));
        rg_match_key_end(&b);
        assert_ptr_equal(b.text.p, p);
        assert_int_equal(b.text.cap, cap);
    }
    rg_buf_done(&b.text);
}

static void builder_does_not_keep_the_memory_of_a_huge_value(void **state)
{
    struct rg_match_key_builder b = {0};
    size_t n = 1024 * 1024;
    char *text = rg_alloc(n);

    (void)state;
    memset(text, 'x', n);
    text[0] = text[n - 1] = '"';
    rg_match_key_begin(&b, type_key(), 1);
    rg_match_key_add(&b, (struct rg_json){RG_JSON_STRING, rg_str_n(text, n)});
    rg_match_key_end(&b);
    rg_match_key_begin(&b, type_key(), 1);
    assert_true(b.text.cap < n);
    rg_free(text);
    rg_buf_done(&b.text);
}

static void event_yields_the_key_of_its_values(void **state)
{
    struct rg_extractors *extractors = fixture_extractors();
    struct rg_projector *projector = rg_projector_new(rg_extractors_projection(extractors));
    const struct rg_extractor_type *type = rg_extractors_find(extractors, RG_STR("chat.posted"));
    struct rg_match_key_builder b = {0};
    struct rg_match_key key;

    (void)state;
    assert_int_equal(
        rg_projector_run(projector,
                         RG_STR("{\"data\":{\"size\":3e1,\"room\":\"bl\\u0075e\",\"author\":[1]}}"),
                         NULL, NULL),
        0);
    assert_int_equal(rg_match_key_of_event(&b, type_key(), type, 5, projector, &key), 0);
    assert_true(rg_match_key_eq(key, key_of(5, "\"blue\"", "30")));
    assert_int_equal(rg_match_key_of_event(&b, type_key(), type, 0, projector, &key), 0);
    assert_true(rg_match_key_eq(key, type_key()));

    /* an array, and nothing */
    assert_int_equal(rg_match_key_of_event(&b, type_key(), type, 3, projector, &key), RG_ENOTFOUND);
    assert_int_equal(rg_match_key_of_event(&b, type_key(), type, 8, projector, &key), RG_ENOTFOUND);
    /* fields that nobody configured */
    assert_int_equal(rg_match_key_of_event(&b, type_key(), NULL, 1, projector, &key), RG_ENOTFOUND);
    assert_int_equal(
        rg_match_key_of_event(&b, type_key(), type, (uint64_t)1 << 63, projector, &key),
        RG_ENOTFOUND);
    rg_buf_done(&b.text);
    rg_projector_free(&projector);
    rg_extractors_free(&extractors);
}

static void another_secret_gives_other_keys(void **state)
{
    struct rg_match_key type_before = type_key();
    struct rg_match_key before = key_of(1, "1", NULL);

    (void)state;
    rg_match_key_init();
    assert_false(rg_match_key_eq(type_before, type_key()));
    assert_false(rg_match_key_eq(before, key_of(1, "1", NULL)));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(types_have_keys_of_their_own),
        cmocka_unit_test(empty_field_set_is_the_type),
        cmocka_unit_test(equal_values_give_equal_keys),
        cmocka_unit_test(different_values_give_different_keys),
        cmocka_unit_test(values_do_not_run_into_each_other),
        cmocka_unit_test(field_set_is_part_of_the_key),
        cmocka_unit_test(what_is_not_scalar_is_refused),
        cmocka_unit_test(builder_allocates_once),
        cmocka_unit_test(builder_does_not_keep_the_memory_of_a_huge_value),
        cmocka_unit_test(event_yields_the_key_of_its_values),
        cmocka_unit_test(another_secret_gives_other_keys),
    };

    rg_match_key_init();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
