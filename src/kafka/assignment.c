/*
 * Which partitions are ours, where they start and what is committed.
 *
 * A partition without committed offset starts at its end. Left to auto.offset.reset alone, that
 * end would be looked up again by whoever gets the partition next, and what arrived between
 * the two look-ups would be skipped. So the position is resolved and committed here, before the
 * partition is read.
 *
 * All calls to a broker are bounded, and short enough that a stop does not wait for a
 * broker that is gone.
 */
#include <librdkafka/rdkafka.h>

#include "base/alloc.h"
#include "base/log.h"
#include "kafka/consumer_priv.h"

enum {
    ASK_MS = 1000, /* one attempt */
    NUDGE_MS = 100,
    ASK_ATTEMPTS = 5,      /* while nobody wants us to stop */
    COMMIT_MS = 3000,      /* on revocation; another member may wait for the partition */
    MAX_PARTITION = 100000 /* librdkafka's own limit of a topic */
};

/* ---------------------------------------------------------------- positions */

static struct rg_consumer_position *position_of(struct rg_consumer_topic *topic, int32_t partition)
{
    return partition >= 0 && (size_t)partition < topic->positions_n ? &topic->positions[partition]
                                                                    : NULL;
}

static struct rg_consumer_position *position_of_item(struct rg_consumer *consumer,
                                                     const rd_kafka_topic_partition_t *item)
{
    struct rg_consumer_topic *topic = rg_consumer_topic_find(consumer, item->topic);

    return topic != NULL ? position_of(topic, item->partition) : NULL;
}

static void begin_position(struct rg_consumer *consumer, const rd_kafka_topic_partition_t *item)
{
    struct rg_consumer_topic *topic = rg_consumer_topic_find(consumer, item->topic);
    size_t need = (size_t)item->partition + 1;

    if (topic == NULL || item->partition < 0 || item->partition >= MAX_PARTITION)
        return;
    if (need > topic->positions_n) {
        topic->positions = rg_realloc_array(topic->positions, need, sizeof(topic->positions[0]));
        memset(topic->positions + topic->positions_n, 0,
               (need - topic->positions_n) * sizeof(topic->positions[0]));
        topic->positions_n = need;
    }
    topic->positions[item->partition] =
        (struct rg_consumer_position){.next_offset = -1, .is_assigned = true};
    topic->is_missing = false;
}

static void add_dirty(struct rg_consumer *consumer, struct rg_consumer_topic *topic,
                      int32_t partition)
{
    if (consumer->dirty_n == consumer->dirty_cap) {
        consumer->dirty_cap = consumer->dirty_cap * 2 + 16;
        consumer->dirty =
            rg_realloc_array(consumer->dirty, consumer->dirty_cap, sizeof(consumer->dirty[0]));
    }
    consumer->dirty[consumer->dirty_n++] = (struct rg_consumer_dirty){topic, partition};
}

void rg_consumer_advance(struct rg_consumer *consumer, struct rg_consumer_topic *topic,
                         int32_t partition, int64_t next_offset)
{
    struct rg_consumer_position *position = position_of(topic, partition);

    if (position == NULL || !position->is_assigned)
        return;
    position->next_offset = next_offset;
    if (position->is_dirty)
        return;
    position->is_dirty = true;
    add_dirty(consumer, topic, partition);
}

void rg_consumer_store(struct rg_consumer *consumer)
{
    rd_kafka_topic_partition_list_t *list;

    if (consumer->dirty_n == 0)
        return;
    list = rd_kafka_topic_partition_list_new((int)consumer->dirty_n);
    for (size_t i = 0; i < consumer->dirty_n; i++) {
        struct rg_consumer_dirty *d = &consumer->dirty[i];
        struct rg_consumer_position *position = position_of(d->topic, d->partition);
        if (!position->is_dirty)
            continue;
        position->is_dirty = false;
        rd_kafka_topic_partition_list_add(list, d->topic->name, d->partition)->offset =
            position->next_offset;
    }
    consumer->dirty_n = 0;
    /* It refuses partitions that were taken away meanwhile; whoever has them now starts at our
     * last commit. */
    rd_kafka_offsets_store(consumer->rk, list);
    rd_kafka_topic_partition_list_destroy(list);
}

/* ------------------------------------------------------------------ commits */

