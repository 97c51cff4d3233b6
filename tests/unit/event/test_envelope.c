#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "event/envelope.h"

static struct rg_extractors *extractors;
static struct rg_projector *projector;
static struct rg_buf scratch;
static struct rg_buf out; /* composed; the projector's slots point into it */
static int room_slot;

static int setup(void **state)
{
    (void)state;
    struct rg_problems problems = {0};
    extractors = rg_extractors_new(RG_STR("{\"chat\":{\"room\":{\"stable_field_index\":0,"
                                          "\"event\":{\"json_pointer\":\"/data/room\"}}}}"),
                                   &problems);
    assert_non_null(extractors);
    projector = rg_projector_new(rg_extractors_projection(extractors));
    room_slot = rg_extractors_at(extractors, 0)->fields[0].slot;
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    rg_projector_free(&projector);
    rg_extractors_free(&extractors);
    rg_buf_done(&scratch);
    rg_buf_done(&out);
    return 0;
}

static void assert_str(struct rg_str s, const char *expected)
{
    if (!rg_str_eq(s, rg_str_c(expected)))
        fail_msg("\"%.*s\" instead of \"%s\"", RG_STR_ARG(s), expected);
}

static struct rg_envelope accept(const char *text)
{
    struct rg_envelope envelope;
    struct rg_why why;
    if (rg_envelope_parse(projector, rg_str_c(text), &scratch, &envelope, &why) != 0)
        fail_msg("%s: %s: %s", text, why.place, why.text);
    return envelope;
}

static void refuse(const char *text, int err, const char *what)
{
    struct rg_envelope envelope;
    struct rg_why why;
    assert_int_equal(rg_envelope_parse(projector, rg_str_c(text), &scratch, &envelope, &why), err);
    if (strstr(why.text, what) == NULL)
        fail_msg("%s: \"%s\" does not say \"%s\"", text, why.text, what);
}

static void each_version_has_its_own_attributes(void **state)
{
    (void)state;
    struct rg_envelope e = accept(" {\"specversion\":\"1.0\",\"type\":\"a\",\"id\":\"1\"} ");
    assert_int_equal(e.version, RG_CE_1_0);
    assert_str(e.type, "a");
    assert_str(e.id, "1");
    assert_str(e.text, " {\"specversion\":\"1.0\",\"type\":\"a\",\"id\":\"1\"} ");
    e = accept("{\"specversion\":\"0.2\",\"type\":\"b\",\"id\":2.50,\"eventType\":\"no\"}");
    assert_int_equal(e.version, RG_CE_0_2);
    assert_str(e.type, "b");
    assert_str(e.id, "2.50");
    e = accept("{\"cloudEventsVersion\":\"0.1\",\"eventType\":\"c\",\"eventID\":\"3\",\"type\":5}");
    assert_int_equal(e.version, RG_CE_0_1);
    assert_str(e.type, "c");
    assert_str(e.id, "3");
}

static void specversion_wins_over_the_old_marker(void **state)
{
    (void)state;
    struct rg_envelope e =
        accept("{\"cloudEventsVersion\":\"0.1\",\"eventType\":\"old\",\"eventID\":\"1\","
               "\"specversion\":\"0.2\",\"type\":\"new\",\"id\":\"2\"}");
    assert_int_equal(e.version, RG_CE_0_2);
    assert_str(e.type, "new");
}

static void attributes_are_unescaped(void **state)
{
    (void)state;
    struct rg_envelope e = accept("{\"spec\\u0076ersion\":\"\\u0030.2\",\"type\":\"a\\/b\\u00e9\","
                                  "\"id\":\"\\\"x\\\"\"}");
    assert_str(e.type, "a/b\xc3\xa9");
    assert_str(e.id, "\"x\"");
}

