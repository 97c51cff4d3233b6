#include "ops/health.h"

#include "http/reply.h"

void rg_health_handle(void *arg, struct rg_exchange *exchange)
{
    struct rg_health *health = arg;
    bool is_shutting_down = atomic_load(&health->is_shutting_down);

    struct rg_response response = {.status = is_shutting_down ? 503 : 200};

    rg_reply_text(exchange, &response, is_shutting_down ? RG_STR("Shutting down") : RG_STR("OK"));
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
    struct rg_response response = {.status = is_ready ? 200 : 503};
    rg_reply_json(exchange, &response, rg_buf_str(&body));
    rg_buf_done(&members);
    rg_buf_done(&body);
}
