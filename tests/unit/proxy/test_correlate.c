#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "proxy/correlate.h"

static void expect(const char *target, const char *wanted)
{
    struct rg_buf out = {0};

    rg_correlate(rg_str_c(target), RG_STR("ID"), &out);
    rg_buf_add_char(&out, '\0');
    assert_string_equal(out.p, wanted);
    rg_buf_done(&out);
}

static void the_id_stands_behind_everything_else(void **state)
{
    (void)state;
    expect("/a", "/a?correlation=ID");
    expect("/a?", "/a?correlation=ID");
    expect("/a?b=1&c", "/a?b=1&c&correlation=ID");
    expect("/a?x=%20+%zz?/&y", "/a?x=%20+%zz?/&y&correlation=ID");
}

static void there_is_no_other_of_its_name(void **state)
{
    (void)state;
    expect("/a?correlation=mine", "/a?correlation=ID");
    expect("/a?b&correlation&c&correlation=1&correlation=2", "/a?b&c&correlation=ID");
    expect("/a?%63orrelatio%6E=mine&b", "/a?b&correlation=ID");
    expect("/a?correlations=1&Correlation=2&xcorrelation=3",
           "/a?correlations=1&Correlation=2&xcorrelation=3&correlation=ID");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_id_stands_behind_everything_else),
        cmocka_unit_test(there_is_no_other_of_its_name),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
