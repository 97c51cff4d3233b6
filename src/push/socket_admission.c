#include "push/socket_admission.h"

#include <stdio.h>

#include "base/alloc.h"
#include "base/base64.h"
#include "base/log.h"
#include "http/query.h"
#include "push/admission.h"
#include "push/credentials.h"
#include "push/limits.h"

#define BEARER "base64url.bearer.phx."

static int refuse(struct rg_socket_admission *a, enum rg_refusal refusal, const char *text)
{
    a->refusal = refusal;
    return rg_why_set(&a->why, RG_EDENIED, "", "%s", text);
}

static int refuse_draining(struct rg_socket_admission *a)
{
    a->retry_after_s = 1;
    return refuse(a, RG_REFUSED_DRAINING, "The gateway is shutting down.");
}

/* ---- what the request says ---- */

/* A ninth is not looked at: that is no client that means well. */
static void add_token(struct rg_socket_admission *a, struct rg_str token)
{
    if (token.n > 0 && a->tokens_n < RG_MAX_SOCKET_TOKENS)
        a->tokens[a->tokens_n++] = token;
}

static int read_query(struct rg_socket_admission *a, const struct rg_request *req,
                      struct rg_str skip)
{
    struct rg_str rest = req->query, vsn = {NULL, 0}, name, value;
    int result;

    while ((result = rg_query_next(&rest, &a->text, &name, &value)) > 0) {
        if (rg_str_eq(name, RG_STR("vsn")))
            vsn = value;
        else if (rg_str_eq(name, RG_STR("token")) && !(skip.n > 0 && rg_str_eq(value, skip)))
            add_token(a, value);
    }
    if (result < 0)
        return refuse(a, RG_REFUSED_QUERY, "The query string is malformed.");
    if (rg_phx_read_vsn(vsn, &a->vsn) < 0)
        return refuse(a, RG_REFUSED_QUERY, "This version of the protocol is not spoken here.");
    return 0;
}

/* The token of one sub-protocol, if that is what it is. There is room for it. */
static void read_protocol(struct rg_socket_admission *a, struct rg_str protocol)
{
    const struct rg_str prefix = RG_STR(BEARER);
    char *to = a->text.p + a->text.n;

    if (!rg_str_starts_with(protocol, prefix))
        return;
    long n = rg_base64_decode(rg_str_n(protocol.p + prefix.n, protocol.n - prefix.n), to,
                              a->text.cap - a->text.n);
    if (n <= 0)
        return;
    a->text.n += (size_t)n;
    add_token(a, rg_str_n(to, (size_t)n));
}

static void read_protocols(struct rg_socket_admission *a, const struct rg_request *req)
{
    const struct rg_http_field *field;
    size_t at = 0;

    while ((field = rg_request_next_field(req, RG_STR("sec-websocket-protocol"), &at)) != NULL) {
        struct rg_str rest = field->value;
        while (rest.p != NULL)
            read_protocol(a, rg_str_trim(rg_str_split(&rest, ',')));
    }
}

static void read_header(struct rg_socket_admission *a, const struct rg_request *req)
{
    struct rg_str value = rg_request_field(req, RG_STR("x-phoenix-authtoken"));
    const char *at = a->text.p + a->text.n;

    rg_buf_add_str(&a->text, value);
    add_token(a, rg_str_n(at, value.n));
}

/* All that is kept of a request, so that slices stay where they are. */
static size_t bytes_of(const struct rg_request *req)
{
    size_t n = req->query.n + 1;

    for (size_t i = 0; i < req->fields_n; i++)
        n += req->fields[i].value.n;
    return n;
}

static int read_request(struct rg_socket_admission *a, const struct rg_request *req,
                        struct rg_str skip)
{
    rg_buf_reserve(&a->text, bytes_of(req));
    int err = read_query(a, req, skip);
    if (err < 0)
        return err;
    read_protocols(a, req);
    read_header(a, req);
    return 0;
}

/* ---- the origin (3.4) ---- */

static bool is_localhost(struct rg_str origin)
{
    const char *scheme_end = memmem(origin.p, origin.n, "://", 3);

    if (scheme_end == NULL)
        return false;
    size_t at = (size_t)(scheme_end - origin.p) + 3;
    struct rg_str rest = rg_str_n(origin.p + at, origin.n - at);
    return rg_str_eq_nocase(rg_str_split(&rest, ':'), RG_STR("localhost"));
}

static bool is_cors(const struct rg_push *push, struct rg_str origin)
{
    struct rg_str cors = rg_str_c(push->settings.cors);

    return rg_str_eq(cors, RG_STR("*")) || rg_str_eq_nocase(cors, origin);
}

static bool has_origins(const struct rg_push *push)
{
    return push->settings.origins != NULL && strcmp(push->settings.origins, "*") != 0;
}

static int check_origin(struct rg_socket_admission *a, const struct rg_request *req)
{
    const struct rg_push *push = a->hub->push;
    const struct rg_http_field *field;
    bool is_foreign = rg_credentials_is_foreign(push, req);
    size_t at = 0;

    while ((field = rg_request_next_field(req, RG_STR("origin"), &at)) != NULL) {
        if (is_localhost(field->value))
            continue;
        if (is_foreign || (!has_origins(push) && !is_cors(push, field->value)))
            return refuse(a, RG_REFUSED_ORIGIN, "Origin not allowed.");
    }
    return 0;
}

/* ---- the token ---- */

static rg_question_fn on_keys;

