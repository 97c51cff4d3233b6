#include "event/envelope.h"

#include <stdio.h>

#include "base/alloc.h"
#include "base/base64.h"
#include "base/utf8.h"
#include "event/json_priv.h"

/* What differs from version to version. */
static const struct version {
    const char *version_name; /* of the attributes, as they are written in an event */
    const char *type_name;
    const char *id_name;
    const char *content_type_name;
    int type_slot, id_slot, content_type_slot;
    /* Attributes of events in binary mode that stay strings, whatever they look like. */
    const char *strings[12];
} versions[] = {
    [RG_CE_1_0] = {"specversion",
                   "type",
                   "id",
                   "datacontenttype",
                   RG_SLOT_TYPE,
                   RG_SLOT_ID,
                   RG_SLOT_DATACONTENTTYPE,
                   {"specversion", "type", "source", "id", "time", "schemaurl", "subject",
                    "dataschema", "datacontenttype"}},
    [RG_CE_0_2] = {"specversion",
                   "type",
                   "id",
                   "contenttype",
                   RG_SLOT_TYPE,
                   RG_SLOT_ID,
                   RG_SLOT_CONTENTTYPE,
                   {"specversion", "type", "source", "id", "time", "schemaurl"}},
    [RG_CE_0_1] = {"cloudEventsVersion",
                   "eventType",
                   "eventID",
                   "contentType",
                   RG_SLOT_OLD_TYPE,
                   RG_SLOT_OLD_ID,
                   RG_SLOT_OLD_CONTENTTYPE,
                   {"cloudEventsVersion", "eventType", "source", "eventID", "eventTime",
                    "schemaURL", "eventTypeVersion", "contentType"}},
};

/* -- structured mode ------------------------------------------------------- */

static bool is_string(const struct rg_projector *projector, int slot, struct rg_str plain)
{
    struct rg_json value = rg_projector_get(projector, slot);

    return value.kind == RG_JSON_STRING &&
           rg_json_key_eq(rg_str_n(value.text.p + 1, value.text.n - 2), plain);
}

static int read_version(const struct rg_projector *projector, enum rg_ce_version *ret,
                        struct rg_why *why)
{
    /* specversion comes first where both are present. */
    if (is_string(projector, RG_SLOT_SPECVERSION, RG_STR("1.0")))
        *ret = RG_CE_1_0;
    else if (is_string(projector, RG_SLOT_SPECVERSION, RG_STR("0.2")))
        *ret = RG_CE_0_2;
    else if (is_string(projector, RG_SLOT_OLD_VERSION, RG_STR("0.1")))
        *ret = RG_CE_0_1;
    else if (rg_projector_get(projector, RG_SLOT_SPECVERSION).kind != RG_JSON_NONE)
        return rg_why_set(why, RG_EINVAL, "/specversion", "specversion must be \"1.0\" or \"0.2\"");
    else if (rg_projector_get(projector, RG_SLOT_OLD_VERSION).kind != RG_JSON_NONE)
        return rg_why_set(why, RG_EINVAL, "/cloudEventsVersion",
                          "cloudEventsVersion must be \"0.1\"");
    else
        return rg_why_set(why, RG_EINVAL, "/specversion",
                          "there is neither specversion (\"1.0\" or \"0.2\") nor "
                          "cloudEventsVersion (\"0.1\")");
    return 0;
}

static int refuse_required(const char *name, enum rg_json_kind kind, bool is_number_ok,
                           struct rg_why *why)
{
    const char *expected = is_number_ok ? "a string or a number" : "a string";
    char place[32];

    snprintf(place, sizeof(place), "/%s", name);
    if (kind == RG_JSON_NONE)
        return rg_why_set(why, RG_EINVAL, place, "%s is missing", name);
    if (kind == RG_JSON_STRING)
        return rg_why_set(why, RG_EINVAL, place, "%s must not be empty", name);
    return rg_why_set(why, RG_EINVAL, place, "%s must be %s, not %s", name, expected,
                      rg_json_kind_name(kind));
}

