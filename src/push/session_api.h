/*
 * session_api.h - who is there, and the end of a token, for those who may ask on the client port:
 * /rg/sessions, /rg/sessions/:id, /rg/connections/:jti (legacy-channels.md sections 12 and 13).
 *
 * The token in Authorization must be valid and list the action of the request at scopes.rg.actions;
 * whoever has none is told 403, and nothing has happened then. A cookie does not count.
 *
 * Thread: the reactor.
 */
#pragma once

#include "auth/claims.h"
#include "http/server.h"

/* All of them rg_http_handler_fn for GET or DELETE, and OPTIONS; arg is the hub. */
void rg_session_api_list(void *arg, struct rg_exchange *exchange);
void rg_session_api_look(void *arg, struct rg_exchange *exchange);
void rg_session_api_ban(void *arg, struct rg_exchange *exchange);

/* True if claims list action at scopes.rg.actions (12.2). Thread: any. */
bool rg_session_api_allows(const struct rg_claims *claims, struct rg_str action);
