/*
 * The ingest thread: reads, decodes, hands over, and keeps its client alive.
 *
 *   RUNS ──────── rg_consumer_quiesce() ──▶ QUIET ──── rg_consumer_stop() ──▶ ENDED
 *   take_batch / offer_held,                polls only, so that the           commits, leaves,
 *   rebuilt after a fatal error             group keeps its member            frees the client
 *
 * A message that the sink has no room for is kept; it is offered again every few milliseconds,
 * for a moment without further ado and then with all partitions paused. A pause costs what
 * was fetched ahead (see rg_consumer_pause()), so a short stall must not lead to one.
 */
#include "kafka/consumer.h"

#include <librdkafka/rdkafka.h>
#include <stdio.h>
#include <time.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/random.h"
#include "base/rcu.h"
#include "kafka/conf_priv.h"
#include "kafka/consumer_priv.h"
#include "kafka/decode.h"

enum {
    BATCH_MAX = 1000,
    POLL_MS = 50,
    NUDGE_PEAK = 256,
    NUDGE_EVERY_MS = 10,
    RETRY_MS = 2,   /* between two offers of a kept message */
    STALL_MS = 20,  /* the sink may be full for so long without a pause */
    PROBE_MS = 200, /* how long a probe waits while no broker answers */
    PROBE_EVERY_MS = 1000,
    REBUILD_FIRST_MS = 500,
    CLOSE_MS = 3000,    /* for a client that is given up */
    QUIESCE_MS = 8000,  /* a commit on revocation and two questions fit into it */
    END_GRACE_MS = 1000 /* what freeing a closed client may take beyond the time given */
};

/* ------------------------------------------------------------------- status */

struct rg_consumer_topic *rg_consumer_topic_find(struct rg_consumer *consumer, const char *name)
{
    for (size_t i = 0; i < consumer->topics_n; i++) {
        if (strcmp(consumer->topics[i].name, name) == 0)
            return &consumer->topics[i];
    }
    return NULL;
}

static void clear_error(struct rg_consumer *consumer)
{
    consumer->has_error = false;
    pthread_mutex_lock(&consumer->lock);
    consumer->status.last_error[0] = '\0';
    pthread_mutex_unlock(&consumer->lock);
}

bool rg_consumer_note_error(struct rg_consumer *consumer, const char *text)
{
    struct rg_consumer_status *status = &consumer->status;
    char shown[sizeof(status->last_error)];
    bool is_new;

    snprintf(shown, sizeof(shown), "%s", text);
    consumer->has_error = true;
    pthread_mutex_lock(&consumer->lock);
    is_new = strcmp(shown, status->last_error) != 0;
    memcpy(status->last_error, shown, sizeof(shown));
    pthread_mutex_unlock(&consumer->lock);
    return is_new;
}

static void set_connected(struct rg_consumer *consumer, bool is_connected)
{
    consumer->is_connected = is_connected;
    pthread_mutex_lock(&consumer->lock);
    consumer->status.is_connected = is_connected;
    pthread_mutex_unlock(&consumer->lock);
}

void rg_consumer_note_connected(struct rg_consumer *consumer)
{
    if (consumer->has_error)
        clear_error(consumer);
    if (consumer->is_connected)
        return;
    set_connected(consumer, true);
    /* As loud as the loss was, so that whoever saw the one sees the other. */
    if (consumer->is_loss_logged)
        rg_log_warn("kafka connection is back");
    else
        rg_log_info("kafka connected");
    consumer->is_loss_logged = false;
}

static void note_disconnected(struct rg_consumer *consumer, const char *reason)
{
    struct rg_consumer_status status;

    /* What one broker said before ("connection refused") is better than "1/1 brokers are down". */
    if (!consumer->has_error)
        rg_consumer_note_error(consumer, reason);
    if (consumer->is_connected)
        set_connected(consumer, false);
    if (consumer->is_loss_logged)
        return;
    consumer->is_loss_logged = true;
    rg_consumer_get_status(consumer, &status);
    rg_log_warn("kafka not reachable", RG_FS("reason", status.last_error));
}

void rg_consumer_note_assignment(struct rg_consumer *consumer)
{
    unsigned n = 0;

    for (size_t t = 0; t < consumer->topics_n; t++) {
        for (size_t p = 0; p < consumer->topics[t].positions_n; p++)
            n += consumer->topics[t].positions[p].is_assigned;
    }
    consumer->has_joined = true;
    pthread_mutex_lock(&consumer->lock);
    consumer->status.has_joined = true;
    consumer->status.partitions = n;
    pthread_mutex_unlock(&consumer->lock);
}

