/*
 * inbox.h - what other threads want a loop to do.
 *
 * Any thread puts; the owner takes everything at once, in order per putter. Items are
 * embedded in what they carry, so putting allocates nothing and never waits. The queue
 * counts the bytes its items stand for: whoever brings events asks for room first and
 * holds its source back while there is none; commands are always taken.
 *
 * Thread: as each function says.
 */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

#include <urcu/wfcqueue.h>

struct rg_inbox_item;
/* Runs on the owner's thread with the owner's ctx. The item is the callee's from here on. */
typedef void rg_inbox_fn(struct rg_inbox_item *item, void *ctx);

struct rg_inbox_item {
    struct cds_wfcq_node node;
    rg_inbox_fn *run;
    size_t bytes;
};

struct rg_inbox {
    size_t max_bytes; /* set once */

    struct cds_wfcq_tail tail; /* any thread */
    atomic_size_t queued_bytes;

    struct __cds_wfcq_head head __attribute__((aligned(64))); /* the owner */
    struct __cds_wfcq_head taken_head;                        /* the owner: taken, not yet run */
    struct cds_wfcq_tail taken_tail;
    bool is_alone; /* the owner: the item that runs is the only one of its batch */
};

void rg_inbox_init(struct rg_inbox *inbox, size_t max_bytes);

/* Puts item, which run() will get; bytes counts against the room. True if the owner must be
 * woken (the inbox was empty). Thread: any. */
bool rg_inbox_put(struct rg_inbox *inbox, struct rg_inbox_item *item, rg_inbox_fn *run,
                  size_t bytes);

/* False while more than max_bytes wait. Thread: any. */
static inline bool rg_inbox_has_room(const struct rg_inbox *inbox)
{
    return atomic_load_explicit(&inbox->queued_bytes, memory_order_relaxed) <= inbox->max_bytes;
}

/* The same where twice as much may wait: for what nobody could send again. Thread: any. */
static inline bool rg_inbox_has_reserve(const struct rg_inbox *inbox)
{
    return atomic_load_explicit(&inbox->queued_bytes, memory_order_relaxed) / 2 <= inbox->max_bytes;
}

/* Runs at most max_items items; true if more are waiting. Thread: the owner. */
bool rg_inbox_drain(struct rg_inbox *inbox, void *ctx, size_t max_items);
