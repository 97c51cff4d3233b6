/*
 * request_log.h - a record of each request that was let through to a service with a token
 * (legacy-channels.md 15).
 *
 * Records go to a topic, by the name of the user, and never hold a request up: what cannot be
 * recorded is warned of and goes on all the same.
 *
 * Thread: making and freeing, one; the rest, any.
 */
#pragma once

#include "auth/claims.h"
#include "auth/identity.h"
#include "base/buf.h"
#include "proxy/route.h"

struct rg_request_log;

/* What became of a record, on any thread: err is 0, or negative with why. */
typedef void rg_record_sent_fn(void *arg, int err, const struct rg_why *why, int32_t partition,
                               int64_t offset);

/*
 * Takes a record to be sent (copied) without waiting. 0, and then sent(sent_arg, …) is called
 * exactly once; a negative code, and then it is not.
 */
typedef int rg_record_send_fn(void *arg, const char *topic, struct rg_str key, struct rg_str value,
                              rg_record_sent_fn *sent, void *sent_arg);

/* All of it is borrowed. */
struct rg_request_log_settings {
    const char *topic;                  /* KAFKA_LOG_TOPIC */
    struct rg_identity_fields identity; /* whose name is recorded */
    rg_record_send_fn *send;
    void *send_arg;
};

struct rg_request_log *rg_request_log_new(const struct rg_request_log_settings *settings);

/* Every record must have been sent or given up. */
void rg_request_log_free(struct rg_request_log **logp);

/*
 * Records a request. path is without query; peer is the client's address, "" if it is not known.
 */
void rg_request_log_put(struct rg_request_log *log, const struct rg_proxy_route *route,
                        const struct rg_claims *claims, struct rg_str path, const char *peer);

/* Appends rig_produced_events_total and rig_produced_events_failed_total (management-api.md 7.1).
 */
void rg_request_log_expose(struct rg_request_log *log, struct rg_buf *out);
