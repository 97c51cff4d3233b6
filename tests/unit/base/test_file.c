#include "base/file.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/alloc.h"

static char directory[] = "/tmp/rg-test-file-XXXXXX";
static char path[64];

static int setup(void **state)
{
    (void)state;
    if (mkdtemp(directory) == NULL)
        return -1;
    snprintf(path, sizeof(path), "%s/file", directory);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    return rmdir(directory);
}

static void write_file(const char *text)
{
    FILE *file = fopen(path, "we");

    assert_non_null(file);
    fputs(text, file);
    assert_int_equal(fclose(file), 0);
}

static void a_file_is_appended_whole(void **state)
{
    RG_CLEANUP(rg_buf_done) struct rg_buf out = {0};
    struct rg_why why = {0};

    (void)state;
    rg_buf_add_c(&out, "before ");
    write_file("text");
    assert_int_equal(rg_file_read(path, 4, &out, &why), 0);
    assert_true(rg_str_eq(rg_buf_str(&out), RG_STR("before text")));
    unlink(path);
}

static void a_file_that_is_too_long_is_refused_and_nothing_appended(void **state)
{
    RG_CLEANUP(rg_buf_done) struct rg_buf out = {0};
    struct rg_why why = {0};

    (void)state;
    write_file("texts");
    assert_int_equal(rg_file_read(path, 4, &out, &why), RG_EINVAL);
    assert_non_null(strstr(why.text, path));
    assert_int_equal(out.n, 0);
    unlink(path);
}

static void what_is_no_file_is_refused_without_waiting(void **state)
{
    RG_CLEANUP(rg_buf_done) struct rg_buf out = {0};
    struct rg_why why = {0};

    (void)state;
    assert_int_equal(mkfifo(path, 0600), 0);
    assert_int_equal(rg_file_read(path, 4, &out, &why), RG_EINVAL);
    assert_non_null(strstr(why.text, "not a regular file"));
    unlink(path);
    assert_true(rg_file_read(path, 4, &out, &why) < 0);
    assert_non_null(strstr(why.text, "cannot be read"));
    assert_int_equal(out.n, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_file_is_appended_whole),
        cmocka_unit_test(a_file_that_is_too_long_is_refused_and_nothing_appended),
        cmocka_unit_test(what_is_no_file_is_refused_without_waiting),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
