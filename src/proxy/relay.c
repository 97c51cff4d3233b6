/*
 * One request to a service, and its answer on its way to the client.
 *
 * Both bodies go on as they come. Where the client is slower than the service, the service waits,
 * and the other way round; where the client leaves, the request to the service is given up.
 *
 *   service:  head ──▶ pieces ──▶ end          client is told as it comes
 *             202, and somebody else answers   what the service says is not told (11.7)
 *             101                              a tunnel from here on
 *             failure                          502, or cut where the answer has begun
 */
#include "base/alloc.h"
#include "base/clock.h"
#include "base/log.h"
#include "proxy/correlate.h"
#include "proxy/passage_priv.h"
#include "proxy/upload.h"

#define TUNNEL_IDLE_MS ((uint64_t)3600 * 1000)

/* ---- failures ---- */

static const struct {
    const char *reason;
    enum rg_outcome outcome;
    enum rg_refusal refusal;
} failures[] = {
    [RG_UPSTREAM_UNREACHABLE] = {"unreachable", RG_OUTCOME_UNREACHABLE, RG_REFUSAL_UNREACHABLE},
    [RG_UPSTREAM_BROKEN] = {"connection lost", RG_OUTCOME_UNREACHABLE, RG_REFUSAL_UNREACHABLE},
    [RG_UPSTREAM_MALFORMED] = {"malformed answer", RG_OUTCOME_UNREACHABLE, RG_REFUSAL_UNREACHABLE},
    [RG_UPSTREAM_TIMEOUT] = {"timeout", RG_OUTCOME_REQUEST_TIMEOUT, RG_REFUSAL_TIMEOUT},
};

static void log_failure(struct rg_passage *passage, const char *reason, const char *detail)
{
    const struct rg_endpoint *endpoint = passage->s.endpoint;
    uint64_t untold;

    if (rg_throttle_pass(&passage->forwarder->proxy->failures, rg_clock_mono_ms(), &untold))
        rg_log_warn("service failed", RG_FS("reason", reason), RG_FS("host", endpoint->host),
                    RG_FS("api", endpoint->api->id), RG_FS("endpoint", endpoint->id),
                    RG_FS("detail", detail), RG_FU("others", untold));
}

static void fail(struct rg_passage *passage, enum rg_upstream_error error, const char *detail)
{
    log_failure(passage, failures[error].reason, detail);
    if (passage->s.has_begun) {
        /* Its status is sent and counted: all that is left is not to pretend that this was all. */
        rg_exchange_abort_body(passage->s.exchange);
        rg_passage_end(passage, "aborted");
        return;
    }
    rg_passage_count(passage, failures[error].outcome);
    rg_passage_refuse(passage, failures[error].refusal, NULL);
}

static void on_failure(void *arg, enum rg_upstream_error error, const struct rg_why *why)
{
    struct rg_passage *passage = arg;

    rg_passage_call_over(passage);
    if (!passage->s.is_awaited)
        fail(passage, error, why->text);
}

/* ---- the answer ---- */

static void on_client_writable(void *arg)
{
    struct rg_passage *passage = arg;

    if (passage->s.call != NULL)
        rg_upstream_resume(passage->s.call);
}

static const struct rg_body_events client_events = {on_client_writable, rg_passage_on_gone};

/* Ours come first, but Via is a list in the order of the way (RFC 9110 7.6.3). */
static size_t add_via(const struct rg_passage *passage, char text[RG_OUTGOING_VIA_SIZE],
                      struct rg_http_field *fields, size_t n)
{
    struct rg_str via = rg_outgoing_via_answer(&passage->forwarder->proxy->settings.outgoing, text);

    if (via.n > 0 && n < RG_MAX_FIELDS_PER_MESSAGE)
        fields[n++] = (struct rg_http_field){RG_STR("via"), via};
    return n;
}

static void begin_answer(struct rg_passage *passage, const struct rg_upstream_head *head)
{
    struct rg_http_field rates[RG_RATE_FIELDS], fields[RG_MAX_FIELDS_PER_MESSAGE];
    struct rg_rate_texts texts;
    char via[RG_OUTGOING_VIA_SIZE];
    struct rg_response response = {
        .status = head->status, .more = head->fields, .more_n = head->fields_n};
    size_t rates_n = rg_passage_rate_fields(passage, &texts, rates);

    for (size_t i = 0; i < rates_n; i++)
        rg_response_add(&response, rates[i].name, rates[i].value);
    if (passage->forwarder->proxy->settings.outgoing.writes & RG_WRITES_VIA) {
        memcpy(fields, head->fields, head->fields_n * sizeof(fields[0]));
        response.more = fields;
        response.more_n = add_via(passage, via, fields, head->fields_n);
    }
    passage->s.has_begun = true;
    passage->s.status = head->status;
    rg_passage_count(passage, RG_OUTCOME_OK);
    rg_exchange_begin_body(passage->s.exchange, &response, head->length, &client_events, passage);
}

