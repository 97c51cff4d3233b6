#include "proxy/request_log.h"

#include <inttypes.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/counter.h"
#include "base/log.h"
#include "base/random.h"
#include "base/throttle.h"
#include "event/json.h"

struct rg_request_log {
    struct rg_request_log_settings settings; /* set once */

    _Atomic uint64_t failed;     /* any thread */
    struct rg_throttle warnings; /* any thread */
};

struct rg_request_log *rg_request_log_new(const struct rg_request_log_settings *settings)
{
    struct rg_request_log *log = rg_zalloc(sizeof(*log));

    log->settings = *settings;
    return log;
}

void rg_request_log_free(struct rg_request_log **logp)
{
    rg_free(RG_STEAL(*logp));
}

/* path: of the endpoint; "" where it is not known any more. */
static void note_failure(struct rg_request_log *log, const char *path, const char *reason)
{
    uint64_t untold;

    atomic_fetch_add(&log->failed, 1);
    if (rg_throttle_pass(&log->warnings, rg_clock_mono_ms(), &untold))
        rg_log_warn("request not recorded", RG_FS("reason", reason),
                    RG_FS("topic", log->settings.topic), RG_FS("path", path),
                    RG_FU("others", untold));
}

/* Thread: whoever sends. */
static void on_sent(void *arg, int err, const struct rg_why *why, int32_t partition, int64_t offset)
{
    (void)partition;
    (void)offset;
    if (err < 0)
        note_failure(arg, "", why->text);
}

static void send_record(struct rg_request_log *log, rg_record_send_fn *send, const char *path,
                        struct rg_str key, const struct rg_buf *record)
{
    const struct rg_request_log_settings *settings = &log->settings;
    int err = send(settings->send_arg, settings->topic, key, rg_buf_str(record), on_sent, log);

    if (err < 0)
        note_failure(log, path,
                     err == RG_EAGAIN ? "too many records are waiting" : rg_strerror(err));
}

/* ---- of definitions (api-gateway.md 12) ---- */

static void write_line(const struct rg_endpoint *endpoint)
{
    RG_CLEANUP(rg_buf_done) struct rg_buf line = {0};

    rg_buf_addf(&line, "CALL: [%s] %s %s => %s", endpoint->id, endpoint->method,
                endpoint->path_regex, endpoint->target_text);
    rg_log_line(rg_buf_str(&line));
}

static void add_member(struct rg_buf *out, const char *name, struct rg_str text)
{
    rg_buf_addf(out, ",\"%s\":", name);
    rg_json_add_string(out, text);
}

static void compose_event(const struct rg_endpoint *endpoint, struct rg_str path, const char *peer,
                          const struct rg_trace *trace, struct rg_buf *out)
{
    char id[RG_UUID_LEN + 1], time[RG_RFC3339_SIZE];

    rg_random_uuid(id);
    rg_clock_rfc3339(time, rg_clock_wall_us());
    rg_buf_addf(out,
                "{\"specversion\":\"0.2\",\"type\":\"com.rig.proxy.api.call\",\"source\":\"/rig\","
                "\"id\":\"%s\",\"time\":\"%s\",\"contenttype\":\"application/json\","
                "\"data\":{\"endpoint\":%s",
                id, time, endpoint->definition);
    add_member(out, "request_path", path);
    add_member(out, "remote_ip", rg_str_c(peer));
    rg_buf_add_char(out, '}');
    add_member(out, "traceparent", rg_str_c(trace->traceparent));
    if (trace->tracestate_n > 0)
        add_member(out, "tracestate", rg_str_n(trace->tracestate, trace->tracestate_n));
    rg_buf_add_char(out, '}');
}

void rg_request_log_call(struct rg_request_log *log, const struct rg_endpoint *endpoint,
                         struct rg_str path, const char *peer, const struct rg_trace *trace)
{
    /* One key for all: whoever reads them may rely on their order. */
    const struct rg_str key = RG_STR("partition");
    RG_CLEANUP(rg_buf_done) struct rg_buf event = {0};

    if (log->settings.writes_lines)
        write_line(endpoint);
    if (log->settings.send_event == NULL)
        return;
    compose_event(endpoint, path, peer, trace, &event);
    send_record(log, log->settings.send_event, endpoint->path_regex, key, &event);
}

/* ---- of 2017 (legacy-channels.md 15) ---- */

/* A record's own part: whose request it was, and where to. */
struct call {
    const char *definition;
    const char *route_path; /* for warnings */
    struct rg_str user, jti, path;
    const char *peer;
};

/* 15.2. The claim jti itself, whatever its kind and whichever claim names sessions here. */
static void compose(const struct call *call, struct rg_buf *out)
{
    char id[RG_UUID_LEN + 1];

    rg_random_uuid(id);
    rg_buf_addf(out, "{\"id\":\"%s\",\"username\":", id);
    rg_json_add_string(out, call->user);
    rg_buf_add_c(out, ",\"jti\":");
    rg_json_add_string(out, call->jti);
    rg_buf_addf(out,
                ",\"type\":\"PROXY_API_CALL\",\"version\":\"1.0\",\"timestamp\":%" PRId64
                ",\"level\":0,\"payload\":{\"service_def\":",
                rg_clock_wall_us() / 1000000);
    rg_json_add_string(out, rg_str_c(call->definition));
    rg_buf_add_c(out, ",\"request_path\":");
    rg_json_add_string(out, call->path);
    rg_buf_add_c(out, ",\"remote_ip\":");
    rg_json_add_string(out, rg_str_c(call->peer));
    rg_buf_add_c(out, "}}");
}

static void record(struct rg_request_log *log, struct call *call, const struct rg_claims *claims)
{
    struct rg_identity *identity = rg_identity_new(&log->settings.identity, claims->text);
    RG_CLEANUP(rg_buf_done) struct rg_buf text = {0};

    call->user = identity->user;
    call->jti = claims->jti;
    if (identity->user.p == NULL) {
        note_failure(log, call->route_path, "the token names no user");
    } else if (claims->jti.n == 0) {
        note_failure(log, call->route_path, "the token has no jti");
    } else {
        compose(call, &text);
        send_record(log, log->settings.send, call->route_path, call->user, &text);
    }
    rg_identity_free(&identity);
}

void rg_request_log_record(struct rg_request_log *log, const struct rg_endpoint *endpoint,
                           const struct rg_claims *claims, struct rg_str path, const char *peer)
{
    struct call call = {.definition = endpoint->definition,
                        .route_path = endpoint->path_regex,
                        .path = path,
                        .peer = peer};

    if (log->settings.send != NULL)
        record(log, &call, claims);
}

void rg_request_log_expose(struct rg_request_log *log, struct rg_buf *out)
{
    static const char name[] = "rgate_request_log_failed_total";

    rg_metric_head(out, name, "counter", "Requests of which no record went out.");
    rg_buf_addf(out, "%s %" PRIu64 "\n", name, atomic_load(&log->failed));
}
