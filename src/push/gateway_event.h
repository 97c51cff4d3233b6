/*
 * gateway_event.h - events that the gateway itself sends: CloudEvents 0.2 from "rig"
 * (client-api.md 10.9).
 *
 * Thread: any; no state.
 */
#pragma once

#include "base/buf.h"
#include "base/random.h"

/* Types of those that end a connection (client-api.md 13.3, and at the token's expiry). */
#define RG_SESSION_KILLED   "rig.session_killed"
#define RG_SESSION_EXPIRED  "rig.session_expired"
#define RG_SESSION_EXPIRING "rig.session_expiring"

/*
 * Appends the JSON of one event; data is JSON text, or p == NULL for an event without data. id
 * receives the event's id and a NUL.
 */
void rg_gateway_event_add(struct rg_buf *out, const char *type, struct rg_str data,
                          char id[RG_UUID_LEN + 1]);
