#include "base/base64.h"

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"

static const char standard[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
static const char url[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

static void encode(struct rg_buf *out, const unsigned char *p, size_t n, const char *alphabet,
                   bool is_padded)
{
    for (size_t i = 0; i < n; i += 3) {
        size_t left = n - i < 3 ? n - i : 3;
        uint32_t v = (uint32_t)p[i] << 16;
        v |= left > 1 ? (uint32_t)p[i + 1] << 8 : 0;
        v |= left > 2 ? (uint32_t)p[i + 2] : 0;

        char group[4] = {alphabet[v >> 18], alphabet[v >> 12 & 63], alphabet[v >> 6 & 63],
                         alphabet[v & 63]};
        rg_buf_add(out, group, left + 1);
        for (size_t pad = left; is_padded && pad < 3; pad++)
            rg_buf_add_char(out, '=');
    }
}

void rg_base64url_add(struct rg_buf *out, const void *p, size_t n)
{
    encode(out, p, n, url, false);
}

void rg_base64_add(struct rg_buf *out, const void *p, size_t n)
{
    encode(out, p, n, standard, true);
}

/* last: the two digits of the alphabet that are neither letters nor decimal. */
static int digit(char c, const char *last)
{
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (c >= '0' && c <= '9')
        return c - '0' + 52;
    return c == last[0] ? 62 : c == last[1] ? 63 : -1;
}

static long decode(struct rg_str s, const char *last, void *out, size_t max)
{
    unsigned char *o = out;
    size_t n = 0;
    uint32_t bits = 0;
    int have = 0;

    for (int pad = 0; pad < 2 && s.n > 0 && s.p[s.n - 1] == '='; pad++)
        s.n--;
    if (s.n % 4 == 1)
        return RG_ESYNTAX;
    for (size_t i = 0; i < s.n; i++) {
        int d = digit(s.p[i], last);
        if (d < 0)
            return RG_ESYNTAX;
        bits = bits << 6 | (uint32_t)d;
        have += 6;
        if (have >= 8) {
            have -= 8;
            if (n == max)
                return RG_EFULL;
            o[n++] = (unsigned char)(bits >> have);
        }
    }
    if ((bits & ((1u << have) - 1)) != 0)
        return RG_ESYNTAX;
    return (long)n;
}

long rg_base64url_decode(struct rg_str s, void *out, size_t max)
{
    return decode(s, "-_", out, max);
}

long rg_base64_decode(struct rg_str s, void *out, size_t max)
{
    return decode(s, "+/", out, max);
}
