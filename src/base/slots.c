#include "base/slots.h"

#include "base/alloc.h"
#include "base/err.h"

#define FIRST_SIZE 16

static void grow(struct rg_slots *slots)
{
    uint32_t n = slots->n > 0 ? slots->n * 2 : FIRST_SIZE;

    slots->at = rg_realloc_array(slots->at, n, sizeof(slots->at[0]));
    for (uint32_t i = n; i > slots->n; i--) {
        slots->at[i - 1] = (struct rg_slot){NULL, 1, slots->free};
        slots->free = i;
    }
    slots->n = n;
}

void rg_slots_done(struct rg_slots *slots)
{
    rg_free(slots->at);
    *slots = (struct rg_slots){0};
}

uint32_t rg_slots_take(struct rg_slots *slots, void *thing)
{
    rg_assert(thing != NULL);
    if (slots->free == 0)
        grow(slots);
    uint32_t number = slots->free - 1;
    slots->free = slots->at[number].next_free;
    slots->at[number].thing = thing;
    return number;
}

void rg_slots_release(struct rg_slots *slots, uint32_t number)
{
    struct rg_slot *slot = &slots->at[number];

    rg_assert(slot->thing != NULL);
    slot->thing = NULL;
    slot->generation++;
    slot->next_free = slots->free;
    slots->free = number + 1;
}

void *rg_slots_get(const struct rg_slots *slots, uint32_t number, uint32_t generation)
{
    if (number >= slots->n || slots->at[number].generation != generation)
        return NULL;
    return slots->at[number].thing;
}
