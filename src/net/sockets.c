#include "net/sockets.h"

#include <errno.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "net/socket_priv.h"

#define EVENTS_AT_ONCE 256

/* ---- those that are known to be ready ---- */

static bool is_listed(const struct rg_reactor *reactor, const struct rg_socket *socket)
{
    return socket->prev_ready != NULL || reactor->sockets.ready_first == socket;
}

static void unlist(struct rg_reactor *reactor, struct rg_socket *socket)
{
    struct rg_sockets *sockets = &reactor->sockets;

    if (!is_listed(reactor, socket))
        return;
    if (socket->prev_ready != NULL)
        socket->prev_ready->next_ready = socket->next_ready;
    else
        sockets->ready_first = socket->next_ready;
    if (socket->next_ready != NULL)
        socket->next_ready->prev_ready = socket->prev_ready;
    else
        sockets->ready_last = socket->prev_ready;
    socket->prev_ready = socket->next_ready = NULL;
    sockets->ready_n--;
}

static void on_idle(uv_idle_t *idle);

void rg_sockets_make_ready(struct rg_socket *socket)
{
    struct rg_reactor *reactor = socket->stream.reactor;
    struct rg_sockets *sockets = &reactor->sockets;

    if (is_listed(reactor, socket))
        return;
    if (sockets->ready_first == NULL && !sockets->is_driving)
        uv_idle_start(&sockets->idle, on_idle);
    socket->prev_ready = sockets->ready_last;
    socket->next_ready = NULL;
    if (socket->prev_ready != NULL)
        socket->prev_ready->next_ready = socket;
    else
        sockets->ready_first = socket;
    sockets->ready_last = socket;
    sockets->ready_n++;
}

/* What is asked for and ready now; the hang-up, once, where nothing else would tell. */
static unsigned due(const struct rg_socket *socket)
{
    if (socket->interest != 0)
        return socket->ready & socket->interest;
    return socket->has_told_hangup ? 0 : socket->ready & RG_READY_HANGUP;
}

static void tell(struct rg_socket *socket)
{
    unsigned events = due(socket);

    if (events == 0)
        return;
    socket->on_ready(socket, events);
    if (socket->fd >= 0 && due(socket) != 0)
        rg_sockets_make_ready(socket);
}

/* As many as there are now: who is ready again behind them has its turn in the next one of the
 * loop.
 */
static void tell_ready(struct rg_reactor *reactor)
{
    struct rg_sockets *sockets = &reactor->sockets;

    /* Who has waited begins its handshake before who comes now. */
    sockets->has_begun_tls = false;
    for (size_t n = sockets->ready_n; n > 0 && sockets->ready_first != NULL; n--) {
        struct rg_socket *socket = sockets->ready_first;
        unlist(reactor, socket);
        tell(socket);
    }
}

static void on_idle(uv_idle_t *idle)
{
    struct rg_reactor *reactor = idle->data;

    rg_reactor_assert(reactor);
    tell_ready(reactor);
    if (reactor->sockets.ready_first == NULL)
        uv_idle_stop(idle);
}

/* ---- what epoll says ---- */

static unsigned ready_from(unsigned events)
{
    unsigned ready = 0;

    if ((events & (EPOLLERR | EPOLLHUP)) != 0)
        return RG_READY_READ | RG_READY_WRITE | RG_READY_HANGUP;
    ready |= (events & (EPOLLIN | EPOLLRDHUP)) != 0 ? RG_READY_READ : 0;
    ready |= (events & EPOLLOUT) != 0 ? RG_READY_WRITE : 0;
    ready |= (events & EPOLLRDHUP) != 0 ? RG_READY_HANGUP : 0;
    return ready;
}

