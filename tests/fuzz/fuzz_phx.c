/*
 * Messages of channels. The first byte chooses the version that is parsed; what was parsed is
 * written in every encoding, as a message and as an event: each has valid JSON in it, on one line
 * where lines count, and that of a message reads as what it was written from.
 */
#include "base/alloc.h"
#include "base/utf8.h"
#include "event/json.h"
#include "event/matchkey.h"
#include "push/phx.h"

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t n);

static struct rg_json check_json(struct rg_str text)
{
    struct rg_json json = {0};
    struct rg_why why;

    rg_assert(rg_json_check(text, &json, &why) == 0);
    return json;
}

static void check_same(enum rg_phx_vsn vsn, struct rg_str text, const struct rg_phx_message *want)
{
    struct rg_buf scratch = {0};
    struct rg_phx_message got;

    rg_assert(rg_phx_parse(vsn, text, &scratch, &got, NULL) == 0);
    rg_assert(rg_str_eq(got.join_ref, vsn == RG_PHX_V2 ? want->join_ref : RG_STR("null")));
    rg_assert(rg_str_eq(got.ref, want->ref) && rg_str_eq(got.topic, want->topic));
    rg_assert(rg_str_eq(got.event, want->event));
    rg_assert(rg_str_eq(got.payload.text, want->payload.text));
    rg_buf_done(&scratch);
}

/* "id: ..", "event: ..", "data: <JSON>", each on a line of its own. */
static void check_sse(struct rg_str text, bool may_have_id)
{
    struct rg_str line = rg_str_split(&text, '\n');

    if (may_have_id && rg_str_starts_with(line, RG_STR("id: ")))
        line = rg_str_split(&text, '\n');
    rg_assert(rg_str_starts_with(line, RG_STR("event: ")) && memchr(line.p, '\r', line.n) == NULL);
    line = rg_str_split(&text, '\n');
    rg_assert(rg_str_starts_with(line, RG_STR("data: ")) && memchr(line.p, '\r', line.n) == NULL);
    check_json(rg_str_n(line.p + 6, line.n - 6));
    rg_assert(rg_str_eq(text, RG_STR("\n")));
}

/* The content of a text frame; the header's length follows from the first length byte. */
static struct rg_str frame_body(const struct rg_msg *msg)
{
    unsigned char length = (unsigned char)msg->p[1];
    size_t header_n = length < 126 ? 2 : length == 126 ? 4 : 10;

    rg_assert((unsigned char)msg->p[0] == 0x81 && msg->n > header_n);
    return rg_str_n(msg->p + header_n, msg->n - header_n);
}

static void check_quoted(struct rg_str text, const struct rg_phx_message *want)
{
    struct rg_json json = check_json(text);
    struct rg_buf inner = {0};

    rg_assert(json.kind == RG_JSON_STRING);
    rg_json_unescape(json, &inner);
    check_json(rg_buf_str(&inner));
    check_same(RG_PHX_V2, rg_buf_str(&inner), want);
    rg_buf_done(&inner);
}

static void check_msg(enum rg_encoding encoding, struct rg_msg *msg,
                      const struct rg_phx_message *want)
{
    struct rg_str bytes = rg_str_n(msg->p, msg->n);

    switch (encoding) {
    case RG_ENC_PHX_WS_V1:
        check_same(RG_PHX_V1, frame_body(msg), want);
        break;
    case RG_ENC_PHX_WS_V2:
        check_same(RG_PHX_V2, frame_body(msg), want);
        break;
    case RG_ENC_PHX_JSON_V1:
        check_same(RG_PHX_V1, bytes, want);
        break;
    case RG_ENC_PHX_JSON_V2:
        check_quoted(bytes, want);
        break;
    case RG_ENC_PHX_SSE_PLAIN:
        check_sse(bytes, want->ref.p[0] != 'n');
        break;
    default:
        rg_assert(rg_utf8_is_valid(bytes));
    }
    rg_msg_unref(&msg);
}

static void check_event(enum rg_encoding encoding, const struct rg_phx_message *message)
{
    static const struct rg_origin origin = {RG_SOURCE_KAFKA, 0, -1, -1, -1};
    const struct rg_channel_message said = {message->topic, message->event, message->payload.text};
    struct rg_event *event = rg_event_new_for_channel(RG_EVENT_CHANNEL, &said, &origin, 1, 1);
    struct rg_phx_message want = *message;

    want.join_ref = want.ref = RG_STR("null");
    check_msg(encoding, rg_msg_from_event(event, encoding, NULL), &want);
    rg_event_unref(&event);
}

static void check_written(const struct rg_phx_message *message)
{
    const struct rg_phx_reply reply = {message->join_ref, message->ref, message->topic,
                                       message->event, message->payload.text};

    for (enum rg_encoding e = RG_ENC_PHX_WS_V1; e <= RG_ENC_PHX_JSON_V2; e++) {
        check_msg(e, rg_phx_msg(e, &reply), message);
        check_event(e, message);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t n)
{
    static bool is_ready;
    struct rg_str text = rg_str_n((const char *)input, n);
    struct rg_buf scratch = {0};
    struct rg_phx_message message;
    struct rg_why why = {0};
    enum rg_phx_vsn vsn;

    if (!is_ready)
        rg_match_key_init();
    is_ready = true;
    rg_phx_read_vsn(text, &vsn);
    if (n == 0)
        return 0;
    text = rg_str_n(text.p + 1, text.n - 1);
    int err = rg_phx_parse(input[0] & 1 ? RG_PHX_V1 : RG_PHX_V2, text, &scratch, &message, &why);
    rg_assert(err == 0 || why.text[0] != '\0');
    if (err == 0) {
        rg_assert(message.ref.n <= RG_PHX_MAX_REF && message.join_ref.n <= RG_PHX_MAX_REF);
        check_written(&message);
    }
    rg_buf_done(&scratch);
    return 0;
}
