/*
 * json_priv.h - the scanner under rg_json_check() and the projector.
 *
 * Every function here takes a position inside the text and returns the position
 * behind what it read, or NULL after it has noted in the scan what is wrong and
 * where. Reading a whole value (rg_json_scan_value) is the check; the projector
 * steps through the few containers that its pointers lead into with the same
 * pieces, and reads everything else with that one call.
 *
 * Text is not padded: no load may pass its end.
 *
 * Thread: any; a scan belongs to one.
 */
#pragma once

#include <string.h>

#include "event/json.h"

#ifdef __SSE2__
#include <emmintrin.h>
#endif

/* Bytes of text that one byte of content can take up at most: \u0041. */
#define RG_JSON_MAX_ESCAPE 6

struct rg_json_scan {
    const char *end;
    bool has_escape; /* set where a string holds an escape; never reset by the scanner */

    const char *bad; /* after a failure: where, which code, what */
    int err;
    const char *what;
};

/* Notes a failure at p. */
void rg_json_scan_note(struct rg_json_scan *scan, const char *p, int err, const char *what);

/* Notes a failure at p and returns NULL, in line, so that compilers see that nothing follows it. */
static inline const char *rg_json_scan_fail(struct rg_json_scan *scan, const char *p, int err,
                                            const char *what)
{
    rg_json_scan_note(scan, p, err, what);
    return NULL;
}

/* Reads one value that stands inside depth containers; p is at its first byte (or the end). */
const char *rg_json_scan_value(struct rg_json_scan *scan, const char *p, unsigned depth);

/* What rg_json_scan_string() does not do in line: p is at a byte that is not plain. */
const char *rg_json_scan_special(struct rg_json_scan *scan, const char *p);

/* As rg_json_check(), for a value that will stand inside depth containers. */
int rg_json_check_at(struct rg_str text, unsigned depth, struct rg_json *ret, struct rg_why *why);

/* Turns what the scan of text noted into why; returns the code. */
int rg_json_scan_explain(const struct rg_json_scan *scan, struct rg_str text, struct rg_why *why);

/* Checks that nothing but white space follows p. */
const char *rg_json_scan_end(struct rg_json_scan *scan, const char *p);

/* Appends raw (what stands between quotes in checked text), unescaped. */
void rg_json_unescape_raw(struct rg_str raw, struct rg_buf *out);

/* The kind that a value starting with c has, if it is one. */
static inline enum rg_json_kind rg_json_kind_of(char c)
{
    switch (c) {
    case '{':
        return RG_JSON_OBJECT;
    case '[':
        return RG_JSON_ARRAY;
    case '"':
        return RG_JSON_STRING;
    case 't':
        return RG_JSON_TRUE;
    case 'f':
        return RG_JSON_FALSE;
    case 'n':
        return RG_JSON_NULL;
    default:
        return RG_JSON_NUMBER;
    }
}

static inline bool rg_json_is_space(char c)
{
    return c == ' ' || c == '\n' || c == '\r' || c == '\t';
}

static inline const char *rg_json_skip_space(const char *p, const char *end)
{
    /* Most often there is none; the first test answers that with one comparison. */
    while (p < end && (unsigned char)*p <= ' ' && rg_json_is_space(*p))
        p++;
    return p;
}

/* The byte at p, or NUL (which is never right outside of a string) at the end. */
static inline char rg_json_peek(const struct rg_json_scan *scan, const char *p)
{
    return p < scan->end ? *p : '\0';
}

static inline bool rg_json_is_plain(char c)
{
    return (unsigned char)c >= 0x20 && (unsigned char)c < 0x80 && c != '"' && c != '\\';
}

