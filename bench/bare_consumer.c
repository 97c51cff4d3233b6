/*
 * bare_consumer.c - rg-bare-consumer, the least that reading a topic can cost.
 *
 * A librdkafka consumer of a group that looks at nothing. With --count it reads so many messages
 * and prints how fast they came, from the first to the last. With --latency it records the age of
 * the stamp in each message and obeys lines on standard input: reset, report, quit; it prints
 * {"assigned":true} once it owns its partitions.
 */
#include <getopt.h>
#include <inttypes.h>
#include <librdkafka/rdkafka.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "bench/args.h"
#include "bench/hist.h"
#include "bench/stamp.h"

#define POLL_MS 100
#define BATCH   1000

static const char usage_text[] =
    "usage: rg-bare-consumer --brokers LIST --topic NAME --group NAME (--count N | --latency)\n"
    "                        [--earliest] [--method poll|batch] [--timeout SECONDS]\n";

static const struct option options[] = {{"brokers", required_argument, NULL, 'b'},
                                        {"topic", required_argument, NULL, 't'},
                                        {"group", required_argument, NULL, 'g'},
                                        {"count", required_argument, NULL, 'n'},
                                        {"latency", no_argument, NULL, 'l'},
                                        {"earliest", no_argument, NULL, 'e'},
                                        {"method", required_argument, NULL, 'm'},
                                        {"timeout", required_argument, NULL, 'x'},
                                        {0}};

struct consumer {
    const char *brokers, *topic, *group;
    uint64_t count, timeout_ms;
    bool earliest, is_latency, is_batch;

    rd_kafka_t *client;
    uint64_t messages, bytes, first_ns, last_ns;

    /* Of --latency: the lines on standard input are obeyed by a thread of their own. */
    pthread_mutex_t lock;
    struct rg_hist latency;
    atomic_bool must_end;
};

static void parse_option(struct consumer *c, int option, const char *value)
{
    switch (option) {
    case 'b':
        c->brokers = value;
        break;
    case 't':
        c->topic = value;
        break;
    case 'g':
        c->group = value;
        break;
    case 'n':
        c->count = rg_args_u64("--count", value, UINT64_MAX);
        break;
    case 'l':
        c->is_latency = true;
        break;
    case 'e':
        c->earliest = true;
        break;
    case 'm':
        c->is_batch = rg_str_eq(rg_str_c(value), RG_STR("batch"));
        break;
    case 'x':
        c->timeout_ms = rg_args_u64("--timeout", value, 86400) * 1000;
        break;
    default:
        rg_args_fail("%s", usage_text);
    }
}

static void set(rd_kafka_conf_t *conf, const char *name, const char *value)
{
    char why[256];

    if (rd_kafka_conf_set(conf, name, value, why, sizeof(why)) != RD_KAFKA_CONF_OK)
        rg_args_fail("%s: %s", name, why);
}

static void on_rebalance(rd_kafka_t *client, rd_kafka_resp_err_t err,
                         rd_kafka_topic_partition_list_t *partitions, void *opaque)
{
    (void)opaque;
    if (err != RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS) {
        rd_kafka_assign(client, NULL);
        return;
    }
    rd_kafka_assign(client, partitions);
    puts("{\"assigned\":true}");
    fflush(stdout);
}

static void open_consumer(struct consumer *c)
{
    rd_kafka_topic_partition_list_t *topics = rd_kafka_topic_partition_list_new(1);
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    char why[256];

    set(conf, "bootstrap.servers", c->brokers);
    set(conf, "group.id", c->group);
    set(conf, "auto.offset.reset", c->earliest ? "earliest" : "latest");
    if (c->is_latency)
        rd_kafka_conf_set_rebalance_cb(conf, on_rebalance);
    c->client = rd_kafka_new(RD_KAFKA_CONSUMER, conf, why, sizeof(why));
    if (c->client == NULL)
        rg_args_fail("%s", why);
    rd_kafka_poll_set_consumer(c->client);
    rd_kafka_topic_partition_list_add(topics, c->topic, RD_KAFKA_PARTITION_UA);
    rd_kafka_subscribe(c->client, topics);
    rd_kafka_topic_partition_list_destroy(topics);
}

static void record_latency(struct consumer *c, const rd_kafka_message_t *message)
{
    uint64_t now_ns = rg_clock_mono_ns();
    uint64_t sent_ns;

    if (rg_stamp_find(message->payload, message->len, &sent_ns) == 0)
        return;
    pthread_mutex_lock(&c->lock);
    rg_hist_add(&c->latency, now_ns > sent_ns ? now_ns - sent_ns : 0);
    pthread_mutex_unlock(&c->lock);
}

