#include "push/publish.h"

#include <stdio.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "push/answer.h"
#include "push/credentials.h"
#include "push/question.h"

#define MAX_ATTRIBUTES RG_MAX_FIELDS_PER_MESSAGE

static void refuse(struct rg_answer *answer, struct rg_exchange *exchange, const char *prefix,
                   const struct rg_why *why)
{
    char text[640];

    snprintf(text, sizeof(text), "%s %s%s%s", prefix, why->text,
             why->place[0] != '\0' ? " at " : "", why->place);
    rg_answer_text(answer, exchange, 400, text);
}

/* The ce- fields of a request, by their names without the prefix. */
static size_t ce_attributes(const struct rg_request *req, struct rg_ce_attribute *out, char *names,
                            size_t names_size)
{
    size_t n = 0, used = 0;

    for (size_t i = 0; i < req->fields_n; i++) {
        struct rg_str name = req->fields[i].name;
        if (!rg_str_starts_with_nocase(name, RG_STR("ce-")) || name.n == 3)
            continue;
        if (used + name.n - 3 > names_size)
            break;
        out[n].name = rg_str_n(names + used, name.n - 3);
        out[n].value = req->fields[i].value;
        for (size_t k = 3; k < name.n; k++) {
            char c = name.p[k];
            names[used++] = c >= 'A' && c <= 'Z' ? (char)(c + ('a' - 'A')) : c;
        }
        n++;
    }
    return n;
}

static void count(const struct rg_tally *tally, int err, size_t n, uint64_t started_ns)
{
    rg_tally_count(tally, RG_STR("http"), RG_STR(""), err, n, started_ns);
}

static void answer_unreadable(struct rg_answer *answer, struct rg_exchange *exchange, int err,
                              const struct rg_why *why)
{
    if (err == RG_EFULL)
        rg_answer_text(answer, exchange, 413, why->text);
    else
        refuse(answer, exchange, "The request body does not look like a CloudEvent:", why);
}

/* Hands on what its sender may send, and answers. */
static void dispatch(const struct rg_publish_endpoint *endpoint, struct rg_exchange *exchange,
                     struct rg_answer *answer, struct rg_str text, bool is_batch)
{
    static const struct rg_origin origin = {RG_SOURCE_HTTP, 0, -1, -1, -1};
    uint64_t started_ns = rg_clock_mono_ns();
    struct rg_why why = {0};
    size_t n = 1;
    int err = is_batch ? rg_dispatch_batch(endpoint->dispatcher, text, &origin, &n, &why)
                       : rg_dispatch(endpoint->dispatcher, text, RG_CHECK_ALL, &origin, NULL, &why);

    if (err == RG_EAGAIN) {
        rg_answer_add(answer, RG_STR("retry-after"), RG_STR("1"));
        rg_answer_text(answer, exchange, 503, "Too many events are waiting, try again.");
        return;
    }
    count(&endpoint->push->tally, err, err < 0 ? 1 : n, started_ns);
    if (err < 0)
        answer_unreadable(answer, exchange, err, &why);
    else
        rg_answer_json(answer, exchange, 202, text);
}

/* ---- SUBMISSION_CHECK ---- */

/* Events that wait until it is known whether their sender may send them. */
struct submission {
    struct rg_question question;
    const struct rg_publish_endpoint *endpoint;
    struct rg_exchange_handle exchange;
    struct rg_answer answer;
    struct rg_buf text, authorization;
    bool is_batch;
};

static void submission_done(struct submission *submission)
{
    rg_buf_done(&submission->text);
    rg_buf_done(&submission->authorization);
    rg_free(submission);
}

static void deny(struct rg_answer *answer, struct rg_exchange *exchange)
{
    rg_answer_text(answer, exchange, 403, "Submission denied.");
}

static void answer_draining(struct rg_answer *answer, struct rg_exchange *exchange)
{
    rg_answer_add(answer, RG_STR("retry-after"), RG_STR("1"));
    rg_answer_text(answer, exchange, 503, "The gateway is shutting down.");
}

/* 0 if one of the tokens is valid, RG_EDENIED, or RG_EAGAIN if keys should be awaited first. */
static int check_tokens(const struct rg_publish_endpoint *endpoint, struct rg_str authorization,
                        bool is_last_try)
{
    struct rg_credentials credentials;
    int err = rg_credentials_check(endpoint->push, authorization, is_last_try, &credentials);

    if (err == 0 && credentials.n == 0)
        err = RG_EDENIED;
    rg_credentials_done(&credentials);
    return err;
}

/* The answer to a question is there. */
static void decide(struct submission *submission, bool is_allowed)
{
    struct rg_hub *hub = submission->endpoint->hub;
    struct rg_exchange *exchange = rg_http_server_find(hub->http, submission->exchange);
    struct rg_str text = rg_buf_str(&submission->text);

    /* Nobody would learn that the events of a sender who has gone were taken. */
    if (exchange != NULL && is_allowed)
        dispatch(submission->endpoint, exchange, &submission->answer, text, submission->is_batch);
    else if (exchange != NULL && hub->is_draining)
        answer_draining(&submission->answer, exchange);
    else if (exchange != NULL)
        deny(&submission->answer, exchange);
    submission_done(submission);
}

static void on_verdict(struct rg_question *question)
{
    decide(RG_CONTAINER_OF(question, struct submission, question), question->is_allowed);
}

static void on_keys(struct rg_question *question)
{
    struct submission *submission = RG_CONTAINER_OF(question, struct submission, question);

    decide(submission,
           check_tokens(submission->endpoint, rg_buf_str(&submission->authorization), true) == 0);
}

