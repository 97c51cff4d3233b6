/*
 * upstream_priv.h - what calls, pools and connections to services know of each other.
 *
 *   upstream.c          calls: begun, ended
 *   upstream_service.c  where requests go
 *   upstream_encode.c   requests as bytes
 *   upstream_body.c     requests whose body follows in pieces
 *   upstream_pool.c     connections that are kept, and the line of calls that wait for one
 *   upstream_address.c  the addresses of a service, and which one is next
 *   upstream_health.c   ... and which are left out
 *   upstream_connect.c  a new connection for a call, to one address after the other
 *   upstream_conn.c     one connection: it writes a request ...
 *   upstream_answer.c   ... reads the answer and tells the call
 *   upstream_count.c    what operators see
 *
 * Thread: the reactor.
 */
#pragma once

#include <stdatomic.h>

#include "base/buf.h"
#include "base/counter.h"
#include "base/map.h"
#include "base/throttle.h"
#include "http/chunked.h"
#include "http/h1_response.h"
#include "http/trailers.h"
#include "http/upstream.h"
#include "net/connect.h"
#include "net/lookup.h"
#include "net/socket.h"

#define RG_UPSTREAM_KEPT_BODY   ((size_t)256 * 1024) /* of a streamed body, unsent */
#define RG_UPSTREAM_KEPT_REPLAY ((size_t)64 * 1024)  /* of a streamed body, for a second try */

struct rg_upstream_conn;

struct rg_upstream_service {
    atomic_uint refs;
    uint64_t hash;     /* of key */
    struct rg_buf key; /* all that tells it from others */
    struct rg_upstream_origin *origins;
    size_t origins_n;
    struct rg_tls_client *tls;
    const char *server_name; /* in key; NULL: the host */
    size_t max_connections;
};

bool rg_upstream_service_eq(const struct rg_upstream_service *a,
                            const struct rg_upstream_service *b);

/* ---- what is counted ---- */

enum rg_upstream_row {
    RG_UPSTREAM_ROW_OPEN,
    RG_UPSTREAM_ROW_KEPT,
    RG_UPSTREAM_ROW_IN_LINE,
    RG_UPSTREAM_ROW_LEFT_OUT,
    RG_UPSTREAM_ROW_CALLS,
    RG_UPSTREAM_ROW_RETRIES,
    RG_UPSTREAM_ROW_LEFT_OUT_TOTAL,
    RG_UPSTREAM_ROW_FAILED, /* and one row for each further enum rg_upstream_error */
    RG_UPSTREAM_ROW_LOOKUPS_DONE = RG_UPSTREAM_ROW_FAILED + RG_UPSTREAM_TIMEOUT + 1,
    RG_UPSTREAM_ROW_LOOKUPS_FAILED,
    RG_UPSTREAM_ROWS
};

/* ---- pools ---- */

/* One address of a service: what is kept to it, what is under way, and how it does. */
struct rg_upstream_address {
    struct rg_upstream_pool *pool; /* whose counters and time it uses */
    struct rg_address at;
    char text[RG_ADDRESS_SIZE];
    size_t origin; /* which of the service's it belongs to */
    size_t refs;   /* its place in the pool, connections and calls */
    bool is_listed;

    struct rg_upstream_conn *idle; /* the one used last comes first */
    size_t idle_n;
    size_t calls; /* under way, attempts to connect among them */

    unsigned failures;          /* in a row */
    uint64_t left_out_ms;       /* how long it was the last time; 0: it is not */
    uint64_t left_out_until_ms; /* from then on one call at a time finds out */
};

/* One origin of a service and what its name means. */
struct rg_upstream_name {
    struct rg_upstream_pool *pool;
    struct rg_lookup *lookup; /* NULL: none is under way */
    bool is_looked_up;        /* false: an address */
    uint64_t next_lookup_ms;  /* what is known is fresh until then */
    struct rg_throttle failures;
    struct rg_why why; /* of the last failure */
};

