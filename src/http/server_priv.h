/*
 * server_priv.h - what a server, its connections and the exchanges on them know of each other.
 *
 * server.c has the list of connections, exchange.c is what a handler sees, h1_conn.c and h2_conn.c
 * read requests and write answers, proxied.c what a balancer says before them. A connection begins
 * as h1_conn.c's, which hands it over when its first bytes say so.
 *
 * Thread: the reactor.
 */
#pragma once

#include "base/slots.h"
#include "base/throttle.h"
#include "http/server.h"

/* Rows of a server's counters; see server.c for names and meaning. */
enum {
    RG_HTTP_CONNECTIONS,
    RG_HTTP_ACCEPTED,
    RG_HTTP_REQUESTS,
    RG_HTTP_2XX,
    RG_HTTP_3XX,
    RG_HTTP_4XX,
    RG_HTTP_5XX,
    RG_HTTP_MALFORMED,
    RG_HTTP_TIMEOUTS,
    RG_HTTP_H2_CONNECTIONS,
    RG_HTTP_H2_STREAMS,
    RG_HTTP_H2_RESETS_IN,
    RG_HTTP_H2_RESETS_OUT,
    RG_HTTP_H2_FLOODS,
    RG_HTTP_PROXY_ERRORS,
    RG_HTTP_ROWS
};

/* A connection of any version, in its server's list. */
struct rg_http_link {
    const struct rg_http_link_ops *ops;
    struct rg_http_link *prev, *next;
};

struct rg_http_link_ops {
    void (*drain)(struct rg_http_link *link); /* the server has begun to drain */
    void (*close)(struct rg_http_link *link); /* at once; removes the link */
};

/* What is under a connection, whatever its version. */
struct rg_http_transport {
    int fd;
    bool is_secure;
    bool knows_peer; /* asked for before, or told by a balancer */
    char peer[RG_PEER_SIZE];
};

struct rg_exchange {
    const struct rg_exchange_ops *ops;
    struct rg_http_server *server;
    struct rg_http_transport *transport;
    struct rg_route_match match;
    enum rg_method method;
    uint64_t started_ms;
    uint64_t started_ns; /* the same as a fine clock has it */
    uint32_t slot;       /* in server->unanswered, while has_slot */
    bool has_slot;
    bool in_handler; /* server->request is this one's */
    bool is_taken;

    /* A request in pieces. */
    bool is_receiving; /* asked for; neither its end nor an error was told */
    bool is_paused;
    uint64_t receive_max; /* bytes that may still come */
    struct rg_receive_events receive;
    void *receive_arg;

    /* An answer in pieces. */
    bool is_streaming; /* begun, and neither finished nor aborted */
    bool drops_body;   /* there is none: HEAD, 204, 304 */
    bool is_full;      /* a write has returned false, and on_writable is due */
    int64_t left;      /* announced and not written yet; -1: not known */
    void (*on_writable)(void *arg);
    /* Of who has begun to answer, or waits for the peer's end before that. */
    void (*on_gone)(void *arg);
    void *arg;
};

/* How each version answers. respond, take, finish and abort are called when the exchange has ended;
 * none of them tells anything. */
struct rg_exchange_ops {
    void (*respond)(struct rg_exchange *exchange, const struct rg_response *response);
    void (*take)(struct rg_exchange *exchange, const struct rg_response *head,
                 struct rg_taken *ret);
    void (*begin_body)(struct rg_exchange *exchange, const struct rg_response *head,
                       int64_t length);
    /* piece is not empty; false if enough is kept. */
    bool (*write_body)(struct rg_exchange *exchange, struct rg_str piece);
    /* Of trailers those that may be sent are. */
    void (*finish_body)(struct rg_exchange *exchange, const struct rg_http_field *trailers,
                        size_t trailers_n);
    void (*abort_body)(struct rg_exchange *exchange);
    /* is_paused has changed. */
    void (*pause)(struct rg_exchange *exchange);
    void (*resume)(struct rg_exchange *exchange);
};

/* What is to be called when all that belonged to an exchange is freed. */
struct rg_gone {
    void (*fn)(void *arg); /* NULL: nothing */
    void *arg;
};

static inline void rg_gone_tell(struct rg_gone gone)
{
    if (gone.fn != NULL)
        gone.fn(gone.arg);
}

#define RG_H2_MAX_SPARE 128