#ifdef __SSE2__
/* One bit per byte of the 16 at p: set where it is not plain. */
static inline unsigned rg_json_special_mask(const char *p)
{
    __m128i x = _mm_loadu_si128((const __m128i *)p);
    /* As signed bytes, both control bytes and those from 0x80 on are less than a space. */
    __m128i special = _mm_cmplt_epi8(x, _mm_set1_epi8(0x20));
    special = _mm_or_si128(special, _mm_cmpeq_epi8(x, _mm_set1_epi8('"')));
    special = _mm_or_si128(special, _mm_cmpeq_epi8(x, _mm_set1_epi8('\\')));
    return (unsigned)_mm_movemask_epi8(special);
}
#endif

/* True if all 8 bytes at p are plain. May say no where they are: then look at each. */
static inline bool rg_json_are_8_plain(const char *p)
{
    const uint64_t ones = 0x0101010101010101ULL;
    uint64_t x, quote, backslash, special;

    memcpy(&x, p, 8);
    quote = x ^ (ones * '"');
    backslash = x ^ (ones * '\\');
    special = x | (x - ones * 0x20) | (quote - ones) | (backslash - ones);
    return (special & ones * 0x80) == 0;
}

/* The first byte from p on that ends the plain part of a string, or end. */
static inline const char *rg_json_skip_plain(const char *p, const char *end)
{
#ifdef __SSE2__
    while (end - p >= 16) {
        unsigned mask = rg_json_special_mask(p);
        if (mask != 0)
            return p + __builtin_ctz(mask);
        p += 16;
    }
#endif
    while (end - p >= 8 && rg_json_are_8_plain(p))
        p += 8;
    while (p < end && rg_json_is_plain(*p))
        p++;
    return p;
}

/* p is behind the opening quote; returns the position of the closing one. */
static inline const char *rg_json_scan_string(struct rg_json_scan *scan, const char *p)
{
    for (;;) {
        p = rg_json_skip_plain(p, scan->end);
        if (p < scan->end && *p == '"')
            return p;
        p = rg_json_scan_special(scan, p);
        if (p == NULL)
            return NULL;
    }
}

/* p is at an opening bracket; returns the position of what is inside, or behind an empty pair. */
static inline const char *rg_json_scan_open(struct rg_json_scan *scan, const char *p,
                                            bool *is_empty)
{
    char open = *p;

    p = rg_json_skip_space(p + 1, scan->end);
    /* In ASCII each closing bracket is two behind its opening one. */
    *is_empty = rg_json_peek(scan, p) == open + 2;
    return *is_empty ? p + 1 : p;
}

/* p is at a member's name; returns the position of its value and the raw name. */
static inline const char *rg_json_scan_name(struct rg_json_scan *scan, const char *p,
                                            struct rg_str *ret)
{
    const char *name = p + 1;

    if (rg_json_peek(scan, p) != '"')
        return rg_json_scan_fail(scan, p, RG_ESYNTAX, "expected a name in double quotes");
    p = rg_json_scan_string(scan, name);
    if (p == NULL)
        return NULL;
    *ret = rg_str_n(name, (size_t)(p - name));
    p = rg_json_skip_space(p + 1, scan->end);
    if (rg_json_peek(scan, p) != ':')
        return rg_json_scan_fail(scan, p, RG_ESYNTAX, "expected ':' after a name");
    return rg_json_skip_space(p + 1, scan->end);
}

/*
 * p is behind a value inside a container. *has_more tells whether another element (then
 * the result is its position) or the end of the container (then the result is behind it)
 * follows.
 */
static inline const char *rg_json_scan_separator(struct rg_json_scan *scan, const char *p,
                                                 bool is_object, bool *has_more)
{
    p = rg_json_skip_space(p, scan->end);
    char c = rg_json_peek(scan, p);
    *has_more = c == ',';
    if (*has_more)
        return rg_json_skip_space(p + 1, scan->end);
    if (c == (is_object ? '}' : ']'))
        return p + 1;
    return rg_json_scan_fail(scan, p, RG_ESYNTAX,
                             is_object ? "expected ',' or '}' after a value"
                                       : "expected ',' or ']' after a value");
}
