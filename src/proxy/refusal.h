/*
 * refusal.h - what the proxy answers where no service does (legacy-channels.md 14.2):
 * {"message":"…"}, with what all answers of ours carry.
 *
 * Thread: the reactor of the exchange.
 */
#pragma once

#include "http/server.h"
#include "http/trace.h"

/* Answers; message is not escaped. trace was begun with the request. */
void rg_refusal_send(struct rg_exchange *exchange, const struct rg_trace *trace, int status,
                     const char *message);

/* The same while the request is there, and with the reason behind the message: "message: reason".
 */
void rg_refusal_send_now(struct rg_exchange *exchange, const struct rg_request *req, int status,
                         const char *message, const char *reason);
