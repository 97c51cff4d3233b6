/*
 * upstream_priv.h - what calls, pools and connections to services know of each other.
 *
 * upstream.c has the pools and what becomes of a call; upstream_conn.c is one connection: it writes
 * a request, reads the answer and tells the call.
 *
 * Thread: the reactor.
 */
#pragma once

#include "base/buf.h"
#include "base/map.h"
#include "http/chunked.h"
#include "http/h1_response.h"
#include "http/upstream.h"
#include "net/connect.h"
#include "net/socket.h"

struct rg_upstream_conn;

/* The connections to one host and port. */
struct rg_upstream_pool {
    struct rg_map_link link;
    struct rg_upstream_pool *prev, *next; /* in upstreams->pools */
    struct rg_upstreams *upstreams;
    char *host;
    unsigned port;
    struct rg_upstream_conn *idle; /* the one used last comes first */
    size_t idle_n;
    size_t users; /* calls and connections; without any it is freed */
};

struct rg_upstreams {
    struct rg_reactor *reactor;
    struct rg_upstream_settings settings;
    struct rg_map by_place;
    struct rg_upstream_pool *pools;
    struct rg_upstream_call *calls;
    /* Scratch of the head that is being told: no more than one at a time. */
    struct rg_h1_response response;
};

struct rg_upstream_call {
    struct rg_upstream_call *prev, *next; /* in upstreams->calls */
    struct rg_upstream_pool *pool;
    const struct rg_upstream_events *events;
    void *arg;
    struct rg_buf request; /* as sent; until the answer begins, for a second try */
    enum rg_method method;
    bool is_idempotent;
    bool was_retried;
    bool is_paused;
    uint64_t response_timeout_ms;
    struct rg_connect *connect;    /* NULL: there is a connection */
    struct rg_upstream_conn *conn; /* NULL: there will be one */
};

enum rg_upstream_state {
    RG_UPSTREAM_IDLE, /* kept; no call */
    RG_UPSTREAM_HEAD,
    RG_UPSTREAM_BODY,
    RG_UPSTREAM_COMPLETE /* all is told but that */
};

struct rg_upstream_conn {
    struct rg_upstream_conn *prev, *next; /* in pool->idle, while idle */
    struct rg_upstream_pool *pool;
    struct rg_upstream_call *call; /* NULL: idle */
    struct rg_stream *stream;      /* NULL: closed */
    struct rg_timer timer;
    struct rg_late late; /* goes on with what was kept while paused */
    enum rg_upstream_state state;
    bool is_used;       /* has carried a call before */
    bool is_processing; /* callbacks are on the stack: closing frees later */
    bool is_heard;      /* bytes of an answer have arrived */
    bool is_mute;       /* writing failed; the answer may be there nevertheless */

    size_t sent;      /* of call->request */
    bool is_sent;     /* all of it */
    struct rg_buf in; /* the beginning of a head, or what arrived before a pause */
    struct rg_h1_scan scan;
    unsigned interims; /* 1xx answers */
    enum rg_h1_body body;
    uint64_t left; /* of a body with a length */
    struct rg_chunked chunked;
    bool keep_alive; /* what the service says */
};

/* ---- upstream.c ---- */

/*
 * What happens to the call of a connection. It is over with end and fail, and conn->call is NULL;
 * the connection is in its pool or closed. A failure may be the beginning of a second try instead.
 */
void rg_upstream_call_end(struct rg_upstream_call *call);
void rg_upstream_call_fail(struct rg_upstream_call *call, enum rg_upstream_error error,
                           const struct rg_why *why);
/* The service has closed the connection, or reset it, before the answer was complete. */
void rg_upstream_call_broken(struct rg_upstream_call *call, bool may_retry,
                             const struct rg_why *why);

/* The connection joins or leaves its pool's idle ones. False if there are enough of them. */
bool rg_upstream_pool_keep(struct rg_upstream_conn *conn);
void rg_upstream_pool_remove(struct rg_upstream_conn *conn);

/* Somebody uses the pool no more. */
void rg_upstream_pool_unref(struct rg_upstream_pool *pool);

/* ---- upstream_conn.c ---- */

/* A connection on fd (taken); NULL if the loop does not accept it. */
struct rg_upstream_conn *rg_upstream_conn_new(struct rg_upstream_pool *pool, int fd);

/* False if the service has said anything to, or closed, a connection without a call. */
bool rg_upstream_conn_is_alive(struct rg_upstream_conn *conn);

/* Begins to send the call's request. Nothing is told inside of it. */
void rg_upstream_conn_begin(struct rg_upstream_conn *conn, struct rg_upstream_call *call);

void rg_upstream_conn_pause(struct rg_upstream_conn *conn);
void rg_upstream_conn_resume(struct rg_upstream_conn *conn);

/* Closes it without telling its call, of which it knows no more. */
void rg_upstream_conn_close(struct rg_upstream_conn *conn);