/* Waits for at most timeout_ms (-1: for ever) and tells. True if the loop has something to do. */
static bool wait_and_tell(struct rg_reactor *reactor, int timeout_ms)
{
    struct epoll_event list[EVENTS_AT_ONCE];
    int n = epoll_wait(reactor->sockets.epoll, list, EVENTS_AT_ONCE, timeout_ms);
    bool is_loop_ready = false;

    for (int i = 0; i < n; i++) {
        struct rg_socket *socket = list[i].data.ptr;
        if (socket == NULL) {
            is_loop_ready = true;
            continue;
        }
        /* Closed since: it is freed at the end of the turn, and not before. */
        if (socket->fd < 0)
            continue;
        socket->ready |= (unsigned char)ready_from(list[i].events);
        tell(socket);
    }
    return is_loop_ready;
}

static void on_poll(uv_poll_t *poll, int status, int events)
{
    struct rg_reactor *reactor = poll->data;

    (void)status;
    (void)events;
    rg_reactor_assert(reactor);
    wait_and_tell(reactor, 0);
}

void rg_sockets_drive(struct rg_reactor *reactor)
{
    struct rg_sockets *sockets = &reactor->sockets;
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = NULL};
    uv_loop_t *loop = &reactor->loop;
    bool is_loop_ready = true;

    uv_poll_stop(&sockets->poll);
    uv_idle_stop(&sockets->idle);
    sockets->is_driving = true;
    rg_assert(epoll_ctl(sockets->epoll, EPOLL_CTL_ADD, uv_backend_fd(loop), &event) == 0);
    while (uv_loop_alive(loop)) {
        uv_update_time(loop);
        if (is_loop_ready || uv_backend_timeout(loop) == 0)
            uv_run(loop, UV_RUN_NOWAIT);
        tell_ready(reactor);
        rg_reactor_end_turn(reactor);
        /* What was put off, or closed, may be about the loop. */
        is_loop_ready =
            wait_and_tell(reactor, sockets->ready_first != NULL ? 0 : uv_backend_timeout(loop));
    }
    sockets->is_driving = false;
}

int rg_sockets_add(struct rg_reactor *reactor, struct rg_socket *socket)
{
    struct epoll_event event = {
        .events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET,
        .data.ptr = socket,
    };

    return epoll_ctl(reactor->sockets.epoll, EPOLL_CTL_ADD, socket->fd, &event) == 0 ? 0 : -errno;
}

/* ---- the end ---- */

void rg_sockets_release(struct rg_socket *socket, rg_socket_closed_fn *on_closed)
{
    struct rg_reactor *reactor = socket->stream.reactor;

    unlist(reactor, socket);
    /* Closing it would do, unless the same connection has another descriptor. */
    epoll_ctl(reactor->sockets.epoll, EPOLL_CTL_DEL, socket->fd, NULL);
    socket->fd = -1;
    socket->on_closed = on_closed;
    socket->next_ready = reactor->sockets.closed;
    reactor->sockets.closed = socket;
}

void rg_sockets_reap(struct rg_reactor *reactor)
{
    while (reactor->sockets.closed != NULL) {
        struct rg_socket *socket = reactor->sockets.closed;
        reactor->sockets.closed = socket->next_ready;
        socket->on_closed(socket);
    }
}

void rg_sockets_init(struct rg_reactor *reactor)
{
    struct rg_sockets *sockets = &reactor->sockets;

    *sockets = (struct rg_sockets){.epoll = epoll_create1(EPOLL_CLOEXEC)};
    rg_assert(sockets->epoll >= 0);
    rg_assert(uv_poll_init(&reactor->loop, &sockets->poll, sockets->epoll) == 0);
    sockets->poll.data = reactor;
    rg_assert(uv_poll_start(&sockets->poll, UV_READABLE, on_poll) == 0);
    rg_assert(uv_idle_init(&reactor->loop, &sockets->idle) == 0);
    sockets->idle.data = reactor;
}

void rg_sockets_close(struct rg_reactor *reactor)
{
    uv_close((uv_handle_t *)&reactor->sockets.poll, NULL);
    uv_close((uv_handle_t *)&reactor->sockets.idle, NULL);
}

void rg_sockets_done(struct rg_reactor *reactor)
{
    rg_sockets_reap(reactor);
    close(reactor->sockets.epoll);
}
