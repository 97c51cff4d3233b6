#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/buf.h"
#include "push/outbox.h"

#define NO_LIMIT SIZE_MAX

/* A message of n bytes, each of which is fill. */
static struct rg_msg *message(size_t n, char fill)
{
    char bytes[4096];

    assert_true(n <= sizeof(bytes));
    memset(bytes, fill, n);
    return rg_msg_from_bytes(bytes, n);
}

/* Puts a message that only the outbox holds on to. */
static int put(struct rg_outbox *box, size_t n, char fill, size_t max_bytes)
{
    struct rg_msg *msg = message(n, fill);
    int err = rg_outbox_put(box, msg, max_bytes);

    rg_msg_unref(&msg);
    return err;
}

/* Everything that is still to be sent, as text. */
static char *waiting(const struct rg_outbox *box)
{
    static char text[8192];
    struct iovec iov[256];
    int n = rg_outbox_peek(box, iov, 256);
    size_t at = 0;

    for (int i = 0; i < n; i++) {
        assert_true(at + iov[i].iov_len < sizeof(text));
        memcpy(text + at, iov[i].iov_base, iov[i].iov_len);
        at += iov[i].iov_len;
    }
    text[at] = '\0';
    return text;
}

static void messages_come_out_in_order(void **state)
{
    struct rg_outbox box = {0};

    (void)state;
    assert_string_equal(waiting(&box), "");
    put(&box, 2, 'a', NO_LIMIT);
    put(&box, 1, 'b', NO_LIMIT);
    put(&box, 3, 'c', NO_LIMIT);
    assert_string_equal(waiting(&box), "aabccc");
    assert_int_equal(box.n, 3);
    assert_int_equal(box.bytes, 6);
    rg_outbox_done(&box);
}

static void the_outbox_has_a_reference_of_its_own(void **state)
{
    struct rg_outbox box = {0};
    struct rg_msg *msg = message(4, 'm');

    (void)state;
    assert_int_equal(rg_outbox_put(&box, msg, NO_LIMIT), 0);
    assert_int_equal(msg->refs, 2);
    rg_outbox_consume(&box, 4);
    assert_int_equal(msg->refs, 1);
    assert_int_equal(rg_outbox_put(&box, msg, NO_LIMIT), 0);
    assert_int_equal(rg_outbox_put(&box, msg, NO_LIMIT), 0);
    assert_int_equal(msg->refs, 3);
    rg_outbox_done(&box);
    assert_int_equal(msg->refs, 1);
    rg_msg_unref(&msg);
}

static void full_outbox_refuses_and_keeps_what_it_has(void **state)
{
    struct rg_outbox box = {0};
    struct rg_msg *msg = message(5, 'x');

    (void)state;
    assert_int_equal(put(&box, 6, 'a', 10), 0);
    assert_int_equal(rg_outbox_put(&box, msg, 10), RG_EFULL);
    assert_int_equal(msg->refs, 1);
    assert_int_equal(box.n, 1);
    assert_int_equal(box.bytes, 6);
    assert_string_equal(waiting(&box), "aaaaaa");
    /* Exactly full is not too full. */
    assert_int_equal(put(&box, 4, 'b', 10), 0);
    assert_int_equal(put(&box, 1, 'c', 10), RG_EFULL);
    assert_string_equal(waiting(&box), "aaaaaabbbb");
    rg_msg_unref(&msg);
    rg_outbox_done(&box);
}

static void an_empty_outbox_takes_any_message(void **state)
{
    struct rg_outbox box = {0};

    (void)state;
    assert_int_equal(put(&box, 100, 'a', 10), 0);
    assert_int_equal(put(&box, 1, 'b', 10), RG_EFULL);
    rg_outbox_consume(&box, 100);
    assert_int_equal(put(&box, 11, 'c', 10), 0);
    assert_string_equal(waiting(&box), "ccccccccccc");
    rg_outbox_done(&box);
}

static void a_partly_sent_message_counts_in_full_until_it_is_out(void **state)
{
    struct rg_outbox box = {0};

    (void)state;
    put(&box, 8, 'a', 10);
    rg_outbox_consume(&box, 7);
    assert_int_equal(put(&box, 3, 'b', 10), RG_EFULL);
    rg_outbox_consume(&box, 1);
    assert_int_equal(put(&box, 3, 'b', 10), 0);
    rg_outbox_done(&box);
}

