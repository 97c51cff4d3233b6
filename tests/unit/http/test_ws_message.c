#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "http/ws_message.h"

static const struct rg_ws_message_limits limits = {.max_bytes = 16, .max_fragments = 4};

static struct rg_inflater *inflater;

static int setup(void **state)
{
    (void)state;
    inflater = rg_inflater_new();
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    rg_inflater_free(&inflater);
    return 0;
}

static struct rg_ws_message_reader new_reader(void)
{
    return (struct rg_ws_message_reader){
        .frames = {.allows_rsv1 = true}, .limits = &limits, .inflater = inflater};
}

/*
 * Feeds bytes in pieces of step and writes down what comes out: opcode and text in brackets, or
 * the code.
 */
static void transcribe(struct rg_str bytes, size_t step, struct rg_buf *out)
{
    struct rg_ws_message_reader reader = new_reader();

    for (size_t at = 0; at < bytes.n; at += step) {
        size_t n = bytes.n - at < step ? bytes.n - at : step;
        char *piece = rg_strndup(bytes.p + at, n);
        char *p = piece;
        int result;
        do {
            struct rg_ws_message message;
            result = rg_ws_message_read(&reader, &p, &n, &message, NULL);
            if (result < 0)
                rg_buf_addf(out, "%d", -result);
            if (result <= 0)
                continue;
            rg_buf_addf(out, "%d[", message.opcode);
            rg_buf_add_str(out, message.data);
            rg_buf_add_char(out, ']');
        } while (n > 0);
        rg_free(piece);
        if (result == -1002)
            break;
    }
    rg_ws_message_reader_done(&reader);
}

/* However the bytes are cut, this comes out. */
#define EXPECT(bytes, expected) expect(RG_STR(bytes), RG_STR(expected))

static void expect(struct rg_str bytes, struct rg_str expected)
{
    for (size_t step = 1; step <= bytes.n; step++) {
        struct rg_buf out = {0};
        transcribe(bytes, step, &out);
        if (!rg_str_eq(rg_buf_str(&out), expected))
            fail_msg("%.*s instead of %.*s in pieces of %zu", (int)out.n, out.p,
                     RG_STR_ARG(expected), step);
        rg_buf_done(&out);
    }
}

static void messages_come_whole(void **state)
{
    (void)state;
    EXPECT("\x81\x02hi\x82\x03\0\xff\x01", "1[hi]2[\0\xff\x01]");
}

static void fragments_are_put_together(void **state)
{
    (void)state;
    EXPECT("\x01\x01"
           "a\x00\x00\x00\x01"
           "b\x80\x01"
           "c\x82\x01"
           "d",
           "1[abc]2[d]");
    EXPECT("\x01\x00\x80\x00", "1[]");
}

static void control_frames_come_in_between(void **state)
{
    (void)state;
    EXPECT("\x01\x01"
           "a\x89\x03hey\x80\x01"
           "b\x8a\x00\x88\x02\x03\xe8",
           "9[hey]1[ab]10[]8[\x03\xe8]");
}

static void text_is_checked_as_it_comes(void **state)
{
    (void)state;
    /* A character may be cut anywhere. */
    EXPECT("\x01\x02"
           "a\xf0\x00\x02\x9f\x98\x80\x01\x80",
           "1[a\xf0\x9f\x98\x80]");
    /* The second byte fits to no character; the rest of the message never comes. */
    EXPECT("\x01\x02\xf4\x90", "1007");
    EXPECT("\x81\x05"
           "a\xff",
           "1007");
    /* It ends inside a character. */
    EXPECT("\x81\x02"
           "a\xc2",
           "1007");
    EXPECT("\x01\x01\xc2\x80\x00", "1007");
    /* Bytes may be anything. */
    EXPECT("\x82\x02\xf4\x90", "2[\xf4\x90]");
}

static void a_message_may_be_as_long_as_the_limit(void **state)
{
    (void)state;
    EXPECT("\x81\x10"
           "0123456789abcdef",
           "1[0123456789abcdef]");
    EXPECT("\x01\x08"
           "01234567\x80\x08"
           "89abcdef",
           "1[0123456789abcdef]");
}

/* What is only claimed is enough, and nobody waits for it. */
static void a_longer_message_is_refused_by_its_claim(void **state)
{
    (void)state;
    EXPECT("\x81\x11", "1009");
    EXPECT("\x82\x7f\x7f\xff\xff\xff\xff\xff\xff\xff", "1009");
    EXPECT("\x01\x08"
           "01234567\x00\x09",
           "1009");
    EXPECT("\xc1\x11", "1009");
}

static void fragments_have_a_limit(void **state)
{
    (void)state;
    EXPECT("\x01\0\0\0\0\0\x80\0", "1[]");
    EXPECT("\x01\0\0\0\0\0\0\0\0\0", "1009");
    /* Each message has its own, and control frames do not count. */
    EXPECT("\x01\0\0\0\0\0\x80\0\x01\0\0\0\x89\0\0\0\x80\0", "1[]9[]1[]");
}

/* Everything goes on behind an error that is only one of a message. */
static void after_an_error_only_control_frames_count(void **state)
{
    (void)state;
    EXPECT("\x01\x01\xff\x80\x01"
           "a\x81\x01"
           "b\x88\x00",
           "10078[]");
    EXPECT("\x81\x12"
           "0123456789abcdefgh\x89\x00",
           "10099[]");
}

