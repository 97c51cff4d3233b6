/*
 * question.h - what a request has to wait for because another thread finds it out: whether a
 * service allows it, or whether new keys have come; or because it lets others go first.
 *
 * A question is embedded in what waits, which is on the heap and knows its exchange by handle only.
 * The answer comes back to the reactor as a message, exactly once, also if the client has gone
 * meanwhile. So whoever ends the gateway lets no request begin any more (rg_hub_drain()), frees the
 * HTTP client, which answers what is open, and only then stops the reactors.
 *
 * Thread: the reactor of the hub.
 */
#pragma once

#include "push/hub.h"

struct rg_question;
/* Called on the reactor, in a batch. */
typedef void rg_question_fn(struct rg_question *question);

struct rg_question {
    struct rg_inbox_item item;
    struct rg_hub *hub;
    rg_question_fn *fn;
    bool is_allowed; /* what the service said */
};

/*
 * Asks the service of policy (kind RG_POLICY_ASK) as rg_policy_ask() does; everything is copied. fn
 * is called later. RG_ECANCELED, without a call, if the hub is draining.
 */
int rg_question_ask(struct rg_question *question, struct rg_hub *hub,
                    const struct rg_policy *policy, struct rg_str content_type,
                    struct rg_str authorization, struct rg_str body, rg_question_fn *fn);

/*
 * fn is called later, when the refresh of the key set that rg_verifier_check() told of has ended.
 * RG_ECANCELED or RG_EFULL, without a call, if the hub is draining or too many wait.
 */
int rg_question_await_keys(struct rg_question *question, struct rg_hub *hub, rg_question_fn *fn);

/*
 * fn is called in a later turn of the loop, when others have had theirs: for work that is done in
 * pieces. RG_ECANCELED, without a call, if the hub is draining: the rest is done at once then.
 */
int rg_question_defer(struct rg_question *question, struct rg_hub *hub, rg_question_fn *fn);
