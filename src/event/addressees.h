/*
 * addressees.h - whom a message is for, if it says so itself (legacy-channels.md 11).
 *
 * A message is a JSON object that names a user in "username" (a string, or a number by its JSON
 * text), roles in "roles" (a list of strings, or one string), or both; null is the same as
 * nothing. What it names becomes topics of channels: "user:ada", "role:customer".
 *
 * Thread: any; the projector belongs to the caller's thread.
 */
#pragma once

#include "event/extractor.h"

#define RG_MAX_ADDRESSEES 64 /* of one message */

struct rg_addressees {
    struct rg_str topics[RG_MAX_ADDRESSEES]; /* none twice */
    size_t n;
};

/*
 * True if the text that projector has just read to its end names anybody. It is a message then,
 * unless it claims to be an event: see rg_envelope_is_claimed().
 */
bool rg_addressees_are_named(const struct rg_projector *projector);

/*
 * Fills *ret with the topics of the text that projector (of rg_extractors_projection()) has just
 * read to its end. scratch is cleared and then holds them. Returns RG_EINVAL with why if nobody is
 * named or something that cannot be a name; RG_EFULL for more than RG_MAX_ADDRESSEES.
 */
int rg_addressees_read(const struct rg_projector *projector, struct rg_buf *scratch,
                       struct rg_addressees *ret, struct rg_why *why);
