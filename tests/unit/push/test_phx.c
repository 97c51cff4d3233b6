#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "event/json.h"
#include "push/phx.h"

#define MESSAGE "{\"n\":1}"

static void assert_str(struct rg_str got, const char *want)
{
    if (!rg_str_eq(got, rg_str_c(want)))
        fail_msg("%.*s instead of %s", RG_STR_ARG(got), want);
}

/* ---- versions ---- */

static void a_version_is_one_of_the_two_or_refused(void **state)
{
    static const char *const others[] = {"",        "abc",
                                         "1",       "1.0",
                                         "2.0",     "3.0.0",
                                         "1.1.0",   "2.1.0",
                                         "0.9.0",   "2.0.x",
                                         "2.0.0-a", "2.0.00",
                                         "02.0.0",  "2..0",
                                         "2.0.",    "2.0.0.0",
                                         " 2.0.0",  "~> 2.0.0",
                                         "2.00.0",  "-2.0.0",
                                         "2.0.+1",  "2.0.0\n",
                                         "2,0,0",   ".",
                                         "..",      "2.0.99999999999999999999"};
    enum rg_phx_vsn vsn = RG_PHX_V2;

    (void)state;
    assert_int_equal(rg_phx_read_vsn(rg_str_n(NULL, 0), &vsn), 0);
    assert_int_equal(vsn, RG_PHX_V1);
    assert_int_equal(rg_phx_read_vsn(RG_STR("2.0.0"), &vsn), 0);
    assert_int_equal(vsn, RG_PHX_V2);
    assert_int_equal(rg_phx_read_vsn(RG_STR("1.0.0"), &vsn), 0);
    assert_int_equal(vsn, RG_PHX_V1);
    assert_int_equal(rg_phx_read_vsn(RG_STR("2.0.17"), &vsn), 0);
    assert_int_equal(vsn, RG_PHX_V2);
    for (size_t i = 0; i < RG_COUNT_OF(others); i++) {
        if (rg_phx_read_vsn(rg_str_c(others[i]), &vsn) != RG_EINVAL)
            fail_msg("%s is a version", others[i]);
    }
    assert_int_equal(vsn, RG_PHX_V2);
}

/* ---- reading ---- */

/* Parses text and compares every part. */
static void expect(enum rg_phx_vsn vsn, const char *text, const char *join_ref, const char *ref,
                   const char *topic, const char *event, const char *payload)
{
    struct rg_buf scratch = {0};
    struct rg_phx_message message;
    struct rg_why why = {0};

    rg_buf_add_c(&scratch, "what was there before");
    if (rg_phx_parse(vsn, rg_str_c(text), &scratch, &message, &why) < 0)
        fail_msg("%s: %s", text, why.text);
    assert_str(message.join_ref, join_ref);
    assert_str(message.ref, ref);
    assert_str(message.topic, topic);
    assert_str(message.event, event);
    assert_str(message.payload.text, payload);
    rg_buf_done(&scratch);
}

static void an_array_of_five_is_a_message_of_v2(void **state)
{
    (void)state;
    expect(RG_PHX_V2, "[\"6\",\"9\",\"user:ada\",\"phx_join\",{}]", "\"6\"", "\"9\"", "user:ada",
           "phx_join", "{}");
    expect(RG_PHX_V2, " [ null , null , \"\" , \"\" , null ] ", "null", "null", "", "", "null");
    expect(RG_PHX_V2, "[1,-2.50e1,\"t\",\"e\",[1, \"]\" ]]", "1", "-2.50e1", "t", "e",
           "[1, \"]\" ]");
    expect(RG_PHX_V2, "[\"1\",\"2\",\"t\",\"e\",0,\"more\",{}]", "\"1\"", "\"2\"", "t", "e", "0");
}

