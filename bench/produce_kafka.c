/*
 * produce_kafka.c - events as messages of a topic.
 */
#include "bench/produce.h"

#include <librdkafka/rdkafka.h>
#include <stdio.h>

#include "base/alloc.h"
#include "bench/args.h"

#define CREATE_MS 15000
#define FLUSH_MS  120000

struct kafka_sink {
    struct rg_sink base;
    rd_kafka_t *client;
    rd_kafka_topic_t *topic;
    uint64_t failed;
};

static void on_delivery(rd_kafka_t *client, const rd_kafka_message_t *message, void *opaque)
{
    struct kafka_sink *sink = opaque;

    (void)client;
    if (message->err != RD_KAFKA_RESP_ERR_NO_ERROR && sink->failed++ == 0)
        fprintf(stderr, "not accepted: %s\n", rd_kafka_err2str(message->err));
}

/* Serves delivery reports, which also makes room in the queue. */
static void wait_room(struct rg_sink *base)
{
    struct kafka_sink *sink = RG_CONTAINER_OF(base, struct kafka_sink, base);

    rd_kafka_poll(sink->client, 0);
}

static void put(struct rg_sink *base, struct rg_str event, struct rg_str key)
{
    struct kafka_sink *sink = RG_CONTAINER_OF(base, struct kafka_sink, base);

    while (rd_kafka_produce(sink->topic, RD_KAFKA_PARTITION_UA, RD_KAFKA_MSG_F_COPY,
                            (void *)(uintptr_t)event.p, event.n, key.p, key.n, NULL) < 0) {
        if (rd_kafka_last_error() != RD_KAFKA_RESP_ERR__QUEUE_FULL)
            rg_args_fail("produce: %s", rd_kafka_err2str(rd_kafka_last_error()));
        rd_kafka_poll(sink->client, 10);
    }
}

static void finish(struct rg_sink *base, uint64_t *ret_failed)
{
    struct kafka_sink *sink = RG_CONTAINER_OF(base, struct kafka_sink, base);

    rd_kafka_flush(sink->client, FLUSH_MS);
    *ret_failed = sink->failed + (uint64_t)rd_kafka_outq_len(sink->client);
    rd_kafka_topic_destroy(sink->topic);
    rd_kafka_destroy(sink->client);
    rg_free(sink);
}

static void set(rd_kafka_conf_t *conf, struct rg_str name, struct rg_str value)
{
    char *name_c = rg_strndup(name.p, name.n);
    char *value_c = rg_strndup(value.p, value.n);
    char why[256];

    if (rd_kafka_conf_set(conf, name_c, value_c, why, sizeof(why)) != RD_KAFKA_CONF_OK)
        rg_args_fail("--properties: %s", why);
    rg_free(name_c);
    rg_free(value_c);
}

static void set_properties(rd_kafka_conf_t *conf, const char *properties)
{
    struct rg_str rest = rg_str_c(properties);

    while (rest.p != NULL) {
        struct rg_str value = rg_str_split(&rest, ',');
        struct rg_str name = rg_str_split(&value, '=');

        if (name.n > 0)
            set(conf, name, value);
    }
}

/* An error of the topic itself is told; that it exists already is not one. */
static void check_created(rd_kafka_event_t *event)
{
    const rd_kafka_CreateTopics_result_t *result;
    const rd_kafka_topic_result_t **topics;
    rd_kafka_resp_err_t err;
    size_t n;

    if (event == NULL)
        rg_args_fail("--create: no answer");
    if (rd_kafka_event_error(event) != RD_KAFKA_RESP_ERR_NO_ERROR)
        rg_args_fail("--create: %s", rd_kafka_event_error_string(event));
    result = rd_kafka_event_CreateTopics_result(event);
    topics = rd_kafka_CreateTopics_result_topics(result, &n);
    err = rd_kafka_topic_result_error(topics[0]);
    if (err != RD_KAFKA_RESP_ERR_NO_ERROR && err != RD_KAFKA_RESP_ERR_TOPIC_ALREADY_EXISTS)
        rg_args_fail("--create: %s", rd_kafka_err2str(err));
}

static void create_topic(struct kafka_sink *sink, const char *name, int partitions)
{
    rd_kafka_queue_t *queue = rd_kafka_queue_new(sink->client);
    rd_kafka_NewTopic_t *topic = rd_kafka_NewTopic_new(name, partitions, 1, NULL, 0);
    rd_kafka_event_t *event;

    rd_kafka_CreateTopics(sink->client, &topic, 1, NULL, queue);
    event = rd_kafka_queue_poll(queue, CREATE_MS);
    check_created(event);
    rd_kafka_event_destroy(event);
    rd_kafka_NewTopic_destroy(topic);
    rd_kafka_queue_destroy(queue);
}

struct rg_sink *rg_produce_kafka_open(const char *brokers, const char *topic,
                                      const char *properties, int partitions)
{
    struct kafka_sink *sink = rg_zalloc(sizeof(*sink));
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    char why[256];

    sink->base = (struct rg_sink){wait_room, put, finish};
    set(conf, RG_STR("bootstrap.servers"), rg_str_c(brokers));
    set_properties(conf, properties);
    rd_kafka_conf_set_opaque(conf, sink);
    rd_kafka_conf_set_dr_msg_cb(conf, on_delivery);
    sink->client = rd_kafka_new(RD_KAFKA_PRODUCER, conf, why, sizeof(why));
    if (sink->client == NULL)
        rg_args_fail("%s", why);
    if (partitions > 0)
        create_topic(sink, topic, partitions);
    sink->topic = rd_kafka_topic_new(sink->client, topic, NULL);
    if (sink->topic == NULL)
        rg_args_fail("%s", rd_kafka_err2str(rd_kafka_last_error()));
    return &sink->base;
}
