/*
 * response.h - an HTTP response that we make ourselves, turned into bytes.
 *
 * Thread: any; no state.
 */
#pragma once

#include "base/buf.h"
#include "http/request.h"

#define RG_RESPONSE_MAX_FIELDS 16

struct rg_response {
    int status;
    struct rg_http_field fields[RG_RESPONSE_MAX_FIELDS]; /* slices, borrowed */
    size_t fields_n;
    /* Fields that follow these, borrowed: those of an answer that came from elsewhere. At most
     * RG_MAX_FIELDS_PER_MESSAGE. */
    const struct rg_http_field *more;
    size_t more_n;
    struct rg_str body;
};

/* All fields in the order in which they are sent: i from 0 to rg_response_fields_n() - 1. */
static inline size_t rg_response_fields_n(const struct rg_response *res)
{
    return res->fields_n + res->more_n;
}

static inline const struct rg_http_field *rg_response_field(const struct rg_response *res, size_t i)
{
    return i < res->fields_n ? &res->fields[i] : &res->more[i - res->fields_n];
}

/* The value of the first field with this name (without case); p is NULL if there is none. */
struct rg_str rg_response_find(const struct rg_response *res, struct rg_str name);

/* A response with this status has no body, and says nothing of its length. */
bool rg_response_is_bodiless(int status);

/* Adds a field; more than RG_RESPONSE_MAX_FIELDS is our own mistake (rg_assert). CR, LF and NUL in
 * value are replaced by spaces, so that no value can split the response. */
void rg_response_add(struct rg_response *res, struct rg_str name, struct rg_str value);

/*
 * Appends status line, fields, Date, Content-Length (not for 1xx, 204 and 304), Connection (close
 * or, for HTTP/1.0 keep-alive, keep-alive), the empty line and, unless the request was HEAD, the
 * body. date is from rg_clock_http_date().
 */
void rg_response_encode_h1(const struct rg_response *res, enum rg_method request_method,
                           unsigned request_minor, bool keep_alive, const char *date,
                           struct rg_buf *out);

/*
 * The same for the head of an answer without a known end: chunked, up to the end of the connection,
 * or, for 101, another protocol.
 */
void rg_response_encode_h1_stream(const struct rg_response *res, bool is_chunked, const char *date,
                                  struct rg_buf *out);

/*
 * The same for the head of an answer whose body comes in pieces: length of the body (-1: its end
 * will tell; not told with 1xx, 204 and 304), is_chunked, and Connection. Date is added only where
 * the fields have none.
 */
void rg_response_encode_h1_pieces(const struct rg_response *res, int64_t length, bool is_chunked,
                                  unsigned request_minor, bool keep_alive, const char *date,
                                  struct rg_buf *out);
