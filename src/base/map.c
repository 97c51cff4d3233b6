#include "base/map.h"

#include <string.h>

#include "base/alloc.h"
#include "base/err.h"

#define MIN_CHAINS 16

static void resize(struct rg_map *map, size_t chains_n)
{
    struct rg_map_link **old = map->chains;
    size_t old_n = old != NULL ? map->mask + 1 : 0;

    map->chains = rg_realloc_array(NULL, chains_n, sizeof(map->chains[0]));
    memset(map->chains, 0, chains_n * sizeof(map->chains[0]));
    map->mask = chains_n - 1;
    for (size_t i = 0; i < old_n; i++) {
        for (struct rg_map_link *link = old[i], *next; link != NULL; link = next) {
            struct rg_map_link **chain = &map->chains[link->hash & map->mask];
            next = link->next;
            link->next = *chain;
            *chain = link;
        }
    }
    rg_free(old);
}

void rg_map_done(struct rg_map *map)
{
    rg_free(map->chains);
    *map = (struct rg_map){0};
}

struct rg_map_link *rg_map_find(const struct rg_map *map, uint64_t hash, rg_map_is_fn *is,
                                const void *key)
{
    if (map->chains == NULL)
        return NULL;
    for (struct rg_map_link *link = map->chains[hash & map->mask]; link != NULL;
         link = link->next) {
        if (link->hash == hash && is(link, key))
            return link;
    }
    return NULL;
}

void rg_map_add(struct rg_map *map, struct rg_map_link *link, uint64_t hash)
{
    if (map->chains == NULL)
        resize(map, MIN_CHAINS);
    else if (map->n > map->mask)
        resize(map, 2 * (map->mask + 1));
    struct rg_map_link **chain = &map->chains[hash & map->mask];
    *link = (struct rg_map_link){*chain, hash};
    *chain = link;
    map->n++;
}

void rg_map_remove(struct rg_map *map, struct rg_map_link *link)
{
    struct rg_map_link **at = &map->chains[link->hash & map->mask];

    while (*at != link) {
        rg_assert(*at != NULL);
        at = &(*at)->next;
    }
    *at = link->next;
    map->n--;
    if (map->mask + 1 > MIN_CHAINS && map->n <= map->mask / 8)
        resize(map, (map->mask + 1) / 2);
}
