/*
 * token.h - connection tokens: which client of which reactor (client-api.md section 3).
 *
 * A token names a place in a hub's table and the generation that place had. It is sealed,
 * so it cannot be made up, and it stays recognisable after its connection has ended.
 *
 * Thread: any.
 */
#pragma once

#include "push/push.h"

/* Names a client across threads; harmless when the client is gone. */
struct rg_client_handle {
    uint32_t reactor;
    uint32_t slot;
    uint32_t generation;
};

/* Appends the token of handle. */
void rg_token_add(const struct rg_push *push, struct rg_client_handle handle, struct rg_buf *out);

/*
 * Reads a token. Returns 0, RG_EINVAL for what is no token of ours, RG_EGONE for one of an earlier
 * run of this node.
 */
int rg_token_read(const struct rg_push *push, struct rg_str token, struct rg_client_handle *ret);

/*
 * The same for the poll ids of channel sockets (legacy-channels.md 7.9), which are sealed for
 * themselves: neither is taken for the other.
 */
void rg_token_add_poll_id(const struct rg_push *push, struct rg_client_handle handle,
                          struct rg_buf *out);
int rg_token_read_poll_id(const struct rg_push *push, struct rg_str id,
                          struct rg_client_handle *ret);
