#include "event/automatic.h"

#include "base/alloc.h"
#include "fixture.h"

/* As fixture_extractors(), with the fields that are taken from tokens (client-api.md 19). */
static const char config[] =
    "{\"chat.posted\":{"
    "\"room\":{\"stable_field_index\":0,\"event\":{\"json_pointer\":\"/data/room\"}},"
    "\"author\":{\"stable_field_index\":1,\"event\":{\"json_pointer\":\"/data/author\"},"
    "\"jwt\":{\"json_pointer\":\"/username\"}}},"
    "\"tenant.note\":{"
    "\"owner\":{\"stable_field_index\":0,\"event\":{\"json_pointer\":\"/data/owner\"},"
    "\"jwt\":{\"json_pointer\":\"/uid\"}},"
    "\"tenant\":{\"stable_field_index\":1,\"event\":{\"json_pointer\":\"/data/tenant\"},"
    "\"jwt\":{\"json_pointer\":\"/tenant\"}}},"
    "\"odd\":{\"f\":{\"stable_field_index\":0,\"event\":{\"json_pointer\":\"/data/f\"},"
    "\"jwt\":{\"json_pointer\":\"/a~1b/1/~0\"}}},"
    "\"top.level\":{\"subj\":{\"stable_field_index\":0,\"event\":{\"json_pointer\":\"/subject\"}}}}";

#define ADA   "[{\"eventType\":\"chat.posted\",\"oneOf\":[{\"author\":\"ada\"}]}]"
#define OTHER "[{\"eventType\":\"other\"}]"

static struct rg_extractors *extractors;

/* The set of a client with these claims that asks for these subscriptions when it connects. */
static struct rg_subscription_set *connect_with(const char *const *claims, size_t n,
                                                const char *asked)
{
    struct rg_subscription_set *set = fixture_set(extractors, asked);
    struct rg_str texts[4];

    for (size_t i = 0; i < n; i++)
        texts[i] = rg_str_c(claims[i]);
    rg_automatic_prepend(extractors, texts, n, set);
    rg_subscription_set_unique(set);
    return set;
}

static void expect_all(const char *const *claims, size_t n, const char *asked, const char *echo)
{
    RG_CLEANUP(rg_subscription_set_free)
    struct rg_subscription_set *set = connect_with(claims, n, asked);

    rg_buf_add_char(&set->echo, '\0');
    assert_string_equal(set->echo.p, echo);
}

static void expect(const char *claims, const char *asked, const char *echo)
{
    expect_all(&claims, 1, asked, echo);
}

static void a_claim_gives_one_subscription_with_its_field(void **state)
{
    (void)state;
    expect("{\"username\":\"ada\",\"exp\":1}", "[]", ADA);
}

static void automatic_subscriptions_come_before_those_asked_for(void **state)
{
    (void)state;
    expect("{\"username\":\"ada\"}",
           "[{\"eventType\":\"chat.posted\",\"oneOf\":[{\"author\":\"bob\"}]}]",
           "[{\"eventType\":\"chat.posted\",\"oneOf\":[{\"author\":\"ada\"}]},"
           "{\"eventType\":\"chat.posted\",\"oneOf\":[{\"author\":\"bob\"}]}]");
}

static void what_is_asked_for_and_automatic_is_listed_once(void **state)
{
    (void)state;
    expect("{\"username\":\"ada\"}", ADA, ADA);
    expect("{\"username\":\"ada\"}",
           "[{ \"event_type\" : \"chat.posted\", \"one_of\": [ {\"auth\\u006fr\": \"ada\"} ] }]",
           ADA);
    expect("{\"uid\":\"u\",\"tenant\":\"t\"}",
           "[{\"eventType\":\"tenant.note\",\"oneOf\":[{\"tenant\":\"t\",\"owner\":\"u\"}]}]",
           "[{\"eventType\":\"tenant.note\",\"oneOf\":[{\"owner\":\"u\",\"tenant\":\"t\"}]}]");
}

