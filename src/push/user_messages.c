#include "push/user_messages.h"

#include <stdio.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "http/query.h"
#include "push/answer.h"
#include "push/dispatch.h"

static bool is_json_type(struct rg_str content_type)
{
    struct rg_str type = rg_str_trim(rg_str_split(&content_type, ';'));

    return rg_str_eq_nocase(type, RG_STR("application/json")) ||
           (rg_str_starts_with_nocase(type, RG_STR("application/")) && type.n > 5 &&
            rg_str_eq_nocase(rg_str_n(type.p + type.n - 5, 5), RG_STR("+json")));
}

static void refuse(struct rg_answer *answer, struct rg_exchange *exchange, const struct rg_why *why)
{
    char text[640];

    snprintf(text, sizeof(text), "The request body is not JSON: %s%s%s", why->text,
             why->place[0] != '\0' ? " at " : "", why->place);
    rg_answer_text(answer, exchange, 400, text);
}

/* Sends payload to the user and answers. Returns what is to be counted. */
static int send_to(struct rg_push *push, struct rg_exchange *exchange, struct rg_answer *answer,
                   struct rg_str topic, struct rg_str payload)
{
    static const struct rg_origin origin = {RG_SOURCE_HTTP, 0, -1, -1, -1};
    struct rg_str user = rg_str_n(topic.p + strlen("user:"), topic.n - strlen("user:"));
    size_t devices = rg_roster_count_user(push->roster, topic, user);
    char text[48];

    if (rg_dispatch_message(push, &topic, 1, payload, &origin) == RG_EAGAIN) {
        rg_answer_add(answer, RG_STR("retry-after"), RG_STR("1"));
        rg_answer_text(answer, exchange, 503, "Too many events are waiting, try again.");
        return RG_EAGAIN;
    }
    snprintf(text, sizeof(text), "{\"devices\":%zu}", devices);
    rg_answer_json(answer, exchange, 202, rg_str_c(text));
    return 0;
}

/* "user:<name>", decoded. */
static int read_topic(const struct rg_exchange *exchange, struct rg_buf *topic)
{
    rg_buf_add_c(topic, "user:");
    return rg_percent_decode(rg_exchange_param(exchange, 0), false, topic);
}

static int post(struct rg_push *push, struct rg_exchange *exchange, struct rg_answer *answer)
{
    RG_CLEANUP(rg_buf_done) struct rg_buf topic = {0};
    const struct rg_request *req = rg_exchange_request(exchange);
    struct rg_str type = rg_request_field(req, RG_STR("content-type"));
    struct rg_why why = {0};
    struct rg_json payload;
    int err;

    /* Without a type the body is taken for what it should be: to send {} would be worse. */
    if (type.p != NULL && !is_json_type(type)) {
        rg_answer_json(answer, exchange, 415, RG_STR("{\"errors\":{\"detail\":\"Bad request\"}}"));
        return RG_EINVAL;
    }
    err = read_topic(exchange, &topic);
    if (err < 0) {
        rg_answer_text(answer, exchange, 400, "The name of the user is not percent-encoded UTF-8.");
        return err;
    }
    err = rg_json_check(req->body, &payload, &why);
    if (err < 0) {
        refuse(answer, exchange, &why);
        return err;
    }
    return send_to(push, exchange, answer, rg_buf_str(&topic), payload.text);
}

static void handle(void *arg, struct rg_exchange *exchange)
{
    struct rg_push *push = arg;
    uint64_t started_ns = rg_clock_mono_ns();
    struct rg_answer answer = rg_answer_begin(push, rg_exchange_request(exchange));

    answer.is_cors = false;
    int err = post(push, exchange, &answer);
    if (err != RG_EAGAIN)
        rg_tally_count(&push->tally, RG_STR("http"), RG_STR(""), err, 1, started_ns);
}

void rg_user_messages_routes(struct rg_push *push, struct rg_route rows[RG_USER_MESSAGES_ROUTES])
{
    const unsigned post_only = RG_METHOD_BIT(RG_POST);
    size_t max = push->settings.max_event_bytes;

    rows[0] = (struct rg_route){post_only, "/v3/users/:name/messages", handle, push, max};
    rows[1] = (struct rg_route){post_only, "/v2/users/:name/messages", handle, push, max};
}
