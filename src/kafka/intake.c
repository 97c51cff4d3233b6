/*
 * Out of librdkafka's queue, into the sink.
 *
 * A message that the sink has no room for is kept; it is offered again every few milliseconds,
 * for a moment without further ado and then with all partitions paused. A pause costs what
 * was fetched ahead (see rg_consumer_pause()), so a short stall must not lead to one.
 */
#include <librdkafka/rdkafka.h>
#include <time.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/log.h"
#include "kafka/consumer_priv.h"
#include "kafka/decode.h"

enum {
    MAX_SHOWN = 200, /* bytes of a bad message in its log line */
    NUDGE_EVERY_MS = 10,
    POLL_MS = RG_CONSUMER_POLL_MS,
    RETRY_MS = 2, /* between two offers of a kept message */
    STALL_MS = 20 /* the sink may be full for so long without a pause */
};

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

/* *ret_format becomes what the message was taken for, also if it could not be used. */
static int deliver(struct rg_consumer *consumer, const struct rg_consumer_topic *topic,
                   const rd_kafka_message_t *m, enum rg_format *ret_format, struct rg_why *why)
{
    struct rg_record_header headers[RG_DECODE_MAX_HEADERS + 1];
    rd_kafka_timestamp_type_t kind;
    struct rg_kafka_message message = {.topic = rg_str_c(topic->name),
                                       .topic_no = topic->no,
                                       .partition = m->partition,
                                       .offset = m->offset,
                                       .timestamp_ms = rd_kafka_message_timestamp(m, &kind),
                                       .key = rg_str_n(m->key, m->key_len),
                                       .format = topic->format,
                                       .event = rg_str_n(m->payload, m->len),
                                       .headers = headers};
    int err = 0;

    message.headers_n = read_headers(m, headers);
    if (!consumer->is_raw)
        err = rg_decode_record(headers, message.headers_n, message.event, &message.format,
                               &consumer->scratch, &message.event, why);
    *ret_format = message.format;
    return err < 0 ? err : consumer->sink.event(consumer->sink.arg, &message, why);
}

/* The beginning of a value, not cut in the middle of a character. */
static struct rg_str shown(const rd_kafka_message_t *m)
{
    struct rg_str value = rg_str_n(m->payload, m->len);

    if (value.n <= MAX_SHOWN)
        return value;
    value.n = MAX_SHOWN;
    while (value.n > MAX_SHOWN - 4 && ((unsigned char)value.p[value.n] & 0xc0) == 0x80)
        value.n--;
    return value;
}

/*
 * An error where it should have been an event (configuration.md 6.3), a warning where it might have
 * been anything (legacy-channels.md 11.4).
 */
static void log_bad(const struct rg_consumer *consumer, const struct rg_consumer_topic *topic,
                    const rd_kafka_message_t *m, enum rg_format format, int err,
                    const struct rg_why *why)
{
    enum rg_log_level level = format == RG_FORMAT_CLOUDEVENTS ? RG_LOG_ERROR : RG_LOG_WARN;
    /* What was to be taken as it comes is for one receiver, and nothing for a log. */
    struct rg_str value = consumer->is_raw ? RG_STR("") : shown(m);

    RG_LOG_AT(level, "bad message skipped", RG_FS("topic", topic->name),
              RG_FI("partition", m->partition), RG_FI("offset", m->offset),
              RG_FS("reason", why->text[0] != '\0' ? why->text : rg_strerror(err)),
              RG_FS("place", why->place), RG_FSTR("value", value), RG_FU("bytes", m->len));
}

/* Returns RG_EAGAIN if the sink has no room; otherwise the matter of this message is ended. */
static int hand_over(struct rg_consumer *consumer, const rd_kafka_message_t *m)
{
    struct rg_consumer_topic *topic = topic_of(consumer, m->rkt);
    enum rg_format format;
    struct rg_why why;
    int err;

    if (topic == NULL)
        return 0;
    why.place[0] = why.text[0] = '\0';
    err = deliver(consumer, topic, m, &format, &why);
    if (err == RG_EAGAIN)
        return err;
    if (err < 0) {
        topic->batch_failed++;
        log_bad(consumer, topic, m, format, err, &why);
    } else {
        topic->batch_good++;
    }
    rg_consumer_advance(consumer, topic, m->partition, m->offset + 1);
    return 0;
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
            rg_series_observe(topic->durations, topic->batch_good, duration_ns / messages);
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

void rg_consumer_drop_all_held(struct rg_consumer *consumer)
{
    while (consumer->held_n > 0)
        rd_kafka_message_destroy(consumer->held[--consumer->held_n]);
    consumer->is_holding = false;
    rg_consumer_set_paused(consumer, false);
}

/* ------------------------------------------------------------------ reading */

/* Takes the message. */
static void receive(struct rg_consumer *consumer, rd_kafka_message_t *m)
{
    if (m->err == RD_KAFKA_RESP_ERR_NO_ERROR) {
        consumer->level.batch_bytes += m->len;
        if (!consumer->is_connected || consumer->has_error)
            rg_consumer_note_connected(consumer);
        if (consumer->held_n > 0 || hand_over(consumer, m) == RG_EAGAIN) {
            hold(consumer, m);
            return;
        }
    } else {
        rg_consumer_on_error(consumer, m);
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
    ssize_t n = rd_kafka_consume_batch_queue(consumer->queue, 0, batch, RG_CONSUMER_BATCH_MAX);

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

/*
 * Half empty after having been half full at least: fetching may have stopped, see
 * rg_consumer_nudge(). The queue tells its messages only; their size is that of the last ones.
 */
static void watch_queue(struct rg_consumer *consumer, size_t messages)
{
    struct rg_consumer_queue *q = &consumer->level;
    size_t n = rd_kafka_queue_length(consumer->queue);
    size_t bytes = n * (q->batch_bytes / messages);
    uint64_t now_ms = rg_clock_mono_ms();

    q->batch_bytes = 0;
    q->peak_messages = n > q->peak_messages ? n : q->peak_messages;
    q->peak_bytes = bytes > q->peak_bytes ? bytes : q->peak_bytes;
    bool was_long = q->peak_messages >= q->max_messages / 2 || q->peak_bytes >= q->max_bytes / 2;
    if (!was_long || n > q->peak_messages / 2 || now_ms - q->nudged_ms < NUDGE_EVERY_MS)
        return;
    q->peak_messages = n;
    q->peak_bytes = bytes;
    q->nudged_ms = now_ms;
    rg_consumer_nudge(consumer);
}

void rg_consumer_take_batch(struct rg_consumer *consumer)
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
    watch_queue(consumer, n);
}

static void pause_reading(struct rg_consumer *consumer)
{
    rg_consumer_pause(consumer);
    rg_consumer_set_paused(consumer, true);
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
    rg_consumer_set_paused(consumer, false);
}

/* Keeps the membership alive; a message that comes in spite of the pause waits in its place. */
static void poll_paused(struct rg_consumer *consumer)
{
    rd_kafka_message_t *m = rd_kafka_consumer_poll(consumer->rk, RETRY_MS);

    if (m != NULL)
        receive(consumer, m);
}

void rg_consumer_offer_held(struct rg_consumer *consumer)
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
