/*
 * sse.h - Server-Sent Events (WHATWG HTML, 9.2; client-api.md section 5).
 *
 * Thread: encoding, any; the endpoint, its reactor.
 */
#pragma once

#include "event/event.h"
#include "http/server.h"

/*
 * The frame of one event: "event:" and "data:" lines, inside one chunk of HTTP/1.1. Line breaks in
 * the type become spaces; each line of the JSON text becomes one data line.
 */
struct rg_frame *rg_sse_encode(struct rg_str type, struct rg_str json);
struct rg_frame *rg_sse_encode_event(const struct rg_event *event); /* rg_frame_encode_fn */

/* GET /_rig/v1/connection/sse and its preflight. A rg_http_handler_fn; arg is the hub. */
void rg_sse_handle(void *arg, struct rg_exchange *exchange);
