/*
 * phx_ws.h - channel sockets over WebSocket: /socket/websocket (legacy-channels.md section 6).
 *
 * Thread: the reactor.
 */
#pragma once

#include "http/server.h"

struct rg_client_ops;

extern const struct rg_client_ops rg_phx_ws_ops;

/* Any method of /socket/websocket. A rg_http_handler_fn; arg is the hub. */
void rg_phx_ws_handle(void *arg, struct rg_exchange *exchange);
