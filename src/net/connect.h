/*
 * connect.h - a TCP connection that we open.
 *
 * A name is looked up off the loop (libuv's threads), an address needs no lookup. The addresses are
 * tried one after the other in the resolver's order; each gets its share of the time that is left,
 * so that one that does not answer leaves some for the next.
 *
 * Thread: the reactor. A lookup that was given up is still waited for when the loop ends.
 */
#pragma once

#include "base/err.h"
#include "net/reactor.h"

struct rg_connect;

/*
 * fd is a connected socket, non-blocking, without delay (TCP_NODELAY), and the callee's; or a
 * negative code, with why filled. The attempt is over with this call.
 */
typedef void rg_connect_fn(void *arg, int fd, const struct rg_why *why);

/*
 * Begins an attempt that ends with fn, but not inside of this call, or with rg_connect_cancel().
 * host is a name or an address, IPv6 without brackets, and copied.
 */
struct rg_connect *rg_connect_start(struct rg_reactor *reactor, const char *host, unsigned port,
                                    uint64_t timeout_ms, rg_connect_fn *fn, void *arg);

/* Gives up and sets *connectp to NULL; fn is not called. NULL is fine. */
void rg_connect_cancel(struct rg_connect **connectp);