static void set_paused_status(struct rg_consumer *consumer, bool is_paused)
{
    pthread_mutex_lock(&consumer->lock);
    consumer->status.is_paused = is_paused;
    pthread_mutex_unlock(&consumer->lock);
}

/* ----------------------------------------------------------------- messages */

static struct rg_consumer_topic *topic_of(struct rg_consumer *consumer, const rd_kafka_topic_t *rkt)
{
    if (rkt != consumer->last_rkt) {
        consumer->last_topic = rg_consumer_topic_find(consumer, rd_kafka_topic_name(rkt));
        consumer->last_rkt = rkt;
    }
    return consumer->last_topic;
}

/* One more than the limit is enough for the decoder to refuse them all. */
static size_t read_headers(const rd_kafka_message_t *m,
                           struct rg_record_header headers[RG_DECODE_MAX_HEADERS + 1])
{
    rd_kafka_headers_t *list;
    const char *name;
    const void *value;
    size_t value_n, n = 0;

    if (rd_kafka_message_headers(m, &list) != RD_KAFKA_RESP_ERR_NO_ERROR)
        return 0;
    while (n <= RG_DECODE_MAX_HEADERS &&
           rd_kafka_header_get_all(list, n, &name, &value, &value_n) == RD_KAFKA_RESP_ERR_NO_ERROR)
        headers[n++] = (struct rg_record_header){rg_str_c(name), rg_str_n(value, value_n)};
    return n;
}

static int deliver(struct rg_consumer *consumer, const struct rg_consumer_topic *topic,
                   const rd_kafka_message_t *m, struct rg_why *why)
{
    struct rg_record_header headers[RG_DECODE_MAX_HEADERS + 1];
    rd_kafka_timestamp_type_t kind;
    struct rg_kafka_message message = {.topic = rg_str_c(topic->name),
                                       .topic_no = topic->no,
                                       .partition = m->partition,
                                       .offset = m->offset,
                                       .timestamp_ms = rd_kafka_message_timestamp(m, &kind),
                                       .key = rg_str_n(m->key, m->key_len)};
    size_t headers_n = read_headers(m, headers);
    int err = rg_decode_record(headers, headers_n, rg_str_n(m->payload, m->len), &consumer->scratch,
                               &message.event, why);

    return err < 0 ? err : consumer->sink.event(consumer->sink.arg, &message, why);
}

/* Returns RG_EAGAIN if the sink has no room; otherwise the matter of this message is ended. */
static int hand_over(struct rg_consumer *consumer, const rd_kafka_message_t *m)
{
    struct rg_consumer_topic *topic = topic_of(consumer, m->rkt);
    struct rg_why why;
    int err;

    if (topic == NULL)
        return 0;
    why.place[0] = why.text[0] = '\0';
    err = deliver(consumer, topic, m, &why);
    if (err == RG_EAGAIN)
        return err;
    if (err < 0) {
        topic->batch_failed++;
        rg_log_error("bad message skipped", RG_FS("topic", topic->name),
                     RG_FI("partition", m->partition), RG_FI("offset", m->offset),
                     RG_FS("reason", why.text[0] != '\0' ? why.text : rg_strerror(err)),
                     RG_FS("place", why.place));
    } else {
        topic->batch_good++;
    }
    rg_consumer_advance(consumer, topic, m->partition, m->offset + 1);
    return 0;
}

/* n observations of the same length at once. */
static void observe(struct rg_series *series, uint64_t n, uint64_t each_ns)
{
    size_t i = 0;

    while (i < RG_HISTOGRAM_BUCKETS && each_ns > (uint64_t)rg_histogram_bounds_ms[i] * 1000000u)
        i++;
    if (i < RG_HISTOGRAM_BUCKETS)
        atomic_fetch_add_explicit(&series->buckets[i], n, memory_order_relaxed);
    atomic_fetch_add_explicit(&series->sum_ns, n * each_ns, memory_order_relaxed);
    atomic_fetch_add_explicit(&series->count, n, memory_order_relaxed);
}

