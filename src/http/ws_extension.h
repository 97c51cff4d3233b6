/*
 * ws_extension.h - the extensions that a WebSocket client offers (RFC 6455 9.1), and which offer
 * of permessage-deflate is taken (RFC 7692).
 *
 * Ours is compression without context takeover in either direction: each message stands alone, so
 * that one compressed for many clients serves them all, and no connection keeps a window.
 *
 * Thread: any; no state.
 */
#pragma once

#include "base/buf.h"
#include "base/err.h"
#include "http/request.h"

/*
 * Checks every Sec-WebSocket-Extensions field. One that is not a list of extensions with parameters
 * makes the handshake fail (RFC 6455 9.1): returns -400 with why. Which extensions and parameters
 * there are makes no difference here.
 */
int rg_ws_check_extensions(const struct rg_request *req, struct rg_why *why);

/*
 * Takes the first offer of permessage-deflate that can be satisfied, in the order of the request,
 * and appends the value of the answer's Sec-WebSocket-Extensions. Offers with parameters that are
 * unknown, repeated or have a wrong value (RFC 7692 7.1), and those that want a smaller window than
 * RG_DEFLATE_WINDOW_BITS from us, are passed over. False, with nothing appended, if none is left.
 */
bool rg_ws_accept_deflate(const struct rg_request *req, struct rg_buf *answer);
