/*
 * load_plan.h - what the load generator is to do; the same for all of its processes.
 *
 * Thread: filled in before the workers start, read by all.
 */
#pragma once

#include <netinet/in.h>
#include <stdbool.h>

#include "base/buf.h"

enum rg_load_kind {
    RG_LOAD_SSE,
    RG_LOAD_WS,
    RG_LOAD_MIXED
};

struct rg_load_plan {
    struct sockaddr_in server;
    enum rg_load_kind kind;
    bool is_bare;              /* no HTTP: one byte that names the kind, then bytes come */
    bool is_tls;               /* the server's certificate is not looked at */
    bool is_resuming;          /* every connection but a worker's first resumes a session */
    bool is_deflated;          /* WebSockets ask for permessage-deflate */
    bool is_passing;           /* a client leaves as soon as it is subscribed */
    const char *secret;        /* channels: a token for each user is signed with it; NULL: events */
    const char *token;         /* of each client's request; NULL: none */
    const char *subscriptions; /* JSON; {n} stands for the client's number, seven digits */
    unsigned clients;          /* of all workers */
    unsigned streams;          /* clients on one HTTP/2 connection; 0: HTTP/1.1 */
    unsigned workers;
    unsigned addresses; /* source addresses 127.0.0.2 and following */
    unsigned window;    /* connections in the making per worker */
};

/* Appends path and query of client number's request. */
void rg_load_plan_path(const struct rg_load_plan *plan, bool is_ws, unsigned number,
                       struct rg_buf *out);

/*
 * Channels: appends the frame with which client number joins its own channel, and what the last
 * message that this brings contains.
 */
void rg_load_plan_join(unsigned number, struct rg_buf *out);
#define RG_LOAD_JOINED "presence_diff"

/* Appends the first bytes that client number sends on a connection of its own. */
void rg_load_plan_request(const struct rg_load_plan *plan, bool is_ws, unsigned number,
                          struct rg_buf *out);
