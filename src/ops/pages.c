#include "ops/pages.h"

#include "http/reply.h"

static void redirect(void *arg, struct rg_exchange *exchange)
{
    struct rg_response response = {.status = 302};

    (void)arg;
    rg_response_add(&response, RG_STR("location"), RG_STR("/swagger-ui/index.html"));
    rg_reply_text(exchange, &response, RG_STR("Redirecting"));
}

void rg_pages_routes(struct rg_pages *pages, struct rg_route rows[RG_PAGES_ROUTES])
{
    const unsigned get = RG_METHOD_BIT(RG_GET);

    for (size_t i = 0; i < RG_PAGES_ROUTES; i++)
        rows[i] = (struct rg_route){get, "/swagger-ui", redirect, NULL, 0};
    rows[1] = (struct rg_route){get, "/openapi.json", rg_static_handle, &pages->openapi, 0};
    rows[2] = (struct rg_route){get, "/swagger-ui/rig_api_swagger.json", rg_static_handle,
                                &pages->swagger, 0};
    rows[3] = (struct rg_route){get, "/swagger-ui/index.html", rg_static_handle, &pages->reader, 0};
    rows[4] = (struct rg_route){get, "/dashboard", rg_static_handle, &pages->dashboard, 0};
}
