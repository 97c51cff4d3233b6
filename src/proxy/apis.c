#include "proxy/apis.h"

#include "base/alloc.h"
#include "base/log.h"
#include "http/query.h"
#include "http/reply.h"
#include "proxy/apis_priv.h"

/* A definition on its way here. */
struct collection {
    const struct rg_apis *apis;
    struct rg_exchange *exchange;
    struct rg_apis_question question; /* its id and body are what follows */
    struct rg_buf id, body;
    struct rg_trace trace;
};

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

static void send_answer(struct rg_exchange *exchange, const struct rg_trace *trace,
                        const struct rg_apis_answer *answer)
{
    struct rg_response response = {.status = answer->status, .body = rg_buf_str(&answer->body)};
    struct rg_str type = RG_STR("application/json; charset=utf-8");

    if (answer->status == 204)
        type = RG_STR("text/plain; charset=utf-8"); /* as RIG does */
    else if (answer->is_problem)
        type = RG_STR("application/problem+json");
    if (answer->pointers.n > 0)
        rg_response_add(&response, RG_STR("rgate-error-pointers"), rg_buf_str(&answer->pointers));
    rg_response_add(&response, RG_STR("content-type"), type);
    rg_reply_later(exchange, &response, trace);
}

static void answer(const struct rg_apis *apis, struct rg_exchange *exchange,
                   const struct rg_trace *trace, const struct rg_apis_question *question)
{
    RG_CLEANUP(rg_apis_answer_done) struct rg_apis_answer ret = {0};

    rg_apis_answer(apis, question, &ret);
    send_answer(exchange, trace, &ret);
}

static void refuse(struct rg_exchange *exchange, const struct rg_trace *trace, struct rg_str id,
                   int status)
{
    RG_CLEANUP(rg_apis_answer_done) struct rg_apis_answer ret = {0};

    rg_log_warn("api definition refused", RG_FSTR("id", id), RG_FI("status", status));
    rg_apis_answer_bad_request(&ret, status);
    send_answer(exchange, trace, &ret);
}

/* ---- collecting ---- */

static void collection_free(struct collection *collection)
{
    rg_buf_done(&collection->id);
    rg_buf_done(&collection->body);
    rg_free(collection);
}

static void on_piece(void *arg, struct rg_str piece)
{
    struct collection *collection = arg;

    rg_buf_add_str(&collection->body, piece); /* the limit is that of rg_exchange_receive() */
}

static void on_end(void *arg, const struct rg_http_field *trailers, size_t trailers_n)
{
    struct collection *collection = arg;

    (void)trailers;
    (void)trailers_n;
    collection->question.id = rg_buf_str(&collection->id);
    collection->question.body = rg_buf_str(&collection->body);
    answer(collection->apis, collection->exchange, &collection->trace, &collection->question);
    collection_free(collection);
}

static void on_error(void *arg, int status, const struct rg_why *why)
{
    struct collection *collection = arg;

    (void)why;
    refuse(collection->exchange, &collection->trace, rg_buf_str(&collection->id), status);
    collection_free(collection);
}

static void on_gone(void *arg)
{
    collection_free(arg);
}

static void collect(const struct rg_apis *apis, struct rg_exchange *exchange,
                    const struct rg_trace *trace, const struct rg_apis_question *question)
{
    static const struct rg_receive_events events = {on_piece, on_end, on_error};
    struct collection *collection = rg_zalloc(sizeof(*collection));

    *collection = (struct collection){
        .apis = apis, .exchange = exchange, .question = *question, .trace = *trace};
    rg_buf_add_str(&collection->id, question->id);
    rg_exchange_on_gone(exchange, on_gone, collection);
    rg_exchange_receive(exchange, RG_APIS_MAX_BODY, &events, collection);
}

/* ---- handlers ---- */

static bool has_body(const struct rg_apis_question *question)
{
    return question->method == RG_POST || question->method == RG_PUT;
}

static void handle(const struct rg_apis *apis, struct rg_exchange *exchange, struct rg_str id)
{
    const struct rg_request *req = rg_exchange_request(exchange);
    struct rg_str type = rg_request_field(req, RG_STR("content-type"));
    struct rg_apis_question question = {
        .method = req->method,
        .id = id,
        .has_type = type.p != NULL,
        .takes_problems = takes_problems(req),
    };
    struct rg_trace trace;

    rg_trace_begin(req, &trace);
    if (!has_body(&question))
        answer(apis, exchange, &trace, &question);
    else if (question.has_type && !is_json_type(type))
        refuse(exchange, &trace, id, 415);
    else
        collect(apis, exchange, &trace, &question);
}

/* /v3/apis */
static void handle_all(void *arg, struct rg_exchange *exchange)
{
    handle(arg, exchange, RG_STR(""));
}

/* A name that cannot be one has a broken escape, or a NUL. */
static bool decode_id(struct rg_exchange *exchange, struct rg_buf *id)
{
    return rg_percent_decode(rg_exchange_param(exchange, 0), false, id) == 0 &&
           memchr(id->p, '\0', id->n) == NULL;
}

/* /v3/apis/:id */
static void handle_one(void *arg, struct rg_exchange *exchange)
{
    RG_CLEANUP(rg_buf_done) struct rg_buf id = {0};
    struct rg_response response = {.status = 400};

    if (decode_id(exchange, &id))
        handle(arg, exchange, rg_buf_str(&id));
    else
        rg_reply_problem(exchange, &response, "Bad request");
}

void rg_apis_routes(struct rg_apis *apis, struct rg_route rows[RG_APIS_ROUTES])
{
    static const char *const all[] = {"/v2/apis", "/v3/apis"};
    static const char *const one[] = {"/v2/apis/:id", "/v3/apis/:id"};
    const unsigned get = RG_METHOD_BIT(RG_GET), post = RG_METHOD_BIT(RG_POST);
    const unsigned put = RG_METHOD_BIT(RG_PUT), del = RG_METHOD_BIT(RG_DELETE);
    size_t n = 0;

    for (size_t i = 0; i < 2; i++) {
        rows[n++] = (struct rg_route){get, all[i], handle_all, apis, RG_APIS_MAX_BODY};
        rows[n++] = (struct rg_route){post, all[i], handle_all, apis, RG_BODY_STREAMED};
        rows[n++] = (struct rg_route){get, one[i], handle_one, apis, RG_APIS_MAX_BODY};
        rows[n++] = (struct rg_route){put, one[i], handle_one, apis, RG_BODY_STREAMED};
        rows[n++] = (struct rg_route){del, one[i], handle_one, apis, RG_APIS_MAX_BODY};
    }
    rg_assert(n == RG_APIS_ROUTES);
}