/* As rd_kafka_commit(), but that one waits for as long as there is no coordinator. */
static void commit(struct rg_consumer *consumer, rd_kafka_topic_partition_list_t *list)
{
    rd_kafka_queue_t *queue;
    rd_kafka_event_t *event;
    rd_kafka_resp_err_t err;

    if (list->cnt == 0)
        return;
    queue = rd_kafka_queue_new(consumer->rk);
    err = rd_kafka_commit_queue(consumer->rk, list, queue, NULL, NULL);
    if (err == RD_KAFKA_RESP_ERR_NO_ERROR) {
        event = rd_kafka_queue_poll(queue, COMMIT_MS);
        err = event != NULL ? rd_kafka_event_error(event) : RD_KAFKA_RESP_ERR__TIMED_OUT;
        rd_kafka_event_destroy(event);
    }
    rd_kafka_queue_destroy(queue);
    if (err != RD_KAFKA_RESP_ERR_NO_ERROR)
        rg_log_warn("kafka offsets not committed", RG_FS("reason", rd_kafka_err2str(err)),
                    RG_FI("partitions", list->cnt));
}

static void commit_handed_over(struct rg_consumer *consumer,
                               const rd_kafka_topic_partition_list_t *partitions)
{
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(partitions->cnt);

    for (int i = 0; i < partitions->cnt; i++) {
        const rd_kafka_topic_partition_t *item = &partitions->elems[i];
        struct rg_consumer_position *position = position_of_item(consumer, item);
        if (position != NULL && position->next_offset >= 0)
            rd_kafka_topic_partition_list_add(list, item->topic, item->partition)->offset =
                position->next_offset;
    }
    commit(consumer, list);
    rd_kafka_topic_partition_list_destroy(list);
}

/* -------------------------------------------------------- where to start */

static bool is_worth_retrying(rd_kafka_resp_err_t err)
{
    return err == RD_KAFKA_RESP_ERR__TIMED_OUT || err == RD_KAFKA_RESP_ERR__TRANSPORT ||
           err == RD_KAFKA_RESP_ERR__WAIT_COORD || err == RD_KAFKA_RESP_ERR_LEADER_NOT_AVAILABLE;
}

static rd_kafka_resp_err_t ask(struct rg_consumer *consumer, rd_kafka_topic_partition_list_t *list,
                               rd_kafka_resp_err_t (*call)(rd_kafka_t *,
                                                           rd_kafka_topic_partition_list_t *, int))
{
    rd_kafka_resp_err_t err;
    int attempt = 0;

    do {
        err = call(consumer->rk, list, ASK_MS);
    } while (is_worth_retrying(err) && ++attempt < ASK_ATTEMPTS && rg_consumer_runs(consumer));
    return err;
}

/* Gives items with a usable offset to partitions and removes the others from list. */
static void take_offsets(rd_kafka_topic_partition_list_t *list,
                         rd_kafka_topic_partition_list_t *partitions)
{
    for (int i = list->cnt - 1; i >= 0; i--) {
        const rd_kafka_topic_partition_t *item = &list->elems[i];
        if (item->err == RD_KAFKA_RESP_ERR_NO_ERROR && item->offset >= 0)
            rd_kafka_topic_partition_list_set_offset(partitions, item->topic, item->partition,
                                                     item->offset);
        else
            rd_kafka_topic_partition_list_del_by_idx(list, i);
    }
}

/* The items of asked that have no offset, set up for a question about their ends. */
static rd_kafka_topic_partition_list_t *without_offset(const rd_kafka_topic_partition_list_t *asked)
{
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(asked->cnt);

    for (int i = 0; i < asked->cnt; i++) {
        const rd_kafka_topic_partition_t *item = &asked->elems[i];
        if (item->err == RD_KAFKA_RESP_ERR_NO_ERROR && item->offset < 0)
            rd_kafka_topic_partition_list_add(list, item->topic, item->partition)->offset =
                RD_KAFKA_OFFSET_END;
    }
    return list;
}

static void start_at_end(struct rg_consumer *consumer, const rd_kafka_topic_partition_list_t *asked,
                         rd_kafka_topic_partition_list_t *partitions)
{
    rd_kafka_topic_partition_list_t *list = without_offset(asked);

    /* The "time" RD_KAFKA_OFFSET_END is the end: one request per broker, not per partition. */
    if (list->cnt > 0 &&
        ask(consumer, list, rd_kafka_offsets_for_times) == RD_KAFKA_RESP_ERR_NO_ERROR) {
        take_offsets(list, partitions);
        commit(consumer, list);
    }
    rd_kafka_topic_partition_list_destroy(list);
}

/* What stays without offset here, librdkafka looks up by itself and retries for ever. */
static void find_starts(struct rg_consumer *consumer, rd_kafka_topic_partition_list_t *partitions)
{
    rd_kafka_topic_partition_list_t *asked = rd_kafka_topic_partition_list_copy(partitions);
    rd_kafka_topic_partition_list_t *known;

    if (ask(consumer, asked, rd_kafka_committed) == RD_KAFKA_RESP_ERR_NO_ERROR) {
        known = rd_kafka_topic_partition_list_copy(asked);
        take_offsets(known, partitions);
        rd_kafka_topic_partition_list_destroy(known);
        if (consumer->starts_at_end)
            start_at_end(consumer, asked, partitions);
    }
    rd_kafka_topic_partition_list_destroy(asked);
}