static void what_was_sent_is_not_given_again(void **state)
{
    struct rg_outbox box = {0};

    (void)state;
    put(&box, 3, 'a', NO_LIMIT);
    put(&box, 3, 'b', NO_LIMIT);
    put(&box, 3, 'c', NO_LIMIT);
    rg_outbox_consume(&box, 2);
    assert_string_equal(waiting(&box), "abbbccc");
    rg_outbox_consume(&box, 2);
    assert_string_equal(waiting(&box), "bbccc");
    assert_int_equal(box.n, 2);
    assert_int_equal(box.bytes, 6);
    rg_outbox_consume(&box, 2);
    assert_string_equal(waiting(&box), "ccc");
    assert_int_equal(box.sent, 0);
    rg_outbox_consume(&box, 3);
    assert_string_equal(waiting(&box), "");
    assert_int_equal(box.n, 0);
    assert_int_equal(box.bytes, 0);
    rg_outbox_done(&box);
}

static void peek_gives_no_more_entries_than_asked_for(void **state)
{
    struct rg_outbox box = {0};
    struct iovec iov[3] = {0};

    (void)state;
    for (char c = 'a'; c < 'k'; c++)
        put(&box, 2, c, NO_LIMIT);
    rg_outbox_consume(&box, 1);
    assert_int_equal(rg_outbox_peek(&box, iov, 2), 2);
    assert_int_equal(iov[0].iov_len, 1);
    assert_int_equal(iov[1].iov_len, 2);
    assert_memory_equal(iov[1].iov_base, "bb", 2);
    assert_null(iov[2].iov_base);
    rg_outbox_done(&box);
}

static void one_message_needs_no_ring(void **state)
{
    struct rg_outbox box = {0};

    (void)state;
    for (int i = 0; i < 20; i++) {
        put(&box, 2, 'a', NO_LIMIT);
        assert_null(box.ring);
        rg_outbox_consume(&box, 2);
    }
    put(&box, 2, 'a', NO_LIMIT);
    put(&box, 2, 'b', NO_LIMIT);
    assert_non_null(box.ring);
    assert_string_equal(waiting(&box), "aabb");
    rg_outbox_done(&box);
}

static void truncate_keeps_the_partly_sent_message(void **state)
{
    struct rg_outbox box = {0};

    (void)state;
    put(&box, 3, 'a', NO_LIMIT);
    put(&box, 3, 'b', NO_LIMIT);
    put(&box, 3, 'c', NO_LIMIT);
    rg_outbox_consume(&box, 4);
    assert_int_equal(rg_outbox_truncate(&box), 1);
    assert_string_equal(waiting(&box), "bb");
    assert_int_equal(box.bytes, 3);
    put(&box, 1, 'd', NO_LIMIT);
    assert_string_equal(waiting(&box), "bbd");
    rg_outbox_done(&box);
}

static void truncate_drops_everything_of_which_no_byte_is_out(void **state)
{
    struct rg_outbox box = {0};

    (void)state;
    assert_int_equal(rg_outbox_truncate(&box), 0);
    put(&box, 3, 'a', NO_LIMIT);
    put(&box, 3, 'b', NO_LIMIT);
    rg_outbox_consume(&box, 3);
    assert_int_equal(rg_outbox_truncate(&box), 1);
    assert_string_equal(waiting(&box), "");
    assert_int_equal(box.bytes, 0);
    put(&box, 1, 'c', NO_LIMIT);
    assert_string_equal(waiting(&box), "c");
    rg_outbox_done(&box);
}

static void an_empty_outbox_gives_its_ring_back(void **state)
{
    struct rg_outbox box = {0};

    (void)state;
    for (int i = 0; i < 40; i++)
        put(&box, 1, 'a', NO_LIMIT);
    rg_outbox_consume(&box, 39);
    rg_outbox_shrink(&box);
    assert_non_null(box.ring);
    assert_string_equal(waiting(&box), "a");
    rg_outbox_consume(&box, 1);
    rg_outbox_shrink(&box);
    assert_null(box.ring);
    rg_outbox_shrink(&box);
    put(&box, 1, 'b', NO_LIMIT);
    put(&box, 1, 'c', NO_LIMIT);
    assert_string_equal(waiting(&box), "bc");
    rg_outbox_done(&box);
}