/* An attribute that must be a string with something in it, or a number where that is fine. */
static int read_required(const struct rg_projector *projector, int slot, const char *name,
                         bool is_number_ok, struct rg_buf *scratch, struct rg_str *ret,
                         struct rg_why *why)
{
    struct rg_json value = rg_projector_get(projector, slot);

    if (value.kind == RG_JSON_STRING)
        *ret = rg_json_string(value, scratch);
    else if (value.kind == RG_JSON_NUMBER && is_number_ok)
        *ret = value.text;
    else
        return refuse_required(name, value.kind, is_number_ok, why);
    return ret->n > 0 ? 0 : refuse_required(name, value.kind, is_number_ok, why);
}

/* The media type in front of a content type's parameters. */
static struct rg_str essence(struct rg_str content_type)
{
    return rg_str_trim(rg_str_split(&content_type, ';'));
}

static bool is_json_type(struct rg_str content_type)
{
    struct rg_str type = essence(content_type);

    if (rg_str_eq_nocase(type, RG_STR("application/json")))
        return true;
    return type.n > 5 && rg_str_eq_nocase(rg_str_n(type.p + type.n - 5, 5), RG_STR("+json"));
}

/*
 * client-api.md 10.2.2: JSON text in a string is looked into if the content type says JSON.
 * Uses scratch in passing.
 */
static bool is_data_text(const struct rg_projector *projector, const struct version *v,
                         struct rg_buf *scratch)
{
    struct rg_json data = rg_projector_get(projector, RG_SLOT_DATA);
    struct rg_json type = rg_projector_get(projector, v->content_type_slot);

    if (data.kind != RG_JSON_STRING || type.kind != RG_JSON_STRING)
        return false;
    rg_buf_clear(scratch);
    return is_json_type(rg_json_string(type, scratch)) &&
           rg_projector_leads_below(projector, RG_STR("/data"));
}

static size_t string_size(const struct rg_projector *projector, int slot)
{
    struct rg_json value = rg_projector_get(projector, slot);

    return value.kind == RG_JSON_STRING ? value.text.n : 0;
}

/* Empties scratch and makes room for all that may be unescaped, so that no slice of it moves. */
static void prepare(const struct rg_projector *projector, const struct version *v, bool with_data,
                    struct rg_buf *scratch)
{
    rg_buf_clear(scratch);
    rg_buf_reserve(scratch, string_size(projector, v->type_slot) +
                                string_size(projector, v->id_slot) +
                                (with_data ? string_size(projector, RG_SLOT_DATA) : 0));
}

/* The projector has read all of the text. */
static int read_envelope(struct rg_projector *projector, struct rg_str text, struct rg_json root,
                         struct rg_buf *scratch, struct rg_envelope *ret, struct rg_why *why)
{
    struct rg_envelope envelope = {0};
    int err;

    if (root.kind != RG_JSON_OBJECT)
        return rg_why_set(why, RG_EINVAL, "", "an event must be a JSON object, not %s",
                          rg_json_kind_name(root.kind));
    envelope.text = text;
    err = read_version(projector, &envelope.version, why);
    if (err < 0)
        return err;

    const struct version *v = &versions[envelope.version];
    bool with_data = is_data_text(projector, v, scratch);
    prepare(projector, v, with_data, scratch);
    err = read_required(projector, v->type_slot, v->type_name, false, scratch, &envelope.type, why);
    if (err < 0)
        return err;
    if (envelope.type.n > RG_CE_MAX_TYPE)
        return rg_why_set(why, RG_EINVAL, "", "%s is longer than %d bytes", v->type_name,
                          RG_CE_MAX_TYPE);
    err = read_required(projector, v->id_slot, v->id_name, true, scratch, &envelope.id, why);
    if (err < 0)
        return err;
    /* Text that is not JSON after all leads to no value, which is no error of the event's. */
    if (with_data)
        (void)rg_projector_run_below(
            projector, RG_STR("/data"),
            rg_json_string(rg_projector_get(projector, RG_SLOT_DATA), scratch));
    *ret = envelope;
    return 0;
}

int rg_envelope_parse(struct rg_projector *projector, struct rg_str text, struct rg_buf *scratch,
                      struct rg_envelope *ret, struct rg_why *why)
{
    struct rg_json root;
    int err = rg_projector_run(projector, text, &root, why);

