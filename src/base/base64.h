/*
 * base64.h - base64 and base64url (RFC 4648 sections 4 and 5).
 *
 * Thread: any.
 */
#pragma once

#include <stddef.h>

#include "base/buf.h"
#include "base/str.h"

/* Appends p[0..n) in base64url without padding. */
void rg_base64url_add(struct rg_buf *out, const void *p, size_t n);

/* Appends p[0..n) in standard base64 with padding. */
void rg_base64_add(struct rg_buf *out, const void *p, size_t n);

/*
 * Decodes base64url, padding optional, into out[0..max). Returns the number of bytes,
 * RG_ESYNTAX if s is not base64url (unused bits must be zero), or RG_EFULL if
 * the result is longer than max.
 */
long rg_base64url_decode(struct rg_str s, void *out, size_t max);

/* The same for standard base64. */
long rg_base64_decode(struct rg_str s, void *out, size_t max);
