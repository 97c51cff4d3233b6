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

    struct rg_family *produced, *failed; /* any thread */
    struct rg_throttle warnings;         /* any thread */
};

static const struct rg_family_row produced_row = {"rig_produced_events_total",
                                                  "counter",
                                                  {"target", "topic"},
                                                  "Messages that a broker has taken."};
static const struct rg_family_row failed_row = {"rig_produced_events_failed_total",
                                                "counter",
                                                {"target", "topic"},
                                                "Messages that no broker has taken."};

struct rg_request_log *rg_request_log_new(const struct rg_request_log_settings *settings)
{
    struct rg_request_log *log = rg_zalloc(sizeof(*log));

    log->settings = *settings;
    log->produced = rg_family_new(&produced_row);
    log->failed = rg_family_new(&failed_row);
    return log;
}

void rg_request_log_free(struct rg_request_log **logp)
{
    struct rg_request_log *log = *logp;

    if (log == NULL)
        return;
    *logp = NULL;
    rg_family_free(&log->produced);
    rg_family_free(&log->failed);
    rg_free(log);
}

static void warn(struct rg_request_log *log, const struct rg_proxy_route *route, const char *reason)
{
    uint64_t untold;

    if (rg_throttle_pass(&log->warnings, rg_clock_mono_ms(), &untold))
        rg_log_warn("request not recorded", RG_FS("reason", reason),
                    RG_FS("topic", log->settings.topic),
                    RG_FS("path", route != NULL ? route->path : ""), RG_FU("others", untold));
}

static void count(const struct rg_request_log *log, int err)
{
    struct rg_family *family = err < 0 ? log->failed : log->produced;

    rg_series_add(rg_family_get(family, RG_STR("kafka"), rg_str_c(log->settings.topic)), 1);
}

/* Thread: whoever sends. */
static void on_sent(void *arg, int err, const struct rg_why *why, int32_t partition, int64_t offset)
{
    struct rg_request_log *log = arg;

    (void)partition;
    (void)offset;
    count(log, err);
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
                        struct rg_str user, struct rg_str jti, struct rg_str path,
                        const char *peer)
{
    const struct rg_request_log_settings *settings = &log->settings;
    struct rg_buf record = {0};

    compose(route, user, jti, path, peer, &record);
    int err = settings->send(settings->send_arg, settings->topic, user, rg_buf_str(&record),
                             on_sent, log);
    if (err < 0) {
        count(log, err);
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

void rg_request_log_expose(struct rg_request_log *log, struct rg_buf *out)
{
    rg_family_expose(log->produced, out);
    rg_family_expose(log->failed, out);
}
