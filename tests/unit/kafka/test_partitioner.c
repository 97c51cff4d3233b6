#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "kafka/partitioner.h"

static void murmur3_has_the_pinned_values(void **state)
{
    (void)state;
    assert_int_equal(rg_murmur3(RG_STR("a")), 1009084850u);
    assert_int_equal(rg_murmur3(RG_STR("k1")), 4257636394u);
    assert_int_equal(rg_murmur3(RG_STR("hello")), 613153351u);
    assert_int_equal(rg_murmur3(RG_STR("partition")), 2166210003u);
}

static void key_decides_the_partition(void **state)
{
    (void)state;
    assert_int_equal(rg_partition_choose(RG_STR("a"), 6), 2);
    assert_int_equal(rg_partition_choose(RG_STR("k1"), 6), 4);
    assert_int_equal(rg_partition_choose(RG_STR("hello"), 6), 1);
    assert_int_equal(rg_partition_choose(RG_STR("partition"), 6), 3);
}

static void bytes_above_127_are_unsigned(void **state)
{
    (void)state;
    /* MurmurHash3 x86 32 of ff ff ff ff with seed 0, from its author's verification code. */
    assert_int_equal(rg_murmur3(RG_STR("\xff\xff\xff\xff")), 0x76293b50u);
    assert_int_equal(rg_murmur3(RG_STR("")), 0);
}

static void without_key_every_partition_is_used(void **state)
{
    unsigned seen = 0;

    (void)state;
    for (int i = 0; i < 1000; i++) {
        int32_t partition = rg_partition_choose((struct rg_str){NULL, 0}, 6);
        assert_in_range(partition, 0, 5);
        seen |= 1u << partition;
    }
    assert_int_equal(seen, 0x3f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(murmur3_has_the_pinned_values),
        cmocka_unit_test(key_decides_the_partition),
        cmocka_unit_test(bytes_above_127_are_unsigned),
        cmocka_unit_test(without_key_every_partition_is_used),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