    return err < 0 ? err : read_envelope(projector, text, root, scratch, ret, why);
}

bool rg_envelope_is_claimed(const struct rg_projector *projector)
{
    return rg_projector_get(projector, RG_SLOT_SPECVERSION).kind != RG_JSON_NONE ||
           rg_projector_get(projector, RG_SLOT_OLD_VERSION).kind != RG_JSON_NONE;
}

/* -- a glance -------------------------------------------------------------- */

/* These are the slots that tell the type. */
#define ALL_SEEN (1u << RG_SLOT_SPECVERSION | 1u << RG_SLOT_TYPE | 1u << RG_SLOT_ID)

struct glance {
    struct rg_projector *projector;
    rg_envelope_wanted_fn *wanted;
    void *arg;
    unsigned seen; /* of specversion, type and id, a bit each */
    bool is_known; /* wanted was asked */
    bool is_wanted;
    const struct rg_extractor_type *type;
    uint64_t fields; /* asked for and not yet met */
};

/* The content of a string without escapes, which is how attributes are written; empty otherwise. */
static struct rg_str plain_string(const struct rg_projector *projector, int slot)
{
    struct rg_json value = rg_projector_get(projector, slot);

    if (value.kind != RG_JSON_STRING || memchr(value.text.p, '\\', value.text.n) != NULL)
        return (struct rg_str){NULL, 0};
    return rg_str_n(value.text.p + 1, value.text.n - 2);
}

/*
 * True once specversion, type and id are there. Whatever else follows cannot change them: the first
 * of duplicate names counts, and specversion counts before cloudEventsVersion. What is written in
 * an unusual way, version 0.1 included, is left to the full reading.
 */
static bool read_type(const struct rg_projector *projector, struct rg_str *ret)
{
    struct rg_str version = plain_string(projector, RG_SLOT_SPECVERSION);

    if (!rg_str_eq(version, RG_STR("1.0")) && !rg_str_eq(version, RG_STR("0.2")))
        return false;
    *ret = plain_string(projector, RG_SLOT_TYPE);
    return ret->n > 0 && ret->n <= RG_CE_MAX_TYPE && plain_string(projector, RG_SLOT_ID).n > 0;
}

/* Takes the fields out of the set that are there already, or that slot is. */
static void strike(struct glance *g, int slot)
{
    for (size_t i = 0; i < g->type->fields_n; i++) {
        int of = g->type->fields[i].slot;
        if (of == slot || (slot < 0 && rg_projector_get(g->projector, of).kind != RG_JSON_NONE))
            g->fields &= ~((uint64_t)1 << i);
    }
}

static bool on_found(void *arg, int slot)
{
    struct glance *g = arg;
    struct rg_str type;

    if (g->is_known) {
        strike(g, slot);
        return g->fields == 0;
    }
    if (slot > RG_SLOT_ID)
        return false;
    g->seen |= 1u << slot;
    if (g->seen != ALL_SEEN || !read_type(g->projector, &type))
        return false;
    g->is_known = true;
    g->is_wanted = g->wanted(g->arg, type, &g->type, &g->fields);
    if (!g->is_wanted)
        return true;
    if (g->type != NULL)
        strike(g, -1);
    return g->fields == 0;
}

int rg_envelope_glance(struct rg_projector *projector, struct rg_str text,
                       rg_envelope_wanted_fn *wanted, void *arg, struct rg_buf *scratch,
                       struct rg_envelope *ret, struct rg_why *why)
{
    struct glance g = {.projector = projector, .wanted = wanted, .arg = arg};
    struct rg_json root;
    int err = rg_projector_run_until(projector, text, on_found, &g, &root, why);

    if (err < 0)
        return err;
    if (err > 0)
        return g.is_wanted ? 2 : 1;
    return read_envelope(projector, text, root, scratch, ret, why);
}

/* -- binary mode ----------------------------------------------------------- */

static bool find_attribute(const struct rg_ce_attribute *attributes, size_t n, struct rg_str name,
                           struct rg_str *ret)
{
    for (size_t i = 0; i < n; i++) {
        if (rg_str_eq_nocase(attributes[i].name, name)) {
            *ret = attributes[i].value;
            return true;
        }
    }
    return false;
}

