/*
 * user_messages.h - a message to one user from a service, over HTTP, for services without Kafka.
 *
 *   POST /v3/users/:name/messages   (and /v2) on the internal port
 *
 * The body, any JSON value, is the payload of the event "message" on the channel "user:<name>". Who
 * asks for it is not checked: the internal port is for services.
 *
 * 202 {"devices":n}: n is how many of the user's own channels are joined now, on this node; none is
 *     no mistake, the message then goes to whoever else has joined (privileged users), or nowhere
 * 400 the name or the body is none; 413 the body is longer than MAX_EVENT_BYTES; 415 the content
 *     type is not JSON; 503 with Retry-After where an inbox is full: nobody got it
 *
 * Counted among the consumed events with the source "http" (management-api.md 7.1).
 *
 * Thread: the loop of the internal port.
 */
#pragma once

#include "http/server.h"
#include "push/push.h"

#define RG_USER_MESSAGES_ROUTES 2

/* Fills rows; push is borrowed. */
void rg_user_messages_routes(struct rg_push *push, struct rg_route rows[RG_USER_MESSAGES_ROUTES]);
