#include "proxy/passage_priv.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/alloc.h"
#include "base/clock.h"

#define MAX_SPARE      256
#define MAX_SPARE_TEXT 4096 /* bytes that a buffer of one to be used again may have */

/* ---- the beginning ---- */

static struct rg_passage *take_spare(struct rg_forwarder *forwarder)
{
    struct rg_passage *passage = forwarder->spare;

    if (passage == NULL) {
        passage = rg_zalloc(sizeof(*passage));
        passage->forwarder = forwarder;
        return passage;
    }
    forwarder->spare = passage->next;
    forwarder->spare_n--;
    return passage;
}

static const char *version_of(const struct rg_request *req)
{
    if (req->is_h2)
        return "HTTP/2";
    return req->minor == 0 ? "HTTP/1.0" : "HTTP/1.1";
}

struct rg_passage *rg_passage_begin(struct rg_forwarder *forwarder, struct rg_exchange *exchange)
{
    struct rg_passage *passage = take_spare(forwarder);
    const struct rg_request *req = rg_exchange_request(exchange);

    passage->s = (struct rg_passage_state){
        .exchange = exchange,
        .req = req,
        .is_logged = forwarder->proxy->settings.access_log != NULL,
        .version = version_of(req),
        .method_n = req->method_name.n,
        .started_ns = rg_exchange_started_ns(exchange),
    };
    rg_buf_add_str(&passage->text, req->method_name);
    rg_buf_add_str(&passage->text, req->path);
    rg_trace_begin(req, &passage->trace);
    rg_exchange_peer(exchange, passage->peer);
    if (passage->s.is_logged)
        rg_client_address(&forwarder->proxy->settings.outgoing, req, passage->peer,
                          passage->client);
    passage->accept[0] = '\0';
    return passage;
}

void rg_passage_keep(struct rg_passage *passage)
{
    if (passage->kept != NULL)
        return;
    passage->kept = rg_request_copy(passage->s.req);
    passage->s.req = passage->kept;
}

void rg_passage_watch(struct rg_passage *passage)
{
    rg_exchange_on_gone(passage->s.exchange, rg_passage_on_gone, passage);
}

/* ---- what became of it ---- */

struct rg_str rg_passage_path(const struct rg_passage *passage)
{
    return rg_str_n(passage->text.p + passage->s.method_n, passage->text.n - passage->s.method_n);
}

enum rg_dialect rg_passage_dialect(const struct rg_passage *passage)
{
    if (passage->s.api != NULL)
        return passage->s.api->dialect;
    return passage->forwarder->proxy->settings.is_2017 ? RG_DIALECT_2017 : RG_DIALECT_APIS;
}

/* Any token is a method, but not a label; HEAD is looked for as GET in the end. */
static struct rg_str countable(const struct rg_passage *passage)
{
    enum rg_method method = rg_method_from(rg_str_n(passage->text.p, passage->s.method_n));

    if (method == RG_HEAD)
        method = RG_GET;
    return method != RG_METHOD_OTHER ? rg_method_name(method) : RG_STR("other");
}

static struct rg_str path_label(const struct rg_passage *passage)
{
    if (rg_passage_dialect(passage) == RG_DIALECT_APIS)
        return rg_passage_path(passage);
    return passage->s.endpoint != NULL ? rg_str_c(passage->s.endpoint->path_regex) : RG_STR("N/A");
}

void rg_passage_count(struct rg_passage *passage, enum rg_outcome outcome)
{
    static const char none[] = "N/A";
    const struct rg_endpoint *endpoint = passage->s.endpoint;
    const struct rg_outcome_labels labels = {
        .method = endpoint != NULL ? rg_str_c(endpoint->method) : countable(passage),
        .path = path_label(passage),
        .target = endpoint != NULL ? rg_target_names[endpoint->target] : none,
        .response_from = endpoint != NULL ? rg_response_from_names[endpoint->response_from] : none,
    };

    rg_outcomes_count(passage->forwarder->outcomes, &labels, outcome);
}

static void write_record(struct rg_passage *passage, const char *outcome)
{
    const struct rg_passage_state *s = &passage->s;
    const struct rg_trace *trace = &passage->trace;
    const struct rg_access_record record = {
        .peer = passage->client,
        .method = rg_str_n(passage->text.p, s->method_n),
        .path = rg_passage_path(passage),
        .version = s->version,
        .api = s->api != NULL ? s->api->id : NULL,
        .endpoint = s->endpoint != NULL ? s->endpoint->id : NULL,
        .status = s->status,
        .outcome = outcome,
        .bytes_in = s->bytes_in,
        .bytes_out = s->bytes_out,
        .timing = s->timing.address != NULL ? &s->timing : NULL,
        .started_ns = s->started_ns,
        .ended_ns = rg_clock_mono_ns(),
        .request_id = rg_str_n(trace->request_id, trace->request_id_n),
        .trace_id = rg_str_n(trace->traceparent + 3, 32),
        .session = s->claims != NULL ? s->claims->session : (struct rg_str){0},
    };

    rg_access_log_put(passage->forwarder->proxy->settings.access_log, &record);
}

