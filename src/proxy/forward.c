#include "proxy/forward.h"

#include "base/alloc.h"
#include "http/upstream.h"
#include "proxy/authorize.h"
#include "proxy/fields.h"
#include "proxy/path.h"
#include "proxy/refusal.h"
#include "proxy/relay.h"
#include "proxy/upload.h"

struct rg_forwarder {
    struct rg_proxy *proxy;
    struct rg_reactor *reactor;
    struct rg_http_server *http;
    struct rg_upstreams *upstreams;
};

/* A request on its way through the checks. */
struct passage {
    struct rg_forwarder *forwarder;
    struct rg_exchange *exchange;
    const struct rg_request *req;
    struct rg_form form;
    struct rg_str method; /* that routes are found by, and that the service sees */
    const struct rg_proxy_route *route;
};

struct rg_forwarder *rg_forwarder_new(struct rg_proxy *proxy, struct rg_reactor *reactor)
{
    struct rg_upstream_settings settings = rg_upstream_default_settings;
    struct rg_forwarder *forwarder = rg_zalloc(sizeof(*forwarder));

    settings.connect_timeout_ms = proxy->settings.connect_timeout_ms;
    forwarder->proxy = proxy;
    forwarder->reactor = reactor;
    forwarder->upstreams = rg_upstreams_new(reactor, &settings);
    return forwarder;
}

void rg_forwarder_attach(struct rg_forwarder *forwarder, struct rg_http_server *http)
{
    forwarder->http = http;
}

void rg_forwarder_close(struct rg_forwarder *forwarder)
{
    rg_upstreams_close_all(forwarder->upstreams);
}

void rg_forwarder_free(struct rg_forwarder **forwarderp)
{
    struct rg_forwarder *forwarder = *forwarderp;

    if (forwarder == NULL)
        return;
    *forwarderp = NULL;
    rg_upstreams_free(&forwarder->upstreams);
    rg_free(forwarder);
}

static void refuse(const struct passage *passage, int status, const char *message,
                   const char *reason)
{
    rg_refusal_send_now(passage->exchange, passage->req, status, message, reason);
}

/* ---- to the service ---- */

static bool is_one_of(struct rg_str method, const char *const *methods, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (rg_str_eq(method, rg_str_c(methods[i])))
            return true;
    }
    return false;
}

/* 14.2: the others are answered with 405, also where a route has one. */
static bool is_forwarded(struct rg_str method)
{
    static const char *const methods[] = {"GET", "POST", "PUT", "DELETE"};

    return is_one_of(method, methods, RG_COUNT_OF(methods));
}

/* Of these a service expects a body, be it an empty one (RFC 9110 8.6). */
static bool has_body(struct rg_str method)
{
    static const char *const methods[] = {"POST", "PUT"};

    return is_one_of(method, methods, RG_COUNT_OF(methods));
}

/* Only HTTP/1.0 may leave Host out. */
static void add_host(const struct passage *passage, struct rg_buf *text,
                     struct rg_http_field *field)
{
    const struct rg_proxy_route *route = passage->route;
    bool is_v6 = strchr(route->host, ':') != NULL;

    rg_buf_addf(text, is_v6 ? "[%s]:%u" : "%s:%u", route->host, route->port);
    *field = (struct rg_http_field){RG_STR("host"), rg_buf_str(text)};
}

static bool has_upload(const struct passage *passage)
{
    return passage->form.has_upload && rg_str_eq(passage->method, RG_STR("POST"));
}

static void send_on(const struct passage *passage)
{
    const struct rg_request *req = passage->req;
    struct rg_forwarder *forwarder = passage->forwarder;
    struct rg_http_field fields[RG_MAX_FIELDS_PER_MESSAGE + 1];
    struct rg_buf composed = {0}, host = {0};
    struct rg_upstream_request outgoing = {
        .host = passage->route->host,
        .port = passage->route->port,
        .method = passage->method,
        .target = req->target,
        .fields = fields,
        .fields_n = rg_fields_to_forward(req, fields),
        .body = req->body,
        .has_body = req->body.n > 0 || has_body(passage->method),
        .response_timeout_ms = forwarder->proxy->settings.recv_timeout_ms,
    };
    const struct rg_relay_client client = {passage->exchange, req,
                                           rg_str_c(passage->route->method)};

    if (rg_request_field(req, RG_STR("host")).p == NULL)
        add_host(passage, &host, &fields[outgoing.fields_n++]);
    if (has_upload(passage)) {
        rg_upload_compose(req, &composed);
        outgoing.body = rg_buf_str(&composed);
    }
    rg_relay_begin(forwarder->proxy, forwarder->upstreams, passage->route, &client, &outgoing);
    rg_buf_done(&composed);
    rg_buf_done(&host);
}

/* ---- tokens ---- */

static void serve(struct passage *passage, bool is_last_try);

