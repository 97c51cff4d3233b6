/*
 * h2_conn_priv.h - one HTTP/2 connection and its streams.
 *
 * h2_conn.c has the connection: bytes in and out, time limits, what floods it. h2_stream.c has what
 * happens on one stream: the request, its answer, and the stream that a handler takes over.
 *
 * Thread: the reactor.
 */
#pragma once

#include <nghttp2/nghttp2.h>

#include "http/h2_guard.h"
#include "http/h2_head.h"
#include "http/server_priv.h"

/*
 * Framed output that the socket has not taken: beyond that nothing is framed, and nothing read.
 * What waits unframed waits with its owner, who may share it with thousands, while every byte here
 * is this connection's own.
 */
#define RG_H2_MAX_UNSENT ((size_t)64 * 1024)

/* How many closed streams a connection remembers. */
#define RG_H2_CLOSED 32

/* So many may come at once, and then so many a second. */
struct rg_h2_budget {
    unsigned left;
    uint64_t at_ms;
};

/*
 * A request until it is answered and the answer is out, or until its stream is taken. Apart from
 * the stream, so that a stream that lives long keeps nothing of it.
 */
struct rg_h2_request {
    struct rg_exchange exchange;
    struct rg_h2_stream *stream;
    struct rg_h2_head head;
    struct rg_h1_framing framing;
    struct rg_buf body; /* so far; of one that is streamed what was not told yet, which no window
                         * lets become more than that: each opens again with what is told */
    size_t held;        /* of head and body, in conn's sum */
    struct rg_why *why; /* of a refusal, or an error to be told */
    int refusal;        /* a status; 0: none */
    enum {
        RG_H2_HEAD,
        RG_H2_BODY,
        RG_H2_READY,    /* complete, or to be refused: its turn comes at the end of this one */
        RG_H2_ANSWERING /* the handler was called, or the refusal is on its way */
    } state;
    bool is_streamed;           /* its body (router.h) */
    bool is_done;               /* nothing of it is needed any more */
    struct rg_buf trailers_in;  /* as a section (trailers.h) */
    struct rg_buf trailers_out; /* the same, of an answer that is finished */
    struct rg_buf rest;         /* of the answer's body: what the peer's window does not take yet */
    size_t rest_at;             /* what of it is framed */
    uint64_t since_ms;      /* of the current limit: head, body's rate, or the answer's progress */
    uint64_t rate_since_ms; /* of a streamed body's */
    size_t window_bytes;    /* of the body since then */
};

struct rg_h2_stream {
    struct rg_stream stream; /* what a taker has */
    struct rg_h2_conn *conn;
    struct rg_h2_stream *prev, *next; /* in conn->streams */
    struct rg_h2_stream *next_due;
    union {
        struct rg_h2_request *request; /* NULL: answered */
        struct rg_buf *in;             /* once taken: received and not read; NULL: nothing */
        uint64_t closed_ms;            /* once the taker has closed it */
    };
    int32_t id;
    bool is_taken : 1;
    bool is_held : 1;      /* taken, and not closed by the taker */
    bool is_ending : 1;    /* closed by the taker, and END_STREAM waits for the peer's windows */
    bool is_tunnel : 1;    /* an extended CONNECT */
    bool is_due : 1;       /* in conn's list */
    bool is_called : 1;    /* its handler or owner is on the stack */
    bool has_ended : 1;    /* the peer sends no more */
    bool is_shut : 1;      /* we send no more than what is there */
    bool has_sent_end : 1; /* END_STREAM is framed */
    bool is_over : 1;      /* nghttp2 has forgotten it */
    bool is_reset : 1;     /* it ended before its time */
    bool asks_read : 1;    /* what its owner wanted last */
    bool asks_write : 1;
    bool knows_end : 1; /* the owner was told that the peer has ended */
};

/* Bytes that are to become DATA frames. */
struct rg_h2_source {
    const struct rg_h2_stream *stream; /* NULL: none */
    const struct iovec *iov;
    size_t at;   /* in *iov */
    size_t left; /* of all */
};

struct rg_h2_conn {
    struct rg_http_link link;
    struct rg_http_server *server;
    struct rg_reactor *reactor;
    struct rg_http_transport transport;
    struct rg_stream *socket; /* NULL: closed; only streams that still have an owner are left */
    nghttp2_session *session; /* NULL: over; what is unsent goes out */
    struct rg_timer timer;
    struct rg_late late;

