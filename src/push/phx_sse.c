#include "push/phx_sse.h"

#include "base/alloc.h"
#include "http/query.h"
#include "push/hub.h"
#include "push/socket_admission.h"
#include "push/sse.h"

static const char bad_request[] =
    "Bad request. Expected GET with the parameters users[] and roles[], as often as there are "
    "channels to join, and token.\n";
static const char no_channels[] = "no channels selected\n";
static const char unauthorized[] = "event: unauthorized\n\n";

/* ---- clients ---- */

/* Whatever else is sent (8.7). */
static void beat(struct rg_client *client, uint64_t now_ms)
{
    uint64_t interval = client->hub->push->settings.channels.heartbeat_ms;
    uint64_t next = client->heartbeat_at_ms + interval;

    rg_outbox_shrink(&client->outbox);
    rg_client_set_beat(client, next > now_ms ? next : now_ms + interval);
    /* A heartbeat must not be what makes a queue too long. */
    if (client->outbox.n == 0)
        rg_client_put(client, rg_hub_heartbeat(client->hub, client->encoding));
}

static void add_goodbye(struct rg_client *client, unsigned code, const char *reason,
                        struct rg_buf *out)
{
    bool is_cut = client->end == RG_END_SLOW || client->end == RG_END_STALLED;

    (void)code;
    (void)reason;
    if (!is_cut) {
        struct rg_msg *msg =
            rg_msg_from_sse(client->encoding, RG_STR("event: closing connection\n\n"));
        rg_buf_add(out, msg->p, msg->n);
        rg_msg_unref(&msg);
    }
    rg_sse_add_end(out, client->encoding, &client->gzip, is_cut);
}

const struct rg_client_ops rg_phx_sse_ops = {
    .name = "channels_sse",
    .transport = RG_PHX_SSE,
    .beat = beat,
    .say_why = rg_channels_say_why,
    .add_goodbye = add_goodbye,
    .leave = rg_channels_leave,
    .free = rg_channels_free,
};

/* ---- what a request asks for ---- */

/* A request for a stream, until it is decided. */
struct opening {
    struct rg_socket_admission admission;
    struct rg_buf text;    /* what the topics lie in */
    struct rg_str *topics; /* topics_n of them, without duplicates */
    size_t topics_n;
    bool has_token;
    bool is_v1; /* what there is for streams (3.1) */
};

static void opening_free(struct opening *opening)
{
    rg_socket_admission_done(&opening->admission);
    rg_buf_done(&opening->text);
    rg_free(opening->topics);
    rg_free(opening);
}

static bool is_listed(const struct opening *opening, struct rg_str topic)
{
    for (size_t i = 0; i < opening->topics_n; i++) {
        if (rg_str_eq(opening->topics[i], topic))
            return true;
    }
    return false;
}

/* RG_EFULL for one too many, RG_EINVAL for a name that is too long. */
static int add_topic(struct opening *opening, size_t max, struct rg_str prefix, struct rg_str name)
{
    struct rg_buf *text = &opening->text;
    struct rg_str topic = {text->p + text->n, prefix.n + name.n};

    if (topic.n > RG_PHX_MAX_TOPIC)
        return RG_EINVAL;
    rg_buf_add_str(text, prefix);
    rg_buf_add_str(text, name);
    if (is_listed(opening, topic)) {
        text->n -= topic.n;
        return 0;
    }
    if (opening->topics_n == max)
        return RG_EFULL;
    opening->topics =
        rg_realloc_array(opening->topics, opening->topics_n + 1, sizeof(struct rg_str));
    opening->topics[opening->topics_n++] = topic;
    return 0;
}

/* One topic for each value of the parameter that is called name or name[]. */
static int add_topics(struct opening *opening, size_t max, struct rg_str query, struct rg_str name,
                      struct rg_str prefix)
{
    struct rg_str key, value;
    struct rg_buf scratch = {0};
    int result;

    while ((result = rg_query_next(&query, &scratch, &key, &value)) > 0) {
        bool is_named =
            rg_str_starts_with(key, name) &&
            (key.n == name.n || rg_str_eq(rg_str_n(key.p + name.n, key.n - name.n), RG_STR("[]")));
        if (!is_named || value.p == NULL)
            continue;
        result = add_topic(opening, max, prefix, value);
        if (result < 0)
            break;
    }
    rg_buf_done(&scratch);
    return result;
}

static int read_rest(struct opening *opening, struct rg_str query)
{
    struct rg_str key, value;
    struct rg_buf scratch = {0};
    int result;

    while ((result = rg_query_next(&query, &scratch, &key, &value)) > 0) {
        enum rg_phx_vsn vsn = RG_PHX_V2;
        if (rg_str_eq(key, RG_STR("token")))
            opening->has_token = true;
        else if (rg_str_eq(key, RG_STR("vsn")))
            opening->is_v1 = rg_phx_read_vsn(value, &vsn) == 0 && vsn == RG_PHX_V1;
    }
    rg_buf_done(&scratch);
    return result;
}