static int await_keys(struct rg_socket_admission *a)
{
    int err = rg_question_await_keys(&a->question, a->hub, on_keys);

    if (err == 0)
        return RG_EAGAIN;
    return err == RG_ECANCELED ? refuse_draining(a)
                               : refuse(a, RG_REFUSED_TOKEN, "Could not verify token");
}

static int check_one(struct rg_socket_admission *a, struct rg_str token, struct rg_why *why)
{
    int err = rg_credentials_verify(a->hub->push, token, a->is_answered, &a->claims, why);

    if (err == 0 && a->claims->jti.n == 0) {
        rg_claims_unref(&a->claims);
        return rg_why_set(why, RG_EDENIED, "", "the token has no jti");
    }
    return err;
}

static int check_tokens(struct rg_socket_admission *a)
{
    struct rg_why why = {.text = "there is no token"};
    bool may_become_valid = false;

    for (size_t i = 0; i < a->tokens_n; i++) {
        int err = check_one(a, a->tokens[i], &why);
        if (err == 0) {
            a->token = a->tokens[i];
            return 0;
        }
        may_become_valid |= err == RG_EAGAIN;
    }
    return may_become_valid ? await_keys(a) : refuse(a, RG_REFUSED_TOKEN, why.text);
}

/* ---- the way through it ---- */

static int check_room(struct rg_socket_admission *a, struct rg_exchange *exchange)
{
    const char *text;

    if (a->hub->is_draining)
        return refuse_draining(a);
    if (rg_admission_take_seat(a->hub, exchange, &a->seat, &a->retry_after_s, &text) < 0)
        return refuse(a, RG_REFUSED_LIMIT, text);
    return 0;
}

static void note_refusal(struct rg_socket_admission *a)
{
    rg_count(a->hub->counters, RG_HUB_REFUSALS + (size_t)a->refusal, 1);
    rg_log_debug("channel socket refused", RG_FS("reason", a->why.text));
    if (a->retry_after_s == 0)
        return;
    snprintf(a->retry_after, sizeof(a->retry_after), "%u", a->retry_after_s);
    rg_answer_add(&a->answer, RG_STR("retry-after"), rg_str_c(a->retry_after));
}

static void decide(struct rg_socket_admission *a, struct rg_exchange *exchange)
{
    if (exchange != NULL && a->refusal != RG_ADMITTED)
        note_refusal(a);
    a->decided(a, exchange);
}

/* The request's bytes may be gone. */
static void proceed(struct rg_socket_admission *a, struct rg_exchange *exchange)
{
    int err = check_tokens(a);

    if (err == 0)
        err = check_room(a, exchange);
    if (err != RG_EAGAIN)
        decide(a, exchange);
}

static void on_keys(struct rg_question *question)
{
    struct rg_socket_admission *a = RG_CONTAINER_OF(question, struct rg_socket_admission, question);
    struct rg_exchange *exchange = rg_http_server_find(a->hub->http, a->exchange);

    a->is_answered = true;
    if (exchange != NULL)
        proceed(a, exchange);
    else
        decide(a, NULL);
}

void rg_socket_admission_read(struct rg_socket_admission *a, struct rg_hub *hub,
                              enum rg_transport transport, struct rg_str skip,
                              struct rg_exchange *exchange)
{
    const struct rg_request *req = rg_exchange_request(exchange);

    a->hub = hub;
    a->transport = transport;
    a->exchange = rg_exchange_get_handle(exchange);
    a->device = rg_device_of(exchange);
    /* What is refused here is noted, and told with the decision. */
    if (read_request(a, req, skip) == 0)
        check_origin(a, req);
}

void rg_socket_admission_decide(struct rg_socket_admission *a, struct rg_exchange *exchange,
                                rg_socket_admission_fn *decided)
{
    a->decided = decided;
    if (a->refusal != RG_ADMITTED)
        decide(a, exchange);
    else
        proceed(a, exchange);
}

void rg_socket_admission_begin(struct rg_socket_admission *a, struct rg_hub *hub,
                               enum rg_transport transport, struct rg_str skip,
                               struct rg_exchange *exchange, rg_socket_admission_fn *decided)
{
    rg_socket_admission_read(a, hub, transport, skip, exchange);
    rg_socket_admission_decide(a, exchange, decided);
}

/* ---- what follows from it ---- */

int rg_socket_admission_status(const struct rg_socket_admission *a, int otherwise)
{
    if (a->refusal == RG_REFUSED_LIMIT)
        return 429;
    return a->refusal == RG_REFUSED_DRAINING ? 503 : otherwise;
}

void rg_socket_admission_done(struct rg_socket_admission *a)
{
    rg_buf_done(&a->text);
    rg_device_free(&a->device);
    rg_claims_unref(&a->claims);
    if (a->seat != NULL)
        rg_limits_leave(a->hub->push->settings.limits, &a->seat);
}

void rg_socket_admission_let_in(struct rg_socket_admission *a, struct rg_client *client)
{
    client->seat = RG_STEAL(a->seat);
    rg_channels_open(client, &a->claims, &a->device);
    rg_channels_set_token(client, a->token);
}

void rg_socket_admission_preflight(struct rg_answer *answer, struct rg_exchange *exchange)
{
    struct rg_str headers =
        rg_request_field(rg_exchange_request(exchange), RG_STR("access-control-request-headers"));

    if (headers.n > 0)
        rg_answer_add(answer, RG_STR("access-control-allow-headers"), headers);
    rg_answer_add(answer, RG_STR("access-control-allow-methods"), RG_STR("get, post, options"));
    rg_answer_add(answer, RG_STR("access-control-max-age"), RG_STR("3600"));
    rg_answer_empty(answer, exchange, 200);
}
