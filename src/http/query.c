#include "http/query.h"

#include "base/utf8.h"

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

/* Decodes s into to, which has room for s.n bytes. Returns the length or RG_ESYNTAX. */
static long decode(struct rg_str s, bool is_form, char *to)
{
    size_t n = 0;

    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] == '%') {
            int high = i + 2 < s.n ? hex_digit(s.p[i + 1]) : -1;
            int low = i + 2 < s.n ? hex_digit(s.p[i + 2]) : -1;
            if (high < 0 || low < 0)
                return RG_ESYNTAX;
            to[n++] = (char)(high << 4 | low);
            i += 2;
        } else {
            to[n++] = is_form && s.p[i] == '+' ? ' ' : s.p[i];
        }
    }
    return (long)n;
}

int rg_percent_decode(struct rg_str s, bool is_form, struct rg_buf *out)
{
    char *to = rg_buf_reserve(out, s.n + 1); /* never 0 bytes, so that `to` is not NULL */
    long n = decode(s, is_form, to);

    if (n < 0)
        return (int)n;
    if (!rg_utf8_is_valid(rg_str_n(to, (size_t)n)))
        return RG_ESYNTAX;
    out->n += (size_t)n;
    return 0;
}

void rg_percent_encode(struct rg_buf *out, struct rg_str s)
{
    static const char hex[] = "0123456789ABCDEF";
    size_t room;

    rg_assert(!__builtin_mul_overflow(s.n, (size_t)3, &room));
    char *to = rg_buf_reserve(out, room + 1);

    for (size_t i = 0; i < s.n; i++) {
        unsigned char c = (unsigned char)s.p[i];
        if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
            c == '-' || c == '.' || c == '_' || c == '~') {
            *to++ = (char)c;
            out->n += 1;
        } else {
            *to++ = '%';
            *to++ = hex[c >> 4];
            *to++ = hex[c & 15];
            out->n += 3;
        }
    }
}

int rg_query_get(struct rg_str query, struct rg_str name, struct rg_buf *scratch,
                 struct rg_str *ret)
{
    size_t base = scratch->n;
    size_t value_n = 0;
    bool is_found = false;
    int err = 0;

    /*
     * Every part is decoded, wanted or not, because one malformed part makes the query malformed.
     * The last value found stays at base; what follows is decoded behind it and forgotten. So
     * query.n bytes are always enough; one more gives an empty value an address.
     */
    rg_buf_reserve(scratch, query.n + 1);
    while (query.p != NULL && err == 0) {
        struct rg_str value = rg_str_split(&query, '&');
        struct rg_str key = rg_str_split(&value, '=');
        size_t key_at = scratch->n;

        err = rg_percent_decode(key, true, scratch);
        if (err < 0)
            break;
        size_t value_at = scratch->n;
        err = rg_percent_decode(value, true, scratch);
        if (err < 0)
            break;
        size_t n = scratch->n - value_at;
        if (rg_str_eq(rg_str_n(scratch->p + key_at, value_at - key_at), name)) {
            is_found = value.p != NULL;
            value_n = n;
            memmove(scratch->p + base, scratch->p + value_at, n);
            scratch->n = base + n;
        } else {
            scratch->n = key_at;
        }
    }
    if (err < 0 || !is_found) {
        scratch->n = base;
        return err;
    }
    *ret = rg_str_n(scratch->p + base, value_n);
    return 1;
}

int rg_query_next(struct rg_str *rest, struct rg_buf *scratch, struct rg_str *ret_name,
                  struct rg_str *ret_value)
{
    size_t base = scratch->n;

    while (rest->p != NULL) {
        size_t room = rest->n + 1; /* one more gives an empty name or value an address */
        struct rg_str value = rg_str_split(rest, '&');
        struct rg_str name = rg_str_split(&value, '=');

        if (name.n == 0 && value.p == NULL)
            continue;
        rg_buf_reserve(scratch, room);
        if (rg_percent_decode(name, true, scratch) < 0)
            return RG_ESYNTAX;
        size_t value_at = scratch->n;
        if (rg_percent_decode(value, true, scratch) < 0) {
            scratch->n = base;
            return RG_ESYNTAX;
        }
        *ret_name = rg_str_n(scratch->p + base, value_at - base);
        *ret_value = (struct rg_str){NULL, 0};
        if (value.p != NULL)
            *ret_value = rg_str_n(scratch->p + value_at, scratch->n - value_at);
        return 1;
    }
    return 0;
}
