/*
 * The way of a due time to the reactor's wheel: whoever sets one lowers due_ms and posts the item,
 * unless that is on its way already; the reactor says first that it is not any more and takes
 * due_ms then. So a time that was set while the item was on its way is either taken with it, or
 * its setter posts again.
 */
#include "push/announce.h"

#include <stdatomic.h>

#include "base/alloc.h"
#include "push/dispatch.h"
#include "push/hub.h"

struct rg_announcer {
    struct rg_push *push;

    struct rg_inbox_item item;    /* whoever made is_posted true; then the reactor */
    atomic_bool is_posted;        /* any thread */
    atomic_uint_least64_t due_ms; /* lowered under the roster's lock, taken by the reactor */
    struct rg_reactor *reactor;   /* set under the roster's lock, at the first wait */

    struct rg_timer timer; /* the reactor only */
};

bool rg_announce_is_watched(void *arg, struct rg_str topic)
{
    const struct rg_push *push = arg;

    return rg_interest_get(push->interest, rg_match_key_of_channel(topic)) != 0;
}

void rg_announce_diff(void *arg, const struct rg_roster_diff *diff)
{
    const struct rg_channel_message message = {diff->topic, RG_STR("presence_diff"), diff->json};
    const struct rg_origin origin = {RG_SOURCE_GATEWAY, 0, -1, (int64_t)diff->version, -1};

    rg_dispatch_to_channel(arg, RG_EVENT_PRESENCE, &message, &origin);
}

static void on_due(struct rg_timer *timer)
{
    struct rg_announcer *announcer = RG_CONTAINER_OF(timer, struct rg_announcer, timer);
    struct rg_reactor *reactor = announcer->reactor;
    uint64_t next_ms;

    rg_reactor_assert(reactor);
    next_ms = rg_roster_flush(announcer->push->roster, reactor->now_ms);
    if (next_ms != UINT64_MAX)
        rg_wheel_set(&reactor->wheel, &announcer->timer, next_ms);
}

static void set_timer(struct rg_inbox_item *item, void *ctx)
{
    struct rg_announcer *announcer = RG_CONTAINER_OF(item, struct rg_announcer, item);
    struct rg_timer *timer = &announcer->timer;
    uint64_t due_ms;

    (void)ctx;
    rg_reactor_assert(announcer->reactor);
    atomic_store(&announcer->is_posted, false);
    due_ms = atomic_exchange(&announcer->due_ms, UINT64_MAX);
    if (due_ms != UINT64_MAX && (!rg_timer_is_pending(timer) || due_ms < timer->deadline_ms))
        rg_wheel_set(&announcer->reactor->wheel, timer, due_ms);
}

void rg_announce_wait(void *arg, uint64_t due_ms)
{
    struct rg_push *push = arg;
    struct rg_announcer *announcer = push->announcer;

    if (announcer->reactor == NULL)
        announcer->reactor = push->hubs[0]->reactor;
    if (due_ms < atomic_load(&announcer->due_ms))
        atomic_store(&announcer->due_ms, due_ms);
    if (!atomic_exchange(&announcer->is_posted, true))
        rg_reactor_post(announcer->reactor, &announcer->item, set_timer, 0);
}

struct rg_announcer *rg_announcer_new(struct rg_push *push)
{
    struct rg_announcer *announcer = rg_zalloc(sizeof(*announcer));

    announcer->push = push;
    announcer->timer.fn = on_due;
    atomic_init(&announcer->is_posted, false);
    atomic_init(&announcer->due_ms, UINT64_MAX);
    return announcer;
}

void rg_announcer_free(struct rg_announcer **announcerp)
{
    rg_free(RG_STEAL(*announcerp));
}

void rg_announcer_stop(struct rg_announcer *announcer, const struct rg_hub *hub)
{
    if (announcer->reactor != hub->reactor)
        return;
    rg_reactor_cancel_timer(hub->reactor, &announcer->timer);
}
