/*
 * table.h - which endpoint a request is for: all definitions of a moment, indexed
 * (api-gateway.md 4.1 and 4.2).
 *
 * APIs are visited by ascending id, byte by byte, and their endpoints in list order: the first that
 * matches counts; the routes of 2017 come last. What a pattern must begin with leads from a path to
 * the few endpoints that may match it, so that a thousand routes cost little more than ten. Those
 * that may begin with anything, or with the same, are tried one by one: so many of them cost so
 * much more, by their nature.
 *
 * Immutable. Thread: building, one; then any.
 */
#pragma once

#include "http/request.h"
#include "proxy/api.h"

struct rg_table;

/* References to the apis are taken; those that are not matched are left out. ids are unique. */
struct rg_table *rg_table_new(struct rg_api *const *apis, size_t n);
void rg_table_free(struct rg_table **tablep);

struct rg_found {
    const struct rg_endpoint
        *endpoint; /* valid as long as the table; or take a reference to its api */
    struct rg_captures captures;
    /* Not found, because of this endpoint's pattern, which would have cost too much (to be logged);
     * else NULL. */
    const struct rg_endpoint *costly;
};

/*
 * The first endpoint for method (exact) and path (normalised); false if there is none. The caller
 * tries HEAD and then GET (4.2), unless ret->costly is set. *ret_others, where not NULL, is set if
 * another endpoint matches as well, and costs the search for it.
 *
 * A pattern that would cost too much ends the search: nothing behind it is found. Else a path that
 * is made to be costly would get around the endpoint that guards it, to a later one that does not.
 */
bool rg_table_find(const struct rg_table *table, struct rg_str method, struct rg_str path,
                   struct rg_found *ret, bool *ret_others);

size_t rg_table_endpoints(const struct rg_table *table);
