#include "push/msg.h"

#include "base/alloc.h"
#include "push/compression.h"
#include "push/phx.h"
#include "push/sse.h"
#include "push/ws.h"

/* The frame that has the bytes of an encoding; NULL for those that need none. */
static const struct rg_frame *frame_of(struct rg_event *event, enum rg_encoding encoding,
                                       struct rg_compressor *compressor)
{
    switch (encoding) {
    case RG_ENC_SSE_CHUNKED:
    case RG_ENC_SSE_PLAIN:
        return rg_event_frame(event, RG_FRAME_SSE, rg_sse_encode_event, NULL);
    case RG_ENC_SSE_GZIP_CHUNKED:
    case RG_ENC_SSE_GZIP_PLAIN:
        return rg_event_frame(event, RG_FRAME_SSE_GZIP, rg_sse_encode_gzip_event, compressor);
    case RG_ENC_WS_DEFLATE:
        /* Small events have the frame that all WebSockets share. */
        if (event->text_n >= compressor->min_bytes)
            return rg_event_frame(event, RG_FRAME_WS_DEFLATE, rg_ws_encode_deflate_event,
                                  compressor);
        return rg_event_frame(event, RG_FRAME_WS, rg_ws_encode_event, NULL);
    case RG_ENC_WS:
        return rg_event_frame(event, RG_FRAME_WS, rg_ws_encode_event, NULL);
    case RG_ENC_PHX_WS_V1:
    case RG_ENC_PHX_JSON_V1:
        return rg_event_frame(event, RG_FRAME_PHX_V1, rg_phx_encode_v1_event, NULL);
    case RG_ENC_PHX_WS_V2:
        return rg_event_frame(event, RG_FRAME_PHX_V2, rg_phx_encode_v2_event, NULL);
    case RG_ENC_PHX_SSE_CHUNKED:
    case RG_ENC_PHX_SSE_PLAIN:
        return rg_event_frame(event, RG_FRAME_PHX_SSE, rg_phx_encode_sse_event, NULL);
    case RG_ENC_PHX_JSON_V2:
        return rg_event_frame(event, RG_FRAME_PHX_QUOTED, rg_phx_encode_quoted_event, NULL);
    case RG_ENC_JSON:
    case RG_ENC_COUNT:
        break;
    }
    return NULL;
}

/* The part of a frame that an encoding sends. */
static struct rg_str part_of(const struct rg_frame *frame, enum rg_encoding encoding)
{
    if (encoding == RG_ENC_SSE_PLAIN || encoding == RG_ENC_SSE_GZIP_PLAIN ||
        encoding == RG_ENC_PHX_SSE_PLAIN || encoding == RG_ENC_PHX_JSON_V1)
        return rg_str_n(frame->p + frame->body_at, frame->body_n);
    return rg_str_n(frame->p, frame->n);
}

struct rg_msg *rg_msg_from_event(struct rg_event *event, enum rg_encoding encoding,
                                 struct rg_compressor *compressor)
{
    struct rg_msg *msg = rg_alloc(sizeof(*msg));
    const struct rg_frame *frame = frame_of(event, encoding, compressor);
    struct rg_str bytes = frame != NULL ? part_of(frame, encoding) : rg_event_text(event);

    *msg = (struct rg_msg){
        .p = bytes.p,
        .n = (uint32_t)bytes.n,
        .refs = 1,
        .event = rg_event_ref(event),
        .id = rg_event_id(event),
    };
    if (frame != NULL)
        msg->sum = frame->sum;
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

struct rg_msg *rg_msg_from_frame(struct rg_frame *frame, enum rg_encoding encoding,
                                 struct rg_str id)
{
    struct rg_msg *msg = with_own_bytes(part_of(frame, encoding), id);

    msg->sum = frame->sum;
    rg_free(frame);
    return msg;
}

struct rg_msg *rg_msg_from_json(enum rg_encoding encoding, struct rg_str type, struct rg_str id,
                                struct rg_str json)
{
    switch (encoding) {
    case RG_ENC_SSE_CHUNKED:
    case RG_ENC_SSE_PLAIN:
        return rg_msg_from_frame(rg_sse_encode(type, json), encoding, id);
    case RG_ENC_SSE_GZIP_CHUNKED:
    case RG_ENC_SSE_GZIP_PLAIN:
        return rg_msg_from_frame(rg_sse_encode_gzip(type, json, NULL), encoding, id);
    case RG_ENC_WS:
    case RG_ENC_WS_DEFLATE:
        return rg_msg_from_frame(rg_ws_encode(json), encoding, id);
    case RG_ENC_PHX_WS_V1:
    case RG_ENC_PHX_WS_V2:
    case RG_ENC_PHX_SSE_CHUNKED:
    case RG_ENC_PHX_SSE_PLAIN:
    case RG_ENC_PHX_JSON_V1:
    case RG_ENC_PHX_JSON_V2:
        rg_assert(!"channels have no gateway events");
        break;
    case RG_ENC_JSON:
    case RG_ENC_COUNT:
        break;
    }
    return with_own_bytes(json, id);
}

struct rg_msg *rg_msg_from_sse(enum rg_encoding encoding, struct rg_str text)
{
    return rg_msg_from_frame(rg_sse_wrap(encoding, text), encoding, rg_str_n(NULL, 0));
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
