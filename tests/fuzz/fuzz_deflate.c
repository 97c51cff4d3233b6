/*
 * Deflate: what is compressed comes back, whatever is inflated stays within its limits, and pieces
 * of a gzip stream make a valid one in any order. The first byte says how the rest is cut.
 */
#include <zlib.h>

#include "base/alloc.h"
#include "base/err.h"
#include "push/gzip.h"

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t n);

static struct rg_deflater *deflater;
static struct rg_inflater *inflater;

static void check_round_trip(struct rg_str text)
{
    const struct rg_inflate_limits limits = {.max_bytes = text.n};
    struct rg_buf packed = {0};
    struct rg_buf got = {0};

    rg_deflater_add(deflater, text, &packed);
    rg_assert(packed.n > RG_DEFLATE_TAIL_N);
    packed.n -= RG_DEFLATE_TAIL_N;
    rg_assert(rg_inflater_add(inflater, rg_buf_str(&packed), &limits, &got) == 0);
    rg_assert(rg_str_eq(rg_buf_str(&got), text));
    rg_buf_done(&packed);
    rg_buf_done(&got);
}

static void check_limits(struct rg_str data)
{
    const struct rg_inflate_limits limits = {.max_bytes = 100000, .max_ratio = 50};
    const struct rg_inflate_limits narrow = {.max_bytes = 1000};
    struct rg_buf wide_got = {0};
    struct rg_buf narrow_got = {0};
    int wide_err = rg_inflater_add(inflater, data, &limits, &wide_got);
    int narrow_err = rg_inflater_add(inflater, data, &narrow, &narrow_got);

    rg_assert(wide_err == 0 || wide_err == RG_EFULL || wide_err == RG_ESYNTAX);
    rg_assert(wide_got.n <= limits.max_bytes + 1 && narrow_got.n <= narrow.max_bytes + 1);
    rg_assert(wide_err != 0 || narrow_err == (wide_got.n > narrow.max_bytes ? RG_EFULL : 0));
    rg_buf_done(&wide_got);
    rg_buf_done(&narrow_got);
}

static void check_gzip(struct rg_str text, size_t step)
{
    struct rg_gzip_total total = {0};
    struct rg_buf stream = {0};
    char *got = rg_alloc(text.n + 1);

    rg_gzip_add_header(&stream);
    for (size_t at = 0; at < text.n; at += step) {
        struct rg_str piece = rg_str_n(text.p + at, text.n - at < step ? text.n - at : step);
        struct rg_gzip_sum sum = rg_gzip_sum(piece);
        if (at % 2 == 0)
            rg_gzip_add_deflated(&stream, piece, deflater);
        else
            rg_gzip_add_stored(&stream, piece);
        rg_gzip_count(&total, &sum);
    }
    rg_gzip_add_end(&stream, &total);

    z_stream z = {.next_in = (Bytef *)stream.p,
                  .avail_in = (uInt)stream.n,
                  .next_out = (Bytef *)got,
                  .avail_out = (uInt)text.n + 1};
    rg_assert(inflateInit2(&z, 16 + MAX_WBITS) == Z_OK);
    rg_assert(inflate(&z, Z_FINISH) == Z_STREAM_END && z.avail_in == 0);
    rg_assert(z.total_out == text.n && memcmp(got, text.n > 0 ? text.p : "", text.n) == 0);
    inflateEnd(&z);
    rg_buf_done(&stream);
    rg_free(got);
}

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t n)
{
    if (n < 1)
        return 0;
    if (deflater == NULL) {
        deflater = rg_deflater_new();
        inflater = rg_inflater_new();
    }
    struct rg_str text = rg_str_n((const char *)input + 1, n - 1);

    check_round_trip(text);
    check_limits(text);
    check_gzip(text, 1 + (size_t)input[0]);
    return 0;
}