static void malformed_frames_are_the_end(void **state)
{
    struct rg_ws_message_reader reader = new_reader();
    struct rg_ws_message message;
    char bytes[] = "\x83\x00\x81\x00\x88\x00";
    char *p = bytes;
    size_t n = 6;
    struct rg_why why = {0};

    (void)state;
    EXPECT("\x81\x01"
           "a\x83\x00",
           "1[a]1002");
    EXPECT("\xa1\x00", "1002");
    assert_int_equal(rg_ws_message_read(&reader, &p, &n, &message, &why), -1002);
    assert_int_equal(n, 0);
    assert_true(why.text[0] != '\0');
    n = 2;
    p = bytes + 4;
    assert_int_equal(rg_ws_message_read(&reader, &p, &n, &message, &why), -1002);
    assert_int_equal(n, 0);
    rg_ws_message_reader_done(&reader);
}

static void skipping_leaves_control_frames(void **state)
{
    struct rg_ws_message_reader reader = new_reader();
    struct rg_ws_message message;
    char bytes[] = "\x01\x01"
                   "a\x00\x01"
                   "b\x88\x00";
    char *p = bytes;
    size_t n = 3;

    (void)state;
    assert_int_equal(rg_ws_message_read(&reader, &p, &n, &message, NULL), 0);
    rg_ws_message_skip(&reader);
    n = 5;
    assert_int_equal(rg_ws_message_read(&reader, &p, &n, &message, NULL), 1);
    assert_int_equal(message.opcode, RG_WS_CLOSE);
    assert_int_equal(reader.data.n, 0);
    rg_ws_message_reader_done(&reader);
}

#define HELLO "\xf2\x48\xcd\xc9\xc9\x07\x00" /* RFC 7692 7.2.3.1 */

static void compressed_messages_are_inflated(void **state)
{
    (void)state;
    EXPECT("\xc1\x07" HELLO, "1[Hello]");
    EXPECT("\x41\x03\xf2\x48\xcd\x89\x00\x80\x04\xc9\xc9\x07\x00", "9[]1[Hello]");
    EXPECT("\xc2\x01\x00", "2[]");
    /* Each message says for itself whether it is. */
    EXPECT("\xc1\x07" HELLO "\x81\x02ho\xc1\x07" HELLO, "1[Hello]1[ho]1[Hello]");
}

static void compressed_text_is_checked_when_it_is_inflated(void **state)
{
    (void)state;
    EXPECT("\xc1\x07\x00\x01\x00\xfe\xff\xff\x00", "1007");
    EXPECT("\xc2\x07\x00\x01\x00\xfe\xff\xff\x00", "2[\xff]");
}

static void what_cannot_be_inflated_is_refused(void **state)
{
    (void)state;
    EXPECT("\xc1\x02hi", "1007");
    EXPECT("\xc1\x00", "1007");
}

/* A bomb: few bytes that become many. It is not inflated beyond the limit. */
static void a_bomb_is_refused(void **state)
{
    struct rg_deflater *deflater = rg_deflater_new();
    struct rg_buf bytes = {0};
    char *zeros = rg_zalloc(1000);

    (void)state;
    rg_buf_add_c(&bytes, "\xc2\x10");
    rg_deflater_add(deflater, rg_str_n(zeros, 1000), &bytes);
    bytes.n -= RG_DEFLATE_TAIL_N;
    assert_true(bytes.n - 2 <= limits.max_bytes);
    bytes.p[1] = (char)(bytes.n - 2);
    rg_buf_add(&bytes, "\x88\x00", 2);
    expect(rg_buf_str(&bytes), RG_STR("10098[]"));
    rg_buf_done(&bytes);
    rg_deflater_free(&deflater);
    rg_free(zeros);
}

static void without_agreement_nothing_is_compressed(void **state)
{
    struct rg_ws_message_reader reader = {.limits = &limits};
    struct rg_ws_message message;
    char bytes[] = "\xc1\x07" HELLO;
    char *p = bytes;
    size_t n = 9;

    (void)state;
    assert_int_equal(rg_ws_message_read(&reader, &p, &n, &message, NULL), -1002);
    rg_ws_message_reader_done(&reader);
}

static void masks_are_taken_off(void **state)
{
    struct rg_ws_message_reader reader = {.frames = {.expects_mask = true}, .limits = &limits};
    struct rg_ws_message message;
    char bytes[] = "\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58";
    char *p = bytes;
    size_t n = 11;

    (void)state;
    assert_int_equal(rg_ws_message_read(&reader, &p, &n, &message, NULL), 1);
    assert_true(rg_str_eq(message.data, RG_STR("Hello")));
    assert_int_equal(n, 0);
    assert_ptr_equal(p, bytes + 11);
    rg_ws_message_reader_done(&reader);
}

#define WITH_INFLATER(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_INFLATER(messages_come_whole),
        WITH_INFLATER(fragments_are_put_together),
        WITH_INFLATER(control_frames_come_in_between),
        WITH_INFLATER(text_is_checked_as_it_comes),
        WITH_INFLATER(a_message_may_be_as_long_as_the_limit),
        WITH_INFLATER(a_longer_message_is_refused_by_its_claim),
        WITH_INFLATER(fragments_have_a_limit),
        WITH_INFLATER(after_an_error_only_control_frames_count),
        WITH_INFLATER(malformed_frames_are_the_end),
        WITH_INFLATER(skipping_leaves_control_frames),
        WITH_INFLATER(compressed_messages_are_inflated),
        WITH_INFLATER(compressed_text_is_checked_when_it_is_inflated),
        WITH_INFLATER(what_cannot_be_inflated_is_refused),
        WITH_INFLATER(a_bomb_is_refused),
        WITH_INFLATER(without_agreement_nothing_is_compressed),
        WITH_INFLATER(masks_are_taken_off),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
