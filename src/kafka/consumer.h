/*
 * consumer.h - messages from Kafka, as a member of a consumer group: events, and answers to
 * requests that wait.
 *
 * Owns a thread. Starts without any broker and joins when one answers; rebuilds
 * its client after a fatal error with a growing, jittered delay; pauses its partitions
 * while the sink has no room. Offsets are stored after the hand-over, committed every 5 s, on
 * revocation and at the end. A partition that the group has no offset for starts at its
 * end, and that position is committed at once, so that a rebalance cannot move it.
 *
 * Thread: start/stop from one thread; the rest as noted.
 */
#pragma once

#include "event/tally.h"
#include "kafka/message.h"
#include "kafka/settings.h"

struct rg_consumer;

struct rg_consumer_status {
    bool is_connected;    /* a broker answered since the last loss */
    bool is_paused;       /* the sink had no room */
    bool has_joined;      /* an assignment was received (it may be empty) */
    unsigned partitions;  /* assigned to this node */
    char last_error[160]; /* empty: none since the last success */
};

/* What is read. All of it is borrowed for the call that starts the consumer. */
struct rg_consumer_source {
    const char *thread_name;             /* at most 15 bytes */
    const struct rg_option_list *topics; /* not empty */
    const char *group_id;                /* KAFKA_CONSUME=all makes it one of its own */
    bool is_raw; /* messages come as they are: value and headers; else as events */
};

/*
 * Starts the ingest thread. settings and tally, in which it counts, are borrowed until stop.
 * on_thread_start and on_thread_stop (may be NULL) run on the ingest thread with arg, so that the
 * sink can set up what belongs to that thread, which is registered with rcu.h already.
 * on_thread_stop runs in rg_consumer_stop(), before the group is left; neither it nor event is
 * called afterwards.
 */
struct rg_consumer_sink {
    rg_kafka_sink_fn *event;
    void (*on_thread_start)(void *arg);
    void (*on_thread_stop)(void *arg);
    void *arg;
};
struct rg_consumer *rg_consumer_start(const struct rg_kafka_settings *settings,
                                      const struct rg_consumer_sink *sink, struct rg_tally *tally);

/* The same for another source than KAFKA_SOURCE_TOPICS and its group. */
struct rg_consumer *rg_consumer_start_of(const struct rg_kafka_settings *settings,
                                         const struct rg_consumer_source *source,
                                         const struct rg_consumer_sink *sink,
                                         struct rg_tally *tally);

/*
 * Stops reading. Returns once the last message has been handed over (at the latest after a few
 * seconds, should the client hang on a broker that is gone); the group is not left yet and nothing
 * committed: that is rg_consumer_stop(), after the hand-over's receivers are done.
 */
void rg_consumer_quiesce(struct rg_consumer *consumer);

/*
 * Commits, leaves the group (both within timeout_ms), ends the thread, frees. A thread that does
 * not end in time is left to itself: the process is expected to end. Sets *consumerp to NULL.
 */
void rg_consumer_stop(struct rg_consumer **consumerp, int timeout_ms);

/* Thread: any. */
void rg_consumer_get_status(struct rg_consumer *consumer, struct rg_consumer_status *ret);

/* Appends rgate_kafka_* metrics. Thread: any registered with rcu.h. */
void rg_consumer_expose(struct rg_consumer *consumer, struct rg_buf *out);
