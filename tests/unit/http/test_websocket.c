#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "http/websocket.h"

/*
 * Reads text in pieces of `step` bytes and writes down what was reported: opcode, '!' for
 * a final frame, the payload in brackets. Returns 0 or the error.
 */
static long transcribe(struct rg_str text, bool expects_mask, size_t step, struct rg_buf *out)
{
    struct rg_ws_reader reader = {.expects_mask = expects_mask};
    size_t at = 0;

    rg_buf_clear(out);
    while (at < text.n) {
        size_t n = text.n - at < step ? text.n - at : step;
        char *piece = rg_alloc(n);
        size_t done = 0;
        long used = 0;

        memcpy(piece, text.p + at, n);
        while (done < n && used >= 0) {
            struct rg_ws_part part;
            bool has_part;
            used = rg_ws_read(&reader, piece + done, n - done, &part, &has_part, NULL);
            if (used < 0)
                break;
            assert_true(used > 0);
            done += (size_t)used;
            if (!has_part)
                continue;
            if (part.starts_frame)
                rg_buf_addf(out, "%d%s[", part.opcode, part.is_final ? "!" : "");
            rg_buf_add_str(out, part.data);
            assert_int_equal(part.ends_frame, part.frame_left == 0);
            if (part.ends_frame)
                rg_buf_add_char(out, ']');
        }
        rg_free(piece);
        if (used < 0)
            return used;
        at += n;
    }
    return 0;
}

/* Checks the transcript of text read in pieces of every size. */
static void check_transcript(struct rg_str text, bool expects_mask, long result,
                             const char *expected)
{
    struct rg_buf out = {0};

    for (size_t step = 1; step <= text.n && step < 300; step++) {
        long got = transcribe(text, expects_mask, step, &out);
        if (got != result)
            fail_msg("%ld instead of %ld in pieces of %zu", got, result, step);
        if (!rg_str_eq(rg_buf_str(&out), rg_str_c(expected)))
            fail_msg("%.*s instead of %s in pieces of %zu", (int)out.n, out.p, expected, step);
    }
    rg_buf_done(&out);
}

/* RFC 6455 section 5.7. */
static void examples_of_the_rfc_are_read(void **state)
{
    (void)state;
    check_transcript(RG_STR("\x81\x05\x48\x65\x6c\x6c\x6f"), false, 0, "1![Hello]");
    check_transcript(RG_STR("\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58"), true, 0, "1![Hello]");
    check_transcript(RG_STR("\x01\x03\x48\x65\x6c\x80\x02\x6c\x6f"), false, 0, "1[Hel]0![lo]");
    check_transcript(RG_STR("\x89\x05\x48\x65\x6c\x6c\x6f"), false, 0, "9![Hello]");
    check_transcript(RG_STR("\x8a\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58"), true, 0, "10![Hello]");
}

static void examples_of_the_rfc_are_written(void **state)
{
    char header[RG_WS_MAX_HEADER];
    struct rg_buf out = {0};
    (void)state;

    rg_ws_add_frame(&out, RG_WS_TEXT, RG_STR("Hello"), false);
    assert_int_equal(out.n, 7);
    assert_memory_equal(out.p, "\x81\x05Hello", 7);
    assert_int_equal(rg_ws_header(header, RG_WS_BINARY, 256), 4);
    assert_memory_equal(header, "\x82\x7e\x01\x00", 4);
    assert_int_equal(rg_ws_header(header, RG_WS_BINARY, 65536), 10);
    assert_memory_equal(header, "\x82\x7f\0\0\0\0\0\x01\0\0", 10);
    rg_buf_done(&out);
}

static void headers_use_the_shortest_length(void **state)
{
    char header[RG_WS_MAX_HEADER];
    (void)state;

    assert_int_equal(rg_ws_header(header, RG_WS_PING, 0), 2);
    assert_memory_equal(header, "\x89\x00", 2);
    assert_int_equal(rg_ws_header(header, RG_WS_TEXT, 125), 2);
    assert_int_equal(rg_ws_header(header, RG_WS_TEXT, 126), 4);
    assert_int_equal(rg_ws_header(header, RG_WS_TEXT, 65535), 4);
    assert_memory_equal(header, "\x81\x7e\xff\xff", 4);
    assert_int_equal(rg_ws_header(header, RG_WS_TEXT, UINT64_C(0x0102030405060708)), 10);
    assert_memory_equal(header, "\x81\x7f\1\2\3\4\5\6\7\x08", 10);
}

