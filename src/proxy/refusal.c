#include "proxy/refusal.h"

#include "event/json.h"

static void send_json(struct rg_exchange *exchange, const struct rg_trace *trace, int status,
                      struct rg_str json)
{
    struct rg_response response = {.status = status, .body = json};

    rg_response_add(&response, RG_STR("content-type"), RG_STR("application/json; charset=utf-8"));
    rg_response_add(&response, RG_STR("cache-control"),
                    RG_STR("max-age=0, private, must-revalidate"));
    if (status == 401)
        rg_response_add(&response, RG_STR("www-authenticate"), RG_STR("Bearer"));
    rg_trace_add(trace, &response);
    rg_exchange_respond(exchange, &response);
}

void rg_refusal_send(struct rg_exchange *exchange, const struct rg_trace *trace, int status,
                     const char *message)
{
    struct rg_buf json = {0};

    rg_buf_addf(&json, "{\"message\":\"%s\"}", message);
    send_json(exchange, trace, status, rg_buf_str(&json));
    rg_buf_done(&json);
}

void rg_refusal_send_now(struct rg_exchange *exchange, const struct rg_request *req, int status,
                         const char *message, const char *reason)
{
    struct rg_trace trace;
    struct rg_buf text = {0}, json = {0};

    rg_trace_begin(req, &trace);
    rg_buf_add_c(&text, message);
    if (reason != NULL)
        rg_buf_addf(&text, ": %s", reason);
    rg_buf_add_c(&json, "{\"message\":");
    rg_json_add_string(&json, rg_buf_str(&text));
    rg_buf_add_char(&json, '}');
    send_json(exchange, &trace, status, rg_buf_str(&json));
    rg_buf_done(&text);
    rg_buf_done(&json);
}
