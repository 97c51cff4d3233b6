/*
 * routes_2017.h - reads the route list of 2017 (legacy-channels.md 14.1) as one API.
 *
 *   [{"host":"ORDERS_HOST","port":8100,"path":"/orders/{id}/items","method":"GET","auth":true}]
 *
 * Each route is an endpoint with a service of its own. Everything is checked, so that what is wrong
 * is told at the start and not by a request. Members that are not known are left alone.
 *
 * Thread: start-up.
 */
#pragma once

#include <jansson.h>

#include "base/option.h"
#include "proxy/api.h"

/*
 * The API of a list (borrowed), one reference. The names of hosts are looked up with env. NULL,
 * with every mistake in problems (by JSON pointer, or under the name of the variable that names a
 * host), if there is one. Lines about routes that are never used go to warnings.
 */
struct rg_api *rg_routes_2017_read(const json_t *list, rg_getenv_fn *env,
                                   struct rg_problems *problems, struct rg_buf *warnings);

/* Whether an element of the file looks like a route, and not like a definition. */
bool rg_routes_2017_is_route(const json_t *element);
