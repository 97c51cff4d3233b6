/*
 * peer.h - the other end of a connection, in the thread of the test.
 *
 * The test runs the reactor's loop itself, a turn at a time, and moves the time of its timers by
 * hand. A peer is one end of a socket pair whose other end the code under test has.
 *
 * Thread: the test's, which stands in for the reactor's.
 */
#pragma once

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/buf.h"
#include "net/reactor.h"

struct peer {
    int fd;            /* -1: closed */
    bool has_seen_end; /* the other side closed, or said that it sends no more */
    struct rg_buf got; /* everything read so far */
};

/* Prepares a reactor that this thread will run. */
static inline void peer_reactor_init(struct rg_reactor *reactor)
{
    rg_reactor_init(reactor, 0, (size_t)1 << 20);
    reactor->thread = pthread_self();
}

/* Lets the loop do what it can without waiting. */
static inline void peer_turn(struct rg_reactor *reactor)
{
    for (int i = 0; i < 8; i++)
        uv_run(&reactor->loop, UV_RUN_NOWAIT);
}

/* Moves the time of the reactor and fires what is due by then. */
static inline void peer_move_time(struct rg_reactor *reactor, uint64_t ms)
{
    reactor->now_ms += ms;
    rg_wheel_advance(&reactor->wheel, reactor->now_ms);
    peer_turn(reactor);
}

/* As above by the time that any timer of ms must have fired after. */
static inline void peer_let_pass(struct rg_reactor *reactor, uint64_t ms)
{
    peer_move_time(reactor, ms + RG_WHEEL_TICK_MS);
}

/* Opens a socket pair; *theirs is for the code under test. send_buffer 0: the system's size. */
static inline struct peer peer_open(int *theirs, int send_buffer)
{
    int fds[2];

    rg_assert(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds) == 0);
    if (send_buffer > 0)
        setsockopt(fds[1], SOL_SOCKET, SO_SNDBUF, &send_buffer, sizeof(send_buffer));
    *theirs = fds[1];
    return (struct peer){.fd = fds[0]};
}

static inline void peer_close(struct peer *peer)
{
    if (peer->fd >= 0)
        close(peer->fd);
    peer->fd = -1;
    rg_buf_done(&peer->got);
}

/* Says that the peer sends no more, and goes on reading. */
static inline void peer_half_close(struct peer *peer)
{
    shutdown(peer->fd, SHUT_WR);
}

/* Sends without a turn of the loop. */
static inline void peer_put(struct peer *peer, const void *p, size_t n)
{
    rg_assert(send(peer->fd, p, n, MSG_NOSIGNAL) == (ssize_t)n);
}

static inline void peer_send(struct rg_reactor *reactor, struct peer *peer, const char *text)
{
    peer_put(peer, text, strlen(text));
    peer_turn(reactor);
}

/* Takes at most max bytes from the socket. Returns how many. */
static inline size_t peer_take(struct peer *peer, size_t max)
{
    size_t before = peer->got.n;

    while (peer->got.n - before < max) {
        size_t left = max - (peer->got.n - before);
        char *to = rg_buf_reserve(&peer->got, left < 65536 ? left : 65536);
        ssize_t n = read(peer->fd, to, left < 65536 ? left : 65536);
        if (n <= 0) {
            peer->has_seen_end |= n == 0 || errno != EAGAIN;
            break;
        }
        peer->got.n += (size_t)n;
    }
    return peer->got.n - before;
}

/* Reads, with turns of the loop between, until nothing more comes. Returns the text so far. */
static inline const char *peer_read(struct rg_reactor *reactor, struct peer *peer)
{
    do
        peer_turn(reactor);
    while (peer_take(peer, SIZE_MAX) > 0);
    *rg_buf_reserve(&peer->got, 1) = '\0';
    return peer->got.p;
}

/* Forgets what was read. */
static inline void peer_forget(struct peer *peer)
{
    rg_buf_clear(&peer->got);
}

/* How often part stands in what was read. */
static inline size_t peer_count(struct peer *peer, const char *part)
{
    size_t n = 0, part_n = strlen(part);
    const char *p = peer->got.p, *end = p + peer->got.n;

    while (p != NULL && (p = memmem(p, (size_t)(end - p), part, part_n)) != NULL) {
        n++;
        p += part_n;
    }
    return n;
}

static inline bool peer_has(struct peer *peer, const char *part)
{
    return peer_count(peer, part) > 0;
}