/* In the order of 8.1. */
static int read_query(struct opening *opening, const struct rg_hub *hub, struct rg_str query)
{
    size_t max = hub->push->settings.channels.max_channels;

    /* A topic is no longer than the parameter that names it: the slices stay where they are. */
    rg_buf_reserve(&opening->text, query.n + 1);
    int err = read_rest(opening, query);
    if (err == 0)
        err = add_topics(opening, max, query, RG_STR("users"), RG_STR("user:"));
    if (err == 0)
        err = add_topics(opening, max, query, RG_STR("roles"), RG_STR("role:"));
    return err;
}

/* ---- the endpoint ---- */

static void open_stream(struct opening *opening, struct rg_exchange *exchange)
{
    struct rg_socket_admission *admission = &opening->admission;
    struct rg_hub *hub = admission->hub;
    struct rg_response head = {.status = 200};
    struct rg_taken taken;
    bool is_allowed = true;

    rg_response_add(&head, RG_STR("content-type"), RG_STR("text/event-stream"));
    rg_response_add(&head, RG_STR("cache-control"), RG_STR("no-cache"));
    rg_response_add(&head, RG_STR("x-accel-buffering"), RG_STR("no"));
    rg_answer_add_cors(&admission->answer, &head);
    rg_exchange_take_stream(exchange, &head, &taken);

    struct rg_client *client = rg_client_new(
        hub, &rg_phx_sse_ops, taken.is_chunked ? RG_ENC_PHX_SSE_CHUNKED : RG_ENC_PHX_SSE_PLAIN,
        taken.stream);
    rg_client_set_beat(client, hub->reactor->now_ms + hub->push->settings.channels.heartbeat_ms);
    rg_client_begin(client, rg_buf_str(&taken.head));
    rg_taken_done(&taken);
    rg_socket_admission_let_in(admission, client);
    for (size_t i = 0; i < opening->topics_n; i++)
        is_allowed &= rg_channels_join(client, opening->topics[i]);
    if (!is_allowed)
        rg_client_end(client, RG_END_REFUSED, 0, NULL);
}

static void refuse(struct rg_socket_admission *admission, struct rg_exchange *exchange)
{
    int own = admission->refusal == RG_REFUSED_ORIGIN ? 403 : 401;
    int status = rg_socket_admission_status(admission, own);

    rg_answer_text(&admission->answer, exchange, status,
                   status == 401 ? unauthorized : admission->why.text);
}

static void decided(struct rg_socket_admission *admission, struct rg_exchange *exchange)
{
    struct opening *opening = RG_CONTAINER_OF(admission, struct opening, admission);

    if (exchange != NULL && admission->refusal != RG_ADMITTED)
        refuse(admission, exchange);
    else if (exchange != NULL)
        open_stream(opening, exchange);
    opening_free(opening);
}

static void get(struct rg_hub *hub, struct rg_exchange *exchange, const struct rg_answer *answer)
{
    struct opening *opening = rg_zalloc(sizeof(*opening));
    struct rg_answer *refusal = &opening->admission.answer;

    *refusal = *answer;
    opening->is_v1 = true;
    int err = read_query(opening, hub, rg_exchange_request(exchange)->query);
    if (err < 0 || !opening->has_token) {
        rg_answer_text(refusal, exchange, 400, bad_request);
    } else if (opening->topics_n == 0) {
        rg_answer_text(refusal, exchange, 404, no_channels);
    } else if (!opening->is_v1) {
        rg_answer_text(refusal, exchange, 401, unauthorized);
    } else {
        rg_socket_admission_begin(&opening->admission, hub, RG_PHX_SSE, rg_str_n(NULL, 0), exchange,
                                  decided);
        return;
    }
    opening_free(opening);
}

void rg_phx_sse_handle(void *arg, struct rg_exchange *exchange)
{
    struct rg_hub *hub = arg;
    const struct rg_request *req = rg_exchange_request(exchange);
    struct rg_answer answer = rg_answer_begin(hub->push, req);

    /* Nothing comes by itself that a page could misuse; who is refused is told so in the body. */
    rg_answer_open(&answer);
    if (req->method == RG_OPTIONS)
        rg_socket_admission_preflight(&answer, exchange);
    else if (req->method == RG_GET)
        get(hub, exchange, &answer);
    else
        rg_answer_text(&answer, exchange, 400, bad_request);
    rg_hub_settle(hub);
}
