/*
 * forward.h - requests that no endpoint of ours takes: checked, then sent on to the service of
 * their endpoint (api-gateway.md section 5, legacy-channels.md section 14).
 *
 *   path -> endpoint? -> not too many? -> token? -> record -> service (relay.c), or its place
 *
 * Thread: the reactor, registered with rcu.h.
 */
#pragma once

#include "http/server.h"
#include "proxy/proxy.h"

struct rg_forwarder;

/* The proxy on a reactor; both are borrowed. */
struct rg_forwarder *rg_forwarder_new(struct rg_proxy *proxy, struct rg_reactor *reactor);

/* Connections that have become tunnels: they outlive the server's own. */
size_t rg_forwarder_tunnels(const struct rg_forwarder *forwarder);

/* Appends the connections to services of all these forwarders. Thread: any. */
void rg_forwarders_expose(struct rg_forwarder *const *all, size_t n, struct rg_buf *out);

/*
 * Cuts the tunnels and closes the connections to services, once those to clients are closed. After
 * it a turn of the loop is due.
 */
void rg_forwarder_close(struct rg_forwarder *forwarder);

/*
 * Requests that waited for keys must have been told (rg_verifier_wait()). NULL is fine.
 */
void rg_forwarder_free(struct rg_forwarder **forwarderp);

/*
 * Takes any request, of a row with RG_BODY_STREAMED. A rg_http_handler_fn; arg is the forwarder.
 */
void rg_forward_handle(void *arg, struct rg_exchange *exchange);