static void count_batch(struct rg_consumer *consumer, uint64_t duration_ns, size_t messages)
{
    for (size_t i = 0; i < consumer->topics_n; i++) {
        struct rg_consumer_topic *topic = &consumer->topics[i];
        if (topic->batch_good + topic->batch_failed == 0)
            continue;
        rg_series_add(topic->events, topic->batch_good + topic->batch_failed);
        if (topic->batch_failed > 0)
            rg_series_add(topic->failed, topic->batch_failed);
        if (topic->batch_good > 0)
            observe(topic->durations, topic->batch_good, duration_ns / messages);
        topic->batch_good = topic->batch_failed = 0;
    }
}

/* ------------------------------------------------------------- back-pressure */

static void hold(struct rg_consumer *consumer, rd_kafka_message_t *m)
{
    if (consumer->held_n == consumer->held_cap) {
        consumer->held_cap = consumer->held_cap * 2 + 4;
        consumer->held =
            rg_realloc_array(consumer->held, consumer->held_cap, sizeof(consumer->held[0]));
    }
    consumer->held[consumer->held_n++] = m;
    if (consumer->is_holding)
        return;
    consumer->is_holding = true;
    consumer->held_since_ms = rg_clock_mono_ms();
}

static void drop_first(struct rg_consumer *consumer)
{
    rd_kafka_message_destroy(consumer->held[0]);
    consumer->held_n--;
    memmove(consumer->held, consumer->held + 1, consumer->held_n * sizeof(consumer->held[0]));
}

void rg_consumer_drop_held(struct rg_consumer *consumer,
                           const rd_kafka_topic_partition_list_t *partitions)
{
    size_t kept = 0;

    for (size_t i = 0; i < consumer->held_n; i++) {
        rd_kafka_message_t *m = consumer->held[i];
        if (rd_kafka_topic_partition_list_find((rd_kafka_topic_partition_list_t *)partitions,
                                               rd_kafka_topic_name(m->rkt), m->partition) != NULL)
            rd_kafka_message_destroy(m);
        else
            consumer->held[kept++] = m;
    }
    consumer->held_n = kept;
}

static void drop_all_held(struct rg_consumer *consumer)
{
    while (consumer->held_n > 0)
        rd_kafka_message_destroy(consumer->held[--consumer->held_n]);
    consumer->is_holding = false;
    set_paused_status(consumer, false);
}

/* ------------------------------------------------------------------- errors */

static void on_unknown_topic(struct rg_consumer *consumer, const rd_kafka_message_t *m)
{
    struct rg_consumer_topic *topic =
        m->rkt != NULL ? rg_consumer_topic_find(consumer, rd_kafka_topic_name(m->rkt)) : NULL;

    if (topic == NULL || topic->is_missing)
        return;
    topic->is_missing = true;
    rg_log_warn("kafka topic not available", RG_FS("topic", topic->name),
                RG_FS("reason", rd_kafka_err2str(m->err)));
}

static void note_fatal(struct rg_consumer *consumer)
{
    char text[400] = "";

    rd_kafka_fatal_error(consumer->rk, text, sizeof(text));
    rg_consumer_note_error(consumer, text);
    rg_log_error("kafka client failed", RG_FS("reason", text));
    consumer->is_broken = true;
}

static void on_message_error(struct rg_consumer *consumer, const rd_kafka_message_t *m)
{
    switch (m->err) {
    case RD_KAFKA_RESP_ERR__FATAL:
        note_fatal(consumer);
        break;
    case RD_KAFKA_RESP_ERR__PARTITION_EOF:
        break;
    case RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART:
    case RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC:
    case RD_KAFKA_RESP_ERR__UNKNOWN_PARTITION:
    case RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED:
        on_unknown_topic(consumer, m);
        break;
    default:
        if (rg_consumer_note_error(consumer, rd_kafka_message_errstr(m)))
            rg_log_warn("kafka consumer error", RG_FS("reason", rd_kafka_message_errstr(m)));
        break;
    }
}

static void on_error(rd_kafka_t *rk, int err, const char *reason, void *opaque)
{
    struct rg_consumer *consumer = opaque;

    (void)rk;
    switch (err) {
    case RD_KAFKA_RESP_ERR__FATAL:
        note_fatal(consumer);
        break;
    case RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN:
        note_disconnected(consumer, reason);
        break;
    case RD_KAFKA_RESP_ERR__TRANSPORT:
        rg_consumer_note_error(consumer, reason);
        break;
    default:
        /* DNS, TLS, SASL: why nothing comes, and often the operator's mistake. */
        if (rg_consumer_note_error(consumer, reason))
            rg_log_warn("kafka connection error", RG_FS("reason", reason));
        break;
    }
}

