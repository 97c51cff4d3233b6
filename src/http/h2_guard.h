/*
 * h2_guard.h - the frames in a peer's bytes, for what nghttp2 lets pass.
 *
 * nghttp2 ignores frames of unknown types, those for closed streams and priorities without a word,
 * so nobody could count them or object. The guard walks over the bytes from frame to frame before
 * nghttp2 gets them.
 *
 * Thread: any; a guard belongs to its connection.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define RG_H2_FRAME_HEAD    9 /* RFC 9113 4.1 */
#define RG_H2_PRIORITY_SIZE 5 /* 6.3 */

/* Zeroed at the start, behind the connection preface. */
struct rg_h2_guard {
    unsigned char bytes[RG_H2_FRAME_HEAD + RG_H2_PRIORITY_SIZE];
    unsigned char n;  /* of them that are there */
    uint32_t to_pass; /* bytes of the current frame that are still to come; it has been reported */
};

struct rg_h2_frame {
    uint32_t length;
    unsigned char type, flags;
    int32_t stream_id;
    int32_t depends_on; /* PRIORITY of the right size: the stream it names; else 0 */
};

/*
 * Walks over p[0..n) and returns how many bytes to pass on before calling again with the rest.
 * Stops behind what makes a frame known, which is its head (and the payload of a PRIORITY frame),
 * fills *ret then and sets *ret_is_frame.
 */
size_t rg_h2_guard_walk(struct rg_h2_guard *guard, const char *p, size_t n, struct rg_h2_frame *ret,
                        bool *ret_is_frame);
