#include "proxy/apis.h"

#include "base/alloc.h"
#include "base/log.h"
#include "http/query.h"
#include "http/reply.h"
#include "proxy/apis_priv.h"

/*
 * What may arrive before it is refused. A body that is longer than allowed is refused by us, who
 * know what the answer looks like, and not by the server; unless it is very much longer.
 */
#define MAX_READ ((size_t)8 * RG_APIS_MAX_BODY)

/* ---- fields ---- */

static bool ends_with_nocase(struct rg_str s, struct rg_str suffix)
{
    return s.n >= suffix.n && rg_str_eq_nocase(rg_str_n(s.p + s.n - suffix.n, suffix.n), suffix);
}

static bool is_json_type(struct rg_str type)
{
    struct rg_str rest = type;
    struct rg_str media = rg_str_trim(rg_str_split(&rest, ';'));

    if (rg_str_eq_nocase(media, RG_STR("application/json")))
        return true;
    return rg_str_starts_with_nocase(media, RG_STR("application/")) &&
           ends_with_nocase(media, RG_STR("+json"));
}

/* An item of Accept that wants the type: not with q=0. */
static bool is_wanted(struct rg_str item)
{
    struct rg_str media = rg_str_trim(rg_str_split(&item, ';'));

    if (!rg_str_eq_nocase(media, RG_STR("application/problem+json")))
        return false;
    while (item.p != NULL) {
        struct rg_str parameter = rg_str_trim(rg_str_split(&item, ';'));
        if (!rg_str_starts_with_nocase(parameter, RG_STR("q=0")))
            continue;
        for (size_t i = 3; i < parameter.n; i++) {
            if (parameter.p[i] >= '1' && parameter.p[i] <= '9')
                return true;
        }
        return false;
    }
    return true;
}

static bool takes_problems(const struct rg_request *req)
{
    const struct rg_http_field *field;
    size_t at = 0;

    while ((field = rg_request_next_field(req, RG_STR("accept"), &at)) != NULL) {
        struct rg_str rest = field->value;
        while (rest.p != NULL) {
            if (is_wanted(rg_str_split(&rest, ',')))
                return true;
        }
    }
    return false;
}

/* ---- answering ---- */

static void send_answer(struct rg_exchange *exchange, const struct rg_apis_answer *answer)
{
    struct rg_response response = {.status = answer->status};

    if (answer->pointers.n > 0)
        rg_response_add(&response, RG_STR("rgate-error-pointers"), rg_buf_str(&answer->pointers));
    if (answer->status == 204) {
        rg_reply_text(exchange, &response, RG_STR(""));
    } else if (answer->is_problem) {
        rg_response_add(&response, RG_STR("content-type"), RG_STR("application/problem+json"));
        response.body = rg_buf_str(&answer->body);
        rg_reply(exchange, &response);
    } else {
        rg_reply_json(exchange, &response, rg_buf_str(&answer->body));
    }
}

/* What is refused before it is looked at: the status, or 0. */
static int refusal(const struct rg_apis_question *question, struct rg_str type)
{
    if (question->method != RG_POST && question->method != RG_PUT)
        return 0;
    if (question->body.n > RG_APIS_MAX_BODY)
        return 413;
    return question->has_type && !is_json_type(type) ? 415 : 0;
}

/* A name that cannot be one: a broken escape, or a NUL. */
static bool decode_id(struct rg_exchange *exchange, struct rg_buf *id)
{
    return rg_percent_decode(rg_exchange_param(exchange, 0), false, id) == 0 &&
           memchr(id->p, '\0', id->n) == NULL;
}

static void answer(const struct rg_apis *apis, struct rg_exchange *exchange, struct rg_str id)
{
    const struct rg_request *req = rg_exchange_request(exchange);
    struct rg_str type = rg_request_field(req, RG_STR("content-type"));
    RG_CLEANUP(rg_apis_answer_done) struct rg_apis_answer ret = {0};
    struct rg_apis_question question = {
        .method = req->method,
        .id = id,
        .has_type = type.p != NULL,
        .takes_problems = takes_problems(req),
        .body = req->body,
    };
    int status = refusal(&question, type);

    if (status == 0) {
        rg_apis_answer(apis, &question, &ret);
    } else {
        rg_apis_answer_bad_request(&ret, status);
        rg_log_warn("api definition refused", RG_FSTR("id", id), RG_FI("status", status));
    }
    send_answer(exchange, &ret);
}

/* /v3/apis */
static void handle_all(void *arg, struct rg_exchange *exchange)
{
    answer(arg, exchange, RG_STR(""));
}

/* /v3/apis/:id */
static void handle_one(void *arg, struct rg_exchange *exchange)
{
    RG_CLEANUP(rg_buf_done) struct rg_buf id = {0};
    struct rg_response response = {.status = 400};

    if (decode_id(exchange, &id))
        answer(arg, exchange, rg_buf_str(&id));
    else
        rg_reply_problem(exchange, &response, "Bad request");
}

void rg_apis_routes(struct rg_apis *apis, struct rg_route rows[RG_APIS_ROUTES])
{
    static const char *const all[] = {"/v2/apis", "/v3/apis"};
    static const char *const one[] = {"/v2/apis/:id", "/v3/apis/:id"};
    size_t n = 0;

    for (size_t i = 0; i < 2; i++) {
        rows[n++] = (struct rg_route){RG_METHOD_BIT(RG_GET), all[i], handle_all, apis, MAX_READ};
        rows[n++] = (struct rg_route){RG_METHOD_BIT(RG_POST), all[i], handle_all, apis, MAX_READ};
        rows[n++] = (struct rg_route){RG_METHOD_BIT(RG_GET), one[i], handle_one, apis, MAX_READ};
        rows[n++] = (struct rg_route){RG_METHOD_BIT(RG_PUT), one[i], handle_one, apis, MAX_READ};
        rows[n++] = (struct rg_route){RG_METHOD_BIT(RG_DELETE), one[i], handle_one, apis, MAX_READ};
    }
    rg_assert(n == RG_APIS_ROUTES);
}
