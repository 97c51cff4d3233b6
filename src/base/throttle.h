/*
 * throttle.h - one log line where there would be many.
 *
 * What goes wrong for one request goes wrong for thousands: the first is told, and then at most one
 * in ten seconds, which says how many it stands for.
 *
 * Thread: any.
 */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#define RG_THROTTLE_MS 10000

/* Zero-initialised, embedded. */
struct rg_throttle {
    _Atomic uint64_t next_ms; /* 0: none was told yet */
    _Atomic uint64_t untold;
};

/*
 * True if this one shall be told; *ret_untold is then how many were not, since the last that was.
 * now_ms is monotonic.
 */
bool rg_throttle_pass(struct rg_throttle *throttle, uint64_t now_ms, uint64_t *ret_untold);
