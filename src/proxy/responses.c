#include "proxy/responses.h"

#include "base/alloc.h"
#include "event/json.h"
#include "http/reply.h"

/* 5.1: callers compare some of these texts. */
#define FAILED "Failed to parse request body: "

static void refuse(struct rg_exchange *exchange, const char *reason)
{
    struct rg_response response = {.status = 400};
    RG_CLEANUP(rg_buf_done) struct rg_buf text = {0};

    rg_buf_addf(&text, FAILED "%s", reason);
    rg_reply_text(exchange, &response, rg_buf_str(&text));
}

static void refuse_code(struct rg_exchange *exchange, struct rg_str code)
{
    RG_CLEANUP(rg_buf_done) struct rg_buf reason = {0};

    rg_buf_add_c(&reason, "{:error, {:not_an_integer, ");
    rg_json_add_string(&reason, code);
    rg_buf_add(&reason, "}}", 3);
    refuse(exchange, reason.p);
}

static void refuse_id(struct rg_exchange *exchange, int err)
{
    refuse(exchange, err == RG_ESYNTAX ? "{:error, :not_base64}" : "{:error, :invalid_term}");
}

static void answer_problem(struct rg_exchange *exchange, int status)
{
    struct rg_response response = {.status = status};

    rg_reply_problem(exchange, &response, "Bad request");
}

/* Hands the answer on and tells its sender what became of it. */
static void deliver(struct rg_answers *answers, struct rg_exchange *exchange, struct rg_str id,
                    const struct rg_answer *answer)
{
    struct rg_response response = {.status = 202};
    int err = rg_answers_deliver(answers, id, answer);

    if (err == RG_EAGAIN) {
        response.status = 503;
        rg_response_add(&response, RG_STR("retry-after"), RG_STR("1"));
        rg_reply_text(exchange, &response, RG_STR("Too many answers are waiting, try again."));
    } else if (err == RG_EFULL) {
        refuse(exchange, "too many header fields");
    } else if (err < 0) {
        refuse_id(exchange, err);
    } else {
        rg_reply_text(exchange, &response,
                      RG_STR("message sent to correlated reverse proxy request"));
    }
}

/* 5.1. The id is looked at before the code, as the reference does. */
static void handle_v3(void *arg, struct rg_exchange *exchange)
{
    struct rg_answers *answers = arg;
    const struct rg_request *req = rg_exchange_request(exchange);
    struct rg_str id = rg_request_field(req, RG_STR("rig-correlation"));
    struct rg_str code = rg_request_field(req, RG_STR("rig-response-code"));
    struct rg_http_field fields[RG_MAX_FIELDS_PER_MESSAGE];
    struct rg_answer answer = {.fields = fields, .body = req->body};
    int err = id.p != NULL ? rg_answers_check(answers, id) : 0;

    if (err < 0) {
        refuse_id(exchange, err);
    } else if (id.p == NULL || code.p == NULL) {
        refuse(exchange, ":error");
    } else if (rg_answer_status(code, &answer.status) < 0) {
        refuse_code(exchange, code);
    } else {
        answer.fields_n = rg_answer_fields(req->fields, req->fields_n, false, fields);
        deliver(answers, exchange, id, &answer);
    }
}

/* ---- 5.2 ---- */

static bool is_text(struct rg_json value, struct rg_str text)
{
    return value.kind == RG_JSON_STRING && value.text.n >= 2 &&
           rg_json_key_eq(rg_str_n(value.text.p + 1, value.text.n - 2), text);
}

static bool is_filled(struct rg_json value)
{
    return value.kind == RG_JSON_STRING && value.text.n > 2;
}

/* The version, and what a version calls type and id. */
static bool is_event(struct rg_json json)
{
    struct rg_json version = rg_json_member(json, RG_STR("specversion"));
    bool is_old = is_text(rg_json_member(json, RG_STR("cloudEventsVersion")), RG_STR("0.1"));
    struct rg_json type = rg_json_member(json, is_old ? RG_STR("eventType") : RG_STR("type"));
    struct rg_json id = rg_json_member(json, is_old ? RG_STR("eventID") : RG_STR("id"));

    return (is_old || is_text(version, RG_STR("0.2")) || is_text(version, RG_STR("1.0"))) &&
           is_filled(type) && (is_filled(id) || id.kind == RG_JSON_NUMBER);
}

/* application/json or application/…+json, parameters ignored (1.1). */
static bool is_json(struct rg_str content_type)
{
    struct rg_str type = rg_str_trim(rg_str_split(&content_type, ';'));
    const struct rg_str suffix = RG_STR("+json");

    return rg_str_eq_nocase(type, RG_STR("application/json")) ||
           (rg_str_starts_with_nocase(type, RG_STR("application/")) && type.n > suffix.n &&
            rg_str_eq_nocase(rg_str_n(type.p + type.n - suffix.n, suffix.n), suffix));
}

static void deliver_event(struct rg_answers *answers, struct rg_exchange *exchange,
                          struct rg_json event, struct rg_str text)
{
    static const struct rg_http_field type = {{"content-type", 12},
                                              {"application/json; charset=utf-8", 31}};
    const struct rg_answer answer = {200, &type, 1, text};
    struct rg_json id = rg_json_at(event, RG_STR("/rig/correlation"));
    RG_CLEANUP(rg_buf_done) struct rg_buf scratch = {0};

    if (!is_event(event))
        refuse(exchange, "{:error, :not_a_cloud_event}");
    else if (id.kind != RG_JSON_STRING)
        refuse(exchange, ":error");
    else
        deliver(answers, exchange, rg_json_string(id, &scratch), &answer);
}

static void handle_v2(void *arg, struct rg_exchange *exchange)
{
    struct rg_answers *answers = arg;
    const struct rg_request *req = rg_exchange_request(exchange);
    struct rg_str type = rg_request_field(req, RG_STR("content-type"));
    /* Without a type the body does not count (1.1). */
    struct rg_str body = type.p != NULL && req->body.n > 0 ? req->body : RG_STR("{}");
    struct rg_json json;

    if (type.p != NULL && !is_json(type))
        answer_problem(exchange, 415);
    else if (rg_json_check(body, &json, NULL) < 0)
        answer_problem(exchange, 400);
    else
        deliver_event(answers, exchange, json, body);
}

void rg_responses_routes(struct rg_answers *answers, size_t max_body,
                         struct rg_route rows[RG_RESPONSES_ROUTES])
{
    const unsigned post = RG_METHOD_BIT(RG_POST);

    rows[0] = (struct rg_route){post, "/v2/responses", handle_v2, answers, max_body};
    rows[1] = (struct rg_route){post, "/v3/responses", handle_v3, answers, max_body};
}
