#include "base/utf8.h"

#include <string.h>

/* The length of the sequence that this byte begins; 0 if it begins none. */
static size_t announced(unsigned char first)
{
    if (first < 0x80)
        return 1;
    if (first < 0xc2 || first > 0xf4)
        return 0;
    return first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;
}

/* Whether p[1..n) may follow p[0]. */
static bool may_follow(const unsigned char *p, size_t n)
{
    /* The second byte's range excludes overlong forms, surrogates and > U+10FFFF. */
    unsigned char low = p[0] == 0xe0 ? 0xa0 : p[0] == 0xf0 ? 0x90 : 0x80;
    unsigned char high = p[0] == 0xed ? 0x9f : p[0] == 0xf4 ? 0x8f : 0xbf;

    if (n > 1 && (p[1] < low || p[1] > high))
        return false;
    for (size_t i = 2; i < n; i++) {
        if ((p[i] & 0xc0) != 0x80)
            return false;
    }
    return true;
}

size_t rg_utf8_sequence(const char *s, size_t n)
{
    const unsigned char *p = (const unsigned char *)s;
    size_t len = n > 0 ? announced(p[0]) : 0;

    return n >= len && len > 0 && may_follow(p, len) ? len : 0;
}

/* The bytes up to the first that are no valid sequence, or up to the end. */
static size_t valid_bytes(struct rg_str s)
{
    size_t i = 0;

    while (i < s.n) {
        uint64_t word;
        if (s.n - i >= 8) {
            memcpy(&word, s.p + i, 8);
            if ((word & 0x8080808080808080ULL) == 0) {
                i += 8;
                continue;
            }
        }
        size_t len = rg_utf8_sequence(s.p + i, s.n - i);
        if (len == 0)
            break;
        i += len;
    }
    return i;
}

bool rg_utf8_is_valid(struct rg_str s)
{
    return valid_bytes(s) == s.n;
}

bool rg_utf8_is_beginning(struct rg_str s, size_t *ret_whole)
{
    size_t whole = valid_bytes(s);
    size_t rest = s.n - whole;

    *ret_whole = whole;
    if (rest == 0)
        return true;
    const unsigned char *p = (const unsigned char *)s.p + whole;
    return rest < announced(p[0]) && may_follow(p, rest);
}

void rg_utf8_add(struct rg_buf *out, uint32_t cp)
{
    char b[4];
    size_t n;

    if (cp < 0x80) {
        b[0] = (char)cp;
        n = 1;
    } else if (cp < 0x800) {
        b[0] = (char)(0xc0 | cp >> 6);
        n = 2;
    } else if (cp < 0x10000) {
        b[0] = (char)(0xe0 | cp >> 12);
        n = 3;
    } else {
        b[0] = (char)(0xf0 | cp >> 18);
        n = 4;
    }
    for (size_t i = 1; i < n; i++)
        b[i] = (char)(0x80 | (cp >> (6 * (n - 1 - i)) & 0x3f));
    rg_buf_add(out, b, n);
}
