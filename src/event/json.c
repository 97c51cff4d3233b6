/*
 * The check is one loop without recursion: what a container is, is one bit on a
 * stack of 64. Bytes of strings are most of an event and are looked at 16 at a time.
 * What works on checked text knows that quotes and brackets are balanced and only
 * counts them.
 */
#include "event/json.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/utf8.h"
#include "event/json_priv.h"

#define MAX_NUMBER 512

_Static_assert(RG_JSON_MAX_DEPTH <= 64, "one bit per level of nesting");

/* -- the scanner ----------------------------------------------------------- */

__attribute__((cold, noinline)) void rg_json_scan_note(struct rg_json_scan *scan, const char *p,
                                                       int err, const char *what)
{
    scan->bad = p;
    scan->err = err;
    scan->what = p < scan->end ? what : "the text ends too early";
}

static bool is_hex(char c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}

/* p is at a backslash. */
static const char *scan_escape(struct rg_json_scan *scan, const char *p)
{
    scan->has_escape = true;
    switch (rg_json_peek(scan, p + 1)) {
    case '"':
    case '\\':
    case '/':
    case 'b':
    case 'f':
    case 'n':
    case 'r':
    case 't':
        return p + 2;
    case 'u':
        for (int i = 2; i < 6; i++) {
            if (!is_hex(rg_json_peek(scan, p + i)))
                return rg_json_scan_fail(scan, p + i, RG_ESYNTAX, "expected four hex digits");
        }
        return p + 6;
    default:
        return rg_json_scan_fail(scan, p + 1, RG_ESYNTAX, "no such escape in a string");
    }
}

static bool is_continuation(char c)
{
    return ((unsigned char)c & 0xc0) == 0x80;
}

/*
 * p is at a byte from 0x80 on. Two bytes, and those three bytes whose second one has no
 * range of its own, make up nearly all text; the rest is left to the full rules.
 */
static const char *scan_non_ascii(struct rg_json_scan *scan, const char *p)
{
    const char *end = scan->end;

    while (p < end && (unsigned char)*p >= 0x80) {
        unsigned char lead = (unsigned char)*p;
        if (lead >= 0xc2 && lead <= 0xdf && end - p >= 2 && is_continuation(p[1])) {
            p += 2;
        } else if (lead >= 0xe1 && lead <= 0xef && lead != 0xed && end - p >= 3 &&
                   is_continuation(p[1]) && is_continuation(p[2])) {
            p += 3;
        } else {
            size_t n = rg_utf8_sequence(p, (size_t)(end - p));
            if (n == 0)
                return rg_json_scan_fail(scan, p, RG_ESYNTAX, "a string is not valid UTF-8");
            p += n;
        }
    }
    return p;
}

const char *rg_json_scan_special(struct rg_json_scan *scan, const char *p)
{
    if (p >= scan->end)
        return rg_json_scan_fail(scan, p, RG_ESYNTAX, "");
    if (*p == '\\')
        return scan_escape(scan, p);
    if ((unsigned char)*p >= 0x80)
        return scan_non_ascii(scan, p);
    return rg_json_scan_fail(scan, p, RG_ESYNTAX, "a control byte in a string is not escaped");
}

static inline const char *skip_digits(const char *p, const char *end)
{
    while (p < end && *p >= '0' && *p <= '9')
        p++;
    return p;
}

static const char *scan_digits(struct rg_json_scan *scan, const char *p)
{
    const char *after = skip_digits(p, scan->end);
    return after > p ? after : rg_json_scan_fail(scan, p, RG_ESYNTAX, "expected a digit");
}

static const char *scan_number(struct rg_json_scan *scan, const char *p)
{
    if (*p == '-')
        p++;
    if (rg_json_peek(scan, p) == '0')
        p++;
    else
        p = scan_digits(scan, p);
    if (p != NULL && rg_json_peek(scan, p) == '.')
        p = scan_digits(scan, p + 1);
    if (p != NULL && (rg_json_peek(scan, p) == 'e' || rg_json_peek(scan, p) == 'E')) {
        p++;
        if (rg_json_peek(scan, p) == '+' || rg_json_peek(scan, p) == '-')
            p++;
        p = scan_digits(scan, p);
    }
    return p;
}