/* The connections to one service. */
struct rg_upstream_pool {
    struct rg_map_link link;
    struct rg_upstream_pool *prev, *next; /* in upstreams->pools */
    struct rg_upstreams *upstreams;
    struct rg_upstream_service *service; /* the last of those that are equal */
    struct rg_upstream_name *names;      /* for each origin */
    uint64_t next_lookup_ms;             /* the first of them */
    struct rg_upstream_address **addresses;
    size_t addresses_n;
    size_t turn; /* where the next choice begins */

    struct rg_upstream_call *line, *line_end; /* calls that wait, in order */
    struct rg_late late;                      /* serves them */
    size_t open;                              /* connections and attempts */
    size_t users;                             /* calls and connections */
    struct rg_timer timer;                    /* without users */
    bool is_closed;                           /* ends with its last user */
};

struct rg_upstreams {
    struct rg_reactor *reactor;
    struct rg_upstream_settings settings;
    struct rg_counters *counters;
    struct rg_map by_service;
    struct rg_upstream_pool *pools;
    struct rg_upstream_call *calls;
    struct rg_upstream_call *spare; /* over, for the next ones; linked by next */
    size_t spare_n;
    uint64_t turn; /* of the loop, in which calls began */
    struct rg_late turn_end;
    /* Scratch of the head that is being told: no more than one at a time. */
    struct rg_h1_response response;
};

/* Addresses that a call tries to connect to; there may be more, which others find out about. */
#define RG_UPSTREAM_MAX_ATTEMPTS 8

struct rg_upstream_call {
    struct rg_upstream_call *prev, *next; /* in upstreams->calls */
    struct rg_upstream_pool *pool;
    const struct rg_upstream_events *events;
    void *arg;
    /*
     * What is to be sent, behind what was and is kept for a second try. Where is_whole, it is the
     * whole request so far.
     */
    struct rg_buf request;
    size_t sent; /* of request, on conn */
    bool is_whole;
    bool is_finished;  /* nothing will be added to request */
    bool is_streamed;  /* by rg_upstream_write() */
    bool has_pieces;   /* some was written */
    bool has_dropped;  /* some was not sent: nobody reads it */
    int64_t body_left; /* to be written; -1: chunked */
    bool is_cut;       /* ended before its length */
    bool is_full;      /* the writer waits for on_writable */

    enum rg_method method;
    bool is_idempotent;
    bool may_retry;
    bool was_retried;
    bool is_paused;
    struct rg_buf upgrade; /* the protocols that are asked for, a list; empty: none */
    uint64_t response_timeout_ms, idle_timeout_ms;
    size_t max_head_bytes;
    /* Sends, goes on with what was kept during a pause, tells of room. */
    struct rg_late late;
    struct rg_upstream_address *address; /* where it goes; NULL: nowhere yet */
    struct rg_connect *connect;          /* NULL: no attempt is under way */
    struct rg_upstream_conn *conn;       /* NULL: there will be one */
    struct rg_upstream_call *line_prev, *line_next;
    bool is_in_line;
    struct rg_timer timer; /* while in line */
    uint64_t deadline_ms;  /* for a connection */
    uint64_t attempt_deadline_ms;
    const struct rg_upstream_address *failed[RG_UPSTREAM_MAX_ATTEMPTS]; /* to compare only */
    size_t failed_n;
    uint64_t started_ns;
    struct rg_upstream_timing timing;
};

enum rg_upstream_state {
    RG_UPSTREAM_IDLE,      /* kept; no call */
    RG_UPSTREAM_HANDSHAKE, /* TLS; its call waits */
    RG_UPSTREAM_HEAD,
    RG_UPSTREAM_BODY,
    RG_UPSTREAM_COMPLETE /* all is told but that */
};

struct rg_upstream_conn {
    struct rg_upstream_conn *prev, *next; /* in address->idle, while idle */
    struct rg_upstream_pool *pool;
    struct rg_upstream_address *address;
    struct rg_upstream_call *call; /* NULL: idle */
    struct rg_stream *stream;      /* NULL: closed, or somebody else's */
    struct rg_timer timer;
    enum rg_upstream_state state;
    bool is_tls;
    bool is_used;        /* has carried a call before */
    bool is_processing;  /* callbacks are on the stack: closing frees later */
    bool is_heard;       /* bytes of an answer have arrived */
    bool is_mute;        /* writing failed; the answer may be there nevertheless */
    bool is_blocked;     /* the socket takes no more for now */
    bool has_sent;       /* bytes of the request */
    uint64_t begun_turn; /* upstreams->turn when the call began */

