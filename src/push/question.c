#include "push/question.h"

#include "base/alloc.h"

static void answered(struct rg_inbox_item *item, void *ctx)
{
    struct rg_question *question = RG_CONTAINER_OF(item, struct rg_question, item);

    (void)ctx;
    rg_reactor_assert(question->hub->reactor);
    question->hub->questions_n--;
    question->fn(question);
}

static void begin(struct rg_question *question, struct rg_hub *hub, rg_question_fn *fn)
{
    question->hub = hub;
    question->fn = fn;
    question->is_allowed = false;
    hub->questions_n++;
}

/* Thread: any. The question is the reactor's again once it is posted. */
static void on_verdict(void *arg, bool is_allowed)
{
    struct rg_question *question = arg;

    question->is_allowed = is_allowed;
    rg_reactor_post(question->hub->reactor, &question->item, answered, 0);
}

/* Thread: any. */
static void on_keys(void *arg)
{
    struct rg_question *question = arg;

    rg_reactor_post(question->hub->reactor, &question->item, answered, 0);
}

int rg_question_ask(struct rg_question *question, struct rg_hub *hub,
                    const struct rg_policy *policy, struct rg_str content_type,
                    struct rg_str authorization, struct rg_str body, rg_question_fn *fn)
{
    if (hub->is_draining)
        return RG_ECANCELED;
    begin(question, hub, fn);
    rg_policy_ask(policy, content_type, authorization, body, on_verdict, question);
    return 0;
}

int rg_question_await_keys(struct rg_question *question, struct rg_hub *hub, rg_question_fn *fn)
{
    if (hub->is_draining)
        return RG_ECANCELED;
    begin(question, hub, fn);
    int err = rg_verifier_wait(hub->push->settings.verifier, on_keys, question);
    if (err < 0)
        hub->questions_n--;
    return err;
}

int rg_question_defer(struct rg_question *question, struct rg_hub *hub, rg_question_fn *fn)
{
    if (hub->is_draining)
        return RG_ECANCELED;
    begin(question, hub, fn);
    rg_reactor_post(hub->reactor, &question->item, answered, 0);
    return 0;
}
