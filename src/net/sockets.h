/*
 * sockets.h - all sockets of a reactor: an epoll of their own, which the loop polls as one.
 *
 * The loop's own way (uv_poll) costs a system call whenever what is waited for changes, which for a
 * request through a proxy is four times; this one costs one more a turn of the loop, however many
 * sockets are ready in it.
 *
 * Thread: the reactor.
 */
#pragma once

#include <uv.h>

struct rg_reactor;
struct rg_socket;

struct rg_sockets {
    int epoll;
    uv_poll_t poll; /* of the epoll */
    uv_idle_t idle; /* active while there are ready ones: the loop does not wait then */
    struct rg_socket *ready_first, *ready_last; /* known to be ready, and asked for */
    size_t ready_n;
    struct rg_socket *closed; /* to be freed at the end of the turn */
};

void rg_sockets_init(struct rg_reactor *reactor);
/* Closes the handles, and frees what is closed; a turn of the loop is due. */
void rg_sockets_close(struct rg_reactor *reactor);
/* After the loop has ended. */
void rg_sockets_done(struct rg_reactor *reactor);

/* The end of a turn: frees what was closed in it. */
void rg_sockets_reap(struct rg_reactor *reactor);