static void several_claims_of_a_type_restrict_together(void **state)
{
    static const char both[] = "{\"uid\":\"u1\",\"tenant\":\"t1\"}";
    const char *claims = both;
    RG_CLEANUP(rg_subscription_set_free)
    struct rg_subscription_set *set = connect_with(&claims, 1, "[]");

    (void)state;
    expect(both, "[]",
           "[{\"eventType\":\"tenant.note\",\"oneOf\":[{\"owner\":\"u1\",\"tenant\":\"t1\"}]}]");
    assert_int_equal(set->keys_n, 1);
    assert_int_equal(set->keys[0].fields, 3);
}

static void a_missing_claim_leaves_its_field_out(void **state)
{
    (void)state;
    expect("{\"uid\":\"u1\"}", "[]",
           "[{\"eventType\":\"tenant.note\",\"oneOf\":[{\"owner\":\"u1\"}]}]");
}

static void claims_that_no_field_is_taken_from_give_nothing(void **state)
{
    (void)state;
    expect("{\"other\":1}", "[]", "[]");
    expect("{}", OTHER, "[{\"eventType\":\"other\",\"oneOf\":[]}]");
}

static void a_claim_keeps_its_json_type(void **state)
{
    RG_CLEANUP(rg_subscription_set_free) struct rg_subscription_set *number = NULL;
    RG_CLEANUP(rg_subscription_set_free)
    struct rg_subscription_set *same =
        fixture_set(extractors, "[{\"eventType\":\"chat.posted\",\"oneOf\":[{\"author\":7.0}]}]");
    const char *claims = "{\"username\":7}";

    (void)state;
    number = connect_with(&claims, 1, "[]");
    assert_int_equal(number->keys_n, 1);
    assert_true(rg_match_key_eq(number->keys[0].key, same->keys[0].key));
    expect("{\"username\":7}", "[]",
           "[{\"eventType\":\"chat.posted\",\"oneOf\":[{\"author\":7}]}]");
}

static void a_claim_that_is_null_counts_as_missing(void **state)
{
    (void)state;
    expect("{\"username\":null}", "[]", "[]");
    expect("{\"uid\":\"u\",\"tenant\":null}", "[]",
           "[{\"eventType\":\"tenant.note\",\"oneOf\":[{\"owner\":\"u\"}]}]");
}

static void a_claim_that_is_no_scalar_never_matches(void **state)
{
    const char *claims = "{\"username\":[\"ada\"]}";
    RG_CLEANUP(rg_subscription_set_free)
    struct rg_subscription_set *set = connect_with(&claims, 1, "[]");

    (void)state;
    assert_int_equal(set->keys_n, 0);
    assert_int_equal(set->subscriptions_n, 1);
}

static void pointers_have_escapes_and_indices(void **state)
{
    (void)state;
    expect("{\"a/b\":[0,{\"~\":\"x\"}]}", "[]",
           "[{\"eventType\":\"odd\",\"oneOf\":[{\"f\":\"x\"}]}]");
    expect("{\"a/b\":[0]}", "[]", "[]");
    expect("{\"a/b\":\"1\"}", "[]", "[]");
}

static void of_several_tokens_the_first_decides_about_a_claim(void **state)
{
    static const char *const both[] = {"{\"username\":\"ada\"}",
                                       "{ \"username\":\"bob\",\"uid\":\"u\" }"};
    static const char *const nulls[] = {"{\"username\":null}", "{\n}", "{\"username\":\"bob\"}"};
    static const char *const empty[] = {"{\n}", "{\"username\":\"ada\"}", "{}"};

    (void)state;
    expect_all(both, 2, "[]",
               "[{\"eventType\":\"chat.posted\",\"oneOf\":[{\"author\":\"ada\"}]},"
               "{\"eventType\":\"tenant.note\",\"oneOf\":[{\"owner\":\"u\"}]}]");
    expect_all(nulls, 3, "[]", "[]");
    expect_all(empty, 3, "[]", ADA);
}

