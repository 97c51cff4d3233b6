/*
 * table.h - which endpoint a request is for: all definitions of a moment, indexed
 * (api-gateway.md 4.1 and 4.2).
 *
 * APIs are visited by ascending id, byte by byte, and their endpoints in list order: the first that
 * matches counts; the routes of 2017 come last. What a pattern must begin with leads from a path to
 * the few endpoints that may match it, so that a thousand routes cost little more than ten.
 *
 * Immutable. Thread: building, one; then any.
 */
#pragma once

#include "http/request.h"
#include "proxy/api.h"

struct rg_table;

/* References to the apis are taken; those that are not matched are left out. */
struct rg_table *rg_table_new(struct rg_api *const *apis, size_t n);
void rg_table_free(struct rg_table **tablep);

struct rg_found {
    const struct rg_endpoint
        *endpoint; /* valid as long as the table; or take a reference to its api */
    struct rg_captures captures;
};

/*
 * The first endpoint for method (exact) and path (normalised); false if there is none. The caller
 * tries HEAD and then GET (4.2). *ret_others, where not NULL, is set if another endpoint matches as
 * well, and costs the search for it.
 */
bool rg_table_find(const struct rg_table *table, struct rg_str method, struct rg_str path,
                   struct rg_found *ret, bool *ret_others);

size_t rg_table_endpoints(const struct rg_table *table);
