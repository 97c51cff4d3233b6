/*
 * socket_priv.h - the socket under a stream, for what builds on it (tls.c), and addresses.
 *
 * Thread: the reactor.
 */
#pragma once

#include "net/socket.h"

struct rg_socket {
    struct rg_stream stream; /* first */
    uv_poll_t poll;
    int fd;                 /* -1: closed */
    unsigned char interest; /* what uv_poll was asked for */
};

/* Watches fd (taken) for stream's owner; a negative code if the loop does not accept it. */
int rg_socket_init(struct rg_socket *socket, const struct rg_stream_ops *ops,
                   struct rg_reactor *reactor, int fd);

/* Asks for readiness: UV_READABLE, UV_WRITABLE, or neither for the hang-up alone. */
void rg_socket_watch(struct rg_socket *socket, unsigned interest, uv_poll_cb on_poll);

/* Turns readiness into the owner's callbacks. */
void rg_socket_tell(struct rg_stream *stream, int events);

/*
 * After trouble with the socket, for which libuv stops watching, has been told: whoever was not
 * told by its read or write (there were bytes before the reset) finds out with the next one.
 */
void rg_socket_watch_again(struct rg_stream *stream);

/* Closes the descriptor; on_closed is called when the loop has let go of the handle. */
void rg_socket_close(struct rg_socket *socket, uv_close_cb on_closed);

/* The result of read(2) or write(2) as those of a stream. */
long rg_socket_result(ssize_t n);

/*
 * Writes an address (struct in_addr or in6_addr, by family) as text: IPv4 in IPv6 form as IPv4.
 * Thread: any.
 */
void rg_socket_address_text(int family, const void *address, char out[RG_PEER_SIZE]);
