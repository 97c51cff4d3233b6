/*
 * All requests have one way: what they need of the request is read first, then their tokens are
 * checked, which may wait for keys; only whoever is allowed has an effect or an answer. Three small
 * differences are in the table of operations.
 */
#include "push/session_api.h"

#include "base/alloc.h"
#include "base/clock.h"
#include "base/log.h"
#include "event/json.h"
#include "http/accept.h"
#include "http/query.h"
#include "push/answer.h"
#include "push/credentials.h"
#include "push/question.h"

#define USERS_PER_PAGE 512
#define MAX_NAME       16384 /* bytes; no token that fits into a request has a longer one */

struct call;

struct operation {
    const char *method; /* for preflights */
    struct rg_str action;
    /* For whoever is allowed: answers and frees the call, or waits. */
    void (*run)(struct call *call, struct rg_exchange *exchange);
};

/* A request, until it is answered. */
struct call {
    struct rg_question question;
    const struct operation *operation;
    struct rg_hub *hub;
    struct rg_exchange_handle exchange;
    struct rg_answer answer;
    struct rg_buf name;          /* what the path names, decoded */
    struct rg_buf authorization; /* while keys are awaited */
    int64_t exp_s;               /* of the token that allows it */
    struct rg_buf json;          /* of the answer */
    uint64_t after;              /* the last user in it */
};

static void free_call(struct call *call)
{
    rg_buf_done(&call->name);
    rg_buf_done(&call->authorization);
    rg_buf_done(&call->json);
    rg_free(call);
}

static void answer_json(struct call *call, struct rg_exchange *exchange, int status,
                        struct rg_str json)
{
    rg_answer_json(&call->answer, exchange, status, json);
    free_call(call);
}

static void answer_text(struct call *call, struct rg_exchange *exchange, int status,
                        const char *text)
{
    rg_answer_text(&call->answer, exchange, status, text);
    free_call(call);
}

/* ---- who may ---- */

bool rg_session_api_allows(const struct rg_claims *claims, struct rg_str action)
{
    const struct rg_json root = {RG_JSON_OBJECT, claims->text};
    struct rg_json actions = rg_json_at(root, RG_STR("/scopes/rg/actions")), value;
    struct rg_json_cursor cursor = {0};
    struct rg_str key;

    if (actions.kind != RG_JSON_ARRAY)
        return false;
    while (rg_json_next(actions, &cursor, &key, &value)) {
        if (value.kind == RG_JSON_STRING &&
            rg_json_key_eq(rg_str_n(value.text.p + 1, value.text.n - 2), action))
            return true;
    }
    return false;
}

/* 0 if one of the tokens allows it and none is bad, RG_EDENIED, or RG_EAGAIN. */
static int check_tokens(struct call *call, struct rg_str authorization, bool is_last_try)
{
    struct rg_credentials credentials;
    int err = rg_credentials_check(call->hub->push, authorization, is_last_try, &credentials);

    if (err < 0)
        return err;
    err = RG_EDENIED;
    for (size_t i = 0; i < credentials.n && !credentials.has_invalid; i++) {
        if (!rg_session_api_allows(credentials.claims[i], call->operation->action))
            continue;
        call->exp_s = credentials.claims[i]->exp_s;
        err = 0;
        break;
    }
    rg_credentials_done(&credentials);
    return err;
}

static void decide(struct call *call, struct rg_exchange *exchange, int err)
{
    if (err < 0)
        answer_json(call, exchange, 403, RG_STR("{\"msg\":\"Unauthorized\"}"));
    else
        call->operation->run(call, exchange);
}

static void on_keys(struct rg_question *question)
{
    struct call *call = RG_CONTAINER_OF(question, struct call, question);
    struct rg_exchange *exchange = rg_http_server_find(call->hub->http, call->exchange);

    if (exchange != NULL)
        decide(call, exchange, check_tokens(call, rg_buf_str(&call->authorization), true));
    else
        free_call(call);
}

static void refuse_draining(struct call *call, struct rg_exchange *exchange)
{
    rg_answer_add(&call->answer, RG_STR("retry-after"), RG_STR("1"));
    answer_text(call, exchange, 503, "The gateway is shutting down.");
}

static void await_keys(struct call *call, struct rg_exchange *exchange, struct rg_str authorization)
{
    rg_buf_add_str(&call->authorization, authorization);
    int err = rg_question_await_keys(&call->question, call->hub, on_keys);

    if (err == RG_ECANCELED)
        refuse_draining(call, exchange);
    else if (err < 0)
        decide(call, exchange, check_tokens(call, rg_buf_str(&call->authorization), true));
}

/* ---- the way of a request ---- */

static bool has_name(struct rg_exchange *exchange, struct rg_buf *out)
{
    struct rg_str part = rg_exchange_param(exchange, 0);

    return rg_percent_decode(part, false, out) == 0 && out->n <= MAX_NAME;
}

static void begin(struct call *call, struct rg_exchange *exchange)
{
    const struct rg_request *req = rg_exchange_request(exchange);
    RG_CLEANUP(rg_buf_done) struct rg_buf scratch = {0};
    struct rg_str authorization = rg_credentials_join(req, &scratch);
    int err = check_tokens(call, authorization, false);

    if (err == RG_EAGAIN)
        await_keys(call, exchange, authorization);
    else
        decide(call, exchange, err);
}

