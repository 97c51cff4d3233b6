#include "http/response.h"

#include "base/err.h"
#include "http/h1.h"

void rg_response_add(struct rg_response *res, struct rg_str name, struct rg_str value)
{
    rg_assert(res->fields_n < RG_RESPONSE_MAX_FIELDS);
    res->fields[res->fields_n++] = (struct rg_http_field){name, value};
}

static void add_field(struct rg_buf *out, struct rg_str name, struct rg_str value)
{
    rg_buf_add_str(out, name);
    rg_buf_add(out, ": ", 2);
    char *to = rg_buf_reserve(out, value.n + 2);
    for (size_t i = 0; i < value.n; i++) {
        char c = value.p[i];
        to[i] = c == '\r' || c == '\n' || c == '\0' ? ' ' : c;
    }
    memcpy(to + value.n, "\r\n", 2);
    out->n += value.n + 2;
}

bool rg_response_is_bodiless(int status)
{
    return status < 200 || status == 204 || status == 304;
}

/* Says what happens to the connection where it is not what the version implies. */
static void add_connection(struct rg_buf *out, unsigned request_minor, bool keep_alive)
{
    if (!keep_alive)
        rg_buf_add_c(out, "connection: close\r\n");
    else if (request_minor == 0)
        rg_buf_add_c(out, "connection: keep-alive\r\n");
}

void rg_response_encode_h1(const struct rg_response *res, enum rg_method request_method,
                           unsigned request_minor, bool keep_alive, const char *date,
                           struct rg_buf *out)
{
    rg_buf_addf(out, "HTTP/1.1 %d %s\r\n", res->status, rg_h1_reason(res->status));
    for (size_t i = 0; i < res->fields_n; i++)
        add_field(out, res->fields[i].name, res->fields[i].value);
    rg_buf_addf(out, "date: %s\r\n", date);
    if (!rg_response_is_bodiless(res->status))
        rg_buf_addf(out, "content-length: %zu\r\n", res->body.n);
    /* An interim response says nothing of the connection's end; 101 brings its own field. */
    if (res->status >= 200)
        add_connection(out, request_minor, keep_alive);
    rg_buf_add(out, "\r\n", 2);
    if (!rg_response_is_bodiless(res->status) && request_method != RG_HEAD)
        rg_buf_add_str(out, res->body);
}

void rg_response_encode_h1_stream(const struct rg_response *res, bool is_chunked, const char *date,
                                  struct rg_buf *out)
{
    rg_buf_addf(out, "HTTP/1.1 %d %s\r\n", res->status, rg_h1_reason(res->status));
    for (size_t i = 0; i < res->fields_n; i++)
        add_field(out, res->fields[i].name, res->fields[i].value);
    rg_buf_addf(out, "date: %s\r\n", date);
    if (is_chunked)
        rg_buf_add_c(out, "transfer-encoding: chunked\r\n");
    else if (res->status == 101)
        rg_buf_add_c(out, "connection: upgrade\r\n");
    else
        rg_buf_add_c(out, "connection: close\r\n");
    rg_buf_add(out, "\r\n", 2);
}
