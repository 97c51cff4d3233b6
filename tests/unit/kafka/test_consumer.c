/*
 * The consumer against the embedded Kafka. Events are numbers, counted up per partition; the
 * sink checks that each partition's numbers come in order and keeps which ones came.
 */
#include <setjmp.h>
#include <spawn.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>
#include <librdkafka/rdkafka.h>
#include <librdkafka/rdkafka_mock.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/rcu.h"
#include "kafka/consumer_priv.h"
#include "kafka/embedded_priv.h"
#include "kafka/producer.h"

enum {
    PARTITIONS = 4,
    MAX_NUMBER = 20000,
    DEADLINE_MS = 20000
};

/* ------------------------------------------------------------------ the Kafka */

static char rig[] = "rig", other[] = "other";
static char *topic_names[] = {rig, other};
static struct rg_embedded_kafka *kafka;
static rd_kafka_t *source;
static unsigned next_number[PARTITIONS]; /* of topic rig */

static int start_kafka(void **state)
{
    struct rg_option_list topics = {topic_names, 2};
    struct rg_why why = {0};
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    char text[200];

    (void)state;
    kafka = rg_embedded_kafka_start(&topics, PARTITIONS, &why);
    assert_non_null(kafka);
    rd_kafka_conf_set(conf, "bootstrap.servers", rg_embedded_kafka_bootstrap(kafka), NULL, 0);
    rd_kafka_conf_set(conf, "linger.ms", "0", NULL, 0);
    rd_kafka_conf_set(conf, "log_level", "0", NULL, 0);
    source = rd_kafka_new(RD_KAFKA_PRODUCER, conf, text, sizeof(text));
    assert_non_null(source);
    memset(next_number, 0, sizeof(next_number));
    return 0;
}

static int stop_kafka(void **state)
{
    (void)state;
    rd_kafka_destroy(source);
    rg_embedded_kafka_stop(&kafka);
    return 0;
}

static void send_text(const char *topic, int32_t partition, const char *text)
{
    rd_kafka_resp_err_t err;

    do {
        err = rd_kafka_producev(source, RD_KAFKA_V_TOPIC(topic), RD_KAFKA_V_PARTITION(partition),
                                RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY),
                                RD_KAFKA_V_VALUE((void *)text, strlen(text)), RD_KAFKA_V_END);
        rd_kafka_poll(source, err == RD_KAFKA_RESP_ERR__QUEUE_FULL ? 10 : 0);
    } while (err == RD_KAFKA_RESP_ERR__QUEUE_FULL);
    assert_int_equal(err, 0);
}

static void flush_source(void)
{
    assert_int_equal(rd_kafka_flush(source, DEADLINE_MS), 0);
}

/* The next number of every partition of rig, n times. */
static void send_numbers(unsigned n)
{
    char text[32];

    for (unsigned i = 0; i < n; i++) {
        for (int32_t p = 0; p < PARTITIONS; p++) {
            snprintf(text, sizeof(text), "%u", next_number[p]++);
            send_text("rig", p, text);
        }
    }
    flush_source();
}

/* ------------------------------------------------------------------- the sink */

struct receipts {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    unsigned char seen[PARTITIONS][MAX_NUMBER]; /* how often */
    int last[PARTITIONS];
    unsigned total, distinct, repeated, bad;
    bool is_disordered, is_full;
    unsigned stall_every; /* has no room for 40 ms after so many messages; 0: never */
    uint64_t stalled_until_ms;
    unsigned threads; /* started minus stopped */
};

static struct receipts *receipts_new(void)
{
    struct receipts *receipts = rg_zalloc(sizeof(*receipts));
    pthread_condattr_t attr;

    pthread_mutex_init(&receipts->lock, NULL);
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&receipts->changed, &attr);
    pthread_condattr_destroy(&attr);
    for (int p = 0; p < PARTITIONS; p++)
        receipts->last[p] = -1;
    return receipts;
}

static void receipts_free(struct receipts *receipts)
{
    pthread_cond_destroy(&receipts->changed);
    pthread_mutex_destroy(&receipts->lock);
    rg_free(receipts);
}

