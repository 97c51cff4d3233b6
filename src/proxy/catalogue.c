/*
 * Two kinds of things: definitions that are active, sorted by id, and graves: the ids and numbers
 * of those that are not. Whatever is changed, a new table is made of the active ones; patterns and
 * services are theirs and shared, so a table costs little more than references.
 *
 *   absent --add--> active --remove, or replaced by one that is not active--> grave --add--> active
 */
#include "proxy/catalogue.h"

#include <pthread.h>

#include "base/alloc.h"
#include "base/err.h"
#include "base/hash.h"
#include "base/map.h"

/* What readers see; freed when none can see it any more. */
struct view {
    struct rcu_head rcu;
    struct rg_table *table;
};

/* A definition that is not active. */
struct grave {
    struct rg_map_link link;
    struct grave *older, *newer;
    uint64_t ref_number;
    char *id;
};

enum change {
    ADDED,
    REPLACED,
    REMOVED,
    CHANGES
};

static const char *const change_names[CHANGES] = {"added", "replaced", "removed"};

struct rg_catalogue {
    _Atomic(struct view *) view; /* any thread reads, under RCU */

    pthread_mutex_t lock; /* of all below */
    struct rg_api **active;
    size_t n, cap;
    struct rg_api **fixed; /* the list of 2017: in every table, but not to be asked for */
    size_t fixed_n;
    struct rg_hash_key hash_key;
    struct rg_map graves;
    struct grave *oldest, *newest;
    uint64_t changes[CHANGES];
};

/* ---- tables ---- */

static void view_free(struct view *view)
{
    rg_table_free(&view->table);
    rg_free(view);
}

static void on_grace(struct rcu_head *head)
{
    RG_RCU_CALLBACK(head);
    view_free(RG_CONTAINER_OF(head, struct view, rcu));
}

static struct view *view_new(struct rg_catalogue *catalogue)
{
    size_t n = catalogue->n + catalogue->fixed_n;
    struct rg_api **all = rg_alloc((n + 1) * sizeof(struct rg_api *));
    struct view *view = rg_zalloc(sizeof(*view));

    for (size_t i = 0; i < catalogue->n; i++)
        all[i] = catalogue->active[i];
    for (size_t i = 0; i < catalogue->fixed_n; i++)
        all[catalogue->n + i] = catalogue->fixed[i];
    view->table = rg_table_new(all, n);
    rg_free(all);
    return view;
}

/* From here on, requests find what is there now. */
static void publish(struct rg_catalogue *catalogue)
{
    struct view *old =
        atomic_exchange_explicit(&catalogue->view, view_new(catalogue), memory_order_acq_rel);

    if (old != NULL)
        rg_rcu_call(&old->rcu, on_grace);
}

const struct rg_table *rg_catalogue_table(const struct rg_catalogue *catalogue)
{
    return atomic_load_explicit(&catalogue->view, memory_order_acquire)->table;
}

/* ---- what is active ---- */

static int compare(struct rg_str a, struct rg_str b)
{
    size_t n = a.n < b.n ? a.n : b.n;
    int order = n > 0 ? memcmp(a.p, b.p, n) : 0;

    return order != 0 ? order : (a.n > b.n) - (a.n < b.n);
}

/* Where id is, or would be. */
static bool find(const struct rg_catalogue *catalogue, struct rg_str id, size_t *ret)
{
    size_t low = 0, high = catalogue->n;

    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int order = compare(rg_str_c(catalogue->active[middle]->id), id);
        if (order == 0) {
            *ret = middle;
            return true;
        }
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    *ret = low;
    return false;
}

/* Takes the reference. */
static void insert(struct rg_catalogue *catalogue, size_t at, struct rg_api *api)
{
    if (catalogue->n == catalogue->cap) {
        catalogue->cap = catalogue->cap * 2 + 16;
        catalogue->active =
            rg_realloc_array(catalogue->active, catalogue->cap, sizeof(struct rg_api *));
    }
    memmove(&catalogue->active[at + 1], &catalogue->active[at],
            (catalogue->n - at) * sizeof(struct rg_api *));
    catalogue->active[at] = api;
    catalogue->n++;
}

static void take_out(struct rg_catalogue *catalogue, size_t at)
{
    rg_api_unref(&catalogue->active[at]);
    catalogue->n--;
    memmove(&catalogue->active[at], &catalogue->active[at + 1],
            (catalogue->n - at) * sizeof(struct rg_api *));
}

/* ---- graves ---- */