/* A request that waits for keys; on the heap, because it comes back from another thread. */
struct pending {
    struct rg_inbox_item item;
    struct rg_forwarder *forwarder;
    struct rg_exchange_handle exchange;
    struct rg_request *req;
};

static void pending_free(struct pending *pending)
{
    rg_free(pending->req);
    rg_free(pending);
}

static void go_on(struct rg_inbox_item *item, void *ctx)
{
    struct pending *pending = RG_CONTAINER_OF(item, struct pending, item);
    struct rg_forwarder *forwarder = pending->forwarder;

    (void)ctx;
    rg_reactor_assert(forwarder->reactor);
    struct passage passage = {
        .forwarder = forwarder,
        .exchange = rg_http_server_find(forwarder->http, pending->exchange),
        .req = pending->req,
    };
    if (passage.exchange != NULL)
        serve(&passage, true);
    pending_free(pending);
}

/* Thread: any. */
static void on_keys(void *arg)
{
    struct pending *pending = arg;

    rg_reactor_post(pending->forwarder->reactor, &pending->item, go_on, 0);
}

/* False if too many wait. */
static bool await_keys(const struct passage *passage)
{
    struct rg_forwarder *forwarder = passage->forwarder;
    struct pending *pending = rg_zalloc(sizeof(*pending));

    pending->forwarder = forwarder;
    pending->exchange = rg_exchange_get_handle(passage->exchange);
    pending->req = rg_request_copy(passage->req);
    if (rg_verifier_wait(forwarder->proxy->settings.verifier, on_keys, pending) == 0)
        return true;
    pending_free(pending);
    return false;
}

static void record(const struct passage *passage, const struct rg_claims *claims)
{
    struct rg_request_log *log = passage->forwarder->proxy->settings.log;
    char peer[RG_PEER_SIZE];

    if (log == NULL)
        return;
    rg_exchange_peer(passage->exchange, peer);
    rg_request_log_put(log, passage->route, claims, passage->req->path, peer);
}

/* True if the request may go on; otherwise it was answered, or waits. */
static bool authorize(const struct passage *passage, bool is_last_try)
{
    struct rg_verifier *verifier = passage->forwarder->proxy->settings.verifier;
    struct rg_claims *claims = NULL;
    int err = rg_authorize(verifier, passage->req, is_last_try, &claims);

    if (err == RG_EAGAIN && await_keys(passage))
        return false;
    if (err < 0) {
        refuse(passage, 401, "Missing or invalid token", NULL);
        return false;
    }
    record(passage, claims);
    rg_claims_unref(&claims);
    return true;
}

/* ---- checks ---- */

/* HEAD is GET without a body (section 1); a form may say what its POST is meant to be (14.4.5). */
static struct rg_str method_of(const struct passage *passage)
{
    const struct rg_request *req = passage->req;

    switch (req->method) {
    case RG_HEAD:
        return rg_method_name(RG_GET);
    case RG_POST:
        return rg_method_name(passage->form.method);
    default:
        return req->method_name;
    }
}

/* Any token is a method, but not a label. */
static struct rg_str countable(struct rg_str method)
{
    return rg_method_from(method) != RG_METHOD_OTHER ? rg_method_name(rg_method_from(method))
                                                     : RG_STR("other");
}

static bool is_readable(struct passage *passage)
{
    struct rg_why why = {0};
    int err = rg_path_check(passage->req->path, &why);

    if (err < 0) {
        refuse(passage, 400, "Bad Request", why.text);
        return false;
    }
    if (passage->req->method != RG_POST)
        return true;
    err = rg_form_read(passage->req, &passage->form, &why);
    if (err < 0)
        refuse(passage, err == RG_EFULL ? 413 : 400,
               err == RG_EFULL ? "Content Too Large" : "Bad Request", why.text);
    return err == 0;
}

static void serve(struct passage *passage, bool is_last_try)
{
    struct rg_proxy *proxy = passage->forwarder->proxy;

    if (!is_readable(passage))
        return;
    passage->method = method_of(passage);
    passage->route =
        rg_proxy_routes_find(proxy->settings.routes, passage->method, passage->req->path);
    if (passage->route == NULL) {
        rg_proxy_count(proxy, NULL, countable(passage->method), RG_PROXY_NOT_FOUND);
        refuse(passage, 404, "Route is not available", NULL);
        return;
    }
    if (passage->route->needs_token && !authorize(passage, is_last_try))
        return;
    if (is_forwarded(passage->method))
        send_on(passage);
    else
        refuse(passage, 405, "Method is not supported", NULL);
}

void rg_forward_handle(void *arg, struct rg_exchange *exchange)
{
    struct passage passage = {
        .forwarder = arg,
        .exchange = exchange,
        .req = rg_exchange_request(exchange),
    };

    serve(&passage, false);
}
