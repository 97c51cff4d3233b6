#include "push/phx.h"

#include "base/alloc.h"
#include "push/sse.h"
#include "push/ws.h"

#define FRONT_OF_EVENTS "events:" /* topics of CloudEvents: with their type behind it */

/* ---- versions ---- */

/* A part of a version: digits, without a zero in front of others. */
static bool is_number(struct rg_str s)
{
    uint64_t number;

    return rg_str_to_u64(s, UINT32_MAX, &number) == 0 && (s.n == 1 || s.p[0] != '0');
}

int rg_phx_read_vsn(struct rg_str vsn, enum rg_phx_vsn *ret)
{
    struct rg_str rest = vsn;

    if (vsn.p == NULL) {
        *ret = RG_PHX_V1;
        return 0;
    }
    struct rg_str major = rg_str_split(&rest, '.');
    struct rg_str minor = rg_str_split(&rest, '.');
    if (!rg_str_eq(minor, RG_STR("0")) || !is_number(rest))
        return RG_EINVAL;
    if (rg_str_eq(major, RG_STR("1")))
        *ret = RG_PHX_V1;
    else if (rg_str_eq(major, RG_STR("2")))
        *ret = RG_PHX_V2;
    else
        return RG_EINVAL;
    return 0;
}

/* ---- reading ---- */

/* The parts of a message, in the order of V2. */
enum part {
    JOIN_REF,
    REF,
    TOPIC,
    EVENT,
    PAYLOAD,
    PARTS
};
static const struct {
    struct rg_str name;
    const char *name_v2;
} parts[PARTS] = {
    {RG_STR("join_ref"), "element 1 (join_ref)"}, {RG_STR("ref"), "element 2 (ref)"},
    {RG_STR("topic"), "element 3 (topic)"},       {RG_STR("event"), "element 4 (event)"},
    {RG_STR("payload"), "element 5 (payload)"},
};

static const char *name_of(enum rg_phx_vsn vsn, enum part part)
{
    return vsn == RG_PHX_V2 ? parts[part].name_v2 : parts[part].name.p;
}

static int split_v2(struct rg_json message, struct rg_json values[PARTS], struct rg_why *why)
{
    struct rg_json_cursor cursor = {0};
    struct rg_str none;
    size_t n = 0;

    if (message.kind != RG_JSON_ARRAY)
        return rg_why_set(why, RG_EINVAL, "", "the message is not an array");
    while (n < PARTS && rg_json_next(message, &cursor, &none, &values[n]))
        n++;
    if (n < PARTS)
        return rg_why_set(why, RG_EINVAL, "", "the message has %zu elements, not %d", n, PARTS);
    return 0;
}

static int split_v1(struct rg_json message, struct rg_json values[PARTS], struct rg_why *why)
{
    struct rg_json_cursor cursor = {0};
    struct rg_json value;
    struct rg_str key;

    if (message.kind != RG_JSON_OBJECT)
        return rg_why_set(why, RG_EINVAL, "", "the message is not an object");
    while (rg_json_next(message, &cursor, &key, &value)) {
        for (enum part part = JOIN_REF; part < PARTS; part++) {
            if (!rg_json_key_eq(key, parts[part].name))
                continue;
            /* Two readers would not agree on which of them counts. */
            if (values[part].kind != RG_JSON_NONE)
                return rg_why_set(why, RG_EINVAL, "", "%s is there twice", parts[part].name.p);
            values[part] = value;
        }
    }
    for (enum part part = REF; part < PARTS; part++) {
        if (values[part].kind == RG_JSON_NONE)
            return rg_why_set(why, RG_EINVAL, "", "%s is missing", parts[part].name.p);
    }
    return 0;
}

/* Echoed as it came; of V1, where no join reference came, null. */
static int read_ref(enum rg_phx_vsn vsn, enum part part, struct rg_json value, struct rg_str *ret,
                    struct rg_why *why)
{
    if (value.kind == RG_JSON_NONE) {
        *ret = RG_STR("null");
        return 0;
    }
    if (value.kind != RG_JSON_STRING && value.kind != RG_JSON_NUMBER && value.kind != RG_JSON_NULL)
        return rg_why_set(why, RG_EINVAL, "", "%s is not a string, a number or null",
                          name_of(vsn, part));
    if (value.text.n > RG_PHX_MAX_REF)
        return rg_why_set(why, RG_EINVAL, "", "%s is longer than %d bytes", name_of(vsn, part),
                          RG_PHX_MAX_REF);
    *ret = value.text;
    return 0;
}

