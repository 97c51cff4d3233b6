#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/clock.h"

#define SECOND INT64_C(1000000)

static void assert_rfc3339(int64_t wall_us, const char *expected)
{
    char text[RG_RFC3339_SIZE];

    rg_clock_rfc3339(text, wall_us);
    assert_string_equal(text, expected);
}

static void assert_http_date(int64_t wall_us, const char *expected)
{
    char text[RG_HTTP_DATE_SIZE];

    rg_clock_http_date(text, wall_us);
    assert_string_equal(text, expected);
}

static void times_are_written_as_rfc_3339_asks(void **state)
{
    (void)state;
    assert_rfc3339(0, "1970-01-01T00:00:00.000000+00:00");
    assert_rfc3339(1714979289 * SECOND + 123456, "2024-05-06T07:08:09.123456+00:00");
    assert_rfc3339(1709164799 * SECOND + 999999, "2024-02-28T23:59:59.999999+00:00");
    assert_rfc3339(1709164800 * SECOND + 1, "2024-02-29T00:00:00.000001+00:00");
    assert_rfc3339(253402300799 * SECOND, "9999-12-31T23:59:59.000000+00:00");
}

static void dates_are_written_as_http_asks(void **state)
{
    (void)state;
    assert_http_date(784111777 * SECOND, "Sun, 06 Nov 1994 08:49:37 GMT");
    assert_http_date(784111777 * SECOND + 999999, "Sun, 06 Nov 1994 08:49:37 GMT");
    assert_http_date(0, "Thu, 01 Jan 1970 00:00:00 GMT");
}

static void the_clock_does_not_go_back_and_its_units_agree(void **state)
{
    (void)state;
    uint64_t ns = rg_clock_mono_ns(), ms = rg_clock_mono_ms(), later = rg_clock_mono_ns();
    assert_true(ms >= ns / 1000000 && ms <= later / 1000000);
    assert_true(later >= ns);
    /* This was written after 2020 and is read before 2200. */
    int64_t wall = rg_clock_wall_us();
    assert_true(wall > 1577836800 * SECOND && wall < 7258118400 * SECOND);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(times_are_written_as_rfc_3339_asks),
        cmocka_unit_test(dates_are_written_as_http_asks),
        cmocka_unit_test(the_clock_does_not_go_back_and_its_units_agree),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
