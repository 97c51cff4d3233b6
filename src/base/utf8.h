/*
 * utf8.h - UTF-8 (RFC 3629): no overlong forms, no surrogates, at most U+10FFFF.
 *
 * Thread: any.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/str.h"

/* True if all of s is valid UTF-8. */
bool rg_utf8_is_valid(struct rg_str s);

/*
 * True if s can be the beginning of valid UTF-8: it is valid, or only its last character is
 * incomplete. *ret_whole is the number of bytes in complete characters.
 */
bool rg_utf8_is_beginning(struct rg_str s, size_t *ret_whole);

/*
 * The length (1 to 4) of the valid sequence that starts at s with n bytes left,
 * or 0 if there is none.
 */
size_t rg_utf8_sequence(const char *s, size_t n);

/* Appends code point cp (at most 0x10FFFF) to out. */
void rg_utf8_add(struct rg_buf *out, uint32_t cp);