static void done_leaves_an_empty_outbox(void **state)
{
    struct rg_outbox box = {0};

    (void)state;
    for (int i = 0; i < 10; i++)
        put(&box, 5, 'a', NO_LIMIT);
    rg_outbox_consume(&box, 7);
    rg_outbox_done(&box);
    assert_int_equal(box.n, 0);
    assert_int_equal(box.bytes, 0);
    put(&box, 1, 'b', NO_LIMIT);
    assert_string_equal(waiting(&box), "b");
    rg_outbox_done(&box);
    rg_outbox_done(&box);
}

/* ---- against plain text and a list of lengths ---- */

enum {
    MODEL_STEPS = 50000,
    MODEL_MSGS = 64,
    MODEL_MAX_BYTES = 700
};

struct model {
    size_t lengths[MODEL_MSGS + 1]; /* of the messages that wait, the first one in full */
    size_t n, sent, bytes;
    struct rg_buf text; /* what must still come out */
};

static void model_put(struct model *m, struct rg_outbox *box, size_t n, char fill)
{
    bool fits = m->n == 0 || m->bytes + n <= MODEL_MAX_BYTES;

    if (m->n == MODEL_MSGS)
        return;
    assert_int_equal(put(box, n, fill, MODEL_MAX_BYTES), fits ? 0 : RG_EFULL);
    if (!fits)
        return;
    m->lengths[m->n++] = n;
    m->bytes += n;
    for (size_t i = 0; i < n; i++)
        rg_buf_add_char(&m->text, fill);
}

static void model_consume(struct model *m, struct rg_outbox *box, size_t n)
{
    rg_outbox_consume(box, n);
    rg_buf_consume(&m->text, n);
    m->sent += n;
    while (m->n > 0 && m->sent >= m->lengths[0]) {
        m->sent -= m->lengths[0];
        m->bytes -= m->lengths[0];
        m->n--;
        memmove(m->lengths, m->lengths + 1, m->n * sizeof(m->lengths[0]));
    }
}

static void model_truncate(struct model *m, struct rg_outbox *box)
{
    size_t keep = m->sent > 0 ? 1 : 0;

    assert_int_equal(rg_outbox_truncate(box), m->n - (m->n > 0 ? keep : 0));
    m->n = m->n > 0 ? keep : 0;
    m->bytes = m->n > 0 ? m->lengths[0] : 0;
    m->text.n = m->bytes - m->sent;
}

static void model_check(const struct model *m, const struct rg_outbox *box)
{
    assert_int_equal(box->n, m->n);
    assert_int_equal(box->bytes, m->bytes);
    assert_int_equal(box->sent, m->sent);
    assert_int_equal(strlen(waiting(box)), m->text.n);
    if (m->text.n > 0)
        assert_memory_equal(waiting(box), m->text.p, m->text.n);
}

static void random_operations_agree_with_plain_text(void **state)
{
    struct rg_outbox box = {0};
    struct model m = {0};
    unsigned short seed[3] = {1, 2, 3};

    (void)state;
    for (size_t i = 0; i < MODEL_STEPS; i++) {
        unsigned r = (unsigned)nrand48(seed) % 100;
        size_t size = 1 + (size_t)nrand48(seed) % 40;
        if (r < 55)
            model_put(&m, &box, size, (char)('a' + i % 26));
        else if (r < 96)
            model_consume(&m, &box, m.text.n > 0 ? (size_t)nrand48(seed) % (m.text.n + 1) : 0);
        else if (r < 98)
            model_truncate(&m, &box);
        else
            rg_outbox_shrink(&box);
        model_check(&m, &box);
    }
    rg_buf_done(&m.text);
    rg_outbox_done(&box);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(messages_come_out_in_order),
        cmocka_unit_test(the_outbox_has_a_reference_of_its_own),
        cmocka_unit_test(full_outbox_refuses_and_keeps_what_it_has),
        cmocka_unit_test(an_empty_outbox_takes_any_message),
        cmocka_unit_test(a_partly_sent_message_counts_in_full_until_it_is_out),
        cmocka_unit_test(what_was_sent_is_not_given_again),
        cmocka_unit_test(peek_gives_no_more_entries_than_asked_for),
        cmocka_unit_test(one_message_needs_no_ring),
        cmocka_unit_test(truncate_keeps_the_partly_sent_message),
        cmocka_unit_test(truncate_drops_everything_of_which_no_byte_is_out),
        cmocka_unit_test(an_empty_outbox_gives_its_ring_back),
        cmocka_unit_test(done_leaves_an_empty_outbox),
        cmocka_unit_test(random_operations_agree_with_plain_text),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
