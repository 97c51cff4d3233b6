#include "base/buf.h"

#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "base/err.h"

void rg_buf_done(struct rg_buf *buf)
{
    rg_free(buf->p);
    *buf = (struct rg_buf){0};
}

char *rg_buf_grow(struct rg_buf *buf, size_t n)
{
    size_t want;

    rg_assert(!__builtin_add_overflow(buf->n, n, &want));
    if (want > buf->cap) {
        size_t cap = buf->cap > 0 ? buf->cap : 64;
        while (cap < want) {
            rg_assert(cap <= SIZE_MAX / 2);
            cap *= 2;
        }
        buf->p = rg_realloc(buf->p, cap);
        buf->cap = cap;
    }
    /* Asked for nothing, an empty buffer has no bytes to point at. */
    return buf->p != NULL ? buf->p + buf->n : NULL;
}

void rg_buf_add_c(struct rg_buf *buf, const char *s)
{
    rg_buf_add(buf, s, strlen(s));
}

void rg_buf_add_u64(struct rg_buf *buf, uint64_t value)
{
    char digits[20];
    size_t at = sizeof(digits);

    do {
        digits[--at] = (char)('0' + value % 10);
        value /= 10;
    } while (value > 0);
    rg_buf_add(buf, digits + at, sizeof(digits) - at);
}

void rg_buf_addf(struct rg_buf *buf, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    int n = vsnprintf(NULL, 0, fmt, ap);
    va_end(ap);
    rg_assert(n >= 0);

    char *p = rg_buf_reserve(buf, (size_t)n + 1);
    va_start(ap, fmt);
    vsnprintf(p, (size_t)n + 1, fmt, ap);
    va_end(ap);
    buf->n += (size_t)n;
}

void rg_buf_consume(struct rg_buf *buf, size_t n)
{
    rg_assert(n <= buf->n);
    if (n == 0)
        return;
    memmove(buf->p, buf->p + n, buf->n - n);
    buf->n -= n;
}

char *rg_buf_steal(struct rg_buf *buf)
{
    rg_buf_add_char(buf, '\0');
    char *p = buf->p;
    *buf = (struct rg_buf){0};
    return p;
}
