#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "push/compression.h"
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

static struct rg_frame *encode_deflated(struct rg_str text)
{
    const struct rg_envelope envelope = {.text = text, .type = RG_STR("t"), .id = RG_STR("1")};
    const struct rg_origin origin = {.partition = -1, .offset = -1, .broker_ms = -1};
    struct rg_compressor *compressor = rg_compressor_new(0);
    struct rg_event *event = rg_event_new(&envelope, &origin, NULL, 0, 1);
    struct rg_frame *frame = rg_ws_encode_deflate_event(event, compressor);

    rg_event_unref(&event);
    rg_compressor_free(&compressor);
    return frame;
}

static void compressed_text_has_rsv1_and_comes_back_as_it_was(void **state)
{
    static const size_t sizes[] = {20, 200, 5000, 100000};
    const struct rg_inflate_limits limits = {.max_bytes = 1 << 20};
    struct rg_inflater *inflater = rg_inflater_new();

    (void)state;
    for (size_t i = 0; i < RG_COUNT_OF(sizes); i++) {
        char *text = rg_alloc(sizes[i]);
        struct rg_buf got = {0};
        for (size_t k = 0; k < sizes[i]; k++)
            text[k] = (char)('a' + k * k / 100 % 3);
        struct rg_frame *frame = encode_deflated(rg_str_n(text, sizes[i]));
        assert_int_equal(frame->p[0], (char)0xc1);
        assert_int_equal(frame->n, frame->body_at + frame->body_n);
        assert_true(frame->body_n < sizes[i]);
        assert_int_equal(rg_inflater_add(inflater,
                                         rg_str_n(frame->p + frame->body_at, frame->body_n),
                                         &limits, &got),
                         0);
        assert_true(rg_str_eq(rg_buf_str(&got), rg_str_n(text, sizes[i])));
        rg_buf_done(&got);
        rg_free(frame);
        rg_free(text);
    }
    rg_inflater_free(&inflater);
}

static void text_that_does_not_shrink_is_sent_as_it_is(void **state)
{
    struct rg_frame *frame = encode_deflated(RG_STR("{}"));

    (void)state;
    assert_int_equal(frame->n, 4);
    assert_memory_equal(frame->p, "\x81\x02{}", 4);
    rg_free(frame);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(short_texts_have_their_length_in_the_second_byte),
        cmocka_unit_test(longer_texts_have_two_bytes_of_length),
        cmocka_unit_test(the_longest_texts_have_eight_bytes_of_length),
        cmocka_unit_test(line_breaks_are_text_like_any_other),
        cmocka_unit_test(compressed_text_has_rsv1_and_comes_back_as_it_was),
        cmocka_unit_test(text_that_does_not_shrink_is_sent_as_it_is),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
