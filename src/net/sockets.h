/*
 * sockets.h - all sockets of a reactor: an epoll of their own, beside the loop's.
 *
 * The loop's own way (uv_poll) costs a system call whenever what is waited for changes, which for a
 * request through a proxy is four times. Here each socket is registered once.
 *
 * Where the reactor runs, this is what it waits in: the loop's descriptor is one of many, and its
 * turn comes when it has something to do or a timer is due. Where a test turns the loop by hand,
 * the loop polls the sockets' descriptor instead, and all is told in the same order.
 *
 * Thread: the reactor.
 */
#pragma once

#include <stdbool.h>
#include <uv.h>

struct rg_reactor;
struct rg_socket;

struct rg_sockets {
    int epoll;
    uv_poll_t poll; /* of the epoll, unless driving */
    uv_idle_t idle; /* active while there are ready ones, unless driving: the loop does not wait */
    bool is_driving;
    struct rg_socket *ready_first, *ready_last; /* known to be ready, and asked for */
    size_t ready_n;
    bool has_begun_tls;       /* a handshake, since those that are ready were told */
    struct rg_socket *closed; /* to be freed at the end of the turn */
};

void rg_sockets_init(struct rg_reactor *reactor);

/* Runs the loop, and tells of sockets, until the loop has nothing left to wait for. */
void rg_sockets_drive(struct rg_reactor *reactor);
/* Closes the handles, and frees what is closed; a turn of the loop is due. */
void rg_sockets_close(struct rg_reactor *reactor);
/* After the loop has ended. */
void rg_sockets_done(struct rg_reactor *reactor);

/* The end of a turn: frees what was closed in it. */
void rg_sockets_reap(struct rg_reactor *reactor);
