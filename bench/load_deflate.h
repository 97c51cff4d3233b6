/*
 * load_deflate.h - what comes on a WebSocket with permessage-deflate (RFC 7692).
 *
 * Every message is counted, few are decompressed: a gateway that compresses an event once sends the
 * same bytes to all, so a message that equals the one before carries the same stamp.
 *
 * Thread: one worker.
 */
#pragma once

#include "base/buf.h"
#include "bench/load_tally.h"

/* What the clients of one worker share. */
struct rg_load_inflater;

struct rg_load_inflater *rg_load_inflater_new(struct rg_load_tally *tally);
void rg_load_inflater_free(struct rg_load_inflater **inflaterp);

/* One client's end of the flow; zeroed at first. */
struct rg_load_frames {
    struct rg_buf rest; /* what has come of an answer or a frame that is not complete */
    bool is_open;       /* the answer has come */
    bool is_subscribed;
};

void rg_load_frames_done(struct rg_load_frames *frames);

/*
 * Takes the next bytes: sets is_subscribed when the client is told so, and counts events from
 * then on. Returns RG_EINVAL if the server did not agree to the extension or breaks the protocol.
 */
int rg_load_frames_feed(struct rg_load_frames *frames, struct rg_load_inflater *inflater,
                        const char *p, size_t n);
