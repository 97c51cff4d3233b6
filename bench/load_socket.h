/*
 * load_socket.h - a connection of the load generator, plain or TLS.
 *
 * Thread: one worker.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "bench/load_plan.h"
#include "bench/load_tally.h"

struct ssl_st;
struct ssl_ctx_st;
struct ssl_session_st;

/* What the connections of one worker share. */
struct rg_load_network {
    const struct rg_load_plan *plan;
    struct rg_load_shared *shared;
    struct rg_load_tally *tally;
    struct ssl_ctx_st *tls;         /* NULL: plain */
    struct ssl_session_st *session; /* to resume; NULL: none yet */
};

struct rg_load_socket {
    int fd;
    struct ssl_st *ssl; /* NULL: plain */
};

void rg_load_network_init(struct rg_load_network *net, const struct rg_load_plan *plan,
                          struct rg_load_shared *shared, struct rg_load_tally *tally);
void rg_load_network_done(struct rg_load_network *net);

/* Starts to connect; number chooses the source address. Returns 0 or a negative errno. */
int rg_load_socket_open(struct rg_load_socket *s, struct rg_load_network *net, unsigned number);

/*
 * Goes on once the socket is ready for *events (epoll's, EPOLLOUT at first). Returns 1 when
 * connected, 0 when it needs more with what to wait for in *events, a negative code on failure.
 */
int rg_load_socket_connect(struct rg_load_socket *s, struct rg_load_network *net, uint32_t *events);

/* Returns how many bytes came, 0 at the end, or a negative errno (-EAGAIN: nothing there). */
long rg_load_socket_read(struct rg_load_socket *s, void *p, size_t n);

/* Returns how many bytes were taken, or a negative errno (-EAGAIN: none for now). */
long rg_load_socket_write(struct rg_load_socket *s, const void *p, size_t n);

/* With a reset, so that no port stays in TIME_WAIT and the next connection finds all of them free.
 */
void rg_load_socket_close(struct rg_load_socket *s);
