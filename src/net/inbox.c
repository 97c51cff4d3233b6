/*
 * A wait-free queue (liburcu's wfcqueue): putting is one exchange of the tail. The owner
 * splices the whole queue onto a private one and works through that, so it touches the
 * shared tail once per batch instead of once per item.
 */
#include "net/inbox.h"

#include "base/rcu.h"

void rg_inbox_init(struct rg_inbox *inbox, size_t max_bytes)
{
    inbox->max_bytes = max_bytes;
    atomic_init(&inbox->queued_bytes, 0);
    __cds_wfcq_init(&inbox->head, &inbox->tail);
    __cds_wfcq_init(&inbox->taken_head, &inbox->taken_tail);
}

bool rg_inbox_put(struct rg_inbox *inbox, struct rg_inbox_item *item, rg_inbox_fn *run,
                  size_t bytes)
{
    cds_wfcq_node_init(&item->node);
    item->run = run;
    item->bytes = bytes;
    atomic_fetch_add_explicit(&inbox->queued_bytes, bytes, memory_order_relaxed);
    RG_TSAN_RELEASE(item);
    return !cds_wfcq_enqueue(&inbox->head, &inbox->tail, &item->node);
}

bool rg_inbox_drain(struct rg_inbox *inbox, void *ctx, size_t max_items)
{
    size_t bytes = 0;

    __cds_wfcq_splice_blocking(&inbox->taken_head, &inbox->taken_tail, &inbox->head, &inbox->tail);
    for (size_t i = 0; i < max_items; i++) {
        struct cds_wfcq_node *node =
            __cds_wfcq_dequeue_blocking(&inbox->taken_head, &inbox->taken_tail);
        if (node == NULL)
            break;
        struct rg_inbox_item *item = RG_CONTAINER_OF(node, struct rg_inbox_item, node);
        RG_TSAN_ACQUIRE(item);
        bytes += item->bytes;
        inbox->is_alone = i == 0 && cds_wfcq_empty(&inbox->taken_head, &inbox->taken_tail);
        item->run(item, ctx);
    }
    atomic_fetch_sub_explicit(&inbox->queued_bytes, bytes, memory_order_relaxed);
    return !cds_wfcq_empty(&inbox->taken_head, &inbox->taken_tail);
}
