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
 * Takes the next parameter off *rest, which starts as the query, and decodes it into *scratch
 * (appended). Returns 1 with the name and the value, whose p is NULL where there is no '='; 0 at
 * the end, with *rest.p NULL; RG_ESYNTAX for a part that is malformed as above, which has been
 * taken off as well. Empty parts ("&&") are skipped; the order is that of the query, and names may
 * repeat.
 *
 * All parameters together need at most query.n + 1 bytes of room in scratch, which the first call
 * makes: slices stay valid until something else is appended. Nothing bounds the number of
 * parameters but the length of the query; whoever keeps them has a limit of its own.
 */
int rg_query_next(struct rg_str *rest, struct rg_buf *scratch, struct rg_str *ret_name,
                  struct rg_str *ret_value);

/*
 * Appends s, percent-decoded; '+' becomes a space if is_form. RG_ESYNTAX as above, with nothing
 * appended.
 */
int rg_percent_decode(struct rg_str s, bool is_form, struct rg_buf *out);

/* Appends s with everything but unreserved characters (RFC 3986 2.3) percent-encoded. */
void rg_percent_encode(struct rg_buf *out, struct rg_str s);
