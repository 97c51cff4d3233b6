#include "http/reply.h"

void rg_reply_later(struct rg_exchange *exchange, struct rg_response *response,
                    const struct rg_trace *trace)
{
    rg_response_add(response, RG_STR("cache-control"),
                    RG_STR("max-age=0, private, must-revalidate"));
    rg_trace_add(trace, response);
    rg_exchange_respond(exchange, response);
}

void rg_reply(struct rg_exchange *exchange, struct rg_response *response)
{
    struct rg_trace trace;

    rg_trace_begin(rg_exchange_request(exchange), &trace);
    rg_reply_later(exchange, response, &trace);
}

void rg_reply_text(struct rg_exchange *exchange, struct rg_response *response, struct rg_str text)
{
    rg_response_add(response, RG_STR("content-type"), RG_STR("text/plain; charset=utf-8"));
    response->body = text;
    rg_reply(exchange, response);
}

void rg_reply_json(struct rg_exchange *exchange, struct rg_response *response, struct rg_str json)
{
    rg_response_add(response, RG_STR("content-type"), RG_STR("application/json; charset=utf-8"));
    response->body = json;
    rg_reply(exchange, response);
}

void rg_reply_problem(struct rg_exchange *exchange, struct rg_response *response,
                      const char *detail)
{
    struct rg_buf json = {0};

    rg_buf_addf(&json, "{\"errors\":{\"detail\":\"%s\"}}", detail);
    rg_reply_json(exchange, response, rg_buf_str(&json));
    rg_buf_done(&json);
}
