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

/* p is NULL where there is none, or more than one. */
static struct rg_str only_field(const struct rg_request *req, struct rg_str name)
{
    size_t at = 0;
    const struct rg_http_field *field = rg_request_next_field(req, name, &at);

    if (field == NULL || rg_request_next_field(req, name, &at) != NULL)
        return rg_str_c(NULL);
    return field->value;
}

static void begin_traceparent(struct rg_str given, struct rg_trace *trace)
{
    char *out = trace->traceparent;

    memcpy(out, "00-", TRACE_ID_AT);
    trace->is_continued = is_traceparent(given);
    if (trace->is_continued) {
        memcpy(out + TRACE_ID_AT, given.p + TRACE_ID_AT, 32);
        memcpy(out + FLAGS_AT, given.p + FLAGS_AT, 2);
        /* What the other bits of a later version mean, nobody knows yet (section 4). */
        if (memcmp(given.p, "00", 2) != 0)
            memcpy(out + FLAGS_AT, strchr("13579bdf", given.p[FLAGS_AT + 1]) != NULL ? "01" : "00",
                   2);
    } else {
        rg_random_hex(out + TRACE_ID_AT, 16);
        memcpy(out + FLAGS_AT, "01", 2);
    }
    out[35] = '-';
    rg_random_hex(out + SPAN_ID_AT, 8);
    out[52] = '-';
    out[RG_TRACEPARENT_LEN] = '\0';
}

/* Lines of a list are one list (RFC 9110 5.3). */
static void begin_tracestate(const struct rg_request *req, struct rg_trace *trace)
{
    const struct rg_http_field *field;
    size_t at = 0, n = 0;

    trace->tracestate_n = 0;
    while ((field = rg_request_next_field(req, RG_STR("tracestate"), &at)) != NULL) {
        struct rg_str value = field->value;
        if (value.n == 0)
            continue;
        if (n + (n > 0) + value.n > RG_TRACESTATE_MAX)
            return;
        if (n > 0)
            trace->tracestate[n++] = ',';
        memcpy(trace->tracestate + n, value.p, value.n);
        n += value.n;
    }
    trace->tracestate_n = (uint16_t)n;
}

void rg_trace_begin(const struct rg_request *req, struct rg_trace *trace)
{
    struct rg_str id = rg_request_field(req, RG_STR("x-request-id"));

    if (id.n >= REQUEST_ID_MIN && id.n <= RG_REQUEST_ID_MAX) {
        memcpy(trace->request_id, id.p, id.n);
        trace->request_id_n = (uint16_t)id.n;
    } else {
        rg_random_hex(trace->request_id, REQUEST_ID_BYTES);
        trace->request_id_n = 2 * REQUEST_ID_BYTES;
    }
    begin_traceparent(only_field(req, RG_STR("traceparent")), trace);
    begin_tracestate(req, trace);
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
