#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "push/compression.h"
#include "push/msg.h"

#define TEXT  "{\"specversion\":\"0.2\",\"type\":\"t\",\"source\":\"/s\",\"id\":\"e1\"}"
#define SSE   "event: t\ndata: " TEXT "\n\n"
#define CHUNK "49\r\n" SSE "\r\n"
#define FRAME "\x81\x38" TEXT
#define PIECE "\0\x49\0\xb6\xff" SSE /* stored in a gzip stream */

static struct rg_event *make_event(void)
{
    const struct rg_envelope envelope = {
        .text = RG_STR(TEXT), .type = RG_STR("t"), .id = RG_STR("e1")};
    const struct rg_origin origin = {.partition = -1, .offset = -1, .broker_ms = -1};

    return rg_event_new(&envelope, &origin, NULL, 0, 1);
}

static void assert_bytes(const struct rg_msg *msg, struct rg_str want)
{
    assert_int_equal(msg->n, want.n);
    assert_memory_equal(msg->p, want.p, want.n);
}

static const struct {
    enum rg_encoding encoding;
    struct rg_str bytes;
} encodings[] = {
    {RG_ENC_SSE_CHUNKED, {CHUNK, sizeof(CHUNK) - 1}},
    {RG_ENC_SSE_PLAIN, {SSE, sizeof(SSE) - 1}},
    {RG_ENC_SSE_GZIP_CHUNKED, {"4e\r\n" PIECE "\r\n", sizeof("4e\r\n" PIECE "\r\n") - 1}},
    {RG_ENC_SSE_GZIP_PLAIN, {PIECE, sizeof(PIECE) - 1}},
    {RG_ENC_WS, {FRAME, sizeof(FRAME) - 1}},
    {RG_ENC_WS_DEFLATE, {FRAME, sizeof(FRAME) - 1}},
    {RG_ENC_JSON, {TEXT, sizeof(TEXT) - 1}},
};

static void an_event_has_the_bytes_of_each_encoding(void **state)
{
    struct rg_event *event = make_event();
    struct rg_compressor *compressor = rg_compressor_new(sizeof(TEXT));

    (void)state;
    for (size_t i = 0; i < RG_COUNT_OF(encodings); i++) {
        struct rg_msg *msg = rg_msg_from_event(event, encodings[i].encoding, compressor);
        assert_bytes(msg, encodings[i].bytes);
        assert_true(rg_str_eq(msg->id, RG_STR("e1")));
        rg_msg_unref(&msg);
    }
    rg_event_unref(&event);
    rg_compressor_free(&compressor);
}

static void only_pieces_of_a_gzip_stream_have_a_sum(void **state)
{
    struct rg_event *event = make_event();
    struct rg_compressor *compressor = rg_compressor_new(0);

    (void)state;
    for (size_t i = 0; i < RG_COUNT_OF(encodings); i++) {
        enum rg_encoding e = encodings[i].encoding;
        uint32_t n = e == RG_ENC_SSE_GZIP_CHUNKED || e == RG_ENC_SSE_GZIP_PLAIN ? strlen(SSE) : 0;
        struct rg_msg *a = rg_msg_from_event(event, e, compressor);
        struct rg_msg *b = rg_msg_from_json(e, RG_STR("t"), RG_STR("e1"), RG_STR(TEXT));
        assert_int_equal(a->sum.n, n);
        assert_memory_equal(&a->sum, &b->sum, sizeof(a->sum));
        rg_msg_unref(&a);
        rg_msg_unref(&b);
    }
    rg_event_unref(&event);
    rg_compressor_free(&compressor);
}

static void small_events_share_the_frame_of_all_websockets(void **state)
{
    struct rg_event *event = make_event();
    struct rg_compressor *compressor = rg_compressor_new(sizeof(TEXT));
    struct rg_msg *plain = rg_msg_from_event(event, RG_ENC_WS, NULL);
    struct rg_msg *deflate = rg_msg_from_event(event, RG_ENC_WS_DEFLATE, compressor);

    (void)state;
    assert_ptr_equal(plain->p, deflate->p);
    rg_msg_unref(&plain);
    rg_msg_unref(&deflate);
    rg_event_unref(&event);
    rg_compressor_free(&compressor);
}

