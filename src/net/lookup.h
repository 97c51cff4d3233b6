/*
 * lookup.h - the addresses of a name, asked for off the loop (libuv's threads).
 *
 * Thread: the reactor. A lookup that was given up is still waited for when the loop ends.
 */
#pragma once

#include "base/err.h"
#include "net/address.h"
#include "net/reactor.h"

#define RG_LOOKUP_MAX 16 /* addresses; more are not looked at */

struct rg_lookup;

/*
 * n different addresses, in the resolver's order, borrowed for the call; or a negative code, with
 * why filled. The lookup is over with this call.
 */
typedef void rg_lookup_fn(void *arg, int err, const struct rg_address *addresses, size_t n,
                          const struct rg_why *why);

/* Begins a lookup that ends with fn, but not inside of this call, or with rg_lookup_cancel(). host
 * is copied. */
struct rg_lookup *rg_lookup_start(struct rg_reactor *reactor, const char *host, unsigned port,
                                  rg_lookup_fn *fn, void *arg);

/* Gives up and sets *lookupp to NULL; fn is not called. NULL is fine. */
void rg_lookup_cancel(struct rg_lookup **lookupp);