static const char *scan_word(struct rg_json_scan *scan, const char *p, const char *word, size_t n)
{
    if ((size_t)(scan->end - p) < n || memcmp(p, word, n) != 0)
        return rg_json_scan_fail(scan, p, RG_ESYNTAX, "expected a value");
    return p + n;
}

static inline const char *scan_scalar(struct rg_json_scan *scan, const char *p)
{
    switch (rg_json_peek(scan, p)) {
    case '"':
        p = rg_json_scan_string(scan, p + 1);
        return p != NULL ? p + 1 : NULL;
    case 't':
        return scan_word(scan, p, "true", 4);
    case 'f':
        return scan_word(scan, p, "false", 5);
    case 'n':
        return scan_word(scan, p, "null", 4);
    case '-':
    case '0' ... '9':
        return scan_number(scan, p);
    default:
        return rg_json_scan_fail(scan, p, RG_ESYNTAX, "expected a value");
    }
}

/* p is behind a value at *level; closes the containers that end here and moves to what follows. */
static inline const char *scan_after(struct rg_json_scan *scan, const char *p, uint64_t *objects,
                                     unsigned *level)
{
    bool has_more = false;

    while (*level > 0 && !has_more) {
        p = rg_json_scan_separator(scan, p, *objects & 1, &has_more);
        if (p == NULL)
            return NULL;
        if (!has_more) {
            *objects >>= 1;
            (*level)--;
        }
    }
    return p;
}

const char *rg_json_scan_value(struct rg_json_scan *scan, const char *p, unsigned depth)
{
    uint64_t objects = 0; /* the lowest bit: the innermost container is an object */
    unsigned level = 0;   /* containers open here */
    struct rg_str name;

    do {
        char c = rg_json_peek(scan, p);
        bool is_complete = true;
        if (c == '{' || c == '[') {
            if (depth + level >= RG_JSON_MAX_DEPTH)
                return rg_json_scan_fail(scan, p, RG_EINVAL, "nested too deeply");
            p = rg_json_scan_open(scan, p, &is_complete);
            if (!is_complete) {
                objects = objects << 1 | (c == '{');
                level++;
            }
        } else {
            p = scan_scalar(scan, p);
        }
        if (p != NULL && is_complete)
            p = scan_after(scan, p, &objects, &level);
        if (p != NULL && level > 0 && (objects & 1))
            p = rg_json_scan_name(scan, p, &name);
    } while (p != NULL && level > 0);
    return p;
}

const char *rg_json_scan_end(struct rg_json_scan *scan, const char *p)
{
    p = rg_json_skip_space(p, scan->end);
    if (p < scan->end)
        return rg_json_scan_fail(scan, p, RG_ESYNTAX, "something follows the value");
    return p;
}

const char *rg_json_kind_name(enum rg_json_kind kind)
{
    switch (kind) {
    case RG_JSON_NULL:
        return "null";
    case RG_JSON_FALSE:
    case RG_JSON_TRUE:
        return "a boolean";
    case RG_JSON_NUMBER:
        return "a number";
    case RG_JSON_STRING:
        return "a string";
    case RG_JSON_ARRAY:
        return "an array";
    case RG_JSON_OBJECT:
        return "an object";
    case RG_JSON_NONE:
        break;
    }
    return "missing";
}

int rg_json_scan_explain(const struct rg_json_scan *scan, struct rg_str text, struct rg_why *why)
{
    char place[32];

    snprintf(place, sizeof(place), "byte %zu", (size_t)(scan->bad - text.p));
    if (rg_str_starts_with(text, RG_STR("\xef\xbb\xbf")))
        return rg_why_set(why, scan->err, place, "a byte order mark is not allowed");
    return rg_why_set(why, scan->err, place, "%s", scan->what);
}

