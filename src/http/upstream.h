/*
 * upstream.h - requests to the services behind the gateway, from a reactor, on connections that
 * are kept.
 *
 * A service has one or more origins (host and port), and a host may have several addresses. One
 * pool per reactor and service. A call takes an idle connection or opens one, to the address with
 * the fewest calls; an address that fails is left out for a while that grows (passive health),
 * unless all are. Names are resolved off the loop, and again from time to time, without holding
 * calls up. The answer arrives in pieces as it comes, and whoever cannot take more pauses it, which
 * stops reading from the service. A connection goes back to the pool only when both messages are
 * complete and nothing else has arrived on it. HTTP/1.1 only.
 *
 * The parser of answers is as strict as that of requests (h1_response.h): what is ambiguous (both
 * lengths, a coding that is not exactly chunked, folding, bare CR) is RG_UPSTREAM_MALFORMED and the
 * connection ends.
 *
 * Thread: the reactor.
 */
#pragma once

#include "base/buf.h"
#include "base/err.h"
#include "http/request.h"
#include "net/stream.h"

struct rg_upstreams;
struct rg_upstream_call;
struct rg_tls_client;

/* ---- services ---- */

#define RG_UPSTREAM_MAX_ORIGINS 64

struct rg_upstream_origin {
    const char *host; /* name or address, IPv6 without brackets */
    unsigned port;
};

/* All of it is copied; of tls a reference is taken. */
struct rg_upstream_service_settings {
    const struct rg_upstream_origin *origins; /* at least one, at most RG_UPSTREAM_MAX_ORIGINS */
    size_t origins_n;
    struct rg_tls_client *tls; /* NULL: without TLS */
    const char *tls_name;      /* tells settings of tls apart: services that differ share nothing */
    const char *server_name;   /* for SNI and the certificate; NULL: the host of the origin */
    size_t max_connections;    /* per reactor; calls beyond that wait in line. 0: no limit */
};

/*
 * Where requests go: immutable and counted. Services that are equal share connections, whoever made
 * them. Thread: any.
 */
struct rg_upstream_service;
struct rg_upstream_service *
rg_upstream_service_new(const struct rg_upstream_service_settings *settings);
struct rg_upstream_service *rg_upstream_service_ref(struct rg_upstream_service *service);
/* Gives up a reference and sets *servicep to NULL (NULL is fine). */
void rg_upstream_service_unref(struct rg_upstream_service **servicep);

/* ---- calls ---- */

struct rg_upstream_settings {
    uint64_t connect_timeout_ms; /* to a connection, name lookup included */
    uint64_t idle_timeout_ms;    /* a kept connection without a call */
    size_t max_idle;             /* kept per host and port */
    size_t max_head_bytes;       /* of an answer's head */
};
extern const struct rg_upstream_settings rg_upstream_default_settings;

struct rg_upstream_request {
    struct rg_upstream_service *service; /* a reference is taken */
    const char *host;                    /* where service is NULL */
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
    /*
     * The body follows in pieces (rg_upstream_write()), and body is not used: body_length is
     * announced, or -1: it is sent chunked.
     */
    bool is_streamed;
    int64_t body_length;
    /* The client asks for another protocol: connection and upgrade, from fields, are sent, and 101
     * is an answer that ends with on_switch. Nothing of it is retried. */
    bool is_upgrade;
    /* From the request's last byte to the head; also without progress in sending. Pauses do not
     * count. */
    uint64_t response_timeout_ms;
    uint64_t idle_timeout_ms;    /* between pieces of the answer; 0: as response_timeout_ms */
    uint64_t connect_timeout_ms; /* 0: that of the settings; waiting in line included */
    size_t max_head_bytes;       /* of the answer's head; 0: that of the settings */
    bool may_retry; /* whether a second try is allowed at all, where it would be safe */
};

