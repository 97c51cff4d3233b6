/*
 * buf.h - bytes that grow.
 *
 * The owner embeds a struct rg_buf, zero-initialised, and ends it with
 * rg_buf_done(). Appending grows by doubling and cannot fail; whoever appends
 * what a peer sent checks its own limit first.
 *
 * Thread: whoever owns it.
 */
#pragma once

#include <stdarg.h>
#include <stddef.h>

#include "base/str.h"

struct rg_buf {
    char *p; /* NULL while nothing was ever appended */
    size_t n;
    size_t cap;
};

/* Frees the bytes and leaves an empty buffer. */
void rg_buf_done(struct rg_buf *buf);

/* Forgets the content and keeps the memory. */
static inline void rg_buf_clear(struct rg_buf *buf)
{
    buf->n = 0;
}

/* What rg_buf_reserve() does where there is no room. */
char *rg_buf_grow(struct rg_buf *buf, size_t n);

/* Makes room for n more bytes and returns where they go; advance buf->n after writing. */
static inline char *rg_buf_reserve(struct rg_buf *buf, size_t n)
{
    return buf->p != NULL && n <= buf->cap - buf->n ? buf->p + buf->n : rg_buf_grow(buf, n);
}

static inline void rg_buf_add(struct rg_buf *buf, const void *p, size_t n)
{
    if (n == 0)
        return;
    memcpy(rg_buf_reserve(buf, n), p, n);
    buf->n += n;
}

static inline void rg_buf_add_str(struct rg_buf *buf, struct rg_str s)
{
    rg_buf_add(buf, s.p, s.n);
}

static inline void rg_buf_add_char(struct rg_buf *buf, char c)
{
    *rg_buf_reserve(buf, 1) = c;
    buf->n++;
}

void rg_buf_add_c(struct rg_buf *buf, const char *s);
/* Decimal. Where it matters: rg_buf_addf() takes ten times as long. */
void rg_buf_add_u64(struct rg_buf *buf, uint64_t value);
void rg_buf_addf(struct rg_buf *buf, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* Removes the first n bytes (n <= buf->n). */
void rg_buf_consume(struct rg_buf *buf, size_t n);

/* The content as borrowed text, valid until the buffer changes. */
static inline struct rg_str rg_buf_str(const struct rg_buf *buf)
{
    return (struct rg_str){buf->p, buf->n};
}

/* Gives the bytes away, NUL-terminated, to be freed with rg_free(); the buffer is empty then. */
char *rg_buf_steal(struct rg_buf *buf);
