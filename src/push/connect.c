#include "push/connect.h"

#include <stdio.h>

#include "http/query.h"
#include "push/hub.h"

struct connect_params {
    struct rg_str jwt;
    struct rg_str subscriptions;
    struct rg_buf scratch_jwt, scratch_subscriptions;
};

static void params_done(struct connect_params *params)
{
    rg_buf_done(&params->scratch_jwt);
    rg_buf_done(&params->scratch_subscriptions);
}

static int check_token(struct rg_hub *hub, struct rg_str jwt, struct rg_why *why)
{
    struct rg_claims *claims = NULL;
    struct rg_why reason = {.text = "Could not verify token"};

    if (jwt.n == 0)
        return 0;
    if (hub->push->settings.verifier != NULL &&
        rg_verifier_check(hub->push->settings.verifier, jwt, &claims, &reason) == 0) {
        rg_claims_unref(&claims);
        return 0;
    }
    return rg_why_set(why, RG_EINVAL, "", "could not parse subscriptions: could not decode JWT: %s",
                      reason.text);
}

static int read_subscriptions(struct rg_hub *hub, struct rg_str text, bool is_longpoll,
                              struct rg_subscription_set **ret, struct rg_why *why)
{
    struct rg_why reason = {0};
    int err = rg_subscription_parse(hub->push->extractors, text, is_longpoll,
                                    hub->push->settings.max_subscriptions, ret, &reason);

    if (err < 0)
        return rg_why_set(why, err, "", "could not parse subscriptions: %s%s%s", reason.text,
                          reason.place[0] != '\0' ? " at " : "", reason.place);
    return 0;
}

static int check(struct rg_hub *hub, const struct connect_params *params, bool is_longpoll,
                 struct rg_subscription_set **ret, struct rg_why *why)
{
    struct rg_why reason = {0};
    struct rg_json json;
    int err;

    /* Long-polling reports what is no JSON like any other bad subscription, behind the token. */
    if (!is_longpoll && params->subscriptions.n > 0) {
        err = rg_json_check(params->subscriptions, &json, &reason);
        if (err < 0)
            return rg_why_set(why, err, "", "Failed to decode subscription list: %s at %s",
                              reason.text, reason.place);
    }
    err = check_token(hub, params->jwt, why);
    if (err < 0)
        return err;
    if (params->subscriptions.n > 0)
        return read_subscriptions(hub, params->subscriptions, is_longpoll, ret, why);
    *ret = rg_subscription_set_empty();
    return 0;
}

int rg_connect_parse_query(struct rg_hub *hub, struct rg_str query, bool is_longpoll,
                           struct rg_subscription_set **ret, struct rg_why *why)
{
    struct connect_params params = {0};
    int err;

    if (rg_query_get(query, RG_STR("jwt"), &params.scratch_jwt, &params.jwt) < 0 ||
        rg_query_get(query, RG_STR("subscriptions"), &params.scratch_subscriptions,
                     &params.subscriptions) < 0)
        err = rg_why_set(why, RG_ESYNTAX, "",
                         "malformed query string: a '%%' must be followed by two hex digits and "
                         "the result must be UTF-8");
    else
        err = check(hub, &params, is_longpoll, ret, why);
    params_done(&params);
    return err;
}

int rg_connect_parse(struct rg_hub *hub, const struct rg_request *req, bool is_longpoll,
                     struct rg_subscription_set **ret, struct rg_why *why)
{
    return rg_connect_parse_query(hub, req->query, is_longpoll, ret, why);
}
