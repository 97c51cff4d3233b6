#include "proxy/proxy.h"

#include "base/alloc.h"

static const struct rg_family_row requests_row = {
    "rig_proxy_requests_total",
    "counter",
    {"method", "path", "target", "response_from", "status"},
    "Requests to services behind the gateway; path is that of the route."};

static const char *const statuses[] = {
    [RG_PROXY_OK] = "ok",
    [RG_PROXY_NOT_FOUND] = "not_found",
    [RG_PROXY_UNREACHABLE] = "unreachable",
    [RG_PROXY_TIMEOUT] = "request_timeout",
};

struct rg_proxy *rg_proxy_new(const struct rg_proxy_settings *settings)
{
    struct rg_proxy *proxy = rg_zalloc(sizeof(*proxy));

    proxy->settings = *settings;
    proxy->requests = rg_family_new(&requests_row);
    return proxy;
}

void rg_proxy_free(struct rg_proxy **proxyp)
{
    struct rg_proxy *proxy = *proxyp;

    if (proxy == NULL)
        return;
    *proxyp = NULL;
    rg_family_free(&proxy->requests);
    rg_free(proxy);
}

void rg_proxy_count(struct rg_proxy *proxy, const struct rg_proxy_route *route,
                    struct rg_str method, enum rg_proxy_outcome outcome)
{
    const struct rg_str none = RG_STR("N/A"), http = RG_STR("http");
    const struct rg_str values[] = {
        method,
        route != NULL ? rg_str_c(route->path) : none,
        route != NULL ? http : none,
        route != NULL ? http : none,
        rg_str_c(statuses[outcome]),
    };

    rg_series_add(rg_family_find(proxy->requests, values), 1);
}

void rg_proxy_expose(struct rg_proxy *proxy, struct rg_buf *out)
{
    rg_family_expose(proxy->requests, out);
    if (proxy->settings.log != NULL)
        rg_request_log_expose(proxy->settings.log, out);
}