static void what_is_no_cloud_event_is_refused_with_the_reason(void **state)
{
    (void)state;
    refuse("", RG_ESYNTAX, "ends too early");
    refuse("{\"specversion\":\"0.2\",\"type\":\"a\",\"id\":\"1\"", RG_ESYNTAX, "ends too early");
    refuse("{\"specversion\":\"0.2\",\"type\":\"a\",\"id\":\"1\"}}", RG_ESYNTAX, "follows");
    refuse("[]", RG_EINVAL, "must be a JSON object, not an array");
    refuse("null", RG_EINVAL, "must be a JSON object, not null");
    refuse("{}", RG_EINVAL, "neither specversion");
    refuse("{\"specversion\":\"0.3\"}", RG_EINVAL, "specversion must be");
    refuse("{\"specversion\":0.2,\"type\":\"a\",\"id\":\"1\"}", RG_EINVAL, "specversion must be");
    refuse("{\"cloudEventsVersion\":\"0.2\"}", RG_EINVAL, "cloudEventsVersion must be");
#define EVENT(members) "{\"specversion\":\"0.2\"" members "}"
    refuse(EVENT(",\"id\":\"1\""), RG_EINVAL, "type is missing");
    refuse(EVENT(",\"id\":\"1\",\"type\":\"\""), RG_EINVAL, "type must not be empty");
    refuse(EVENT(",\"id\":\"1\",\"type\":null"), RG_EINVAL, "type must be a string, not null");
    refuse(EVENT(",\"id\":\"1\",\"type\":7"), RG_EINVAL, "type must be a string, not a number");
    refuse(EVENT(",\"type\":\"a\""), RG_EINVAL, "id is missing");
    refuse(EVENT(",\"type\":\"a\",\"id\":\"\""), RG_EINVAL, "id must not be empty");
    refuse(EVENT(",\"type\":\"a\",\"id\":true"), RG_EINVAL, "string or a number, not a boolean");
    refuse("{\"cloudEventsVersion\":\"0.1\",\"type\":\"a\",\"id\":\"1\"}", RG_EINVAL,
           "eventType is missing");
    refuse("{\"cloudEventsVersion\":\"0.1\",\"eventType\":\"a\",\"eventID\":[]}", RG_EINVAL,
           "eventID must be a string or a number, not an array");
}

static void types_may_be_4096_bytes_long(void **state)
{
    (void)state;
    RG_CLEANUP(rg_buf_done) struct rg_buf text = {0};
    struct rg_envelope envelope;

    for (int i = 0; i < 2; i++) {
        rg_buf_clear(&text);
        rg_buf_add_c(&text, "{\"specversion\":\"1.0\",\"id\":\"1\",\"type\":\"");
        for (int k = 0; k < RG_CE_MAX_TYPE + i; k++)
            rg_buf_add_c(&text, "\\u0061");
        rg_buf_add_c(&text, "\"}");
        assert_int_equal(rg_envelope_parse(projector, rg_buf_str(&text), &scratch, &envelope, NULL),
                         i == 0 ? 0 : RG_EINVAL);
    }
}

static void expect_room(const char *json)
{
    struct rg_json value = rg_projector_get(projector, room_slot);
    if (json == NULL)
        assert_int_equal(value.kind, RG_JSON_NONE);
    else
        assert_str(value.text, json);
}

static void fields_are_found_in_data(void **state)
{
    (void)state;
    accept(EVENT(",\"type\":\"a\",\"id\":1,\"data\":{\"room\":\"blue\"}"));
    expect_room("\"blue\"");
    /* An object is looked into whatever its content type says. */
    accept(EVENT(",\"type\":\"a\",\"id\":1,\"contenttype\":\"text/plain\",\"data\":{\"room\":1}"));
    expect_room("1");
    accept(EVENT(",\"type\":\"a\",\"id\":1,\"data\":null"));
    expect_room(NULL);
}

