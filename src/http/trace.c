#include "http/trace.h"

#include <string.h>

#include "base/random.h"

#define REQUEST_ID_MIN   20
#define REQUEST_ID_BYTES 12 /* of randomness in an id we make: 24 hex digits */
#define TRACE_ID_AT      3
#define SPAN_ID_AT       36
#define FLAGS_AT         53

static bool is_hex(const char *p, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (!((p[i] >= '0' && p[i] <= '9') || (p[i] >= 'a' && p[i] <= 'f')))
            return false;
    }
    return true;
}

static bool is_zero(const char *p, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (p[i] != '0')
            return false;
    }
    return true;
}

/* W3C Trace Context section 3.2.2; a higher version is read by the layout of version 00. */
static bool is_traceparent(struct rg_str s)
{
    if (s.n < RG_TRACEPARENT_LEN || s.p[2] != '-' || s.p[35] != '-' || s.p[52] != '-')
        return false;
    if (!is_hex(s.p, 2) || !is_hex(s.p + TRACE_ID_AT, 32) || !is_hex(s.p + SPAN_ID_AT, 16) ||
        !is_hex(s.p + FLAGS_AT, 2))
        return false;
    bool is_version_00 = memcmp(s.p, "00", 2) == 0;
    if (memcmp(s.p, "ff", 2) == 0 || (is_version_00 && s.n != RG_TRACEPARENT_LEN) ||
        (s.n > RG_TRACEPARENT_LEN && s.p[RG_TRACEPARENT_LEN] != '-'))
        return false;
    return !is_zero(s.p + TRACE_ID_AT, 32) && !is_zero(s.p + SPAN_ID_AT, 16);
}

static void begin_traceparent(struct rg_str given, char out[RG_TRACEPARENT_LEN + 1])
{
    memcpy(out, "00-", TRACE_ID_AT);
    if (is_traceparent(given)) {
        memcpy(out + TRACE_ID_AT, given.p + TRACE_ID_AT, 32);
        memcpy(out + FLAGS_AT, given.p + FLAGS_AT, 2);
    } else {
        rg_random_hex(out + TRACE_ID_AT, 16);
        memcpy(out + FLAGS_AT, "01", 2);
    }
    out[35] = '-';
    rg_random_hex(out + SPAN_ID_AT, 8);
    out[52] = '-';
    out[RG_TRACEPARENT_LEN] = '\0';
}

void rg_trace_begin(const struct rg_request *req, struct rg_trace *trace)
{
    struct rg_str id = rg_request_field(req, RG_STR("x-request-id"));
    struct rg_str state = rg_request_field(req, RG_STR("tracestate"));

    if (id.n >= REQUEST_ID_MIN && id.n <= RG_REQUEST_ID_MAX) {
        memcpy(trace->request_id, id.p, id.n);
        trace->request_id_n = (uint16_t)id.n;
    } else {
        rg_random_hex(trace->request_id, REQUEST_ID_BYTES);
        trace->request_id_n = 2 * REQUEST_ID_BYTES;
    }
    begin_traceparent(rg_request_field(req, RG_STR("traceparent")), trace->traceparent);
    trace->tracestate_n = state.n <= RG_TRACESTATE_MAX ? (uint16_t)state.n : 0;
    if (trace->tracestate_n > 0)
        memcpy(trace->tracestate, state.p, state.n);
}

void rg_trace_child(const struct rg_trace *trace, char out[RG_TRACEPARENT_LEN + 1])
{
    memcpy(out, trace->traceparent, RG_TRACEPARENT_LEN + 1);
    rg_random_hex(out + SPAN_ID_AT, 8);
}

void rg_trace_add(const struct rg_trace *trace, struct rg_response *response)
{
    rg_response_add(response, RG_STR("x-request-id"),
                    rg_str_n(trace->request_id, trace->request_id_n));
    rg_response_add(response, RG_STR("traceparent"),
                    rg_str_n(trace->traceparent, RG_TRACEPARENT_LEN));
    if (trace->tracestate_n > 0)
        rg_response_add(response, RG_STR("tracestate"),
                        rg_str_n(trace->tracestate, trace->tracestate_n));
}
