/*
 * reply.h - answers of the internal port, with what all of them carry: request id, trace context,
 * cache control (management-api.md 1).
 *
 * Thread: the loop of the internal port.
 */
#pragma once

#include "http/server.h"
#include "http/trace.h"

/* Answers exchange with response, to which the common fields are added. */
void rg_reply(struct rg_exchange *exchange, struct rg_response *response);

/* The same later than in the handler, where trace was begun. */
void rg_reply_later(struct rg_exchange *exchange, struct rg_response *response,
                    const struct rg_trace *trace);

/* The same with this body and its type, behind the fields that response has already. */
void rg_reply_text(struct rg_exchange *exchange, struct rg_response *response, struct rg_str text);
void rg_reply_json(struct rg_exchange *exchange, struct rg_response *response, struct rg_str json);

/* {"errors":{"detail":"..."}}; detail needs no escaping. */
void rg_reply_problem(struct rg_exchange *exchange, struct rg_response *response,
                      const char *detail);