static void json_text_in_data_is_looked_into_if_the_content_type_says_so(void **state)
{
    (void)state;
#define TEXT_DATA                                                                                  \
    ",\"id\":1,\"eventID\":1,\"type\":\"a\\tb\",\"eventType\":\"a\","                              \
    "\"data\":\"{\\\"room\\\":\\\"bl\\u0075e\\\"}\"}"
    struct rg_envelope e =
        accept("{\"specversion\":\"0.2\",\"contenttype\":\"application/json\"" TEXT_DATA);
    expect_room("\"blue\"");
    assert_str(e.type, "a\tb");
    accept("{\"specversion\":\"1.0\",\"datacontenttype\":\"Application\\/JSON; a=b\"" TEXT_DATA);
    expect_room("\"blue\"");
    accept("{\"cloudEventsVersion\":\"0.1\",\"contentType\":\"application/x+json\"" TEXT_DATA);
    expect_room("\"blue\"");
    accept("{\"specversion\":\"0.2\",\"contenttype\":\"text/plain\"" TEXT_DATA);
    expect_room(NULL);
    accept("{\"specversion\":\"0.2\"" TEXT_DATA);
    expect_room(NULL);
    accept("{\"specversion\":\"0.2\",\"datacontenttype\":\"application/json\"" TEXT_DATA);
    expect_room(NULL);
    accept(EVENT(",\"type\":\"a\",\"id\":1,\"contenttype\":\"application/json\","
                 "\"data\":\"{\\\"room\\\":1\""));
    expect_room(NULL);
}

/* -- binary mode ----------------------------------------------------------- */

#define ATTRIBUTE(name, value)                                                                     \
    {                                                                                              \
        {name, sizeof(name) - 1},                                                                  \
        {                                                                                          \
            value, sizeof(value) - 1                                                               \
        }                                                                                          \
    }
#define REQUIRED(version)                                                                          \
    ATTRIBUTE("specversion", version), ATTRIBUTE("type", "chat"), ATTRIBUTE("id", "42")

static void compose(const struct rg_ce_attribute *attributes, size_t n, const char *content_type,
                    struct rg_str body, bool is_kafka, const char *expected)
{
    struct rg_envelope envelope;
    struct rg_why why;

    rg_buf_clear(&out);
    rg_buf_add_c(&out, "before");
    if (rg_envelope_compose(attributes, n, rg_str_c(content_type), body, is_kafka, &out, &why) != 0)
        fail_msg("%s", why.text);
    assert_memory_equal(out.p, "before", 6);
    rg_buf_consume(&out, 6);
    assert_str(rg_buf_str(&out), expected);
    assert_int_equal(rg_envelope_parse(projector, rg_buf_str(&out), &scratch, &envelope, &why), 0);
}
#define COMPOSE(attributes, ...) compose(attributes, RG_COUNT_OF(attributes), __VA_ARGS__)

static void json_bodies_become_data_over_http(void **state)
{
    (void)state;
    const struct rg_ce_attribute a[] = {REQUIRED("0.2"),           ATTRIBUTE("time", "5"),
                                        ATTRIBUTE("count", "5"),   ATTRIBUTE("flag", " true "),
                                        ATTRIBUTE("word", "five"), ATTRIBUTE("none", "")};
    COMPOSE(a, "application/json; charset=utf-8", RG_STR(" {\"room\": 1}\n"), false,
            "{\"specversion\":\"0.2\",\"type\":\"chat\",\"id\":\"42\",\"time\":\"5\",\"count\":5,"
            "\"flag\":true,\"word\":\"five\",\"none\":\"\",\"data\":{\"room\": 1}}");
    expect_room("1");
}

static void other_bodies_become_strings_with_their_content_type(void **state)
{
    (void)state;
    const struct rg_ce_attribute a[] = {REQUIRED("0.2")};
    COMPOSE(a, "text/plain; x=\"y\"", RG_STR("one\ntwo"), false,
            "{\"specversion\":\"0.2\",\"type\":\"chat\",\"id\":\"42\","
            "\"contenttype\":\"text/plain; x=\\\"y\\\"\",\"data\":\"one\\ntwo\"}");
    COMPOSE(a, "image/png", RG_STR("\x89PNG"), false,
            "{\"specversion\":\"0.2\",\"type\":\"chat\",\"id\":\"42\","
            "\"contenttype\":\"image/png\",\"data_base64\":\"iVBORw==\"}");
    COMPOSE(a, "text/plain", RG_STR(""), false,
            "{\"specversion\":\"0.2\",\"type\":\"chat\",\"id\":\"42\","
            "\"contenttype\":\"text/plain\"}");
    COMPOSE(a, "application/json", RG_STR(""), false,
            "{\"specversion\":\"0.2\",\"type\":\"chat\",\"id\":\"42\"}");
}

