/*
 * ws.h - the WebSocket endpoint (client-api.md section 6).
 *
 * Clients of this endpoint only listen: they may send control frames, and any message of
 * theirs ends the connection. So no message is ever buffered or inflated beyond
 * 4 KiB.
 *
 * Thread: encoding, any; the rest, its reactor.
 */
#pragma once

#include "event/event.h"
#include "http/server.h"

struct rg_client_ops;

/* One unmasked text frame that contains exactly the event's JSON. */
struct rg_frame *rg_ws_encode(struct rg_str json);
struct rg_frame *rg_ws_encode_event(const struct rg_event *event, void *arg);

/*
 * The same compressed (RFC 7692 7.2.1), unless that is no shorter; arg is the struct
 * rg_compressor.
 */
struct rg_frame *rg_ws_encode_deflate_event(const struct rg_event *event, void *arg);

extern const struct rg_client_ops rg_ws_ops;

/* GET /_rig/v1/connection/ws. A rg_http_handler_fn; arg is the hub. */
void rg_ws_handle(void *arg, struct rg_exchange *exchange);
