/*
 * pattern_text.h - what the text of a pattern says to who does not know regular expressions:
 * whether it is plain, and what a path that matches begins with. For pattern.c.
 *
 * Thread: any; no state.
 */
#pragma once

#include "base/buf.h"
#include "base/str.h"

bool rg_pattern_is_alnum(char c);

/* Takes token off the front of *rest, if it is there. */
bool rg_pattern_skip(struct rg_str *rest, struct rg_str token);

/* text without one ^ in front and one $ behind. A backslash before that $ is left alone: what ends
 * with one is not plain. */
struct rg_str rg_pattern_without_anchors(struct rg_str text);

/* ---- plain patterns: literals, and segments that are free ---- */

enum rg_pattern_then {
    RG_THEN_END,
    RG_THEN_SEGMENT, /* [^/]+ or {id} */
    RG_THEN_GROUP    /* ([^/]+) */
};

struct rg_pattern_part {
    size_t end; /* of its literal in text, which begins where the one before ends */
    enum rg_pattern_then then;
};

/* Zero-initialised. */
struct rg_pattern_parts {
    struct rg_buf text; /* the literals of all parts */
    struct rg_pattern_part *at;
    size_t n, cap;
};

void rg_pattern_parts_done(struct rg_pattern_parts *parts);
size_t rg_pattern_count_groups(const struct rg_pattern_parts *parts);

/*
 * Appends the parts of a regular expression without anchors, in lower case. False if it is not
 * plain (parts are of no use then): something else than a slash or the end follows a segment, or
 * there is anything else than text.
 */
bool rg_pattern_read(struct rg_str text, struct rg_pattern_parts *parts);

/* The same of a path of 2017, in the case it has. */
bool rg_pattern_read_2017(struct rg_str path, struct rg_pattern_parts *parts);

/* ---- others ---- */

/*
 * Appends what every path that matches the regular expression (without ^) begins with, as far as
 * that is certain; it may be nothing.
 */
void rg_pattern_read_prefix(struct rg_str text, struct rg_buf *ret);
