/*
 * listener.h - a listening socket on a reactor.
 *
 * Each reactor listens on its own socket of the same address (SO_REUSEPORT), so that
 * the kernel spreads connections and no two reactors ever meet. A socket that was
 * inherited (systemd's socket activation) is shared by all of them instead.
 * When the process or the system is out of descriptors, accepting pauses
 * until one may be free again; connections wait in the kernel's queue meanwhile.
 *
 * Thread: binding, any; the rest, the reactor.
 */
#pragma once

#include "base/err.h"
#include "net/reactor.h"

/*
 * Creates a socket bound to host:port and listening, close-on-exec and non-blocking. host NULL: all
 * addresses, IPv6 and IPv4. port 0: a free one. Sockets of one process share a port; is_first
 * makes sure that nobody else has it. Returns the descriptor or a negative
 * code with why.
 */
int rg_listener_bind(const char *host, unsigned port, bool is_first, struct rg_why *why);

/* The port a listening socket has. */
unsigned rg_listener_port(int fd);

/*
 * The listening sockets inherited by systemd's protocol (LISTEN_PID, LISTEN_FDS, LISTEN_FDNAMES),
 * those named name or, where names is not given, the one at position. -1 if there is none. The
 * variables are read once per process.
 */
int rg_listener_inherited(const char *name, unsigned position);

struct rg_listener;
/* Gets a connected, non-blocking socket, which is the callee's from here on. */
typedef void rg_accept_fn(void *arg, int fd);

/* Takes fd. */
struct rg_listener *rg_listener_open(struct rg_reactor *reactor, int fd, rg_accept_fn *on_accept,
                                     void *arg);
/* Stops accepting and sets *listenerp to NULL. NULL is fine. */
void rg_listener_close(struct rg_listener **listenerp);

/* Times that accepting had to pause, over all listeners of the process. Thread: any. */
unsigned long rg_listener_pauses(void);
