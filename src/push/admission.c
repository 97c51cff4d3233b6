#include "push/admission.h"

#include <stdio.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/log.h"
#include "event/automatic.h"
#include "http/query.h"
#include "push/credentials.h"
#include "push/limits.h"

/*
 * One check: 0 if it is passed, RG_EAGAIN if it waits for an answer and is to be done again then,
 * another code if it was failed (the refusal is noted). exchange is there whenever a check runs.
 */
typedef int check_fn(struct rg_admission *a, struct rg_exchange *exchange);

static int refuse(struct rg_admission *a, enum rg_refusal refusal, const char *text)
{
    a->refusal = refusal;
    return rg_why_set(&a->why, RG_EDENIED, "", "%s", text);
}

static int refuse_for(struct rg_admission *a, enum rg_refusal refusal, const char *prefix,
                      const struct rg_why *reason)
{
    a->refusal = refusal;
    return rg_why_set(&a->why, RG_EDENIED, "", "%s%s%s%s", prefix, reason->text,
                      reason->place[0] != '\0' ? " at " : "", reason->place);
}

static int refuse_draining(struct rg_admission *a)
{
    a->retry_after_s = 1;
    return refuse(a, RG_REFUSED_DRAINING, "The gateway is shutting down.");
}

/* ---- the checks ---- */

/* Who has a token can be asked for, with what the request says about it. */
static void note_device(struct rg_admission *a, const struct rg_exchange *exchange)
{
    char peer[RG_PEER_SIZE];

    rg_exchange_peer(exchange, peer);
    a->device = rg_device_new(rg_str_c(peer), a->applicant.agent, rg_clock_wall_us() / 1000);
}

static int read_query(struct rg_admission *a, struct rg_exchange *exchange)
{
    const struct rg_applicant *applicant = &a->applicant;
    const struct {
        struct rg_str name;
        struct rg_str *ret;
    } params[] = {{RG_STR("jwt"), &a->jwt},
                  {RG_STR("ticket"), &a->ticket},
                  {RG_STR("subscriptions"), &a->subscriptions}};

    /* All at once, so that the slices stay where they are. */
    rg_buf_reserve(&a->text, RG_COUNT_OF(params) * (applicant->query.n + 1) + applicant->cookie.n);
    for (size_t i = 0; i < RG_COUNT_OF(params); i++) {
        if (rg_query_get(applicant->query, params[i].name, &a->text, params[i].ret) < 0)
            return refuse(a, RG_REFUSED_QUERY,
                          "malformed query string: a '%' must be followed by two hex digits and "
                          "the result must be UTF-8");
    }
    if (a->jwt.n == 0 && a->ticket.n == 0 && applicant->cookie.n > 0) {
        a->jwt = rg_str_n(a->text.p + a->text.n, applicant->cookie.n);
        rg_buf_add_str(&a->text, applicant->cookie);
        a->is_cookie = true;
    }
    if (a->jwt.n > 0 || a->ticket.n > 0)
        note_device(a, exchange);
    return 0;
}

/* A WebSocket is open to any page's script, and so is a cookie; other answers CORS keeps from it.
 */
static int check_origin(struct rg_admission *a, struct rg_exchange *exchange)
{
    (void)exchange;
    if (a->applicant.is_foreign && (a->transport == RG_WS || a->is_cookie))
        return refuse(a, RG_REFUSED_ORIGIN, "Origin not allowed.");
    return 0;
}

/* Long-polling reports what is no JSON like any other bad subscription, behind the token. */
static int check_json(struct rg_admission *a, struct rg_exchange *exchange)
{
    struct rg_why reason = {0};
    struct rg_json json;

    (void)exchange;
    if (a->subscriptions.n > 0 && rg_json_check(a->subscriptions, &json, &reason) < 0)
        return refuse_for(a, RG_REFUSED_SUBSCRIPTIONS,
                          "Failed to decode subscription list: ", &reason);
    return 0;
}

/* Puts the ticket's token in its place: it is verified like one that was given itself. */
static int redeem_ticket(struct rg_admission *a)
{
    struct rg_tickets *tickets = a->hub->push->settings.tickets;

    rg_buf_clear(&a->token);
    if (tickets == NULL ||
        rg_tickets_redeem(tickets, a->ticket, a->hub->reactor->now_ms, &a->token) < 0)
        return refuse(a, RG_REFUSED_TOKEN,
                      "could not parse subscriptions: could not redeem ticket: it does not exist, "
                      "was used, or is too old");
    a->jwt = rg_buf_str(&a->token);
    return 0;
}

static rg_question_fn on_answer;