static void an_object_is_a_message_of_v1(void **state)
{
    (void)state;
    expect(RG_PHX_V1,
           "{\"topic\":\"user:ada\",\"event\":\"phx_join\",\"payload\":{},\"ref\":\"1\"}", "null",
           "\"1\"", "user:ada", "phx_join", "{}");
    expect(
        RG_PHX_V1,
        "{\"x\":[{\"topic\":5}],\"ref\":null,\"payload\":\"p\",\"join_ref\":\"7\",\"event\":\"e\","
        "\"topic\":\"t\"}",
        "\"7\"", "null", "t", "e", "\"p\"");
    expect(RG_PHX_V1, "{\"t\\u006fpic\":\"t\",\"event\":\"e\",\"payload\":1,\"ref\":2}", "null",
           "2", "t", "e", "1");
}

static void references_are_kept_as_they_came_and_names_are_unescaped(void **state)
{
    (void)state;
    expect(RG_PHX_V2,
           "[\"\\u0041\\/\",\"\\n\",\"user:\\u00e4\\ud83d\\ude00\\\"\",\"e\\t\\u00e9\",{}]",
           "\"\\u0041\\/\"", "\"\\n\"", "user:\xc3\xa4\xf0\x9f\x98\x80\"", "e\t\xc3\xa9", "{}");
    expect(
        RG_PHX_V1,
        "{\"topic\":\"a\\\\b\",\"event\":\"\\ud800\",\"payload\":\"\\u0000\",\"ref\":\"\\u0031\"}",
        "null", "\"\\u0031\"", "a\\b", "\xef\xbf\xbd", "\"\\u0000\"");
}

static void expect_refused(enum rg_phx_vsn vsn, const char *text, int err, const char *reason)
{
    struct rg_buf scratch = {0};
    struct rg_phx_message message = {.join_ref = RG_STR("untouched")};
    struct rg_why why = {0};

    if (rg_phx_parse(vsn, rg_str_c(text), &scratch, &message, &why) != err)
        fail_msg("%s: %s", text, why.text);
    if (reason != NULL)
        assert_string_equal(why.text, reason);
    assert_str(message.join_ref, "untouched");
    assert_int_equal(rg_phx_parse(vsn, rg_str_c(text), &scratch, &message, NULL), err);
    rg_buf_done(&scratch);
}

static void what_is_wrong_with_a_message_is_said(void **state)
{
    (void)state;
    expect_refused(RG_PHX_V2, "garbage", RG_ESYNTAX, "expected a value");
    expect_refused(RG_PHX_V2, "", RG_ESYNTAX, NULL);
    expect_refused(RG_PHX_V2, "[null,\"1\",\"t\",\"e\",{}] x", RG_ESYNTAX, NULL);
    expect_refused(RG_PHX_V2, "{}", RG_EINVAL, "the message is not an array");
    expect_refused(RG_PHX_V2, "[]", RG_EINVAL, "the message has 0 elements, not 5");
    expect_refused(RG_PHX_V2, "[null,\"1\",\"t\",\"e\"]", RG_EINVAL,
                   "the message has 4 elements, not 5");
    expect_refused(RG_PHX_V2, "[{},\"1\",\"t\",\"e\",{}]", RG_EINVAL,
                   "element 1 (join_ref) is not a string, a number or null");
    expect_refused(RG_PHX_V2, "[null,true,\"t\",\"e\",{}]", RG_EINVAL,
                   "element 2 (ref) is not a string, a number or null");
    expect_refused(RG_PHX_V2, "[null,\"1\",7,\"e\",{}]", RG_EINVAL,
                   "element 3 (topic) is not a string");
    expect_refused(RG_PHX_V2, "[null,\"1\",\"t\",null,{}]", RG_EINVAL,
                   "element 4 (event) is not a string");
    expect_refused(RG_PHX_V1, "[]", RG_EINVAL, "the message is not an object");
    expect_refused(RG_PHX_V1, "{\"topic\":\"t\",\"event\":\"e\",\"payload\":{}}", RG_EINVAL,
                   "ref is missing");
    expect_refused(RG_PHX_V1, "{\"event\":\"e\",\"payload\":{},\"ref\":\"1\"}", RG_EINVAL,
                   "topic is missing");
    expect_refused(RG_PHX_V1, "{\"topic\":\"t\",\"event\":\"e\",\"ref\":\"1\"}", RG_EINVAL,
                   "payload is missing");
    expect_refused(RG_PHX_V1, "{\"topic\":\"t\",\"event\":[],\"payload\":{},\"ref\":\"1\"}",
                   RG_EINVAL, "event is not a string");
    expect_refused(RG_PHX_V1,
                   "{\"topic\":\"t\",\"event\":\"e\",\"payload\":{},\"ref\":\"1\",\"topic\":\"u\"}",
                   RG_EINVAL, "topic is there twice");
}

