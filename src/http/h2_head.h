/*
 * h2_head.h - the header fields of an HTTP/2 request, collected and read strictly.
 *
 * Fields arrive one by one from the decoder, whose memory is gone right after, so they are kept
 * here until the request is handled. What a request means is checked as strictly as in HTTP/1.1
 * (h1.h); names, pseudo-header fields and connection-specific fields have been checked by nghttp2
 * (RFC 9113 8.2 and 8.3).
 *
 * Thread: any; a head belongs to its stream.
 */
#pragma once

#include "base/buf.h"
#include "http/h1.h"

/* Zero-initialised, embedded. */
struct rg_h2_head {
    struct rg_buf fields; /* all but cookies: for each two lengths, a name and a value */
    struct rg_buf cookie; /* joined from its pieces (RFC 9113 8.2.3) */
    unsigned fields_n;    /* as received, pieces of cookies included, pseudo-header fields not */
    size_t bytes;         /* of their names and values */
};

void rg_h2_head_done(struct rg_h2_head *head);

/*
 * Keeps a field. Returns 0 or minus an HTTP status: -414 (:path is too long), -431 (too many
 * fields, or too large alone or together). Fields in pieces count as often as they come, so that no
 * short encoding makes a long list.
 */
int rg_h2_head_add(struct rg_h2_head *head, const struct rg_h1_limits *limits, struct rg_str name,
                   struct rg_str value, struct rg_why *why);

/*
 * Fills req (slices of head, or static text; body untouched) and what HTTP/2 shares of framing:
 * length, has_length, expects_continue. Returns 0 or minus an HTTP status: -400, -417 (an
 * expectation that is not 100-continue), -431, -501 (CONNECT without a protocol or with another one
 * than websocket; a method name longer than 32 bytes).
 *
 * An extended CONNECT (RFC 8441) is shown as GET with its protocol. :authority is shown as the
 * field host, which must say the same if it came as well.
 */
int rg_h2_head_read(const struct rg_h2_head *head, struct rg_request *req,
                    struct rg_h1_framing *framing, struct rg_why *why);