static void what_is_nested_too_deep_gives_nothing(void **state)
{
    struct rg_buf claims = {0};
    const char *text;

    (void)state;
    rg_buf_add_c(&claims, "{\"username\":");
    for (int i = 0; i < 62; i++)
        rg_buf_add_char(&claims, '[');
    for (int i = 0; i < 62; i++)
        rg_buf_add_char(&claims, ']');
    rg_buf_add_c(&claims, "}");
    rg_buf_add_char(&claims, '\0');
    text = claims.p;
    expect(text, "[]", "[]");
    rg_buf_done(&claims);
    expect("5", OTHER, "[{\"eventType\":\"other\",\"oneOf\":[]}]");
}

/* ---- duplicates among what is asked for ---- */

static void duplicates_go_and_the_order_stays(void **state)
{
    static const char kept[] = "[{\"eventType\":\"b\",\"oneOf\":[]},"
                               "{\"eventType\":\"a\",\"oneOf\":[{\"x\":1}]},"
                               "{\"eventType\":\"a\",\"oneOf\":[{\"x\":\"1\"}]},"
                               "{\"eventType\":\"a\",\"oneOf\":[{\"x\":1},{\"y\":[2,3]}]},"
                               "{\"eventType\":\"a\",\"oneOf\":[{\"x\":1},{\"y\":[3,2]}]}]";

    (void)state;
    expect("{}", kept, kept);
    expect("{}",
           "[{\"eventType\":\"b\"},{\"eventType\":\"a\",\"oneOf\":[{\"x\":1}]},"
           "{\"eventType\":\"b\",\"oneOf\":[]},{\"eventType\":\"a\",\"oneOf\":[{\"x\":\"1\"}]},"
           "{\"eventType\":\"a\",\"oneOf\":[{\"x\":1},{\"y\":[2,3]}]},"
           "{\"eventType\":\"a\",\"oneOf\":[{\"x\":1}]},"
           "{\"eventType\":\"a\",\"oneOf\":[{\"x\":1},{\"y\":[3,2]}]},"
           "{\"eventType\":\"a\",\"oneOf\":[{\"x\":1},{\"y\": [2, 3]}]}]",
           kept);
}

static void many_duplicates_leave_one(void **state)
{
    RG_CLEANUP(rg_subscription_set_free) struct rg_subscription_set *set = NULL;
    struct rg_buf text = {0};

    (void)state;
    for (int i = 0; i < 100; i++)
        rg_buf_addf(&text, "%c{\"eventType\":\"t%d\"}", i == 0 ? '[' : ',', i % 7);
    rg_buf_add_c(&text, "]");
    rg_buf_add_char(&text, '\0');
    set = fixture_set(extractors, text.p);
    rg_subscription_set_unique(set);
    assert_int_equal(set->subscriptions_n, 7);
    assert_int_equal(set->keys_n, 7);
    rg_buf_done(&text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_claim_gives_one_subscription_with_its_field),
        cmocka_unit_test(automatic_subscriptions_come_before_those_asked_for),
        cmocka_unit_test(what_is_asked_for_and_automatic_is_listed_once),
        cmocka_unit_test(several_claims_of_a_type_restrict_together),
        cmocka_unit_test(a_missing_claim_leaves_its_field_out),
        cmocka_unit_test(claims_that_no_field_is_taken_from_give_nothing),
        cmocka_unit_test(a_claim_keeps_its_json_type),
        cmocka_unit_test(a_claim_that_is_null_counts_as_missing),
        cmocka_unit_test(a_claim_that_is_no_scalar_never_matches),
        cmocka_unit_test(pointers_have_escapes_and_indices),
        cmocka_unit_test(of_several_tokens_the_first_decides_about_a_claim),
        cmocka_unit_test(what_is_nested_too_deep_gives_nothing),
        cmocka_unit_test(duplicates_go_and_the_order_stays),
        cmocka_unit_test(many_duplicates_leave_one),
    };
    struct rg_problems problems = {0};

    rg_match_key_init();
    extractors = rg_extractors_new(rg_str_c(config), &problems);
    rg_problems_done(&problems);
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    rg_extractors_free(&extractors);
    return failed;
}