int rg_json_check_at(struct rg_str text, unsigned depth, struct rg_json *ret, struct rg_why *why)
{
    struct rg_json_scan scan = {0};
    const char *start, *after;

    if (text.n == 0)
        return rg_why_set(why, RG_ESYNTAX, "byte 0", "the text ends too early");
    scan.end = text.p + text.n;
    start = rg_json_skip_space(text.p, scan.end);
    after = rg_json_scan_value(&scan, start, depth);
    if (after == NULL || rg_json_scan_end(&scan, after) == NULL)
        return rg_json_scan_explain(&scan, text, why);

    ret->kind = rg_json_kind_of(*start);
    ret->text = rg_str_n(start, (size_t)(after - start));
    return 0;
}

int rg_json_check(struct rg_str text, struct rg_json *ret, struct rg_why *why)
{
    return rg_json_check_at(text, 0, ret, why);
}

/* -- walking over checked text --------------------------------------------- */

/* The first quote or backslash from p on; there is one. */
static inline const char *skip_to_quote(const char *p, const char *end)
{
#ifdef __SSE2__
    for (; end - p >= 16; p += 16) {
        __m128i x = _mm_loadu_si128((const __m128i *)p);
        __m128i hit = _mm_or_si128(_mm_cmpeq_epi8(x, _mm_set1_epi8('"')),
                                   _mm_cmpeq_epi8(x, _mm_set1_epi8('\\')));
        unsigned mask = (unsigned)_mm_movemask_epi8(hit);
        if (mask != 0)
            return p + __builtin_ctz(mask);
    }
#endif
    while (p < end && *p != '"' && *p != '\\')
        p++;
    return p;
}

/* p is behind the opening quote; returns the position of the closing one. */
static const char *string_end(const char *p, const char *end)
{
    p = skip_to_quote(p, end);
    while (*p == '\\')
        p = skip_to_quote(p + 2, end);
    return p;
}

/* How far into a container we are. */
struct nesting {
    unsigned level;
    bool is_in_string;
    const char *escaped; /* the byte behind the last backslash: it means itself */
};

/* p is at a byte of the container; returns true if it is the bracket that closes it. */
static inline bool is_last(struct nesting *n, const char *p)
{
    if (*p == '"')
        n->is_in_string ^= p != n->escaped;
    else if (*p == '\\')
        n->escaped = p != n->escaped ? p + 1 : NULL;
    else if ((*p | 0x20) == '{')
        n->level += !n->is_in_string;
    else if ((*p | 0x20) == '}')
        n->level -= !n->is_in_string;
    else
        return false;
    return n->level == 0;
}

#ifdef __SSE2__
/* One bit per byte of the 16 at p: set where is_last() has something to do. */
static inline unsigned structure_mask(const char *p)
{
    __m128i x = _mm_loadu_si128((const __m128i *)p);
    /* With this bit set '[' becomes '{' and ']' becomes '}', and nothing else does. */
    __m128i folded = _mm_or_si128(x, _mm_set1_epi8(0x20));
    __m128i hit = _mm_cmpeq_epi8(x, _mm_set1_epi8('"'));
    hit = _mm_or_si128(hit, _mm_cmpeq_epi8(x, _mm_set1_epi8('\\')));
    hit = _mm_or_si128(hit, _mm_cmpeq_epi8(folded, _mm_set1_epi8('{')));
    hit = _mm_or_si128(hit, _mm_cmpeq_epi8(folded, _mm_set1_epi8('}')));
    return (unsigned)_mm_movemask_epi8(hit);
}
#endif

