/*
 * session_admin.h - sessions for operators and back ends, without tokens, on the internal port:
 * /v3/sessions and /v2/sessions.
 *
 * A session is what a claim of the tokens names (JWT_SESSION_FIELD). The list and the numbers come
 * from what all reactors share; what the connections of one session are like, their reactors
 * are asked (survey.h). Deleting a session bans it, which closes all its connections; deleting one
 * connection only closes that one. /v3/presence/:topic has the numbers of who is on a channel.
 *
 * Thread: the loop of the internal port, registered with rcu.h.
 */
#pragma once

#include "http/server.h"
#include "push/push.h"

struct rg_session_admin {
    struct rg_push *push;
    struct rg_reactor *reactor;  /* of the internal port */
    struct rg_http_server *http; /* the same; set by wiring once it is there */

    size_t open_n;    /* requests that wait for reactors */
    bool is_stopping; /* no more of them begin */
    void (*on_idle)(void *arg);
    void *on_idle_arg;
};

#define RG_SESSION_ADMIN_ROUTES 12

/* Fills rows, of which none catches all; admin is borrowed. */
void rg_session_admin_routes(struct rg_session_admin *admin,
                             struct rg_route rows[RG_SESSION_ADMIN_ROUTES]);

/*
 * No request asks reactors any more; on_idle is called when the last that did has its answers,
 * maybe before this returns. Until then all reactors must run.
 */
void rg_session_admin_stop(struct rg_session_admin *admin, void (*on_idle)(void *arg), void *arg);

/* What GET /v3/sessions is asked for. Thread: any. */
struct rg_session_query {
    struct rg_buf user; /* n == 0: of any */
    size_t limit;
    uint64_t after; /* a cursor; 0: from the start */
};
/*
 * Reads user, limit and after from a query string; user must be empty before. RG_EINVAL with a
 * sentence in why->text for what is not acceptable.
 */
int rg_session_query_read(struct rg_str query, struct rg_session_query *ret, struct rg_why *why);