/* A V2 message with `n` times `unit` in one of its parts. */
static int parse_with(int part, const char *unit, size_t n, size_t *ret_topic_n)
{
    static const char *const before[] = {"[\"", "[\"1\",\"2\",\"", "[\"1\",\"2\",\"t\",\""};
    static const char *const behind[] = {"\",\"2\",\"t\",\"e\",{}]", "\",\"e\",{}]", "\",{}]"};
    struct rg_buf text = {0}, scratch = {0};
    struct rg_phx_message message = {0};

    rg_buf_add_c(&text, before[part]);
    for (size_t i = 0; i < n; i++)
        rg_buf_add_c(&text, unit);
    rg_buf_add_c(&text, behind[part]);
    int err = rg_phx_parse(RG_PHX_V2, rg_buf_str(&text), &scratch, &message, NULL);
    if (ret_topic_n != NULL)
        *ret_topic_n = message.topic.n;
    rg_buf_done(&text);
    rg_buf_done(&scratch);
    return err;
}

static void references_are_as_long_as_their_limit_and_no_longer(void **state)
{
    (void)state;
    assert_int_equal(parse_with(0, "x", RG_PHX_MAX_REF - 2, NULL), 0);
    assert_int_equal(parse_with(0, "x", RG_PHX_MAX_REF - 1, NULL), RG_EINVAL);
}

static void topics_and_events_are_as_long_as_they_come(void **state)
{
    size_t n;

    (void)state;
    assert_int_equal(parse_with(1, "x", 10 * RG_PHX_MAX_TOPIC, &n), 0);
    assert_int_equal(n, 10 * RG_PHX_MAX_TOPIC);
    assert_int_equal(parse_with(1, "\\u0041", RG_PHX_MAX_TOPIC, &n), 0);
    assert_int_equal(n, RG_PHX_MAX_TOPIC);
    assert_int_equal(parse_with(2, "x", 10000, NULL), 0);
}

/* ---- writing ---- */

static void assert_msg(enum rg_encoding encoding, const struct rg_phx_reply *reply,
                       struct rg_str want)
{
    struct rg_msg *msg = rg_phx_msg(encoding, reply);

    if (msg->n != want.n || memcmp(msg->p, want.p, want.n) != 0)
        fail_msg("%.*s", (int)msg->n, msg->p);
    assert_null(msg->event);
    rg_msg_unref(&msg);
}

/* In one unmasked text frame, or in one chunk. */
static void assert_ws(enum rg_encoding encoding, const struct rg_phx_reply *reply, const char *json)
{
    struct rg_buf want = {0};

    rg_buf_addf(&want, "\x81%c%s", (char)strlen(json), json);
    assert_msg(encoding, reply, rg_buf_str(&want));
    rg_buf_done(&want);
}
static void assert_chunk(const struct rg_phx_reply *reply, const char *text)
{
    struct rg_buf want = {0};

    rg_buf_addf(&want, "%zx\r\n%s\r\n", strlen(text), text);
    assert_msg(RG_ENC_PHX_SSE_CHUNKED, reply, rg_buf_str(&want));
    rg_buf_done(&want);
}

