#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "event/json.h"
#include "kafka/decode.h"

#define HEADER(n, v)                                                                               \
    {                                                                                              \
        RG_STR(n), RG_STR(v)                                                                       \
    }
#define EVENT "{\"specversion\":\"0.2\",\"type\":\"a\",\"source\":\"s\",\"id\":\"1\"}"

static struct rg_buf scratch;
static struct rg_why why;
static enum rg_format format; /* of the topic, then of the record */

static int decode(const struct rg_record_header *headers, size_t n, struct rg_str value,
                  struct rg_str *ret)
{
    memset(&why, 0, sizeof(why));
    return rg_decode_record(headers, n, value, &format, &scratch, ret, &why);
}

static int decode_as(const char *content_type, struct rg_str value, struct rg_str *ret)
{
    struct rg_record_header header = {RG_STR("Content-Type"), rg_str_c(content_type)};

    return decode(&header, 1, value, ret);
}

static void assert_forwarded(int err, struct rg_str event)
{
    assert_int_equal(err, 0);
    assert_int_equal(event.n, strlen(EVENT));
    assert_memory_equal(event.p, EVENT, event.n);
}

static void value_without_headers_is_forwarded_byte_for_byte(void **state)
{
    struct rg_str event;

    (void)state;
    assert_forwarded(decode(NULL, 0, RG_STR(EVENT), &event), event);
}

static void structured_content_types_are_forwarded(void **state)
{
    struct rg_str event;

    (void)state;
    assert_forwarded(decode_as("application/cloudevents+json", RG_STR(EVENT), &event), event);
    assert_forwarded(
        decode_as("application/CloudEvents+JSON; charset=UTF-8", RG_STR(EVENT), &event), event);
    assert_forwarded(decode_as("application/cloudevents", RG_STR(EVENT), &event), event);
}

static void foreign_encodings_and_batches_are_refused(void **state)
{
    static const char *const types[] = {"application/cloudevents+xml",
                                        "application/cloudevents+avro",
                                        "application/cloudevents-batch+json"};
    struct rg_str event;

    (void)state;
    for (size_t i = 0; i < RG_COUNT_OF(types); i++) {
        assert_true(decode_as(types[i], RG_STR(EVENT), &event) < 0);
        assert_true(why.text[0] != '\0');
    }
}

static void empty_value_is_refused(void **state)
{
    struct rg_str event;

    (void)state;
    assert_int_equal(decode(NULL, 0, RG_STR(""), &event), RG_EINVAL);
    assert_int_equal(decode(NULL, 0, (struct rg_str){NULL, 0}, &event), RG_EINVAL);
    assert_int_equal(decode_as("application/json", RG_STR(""), &event), RG_EINVAL);
}

static void avro_says_what_it_needs(void **state)
{
    struct rg_str event;

    (void)state;
    assert_true(decode(NULL, 0, RG_STR("\0\0\0\1\5\4ab"), &event) < 0);
    assert_non_null(strstr(why.text, "KAFKA_SCHEMA_REGISTRY_HOST"));
    assert_true(decode_as("application/cloudevents+json", RG_STR("\0\0\0\1\5\4ab"), &event) < 0);
    assert_non_null(strstr(why.text, "KAFKA_SCHEMA_REGISTRY_HOST"));
    assert_true(decode_as("avro/binary", RG_STR("\0\0\0\1\5\4ab"), &event) < 0);
    assert_non_null(strstr(why.text, "KAFKA_SCHEMA_REGISTRY_HOST"));
}

static struct rg_json member(struct rg_str event, struct rg_str name)
{
    struct rg_json object;

    assert_int_equal(rg_json_check(event, &object, NULL), 0);
    return rg_json_member(object, name);
}

static void assert_text(struct rg_json value, const char *text)
{
    assert_int_equal(value.text.n, strlen(text));
    assert_memory_equal(value.text.p, text, value.text.n);
}

static void binary_attributes_and_value_become_one_event(void **state)
{
    const struct rg_record_header headers[] = {
        HEADER("content-type", "application/json"), HEADER("ce_specversion", "0.2"),
        HEADER("ce_type", "a"), HEADER("ce_source", "s"), HEADER("ce_id", "1")};
    struct rg_str event;

    (void)state;
    assert_int_equal(decode(headers, 5, RG_STR("{\"foo\":\"bar\"}"), &event), 0);
    assert_text(member(event, RG_STR("type")), "\"a\"");
    assert_text(member(event, RG_STR("specversion")), "\"0.2\"");
    assert_text(rg_json_member(member(event, RG_STR("data")), RG_STR("foo")), "\"bar\"");
}

static void hyphenated_attributes_do_not_count(void **state)
{
    const struct rg_record_header headers[] = {
        HEADER("content-type", "application/json"), HEADER("ce-specversion", "0.2"),
        HEADER("ce-type", "a"), HEADER("ce-source", "s"), HEADER("ce-id", "1")};
    struct rg_str event;

    (void)state;
    assert_true(decode(headers, 5, RG_STR("{\"foo\":\"bar\"}"), &event) < 0);
}

