/*
 * phx_sse.h - channels over Server-Sent Events: /socket/sse (legacy-channels.md section 8).
 *
 * Thread: the reactor.
 */
#pragma once

#include "http/server.h"

struct rg_client_ops;

extern const struct rg_client_ops rg_phx_sse_ops;

/* Any method of /socket/sse. A rg_http_handler_fn; arg is the hub. */
void rg_phx_sse_handle(void *arg, struct rg_exchange *exchange);
