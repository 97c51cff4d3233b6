#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "base/rcu.h"
#include "event/keytable.h"

/* Numbers as keys; every fourth one starts at the same place as its neighbours. */
static struct rg_match_key key_of(uint64_t n)
{
    return (struct rg_match_key){{{n / 4 * 7, n * 0x9e3779b97f4a7c15ULL}}};
}

static uint64_t get(struct rg_keytable *table, uint64_t n)
{
    struct rg_match_key key = key_of(n);

    rg_rcu_read_lock();
    uint64_t reactors = rg_keytable_get(table, &key);
    rg_rcu_read_unlock();
    return reactors;
}

static uint64_t add(struct rg_keytable *table, uint64_t n, uint64_t bit)
{
    struct rg_match_key key = key_of(n);
    return rg_keytable_add(table, &key, bit);
}

static uint64_t take(struct rg_keytable *table, uint64_t n, uint64_t bit)
{
    struct rg_match_key key = key_of(n);
    return rg_keytable_remove(table, &key, bit);
}

static void a_key_has_the_reactors_that_were_added_and_not_removed(void **state)
{
    struct rg_keytable *table = rg_keytable_new();

    (void)state;
    assert_int_equal(get(table, 1), 0);
    assert_int_equal(add(table, 1, 1), 0);
    assert_int_equal(add(table, 1, 4), 1);
    assert_int_equal(get(table, 1), 5);
    assert_int_equal(get(table, 2), 0);
    assert_int_equal(rg_keytable_count(table), 1);
    assert_int_equal(take(table, 1, 1), 5);
    assert_int_equal(get(table, 1), 4);
    assert_int_equal(take(table, 1, 4), 4);
    assert_int_equal(get(table, 1), 0);
    assert_int_equal(rg_keytable_count(table), 0);
    assert_int_equal(take(table, 2, 1), 0);
    rg_keytable_free(&table);
    assert_null(table);
}

static void random_changes_leave_what_a_plain_array_would_hold(void **state)
{
    enum {
        KEYS = 5000,
        STEPS = 200000
    };
    struct rg_keytable *table = rg_keytable_new();
    uint64_t *model = rg_zalloc(KEYS * sizeof(*model));
    uint64_t seed = 42, live = 0;

    (void)state;
    for (int step = 0; step < STEPS; step++) {
        seed = seed * 6364136223846793005ULL + 1442695040888963407ULL;
        uint64_t n = (seed >> 33) % KEYS, bit = (uint64_t)1 << (seed >> 20 & 63);
        /* The second half takes more than it adds, so that most keys die and places are reused. */
        bool adds = (seed >> 50 & 7) < (step < STEPS / 2 ? 6 : 2);
        live -= model[n] != 0;
        if (adds) {
            assert_true(add(table, n, bit) == model[n]);
            model[n] |= bit;
        } else {
            assert_true(take(table, n, bit) == model[n]);
            model[n] &= ~bit;
        }
        live += model[n] != 0;
        assert_true(get(table, n) == model[n]);
        assert_true(rg_keytable_count(table) == live);
    }
    for (uint64_t n = 0; n < KEYS; n++)
        assert_true(get(table, n) == model[n]);
    rg_keytable_free(&table);
    rg_free(model);
}

static void keys_that_come_and_go_do_not_fill_the_table(void **state)
{
    struct rg_keytable *table = rg_keytable_new();

    (void)state;
    for (uint64_t n = 0; n < 100000; n++) {
        add(table, n, 1);
        assert_true(get(table, n) == 1);
        take(table, n, 1);
    }
    assert_int_equal(rg_keytable_count(table), 0);
    rg_keytable_free(&table);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_key_has_the_reactors_that_were_added_and_not_removed),
        cmocka_unit_test(random_changes_leave_what_a_plain_array_would_hold),
        cmocka_unit_test(keys_that_come_and_go_do_not_fill_the_table),
    };

    rg_rcu_thread_start();
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    rg_rcu_thread_stop();
    return failed;
}
