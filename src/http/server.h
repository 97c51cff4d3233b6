/*
 * server.h - HTTP connections of one reactor, and the exchanges on them.
 *
 * A server reads requests from its connections, finds their route, reads the body up
 * to the route's limit and calls the handler with an exchange: one request and the
 * duty to answer it, now or later. A handler may also take the whole connection over (SSE,
 * WebSocket). Malformed or too slow requests are answered here.
 *
 * HTTP/2 is recognised by its first bytes (RFC 9113 3.3: prior knowledge, or agreed on in TLS).
 * Requests on one connection of HTTP/1.1 are handled one after the other; what is pipelined behind
 * an unanswered request waits unread. Those on one of HTTP/2 share it.
 *
 * Thread: the reactor.
 */
#pragma once

#include "base/counter.h"
#include "http/h1.h"
#include "http/response.h"
#include "http/router.h"
#include "net/socket.h"

struct rg_tls;

struct rg_http_settings {
    struct rg_h1_limits limits;
    uint64_t idle_timeout_ms;   /* between requests */
    uint64_t header_timeout_ms; /* from a head's first byte to its last */
    uint64_t write_timeout_ms;  /* without progress while data is pending */
    uint64_t body_min_rate;     /* bytes a second, measured over 10 s */
    bool is_h2_on;              /* HTTP/2 is spoken with those who begin with it */
    uint32_t h2_max_streams;    /* at a time on one connection of HTTP/2 */
    /* Connections begin with a header of the PROXY protocol, version 1 or 2, which says whose they
     * are (net/proxy_protocol.h); one that does not is closed. */
    bool has_proxy_protocol;
};
extern const struct rg_http_settings rg_http_default_settings;

struct rg_http_server;

/* What http/ counts; one block of these rows per server. */
extern const struct rg_counter_row rg_http_counter_rows[];
extern const size_t rg_http_counter_rows_n;

/* routes (whose last row catches all) and settings are borrowed for the server's life. */
struct rg_http_server *rg_http_server_new(struct rg_reactor *reactor,
                                          const struct rg_http_settings *settings,
                                          const struct rg_route *routes, size_t routes_n);

/* Every connection must be gone (rg_http_server_close_all, then a turn of the loop). */
void rg_http_server_free(struct rg_http_server **serverp);

/* Takes a connected socket; of type rg_accept_fn, arg being the server. */
void rg_http_server_accept(void *arg, int fd);

/* The same with TLS on the socket, once the server was given what it shows (borrowed). */
void rg_http_server_set_tls(struct rg_http_server *server, struct rg_tls *tls);
void rg_http_server_accept_tls(void *arg, int fd);

/*
 * Graceful end: closes idle connections now, the others after their current exchange, which are
 * answered with Connection: close from here on.
 */
void rg_http_server_drain(struct rg_http_server *server);

/* Closes every connection at once. */
void rg_http_server_close_all(struct rg_http_server *server);

/* Connections that are HTTP (not taken over), for draining and metrics. */
size_t rg_http_server_connections(const struct rg_http_server *server);

const struct rg_counters *rg_http_server_counters(const struct rg_http_server *server);

/* ---- exchanges ---- */

/*
 * Names an exchange across threads: stays harmless when the exchange is gone. The owner of the
 * server is found by reactor.
 */
struct rg_exchange_handle {
    uint32_t reactor;
    uint32_t slot;
    uint32_t generation;
};

/* The request; its slices are valid until the handler returns or the exchange is answered. */
const struct rg_request *rg_exchange_request(const struct rg_exchange *exchange);

/* A parameter of the route's pattern, percent-decoding not applied. */
struct rg_str rg_exchange_param(const struct rg_exchange *exchange, size_t i);

struct rg_reactor *rg_exchange_reactor(const struct rg_exchange *exchange);

/* For an answer that comes later. Valid on any thread; look it up on the exchange's own. */
struct rg_exchange_handle rg_exchange_get_handle(const struct rg_exchange *exchange);

/* The exchange, if it still waits for an answer; NULL otherwise. */
struct rg_exchange *rg_http_server_find(struct rg_http_server *server,
                                        struct rg_exchange_handle handle);

/* Answers; the exchange is the server's again. Everything in response is copied or sent. */
void rg_exchange_respond(struct rg_exchange *exchange, const struct rg_response *response);

