/*
 * upstream.h - requests to the services behind the gateway, from a reactor, on connections that
 * are kept.
 *
 * One pool per reactor, keyed by host and port. A call takes an idle connection or opens one; names
 * are resolved off the loop. The answer arrives in pieces as it comes, and whoever cannot take more
 * pauses it, which stops reading from the service. A connection goes back to the pool only when
 * both messages are complete and nothing else has arrived on it. HTTP/1.1 only.
 *
 * The parser of answers is as strict as that of requests (h1_response.h): what is ambiguous (both
 * lengths, a coding that is not exactly chunked, folding, bare CR) is RG_UPSTREAM_MALFORMED and the
 * connection ends.
 *
 * Thread: the reactor.
 */
#pragma once

#include "base/err.h"
#include "http/request.h"
#include "net/reactor.h"

struct rg_upstreams;
struct rg_upstream_call;

struct rg_upstream_settings {
    uint64_t connect_timeout_ms; /* to a connection, name lookup included */
    uint64_t idle_timeout_ms;    /* a kept connection without a call */
    size_t max_idle;             /* kept per host and port */
    size_t max_head_bytes;       /* of an answer's head */
};
extern const struct rg_upstream_settings rg_upstream_default_settings;

struct rg_upstream_request {
    const char *host; /* name or address; borrowed for the call of rg_upstreams_send() */
    unsigned port;
    struct rg_str method; /* a token, as sent */
    /* Origin form: path and query. Bytes that may not stand there are percent-encoded. */
    struct rg_str target;
    /*
     * Sent as they are, in this order, host among them. Those of framing and of the connection,
     * expect, and what is no field are left out; CR, LF and NUL in a value become spaces.
     */
    const struct rg_http_field *fields;
    size_t fields_n;
    struct rg_str body; /* whole; content-length is made of it where has_body */
    bool has_body;
    /* From the request's last byte to the head, and between pieces; also without progress in
     * sending. Pauses do not count. */
    uint64_t response_timeout_ms;
};

enum rg_upstream_error {
    RG_UPSTREAM_UNREACHABLE, /* no connection: refused, no such name, connect timeout */
    RG_UPSTREAM_BROKEN,      /* closed or reset before the answer was complete */
    RG_UPSTREAM_MALFORMED,
    RG_UPSTREAM_TIMEOUT /* response_timeout_ms */
};

struct rg_upstream_head {
    int status; /* 200 to 599 */
    /* End to end only: without framing and hop-by-hop ones. Borrowed for the call of on_head. */
    const struct rg_http_field *fields;
    size_t fields_n; /* at most RG_MAX_FIELDS_PER_MESSAGE */
    /* Of the body; -1: not known before its end. To HEAD: what the service says of it. */
    int64_t length;
};

/*
 * What becomes of a call: one head, any number of pieces, one end; or a failure at any time, which
 * is the last. 1xx answers are not told. None of them is called from inside of the functions below.
 * Any of them may pause or cancel its call or send others; with on_end and on_failure the call is
 * gone. A piece is not empty, and borrowed for the call.
 */
struct rg_upstream_events {
    void (*on_head)(void *arg, const struct rg_upstream_head *head);
    void (*on_body)(void *arg, struct rg_str piece);
    void (*on_end)(void *arg);
    void (*on_failure)(void *arg, enum rg_upstream_error error, const struct rg_why *why);
};

/* settings is copied. */
struct rg_upstreams *rg_upstreams_new(struct rg_reactor *reactor,
                                      const struct rg_upstream_settings *settings);
/*
 * Closes all connections without telling; calls are over. After it a turn of the loop is due. Who
 * holds calls for exchanges closes the server first, and cancels them in on_gone.
 */
void rg_upstreams_close_all(struct rg_upstreams *upstreams);
void rg_upstreams_free(struct rg_upstreams **upstreamsp);

/*
 * Sends a request (copied). The call is the pool's and ends with on_end, on_failure or
 * rg_upstream_cancel(). A request that is idempotent (RFC 9110 9.2.2) and met a kept connection
 * which the service had closed meanwhile is sent once more on a new one.
 */
struct rg_upstream_call *rg_upstreams_send(struct rg_upstreams *upstreams,
                                           const struct rg_upstream_request *request,
                                           const struct rg_upstream_events *events, void *arg);

/* Reading stops and goes on. While a call is paused it is told nothing. */
void rg_upstream_pause(struct rg_upstream_call *call);
void rg_upstream_resume(struct rg_upstream_call *call);

/* Nobody wants the answer any more: its connection is closed, nothing more is told. */
void rg_upstream_cancel(struct rg_upstream_call *call);
