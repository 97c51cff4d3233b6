/*
 * route.h - which service a request is for: the routes of the 2017 dialect (legacy-channels.md 14).
 *
 * A route is a method and a path whose segments are literal or {id}, which stands for one segment
 * that is not empty. The whole path must match; of several routes the first counts.
 *
 * Routes that have as many segments and {id} at the same places are of one shape, of which there
 * are few, however many routes there are: a request costs one look into a hash table per shape with
 * as many segments as its path.
 *
 * Thread: building, one; then shared by all.
 */
#pragma once

#include "base/str.h"

#define RG_ROUTE_MAX_SEGMENTS 64

struct rg_proxy_route {
    char *method;        /* upper case */
    char *path;          /* with its leading slash */
    char *host_variable; /* the environment variable that names the host */
    char *host;          /* name or address */
    unsigned port;
    bool needs_token;
    char *definition; /* the route as text (15.2) */
};

struct rg_proxy_routes;

struct rg_proxy_routes *rg_proxy_routes_new(void);
void rg_proxy_routes_free(struct rg_proxy_routes **routesp);

/*
 * Appends a route (taken, with its strings) and returns its number. *ret_shadow is the number of
 * the earlier route with the same method and path, because of which it is never used, or -1. The
 * path has at most RG_ROUTE_MAX_SEGMENTS segments.
 */
size_t rg_proxy_routes_add(struct rg_proxy_routes *routes, const struct rg_proxy_route *route,
                           long *ret_shadow);

/* The first route for method and path (raw, without query); NULL if there is none. */
const struct rg_proxy_route *rg_proxy_routes_find(const struct rg_proxy_routes *routes,
                                                  struct rg_str method, struct rg_str path);

size_t rg_proxy_routes_count(const struct rg_proxy_routes *routes);
const struct rg_proxy_route *rg_proxy_routes_at(const struct rg_proxy_routes *routes, size_t i);

/* True if one of them needs a token. */
bool rg_proxy_routes_need_tokens(const struct rg_proxy_routes *routes);

/* Frees the strings of a route that was not added. */
void rg_proxy_route_done(struct rg_proxy_route *route);
