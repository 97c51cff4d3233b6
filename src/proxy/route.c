#include "proxy/route.h"

#include "base/alloc.h"
#include "base/err.h"
#include "base/hash.h"
#include "base/map.h"

/* What a path is compared by: its segments, those at the places of {id} left out. */
struct key {
    struct rg_str method;
    struct rg_str segments[RG_ROUTE_MAX_SEGMENTS];
    size_t n;
    uint64_t ids; /* bit i: segment i is {id} */
};

struct node {
    struct rg_map_link link;
    struct rg_proxy_route route;
    size_t number;
    struct rg_str *segments; /* slices of the route's path */
    size_t segments_n;
    uint64_t ids;
};

struct shape {
    size_t segments_n;
    uint64_t ids;
};

struct rg_proxy_routes {
    struct rg_hash_key hash_key;
    struct rg_map map; /* the first of each method and path */
    struct node **nodes;
    size_t n, cap;
    struct shape *shapes;
    size_t shapes_n, shapes_cap;
};

struct rg_proxy_routes *rg_proxy_routes_new(void)
{
    struct rg_proxy_routes *routes = rg_zalloc(sizeof(*routes));

    rg_hash_key_random(&routes->hash_key);
    return routes;
}

void rg_proxy_route_done(struct rg_proxy_route *route)
{
    rg_free(route->method);
    rg_free(route->path);
    rg_free(route->host_variable);
    rg_free(route->host);
    rg_free(route->definition);
    *route = (struct rg_proxy_route){0};
}

void rg_proxy_routes_free(struct rg_proxy_routes **routesp)
{
    struct rg_proxy_routes *routes = *routesp;

    *routesp = NULL;
    if (routes == NULL)
        return;
    for (size_t i = 0; i < routes->n; i++) {
        rg_proxy_route_done(&routes->nodes[i]->route);
        rg_free(routes->nodes[i]->segments);
        rg_free(routes->nodes[i]);
    }
    rg_free(routes->nodes);
    rg_free(routes->shapes);
    rg_map_done(&routes->map);
    rg_free(routes);
}

/* ---- keys ---- */

/* False if the path does not begin with a slash or has too many segments. */
static bool split(struct rg_str path, struct key *key)
{
    if (path.n == 0 || path.p[0] != '/')
        return false;
    struct rg_str rest = rg_str_n(path.p + 1, path.n - 1);
    for (key->n = 0; rest.p != NULL; key->n++) {
        if (key->n == RG_ROUTE_MAX_SEGMENTS)
            return false;
        key->segments[key->n] = rg_str_split(&rest, '/');
    }
    return true;
}

static bool is_id(uint64_t ids, size_t i)
{
    return ((ids >> i) & 1) != 0;
}

static uint64_t hash_of(const struct rg_proxy_routes *routes, const struct key *key)
{
    uint64_t words[2 + RG_ROUTE_MAX_SEGMENTS];

    words[0] = key->ids;
    words[1] = rg_hash64(&routes->hash_key, key->method.p, key->method.n);
    for (size_t i = 0; i < key->n; i++)
        words[2 + i] = is_id(key->ids, i)
                           ? 0
                           : rg_hash64(&routes->hash_key, key->segments[i].p, key->segments[i].n);
    return rg_hash64(&routes->hash_key, words, (2 + key->n) * sizeof(words[0]));
}

static bool has_key(const struct rg_map_link *link, const void *arg)
{
    const struct node *node = RG_CONTAINER_OF(link, struct node, link);
    const struct key *key = arg;

    if (node->segments_n != key->n || node->ids != key->ids ||
        !rg_str_eq(rg_str_c(node->route.method), key->method))
        return false;
    for (size_t i = 0; i < key->n; i++) {
        if (!is_id(key->ids, i) && !rg_str_eq(node->segments[i], key->segments[i]))
            return false;
    }
    return true;
}

