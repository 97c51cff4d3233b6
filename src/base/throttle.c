#include "base/throttle.h"

bool rg_throttle_pass(struct rg_throttle *throttle, uint64_t now_ms, uint64_t *ret_untold)
{
    uint64_t next_ms = atomic_load(&throttle->next_ms);

    /* Of several threads at once one tells; the others count. */
    if ((next_ms != 0 && now_ms < next_ms) ||
        !atomic_compare_exchange_strong(&throttle->next_ms, &next_ms, now_ms + RG_THROTTLE_MS)) {
        atomic_fetch_add(&throttle->untold, 1);
        return false;
    }
    *ret_untold = atomic_exchange(&throttle->untold, 0);
    return true;
}
