/*
 * phx_longpoll.h - channel sockets over long-polling: /socket/longpoll (legacy-channels.md section
 * 7).
 *
 * A socket lives between its requests and on one reactor; a request that arrives on another
 * travels there and back as a message. Its id, which is sealed (token.h), is all that a request
 * needs; the JWT is looked at, and the origin with it, when a socket is opened. Of several ids in
 * the parameters `token` the last one counts.
 *
 * Messages wait in a queue of CLIENT_QUEUE_BYTES; a socket whose queue is full ends, so that its
 * client, which then has missed some, opens another one and joins again. A GET takes all of them.
 * Whoever leaves while it waits polls no more, and what comes then waits for the next GET. Where
 * there is nothing to take any more, a GET is told what phoenix.js makes the best of:
 *
 *   {"status":403}   the socket was banned, or its token has expired, while the GET waited (of the
 *                    latter its channels are told first); or the JWT, the version or the origin
 *                    does not let it open one
 *   {"status":410}   it ended for another reason, or the gateway stops: time for another one
 *   {"status":500}   with 429 or 503: there is no room (MAX_CLIENTS and the like), or the gateway
 *                    stops: phoenix.js tries again, later and later
 *
 * A POST is taken one message after the other. The first that is not acceptable ends it: 413 for
 * one that is longer than CHANNEL_MESSAGE_BYTES, else 400, with the same number in {"status":..}.
 * Those before it have been taken, those behind it are not looked at, and the socket lives on.
 *
 * Thread: the reactor.
 */
#pragma once

#include "http/server.h"

struct rg_client_ops;

#define RG_PHX_MAX_BATCH 100 /* messages in one POST; what phoenix.js sends at most */

/* A waiting GET is answered when its socket is freed. */
extern const struct rg_client_ops rg_phx_longpoll_ops;

/* Any method of /socket/longpoll. A rg_http_handler_fn; arg is the hub. */
void rg_phx_longpoll_handle(void *arg, struct rg_exchange *exchange);
