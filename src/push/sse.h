/*
 * sse.h - Server-Sent Events (WHATWG HTML, 9.2; client-api.md section 5).
 *
 * Thread: encoding, any; the endpoint, its reactor.
 */
#pragma once

#include "event/event.h"
#include "http/server.h"
#include "push/gzip.h"
#include "push/msg.h"

struct rg_client_ops;

/*
 * The frame of one event: "event:" and "data:" lines, inside one chunk of HTTP/1.1. Line breaks in
 * the type become spaces; each line of the JSON text becomes one data line.
 */
struct rg_frame *rg_sse_encode(struct rg_str type, struct rg_str json);
struct rg_frame *rg_sse_encode_event(const struct rg_event *event, void *arg);

/* The same as a piece of a gzip stream (gzip.h); deflater NULL: stored as it is. */
struct rg_frame *rg_sse_encode_gzip(struct rg_str type, struct rg_str json,
                                    struct rg_deflater *deflater);
/* Compressed from compressor->min_bytes on; arg is the struct rg_compressor. */
struct rg_frame *rg_sse_encode_gzip_event(const struct rg_event *event, void *arg);

/* A frame of event-stream text that is ready, such as a comment, in one of the SSE encodings. */
struct rg_frame *rg_sse_wrap(enum rg_encoding encoding, struct rg_str text);

/* Appends what a stream begins with behind the head of the response. */
void rg_sse_add_begin(struct rg_buf *out, enum rg_encoding encoding);

/*
 * Appends what a stream ends with; total is what a gzip stream contains. A stream that was cut
 * because its reader is too slow says so, and its gzip stream stays unfinished: messages are
 * missing from it.
 */
void rg_sse_add_end(struct rg_buf *out, enum rg_encoding encoding,
                    const struct rg_gzip_total *total, bool is_cut);

extern const struct rg_client_ops rg_sse_ops;

/* GET /_rig/v1/connection/sse and its preflight. A rg_http_handler_fn; arg is the hub. */
void rg_sse_handle(void *arg, struct rg_exchange *exchange);
