/*
 * deflate.h - raw deflate (RFC 1951), one message at a time.
 *
 * A deflater or inflater is a big piece of memory that is used for one message after the other,
 * each of which starts with an empty window: so there is one per reactor, not one per connection,
 * and what was compressed once can be sent to anybody.
 *
 * Thread: any; each belongs to one.
 */
#pragma once

#include "base/buf.h"

/* How far back a compressed message refers at most, as a power of two. */
#define RG_DEFLATE_WINDOW_BITS 15

/* What each compressed message ends with: an empty block that is stored (RFC 1951 3.2.4). */
#define RG_DEFLATE_TAIL   "\0\0\xff\xff"
#define RG_DEFLATE_TAIL_N 4

struct rg_deflater;
struct rg_inflater;

struct rg_deflater *rg_deflater_new(void);
void rg_deflater_free(struct rg_deflater **deflaterp);

/*
 * Appends text compressed: complete blocks, none of them final, that refer to nothing before them
 * and end with RG_DEFLATE_TAIL on a byte boundary.
 */
void rg_deflater_add(struct rg_deflater *deflater, struct rg_str text, struct rg_buf *out);

struct rg_inflate_limits {
    size_t max_bytes; /* of what comes out */
    size_t max_ratio; /* of what comes out to what went in; 64 KiB are always allowed. 0: any */
};

struct rg_inflater *rg_inflater_new(void);
void rg_inflater_free(struct rg_inflater **inflaterp);

/*
 * Appends what data, a message without RG_DEFLATE_TAIL, contains. Final blocks in it are fine (RFC
 * 7692 7.2.3.4). Returns RG_EFULL as soon as a limit is passed, RG_ESYNTAX if data is not such a
 * message; out may have a part of the content then, never more than max_bytes and one.
 */
int rg_inflater_add(struct rg_inflater *inflater, struct rg_str data,
                    const struct rg_inflate_limits *limits, struct rg_buf *out);
