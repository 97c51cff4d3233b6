#include "http/static.h"

void rg_static_handle(void *arg, struct rg_exchange *exchange)
{
    const struct rg_static_page *page = arg;
    struct rg_response response = {.status = 200, .body = page->body};

    rg_response_add(&response, RG_STR("content-type"), page->content_type);
    rg_response_add(&response, RG_STR("cache-control"), RG_STR("no-cache"));
    rg_response_add(&response, RG_STR("content-security-policy"), page->content_security_policy);
    rg_response_add(&response, RG_STR("x-content-type-options"), RG_STR("nosniff"));
    rg_response_add(&response, RG_STR("referrer-policy"), RG_STR("no-referrer"));
    rg_exchange_respond(exchange, &response);
}
