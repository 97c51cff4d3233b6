#include "proxy/proxy.h"

#include <inttypes.h>

#include "base/alloc.h"
#include "proxy/outcomes.h"

struct rg_proxy *rg_proxy_new(const struct rg_proxy_settings *settings)
{
    struct rg_proxy *proxy = rg_zalloc(sizeof(*proxy));

    proxy->settings = *settings;
    proxy->requests = rg_family_new(&rg_outcomes_row);
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

bool rg_proxy_has(const struct rg_proxy *proxy, struct rg_str method, struct rg_str path)
{
    struct rg_found found;

    rg_rcu_read_lock();
    bool has =
        rg_table_find(rg_catalogue_table(proxy->settings.catalogue), method, path, &found, NULL);
    rg_rcu_read_unlock();
    return has;
}

void rg_proxy_expose(struct rg_proxy *proxy, struct rg_buf *out)
{
    rg_family_expose(proxy->requests, out);
    rg_metric_head(out, "rgate_proxy_tunnels", "gauge",
                   "Connections to services that speak another protocol (WebSocket).");
    rg_buf_addf(out, "rgate_proxy_tunnels %" PRIu64 "\n", atomic_load(&proxy->tunnels));
    rg_metric_head(out, "rgate_proxy_tunnels_total", "counter",
                   "Connections to services that have switched to another protocol.");
    rg_buf_addf(out, "rgate_proxy_tunnels_total %" PRIu64 "\n",
                atomic_load(&proxy->tunnels_opened));
    if (proxy->settings.log != NULL)
        rg_request_log_expose(proxy->settings.log, out);
}