static void control_frames_may_stand_between_fragments(void **state)
{
    (void)state;
    check_transcript(RG_STR("\x01\x01"
                            "a\x89\x00\x00\x01"
                            "b\x80\x00\x82\x00"),
                     false, 0, "1[a]9![]0[b]0![]2![]");
}

static void violations_are_refused(void **state)
{
    (void)state;
    check_transcript(RG_STR("\xc1\x80"), true, -1002, ""); /* reserved bits */
    check_transcript(RG_STR("\xa1\x80"), true, -1002, "");
    check_transcript(RG_STR("\x91\x80"), true, -1002, "");
    check_transcript(RG_STR("\x83\x80"), true, -1002, ""); /* reserved opcodes */
    check_transcript(RG_STR("\x87\x80"), true, -1002, "");
    check_transcript(RG_STR("\x8b\x80"), true, -1002, "");
    check_transcript(RG_STR("\x8f\x80"), true, -1002, "");
    check_transcript(RG_STR("\x09\x80"), true, -1002, ""); /* fragmented control */
    check_transcript(RG_STR("\x08\x80"), true, -1002, "");
    check_transcript(RG_STR("\x89\xfe\x00\x7e"), true, -1002, ""); /* long control */
    check_transcript(RG_STR("\x88\x7f"), false, -1002, "");
    check_transcript(RG_STR("\x81\x05"), true, -1002, ""); /* masking */
    check_transcript(RG_STR("\x81\x85"), false, -1002, "");
    check_transcript(RG_STR("\x80\x00"), false, -1002, ""); /* continues nothing */
    check_transcript(RG_STR("\x01\x00\x81\x00"), false, -1002, "1[]");
    check_transcript(RG_STR("\x81\x00\x00\x00"), false, -1002, "1![]");
    check_transcript(RG_STR("\x81\x7e\x00\x7d"), false, -1002, ""); /* not minimal */
    check_transcript(RG_STR("\x81\x7f\0\0\0\0\0\0\xff\xff"), false, -1002, "");
    check_transcript(RG_STR("\x81\x7f\x80\0\0\0\0\x01\0\0"), false, -1002, ""); /* top bit */
}

/* RFC 7692 6: on the first frame of a message, and only where it was agreed on. */
static void rsv1_is_for_the_first_frame_of_a_message(void **state)
{
    static const struct {
        struct rg_str bytes;
        long result;
    } cases[] = {
        {{"\xc1\x00", 2}, 2},
        {{"\xc2\x00", 2}, 2},
        {{"\x41\x00", 2}, 2},
        {{"\x41\x00\x80\x00", 4}, 2},
        {{"\xc9\x00", 2}, -1002},
        {{"\xc8\x00", 2}, -1002},
        {{"\x41\x00\xc0\x00", 4}, -1002},
        {{"\xe1\x00", 2}, -1002},
        {{"\xd1\x00", 2}, -1002},
    };
    (void)state;

    for (size_t i = 0; i < RG_COUNT_OF(cases); i++) {
        struct rg_ws_reader reader = {.allows_rsv1 = true};
        struct rg_str rest = cases[i].bytes;
        bool is_first = true;
        long used = 0;
        while (rest.n > 0 && used >= 0) {
            char frame[2];
            struct rg_ws_part part;
            bool has_part = false;
            memcpy(frame, rest.p, 2);
            used = rg_ws_read(&reader, frame, 2, &part, &has_part, NULL);
            if (has_part)
                assert_int_equal(part.is_compressed, is_first);
            is_first = false;
            rest = rg_str_n(rest.p + 2, rest.n - 2);
        }
        assert_int_equal(used, cases[i].result);
    }
}

static void a_violation_is_seen_at_its_first_byte(void **state)
{
    struct rg_ws_reader reader = {.expects_mask = true};
    struct rg_ws_part part;
    struct rg_why why;
    bool has_part;
    char byte = (char)0xc1;
    (void)state;

    assert_int_equal(rg_ws_read(&reader, &byte, 1, &part, &has_part, &why), -1002);
    assert_true(strlen(why.text) > 0);
}

