/*
 * phx_sse.h - channels over Server-Sent Events: /socket/sse (legacy-channels.md section 8).
 *
 * A stream joins the topics of its request and cannot join or leave any later; it ends if it may
 * not join one of them. What is refused before: no room or an end of the gateway with 429 or 503
 * and Retry-After, a page's foreign origin with 403, the rest as in 8.2; more topics than
 * MAX_CHANNELS and names that are too long with 400.
 *
 * Thread: the reactor.
 */
#pragma once

#include "http/server.h"

struct rg_client_ops;

extern const struct rg_client_ops rg_phx_sse_ops;

/* Any method of /socket/sse. A rg_http_handler_fn; arg is the hub. */
void rg_phx_sse_handle(void *arg, struct rg_exchange *exchange);