static bool is_of(const struct rg_map_link *link, const void *id)
{
    return rg_str_eq(rg_str_c(RG_CONTAINER_OF(link, struct grave, link)->id),
                     *(const struct rg_str *)id);
}

static uint64_t hash_of(const struct rg_catalogue *catalogue, struct rg_str id)
{
    return rg_hash64(&catalogue->hash_key, id.p, id.n);
}

static struct grave *find_grave(const struct rg_catalogue *catalogue, struct rg_str id)
{
    struct rg_map_link *link = rg_map_find(&catalogue->graves, hash_of(catalogue, id), is_of, &id);

    return link != NULL ? RG_CONTAINER_OF(link, struct grave, link) : NULL;
}

static void forget(struct rg_catalogue *catalogue, struct grave *grave)
{
    *(grave->older != NULL ? &grave->older->newer : &catalogue->oldest) = grave->newer;
    *(grave->newer != NULL ? &grave->newer->older : &catalogue->newest) = grave->older;
    rg_map_remove(&catalogue->graves, &grave->link);
    rg_free(grave->id);
    rg_free(grave);
}

/* There must be no grave of id yet. */
static void bury(struct rg_catalogue *catalogue, struct rg_str id, uint64_t ref_number)
{
    struct grave *grave = rg_zalloc(sizeof(*grave));

    grave->id = rg_strndup(id.p, id.n);
    grave->ref_number = ref_number;
    grave->older = catalogue->newest;
    *(grave->older != NULL ? &grave->older->newer : &catalogue->oldest) = grave;
    catalogue->newest = grave;
    rg_map_add(&catalogue->graves, &grave->link, hash_of(catalogue, id));
    if (catalogue->graves.n > RG_CATALOGUE_MAX_GRAVES)
        forget(catalogue, catalogue->oldest);
}

/* ---- changes ---- */

static void activate(struct rg_api *api)
{
    api->is_active = true;
    api->is_matched = !api->is_versioned;
}

/* Puts api, of which nothing is active, where it belongs; whether it is active now. */
static bool put(struct rg_catalogue *catalogue, size_t at, struct rg_api *api)
{
    struct rg_str id = rg_str_c(api->id);
    struct grave *grave = find_grave(catalogue, id);

    if (grave != NULL) {
        api->ref_number = grave->ref_number + 1;
        activate(api); /* management-api.md 2.3: whatever it says */
        forget(catalogue, grave);
    }
    if (api->is_active) {
        insert(catalogue, at, api);
        return true;
    }
    bury(catalogue, id, api->ref_number);
    rg_api_unref(&api);
    return false;
}

int rg_catalogue_add(struct rg_catalogue *catalogue, struct rg_api *api)
{
    size_t at;

    api->ref_number = 0;
    pthread_mutex_lock(&catalogue->lock);
    bool is_known = find(catalogue, rg_str_c(api->id), &at);
    if (!is_known) {
        catalogue->changes[ADDED]++;
        if (put(catalogue, at, api))
            publish(catalogue);
    }
    pthread_mutex_unlock(&catalogue->lock);
    if (is_known)
        rg_api_unref(&api);
    return is_known ? RG_EINVAL : 0;
}

/* Takes the reference. */
static void replace_at(struct rg_catalogue *catalogue, size_t at, struct rg_api *api)
{
    api->ref_number = catalogue->active[at]->ref_number + 1;
    if (api->is_active) {
        rg_api_unref(&catalogue->active[at]);
        catalogue->active[at] = api;
    } else {
        take_out(catalogue, at);
        bury(catalogue, rg_str_c(api->id), api->ref_number);
        rg_api_unref(&api);
    }
    catalogue->changes[REPLACED]++;
    publish(catalogue);
}

int rg_catalogue_exchange(struct rg_catalogue *catalogue, const struct rg_api *old,
                          struct rg_api *api)
{
    int err = 0;
    size_t at;

    pthread_mutex_lock(&catalogue->lock);
    if (!find(catalogue, rg_str_c(api->id), &at))
        err = RG_ENOTFOUND;
    else if (old != NULL && catalogue->active[at] != old)
        err = RG_EAGAIN;
    else
        replace_at(catalogue, at, api);
    pthread_mutex_unlock(&catalogue->lock);
    if (err < 0)
        rg_api_unref(&api);
    return err;
}

int rg_catalogue_replace(struct rg_catalogue *catalogue, struct rg_api *api)
{
    return rg_catalogue_exchange(catalogue, NULL, api);
}

