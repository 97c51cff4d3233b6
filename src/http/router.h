/*
 * router.h - which of our own endpoints a request is for.
 *
 * A small table of methods and path patterns. A pattern's segment may be ":name", which
 * matches one non-empty segment. A trailing slash on the path is ignored (client-api.md 1.5);
 * HEAD finds what GET finds.
 *
 * Thread: building, one; then shared by all.
 */
#pragma once

#include "http/request.h"

struct rg_exchange;
typedef void rg_http_handler_fn(void *arg, struct rg_exchange *exchange);

#define RG_ROUTE_MAX_PARAMS 4

struct rg_route {
    unsigned methods; /* RG_METHOD_BIT()s */
    const char *pattern;
    rg_http_handler_fn *handler;
    void *arg;
    size_t max_body; /* bytes; a longer body is 413 before it is read. Or RG_BODY_STREAMED */
};

/*
 * Of a route whose handler is called when the head is complete, before the body: it takes that with
 * rg_exchange_receive() (server.h), or answers without it.
 */
#define RG_BODY_STREAMED SIZE_MAX

#define RG_METHOD_BIT(method) (1u << (method))
#define RG_METHODS_ALL        (~0u)

struct rg_route_match {
    const struct rg_route *route;
    struct rg_str params[RG_ROUTE_MAX_PARAMS]; /* slices of the path, as received */
    size_t params_n;
};

/*
 * Finds the first route of rows[0..n) for method and path. The last row should be the catch-all
 * with pattern "*". False if nothing matches.
 */
bool rg_router_find(const struct rg_route *rows, size_t n, enum rg_method method,
                    struct rg_str path, struct rg_route_match *ret);
