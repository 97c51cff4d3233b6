/*
 * phx_longpoll.h - channel sockets over long-polling: /socket/longpoll (legacy-channels.md section
 * 7).
 *
 * A socket lives between its requests and on one reactor; a request that arrives on another
 * travels there and back as a message.
 *
 * Thread: the reactor.
 */
#pragma once

#include "http/server.h"

struct rg_client_ops;

extern const struct rg_client_ops rg_phx_longpoll_ops;

/* Any method of /socket/longpoll. A rg_http_handler_fn; arg is the hub. */
void rg_phx_longpoll_handle(void *arg, struct rg_exchange *exchange);
