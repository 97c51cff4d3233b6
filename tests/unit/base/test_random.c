#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/random.h"

enum {
    DRAWS = 4000
};

static bool is_lower_hex(char c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
}

/* More than a thread keeps in stock, and less, from one stock to the next. */
static void bytes_are_filled_and_do_not_repeat(void **state)
{
    static const size_t sizes[] = {16, 100, 1000, 1024, 1025, 5000};
    static unsigned char a[5000 + 1], b[5000 + 1];

    (void)state;
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        memset(a, 0, sizeof(a));
        memset(b, 0, sizeof(b));
        rg_random_bytes(a, sizes[i]);
        rg_random_bytes(b, sizes[i]);
        assert_memory_not_equal(a, b, sizes[i]);
        /* Sixteen zero bytes at an end happen once in 2^128. */
        assert_memory_not_equal(a, (const char[16]){0}, 16);
        assert_memory_not_equal(a + sizes[i] - 16, (const char[16]){0}, 16);
        assert_int_equal(a[sizes[i]], 0);
    }
}

static void numbers_are_below_the_bound_and_reach_all_of_it(void **state)
{
    unsigned seen[7] = {0};

    (void)state;
    for (int i = 0; i < DRAWS; i++) {
        uint64_t value = rg_random_below(7);
        assert_true(value < 7);
        seen[value]++;
        assert_int_equal(rg_random_below(1), 0);
        assert_true(rg_random_below((UINT64_C(1) << 63) + 1) <= UINT64_C(1) << 63);
    }
    /* 571 on average; so far off once in more than 10^12 runs. */
    for (size_t i = 0; i < 7; i++)
        assert_true(seen[i] > 400 && seen[i] < 750);
}

static void hex_is_lower_case_and_of_the_length_asked_for(void **state)
{
    char text[33];

    (void)state;
    memset(text, '#', sizeof(text));
    rg_random_hex(text, 16);
    for (size_t i = 0; i < 32; i++)
        assert_true(is_lower_hex(text[i]));
    assert_int_equal(text[32], '#');
}

static void a_uuid_is_of_version_4(void **state)
{
    char a[RG_UUID_LEN + 1], b[RG_UUID_LEN + 1];

    (void)state;
    for (int n = 0; n < 200; n++) {
        rg_random_uuid(a);
        assert_int_equal(strlen(a), RG_UUID_LEN);
        for (size_t i = 0; i < RG_UUID_LEN; i++) {
            if (i == 8 || i == 13 || i == 18 || i == 23)
                assert_int_equal(a[i], '-');
            else
                assert_true(is_lower_hex(a[i]));
        }
        assert_int_equal(a[14], '4');
        assert_non_null(strchr("89ab", a[19]));
    }
    rg_random_uuid(b);
    assert_string_not_equal(a, b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bytes_are_filled_and_do_not_repeat),
        cmocka_unit_test(numbers_are_below_the_bound_and_reach_all_of_it),
        cmocka_unit_test(hex_is_lower_case_and_of_the_length_asked_for),
        cmocka_unit_test(a_uuid_is_of_version_4),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
