/*
 * socket_priv.h - the socket under a stream, for what builds on it (tls_stream.c,
 * tls_client_stream.c), how the reactor tells of it (sockets.c), and addresses.
 *
 * A socket is registered once, with everything, to be told of changes only (EPOLLET): what is ready
 * is kept here until a call finds out that it is not any more, and asking for readiness costs no
 * system call.
 *
 * Thread: the reactor.
 */
#pragma once

#include "net/socket.h"

struct rg_socket;

enum {
    RG_READY_READ = 1,
    RG_READY_WRITE = 2,
    RG_READY_HANGUP = 4
};

/* Tells of what is both ready and asked for; where nothing is, of RG_READY_HANGUP, once. */
typedef void rg_socket_ready_fn(struct rg_socket *socket, unsigned events);
typedef void rg_socket_closed_fn(struct rg_socket *socket);

struct rg_socket {
    struct rg_stream stream; /* first */
    rg_socket_ready_fn *on_ready;
    union {
        rg_socket_closed_fn *on_closed; /* once closed */
        struct rg_socket *prev_ready;   /* before: in the reactor's list; NULL: not in it */
    };
    struct rg_socket *next_ready; /* of either list */
    int fd;                       /* -1: closed */
    unsigned char interest;       /* RG_READY_READ, RG_READY_WRITE, or none: the hang-up alone */
    unsigned char ready;          /* RG_READY_*, as far as we know */
    bool has_told_hangup;         /* since the interest changed last */
};

/* Watches fd (taken) for stream's owner; a negative code if the loop does not accept it. */
int rg_socket_init(struct rg_socket *socket, const struct rg_stream_ops *ops,
                   struct rg_reactor *reactor, int fd, rg_socket_ready_fn *on_ready);

/* Asks for readiness: RG_READY_READ, RG_READY_WRITE, or neither for the hang-up alone. */
void rg_socket_watch(struct rg_socket *socket, unsigned interest);

/* Has the owner told of events in the next turn of the loop, whatever the socket says. */
void rg_socket_nudge(struct rg_socket *socket, unsigned events);

/* Turns readiness into the owner's callbacks. */
void rg_socket_tell(struct rg_socket *socket, unsigned events);

/* The socket's read(2) and writev(2), with results as those of a stream; they note what is not
 * ready any more. */
long rg_socket_read(struct rg_socket *socket, void *p, size_t n);
long rg_socket_write(struct rg_socket *socket, const void *p, size_t n);
long rg_socket_writev(struct rg_socket *socket, const struct iovec *iov, int n);

/*
 * Somebody else has found out that the socket is not ready for events any more. Behind a hang-up it
 * stays readable: there is the end to read.
 */
static inline void rg_socket_not_ready(struct rg_socket *socket, unsigned events)
{
    if ((socket->ready & RG_READY_HANGUP) != 0)
        events &= ~(unsigned)RG_READY_READ;
    socket->ready &= (unsigned char)~events;
}

/* Closes the descriptor; on_closed is called, and may free, at the end of the turn. */
void rg_socket_close(struct rg_socket *socket, rg_socket_closed_fn *on_closed);

/*
 * Writes an address (struct in_addr or in6_addr, by family) as text: IPv4 in IPv6 form as IPv4.
 * Thread: any.
 */
void rg_socket_address_text(int family, const void *address, char out[RG_PEER_SIZE]);

/* ---- sockets.c ---- */

int rg_sockets_add(struct rg_reactor *reactor, struct rg_socket *socket);

/* Its turn comes in the next turn of the loop. */
void rg_sockets_make_ready(struct rg_socket *socket);

/* It is closed: nothing more is told, and on_closed follows. */
void rg_sockets_release(struct rg_socket *socket, rg_socket_closed_fn *on_closed);
