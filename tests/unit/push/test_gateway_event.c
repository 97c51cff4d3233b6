#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "event/json.h"
#include "push/gateway_event.h"

#define UUID_SHAPE "xxxxxxxx-xxxx-4xxx-yxxx-xxxxxxxxxxxx"
#define TIME_SHAPE "dddd-dd-ddTdd:dd:dd.dddddd+00:00"

static struct rg_buf text;

static struct rg_json parse(void)
{
    struct rg_json event;

    assert_int_equal(rg_json_check(rg_buf_str(&text), &event, NULL), 0);
    return event;
}

/* The value of a member, which is a string without escapes. */
static struct rg_str member(const char *name)
{
    struct rg_json value = rg_json_member(parse(), rg_str_c(name));

    assert_int_equal(value.kind, RG_JSON_STRING);
    assert_true(value.text.n >= 2);
    return rg_str_n(value.text.p + 1, value.text.n - 2);
}

static void assert_shape(struct rg_str s, const char *shape)
{
    assert_int_equal(s.n, strlen(shape));
    for (size_t i = 0; i < s.n; i++) {
        const char *set = shape[i] == 'x'   ? "0123456789abcdef"
                          : shape[i] == 'y' ? "89ab"
                          : shape[i] == 'd' ? "0123456789"
                                            : (char[]){shape[i], '\0'};
        if (strchr(set, s.p[i]) == NULL)
            fail_msg("%.*s is not like %s", RG_STR_ARG(s), shape);
    }
}

static int teardown(void **state)
{
    (void)state;
    rg_buf_done(&text);
    return 0;
}

static void it_is_a_cloudevent_of_rig(void **state)
{
    char id[RG_UUID_LEN + 1];

    (void)state;
    rg_gateway_event_add(&text, "rig.connection.create", RG_STR("{\"a\":[1,2]}"), id);
    assert_true(rg_str_eq(member("specversion"), RG_STR("0.2")));
    assert_true(rg_str_eq(member("type"), RG_STR("rig.connection.create")));
    assert_true(rg_str_eq(member("source"), RG_STR("rig")));
    assert_true(rg_str_eq(member("id"), rg_str_c(id)));
    assert_shape(rg_str_c(id), UUID_SHAPE);
    assert_shape(member("time"), TIME_SHAPE);
    assert_true(rg_str_eq(rg_json_member(parse(), RG_STR("data")).text, RG_STR("{\"a\":[1,2]}")));
}

static void data_is_left_out_where_there_is_none(void **state)
{
    char id[RG_UUID_LEN + 1];

    (void)state;
    rg_gateway_event_add(&text, "t", (struct rg_str){NULL, 0}, id);
    assert_int_equal(rg_json_member(parse(), RG_STR("data")).kind, RG_JSON_NONE);
}

static void it_is_appended_and_each_has_an_id_of_its_own(void **state)
{
    char first[RG_UUID_LEN + 1], second[RG_UUID_LEN + 1];

    (void)state;
    rg_buf_add_char(&text, '[');
    rg_gateway_event_add(&text, "t", RG_STR("null"), first);
    rg_buf_add_char(&text, ',');
    rg_gateway_event_add(&text, "t", RG_STR("null"), second);
    rg_buf_add_char(&text, ']');
    assert_int_equal(parse().kind, RG_JSON_ARRAY);
    assert_string_not_equal(first, second);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(it_is_a_cloudevent_of_rig, teardown),
        cmocka_unit_test_teardown(data_is_left_out_where_there_is_none, teardown),
        cmocka_unit_test_teardown(it_is_appended_and_each_has_an_id_of_its_own, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
