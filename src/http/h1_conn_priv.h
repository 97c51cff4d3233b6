/*
 * h1_conn_priv.h - one HTTP/1.1 connection.
 *
 * Thread: the reactor.
 */
#pragma once

#include "http/chunked.h"
#include "http/server_priv.h"

enum rg_h1_state {
    RG_H1_IDLE,
    RG_H1_HEAD,
    RG_H1_BODY,
    RG_H1_ANSWERING,
    RG_H1_LINGERING
};

struct rg_h1_conn {
    struct rg_http_link link;
    struct rg_http_server *server;
    struct rg_http_transport transport;
    struct rg_stream *stream;
    struct rg_timer timer;
    enum rg_h1_state state;
    bool may_be_h2;     /* nothing of the first request has been looked at */
    bool is_processing; /* inside process(): answers do not recurse into it */
    bool wants_close;   /* after the current answer */
    bool keep_alive;    /* of the current request */
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
    bool is_blocked; /* it takes no more for now; the timer is that of writing */

    /* An answer in pieces. */
    struct rg_late late; /* writes a head that no piece has taken along; closes what is broken */
    bool is_broken;      /* the socket; told at the end of the turn, not inside of a write */
    bool is_chunked;
    bool is_to_close; /* only the connection's end will tell where the body ends */

    struct rg_exchange exchange;
};
