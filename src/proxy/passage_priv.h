/*
 * passage_priv.h - one request on its way through the proxy, from its head to the last byte of its
 * answer; shared by those who lead it.
 *
 *   forward.c    checked: path, endpoint, rate, token
 *   intake.c     its body: held, gathered, or passed on
 *   relay.c      asked of the service, answered
 *   tunnel.c     or turned into another protocol
 *
 * It lives as long as its exchange, or its tunnel, and ends what is left of it with that.
 *
 * Thread: the reactor.
 */
#pragma once

#include "http/server.h"
#include "http/trace.h"
#include "http/upstream.h"
#include "http/websocket.h"
#include "proxy/forward.h"
#include "proxy/outcomes.h"
#include "proxy/proxy.h"
#include "proxy/refusal.h"
#include "proxy/tunnel.h"

struct rg_passage;
struct rg_key_wait;

struct rg_forwarder {
    struct rg_proxy *proxy;
    struct rg_reactor *reactor;
    struct rg_upstreams *upstreams;
    struct rg_answer_room *room;
    struct rg_outcomes *outcomes;
    struct rg_tunnels *tunnels;
    struct rg_passage *spare; /* ended ones, to be used again */
    size_t spare_n;
    uint64_t ambiguity_check_ms; /* when it is next looked whether several endpoints match */
    struct rg_buf scratch;       /* for use inside of one call */
};

/* Cleared for each request. */
struct rg_passage_state {
    struct rg_exchange *exchange;       /* NULL: it has ended */
    const struct rg_request *req;       /* while its handler runs, or kept; else NULL */
    struct rg_api *api;                 /* a reference; NULL: no endpoint was found */
    const struct rg_endpoint *endpoint; /* of api */
    struct rg_claims *claims;           /* a reference; NULL: no token was needed */
    struct rg_key_wait *key_wait;       /* keys that a token needs may come */
    struct rg_upstream_call *call;      /* while the service is asked */
    struct rg_wait *wait;               /* an answer may come another way */

    /* of the body, intake.c */
    bool is_receiving; /* it was asked for */
    bool is_gathering;
    bool is_complete; /* all of it was gathered */
    bool has_upload;  /* it is a form that is put together anew */
    size_t enough;    /* bytes to gather, after which it is passed on */
    void (*on_gathered)(struct rg_passage *passage);

    bool is_rated;   /* a request was taken from a bucket; quota is set */
    bool is_head;    /* the client wants no body, the service is asked with GET */
    bool is_upgrade; /* the service is asked for another protocol */
    bool has_begun;  /* the answer is on its way to the client */
    bool is_awaited; /* the service said 202: what it says further is not told */
    bool is_logged;  /* what follows is kept for the access log */
    const char *version;
    size_t method_n; /* of what was asked: text begins with it, the path follows */
    int status;      /* of the answer that was begun */
    uint64_t started_ns, bytes_in, bytes_out;
    struct rg_quota_state quota;
    struct rg_upstream_timing timing; /* of a call that is gone */
};

struct rg_passage {
    struct rg_forwarder *forwarder;
    struct rg_passage *next; /* spare */
    struct rg_passage_state s;
    struct rg_request *kept;
    struct rg_buf text;     /* method and path as they were asked for */
    struct rg_buf gathered; /* of the body */
    struct rg_trace trace;
    char peer[RG_PEER_SIZE];        /* the other end of the connection */
    char client[RG_PEER_SIZE];      /* the address that it comes from, if it is logged */
    char address[64];               /* where the service was asked: of s.timing */
    char protocol[64];              /* that the client asks for, of s.is_upgrade */
    char accept[RG_WS_ACCEPT_SIZE]; /* what a service must answer that is asked for a WebSocket on
                                       behalf of HTTP/2; "": none is */
};

/* A request has come; its handler runs. */
struct rg_passage *rg_passage_begin(struct rg_forwarder *forwarder, struct rg_exchange *exchange);

/* It will be needed after its handler. */
void rg_passage_keep(struct rg_passage *passage);

/* From here on the passage ends when its client leaves. */
void rg_passage_watch(struct rg_passage *passage);

/* For rg_body_events, and rg_exchange_on_gone(): the client has left. arg is the passage. */
void rg_passage_on_gone(void *arg);

void rg_passage_count(struct rg_passage *passage, enum rg_outcome outcome);

/* What the metric and the log call the path and the method that were asked for. */
struct rg_str rg_passage_path(const struct rg_passage *passage);

/* Inside of the last word of its call: its timing is kept, and the call is none of ours any more.
 */
void rg_passage_call_over(struct rg_passage *passage);

/*
 * The exchange, or the tunnel, has ended: outcome is for the access log. Gives up all that is under
 * way. The passage is gone.
 */
void rg_passage_end(struct rg_passage *passage, const char *outcome);

/* Of one that has ended, or is spare. */
void rg_passage_free(struct rg_passage **passagep);

/* Answers in the manner of the endpoint, or of those who find none, and ends. */
void rg_passage_refuse(struct rg_passage *passage, enum rg_refusal refusal, const char *reason);

/* An answer of ours that has no body. Ends. */
void rg_passage_answer(struct rg_passage *passage, int status, enum rg_cors_set set,
                       const char *outcome);

/* RateLimit fields for an answer; numbers are written to scratch. Returns how many, at most 4. */
#define RG_RATE_FIELDS 4
struct rg_rate_texts {
    char limit[24], remaining[24], reset[24], retry[24];
};
size_t rg_passage_rate_fields(const struct rg_passage *passage, struct rg_rate_texts *texts,
                              struct rg_http_field ret[RG_RATE_FIELDS]);

/* The manner in which its client is answered. */
enum rg_dialect rg_passage_dialect(const struct rg_passage *passage);

/* ---- forward.c ---- */

/* The request does not wait for keys any more. Sets *waitp to NULL (NULL is fine). */
void rg_key_wait_leave(struct rg_key_wait **waitp);

/* ---- intake.c ---- */

/* How long a body may be; UINT64_MAX: no limit. */
uint64_t rg_intake_limit(const struct rg_passage *passage);

/* Asks for the body and lets none of it come yet; inside of the handler. */
void rg_intake_hold(struct rg_passage *passage);

/*
 * Gathers the body, of at most max bytes, and calls fn when it is complete, or when more than
 * enough has come. The request is kept.
 */
void rg_intake_gather(struct rg_passage *passage, uint64_t max, size_t enough,
                      void (*fn)(struct rg_passage *passage));

/* What comes, and has come, goes on to the call. */
void rg_intake_pass(struct rg_passage *passage);

/* The call takes more again. */
void rg_intake_resume(struct rg_passage *passage);

/* ---- relay.c ---- */

/*
 * Asks the endpoint's service for target; the request is still there. A body that was gathered
 * whole is sent with its length, any other as it comes.
 */
void rg_relay_begin(struct rg_passage *passage, struct rg_str target);
