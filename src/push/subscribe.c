#include "push/subscribe.h"

#include <stdio.h>

#include "base/alloc.h"
#include "event/json.h"
#include "http/query.h"
#include "push/answer.h"
#include "push/client.h"
#include "push/hub.h"

/* One request on its way to the reactor of the connection and back. */
struct change {
    struct rg_inbox_item item;
    struct rg_exchange_handle exchange;
    struct rg_client_handle client;
    struct rg_answer answer;
    struct rg_subscription_set *set; /* NULL: the request was not acceptable, see why */
    struct rg_why why;
    int status; /* of the answer */
};

static const char bad_token[] = "Invalid connection token.";
static const char gone[] = "Connection no longer exists.";

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

/*
 * Every bearer token must verify (9.1 step 7). Other schemes are ignored; a value without a scheme
 * counts as a bearer token (12.5.1).
 */
static int check_authorization(struct rg_hub *hub, const struct rg_request *req, struct rg_why *why)
{
    const struct rg_http_field *field;
    size_t at = 0;

    while ((field = rg_request_next_field(req, RG_STR("authorization"), &at)) != NULL) {
        struct rg_str rest = field->value;
        while (rest.p != NULL) {
            struct rg_str value = rg_str_trim(rg_str_split(&rest, ','));
            struct rg_str token = value;
            struct rg_str scheme = rg_str_split(&token, ' ');
            if (value.n == 0)
                continue;
            if (token.p == NULL)
                token = value;
            else if (!rg_str_eq_nocase(scheme, RG_STR("bearer")))
                continue;
            struct rg_why reason = {.text = "Could not verify token"};
            struct rg_claims *claims = NULL;
            int err = RG_EDENIED;
            if (hub->push->settings.verifier != NULL)
                err = rg_verifier_check(hub->push->settings.verifier, token, &claims, &reason);
            rg_claims_unref(&claims);
            if (err < 0)
                return rg_why_set(why, RG_EINVAL, "",
                                  "cannot accept subscription request: invalid authorization "
                                  "header: %s",
                                  reason.text);
        }
    }
    return 0;
}

static struct rg_subscription_set *read_set(struct rg_hub *hub, struct rg_json list,
                                            struct rg_why *why)
{
    struct rg_subscription_set *set = NULL;
    struct rg_why reason = {0};
    int err = rg_subscription_read(hub->push->extractors, list,
                                   hub->push->settings.max_subscriptions, &set, &reason);

    if (err < 0) {
        rg_why_set(why, err, "",
                   "cannot accept subscription request: could not parse given subscriptions: "
                   "%s%s%s",
                   reason.text, reason.place[0] != '\0' ? " at " : "", reason.place);
        return NULL;
    }
    return set;
}

/* ---- the change, on the reactor of the connection, and its answer, on that of the request ---- */

static void finish(struct rg_inbox_item *item, void *ctx)
{
    struct rg_hub *hub = ctx;
    struct change *change = RG_CONTAINER_OF(item, struct change, item);
    struct rg_exchange *exchange = rg_http_server_find(hub->http, change->exchange);

    if (exchange != NULL && change->status == 204)
        rg_answer_empty(&change->answer, exchange, 204);
    else if (exchange != NULL)
        rg_answer_text(&change->answer, exchange, change->status, change->why.text);
    rg_subscription_set_free(&change->set);
    rg_free(change);
}

static void apply(struct rg_inbox_item *item, void *ctx)
{
    struct rg_hub *hub = ctx;
    struct change *change = RG_CONTAINER_OF(item, struct change, item);
    struct rg_client *client = rg_hub_find(hub, change->client);

    if (client == NULL) {
        change->status = 410;
        rg_why_set(&change->why, RG_EGONE, "", "%s", gone);
    } else if (change->set == NULL) {
        change->status = 400;
    } else if (rg_client_subscribe(client, &change->set) < 0) {
        change->status = 503;
        rg_why_set(&change->why, RG_EFULL, "",
                   "Too many different combinations of fields are subscribed to.");
    } else {
        change->status = 204;
    }

    if (change->exchange.reactor == hub->reactor->id)
        finish(&change->item, hub);
    else
        rg_reactor_post(hub->push->hubs[change->exchange.reactor]->reactor, &change->item, finish,
                        0);
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

static void put(struct rg_hub *hub, struct rg_exchange *exchange, struct rg_answer *answer)
{
    const struct rg_request *req = rg_exchange_request(exchange);
    struct rg_why why = {0};
    struct rg_json body = {0};
    char text[512];

    if (!is_json_acceptable(req)) {
        struct rg_str accept = rg_request_field(req, RG_STR("accept"));
        snprintf(text, sizeof(text), "Not acceptable: %.*s. Supported: application/json, */*.",
                 accept.n > 300 ? 300 : (int)accept.n, accept.p);
        rg_answer_text(answer, exchange, 406, text);
        return;
    }
    if (!has_json_body(req, &body, &why)) {
        snprintf(text, sizeof(text), "Expected JSON encoded body. Problem: %.300s at %.96s",
                 why.text, why.place);
        rg_answer_text(answer, exchange, 400, text);
        return;
    }
    struct rg_json list = rg_json_member(body, RG_STR("subscriptions"));
    if (list.kind == RG_JSON_NONE) {
        rg_answer_text(answer, exchange, 400, "Expected field \"subscriptions\" is not present.");
        return;
    }

    struct rg_client_handle handle;
    int err = read_handle(hub, exchange, &handle);
    if (err < 0) {
        rg_answer_text(answer, exchange, err == RG_EGONE ? 410 : 400,
                       err == RG_EGONE ? gone : bad_token);
        return;
    }

    struct change *change = rg_zalloc(sizeof(*change));
    change->exchange = rg_exchange_get_handle(exchange);
    change->client = handle;
    change->answer = *answer;
    if (check_authorization(hub, req, &change->why) == 0)
        change->set = read_set(hub, list, &change->why);
    if (handle.reactor == hub->reactor->id)
        apply(&change->item, hub);
    else
        rg_reactor_post(hub->push->hubs[handle.reactor]->reactor, &change->item, apply, 0);
    rg_hub_settle(hub);
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