static void a_reply_has_the_bytes_of_each_encoding(void **state)
{
    static const struct rg_phx_reply reply = {
        .join_ref = RG_STR("\"6\""),
        .ref = RG_STR("\"9\""),
        .topic = RG_STR("user:ada"),
        .event = RG_STR("phx_reply"),
        .payload = RG_STR("{\"status\":\"ok\",\"response\":{}}"),
    };

#define V1                                                                                         \
    "{\"topic\":\"user:ada\",\"event\":\"phx_reply\",\"ref\":\"9\",\"join_ref\":null,"             \
    "\"payload\":{\"status\":\"ok\",\"response\":{}}}"
#define V2  "[\"6\",\"9\",\"user:ada\",\"phx_reply\",{\"status\":\"ok\",\"response\":{}}]"
#define SSE "id: 9\nevent: phx_reply\ndata: " V1 "\n\n"
    (void)state;
    assert_ws(RG_ENC_PHX_WS_V1, &reply, V1);
    assert_ws(RG_ENC_PHX_WS_V2, &reply, V2);
    assert_msg(RG_ENC_PHX_JSON_V1, &reply, RG_STR(V1));
    assert_msg(RG_ENC_PHX_JSON_V2, &reply,
               RG_STR("\"[\\\"6\\\",\\\"9\\\",\\\"user:ada\\\",\\\"phx_reply\\\","
                      "{\\\"status\\\":\\\"ok\\\",\\\"response\\\":{}}]\""));
    assert_msg(RG_ENC_PHX_SSE_PLAIN, &reply, RG_STR(SSE));
    assert_chunk(&reply, SSE);
#undef V1
#undef V2
#undef SSE
}

static void what_is_not_there_is_null(void **state)
{
    static const struct rg_phx_reply push = {
        .topic = RG_STR("t"), .event = RG_STR("e"), .payload = RG_STR("[]")};

    (void)state;
    assert_ws(RG_ENC_PHX_WS_V2, &push, "[null,null,\"t\",\"e\",[]]");
    assert_msg(RG_ENC_PHX_JSON_V1, &push,
               RG_STR("{\"topic\":\"t\",\"event\":\"e\",\"ref\":null,\"join_ref\":null,"
                      "\"payload\":[]}"));
    assert_msg(RG_ENC_PHX_SSE_PLAIN, &push, RG_STR("event: e\ndata: []\n\n"));
}

static void names_become_json_whatever_is_in_them(void **state)
{
    static const struct rg_phx_reply push = {
        .topic = RG_STR("a\"b\xff"), .event = RG_STR("c\n\\"), .payload = RG_STR("\"\\\"\"")};

    (void)state;
    assert_ws(RG_ENC_PHX_WS_V2, &push, "[null,null,\"a\\\"b\xef\xbf\xbd\",\"c\\n\\\\\",\"\\\"\"]");
    assert_msg(RG_ENC_PHX_JSON_V2, &push,
               RG_STR("\"[null,null,\\\"a\\\\\\\"b\xef\xbf\xbd\\\",\\\"c\\\\n\\\\\\\\\\\","
                      "\\\"\\\\\\\"\\\"]\""));
}

static void only_a_reply_shows_an_event_stream_its_topic(void **state)
{
    struct rg_phx_reply reply = {
        .topic = RG_STR("user:ada"), .event = RG_STR("phx_reply"), .payload = RG_STR("{}")};

    (void)state;
    assert_msg(RG_ENC_PHX_SSE_PLAIN, &reply,
               RG_STR("event: phx_reply\ndata: {\"topic\":\"user:ada\",\"event\":\"phx_reply\","
                      "\"ref\":null,\"join_ref\":null,\"payload\":{}}\n\n"));
    reply.event = RG_STR("presence_state");
    assert_msg(RG_ENC_PHX_SSE_PLAIN, &reply, RG_STR("event: presence_state\ndata: {}\n\n"));
}