struct rg_http_server {
    struct rg_reactor *reactor;
    const struct rg_http_settings *settings;
    struct rg_tls *tls; /* NULL: no port with TLS */
    const struct rg_route *routes;
    size_t routes_n;
    struct rg_counters *counters;
    struct rg_http_link *links;
    struct rg_http_link *next_link;          /* of a walk over all of them that may close any */
    struct rg_buf h2_spare[RG_H2_MAX_SPARE]; /* memory for output, between two uses */
    size_t h2_spare_n;
    struct rg_throttle proxy_errors;
    size_t h2_unflushed; /* bytes that connections of HTTP/2 keep for the end of the turn */
    bool is_draining;

    /* Unanswered exchanges by number, so that an answer from elsewhere can find its way. */
    struct rg_slots unanswered;

    struct rg_request request; /* of the handler that is running */
    struct rg_buf encoded;     /* scratch of an answer */
};

/* ---- server.c ---- */

/* A connection joins or leaves the list; both count. */
void rg_http_server_add(struct rg_http_server *server, struct rg_http_link *link,
                        const struct rg_http_link_ops *ops);
void rg_http_server_remove(struct rg_http_server *server, struct rg_http_link *link);

/* Begins HTTP on transport's socket (taken), with TLS where it is secure. */
void rg_http_server_begin(struct rg_http_server *server, struct rg_http_transport transport);

void rg_http_server_count_status(struct rg_http_server *server, int status);

/* Counts and logs what is refused here, not by a handler. */
void rg_http_server_count_refusal(struct rg_http_server *server, int status,
                                  const struct rg_why *why);

/*
 * The JSON of a refusal made here, not by a handler: {"message":…,"where":…}, appended to body.
 * Counts and logs it.
 */
void rg_http_server_refusal(struct rg_http_server *server, int status, const struct rg_why *why,
                            struct rg_buf *body);

/* ---- exchange.c ---- */

/* The head is complete: notes the time. */
void rg_exchange_note_start(struct rg_exchange *exchange);

/*
 * Calls the handler of exchange->match, which the caller has filled like method, the start and
 * server->request with its body. The exchange waits for its answer from here on.
 */
void rg_exchange_begin(struct rg_exchange *exchange);

/*
 * The connection or stream under the exchange is gone, and with it the exchange if it has not
 * ended. Who must know is told by the caller, as the last thing it does.
 */
struct rg_gone rg_exchange_lost(struct rg_exchange *exchange);

/* There is room again: calls on_writable if it is due. The exchange may be gone then. */
void rg_exchange_tell_writable(struct rg_exchange *exchange);

/* Whether it is to be told of its body now. */
static inline bool rg_exchange_wants_body(const struct rg_exchange *exchange)
{
    return exchange->is_receiving && !exchange->is_paused;
}

/*
 * Tell whoever receives (and wants it now): a piece, which is not empty, of a body that is not too
 * long; that the body has ended; that the rest will never come. The exchange may have ended then,
 * and its connection too.
 */
void rg_exchange_tell_piece(struct rg_exchange *exchange, struct rg_str piece);
void rg_exchange_tell_end(struct rg_exchange *exchange, const struct rg_http_field *trailers,
                          size_t trailers_n);
void rg_exchange_tell_error(struct rg_exchange *exchange, int status, const struct rg_why *why);

/* Whether a body that has so many bytes, or so many more, is too long for whoever receives it; why
 * is for the error that is to be told then. */
bool rg_exchange_is_too_long(const struct rg_exchange *exchange, uint64_t n, struct rg_why *why);

/* ---- proxied.c ---- */

/* A connection on a socket (taken) that begins with a header of the PROXY protocol. */
void rg_proxied_open(struct rg_http_server *server, int fd, bool is_secure);

/* ---- h1_conn.c ---- */

/* A connection on a stream that is open (taken) and may have bytes to read. */
void rg_h1_conn_open(struct rg_http_server *server, struct rg_stream *stream,
                     struct rg_http_transport transport);

/* ---- h2_conn.c ---- */

/*
 * Whether p[0..n) begins a connection of HTTP/2 (RFC 9113 3.4): 1 if so, 0 if more bytes will tell,
 * -1 if not.
 */
int rg_h2_detect(const char *p, size_t n);

/*
 * A connection on stream (taken) whose first bytes are p[0..n), where the preface should be. They
 * are used up when this returns.
 */
void rg_h2_conn_open(struct rg_http_server *server, struct rg_stream *stream,
                     struct rg_http_transport transport, const char *p, size_t n);
