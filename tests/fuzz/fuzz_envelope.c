/*
 * Any text as an event in structured mode; and, read as lines "name:value" up to an
 * empty one and then a body, as an event in binary mode. What was composed is
 * JSON, and is a CloudEvent if it has a type and an id.
 */
#include "base/alloc.h"
#include "event/envelope.h"

static struct rg_extractors *extractors;
static struct rg_projector *projector;
static struct rg_buf scratch;

static void prepare(void)
{
    struct rg_problems problems = {0};
    extractors = rg_extractors_new(
        RG_STR("{\"chat\":{\"room\":{\"stable_field_index\":0,\"event\":"
               "{\"json_pointer\":\"/data/room\"}},\"who\":{\"stable_field_index\":1,\"event\":"
               "{\"json_pointer\":\"/data/0/who\"}}}}"),
        &problems);
    rg_assert(extractors != NULL);
    projector = rg_projector_new(rg_extractors_projection(extractors));
}

static int parse(struct rg_str text)
{
    struct rg_envelope envelope;
    struct rg_why why;
    int err = rg_envelope_parse(projector, text, &scratch, &envelope, &why);

    if (err == 0) {
        rg_assert(envelope.type.n > 0 && envelope.type.n <= RG_CE_MAX_TYPE && envelope.id.n > 0);
        /* As it came, white space around included. */
        rg_assert(envelope.text.p == text.p && envelope.text.n == text.n);
        struct rg_json room = rg_projector_get(projector, RG_SLOT_ENVELOPE_COUNT);
        rg_assert(room.kind == RG_JSON_NONE || room.text.n > 0);
    }
    return err;
}

static void compose(const struct rg_ce_attribute *attributes, size_t n, struct rg_str content_type,
                    struct rg_str body, bool is_kafka)
{
    struct rg_buf out = {0};
    struct rg_json value;
    struct rg_why why;

    if (rg_envelope_compose(attributes, n, content_type, body, is_kafka, &out, &why) == 0) {
        rg_assert(rg_json_check(rg_buf_str(&out), &value, &why) == 0);
        rg_assert(value.text.n == out.n);
        int err = parse(rg_buf_str(&out));
        rg_assert(err == 0 || err == RG_EINVAL);
    } else {
        rg_assert(out.n == 0);
    }
    rg_buf_done(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct rg_str rest = {(const char *)data, n};
    struct rg_ce_attribute attributes[RG_CE_MAX_ATTRIBUTES + 2];
    struct rg_str content_type = {NULL, 0};
    size_t count = 0;

    if (projector == NULL)
        prepare();
    (void)parse(rest);
    while (rest.p != NULL && count < RG_COUNT_OF(attributes)) {
        struct rg_str value = rg_str_split(&rest, '\n');
        struct rg_str name;
        if (value.n == 0)
            break;
        name = rg_str_split(&value, ':');
        if (rg_str_eq(name, RG_STR("content-type")))
            content_type = value;
        else
            attributes[count++] = (struct rg_ce_attribute){name, value};
    }
    (void)rg_envelope_http_mode(content_type, true);
    (void)rg_envelope_kafka_mode(content_type);
    compose(attributes, count, content_type, rest, false);
    compose(attributes, count, content_type, rest, true);
    return 0;
}
