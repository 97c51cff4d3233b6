/*
 * health.h - is the gateway alive, and is it ready for traffic.
 *
 * Alive means that the process answers; a broken broker must not restart the gateway. Ready means
 * that every part that was configured does its work, and the answer says which does not.
 *
 * Thread: any; the flag is atomic.
 */
#pragma once

#include <stdatomic.h>

#include "http/server.h"

/* Appends one JSON member per part, e.g. "kafka":{"ready":false,"reason":"..."}, and returns
 * whether all are ready. Called on the thread of the endpoint. */
typedef bool rg_ready_fn(void *arg, struct rg_buf *members);

struct rg_health {
    atomic_bool is_shutting_down;
    rg_ready_fn *ready;
    void *ready_arg;
};

/*
 * GET /health and /_rig/health: 200 "OK"; 503 "Shutting down" once the gateway stops
 * (management-api.md 6). A rg_http_handler_fn; arg is the struct rg_health.
 */
void rg_health_handle(void *arg, struct rg_exchange *exchange);

/* GET /ready: 200 or 503 with {"ready":...,"parts":{...}}. Otherwise as above. */
void rg_ready_handle(void *arg, struct rg_exchange *exchange);