/* p is at the opening bracket; the closing one comes before end. */
static const char *container_end(const char *p, const char *end)
{
    struct nesting nesting = {0};

#ifdef __SSE2__
    for (; end - p >= 16; p += 16) {
        for (unsigned mask = structure_mask(p); mask != 0; mask &= mask - 1) {
            const char *at = p + __builtin_ctz(mask);
            if (is_last(&nesting, at))
                return at + 1;
        }
    }
#endif
    while (p < end && !is_last(&nesting, p))
        p++;
    return p + 1;
}

/* The position behind the value at p. */
static const char *value_end(const char *p, const char *end)
{
    switch (*p) {
    case '"':
        return string_end(p + 1, end) + 1;
    case '{':
    case '[':
        return container_end(p, end);
    default:
        while (p < end && *p != ',' && *p != '}' && *p != ']' && !rg_json_is_space(*p))
            p++;
        return p;
    }
}

bool rg_json_next(struct rg_json container, struct rg_json_cursor *cursor, struct rg_str *key,
                  struct rg_json *value)
{
    const char *p = cursor->at;

    if (container.kind != RG_JSON_OBJECT && container.kind != RG_JSON_ARRAY)
        return false;
    const char *end = container.text.p + container.text.n;
    p = rg_json_skip_space(p != NULL ? p : container.text.p + 1, end);
    if (*p == ',')
        p = rg_json_skip_space(p + 1, end);
    cursor->at = p;
    if (*p == '}' || *p == ']')
        return false;

    *key = (struct rg_str){NULL, 0};
    if (container.kind == RG_JSON_OBJECT) {
        const char *name = p + 1;
        p = string_end(name, end);
        *key = rg_str_n(name, (size_t)(p - name));
        p = rg_json_skip_space(p + 1, end); /* now at the colon */
        p = rg_json_skip_space(p + 1, end);
    }
    cursor->at = value_end(p, end);
    value->kind = rg_json_kind_of(*p);
    value->text = rg_str_n(p, (size_t)(cursor->at - p));
    return true;
}

struct rg_json rg_json_member(struct rg_json object, struct rg_str name)
{
    struct rg_json_cursor cursor = {0};
    struct rg_json value;
    struct rg_str key;

    if (object.kind == RG_JSON_OBJECT) {
        while (rg_json_next(object, &cursor, &key, &value)) {
            if (rg_json_key_eq(key, name))
                return value;
        }
    }
    return (struct rg_json){RG_JSON_NONE, {NULL, 0}};
}

static struct rg_json element(struct rg_json array, struct rg_str index)
{
    struct rg_json_cursor cursor = {0};
    struct rg_json value;
    struct rg_str none;
    uint64_t i;

    if ((index.n > 1 && index.p[0] == '0') || rg_str_to_u64(index, UINT32_MAX, &i) < 0)
        return (struct rg_json){RG_JSON_NONE, {NULL, 0}};
    while (rg_json_next(array, &cursor, &none, &value)) {
        if (i-- == 0)
            return value;
    }
    return (struct rg_json){RG_JSON_NONE, {NULL, 0}};
}

/* Appends a step of a pointer with ~1 and ~0 turned back (RFC 6901 section 4). */
static struct rg_str read_step(struct rg_str step, struct rg_buf *scratch)
{
    if (step.n == 0 || memchr(step.p, '~', step.n) == NULL)
        return step;
    rg_buf_clear(scratch);
    for (size_t i = 0; i < step.n; i++) {
        bool is_escape = step.p[i] == '~' && i + 1 < step.n;
        rg_buf_add_char(scratch, !is_escape ? step.p[i] : step.p[++i] == '1' ? '/' : '~');
    }
    return rg_buf_str(scratch);
}

struct rg_json rg_json_at(struct rg_json root, struct rg_str pointer)
{
    struct rg_buf scratch = {0};
    struct rg_json value = root;

    rg_str_split(&pointer, '/');
    while (pointer.p != NULL && value.kind != RG_JSON_NONE) {
        struct rg_str step = read_step(rg_str_split(&pointer, '/'), &scratch);
        value = value.kind == RG_JSON_ARRAY ? element(value, step) : rg_json_member(value, step);
    }
    rg_buf_done(&scratch);
    return value;
}

