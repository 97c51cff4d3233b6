#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "base/map.h"

#define THINGS 1000

struct thing {
    unsigned key;
    struct rg_map_link link;
};

static bool has_key(const struct rg_map_link *link, const void *key)
{
    return RG_CONTAINER_OF(link, const struct thing, link)->key == *(const unsigned *)key;
}

static struct thing *find(const struct rg_map *map, uint64_t hash, unsigned key)
{
    struct rg_map_link *link = rg_map_find(map, hash, has_key, &key);
    return link != NULL ? RG_CONTAINER_OF(link, struct thing, link) : NULL;
}

static void an_empty_map_finds_nothing(void **state)
{
    RG_CLEANUP(rg_map_done) struct rg_map map = {0};

    (void)state;
    assert_null(find(&map, 7, 1));
    assert_int_equal(map.n, 0);
}

static void things_are_found_until_they_are_removed(void **state)
{
    RG_CLEANUP(rg_map_done) struct rg_map map = {0};
    static struct thing things[THINGS];

    (void)state;
    for (unsigned i = 0; i < THINGS; i++) {
        things[i].key = i;
        rg_map_add(&map, &things[i].link, i * 0x9e3779b97f4a7c15u);
        assert_int_equal(map.n, i + 1);
    }
    for (unsigned i = 0; i < THINGS; i++)
        assert_ptr_equal(find(&map, i * 0x9e3779b97f4a7c15u, i), &things[i]);
    assert_null(find(&map, 3, THINGS));

    for (unsigned i = 0; i < THINGS; i += 2)
        rg_map_remove(&map, &things[i].link);
    for (unsigned i = 0; i < THINGS; i++)
        assert_ptr_equal(find(&map, i * 0x9e3779b97f4a7c15u, i), i % 2 != 0 ? &things[i] : NULL);
    assert_int_equal(map.n, THINGS / 2);
    for (unsigned i = 1; i < THINGS; i += 2)
        rg_map_remove(&map, &things[i].link);
    assert_int_equal(map.n, 0);
}

static void things_with_one_hash_are_told_apart_by_their_keys(void **state)
{
    RG_CLEANUP(rg_map_done) struct rg_map map = {0};
    struct thing things[40];

    (void)state;
    for (unsigned i = 0; i < RG_COUNT_OF(things); i++) {
        things[i].key = i;
        rg_map_add(&map, &things[i].link, 5);
    }
    rg_map_remove(&map, &things[20].link);
    for (unsigned i = 0; i < RG_COUNT_OF(things); i++)
        assert_ptr_equal(find(&map, 5, i), i != 20 ? &things[i] : NULL);
}

static void the_array_follows_the_number_of_things(void **state)
{
    RG_CLEANUP(rg_map_done) struct rg_map map = {0};
    static struct thing things[THINGS];

    (void)state;
    for (unsigned i = 0; i < THINGS; i++)
        rg_map_add(&map, &things[i].link, i);
    assert_true(map.mask + 1 >= THINGS);
    for (unsigned i = 0; i < THINGS; i++)
        rg_map_remove(&map, &things[i].link);
    assert_true(map.mask + 1 <= 16);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_empty_map_finds_nothing),
        cmocka_unit_test(things_are_found_until_they_are_removed),
        cmocka_unit_test(things_with_one_hash_are_told_apart_by_their_keys),
        cmocka_unit_test(the_array_follows_the_number_of_things),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