    struct rg_buf in; /* the beginning of a head, or what arrived before a pause */
    struct rg_h1_scan scan;
    unsigned interims; /* 1xx answers */
    enum rg_h1_body body;
    uint64_t left; /* of a body with a length */
    struct rg_chunked chunked;
    struct rg_buf trailers; /* of a chunked body, as a section (trailers.h) */
    bool keep_alive;        /* what the service says */
};

/* ---- upstream.c ---- */

/*
 * What happens to the call of a connection. It is over with end, fail and switched, and conn->call
 * is NULL; the connection is in its pool or closed.
 */
void rg_upstream_call_end(struct rg_upstream_call *call, const struct rg_http_field *trailers,
                          size_t trailers_n);
void rg_upstream_call_fail(struct rg_upstream_call *call, enum rg_upstream_error error,
                           const struct rg_why *why);
void rg_upstream_call_switched(struct rg_upstream_call *call, const struct rg_upstream_head *head,
                               struct rg_upstream_switched *switched);

/* Whether the request, or what is known of it, could be sent once more. */
bool rg_upstream_call_may_repeat(const struct rg_upstream_call *call);

/* Sends it once more, on a new connection. */
void rg_upstream_call_retry(struct rg_upstream_call *call);

/* Nanoseconds since the call began, for its timing. */
uint64_t rg_upstream_call_age(const struct rg_upstream_call *call);

/* ---- upstream_encode.c ---- */

/* Appends the request: its head, and the body unless it is streamed. */
void rg_upstream_encode(const struct rg_upstream_request *request, struct rg_buf *out);

/* RFC 9110 9.2.2. */
bool rg_upstream_is_idempotent(struct rg_str method);

/* Appends the end of a chunked body; trailers that may not be there are left out. */
void rg_upstream_encode_last(struct rg_buf *out, const struct rg_http_field *trailers, size_t n);

/* ---- upstream_body.c ---- */

/* Bytes of the request that are still to be sent. */
static inline size_t rg_upstream_unsent(const struct rg_upstream_call *call)
{
    return call->request.n - call->sent;
}

/* Forgets what was sent and no second try needs. */
void rg_upstream_forget_sent(struct rg_upstream_call *call);

/* Whether the writer waits for room that there is now. */
bool rg_upstream_has_room_again(const struct rg_upstream_call *call);

/* ---- upstream_pool.c ---- */

/* The pool of this service, which the caller uses from here on, and stops to. */
struct rg_upstream_pool *rg_upstream_pool_ref(struct rg_upstreams *upstreams,
                                              struct rg_upstream_service *service);
void rg_upstream_pool_unref(struct rg_upstream_pool *pool);

/* Frees one without users. */
void rg_upstream_pool_free(struct rg_upstream_pool *pool);

/* The connection joins or leaves the idle ones of its address. False if there are enough. */
bool rg_upstream_pool_keep(struct rg_upstream_conn *conn);
void rg_upstream_pool_remove(struct rg_upstream_conn *conn);

/* Gives the call a kept connection, or begins a new one; false if it has to wait. */
bool rg_upstream_pool_assign(struct rg_upstream_pool *pool, struct rg_upstream_call *call);

/* The call waits, behind all others or before them, until there is a connection or room for one. */
void rg_upstream_pool_wait(struct rg_upstream_pool *pool, struct rg_upstream_call *call,
                           bool is_first);
void rg_upstream_pool_leave_line(struct rg_upstream_call *call);

/* Something has changed for those who wait: looked at at the end of the turn. */
void rg_upstream_pool_serve_late(struct rg_upstream_pool *pool);

/* ---- upstream_address.c ---- */

/* The addresses that need no lookup; the others are looked up when there are calls. */
void rg_upstream_addresses_init(struct rg_upstream_pool *pool);
void rg_upstream_addresses_done(struct rg_upstream_pool *pool);

