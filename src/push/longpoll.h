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

struct rg_client;
struct rg_longpoll;

#define RG_LONGPOLL_MAX_EVENTS 200

/* GET /_rig/v1/connection/longpolling and its preflight. A rg_http_handler_fn; arg is the hub. */
void rg_longpoll_handle(void *arg, struct rg_exchange *exchange);

/* Keeps an event for the client; the oldest goes if there are too many. */
void rg_longpoll_put(struct rg_client *client, struct rg_msg *msg);

/* Answers the polls that wait, if there is something new. True if there was one. */
bool rg_longpoll_answer(struct rg_client *client);

/* Answers waiting polls with what there is and frees. */
void rg_longpoll_free(struct rg_longpoll **longpollp);
