/*
 * The chain of a thing is chosen by the highest bits of its hash, and chains are sorted: so they
 * are in order one behind the other, twice as many as well as half as many. A chain has one thing
 * on average, which whoever adds another has just compared with.
 */
#include "base/map.h"

#include <string.h>

#include "base/alloc.h"
#include "base/err.h"

#define MAX_ALONE 4 /* things without an array */
#define MIN_BITS  4

static size_t index_of(uint64_t hash, uint32_t bits)
{
    return (size_t)(hash >> (64 - bits));
}

static struct rg_map_link **chain_of(const struct rg_map *map, uint64_t hash)
{
    return map->bits == 0 ? (struct rg_map_link **)&map->only
                          : &map->chains[index_of(hash, map->bits)];
}

/* The first link of a chain behind chain i. */
static struct rg_map_link *first_behind(const struct rg_map *map, size_t i)
{
    while (++i >> map->bits == 0) {
        if (map->chains[i] != NULL)
            return map->chains[i];
    }
    return NULL;
}

struct rg_map_link *rg_map_first(const struct rg_map *map, uint64_t from)
{
    struct rg_map_link *link = *chain_of(map, from);

    while (link != NULL && link->hash < from)
        link = link->next;
    if (link != NULL || map->bits == 0)
        return link;
    return first_behind(map, index_of(from, map->bits));
}

struct rg_map_link *rg_map_next(const struct rg_map *map, const struct rg_map_link *link)
{
    if (link->next != NULL || map->bits == 0)
        return link->next;
    return first_behind(map, index_of(link->hash, map->bits));
}

size_t rg_map_page(const struct rg_map *map, uint64_t from, size_t max,
                   void (*fn)(void *arg, const struct rg_map_link *link), void *arg)
{
    uint64_t last = 0;
    size_t n = 0;

    if (max == 0)
        return 0;
    for (const struct rg_map_link *link = rg_map_first(map, from);
         link != NULL && (n < max || link->hash == last); link = rg_map_next(map, link)) {
        last = link->hash;
        fn(arg, link);
        n++;
    }
    return n;
}

/* Moves all links, in order, to an array of 1 << bits chains, or to none. */
static void resize(struct rg_map *map, uint32_t bits)
{
    struct rg_map to = {.n = map->n, .bits = bits};
    struct rg_map_link **last = NULL, **end = NULL;

    rg_assert(bits < 32);
    if (bits > 0) {
        to.chains = rg_realloc_array(NULL, (size_t)1 << bits, sizeof(to.chains[0]));
        memset(to.chains, 0, sizeof(to.chains[0]) << bits);
    }
    for (struct rg_map_link *link = rg_map_first(map, 0), *next; link != NULL; link = next) {
        struct rg_map_link **chain = chain_of(&to, link->hash);
        next = rg_map_next(map, link);
        if (end == NULL || chain != last)
            last = end = chain;
        link->next = NULL;
        *end = link;
        end = &link->next;
    }
    rg_map_done(map);
    *map = to;
}

void rg_map_done(struct rg_map *map)
{
    if (map->bits > 0)
        rg_free(map->chains);
    *map = (struct rg_map){0};
}

struct rg_map_link *rg_map_find(const struct rg_map *map, uint64_t hash, rg_map_is_fn *is,
                                const void *key)
{
    for (struct rg_map_link *link = *chain_of(map, hash); link != NULL && link->hash <= hash;
         link = link->next) {
        if (link->hash == hash && is(link, key))
            return link;
    }
    return NULL;
}

void rg_map_add(struct rg_map *map, struct rg_map_link *link, uint64_t hash)
{
    if (map->bits == 0 ? map->n == MAX_ALONE : map->n >> map->bits != 0)
        resize(map, map->bits > 0 ? map->bits + 1 : MIN_BITS);
    struct rg_map_link **at = chain_of(map, hash);
    while (*at != NULL && (*at)->hash < hash)
        at = &(*at)->next;
    *link = (struct rg_map_link){*at, hash};
    *at = link;
    map->n++;
}

void rg_map_remove(struct rg_map *map, struct rg_map_link *link)
{
    struct rg_map_link **at = chain_of(map, link->hash);

    while (*at != link) {
        rg_assert(*at != NULL);
        at = &(*at)->next;
    }
    *at = link->next;
    map->n--;
    if (map->bits > MIN_BITS && map->n <= (uint32_t)1 << map->bits >> 3)
        resize(map, map->bits - 1);
    else if (map->bits == MIN_BITS && map->n <= MAX_ALONE / 2)
        resize(map, 0);
}
