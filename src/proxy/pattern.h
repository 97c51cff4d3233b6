/*
 * pattern.h - one pattern of paths (api-gateway.md 4.4; of the 2017 list legacy-channels.md 14.1).
 *
 * A regular expression (PCRE2, compiled by JIT where the machine has it) must match the whole path:
 * one leading ^ and one trailing unescaped $ are removed and ^(?:PATTERN)$ is matched, without
 * case, in UTF mode, where $ is the very end and not before a newline. A pattern that begins with a
 * letter or digit is also tried against the path without its leading slash. What a match may cost
 * is limited.
 *
 * Patterns that are plain text, or plain text with "one segment" groups, are recognised, and
 * matched without PCRE.
 *
 * Without case a letter of ASCII is the same as one other letter of ASCII, never as a sign that
 * Unicode has as its double (U+212A, U+017F) in the path.
 *
 * Thread: compiling, any; matching, any.
 */
#pragma once

#include "base/err.h"
#include "base/str.h"

#define RG_PATTERN_MAX_GROUPS 32
#define RG_PATTERN_MAX_BYTES  4096

struct rg_pattern;

/* What groups have matched: slices of the path. group[0] is the whole of it; p == NULL: took no
 * part. */
struct rg_captures {
    struct rg_str group[RG_PATTERN_MAX_GROUPS + 1];
    size_t n; /* groups, the whole one included */
};

/* NULL, with why->text "must be a valid regular expression: " and the reason, if it does not
 * compile, is too long or has too many groups. */
struct rg_pattern *rg_pattern_compile(struct rg_str text, struct rg_why *why);

/* A path of 2017: literal but for {id}, with case; a slash in front may be missing. NULL, with
 * why->text as above, if it is longer than RG_PATTERN_MAX_BYTES (or has hundreds of {id} that are
 * not whole segments). Has no groups. */
struct rg_pattern *rg_pattern_compile_2017(struct rg_str path, struct rg_why *why);
void rg_pattern_free(struct rg_pattern **patternp);

/*
 * 1 if path (normalised, path.h; never empty) matches, with *ret; 0 if not; RG_EFULL if it would
 * have cost too much, which counts as no match and should be logged.
 */
int rg_pattern_match(const struct rg_pattern *pattern, struct rg_str path, struct rg_captures *ret);

/*
 * What every path that matches begins with, in lower case ASCII; it may be empty. is_whole: it is
 * all of it. For the index (table.h). has_case: only that case matches. text is borrowed from the
 * pattern.
 */
struct rg_pattern_prefix {
    struct rg_str text;
    bool is_whole;
    bool has_case;
};
struct rg_pattern_prefix rg_pattern_prefix(const struct rg_pattern *pattern);
