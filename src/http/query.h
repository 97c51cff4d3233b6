/*
 * query.h - parameters of a query string (application/x-www-form-urlencoded).
 *
 * Thread: any; no state.
 */
#pragma once

#include "base/buf.h"
#include "base/err.h"
#include "base/str.h"

/*
 * Finds the last parameter called name (client-api.md 1.6), decoded into *scratch (appended).
 * Returns 1 and *ret if it is there with a value (maybe empty), 0 if it is absent or has no
 * '=', RG_ESYNTAX if any part of the query is malformed ('%' without two hex digits, or
 * bytes that do not decode to UTF-8).
 *
 * *ret lies in scratch. A call needs at most query.n + 1 bytes of room there; where scratch
 * has to grow for it, slices returned earlier from the same scratch are stale.
 */
int rg_query_get(struct rg_str query, struct rg_str name, struct rg_buf *scratch,
                 struct rg_str *ret);

/*
 * Appends s, percent-decoded; '+' becomes a space if is_form. RG_ESYNTAX as above, with nothing
 * appended.
 */
int rg_percent_decode(struct rg_str s, bool is_form, struct rg_buf *out);

/* Appends s with everything but unreserved characters (RFC 3986 2.3) percent-encoded. */
void rg_percent_encode(struct rg_buf *out, struct rg_str s);