void rg_consumer_nudge(struct rg_consumer *consumer)
{
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(8);

    for (size_t t = 0; t < consumer->topics_n; t++) {
        const struct rg_consumer_topic *topic = &consumer->topics[t];
        for (size_t p = 0; p < topic->positions_n; p++) {
            if (topic->positions[p].is_assigned)
                rd_kafka_topic_partition_list_add(list, topic->name, (int32_t)p)->offset =
                    RD_KAFKA_OFFSET_END;
        }
    }
    if (list->cnt > 0)
        rd_kafka_offsets_for_times(consumer->rk, list, NUDGE_MS);
    rd_kafka_topic_partition_list_destroy(list);
}

/* ------------------------------------------------------------------ pausing */

static void pause_or_resume(struct rg_consumer *consumer, bool is_pause)
{
    rd_kafka_topic_partition_list_t *list;

    consumer->is_paused = is_pause;
    if (rd_kafka_assignment(consumer->rk, &list) != RD_KAFKA_RESP_ERR_NO_ERROR)
        return;
    if (is_pause)
        rd_kafka_pause_partitions(consumer->rk, list);
    else
        rd_kafka_resume_partitions(consumer->rk, list);
    rd_kafka_topic_partition_list_destroy(list);
}

/*
 * librdkafka puts a version barrier into its queue: what it had fetched and not yet given to us is
 * thrown away, and a resume fetches again from behind the last message that it gave us. So
 * nothing overtakes the messages that are kept here.
 */
void rg_consumer_pause(struct rg_consumer *consumer)
{
    pause_or_resume(consumer, true);
}

void rg_consumer_resume(struct rg_consumer *consumer)
{
    pause_or_resume(consumer, false);
}

/* ---------------------------------------------------------------- rebalance */

static void report(rd_kafka_error_t *error, const char *what)
{
    if (error == NULL)
        return;
    rg_log_warn("kafka assignment failed", RG_FS("step", what),
                RG_FS("reason", rd_kafka_error_string(error)));
    rd_kafka_error_destroy(error);
}

static bool is_cooperative(rd_kafka_t *rk)
{
    const char *protocol = rd_kafka_rebalance_protocol(rk);

    return protocol != NULL && strcmp(protocol, "COOPERATIVE") == 0;
}

static void assign(struct rg_consumer *consumer, rd_kafka_topic_partition_list_t *partitions)
{
    find_starts(consumer, partitions);
    for (int i = 0; i < partitions->cnt; i++)
        begin_position(consumer, &partitions->elems[i]);

    if (is_cooperative(consumer->rk))
        report(rd_kafka_incremental_assign(consumer->rk, partitions), "incremental assign");
    else
        rd_kafka_assign(consumer->rk, partitions);
    if (consumer->is_paused)
        rd_kafka_pause_partitions(consumer->rk, partitions);

    rg_log_info("kafka partitions assigned", RG_FI("partitions", partitions->cnt),
                RG_FS("group", consumer->group_id));
    rg_consumer_note_connected(consumer);
}

static void end_positions(struct rg_consumer *consumer,
                          const rd_kafka_topic_partition_list_t *partitions)
{
    for (int i = 0; i < partitions->cnt; i++) {
        struct rg_consumer_position *position = position_of_item(consumer, &partitions->elems[i]);
        if (position != NULL)
            *position = (struct rg_consumer_position){.next_offset = -1};
    }
}

static void revoke(struct rg_consumer *consumer, rd_kafka_topic_partition_list_t *partitions)
{
    bool is_lost = rd_kafka_assignment_lost(consumer->rk);

    rg_consumer_store(consumer);
    /* Somebody else may have them by now: a commit would be refused, or take theirs back. */
    if (!is_lost)
        commit_handed_over(consumer, partitions);
    rg_consumer_drop_held(consumer, partitions);
    end_positions(consumer, partitions);

    if (is_cooperative(consumer->rk))
        report(rd_kafka_incremental_unassign(consumer->rk, partitions), "incremental unassign");
    else
        rd_kafka_assign(consumer->rk, NULL);
    rg_log_info("kafka partitions revoked", RG_FI("partitions", partitions->cnt),
                RG_FS("lost", is_lost ? "yes" : "no"), RG_FS("group", consumer->group_id));
}

void rg_consumer_on_rebalance(struct rg_consumer *consumer, int err,
                              rd_kafka_topic_partition_list_t *partitions)
{
    consumer->last_rkt = NULL;
    switch (err) {
    case RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS:
        assign(consumer, partitions);
        break;
    case RD_KAFKA_RESP_ERR__REVOKE_PARTITIONS:
        revoke(consumer, partitions);
        break;
    default:
        rd_kafka_assign(consumer->rk, NULL);
        break;
    }
    rg_consumer_note_assignment(consumer);
}
