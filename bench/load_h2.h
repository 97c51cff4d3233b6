/*
 * load_h2.h - an HTTP/2 connection of the load generator and the SSE clients on it, one a stream.
 *
 * Windows are as large as they can be, so that the clients never hold the server up.
 *
 * Thread: one worker.
 */
#pragma once

#include "bench/load_socket.h"

struct rg_load_h2;

/* Asks for streams clients, the numbers from first_number on; nothing is sent yet. */
struct rg_load_h2 *rg_load_h2_new(struct rg_load_network *net, unsigned first_number,
                                  unsigned streams);

/* Counts the clients that are still there as closed, or as failed if they never were subscribed. */
void rg_load_h2_free(struct rg_load_h2 **h2p);

/* Sends what is to be sent. Returns 1 if all is, 0 if the socket takes no more, or RG_EINVAL. */
int rg_load_h2_flush(struct rg_load_h2 *h2, struct rg_load_socket *socket);

/* Takes bytes that came: counts clients and events. Returns RG_EINVAL where they make no sense. */
int rg_load_h2_feed(struct rg_load_h2 *h2, const char *p, size_t n);

/* True once every client has either been subscribed or failed. */
bool rg_load_h2_is_settled(const struct rg_load_h2 *h2);
