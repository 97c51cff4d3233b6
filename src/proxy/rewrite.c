#include "proxy/rewrite.h"

#include "base/alloc.h"

struct rg_rewrite {
    int unused;
};

struct rg_rewrite *rg_rewrite_new(struct rg_str replacement)
{
    (void)replacement;
    return rg_zalloc(sizeof(struct rg_rewrite));
}

void rg_rewrite_free(struct rg_rewrite **rewritep)
{
    rg_free(*rewritep);
    *rewritep = NULL;
}

int rg_rewrite_expand(const struct rg_rewrite *rewrite, const struct rg_captures *captures,
                      struct rg_str query, struct rg_buf *out)
{
    (void)rewrite;
    (void)captures;
    (void)query;
    (void)out;
    return 0;
}
