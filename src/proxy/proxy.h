/*
 * proxy.h - what the proxy knows on all reactors: its routes, who may use them, and what became of
 * requests.
 *
 * Thread: making and freeing, one; the rest, any registered with rcu.h.
 */
#pragma once

#include "auth/verifier.h"
#include "base/counter.h"
#include "base/throttle.h"
#include "proxy/request_log.h"
#include "proxy/route.h"

/* All of it is borrowed. */
struct rg_proxy_settings {
    const struct rg_proxy_routes *routes;
    struct rg_verifier *verifier;
    struct rg_request_log *log;  /* NULL: requests are not recorded */
    uint64_t connect_timeout_ms; /* to a service */
    uint64_t recv_timeout_ms;    /* PROXY_RECV_TIMEOUT */
};

struct rg_proxy {
    struct rg_proxy_settings settings; /* set once */

    struct rg_family *requests;  /* any thread */
    struct rg_throttle failures; /* any thread: lines about services that fail */
};

/* What became of a request (api-gateway.md section 14). */
enum rg_proxy_outcome {
    RG_PROXY_OK, /* the service has answered */
    RG_PROXY_NOT_FOUND,
    RG_PROXY_UNREACHABLE,
    RG_PROXY_TIMEOUT
};

struct rg_proxy *rg_proxy_new(const struct rg_proxy_settings *settings);

/* Waits for a grace period: never on a reactor. */
void rg_proxy_free(struct rg_proxy **proxyp);

/*
 * Counts a request in rig_proxy_requests_total; route is NULL if there is none for it. The label
 * path is the route's, so that there are as many series as routes, whatever clients ask for.
 */
void rg_proxy_count(struct rg_proxy *proxy, const struct rg_proxy_route *route,
                    struct rg_str method, enum rg_proxy_outcome outcome);

/* Appends the metrics of requests, and of their records. */
void rg_proxy_expose(struct rg_proxy *proxy, struct rg_buf *out);