static void take(struct consumer *c, const rd_kafka_message_t *message)
{
    if (message->err != RD_KAFKA_RESP_ERR_NO_ERROR)
        return;
    if (c->messages++ == 0)
        c->first_ns = rg_clock_mono_ns();
    c->bytes += message->len;
    if (c->is_latency)
        record_latency(c, message);
}

static bool is_done(const struct consumer *c, uint64_t end_ms)
{
    if (c->is_latency)
        return atomic_load(&c->must_end);
    return c->messages >= c->count || rg_clock_mono_ms() > end_ms;
}

static void read_one_by_one(struct consumer *c, uint64_t end_ms)
{
    while (!is_done(c, end_ms)) {
        rd_kafka_message_t *message = rd_kafka_consumer_poll(c->client, POLL_MS);

        if (message == NULL)
            continue;
        take(c, message);
        rd_kafka_message_destroy(message);
    }
}

static void read_batches(struct consumer *c, uint64_t end_ms)
{
    rd_kafka_queue_t *queue = rd_kafka_queue_get_consumer(c->client);
    rd_kafka_message_t *messages[BATCH];

    while (!is_done(c, end_ms)) {
        ssize_t n = rd_kafka_consume_batch_queue(queue, POLL_MS, messages, BATCH);

        for (ssize_t i = 0; i < n; i++) {
            take(c, messages[i]);
            rd_kafka_message_destroy(messages[i]);
        }
    }
    rd_kafka_queue_destroy(queue);
}

static void report_latency(struct consumer *c)
{
    RG_CLEANUP(rg_buf_done) struct rg_buf line = {0};

    pthread_mutex_lock(&c->lock);
    rg_hist_describe(&c->latency, &line);
    pthread_mutex_unlock(&c->lock);
    printf("{%.*s}\n", (int)line.n, line.p);
    fflush(stdout);
}

static void reset_latency(struct consumer *c)
{
    pthread_mutex_lock(&c->lock);
    memset(&c->latency, 0, sizeof(c->latency));
    pthread_mutex_unlock(&c->lock);
    puts("ok");
    fflush(stdout);
}

static void *obey(void *arg)
{
    struct consumer *c = arg;
    char line[64];

    while (fgets(line, sizeof(line), stdin) != NULL && strncmp(line, "quit", 4) != 0) {
        if (strncmp(line, "reset", 5) == 0)
            reset_latency(c);
        else
            report_latency(c);
    }
    atomic_store(&c->must_end, true);
    return NULL;
}

static void report_rate(const struct consumer *c)
{
    double seconds = (double)(c->last_ns - c->first_ns) / 1e9;
    struct rusage usage;
    double cpu_s;

    getrusage(RUSAGE_SELF, &usage);
    cpu_s = (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
            (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
    printf("{\"messages\":%" PRIu64 ",\"bytes\":%" PRIu64 ",\"seconds\":%.6f,\"rate\":%.1f,"
           "\"cpu_s\":%.3f}\n",
           c->messages, c->bytes, seconds, seconds > 0 ? (double)c->messages / seconds : 0, cpu_s);
}

int main(int argc, char **argv)
{
    static struct consumer c = {.timeout_ms = 120000, .lock = PTHREAD_MUTEX_INITIALIZER};
    pthread_t input;
    uint64_t end_ms;
    int option;

    while ((option = getopt_long(argc, argv, "", options, NULL)) != -1)
        parse_option(&c, option, optarg);
    if (c.brokers == NULL || c.topic == NULL || c.group == NULL || c.is_latency == (c.count > 0))
        rg_args_fail("%s", usage_text);
    open_consumer(&c);
    if (c.is_latency && pthread_create(&input, NULL, obey, &c) != 0)
        rg_args_die("pthread_create");
    end_ms = rg_clock_mono_ms() + c.timeout_ms;
    if (c.is_batch)
        read_batches(&c, end_ms);
    else
        read_one_by_one(&c, end_ms);
    c.last_ns = rg_clock_mono_ns();
    if (!c.is_latency)
        report_rate(&c);
    rd_kafka_consumer_close(c.client);
    rd_kafka_destroy(c.client);
    return !c.is_latency && c.messages < c.count ? 1 : 0;
}