static void ask(const struct rg_publish_endpoint *endpoint, struct rg_exchange *exchange,
                struct rg_answer *answer, struct rg_str text, bool is_batch,
                struct rg_str authorization)
{
    const struct rg_policy *policy = &endpoint->push->settings.submission_check;
    struct submission *submission = rg_zalloc(sizeof(*submission));
    int err;

    submission->endpoint = endpoint;
    submission->exchange = rg_exchange_get_handle(exchange);
    submission->answer = *answer;
    submission->is_batch = is_batch;
    rg_buf_add_str(&submission->text, text);
    rg_buf_add_str(&submission->authorization, authorization);
    if (policy->kind == RG_POLICY_ASK)
        err = rg_question_ask(&submission->question, endpoint->hub, policy,
                              RG_STR("application/json; charset=utf-8"), authorization, text,
                              on_verdict);
    else
        err = rg_question_await_keys(&submission->question, endpoint->hub, on_keys);
    if (err == 0)
        return;
    if (err == RG_ECANCELED)
        answer_draining(answer, exchange);
    else
        deny(answer, exchange);
    submission_done(submission);
}

/* Structured events, one or a batch. What is malformed is told also to who may not send (11.4). */
static void check(const struct rg_publish_endpoint *endpoint, struct rg_exchange *exchange,
                  struct rg_answer *answer, struct rg_str text, bool is_batch)
{
    const struct rg_policy *policy = &endpoint->push->settings.submission_check;
    struct rg_str authorization;
    struct rg_buf scratch = {0};
    struct rg_why why = {0};
    int err = is_batch ? rg_dispatch_check_batch(endpoint->dispatcher, text, &why)
                       : rg_dispatch_check(endpoint->dispatcher, text, &why);

    if (err < 0) {
        count(&endpoint->push->tally, err, 1, 0);
        answer_unreadable(answer, exchange, err, &why);
        return;
    }
    err = rg_credentials_read(endpoint->push, rg_exchange_request(exchange), &scratch,
                              &authorization);
    if (err == 0 && policy->kind == RG_POLICY_TOKEN)
        err = check_tokens(endpoint, authorization, false);
    else if (err == 0)
        err = RG_EAGAIN;
    if (err == RG_EAGAIN)
        ask(endpoint, exchange, answer, text, is_batch, authorization);
    else if (err < 0)
        deny(answer, exchange);
    else
        dispatch(endpoint, exchange, answer, text, is_batch);
    rg_buf_done(&scratch);
}

static void publish(const struct rg_publish_endpoint *endpoint, struct rg_exchange *exchange,
                    struct rg_answer *answer, struct rg_str text, bool is_batch)
{
    if (endpoint->hub == NULL || endpoint->push->settings.submission_check.kind == RG_POLICY_OPEN)
        dispatch(endpoint, exchange, answer, text, is_batch);
    else
        check(endpoint, exchange, answer, text, is_batch);
}

/* ---- the endpoint ---- */

static void publish_binary(const struct rg_publish_endpoint *endpoint, struct rg_exchange *exchange,
                           struct rg_answer *answer)
{
    const struct rg_request *req = rg_exchange_request(exchange);
    struct rg_ce_attribute attributes[MAX_ATTRIBUTES];
    char names[4096];
    size_t n = ce_attributes(req, attributes, names, sizeof(names));
    struct rg_buf text = {0};
    struct rg_why why = {0};
    int err = rg_envelope_compose(attributes, n, rg_request_field(req, RG_STR("content-type")),
                                  req->body, false, &text, &why);

    if (err < 0) {
        count(&endpoint->push->tally, err, 1, 0);
        refuse(answer, exchange,
               "The request looks like an event in binary mode (ce-specversion and other ce- "
               "headers), but is not acceptable:",
               &why);
    } else {
        publish(endpoint, exchange, answer, rg_buf_str(&text), false);
    }
    rg_buf_done(&text);
}

static void post(const struct rg_publish_endpoint *endpoint, struct rg_exchange *exchange,
                 struct rg_answer *answer)
{
    const struct rg_request *req = rg_exchange_request(exchange);
    struct rg_str content_type = rg_request_field(req, RG_STR("content-type"));
    bool has_version = rg_request_field(req, RG_STR("ce-specversion")).p != NULL;
    char text[256];

    switch (rg_envelope_http_mode(content_type, has_version)) {
    case RG_CE_STRUCTURED:
        publish(endpoint, exchange, answer, req->body, false);
        break;
    case RG_CE_JSON_BATCH:
        publish(endpoint, exchange, answer, req->body, true);
        break;
    case RG_CE_BINARY:
        publish_binary(endpoint, exchange, answer);
        break;
    case RG_CE_BATCH:
        rg_answer_text(answer, exchange, 415,
                       "The batched CloudEvents HTTP transport binding mode is currently not "
                       "supported.");
        break;
    case RG_CE_UNSUPPORTED:
        snprintf(text, sizeof(text), "%.*s is currently not supported for structured mode.",
                 content_type.n > 128 ? 128 : (int)content_type.n, content_type.p);
        rg_answer_text(answer, exchange, 415, text);
        break;
    case RG_CE_NOT_A_TYPE:
        rg_answer_text(answer, exchange, 400,
                       "The request needs a content-type: application/json or "
                       "application/cloudevents+json for a whole event, "
                       "application/cloudevents-batch+json for several.");
        break;
    }
}

void rg_publish_handle(void *arg, struct rg_exchange *exchange)
{
    const struct rg_publish_endpoint *endpoint = arg;
    const struct rg_request *req = rg_exchange_request(exchange);
    struct rg_answer answer = rg_answer_begin(endpoint->push, req);

    answer.is_cors = endpoint->is_cors;
    if (req->method == RG_OPTIONS)
        rg_answer_preflight(&answer, exchange, "POST", "content-type,authorization");
    else
        post(endpoint, exchange, &answer);
}