/* ------------------------------------------------------------------ reading */

/* Takes the message. */
static void receive(struct rg_consumer *consumer, rd_kafka_message_t *m)
{
    if (m->err == RD_KAFKA_RESP_ERR_NO_ERROR) {
        if (!consumer->is_connected || consumer->has_error)
            rg_consumer_note_connected(consumer);
        if (consumer->held_n > 0 || hand_over(consumer, m) == RG_EAGAIN) {
            hold(consumer, m);
            return;
        }
    } else {
        on_message_error(consumer, m);
    }
    rd_kafka_message_destroy(m);
}

/* False for a message of a partition that was revoked while the batch was taken. */
static bool is_assigned(struct rg_consumer *consumer, const rd_kafka_message_t *m)
{
    const struct rg_consumer_topic *topic = topic_of(consumer, m->rkt);

    return topic != NULL && m->partition >= 0 && (size_t)m->partition < topic->positions_n &&
           topic->positions[m->partition].is_assigned;
}

/* Everything that is there already, without waiting; cheaper than polling for each message. */
static size_t take_rest(struct rg_consumer *consumer)
{
    rd_kafka_message_t **batch = consumer->batch;
    ssize_t n = rd_kafka_consume_batch_queue(consumer->queue, 0, batch, BATCH_MAX);

    for (ssize_t i = 0; i < n; i++) {
        /* Written by a broker's thread on another core; fetched while the one before is read. */
        if (i + 2 < n)
            __builtin_prefetch(batch[i + 2]);
        if (i + 1 < n)
            __builtin_prefetch(batch[i + 1]->payload);
        if (batch[i]->err == RD_KAFKA_RESP_ERR_NO_ERROR && !is_assigned(consumer, batch[i]))
            rd_kafka_message_destroy(batch[i]);
        else
            receive(consumer, batch[i]);
    }
    return n > 0 ? (size_t)n : 0;
}

/* Half empty after having been long: fetching may have stopped, see rg_consumer_nudge(). */
static void watch_queue(struct rg_consumer *consumer)
{
    size_t n = rd_kafka_queue_length(consumer->queue);
    uint64_t now_ms = rg_clock_mono_ms();

    if (n > consumer->queue_peak)
        consumer->queue_peak = n;
    if (consumer->queue_peak < NUDGE_PEAK || n > consumer->queue_peak / 2 ||
        now_ms - consumer->nudged_ms < NUDGE_EVERY_MS)
        return;
    consumer->queue_peak = n;
    consumer->nudged_ms = now_ms;
    rg_consumer_nudge(consumer);
}

static void take_batch(struct rg_consumer *consumer)
{
    rd_kafka_message_t *m = rd_kafka_consumer_poll(consumer->rk, POLL_MS);
    uint64_t started_ns = rg_clock_mono_ns();
    size_t n = 1;

    if (m == NULL)
        return;
    receive(consumer, m);
    if (!consumer->is_holding)
        n += take_rest(consumer);
    count_batch(consumer, rg_clock_mono_ns() - started_ns, n);
    rg_consumer_store(consumer);
    watch_queue(consumer);
}

static void pause_reading(struct rg_consumer *consumer)
{
    rg_consumer_pause(consumer);
    set_paused_status(consumer, true);
}

static void wait_a_moment(void)
{
    nanosleep(&(struct timespec){.tv_nsec = RETRY_MS * 1000000L}, NULL);
}

static void end_holding(struct rg_consumer *consumer)
{
    consumer->is_holding = false;
    if (!consumer->is_paused)
        return;
    rg_consumer_resume(consumer);
    set_paused_status(consumer, false);
}

/* Keeps the membership alive; a message that comes in spite of the pause waits in its place. */
static void poll_paused(struct rg_consumer *consumer)
{
    rd_kafka_message_t *m = rd_kafka_consumer_poll(consumer->rk, RETRY_MS);

    if (m != NULL)
        receive(consumer, m);
}

