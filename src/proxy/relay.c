#include "proxy/relay.h"

#include "base/alloc.h"
#include "base/clock.h"
#include "base/log.h"
#include "http/trace.h"
#include "proxy/refusal.h"

/* Lives until the exchange and the call have ended; it ends the one where the other has. */
struct relay {
    struct rg_proxy *proxy;
    const struct rg_proxy_route *route;
    struct rg_exchange *exchange;
    struct rg_upstream_call *call;
    struct rg_str method;
    bool is_head;   /* the client wants no body */
    bool has_begun; /* the service's answer is on its way */
    struct rg_trace trace;
};

/* ---- the client ---- */

static void on_gone(void *arg)
{
    struct relay *relay = arg;

    rg_upstream_cancel(relay->call);
    rg_free(relay);
}

static void on_writable(void *arg)
{
    struct relay *relay = arg;

    rg_upstream_resume(relay->call);
}

static const struct rg_body_events body_events = {on_writable, on_gone};

/* ---- failures ---- */

static const struct {
    const char *reason;
    enum rg_proxy_outcome outcome;
    int status;
    const char *message;
} failures[] = {
    [RG_UPSTREAM_UNREACHABLE] = {"unreachable", RG_PROXY_UNREACHABLE, 502, "Bad Gateway"},
    [RG_UPSTREAM_BROKEN] = {"connection lost", RG_PROXY_UNREACHABLE, 502, "Bad Gateway"},
    [RG_UPSTREAM_MALFORMED] = {"malformed answer", RG_PROXY_UNREACHABLE, 502, "Bad Gateway"},
    [RG_UPSTREAM_TIMEOUT] = {"timeout", RG_PROXY_TIMEOUT, 504, "Gateway Timeout"},
};

static void log_failure(struct relay *relay, const char *reason, const struct rg_why *why)
{
    uint64_t untold;

    if (rg_throttle_pass(&relay->proxy->failures, rg_clock_mono_ms(), &untold))
        rg_log_warn("service failed", RG_FS("reason", reason), RG_FS("host", relay->route->host),
                    RG_FU("port", relay->route->port), RG_FS("path", relay->route->path),
                    RG_FS("detail", why->text), RG_FU("others", untold));
}

/* The call is over. */
static void on_failure(void *arg, enum rg_upstream_error error, const struct rg_why *why)
{
    struct relay *relay = arg;

    log_failure(relay, failures[error].reason, why);
    if (relay->has_begun) {
        /* Its status is sent and counted: all that is left is not to pretend that this was all. */
        rg_exchange_abort_body(relay->exchange);
    } else {
        rg_proxy_count(relay->proxy, relay->route, relay->method, failures[error].outcome);
        rg_refusal_send(relay->exchange, &relay->trace, failures[error].status,
                        failures[error].message);
    }
    rg_free(relay);
}

/* ---- the answer ---- */

static void on_head(void *arg, const struct rg_upstream_head *head)
{
    struct relay *relay = arg;
    struct rg_response response = {
        .status = head->status, .more = head->fields, .more_n = head->fields_n};

    relay->has_begun = true;
    rg_proxy_count(relay->proxy, relay->route, relay->method, RG_PROXY_OK);
    rg_exchange_begin_body(relay->exchange, &response, head->length, &body_events, relay);
    if (!relay->is_head)
        return;
    /* The service was asked with GET, and nobody is interested in the body. */
    rg_exchange_finish_body(relay->exchange);
    rg_upstream_cancel(relay->call);
    rg_free(relay);
}

static void on_body(void *arg, struct rg_str piece)
{
    struct relay *relay = arg;

    if (!rg_exchange_write_body(relay->exchange, piece))
        rg_upstream_pause(relay->call);
}

static void on_end(void *arg, const struct rg_http_field *trailers, size_t trailers_n)
{
    (void)trailers;
    (void)trailers_n;
    struct relay *relay = arg;

    rg_exchange_finish_body(relay->exchange);
    rg_free(relay);
}

static const struct rg_upstream_events upstream_events = {on_head,    on_body, on_end,
                                                          on_failure, NULL,    NULL};

void rg_relay_begin(struct rg_proxy *proxy, struct rg_upstreams *upstreams,
                    const struct rg_proxy_route *route, const struct rg_relay_client *client,
                    const struct rg_upstream_request *outgoing)
{
    struct relay *relay = rg_alloc(sizeof(*relay));

    *relay = (struct relay){
        .proxy = proxy,
        .route = route,
        .exchange = client->exchange,
        .method = client->method,
        .is_head = client->req->method == RG_HEAD,
    };
    rg_trace_begin(client->req, &relay->trace);
    rg_exchange_on_gone(client->exchange, on_gone, relay);
    relay->call = rg_upstreams_send(upstreams, outgoing, &upstream_events, relay);
}
