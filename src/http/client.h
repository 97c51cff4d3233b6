/*
 * client.h - requests to other servers, off the hot path: key sets, external checks.
 *
 * One thread drives libcurl's multi interface for all of them, so no reactor ever waits. Every
 * request is bounded: in time, in the size of its answer, and in how many are under way at once.
 * Redirects are not followed. Only http and https.
 *
 * Thread: sending, any; the answer arrives on the client's own thread (registered with rcu.h),
 * which must not be kept waiting: post it to where it belongs.
 */
#pragma once

#include "base/buf.h"
#include "base/err.h"

struct rg_http_client;

struct rg_http_client_settings {
    unsigned max_requests;       /* under way at once, waiting ones included */
    uint64_t connect_timeout_ms; /* to a connection */
    uint64_t timeout_ms;         /* from the start to the whole answer */
    const char *user_agent;
};

/* Defaults: 1,024 requests, 8 s and 13 s (client-api.md 14.3), "rgate/<version>". */
extern const struct rg_http_client_settings rg_http_client_default_settings;

struct rg_http_client_request {
    const char *url;
    bool is_post;
    struct rg_str body;          /* of a POST */
    struct rg_str content_type;  /* n == 0: none */
    struct rg_str authorization; /* n == 0: none; never logged */
    size_t max_body;             /* of the answer; a longer one is a failure */
    uint64_t timeout_ms;         /* 0: the client's */
};

struct rg_http_client_result {
    int err;           /* 0: there is an answer, whatever its status; else a code with why */
    struct rg_why why; /* e.g. "connection refused", for the log */
    int status;
    struct rg_str body; /* borrowed for the call */
};

typedef void rg_http_client_fn(void *arg, const struct rg_http_client_result *result);

/* Starts the thread. */
struct rg_http_client *rg_http_client_new(const struct rg_http_client_settings *settings);

/*
 * A clock for whoever needs one beside its requests: fn(arg) about every interval_ms, on the
 * client's thread. One per client; before it is used by anybody else.
 */
void rg_http_client_set_tick(struct rg_http_client *client, uint64_t interval_ms,
                             void (*fn)(void *arg), void *arg);

/* Ends the thread; each request under way is told RG_ECANCELED first. Not on a reactor. */
void rg_http_client_free(struct rg_http_client **clientp);

/*
 * Sends a request (everything in it is copied); fn is called exactly once, later. RG_EFULL, without
 * a call, if too many are under way; RG_EINVAL with why for what is no http or https URL, and for a
 * field's value with a control byte in it.
 */
int rg_http_client_send(struct rg_http_client *client, const struct rg_http_client_request *request,
                        rg_http_client_fn *fn, void *arg, struct rg_why *why);

/* True for an http:// or https:// URL with a host. */
bool rg_http_client_is_url(struct rg_str text);
