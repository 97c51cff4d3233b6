/*
 * request.h - an HTTP request as its recipient sees it, whatever version carried it.
 *
 * Every part is a slice of bytes that the connection owns and is borrowed for
 * the duration of the call that passes the request; who answers later copies
 * what it still needs.
 *
 * Thread: the reactor of the connection.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/str.h"

#define RG_MAX_FIELDS_PER_MESSAGE 100 /* hardening: more is 431 */

enum rg_method {
    RG_GET,
    RG_HEAD,
    RG_POST,
    RG_PUT,
    RG_DELETE,
    RG_OPTIONS,
    RG_PATCH,
    RG_METHOD_OTHER /* a token we do not know: see method_name */
};

struct rg_http_field {
    struct rg_str name;  /* as received; compare without case */
    struct rg_str value; /* without white space around */
};

struct rg_request {
    enum rg_method method;
    struct rg_str method_name;
    struct rg_str target; /* as received, e.g. /a/b?c=d */
    struct rg_str path;   /* the target up to '?' */
    struct rg_str query;  /* behind '?'; p is NULL where there is no '?' */
    bool is_h2;           /* came as HTTP/2; field names are lower case then */
    unsigned minor;       /* HTTP/1.<minor>: 0 or 1; 1 for HTTP/2 */
    struct rg_str
        protocol; /* of an extended CONNECT (RFC 8441), which is shown as a GET; else p is NULL */
    struct rg_http_field fields[RG_MAX_FIELDS_PER_MESSAGE];
    size_t fields_n;
    struct rg_str body; /* complete, transfer coding removed; empty where it is streamed */
    /* Of a body that is streamed (router.h): what is announced; -1: only its end will tell; 0:
     * there is none. Of another, body.n. */
    int64_t body_length;
};

/* The first field with this name (without case); p is NULL if there is none. */
struct rg_str rg_request_field(const struct rg_request *req, struct rg_str name);

/*
 * The next field with this name at or after *at, which moves behind it (start with 0);
 * NULL at the end. For fields that may be repeated.
 */
const struct rg_http_field *rg_request_next_field(const struct rg_request *req, struct rg_str name,
                                                  size_t *at);

/* True if a comma-separated list field (all its lines) has this token, without case. RFC
 * 9110 5.6.1. */
bool rg_request_has_token(const struct rg_request *req, struct rg_str name, struct rg_str token);

/* The known method of this name (case-sensitive, RFC 9110 section 9.1) or RG_METHOD_OTHER. */
enum rg_method rg_method_from(struct rg_str name);
struct rg_str rg_method_name(enum rg_method method);

/*
 * A copy with everything that it points to, for who answers later; one allocation, to be ended with
 * rg_free().
 */
struct rg_request *rg_request_copy(const struct rg_request *req);