static void await_answer(struct rg_passage *passage)
{
    const struct rg_proxy_settings *settings = &passage->forwarder->proxy->settings;

    passage->s.is_awaited = true;
    rg_wait_open(passage->s.wait, settings->answer_timeout_ms[passage->s.endpoint->response_from]);
}

/* Success would be taken for a tunnel by who has sent an extended CONNECT (RFC 8441 5). */
static bool is_false_success(const struct rg_passage *passage, int status)
{
    return passage->accept[0] != '\0' && status < 300;
}

static void on_head(void *arg, const struct rg_upstream_head *head)
{
    struct rg_passage *passage = arg;

    if (is_false_success(passage, head->status)) {
        fail(passage, RG_UPSTREAM_MALFORMED, "the service does not switch protocols");
        return;
    }
    if (passage->s.wait != NULL && head->status == 202) {
        await_answer(passage);
        return;
    }
    rg_wait_cancel(&passage->s.wait);
    begin_answer(passage, head);
    if (!passage->s.is_head)
        return;
    /* The service was asked with GET, and nobody is interested in the body. */
    rg_exchange_finish_body(passage->s.exchange);
    rg_passage_end(passage, "ok");
}

static void on_body(void *arg, struct rg_str piece)
{
    struct rg_passage *passage = arg;

    if (passage->s.is_awaited)
        return;
    passage->s.bytes_out += piece.n;
    if (!rg_exchange_write_body(passage->s.exchange, piece))
        rg_upstream_pause(passage->s.call);
}

static void on_end(void *arg, const struct rg_http_field *trailers, size_t trailers_n)
{
    struct rg_passage *passage = arg;

    rg_passage_call_over(passage);
    if (passage->s.is_awaited)
        return;
    if (trailers_n > 0)
        rg_exchange_finish_body_with(passage->s.exchange, trailers, trailers_n);
    else
        rg_exchange_finish_body(passage->s.exchange);
    rg_passage_end(passage, "ok");
}

static void on_service_writable(void *arg)
{
    struct rg_passage *passage = arg;

    rg_intake_resume(passage);
}

/* ---- an answer that comes another way ---- */

static void on_answer(void *arg, const struct rg_answer *answer)
{
    struct rg_passage *passage = arg;
    struct rg_response response = {.status = answer->status,
                                   .more = answer->fields,
                                   .more_n = answer->fields_n,
                                   .body = answer->body};

    passage->s.wait = NULL;
    passage->s.status = answer->status;
    passage->s.bytes_out = answer->body.n;
    rg_cors_add(&response, RG_CORS_A, passage->forwarder->proxy->settings.cors);
    if (rg_response_find(&response, RG_STR("cache-control")).p == NULL)
        rg_gateway_fields_add(&response, &passage->trace);
    else
        rg_trace_add(&passage->trace, &response);
    rg_passage_count(passage, RG_OUTCOME_OK);
    rg_exchange_respond(passage->s.exchange, &response);
    rg_passage_end(passage, "ok");
}

static void on_timeout(void *arg)
{
    struct rg_passage *passage = arg;

    passage->s.wait = NULL;
    rg_passage_count(passage, RG_OUTCOME_RESPONSE_TIMEOUT);
    rg_passage_answer(passage, 504, RG_CORS_A, rg_outcome_names[RG_OUTCOME_RESPONSE_TIMEOUT]);
}

static const struct rg_wait_events wait_events = {on_answer, on_timeout};

/* ---- another protocol ---- */

static void on_tunnel_end(void *arg, const struct rg_tunnel_totals *totals)
{
    struct rg_passage *passage = arg;

    passage->s.bytes_in += totals->in;
    passage->s.bytes_out += totals->out;
    rg_passage_end(passage, totals->is_idle ? "idle" : "ok");
}

static struct rg_str find_field(const struct rg_upstream_head *head, struct rg_str name)
{
    for (size_t i = 0; i < head->fields_n; i++) {
        if (rg_str_eq_nocase(head->fields[i].name, name))
            return head->fields[i].value;
    }
    return (struct rg_str){0};
}

/* Of a key that we have made the client cannot see whether it was understood. */
static bool is_accepted(const struct rg_passage *passage, const struct rg_upstream_head *head)
{
    return passage->accept[0] == '\0' ||
           rg_str_eq(find_field(head, RG_STR("sec-websocket-accept")), rg_str_c(passage->accept));
}