static void offer_held(struct rg_consumer *consumer)
{
    uint64_t started_ns = rg_clock_mono_ns();
    size_t n = 0;

    while (consumer->held_n > 0 && hand_over(consumer, consumer->held[0]) != RG_EAGAIN) {
        drop_first(consumer);
        n++;
    }
    if (n > 0) {
        count_batch(consumer, rg_clock_mono_ns() - started_ns, n);
        rg_consumer_store(consumer);
    }
    if (consumer->held_n == 0) {
        end_holding(consumer);
        return;
    }
    if (!consumer->is_paused && rg_clock_mono_ms() - consumer->held_since_ms >= STALL_MS)
        pause_reading(consumer);
    if (consumer->is_paused)
        poll_paused(consumer);
    else
        wait_a_moment();
}

/* librdkafka reports a loss but no return; an answer to anything is one. */
static void probe(struct rg_consumer *consumer)
{
    const rd_kafka_metadata_t *metadata;
    uint64_t now_ms = rg_clock_mono_ms();

    if (now_ms < consumer->probe_at_ms)
        return;
    if (rd_kafka_metadata(consumer->rk, 0, NULL, &metadata, PROBE_MS) ==
        RD_KAFKA_RESP_ERR_NO_ERROR) {
        rd_kafka_metadata_destroy(metadata);
        rg_consumer_note_connected(consumer);
    }
    consumer->probe_at_ms = rg_clock_mono_ms() + PROBE_EVERY_MS;
}

static void consume(struct rg_consumer *consumer)
{
    while (rg_consumer_runs(consumer) && !consumer->is_broken) {
        if (consumer->is_holding)
            offer_held(consumer);
        else
            take_batch(consumer);
        if (!consumer->is_connected)
            probe(consumer);
    }
}

/* ------------------------------------------------------------------- client */

static int subscribe(struct rg_consumer *consumer, struct rg_why *why)
{
    rd_kafka_topic_partition_list_t *list =
        rd_kafka_topic_partition_list_new((int)consumer->topics_n);
    rd_kafka_resp_err_t err;

    for (size_t i = 0; i < consumer->topics_n; i++)
        rd_kafka_topic_partition_list_add(list, consumer->topics[i].name, RD_KAFKA_PARTITION_UA);
    err = rd_kafka_subscribe(consumer->rk, list);
    rd_kafka_topic_partition_list_destroy(list);
    return err == RD_KAFKA_RESP_ERR_NO_ERROR
               ? 0
               : rg_why_set(why, RG_EINVAL, "", "%s", rd_kafka_err2str(err));
}

static bool resets_to_end(const rd_kafka_conf_t *conf)
{
    char value[32] = "";
    size_t n = sizeof(value);

    rd_kafka_conf_get(conf, "auto.offset.reset", value, &n);
    return strcmp(value, "latest") == 0 || strcmp(value, "largest") == 0 ||
           strcmp(value, "end") == 0;
}

static void on_rebalance(rd_kafka_t *rk, rd_kafka_resp_err_t err,
                         rd_kafka_topic_partition_list_t *partitions, void *opaque)
{
    (void)rk;
    rg_consumer_on_rebalance(opaque, (int)err, partitions);
}

static int open_client(struct rg_consumer *consumer, struct rg_why *why)
{
    char text[400];
    rd_kafka_conf_t *conf =
        rg_kafka_conf_new(consumer->settings, RG_KAFKA_CONSUMER, consumer->group_id, true, why);

    if (conf == NULL)
        return RG_EINVAL;
    consumer->starts_at_end = resets_to_end(conf);
    rd_kafka_conf_set_opaque(conf, consumer);
    rd_kafka_conf_set_error_cb(conf, on_error);
    rd_kafka_conf_set_rebalance_cb(conf, on_rebalance);
    consumer->rk = rd_kafka_new(RD_KAFKA_CONSUMER, conf, text, sizeof(text));
    if (consumer->rk == NULL) {
        rd_kafka_conf_destroy(conf);
        return rg_why_set(why, RG_EINVAL, "", "%s", text);
    }
    rd_kafka_poll_set_consumer(consumer->rk);
    consumer->queue = rd_kafka_queue_get_consumer(consumer->rk);
    return subscribe(consumer, why);
}

static void serve_close_event(struct rg_consumer *consumer, rd_kafka_event_t *event)
{
    if (rd_kafka_event_type(event) == RD_KAFKA_EVENT_REBALANCE)
        rg_consumer_on_rebalance(consumer, (int)rd_kafka_event_error(event),
                                 rd_kafka_event_topic_partition_list(event));
    rd_kafka_event_destroy(event);
}