static int composed_version(const struct rg_ce_attribute *attributes, size_t n, bool is_kafka,
                            enum rg_ce_version *ret, struct rg_why *why)
{
    struct rg_str version;

    if (find_attribute(attributes, n, RG_STR("specversion"), &version)) {
        if (rg_str_eq(version, RG_STR("1.0"))) {
            *ret = RG_CE_1_0;
            return 0;
        }
        if (rg_str_eq(version, RG_STR("0.2"))) {
            *ret = RG_CE_0_2;
            return 0;
        }
    }
    if (is_kafka && find_attribute(attributes, n, RG_STR("cloudeventsversion"), &version) &&
        rg_str_eq(version, RG_STR("0.1"))) {
        *ret = RG_CE_0_1;
        return 0;
    }
    return rg_why_set(why, RG_EINVAL, "specversion",
                      "the attribute specversion must be \"1.0\" or \"0.2\"");
}

static bool is_name(struct rg_str name)
{
    for (size_t i = 0; i < name.n; i++) {
        char c = name.p[i];
        if (c <= ' ' || c > '~' || c == '"' || c == '\\')
            return false;
    }
    return name.n > 0;
}

static int check_names(const struct rg_ce_attribute *attributes, size_t n, struct rg_why *why)
{
    struct rg_str ignored;

    if (n > RG_CE_MAX_ATTRIBUTES)
        return rg_why_set(why, RG_EINVAL, "", "there are more than %d attributes",
                          RG_CE_MAX_ATTRIBUTES);
    for (size_t i = 0; i < n; i++) {
        struct rg_str name = attributes[i].name;
        if (!is_name(name))
            return rg_why_set(why, RG_EINVAL, "",
                              "the name of an attribute must be of visible ASCII characters "
                              "without double quote and backslash");
        if (rg_str_eq_nocase(name, RG_STR("data")) || rg_str_eq_nocase(name, RG_STR("data_base64")))
            return rg_why_set(why, RG_EINVAL, "", "%.*s cannot be an attribute: data is the body",
                              RG_STR_ARG(name));
        if (find_attribute(attributes, i, name, &ignored))
            return rg_why_set(why, RG_EINVAL, "", "the attribute %.*s comes twice",
                              RG_STR_ARG(name));
    }
    return 0;
}

/* The name as version v writes it if its value stays a string; NULL otherwise. */
static const char *string_name(const struct version *v, struct rg_str name)
{
    for (size_t i = 0; i < RG_COUNT_OF(v->strings) && v->strings[i] != NULL; i++) {
        if (rg_str_eq_nocase(name, rg_str_c(v->strings[i])))
            return v->strings[i];
    }
    return NULL;
}

static void add_name(struct rg_buf *out, struct rg_str name)
{
    rg_json_add_string(out, name);
    rg_buf_add_char(out, ':');
}

static void add_attribute(const struct version *v, const struct rg_ce_attribute *attribute,
                          struct rg_buf *out)
{
    const char *name = string_name(v, attribute->name);
    struct rg_json value;

    add_name(out, name != NULL ? rg_str_c(name) : attribute->name);
    /* Inside the event's own object: nesting that is just possible alone would be too deep. */
    if (name == NULL && rg_json_check_at(attribute->value, 1, &value, NULL) == 0)
        rg_buf_add_str(out, value.text);
    else
        rg_json_add_string(out, attribute->value);
    rg_buf_add_char(out, ',');
}

/* Appends the body as a member that is a string, or base64 where it is not text. */
static void add_opaque_data(struct rg_str body, struct rg_buf *out)
{
    if (rg_utf8_is_valid(body)) {
        add_name(out, RG_STR("data"));
        rg_json_add_string(out, body);
    } else {
        add_name(out, RG_STR("data_base64"));
        rg_buf_add_char(out, '"');
        rg_base64_add(out, body.p, body.n);
        rg_buf_add_char(out, '"');
    }
    rg_buf_add_char(out, ',');
}

