/*
 *              refused, or MAX_FAILURES in a row
 *     used ------------------------------------------> left out (1 s, 2 s, ... 60 s)
 *      ^                                                  |  ^
 *      | an answer                             its time is|  | a failure: twice as long
 *      |                                          over    v  |
 *      +--------------------------------------------- one call at a time
 *
 * Where all are left out, all are used: nobody is refused for what might work.
 */
#include "base/log.h"
#include "base/random.h"
#include "http/upstream_priv.h"

#define MAX_FAILURES     3
#define FIRST_PAUSE_MS   1000
#define LONGEST_PAUSE_MS 60000

static uint64_t now(const struct rg_upstream_address *address)
{
    return address->pool->upstreams->reactor->now_ms;
}

static void count(const struct rg_upstream_address *address, enum rg_upstream_row row, int delta)
{
    rg_count(address->pool->upstreams->counters, row, delta);
}

bool rg_upstream_address_is_usable(const struct rg_upstream_address *address)
{
    if (address->left_out_ms == 0)
        return true;
    return now(address) >= address->left_out_until_ms && address->calls == 0;
}

static void leave_out(struct rg_upstream_address *address, const struct rg_why *why)
{
    bool was_used = address->left_out_ms == 0;
    uint64_t pause_ms = was_used ? FIRST_PAUSE_MS : address->left_out_ms * 2;

    /* Of calls that began before it was left out, it says nothing new that they fail, too. */
    if (!address->is_listed || (!was_used && now(address) < address->left_out_until_ms))
        return;
    if (pause_ms > LONGEST_PAUSE_MS)
        pause_ms = LONGEST_PAUSE_MS;
    address->left_out_ms = pause_ms;
    /* Not all reactors at the same moment. */
    address->left_out_until_ms = now(address) + pause_ms + rg_random_below(pause_ms / 8);
    if (!was_used)
        return;
    count(address, RG_UPSTREAM_ROW_LEFT_OUT, 1);
    count(address, RG_UPSTREAM_ROW_LEFT_OUT_TOTAL, 1);
    rg_log_warn("service address left out", RG_FS("address", address->text),
                RG_FS("reason", why->text));
}

void rg_upstream_address_refused(struct rg_upstream_address *address, const struct rg_why *why)
{
    address->failures++;
    leave_out(address, why);
}

void rg_upstream_address_failed(struct rg_upstream_address *address, const struct rg_why *why)
{
    address->failures++;
    if (address->failures >= MAX_FAILURES || address->left_out_ms > 0)
        leave_out(address, why);
}

void rg_upstream_address_answered(struct rg_upstream_address *address)
{
    address->failures = 0;
    if (address->left_out_ms == 0)
        return;
    address->left_out_ms = 0;
    count(address, RG_UPSTREAM_ROW_LEFT_OUT, -1);
    rg_log_info("service address used again", RG_FS("address", address->text));
}

void rg_upstream_address_forgotten(struct rg_upstream_address *address)
{
    if (address->left_out_ms > 0)
        count(address, RG_UPSTREAM_ROW_LEFT_OUT, -1);
    address->left_out_ms = 0;
}