static void strings_of_1_0_stay_strings(void **state)
{
    (void)state;
    const struct rg_ce_attribute a[] = {REQUIRED("1.0"), ATTRIBUTE("subject", "7"),
                                        ATTRIBUTE("dataschema", "8"), ATTRIBUTE("count", "9"),
                                        ATTRIBUTE("datacontenttype", "replaced")};
    COMPOSE(a, "text/plain", RG_STR("x"), false,
            "{\"specversion\":\"1.0\",\"type\":\"chat\",\"id\":\"42\",\"subject\":\"7\","
            "\"dataschema\":\"8\",\"count\":9,\"datacontenttype\":\"text/plain\",\"data\":\"x\"}");
    const struct rg_ce_attribute b[] = {REQUIRED("0.2"), ATTRIBUTE("subject", "7")};
    COMPOSE(
        b, "application/json", RG_STR("null"), false,
        "{\"specversion\":\"0.2\",\"type\":\"chat\",\"id\":\"42\",\"subject\":7,\"data\":null}");
}

static void kafka_keeps_the_content_type_and_data_that_is_not_json(void **state)
{
    (void)state;
    const struct rg_ce_attribute a[] = {REQUIRED("1.0")};
    COMPOSE(a, "application/json", RG_STR("{\"room\":2}"), true,
            "{\"specversion\":\"1.0\",\"type\":\"chat\",\"id\":\"42\","
            "\"datacontenttype\":\"application/json\",\"data\":{\"room\":2}}");
    COMPOSE(a, "application/json", RG_STR("{\"room\""), true,
            "{\"specversion\":\"1.0\",\"type\":\"chat\",\"id\":\"42\","
            "\"datacontenttype\":\"application/json\",\"data\":\"{\\\"room\\\"\"}");
    const struct rg_ce_attribute old[] = {
        ATTRIBUTE("cloudeventsversion", "0.1"), ATTRIBUTE("eventtype", "chat"),
        ATTRIBUTE("eventid", "42"), ATTRIBUTE("eventtypeversion", "1"), ATTRIBUTE("x", "1")};
    COMPOSE(old, "text/plain", RG_STR("t"), true,
            "{\"cloudEventsVersion\":\"0.1\",\"eventType\":\"chat\",\"eventID\":\"42\","
            "\"eventTypeVersion\":\"1\",\"x\":1,\"contentType\":\"text/plain\",\"data\":\"t\"}");
}

static void refuse_compose(const struct rg_ce_attribute *attributes, size_t n, struct rg_str body,
                           int err, const char *what)
{
    struct rg_why why;

    rg_buf_clear(&out);
    rg_buf_add_c(&out, "before");
    assert_int_equal(
        rg_envelope_compose(attributes, n, RG_STR("application/json"), body, false, &out, &why),
        err);
    assert_str(rg_buf_str(&out), "before");
    if (strstr(why.text, what) == NULL)
        fail_msg("\"%s\" does not say \"%s\"", why.text, what);
}
#define REFUSE_COMPOSE(a, body, err, what)                                                         \
    refuse_compose(a, RG_COUNT_OF(a), RG_STR(body), err, what)

