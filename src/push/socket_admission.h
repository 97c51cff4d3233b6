/*
 * socket_admission.h - whether a channel socket is let in: its origin, its token, its version, and
 * whether there is room (legacy-channels.md section 3).
 *
 * The sibling of admission.h, with the same life: begun with the request, decided once, mostly at
 * once; where it waits for keys it lives on without the request and finds the exchange again.
 *
 * A token is looked for in every parameter `token`, in the WebSocket sub-protocols
 * (base64url.bearer.phx.<x>) and in X-Phoenix-AuthToken; one valid one with a jti is enough. As
 * none of them comes by itself, as a cookie would, the check of the origin keeps no more out than
 * pages whose users were talked into giving them a token: pages from localhost are let in, then
 * those of ORIGINS, or, where that is any, of CORS.
 *
 * Thread: the reactor.
 */
#pragma once

#include "push/answer.h"
#include "push/channels.h"
#include "push/question.h"

struct rg_socket_admission;

/* exchange is NULL if the client has gone. The admission is the callee's. */
typedef void rg_socket_admission_fn(struct rg_socket_admission *admission,
                                    struct rg_exchange *exchange);

#define RG_MAX_SOCKET_TOKENS 8

/* Embedded in what a transport needs to open its client; zeroed but for its answer. */
struct rg_socket_admission {
    struct rg_question question;
    struct rg_hub *hub;
    struct rg_exchange_handle exchange;
    rg_socket_admission_fn *decided;
    struct rg_answer answer; /* for a refusal; begun by the transport */
    enum rg_transport transport;

    struct rg_buf text; /* what the next lie in */
    struct rg_str tokens[RG_MAX_SOCKET_TOKENS];
    size_t tokens_n;
    struct rg_str token; /* the valid one of them */
    struct rg_device *device;
    bool is_answered; /* the new keys are there, if there are any */

    /* The decision. */
    enum rg_refusal
        refusal; /* RG_ADMITTED; RG_REFUSED_QUERY (vsn), _ORIGIN, _TOKEN, _LIMIT, _DRAINING */
    struct rg_why why;
    unsigned retry_after_s; /* 0: it does not help to try again */
    char retry_after[12];   /* the same for the answer, which has it as a field */
    enum rg_phx_vsn vsn;
    struct rg_claims *claims;
    struct rg_seat *seat;
};

/*
 * Begins. skip (may be empty) is a value of the parameter `token` that is no candidate, because the
 * transport knows it for what it is (a poll id, 7.1).
 */
void rg_socket_admission_begin(struct rg_socket_admission *admission, struct rg_hub *hub,
                               enum rg_transport transport, struct rg_str skip,
                               struct rg_exchange *exchange, rg_socket_admission_fn *decided);

/*
 * The same in two steps, for a transport that finds out between them whether it needs a decision:
 * keeps what the request says, in its handler; decides, with the exchange found again.
 */
void rg_socket_admission_read(struct rg_socket_admission *admission, struct rg_hub *hub,
                              enum rg_transport transport, struct rg_str skip,
                              struct rg_exchange *exchange);
void rg_socket_admission_decide(struct rg_socket_admission *admission, struct rg_exchange *exchange,
                                rg_socket_admission_fn *decided);

/*
 * The status of a refusal: 429 and 503 where it helps to come back later, which the dialect does
 * not know; otherwise its own.
 */
int rg_socket_admission_status(const struct rg_socket_admission *admission, int otherwise);

/* Gives up what is still in it. */
void rg_socket_admission_done(struct rg_socket_admission *admission);

/* Gives a client of an admission that was decided well its seat and its channels. May end it. */
void rg_socket_admission_let_in(struct rg_socket_admission *admission, struct rg_client *client);

/* Answers OPTIONS of an endpoint that pages call (section 7): all that they may send. */
void rg_socket_admission_preflight(struct rg_answer *answer, struct rg_exchange *exchange);
