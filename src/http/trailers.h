/*
 * trailers.h - the fields behind a body (RFC 9110 6.5).
 *
 * Most fields mean something only before a body: where it ends, where it goes, who sent it. Behind
 * it they would reach whoever adds trailers to the head when everything has been checked already.
 * So those are left out, in both directions.
 *
 * Thread: any; no state.
 */
#pragma once

#include "base/buf.h"
#include "base/err.h"
#include "http/request.h"

#define RG_MAX_TRAILERS      32
#define RG_MAX_TRAILER_BYTES 8192

/*
 * Whether a field of this name may be there: a token that says nothing of framing, connection,
 * routing, authentication, cookies, or of the content and who sent it (RFC 9110 6.5.1).
 */
bool rg_trailer_is_allowed(struct rg_str name);

/*
 * Reads a trailer section: field lines, and the empty line at the end, if there is one. Fills
 * fields with slices of those that are allowed and returns how many; -400 with why for what is
 * malformed, or more than RG_MAX_TRAILERS fields, or RG_MAX_TRAILER_BYTES.
 */
long rg_trailers_read(struct rg_str section, struct rg_http_field fields[RG_MAX_TRAILERS],
                      struct rg_why *why);

/*
 * Appends those of fields[0..n) that are allowed as field lines, without an empty line at the end.
 * Left out is what could not be read again: values with control bytes, and what is too much.
 */
void rg_trailers_add(struct rg_buf *section, const struct rg_http_field *fields, size_t n);
