#include "push/compression.h"

bool rg_compression_accepts_gzip(const struct rg_push *push, const struct rg_request *req)
{
    (void)push;
    (void)req;
    return false;
}

bool rg_compression_accepts_deflate(const struct rg_push *push, const struct rg_request *req,
                                    struct rg_buf *extension)
{
    (void)push;
    (void)req;
    (void)extension;
    return false;
}
