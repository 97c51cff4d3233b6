#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "push/ws.h"

/* A frame of n bytes of text has exactly this header (RFC 6455 5.2), then the text. */
static void expect(size_t n, const unsigned char *header, size_t header_n)
{
    char *text = rg_alloc(n + 1);

    for (size_t i = 0; i < n; i++)
        text[i] = (char)('a' + i % 26);
    struct rg_frame *frame = rg_ws_encode(rg_str_n(text, n));
    assert_int_equal(frame->n, header_n + n);
    assert_memory_equal(frame->p, header, header_n);
    assert_int_equal(frame->body_at, header_n);
    assert_int_equal(frame->body_n, n);
    if (n > 0)
        assert_memory_equal(frame->p + header_n, text, n);
    rg_free(frame);
    rg_free(text);
}

#define EXPECT(n, ...)                                                                             \
    expect((n), (const unsigned char[]){__VA_ARGS__}, sizeof((const unsigned char[]){__VA_ARGS__}))

static void short_texts_have_their_length_in_the_second_byte(void **state)
{
    (void)state;
    EXPECT(0, 0x81, 0);
    EXPECT(1, 0x81, 1);
    EXPECT(125, 0x81, 125);
}

static void longer_texts_have_two_bytes_of_length(void **state)
{
    (void)state;
    EXPECT(126, 0x81, 126, 0, 126);
    EXPECT(255, 0x81, 126, 0, 255);
    EXPECT(256, 0x81, 126, 1, 0);
    EXPECT(65535, 0x81, 126, 0xff, 0xff);
}

static void the_longest_texts_have_eight_bytes_of_length(void **state)
{
    (void)state;
    EXPECT(65536, 0x81, 127, 0, 0, 0, 0, 0, 1, 0, 0);
    EXPECT(1048577, 0x81, 127, 0, 0, 0, 0, 0, 0x10, 0, 1);
}

static void line_breaks_are_text_like_any_other(void **state)
{
    struct rg_frame *frame = rg_ws_encode(RG_STR("{\r\n}"));

    (void)state;
    assert_int_equal(frame->n, 6);
    assert_memory_equal(frame->p, "\x81\x04{\r\n}", 6);
    rg_free(frame);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(short_texts_have_their_length_in_the_second_byte),
        cmocka_unit_test(longer_texts_have_two_bytes_of_length),
        cmocka_unit_test(the_longest_texts_have_eight_bytes_of_length),
        cmocka_unit_test(line_breaks_are_text_like_any_other),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
