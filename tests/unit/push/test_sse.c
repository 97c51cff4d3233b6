#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "base/buf.h"
#include "push/sse.h"

/* Encodes and compares all bytes: the body, and the chunk around it. */
static void expect(struct rg_str type, struct rg_str json, const char *body)
{
    struct rg_frame *frame = rg_sse_encode(type, json);
    struct rg_buf want = {0};

    rg_buf_addf(&want, "%zx\r\n%s\r\n", strlen(body), body);
    assert_int_equal(frame->n, want.n);
    assert_memory_equal(frame->p, want.p, want.n);
    assert_int_equal(frame->body_n, strlen(body));
    assert_memory_equal(frame->p + frame->body_at, body, frame->body_n);
    rg_buf_done(&want);
    rg_free(frame);
}

static void a_frame_has_the_type_and_one_data_line_in_one_chunk(void **state)
{
    struct rg_frame *frame = rg_sse_encode(RG_STR("chat.posted"), RG_STR("{\"a\":1}"));
    static const char want[] = "22\r\nevent: chat.posted\ndata: {\"a\":1}\n\n\r\n";

    (void)state;
    assert_int_equal(frame->n, sizeof(want) - 1);
    assert_memory_equal(frame->p, want, frame->n);
    rg_free(frame);
}

static void each_line_of_the_json_becomes_a_data_line(void **state)
{
    (void)state;
    expect(RG_STR("t"), RG_STR("{\n\"a\":1\n}"), "event: t\ndata: {\ndata: \"a\":1\ndata: }\n\n");
    expect(RG_STR("t"), RG_STR("{\r}"), "event: t\ndata: {\ndata: }\n\n");
    expect(RG_STR("t"), RG_STR("{\r\n}"), "event: t\ndata: {\ndata: }\n\n");
    expect(RG_STR("t"), RG_STR("{\n\r}"), "event: t\ndata: {\ndata: \ndata: }\n\n");
    expect(RG_STR("t"), RG_STR("{\r\r\n\n}"), "event: t\ndata: {\ndata: \ndata: \ndata: }\n\n");
}

static void breaks_at_the_ends_keep_their_lines(void **state)
{
    (void)state;
    expect(RG_STR("t"), RG_STR("\n{}"), "event: t\ndata: \ndata: {}\n\n");
    expect(RG_STR("t"), RG_STR("{}\n"), "event: t\ndata: {}\ndata: \n\n");
    expect(RG_STR("t"), RG_STR("{}\r\n"), "event: t\ndata: {}\ndata: \n\n");
    expect(RG_STR("t"), RG_STR("{}\r"), "event: t\ndata: {}\ndata: \n\n");
}

static void a_type_cannot_break_its_line(void **state)
{
    (void)state;
    expect(RG_STR("a\nid: 1"), RG_STR("{}"), "event: a id: 1\ndata: {}\n\n");
    expect(RG_STR("a\rb"), RG_STR("{}"), "event: a b\ndata: {}\n\n");
    expect(RG_STR("a\r\n\r\nb"), RG_STR("{}"), "event: a    b\ndata: {}\n\n");
    expect(RG_STR("a\0b"), RG_STR("{}"), "event: a b\ndata: {}\n\n");
}

static void empty_text_still_makes_a_frame(void **state)
{
    (void)state;
    expect(RG_STR(""), RG_STR(""), "event: \ndata: \n\n");
}

static void the_chunk_head_is_the_length_of_the_body_in_hex(void **state)
{
    /* "event: t\ndata: " and the two line feeds are 17 bytes more than the text. */
    static const struct {
        size_t text_n;
        const char *head;
    } cases[] = {{18 - 17, "12\r\n"},       {255 - 17, "ff\r\n"},        {256 - 17, "100\r\n"},
                 {4095 - 17, "fff\r\n"},    {4096 - 17, "1000\r\n"},     {65535 - 17, "ffff\r\n"},
                 {65536 - 17, "10000\r\n"}, {1048576 - 17, "100000\r\n"}};

    (void)state;
    for (size_t i = 0; i < RG_COUNT_OF(cases); i++) {
        char *text = rg_alloc(cases[i].text_n);
        size_t head_n = strlen(cases[i].head);
        memset(text, ' ', cases[i].text_n);
        struct rg_frame *frame = rg_sse_encode(RG_STR("t"), rg_str_n(text, cases[i].text_n));
        assert_memory_equal(frame->p, cases[i].head, head_n);
        assert_int_equal(frame->body_at, head_n);
        assert_int_equal(frame->body_n, cases[i].text_n + 17);
        assert_int_equal(frame->n, head_n + frame->body_n + 2);
        assert_memory_equal(frame->p + frame->n - 4, "\n\n\r\n", 4);
        rg_free(frame);
        rg_free(text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_frame_has_the_type_and_one_data_line_in_one_chunk),
        cmocka_unit_test(each_line_of_the_json_becomes_a_data_line),
        cmocka_unit_test(breaks_at_the_ends_keep_their_lines),
        cmocka_unit_test(a_type_cannot_break_its_line),
        cmocka_unit_test(empty_text_still_makes_a_frame),
        cmocka_unit_test(the_chunk_head_is_the_length_of_the_body_in_hex),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
