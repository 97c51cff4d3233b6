/*
 * chunked.h - the chunked transfer coding (RFC 9112 section 7.1), read strictly.
 *
 * Thread: any; a decoder belongs to its connection.
 */
#pragma once

#include "base/buf.h"
#include "base/err.h"

/*
 * Decodes a chunked body as it arrives. Zero-initialised. Extensions must be well-formed, are
 * limited to 256 bytes per chunk and dropped; sizes are limited to 16 hex digits; trailers
 * must be well-formed, are limited to 32 and 8 KiB, and dropped unless somebody wants them.
 */
struct rg_chunked {
    /* Borrowed: the field lines are appended, without the empty one (trailers.h); or NULL. */
    struct rg_buf *trailers;
    int state;
    uint64_t left; /* of the current chunk */
    unsigned digits;
    unsigned ext_n;
    unsigned trailer_bytes;
    unsigned trailers_n;
};

/*
 * Takes bytes from p[0..n). Sets *ret_data to the next run of body bytes inside p (may be
 * empty) and returns how many bytes were consumed, including that run; call again with
 * the rest. *ret_done becomes true when the body has ended. Returns -400 on a malformed
 * body. Never returns 0 for n > 0 unless done.
 */
long rg_chunked_take(struct rg_chunked *c, const char *p, size_t n, struct rg_str *ret_data,
                     bool *ret_done, struct rg_why *why);
