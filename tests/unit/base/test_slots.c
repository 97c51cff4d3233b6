#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/slots.h"

static void a_thing_is_found_by_its_numbers_until_it_is_gone(void **state)
{
    struct rg_slots slots = {0};
    int a, b;

    (void)state;
    uint32_t first = rg_slots_take(&slots, &a);
    uint32_t second = rg_slots_take(&slots, &b);
    uint32_t generation = slots.at[first].generation;
    assert_ptr_equal(rg_slots_get(&slots, first, generation), &a);
    assert_ptr_equal(rg_slots_get(&slots, second, slots.at[second].generation), &b);
    rg_slots_release(&slots, first);
    assert_null(rg_slots_get(&slots, first, generation));
    assert_null(rg_slots_get(&slots, first, generation + 1));
    rg_slots_done(&slots);
}

static void who_takes_the_place_is_not_found_by_the_old_numbers(void **state)
{
    struct rg_slots slots = {0};
    int a, b;

    (void)state;
    uint32_t number = rg_slots_take(&slots, &a);
    uint32_t generation = slots.at[number].generation;
    rg_slots_release(&slots, number);
    assert_int_equal(rg_slots_take(&slots, &b), number);
    assert_null(rg_slots_get(&slots, number, generation));
    assert_ptr_equal(rg_slots_get(&slots, number, slots.at[number].generation), &b);
    rg_slots_done(&slots);
}

static void any_numbers_may_be_asked_for(void **state)
{
    struct rg_slots slots = {0};
    int a;

    (void)state;
    assert_null(rg_slots_get(&slots, 0, 0));
    rg_slots_take(&slots, &a);
    assert_null(rg_slots_get(&slots, UINT32_MAX, 1));
    assert_null(rg_slots_get(&slots, 1, 1));
    rg_slots_done(&slots);
}

static void many_things_have_different_numbers(void **state)
{
    enum {
        N = 1000
    };
    struct rg_slots slots = {0};
    char things[N];
    uint32_t numbers[N];

    (void)state;
    for (int i = 0; i < N; i++)
        numbers[i] = rg_slots_take(&slots, &things[i]);
    for (int i = 0; i < N; i++)
        assert_ptr_equal(rg_slots_get(&slots, numbers[i], slots.at[numbers[i]].generation),
                         &things[i]);
    rg_slots_done(&slots);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_thing_is_found_by_its_numbers_until_it_is_gone),
        cmocka_unit_test(who_takes_the_place_is_not_found_by_the_old_numbers),
        cmocka_unit_test(any_numbers_may_be_asked_for),
        cmocka_unit_test(many_things_have_different_numbers),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
