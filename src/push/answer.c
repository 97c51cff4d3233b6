#include "push/answer.h"

#include "base/alloc.h"

struct rg_answer rg_answer_begin(const struct rg_push *push, const struct rg_request *req)
{
    struct rg_answer answer = {.push = push, .is_cors = true, .cors_origin = push->settings.cors};

    /* Without it a page of another origin cannot send the cookie; with "*" browsers refuse it. */
    answer.allows_credentials =
        push->settings.jwt_cookie != NULL && !rg_str_eq(rg_str_c(push->settings.cors), RG_STR("*"));
    rg_trace_begin(req, &answer.trace);
    return answer;
}

void rg_answer_open(struct rg_answer *answer)
{
    answer->cors_origin = "*";
    answer->allows_credentials = false;
}

void rg_answer_add(struct rg_answer *answer, struct rg_str name, struct rg_str value)
{
    rg_assert(answer->extra_n < RG_COUNT_OF(answer->extra));
    answer->extra[answer->extra_n++] = (struct rg_http_field){name, value};
    answer->has_cache_control |= rg_str_eq(name, RG_STR("cache-control"));
}

void rg_answer_add_cors(const struct rg_answer *answer, struct rg_response *response)
{
    rg_response_add(response, RG_STR("access-control-allow-origin"), rg_str_c(answer->cors_origin));
    if (answer->allows_credentials)
        rg_response_add(response, RG_STR("access-control-allow-credentials"), RG_STR("true"));
}

static void send_answer(struct rg_answer *answer, struct rg_exchange *exchange, int status,
                        struct rg_str content_type, struct rg_str body)
{
    struct rg_response response = {.status = status, .body = body};

    if (content_type.n > 0)
        rg_response_add(&response, RG_STR("content-type"), content_type);
    if (!answer->has_cache_control)
        rg_response_add(&response, RG_STR("cache-control"),
                        RG_STR("max-age=0, private, must-revalidate"));
    if (answer->is_cors)
        rg_answer_add_cors(answer, &response);
    for (size_t i = 0; i < answer->extra_n; i++)
        rg_response_add(&response, answer->extra[i].name, answer->extra[i].value);
    rg_trace_add(&answer->trace, &response);
    rg_exchange_respond(exchange, &response);
}

void rg_answer_text(struct rg_answer *answer, struct rg_exchange *exchange, int status,
                    const char *text)
{
    send_answer(answer, exchange, status, RG_STR("text/plain; charset=utf-8"), rg_str_c(text));
}

void rg_answer_json(struct rg_answer *answer, struct rg_exchange *exchange, int status,
                    struct rg_str json)
{
    send_answer(answer, exchange, status, RG_STR("application/json; charset=utf-8"), json);
}

void rg_answer_empty(struct rg_answer *answer, struct rg_exchange *exchange, int status)
{
    send_answer(answer, exchange, status, RG_STR(""), RG_STR(""));
}

void rg_answer_preflight(struct rg_answer *answer, struct rg_exchange *exchange,
                         const char *methods, const char *headers)
{
    rg_answer_add(answer, RG_STR("access-control-allow-methods"), rg_str_c(methods));
    rg_answer_add(answer, RG_STR("access-control-allow-headers"), rg_str_c(headers));
    rg_answer_empty(answer, exchange, 204);
}
