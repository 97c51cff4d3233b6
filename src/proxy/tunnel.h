/*
 * tunnel.h - two connections that have become one: what the one says goes to the other, whatever it
 * means.
 *
 * Each direction keeps little: where its end is slower than its beginning, that is not read any
 * more. Where one side says that it sends no more, the other is told so, and may go on. A tunnel in
 * which nothing moves for long is cut; sooner where one side has ended.
 *
 * Thread: the reactor.
 */
#pragma once

#include <stdatomic.h>

#include "base/buf.h"
#include "net/stream.h"

struct rg_tunnels; /* those of one reactor */

/* open and opened, which are counted in, are borrowed. */
struct rg_tunnels *rg_tunnels_new(struct rg_reactor *reactor, _Atomic uint64_t *open,
                                  _Atomic uint64_t *opened);
/* All must have been closed. */
void rg_tunnels_free(struct rg_tunnels **tunnelsp);

size_t rg_tunnels_count(const struct rg_tunnels *tunnels);
void rg_tunnels_close_all(struct rg_tunnels *tunnels);

#define RG_TUNNEL_HALF_IDLE_MS 60000 /* the longest silence where one side has ended */

/* One side. */
struct rg_tunnel_side {
    struct rg_stream *stream; /* taken */
    struct rg_buf first;      /* the first bytes for it; taken */
};

/* Bytes that came from the client, and that went to it; and that it was idle for too long. */
struct rg_tunnel_totals {
    uint64_t in, out;
    bool is_idle;
};

/* The tunnel has ended. Called once, maybe from inside of rg_tunnel_open(). */
typedef void rg_tunnel_end_fn(void *arg, const struct rg_tunnel_totals *totals);

void rg_tunnel_open(struct rg_tunnels *tunnels, struct rg_tunnel_side *client,
                    struct rg_tunnel_side *service, uint64_t idle_ms, rg_tunnel_end_fn *on_end,
                    void *arg);
