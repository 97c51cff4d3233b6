/*
 * access_log.h - one line for each request to a service: what it was, what became of it, and how
 * long what took.
 *
 * Lines are put together on the reactor and written by a thread of its own, so that a reader of our
 * output who is slow delays nobody: what does not fit into 4 MiB is dropped and counted.
 *
 * Thread: making and freeing, one; the rest, any.
 */
#pragma once

#include "base/buf.h"
#include "http/upstream.h"

enum rg_access_format {
    RG_ACCESS_OFF,
    RG_ACCESS_TEXT,
    RG_ACCESS_JSON
};

struct rg_access_log_settings {
    enum rg_access_format format;
    unsigned sample_ppm; /* of a million requests, chosen at random; failures (5xx) always */
    int fd;              /* where lines go; borrowed */
};

struct rg_access_log;
struct rg_access_log *rg_access_log_new(const struct rg_access_log_settings *settings);
/* Writes what is left, for at most about a second where nobody reads. */
void rg_access_log_free(struct rg_access_log **logp);

/* All of it is borrowed. Times are from rg_clock_mono_ns(). */
struct rg_access_record {
    const char *peer; /* the client's address */
    struct rg_str method;
    struct rg_str path;  /* without query: that may carry tokens */
    const char *version; /* "HTTP/1.1", "HTTP/2" */
    const char *api;     /* ids; NULL: no endpoint */
    const char *endpoint;
    int status;          /* that the client got; 0: it left before */
    const char *outcome; /* as in the metric: "ok", "unreachable", "client_gone", "aborted", … */
    uint64_t bytes_in, bytes_out;            /* of bodies */
    const struct rg_upstream_timing *timing; /* NULL: no service was asked */
    uint64_t started_ns, ended_ns;
    struct rg_str request_id, trace_id; /* n == 0: none */
    struct rg_str session;              /* of the token; n == 0: none */
};

/* Whether a request with this status would be written: ask before putting a record together. */
bool rg_access_log_wants(struct rg_access_log *log, int status);
void rg_access_log_put(struct rg_access_log *log, const struct rg_access_record *record);

/* Appends metrics: lines written and dropped. */
void rg_access_log_expose(struct rg_access_log *log, struct rg_buf *out);
