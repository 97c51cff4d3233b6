#include "push/gzip.h"

#include <zlib.h>

#define MAX_STORED    65535 /* bytes in one stored block */
#define STORED_HEADER 5

static void add_le16(struct rg_buf *out, unsigned n)
{
    rg_buf_add_char(out, (char)(n & 0xff));
    rg_buf_add_char(out, (char)(n >> 8));
}

static void add_le32(struct rg_buf *out, uint32_t n)
{
    add_le16(out, n & 0xffff);
    add_le16(out, n >> 16);
}

void rg_gzip_add_header(struct rg_buf *out)
{
    /* Magic, deflate, no flags, no time, no word about the effort, unknown system. */
    rg_buf_add(out, "\x1f\x8b\x08\0\0\0\0\0\0\xff", 10);
}

void rg_gzip_add_stored(struct rg_buf *out, struct rg_str text)
{
    while (text.n > 0) {
        size_t n = text.n < MAX_STORED ? text.n : MAX_STORED;
        rg_buf_add_char(out, 0); /* not final, stored, filled up to a whole byte (RFC 1951 3.2.4) */
        add_le16(out, (unsigned)n);
        add_le16(out, (unsigned)~n & 0xffff);
        rg_buf_add(out, text.p, n);
        text.p += n;
        text.n -= n;
    }
}

void rg_gzip_add_deflated(struct rg_buf *out, struct rg_str text, struct rg_deflater *deflater)
{
    size_t before = out->n;

    rg_deflater_add(deflater, text, out);
    if (out->n - before < text.n + STORED_HEADER)
        return;
    out->n = before;
    rg_gzip_add_stored(out, text);
}

struct rg_gzip_sum rg_gzip_sum(struct rg_str text)
{
    rg_assert(text.n <= UINT32_MAX);
    if (text.n == 0)
        return (struct rg_gzip_sum){0};
    return (struct rg_gzip_sum){
        .n = (uint32_t)text.n,
        .crc = (uint32_t)crc32_z(0, (const Bytef *)text.p, text.n),
        .shift = (uint32_t)crc32_combine_gen((z_off_t)text.n),
    };
}

void rg_gzip_count(struct rg_gzip_total *total, const struct rg_gzip_sum *sum)
{
    if (sum->n == 0)
        return;
    total->crc = (uint32_t)crc32_combine_op(total->crc, sum->crc, sum->shift);
    total->n += sum->n;
}

void rg_gzip_add_end(struct rg_buf *out, const struct rg_gzip_total *total)
{
    rg_buf_add(out, "\x03\0", 2); /* a final block without anything in it, in fixed codes */
    add_le32(out, total->crc);
    add_le32(out, total->n);
}
