/*
 * h1.h - HTTP/1.1 messages as bytes (RFC 9112), read strictly.
 *
 * Whatever two parsers could understand differently is refused: bare CR or LF, NUL and
 * other control bytes, folded lines, white space before a colon, empty names,
 * repeated or contradicting lengths, any transfer coding but exactly "chunked".
 * The functions are pure: they look at bytes and keep no pointer.
 *
 * Thread: any.
 */
#pragma once

#include "base/err.h"
#include "http/request.h"

struct rg_h1_limits {
    size_t request_line; /* bytes without CRLF; longer: 414 (default 16 KiB) */
    size_t field;        /* bytes of one field line; longer: 431 (default 16 KiB) */
    size_t head;         /* bytes of all field lines; longer: 431 (default 64 KiB) */
};
extern const struct rg_h1_limits rg_h1_default_limits;

/*
 * Finds the end of a head as its bytes arrive, without looking at a byte twice. Zeroed at
 * the start of each message.
 */
struct rg_h1_scan {
    size_t at;         /* bytes looked at */
    size_t line_start; /* of the unfinished line */
    size_t fields_at;  /* start of the first field line; 0 until the request line is complete */
    unsigned lines; /* complete lines: empty ones at first, field lines behind the request line */
};

/*
 * Looks at the bytes from scan->at on; p is the start of the message in every call. Empty
 * lines (CRLF) before the request line are part of the head (RFC 9112 2.2; at most 4).
 * Returns the length of the head including its final empty line, 0 if more bytes are needed,
 * or minus an HTTP status (-400, -414, -431) with why filled as soon as the head cannot
 * become acceptable any more. The result does not depend on how the bytes were cut.
 */
long rg_h1_scan(struct rg_h1_scan *scan, const char *p, size_t n, const struct rg_h1_limits *limits,
                struct rg_why *why);

/* How the body of a request is delimited (RFC 9112 section 6.3). */
struct rg_h1_framing {
    bool is_chunked;
    bool has_length;       /* a Content-Length was given */
    uint64_t length;       /* of the body; 0 where there is none */
    bool keep_alive;       /* what the client wants, by version and Connection */
    bool expects_continue; /* Expect: 100-continue */
};

/*
 * Parses a complete head of n bytes. Fills req (slices of p, or static text for "/"; body and
 * peer untouched) and framing; on an error their content is undefined. Returns 0 or minus an
 * HTTP status: -400 with the reason, -431 (too many fields), -505 (not HTTP/1.0 or 1.1), -501
 * (another transfer coding, a method name longer than 32 bytes, or CONNECT), -417 (an
 * expectation we do not know).
 *
 * Also checks: exactly one Host in HTTP/1.1 (RFC 9112 3.2), and the target in origin-form
 * starting with '/', or '*' for OPTIONS. The absolute-form of http: or https: is reduced to
 * path and query, and its authority must be what Host says, so that nobody behind us can
 * pick the other one (3.2.2).
 */
int rg_h1_parse_head(const char *p, size_t n, struct rg_request *req, struct rg_h1_framing *framing,
                     struct rg_why *why);

/* The reason phrase for a status; "Unknown" for one we never send. */
const char *rg_h1_reason(int status);