static void a_large_frame_is_announced_before_its_payload(void **state)
{
    char text[] = "\x82\xff\x7f\xff\xff\xff\xff\xff\xff\xff\0\0\0\0ab";
    struct rg_ws_reader reader = {.expects_mask = true};
    struct rg_ws_part part;
    bool has_part;
    (void)state;

    assert_int_equal(rg_ws_read(&reader, text, 14, &part, &has_part, NULL), 14);
    assert_true(has_part && part.starts_frame && !part.ends_frame);
    assert_int_equal(part.data.n, 0);
    assert_true(part.frame_left == INT64_MAX);
    assert_int_equal(rg_ws_read(&reader, text + 14, 2, &part, &has_part, NULL), 2);
    assert_true(has_part && !part.starts_frame && !part.ends_frame);
    assert_int_equal(part.data.n, 2);
    assert_true(part.frame_left == INT64_MAX - 2);
    assert_int_equal(rg_ws_read(&reader, text, 0, &part, &has_part, NULL), 0);
    assert_false(has_part);
}

/* Numbers that are the same in every run. */
static uint32_t next_random(uint32_t *seed)
{
    *seed = *seed * 1664525u + 1013904223u;
    return *seed >> 8;
}

/* Reads a single frame that arrives in random pieces into payload. */
static void read_in_random_pieces(struct rg_str frame, bool expects_mask, uint32_t *seed,
                                  struct rg_buf *payload)
{
    struct rg_ws_reader reader = {.expects_mask = expects_mask};
    bool has_ended = false;
    size_t at = 0;

    rg_buf_clear(payload);
    while (at < frame.n) {
        size_t n = 1 + next_random(seed) % (1 + next_random(seed) % 400);
        n = n < frame.n - at ? n : frame.n - at;
        struct rg_ws_part part;
        bool has_part;
        char *piece = rg_alloc(n);

        memcpy(piece, frame.p + at, n);
        assert_int_equal(rg_ws_read(&reader, piece, n, &part, &has_part, NULL), n);
        if (has_part) {
            rg_buf_add_str(payload, part.data);
            has_ended = part.ends_frame;
        }
        rg_free(piece);
        at += n;
    }
    assert_true(has_ended);
}

static void what_one_side_writes_the_other_reads_however_it_is_cut(void **state)
{
    static const size_t sizes[] = {0, 1, 7, 8, 9, 125, 126, 1000, 65535, 65536, 70001};
    struct rg_buf payload = {0};
    struct rg_buf frame = {0};
    struct rg_buf got = {0};
    uint32_t seed = 6455;
    (void)state;

    for (unsigned round = 0; round < 20 * RG_COUNT_OF(sizes); round++) {
        size_t n = sizes[round % RG_COUNT_OF(sizes)];
        bool is_masked = round % 3 != 0;
        rg_buf_clear(&payload);
        rg_buf_clear(&frame);
        for (size_t i = 0; i < n; i++)
            rg_buf_add_char(&payload, (char)next_random(&seed));
        rg_ws_add_frame(&frame, RG_WS_BINARY, rg_buf_str(&payload), is_masked);
        read_in_random_pieces(rg_buf_str(&frame), is_masked, &seed, &got);
        assert_true(rg_str_eq(rg_buf_str(&got), rg_buf_str(&payload)));
    }
    rg_buf_done(&payload);
    rg_buf_done(&frame);
    rg_buf_done(&got);
}

static void masks_differ_from_frame_to_frame(void **state)
{
    struct rg_buf a = {0};
    struct rg_buf b = {0};
    (void)state;

    for (int i = 0; i < 4; i++) {
        rg_ws_add_frame(&a, RG_WS_TEXT, RG_STR("same"), true);
        rg_ws_add_frame(&b, RG_WS_TEXT, RG_STR("same"), true);
    }
    assert_int_equal(a.n, b.n);
    assert_memory_not_equal(a.p, b.p, a.n);
    rg_buf_done(&a);
    rg_buf_done(&b);
}

static void check_close_frame(unsigned code, struct rg_str reason, struct rg_str expected)
{
    struct rg_buf out = {0};

    rg_ws_add_close(&out, code, reason, false);
    assert_true(rg_str_eq(rg_buf_str(&out), expected));
    rg_buf_done(&out);
}