static struct node *look_up(const struct rg_proxy_routes *routes, const struct key *key)
{
    struct rg_map_link *link = rg_map_find(&routes->map, hash_of(routes, key), has_key, key);

    return link != NULL ? RG_CONTAINER_OF(link, struct node, link) : NULL;
}

/* ---- building ---- */

static void note_shape(struct rg_proxy_routes *routes, const struct key *key)
{
    for (size_t i = 0; i < routes->shapes_n; i++) {
        if (routes->shapes[i].segments_n == key->n && routes->shapes[i].ids == key->ids)
            return;
    }
    if (routes->shapes_n == routes->shapes_cap) {
        routes->shapes_cap = routes->shapes_cap * 2 + 8;
        routes->shapes =
            rg_realloc_array(routes->shapes, routes->shapes_cap, sizeof(*routes->shapes));
    }
    routes->shapes[routes->shapes_n++] = (struct shape){key->n, key->ids};
}

static void append(struct rg_proxy_routes *routes, struct node *node)
{
    if (routes->n == routes->cap) {
        routes->cap = routes->cap * 2 + 16;
        routes->nodes = rg_realloc_array(routes->nodes, routes->cap, sizeof(struct node *));
    }
    node->number = routes->n;
    routes->nodes[routes->n++] = node;
}

static struct node *node_new(const struct rg_proxy_route *route, const struct key *key)
{
    struct node *node = rg_zalloc(sizeof(*node));

    node->route = *route;
    node->segments_n = key->n;
    node->ids = key->ids;
    node->segments = rg_alloc(key->n * sizeof(node->segments[0]));
    memcpy(node->segments, key->segments, key->n * sizeof(node->segments[0]));
    return node;
}

size_t rg_proxy_routes_add(struct rg_proxy_routes *routes, const struct rg_proxy_route *route,
                           long *ret_shadow)
{
    struct key key = {.method = rg_str_c(route->method)};

    rg_assert(split(rg_str_c(route->path), &key));
    for (size_t i = 0; i < key.n; i++) {
        if (rg_str_eq(key.segments[i], RG_STR("{id}")))
            key.ids |= (uint64_t)1 << i;
    }
    struct node *node = node_new(route, &key);
    struct node *earlier = look_up(routes, &key);

    append(routes, node);
    *ret_shadow = earlier != NULL ? (long)earlier->number : -1;
    if (earlier == NULL) {
        rg_map_add(&routes->map, &node->link, hash_of(routes, &key));
        note_shape(routes, &key);
    }
    return node->number;
}

/* ---- finding ---- */

static bool fits(const struct shape *shape, const struct key *key)
{
    if (shape->segments_n != key->n)
        return false;
    for (size_t i = 0; i < key->n; i++) {
        if (is_id(shape->ids, i) && key->segments[i].n == 0)
            return false;
    }
    return true;
}

const struct rg_proxy_route *rg_proxy_routes_find(const struct rg_proxy_routes *routes,
                                                  struct rg_str method, struct rg_str path)
{
    struct key key = {.method = method};
    const struct node *first = NULL;

    if (!split(path, &key))
        return NULL;
    for (size_t i = 0; i < routes->shapes_n; i++) {
        if (!fits(&routes->shapes[i], &key))
            continue;
        key.ids = routes->shapes[i].ids;
        const struct node *node = look_up(routes, &key);
        if (node != NULL && (first == NULL || node->number < first->number))
            first = node;
    }
    return first != NULL ? &first->route : NULL;
}

size_t rg_proxy_routes_count(const struct rg_proxy_routes *routes)
{
    return routes->n;
}

const struct rg_proxy_route *rg_proxy_routes_at(const struct rg_proxy_routes *routes, size_t i)
{
    rg_assert(i < routes->n);
    return &routes->nodes[i]->route;
}

bool rg_proxy_routes_need_tokens(const struct rg_proxy_routes *routes)
{
    for (size_t i = 0; i < routes->n; i++) {
        if (routes->nodes[i]->route.needs_token)
            return true;
    }
    return false;
}
