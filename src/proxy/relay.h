/*
 * relay.h - one request to a service, and its answer on its way to the client.
 *
 * The answer goes on as it comes. Where the client is slower than the service, the service waits;
 * where the client leaves, the request to the service is given up.
 *
 * Thread: the reactor.
 */
#pragma once

#include "http/server.h"
#include "http/upstream.h"
#include "proxy/proxy.h"

/* What is needed of the request once it has been sent; all but the exchange is copied. */
struct rg_relay_client {
    struct rg_exchange *exchange; /* the relay's from here on: it will answer */
    const struct rg_request *req;
    struct rg_str method; /* that is counted; of rg_method_name() or as long as the proxy */
};

/* Sends outgoing, a request to route's service, on behalf of client. */
void rg_relay_begin(struct rg_proxy *proxy, struct rg_upstreams *upstreams,
                    const struct rg_proxy_route *route, const struct rg_relay_client *client,
                    const struct rg_upstream_request *outgoing);
