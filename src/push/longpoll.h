/*
 * longpoll.h - the long-polling endpoint (client-api.md section 7).
 *
 * A long-polling client lives between its requests: it keeps the newest 200 events, and a
 * poll gets those behind the last one it knows, or waits. The request may reach any reactor; the
 * client lives on one, so polls travel between the two as messages.
 *
 * Thread: the reactor.
 */
#pragma once

#include "http/server.h"
#include "push/msg.h"

struct rg_client_ops;

#define RG_LONGPOLL_MAX_EVENTS 200

/* GET /_rig/v1/connection/longpolling and its preflight. A rg_http_handler_fn; arg is the hub. */
void rg_longpoll_handle(void *arg, struct rg_exchange *exchange);

/* Waiting polls are answered with what there is when their client is freed. */
extern const struct rg_client_ops rg_longpoll_ops;
