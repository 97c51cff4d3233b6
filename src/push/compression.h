/*
 * compression.h - whether a client takes compressed messages, and what they are made with.
 *
 * An event is compressed at most once per reactor, however many clients get it: gzip for SSE (RFC
 * 1952), permessage-deflate without context takeover for WebSocket (RFC 7692). Messages below
 * COMPRESSION_MIN_BYTES, and those that do not shrink, are sent as they are.
 *
 * Thread: the reactor.
 */
#pragma once

#include "http/deflate.h"
#include "http/request.h"
#include "push/push.h"

/* What one reactor compresses and inflates with. */
struct rg_compressor {
    size_t min_bytes; /* of an event's JSON */
    struct rg_deflater *deflater;
    struct rg_inflater *inflater;
};

/* NULL if compression is off. */
struct rg_compressor *rg_compressor_new(size_t min_bytes);
void rg_compressor_free(struct rg_compressor **compressorp);

/* True if compression is on and the request accepts gzip (RFC 9110 12.5.3). */
bool rg_compression_accepts_gzip(const struct rg_push *push, const struct rg_request *req);

/*
 * True if compression is on and one of the offers in sec-websocket-extensions is a
 * permessage-deflate that we can satisfy; the value of the answer's extension field is appended to
 * extension then.
 */
bool rg_compression_accepts_deflate(const struct rg_push *push, const struct rg_request *req,
                                    struct rg_buf *extension);
