/*
 * The way of a request, in the order of 9.1; A is the reactor of the request, B that of the client:
 *
 *   A: put()           steps 1 to 3, which need nothing but the request
 *   A: check_tokens()  maybe waits for keys
 *   A: check_policy()  step 4; maybe waits for an answer
 *   A: send_off()      step 5 as far as A knows
 *   B: apply()         the rest of step 5, and 6 to 9
 *   A: finish()        the answer
 */
#include "push/subscribe.h"

#include <stdio.h>

#include "base/alloc.h"
#include "event/automatic.h"
#include "http/query.h"
#include "push/answer.h"
#include "push/client.h"
#include "push/credentials.h"
#include "push/question.h"

struct change {
    struct rg_question question;
    struct rg_inbox_item item; /* while it travels */
    struct rg_hub *hub;        /* of the request */
    struct rg_exchange_handle exchange;
    struct rg_client_handle client;
    int token_err; /* 0: client is known */
    struct rg_answer answer;

    struct rg_str body, content_type, authorization; /* slices of the request, or of kept */
    struct rg_json list;                             /* in body */
    struct rg_buf joined;                            /* authorization, if there are several */
    struct rg_buf kept;

    struct rg_credentials credentials;
    struct rg_subscription_set *set; /* NULL: the request was not acceptable, see why */
    struct rg_why why;
    int status; /* of the answer */
};

static const char bad_token[] = "Invalid connection token.";
static const char gone[] = "Connection no longer exists.";
static const char draining[] = "The gateway is shutting down.";

/* ---- checks that need nothing but the request ---- */

/* 9.1 step 1: some entry must be exactly application/json or any type. */
static bool is_json_acceptable(const struct rg_request *req)
{
    const struct rg_http_field *field;
    size_t at = 0;
    bool has_accept = false;

    while ((field = rg_request_next_field(req, RG_STR("accept"), &at)) != NULL) {
        struct rg_str rest = field->value;
        has_accept = true;
        while (rest.p != NULL) {
            struct rg_str entry = rg_str_split(&rest, ',');
            struct rg_str type = rg_str_trim(rg_str_split(&entry, ';'));
            if (rg_str_eq_nocase(type, RG_STR("application/json")) ||
                rg_str_eq(type, RG_STR("*/*")))
                return true;
        }
    }
    return !has_accept;
}

static bool has_json_body(const struct rg_request *req, struct rg_json *ret, struct rg_why *why)
{
    struct rg_str content_type = rg_request_field(req, RG_STR("content-type"));
    struct rg_str type = rg_str_trim(rg_str_split(&content_type, ';'));

    if (!rg_str_eq_nocase(type, RG_STR("application/json"))) {
        rg_why_set(why, RG_EINVAL, "content-type", "the content type is not application/json");
        return false;
    }
    return rg_json_check(req->body, ret, why) == 0;
}

/* ---- the set ---- */

static int parse_list(struct change *change)
{
    const struct rg_push *push = change->hub->push;
    struct rg_why reason = {0};
    int err = rg_subscription_read(push->extractors, change->list, push->settings.max_subscriptions,
                                   &change->set, &reason);

    if (err < 0)
        rg_why_set(&change->why, err, "",
                   "cannot accept subscription request: could not parse given subscriptions: "
                   "%s%s%s",
                   reason.text, reason.place[0] != '\0' ? " at " : "", reason.place);
    return err;
}

/* Steps 7 and 8: what the client will be told if it comes to that. */
static void read_set(struct change *change)
{
    const struct rg_credentials *credentials = &change->credentials;
    struct rg_str claims[RG_MAX_CREDENTIALS];

    if (credentials->has_invalid) {
        rg_why_set(&change->why, RG_EINVAL, "",
                   "cannot accept subscription request: invalid authorization header: %s",
                   credentials->reason.text);
        return;
    }
    if (parse_list(change) < 0)
        return;
    for (size_t i = 0; i < credentials->n; i++)
        claims[i] = credentials->claims[i]->text;
    if (credentials->n > 0)
        rg_automatic_prepend(change->hub->push->extractors, claims, credentials->n, change->set);
}

