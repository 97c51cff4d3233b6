#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/throttle.h"

static void the_first_is_told_at_once(void **state)
{
    struct rg_throttle throttle = {0};
    uint64_t untold = 99;

    (void)state;
    assert_true(rg_throttle_pass(&throttle, 5, &untold));
    assert_int_equal(untold, 0);
}

static void then_one_in_ten_seconds_which_says_how_many_it_stands_for(void **state)
{
    struct rg_throttle throttle = {0};
    uint64_t untold = 99;

    (void)state;
    assert_true(rg_throttle_pass(&throttle, 1000, &untold));
    assert_false(rg_throttle_pass(&throttle, 1000, &untold));
    assert_false(rg_throttle_pass(&throttle, 1000 + RG_THROTTLE_MS - 1, &untold));
    assert_true(rg_throttle_pass(&throttle, 1000 + RG_THROTTLE_MS, &untold));
    assert_int_equal(untold, 2);
    assert_true(rg_throttle_pass(&throttle, 1000 + 5 * RG_THROTTLE_MS, &untold));
    assert_int_equal(untold, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_first_is_told_at_once),
        cmocka_unit_test(then_one_in_ten_seconds_which_says_how_many_it_stands_for),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