    struct rg_h2_stream *streams;
    size_t streams_n;
    size_t timed_n; /* requests, and streams whose end is not framed: those with a time limit */
    struct rg_h2_stream *due_first, *due_last; /* a handler to call, an owner to tell, or to free */
    /* A ring of the numbers of those that are closed; negative: the peer had not ended them. */
    int32_t closed[RG_H2_CLOSED];
    unsigned closed_at;
    struct rg_h2_stream
        *next_writer;  /* who found no room last time, and is the first to get some */
    int32_t last_id;   /* the highest that the peer has opened */
    size_t held_bytes; /* heads and bodies of requests that are not complete */

    size_t unflushed;           /* of out, in the server's sum */
    struct rg_buf out;          /* framed and unsent */
    struct rg_h2_source source; /* while a writer is on the stack */
    uint64_t stuck_since_ms;    /* the socket takes nothing; 0: it does */
    uint64_t idle_since_ms;     /* when the last stream went */

    unsigned preface_left; /* bytes */
    struct rg_h2_guard guard;
    struct rg_h2_budget resets, talk;
    unsigned block_fields; /* of the header block that is arriving */
    size_t block_bytes;

    bool has_settings; /* of the peer */
    bool is_full;      /* something waited for room in out */
    bool may_go_on;    /* windows opened, or there is room again */
    bool is_refused;   /* GOAWAY is submitted: nothing more is taken in */
    bool is_flooded;   /* by the peer, who is cut off */
    bool is_draining;
    bool is_lingering;
    size_t lingered;
    bool is_working;  /* handlers and owners are being called */
    bool wants_close; /* at the end of that */
    bool is_broken;   /* the socket, or nghttp2's state */
};

/* ---- h2_conn.c ---- */

static inline bool rg_h2_is_full(const struct rg_h2_conn *c)
{
    return c->out.n >= RG_H2_MAX_UNSENT;
}

/* Frames what is submitted, as far as there is room. Calls no handler and no owner. */
void rg_h2_pump(struct rg_h2_conn *c);

/* Has everything done at the end of this turn that the connection has to do. */
void rg_h2_run_late(struct rg_h2_conn *c);

/* Keeps in mind how the stream was closed: who may have sent for it before knowing. */
void rg_h2_remember_closed(struct rg_h2_conn *c, const struct rg_h2_stream *s);

/* The stream's turn comes then, too. Or it does not, after all. */
void rg_h2_make_due(struct rg_h2_stream *s);
void rg_h2_cancel_due(struct rg_h2_stream *s);

/* Frees what is closed and has lost its last stream. */
void rg_h2_conn_reap(struct rg_h2_conn *c);

/* ---- h2_stream.c ---- */

/* The callbacks of nghttp2 that are about one stream. */
int rg_h2_on_begin_headers(nghttp2_session *session, const nghttp2_frame *frame, void *arg);
int rg_h2_on_header(nghttp2_session *session, const nghttp2_frame *frame, const uint8_t *name,
                    size_t name_n, const uint8_t *value, size_t value_n, uint8_t flags, void *arg);
int rg_h2_on_data(nghttp2_session *session, uint8_t flags, int32_t id, const uint8_t *p, size_t n,
                  void *arg);
int rg_h2_on_stream_close(nghttp2_session *session, int32_t id, uint32_t code, void *arg);
int rg_h2_send_data(nghttp2_session *session, nghttp2_frame *frame, const uint8_t *head, size_t n,
                    nghttp2_data_source *source, void *arg);

/* A header block or the data of a stream is complete; is_end: with END_STREAM. */
void rg_h2_head_complete(struct rg_h2_stream *s, bool is_end);
void rg_h2_stream_ended(struct rg_h2_stream *s);

/* Calls the handler or tells the owner, whatever the stream is due for; may free s. */
void rg_h2_serve(struct rg_h2_stream *s);

/* Tells a stream whose owner waits for it that it can be written to. */
void rg_h2_wake_writer(struct rg_h2_stream *s);

/* Refuses or resets what is too slow; when to look again is the caller's. */
void rg_h2_check_time(struct rg_h2_stream *s);

/* The connection is gone under it. */
void rg_h2_stream_lost(struct rg_h2_stream *s);
