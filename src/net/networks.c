#include "net/networks.h"

#include "base/alloc.h"

struct rg_networks {
    int unused;
};

struct rg_networks *rg_networks_new(void)
{
    return rg_zalloc(sizeof(struct rg_networks));
}

void rg_networks_free(struct rg_networks **networksp)
{
    rg_free(*networksp);
    *networksp = NULL;
}

int rg_networks_add(struct rg_networks *networks, struct rg_str text, struct rg_why *why)
{
    (void)networks;
    (void)text;
    (void)why;
    return 0;
}

bool rg_networks_has(const struct rg_networks *networks, struct rg_str address)
{
    (void)networks;
    (void)address;
    return false;
}
