/*
 * gzip.h - a gzip stream (RFC 1952) per client, made of pieces that all clients share.
 *
 *     header | piece | piece | ... | end
 *
 * A piece is a run of deflate blocks (RFC 1951) that begins and ends on a byte boundary, is not
 * final and refers to nothing before it: the same bytes fit anywhere into any stream. What differs
 * between clients is the check sum at the end, so each client carries one along: adding a piece to
 * it costs the same whatever the piece's size. One stream from beginning to end, because browsers
 * ignore what follows the first gzip member.
 *
 * Thread: any; no state.
 */
#pragma once

#include "event/event.h"
#include "http/deflate.h"

/* Length and CRC-32 of all that a stream contains so far. Zeroed at the start. */
struct rg_gzip_total {
    uint32_t n; /* modulo 2^32, as RFC 1952 has it */
    uint32_t crc;
};

/* Appends the header that a stream begins with. */
void rg_gzip_add_header(struct rg_buf *out);

/* Appends text as a piece, as it is: for what is small or goes to one client only. */
void rg_gzip_add_stored(struct rg_buf *out, struct rg_str text);

/* Appends text as a piece, compressed unless that is no shorter. */
void rg_gzip_add_deflated(struct rg_buf *out, struct rg_str text, struct rg_deflater *deflater);

/* What a piece with this text adds to a stream. */
struct rg_gzip_sum rg_gzip_sum(struct rg_str text);
void rg_gzip_count(struct rg_gzip_total *total, const struct rg_gzip_sum *sum);

/* Appends the end of a stream that contains total. */
void rg_gzip_add_end(struct rg_buf *out, const struct rg_gzip_total *total);
