#include "http/deflate.h"

#include <zlib.h>

#include "base/alloc.h"
#include "base/err.h"

/*
 * Level 3 gives nearly what level 6 gives for texts of some kilobytes, for three quarters of the
 * time; for small ones building the code tables is most of the work at any level.
 */
#define LEVEL      3
#define MEM_LEVEL  8
#define STEP       16384 /* bytes inflated at a time */
#define FREE_BYTES 65536 /* what may come out whatever went in */

#define BETWEEN_BLOCKS 128 /* in z_stream.data_type after inflate() */

struct rg_deflater {
    z_stream z;
};

struct rg_inflater {
    z_stream z;
};

struct rg_deflater *rg_deflater_new(void)
{
    struct rg_deflater *deflater = rg_zalloc(sizeof(*deflater));

    rg_assert(deflateInit2(&deflater->z, LEVEL, Z_DEFLATED, -RG_DEFLATE_WINDOW_BITS, MEM_LEVEL,
                           Z_DEFAULT_STRATEGY) == Z_OK);
    return deflater;
}

void rg_deflater_free(struct rg_deflater **deflaterp)
{
    struct rg_deflater *deflater = RG_STEAL(*deflaterp);

    if (deflater == NULL)
        return;
    deflateEnd(&deflater->z);
    rg_free(deflater);
}

void rg_deflater_add(struct rg_deflater *deflater, struct rg_str text, struct rg_buf *out)
{
    z_stream *z = &deflater->z;

    rg_assert(text.n <= UINT32_MAX / 2);
    deflateReset(z);
    size_t room = deflateBound(z, text.n) + RG_DEFLATE_TAIL_N + 1;
    z->next_in = (Bytef *)text.p;
    z->avail_in = (uInt)text.n;
    z->next_out = (Bytef *)rg_buf_reserve(out, room);
    z->avail_out = (uInt)room;
    rg_assert(deflate(z, Z_SYNC_FLUSH) == Z_OK && z->avail_in == 0 && z->avail_out > 0);
    out->n += room - z->avail_out;
}

struct rg_inflater *rg_inflater_new(void)
{
    struct rg_inflater *inflater = rg_zalloc(sizeof(*inflater));

    rg_assert(inflateInit2(&inflater->z, -MAX_WBITS) == Z_OK);
    return inflater;
}

void rg_inflater_free(struct rg_inflater **inflaterp)
{
    struct rg_inflater *inflater = RG_STEAL(*inflaterp);

    if (inflater == NULL)
        return;
    inflateEnd(&inflater->z);
    rg_free(inflater);
}

/* Inflates one step of at most room bytes; RG_EAGAIN if that needs more input. */
static int inflate_step(z_stream *z, size_t room, struct rg_buf *out)
{
    z->next_out = (Bytef *)rg_buf_reserve(out, room);
    z->avail_out = (uInt)room;
    int result = inflate(z, Z_SYNC_FLUSH);
    out->n += room - z->avail_out;
    if (result == Z_BUF_ERROR)
        return RG_EAGAIN;
    /* Behind a final block another one may follow, which knows nothing of those before. */
    if (result == Z_STREAM_END)
        result = inflateReset(z);
    return result == Z_OK ? 0 : RG_ESYNTAX;
}

static size_t allowed(const struct rg_inflate_limits *limits, size_t in_n)
{
    size_t by_ratio;

    if (limits->max_ratio == 0 || __builtin_mul_overflow(in_n, limits->max_ratio, &by_ratio))
        return limits->max_bytes;
    by_ratio = by_ratio > FREE_BYTES ? by_ratio : FREE_BYTES;
    return by_ratio < limits->max_bytes ? by_ratio : limits->max_bytes;
}

/*
 * Inflates all of data; total may reach max and must not pass it. *ret_is_between tells whether
 * data ends between two blocks.
 */
static int inflate_all(z_stream *z, struct rg_str data, size_t *total, size_t max,
                       struct rg_buf *out, bool *ret_is_between)
{
    int err = 0;

    z->next_in = (Bytef *)data.p;
    z->avail_in = (uInt)data.n;
    while (err == 0) {
        size_t before = out->n;
        /* One more than allowed, to see whether there is more. */
        size_t room = max - *total + 1;
        err = inflate_step(z, room < STEP ? room : STEP, out);
        *total += out->n - before;
        if (err == 0)
            *ret_is_between = (z->data_type & BETWEEN_BLOCKS) != 0;
        if (*total > max)
            return RG_EFULL;
    }
    return err == RG_EAGAIN ? 0 : err;
}

int rg_inflater_add(struct rg_inflater *inflater, struct rg_str data,
                    const struct rg_inflate_limits *limits, struct rg_buf *out)
{
    z_stream *z = &inflater->z;
    size_t max = allowed(limits, data.n);
    size_t total = 0;
    bool is_between = false;

    rg_assert(data.n <= UINT32_MAX && limits->max_bytes < SIZE_MAX);
    inflateReset(z);
    int err = inflate_all(z, data, &total, max, out, &is_between);
    if (err == 0)
        err = inflate_all(z, rg_str_n(RG_DEFLATE_TAIL, RG_DEFLATE_TAIL_N), &total, max, out,
                          &is_between);
    if (err < 0)
        return err;
    return is_between ? 0 : RG_ESYNTAX; /* cut off */
}