static void what_cannot_be_composed_leaves_the_output_alone(void **state)
{
    (void)state;
    const struct rg_ce_attribute fine[] = {REQUIRED("0.2")};
    REFUSE_COMPOSE(fine, "{", RG_ESYNTAX, "ends too early");
    const struct rg_ce_attribute none[] = {ATTRIBUTE("type", "a")};
    REFUSE_COMPOSE(none, "1", RG_EINVAL, "specversion must be");
    const struct rg_ce_attribute unknown[] = {REQUIRED("0.1")};
    REFUSE_COMPOSE(unknown, "1", RG_EINVAL, "specversion must be");
    const struct rg_ce_attribute old[] = {ATTRIBUTE("cloudeventsversion", "0.1")};
    REFUSE_COMPOSE(old, "1", RG_EINVAL, "specversion must be");
    const struct rg_ce_attribute twice[] = {REQUIRED("0.2"), ATTRIBUTE("x", "1"),
                                            ATTRIBUTE("X", "2")};
    REFUSE_COMPOSE(twice, "1", RG_EINVAL, "X comes twice");
    const struct rg_ce_attribute data[] = {REQUIRED("0.2"), ATTRIBUTE("data", "1")};
    REFUSE_COMPOSE(data, "1", RG_EINVAL, "data cannot be an attribute");
    static const char *const names[] = {"", "a b", "a\"b", "a\\b", "a\n", "\xc3\xa9", "\x7f"};
    for (size_t i = 0; i < RG_COUNT_OF(names); i++) {
        const struct rg_ce_attribute bad[] = {REQUIRED("0.2"), {rg_str_c(names[i]), RG_STR("1")}};
        REFUSE_COMPOSE(bad, "1", RG_EINVAL, "visible ASCII");
    }
    struct rg_ce_attribute many[RG_CE_MAX_ATTRIBUTES + 1] = {REQUIRED("0.2")};
    REFUSE_COMPOSE(many, "1", RG_EINVAL, "more than 128");
}

/* What is just not too deep alone would be inside the event. */
static void nesting_counts_the_event_itself(void **state)
{
    (void)state;
    RG_CLEANUP(rg_buf_done) struct rg_buf body = {0};
    const struct rg_ce_attribute a[] = {REQUIRED("0.2")};

    rg_buf_clear(&out);
    for (int depth = RG_JSON_MAX_DEPTH - 1; depth <= RG_JSON_MAX_DEPTH; depth++) {
        rg_buf_clear(&body);
        for (int i = 0; i < depth; i++)
            rg_buf_add_char(&body, '[');
        for (int i = 0; i < depth; i++)
            rg_buf_add_char(&body, ']');
        int err = rg_envelope_compose(a, RG_COUNT_OF(a), RG_STR("application/json"),
                                      rg_buf_str(&body), false, &out, NULL);
        assert_int_equal(err, depth < RG_JSON_MAX_DEPTH ? 0 : RG_EINVAL);
    }
    const struct rg_ce_attribute deep[] = {REQUIRED("0.2"), {RG_STR("x"), rg_buf_str(&body)}};
    rg_buf_clear(&out);
    assert_int_equal(rg_envelope_compose(deep, RG_COUNT_OF(deep), RG_STR("application/json"),
                                         RG_STR("1"), false, &out, NULL),
                     0);
    struct rg_envelope envelope;
    assert_int_equal(rg_envelope_parse(projector, rg_buf_str(&out), &scratch, &envelope, NULL), 0);
}

static void http_content_types_choose_the_mode(void **state)
{
    (void)state;
    static const struct {
        const char *type;
        enum rg_ce_mode with, without;
    } cases[] = {
        {"application/cloudevents+json", RG_CE_STRUCTURED, RG_CE_STRUCTURED},
        {"Application/CloudEvents+JSON ; charset=utf-8", RG_CE_STRUCTURED, RG_CE_STRUCTURED},
        {"application/cloudevents+avro", RG_CE_UNSUPPORTED, RG_CE_UNSUPPORTED},
        {"application/json", RG_CE_BINARY, RG_CE_STRUCTURED},
        {"application/json;a=b", RG_CE_BINARY, RG_CE_STRUCTURED},
        {"application/cloudevents-batch", RG_CE_BATCH, RG_CE_BATCH},
        {"application/cloudevents-batch+json", RG_CE_JSON_BATCH, RG_CE_JSON_BATCH},
        {"Application/CloudEvents-Batch+JSON; charset=utf-8", RG_CE_JSON_BATCH, RG_CE_JSON_BATCH},
        {"application/cloudevents", RG_CE_BINARY, RG_CE_BINARY},
        {"text/plain", RG_CE_BINARY, RG_CE_BINARY},
        {"", RG_CE_NOT_A_TYPE, RG_CE_NOT_A_TYPE},
        {"json", RG_CE_NOT_A_TYPE, RG_CE_NOT_A_TYPE},
        {"/json", RG_CE_NOT_A_TYPE, RG_CE_NOT_A_TYPE},
        {"text/", RG_CE_NOT_A_TYPE, RG_CE_NOT_A_TYPE},
        {"text/a/b", RG_CE_NOT_A_TYPE, RG_CE_NOT_A_TYPE},
        {"text/pl ain", RG_CE_NOT_A_TYPE, RG_CE_NOT_A_TYPE},
    };
    for (size_t i = 0; i < RG_COUNT_OF(cases); i++) {
        struct rg_str type = rg_str_c(cases[i].type);
        assert_int_equal(rg_envelope_http_mode(type, true), cases[i].with);
        assert_int_equal(rg_envelope_http_mode(type, false), cases[i].without);
    }
    assert_int_equal(rg_envelope_http_mode((struct rg_str){NULL, 0}, false), RG_CE_NOT_A_TYPE);
}

