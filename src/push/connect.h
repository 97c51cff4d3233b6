/*
 * connect.h - what a client says when it connects: its token and its first subscriptions
 * (client-api.md section 4).
 *
 * Thread: the reactor.
 */
#pragma once

#include "event/subscription.h"
#include "http/request.h"

struct rg_hub;

/*
 * Checks the query of a connect request in the order of 4.2 (SSE and WebSocket) or 7.2
 * (long-polling). On success *ret is the first set of subscriptions, owned by the caller. On
 * failure why->text is the body of the 400 that follows.
 */
int rg_connect_parse(struct rg_hub *hub, const struct rg_request *req, bool is_longpoll,
                     struct rg_subscription_set **ret, struct rg_why *why);

/* The same for a query that was kept from an earlier request. */
int rg_connect_parse_query(struct rg_hub *hub, struct rg_str query, bool is_longpoll,
                           struct rg_subscription_set **ret, struct rg_why *why);
