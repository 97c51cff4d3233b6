/*
 * refusal.h - what the proxy answers where no service does: as text or, in the manner of 2017, as
 * JSON (api-gateway.md sections 9, 10 and 15, legacy-channels.md 14.2).
 *
 * Thread: the reactor of the exchange.
 */
#pragma once

#include "http/server.h"
#include "http/trace.h"
#include "proxy/api.h"

enum rg_refusal {
    RG_REFUSAL_BAD_REQUEST,
    RG_REFUSAL_UNAUTHORIZED,
    RG_REFUSAL_NOT_FOUND,
    RG_REFUSAL_METHOD,
    RG_REFUSAL_TOO_SLOW,  /* the body */
    RG_REFUSAL_TOO_LARGE, /* the body */
    RG_REFUSAL_TOO_MANY,  /* requests */
    RG_REFUSAL_NO_TUNNEL, /* an extended CONNECT to what has none */
    RG_REFUSAL_UNREACHABLE,
    RG_REFUSAL_TIMEOUT /* of the service */
};

/* Which fields for scripts of other sites an answer has (10.1). */
enum rg_cors_set {
    RG_CORS_NONE,
    RG_CORS_A, /* refused tokens, answers that came another way */
    RG_CORS_B  /* event targets */
};

struct rg_refusal_details {
    enum rg_refusal refusal;
    enum rg_dialect dialect;
    const char *reason;           /* what is wrong with the request; NULL: not told */
    const struct rg_trace *trace; /* begun with the request */
    enum rg_cors_set cors_set;
    const char *cors; /* CORS */
    /* Further fields, which are borrowed; at most 4. */
    const struct rg_http_field *fields;
    size_t fields_n;
};

/* Answers, and returns the status. */
int rg_refusal_send(struct rg_exchange *exchange, const struct rg_refusal_details *details);

/* For access logs: "unauthorized". */
const char *rg_refusal_name(enum rg_refusal refusal);

/* Adds the fields of a set to an answer; cors is borrowed. */
void rg_cors_add(struct rg_response *response, enum rg_cors_set set, const char *cors);

/* Adds what all our own answers carry (section 9); trace is borrowed. */
void rg_gateway_fields_add(struct rg_response *response, const struct rg_trace *trace);
