/*
 * phx.h - messages of Phoenix Channels as text, in both versions (legacy-channels.md section 4).
 *
 *   V2   [join_ref, ref, topic, event, payload]
 *   V1   {"topic":..,"event":..,"payload":..,"ref":..}
 *
 * References are echoed exactly as they came, so they are kept as JSON text.
 *
 * Thread: any; no state.
 */
#pragma once

#include "event/event.h"
#include "push/msg.h"

enum rg_phx_vsn {
    RG_PHX_V1,
    RG_PHX_V2
};

#define RG_PHX_MAX_REF   128  /* bytes of JSON text */
#define RG_PHX_MAX_TOPIC 1024 /* bytes of a topic that can be joined, unescaped */

/*
 * The version that vsn, a socket's parameter, asks for: absent (p == NULL) or ~> 1.0.0 is V1,
 * ~> 2.0.0 is V2 (3.1). RG_EINVAL for any other, and for what is no version.
 */
int rg_phx_read_vsn(struct rg_str vsn, enum rg_phx_vsn *ret);

/* What a client says. Slices of the text, or of scratch. */
struct rg_phx_message {
    struct rg_str join_ref, ref; /* JSON text: a string, a number or null */
    struct rg_str topic, event;  /* unescaped */
    struct rg_json payload;      /* any JSON value */
};

/*
 * Reads one message. V1: all members but join_ref are required, others are ignored; V2: elements
 * behind the fifth are. scratch is cleared. RG_ESYNTAX where text is not JSON, RG_EINVAL where it
 * has another shape or a part is longer than the limits above.
 */
int rg_phx_parse(enum rg_phx_vsn vsn, struct rg_str text, struct rg_buf *scratch,
                 struct rg_phx_message *ret, struct rg_why *why);

/* What the server says. */
struct rg_phx_reply {
    struct rg_str join_ref, ref; /* JSON text; p == NULL: null */
    struct rg_str topic, event;  /* plain; become JSON strings */
    struct rg_str payload;       /* JSON text */
};

/* As a message to one client in one of the encodings RG_ENC_PHX_*. */
struct rg_msg *rg_phx_msg(enum rg_encoding encoding, const struct rg_phx_reply *reply);

/*
 * An event for all that get it: a message on a channel as a push of its topic and name; a
 * CloudEvent as "message" on the topic "events:<type>". Without references. All of type
 * rg_frame_encode_fn.
 *
 * V1 and V2: one unmasked WebSocket text frame, whose body is the JSON. SSE (8.3, 8.5): one chunk
 * of HTTP/1.1 around an event-stream frame with the event's name and the payload alone; line breaks
 * between its tokens become spaces. Quoted: the JSON of V2 as a JSON string (7.5).
 */
struct rg_frame *rg_phx_encode_v1_event(const struct rg_event *event, void *arg);
struct rg_frame *rg_phx_encode_v2_event(const struct rg_event *event, void *arg);
struct rg_frame *rg_phx_encode_sse_event(const struct rg_event *event, void *arg);
struct rg_frame *rg_phx_encode_quoted_event(const struct rg_event *event, void *arg);