/* Commits and leaves the group; gives up at deadline_ms. */
static void leave(struct rg_consumer *consumer, uint64_t deadline_ms)
{
    rd_kafka_queue_t *queue = rd_kafka_queue_new(consumer->rk);
    rd_kafka_error_t *error = rd_kafka_consumer_close_queue(consumer->rk, queue);

    while (error == NULL && !rd_kafka_consumer_closed(consumer->rk) &&
           rg_clock_mono_ms() < deadline_ms) {
        rd_kafka_event_t *event = rd_kafka_queue_poll(queue, POLL_MS);
        if (event != NULL)
            serve_close_event(consumer, event);
    }
    if (error != NULL)
        rd_kafka_error_destroy(error);
    rd_kafka_queue_destroy(queue);
}

static void forget_assignment(struct rg_consumer *consumer)
{
    for (size_t i = 0; i < consumer->topics_n; i++) {
        rg_free(consumer->topics[i].positions);
        consumer->topics[i].positions = NULL;
        consumer->topics[i].positions_n = 0;
    }
    consumer->dirty_n = 0;
    consumer->last_rkt = NULL;
    pthread_mutex_lock(&consumer->lock);
    consumer->status.is_connected = consumer->status.has_joined = false;
    consumer->status.partitions = 0;
    pthread_mutex_unlock(&consumer->lock);
    consumer->is_connected = consumer->is_paused = consumer->is_broken = false;
}

static void close_client(struct rg_consumer *consumer, uint64_t deadline_ms)
{
    if (consumer->rk == NULL)
        return;
    drop_all_held(consumer);
    rg_consumer_store(consumer);
    leave(consumer, deadline_ms);
    rd_kafka_queue_destroy(consumer->queue);
    consumer->queue = NULL;
    rd_kafka_destroy_flags(consumer->rk, RD_KAFKA_DESTROY_F_NO_CONSUMER_CLOSE);
    consumer->rk = NULL;
    forget_assignment(consumer);
}

/* ------------------------------------------------------------------- thread */

static struct timespec timespec_of(uint64_t mono_ms)
{
    return (struct timespec){.tv_sec = (time_t)(mono_ms / 1000),
                             .tv_nsec = (long)(mono_ms % 1000) * 1000000L};
}

/* Waits until another phase is wanted, at most until until_ms. */
static void wait_for_phase(struct rg_consumer *consumer, int phase, uint64_t until_ms)
{
    struct timespec until = timespec_of(until_ms);

    pthread_mutex_lock(&consumer->lock);
    while (atomic_load(&consumer->wanted) < phase) {
        if (pthread_cond_timedwait(&consumer->changed, &consumer->lock, &until) != 0)
            break;
    }
    pthread_mutex_unlock(&consumer->lock);
}

/* Doubles from half a second to KAFKA_RESTART_DELAY_MS; the upper half of it is random. */
static void wait_before_rebuild(struct rg_consumer *consumer, unsigned failures)
{
    uint64_t most_ms = (uint64_t)consumer->settings->restart_delay_ms;
    uint64_t delay_ms = (uint64_t)REBUILD_FIRST_MS << (failures < 20 ? failures : 20);

    if (delay_ms > most_ms)
        delay_ms = most_ms;
    delay_ms = delay_ms / 2 + rg_random_below(delay_ms / 2 + 1);
    wait_for_phase(consumer, RG_CONSUMER_QUIET, rg_clock_mono_ms() + delay_ms);
    pthread_mutex_lock(&consumer->lock);
    consumer->rebuilds++;
    pthread_mutex_unlock(&consumer->lock);
}

static void run(struct rg_consumer *consumer)
{
    unsigned failures = 0;

    while (rg_consumer_runs(consumer)) {
        struct rg_why why = {0};
        consumer->has_joined = false;
        if (open_client(consumer, &why) == 0)
            consume(consumer);
        else if (rg_consumer_note_error(consumer, why.text))
            rg_log_error("kafka client not started", RG_FS("reason", why.text));
        if (!rg_consumer_runs(consumer))
            return;
        failures = consumer->has_joined ? 0 : failures + 1;
        close_client(consumer, rg_clock_mono_ms() + CLOSE_MS);
        wait_before_rebuild(consumer, failures);
    }
}