static void comments_fit_into_each_kind_of_stream(void **state)
{
    static const struct {
        enum rg_encoding encoding;
        struct rg_str bytes;
    } cases[] = {
        {RG_ENC_SSE_CHUNKED, {"4\r\n: \n\n\r\n", 9}},
        {RG_ENC_SSE_PLAIN, {": \n\n", 4}},
        {RG_ENC_SSE_GZIP_CHUNKED, {"9\r\n\0\4\0\xfb\xff: \n\n\r\n", 14}},
        {RG_ENC_SSE_GZIP_PLAIN, {"\0\4\0\xfb\xff: \n\n", 9}},
    };

    (void)state;
    for (size_t i = 0; i < RG_COUNT_OF(cases); i++) {
        struct rg_msg *msg = rg_msg_from_sse(cases[i].encoding, RG_STR(": \n\n"));
        assert_bytes(msg, cases[i].bytes);
        rg_msg_unref(&msg);
    }
}

static void json_of_our_own_is_encoded_the_same_way(void **state)
{
    (void)state;
    for (size_t i = 0; i < RG_COUNT_OF(encodings); i++) {
        char json[] = TEXT, id[] = "e1";
        struct rg_msg *msg =
            rg_msg_from_json(encodings[i].encoding, RG_STR("t"), rg_str_c(id), rg_str_c(json));
        /* The message has copies. */
        memset(json, 0, sizeof(json));
        memset(id, 0, sizeof(id));
        assert_bytes(msg, encodings[i].bytes);
        assert_true(rg_str_eq(msg->id, RG_STR("e1")));
        assert_null(msg->event);
        rg_msg_unref(&msg);
    }
}

static void messages_of_one_event_share_its_bytes(void **state)
{
    struct rg_event *event = make_event();
    struct rg_msg *a = rg_msg_from_event(event, RG_ENC_SSE_CHUNKED, NULL);
    struct rg_msg *b = rg_msg_from_event(event, RG_ENC_SSE_CHUNKED, NULL);
    struct rg_msg *plain = rg_msg_from_event(event, RG_ENC_SSE_PLAIN, NULL);

    (void)state;
    assert_ptr_equal(a->p, b->p);
    assert_true(plain->p > a->p && plain->p < a->p + a->n);
    rg_msg_unref(&a);
    rg_msg_unref(&b);
    rg_msg_unref(&plain);
    rg_event_unref(&event);
}

static void a_message_keeps_its_event(void **state)
{
    struct rg_event *event = make_event();
    struct rg_msg *msg = rg_msg_from_event(event, RG_ENC_WS, NULL);

    (void)state;
    assert_int_equal(atomic_load(&event->refs), 2);
    rg_event_unref(&event);
    assert_bytes(msg, RG_STR(FRAME));
    assert_int_equal(atomic_load(&msg->event->refs), 1);
    rg_msg_unref(&msg);
}

static void references_to_a_message_are_not_references_to_its_event(void **state)
{
    struct rg_event *event = make_event();
    struct rg_msg *msg = rg_msg_from_event(event, RG_ENC_JSON, NULL);
    struct rg_msg *other = rg_msg_ref(msg);

    (void)state;
    assert_ptr_equal(other, msg);
    assert_int_equal(atomic_load(&event->refs), 2);
    rg_msg_unref(&msg);
    assert_null(msg);
    assert_int_equal(atomic_load(&event->refs), 2);
    assert_bytes(other, RG_STR(TEXT));
    rg_msg_unref(&other);
    assert_int_equal(atomic_load(&event->refs), 1);
    rg_event_unref(&event);
}

static void raw_bytes_are_copied_as_they_are(void **state)
{
    char bytes[] = {0, 1, '\r', '\n', 0};
    struct rg_msg *msg = rg_msg_from_bytes(bytes, sizeof(bytes));
    struct rg_msg *nothing = rg_msg_from_bytes(NULL, 0);

    (void)state;
    memset(bytes, 'x', sizeof(bytes));
    assert_bytes(msg, RG_STR("\0\1\r\n\0"));
    assert_int_equal(msg->id.n, 0);
    assert_int_equal(nothing->n, 0);
    rg_msg_unref(&msg);
    rg_msg_unref(&nothing);
    rg_msg_unref(&nothing);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_event_has_the_bytes_of_each_encoding),
        cmocka_unit_test(only_pieces_of_a_gzip_stream_have_a_sum),
        cmocka_unit_test(small_events_share_the_frame_of_all_websockets),
        cmocka_unit_test(comments_fit_into_each_kind_of_stream),
        cmocka_unit_test(json_of_our_own_is_encoded_the_same_way),
        cmocka_unit_test(messages_of_one_event_share_its_bytes),
        cmocka_unit_test(a_message_keeps_its_event),
        cmocka_unit_test(references_to_a_message_are_not_references_to_its_event),
        cmocka_unit_test(raw_bytes_are_copied_as_they_are),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