static void kafka_content_types_choose_the_mode(void **state)
{
    (void)state;
    static const struct {
        const char *type;
        enum rg_ce_mode mode;
    } cases[] = {
        {NULL, RG_CE_STRUCTURED},
        {"application/cloudevents", RG_CE_STRUCTURED},
        {"application/cloudevents+json; charset=utf-8", RG_CE_STRUCTURED},
        {"application/cloudevents+avro", RG_CE_UNSUPPORTED},
        {"application/cloudevents-batch", RG_CE_BATCH},
        {"application/cloudevents-batch+json", RG_CE_BATCH},
        {"application/json", RG_CE_BINARY},
        {"avro/binary", RG_CE_BINARY},
        {"whatever", RG_CE_BINARY},
    };
    for (size_t i = 0; i < RG_COUNT_OF(cases); i++)
        assert_int_equal(rg_envelope_kafka_mode(rg_str_c(cases[i].type)), cases[i].mode);
}

/* -- a glance --------------------------------------------------------------- */

/* What is asked for, and what was told. */
struct question {
    bool is_wanted;
    uint64_t fields;
    char type[32]; /* that wanted was asked about; empty: it was not asked */
};

static bool wanted(void *arg, struct rg_str type, const struct rg_extractor_type **ret_type,
                   uint64_t *ret_fields)
{
    struct question *question = arg;

    assert_int_equal(question->type[0], '\0'); /* asked once */
    snprintf(question->type, sizeof(question->type), "%.*s", RG_STR_ARG(type));
    *ret_type = rg_extractors_find(extractors, type);
    *ret_fields = question->fields;
    return question->is_wanted;
}

static int glance(struct question *question, const char *text, struct rg_envelope *ret)
{
    struct rg_why why;

    question->type[0] = '\0';
    return rg_envelope_glance(projector, rg_str_c(text), wanted, question, &scratch, ret, &why);
}

#define SEEN "\"specversion\":\"1.0\",\"type\":\"chat\",\"id\":\"1\""

static void a_glance_ends_with_the_attributes_if_nobody_wants_the_type(void **state)
{
    (void)state;
    struct question question = {.is_wanted = false};
    struct rg_envelope e;
    assert_int_equal(glance(&question, "{" SEEN ",\"rest\":!", &e), 1);
    assert_string_equal(question.type, "chat");
    assert_int_equal(
        glance(&question, "{\"id\":\"1\",\"x\":[{}],\"type\":\"b\",\"specversion\":\"0.2\"}!", &e),
        1);
    assert_string_equal(question.type, "b");
}

static void a_glance_ends_when_all_fields_asked_for_are_there(void **state)
{
    (void)state;
    struct question question = {.is_wanted = true, .fields = 0};
    struct rg_envelope e;
    assert_int_equal(glance(&question, "{" SEEN ",\"rest\":!", &e), 2);
    question.fields = 1;
    assert_int_equal(
        glance(&question, "{" SEEN ",\"data\":{\"x\":1,\"room\":\"blue\",\"rest\":!", &e), 2);
    assert_str(rg_projector_get(projector, room_slot).text, "\"blue\"");
    /* They may come first. */
    assert_int_equal(glance(&question, "{\"data\":{\"room\":7}," SEEN ",\"rest\":!", &e), 2);
    assert_str(rg_projector_get(projector, room_slot).text, "7");
}

