/*
 * msg.h - one message to clients, as bytes ready for the wire.
 *
 * A message is a reactor's own reference to shared bytes: however many clients of the reactor have
 * it in their outbox, the event behind it is counted once per reactor, and the counting here is
 * plain arithmetic. Messages for a single client (gateway events) carry their bytes themselves.
 *
 * Thread: the reactor. Never shared.
 */
#pragma once

#include "event/event.h"

struct rg_compressor;

/* How a client wants its messages. */
enum rg_encoding {
    RG_ENC_SSE_CHUNKED,      /* HTTP/1.1: one chunk each */
    RG_ENC_SSE_PLAIN,        /* HTTP/1.0 and HTTP/2: the same bytes without chunk framing */
    RG_ENC_SSE_GZIP_CHUNKED, /* a part of a gzip stream that all clients can share, as one chunk */
    RG_ENC_SSE_GZIP_PLAIN,   /* the same without chunk framing */
    RG_ENC_WS,               /* one text frame each */
    RG_ENC_WS_DEFLATE,       /* the same, compressed where that pays (RFC 7692) */
    RG_ENC_JSON,             /* the event itself: long-polling */
    RG_ENC_PHX_WS_V1,        /* channels (phx.h): one text frame each, with an object in it */
    RG_ENC_PHX_WS_V2,        /* the same with an array */
    RG_ENC_PHX_SSE_CHUNKED,  /* channels: HTTP/1.1, one chunk each */
    RG_ENC_PHX_SSE_PLAIN,    /* the same without chunk framing */
    RG_ENC_PHX_JSON_V1,      /* channels: the object itself, for long-polling */
    RG_ENC_PHX_JSON_V2,      /* channels: the array as a JSON string, for long-polling */
    RG_ENC_COUNT
};

struct rg_msg {
    const char *p;
    uint32_t n;
    uint32_t refs;
    struct rg_event *event; /* one reference, or NULL: the bytes follow this struct */
    struct rg_str id;       /* of the event; for long-polling */
    struct rg_gzip_sum sum; /* of a piece of a gzip stream; else zero */
};

/*
 * The message for an event of which the caller has a reference; takes one of its own. compressor is
 * only needed for the encodings that compress.
 */
struct rg_msg *rg_msg_from_event(struct rg_event *event, enum rg_encoding encoding,
                                 struct rg_compressor *compressor);

/* A message with bytes of its own, encoded from a gateway event's type, id and JSON text. */
struct rg_msg *rg_msg_from_json(enum rg_encoding encoding, struct rg_str type, struct rg_str id,
                                struct rg_str json);

/* The message that sends a frame in this encoding; the frame is freed. id may have p == NULL. */
struct rg_msg *rg_msg_from_frame(struct rg_frame *frame, enum rg_encoding encoding,
                                 struct rg_str id);

/* A message of event-stream text (comments) in one of the encodings for SSE. */
struct rg_msg *rg_msg_from_sse(enum rg_encoding encoding, struct rg_str text);

/* A message of raw bytes (control frames, the head of a response). */
struct rg_msg *rg_msg_from_bytes(const void *p, size_t n);

static inline struct rg_msg *rg_msg_ref(struct rg_msg *msg)
{
    msg->refs++;
    return msg;
}

/* Gives up a reference and sets *msgp to NULL (NULL is fine); the last one frees. */
void rg_msg_unref(struct rg_msg **msgp);
