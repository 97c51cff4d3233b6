/*
 * wheel.h - many coarse timers for one loop.
 *
 * A hashed wheel: adding, moving and cancelling cost O(1), and nothing is
 * allocated. Timers fire up to RG_WHEEL_TICK_MS late, never early. Deadlines beyond one
 * turn stay in their slot and are passed over until it is their turn.
 *
 * Thread: the loop that owns it.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define RG_WHEEL_TICK_MS 64
#define RG_WHEEL_SLOTS   1024 /* one turn: 65 s */

struct rg_timer;
typedef void rg_timer_fn(struct rg_timer *timer);

/* Embedded in what waits; zero-initialised, with fn set before use. */
struct rg_timer {
    struct rg_timer *prev, *next; /* NULL while not pending */
    uint64_t deadline_ms;
    rg_timer_fn *fn;
};

struct rg_wheel {
    struct rg_timer slots[RG_WHEEL_SLOTS]; /* list heads */
    uint64_t tick;                         /* the last tick that was processed */
    size_t pending;
};

void rg_wheel_init(struct rg_wheel *wheel, uint64_t now_ms);

/* Sets (or moves) timer to fire at deadline_ms; one that has passed fires at the next advance. */
void rg_wheel_set(struct rg_wheel *wheel, struct rg_timer *timer, uint64_t deadline_ms);

/* Does nothing if timer is not pending. */
void rg_wheel_cancel(struct rg_wheel *wheel, struct rg_timer *timer);

static inline bool rg_timer_is_pending(const struct rg_timer *timer)
{
    return timer->next != NULL;
}

/* Fires what is due. A callback may set and cancel any timer, its own included. */
void rg_wheel_advance(struct rg_wheel *wheel, uint64_t now_ms);