static void close_frames_carry_code_and_reason(void **state)
{
    (void)state;
    check_close_frame(1000, RG_STR("bye"),
                      RG_STR("\x88\x05\x03\xe8"
                             "bye"));
    check_close_frame(1011, RG_STR(""), RG_STR("\x88\x02\x03\xf3"));
    check_close_frame(0, RG_STR("unused"), RG_STR("\x88\x00"));
}

static void a_long_reason_is_cut_between_characters(void **state)
{
    struct rg_buf reason = {0};
    struct rg_buf out = {0};
    unsigned code;
    struct rg_str text;
    (void)state;

    for (int i = 0; i < 61; i++)
        rg_buf_add_c(&reason, "\xc3\xbc");
    rg_buf_add_c(&reason, "\xe2\x82\xac"); /* would end at byte 125 */
    rg_ws_add_close(&out, 1000, rg_buf_str(&reason), false);
    assert_int_equal(out.n, 2 + 2 + 122);
    assert_int_equal(rg_ws_parse_close(rg_str_n(out.p + 2, out.n - 2), &code, &text), 0);
    assert_int_equal(text.n, 122);
    rg_buf_done(&reason);
    rg_buf_done(&out);
}

static int close_result(struct rg_str payload)
{
    unsigned code = 0;
    struct rg_str reason;
    int err = rg_ws_parse_close(payload, &code, &reason);

    return err < 0 ? err : (int)code;
}

static void close_payloads_are_checked(void **state)
{
    static const unsigned good[] = {1000, 1001, 1002, 1003, 1007, 1011, 1014, 3000, 3999, 4999};
    static const unsigned bad[] = {0, 999, 1004, 1005, 1006, 1015, 1016, 2000, 2999, 5000, 65535};
    (void)state;

    for (size_t i = 0; i < RG_COUNT_OF(good); i++) {
        char code[2] = {(char)(good[i] >> 8), (char)good[i]};
        assert_int_equal(close_result(rg_str_n(code, 2)), good[i]);
    }
    for (size_t i = 0; i < RG_COUNT_OF(bad); i++) {
        char code[2] = {(char)(bad[i] >> 8), (char)bad[i]};
        assert_int_equal(close_result(rg_str_n(code, 2)), -1002);
    }
    assert_int_equal(close_result(RG_STR("")), 1005);
    assert_int_equal(close_result(RG_STR("\x03")), -1002);
    assert_int_equal(close_result(RG_STR("\x03\xe8\xc3\xbc")), 1000);
    assert_int_equal(close_result(RG_STR("\x03\xe8\xc3")), -1007);
    assert_int_equal(close_result(RG_STR("\x03\xe8\xed\xa0\x80")), -1007);
}

static struct rg_request handshake;

static void set(const char *name, const char *value)
{
    for (size_t i = 0; i < handshake.fields_n; i++) {
        if (rg_str_eq(handshake.fields[i].name, rg_str_c(name)))
            handshake.fields[i].value = rg_str_c(value);
    }
}

static void add(const char *name, const char *value)
{
    handshake.fields[handshake.fields_n++] =
        (struct rg_http_field){rg_str_c(name), rg_str_c(value)};
}

static void given_handshake(void)
{
    handshake.method = RG_GET;
    handshake.minor = 1;
    handshake.fields_n = 0;
    add("Connection", "keep-alive, Upgrade");
    add("Upgrade", "WebSocket");
    add("Sec-WebSocket-Version", "13");
    add("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ==");
}

