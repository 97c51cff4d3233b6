#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "base/buf.h"
#include "http/h2_guard.h"

/* SETTINGS without content, DATA with five bytes, PRIORITY, PRIORITY that is too short, and one of
 * a type that nobody knows. */
static const unsigned char frames[] = {
    0, 0, 0, 4,  0,    0,    0,    0,    0,                              /* */
    0, 0, 5, 0,  1,    0x80, 0,    0,    1,    'a',  'b', 'c', 'd', 'e', /* */
    0, 0, 5, 2,  0,    0,    0,    0,    3,    0x80, 0,   0,   7,   16,  /* */
    0, 0, 4, 2,  0,    0,    0,    0,    5,    1,    2,   3,   4,        /* */
    0, 0, 1, 99, 0xff, 0x7f, 0xff, 0xff, 0xff, 'x',                      /* */
};
static const char expected[] = "4:0:0:0:0 0:5:1:1:0 2:5:0:3:7 2:4:0:5:0 99:1:255:2147483647:0 ";

/* Walks over the bytes in pieces of this size and writes down what was found. */
static void walk(size_t piece, struct rg_buf *found)
{
    struct rg_h2_guard guard = {0};
    size_t at = 0;

    while (at < sizeof(frames)) {
        size_t end = sizeof(frames) - at < piece ? sizeof(frames) : at + piece;
        while (at < end) {
            struct rg_h2_frame frame;
            bool is_frame;
            size_t n =
                rg_h2_guard_walk(&guard, (const char *)frames + at, end - at, &frame, &is_frame);
            assert_in_range(n, 1, end - at);
            at += n;
            if (is_frame)
                rg_buf_addf(found, "%d:%u:%d:%d:%d ", frame.type, frame.length, frame.flags,
                            frame.stream_id, frame.depends_on);
        }
    }
    rg_buf_add_char(found, '\0');
}

static void frames_are_found_however_they_are_cut(void **state)
{
    (void)state;
    for (size_t piece = 1; piece <= sizeof(frames); piece++) {
        struct rg_buf found = {0};
        walk(piece, &found);
        assert_string_equal(found.p, expected);
        rg_buf_done(&found);
    }
}

static void a_frame_is_known_before_its_payload_is_passed_on(void **state)
{
    struct rg_h2_guard guard = {0};
    struct rg_h2_frame frame;
    bool is_frame;
    const char *data = (const char *)frames + 9;

    (void)state;
    assert_int_equal(rg_h2_guard_walk(&guard, data, 14, &frame, &is_frame), 9);
    assert_true(is_frame);
    assert_int_equal(rg_h2_guard_walk(&guard, data + 9, 100, &frame, &is_frame), 5);
    assert_false(is_frame);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(frames_are_found_however_they_are_cut),
        cmocka_unit_test(a_frame_is_known_before_its_payload_is_passed_on),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
