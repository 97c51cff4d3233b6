#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "auth/token_cache.h"
#include "base/alloc.h"
#include "base/rcu.h"

#define NOW INT64_C(1000)

static struct rg_token_cache *cache;

static int start(void **state)
{
    (void)state;
    rg_rcu_thread_start();
    return 0;
}

static int stop(void **state)
{
    (void)state;
    rg_rcu_barrier();
    rg_rcu_thread_stop();
    return 0;
}

static void add(struct rg_str token, uint64_t generation, int64_t exp_s)
{
    struct rg_claims *claims = rg_claims_new(token, exp_s, RG_STR(""), RG_STR(""));

    rg_token_cache_add(cache, token, generation, NOW, claims);
    rg_claims_unref(&claims);
}

/* True if it is found with the claims that it was added with. */
static bool has(struct rg_str token, uint64_t generation, int64_t now_s)
{
    struct rg_claims *claims = rg_token_cache_find(cache, token, generation, now_s);
    bool is_there = claims != NULL;

    if (is_there)
        assert_true(rg_str_eq(claims->text, token));
    rg_claims_unref(&claims);
    return is_there;
}

static void what_was_added_is_found(void **state)
{
    (void)state;
    cache = rg_token_cache_new(10);
    assert_false(has(RG_STR("a"), 1, NOW));
    add(RG_STR("a"), 1, NOW + 5);
    assert_true(has(RG_STR("a"), 1, NOW));
    assert_false(has(RG_STR("b"), 1, NOW));
    assert_false(has(RG_STR("aa"), 1, NOW));
    assert_false(has(RG_STR(""), 1, NOW));
    rg_token_cache_free(&cache);
}

static void nothing_is_found_past_its_time(void **state)
{
    (void)state;
    cache = rg_token_cache_new(10);
    add(RG_STR("a"), 1, NOW + 5);
    assert_true(has(RG_STR("a"), 1, NOW + 4));
    assert_false(has(RG_STR("a"), 1, NOW + 5));
    rg_token_cache_free(&cache);
}

static void nothing_is_found_under_other_keys(void **state)
{
    (void)state;
    cache = rg_token_cache_new(10);
    add(RG_STR("a"), 1, NOW + 5);
    assert_false(has(RG_STR("a"), 2, NOW));
    add(RG_STR("a"), 2, NOW + 5);
    assert_true(has(RG_STR("a"), 2, NOW));
    assert_false(has(RG_STR("a"), 1, NOW));
    rg_token_cache_free(&cache);
}

static void what_is_dropped_is_gone(void **state)
{
    (void)state;
    cache = rg_token_cache_new(10);
    add(RG_STR("a"), 1, NOW + 5);
    add(RG_STR("b"), 1, NOW + 5);
    rg_token_cache_drop(cache, RG_STR("a"));
    rg_token_cache_drop(cache, RG_STR("c"));
    assert_false(has(RG_STR("a"), 1, NOW));
    assert_true(has(RG_STR("b"), 1, NOW));
    rg_token_cache_free(&cache);
}

static size_t count_of(size_t n)
{
    char name[32];
    size_t found = 0;

    for (size_t i = 0; i < n; i++)
        found += has(rg_str_n(name, (size_t)snprintf(name, sizeof(name), "t%zu", i)), 1, NOW);
    return found;
}

static void there_is_never_more_than_there_is_room_for(void **state)
{
    char name[32];

    (void)state;
    cache = rg_token_cache_new(8);
    for (size_t i = 0; i < 1000; i++) {
        add(rg_str_n(name, (size_t)snprintf(name, sizeof(name), "t%zu", i)), 1, NOW + 5);
        /* The newest one is always there. */
        assert_true(has(rg_str_n(name, strlen(name)), 1, NOW));
    }
    assert_in_range(count_of(1000), 1, 8);
    rg_token_cache_free(&cache);
}

static void what_is_of_no_use_goes_before_what_is(void **state)
{
    (void)state;
    cache = rg_token_cache_new(4); /* one bucket */
    add(RG_STR("a"), 1, NOW + 5);
    add(RG_STR("expired"), 1, NOW - 1);
    add(RG_STR("outdated"), 0, NOW + 5);
    add(RG_STR("b"), 1, NOW + 5);
    add(RG_STR("c"), 1, NOW + 5);
    add(RG_STR("d"), 1, NOW + 5);
    /* Adding again takes no other place. */
    add(RG_STR("a"), 1, NOW + 9);
    assert_true(has(RG_STR("a"), 1, NOW + 6));
    assert_true(has(RG_STR("b"), 1, NOW));
    assert_true(has(RG_STR("c"), 1, NOW));
    assert_true(has(RG_STR("d"), 1, NOW));
    rg_token_cache_free(&cache);
}

static void without_room_nothing_is_kept(void **state)
{
    (void)state;
    cache = rg_token_cache_new(0);
    add(RG_STR("a"), 1, NOW + 5);
    assert_false(has(RG_STR("a"), 1, NOW));
    rg_token_cache_drop(cache, RG_STR("a"));
    rg_token_cache_free(&cache);
    rg_token_cache_free(&cache);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_was_added_is_found),
        cmocka_unit_test(nothing_is_found_past_its_time),
        cmocka_unit_test(nothing_is_found_under_other_keys),
        cmocka_unit_test(what_is_dropped_is_gone),
        cmocka_unit_test(there_is_never_more_than_there_is_room_for),
        cmocka_unit_test(what_is_of_no_use_goes_before_what_is),
        cmocka_unit_test(without_room_nothing_is_kept),
    };
    return cmocka_run_group_tests(tests, start, stop);
}
