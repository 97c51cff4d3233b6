/*
 * metrics.h - /metrics in the Prometheus text format (management-api.md 7).
 *
 * Thread: the loop of the internal port, registered with rcu.h.
 */
#pragma once

#include "http/server.h"

/* Appends what the rest of the program counts. */
typedef void rg_expose_fn(void *arg, struct rg_buf *out);

struct rg_metrics {
    bool is_enabled; /* false: /metrics is 404 */
    rg_expose_fn *expose;
    void *expose_arg;
};

/* GET /metrics. A rg_http_handler_fn; arg is the struct rg_metrics. */
void rg_metrics_handle(void *arg, struct rg_exchange *exchange);

/* Appends the usual process_* metrics. */
void rg_metrics_add_process(struct rg_buf *out);