/* As long as it may be: it is answered like any other that nobody knows. */
static int read_text(enum rg_phx_vsn vsn, enum part part, struct rg_json value,
                     struct rg_buf *scratch, struct rg_str *ret, struct rg_why *why)
{
    if (value.kind != RG_JSON_STRING)
        return rg_why_set(why, RG_EINVAL, "", "%s is not a string", name_of(vsn, part));
    *ret = rg_json_string(value, scratch);
    return 0;
}

int rg_phx_parse(enum rg_phx_vsn vsn, struct rg_str text, struct rg_buf *scratch,
                 struct rg_phx_message *ret, struct rg_why *why)
{
    struct rg_json values[PARTS] = {0};
    struct rg_phx_message message;
    struct rg_json json;

    rg_buf_clear(scratch);
    if (rg_json_check(text, &json, why) < 0)
        return RG_ESYNTAX;
    int err = vsn == RG_PHX_V2 ? split_v2(json, values, why) : split_v1(json, values, why);
    if (err < 0)
        return err;
    /* No escape is shorter than what it stands for: the topic stays in place behind the event. */
    rg_buf_reserve(scratch, values[TOPIC].text.n + values[EVENT].text.n);
    if (read_ref(vsn, JOIN_REF, values[JOIN_REF], &message.join_ref, why) < 0 ||
        read_ref(vsn, REF, values[REF], &message.ref, why) < 0 ||
        read_text(vsn, TOPIC, values[TOPIC], scratch, &message.topic, why) < 0 ||
        read_text(vsn, EVENT, values[EVENT], scratch, &message.event, why) < 0)
        return RG_EINVAL;
    message.payload = values[PAYLOAD];
    *ret = message;
    return 0;
}

/* ---- writing ---- */

static void add_ref(struct rg_buf *out, struct rg_str ref)
{
    rg_buf_add_str(out, ref.p != NULL ? ref : RG_STR("null"));
}

static void add_v2(struct rg_buf *out, const struct rg_phx_reply *reply)
{
    rg_buf_reserve(out, reply->topic.n + reply->payload.n + 64);
    rg_buf_add_char(out, '[');
    add_ref(out, reply->join_ref);
    rg_buf_add_char(out, ',');
    add_ref(out, reply->ref);
    rg_buf_add_char(out, ',');
    rg_json_add_string(out, reply->topic);
    rg_buf_add_char(out, ',');
    rg_json_add_string(out, reply->event);
    rg_buf_add_char(out, ',');
    rg_buf_add_str(out, reply->payload);
    rg_buf_add_char(out, ']');
}

/* join_ref is always null here: V1 has one reference, and the client does not look (4.2). */
static void add_v1(struct rg_buf *out, const struct rg_phx_reply *reply)
{
    rg_buf_reserve(out, reply->topic.n + reply->payload.n + 96);
    rg_buf_add_c(out, "{\"topic\":");
    rg_json_add_string(out, reply->topic);
    rg_buf_add_c(out, ",\"event\":");
    rg_json_add_string(out, reply->event);
    rg_buf_add_c(out, ",\"ref\":");
    add_ref(out, reply->ref);
    rg_buf_add_c(out, ",\"join_ref\":null,\"payload\":");
    rg_buf_add_str(out, reply->payload);
    rg_buf_add_char(out, '}');
}

/* Adds s to the line that out ends with: what would end it becomes a space. */
static void add_to_line(struct rg_buf *out, struct rg_str s)
{
    char *to = rg_buf_reserve(out, s.n);

    for (size_t i = 0; i < s.n; i++)
        to[i] = s.p[i] == '\r' || s.p[i] == '\n' || s.p[i] == '\0' ? ' ' : s.p[i];
    out->n += s.n;
}

/* "id: 7" for the reference 7 and for "7" (8.3); without one there is no such line. */
static void add_id_line(struct rg_buf *out, struct rg_str ref)
{
    struct rg_buf scratch = {0};
    struct rg_json id;

    if (ref.p == NULL || rg_json_check(ref, &id, NULL) < 0 || id.kind == RG_JSON_NULL)
        return;
    rg_buf_add_c(out, "id: ");
    add_to_line(out, id.kind == RG_JSON_STRING ? rg_json_string(id, &scratch) : id.text);
    rg_buf_add_char(out, '\n');
    rg_buf_done(&scratch);
}

