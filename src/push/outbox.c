#include "push/outbox.h"

#include "base/alloc.h"

#define FIRST_CAP_LOG2 3

static uint32_t capacity(const struct rg_outbox *box)
{
    return box->ring != NULL ? 1u << box->cap_log2 : 1;
}

static struct rg_msg **slot(struct rg_outbox *box, uint32_t i)
{
    if (box->ring == NULL)
        return &box->single;
    return &box->ring[(box->head + i) & (capacity(box) - 1)];
}

static void grow(struct rg_outbox *box)
{
    uint32_t log2 = box->ring != NULL ? box->cap_log2 + 1 : FIRST_CAP_LOG2;
    struct rg_msg **ring = rg_realloc_array(NULL, (size_t)1 << log2, sizeof(ring[0]));

    for (uint32_t i = 0; i < box->n; i++)
        ring[i] = *slot(box, i);
    rg_free(box->ring);
    box->ring = ring;
    box->cap_log2 = log2;
    box->head = 0;
}

static void drop_last(struct rg_outbox *box)
{
    struct rg_msg **last = slot(box, box->n - 1);

    box->bytes -= (*last)->n;
    box->n--;
    rg_msg_unref(last);
}

void rg_outbox_done(struct rg_outbox *box)
{
    while (box->n > 0)
        drop_last(box);
    rg_free(box->ring);
    *box = (struct rg_outbox){0};
}

int rg_outbox_put(struct rg_outbox *box, struct rg_msg *msg, size_t max_bytes)
{
    if (box->n > 0 && box->bytes + msg->n > max_bytes)
        return RG_EFULL;
    if (box->n == capacity(box))
        grow(box);
    *slot(box, box->n) = rg_msg_ref(msg);
    box->n++;
    box->bytes += msg->n;
    return 0;
}

int rg_outbox_peek(const struct rg_outbox *box, struct iovec *iov, int max)
{
    int n = 0;

    for (uint32_t i = 0; i < box->n && n < max; i++, n++) {
        const struct rg_msg *msg = *slot((struct rg_outbox *)box, i);
        uint32_t skip = i == 0 ? box->sent : 0;
        iov[n].iov_base = (char *)msg->p + skip;
        iov[n].iov_len = msg->n - skip;
    }
    return n;
}

void rg_outbox_consume(struct rg_outbox *box, size_t n)
{
    n += box->sent;
    while (box->n > 0 && n >= (*slot(box, 0))->n) {
        struct rg_msg **first = slot(box, 0);
        n -= (*first)->n;
        box->bytes -= (*first)->n;
        rg_msg_unref(first);
        box->n--;
        box->head++;
    }
    box->sent = (uint32_t)n;
}

size_t rg_outbox_truncate(struct rg_outbox *box)
{
    uint32_t keep = box->sent > 0 ? 1 : 0;
    size_t dropped = 0;

    while (box->n > keep) {
        drop_last(box);
        dropped++;
    }
    return dropped;
}

void rg_outbox_shrink(struct rg_outbox *box)
{
    if (box->n > 0 || box->ring == NULL)
        return;
    rg_free(box->ring);
    *box = (struct rg_outbox){0};
}
