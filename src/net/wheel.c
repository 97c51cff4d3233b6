#include "net/wheel.h"

static void list_init(struct rg_timer *head)
{
    head->prev = head;
    head->next = head;
}

static void list_add(struct rg_timer *head, struct rg_timer *timer)
{
    timer->prev = head->prev;
    timer->next = head;
    head->prev->next = timer;
    head->prev = timer;
}

static void list_remove(struct rg_timer *timer)
{
    timer->prev->next = timer->next;
    timer->next->prev = timer->prev;
    timer->prev = NULL;
    timer->next = NULL;
}

void rg_wheel_init(struct rg_wheel *wheel, uint64_t now_ms)
{
    for (size_t i = 0; i < RG_WHEEL_SLOTS; i++)
        list_init(&wheel->slots[i]);
    wheel->tick = now_ms / RG_WHEEL_TICK_MS;
    wheel->pending = 0;
}

void rg_wheel_set(struct rg_wheel *wheel, struct rg_timer *timer, uint64_t deadline_ms)
{
    /* Rounded up, so that it never fires early, and never into a tick that has passed. */
    uint64_t tick = (deadline_ms + RG_WHEEL_TICK_MS - 1) / RG_WHEEL_TICK_MS;
    if (tick <= wheel->tick)
        tick = wheel->tick + 1;

    rg_wheel_cancel(wheel, timer);
    timer->deadline_ms = deadline_ms;
    list_add(&wheel->slots[tick % RG_WHEEL_SLOTS], timer);
    wheel->pending++;
}

void rg_wheel_cancel(struct rg_wheel *wheel, struct rg_timer *timer)
{
    if (!rg_timer_is_pending(timer))
        return;
    list_remove(timer);
    wheel->pending--;
}

static void fire_slot(struct rg_wheel *wheel, struct rg_timer *slot, uint64_t now_ms)
{
    struct rg_timer due;

    /* Callbacks may change any list, so the slot is emptied first and then taken one by one. */
    list_init(&due);
    while (slot->next != slot) {
        struct rg_timer *timer = slot->next;
        list_remove(timer);
        list_add(&due, timer);
    }
    while (due.next != &due) {
        struct rg_timer *timer = due.next;
        list_remove(timer);
        if (timer->deadline_ms > now_ms) {
            list_add(slot, timer);
            continue;
        }
        wheel->pending--;
        timer->fn(timer);
    }
}

void rg_wheel_advance(struct rg_wheel *wheel, uint64_t now_ms)
{
    uint64_t target = now_ms / RG_WHEEL_TICK_MS;

    /* After a long pause one turn visits every slot; more turns would find nothing new. */
    if (target > wheel->tick + RG_WHEEL_SLOTS)
        wheel->tick = target - RG_WHEEL_SLOTS;
    while (wheel->tick < target) {
        wheel->tick++;
        fire_slot(wheel, &wheel->slots[wheel->tick % RG_WHEEL_SLOTS], now_ms);
    }
}
