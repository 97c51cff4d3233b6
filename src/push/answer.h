/*
 * answer.h - responses of the client API, with what all of them carry: request id, trace context,
 * cache control, CORS (client-api.md 1.10, 1.12).
 *
 * An answer can be made at once, or begun while the request is there, kept, and sent later.
 *
 * Thread: the reactor of the exchange when sending; plain data before.
 */
#pragma once

#include "http/server.h"
#include "http/trace.h"
#include "push/push.h"

struct rg_answer {
    const struct rg_push *push;
    struct rg_trace trace;
    bool is_cors;            /* send what pages of other origins need (default) */
    const char *cors_origin; /* whose pages may read the answer: CORS, or "*" */
    bool allows_credentials; /* a page may send cookies */
    bool has_cache_control;  /* one was added; otherwise the default is */
    struct rg_http_field extra[8];
    size_t extra_n;
};

/* Begins the answer to req, which is not kept. */
struct rg_answer rg_answer_begin(const struct rg_push *push, const struct rg_request *req);

/* Any page may read the answer, whatever CORS is; without cookies. */
void rg_answer_open(struct rg_answer *answer);

/* Adds a field; name and value are borrowed until the answer is sent. */
void rg_answer_add(struct rg_answer *answer, struct rg_str name, struct rg_str value);

/* Adds what pages of other origins need to a response that is made elsewhere (the head of a
 * stream). */
void rg_answer_add_cors(const struct rg_answer *answer, struct rg_response *response);

/* Send: plain text; JSON; 204 and the like; the answer to a preflight. */
void rg_answer_text(struct rg_answer *answer, struct rg_exchange *exchange, int status,
                    const char *text);
void rg_answer_json(struct rg_answer *answer, struct rg_exchange *exchange, int status,
                    struct rg_str json);
void rg_answer_empty(struct rg_answer *answer, struct rg_exchange *exchange, int status);
void rg_answer_preflight(struct rg_answer *answer, struct rg_exchange *exchange,
                         const char *methods, const char *headers);
