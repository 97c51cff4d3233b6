/*
 * upstream_trailers.h - fields behind a chunked body (RFC 9112 section 7.1.2), read within limits.
 *
 * The decoder of chunks checks their form and drops them (chunked.h); here they are collected
 * beside it, and without those that may not be there.
 *
 * Thread: any; a collection belongs to its connection.
 */
#pragma once

#include "base/buf.h"
#include "base/err.h"
#include "http/chunked.h"
#include "http/request.h"

#define RG_MAX_TRAILERS 32 /* fields; chunked.h limits their bytes */

/* Zero-initialised; ended with rg_buf_done(&text). */
struct rg_trailers {
    struct rg_buf text; /* empty, without memory, where there are none */
};

/*
 * rg_chunked_take(), and what it takes of the trailers is added. Who collects uses it for all of a
 * body.
 */
long rg_trailers_take(struct rg_trailers *trailers, struct rg_chunked *c, const char *p, size_t n,
                      struct rg_str *ret_data, bool *ret_done, struct rg_why *why);

/*
 * The fields, of a body that is complete: slices of trailers->text. Those of framing, routing,
 * authentication and such (RFC 9110 6.5.1) are left out. Returns how many, or RG_ESYNTAX with why
 * if there are more than RG_MAX_TRAILERS.
 */
long rg_trailers_fields(const struct rg_trailers *trailers,
                        struct rg_http_field fields[RG_MAX_TRAILERS], struct rg_why *why);

/* Whether a field of this name may stand behind a body. */
bool rg_trailers_allow(struct rg_str name);