static int add_data(struct rg_str body, bool is_json, bool is_kafka, struct rg_buf *out,
                    struct rg_why *why)
{
    struct rg_json value;
    int err = is_json ? rg_json_check_at(body, 1, &value, why) : RG_ESYNTAX;

    if (err == 0) {
        add_name(out, RG_STR("data"));
        rg_buf_add_str(out, value.text);
        rg_buf_add_char(out, ',');
        return 0;
    }
    if (is_json && !is_kafka)
        return err;
    add_opaque_data(body, out);
    return 0;
}

int rg_envelope_compose(const struct rg_ce_attribute *attributes, size_t n,
                        struct rg_str content_type, struct rg_str body, bool is_kafka,
                        struct rg_buf *out, struct rg_why *why)
{
    enum rg_ce_version version = RG_CE_1_0;
    size_t start = out->n;
    int err;

    err = composed_version(attributes, n, is_kafka, &version, why);
    if (err == 0)
        err = check_names(attributes, n, why);
    if (err < 0)
        return err;

    const struct version *v = &versions[version];
    bool is_json = is_kafka ? rg_str_starts_with_nocase(content_type, RG_STR("application/json"))
                            : rg_str_eq_nocase(essence(content_type), RG_STR("application/json"));
    bool has_type = content_type.n > 0 && (is_kafka || !is_json);
    rg_buf_add_char(out, '{');
    for (size_t i = 0; i < n; i++) {
        /* The header that the body was read by has the last word. */
        if (!has_type || !rg_str_eq_nocase(attributes[i].name, rg_str_c(v->content_type_name)))
            add_attribute(v, &attributes[i], out);
    }
    if (has_type) {
        add_name(out, rg_str_c(v->content_type_name));
        rg_json_add_string(out, content_type);
        rg_buf_add_char(out, ',');
    }
    if (body.n > 0 && (err = add_data(body, is_json, is_kafka, out, why)) < 0) {
        out->n = start;
        return err;
    }
    out->p[out->n - 1] = '}'; /* the version was added, so a comma is last */
    return 0;
}

/* -- content types --------------------------------------------------------- */

/* RFC 9110 section 5.6.2. */
static bool is_token(struct rg_str s)
{
    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];
        bool is_letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
        if (!is_letter && !(c >= '0' && c <= '9') &&
            (c == '\0' || strchr("!#$%&'*+-.^_`|~", c) == NULL))
            return false;
    }
    return s.n > 0;
}

static bool is_media_type(struct rg_str type)
{
    struct rg_str main_type = rg_str_split(&type, '/');

    return is_token(main_type) && is_token(type);
}

enum rg_ce_mode rg_envelope_http_mode(struct rg_str content_type, bool has_ce_specversion)
{
    struct rg_str type = essence(content_type);

    if (!is_media_type(type))
        return RG_CE_NOT_A_TYPE;
    if (rg_str_eq_nocase(type, RG_STR("application/cloudevents+json")))
        return RG_CE_STRUCTURED;
    if (rg_str_starts_with_nocase(type, RG_STR("application/cloudevents+")))
        return RG_CE_UNSUPPORTED;
    if (rg_str_eq_nocase(type, RG_STR("application/cloudevents-batch")))
        return RG_CE_BATCH;
    if (rg_str_eq_nocase(type, RG_STR("application/cloudevents-batch+json")))
        return RG_CE_JSON_BATCH;
    if (rg_str_eq_nocase(type, RG_STR("application/json")) && !has_ce_specversion)
        return RG_CE_STRUCTURED;
    return RG_CE_BINARY;
}

enum rg_ce_mode rg_envelope_kafka_mode(struct rg_str content_type)
{
    struct rg_str type = essence(content_type);

    if (type.n == 0 || rg_str_eq_nocase(type, RG_STR("application/cloudevents")) ||
        rg_str_eq_nocase(type, RG_STR("application/cloudevents+json")))
        return RG_CE_STRUCTURED;
    if (rg_str_starts_with_nocase(type, RG_STR("application/cloudevents+")))
        return RG_CE_UNSUPPORTED;
    if (rg_str_starts_with_nocase(type, RG_STR("application/cloudevents-batch")))
        return RG_CE_BATCH;
    return RG_CE_BINARY;
}
