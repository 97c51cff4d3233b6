#include "push/compression.h"

#include "base/alloc.h"
#include "http/accept_encoding.h"
#include "http/ws_extension.h"

struct rg_compressor *rg_compressor_new(size_t min_bytes)
{
    struct rg_compressor *compressor;

    if (min_bytes == SIZE_MAX)
        return NULL;
    compressor = rg_alloc(sizeof(*compressor));
    *compressor = (struct rg_compressor){min_bytes, rg_deflater_new(), rg_inflater_new()};
    return compressor;
}

void rg_compressor_free(struct rg_compressor **compressorp)
{
    struct rg_compressor *compressor = RG_STEAL(*compressorp);

    if (compressor == NULL)
        return;
    rg_deflater_free(&compressor->deflater);
    rg_inflater_free(&compressor->inflater);
    rg_free(compressor);
}

static bool is_on(const struct rg_push *push)
{
    return push->settings.compression_min_bytes != SIZE_MAX;
}

bool rg_compression_accepts_gzip(const struct rg_push *push, const struct rg_request *req)
{
    return is_on(push) && rg_accepts_gzip(req);
}

bool rg_compression_accepts_deflate(const struct rg_push *push, const struct rg_request *req,
                                    struct rg_buf *extension)
{
    return is_on(push) && rg_ws_accept_deflate(req, extension);
}
