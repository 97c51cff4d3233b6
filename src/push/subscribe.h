/*
 * subscribe.h - setting the subscriptions of an open connection (client-api.md section 9).
 *
 * The request may reach any reactor; what it asks for is checked there and done on the
 * reactor of the connection.
 *
 * Thread: the reactor.
 */
#pragma once

#include "http/server.h"

/*
 * PUT /_rig/v1/connection/:transport/:token/subscriptions and its preflight. A rg_http_handler_fn;
 * arg is the hub.
 */
void rg_subscribe_handle(void *arg, struct rg_exchange *exchange);
