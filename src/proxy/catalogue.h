/*
 * catalogue.h - the API definitions in force, which may change at any time (management-api.md 2).
 *
 * Changes are made under a lock, one after the other; each puts a new table (table.h) in the place
 * of the old one, which is freed once no reader can see it. A definition that was deleted is not
 * forgotten, so that its number goes on (2.5), unless very many have been deleted after it. One
 * that says itself that it is not active is kept like a deleted one.
 *
 * Thread: any registered with rcu.h.
 */
#pragma once

#include "base/rcu.h"
#include "proxy/api.h"
#include "proxy/table.h"

#define RG_CATALOGUE_MAX_GRAVES 100000 /* deleted ones that are not forgotten */

struct rg_catalogue;

/* References to the apis are taken. */
struct rg_catalogue *rg_catalogue_new(struct rg_api *const *apis, size_t n);
/* Waits for a grace period: never on a reactor. */
void rg_catalogue_free(struct rg_catalogue **cataloguep);

/* The table in force; between rg_rcu_read_lock() and rg_rcu_read_unlock(). Never NULL. */
const struct rg_table *rg_catalogue_table(const struct rg_catalogue *catalogue);

/*
 * POST (2.3): takes the reference to api. RG_EINVAL (and the reference is given up) if its id is
 * active. Its ref_number is set here.
 */
int rg_catalogue_add(struct rg_catalogue *catalogue, struct rg_api *api);

/* PUT (2.4): the same, of an id that must be active: else RG_ENOTFOUND. */
int rg_catalogue_replace(struct rg_catalogue *catalogue, struct rg_api *api);

/*
 * The same for who has made api of old: RG_EAGAIN, and nothing is changed, if another definition
 * than old is active by now. old == NULL: whichever is.
 */
int rg_catalogue_exchange(struct rg_catalogue *catalogue, const struct rg_api *old,
                          struct rg_api *api);

/* DELETE (2.5): RG_ENOTFOUND if id is not active. */
int rg_catalogue_remove(struct rg_catalogue *catalogue, struct rg_str id);

/* A reference to the active definition with this id; NULL if there is none. */
struct rg_api *rg_catalogue_get(struct rg_catalogue *catalogue, struct rg_str id);

/* References to all that are active, by ascending id, without the list of 2017; *ret is allocated.
 */
size_t rg_catalogue_list(struct rg_catalogue *catalogue, struct rg_api ***ret);

/* Appends metrics: definitions, endpoints, changes. */
void rg_catalogue_expose(struct rg_catalogue *catalogue, struct rg_buf *out);
