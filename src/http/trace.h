/*
 * trace.h - request ids and W3C Trace Context (client-api.md 1.10 and 16.1).
 *
 * Thread: any; no state.
 */
#pragma once

#include "http/response.h"

#define RG_REQUEST_ID_MAX  200
#define RG_TRACEPARENT_LEN 55
#define RG_TRACESTATE_MAX  512

/* What a response repeats or continues of its request. Plain data: may be copied and kept. */
struct rg_trace {
    uint16_t request_id_n, tracestate_n; /* 0: none */
    char request_id[RG_REQUEST_ID_MAX];
    char traceparent[RG_TRACEPARENT_LEN + 1];
    char tracestate[RG_TRACESTATE_MAX];
    bool is_continued; /* the request had a valid traceparent; else the trace begins with it */
};

/*
 * Takes over the request's x-request-id if it has 20 to 200 bytes, else makes one; continues a
 * valid traceparent with a new span id, else (also where there are two) starts a trace. Of a
 * version that we do not know only the flag "sampled" is kept. Lines of tracestate are joined; with
 * more than RG_TRACESTATE_MAX bytes there is none.
 */
void rg_trace_begin(const struct rg_request *req, struct rg_trace *trace);

/*
 * Writes the traceparent for a request that is made on behalf of this one: the same trace id and
 * flags, a span id of its own, and a NUL.
 */
void rg_trace_child(const struct rg_trace *trace, char out[RG_TRACEPARENT_LEN + 1]);

/* Adds x-request-id, traceparent and tracestate; trace is borrowed until the response is sent. */
void rg_trace_add(const struct rg_trace *trace, struct rg_response *response);
