#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "event/addressees.h"
#include "event/envelope.h"

static struct rg_extractors *extractors;
static struct rg_projector *projector;
static struct rg_buf scratch;
static struct rg_addressees list;

static int setup(void **state)
{
    struct rg_problems problems = {0};

    (void)state;
    extractors = rg_extractors_new((struct rg_str){NULL, 0}, &problems);
    assert_non_null(extractors);
    projector = rg_projector_new(rg_extractors_projection(extractors));
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    rg_projector_free(&projector);
    rg_extractors_free(&extractors);
    rg_buf_done(&scratch);
    return 0;
}

static int read_text(struct rg_str text, struct rg_why *why)
{
    int err = rg_projector_run(projector, text, NULL, why);

    return err < 0 ? err : rg_addressees_read(projector, &scratch, &list, why);
}

/* topics: those expected, separated by a blank. */
static void assert_addressed(const char *text, const char *topics)
{
    RG_CLEANUP(rg_buf_done) struct rg_buf got = {0};
    struct rg_why why = {0};

    if (read_text(rg_str_c(text), &why) < 0)
        fail_msg("%s: %s: %s", text, why.place, why.text);
    for (size_t i = 0; i < list.n; i++)
        rg_buf_addf(&got, "%s%.*s", i > 0 ? " " : "", RG_STR_ARG(list.topics[i]));
    if (!rg_str_eq(rg_buf_str(&got), rg_str_c(topics)))
        fail_msg("%s: \"%.*s\" instead of \"%s\"", text, RG_STR_ARG(rg_buf_str(&got)), topics);
    assert_true(rg_addressees_are_named(projector));
}

static void assert_refused(const char *text, int err, const char *place, const char *what)
{
    struct rg_why why = {0};

    assert_int_equal(read_text(rg_str_c(text), &why), err);
    assert_string_equal(why.place, place);
    if (strstr(why.text, what) == NULL)
        fail_msg("%s: \"%s\" does not say \"%s\"", text, why.text, what);
}

static void a_username_is_the_topic_of_that_user(void **state)
{
    (void)state;
    assert_addressed("{\"username\":\"ada\",\"n\":1}", "user:ada");
    assert_addressed(" {\"n\":{\"username\":\"no\"},\"username\":\"\\u0061d\\\"a\"}\n",
                     "user:ad\"a");
    assert_addressed("{\"username\":\"\\ud83d\\ude00\"}", "user:\xf0\x9f\x98\x80");
}

static void a_number_is_a_name_by_its_text(void **state)
{
    (void)state;
    assert_addressed("{\"username\":5}", "user:5");
    assert_addressed("{\"username\":-1.50e1}", "user:-1.50e1");
}

static void each_role_is_a_topic_once(void **state)
{
    (void)state;
    assert_addressed("{\"roles\":[\"a\",\"b\",\"a\",\"\\u0062\",\"c\"]}", "role:a role:b role:c");
    assert_addressed("{\"roles\":\"one\"}", "role:one");
    assert_addressed("{\"roles\":[\"a\"],\"username\":\"a\"}", "user:a role:a");
    assert_addressed("{\"roles\":[],\"username\":\"a\"}", "user:a");
}

static void null_is_the_same_as_nothing(void **state)
{
    (void)state;
    assert_addressed("{\"roles\":null,\"username\":\"a\"}", "user:a");
    assert_addressed("{\"roles\":[\"a\"],\"username\":null}", "role:a");
    assert_refused("{\"roles\":null,\"username\":null}", RG_EINVAL, "", "neither");
    assert_false(rg_addressees_are_named(projector));
}

static void what_cannot_be_a_name_is_refused_with_its_place(void **state)
{
    (void)state;
    assert_refused("{\"username\":true}", RG_EINVAL, "/username", "not a boolean");
    assert_refused("{\"username\":{\"a\":1},\"roles\":[\"a\"]}", RG_EINVAL, "/username",
                   "not an object");
    assert_refused("{\"username\":\"\"}", RG_EINVAL, "/username", "empty");
    assert_refused("{\"username\":\"a\",\"roles\":5}", RG_EINVAL, "/roles", "not a number");
    assert_refused("{\"roles\":[\"a\",[]]}", RG_EINVAL, "/roles", "not an array");
    assert_refused("{\"roles\":[\"a\",\"\"]}", RG_EINVAL, "/roles", "empty");
    assert_refused("{\"roles\":[]}", RG_EINVAL, "", "neither");
}

static void who_names_nobody_is_told_so(void **state)
{
    static const char *const texts[] = {"{}", "{\"payload\":1}", "[\"username\"]", "\"s\"", "5"};

    (void)state;
    for (size_t i = 0; i < RG_COUNT_OF(texts); i++) {
        assert_refused(texts[i], RG_EINVAL, "", "neither");
        assert_false(rg_addressees_are_named(projector));
    }
    assert_true(rg_projector_run(projector, RG_STR("{\"username\":\"a\""), NULL, NULL) < 0);
    assert_false(rg_addressees_are_named(projector));
    assert_false(rg_envelope_is_claimed(projector));
}

static void there_is_a_limit_and_what_comes_twice_does_not_count(void **state)
{
    RG_CLEANUP(rg_buf_done) struct rg_buf text = {0};
    struct rg_why why = {0};

    (void)state;
    rg_buf_add_c(&text, "{\"username\":\"a\",\"roles\":[\"1\"");
    for (int i = 0; i < RG_MAX_ADDRESSEES - 1; i++)
        rg_buf_addf(&text, ",\"%d\",\"%d\"", i, i);
    rg_buf_add_c(&text, "]}");
    assert_int_equal(read_text(rg_buf_str(&text), &why), 0);
    assert_int_equal(list.n, RG_MAX_ADDRESSEES);
    assert_true(rg_str_eq(list.topics[0], RG_STR("user:a")));
    assert_true(rg_str_eq(list.topics[2], RG_STR("role:0")));
    text.n -= 2;
    rg_buf_add_c(&text, ",\"one more\"]}");
    assert_int_equal(read_text(rg_buf_str(&text), &why), RG_EFULL);
    assert_string_equal(why.place, "/roles");
}

static void a_version_claims_that_the_text_is_an_event(void **state)
{
    static const struct {
        const char *text;
        bool is_claimed;
    } cases[] = {
        {"{\"username\":\"a\",\"specversion\":\"1.0\"}", true},
        {"{\"username\":\"a\",\"specversion\":null}", true},
        {"{\"cloudEventsVersion\":7,\"roles\":[\"a\"]}", true},
        {"{\"type\":\"a\",\"id\":\"1\",\"username\":\"a\"}", false},
        {"{\"data\":{\"specversion\":\"1.0\"},\"username\":\"a\"}", false},
        {"[\"specversion\"]", false},
    };

    (void)state;
    for (size_t i = 0; i < RG_COUNT_OF(cases); i++) {
        assert_int_equal(rg_projector_run(projector, rg_str_c(cases[i].text), NULL, NULL), 0);
        assert_int_equal(rg_envelope_is_claimed(projector), cases[i].is_claimed);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_username_is_the_topic_of_that_user),
        cmocka_unit_test(a_number_is_a_name_by_its_text),
        cmocka_unit_test(each_role_is_a_topic_once),
        cmocka_unit_test(null_is_the_same_as_nothing),
        cmocka_unit_test(what_cannot_be_a_name_is_refused_with_its_place),
        cmocka_unit_test(who_names_nobody_is_told_so),
        cmocka_unit_test(there_is_a_limit_and_what_comes_twice_does_not_count),
        cmocka_unit_test(a_version_claims_that_the_text_is_an_event),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
