/*
 * object.h - JSON objects from outside that must not mean two things (RFC 8725 section 2.6).
 *
 * Headers and claims of tokens and key sets are read here: one object, nested at most as deep as
 * json.h allows, no name twice on any level, no NUL in a string. What one parser would take from
 * the first of two equal names, another takes from the last.
 *
 * Thread: any.
 */
#pragma once

#include <jansson.h>

#include "base/err.h"
#include "base/str.h"

/*
 * Reads text into *ret, owned by the caller (json_decref()). RG_ESYNTAX for what is not such an
 * object, RG_EINVAL for one with a name twice. Integers are real numbers afterwards.
 */
int rg_object_read(struct rg_str text, json_t **ret, struct rg_why *why);

/* Cleanup of a json_t pointer; NULL is fine. */
void rg_object_done(json_t **objectp);

/* The string member of this name as borrowed text; p == NULL if there is none. */
struct rg_str rg_object_string(const json_t *object, const char *name);
