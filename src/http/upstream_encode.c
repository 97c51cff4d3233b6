#include "base/alloc.h"
#include "http/h1_fields_priv.h"
#include "http/upstream_priv.h"

/* A byte that could end the target or the line, wherever it comes from, is percent-encoded. */
static void add_target(struct rg_buf *out, struct rg_str target)
{
    while (target.n > 0) {
        size_t n = 0;
        while (n < target.n && is(target.p[n], TARGET))
            n++;
        rg_buf_add(out, target.p, n);
        if (n < target.n)
            rg_buf_addf(out, "%%%02X", (unsigned char)target.p[n++]);
        target = rg_str_n(target.p + n, target.n - n);
    }
}

/* A second length would be the beginning of another request; nobody here waits for permission. */
static bool may_send(struct rg_str name)
{
    return name.n > 0 && rg_h1_is_all(name, TOKEN) && !rg_h1_is_of_hop(name) &&
           !(name.n == 6 && rg_str_eq_nocase(name, RG_STR("expect")));
}

static void add_upgrade(const struct rg_upstream_request *request, struct rg_buf *out)
{
    rg_h1_add_field(out, RG_STR("connection"), RG_STR("upgrade"));
    for (size_t i = 0; i < request->fields_n; i++) {
        if (rg_str_eq_nocase(request->fields[i].name, RG_STR("upgrade")))
            rg_h1_add_field(out, RG_STR("upgrade"), request->fields[i].value);
    }
}

static void add_framing(const struct rg_upstream_request *request, struct rg_buf *out)
{
    if (request->is_streamed && request->body_length < 0)
        rg_buf_add_c(out, "transfer-encoding: chunked\r\n");
    else if (request->is_streamed)
        rg_h1_add_length(out, (uint64_t)request->body_length);
    else if (request->has_body)
        rg_h1_add_length(out, request->body.n);
}

void rg_upstream_encode(const struct rg_upstream_request *request, struct rg_buf *out)
{
    rg_assert(request->method.n > 0 && rg_h1_is_all(request->method, TOKEN));
    rg_buf_add_str(out, request->method);
    rg_buf_add_char(out, ' ');
    add_target(out, request->target.n > 0 ? request->target : RG_STR("/"));
    rg_buf_add_str(out, RG_STR(" HTTP/1.1\r\n"));
    for (size_t i = 0; i < request->fields_n; i++) {
        const struct rg_http_field *field = &request->fields[i];
        if (may_send(field->name))
            rg_h1_add_field(out, field->name, field->value);
    }
    if (request->is_upgrade)
        add_upgrade(request, out);
    add_framing(request, out);
    rg_buf_add(out, "\r\n", 2);
    if (request->has_body && !request->is_streamed)
        rg_buf_add_str(out, request->body);
}

bool rg_upstream_is_idempotent(struct rg_str method)
{
    static const struct rg_str names[] = {{"GET", 3},    {"HEAD", 4},    {"PUT", 3},
                                          {"DELETE", 6}, {"OPTIONS", 7}, {"TRACE", 5}};

    for (size_t i = 0; i < RG_COUNT_OF(names); i++) {
        if (rg_str_eq(method, names[i]))
            return true;
    }
    return false;
}

void rg_upstream_encode_last(struct rg_buf *out, const struct rg_http_field *trailers, size_t n)
{
    rg_buf_add(out, "0\r\n", 3);
    for (size_t i = 0; i < n && i < RG_MAX_TRAILERS; i++) {
        if (may_send(trailers[i].name) && rg_trailer_is_allowed(trailers[i].name))
            rg_h1_add_field(out, trailers[i].name, trailers[i].value);
    }
    rg_buf_add(out, "\r\n", 2);
}
