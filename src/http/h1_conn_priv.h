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
    struct rg_buf body;   /* a chunked body so far; of one that is streamed its trailers */
    struct rg_str behind; /* inside process(): what follows the bytes that are used up */
    uint64_t max_body;
    uint64_t window_bytes; /* of a body in the current period, or lingered */

    /* A body that is streamed, which comes while its request is answered. */
    bool has_body_left;        /* its end was not seen */
    uint64_t body_left;        /* of the announced length */
    struct rg_timer rate;      /* its limit of time, while somebody wants it */
    struct rg_late resumption; /* it goes on after a pause */

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
