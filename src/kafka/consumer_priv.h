/*
 * consumer_priv.h - the consumer's inside, shared by consumer.c (thread, messages, state) and
 * assignment.c (partitions: where they start, what is committed, pausing).
 *
 * Thread: as grouped below.
 */
#pragma once

#include <pthread.h>
#include <stdatomic.h>

#include "kafka/consumer.h"

struct rd_kafka_s;
struct rd_kafka_message_s;
struct rd_kafka_topic_s;
struct rd_kafka_topic_partition_list_s;

/* What was handed over from one partition since it was assigned. */
struct rg_consumer_position {
    int64_t next_offset; /* after the last message handed over; -1: none yet */
    bool is_assigned;
    bool is_dirty; /* next_offset is not stored yet */
};

struct rg_consumer_topic {
    char *name;
    uint32_t no;
    enum rg_format format;                  /* of its messages, as far as it is configured */
    struct rg_consumer_position *positions; /* by partition number */
    size_t positions_n;

    struct rg_series *events, *failed, *durations;
    uint64_t batch_good, batch_failed; /* not yet added to the series */
    bool is_missing;                   /* and that was logged */
};

enum rg_consumer_phase {
    RG_CONSUMER_RUNS,
    RG_CONSUMER_QUIET, /* reads no more, still a member of the group */
    RG_CONSUMER_ENDED
};

struct rg_consumer_dirty {
    struct rg_consumer_topic *topic;
    int32_t partition;
};

/* How full librdkafka's queue is, as far as it lets us see. */
struct rg_consumer_queue {
    size_t max_messages, max_bytes;   /* where fetching stops */
    size_t peak_messages, peak_bytes; /* since the last nudge */
    size_t batch_bytes;               /* of the messages that were just taken */
    uint64_t nudged_ms;
};

struct rg_consumer {
    const struct rg_kafka_settings *settings; /* set once; not used after RG_CONSUMER_QUIET */
    struct rg_consumer_sink sink;
    char *group_id;
    bool is_raw;        /* messages are not decoded */
    bool starts_at_end; /* auto.offset.reset is what it is by default */
    struct rg_tally *tally;
    pthread_t thread;

    atomic_int wanted; /* enum rg_consumer_phase; written under lock, read anywhere */

    pthread_mutex_t lock;
    pthread_cond_t changed;
    enum rg_consumer_phase reached; /* from here to is_abandoned: under lock */
    struct rg_consumer_status status;
    uint64_t rebuilds;
    uint64_t stop_at_ms;
    bool is_abandoned;

    struct rd_kafka_s *rk;             /* the ingest thread only, down to the end */
    struct rd_kafka_queue_s *queue;    /* of rk: where its messages arrive */
    struct rd_kafka_message_s **batch; /* room for one */
    struct rg_consumer_queue level;
    struct rg_consumer_topic *topics;
    size_t topics_n;
    const struct rd_kafka_topic_s *last_rkt; /* belongs to last_topic until the next rebalance */
    struct rg_consumer_topic *last_topic;
    struct rg_consumer_dirty *dirty;
    size_t dirty_n, dirty_cap;
    struct rd_kafka_message_s **held; /* the sink had no room for the first */
    size_t held_n, held_cap;
    uint64_t held_since_ms;
    bool is_holding; /* held is or was in use and reading goes on only after a resume */
    bool is_paused;
    bool is_connected, is_loss_logged, has_error, has_joined, is_broken;
    uint64_t probe_at_ms;
    struct rg_buf scratch;
};

/* True until rg_consumer_quiesce() or rg_consumer_stop(). Thread: any. */
static inline bool rg_consumer_runs(struct rg_consumer *consumer)
{
    return atomic_load_explicit(&consumer->wanted, memory_order_relaxed) == RG_CONSUMER_RUNS;
}

/* ------------------------------------------------------------- consumer.c */

struct rg_consumer_topic *rg_consumer_topic_find(struct rg_consumer *consumer, const char *name);

/* A broker answered. */
void rg_consumer_note_connected(struct rg_consumer *consumer);

/* Remembers text as the last error; true if it was another one before. */
bool rg_consumer_note_error(struct rg_consumer *consumer, const char *text);

/* Puts the number of partitions, and that there is an assignment, into the status. */
void rg_consumer_note_assignment(struct rg_consumer *consumer);

/* What a message without content says. */
void rg_consumer_on_error(struct rg_consumer *consumer, const struct rd_kafka_message_s *message);

void rg_consumer_set_paused(struct rg_consumer *consumer, bool is_paused);

/* --------------------------------------------------------------- intake.c */

/* Messages taken from the queue at once. */
#define RG_CONSUMER_BATCH_MAX 1000
#define RG_CONSUMER_POLL_MS   50

/* Waits for a message and hands over all that are there. */
void rg_consumer_take_batch(struct rg_consumer *consumer);

/* While messages are kept: offers them again, or waits a little. */
void rg_consumer_offer_held(struct rg_consumer *consumer);

void rg_consumer_drop_all_held(struct rg_consumer *consumer);

/* Frees the kept messages that belong to one of the partitions. */
void rg_consumer_drop_held(struct rg_consumer *consumer,
                           const struct rd_kafka_topic_partition_list_s *partitions);

/* ----------------------------------------------------------- assignment.c */

/* What the group decided: partitions come or go, by err (of librdkafka). */
void rg_consumer_on_rebalance(struct rg_consumer *consumer, int err,
                              struct rd_kafka_topic_partition_list_s *partitions);

/* The message before next_offset was handed over. */
void rg_consumer_advance(struct rg_consumer *consumer, struct rg_consumer_topic *topic,
                         int32_t partition, int64_t next_offset);

/* Gives librdkafka what advanced, for its next automatic commit. */
void rg_consumer_store(struct rg_consumer *consumer);

/*
 * Makes librdkafka look whether its queue has room again: it stops fetching when the queue is full,
 * and its broker threads then sleep up to a second, however fast the queue empties. Any request
 * wakes them, so the end offsets are asked for, and the answer is not used.
 */
void rg_consumer_nudge(struct rg_consumer *consumer);

/* Stops and restarts fetching of all assigned partitions; keeps the membership alive. */
void rg_consumer_pause(struct rg_consumer *consumer);
void rg_consumer_resume(struct rg_consumer *consumer);
