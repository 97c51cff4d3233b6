/*
 * publish.h - events posted over HTTP (client-api.md section 11).
 *
 * Thread: the reactor.
 */
#pragma once

#include "http/server.h"
#include "push/dispatch.h"

struct rg_hub;

/* What an endpoint that takes events needs: on the client port, and on the internal one. */
struct rg_publish_endpoint {
    struct rg_push *push;
    struct rg_dispatcher *dispatcher; /* of the thread that runs the endpoint */
    bool is_cors;
    struct rg_hub *hub; /* for SUBMISSION_CHECK; NULL: nothing is checked (internal port, 11.9) */
};

/* POST /_rig/v1/events, /v3/messages and preflights. A rg_http_handler_fn; arg is the endpoint. */
void rg_publish_handle(void *arg, struct rg_exchange *exchange);