static void only_a_reference_gives_an_event_stream_an_id(void **state)
{
    struct rg_phx_reply push = {.event = RG_STR("e"), .payload = RG_STR("1")};

    (void)state;
    push.ref = RG_STR("7");
    assert_msg(RG_ENC_PHX_SSE_PLAIN, &push, RG_STR("id: 7\nevent: e\ndata: 1\n\n"));
    push.ref = RG_STR("\"a\\nid: b\\u0000\"");
    assert_msg(RG_ENC_PHX_SSE_PLAIN, &push, RG_STR("id: a id: b \nevent: e\ndata: 1\n\n"));
    push.ref = RG_STR("null");
    assert_msg(RG_ENC_PHX_SSE_PLAIN, &push, RG_STR("event: e\ndata: 1\n\n"));
}

static void nothing_breaks_a_line_of_an_event_stream(void **state)
{
    const struct rg_phx_reply push = {.event = RG_STR("e\r\ndata: x\0"),
                                      .payload = RG_STR("{\r\n\"a\":\n[1,\r2]\n}")};
    const struct rg_phx_reply reply = {
        .topic = RG_STR("t\n"), .event = RG_STR("phx_reply"), .payload = RG_STR("[\n]")};

    (void)state;
    assert_msg(RG_ENC_PHX_SSE_PLAIN, &push,
               RG_STR("event: e  data: x \ndata: {  \"a\": [1, 2] }\n\n"));
    assert_msg(RG_ENC_PHX_SSE_PLAIN, &reply,
               RG_STR("event: phx_reply\ndata: {\"topic\":\"t\\n\",\"event\":\"phx_reply\","
                      "\"ref\":null,\"join_ref\":null,\"payload\":[ ]}\n\n"));
}

/* ---- events ---- */

static struct rg_event *channel_event(enum rg_event_kind kind, const char *topic, const char *name)
{
    const struct rg_channel_message message = {rg_str_c(topic), rg_str_c(name), RG_STR(MESSAGE)};
    const struct rg_origin origin = {.partition = -1, .offset = -1, .broker_ms = -1};

    return rg_event_new_for_channel(kind, &message, &origin, 1, 1);
}

static struct rg_event *cloud_event(void)
{
    const struct rg_envelope envelope = {
        .text = RG_STR(MESSAGE), .type = RG_STR("chat.posted"), .id = RG_STR("e1")};
    const struct rg_origin origin = {.partition = -1, .offset = -1, .broker_ms = -1};

    return rg_event_new(&envelope, &origin, NULL, 0, 1);
}

static void assert_event(struct rg_event *event, enum rg_encoding encoding, const char *want)
{
    struct rg_msg *msg = rg_msg_from_event(event, encoding, NULL);

    if (!rg_str_eq(rg_str_n(msg->p, msg->n), rg_str_c(want)))
        fail_msg("%.*s instead of %s", (int)msg->n, msg->p, want);
    rg_msg_unref(&msg);
}

static void assert_ws_event(struct rg_event *event, enum rg_encoding encoding, const char *json)
{
    struct rg_buf want = {0};

    rg_buf_addf(&want, "\x81%c%s", (char)strlen(json), json);
    rg_buf_add_char(&want, '\0');
    assert_event(event, encoding, want.p);
    rg_buf_done(&want);
}

static void a_message_on_a_channel_is_a_push_of_its_name(void **state)
{
    struct rg_event *event = channel_event(RG_EVENT_CHANNEL, "user:ada", "message");

    (void)state;
    assert_ws_event(event, RG_ENC_PHX_WS_V1,
                    "{\"topic\":\"user:ada\",\"event\":\"message\",\"ref\":null,"
                    "\"join_ref\":null,\"payload\":" MESSAGE "}");
    assert_event(event, RG_ENC_PHX_JSON_V1,
                 "{\"topic\":\"user:ada\",\"event\":\"message\",\"ref\":null,"
                 "\"join_ref\":null,\"payload\":" MESSAGE "}");
    assert_ws_event(event, RG_ENC_PHX_WS_V2, "[null,null,\"user:ada\",\"message\"," MESSAGE "]");
    assert_event(event, RG_ENC_PHX_JSON_V2,
                 "\"[null,null,\\\"user:ada\\\",\\\"message\\\",{\\\"n\\\":1}]\"");
    assert_event(event, RG_ENC_PHX_SSE_PLAIN, "event: message\ndata: " MESSAGE "\n\n");
    assert_event(event, RG_ENC_PHX_SSE_CHUNKED, "1e\r\nevent: message\ndata: " MESSAGE "\n\n\r\n");
    rg_event_unref(&event);
}

