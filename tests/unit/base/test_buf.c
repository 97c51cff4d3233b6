#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "base/buf.h"

static void assert_content(const struct rg_buf *buf, const char *expected)
{
    assert_int_equal(buf->n, strlen(expected));
    assert_memory_equal(buf->p, expected, buf->n);
}

static void an_empty_buffer_has_no_memory(void **state)
{
    struct rg_buf buf = {0};

    (void)state;
    rg_buf_add(&buf, NULL, 0);
    rg_buf_add_str(&buf, (struct rg_str){NULL, 0});
    rg_buf_add_c(&buf, "");
    rg_buf_consume(&buf, 0);
    assert_null(rg_buf_reserve(&buf, 0));
    assert_null(buf.p);
    assert_int_equal(buf.cap, 0);
    assert_int_equal(rg_buf_str(&buf).n, 0);
    rg_buf_done(&buf);
}

static void what_is_appended_stands_one_behind_the_other(void **state)
{
    struct rg_buf buf = {0};

    (void)state;
    rg_buf_add(&buf, "a\0b", 3);
    rg_buf_add_str(&buf, RG_STR("cd"));
    rg_buf_add_c(&buf, "ef");
    rg_buf_add_char(&buf, 'g');
    rg_buf_addf(&buf, "%03d%s", 7, "h");
    assert_int_equal(buf.n, 12);
    assert_memory_equal(buf.p, "a\0bcdefg007h", 12);
    rg_buf_done(&buf);
    assert_null(buf.p);
    assert_int_equal(buf.n + buf.cap, 0);
}

/* Also right at the end of the room, where only the NUL of printf does not fit. */
static void printing_keeps_every_byte_whatever_room_there_was(void **state)
{
    char text[200];

    (void)state;
    memset(text, 'x', sizeof(text) - 1);
    text[sizeof(text) - 1] = '\0';
    for (size_t before = 0; before < 130; before++) {
        struct rg_buf buf = {0};
        rg_buf_add(&buf, text, before);
        rg_buf_addf(&buf, "%s.", text);
        assert_int_equal(buf.n, before + sizeof(text));
        assert_int_equal(buf.p[buf.n - 1], '.');
        assert_int_equal(buf.p[before], 'x');
        rg_buf_done(&buf);
    }
}

static void growing_doubles_and_keeps_the_content(void **state)
{
    struct rg_buf buf = {0};
    size_t moves = 0, cap = 0;

    (void)state;
    for (unsigned i = 0; i < 100000; i++) {
        rg_buf_add_char(&buf, (char)(i % 251));
        moves += buf.cap != cap;
        cap = buf.cap;
    }
    assert_true(moves < 20);
    for (unsigned i = 0; i < 100000; i++)
        assert_int_equal((unsigned char)buf.p[i], i % 251);
    rg_buf_done(&buf);
}

static void room_that_was_reserved_is_written_in_place(void **state)
{
    struct rg_buf buf = {0};

    (void)state;
    rg_buf_add_c(&buf, "ab");
    char *p = rg_buf_reserve(&buf, 1000);
    assert_ptr_equal(p, buf.p + 2);
    assert_true(buf.cap >= 1002);
    assert_int_equal(buf.n, 2);
    memcpy(p, "cd", 2);
    buf.n += 2;
    assert_content(&buf, "abcd");
    rg_buf_done(&buf);
}

static void consuming_moves_the_rest_to_the_front(void **state)
{
    struct rg_buf buf = {0};

    (void)state;
    rg_buf_add_c(&buf, "abcdef");
    rg_buf_consume(&buf, 2);
    assert_content(&buf, "cdef");
    rg_buf_consume(&buf, 4);
    assert_int_equal(buf.n, 0);
    rg_buf_add_c(&buf, "g");
    assert_content(&buf, "g");
    rg_buf_done(&buf);
}

static void clearing_keeps_the_memory(void **state)
{
    struct rg_buf buf = {0};

    (void)state;
    rg_buf_add_c(&buf, "abc");
    const char *p = buf.p;
    rg_buf_clear(&buf);
    assert_int_equal(buf.n, 0);
    rg_buf_add_c(&buf, "d");
    assert_ptr_equal(buf.p, p);
    assert_content(&buf, "d");
    rg_buf_done(&buf);
}

static void stolen_bytes_end_with_nul_and_leave_an_empty_buffer(void **state)
{
    struct rg_buf buf = {0};

    (void)state;
    rg_buf_add_c(&buf, "abc");
    char *p = rg_buf_steal(&buf);
    assert_string_equal(p, "abc");
    assert_null(buf.p);
    assert_int_equal(buf.n + buf.cap, 0);
    rg_free(p);
    p = rg_buf_steal(&buf);
    assert_string_equal(p, "");
    rg_free(p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_empty_buffer_has_no_memory),
        cmocka_unit_test(what_is_appended_stands_one_behind_the_other),
        cmocka_unit_test(printing_keeps_every_byte_whatever_room_there_was),
        cmocka_unit_test(growing_doubles_and_keeps_the_content),
        cmocka_unit_test(room_that_was_reserved_is_written_in_place),
        cmocka_unit_test(consuming_moves_the_rest_to_the_front),
        cmocka_unit_test(clearing_keeps_the_memory),
        cmocka_unit_test(stolen_bytes_end_with_nul_and_leave_an_empty_buffer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