int rg_catalogue_remove(struct rg_catalogue *catalogue, struct rg_str id)
{
    size_t at;

    pthread_mutex_lock(&catalogue->lock);
    bool is_known = find(catalogue, id, &at);
    if (is_known) {
        uint64_t ref_number = catalogue->active[at]->ref_number + 1;
        take_out(catalogue, at);
        bury(catalogue, id, ref_number);
        catalogue->changes[REMOVED]++;
        publish(catalogue);
    }
    pthread_mutex_unlock(&catalogue->lock);
    return is_known ? 0 : RG_ENOTFOUND;
}

/* ---- questions ---- */

struct rg_api *rg_catalogue_get(struct rg_catalogue *catalogue, struct rg_str id)
{
    struct rg_api *api = NULL;
    size_t at;

    pthread_mutex_lock(&catalogue->lock);
    if (find(catalogue, id, &at))
        api = rg_api_ref(catalogue->active[at]);
    pthread_mutex_unlock(&catalogue->lock);
    return api;
}

size_t rg_catalogue_list(struct rg_catalogue *catalogue, struct rg_api ***ret)
{
    pthread_mutex_lock(&catalogue->lock);
    size_t n = catalogue->n;
    *ret = rg_alloc((n + 1) * sizeof(struct rg_api *));
    for (size_t i = 0; i < n; i++)
        (*ret)[i] = rg_api_ref(catalogue->active[i]);
    pthread_mutex_unlock(&catalogue->lock);
    return n;
}

static void expose_gauge(struct rg_buf *out, const char *name, const char *help, size_t value)
{
    rg_buf_addf(out, "# HELP %s %s\n# TYPE %s gauge\n%s %zu\n", name, help, name, name, value);
}

void rg_catalogue_expose(struct rg_catalogue *catalogue, struct rg_buf *out)
{
    static const char changes[] = "rgate_api_changes_total";
    size_t endpoints;

    pthread_mutex_lock(&catalogue->lock);
    /* Nobody else frees the view while the lock is held. */
    endpoints = rg_table_endpoints(rg_catalogue_table(catalogue));
    expose_gauge(out, "rgate_api_definitions", "API definitions that are active.", catalogue->n);
    expose_gauge(out, "rgate_api_endpoints", "Endpoints that requests are compared with.",
                 endpoints);
    rg_buf_addf(out, "# HELP %s Changes of API definitions.\n# TYPE %s counter\n", changes,
                changes);
    for (size_t i = 0; i < CHANGES; i++)
        rg_buf_addf(out, "%s{change=\"%s\"} %llu\n", changes, change_names[i],
                    (unsigned long long)catalogue->changes[i]);
    pthread_mutex_unlock(&catalogue->lock);
}

/* ---- life ---- */

static void start_with(struct rg_catalogue *catalogue, struct rg_api *api)
{
    size_t at;

    if (api->dialect == RG_DIALECT_2017) {
        catalogue->fixed[catalogue->fixed_n++] = rg_api_ref(api);
        return;
    }
    bool is_known = find(catalogue, rg_str_c(api->id), &at);
    rg_assert(!is_known);
    put(catalogue, at, rg_api_ref(api));
}

struct rg_catalogue *rg_catalogue_new(struct rg_api *const *apis, size_t n)
{
    struct rg_catalogue *catalogue = rg_zalloc(sizeof(*catalogue));

    pthread_mutex_init(&catalogue->lock, NULL);
    rg_hash_key_random(&catalogue->hash_key);
    catalogue->fixed = rg_zalloc((n + 1) * sizeof(struct rg_api *));
    for (size_t i = 0; i < n; i++)
        start_with(catalogue, apis[i]);
    atomic_init(&catalogue->view, view_new(catalogue));
    return catalogue;
}

void rg_catalogue_free(struct rg_catalogue **cataloguep)
{
    struct rg_catalogue *catalogue = *cataloguep;

    *cataloguep = NULL;
    if (catalogue == NULL)
        return;
    rg_rcu_barrier();
    view_free(atomic_load(&catalogue->view));
    for (size_t i = 0; i < catalogue->n; i++)
        rg_api_unref(&catalogue->active[i]);
    rg_free(catalogue->active);
    for (size_t i = 0; i < catalogue->fixed_n; i++)
        rg_api_unref(&catalogue->fixed[i]);
    rg_free(catalogue->fixed);
    while (catalogue->oldest != NULL)
        forget(catalogue, catalogue->oldest);
    rg_map_done(&catalogue->graves);
    pthread_mutex_destroy(&catalogue->lock);
    rg_free(catalogue);
}
