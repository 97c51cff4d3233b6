/*
 * session_blacklist.h - operators ban sessions: /v2/session-blacklist and /v3/session-blacklist
 * (management-api.md 3).
 *
 * What a ban does to connections is the business of whoever listens to the blacklist.
 *
 * Thread: the loop of the internal port, registered with rcu.h.
 */
#pragma once

#include "auth/blacklist.h"
#include "http/server.h"

#define RG_SESSION_BLACKLIST_ROUTES 4

/* Fills rows, of which none catches all; blacklist is borrowed. */
void rg_session_blacklist_routes(struct rg_blacklist *blacklist,
                                 struct rg_route rows[RG_SESSION_BLACKLIST_ROUTES]);

/* The longest name of a session that can be banned: longer than any that fits into a request. */
#define RG_SESSION_MAX 16384

/*
 * Reads the body of a request to ban a session. type is the value of its content-type; p == NULL:
 * there is none, and the body is ignored. On success the name of the session is appended to
 * *session and *ret_seconds is 1 .. RG_BLACKLIST_MAX_SECONDS: fractions are rounded up, what is
 * longer is cut. RG_EINVAL, with the answer's text in why->text, where a field is missing or of a
 * wrong kind; RG_ESYNTAX for what is not an object of fields at all; RG_ENOTFOUND for a type that
 * is not known. Thread: any.
 */
int rg_session_blacklist_read(struct rg_str type, struct rg_str body, struct rg_buf *session,
                              uint64_t *ret_seconds, struct rg_why *why);
