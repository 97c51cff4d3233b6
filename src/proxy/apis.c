#include "proxy/apis.h"

#include "http/reply.h"

static void handle(void *arg, struct rg_exchange *exchange)
{
    struct rg_response response = {.status = 404};

    (void)arg;
    rg_reply_problem(exchange, &response, "Not found");
}

void rg_apis_routes(struct rg_apis *apis, struct rg_route rows[RG_APIS_ROUTES])
{
    const char *patterns[] = {"/v2/apis", "/v3/apis", "/v2/apis/:id", "/v3/apis/:id"};

    for (size_t i = 0; i < RG_APIS_ROUTES; i++)
        rows[i] = (struct rg_route){RG_METHODS_ALL, patterns[i % 4], handle, apis, 8000000};
}