/* -- strings --------------------------------------------------------------- */

static uint32_t hex4(const char *p)
{
    uint32_t v = 0;

    for (int i = 0; i < 4; i++) {
        uint32_t c = (unsigned char)p[i];
        /* Letters of either case have 0x40 set and count from 1. */
        v = v << 4 | ((c & 0xf) + (c & 0x40 ? 9 : 0));
    }
    return v;
}

/* p is at a checked escape; returns its length and the code point it stands for. */
static size_t read_escape(const char *p, const char *end, uint32_t *ret)
{
    static const char plain[] = "\"\\/bfnrt";
    static const char meant[] = "\"\\/\b\f\n\r\t";

    if (p[1] != 'u') {
        *ret = (unsigned char)meant[strchr(plain, p[1]) - plain];
        return 2;
    }
    *ret = hex4(p + 2);
    if (*ret < 0xd800 || *ret > 0xdfff)
        return 6;
    if (*ret < 0xdc00 && end - p >= 12 && p[6] == '\\' && p[7] == 'u') {
        uint32_t low = hex4(p + 8);
        if (low >= 0xdc00 && low <= 0xdfff) {
            *ret = 0x10000 + ((*ret - 0xd800) << 10) + (low - 0xdc00);
            return 12;
        }
    }
    *ret = 0xfffd;
    return 6;
}

void rg_json_unescape_raw(struct rg_str raw, struct rg_buf *out)
{
    const char *p = raw.p;
    const char *end = p + raw.n;

    while (p < end) {
        const char *escape = memchr(p, '\\', (size_t)(end - p));
        uint32_t cp;
        if (escape == NULL)
            escape = end;
        rg_buf_add(out, p, (size_t)(escape - p));
        p = escape;
        if (p < end) {
            p += read_escape(p, end, &cp);
            rg_utf8_add(out, cp);
        }
    }
}

bool rg_json_key_eq(struct rg_str raw, struct rg_str plain)
{
    char room[64];
    struct rg_buf text = {0};

    /* No escape is shorter than what it stands for; so the room below never has to grow either. */
    if (raw.n < plain.n || raw.n > RG_JSON_MAX_ESCAPE * plain.n)
        return false;
    if (raw.n == 0 || memchr(raw.p, '\\', raw.n) == NULL)
        return rg_str_eq(raw, plain);
    if (raw.n <= sizeof(room))
        text = (struct rg_buf){room, 0, sizeof(room)};
    rg_json_unescape_raw(raw, &text);
    bool is_equal = rg_str_eq(rg_buf_str(&text), plain);
    if (text.p != room)
        rg_buf_done(&text);
    return is_equal;
}

static struct rg_str content(struct rg_json value)
{
    rg_assert(value.kind == RG_JSON_STRING);
    return rg_str_n(value.text.p + 1, value.text.n - 2);
}

void rg_json_unescape(struct rg_json value, struct rg_buf *out)
{
    rg_json_unescape_raw(content(value), out);
}

struct rg_str rg_json_string(struct rg_json value, struct rg_buf *scratch)
{
    struct rg_str raw = content(value);
    size_t start = scratch->n;

    if (raw.n == 0 || memchr(raw.p, '\\', raw.n) == NULL)
        return raw;
    rg_buf_reserve(scratch, raw.n);
    rg_json_unescape_raw(raw, scratch);
    return rg_str_n(scratch->p + start, scratch->n - start);
}

static void add_escaped(struct rg_buf *out, char c)
{
    static const char named[] = "\"\\\b\f\n\r\t";
    static const char letter[] = "\"\\bfnrt";
    const char *at = c != '\0' ? strchr(named, c) : NULL;

    if (at != NULL) {
        char pair[2] = {'\\', letter[at - named]};
        rg_buf_add(out, pair, 2);
    } else {
        rg_buf_addf(out, "\\u%04x", (unsigned)(unsigned char)c);
    }
}