static void a_glance_that_misses_a_field_reads_all_as_a_parse_does(void **state)
{
    (void)state;
    struct question question = {.is_wanted = true, .fields = 1};
    struct rg_envelope e;
    static const char text[] = "{" SEEN ",\"data\":\"{\\\"room\\\":5}\","
                               "\"datacontenttype\":\"application/json\"}";
    assert_int_equal(glance(&question, text, &e), 0);
    assert_str(e.type, "chat");
    assert_str(e.id, "1");
    assert_str(e.text, text);
    assert_str(rg_projector_get(projector, room_slot).text, "5");
    assert_int_equal(glance(&question, "{" SEEN ",\"data\":{}", &e), RG_ESYNTAX);
    assert_int_equal(glance(&question, "{" SEEN ",\"data\":{}}", &e), 0);
    assert_int_equal(rg_projector_get(projector, room_slot).kind, RG_JSON_NONE);
}

static void a_glance_leaves_what_is_unusual_to_the_parse(void **state)
{
    static const char *const unusual[] = {
        "{\"cloudEventsVersion\":\"0.1\",\"eventType\":\"chat\",\"eventID\":\"1\"}",
        "{\"specversion\":\"1\\u002e0\",\"type\":\"chat\",\"id\":\"1\"}",
        "{\"specversion\":\"1.0\",\"type\":\"ch\\u0061t\",\"id\":\"1\"}",
        "{\"specversion\":\"1.0\",\"type\":\"chat\",\"id\":\"\\u0031\"}",
        "{\"specversion\":\"1.0\",\"type\":\"chat\",\"id\":1}",
    };
    static const char *const refused[] = {
        "{\"specversion\":\"1.0\",\"type\":\"chat\",\"id\":\"\"}",
        "{\"specversion\":\"1.0\",\"type\":\"\",\"id\":\"1\"}",
        "{\"specversion\":\"1.0\",\"type\":\"chat\"}",
        "{\"specversion\":null,\"specversion\":\"1.0\",\"type\":\"chat\",\"id\":\"1\"}",
        "{\"specversion\":\"0.3\",\"type\":\"chat\",\"id\":\"1\"}",
        "[{" SEEN "}]",
    };

    (void)state;
    struct question question = {.is_wanted = false};
    struct rg_envelope e;
    for (size_t i = 0; i < RG_COUNT_OF(unusual); i++) {
        assert_int_equal(glance(&question, unusual[i], &e), 0);
        assert_str(e.type, "chat");
        assert_str(e.id, "1");
        assert_string_equal(question.type, "");
    }
    for (size_t i = 0; i < RG_COUNT_OF(refused); i++) {
        assert_int_equal(glance(&question, refused[i], &e), RG_EINVAL);
        assert_string_equal(question.type, "");
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_version_has_its_own_attributes),
        cmocka_unit_test(specversion_wins_over_the_old_marker),
        cmocka_unit_test(attributes_are_unescaped),
        cmocka_unit_test(what_is_no_cloud_event_is_refused_with_the_reason),
        cmocka_unit_test(types_may_be_4096_bytes_long),
        cmocka_unit_test(fields_are_found_in_data),
        cmocka_unit_test(json_text_in_data_is_looked_into_if_the_content_type_says_so),
        cmocka_unit_test(json_bodies_become_data_over_http),
        cmocka_unit_test(other_bodies_become_strings_with_their_content_type),
        cmocka_unit_test(strings_of_1_0_stay_strings),
        cmocka_unit_test(kafka_keeps_the_content_type_and_data_that_is_not_json),
        cmocka_unit_test(what_cannot_be_composed_leaves_the_output_alone),
        cmocka_unit_test(nesting_counts_the_event_itself),
        cmocka_unit_test(http_content_types_choose_the_mode),
        cmocka_unit_test(kafka_content_types_choose_the_mode),
        cmocka_unit_test(a_glance_ends_with_the_attributes_if_nobody_wants_the_type),
        cmocka_unit_test(a_glance_ends_when_all_fields_asked_for_are_there),
        cmocka_unit_test(a_glance_that_misses_a_field_reads_all_as_a_parse_does),
        cmocka_unit_test(a_glance_leaves_what_is_unusual_to_the_parse),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
