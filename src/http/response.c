#include "http/response.h"

#include "base/err.h"
#include "http/h1.h"
#include "http/h1_fields_priv.h"

void rg_response_add(struct rg_response *res, struct rg_str name, struct rg_str value)
{
    rg_assert(res->fields_n < RG_RESPONSE_MAX_FIELDS);
    res->fields[res->fields_n++] = (struct rg_http_field){name, value};
}

struct rg_str rg_response_find(const struct rg_response *res, struct rg_str name)
{
    for (size_t i = 0; i < rg_response_fields_n(res); i++) {
        if (rg_str_eq_nocase(rg_response_field(res, i)->name, name))
            return rg_response_field(res, i)->value;
    }
    return (struct rg_str){NULL, 0};
}

static void add_date(struct rg_buf *out, const char *date)
{
    rg_buf_add_str(out, RG_STR("date: "));
    rg_buf_add_c(out, date);
    rg_buf_add_str(out, RG_STR("\r\n"));
}

static void lower(char *p, size_t n)
{
    for (size_t i = 0; i < n; i++)
        p[i] = (char)(p[i] >= 'A' && p[i] <= 'Z' ? p[i] | 0x20 : p[i]);
}

/* Status line and fields, whose names are in lower case (api-gateway.md 8.5). */
static void add_start(const struct rg_response *res, struct rg_buf *out)
{
    rg_buf_add_str(out, RG_STR("HTTP/1.1 "));
    rg_buf_add_u64(out, (uint64_t)res->status);
    rg_buf_add_char(out, ' ');
    rg_buf_add_c(out, rg_h1_reason(res->status));
    rg_buf_add_str(out, RG_STR("\r\n"));
    for (size_t i = 0; i < rg_response_fields_n(res); i++) {
        const struct rg_http_field *field = rg_response_field(res, i);
        size_t at = out->n;
        rg_h1_add_field(out, field->name, field->value);
        /* Those from elsewhere come as they were written there. */
        if (i >= res->fields_n)
            lower(out->p + at, field->name.n);
    }
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
    add_start(res, out);
    add_date(out, date);
    if (!rg_response_is_bodiless(res->status))
        rg_h1_add_length(out, res->body.n);
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
    add_start(res, out);
    add_date(out, date);
    if (is_chunked)
        rg_buf_add_c(out, "transfer-encoding: chunked\r\n");
    else if (res->status == 101)
        rg_buf_add_c(out, "connection: upgrade\r\n");
    else
        rg_buf_add_c(out, "connection: close\r\n");
    rg_buf_add(out, "\r\n", 2);
}

void rg_response_encode_h1_pieces(const struct rg_response *res, int64_t length, bool is_chunked,
                                  unsigned request_minor, bool keep_alive, const char *date,
                                  struct rg_buf *out)
{
    add_start(res, out);
    if (rg_response_find(res, RG_STR("date")).p == NULL)
        add_date(out, date);
    if (is_chunked)
        rg_buf_add_c(out, "transfer-encoding: chunked\r\n");
    else if (length >= 0 && !rg_response_is_bodiless(res->status))
        rg_h1_add_length(out, (uint64_t)length);
    add_connection(out, request_minor, keep_alive);
    rg_buf_add(out, "\r\n", 2);
}
