#include "proxy/refusal.h"

#include "base/alloc.h"
#include "event/json.h"

struct manner {
    int status;
    const char *text;
};

static const struct {
    const char *name;
    struct manner of[2]; /* by enum rg_dialect */
} rows[] = {
    [RG_REFUSAL_BAD_REQUEST] = {"bad_request", {{400, "Bad request"}, {400, "Bad Request"}}},
    [RG_REFUSAL_UNAUTHORIZED] = {"unauthorized",
                                 {{401, "Authentication failed"},
                                  {401, "Missing or invalid token"}}},
    [RG_REFUSAL_NOT_FOUND] = {"not_found", {{404, "Not Found"}, {404, "Route is not available"}}},
    [RG_REFUSAL_METHOD] = {"method",
                           {{405, "Method not allowed"}, {405, "Method is not supported"}}},
    [RG_REFUSAL_TOO_SLOW] = {"too_slow", {{408, "Request timeout"}, {408, "Request Timeout"}}},
    [RG_REFUSAL_TOO_LARGE] = {"too_large",
                              {{413, "Content too large"}, {413, "Content Too Large"}}},
    [RG_REFUSAL_TOO_MANY] = {"too_many", {{429, "Too many requests"}, {429, "Too Many Requests"}}},
    [RG_REFUSAL_NO_TUNNEL] = {"no_tunnel", {{501, "Not implemented"}, {501, "Not Implemented"}}},
    [RG_REFUSAL_UNREACHABLE] = {"unreachable", {{502, "Bad gateway"}, {502, "Bad Gateway"}}},
    [RG_REFUSAL_TIMEOUT] = {"request_timeout", {{502, "Bad gateway"}, {504, "Gateway Timeout"}}},
};

const char *rg_refusal_name(enum rg_refusal refusal)
{
    return rows[refusal].name;
}

void rg_cors_add(struct rg_response *response, enum rg_cors_set set, const char *cors)
{
    if (set == RG_CORS_NONE)
        return;
    rg_response_add(response, RG_STR("access-control-allow-origin"), rg_str_c(cors));
    rg_response_add(response, RG_STR("access-control-allow-methods"), RG_STR("*"));
    rg_response_add(response, RG_STR("access-control-allow-headers"),
                    set == RG_CORS_A ? RG_STR("content-type")
                                     : RG_STR("content-type,authorization"));
}

void rg_gateway_fields_add(struct rg_response *response, const struct rg_trace *trace)
{
    rg_response_add(response, RG_STR("cache-control"),
                    RG_STR("max-age=0, private, must-revalidate"));
    rg_trace_add(trace, response);
}

/* "text: reason", without the full stop. */
static void add_sentence(const struct rg_refusal_details *details, struct rg_buf *out)
{
    rg_buf_add_c(out, rows[details->refusal].of[details->dialect].text);
    if (details->reason != NULL && details->reason[0] != '\0')
        rg_buf_addf(out, ": %s", details->reason);
}

static bool is_json(const struct rg_refusal_details *details)
{
    return details->dialect == RG_DIALECT_2017 || details->refusal == RG_REFUSAL_NOT_FOUND;
}

static void compose(const struct rg_refusal_details *details, struct rg_buf *body)
{
    struct rg_buf sentence = {0};

    add_sentence(details, &sentence);
    if (is_json(details)) {
        rg_buf_add_c(body, "{\"message\":");
        rg_json_add_string(body, rg_buf_str(&sentence));
        rg_buf_add_char(body, '}');
    } else {
        rg_buf_add_str(body, rg_buf_str(&sentence));
        rg_buf_add_char(body, '.');
    }
    rg_buf_done(&sentence);
}

int rg_refusal_send(struct rg_exchange *exchange, const struct rg_refusal_details *details)
{
    struct rg_response response = {.status = rows[details->refusal].of[details->dialect].status};
    struct rg_buf body = {0};

    compose(details, &body);
    response.body = rg_buf_str(&body);
    rg_response_add(&response, RG_STR("content-type"),
                    is_json(details) ? RG_STR("application/json; charset=utf-8")
                                     : RG_STR("text/plain; charset=utf-8"));
    if (response.status == 401)
        rg_response_add(&response, RG_STR("www-authenticate"), RG_STR("Bearer"));
    rg_cors_add(&response, details->cors_set, details->cors);
    rg_gateway_fields_add(&response, details->trace);
    for (size_t i = 0; i < details->fields_n; i++)
        rg_response_add(&response, details->fields[i].name, details->fields[i].value);
    rg_exchange_respond(exchange, &response);
    rg_buf_done(&body);
    return response.status;
}