/*
 * The body of a request, in pieces as they arrive; of rows with RG_BODY_STREAMED, from inside of
 * the handler, and at most once. Permission (100 Continue) is given with this call, not before.
 * Where there is no body on_end follows at once, but not inside of this call.
 *
 * on_piece: not empty, borrowed for the call, transfer coding removed. on_end: the body is
 * complete; trailers are those behind a chunked body (RFC 9112 7.1.2) or in HTTP/2, at most 32
 * fields, without those that may not be there (framing, routing, authentication: RFC 9110 6.5.1),
 * borrowed for the call. on_error: the rest will never come: the body is malformed (400), too slow
 * (408) or longer than max_bytes (413); nothing more is told. The exchange is still to be answered,
 * with that status unless an answer has begun, which is then to be aborted; the connection ends
 * behind it. None of them is called after the exchange was answered, or has ended
 * (rg_exchange_on_gone()), or while paused. They may answer, pause and resume.
 *
 * An exchange that is answered before its body has ended costs the connection of HTTP/1.1 (what
 * still arrives is dropped for a while, so that the peer can read the answer), or the stream of
 * HTTP/2 (RST_STREAM with NO_ERROR behind the answer, RFC 9113 8.1).
 */
struct rg_receive_events {
    void (*on_piece)(void *arg, struct rg_str piece);
    void (*on_end)(void *arg, const struct rg_http_field *trailers, size_t trailers_n);
    void (*on_error)(void *arg, int status, const struct rg_why *why);
};
void rg_exchange_receive(struct rg_exchange *exchange, uint64_t max_bytes,
                         const struct rg_receive_events *events, void *arg);

/* Reading stops, and with it the peer once the windows are full; and goes on. */
void rg_exchange_pause_receiving(struct rg_exchange *exchange);
void rg_exchange_resume_receiving(struct rg_exchange *exchange);

/*
 * An answer whose body comes in pieces. begin takes status (200 and above) and fields of head,
 * which are without those of framing and connection; date is added where they have none; its body
 * is not used. length is that of the body, or -1 where only its end will tell. Then any number of
 * writes, and finish or, where the body will never be complete, abort, which cuts the connection
 * (HTTP/1.1) or resets the stream (HTTP/2) so that nobody takes it for whole. Both end the
 * exchange.
 *
 * A write takes everything, keeping what the peer does not read yet; it returns false where enough
 * is kept (256 KiB; of a stream of HTTP/2 64 KiB), and on_writable is called once there is room
 * again. What is written beyond length is dropped; to finish before it is to abort. The body of an
 * answer to HEAD, and of one that has none (204, 304), is dropped.
 *
 * on_gone: the peer has left, or was too slow, or the server closes all; the exchange ends with
 * that call. Neither is called from inside of these functions. They may be called later than in the
 * handler.
 */
struct rg_body_events {
    void (*on_writable)(void *arg);
    void (*on_gone)(void *arg);
};
void rg_exchange_begin_body(struct rg_exchange *exchange, const struct rg_response *head,
                            int64_t length, const struct rg_body_events *events, void *arg);
bool rg_exchange_write_body(struct rg_exchange *exchange, struct rg_str piece);
void rg_exchange_finish_body(struct rg_exchange *exchange);
/* The same with fields behind the body, which are sent where there is a place for them: HTTP/2, or
 * a chunked body. */
void rg_exchange_finish_body_with(struct rg_exchange *exchange,
                                  const struct rg_http_field *trailers, size_t trailers_n);
void rg_exchange_abort_body(struct rg_exchange *exchange);

/*
 * Tells when the peer of an exchange that has no answer yet is gone, with which the exchange ends;
 * at most once, and not after the answer has begun.
 */
void rg_exchange_on_gone(struct rg_exchange *exchange, void (*fn)(void *arg), void *arg);

/* Whether TLS protects the exchange's connection; the peer's address, or "" if there is none. */
bool rg_exchange_is_secure(const struct rg_exchange *exchange);
void rg_exchange_peer(const struct rg_exchange *exchange, char out[RG_PEER_SIZE]);

/* When the request's head was complete: rg_clock_mono_ns(). */
uint64_t rg_exchange_started_ns(const struct rg_exchange *exchange);

/* A stream that was taken from its exchange. */
struct rg_taken {
    struct rg_stream *stream; /* the taker's to adopt and close */
    bool
        is_chunked; /* HTTP/1.1: each message is one chunk, the end is "0\r\n\r\n" (RFC 9112 7.1) */
    struct rg_buf head;  /* must be the first bytes written; empty where they are out already */
    struct rg_buf early; /* what the peer sent behind its request */
};

/*
 * Begins an answer whose end is not known, and hands its stream over: the exchange has ended. head
 * has status and fields, without those of framing, date and connection; its body is not used.
 * Status 101 (HTTP/1.1) or 200 to an extended CONNECT (HTTP/2, RFC 8441) makes the stream a tunnel.
 * May be called later than in the handler, but with 101 not before a body that is
 * streamed has ended: the rest of it would be read as the other protocol. rg_taken_done() frees
 * what is in ret but the stream.
 */
void rg_exchange_take_stream(struct rg_exchange *exchange, const struct rg_response *head,
                             struct rg_taken *ret);
void rg_taken_done(struct rg_taken *taken);
