/*
 * request_log.h - a record of each request that was let through to a service: of the definitions as
 * REQUEST_LOG asks (api-gateway.md 12), of the routes of 2017 where a token was needed
 * (legacy-channels.md 15).
 *
 * Records never hold a request up: what cannot be recorded is warned of and goes on all the same.
 *
 * Thread: making and freeing, one; the rest, any.
 */
#pragma once

#include "auth/claims.h"
#include "auth/identity.h"
#include "base/buf.h"
#include "http/trace.h"
#include "proxy/api.h"

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
    struct rg_identity_fields identity; /* whose name is recorded, of 2017 */
    rg_record_send_fn *send;            /* of the records of 2017; NULL: there are none */
    void *send_arg;
    /* The same for an event (JSON), which goes out with the header ce_contenttype; NULL:
     * REQUEST_LOG has no kafka. */
    rg_record_send_fn *send_event;
    bool writes_lines; /* REQUEST_LOG has console */
};

struct rg_request_log *rg_request_log_new(const struct rg_request_log_settings *settings);

/* Every record must have been sent or given up. */
void rg_request_log_free(struct rg_request_log **logp);

/*
 * Records a request to an endpoint of a definition. path is the normalised one before rewriting,
 * without query; peer is the client's address, "" if it is not known.
 */
void rg_request_log_call(struct rg_request_log *log, const struct rg_endpoint *endpoint,
                         struct rg_str path, const char *peer, const struct rg_trace *trace);

/* Records a request of 2017, whose endpoint needed a token with these claims. */
void rg_request_log_record(struct rg_request_log *log, const struct rg_endpoint *endpoint,
                           const struct rg_claims *claims, struct rg_str path, const char *peer);

/* Appends how many requests were not recorded. */
void rg_request_log_expose(struct rg_request_log *log, struct rg_buf *out);
