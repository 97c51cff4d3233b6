#include "proxy/catalogue.h"

#include "base/alloc.h"

struct rg_catalogue {
    struct rg_table *table;
};

struct rg_catalogue *rg_catalogue_new(struct rg_api *const *apis, size_t n)
{
    struct rg_catalogue *catalogue = rg_zalloc(sizeof(*catalogue));

    catalogue->table = rg_table_new(apis, n);
    return catalogue;
}

void rg_catalogue_free(struct rg_catalogue **cataloguep)
{
    if (*cataloguep == NULL)
        return;
    rg_table_free(&(*cataloguep)->table);
    rg_free(*cataloguep);
    *cataloguep = NULL;
}

const struct rg_table *rg_catalogue_table(const struct rg_catalogue *catalogue)
{
    return catalogue->table;
}

int rg_catalogue_add(struct rg_catalogue *catalogue, struct rg_api *api)
{
    (void)catalogue;
    rg_api_unref(&api);
    return RG_EINVAL;
}

int rg_catalogue_replace(struct rg_catalogue *catalogue, struct rg_api *api)
{
    (void)catalogue;
    rg_api_unref(&api);
    return RG_ENOTFOUND;
}

int rg_catalogue_remove(struct rg_catalogue *catalogue, struct rg_str id)
{
    (void)catalogue;
    (void)id;
    return RG_ENOTFOUND;
}

struct rg_api *rg_catalogue_get(struct rg_catalogue *catalogue, struct rg_str id)
{
    (void)catalogue;
    (void)id;
    return NULL;
}

size_t rg_catalogue_list(struct rg_catalogue *catalogue, struct rg_api ***ret)
{
    (void)catalogue;
    *ret = NULL;
    return 0;
}

void rg_catalogue_expose(struct rg_catalogue *catalogue, struct rg_buf *out)
{
    (void)catalogue;
    (void)out;
}