/* How long what took, in nanoseconds from rg_upstreams_send(); 0: it has not happened. */
struct rg_upstream_timing {
    uint64_t queued_ns;     /* its turn came: there was a connection, or room for one */
    uint64_t connected_ns;  /* there was a connection; TLS included */
    uint64_t first_byte_ns; /* of the answer */
    bool is_reused;         /* the connection had carried a call before */
    unsigned tries;
    const char *address; /* where the request went, "192.0.2.7:80"; "" if nowhere */
};

enum rg_upstream_error {
    RG_UPSTREAM_UNREACHABLE, /* no connection: refused, no such name, connect timeout */
    RG_UPSTREAM_BROKEN,      /* closed or reset before the answer was complete */
    RG_UPSTREAM_MALFORMED,
    RG_UPSTREAM_TIMEOUT /* response_timeout_ms */
};

struct rg_upstream_head {
    int status; /* 200 to 599; 101 with on_switch */
    /* End to end only: without framing and hop-by-hop ones, but Upgrade with 101. Borrowed for the
     * call of on_head. */
    const struct rg_http_field *fields;
    size_t fields_n; /* at most RG_MAX_FIELDS_PER_MESSAGE */
    /* Of the body; -1: not known before its end. To HEAD: what the service says of it. */
    int64_t length;
};

/* A connection that speaks another protocol from here on. It does not count among max_connections
 * any more. */
struct rg_upstream_switched {
    struct rg_stream *stream; /* the callee's to adopt or close before it returns */
    struct rg_buf early;      /* what came behind the 101; the callee's, too */
};

/*
 * What becomes of a call: one head, any number of pieces, one end; or a failure at any time, which
 * is the last. Of an upgrade also on_switch, with the head of the 101, which is the last, too.
 * Other 1xx answers are not told. None of them is called from inside of the functions below. Any of
 * them may pause or cancel its call or send others; with on_end, on_failure and on_switch the call
 * is gone, but its timing may be asked for inside of them. A piece is not empty, and borrowed for
 * the call. trailers are those behind a chunked body, as in rg_receive_events (server.h).
 *
 * on_writable: there is room again after rg_upstream_write() has said false. NULL where is_streamed
 * is not used; on_switch where is_upgrade is not.
 */
struct rg_upstream_events {
    void (*on_head)(void *arg, const struct rg_upstream_head *head);
    void (*on_body)(void *arg, struct rg_str piece);
    void (*on_end)(void *arg, const struct rg_http_field *trailers, size_t trailers_n);
    void (*on_failure)(void *arg, enum rg_upstream_error error, const struct rg_why *why);
    void (*on_writable)(void *arg);
    void (*on_switch)(void *arg, const struct rg_upstream_head *head,
                      struct rg_upstream_switched *switched);
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

/*
 * The body of a request that is_streamed. A piece is taken whole and copied where the service does
 * not read it yet; false where enough is kept (256 KiB), and on_writable follows. Pieces may be
 * written from the beginning, before there is a connection. More than body_length is our own
 * mistake. finish ends the body: with less than body_length the connection is closed and the call
 * fails; trailers are sent behind a chunked body. Once the answer is complete, or the service reads
 * no more, pieces are dropped.
 */
bool rg_upstream_write(struct rg_upstream_call *call, struct rg_str piece);
void rg_upstream_finish(struct rg_upstream_call *call, const struct rg_http_field *trailers,
                        size_t trailers_n);

/* Valid until the call is gone. */
const struct rg_upstream_timing *rg_upstream_get_timing(const struct rg_upstream_call *call);

/* Appends metrics of these pools: connections, calls in line, origins that are left out, retries.
 * Thread: any; blocks of all reactors are summed. */
void rg_upstreams_expose(struct rg_upstreams *const *all, size_t n, struct rg_buf *out);

/* Reading stops and goes on. While a call is paused it is told nothing of its answer (on_writable,
 * which is of the request, may come). */
void rg_upstream_pause(struct rg_upstream_call *call);
void rg_upstream_resume(struct rg_upstream_call *call);

/* Nobody wants the answer any more: its connection is closed, nothing more is told. */
void rg_upstream_cancel(struct rg_upstream_call *call);