/* ---- the answer ---- */

static void finish(struct rg_inbox_item *item, void *ctx)
{
    struct change *change = RG_CONTAINER_OF(item, struct change, item);
    struct rg_exchange *exchange = rg_http_server_find(change->hub->http, change->exchange);

    (void)ctx;
    if (exchange != NULL && change->status == 204)
        rg_answer_empty(&change->answer, exchange, 204);
    else if (exchange != NULL)
        rg_answer_text(&change->answer, exchange, change->status, change->why.text);
    rg_subscription_set_free(&change->set);
    rg_credentials_done(&change->credentials);
    rg_buf_done(&change->joined);
    rg_buf_done(&change->kept);
    rg_free(change);
}

static void refuse(struct change *change, int status, const char *text)
{
    change->status = status;
    rg_why_set(&change->why, RG_EDENIED, "", "%s", text);
    finish(&change->item, change->hub);
}

static void refuse_draining(struct change *change)
{
    rg_answer_add(&change->answer, RG_STR("retry-after"), RG_STR("1"));
    refuse(change, 503, draining);
}

/* ---- on the reactor of the connection ---- */

/* The status of the answer. */
static int set_subscriptions(struct rg_hub *hub, struct change *change)
{
    struct rg_client *client = rg_hub_find(hub, change->client);

    /* Step 6: also where another token is not valid. */
    for (size_t i = 0; client != NULL && i < change->credentials.n; i++)
        rg_client_bind(client, change->credentials.claims[i]);
    if (client == NULL || client->state != RG_CLIENT_OPEN) {
        rg_why_set(&change->why, RG_EGONE, "", "%s", gone);
        return 410;
    }
    if (change->set == NULL)
        return 400;
    if (rg_client_subscribe(client, &change->set) < 0) {
        rg_why_set(&change->why, RG_EFULL, "",
                   "Too many different combinations of fields are subscribed to.");
        return 503;
    }
    return 204;
}

static void apply(struct rg_inbox_item *item, void *ctx)
{
    struct rg_hub *hub = ctx;
    struct change *change = RG_CONTAINER_OF(item, struct change, item);

    change->status = set_subscriptions(hub, change);
    if (change->hub == hub)
        finish(&change->item, hub);
    else
        rg_reactor_post(change->hub->reactor, &change->item, finish, 0);
}

/* ---- on the reactor of the request ---- */

static void send_off(struct change *change)
{
    struct rg_hub *hub = change->hub;

    if (change->token_err != 0)
        refuse(change, change->token_err == RG_EGONE ? 410 : 400,
               change->token_err == RG_EGONE ? gone : bad_token);
    else if (change->client.reactor == hub->reactor->id)
        apply(&change->item, hub);
    else
        rg_reactor_post(hub->push->hubs[change->client.reactor]->reactor, &change->item, apply, 0);
}

static void on_verdict(struct rg_question *question)
{
    struct change *change = RG_CONTAINER_OF(question, struct change, question);

    if (question->is_allowed)
        send_off(change);
    else if (change->hub->is_draining)
        refuse_draining(change);
    else
        refuse(change, 403, "Subscription denied.");
}

static void check_policy(struct change *change)
{
    const struct rg_policy *policy = &change->hub->push->settings.subscription_check;

    if (policy->kind == RG_POLICY_ASK) {
        if (rg_question_ask(&change->question, change->hub, policy, change->content_type,
                            change->authorization, change->body, on_verdict) < 0)
            refuse_draining(change);
    } else if (policy->kind == RG_POLICY_TOKEN && change->credentials.n == 0) {
        refuse(change, 403, "Subscription denied.");
    } else {
        send_off(change);
    }
}

