/*
 * admission.h - whether a client is let in: its token, what it subscribes to, whether it may, and
 * whether there is room (client-api.md 4.2 and 7.2).
 *
 * An admission begins with the request and ends with one call that says how it was decided, mostly
 * at once. Where it must wait (for new keys, for an external check) it lives on without the
 * request: it has copied what it needs, and finds the exchange again by its handle. If the client
 * has gone by then, everything is given up.
 *
 * Tokens are taken from the parameter `jwt`, else from a one-time ticket (parameter `ticket`), else
 * from the cookie that JWT_COOKIE names. What a client gave explicitly must be good; the next place
 * is looked at only where nothing was given.
 *
 * Thread: the reactor.
 */
#pragma once

#include "push/answer.h"
#include "push/client.h"
#include "push/device.h"
#include "push/question.h"

/* What a connect request says; the slices are the caller's. */
struct rg_applicant {
    struct rg_str query;
    struct rg_str cookie; /* the token in it; n == 0: none */
    struct rg_str agent;  /* its user-agent; n == 0: none */
    bool is_foreign;      /* rg_credentials_is_foreign() */
};

struct rg_admission;

/*
 * The decision. exchange is NULL if the client has gone. The admission is the callee's: what is in
 * it is taken, or ended with rg_admission_done().
 */
typedef void rg_admission_fn(struct rg_admission *admission, struct rg_exchange *exchange);

/* Embedded in what a transport needs to open its client. */
struct rg_admission {
    struct rg_question question;
    struct rg_hub *hub;
    struct rg_exchange_handle exchange;
    rg_admission_fn *decided;
    struct rg_answer answer; /* for a refusal; begun by the transport */
    enum rg_transport transport;

    struct rg_applicant applicant; /* until rg_admission_begin() returns */
    struct rg_buf text;            /* what these lie in: */
    struct rg_str jwt, ticket, subscriptions;
    bool is_cookie;           /* jwt is from the cookie */
    struct rg_buf token;      /* jwt, where it is from the ticket */
    struct rg_device *device; /* NULL: there is no token */

    unsigned step;    /* of the transport's list of checks */
    bool is_answered; /* the question of this step */

    /* The decision. */
    enum rg_refusal refusal;         /* RG_ADMITTED: it was decided well */
    struct rg_why why;               /* of a refusal: the text for the client */
    unsigned retry_after_s;          /* of a refusal; 0: never */
    struct rg_subscription_set *set; /* the first subscriptions */
    struct rg_claims *claims;        /* of the token; NULL: there was none */
    struct rg_seat *seat;
};

/* What the request says, as slices of it. */
struct rg_applicant rg_applicant_of(const struct rg_push *push, const struct rg_request *req);

/*
 * Begins an admission (zeroed but for its answer). decided is called once: before this returns, or
 * later in a batch of the reactor.
 */
void rg_admission_begin(struct rg_admission *admission, struct rg_hub *hub,
                        enum rg_transport transport, const struct rg_applicant *applicant,
                        struct rg_exchange *exchange, rg_admission_fn *decided);

/* Gives up what is still in the admission. */
void rg_admission_done(struct rg_admission *admission);

/* Answers a refusal over HTTP: its status, its text and when to try again. */
void rg_admission_refuse(struct rg_admission *admission, struct rg_exchange *exchange);

/*
 * Gives the client of an admission that was decided well its seat, its session and its first words,
 * in this order (4.4). May end the client.
 */
void rg_admission_let_in(struct rg_admission *admission, struct rg_client *client);

/*
 * Takes a seat for the client of exchange, for this and for other kinds of admission. RG_EFULL,
 * with a sentence for the client, where there is none; *ret_seat is NULL where there are no limits.
 */
int rg_admission_take_seat(struct rg_hub *hub, struct rg_exchange *exchange,
                           struct rg_seat **ret_seat, unsigned *ret_retry_after_s,
                           const char **ret_text);
