#include "push/expiry.h"

#include <inttypes.h>

#include "base/clock.h"

#define MAX_EXP_S ((int64_t)1 << 40) /* far beyond any clock, and far from any overflow */

bool rg_expiry_extend(struct rg_expiry *expiry, int64_t exp_s, int64_t wall_us, uint64_t now_ms,
                      uint64_t warning_ms)
{
    if (exp_s > MAX_EXP_S)
        exp_s = MAX_EXP_S;
    if (exp_s <= expiry->exp_s)
        return false;
    int64_t left_us = exp_s * 1000000 - wall_us;
    uint64_t left_ms = left_us > 0 ? ((uint64_t)left_us + 999) / 1000 : 0;
    uint64_t lead_ms = warning_ms < left_ms / 2 ? warning_ms : left_ms / 2;

    expiry->exp_s = exp_s;
    expiry->at_ms = now_ms + left_ms;
    expiry->warn_at_ms = lead_ms > 0 ? expiry->at_ms - lead_ms : UINT64_MAX;
    return true;
}

uint64_t rg_expiry_due_ms(const struct rg_expiry *expiry)
{
    if (expiry->exp_s == 0)
        return UINT64_MAX;
    return expiry->warn_at_ms < expiry->at_ms ? expiry->warn_at_ms : expiry->at_ms;
}

void rg_expiry_add_warning(const struct rg_expiry *expiry, uint64_t now_ms, struct rg_buf *out)
{
    uint64_t left_ms = expiry->at_ms > now_ms ? expiry->at_ms - now_ms : 0;
    char at[RG_RFC3339_SIZE];

    rg_clock_rfc3339(at, expiry->exp_s * 1000000);
    rg_buf_addf(out, "{\"expires_in\":%" PRIu64 ",\"expires_at\":\"%s\"}", (left_ms + 999) / 1000,
                at);
}