static bool has_room(struct receipts *receipts)
{
    if (receipts->is_full)
        return false;
    if (receipts->stalled_until_ms > 0) {
        if (rg_clock_mono_ms() < receipts->stalled_until_ms)
            return false;
        receipts->stalled_until_ms = 0;
    } else if (receipts->stall_every > 0 && receipts->total % receipts->stall_every == 0) {
        receipts->stalled_until_ms = rg_clock_mono_ms() + 40;
        return false;
    }
    return true;
}

static int record(struct receipts *receipts, const struct rg_kafka_message *message,
                  struct rg_why *why)
{
    char text[32];
    int number;

    if (message->event.n >= sizeof(text) || message->event.p[0] < '0' ||
        message->event.p[0] > '9') {
        receipts->bad++;
        return rg_why_set(why, RG_ESYNTAX, "", "not a number");
    }
    memcpy(text, message->event.p, message->event.n);
    text[message->event.n] = '\0';
    number = atoi(text);
    receipts->is_disordered |= number <= receipts->last[message->partition];
    receipts->last[message->partition] = number;
    if (receipts->seen[message->partition][number]++ == 0)
        receipts->distinct++;
    else
        receipts->repeated++;
    receipts->total++;
    return 0;
}

static int take(void *arg, const struct rg_kafka_message *message, struct rg_why *why)
{
    struct receipts *receipts = arg;
    int err = RG_EAGAIN;

    pthread_mutex_lock(&receipts->lock);
    if (has_room(receipts))
        err = record(receipts, message, why);
    pthread_cond_broadcast(&receipts->changed);
    pthread_mutex_unlock(&receipts->lock);
    return err;
}

static void thread_starts(void *arg)
{
    struct receipts *receipts = arg;

    pthread_mutex_lock(&receipts->lock);
    receipts->threads++;
    pthread_mutex_unlock(&receipts->lock);
}

static void thread_stops(void *arg)
{
    struct receipts *receipts = arg;

    pthread_mutex_lock(&receipts->lock);
    receipts->threads--;
    pthread_mutex_unlock(&receipts->lock);
}

static void set_full(struct receipts *receipts, bool is_full)
{
    pthread_mutex_lock(&receipts->lock);
    receipts->is_full = is_full;
    pthread_mutex_unlock(&receipts->lock);
}

/* --------------------------------------------------------------------- members */

struct member {
    struct rg_kafka_settings settings;
    struct rg_consumer *consumer;
    struct rg_tally counts;
    struct receipts *receipts;
};

static const char *group, *properties, *consume, *topics, *brokers;

static const char *fake_getenv(const char *name)
{
    if (strcmp(name, "KAFKA_BROKERS") == 0)
        return brokers != NULL ? brokers : rg_embedded_kafka_bootstrap(kafka);
    if (strcmp(name, "KAFKATOFILTER_KAFKA_GROUP_ID") == 0)
        return group;
    if (strcmp(name, "KAFKA_PROPERTIES") == 0)
        return properties;
    if (strcmp(name, "KAFKA_CONSUME") == 0)
        return consume;
    if (strcmp(name, "KAFKA_SOURCE_TOPICS") == 0)
        return topics;
    return strcmp(name, "KAFKA_RESTART_DELAY_MS") == 0 ? "1000" : NULL;
}

static void member_start(struct member *m, struct receipts *receipts)
{
    struct rg_problems problems = {0};
    struct rg_consumer_sink sink = {take, thread_starts, thread_stops, receipts};

    m->receipts = receipts;
    rg_options_parse(rg_kafka_options, rg_kafka_options_n, fake_getenv, &m->settings, &problems);
    rg_kafka_settings_check(&m->settings, &problems);
    assert_int_equal(problems.n, 0);
    rg_tally_init(&m->counts);
    m->consumer = rg_consumer_start(&m->settings, &sink, &m->counts);
}

static void member_stop(struct member *m)
{
    rg_consumer_quiesce(m->consumer);
    rg_consumer_stop(&m->consumer, 5000);
    assert_null(m->consumer);
    assert_int_equal(m->receipts->threads, 0);
    rg_tally_done(&m->counts);
    rg_options_done(rg_kafka_options, rg_kafka_options_n, &m->settings);
}