void rg_json_add_string(struct rg_buf *out, struct rg_str s)
{
    const char *p = s.p;
    const char *end = s.n > 0 ? p + s.n : p;

    rg_buf_reserve(out, s.n + 2);
    rg_buf_add_char(out, '"');
    while (p < end) {
        const char *stop = rg_json_skip_plain(p, end);
        rg_buf_add(out, p, (size_t)(stop - p));
        p = stop;
        if (p == end)
            break;
        if ((unsigned char)*p < 0x80) {
            add_escaped(out, *p++);
            continue;
        }
        size_t n = rg_utf8_sequence(p, (size_t)(end - p));
        if (n > 0)
            rg_buf_add(out, p, n);
        else
            rg_utf8_add(out, 0xfffd);
        p += n > 0 ? n : 1;
    }
    rg_buf_add_char(out, '"');
}

/* -- numbers --------------------------------------------------------------- */

/* A decimal number as 0.digits times ten to the power of point. */
struct decimal {
    char digits[MAX_NUMBER]; /* no zero first or last; none at all is zero */
    size_t n;
    int64_t point;
    bool is_negative;
};

/* Adds a digit and tells whether it counts (is not a zero before all others). */
static bool add_digit(struct decimal *d, char c)
{
    if (d->n == 0 && c == '0')
        return false;
    d->digits[d->n++] = c;
    return true;
}

static int64_t read_exponent(const char *p, const char *end)
{
    bool is_negative = *p == '-';
    int64_t value = 0;

    if (*p == '-' || *p == '+')
        p++;
    /* Beyond a million it no longer matters how much: 512 digits cannot make up for it. */
    for (; p < end && value < 1000000; p++)
        value = value * 10 + (*p - '0');
    return is_negative ? -value : value;
}

static void read_decimal(struct rg_str text, struct decimal *d)
{
    const char *p = text.p;
    const char *end = p + text.n;

    d->n = 0;
    d->point = 0;
    d->is_negative = *p == '-';
    p += d->is_negative;
    for (; p < end && *p >= '0' && *p <= '9'; p++)
        d->point += add_digit(d, *p);
    if (p < end && *p == '.') {
        for (p++; p < end && *p >= '0' && *p <= '9'; p++) {
            if (!add_digit(d, *p))
                d->point--;
        }
    }
    if (p < end)
        d->point += read_exponent(p + 1, end);
    while (d->n > 0 && d->digits[d->n - 1] == '0')
        d->n--;
}

static bool to_integer(const struct decimal *d, int64_t *ret)
{
    int64_t value = 0;

    if (d->n > 0 && (d->point < (int64_t)d->n || d->point > 19))
        return false;
    for (size_t i = 0; d->n > 0 && i < (size_t)d->point; i++) {
        int digit = i < d->n ? d->digits[i] - '0' : 0;
        /* Downwards where negative, since the smallest number has no positive counterpart. */
        if (__builtin_mul_overflow(value, (int64_t)10, &value) ||
            __builtin_add_overflow(value, (int64_t)(d->is_negative ? -digit : digit), &value))
            return false;
    }
    *ret = value;
    return true;
}

int rg_json_number(struct rg_json value, struct rg_json_number *ret)
{
    struct decimal d;

    rg_assert(value.kind == RG_JSON_NUMBER);
    if (value.text.n > MAX_NUMBER)
        return RG_EINVAL;
    read_decimal(value.text, &d);
    ret->is_integer = to_integer(&d, &ret->v.i);
    if (!ret->is_integer) {
        /* strtod(3) rounds correctly; the program stays in the C locale. */
        char text[MAX_NUMBER + 1];
        memcpy(text, value.text.p, value.text.n);
        text[value.text.n] = '\0';
        ret->v.d = strtod(text, NULL) + 0.0; /* the sum has no negative zero */
    }
    return 0;
}