static void a_cloud_event_is_a_message_on_the_topic_of_its_type(void **state)
{
    struct rg_event *event = cloud_event();

    (void)state;
    assert_ws_event(event, RG_ENC_PHX_WS_V2,
                    "[null,null,\"events:chat.posted\",\"message\"," MESSAGE "]");
    assert_event(event, RG_ENC_PHX_JSON_V1,
                 "{\"topic\":\"events:chat.posted\",\"event\":\"message\",\"ref\":null,"
                 "\"join_ref\":null,\"payload\":" MESSAGE "}");
    assert_event(event, RG_ENC_PHX_SSE_PLAIN, "event: message\ndata: " MESSAGE "\n\n");
    rg_event_unref(&event);
}

static void a_diff_of_presences_has_its_name(void **state)
{
    struct rg_event *event = channel_event(RG_EVENT_PRESENCE, "role:vip", "presence_diff");

    (void)state;
    assert_event(event, RG_ENC_PHX_SSE_PLAIN, "event: presence_diff\ndata: " MESSAGE "\n\n");
    assert_event(event, RG_ENC_PHX_JSON_V2,
                 "\"[null,null,\\\"role:vip\\\",\\\"presence_diff\\\",{\\\"n\\\":1}]\"");
    rg_event_unref(&event);
}

static void both_ways_of_one_frame_share_its_bytes(void **state)
{
    struct rg_event *event = cloud_event();
    struct rg_msg *ws = rg_msg_from_event(event, RG_ENC_PHX_WS_V1, NULL);
    struct rg_msg *json = rg_msg_from_event(event, RG_ENC_PHX_JSON_V1, NULL);
    struct rg_msg *chunked = rg_msg_from_event(event, RG_ENC_PHX_SSE_CHUNKED, NULL);
    struct rg_msg *plain = rg_msg_from_event(event, RG_ENC_PHX_SSE_PLAIN, NULL);

    (void)state;
    assert_ptr_equal(json->p, ws->p + 2);
    assert_ptr_equal(plain->p, chunked->p + strlen("29\r\n"));
    assert_int_equal(plain->n, chunked->n - strlen("29\r\n\r\n"));
    rg_msg_unref(&ws);
    rg_msg_unref(&json);
    rg_msg_unref(&chunked);
    rg_msg_unref(&plain);
    rg_event_unref(&event);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_version_is_one_of_the_two_or_refused),
        cmocka_unit_test(an_array_of_five_is_a_message_of_v2),
        cmocka_unit_test(an_object_is_a_message_of_v1),
        cmocka_unit_test(references_are_kept_as_they_came_and_names_are_unescaped),
        cmocka_unit_test(what_is_wrong_with_a_message_is_said),
        cmocka_unit_test(references_are_as_long_as_their_limit_and_no_longer),
        cmocka_unit_test(topics_and_events_are_as_long_as_they_come),
        cmocka_unit_test(a_reply_has_the_bytes_of_each_encoding),
        cmocka_unit_test(what_is_not_there_is_null),
        cmocka_unit_test(names_become_json_whatever_is_in_them),
        cmocka_unit_test(only_a_reply_shows_an_event_stream_its_topic),
        cmocka_unit_test(only_a_reference_gives_an_event_stream_an_id),
        cmocka_unit_test(nothing_breaks_a_line_of_an_event_stream),
        cmocka_unit_test(a_message_on_a_channel_is_a_push_of_its_name),
        cmocka_unit_test(a_cloud_event_is_a_message_on_the_topic_of_its_type),
        cmocka_unit_test(a_diff_of_presences_has_its_name),
        cmocka_unit_test(both_ways_of_one_frame_share_its_bytes),
    };

    rg_match_key_init();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
