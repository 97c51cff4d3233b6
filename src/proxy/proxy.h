/*
 * proxy.h - what the proxy knows on all reactors: which definitions are in force, who may use them,
 * and what became of requests.
 *
 * Thread: making and freeing, one; the rest, any registered with rcu.h.
 */
#pragma once

#include "auth/verifier.h"
#include "base/counter.h"
#include "base/throttle.h"
#include "proxy/access_log.h"
#include "proxy/answers.h"
#include "proxy/catalogue.h"
#include "proxy/outgoing.h"
#include "proxy/quota.h"
#include "proxy/request_log.h"

/* All of it is borrowed. */
struct rg_proxy_settings {
    struct rg_catalogue *catalogue;
    struct rg_verifier *verifier;
    struct rg_quota *quota;
    struct rg_answers *answers;
    struct rg_request_log *log;       /* NULL: requests are not recorded */
    struct rg_access_log *access_log; /* NULL: off */
    struct rg_outgoing_settings outgoing;
    const char *cors;            /* CORS: access-control-allow-origin of our own answers */
    bool is_2017;                /* the list of 2017 is served: requests that find nothing are
                                    answered in its manner, and paths must be plain */
    uint64_t connect_timeout_ms; /* to a service */
    uint64_t recv_timeout_ms;    /* PROXY_RECV_TIMEOUT */
    uint64_t max_body_bytes;     /* PROXY_BODY_BYTES; 0: no limit */
    uint64_t answer_timeout_ms[RG_FROM_NATS + 1]; /* by enum rg_response_from */
};

struct rg_proxy {
    struct rg_proxy_settings settings; /* set once */

    struct rg_family *requests;               /* any thread */
    struct rg_throttle failures;              /* any thread: lines about services that fail */
    struct rg_throttle ambiguities;           /* the same: several endpoints match */
    struct rg_throttle costs;                 /* the same: patterns that cost too much */
    struct rg_throttle strangers;             /* the same: targets that this build does not have */
    _Atomic uint64_t tunnels, tunnels_opened; /* any thread */
};

struct rg_proxy *rg_proxy_new(const struct rg_proxy_settings *settings);

/* Waits for a grace period: never on a reactor. */
void rg_proxy_free(struct rg_proxy **proxyp);

/* Whether an endpoint takes requests for this method and path. */
bool rg_proxy_has(const struct rg_proxy *proxy, struct rg_str method, struct rg_str path);

/* Appends the metrics of requests, and of their records. */
void rg_proxy_expose(struct rg_proxy *proxy, struct rg_buf *out);