/*
 * A client sees neither topic nor reference of a message, but for replies, which say what they
 * answer only there: their data is all of the message (8.4, 8.5).
 */
static void add_sse(struct rg_buf *out, const struct rg_phx_reply *reply)
{
    rg_buf_reserve(out, reply->topic.n + reply->payload.n + 160);
    add_id_line(out, reply->ref);
    rg_buf_add_c(out, "event: ");
    add_to_line(out, reply->event);
    rg_buf_add_c(out, "\ndata: ");
    if (rg_str_eq(reply->event, RG_STR("phx_reply"))) {
        struct rg_buf message = {0};
        add_v1(&message, reply);
        add_to_line(out, rg_buf_str(&message));
        rg_buf_done(&message);
    } else {
        add_to_line(out, reply->payload);
    }
    rg_buf_add_c(out, "\n\n");
}

static struct rg_frame *ws_frame(const struct rg_phx_reply *reply,
                                 void (*add)(struct rg_buf *out, const struct rg_phx_reply *reply))
{
    struct rg_buf json = {0};

    add(&json, reply);
    struct rg_frame *frame = rg_ws_encode(rg_buf_str(&json));
    rg_buf_done(&json);
    return frame;
}

static struct rg_frame *sse_frame(const struct rg_phx_reply *reply)
{
    struct rg_buf text = {0};

    add_sse(&text, reply);
    struct rg_frame *frame = rg_sse_wrap(RG_ENC_PHX_SSE_CHUNKED, rg_buf_str(&text));
    rg_buf_done(&text);
    return frame;
}

static struct rg_frame *quoted_frame(const struct rg_phx_reply *reply)
{
    struct rg_buf json = {0}, string = {0};

    add_v2(&json, reply);
    rg_json_add_string(&string, rg_buf_str(&json));
    struct rg_frame *frame = rg_frame_new(string.n);
    memcpy(frame->p, string.p, string.n);
    frame->body_n = frame->n;
    rg_buf_done(&json);
    rg_buf_done(&string);
    return frame;
}

static struct rg_frame *frame_of(enum rg_encoding encoding, const struct rg_phx_reply *reply)
{
    switch (encoding) {
    case RG_ENC_PHX_WS_V1:
    case RG_ENC_PHX_JSON_V1: /* its body */
        return ws_frame(reply, add_v1);
    case RG_ENC_PHX_WS_V2:
        return ws_frame(reply, add_v2);
    case RG_ENC_PHX_SSE_CHUNKED:
    case RG_ENC_PHX_SSE_PLAIN:
        return sse_frame(reply);
    case RG_ENC_PHX_JSON_V2:
        return quoted_frame(reply);
    default:
        break;
    }
    rg_assert(!"an encoding of channels");
    return NULL;
}

struct rg_msg *rg_phx_msg(enum rg_encoding encoding, const struct rg_phx_reply *reply)
{
    return rg_msg_from_frame(frame_of(encoding, reply), encoding, rg_str_n(NULL, 0));
}

static struct rg_frame *event_frame(enum rg_encoding encoding, const struct rg_event *event)
{
    struct rg_phx_reply push = {.topic = rg_event_type(event),
                                .event = rg_event_id(event),
                                .payload = rg_event_text(event)};
    struct rg_buf topic = {0};

    if (event->kind == RG_EVENT_CLOUD) {
        rg_buf_add_c(&topic, FRONT_OF_EVENTS);
        rg_buf_add_str(&topic, rg_event_type(event));
        push.topic = rg_buf_str(&topic);
        push.event = RG_STR("message");
    }
    struct rg_frame *frame = frame_of(encoding, &push);
    rg_buf_done(&topic);
    return frame;
}

struct rg_frame *rg_phx_encode_v1_event(const struct rg_event *event, void *arg)
{
    (void)arg;
    return event_frame(RG_ENC_PHX_WS_V1, event);
}

struct rg_frame *rg_phx_encode_v2_event(const struct rg_event *event, void *arg)
{
    (void)arg;
    return event_frame(RG_ENC_PHX_WS_V2, event);
}

struct rg_frame *rg_phx_encode_sse_event(const struct rg_event *event, void *arg)
{
    (void)arg;
    return event_frame(RG_ENC_PHX_SSE_CHUNKED, event);
}

struct rg_frame *rg_phx_encode_quoted_event(const struct rg_event *event, void *arg)
{
    (void)arg;
    return event_frame(RG_ENC_PHX_JSON_V2, event);
}
