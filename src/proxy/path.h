/*
 * path.h - whether a path means the same to us and to the service behind us.
 *
 * A path that one of the two reads as another one gets around the route that guards it. So what can
 * be read in two ways is refused: dot segments, an encoded dot, slash or backslash, a backslash, an
 * encoded NUL, an escape that is not one.
 *
 * Thread: any; no state.
 */
#pragma once

#include "base/err.h"
#include "base/str.h"

/* 0, or RG_EINVAL with the reason in why->text (place: empty). why may be NULL. */
int rg_path_check(struct rg_str path, struct rg_why *why);