static struct rg_consumer_status status_of(struct member *m)
{
    struct rg_consumer_status status;

    rg_consumer_get_status(m->consumer, &status);
    return status;
}

/*
 * Waits until condition holds, which is looked at whenever the sink of m was offered something and
 * every few milliseconds (a status has no condition variable), and fails after the deadline.
 */
#define WAIT_FOR(m, condition)                                                                     \
    do {                                                                                           \
        uint64_t deadline_ms_ = rg_clock_mono_ms() + DEADLINE_MS;                                  \
        pthread_mutex_lock(&(m)->receipts->lock);                                                  \
        while (!(condition) && rg_clock_mono_ms() < deadline_ms_)                                  \
            wait_shortly((m)->receipts);                                                           \
        bool holds_ = (condition);                                                                 \
        pthread_mutex_unlock(&(m)->receipts->lock);                                                \
        if (!holds_)                                                                               \
            fail_msg("not in time: %s", #condition);                                               \
    } while (0)

static void wait_shortly(struct receipts *receipts)
{
    uint64_t until_ms = rg_clock_mono_ms() + 10;
    struct timespec until = {.tv_sec = (time_t)(until_ms / 1000),
                             .tv_nsec = (long)(until_ms % 1000) * 1000000L};

    pthread_cond_timedwait(&receipts->changed, &receipts->lock, &until);
}

static void wait_for_partitions(struct member *m, unsigned n)
{
    WAIT_FOR(m, status_of(m).has_joined && status_of(m).partitions == n);
}

/* All numbers from first on, in every partition, came; each once. */
static void wait_for_numbers(struct member *m, unsigned n_per_partition)
{
    WAIT_FOR(m, m->receipts->distinct >= n_per_partition * PARTITIONS);
    assert_false(m->receipts->is_disordered);
    assert_int_equal(m->receipts->repeated, 0);
}

/*
 * The embedded Kafka waits the whole session timeout for members, even if all are there; for the
 * first ones three seconds, so it must not be less than that.
 */
#define FAST "session.timeout.ms=4000,heartbeat.interval.ms=300"

static int defaults(void **state)
{
    properties = FAST;
    consume = topics = brokers = NULL;
    group = "g";
    return start_kafka(state);
}

static bool is_exposed(struct member *m, const char *line)
{
    RG_CLEANUP(rg_buf_done) struct rg_buf out = {0};

    rg_tally_expose(&m->counts, &out);
    rg_consumer_expose(m->consumer, &out);
    rg_buf_add_char(&out, '\0');
    return strstr(out.p, line) != NULL;
}

/* ----------------------------------------------------------------------- tests */

static void new_group_starts_at_the_end_and_keeps_order(void **state)
{
    struct member m;

    (void)state;
    send_numbers(5);
    member_start(&m, receipts_new());
    wait_for_partitions(&m, PARTITIONS);
    assert_true(status_of(&m).is_connected);
    send_numbers(1000);
    wait_for_numbers(&m, 1000);
    for (int p = 0; p < PARTITIONS; p++) {
        assert_int_equal(m.receipts->seen[p][4], 0);
        assert_int_equal(m.receipts->seen[p][5], 1);
    }
    WAIT_FOR(&m,
             is_exposed(&m, "rig_consumed_events_total{source=\"kafka\",topic=\"rig\"} 4000\n"));
    assert_true(is_exposed(&m, "rig_consumed_event_processing_duration_milliseconds_count{"
                               "source=\"kafka\",topic=\"rig\"} 4000\n"));
    assert_true(is_exposed(&m, "rgate_kafka_assigned_partitions 4\n"));
    member_stop(&m);
    receipts_free(m.receipts);
}

static void restart_resumes_behind_what_was_handed_over(void **state)
{
    struct receipts *receipts = receipts_new();
    struct member m;

    (void)state;
    member_start(&m, receipts);
    wait_for_partitions(&m, PARTITIONS);
    send_numbers(10);
    wait_for_numbers(&m, 10);
    member_stop(&m);

    send_numbers(2);
    member_start(&m, receipts);
    wait_for_numbers(&m, 12);
    member_stop(&m);
    receipts_free(receipts);
}

static void position_of_a_new_group_outlives_a_member_that_read_nothing(void **state)
{
    struct receipts *receipts = receipts_new();
    struct member m;

    (void)state;
    member_start(&m, receipts);
    wait_for_partitions(&m, PARTITIONS);
    member_stop(&m);

    send_numbers(2);
    member_start(&m, receipts);
    wait_for_numbers(&m, 2);
    member_stop(&m);
    receipts_free(receipts);
}

static void bad_messages_are_skipped_and_counted(void **state)
{
    struct member m;

    (void)state;
    member_start(&m, receipts_new());
    wait_for_partitions(&m, PARTITIONS);
    send_numbers(1);
    send_text("rig", 0, "hello");
    send_text("rig", 0, "");
    send_numbers(1);
    wait_for_numbers(&m, 2);
    WAIT_FOR(&m, is_exposed(&m, "rig_consumed_events_failed_total{source=\"kafka\",topic=\"rig\"} "
                                "2\n"));
    /* The last ones may be in a batch of their own, which is counted a moment later. */
    WAIT_FOR(&m, is_exposed(&m, "rig_consumed_events_total{source=\"kafka\",topic=\"rig\"} 10\n"));
    WAIT_FOR(&m, is_exposed(&m, "rig_consumed_event_processing_duration_milliseconds_count{"
                                "source=\"kafka\",topic=\"rig\"} 8\n"));
    assert_int_equal(m.receipts->bad, 1);

    /* A bad message at the very end is committed like a good one. */
    send_text("rig", 0, "hello");
    WAIT_FOR(&m, m.receipts->bad == 2);
    member_stop(&m);
    send_numbers(1);
    member_start(&m, m.receipts);
    wait_for_numbers(&m, 3);
    assert_int_equal(m.receipts->bad, 2);
    member_stop(&m);
    receipts_free(m.receipts);
}

static void full_sink_loses_and_reorders_nothing(void **state)
{
    struct member m;

    (void)state;
    member_start(&m, receipts_new());
    wait_for_partitions(&m, PARTITIONS);

    set_full(m.receipts, true);
    send_numbers(500);
    WAIT_FOR(&m, status_of(&m).is_paused);
    send_numbers(500);
    assert_int_equal(m.receipts->total, 0);
    set_full(m.receipts, false);
    wait_for_numbers(&m, 1000);
    WAIT_FOR(&m, !status_of(&m).is_paused);

    pthread_mutex_lock(&m.receipts->lock);
    m.receipts->stall_every = 97;
    pthread_mutex_unlock(&m.receipts->lock);
    send_numbers(500);
    wait_for_numbers(&m, 1500);
    member_stop(&m);
    receipts_free(m.receipts);
}

/* Sends while the second member joins, works and leaves; first and second stop at the end. */
static void share_and_take_back(struct member *first, struct member *second)
{
    struct receipts *a = receipts_new(), *b = receipts_new();

    member_start(first, a);
    wait_for_partitions(first, PARTITIONS);
    send_numbers(50);
    member_start(second, b);
    do {
        send_numbers(5);
        pthread_mutex_lock(&a->lock);
        wait_shortly(a);
        pthread_mutex_unlock(&a->lock);
        assert_true(next_number[0] < MAX_NUMBER - 100);
    } while (status_of(first).partitions != 2 || status_of(second).partitions != 2);
    send_numbers(50);
    WAIT_FOR(second, b->distinct >= 2 * 50);

    member_stop(second);
    send_numbers(50);
    wait_for_partitions(first, PARTITIONS);
    send_numbers(50);
    WAIT_FOR(first,
             a->last[0] == (int)next_number[0] - 1 && a->last[1] == (int)next_number[1] - 1 &&
                 a->last[2] == (int)next_number[2] - 1 && a->last[3] == (int)next_number[3] - 1);
    member_stop(first);
}

static unsigned times_seen(struct member *first, struct member *second, int partition, unsigned i)
{
    return first->receipts->seen[partition][i] + second->receipts->seen[partition][i];
}

/*
 * Nothing is lost. The embedded Kafka takes no commit while members join, as others do; what
 * could not be committed is read again by the next owner, and only then may numbers go back.
 */
static void assert_nothing_is_lost(struct member *first, struct member *second)
{
    for (int p = 0; p < PARTITIONS; p++) {
        for (unsigned i = 0; i < next_number[p]; i++)
            assert_true(times_seen(first, second, p, i) >= 1);
    }
    assert_true(!first->receipts->is_disordered || first->receipts->repeated > 0);
    assert_true(!second->receipts->is_disordered || second->receipts->repeated > 0);
    receipts_free(first->receipts);
    receipts_free(second->receipts);
}

static void cooperative_members_share_and_lose_nothing(void **state)
{
    struct member first, second;

    (void)state;
    share_and_take_back(&first, &second);
    assert_nothing_is_lost(&first, &second);
}

static void eager_members_share_and_lose_nothing(void **state)
{
    struct member first, second;

    (void)state;
    properties = FAST ",partition.assignment.strategy=roundrobin";
    share_and_take_back(&first, &second);
    assert_nothing_is_lost(&first, &second);
}

static void kept_message_goes_to_the_new_owner_of_its_partition(void **state)
{
    struct member full, second;

    (void)state;
    member_start(&full, receipts_new());
    wait_for_partitions(&full, PARTITIONS);
    set_full(full.receipts, true);
    send_numbers(20);
    WAIT_FOR(&full, status_of(&full).is_paused);

    member_start(&second, receipts_new());
    wait_for_partitions(&second, 2);
    WAIT_FOR(&second, second.receipts->distinct == 2 * 20);
    assert_int_equal(full.receipts->total, 0);
    set_full(full.receipts, false);
    WAIT_FOR(&full, full.receipts->distinct == 2 * 20);
    assert_int_equal(full.receipts->repeated + second.receipts->repeated, 0);
    assert_false(full.receipts->is_disordered || second.receipts->is_disordered);
    member_stop(&full);
    member_stop(&second);
    receipts_free(full.receipts);
    receipts_free(second.receipts);
}

static void everybody_reads_everything_in_mode_all(void **state)
{
    struct member a, b;

    (void)state;
    consume = "all";
    member_start(&a, receipts_new());
    member_start(&b, receipts_new());
    wait_for_partitions(&a, PARTITIONS);
    wait_for_partitions(&b, PARTITIONS);
    send_numbers(10);
    wait_for_numbers(&a, 10);
    wait_for_numbers(&b, 10);
    member_stop(&a);
    member_stop(&b);
    receipts_free(a.receipts);
    receipts_free(b.receipts);
}

static void joins_when_a_broker_appears(void **state)
{
    struct member m;

    (void)state;
    rd_kafka_mock_broker_set_down(rg_embedded_kafka_cluster(kafka), 1);
    member_start(&m, receipts_new());
    WAIT_FOR(&m, status_of(&m).last_error[0] != '\0');
    assert_false(status_of(&m).is_connected);
    rd_kafka_mock_broker_set_up(rg_embedded_kafka_cluster(kafka), 1);
    WAIT_FOR(&m, status_of(&m).is_connected);
    wait_for_partitions(&m, PARTITIONS);
    send_numbers(1);
    wait_for_numbers(&m, 1);
    assert_string_equal(status_of(&m).last_error, "");
    member_stop(&m);
    receipts_free(m.receipts);
}

static void lost_broker_is_noticed_and_stop_does_not_wait_for_it(void **state)
{
    struct member m;
    uint64_t started_ms;

    (void)state;
    member_start(&m, receipts_new());
    wait_for_partitions(&m, PARTITIONS);
    send_numbers(1);
    wait_for_numbers(&m, 1);
    rd_kafka_mock_broker_set_down(rg_embedded_kafka_cluster(kafka), 1);
    WAIT_FOR(&m, !status_of(&m).is_connected);

    started_ms = rg_clock_mono_ms();
    rg_consumer_quiesce(m.consumer);
    rg_consumer_stop(&m.consumer, 1000);
    assert_true(rg_clock_mono_ms() - started_ms < 4000);
    assert_int_equal(m.receipts->threads, 0);
    rd_kafka_mock_broker_set_up(rg_embedded_kafka_cluster(kafka), 1);
    rg_tally_done(&m.counts);
    rg_options_done(rg_kafka_options, rg_kafka_options_n, &m.settings);
    receipts_free(m.receipts);
}

static void stop_before_any_broker_answered_returns(void **state)
{
    struct member m;

    (void)state;
    brokers = "127.0.0.1:1";
    member_start(&m, receipts_new());
    WAIT_FOR(&m, status_of(&m).last_error[0] != '\0');
    member_stop(&m);
    receipts_free(m.receipts);
}

/*
 * The client is the ingest thread's own. It has been there since before the assignment and stays
 * until it is broken, so a look at it from here is sound, but nothing tells the sanitizer.
 */
__attribute__((no_sanitize("thread"))) static rd_kafka_t *client_of(const struct member *m)
{
    return m->consumer->rk;
}

static bool is_member(const struct member *m)
{
    char *id = rd_kafka_memberid(client_of(m));
    bool is_set = id != NULL && id[0] != '\0';

    free(id);
    return is_set;
}

static void stop_between_joining_and_the_first_assignment_returns(void **state)
{
    enum {
        SYNC_GROUP = 14
    };
    rd_kafka_resp_err_t errors[20];
    struct member m;

    (void)state;
    for (size_t i = 0; i < RG_COUNT_OF(errors); i++)
        errors[i] = RD_KAFKA_RESP_ERR_UNKNOWN;
    rd_kafka_mock_push_request_errors_array(rg_embedded_kafka_cluster(kafka), SYNC_GROUP,
                                            RG_COUNT_OF(errors), errors);
    member_start(&m, receipts_new());
    WAIT_FOR(&m, status_of(&m).is_connected && is_member(&m));
    assert_false(status_of(&m).has_joined);
    member_stop(&m);
    receipts_free(m.receipts);
}

static void client_is_rebuilt_after_a_fatal_error(void **state)
{
    struct member m;

    (void)state;
    member_start(&m, receipts_new());
    wait_for_partitions(&m, PARTITIONS);
    send_numbers(3);
    wait_for_numbers(&m, 3);
    rd_kafka_test_fatal_error(client_of(&m), RD_KAFKA_RESP_ERR_FENCED_INSTANCE_ID, "fenced");
    WAIT_FOR(&m, is_exposed(&m, "rgate_kafka_client_rebuilds_total 1\n"));
    send_numbers(3);
    /* A client that failed commits no more, so what it had read since its last commit comes again.
     */
    WAIT_FOR(&m, m.receipts->distinct == 6 * PARTITIONS);
    member_stop(&m);
    receipts_free(m.receipts);
}

static void missing_topic_does_not_stop_the_others(void **state)
{
    rd_kafka_mock_cluster_t *cluster = rg_embedded_kafka_cluster(kafka);
    struct member m;

    (void)state;
    topics = "other,rig";
    rd_kafka_mock_topic_set_error(cluster, "other", RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART);
    member_start(&m, receipts_new());
    wait_for_partitions(&m, PARTITIONS);
    send_numbers(1);
    wait_for_numbers(&m, 1);
    rd_kafka_mock_topic_set_error(cluster, "other", RD_KAFKA_RESP_ERR_NO_ERROR);
    wait_for_partitions(&m, 2 * PARTITIONS);
    send_text("other", 2, "7000");
    WAIT_FOR(&m, m.receipts->seen[2][7000] == 1);
    member_stop(&m);
    receipts_free(m.receipts);
}

struct delivery {
    atomic_int calls, good;
};

static void count_delivery(void *arg, int err, const struct rg_why *why, int32_t partition,
                           int64_t offset)
{
    struct delivery *delivery = arg;

    (void)why;
    (void)partition;
    (void)offset;
    if (err == 0)
        atomic_fetch_add(&delivery->good, 1);
    atomic_fetch_add(&delivery->calls, 1);
}

static void producer_delivers_and_answers_each_message_once(void **state)
{
    struct delivery delivery = {0};
    struct rg_why why = {0};
    struct rg_producer *producer;
    struct member m;

    (void)state;
    member_start(&m, receipts_new());
    wait_for_partitions(&m, PARTITIONS);
    producer = rg_producer_start(&m.settings, &why);
    assert_non_null(producer);
    assert_int_equal(
        rg_producer_send(producer, "rig", RG_STR("a"), RG_STR("1"), count_delivery, &delivery), 0);
    assert_int_equal(
        rg_producer_send(producer, "rig", RG_STR("hello"), RG_STR("2"), count_delivery, &delivery),
        0);
    WAIT_FOR(&m, m.receipts->distinct == 2);
    assert_int_equal(m.receipts->seen[1009084850u % PARTITIONS][1], 1);
    assert_int_equal(m.receipts->seen[613153351u % PARTITIONS][2], 1);
    rg_producer_stop(&producer, 5000);
    assert_int_equal(atomic_load(&delivery.calls), 2);
    assert_int_equal(atomic_load(&delivery.good), 2);
    member_stop(&m);
    receipts_free(m.receipts);
}

/* What a consumer of raw messages was given. */
struct raw {
    pthread_mutex_t lock;
    struct rg_buf text;  /* "<key>|<name>=<value>;…|<value>\n" for each */
    unsigned full_times; /* how often there shall be no room */
};

static int take_raw(void *arg, const struct rg_kafka_message *message, struct rg_why *why)
{
    struct raw *raw = arg;
    int err = 0;

    pthread_mutex_lock(&raw->lock);
    if (raw->full_times > 0) {
        raw->full_times--;
        err = RG_EAGAIN;
    } else if (rg_str_eq(message->event, RG_STR("bad"))) {
        err = rg_why_set(why, RG_EINVAL, "", "bad");
    } else {
        rg_buf_addf(&raw->text, "%.*s|", RG_STR_ARG(message->key));
        for (size_t i = 0; i < message->headers_n; i++)
            rg_buf_addf(&raw->text, "%.*s=%.*s;", RG_STR_ARG(message->headers[i].name),
                        RG_STR_ARG(message->headers[i].value));
        rg_buf_add_char(&raw->text, '|');
        rg_buf_add_str(&raw->text, message->event);
        rg_buf_add_char(&raw->text, '\n');
    }
    pthread_mutex_unlock(&raw->lock);
    return err;
}

static bool has_taken(struct raw *raw, const char *text)
{
    pthread_mutex_lock(&raw->lock);
    bool is_same = rg_str_eq(rg_buf_str(&raw->text), rg_str_c(text));
    pthread_mutex_unlock(&raw->lock);
    return is_same;
}

static void send_with_headers(struct rg_producer *producer, const char *value)
{
    const struct rg_record_header headers[] = {{RG_STR("Rig-Correlation"), RG_STR("id")},
                                               {RG_STR("empty"), RG_STR("")},
                                               {RG_STR("content-type"), RG_STR("avro/binary")}};

    assert_int_equal(rg_producer_send_with(producer, "other", RG_STR("k"), rg_str_c(value), headers,
                                           RG_COUNT_OF(headers), NULL, NULL),
                     0);
}

static void a_raw_source_is_read_as_it_is_beside_that_of_events(void **state)
{
    struct raw raw = {.lock = PTHREAD_MUTEX_INITIALIZER, .full_times = 3};
    const struct rg_option_list raw_topics = {topic_names + 1, 1};
    const struct rg_consumer_source raw_source = {"kafka-raw", &raw_topics, "raw", true};
    const struct rg_consumer_sink sink = {.event = take_raw, .arg = &raw};
    struct rg_consumer_status status;
    struct rg_why why = {0};
    struct member m;

    (void)state;
    member_start(&m, receipts_new());
    struct rg_consumer *consumer = rg_consumer_start_of(&m.settings, &raw_source, &sink, &m.counts);
    struct rg_producer *producer = rg_producer_start(&m.settings, &why);
    wait_for_partitions(&m, PARTITIONS);
    WAIT_FOR(&m, (rg_consumer_get_status(consumer, &status), status.partitions == PARTITIONS));

    send_with_headers(producer, "no { json");
    send_with_headers(producer, "bad");
    send_with_headers(producer, "");
    send_numbers(1);
    WAIT_FOR(&m, has_taken(&raw, "k|Rig-Correlation=id;empty=;content-type=avro/binary;|no { json\n"
                                 "k|Rig-Correlation=id;empty=;content-type=avro/binary;|\n"));
    wait_for_numbers(&m, 1);
    WAIT_FOR(&m, is_exposed(&m, "rig_consumed_events_total{source=\"kafka\",topic=\"other\"} 3\n"));
    assert_true(
        is_exposed(&m, "rig_consumed_events_failed_total{source=\"kafka\",topic=\"other\"} 1\n"));
    assert_true(is_exposed(&m, "rig_consumed_events_total{source=\"kafka\",topic=\"rig\"} 4\n"));
    rg_producer_stop(&producer, 5000);
    rg_consumer_stop(&consumer, 5000);
    assert_null(consumer);
    rg_buf_done(&raw.text);
    member_stop(&m);
    receipts_free(m.receipts);
}

static void producer_that_stops_without_broker_answers_all(void **state)
{
    struct delivery delivery = {0};
    struct rg_why why = {0};
    struct rg_producer *producer;
    struct rg_kafka_settings settings = {0};
    struct rg_problems problems = {0};

    (void)state;
    brokers = "127.0.0.1:1";
    rg_options_parse(rg_kafka_options, rg_kafka_options_n, fake_getenv, &settings, &problems);
    producer = rg_producer_start(&settings, &why);
    for (int i = 0; i < 10; i++)
        assert_int_equal(
            rg_producer_send(producer, "rig", RG_STR("a"), RG_STR("1"), count_delivery, &delivery),
            0);
    rg_producer_stop(&producer, 100);
    assert_int_equal(atomic_load(&delivery.calls), 10);
    assert_int_equal(atomic_load(&delivery.good), 0);
    rg_options_done(rg_kafka_options, rg_kafka_options_n, &settings);
}

static int start_all(void **state)
{
    (void)state;
    rg_rcu_thread_start();
    return 0;
}

static int stop_all(void **state)
{
    (void)state;
    rg_rcu_thread_stop();
    return 0;
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, defaults, stop_kafka)

static const struct CMUnitTest tests[] = {
    TEST(new_group_starts_at_the_end_and_keeps_order),
    TEST(restart_resumes_behind_what_was_handed_over),
    TEST(position_of_a_new_group_outlives_a_member_that_read_nothing),
    TEST(bad_messages_are_skipped_and_counted),
    TEST(full_sink_loses_and_reorders_nothing),
    TEST(cooperative_members_share_and_lose_nothing),
    TEST(eager_members_share_and_lose_nothing),
    TEST(kept_message_goes_to_the_new_owner_of_its_partition),
    TEST(everybody_reads_everything_in_mode_all),
    TEST(joins_when_a_broker_appears),
    TEST(lost_broker_is_noticed_and_stop_does_not_wait_for_it),
    TEST(stop_before_any_broker_answered_returns),
    TEST(stop_between_joining_and_the_first_assignment_returns),
    TEST(client_is_rebuilt_after_a_fatal_error),
    TEST(missing_topic_does_not_stop_the_others),
    TEST(producer_delivers_and_answers_each_message_once),
    TEST(a_raw_source_is_read_as_it_is_beside_that_of_events),
    TEST(producer_that_stops_without_broker_answers_all),
};

/* Each test by itself in a process: they wait for the embedded Kafka most of the time. */
static int run_side_by_side(char *program)
{
    pid_t pids[RG_COUNT_OF(tests)];
    int failures = 0, status;

    for (size_t i = 0; i < RG_COUNT_OF(tests); i++) {
        char *argv[] = {program, (char *)tests[i].name, NULL};
        if (posix_spawn(&pids[i], "/proc/self/exe", NULL, NULL, argv, environ) != 0)
            return 1;
    }
    for (size_t i = 0; i < RG_COUNT_OF(tests); i++) {
        if (waitpid(pids[i], &status, 0) != pids[i] || status != 0) {
            fprintf(stderr, "failed: %s\n", tests[i].name);
            failures++;
        }
    }
    return failures;
}

int main(int argc, char **argv)
{
    if (argc < 2)
        return run_side_by_side(argv[0]);
    cmocka_set_test_filter(argv[1]);
    return cmocka_run_group_tests(tests, start_all, stop_all);
}
