/*
 * limits.h - how many clients there may be, and how fast new ones may come (client-api.md section
 * 15).
 *
 * Shared by all reactors: plain atomic counters, and one locked table of addresses, touched when a
 * client comes or goes and never in between.
 *
 * Thread: any.
 */
#pragma once

#include "base/buf.h"
#include "net/socket.h"

struct rg_limits;

struct rg_limits_settings {
    int64_t
        per_minute; /* MAX_CONNECTIONS_PER_MINUTE: in a minute of the wall clock; -1: unlimited */
    size_t per_address; /* MAX_CONNECTIONS_PER_ADDRESS: open at once; 0: unlimited */
    size_t clients;     /* MAX_CLIENTS: open at once; 0: unlimited */
};

enum rg_limit {
    RG_LIMIT_NONE,    /* come in */
    RG_LIMIT_RATE,    /* too many new ones in this minute */
    RG_LIMIT_ADDRESS, /* too many from this address */
    RG_LIMIT_CLIENTS  /* too many altogether */
};

/* The place of one client; it counts until it is given up. */
struct rg_seat;

struct rg_limits *rg_limits_new(const struct rg_limits_settings *settings);
/* Every seat must have been given up. */
void rg_limits_free(struct rg_limits **limitsp);

/*
 * Counts one new connection against the minute (also one that is refused), and takes a seat for it.
 * peer is from rg_exchange_peer(), "" counts as one address. On anything but RG_LIMIT_NONE
 * *ret_seat is NULL and *ret_retry_after_s says when to try again. Counts refusals by limit.
 */
enum rg_limit rg_limits_enter(struct rg_limits *limits, const char peer[RG_PEER_SIZE],
                              uint64_t wall_ms, struct rg_seat **ret_seat,
                              unsigned *ret_retry_after_s);

/* Gives the seat up and sets *seatp to NULL (NULL is fine). */
void rg_limits_leave(struct rg_limits *limits, struct rg_seat **seatp);

/* Appends metrics: refused connections by limit. */
void rg_limits_expose(const struct rg_limits *limits, struct rg_buf *out);
