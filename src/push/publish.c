#include "push/publish.h"

#include <stdio.h>

#include "base/clock.h"
#include "push/answer.h"

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

static void count(const struct rg_tally *tally, int err, uint64_t started_ns)
{
    const struct rg_str source = RG_STR("http"), topic = RG_STR("");

    rg_series_add(rg_family_get(tally->consumed, source, topic), 1);
    if (err < 0)
        rg_series_add(rg_family_get(tally->failed, source, topic), 1);
    else
        rg_series_observe(rg_family_get(tally->duration, source, topic), 1,
                          rg_clock_mono_ns() - started_ns);
}

static void publish(const struct rg_publish_endpoint *endpoint, struct rg_exchange *exchange,
                    struct rg_answer *answer, struct rg_str text)
{
    static const struct rg_origin origin = {RG_SOURCE_HTTP, 0, -1, -1, -1};
    uint64_t started_ns = rg_clock_mono_ns();
    struct rg_envelope envelope;
    struct rg_why why = {0};
    int err = rg_dispatch(endpoint->dispatcher, text, RG_CHECK_ALL, &origin, &envelope, &why);

    if (err == RG_EAGAIN) {
        rg_answer_add(answer, RG_STR("retry-after"), RG_STR("1"));
        rg_answer_text(answer, exchange, 503, "Too many events are waiting, try again.");
        return;
    }
    count(&endpoint->push->tally, err, started_ns);
    if (err < 0)
        refuse(answer, exchange, "The request body does not look like a CloudEvent:", &why);
    else
        rg_answer_json(answer, exchange, 202, envelope.text);
}

static void publish_binary(const struct rg_publish_endpoint *endpoint, struct rg_exchange *exchange,
                           struct rg_answer *answer)
{
    const struct rg_request *req = rg_exchange_request(exchange);
    struct rg_ce_attribute attributes[MAX_ATTRIBUTES];
    char names[4096];
    size_t n = ce_attributes(req, attributes, names, sizeof(names));
    struct rg_buf text = {0};
    struct rg_why why = {0};

    if (rg_envelope_compose(attributes, n, rg_request_field(req, RG_STR("content-type")), req->body,
                            false, &text, &why) < 0)
        refuse(answer, exchange,
               "The request looks like an event in binary mode (ce-specversion and other ce- "
               "headers), but is not acceptable:",
               &why);
    else
        publish(endpoint, exchange, answer, rg_buf_str(&text));
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
        publish(endpoint, exchange, answer, req->body);
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
                       "application/cloudevents+json for a whole event.");
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
