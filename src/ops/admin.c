#include "ops/admin.h"

#include "http/reply.h"

#define MAX_BODY 8000000 /* management-api.md 1.1 */

void rg_admin_not_found(void *arg, struct rg_exchange *exchange)
{
    struct rg_response response = {.status = 404};

    (void)arg;
    rg_reply_problem(exchange, &response, "Not found");
}

void rg_admin_routes(struct rg_health *health, struct rg_metrics *metrics,
                     struct rg_route rows[RG_ADMIN_ROUTES])
{
    const unsigned get = RG_METHOD_BIT(RG_GET);

    rows[0] = (struct rg_route){get, "/health", rg_health_handle, health, 0};
    rows[1] = (struct rg_route){get, "/ready", rg_ready_handle, health, 0};
    rows[2] = (struct rg_route){get, "/metrics", rg_metrics_handle, metrics, 0};
    rows[3] = (struct rg_route){RG_METHODS_ALL, "*", rg_admin_not_found, NULL, MAX_BODY};
}
