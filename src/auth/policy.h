/*
 * policy.h - SUBSCRIPTION_CHECK and SUBMISSION_CHECK (client-api.md section 14).
 *
 * Thread: after rg_policy_init(), any registered with rcu.h.
 */
#pragma once

#include "base/buf.h"
#include "base/err.h"

struct rg_http_client;

enum rg_policy_kind {
    RG_POLICY_OPEN,  /* no_check: everybody may */
    RG_POLICY_TOKEN, /* jwt_validation: who has at least one valid token */
    RG_POLICY_ASK    /* a URL: whom that service answers with 2xx */
};

struct rg_policy {
    enum rg_policy_kind kind;
    const char *url;             /* borrowed */
    struct rg_http_client *http; /* borrowed */
    const char *name;            /* of the variable, for log and metrics */
};

/* Reads a setting (NULL or empty: open). RG_EINVAL with why if it is neither word nor URL. */
int rg_policy_init(struct rg_policy *policy, const char *name, const char *value,
                   struct rg_http_client *http, struct rg_why *why);

/* How a question to the service ended. */
typedef void rg_policy_fn(void *arg, bool is_allowed);

/*
 * Asks the service (kind RG_POLICY_ASK): POST of body with content_type and authorization (n == 0:
 * without). fn is called exactly once: on the HTTP client's thread, or at once with false if
 * too many questions are open. Any other answer than 2xx, no answer, a redirect: false; what is
 * neither 2xx nor 401 or 403 is logged.
 */
void rg_policy_ask(const struct rg_policy *policy, struct rg_str content_type,
                   struct rg_str authorization, struct rg_str body, rg_policy_fn *fn, void *arg);

/* Appends metrics of all policies: questions by outcome. */
void rg_policy_expose(struct rg_buf *out);
