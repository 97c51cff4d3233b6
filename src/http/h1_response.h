/*
 * h1_response.h - heads of answers in HTTP/1.1 (RFC 9112), read as strictly as those of requests.
 *
 * A service behind us may be broken, or speak for somebody who is not on our side; what two readers
 * could understand differently ends its connection instead of going on to a client. So beyond what
 * h1.h refuses: a length with an answer that cannot have one, and a coding with 1xx and 204.
 *
 * The functions are pure: they look at bytes and keep no pointer.
 *
 * Thread: any.
 */
#pragma once

#include "http/h1.h"

/* What follows the head (RFC 9112 6.3). */
enum rg_h1_body {
    RG_H1_BODY_NONE,
    RG_H1_BODY_LENGTH, /* as many bytes as Content-Length says, at least one */
    RG_H1_BODY_CHUNKED,
    RG_H1_BODY_TO_CLOSE
};

struct rg_h1_response {
    int status;     /* 100 to 599 */
    unsigned minor; /* HTTP/1.<minor>: 0 or 1 */
    /*
     * Slices of the head, in its order: the fields that are meant for who asked in the end. Those
     * of framing and of the connection are left out, and whatever Connection names (RFC 9110
     * 7.6.1). With 101 Upgrade stays.
     */
    struct rg_http_field fields[RG_MAX_FIELDS_PER_MESSAGE];
    size_t fields_n;
    enum rg_h1_body body;
    int64_t length; /* what Content-Length says, also where no body follows (HEAD); -1: nothing */
    struct rg_str upgrade; /* Upgrade, if there is exactly one */
    bool says_upgrade;     /* Connection has the option */
    bool keep_alive; /* the service keeps the connection, by version, Connection and framing */
};

/*
 * rg_h1_scan() for an answer, whose status line and fields may have max_bytes each. Returns the
 * head's length, 0 if more bytes are needed, or RG_ESYNTAX with why filled.
 */
long rg_h1_scan_response(struct rg_h1_scan *scan, const char *p, size_t n, size_t max_bytes,
                         struct rg_why *why);

/*
 * Parses a complete head of n bytes, the answer to a request with method. Returns 0, or RG_ESYNTAX
 * with why filled; the content of res is undefined then.
 */
int rg_h1_parse_response(const char *p, size_t n, enum rg_method method, struct rg_h1_response *res,
                         struct rg_why *why);