static void keep_timing(struct rg_passage *passage)
{
    passage->s.timing = *rg_upstream_get_timing(passage->s.call);
    snprintf(passage->address, sizeof(passage->address), "%s", passage->s.timing.address);
    passage->s.timing.address = passage->address;
}

void rg_passage_call_over(struct rg_passage *passage)
{
    if (passage->s.is_logged)
        keep_timing(passage);
    passage->s.call = NULL;
}

/* ---- the end ---- */

static void give_up_call(struct rg_passage *passage)
{
    struct rg_upstream_call *call = passage->s.call;

    if (call == NULL)
        return;
    rg_passage_call_over(passage);
    rg_upstream_cancel(call);
}

static void shrink(struct rg_buf *buf)
{
    rg_buf_clear(buf);
    if (buf->cap > MAX_SPARE_TEXT)
        rg_buf_done(buf);
}

static void recycle(struct rg_passage *passage)
{
    struct rg_forwarder *forwarder = passage->forwarder;

    rg_free(RG_STEAL(passage->kept));
    rg_claims_unref(&passage->s.claims);
    rg_api_unref(&passage->s.api);
    shrink(&passage->text);
    shrink(&passage->gathered);
    if (forwarder->spare_n == MAX_SPARE) {
        rg_passage_free(&passage);
        return;
    }
    passage->next = forwarder->spare;
    forwarder->spare = passage;
    forwarder->spare_n++;
}

void rg_passage_free(struct rg_passage **passagep)
{
    struct rg_passage *passage = *passagep;

    *passagep = NULL;
    rg_buf_done(&passage->text);
    rg_buf_done(&passage->gathered);
    rg_free(passage);
}

void rg_passage_end(struct rg_passage *passage, const char *outcome)
{
    struct rg_passage_state *s = &passage->s;

    s->exchange = NULL;
    rg_key_wait_leave(&s->key_wait);
    rg_wait_cancel(&s->wait);
    give_up_call(passage);
    if (s->is_logged &&
        rg_access_log_wants(passage->forwarder->proxy->settings.access_log, s->status))
        write_record(passage, outcome);
    recycle(passage);
}

void rg_passage_on_gone(void *arg)
{
    struct rg_passage *passage = arg;

    if (!passage->s.has_begun)
        passage->s.status = 0;
    rg_passage_end(passage, "client_gone");
}

/* ---- answers of ours ---- */

static bool is_event_target(const struct rg_passage *passage)
{
    return passage->s.endpoint != NULL && passage->s.endpoint->target != RG_TARGET_HTTP;
}

/* 10.1. Scripts may read why they must wait, or bring another token. */
static enum rg_cors_set cors_set_of(const struct rg_passage *passage, enum rg_refusal refusal)
{
    if (rg_passage_dialect(passage) == RG_DIALECT_2017)
        return RG_CORS_NONE;
    if (refusal == RG_REFUSAL_UNAUTHORIZED || refusal == RG_REFUSAL_TOO_MANY)
        return RG_CORS_A;
    return is_event_target(passage) ? RG_CORS_B : RG_CORS_NONE;
}

static struct rg_http_field number_field(struct rg_str name, uint64_t value, char text[24])
{
    int n = snprintf(text, 24, "%" PRIu64, value);

    return (struct rg_http_field){name, rg_str_n(text, (size_t)n)};
}

size_t rg_passage_rate_fields(const struct rg_passage *passage, struct rg_rate_texts *texts,
                              struct rg_http_field ret[RG_RATE_FIELDS])
{
    const struct rg_quota_state *quota = &passage->s.quota;
    size_t n = 0;

    if (!passage->s.is_rated)
        return 0;
    ret[n++] =
        number_field(RG_STR("ratelimit-limit"), passage->s.endpoint->rate.requests, texts->limit);
    ret[n++] = number_field(RG_STR("ratelimit-remaining"), quota->remaining, texts->remaining);
    ret[n++] = number_field(RG_STR("ratelimit-reset"), quota->reset_s, texts->reset);
    if (!quota->is_allowed)
        ret[n++] = number_field(RG_STR("retry-after"), quota->retry_after_s, texts->retry);
    return n;
}

void rg_passage_refuse(struct rg_passage *passage, enum rg_refusal refusal, const char *reason)
{
    struct rg_rate_texts texts;
    struct rg_http_field fields[RG_RATE_FIELDS];
    const struct rg_refusal_details details = {
        .refusal = refusal,
        .dialect = rg_passage_dialect(passage),
        .reason = reason,
        .trace = &passage->trace,
        .cors_set = cors_set_of(passage, refusal),
        .cors = passage->forwarder->proxy->settings.cors,
        .fields = fields,
        .fields_n = rg_passage_rate_fields(passage, &texts, fields),
    };

    passage->s.status = rg_refusal_send(passage->s.exchange, &details);
    rg_passage_end(passage, rg_refusal_name(refusal));
}

void rg_passage_answer(struct rg_passage *passage, int status, enum rg_cors_set set,
                       const char *outcome)
{
    struct rg_response response = {.status = status};

    rg_cors_add(&response, set, passage->forwarder->proxy->settings.cors);
    rg_gateway_fields_add(&response, &passage->trace);
    rg_exchange_respond(passage->s.exchange, &response);
    passage->s.status = status;
    rg_passage_end(passage, outcome);
}
