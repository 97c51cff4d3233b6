#include "rgate/demo_answer.h"

#include "event/json.h"

void rg_demo_answer(struct rg_exchange *exchange, int status, struct rg_str json)
{
    struct rg_response response = {.status = status, .body = json};

    rg_response_add(&response, RG_STR("content-type"), RG_STR("application/json; charset=utf-8"));
    rg_response_add(&response, RG_STR("cache-control"), RG_STR("no-store"));
    rg_exchange_respond(exchange, &response);
}

void rg_demo_answer_error(struct rg_exchange *exchange, int status, const char *text)
{
    struct rg_buf body = {0};

    rg_buf_add_c(&body, "{\"error\":");
    rg_json_add_string(&body, rg_str_c(text));
    rg_buf_add_char(&body, '}');
    rg_demo_answer(exchange, status, rg_buf_str(&body));
    rg_buf_done(&body);
}

bool rg_demo_is_own_page(const struct rg_exchange *exchange)
{
    const struct rg_request *req = rg_exchange_request(exchange);
    struct rg_str scheme = rg_exchange_is_secure(exchange) ? RG_STR("https://") : RG_STR("http://");
    struct rg_str origin = rg_request_field(req, RG_STR("origin"));
    struct rg_str host = rg_request_field(req, RG_STR("host"));

    if (origin.p == NULL)
        return true;
    return rg_str_starts_with(origin, scheme) &&
           rg_str_eq_nocase(rg_str_n(origin.p + scheme.n, origin.n - scheme.n), host);
}
