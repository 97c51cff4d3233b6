/*
 * issue.h - handing out one-time tickets (auth/ticket.h).
 *
 * POST with a bearer token gives a ticket that opens one SSE stream, WebSocket or long-polling
 * client in place of the token (admission.h).
 *
 * Thread: the reactor.
 */
#pragma once

#include "http/server.h"

/*
 * POST /_rig/v1/tickets and its preflight. Answers 201 {"ticket":…,"expires_in":<seconds>}; 401 if
 * there is no token in Authorization or one that is not valid; 503 if too many tickets are
 * outstanding. Of several tokens the ticket stands for the first. A rg_http_handler_fn; arg is the
 * hub.
 */
void rg_issue_handle(void *arg, struct rg_exchange *exchange);
