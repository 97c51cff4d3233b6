/*
 * event.h - what happened: immutable, counted, shared by all reactors.
 *
 * An event carries its text, where it came from, the match keys that somebody wants,
 * and the frames it was encoded into so far: each at most once per kind, by the
 * first reactor that needs it (should two need it in the same instant, one
 * encoding is thrown away).
 *
 * Thread: made by one thread; afterwards any may read and ref/unref.
 */
#pragma once

#include <stdatomic.h>

#include "event/envelope.h"
#include "event/interest.h"

/* Where an event came from. Carried for logs and metrics, and so that a frame knows its position.
 */
struct rg_origin {
    enum rg_source {
        RG_SOURCE_HTTP,
        RG_SOURCE_KAFKA,
        RG_SOURCE_GATEWAY
    } source;
    uint32_t topic;    /* number of the topic in the consumer's list */
    int32_t partition; /* -1: none */
    int64_t offset;    /* -1: none */
    int64_t broker_ms; /* the broker's timestamp; -1: none */
};

/* What an event is to those who get it. */
enum rg_event_kind {
    RG_EVENT_CLOUD,   /* a CloudEvent: type and id are its attributes, text is all of it */
    RG_EVENT_CHANNEL, /* a message on a channel: type is the topic, id its name, text its payload */
    RG_EVENT_PRESENCE /* such a message with a diff of presences; origin.offset is its version */
};

/* Encodings of an event that clients share. */
enum rg_frame_kind {
    RG_FRAME_SSE,        /* HTTP/1.1 chunk around an event-stream frame */
    RG_FRAME_SSE_GZIP,   /* the same around a piece of a gzip stream with that frame in it */
    RG_FRAME_WS,         /* one unmasked text frame */
    RG_FRAME_WS_DEFLATE, /* the same, compressed if that pays */
    RG_FRAME_PHX_V1,     /* Phoenix Channels: a WebSocket text frame around a JSON object */
    RG_FRAME_PHX_V2,     /* the same around a JSON array */
    RG_FRAME_PHX_SSE,    /* HTTP/1.1 chunk around an event-stream frame in the style of channels */
    RG_FRAME_PHX_QUOTED, /* long-polling: the JSON array as a JSON string */
    RG_FRAME_KINDS
};

/*
 * What the text in a piece of a gzip stream adds to the stream's check sum; n == 0: nothing. The
 * shift is the operator that puts n bytes behind others (push/gzip.h).
 */
struct rg_gzip_sum {
    uint32_t n;
    uint32_t crc;
    uint32_t shift;
};

/* Encoded bytes. The body is the part without transport framing (the chunk's content). */
struct rg_frame {
    uint32_t n;
    uint32_t body_at, body_n;
    struct rg_gzip_sum sum;
    char p[];
};

/* A place in one reactor's inbox, embedded once per reactor so that fan-out allocates nothing. */
struct rg_event_link {
    void *opaque[4]; /* storage for a struct rg_inbox_item; see net/inbox.h */
};

struct rg_event {
    atomic_uint refs;
    enum rg_event_kind kind;
    uint32_t text_n, type_n, id_n;
    uint32_t matches_n;
    uint64_t reactors; /* union of the matches' sets */
    uint64_t born_ns;  /* rg_clock_mono_ns() when it reached the process */
    struct rg_origin origin;
    _Atomic(struct rg_frame *) frames[RG_FRAME_KINDS];
    const struct rg_interest_match *matches;
    const char *text; /* JSON of the structured event */
    const char *type;
    const char *id;
    struct rg_event_link *links; /* links_n of them: one per reactor */
    uint32_t links_n;
};

/*
 * Makes an event with one reference from what was parsed; everything is copied. links_n is
 * the number of reactors.
 */
struct rg_event *rg_event_new(const struct rg_envelope *envelope, const struct rg_origin *origin,
                              const struct rg_interest_match *matches, size_t matches_n,
                              unsigned links_n);

/*
 * The same for a message on a channel: kind, topic, the name of its event, and its payload, which
 * is JSON. reactors are those where somebody has joined.
 */
struct rg_channel_message {
    struct rg_str topic, name, payload;
};
struct rg_event *rg_event_new_for_channel(enum rg_event_kind kind,
                                          const struct rg_channel_message *message,
                                          const struct rg_origin *origin, uint64_t reactors,
                                          unsigned links_n);

struct rg_event *rg_event_ref(struct rg_event *event);
/* Gives up a reference and sets *eventp to NULL; the last one frees event and frames. */
void rg_event_unref(struct rg_event **eventp);

static inline struct rg_str rg_event_text(const struct rg_event *event)
{
    return rg_str_n(event->text, event->text_n);
}
static inline struct rg_str rg_event_type(const struct rg_event *event)
{
    return rg_str_n(event->type, event->type_n);
}
static inline struct rg_str rg_event_id(const struct rg_event *event)
{
    return rg_str_n(event->id, event->id_n);
}

/*
 * Encodes an event; returns a frame from rg_frame_new(). Must not keep the event. arg is what
 * rg_event_frame() was given.
 */
typedef struct rg_frame *rg_frame_encode_fn(const struct rg_event *event, void *arg);

struct rg_frame *rg_frame_new(size_t n);

/* The frame of this kind, encoded now if nobody did yet. Owned by the event. */
const struct rg_frame *rg_event_frame(struct rg_event *event, enum rg_frame_kind kind,
                                      rg_frame_encode_fn *encode, void *arg);

/* Bytes an event occupies while it waits, for bounded queues. */
static inline size_t rg_event_bytes(const struct rg_event *event)
{
    return sizeof(*event) + event->links_n * sizeof(struct rg_event_link) +
           event->matches_n * sizeof(struct rg_interest_match) + event->text_n + event->type_n +
           event->id_n;
}
