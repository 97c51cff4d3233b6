/*
 * reactor.h - one thread, one event loop, and everything that lives on it.
 *
 * A reactor runs libuv's loop, an inbox for what other threads hand it, a timer wheel, what is
 * put off to the end of a turn, and one read buffer that all its connections share. Nothing on it
 * is shared with another reactor, and nothing that runs on it may block.
 *
 * Thread: init, start and join from the thread that sets the program up; the rest on the
 * reactor's own thread unless it says otherwise.
 */
#pragma once

#include <pthread.h>
#include <stdatomic.h>
#include <uv.h>

#include "base/err.h"
#include "net/inbox.h"
#include "net/sockets.h"
#include "net/wheel.h"

#define RG_READ_BUFFER 65536

/* What clang's thread-safety analysis is told; nothing for other compilers. */
#if defined(__clang__)
#define RG_CAPABILITY(name)   __attribute__((capability(name)))
#define RG_ON_REACTOR(r)      __attribute__((requires_capability(r)))
#define RG_ASSERTS_REACTOR(r) __attribute__((assert_capability(r)))
#else
#define RG_CAPABILITY(name)
#define RG_ON_REACTOR(r)
#define RG_ASSERTS_REACTOR(r)
#endif

/*
 * What is to be done once in a turn of the loop, however often it is asked for: behind the
 * callbacks, before the loop waits for I/O again. Embedded; zero-initialised, with fn set before
 * use.
 */
struct rg_late {
    struct rg_late *prev, *next; /* NULL while not pending */
    void (*fn)(struct rg_late *late);
};

struct RG_CAPABILITY("reactor") rg_reactor {
    unsigned id; /* set once: 0 .. reactors-1; the control loop has the number after the last */

    struct rg_inbox inbox; /* any thread puts */
    uv_async_t wake;       /* any thread sends */

    uv_loop_t loop; /* from here on: the reactor only */
    uv_timer_t tick;
    uv_prepare_t turn_end;
    struct rg_wheel wheel;
    struct rg_sockets sockets;
    struct rg_late late; /* list head */
    pthread_t thread;
    atomic_bool is_running;
    uint64_t now_ms; /* monotonic; refreshed once per turn of the loop */
    char http_date[32];
    uint64_t http_date_s;
    char *read_buffer; /* RG_READ_BUFFER bytes; free for use inside one callback */

    void (*on_thread_start)(void *ctx); /* may be NULL */
    void (*on_batch)(void *ctx);        /* after a batch of inbox items; may be NULL */
    void (*on_thread_stop)(void *ctx);  /* may be NULL */
    void *ctx;                          /* for these and for inbox items */
};

/* Prepares a reactor that the caller owns; max_inbox_bytes is the room for events. */
void rg_reactor_init(struct rg_reactor *reactor, unsigned id, size_t max_inbox_bytes);

/* Starts the reactor's thread / runs the loop on the calling thread until rg_reactor_stop(). */
int rg_reactor_start(struct rg_reactor *reactor);
void rg_reactor_run(struct rg_reactor *reactor);

/* Ends the loop after the current turn. All streams and listeners must have been closed. */
void rg_reactor_stop(struct rg_reactor *reactor) RG_ON_REACTOR(reactor);

/* Waits for the thread; a join of a reactor that never started returns at once. */
void rg_reactor_join(struct rg_reactor *reactor);

/* Frees what the reactor holds. After join. */
void rg_reactor_done(struct rg_reactor *reactor);

/* Puts an item into the inbox and wakes the loop. Thread: any. */
void rg_reactor_post(struct rg_reactor *reactor, struct rg_inbox_item *item, rg_inbox_fn *run,
                     size_t bytes);

/* Sets a timer on the reactor's wheel, delay_ms from now. */
void rg_reactor_set_timer(struct rg_reactor *reactor, struct rg_timer *timer, uint64_t delay_ms);
void rg_reactor_cancel_timer(struct rg_reactor *reactor, struct rg_timer *timer);

/*
 * Has late->fn called at the end of this turn; does nothing if that is pending already. What is
 * asked for while others run is still part of the same turn.
 */
void rg_reactor_run_late(struct rg_reactor *reactor, struct rg_late *late);
void rg_reactor_cancel_late(struct rg_late *late);

/* The end of a turn: runs what was put off, and frees what was closed. For sockets.c. */
void rg_reactor_end_turn(struct rg_reactor *reactor);

/* The current date for HTTP, made at most once a second. */
const char *rg_reactor_http_date(struct rg_reactor *reactor);

/* Callbacks from the loop open with this: it checks that this is the reactor's thread. */
static inline void rg_reactor_assert(const struct rg_reactor *reactor) RG_ASSERTS_REACTOR(reactor)
{
    rg_assert(pthread_equal(reactor->thread, pthread_self()));
}