/* The request's bytes will be gone. */
static void keep(struct change *change)
{
    struct rg_str *slices[] = {&change->body, &change->content_type, &change->authorization};
    size_t list_at = (size_t)(change->list.text.p - change->body.p), n = 0;

    for (size_t i = 0; i < RG_COUNT_OF(slices); i++)
        n += slices[i]->n;
    rg_buf_reserve(&change->kept, n + 1);
    for (size_t i = 0; i < RG_COUNT_OF(slices); i++) {
        const char *at = change->kept.p + change->kept.n;
        rg_buf_add_str(&change->kept, *slices[i]);
        slices[i]->p = at;
    }
    change->list.text.p = change->body.p + list_at;
}

static void on_keys(struct rg_question *question);

static void check_tokens(struct change *change, bool is_last_try)
{
    int err = rg_credentials_check(change->hub->push, change->authorization, is_last_try,
                                   &change->credentials);

    if (err == RG_EAGAIN) {
        keep(change);
        err = rg_question_await_keys(&change->question, change->hub, on_keys);
        if (err == RG_ECANCELED)
            refuse_draining(change);
        else if (err < 0)
            check_tokens(change, true);
        return;
    }
    read_set(change);
    check_policy(change);
}

static void on_keys(struct rg_question *question)
{
    check_tokens(RG_CONTAINER_OF(question, struct change, question), true);
}

/* ---- the endpoint ---- */

/* The client that the connection token in the path names. */
static int read_handle(struct rg_hub *hub, struct rg_exchange *exchange,
                       struct rg_client_handle *ret)
{
    RG_CLEANUP(rg_buf_done) struct rg_buf token = {0};
    int err = rg_percent_decode(rg_exchange_param(exchange, 1), false, &token);

    return err < 0 ? err : rg_token_read(hub->push, rg_buf_str(&token), ret);
}

static void begin(struct rg_hub *hub, struct rg_exchange *exchange, const struct rg_answer *answer,
                  struct rg_json list)
{
    const struct rg_request *req = rg_exchange_request(exchange);
    struct change *change = rg_zalloc(sizeof(*change));

    change->hub = hub;
    change->exchange = rg_exchange_get_handle(exchange);
    change->token_err = read_handle(hub, exchange, &change->client);
    change->answer = *answer;
    change->body = req->body;
    change->list = list;
    change->content_type = rg_request_field(req, RG_STR("content-type"));
    if (rg_credentials_read(hub->push, req, &change->joined, &change->authorization) < 0)
        refuse(change, 403, "Origin not allowed.");
    else
        check_tokens(change, false);
    rg_hub_settle(hub);
}

static void put(struct rg_hub *hub, struct rg_exchange *exchange, struct rg_answer *answer)
{
    const struct rg_request *req = rg_exchange_request(exchange);
    struct rg_why why = {0};
    struct rg_json body = {0}, list;
    char text[512];

    if (!is_json_acceptable(req)) {
        struct rg_str accept = rg_request_field(req, RG_STR("accept"));
        snprintf(text, sizeof(text), "Not acceptable: %.*s. Supported: application/json, */*.",
                 accept.n > 300 ? 300 : (int)accept.n, accept.p);
        rg_answer_text(answer, exchange, 406, text);
    } else if (!has_json_body(req, &body, &why)) {
        snprintf(text, sizeof(text), "Expected JSON encoded body. Problem: %.300s at %.96s",
                 why.text, why.place);
        rg_answer_text(answer, exchange, 400, text);
    } else if ((list = rg_json_member(body, RG_STR("subscriptions"))).kind == RG_JSON_NONE) {
        rg_answer_text(answer, exchange, 400, "Expected field \"subscriptions\" is not present.");
    } else {
        begin(hub, exchange, answer, list);
    }
}

void rg_subscribe_handle(void *arg, struct rg_exchange *exchange)
{
    struct rg_hub *hub = arg;
    struct rg_answer answer = rg_answer_begin(hub->push, rg_exchange_request(exchange));

    if (rg_exchange_request(exchange)->method == RG_OPTIONS)
        rg_answer_preflight(&answer, exchange, "PUT", "content-type,authorization");
    else
        put(hub, exchange, &answer);
}