/* Begins the lookups that are due. */
void rg_upstream_addresses_refresh(struct rg_upstream_pool *pool);

/* True if there are no addresses and none are to come; then why says so. */
bool rg_upstream_addresses_are_none(const struct rg_upstream_pool *pool, struct rg_why *why);

/* The address for this call: of those that it has not failed at the one with the fewest calls,
 * without those that are left out unless all are. NULL if there is none. */
struct rg_upstream_address *rg_upstream_address_choose(struct rg_upstream_pool *pool,
                                                       const struct rg_upstream_call *call);

void rg_upstream_address_unref(struct rg_upstream_address *address);

/* The call is under way to this address from here on / not any more, but it is remembered. */
void rg_upstream_address_begin(struct rg_upstream_address *address, struct rg_upstream_call *call);
void rg_upstream_address_end(struct rg_upstream_call *call);

/* ---- upstream_health.c ---- */

bool rg_upstream_address_is_usable(const struct rg_upstream_address *address);

/* A connection could not be made: it is left out at once. */
void rg_upstream_address_refused(struct rg_upstream_address *address, const struct rg_why *why);
/* A call failed on it. */
void rg_upstream_address_failed(struct rg_upstream_address *address, const struct rg_why *why);
/* An answer began. */
void rg_upstream_address_answered(struct rg_upstream_address *address);
/* It is no address of the service any more. */
void rg_upstream_address_forgotten(struct rg_upstream_address *address);

/* ---- upstream_connect.c ---- */

/* Begins a connection to address, and to others if that fails, for a call that has none. */
void rg_upstream_connect_begin(struct rg_upstream_call *call, struct rg_upstream_address *address);
void rg_upstream_connect_cancel(struct rg_upstream_call *call);

/* The handshake of a connection is over, one way or the other. */
void rg_upstream_connect_shaken(struct rg_upstream_conn *conn);

/* ---- upstream_conn.c ---- */

/* A connection on fd (taken), which may have to shake hands until deadline_ms; NULL if the loop
 * does not accept it. */
struct rg_upstream_conn *rg_upstream_conn_new(struct rg_upstream_address *address, int fd,
                                              uint64_t deadline_ms);

/* False if the service has said anything to, or closed, a connection without a call. */
bool rg_upstream_conn_is_alive(struct rg_upstream_conn *conn);

/* Begins to send the call's request. Nothing is told inside of it. */
void rg_upstream_conn_begin(struct rg_upstream_conn *conn, struct rg_upstream_call *call);

/* Sends what is unsent, and then these slices, which are the caller's to keep what was not taken
 * of. Returns how much was taken of them. Nothing is told inside of it. */
size_t rg_upstream_conn_send(struct rg_upstream_conn *conn, const struct iovec *more, int more_n);

void rg_upstream_conn_pause(struct rg_upstream_conn *conn);
void rg_upstream_conn_resume(struct rg_upstream_conn *conn);

/* From here on it is the service's turn, unless it is we who do not read, or the client who does
 * not write. */
void rg_upstream_conn_restart_timer(struct rg_upstream_conn *conn);

/* Its call fails, and it is closed. */
void rg_upstream_conn_fail(struct rg_upstream_conn *conn, enum rg_upstream_error error,
                           const struct rg_why *why);

/* The service closed it (0) or it failed. */
void rg_upstream_conn_broken(struct rg_upstream_conn *conn, int err);

/* Closes it without telling its call, of which it knows no more. */
void rg_upstream_conn_close(struct rg_upstream_conn *conn);

/* Frees one that is closed. */
void rg_upstream_conn_free(struct rg_upstream_conn *conn);

/* Why it broke, for a person; err 0: the service closed it. */
void rg_upstream_conn_why(const struct rg_upstream_conn *conn, int err, struct rg_why *ret);

/* ---- upstream_answer.c ---- */

/* Handles what was kept and p[0..n), which is new and may be nothing. The connection may be gone
 * afterwards. */
void rg_upstream_conn_process(struct rg_upstream_conn *conn, const char *p, size_t n);

/* The service sends no more. */
void rg_upstream_conn_end_of_stream(struct rg_upstream_conn *conn);
