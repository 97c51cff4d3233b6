#include "ops/health.h"

#include "http/trace.h"

static void respond(struct rg_exchange *exchange, int status, struct rg_str type,
                    struct rg_str body)
{
    struct rg_response response = {.status = status, .body = body};
    struct rg_trace trace;

    rg_trace_begin(rg_exchange_request(exchange), &trace);
    rg_response_add(&response, RG_STR("content-type"), type);
    rg_response_add(&response, RG_STR("cache-control"),
                    RG_STR("max-age=0, private, must-revalidate"));
    rg_trace_add(&trace, &response);
    rg_exchange_respond(exchange, &response);
}

void rg_health_handle(void *arg, struct rg_exchange *exchange)
{
    struct rg_health *health = arg;
    bool is_shutting_down = atomic_load(&health->is_shutting_down);

    respond(exchange, is_shutting_down ? 503 : 200, RG_STR("text/plain; charset=utf-8"),
            is_shutting_down ? RG_STR("Shutting down") : RG_STR("OK"));
}

void rg_ready_handle(void *arg, struct rg_exchange *exchange)
{
    struct rg_health *health = arg;
    struct rg_buf members = {0}, body = {0};
    bool is_ready = health->ready(health->ready_arg, &members);

    is_ready &= !atomic_load(&health->is_shutting_down);
    rg_buf_addf(&body, "{\"ready\":%s,\"shutting_down\":%s,\"parts\":{",
                is_ready ? "true" : "false",
                atomic_load(&health->is_shutting_down) ? "true" : "false");
    rg_buf_add_str(&body, rg_buf_str(&members));
    rg_buf_add_c(&body, "}}");
    respond(exchange, is_ready ? 200 : 503, RG_STR("application/json; charset=utf-8"),
            rg_buf_str(&body));
    rg_buf_done(&members);
    rg_buf_done(&body);
}
