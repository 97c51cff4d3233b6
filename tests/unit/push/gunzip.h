/*
 * gunzip.h - what a client makes of a gzip stream.
 *
 * Thread: any.
 */
#pragma once

#include <zlib.h>

#include "base/buf.h"
#include "base/err.h"

/*
 * Appends what bytes contain, as far as they go. Returns 1 if they are one whole gzip stream with
 * nothing behind it (as gzip -t wants it), 0 if the end is missing, -1 if they are wrong.
 */
static inline int gunzip(struct rg_str bytes, struct rg_buf *out)
{
    z_stream z = {.next_in = (Bytef *)bytes.p, .avail_in = (uInt)bytes.n};
    int result;

    rg_assert(inflateInit2(&z, 16 + MAX_WBITS) == Z_OK);
    do {
        z.next_out = (Bytef *)rg_buf_reserve(out, 4096);
        z.avail_out = 4096;
        result = inflate(&z, Z_NO_FLUSH);
        out->n += 4096 - z.avail_out;
    } while (result == Z_OK);
    inflateEnd(&z);
    if (result == Z_STREAM_END && z.avail_in == 0)
        return 1;
    return result == Z_BUF_ERROR ? 0 : -1;
}
