/*
 * route_list.h - reads the route file of 2017 (legacy-channels.md 14.1).
 *
 *   [{"host":"ORDERS_HOST","port":8100,"path":"/orders/{id}/items","method":"GET","auth":true}]
 *
 * Everything is checked, so that what is wrong is told at the start and not by a request. Members
 * that are not known are left alone.
 *
 * Thread: start-up.
 */
#pragma once

#include "base/option.h"
#include "proxy/route.h"

/* The variable that problems are told of. */
#define RG_ROUTE_LIST_VARIABLE "PROXY_CONFIG_FILE"

/*
 * The routes of a JSON text; the caller owns them. The names of hosts are looked up with env. NULL,
 * with every mistake in problems (by JSON pointer, or under the name of the variable that names a
 * host), if there is one. Lines about what is allowed but never used go to warnings.
 */
struct rg_proxy_routes *rg_route_list_read(struct rg_str json, rg_getenv_fn *env,
                                           struct rg_problems *problems, struct rg_buf *warnings);
