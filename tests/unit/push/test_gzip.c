#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "gunzip.h"
#include "push/gzip.h"

struct piece {
    struct rg_str text;
    struct rg_gzip_sum sum;
    struct rg_buf bytes;
};

static struct rg_deflater *deflater;

static int setup(void **state)
{
    (void)state;
    deflater = rg_deflater_new();
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    rg_deflater_free(&deflater);
    return 0;
}

static struct piece stored(struct rg_str text)
{
    struct piece piece = {.text = text, .sum = rg_gzip_sum(text)};

    rg_gzip_add_stored(&piece.bytes, text);
    return piece;
}

static struct piece deflated(struct rg_str text)
{
    struct piece piece = {.text = text, .sum = rg_gzip_sum(text)};

    rg_gzip_add_deflated(&piece.bytes, text, deflater);
    return piece;
}

/* One client's stream of these pieces is a valid gzip file with their texts in it. */
static void check_stream(struct piece *const *pieces, size_t n)
{
    struct rg_gzip_total total = {0};
    struct rg_buf stream = {0}, want = {0}, got = {0};

    rg_gzip_add_header(&stream);
    for (size_t i = 0; i < n; i++) {
        rg_buf_add_str(&stream, rg_buf_str(&pieces[i]->bytes));
        rg_buf_add_str(&want, pieces[i]->text);
        rg_gzip_count(&total, &pieces[i]->sum);
        /* All that was sent so far can be read before more comes. */
        rg_buf_clear(&got);
        assert_int_equal(gunzip(rg_buf_str(&stream), &got), 0);
        assert_true(rg_str_eq(rg_buf_str(&got), rg_buf_str(&want)));
    }
    rg_gzip_add_end(&stream, &total);
    rg_buf_clear(&got);
    assert_int_equal(gunzip(rg_buf_str(&stream), &got), 1);
    assert_true(rg_str_eq(rg_buf_str(&got), rg_buf_str(&want)));
    rg_buf_done(&stream);
    rg_buf_done(&want);
    rg_buf_done(&got);
}

static void any_run_of_pieces_is_a_stream(void **state)
{
    struct piece pieces[] = {
        stored(RG_STR(": heartbeat\n\n")),
        deflated(RG_STR("event: a\ndata: abc abc abc abc abc abc abc abc abc abc abc abc abc\n\n")),
        deflated(RG_STR("event: b\ndata: abc abc abc abc abc abc abc abc abc abc abc abc\n\n")),
        stored(RG_STR("event: c\ndata: {}\n\n")),
        deflated(RG_STR("x")),
        stored(RG_STR("")),
    };
    unsigned seed = 1;

    (void)state;
    check_stream(NULL, 0);
    for (int round = 0; round < 200; round++) {
        struct piece *some[12];
        size_t n = 1 + (size_t)round % RG_COUNT_OF(some);
        for (size_t i = 0; i < n; i++) {
            seed = seed * 1664525u + 1013904223u;
            some[i] = &pieces[(seed >> 8) % RG_COUNT_OF(pieces)];
        }
        check_stream(some, n);
    }
    for (size_t i = 0; i < RG_COUNT_OF(pieces); i++)
        rg_buf_done(&pieces[i].bytes);
}

static void what_does_not_shrink_is_stored(void **state)
{
    struct piece a = deflated(RG_STR("q7")), b = stored(RG_STR("q7"));
    char *noise = rg_alloc(5000);
    unsigned seed = 7;

    (void)state;
    assert_true(rg_str_eq(rg_buf_str(&a.bytes), rg_buf_str(&b.bytes)));
    for (int i = 0; i < 5000; i++) {
        seed = seed * 1664525u + 1013904223u;
        noise[i] = (char)(seed >> 24);
    }
    struct piece c = deflated(rg_str_n(noise, 5000));
    assert_int_equal(c.bytes.n, 5005);
    struct piece *all[] = {&a, &b, &c};
    check_stream(all, 3);
    rg_buf_done(&a.bytes);
    rg_buf_done(&b.bytes);
    rg_buf_done(&c.bytes);
    rg_free(noise);
}

static void long_texts_are_stored_in_several_blocks(void **state)
{
    static const size_t sizes[] = {65534, 65535, 65536, 131070, 131071, 300000};
    char *text = rg_alloc(300000);

    (void)state;
    for (size_t i = 0; i < 300000; i++)
        text[i] = (char)('a' + i % 26);
    for (size_t i = 0; i < RG_COUNT_OF(sizes); i++) {
        struct piece a = stored(rg_str_n(text, sizes[i])), b = deflated(a.text);
        struct piece *both[] = {&a, &b};
        assert_int_equal(a.bytes.n, sizes[i] + 5 * ((sizes[i] + 65534) / 65535));
        assert_true(b.bytes.n < sizes[i] / 10);
        check_stream(both, 2);
        rg_buf_done(&a.bytes);
        rg_buf_done(&b.bytes);
    }
    rg_free(text);
}

static void the_total_is_that_of_the_whole_text(void **state)
{
    struct rg_gzip_total total = {0};
    struct rg_buf text = {0};

    (void)state;
    for (int i = 0; i < 100; i++) {
        size_t before = text.n;
        rg_buf_addf(&text, "%*d", i * 7, i);
        struct rg_gzip_sum sum = rg_gzip_sum(rg_str_n(text.p + before, text.n - before));
        rg_gzip_count(&total, &sum);
        assert_int_equal(total.n, text.n);
        assert_int_equal(total.crc, crc32(0, (const Bytef *)text.p, (uInt)text.n));
    }
    rg_buf_done(&text);
}

#define WITH_DEFLATER(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_DEFLATER(any_run_of_pieces_is_a_stream),
        WITH_DEFLATER(what_does_not_shrink_is_stored),
        WITH_DEFLATER(long_texts_are_stored_in_several_blocks),
        cmocka_unit_test(the_total_is_that_of_the_whole_text),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
