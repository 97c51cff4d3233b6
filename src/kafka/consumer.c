/*
 * The ingest thread: reads, decodes, hands over, and keeps its client alive.
 *
 *   RUNS ──────── rg_consumer_quiesce() ──▶ QUIET ──── rg_consumer_stop() ──▶ ENDED
 *   rg_consumer_take_batch,                 polls only, so that the           commits, leaves,
 *   rebuilt after a fatal error             group keeps its member            frees the client
 *
 * intake.c takes the messages, assignment.c knows which partitions are ours.
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

enum {
    POLL_MS = RG_CONSUMER_POLL_MS,
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
        rg_log_warn("kafka connection is back", RG_FS("group", consumer->group_id));
    else
        rg_log_info("kafka connected", RG_FS("group", consumer->group_id));
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
    rg_log_warn("kafka not reachable", RG_FS("reason", status.last_error),
                RG_FS("group", consumer->group_id));
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

void rg_consumer_set_paused(struct rg_consumer *consumer, bool is_paused)
{
    pthread_mutex_lock(&consumer->lock);
    consumer->status.is_paused = is_paused;
    pthread_mutex_unlock(&consumer->lock);
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

void rg_consumer_on_error(struct rg_consumer *consumer, const rd_kafka_message_t *m)
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
            rg_consumer_offer_held(consumer);
        else
            rg_consumer_take_batch(consumer);
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

static size_t number_of(const rd_kafka_conf_t *conf, const char *property)
{
    char value[32] = "";
    size_t n = sizeof(value);
    uint64_t number = 0;

    rd_kafka_conf_get(conf, property, value, &n);
    rg_str_to_u64(rg_str_c(value), SIZE_MAX / 1024, &number);
    return (size_t)number;
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
    consumer->level = (struct rg_consumer_queue){
        .max_messages = number_of(conf, "queued.min.messages"),
        .max_bytes = 1024 * number_of(conf, "queued.max.messages.kbytes")};
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

/*
 * Before 2.3 the library aborts when a client ends that has joined its group and never had an
 * assignment (its sticky assignor has no state then). A member is known by its id.
 */
static bool may_not_be_destroyed(const struct rg_consumer *consumer)
{
    if (consumer->has_joined || rd_kafka_version() >= 0x02030000)
        return false;
    char *id = rd_kafka_memberid(consumer->rk);
    bool is_member = id != NULL && id[0] != '\0';
    if (id != NULL)
        rd_kafka_mem_free(consumer->rk, id);
    return is_member;
}

static void close_client(struct rg_consumer *consumer, uint64_t deadline_ms)
{
    if (consumer->rk == NULL)
        return;
    bool is_left_alone = may_not_be_destroyed(consumer);
    rg_consumer_drop_all_held(consumer);
    rg_consumer_store(consumer);
    leave(consumer, deadline_ms);
    rd_kafka_queue_destroy(consumer->queue);
    consumer->queue = NULL;
    if (!is_left_alone)
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
    rg_consumer_drop_all_held(consumer);
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

static char *group_id_for(const struct rg_kafka_settings *settings, const char *group_id)
{
    RG_CLEANUP(rg_buf_done) struct rg_buf id = {0};
    char uuid[RG_UUID_LEN + 1];

    rg_buf_add_c(&id, group_id);
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

static void init_topics(struct rg_consumer *consumer, const struct rg_option_list *topics)
{
    consumer->topics = rg_zalloc(topics->n * sizeof(consumer->topics[0]));
    consumer->topics_n = topics->n;
    for (size_t i = 0; i < topics->n; i++) {
        consumer->topics[i].name = rg_strndup(topics->items[i], strlen(topics->items[i]));
        consumer->topics[i].no = (uint32_t)i;
        consumer->topics[i].format =
            consumer->is_raw ? RG_FORMAT_NO_EVENT
                             : rg_kafka_topic_format(consumer->settings, topics->items[i]);
    }
}

struct rg_consumer *rg_consumer_start_of(const struct rg_kafka_settings *settings,
                                         const struct rg_consumer_source *source,
                                         const struct rg_consumer_sink *sink,
                                         struct rg_tally *tally)
{
    struct rg_consumer *consumer = rg_zalloc(sizeof(*consumer));

    consumer->settings = settings;
    consumer->sink = *sink;
    consumer->tally = tally;
    consumer->is_raw = source->is_raw;
    consumer->batch = rg_realloc_array(NULL, RG_CONSUMER_BATCH_MAX, sizeof(consumer->batch[0]));
    consumer->group_id = group_id_for(settings, source->group_id);
    init_topics(consumer, source->topics);
    init_lock(consumer);
    rg_assert(pthread_create(&consumer->thread, NULL, ingest, consumer) == 0);
    pthread_setname_np(consumer->thread, source->thread_name);
    return consumer;
}

struct rg_consumer *rg_consumer_start(const struct rg_kafka_settings *settings,
                                      const struct rg_consumer_sink *sink, struct rg_tally *tally)
{
    const struct rg_consumer_source source = {"kafka-ingest", &settings->source_topics,
                                              settings->group_id, false};

    return rg_consumer_start_of(settings, &source, sink, tally);
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
