/*
 * forward.h - requests that no endpoint of ours takes: checked, then sent on to the service of
 * their route (legacy-channels.md section 14).
 *
 *   path safe? -> form readable? -> route? -> token? -> record -> service (relay.h)
 *
 * Thread: the reactor.
 */
#pragma once

#include "http/server.h"
#include "proxy/proxy.h"

struct rg_forwarder;

/* The proxy on a reactor; both are borrowed. */
struct rg_forwarder *rg_forwarder_new(struct rg_proxy *proxy, struct rg_reactor *reactor);

/* The server that requests come from; before it runs. */
void rg_forwarder_attach(struct rg_forwarder *forwarder, struct rg_http_server *http);

/*
 * Closes the connections to services, once those to clients are closed. After it a turn of the loop
 * is due.
 */
void rg_forwarder_close(struct rg_forwarder *forwarder);

/*
 * Requests that waited for keys must have been told (rg_verifier_wait()). NULL is fine.
 */
void rg_forwarder_free(struct rg_forwarder **forwarderp);

/* Takes any request. A rg_http_handler_fn; arg is the forwarder. */
void rg_forward_handle(void *arg, struct rg_exchange *exchange);