/* The messages handed over are still on their way to clients; the group must not move on yet. */
static void stay_quietly(struct rg_consumer *consumer)
{
    drop_all_held(consumer);
    if (consumer->rk != NULL)
        rg_consumer_pause(consumer);
    while (atomic_load(&consumer->wanted) < RG_CONSUMER_ENDED) {
        rd_kafka_message_t *m;
        if (consumer->rk == NULL) {
            wait_for_phase(consumer, RG_CONSUMER_ENDED, rg_clock_mono_ms() + 1000);
            continue;
        }
        m = rd_kafka_consumer_poll(consumer->rk, POLL_MS);
        if (m != NULL)
            rd_kafka_message_destroy(m);
    }
}

static void reach(struct rg_consumer *consumer, enum rg_consumer_phase phase)
{
    pthread_mutex_lock(&consumer->lock);
    consumer->reached = phase;
    pthread_cond_broadcast(&consumer->changed);
    pthread_mutex_unlock(&consumer->lock);
}

static void find_series(struct rg_consumer *consumer)
{
    for (size_t i = 0; i < consumer->topics_n; i++) {
        struct rg_consumer_topic *topic = &consumer->topics[i];
        struct rg_str name = rg_str_c(topic->name);
        topic->events = rg_family_get(consumer->tally->consumed, RG_STR("kafka"), name);
        topic->failed = rg_family_get(consumer->tally->failed, RG_STR("kafka"), name);
        topic->durations = rg_family_get(consumer->tally->duration, RG_STR("kafka"), name);
    }
}

static void consumer_free(struct rg_consumer *consumer)
{
    for (size_t i = 0; i < consumer->topics_n; i++) {
        rg_free(consumer->topics[i].name);
        rg_free(consumer->topics[i].positions);
    }
    rg_free(consumer->topics);
    rg_free(consumer->dirty);
    rg_free(consumer->held);
    rg_free(consumer->batch);
    rg_free(consumer->group_id);
    rg_buf_done(&consumer->scratch);
    pthread_cond_destroy(&consumer->changed);
    pthread_mutex_destroy(&consumer->lock);
    rg_free(consumer);
}

static void finish(struct rg_consumer *consumer)
{
    bool is_abandoned;

    rg_rcu_thread_stop();
    pthread_mutex_lock(&consumer->lock);
    is_abandoned = consumer->is_abandoned;
    consumer->reached = RG_CONSUMER_ENDED;
    pthread_cond_broadcast(&consumer->changed);
    pthread_mutex_unlock(&consumer->lock);
    if (is_abandoned)
        consumer_free(consumer);
}

static void *ingest(void *arg)
{
    struct rg_consumer *consumer = arg;

    rg_rcu_thread_start();
    find_series(consumer);
    if (consumer->sink.on_thread_start != NULL)
        consumer->sink.on_thread_start(consumer->sink.arg);

    run(consumer);
    reach(consumer, RG_CONSUMER_QUIET);
    stay_quietly(consumer);

    pthread_mutex_lock(&consumer->lock);
    uint64_t deadline_ms = consumer->stop_at_ms;
    bool is_abandoned = consumer->is_abandoned;
    pthread_mutex_unlock(&consumer->lock);
    /* Before the group is left: that can take longer than the sink lives. */
    if (consumer->sink.on_thread_stop != NULL && !is_abandoned)
        consumer->sink.on_thread_stop(consumer->sink.arg);
    close_client(consumer, deadline_ms);
    finish(consumer);
    return NULL;
}

/* ---------------------------------------------------------------------- API */

static char *group_id_for(const struct rg_kafka_settings *settings)
{
    RG_CLEANUP(rg_buf_done) struct rg_buf id = {0};
    char uuid[RG_UUID_LEN + 1];

    rg_buf_add_c(&id, settings->group_id);
    if (settings->consume == RG_CONSUME_ALL) {
        rg_random_uuid(uuid);
        rg_buf_addf(&id, "-all-%s", uuid);
    }
    return rg_buf_steal(&id);
}

static void init_lock(struct rg_consumer *consumer)
{
    pthread_condattr_t attr;

    pthread_mutex_init(&consumer->lock, NULL);
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&consumer->changed, &attr);
    pthread_condattr_destroy(&attr);
}

