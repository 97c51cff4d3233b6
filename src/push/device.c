#include "push/device.h"

#include "base/alloc.h"

void rg_device_free(struct rg_device **devicep)
{
    rg_free(RG_STEAL(*devicep));
}
