/*
 * subscriber.h - a client of the gateway, for `rgate subscribe`.
 *
 * Two transports bring the same events: subscriber_sse.c and subscriber_ws.c. Each opens
 * one connection and returns when it has ended; connecting again is the command's concern.
 *
 * Thread: main.
 */
#pragma once

#include "base/buf.h"
#include "base/err.h"
#include "rgate/trust.h"

struct rg_subscriber {
    const char *url; /* of the gateway, without path */
    struct rg_trust trust;
    struct rg_buf query; /* "?subscriptions=...&jwt=...", NUL-terminated */
    bool is_raw;         /* print events only, without time */
    bool shows_gateway;  /* print the gateway's own two opening events, too */
    uint64_t max_events; /* 0: no limit */
    uint64_t events;     /* printed so far */
    bool was_connected;  /* since the connection was last opened */
};

/* True after Ctrl-C or a termination signal, and when there were enough events. */
bool rg_subscriber_is_done(const struct rg_subscriber *sub);

/* Prints an event that arrived. */
void rg_subscriber_take(struct rg_subscriber *sub, struct rg_str event);

/*
 * Opens a connection and takes its events until it ends. Returns 0 when done or when the gateway
 * ended the connection, RG_EAGAIN with why if connecting again may help, and RG_EINVAL with why if
 * the gateway refused.
 */
int rg_subscriber_run_sse(struct rg_subscriber *sub, struct rg_why *why);
int rg_subscriber_run_ws(struct rg_subscriber *sub, struct rg_why *why);