static void check_handshake(int expected)
{
    char accept[RG_WS_ACCEPT_SIZE];
    struct rg_why why;
    int result = rg_ws_check_handshake(&handshake, accept, &why);

    if (result != expected)
        fail_msg("%d instead of %d", result, expected);
    if (result == 0)
        assert_string_equal(accept, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    given_handshake();
}

/* RFC 6455 section 1.3. */
static void the_handshake_of_the_rfc_is_accepted(void **state)
{
    (void)state;
    given_handshake();
    check_handshake(0);
    set("Sec-WebSocket-Version", "8");
    check_handshake(0);
    set("Sec-WebSocket-Version", "7");
    check_handshake(0);
    set("Upgrade", "h2c, websocket");
    check_handshake(0);
    add("Sec-WebSocket-Extensions", "x-unknown; a=1, permessage-deflate; b");
    check_handshake(0);
}

static void what_is_no_upgrade_is_answered_426(void **state)
{
    (void)state;
    given_handshake();
    handshake.fields_n = 0;
    check_handshake(-426);
    set("Connection", "close");
    check_handshake(-426);
    set("Upgrade", "h2c");
    check_handshake(-426);
    handshake.minor = 0;
    check_handshake(-426);
}

static void a_bad_upgrade_is_answered_400(void **state)
{
    static const char *const keys[] = {
        "",
        "dGhlIHNhbXBsZSBub25jZQ=",
        "dGhlIHNhbXBsZSBub25jZQ",
        "dGhlIHNhbXBsZSBub25jZQ===",
        "dGhlIHNhbXBsZSBub25jZQAA",
        "dGhlIHNhbXBsZSBub25j=Q==",
        "dGhl-HNhbXBsZSBub25jZQ==",
    };
    (void)state;

    given_handshake();
    for (size_t i = 0; i < RG_COUNT_OF(keys); i++) {
        set("Sec-WebSocket-Key", keys[i]);
        check_handshake(-400);
    }
    handshake.fields_n--;
    check_handshake(-400);
    add("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ==");
    check_handshake(-400);
    set("Sec-WebSocket-Version", "12");
    check_handshake(-400);
    set("Sec-WebSocket-Version", "");
    check_handshake(-400);
    add("Sec-WebSocket-Version", "13");
    check_handshake(-400);
    handshake.method = RG_POST;
    check_handshake(-400);
    add("Sec-WebSocket-Extensions", "permessage-deflate;");
    check_handshake(-400);
}

/* RFC 8441 section 5. */
static void over_http2_a_websocket_needs_no_upgrade_and_no_key(void **state)
{
    struct rg_request req = {.method = RG_GET, .is_h2 = true, .minor = 1};
    char accept[RG_WS_ACCEPT_SIZE] = "x";

    (void)state;
    req.protocol = RG_STR("websocket");
    req.fields[0] = (struct rg_http_field){RG_STR("sec-websocket-version"), RG_STR("13")};
    req.fields_n = 1;
    assert_int_equal(rg_ws_check_handshake(&req, accept, NULL), 0);
    assert_string_equal(accept, "");
    req.fields[1] =
        (struct rg_http_field){RG_STR("sec-websocket-extensions"), RG_STR("permessage-deflate;")};
    req.fields_n = 2;
    assert_int_equal(rg_ws_check_handshake(&req, accept, NULL), -400);
    req.fields_n = 1;
    req.fields[0].value = RG_STR("8");
    assert_int_equal(rg_ws_check_handshake(&req, accept, NULL), -400);
    req.fields[0].value = RG_STR("13");
    req.protocol = (struct rg_str){NULL, 0};
    assert_int_equal(rg_ws_check_handshake(&req, accept, NULL), -400);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(examples_of_the_rfc_are_read),
        cmocka_unit_test(examples_of_the_rfc_are_written),
        cmocka_unit_test(headers_use_the_shortest_length),
        cmocka_unit_test(control_frames_may_stand_between_fragments),
        cmocka_unit_test(violations_are_refused),
        cmocka_unit_test(rsv1_is_for_the_first_frame_of_a_message),
        cmocka_unit_test(a_violation_is_seen_at_its_first_byte),
        cmocka_unit_test(a_large_frame_is_announced_before_its_payload),
        cmocka_unit_test(what_one_side_writes_the_other_reads_however_it_is_cut),
        cmocka_unit_test(masks_differ_from_frame_to_frame),
        cmocka_unit_test(close_frames_carry_code_and_reason),
        cmocka_unit_test(a_long_reason_is_cut_between_characters),
        cmocka_unit_test(close_payloads_are_checked),
        cmocka_unit_test(the_handshake_of_the_rfc_is_accepted),
        cmocka_unit_test(what_is_no_upgrade_is_answered_426),
        cmocka_unit_test(a_bad_upgrade_is_answered_400),
        cmocka_unit_test(over_http2_a_websocket_needs_no_upgrade_and_no_key),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
