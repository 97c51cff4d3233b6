/*
 * api.h - the routes of the client API (client-api.md section 2).
 *
 * Thread: building, the reactor's or before it runs.
 */
#pragma once

#include "push/hub.h"
#include "push/publish.h"

#define RG_API_ROUTES 12

/* Fills rows with the routes of hub's client port and returns how many; endpoint lives as long as
 * the rows. What none of them takes is the caller's to give to somebody. */
size_t rg_api_routes(struct rg_hub *hub, struct rg_publish_endpoint *endpoint,
                     struct rg_route rows[RG_API_ROUTES]);

/* For what nobody takes: 404 {"message":"Not Found"}. A rg_http_handler_fn; arg is the struct
 * rg_push. */
void rg_api_not_found(void *arg, struct rg_exchange *exchange);