struct rg_consumer *rg_consumer_start(const struct rg_kafka_settings *settings,
                                      const struct rg_consumer_sink *sink, struct rg_tally *tally)
{
    struct rg_consumer *consumer = rg_zalloc(sizeof(*consumer));
    const struct rg_option_list *topics = &settings->source_topics;

    consumer->settings = settings;
    consumer->sink = *sink;
    consumer->tally = tally;
    consumer->batch = rg_realloc_array(NULL, BATCH_MAX, sizeof(consumer->batch[0]));
    consumer->group_id = group_id_for(settings);
    consumer->topics = rg_zalloc(topics->n * sizeof(consumer->topics[0]));
    consumer->topics_n = topics->n;
    for (size_t i = 0; i < topics->n; i++) {
        consumer->topics[i].name = rg_strndup(topics->items[i], strlen(topics->items[i]));
        consumer->topics[i].no = (uint32_t)i;
    }
    init_lock(consumer);
    rg_assert(pthread_create(&consumer->thread, NULL, ingest, consumer) == 0);
    pthread_setname_np(consumer->thread, "kafka-ingest");
    return consumer;
}

/* False, with the lock held as before, if the thread has not come that far at until_ms. */
static bool wait_until_reached(struct rg_consumer *consumer, enum rg_consumer_phase phase,
                               uint64_t until_ms)
{
    struct timespec until = timespec_of(until_ms);

    while (consumer->reached < phase) {
        if (pthread_cond_timedwait(&consumer->changed, &consumer->lock, &until) != 0)
            break;
    }
    return consumer->reached >= phase;
}

void rg_consumer_quiesce(struct rg_consumer *consumer)
{
    bool is_quiet;

    pthread_mutex_lock(&consumer->lock);
    if (atomic_load(&consumer->wanted) < RG_CONSUMER_QUIET)
        atomic_store(&consumer->wanted, RG_CONSUMER_QUIET);
    pthread_cond_broadcast(&consumer->changed);
    is_quiet = wait_until_reached(consumer, RG_CONSUMER_QUIET, rg_clock_mono_ms() + QUIESCE_MS);
    pthread_mutex_unlock(&consumer->lock);
    if (!is_quiet)
        rg_log_warn("kafka client does not come to rest", RG_FI("waited_ms", QUIESCE_MS));
}

void rg_consumer_stop(struct rg_consumer **consumerp, int timeout_ms)
{
    struct rg_consumer *consumer = *consumerp;
    pthread_t thread;
    bool has_ended;

    if (consumer == NULL)
        return;
    *consumerp = NULL;
    thread = consumer->thread;
    pthread_mutex_lock(&consumer->lock);
    consumer->stop_at_ms = rg_clock_mono_ms() + (uint64_t)(timeout_ms > 0 ? timeout_ms : 0);
    atomic_store(&consumer->wanted, RG_CONSUMER_ENDED);
    pthread_cond_broadcast(&consumer->changed);
    has_ended =
        wait_until_reached(consumer, RG_CONSUMER_ENDED, consumer->stop_at_ms + END_GRACE_MS);
    /* Then the thread frees everything itself, if it ever ends. */
    consumer->is_abandoned = !has_ended;
    if (!has_ended)
        pthread_detach(thread);
    pthread_mutex_unlock(&consumer->lock);

    if (!has_ended) {
        rg_log_warn("kafka group not left in time", RG_FI("timeout_ms", timeout_ms));
        return;
    }
    pthread_join(thread, NULL);
    consumer_free(consumer);
}

void rg_consumer_get_status(struct rg_consumer *consumer, struct rg_consumer_status *ret)
{
    pthread_mutex_lock(&consumer->lock);
    *ret = consumer->status;
    pthread_mutex_unlock(&consumer->lock);
}

static void expose_number(struct rg_buf *out, const char *name, const char *type, const char *help,
                          uint64_t value)
{
    rg_metric_head(out, name, type, help);
    rg_buf_addf(out, "%s %llu\n", name, (unsigned long long)value);
}

void rg_consumer_expose(struct rg_consumer *consumer, struct rg_buf *out)
{
    struct rg_consumer_status status;
    uint64_t rebuilds;

    pthread_mutex_lock(&consumer->lock);
    status = consumer->status;
    rebuilds = consumer->rebuilds;
    pthread_mutex_unlock(&consumer->lock);

    expose_number(out, "rgate_kafka_connected", "gauge",
                  "1 while a broker has answered since the last loss.", status.is_connected);
    expose_number(out, "rgate_kafka_assigned_partitions", "gauge",
                  "Partitions that this node reads.", status.partitions);
    expose_number(out, "rgate_kafka_paused", "gauge",
                  "1 while reading waits for a reactor to have room.", status.is_paused);
    expose_number(out, "rgate_kafka_client_rebuilds_total", "counter",
                  "How often the client was replaced after a fatal error.", rebuilds);
}
