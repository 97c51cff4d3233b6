#include "proxy/responses.h"

#include "http/reply.h"

static void handle(void *arg, struct rg_exchange *exchange)
{
    struct rg_response response = {.status = 404};

    (void)arg;
    rg_reply_problem(exchange, &response, "Not found");
}

void rg_responses_routes(struct rg_answers *answers, size_t max_body,
                         struct rg_route rows[RG_RESPONSES_ROUTES])
{
    const unsigned post = RG_METHOD_BIT(RG_POST);

    rows[0] = (struct rg_route){post, "/v2/responses", handle, answers, max_body};
    rows[1] = (struct rg_route){post, "/v3/responses", handle, answers, max_body};
}
