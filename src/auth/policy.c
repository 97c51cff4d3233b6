#include "auth/policy.h"

#include <stdatomic.h>

#include "base/alloc.h"
#include "base/counter.h"
#include "base/log.h"
#include "http/client.h"

#define ANSWER_TIMEOUT_MS 13000 /* 8 s to connect, 5 s to answer */
#define MAX_ANSWER        65536 /* it is not looked at */

enum outcome {
    ALLOWED,
    DENIED,
    FAILED,
    OUTCOMES
};
static const char *const outcome_names[] = {"allowed", "denied", "failed"};
static atomic_ulong outcomes[OUTCOMES];

struct question {
    const char *name;
    rg_policy_fn *fn;
    void *arg;
};

int rg_policy_init(struct rg_policy *policy, const char *name, const char *value,
                   struct rg_http_client *http, struct rg_why *why)
{
    struct rg_str text = rg_str_c(value);

    *policy = (struct rg_policy){.http = http, .name = name};
    if (text.n == 0 || rg_str_eq_nocase(text, RG_STR("no_check")))
        policy->kind = RG_POLICY_OPEN;
    else if (rg_str_eq_nocase(text, RG_STR("jwt_validation")))
        policy->kind = RG_POLICY_TOKEN;
    else if (rg_http_client_is_url(text))
        policy->kind = RG_POLICY_ASK;
    else
        return rg_why_set(why, RG_EINVAL, "",
                          "must be no_check, jwt_validation, or an http or https URL");
    policy->url = value;
    return 0;
}

static void on_answer(void *arg, const struct rg_http_client_result *result)
{
    struct question *question = arg;
    bool is_allowed = result->err == 0 && result->status >= 200 && result->status <= 299;
    bool is_denied = result->err == 0 && (result->status == 401 || result->status == 403);
    enum outcome outcome = is_allowed ? ALLOWED : is_denied ? DENIED : FAILED;

    atomic_fetch_add(&outcomes[outcome], 1);
    if (result->err == RG_ECANCELED)
        rg_log_debug("check given up", RG_FS("variable", question->name));
    else if (outcome == FAILED)
        rg_log_warn("check failed, denied", RG_FS("variable", question->name),
                    RG_FI("status", result->status),
                    RG_FS("reason", result->err != 0 ? result->why.text
                                                     : "the status is neither 2xx, 401 nor 403"));
    question->fn(question->arg, is_allowed);
    rg_free(question);
}

void rg_policy_ask(const struct rg_policy *policy, struct rg_str content_type,
                   struct rg_str authorization, struct rg_str body, rg_policy_fn *fn, void *arg)
{
    const struct rg_http_client_request request = {
        .url = policy->url,
        .is_post = true,
        .body = body,
        .content_type = content_type,
        .authorization = authorization,
        .max_body = MAX_ANSWER,
        .timeout_ms = ANSWER_TIMEOUT_MS,
    };
    struct question *question = rg_alloc(sizeof(*question));
    struct rg_why why = {0};

    *question = (struct question){policy->name, fn, arg};
    if (rg_http_client_send(policy->http, &request, on_answer, question, &why) == 0)
        return;
    rg_free(question);
    atomic_fetch_add(&outcomes[FAILED], 1);
    rg_log_warn("check failed, denied", RG_FS("variable", policy->name), RG_FS("reason", why.text));
    fn(arg, false);
}

void rg_policy_expose(struct rg_buf *out)
{
    rg_metric_head(out, "rgate_checks_total", "counter",
                   "Questions to the services of SUBSCRIPTION_CHECK and SUBMISSION_CHECK.");
    for (size_t i = 0; i < OUTCOMES; i++)
        rg_buf_addf(out, "rgate_checks_total{outcome=\"%s\"} %lu\n", outcome_names[i],
                    atomic_load(&outcomes[i]));
}
