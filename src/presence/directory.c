#include "presence/directory.h"

#include "base/alloc.h"

struct rg_directory {
    int unused;
};

struct rg_directory *rg_directory_new(void)
{
    return rg_zalloc(sizeof(struct rg_directory));
}

void rg_directory_free(struct rg_directory **directoryp)
{
    rg_free(RG_STEAL(*directoryp));
}