/* What the answer to the client has of its own, or what only HTTP/1.1 has. */
static bool is_of_switch(const struct rg_passage *passage, struct rg_str name)
{
    return rg_str_eq_nocase(name, RG_STR("upgrade")) || rg_str_eq_nocase(name, RG_STR("date")) ||
           rg_str_eq_nocase(name, RG_STR("connection")) ||
           (passage->accept[0] != '\0' && rg_str_eq_nocase(name, RG_STR("sec-websocket-accept")));
}

static void take_client(struct rg_passage *passage, const struct rg_upstream_head *head,
                        struct rg_taken *ret)
{
    struct rg_http_field fields[RG_MAX_FIELDS_PER_MESSAGE];
    struct rg_str protocol = find_field(head, RG_STR("upgrade"));
    struct rg_response response = {.status = passage->accept[0] != '\0' ? 200 : 101,
                                   .more = fields};

    if (response.status == 101)
        rg_response_add(&response, RG_STR("upgrade"),
                        protocol.n > 0 ? protocol : rg_str_c(passage->protocol));
    for (size_t i = 0; i < head->fields_n; i++) {
        if (!is_of_switch(passage, head->fields[i].name))
            fields[response.more_n++] = head->fields[i];
    }
    passage->s.status = response.status;
    rg_exchange_take_stream(passage->s.exchange, &response, ret);
    passage->s.exchange = NULL;
}

static void open_tunnel(struct rg_passage *passage, struct rg_taken *taken,
                        struct rg_upstream_switched *switched)
{
    uint64_t idle_ms = passage->s.api->idle_timeout_ms;
    struct rg_tunnel_side client = {taken->stream, taken->head};
    struct rg_tunnel_side service = {switched->stream, taken->early};

    rg_buf_add_str(&client.first, rg_buf_str(&switched->early));
    rg_buf_done(&switched->early);
    rg_tunnel_open(passage->forwarder->tunnels, &client, &service,
                   idle_ms > 0 ? idle_ms : TUNNEL_IDLE_MS, on_tunnel_end, passage);
}

static void on_switch(void *arg, const struct rg_upstream_head *head,
                      struct rg_upstream_switched *switched)
{
    struct rg_passage *passage = arg;
    struct rg_taken taken;

    rg_passage_call_over(passage);
    rg_wait_cancel(&passage->s.wait);
    if (!is_accepted(passage, head)) {
        rg_stream_close(&switched->stream);
        rg_buf_done(&switched->early);
        fail(passage, RG_UPSTREAM_MALFORMED, "the key of the WebSocket was not understood");
        return;
    }
    rg_passage_count(passage, RG_OUTCOME_OK);
    take_client(passage, head, &taken);
    open_tunnel(passage, &taken, switched);
}

/* True if the client asks for another protocol, in a way that can be passed on. */
static bool wants_upgrade(struct rg_passage *passage)
{
    const struct rg_request *req = passage->s.req;
    struct rg_str protocol = rg_request_field(req, RG_STR("upgrade"));

    if (!passage->s.endpoint->takes_upgrades || passage->s.is_head)
        return false;
    if (req->protocol.p != NULL)
        return true;
    if (req->is_h2 || req->minor == 0 || protocol.n == 0 ||
        protocol.n >= sizeof(passage->protocol) ||
        !rg_request_has_token(req, RG_STR("connection"), RG_STR("upgrade")))
        return false;
    memcpy(passage->protocol, protocol.p, protocol.n);
    passage->protocol[protocol.n] = '\0';
    return true;
}

/* An extended CONNECT: to a tunnel, and to a WebSocket only, because any other answer of success
 * would be taken for one. */
static bool is_lost_connect(const struct rg_passage *passage)
{
    const struct rg_request *req = passage->s.req;

    return req->protocol.p != NULL &&
           (!passage->s.is_upgrade || !rg_str_eq(req->protocol, RG_STR("websocket")));
}

/* The key is one that rg_outgoing_fields() has made. */
static void expect_accept(struct rg_passage *passage, const struct rg_http_field *fields, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (rg_str_eq_nocase(fields[i].name, RG_STR("sec-websocket-key")))
            rg_ws_accept(fields[i].value, passage->accept);
    }
}

/* ---- the request ---- */

static const struct rg_upstream_events service_events = {
    .on_head = on_head,
    .on_body = on_body,
    .on_end = on_end,
    .on_failure = on_failure,
    .on_writable = on_service_writable,
    .on_switch = on_switch,
};

/* Of these a service expects a body, be it an empty one (RFC 9110 8.6). */
static bool expects_body(const char *method)
{
    return strcmp(method, "POST") == 0 || strcmp(method, "PUT") == 0 ||
           strcmp(method, "PATCH") == 0;
}

