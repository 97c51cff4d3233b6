/*
 * slots.h - numbers for things, so that others can name them without holding a pointer.
 *
 * A thing gets a place and the place's generation. When the thing is gone, the generation moves on,
 * and whoever still has the two numbers finds nothing instead of something else. This is how
 * threads and tokens speak of connections.
 *
 * Thread: whoever owns it; the numbers may travel anywhere.
 */
#pragma once

#include <stdint.h>

struct rg_slot {
    void *thing; /* NULL: free */
    uint32_t generation;
    uint32_t next_free; /* index + 1; 0: the last */
};

/* Zero-initialised, embedded. */
struct rg_slots {
    struct rg_slot *at; /* n of them */
    uint32_t n;
    uint32_t free; /* index + 1; 0: none */
};

/* The things must have been released. */
void rg_slots_done(struct rg_slots *slots);

/* Gives thing (not NULL) a place and returns its number; the generation is at[number].generation.
 */
uint32_t rg_slots_take(struct rg_slots *slots, void *thing);

/* The thing at number is gone. */
void rg_slots_release(struct rg_slots *slots, uint32_t number);

/* The thing of this number and generation; NULL if it is gone. Any numbers may be asked for. */
void *rg_slots_get(const struct rg_slots *slots, uint32_t number, uint32_t generation);