static int await_keys(struct rg_admission *a)
{
    int err = rg_question_await_keys(&a->question, a->hub, on_answer);

    if (err == 0)
        return RG_EAGAIN;
    if (err == RG_ECANCELED)
        return refuse_draining(a);
    return refuse(a, RG_REFUSED_TOKEN,
                  "could not parse subscriptions: could not decode JWT: Could not verify token");
}

static int check_token(struct rg_admission *a, struct rg_exchange *exchange)
{
    struct rg_why reason = {0};
    int err;

    (void)exchange;
    if (a->jwt.n == 0 && a->ticket.n > 0 && redeem_ticket(a) < 0)
        return RG_EDENIED;
    if (a->jwt.n == 0)
        return 0;
    err = rg_credentials_verify(a->hub->push, a->jwt, a->is_answered, &a->claims, &reason);
    if (err == RG_EAGAIN)
        return await_keys(a);
    if (err < 0)
        return refuse_for(a, RG_REFUSED_TOKEN,
                          "could not parse subscriptions: could not decode JWT: ", &reason);
    return 0;
}

static int read_subscriptions(struct rg_admission *a, struct rg_exchange *exchange)
{
    const struct rg_push *push = a->hub->push;
    struct rg_why reason = {0};

    (void)exchange;
    if (a->subscriptions.n == 0)
        a->set = rg_subscription_set_empty();
    else if (rg_subscription_parse(push->extractors, a->subscriptions, a->transport == RG_LONGPOLL,
                                   push->settings.max_subscriptions, &a->set, &reason) < 0)
        return refuse_for(a, RG_REFUSED_SUBSCRIPTIONS, "could not parse subscriptions: ", &reason);
    if (a->claims != NULL)
        rg_automatic_prepend(push->extractors, &a->claims->text, 1, a->set);
    rg_subscription_set_unique(a->set);
    return 0;
}

/* {"subscriptions":[...]}, whatever form the parameter has (14.3). */
static int ask_service(struct rg_admission *a, const struct rg_policy *policy)
{
    struct rg_buf body = {0}, authorization = {0};
    struct rg_json list;

    rg_assert(rg_json_check(a->subscriptions, &list, NULL) == 0);
    if (list.kind == RG_JSON_OBJECT)
        list = rg_json_member(list, RG_STR("subscriptions"));
    rg_buf_add_c(&body, "{\"subscriptions\":");
    rg_buf_add_str(&body, list.text);
    rg_buf_add_char(&body, '}');
    if (a->jwt.n > 0) {
        rg_buf_add_c(&authorization, "Bearer ");
        rg_buf_add_str(&authorization, a->jwt);
    }
    int err =
        rg_question_ask(&a->question, a->hub, policy, RG_STR("application/json; charset=utf-8"),
                        rg_buf_str(&authorization), rg_buf_str(&body), on_answer);
    rg_buf_done(&body);
    rg_buf_done(&authorization);
    return err == 0 ? RG_EAGAIN : refuse_draining(a);
}

static int check_policy(struct rg_admission *a, struct rg_exchange *exchange)
{
    const struct rg_policy *policy = &a->hub->push->settings.subscription_check;
    bool is_allowed = true;

    (void)exchange;
    /* Automatic subscriptions need no approval (14.2). */
    if (a->subscriptions.n == 0)
        return 0;
    if (policy->kind == RG_POLICY_ASK && !a->is_answered)
        return ask_service(a, policy);
    if (policy->kind == RG_POLICY_ASK)
        is_allowed = a->question.is_allowed;
    else if (policy->kind == RG_POLICY_TOKEN)
        is_allowed = a->claims != NULL;
    if (is_allowed)
        return 0;
    /* Who is asked while the gateway ends may not have had the time to answer. */
    if (a->is_answered && a->hub->is_draining)
        return refuse_draining(a);
    return refuse(a, RG_REFUSED_CHECK, "Subscription denied (not authorized).");
}

int rg_admission_take_seat(struct rg_hub *hub, struct rg_exchange *exchange,
                           struct rg_seat **ret_seat, unsigned *ret_retry_after_s,
                           const char **ret_text)
{
    static const char *const texts[] = {
        [RG_LIMIT_RATE] = "Reached maximum number of connections",
        [RG_LIMIT_ADDRESS] = "Reached maximum number of connections from one address",
        [RG_LIMIT_CLIENTS] = "Reached maximum number of connections open at the same time"};
    struct rg_limits *limits = hub->push->settings.limits;
    char peer[RG_PEER_SIZE];

    if (limits == NULL)
        return 0;
    rg_exchange_peer(exchange, peer);
    enum rg_limit limit = rg_limits_enter(limits, peer, (uint64_t)rg_clock_wall_us() / 1000,
                                          ret_seat, ret_retry_after_s);
    if (limit == RG_LIMIT_NONE)
        return 0;
    *ret_text = texts[limit];
    return RG_EFULL;
}

