#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "base/map.h"

#define THINGS 1000
#define GOLDEN 0x9e3779b97f4a7c15u /* times a small number: spread like a hash */

struct thing {
    unsigned key, seen;
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
        rg_map_add(&map, &things[i].link, i * GOLDEN);
        assert_int_equal(map.n, i + 1);
    }
    for (unsigned i = 0; i < THINGS; i++)
        assert_ptr_equal(find(&map, i * GOLDEN, i), &things[i]);
    assert_null(find(&map, 3, THINGS));

    for (unsigned i = 0; i < THINGS; i += 2)
        rg_map_remove(&map, &things[i].link);
    for (unsigned i = 0; i < THINGS; i++)
        assert_ptr_equal(find(&map, i * GOLDEN, i), i % 2 != 0 ? &things[i] : NULL);
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
    assert_true(1u << map.bits >= THINGS);
    for (unsigned i = 0; i < THINGS; i++)
        rg_map_remove(&map, &things[i].link);
    assert_int_equal(map.bits, 0);
}

static void a_handful_of_things_needs_no_array(void **state)
{
    struct rg_map map = {0};
    struct thing things[4];

    (void)state;
    for (unsigned i = 0; i < RG_COUNT_OF(things); i++) {
        things[i].key = i;
        rg_map_add(&map, &things[i].link, i * GOLDEN);
    }
    assert_int_equal(map.bits, 0);
    for (unsigned i = 0; i < RG_COUNT_OF(things); i++)
        assert_ptr_equal(find(&map, i * GOLDEN, i), &things[i]);
}

/* ---- in order ---- */

static unsigned count_in_order(const struct rg_map *map)
{
    unsigned n = 0;
    uint64_t last = 0;

    for (struct rg_map_link *link = rg_map_first(map, 0); link != NULL;
         link = rg_map_next(map, link)) {
        assert_true(link->hash >= last);
        last = link->hash;
        n++;
    }
    return n;
}

static void things_stand_in_the_order_of_their_hashes_while_the_array_changes(void **state)
{
    RG_CLEANUP(rg_map_done) struct rg_map map = {0};
    static struct thing things[THINGS];

    (void)state;
    for (unsigned i = 0; i < THINGS; i++) {
        rg_map_add(&map, &things[i].link, i * GOLDEN);
        assert_int_equal(count_in_order(&map), i + 1);
    }
    for (unsigned i = 0; i < THINGS; i++) {
        rg_map_remove(&map, &things[i].link);
        assert_int_equal(count_in_order(&map), THINGS - i - 1);
    }
}

static void the_first_thing_is_the_one_from_a_hash_on(void **state)
{
    RG_CLEANUP(rg_map_done) struct rg_map map = {0};
    static struct thing things[THINGS];

    (void)state;
    assert_null(rg_map_first(&map, 0));
    for (unsigned i = 0; i < THINGS; i++) {
        rg_map_add(&map, &things[i].link, (uint64_t)i << 40);
        assert_ptr_equal(rg_map_first(&map, 0), &things[0].link);
        assert_ptr_equal(rg_map_first(&map, (uint64_t)i << 40), &things[i].link);
        assert_null(rg_map_first(&map, ((uint64_t)i << 40) + 1));
    }
    for (unsigned i = 1; i < THINGS; i++)
        assert_ptr_equal(rg_map_first(&map, (((uint64_t)i - 1) << 40) + 1), &things[i].link);
    assert_null(rg_map_first(&map, UINT64_MAX));
}

/* What a page has shown. */
struct page {
    unsigned n;
    uint64_t last;
};

static void show(void *arg, const struct rg_map_link *link)
{
    struct page *page = arg;
    struct thing *thing = RG_CONTAINER_OF(link, struct thing, link);

    thing->seen++;
    page->n++;
    page->last = link->hash;
}

static void pages_show_everything_once_while_things_come_and_go(void **state)
{
    RG_CLEANUP(rg_map_done) struct rg_map map = {0};
    static struct thing things[THINGS], visitors[THINGS];
    struct page page = {0};
    size_t n;

    (void)state;
    for (unsigned i = 0; i < THINGS; i++)
        rg_map_add(&map, &things[i].link, (i + 1) * GOLDEN);
    for (unsigned round = 0;; round++) {
        n = rg_map_page(&map, page.n > 0 ? page.last + 1 : 0, 10, show, &page);
        if (n < 10)
            break;
        /* Others come, until the array has grown, and go. */
        for (unsigned i = 0; i < THINGS; i++) {
            if (round % 2 == 0)
                rg_map_add(&map, &visitors[i].link, (THINGS + i + 1) * GOLDEN);
            else
                rg_map_remove(&map, &visitors[i].link);
        }
    }
    for (unsigned i = 0; i < THINGS; i++) {
        assert_int_equal(things[i].seen, 1);
        assert_in_range(visitors[i].seen, 0, 1);
    }
}

static void a_page_ends_behind_all_things_with_one_hash(void **state)
{
    RG_CLEANUP(rg_map_done) struct rg_map map = {0};
    struct thing things[40] = {0};
    struct page page = {0};

    (void)state;
    for (unsigned i = 0; i < RG_COUNT_OF(things); i++)
        rg_map_add(&map, &things[i].link, i < 10 ? 3 : i < 30 ? 5 : 7);
    assert_int_equal(rg_map_page(&map, 0, 10, show, &page), 10);
    assert_int_equal(page.last, 3);
    assert_int_equal(rg_map_page(&map, 4, 1, show, &page), 20);
    assert_int_equal(page.last, 5);
    assert_int_equal(rg_map_page(&map, 6, 11, show, &page), 10);
    assert_int_equal(rg_map_page(&map, 8, 11, show, &page), 0);
    assert_int_equal(rg_map_page(&map, 0, 0, show, &page), 0);
    for (unsigned i = 0; i < RG_COUNT_OF(things); i++)
        assert_int_equal(things[i].seen, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_empty_map_finds_nothing),
        cmocka_unit_test(things_are_found_until_they_are_removed),
        cmocka_unit_test(things_with_one_hash_are_told_apart_by_their_keys),
        cmocka_unit_test(the_array_follows_the_number_of_things),
        cmocka_unit_test(a_handful_of_things_needs_no_array),
        cmocka_unit_test(things_stand_in_the_order_of_their_hashes_while_the_array_changes),
        cmocka_unit_test(the_first_thing_is_the_one_from_a_hash_on),
        cmocka_unit_test(pages_show_everything_once_while_things_come_and_go),
        cmocka_unit_test(a_page_ends_behind_all_things_with_one_hash),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
