/*
 * server_priv.h - what a connection and the exchange on it know of each other.
 *
 * server.c reads requests and writes answers; exchange.c is what a handler sees.
 *
 * Thread: the reactor.
 */
#pragma once

#include "base/slots.h"
#include "http/chunked.h"
#include "http/server.h"

enum rg_http_conn_state {
    RG_CONN_IDLE,
    RG_CONN_HEAD,
    RG_CONN_BODY,
    RG_CONN_ANSWERING,
    RG_CONN_LINGERING
};

struct rg_http_conn;

struct rg_exchange {
    struct rg_http_conn *conn;
    struct rg_route_match match;
    uint32_t slot; /* in server->unanswered, while has_slot */
    bool has_slot;
    bool in_handler;
    bool is_taken;
};

struct rg_http_conn {
    struct rg_http_server *server;
    struct rg_stream *stream;
    struct rg_http_conn *prev, *next; /* server->conns */
    struct rg_timer timer;
    enum rg_http_conn_state state;
    bool is_processing; /* inside process(): answers do not recurse into it */
    bool wants_close;   /* after the current answer */
    bool keep_alive;    /* of the current request */
    enum rg_method method;
    unsigned minor;

    struct rg_buf in; /* received and not yet used up */
    struct rg_h1_scan scan;
    size_t head_n; /* of the request whose body is being read */
    struct rg_h1_framing framing;
    struct rg_chunked chunked;
    struct rg_buf body;   /* a chunked body so far */
    struct rg_str behind; /* while a handler runs: what follows its request */
    size_t max_body;
    uint64_t window_start_ms, window_bytes; /* rate of the body, or bytes lingered */

    struct rg_buf out; /* answers the socket did not take yet */
    size_t out_at;

    uint64_t started_ms;
    struct rg_exchange exchange;
};

struct rg_http_server {
    struct rg_reactor *reactor;
    const struct rg_http_settings *settings;
    const struct rg_route *routes;
    size_t routes_n;
    struct rg_counters *counters;
    struct rg_http_conn *conns;
    bool is_draining;

    /* Unanswered exchanges by number, so that an answer from elsewhere can find its way. */
    struct rg_slots unanswered;

    struct rg_request request; /* of the handler that is running */
    struct rg_buf encoded;     /* scratch of an answer */
};

/* ---- server.c ---- */

/* Encodes and writes an answer; the connection may be closed afterwards. */
void rg_http_conn_send(struct rg_http_conn *c, const struct rg_response *response);

/* Frees everything but the stream. */
void rg_http_conn_free(struct rg_http_conn *c);

/* Goes on with what is pipelined behind an answer that came later. */
void rg_http_conn_go_on(struct rg_http_conn *c);

/* ---- exchange.c ---- */

/* The exchange waits for its answer / does so no more. */
void rg_exchange_begin(struct rg_exchange *exchange);
void rg_exchange_end(struct rg_exchange *exchange);
