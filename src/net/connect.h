/*
 * connect.h - a TCP connection that we open, to one address.
 *
 * Thread: the reactor.
 */
#pragma once

#include "base/err.h"
#include "net/address.h"
#include "net/reactor.h"

struct rg_connect;

/*
 * fd is a connected socket, non-blocking, without delay (TCP_NODELAY), and the callee's; or a
 * negative code, with why filled. The attempt is over with this call.
 */
typedef void rg_connect_fn(void *arg, int fd, const struct rg_why *why);

/* Begins an attempt that ends with fn, but not inside of this call, or with rg_connect_cancel(). */
struct rg_connect *rg_connect_start(struct rg_reactor *reactor, const struct rg_address *address,
                                    uint64_t timeout_ms, rg_connect_fn *fn, void *arg);

/* Gives up and sets *connectp to NULL; fn is not called. NULL is fine. */
void rg_connect_cancel(struct rg_connect **connectp);
