/*
 * admin.h - the routes of the internal port that belong to operators (management-api.md).
 *
 * Thread: the loop of the internal port.
 */
#pragma once

#include "ops/health.h"
#include "ops/metrics.h"

#define RG_ADMIN_ROUTES 4

/* Fills rows; the last one catches all, so rows of others stand before them. */
void rg_admin_routes(struct rg_health *health, struct rg_metrics *metrics,
                     struct rg_route rows[RG_ADMIN_ROUTES]);

/* 404 {"errors":{"detail":"Not found"}}. A rg_http_handler_fn; arg is not used. */
void rg_admin_not_found(void *arg, struct rg_exchange *exchange);
