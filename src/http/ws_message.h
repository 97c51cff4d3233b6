/*
 * ws_message.h - whole messages out of a peer's WebSocket frames (RFC 6455, RFC 7692).
 *
 * Puts fragments together, inflates what came compressed, and gives control frames in between
 * as they come. Everything has a limit, and what a frame only claims to contain counts, so that
 * nobody waits or allocates for it. A message that is too large or not valid is given up at the
 * first byte that shows it; a compressed one is looked into when it is complete.
 *
 * Thread: any; a reader belongs to its connection.
 */
#pragma once

#include "http/deflate.h"
#include "http/websocket.h"

struct rg_ws_message_limits {
    size_t max_bytes;       /* of a message, as it came and inflated */
    unsigned max_fragments; /* frames of one message */
    size_t max_ratio;       /* see struct rg_inflate_limits */
};

/* Zeroed at the start, with the caller's fields set; not moved while in use. */
struct rg_ws_message_reader {
    struct rg_ws_reader frames;                /* set expects_mask and allows_rsv1 */
    const struct rg_ws_message_limits *limits; /* set by the caller, who keeps them */
    struct rg_inflater *inflater; /* set by the caller, who keeps it, along with allows_rsv1 */

    struct rg_buf data;    /* of the data message that is arriving */
    struct rg_buf control; /* of the control frame that is arriving */
    struct rg_buf *given;  /* the one that the last message lies in */
    size_t checked;        /* bytes of data that are complete characters */
    unsigned fragments;    /* of the data message */
    unsigned char opcode;  /* of the data message */
    bool is_compressed;    /* the data message is */
    bool skips_data;
    bool is_broken; /* the bytes make no sense any more */
};

struct rg_ws_message {
    enum rg_ws_opcode opcode; /* text, binary, close, ping or pong */
    struct rg_str data; /* valid until the reader or the bytes that were read are used again */
};

void rg_ws_message_reader_done(struct rg_ws_message_reader *r);

/*
 * Reads from *pp, of which there are *np bytes, and moves both behind what was used; payload is
 * unmasked in place. Returns 1 and fills *ret at the end of a message or control frame; 0 when
 * everything was used; or, with why, minus the code to close with: -1002 for what rg_ws_read()
 * refuses, -1007 for text that is not UTF-8 and data that cannot be inflated, -1009 beyond a
 * limit. After an error data frames are read over, so that the peer's close frame can still be
 * seen; after -1002 every further call returns the same and uses all.
 */
int rg_ws_message_read(struct rg_ws_message_reader *r, char **pp, size_t *np,
                       struct rg_ws_message *ret, struct rg_why *why);

/* Only control frames are of interest from now on: drops what there is of a data message. */
void rg_ws_message_skip(struct rg_ws_message_reader *r);
