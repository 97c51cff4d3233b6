/*
 * demo_answer.h - how the endpoints of the development page answer.
 *
 * Thread: the reactor of the exchange.
 */
#pragma once

#include "http/server.h"

/* JSON, never kept in a cache. */
void rg_demo_answer(struct rg_exchange *exchange, int status, struct rg_str json);

/* {"error": text} */
void rg_demo_answer_error(struct rg_exchange *exchange, int status, const char *text);

/*
 * False if a page of another origin asks: its visitors' browsers can post here, too, and say in
 * Origin who told them to (Fetch). Inside a handler only.
 */
bool rg_demo_is_own_page(const struct rg_exchange *exchange);
