#include "net/reactor.h"

#include <stdio.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/rcu.h"

/* Between two batches the loop looks at its sockets; a batch is long enough that one
 * writev() per client carries many events under load. */
#define MAX_ITEMS_PER_BATCH 512

static void tick(uv_timer_t *timer)
{
    struct rg_reactor *reactor = timer->data;

    rg_reactor_assert(reactor);
    reactor->now_ms = rg_clock_mono_ms();
    rg_wheel_advance(&reactor->wheel, reactor->now_ms);
}

static void drain(uv_async_t *wake)
{
    struct rg_reactor *reactor = wake->data;

    rg_reactor_assert(reactor);
    reactor->now_ms = rg_clock_mono_ms();
    bool has_more = rg_inbox_drain(&reactor->inbox, reactor->ctx, MAX_ITEMS_PER_BATCH);
    if (reactor->on_batch != NULL)
        reactor->on_batch(reactor->ctx);
    if (has_more)
        uv_async_send(&reactor->wake);
}

void rg_reactor_end_turn(struct rg_reactor *reactor)
{
    while (reactor->late.next != &reactor->late) {
        struct rg_late *late = reactor->late.next;
        rg_reactor_cancel_late(late);
        late->fn(late);
    }
    rg_sockets_reap(reactor);
}

static void on_prepare(uv_prepare_t *turn_end)
{
    rg_reactor_end_turn(turn_end->data);
}

static void close_handles(struct rg_reactor *reactor)
{
    uv_close((uv_handle_t *)&reactor->tick, NULL);
    uv_close((uv_handle_t *)&reactor->wake, NULL);
    uv_close((uv_handle_t *)&reactor->turn_end, NULL);
    rg_sockets_close(reactor);
}

void rg_reactor_init(struct rg_reactor *reactor, unsigned id, size_t max_inbox_bytes)
{
    *reactor = (struct rg_reactor){.id = id};
    rg_inbox_init(&reactor->inbox, max_inbox_bytes);
    reactor->now_ms = rg_clock_mono_ms();
    rg_wheel_init(&reactor->wheel, reactor->now_ms);
    reactor->read_buffer = rg_alloc(RG_READ_BUFFER);

    rg_assert(uv_loop_init(&reactor->loop) == 0);
    rg_assert(uv_async_init(&reactor->loop, &reactor->wake, drain) == 0);
    reactor->wake.data = reactor;
    rg_assert(uv_timer_init(&reactor->loop, &reactor->tick) == 0);
    reactor->tick.data = reactor;
    reactor->late.prev = reactor->late.next = &reactor->late;
    rg_assert(uv_prepare_init(&reactor->loop, &reactor->turn_end) == 0);
    reactor->turn_end.data = reactor;
    uv_prepare_start(&reactor->turn_end, on_prepare);
    rg_sockets_init(reactor);
}

void rg_reactor_run(struct rg_reactor *reactor)
{
    reactor->thread = pthread_self();
    rg_rcu_thread_start();
    if (reactor->on_thread_start != NULL)
        reactor->on_thread_start(reactor->ctx);
    uv_timer_start(&reactor->tick, tick, RG_WHEEL_TICK_MS, RG_WHEEL_TICK_MS);
    rg_sockets_drive(reactor);
    if (reactor->on_thread_stop != NULL)
        reactor->on_thread_stop(reactor->ctx);
    rg_rcu_thread_stop();
}

static void *thread_main(void *arg)
{
    struct rg_reactor *reactor = arg;
    char name[16];

    snprintf(name, sizeof(name), "reactor-%u", reactor->id % 100);
    pthread_setname_np(pthread_self(), name);
    rg_reactor_run(reactor);
    return NULL;
}

int rg_reactor_start(struct rg_reactor *reactor)
{
    int err = pthread_create(&reactor->thread, NULL, thread_main, reactor);
    if (err != 0)
        return -err;
    atomic_store(&reactor->is_running, true);
    return 0;
}

void rg_reactor_stop(struct rg_reactor *reactor)
{
    rg_reactor_assert(reactor);
    close_handles(reactor);
}

void rg_reactor_join(struct rg_reactor *reactor)
{
    if (!atomic_exchange(&reactor->is_running, false))
        return;
    pthread_join(reactor->thread, NULL);
}

void rg_reactor_done(struct rg_reactor *reactor)
{
    /* Handles of a reactor that never ran are still open; a turn of the loop ends them. */
    if (!uv_is_closing((uv_handle_t *)&reactor->wake)) {
        close_handles(reactor);
        uv_run(&reactor->loop, UV_RUN_DEFAULT);
    }
    rg_assert(uv_loop_close(&reactor->loop) == 0);
    rg_sockets_done(reactor);
    rg_free(reactor->read_buffer);
}

void rg_reactor_post(struct rg_reactor *reactor, struct rg_inbox_item *item, rg_inbox_fn *run,
                     size_t bytes)
{
    if (rg_inbox_put(&reactor->inbox, item, run, bytes))
        uv_async_send(&reactor->wake);
}

void rg_reactor_set_timer(struct rg_reactor *reactor, struct rg_timer *timer, uint64_t delay_ms)
{
    rg_wheel_set(&reactor->wheel, timer, reactor->now_ms + delay_ms);
}

void rg_reactor_cancel_timer(struct rg_reactor *reactor, struct rg_timer *timer)
{
    rg_wheel_cancel(&reactor->wheel, timer);
}

void rg_reactor_run_late(struct rg_reactor *reactor, struct rg_late *late)
{
    if (late->next != NULL)
        return;
    late->prev = reactor->late.prev;
    late->next = &reactor->late;
    late->prev->next = late;
    reactor->late.prev = late;
}

void rg_reactor_cancel_late(struct rg_late *late)
{
    if (late->next == NULL)
        return;
    late->prev->next = late->next;
    late->next->prev = late->prev;
    late->prev = late->next = NULL;
}

const char *rg_reactor_http_date(struct rg_reactor *reactor)
{
    uint64_t second = reactor->now_ms / 1000;

    if (reactor->http_date[0] == '\0' || second != reactor->http_date_s) {
        rg_clock_http_date(reactor->http_date, rg_clock_wall_us());
        reactor->http_date_s = second;
    }
    return reactor->http_date;
}
