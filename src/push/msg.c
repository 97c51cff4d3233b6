#include "push/msg.h"

#include "base/alloc.h"
#include "push/sse.h"
#include "push/ws.h"

struct rg_msg *rg_msg_from_event(struct rg_event *event, enum rg_encoding encoding)
{
    struct rg_msg *msg = rg_alloc(sizeof(*msg));
    const struct rg_frame *frame;

    *msg = (struct rg_msg){.refs = 1, .event = rg_event_ref(event), .id = rg_event_id(event)};
    switch (encoding) {
    case RG_ENC_SSE_CHUNKED:
        frame = rg_event_frame(event, RG_FRAME_SSE, rg_sse_encode_event);
        msg->p = frame->p;
        msg->n = frame->n;
        break;
    case RG_ENC_SSE_PLAIN:
        frame = rg_event_frame(event, RG_FRAME_SSE, rg_sse_encode_event);
        msg->p = frame->p + frame->body_at;
        msg->n = frame->body_n;
        break;
    case RG_ENC_WS:
        frame = rg_event_frame(event, RG_FRAME_WS, rg_ws_encode_event);
        msg->p = frame->p;
        msg->n = frame->n;
        break;
    case RG_ENC_SSE_GZIP_CHUNKED:
    case RG_ENC_SSE_GZIP_PLAIN:
    case RG_ENC_WS_DEFLATE:
    case RG_ENC_JSON:
    case RG_ENC_COUNT:
        msg->p = event->text;
        msg->n = event->text_n;
        break;
    }
    return msg;
}

static struct rg_msg *with_own_bytes(struct rg_str bytes, struct rg_str id)
{
    struct rg_msg *msg = rg_alloc(sizeof(*msg) + bytes.n + id.n);
    char *own = (char *)(msg + 1);

    if (bytes.n > 0)
        memcpy(own, bytes.p, bytes.n);
    if (id.n > 0)
        memcpy(own + bytes.n, id.p, id.n);
    *msg = (struct rg_msg){
        .p = own, .n = (uint32_t)bytes.n, .refs = 1, .id = rg_str_n(own + bytes.n, id.n)};
    return msg;
}

struct rg_msg *rg_msg_from_json(enum rg_encoding encoding, struct rg_str type, struct rg_str id,
                                struct rg_str json)
{
    struct rg_frame *frame = NULL;
    struct rg_str bytes = json;

    if (encoding == RG_ENC_SSE_CHUNKED || encoding == RG_ENC_SSE_PLAIN)
        frame = rg_sse_encode(type, json);
    else if (encoding == RG_ENC_WS)
        frame = rg_ws_encode(json);
    if (encoding == RG_ENC_SSE_PLAIN)
        bytes = rg_str_n(frame->p + frame->body_at, frame->body_n);
    else if (frame != NULL)
        bytes = rg_str_n(frame->p, frame->n);

    struct rg_msg *msg = with_own_bytes(bytes, id);
    rg_free(frame);
    return msg;
}

struct rg_msg *rg_msg_from_bytes(const void *p, size_t n)
{
    return with_own_bytes(rg_str_n(p, n), (struct rg_str){NULL, 0});
}

void rg_msg_unref(struct rg_msg **msgp)
{
    struct rg_msg *msg = *msgp;

    if (msg == NULL)
        return;
    *msgp = NULL;
    if (--msg->refs > 0)
        return;
    if (msg->event != NULL)
        rg_event_unref(&msg->event);
    rg_free(msg);
}
