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

    _Atomic uint64_t sent, failed; /* any thread */
    struct rg_throttle warnings;   /* any thread */
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

static void warn(struct rg_request_log *log, const struct rg_proxy_route *route, const char *reason)
{
    uint64_t untold;

    if (rg_throttle_pass(&log->warnings, rg_clock_mono_ms(), &untold))
        rg_log_warn("request not recorded", RG_FS("reason", reason),
                    RG_FS("topic", log->settings.topic),
                    RG_FS("path", route != NULL ? route->path : ""), RG_FU("others", untold));
}

/* Thread: whoever sends. */
static void on_sent(void *arg, int err, const struct rg_why *why, int32_t partition, int64_t offset)
{
    struct rg_request_log *log = arg;

    (void)partition;
    (void)offset;
    atomic_fetch_add(err < 0 ? &log->failed : &log->sent, 1);
    if (err < 0)
        warn(log, NULL, why->text);
}

/* 15.2. The claim jti itself, whatever its kind and whichever claim names sessions here. */
static void compose(const struct rg_proxy_route *route, struct rg_str user, struct rg_str jti,
                    struct rg_str path, const char *peer, struct rg_buf *out)
{
    char id[RG_UUID_LEN + 1];

    rg_random_uuid(id);
    rg_buf_addf(out, "{\"id\":\"%s\",\"username\":", id);
    rg_json_add_string(out, user);
    rg_buf_add_c(out, ",\"jti\":");
    rg_json_add_string(out, jti);
    rg_buf_addf(out,
                ",\"type\":\"PROXY_API_CALL\",\"version\":\"1.0\",\"timestamp\":%" PRId64
                ",\"level\":0,\"payload\":{\"service_def\":",
                rg_clock_wall_us() / 1000000);
    rg_json_add_string(out, rg_str_c(route->definition));
    rg_buf_add_c(out, ",\"request_path\":");
    rg_json_add_string(out, path);
    rg_buf_add_c(out, ",\"remote_ip\":");
    rg_json_add_string(out, rg_str_c(peer));
    rg_buf_add_c(out, "}}");
}

static void send_record(struct rg_request_log *log, const struct rg_proxy_route *route,
                        struct rg_str user, struct rg_str jti, struct rg_str path, const char *peer)
{
    const struct rg_request_log_settings *settings = &log->settings;
    struct rg_buf record = {0};

    compose(route, user, jti, path, peer, &record);
    int err = settings->send(settings->send_arg, settings->topic, user, rg_buf_str(&record),
                             on_sent, log);
    if (err < 0) {
        atomic_fetch_add(&log->failed, 1);
        warn(log, route, err == RG_EAGAIN ? "too many records are waiting" : rg_strerror(err));
    }
    rg_buf_done(&record);
}

void rg_request_log_put(struct rg_request_log *log, const struct rg_proxy_route *route,
                        const struct rg_claims *claims, struct rg_str path, const char *peer)
{
    struct rg_identity *identity = rg_identity_new(&log->settings.identity, claims->text);

    if (identity->user.p == NULL)
        warn(log, route, "the token names no user");
    else if (claims->jti.n == 0)
        warn(log, route, "the token has no jti");
    else
        send_record(log, route, identity->user, claims->jti, path, peer);
    rg_identity_free(&identity);
}

static void expose(const struct rg_request_log *log, const char *name, const char *help,
                   uint64_t value, struct rg_buf *out)
{
    rg_metric_head(out, name, "counter", help);
    rg_buf_addf(out, "%s{target=\"kafka\",topic=\"%s\"} %" PRIu64 "\n", name, log->settings.topic,
                value);
}

void rg_request_log_expose(struct rg_request_log *log, struct rg_buf *out)
{
    expose(log, "rig_produced_events_total", "Messages that a broker has taken.",
           atomic_load(&log->sent), out);
    expose(log, "rig_produced_events_failed_total", "Messages that no broker has taken.",
           atomic_load(&log->failed), out);
}
