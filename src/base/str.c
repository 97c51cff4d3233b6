#include "base/str.h"

#include <strings.h>

#include "base/err.h"

bool rg_str_eq_nocase(struct rg_str a, struct rg_str b)
{
    return a.n == b.n && rg_str_starts_with_nocase(a, b);
}

bool rg_str_starts_with(struct rg_str s, struct rg_str prefix)
{
    return s.n >= prefix.n && (prefix.n == 0 || memcmp(s.p, prefix.p, prefix.n) == 0);
}

static char lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c + ('a' - 'A')) : c;
}

bool rg_str_starts_with_nocase(struct rg_str s, struct rg_str prefix)
{
    if (s.n < prefix.n)
        return false;
    for (size_t i = 0; i < prefix.n; i++) {
        if (lower(s.p[i]) != lower(prefix.p[i]))
            return false;
    }
    return true;
}

bool rg_str_ends_with(struct rg_str s, struct rg_str suffix)
{
    return s.n >= suffix.n &&
           (suffix.n == 0 || memcmp(s.p + s.n - suffix.n, suffix.p, suffix.n) == 0);
}

struct rg_str rg_str_trim(struct rg_str s)
{
    while (s.n > 0 && (s.p[0] == ' ' || s.p[0] == '\t')) {
        s.p++;
        s.n--;
    }
    while (s.n > 0 && (s.p[s.n - 1] == ' ' || s.p[s.n - 1] == '\t'))
        s.n--;
    return s;
}

struct rg_str rg_str_split(struct rg_str *rest, char sep)
{
    struct rg_str part = *rest;
    const char *end = rest->n > 0 ? memchr(rest->p, sep, rest->n) : NULL;

    if (end == NULL) {
        *rest = (struct rg_str){NULL, 0};
        return part;
    }
    part.n = (size_t)(end - rest->p);
    rest->p += part.n + 1;
    rest->n -= part.n + 1;
    return part;
}

int rg_str_to_u64(struct rg_str s, uint64_t max, uint64_t *ret)
{
    uint64_t value = 0;

    if (s.n == 0)
        return RG_ESYNTAX;
    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] < '0' || s.p[i] > '9')
            return RG_ESYNTAX;
    }
    for (size_t i = 0; i < s.n; i++) {
        if (__builtin_mul_overflow(value, (uint64_t)10, &value) ||
            __builtin_add_overflow(value, (uint64_t)(s.p[i] - '0'), &value))
            return RG_EINVAL;
    }
    if (value > max)
        return RG_EINVAL;
    *ret = value;
    return 0;
}

int rg_str_to_i64(struct rg_str s, int64_t *ret)
{
    bool is_negative = s.n > 0 && s.p[0] == '-';
    uint64_t magnitude;
    int err;

    if (s.n > 0 && (s.p[0] == '-' || s.p[0] == '+')) {
        s.p++;
        s.n--;
    }
    err = rg_str_to_u64(s, (uint64_t)INT64_MAX, &magnitude);
    if (err < 0)
        return err;
    *ret = is_negative ? -(int64_t)magnitude : (int64_t)magnitude;
    return 0;
}
