/*
 * path.h - whether a path means the same to us and to the service behind us.
 *
 * A path that one of the two reads as another one gets around the route that guards it. The routes
 * of 2017 refuse what can be read in two ways; API definitions have it brought into one form, which
 * is what patterns are matched against and what is sent on (api-gateway.md 8.1).
 *
 * Thread: any; no state.
 */
#pragma once

#include "base/buf.h"
#include "base/err.h"
#include "base/str.h"

/*
 * For the routes of 2017: whether path can only be read in one way. 0, or RG_EINVAL with the reason
 * in why->text (place: empty) if it has dot segments, an encoded dot, slash or backslash, a
 * backslash, an encoded NUL, or an escape that is not one. why may be NULL.
 */
int rg_path_check(struct rg_str path, struct rg_why *why);

/*
 * For API definitions: *ret is path with one slash in front, where there are several, and without
 * dot segments (RFC 3986 5.2.4), in whose names a dot may be encoded (%2e). Nothing else is
 * changed: slashes inside may repeat, escapes stay as they are. Doing it again changes nothing.
 *
 * *ret is path itself where nothing had to be changed, else it is in scratch, whose content is
 * replaced and which path must not be in.
 *
 * RG_EINVAL, with the reason in why->text (place: empty; why may be NULL), for a path that does not
 * begin with a slash or has a space, a control byte, a backslash, '?' or '#', bytes that are not
 * UTF-8, an escape without two hex digits, or an encoded NUL. Also for dots that a service may take
 * for a dot segment only once it has cut or decoded the path: "..;x", "..%3bx", "..%2f".
 */
int rg_path_normalise(struct rg_str path, struct rg_buf *scratch, struct rg_str *ret,
                      struct rg_why *why);

/*
 * Collapses the slashes in front and removes dot segments, as above, in place. path has at least
 * one byte and begins with a slash. Returns the new length, at least 1.
 */
size_t rg_path_remove_dots(char *path, size_t n);

/* True if path has %2F or %5C, in either case: a slash or backslash to who decodes it. */
bool rg_path_has_encoded_slash(struct rg_str path);
