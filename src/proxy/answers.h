/*
 * answers.h - answers that come by another way than the request's: by Kafka, or by POST
 * /v3/responses (api-gateway.md 11.6 to 11.9).
 *
 * Who begins to wait gets a correlation id, which only this gateway can have made (auth/seal.h) and
 * which says on which reactor who waits. Whoever has it may answer, once.
 *
 * Thread: a room and its waits belong to their reactor; delivering, any.
 */
#pragma once

#include "base/buf.h"
#include "base/err.h"
#include "http/request.h"
#include "net/reactor.h"

struct rg_answers;     /* all of it */
struct rg_answer_room; /* those who wait on one reactor */
struct rg_wait;

/* secret.n == 0: a random key per start. */
struct rg_answers *rg_answers_new(struct rg_str secret);
/* The rooms must have been freed, and their reactors have ended (or have turned once more). */
void rg_answers_free(struct rg_answers **answersp);

struct rg_answer_room *rg_answer_room_new(struct rg_answers *answers, struct rg_reactor *reactor);
/*
 * Nobody waits any more: waits that are left end without being told, and what was delivered and has
 * not arrived is dropped. On the room's reactor, or once that has ended.
 */
void rg_answer_room_free(struct rg_answer_room **roomp);

struct rg_answer {
    int status;                         /* 200 to 599 */
    const struct rg_http_field *fields; /* those that may go to a client (11.8) */
    size_t fields_n;
    struct rg_str body;
};

/* Exactly one of them, after which the wait is gone. Not from inside of the functions below. */
struct rg_wait_events {
    void (*on_answer)(void *arg, const struct rg_answer *answer); /* borrowed for the call */
    void (*on_timeout)(void *arg);
};

/*
 * Begins to wait and appends the id. An answer is kept from here on, but told, like the end of
 * time, only after rg_wait_open().
 */
struct rg_wait *rg_wait_begin(struct rg_answer_room *room, const struct rg_wait_events *events,
                              void *arg, struct rg_buf *id);
void rg_wait_open(struct rg_wait *wait, uint64_t timeout_ms);

/* Nobody waits any more: nothing is told. Sets *waitp to NULL (NULL is fine). */
void rg_wait_cancel(struct rg_wait **waitp);

#define RG_ANSWER_MAX_ID 256

/*
 * Hands an answer (copied) to who waits for id. 0, also where nobody waits any more; RG_ESYNTAX for
 * what is not base64url; RG_EINVAL for an id that is not one of ours; RG_EFULL for more fields than
 * an answer can have (84, 64 KiB); RG_EAGAIN where too many answers are on their way to that
 * reactor. Of a status that has no body (204, 304) the body is dropped. Thread: any.
 */
int rg_answers_deliver(struct rg_answers *answers, struct rg_str id,
                       const struct rg_answer *answer);

/*
 * The same for an answer as it comes from Kafka: id and status are among its fields
 * (rig-correlation and rig-response-code, in any case), and those that may are passed on. A
 * negative code with why where it cannot be used; RG_EAGAIN as above. Thread: any.
 */
int rg_answers_deliver_record(struct rg_answers *answers, const struct rg_http_field *fields,
                              size_t n, struct rg_str body, struct rg_why *why);

/*
 * Whether id is one of ours, whoever may wait for it: 0, RG_ESYNTAX or RG_EINVAL as above. Thread:
 * any.
 */
int rg_answers_check(const struct rg_answers *answers, struct rg_str id);

/*
 * What of an answer's fields may go to the client (11.8): writes those that may to ret, which has
 * room for n, and returns how many. is_kafka: all but those of framing and connection, host, date
 * and rig-*, and of what the gateway says itself (access-control-allow-*, x-request-id, the trace,
 * which many producers write to records); else those of the list. What could not be a field of HTTP
 * at all (RFC 9110 5.5) never may.
 */
size_t rg_answer_fields(const struct rg_http_field *fields, size_t n, bool is_kafka,
                        struct rg_http_field *ret);

/*
 * The status that rig-response-code says (decimal, 200 to 599): 0 with *ret, or RG_EINVAL.
 */
int rg_answer_status(struct rg_str text, int *ret);
