#include "ops/pages.h"

#include "base/alloc.h"
#include "http/reply.h"

#define MAX_BODY 8000000 /* management-api.md 1.1; is not looked at */

static void redirect(void *arg, struct rg_exchange *exchange)
{
    struct rg_response response = {.status = 302};

    (void)arg;
    rg_response_add(&response, RG_STR("location"), RG_STR("/swagger-ui/index.html"));
    rg_reply_text(exchange, &response, RG_STR("Redirecting"));
}

/* What is not there, and methods that nothing there has. */
static void refuse(void *arg, struct rg_exchange *exchange)
{
    const struct rg_request *request = rg_exchange_request(exchange);
    bool is_read = request->method == RG_GET || request->method == RG_HEAD;
    struct rg_response response = {.status = is_read ? 404 : 405};

    (void)arg;
    if (!is_read) {
        rg_response_add(&response, RG_STR("allow"), RG_STR("GET, HEAD"));
        rg_reply_text(exchange, &response, RG_STR("method not allowed"));
    } else if (rg_str_eq(rg_request_field(request, RG_STR("accept")), RG_STR("application/json"))) {
        rg_reply_json(exchange, &response, RG_STR("{\"Error\":\"not found\"}"));
    } else {
        rg_reply_text(exchange, &response, RG_STR("not found"));
    }
}

void rg_pages_routes(struct rg_pages *pages, struct rg_route rows[RG_PAGES_ROUTES])
{
    const unsigned get = RG_METHOD_BIT(RG_GET), all = RG_METHODS_ALL;
    const struct rg_route list[] = {
        {get, "/openapi.json", rg_static_handle, &pages->openapi, 0},
        {get, "/dashboard", rg_static_handle, &pages->dashboard, 0},
        {get, "/swagger-ui", redirect, NULL, 0},
        {get, "/swagger-ui/index.html", rg_static_handle, &pages->reader, 0},
        {get, "/swagger-ui/rig_api_swagger.json", rg_static_handle, &pages->swagger, 0},
        {all, "/swagger-ui", refuse, NULL, MAX_BODY},
        {all, "/swagger-ui/:a", refuse, NULL, MAX_BODY},
        {all, "/swagger-ui/:a/:b", refuse, NULL, MAX_BODY},
        {all, "/swagger-ui/:a/:b/:c", refuse, NULL, MAX_BODY},
        {all, "/swagger-ui/:a/:b/:c/:d", refuse, NULL, MAX_BODY},
    };

    _Static_assert(RG_COUNT_OF(list) == RG_PAGES_ROUTES, "all of them");
    for (size_t i = 0; i < RG_COUNT_OF(list); i++)
        rows[i] = list[i];
}
