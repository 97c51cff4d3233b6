#include "definitions.h"
#include "event/json.h"

static void expect_place(const char *text, const char *place)
{
    struct rg_why why = {0};

    assert_null(rg_document_read(rg_str_c(text), &why));
    assert_string_equal(why.place, place);
    assert_true(why.text[0] != '\0');
}

static void a_mistake_has_a_line_and_a_column(void **state)
{
    (void)state;
    expect_place("[{]", "line 1 column 3");
    expect_place("[\n  1,\n  x]", "line 3 column 3");
    expect_place("", "line 1 column 1");
    /* A character is one column, however many bytes it has. */
    expect_place("[\"\xc3\xa9\xe2\x82\xac\" x]", "line 1 column 7");
}

static void a_member_stands_once(void **state)
{
    struct rg_why why = {0};

    (void)state;
    assert_null(rg_document_read(RG_STR("{\"a\":1,\n\"a\":2}"), &why));
    assert_true(rg_str_starts_with(rg_str_c(why.place), RG_STR("line 2 ")));
    assert_non_null(strstr(why.text, "duplicate"));
    assert_null(rg_document_read(RG_STR("{\"a\":1,\"\\u0061\":2}"), NULL));
}

static void nesting_has_a_limit(void **state)
{
    char deep[2 * RG_JSON_MAX_DEPTH + 3];

    (void)state;
    memset(deep, '[', RG_JSON_MAX_DEPTH);
    memset(deep + RG_JSON_MAX_DEPTH, ']', RG_JSON_MAX_DEPTH);
    json_t *json = rg_document_read(rg_str_n(deep, 2 * (size_t)RG_JSON_MAX_DEPTH), NULL);
    assert_non_null(json);
    rg_document_unref(&json);
    memset(deep, '[', RG_JSON_MAX_DEPTH + 1);
    memset(deep + RG_JSON_MAX_DEPTH + 1, ']', RG_JSON_MAX_DEPTH + 1);
    assert_null(rg_document_read(rg_str_n(deep, 2 * (size_t)RG_JSON_MAX_DEPTH + 2), NULL));
}

static void strings_have_no_nul(void **state)
{
    (void)state;
    assert_null(rg_document_read(RG_STR("{\"id\":\"a\\u0000b\"}"), NULL));
    assert_null(rg_document_read(RG_STR("{\"a\\u0000b\":1}"), NULL));
    assert_null(rg_document_read(RG_STR("{\"a\":\"\0\"}"), NULL));
}

static void what_was_read_can_be_written(void **state)
{
    static const char text[] = "{\"b\":[1,2.5,\"\xc3\xa9\\n\",null,true],\"a\":{}}";
    struct rg_buf out = {0};
    json_t *json = rg_document_read(rg_str_c(text), NULL);

    (void)state;
    rg_document_add(json, &out);
    rg_buf_add_char(&out, '\0');
    assert_string_equal(out.p, text);
    rg_buf_done(&out);
    rg_document_unref(&json);
    assert_null(json);
    rg_document_unref(&json);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_mistake_has_a_line_and_a_column),
        cmocka_unit_test(a_member_stands_once),
        cmocka_unit_test(nesting_has_a_limit),
        cmocka_unit_test(strings_have_no_nul),
        cmocka_unit_test(what_was_read_can_be_written),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