/* has_parameter: the path names something. */
static void handle(struct rg_hub *hub, struct rg_exchange *exchange,
                   const struct operation *operation, bool has_parameter)
{
    const struct rg_request *req = rg_exchange_request(exchange);
    struct rg_answer answer = rg_answer_begin(hub->push, req);

    if (req->method == RG_OPTIONS) {
        rg_answer_preflight(&answer, exchange, operation->method, "authorization");
        return;
    }
    struct call *call = rg_zalloc(sizeof(*call));
    call->operation = operation;
    call->hub = hub;
    call->exchange = rg_exchange_get_handle(exchange);
    call->answer = answer;
    if (!rg_accepts_json(req))
        answer_text(call, exchange, 406, "The answer would be application/json.");
    else if (has_parameter && !has_name(exchange, &call->name))
        answer_text(call, exchange, 400, "The name in the path is malformed or too long.");
    else
        begin(call, exchange);
    rg_hub_settle(hub);
}

/* ---- GET /rg/sessions ---- */

static void add_user(void *arg, struct rg_str user, uint64_t hash)
{
    struct call *call = arg;

    rg_buf_add_char(&call->json, call->json.n == 0 ? '[' : ',');
    rg_json_add_string(&call->json, user);
    call->after = hash;
}

/* False if there are no more. */
static bool add_page(struct call *call)
{
    const struct rg_push *push = call->hub->push;
    RG_CLEANUP(rg_buf_done) struct rg_buf topic = {0};

    rg_buf_addf(&topic, "role:%s", push->settings.channels.session_role);
    return rg_roster_list_users(push->roster, rg_buf_str(&topic), call->after, USERS_PER_PAGE,
                                add_user, call) >= USERS_PER_PAGE;
}

static void list(struct call *call, struct rg_exchange *exchange);

static void on_turn(struct rg_question *question)
{
    struct call *call = RG_CONTAINER_OF(question, struct call, question);
    struct rg_exchange *exchange = rg_http_server_find(call->hub->http, call->exchange);

    if (exchange != NULL)
        list(call, exchange);
    else
        free_call(call);
}

/* A page each turn, so that a long list holds up neither this reactor nor who comes and goes. */
static void list(struct call *call, struct rg_exchange *exchange)
{
    while (add_page(call)) {
        if (rg_question_defer(&call->question, call->hub, on_turn) == 0)
            return;
    }
    rg_buf_add_c(&call->json, call->json.n == 0 ? "[]" : "]");
    answer_json(call, exchange, 200, rg_buf_str(&call->json));
}

static const struct operation listing = {"GET", {"getSessions", sizeof("getSessions") - 1}, list};

void rg_session_api_list(void *arg, struct rg_exchange *exchange)
{
    handle(arg, exchange, &listing, false);
}

/* ---- GET /rg/sessions/:id ---- */

static void look(struct call *call, struct rg_exchange *exchange)
{
    struct rg_buf topic = {0};

    rg_buf_add_c(&topic, "user:");
    rg_buf_add_str(&topic, rg_buf_str(&call->name));
    rg_roster_add_metas(call->hub->push->roster, rg_buf_str(&topic), &call->json);
    rg_buf_done(&topic);
    answer_json(call, exchange, 200, rg_buf_str(&call->json));
}

static const struct operation looking = {
    "GET", {"getSessionConnections", sizeof("getSessionConnections") - 1}, look};

void rg_session_api_look(void *arg, struct rg_exchange *exchange)
{
    handle(arg, exchange, &looking, true);
}

/* ---- DELETE /rg/connections/:jti ---- */

/* Until the caller's token ends (13.1); it is valid, so that is some time from now. */
static uint64_t seconds_until(int64_t exp_s)
{
    int64_t now_s = rg_clock_wall_us() / 1000000;

    if (exp_s <= now_s)
        return 1;
    uint64_t seconds = (uint64_t)exp_s - (uint64_t)now_s;
    return seconds < RG_BLACKLIST_MAX_SECONDS ? seconds : RG_BLACKLIST_MAX_SECONDS;
}

/* An entry that is there keeps its end (13.1), also where it is to end sooner. */
static int add_to_blacklist(struct call *call, struct rg_str jti)
{
    struct rg_blacklist *blacklist = call->hub->push->settings.blacklist;
    uint64_t seconds = seconds_until(call->exp_s);

    if (blacklist == NULL || rg_blacklist_has(blacklist, jti))
        return 0;
    int err = rg_blacklist_add(blacklist, jti, seconds);
    if (err == 0)
        rg_log_info("token banned", RG_FSTR("jti", jti), RG_FU("seconds", seconds));
    return err;
}

static void ban(struct call *call, struct rg_exchange *exchange)
{
    struct rg_str jti = rg_buf_str(&call->name);

    if (add_to_blacklist(call, jti) < 0) {
        answer_text(call, exchange, 503, "There are too many banned tokens.");
        return;
    }
    /* Whoever listens to the blacklist closes what belongs to a session of this name. */
    rg_push_kill_token(call->hub->push, jti);
    rg_answer_empty(&call->answer, exchange, 204);
    free_call(call);
}

static const struct operation banning = {
    "DELETE", {"deleteConnection", sizeof("deleteConnection") - 1}, ban};

void rg_session_api_ban(void *arg, struct rg_exchange *exchange)
{
    handle(arg, exchange, &banning, true);
}