static void first_content_type_counts(void **state)
{
    const struct rg_record_header headers[] = {HEADER("CONTENT-TYPE", "application/cloudevents"),
                                               HEADER("content-type", "application/json")};
    struct rg_str event;

    (void)state;
    assert_forwarded(decode(headers, 2, RG_STR(EVENT), &event), event);
}

static void too_many_headers_are_refused(void **state)
{
    struct rg_record_header headers[RG_DECODE_MAX_HEADERS + 1];
    struct rg_str event;

    (void)state;
    for (size_t i = 0; i < RG_COUNT_OF(headers); i++)
        headers[i] = (struct rg_record_header){RG_STR("ce_x"), RG_STR("1")};
    assert_int_equal(decode(headers, RG_COUNT_OF(headers), RG_STR(EVENT), &event), RG_EFULL);
    assert_forwarded(decode(headers, RG_COUNT_OF(headers) - 1, RG_STR(EVENT), &event), event);
}

static int free_scratch(void **state)
{
    (void)state;
    rg_buf_done(&scratch);
    return 0;
}

#define MESSAGE "{\"username\":\"ada\"}"

/* Decodes a record of a topic with this format; *ret_format becomes the record's. */
static int decode_for(enum rg_format topic, const struct rg_record_header *headers, size_t n,
                      const char *value, enum rg_format *ret_format)
{
    struct rg_str text = {NULL, 0};
    int err;

    format = topic;
    err = decode(headers, n, rg_str_c(value), &text);
    *ret_format = format;
    format = RG_FORMAT_AUTO;
    /* A message is handed on as it is. */
    if (err == 0 && *ret_format != RG_FORMAT_CLOUDEVENTS)
        assert_ptr_equal(text.p, value);
    return err;
}

static void headers_are_irrelevant_where_a_topic_has_messages(void **state)
{
    static const struct rg_record_header headers[] = {
        HEADER("content-type", "application/cloudevents+xml"), HEADER("ce_type", "a")};
    enum rg_format got;

    (void)state;
    assert_int_equal(decode_for(RG_FORMAT_MESSAGES, headers, 2, MESSAGE, &got), 0);
    assert_int_equal(got, RG_FORMAT_MESSAGES);
    assert_int_equal(decode_for(RG_FORMAT_MESSAGES, NULL, 0, "", &got), RG_EINVAL);
}

static void headers_that_speak_of_events_decide_where_a_topic_has_both(void **state)
{
    static const struct {
        struct rg_record_header headers[2];
        enum rg_format expected;
        bool is_fine;
    } cases[] = {
        {{HEADER("key", "x"), HEADER("other", "y")}, RG_FORMAT_AUTO, true},
        {{HEADER("content-type", ""), HEADER("other", "y")}, RG_FORMAT_AUTO, true},
        {{HEADER("Content-Type", "application/json"), HEADER("other", "y")},
         RG_FORMAT_NO_EVENT,
         true},
        {{HEADER("content-type", "text/plain"), HEADER("ce-type", "a")}, RG_FORMAT_NO_EVENT, true},
        {{HEADER("content-type", "application/cloudevents"), HEADER("other", "y")},
         RG_FORMAT_CLOUDEVENTS,
         true},
        {{HEADER("content-type", "application/json"), HEADER("ce_type", "a")},
         RG_FORMAT_CLOUDEVENTS,
         false},
        {{HEADER("content-type", "avro/binary"), HEADER("other", "y")},
         RG_FORMAT_CLOUDEVENTS,
         false},
    };
    enum rg_format got;

    (void)state;
    for (size_t i = 0; i < RG_COUNT_OF(cases); i++) {
        int err = decode_for(RG_FORMAT_AUTO, cases[i].headers, 2, MESSAGE, &got);
        if ((err == 0) != cases[i].is_fine || got != cases[i].expected)
            fail_msg("case %zu: %d, format %d", i, err, (int)got);
    }
}

static void a_topic_with_events_takes_nothing_else(void **state)
{
    static const struct rg_record_header header = HEADER("content-type", "application/json");
    enum rg_format got;

    (void)state;
    assert_true(decode_for(RG_FORMAT_CLOUDEVENTS, &header, 1, MESSAGE, &got) < 0);
    assert_int_equal(got, RG_FORMAT_CLOUDEVENTS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(value_without_headers_is_forwarded_byte_for_byte),
        cmocka_unit_test(structured_content_types_are_forwarded),
        cmocka_unit_test(foreign_encodings_and_batches_are_refused),
        cmocka_unit_test(empty_value_is_refused),
        cmocka_unit_test(avro_says_what_it_needs),
        cmocka_unit_test(binary_attributes_and_value_become_one_event),
        cmocka_unit_test(hyphenated_attributes_do_not_count),
        cmocka_unit_test(first_content_type_counts),
        cmocka_unit_test(too_many_headers_are_refused),
        cmocka_unit_test(headers_are_irrelevant_where_a_topic_has_messages),
        cmocka_unit_test(headers_that_speak_of_events_decide_where_a_topic_has_both),
        cmocka_unit_test(a_topic_with_events_takes_nothing_else),
    };
    return cmocka_run_group_tests(tests, NULL, free_scratch);
}