static int take_seat(struct rg_admission *a, struct rg_exchange *exchange)
{
    const char *text;

    if (rg_admission_take_seat(a->hub, exchange, &a->seat, &a->retry_after_s, &text) < 0)
        return refuse(a, RG_REFUSED_LIMIT, text);
    return 0;
}

/* In the order of 4.2, and of 7.2. */
static check_fn *const stream_checks[] = {read_query,         check_origin, check_json, check_token,
                                          read_subscriptions, check_policy, take_seat,  NULL};
static check_fn *const longpoll_checks[] = {
    take_seat, read_query, check_origin, check_token, read_subscriptions, check_policy, NULL};

/* ---- the way through them ---- */

static void log_refusal(const struct rg_admission *a)
{
    static const char *const names[] = {
        [RG_SSE] = "sse", [RG_WS] = "ws", [RG_LONGPOLL] = "longpolling"};

    rg_log_debug("client refused", RG_FS("transport", names[a->transport]),
                 RG_FS("reason", a->why.text));
}

static void proceed(struct rg_admission *a, struct rg_exchange *exchange)
{
    check_fn *const *checks = a->transport == RG_LONGPOLL ? longpoll_checks : stream_checks;

    for (; checks[a->step] != NULL; a->step++) {
        int err = checks[a->step](a, exchange);
        if (err == RG_EAGAIN)
            return;
        if (err < 0) {
            rg_count(a->hub->counters, RG_HUB_REFUSALS + (size_t)a->refusal, 1);
            log_refusal(a);
            break;
        }
        a->is_answered = false;
    }
    a->decided(a, exchange);
}

static void on_answer(struct rg_question *question)
{
    struct rg_admission *a = RG_CONTAINER_OF(question, struct rg_admission, question);
    struct rg_exchange *exchange = rg_http_server_find(a->hub->http, a->exchange);

    a->is_answered = true;
    if (exchange != NULL)
        proceed(a, exchange);
    else
        a->decided(a, NULL);
}

struct rg_applicant rg_applicant_of(const struct rg_push *push, const struct rg_request *req)
{
    return (struct rg_applicant){req->query, rg_credentials_cookie(push, req),
                                 rg_request_field(req, RG_STR("user-agent")),
                                 rg_credentials_is_foreign(push, req)};
}

void rg_admission_begin(struct rg_admission *a, struct rg_hub *hub, enum rg_transport transport,
                        const struct rg_applicant *applicant, struct rg_exchange *exchange,
                        rg_admission_fn *decided)
{
    a->hub = hub;
    a->transport = transport;
    a->applicant = *applicant;
    a->exchange = rg_exchange_get_handle(exchange);
    a->decided = decided;
    proceed(a, exchange);
}

/* ---- what follows from it ---- */

void rg_admission_done(struct rg_admission *a)
{
    rg_buf_done(&a->text);
    rg_buf_done(&a->token);
    rg_device_free(&a->device);
    rg_subscription_set_free(&a->set);
    rg_claims_unref(&a->claims);
    if (a->seat != NULL)
        rg_limits_leave(a->hub->push->settings.limits, &a->seat);
}

void rg_admission_refuse(struct rg_admission *a, struct rg_exchange *exchange)
{
    static const int statuses[] = {
        [RG_REFUSED_QUERY] = 400,         [RG_REFUSED_ORIGIN] = 403, [RG_REFUSED_TOKEN] = 400,
        [RG_REFUSED_SUBSCRIPTIONS] = 400, [RG_REFUSED_CHECK] = 400,  [RG_REFUSED_LIMIT] = 429,
        [RG_REFUSED_DRAINING] = 503,
    };
    char seconds[12];

    if (a->retry_after_s > 0) {
        snprintf(seconds, sizeof(seconds), "%u", a->retry_after_s);
        rg_answer_add(&a->answer, RG_STR("retry-after"), rg_str_c(seconds));
    }
    rg_answer_text(&a->answer, exchange, statuses[a->refusal], a->why.text);
}

void rg_admission_let_in(struct rg_admission *a, struct rg_client *client)
{
    client->seat = RG_STEAL(a->seat);
    if (a->claims != NULL)
        rg_client_bind(client, a->claims);
    if (client->bond != NULL)
        rg_client_set_device(client, &a->device);
    rg_client_greet(client, &a->set);
}