/* What is there of the body, or is announced. */
static void set_body(const struct rg_passage *passage, struct rg_upstream_request *outgoing)
{
    const struct rg_request *req = passage->s.req;

    if (passage->s.is_complete) {
        outgoing->body = rg_buf_str(&passage->gathered);
        outgoing->has_body = outgoing->body.n > 0 || expects_body(passage->s.endpoint->method);
    } else if (req->body_length != 0 && !passage->s.is_upgrade) {
        outgoing->is_streamed = true;
        outgoing->body_length = req->body_length;
    } else {
        outgoing->has_body = expects_body(passage->s.endpoint->method);
    }
}

static size_t make_fields(struct rg_passage *passage, struct rg_http_field *fields)
{
    const struct rg_request *req = passage->s.req;
    const struct rg_outgoing_client client = {
        .req = req,
        .peer = passage->peer,
        .is_secure = rg_exchange_is_secure(passage->s.exchange),
        .claims = passage->s.claims,
        .trace = &passage->trace,
    };

    rg_buf_clear(&passage->forwarder->scratch);
    size_t n =
        rg_outgoing_fields(&passage->forwarder->proxy->settings.outgoing, passage->s.endpoint,
                           &client, passage->s.is_upgrade, &passage->forwarder->scratch, fields);
    if (req->protocol.p != NULL)
        expect_accept(passage, fields, n);
    /* Only HTTP/1.0 may leave Host out, and only in the manner of 2017 it is the client's. */
    if (passage->s.api->dialect == RG_DIALECT_2017 &&
        rg_request_field(req, RG_STR("host")).p == NULL)
        fields[n++] = (struct rg_http_field){RG_STR("host"), rg_str_c(passage->s.endpoint->host)};
    return n;
}

static void send_request(struct rg_passage *passage, struct rg_str target)
{
    const struct rg_api *api = passage->s.api;
    struct rg_http_field fields[RG_OUTGOING_MAX + 1];
    struct rg_buf composed = {0};
    uint64_t timeout_ms = api->response_timeout_ms;
    struct rg_upstream_request outgoing = {
        .service = passage->s.endpoint->service,
        .method = rg_str_c(passage->s.endpoint->method),
        .target = target,
        .fields = fields,
        .fields_n = make_fields(passage, fields),
        .is_upgrade = passage->s.is_upgrade,
        .response_timeout_ms =
            timeout_ms > 0 ? timeout_ms : passage->forwarder->proxy->settings.recv_timeout_ms,
        .idle_timeout_ms = api->idle_timeout_ms,
        .connect_timeout_ms = api->connect_timeout_ms,
        .max_head_bytes = api->max_head_bytes,
        .may_retry = api->may_retry,
    };

    set_body(passage, &outgoing);
    if (passage->s.has_upload) {
        rg_upload_compose(passage->s.req, &composed);
        outgoing.body = rg_buf_str(&composed);
    }
    passage->s.call =
        rg_upstreams_send(passage->forwarder->upstreams, &outgoing, &service_events, passage);
    rg_buf_done(&composed);
    if (outgoing.is_streamed)
        rg_intake_pass(passage);
}

/* 11.7: the service is told how it can be answered in its place. */
static void send_with_id(struct rg_passage *passage, struct rg_str target)
{
    struct rg_buf id = {0}, correlated = {0};

    passage->s.wait = rg_wait_begin(passage->forwarder->room, &wait_events, passage, &id);
    rg_correlate(target, rg_buf_str(&id), &correlated);
    send_request(passage, rg_buf_str(&correlated));
    rg_buf_done(&id);
    rg_buf_done(&correlated);
}

void rg_relay_begin(struct rg_passage *passage, struct rg_str target)
{
    passage->s.is_upgrade = wants_upgrade(passage);
    /* Where the body ends and the other protocol begins, two may see differently. */
    if (passage->s.is_upgrade && passage->s.req->body_length != 0) {
        rg_passage_refuse(passage, RG_REFUSAL_BAD_REQUEST, "an upgrade must have no body");
        return;
    }
    if (is_lost_connect(passage)) {
        rg_passage_refuse(passage, RG_REFUSAL_NO_TUNNEL, NULL);
        return;
    }
    rg_passage_watch(passage);
    if (passage->s.endpoint->response_from != RG_FROM_HTTP && passage->s.req->protocol.p == NULL)
        send_with_id(passage, target);
    else
        send_request(passage, target);
    if (passage->kept == NULL)
        passage->s.req = NULL;
    /* Nobody else will ask who the client is. */
    if (!passage->s.is_logged)
        rg_claims_unref(&passage->s.claims);
}
