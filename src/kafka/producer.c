#include "kafka/producer.h"

#include <errno.h>
#include <librdkafka/rdkafka.h>
#include <pthread.h>
#include <stdatomic.h>

#include "base/alloc.h"
#include "base/log.h"
#include "base/rcu.h"
#include "kafka/conf_priv.h"
#include "kafka/partitioner.h"

#define POLL_MS 50

struct rg_producer {
    rd_kafka_t *rk;     /* set once; the library locks */
    pthread_t thread;   /* set once */
    atomic_int stop_ms; /* -1 while running, then how long the rest may take */
    bool is_lost;       /* no broker, and that was logged; the producer's thread only */
};

/* What a message carries through librdkafka. */
struct errand {
    rg_delivery_fn *done;
    void *arg;
};

static int code_of(rd_kafka_resp_err_t err)
{
    switch (err) {
    case RD_KAFKA_RESP_ERR__QUEUE_FULL:
        return RG_EAGAIN;
    case RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE:
    case RD_KAFKA_RESP_ERR_INVALID_MSG_SIZE:
        return RG_EFULL;
    case RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART:
    case RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC:
    case RD_KAFKA_RESP_ERR__UNKNOWN_PARTITION:
        return RG_ENOTFOUND;
    case RD_KAFKA_RESP_ERR__MSG_TIMED_OUT:
    case RD_KAFKA_RESP_ERR_REQUEST_TIMED_OUT:
        return -ETIMEDOUT;
    default:
        return -EIO;
    }
}

static void note_recovery(struct rg_producer *producer)
{
    if (!producer->is_lost)
        return;
    producer->is_lost = false;
    rg_log_warn("kafka producer reaches its brokers again");
}

static void on_delivery(rd_kafka_t *rk, const rd_kafka_message_t *message, void *opaque)
{
    struct errand *errand = message->_private;
    struct rg_producer *producer = opaque;
    struct rg_why why = {0};
    int err = 0;

    (void)rk;
    if (message->err != RD_KAFKA_RESP_ERR_NO_ERROR)
        err = rg_why_set(&why, code_of(message->err), rd_kafka_topic_name(message->rkt), "%s",
                         rd_kafka_err2str(message->err));
    else
        note_recovery(producer);
    if (errand == NULL)
        return;
    errand->done(errand->arg, err, &why, message->partition, message->offset);
    rg_free(errand);
}

static void on_error(rd_kafka_t *rk, int err, const char *reason, void *opaque)
{
    struct rg_producer *producer = opaque;

    (void)rk;
    if (err == RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN && !producer->is_lost) {
        producer->is_lost = true;
        rg_log_warn("kafka producer reaches no broker", RG_FS("reason", reason));
    }
}

static int32_t partition_of(const rd_kafka_topic_t *rkt, const void *key, size_t key_n,
                            int32_t partitions, void *rkt_opaque, void *msg_opaque)
{
    (void)rkt;
    (void)rkt_opaque;
    (void)msg_opaque;
    return rg_partition_choose(rg_str_n(key, key_n), partitions);
}

static void *run(void *arg)
{
    struct rg_producer *producer = arg;
    int stop_ms;

    rg_rcu_thread_start();
    while ((stop_ms = atomic_load(&producer->stop_ms)) < 0)
        rd_kafka_poll(producer->rk, POLL_MS);

    /* Whatever is left after that time fails, so that each message has its one answer. */
    if (rd_kafka_flush(producer->rk, stop_ms) != RD_KAFKA_RESP_ERR_NO_ERROR) {
        rd_kafka_purge(producer->rk, RD_KAFKA_PURGE_F_QUEUE | RD_KAFKA_PURGE_F_INFLIGHT);
        rd_kafka_flush(producer->rk, 1000);
    }
    rg_rcu_thread_stop();
    return NULL;
}

static rd_kafka_t *open_client(struct rg_producer *producer,
                               const struct rg_kafka_settings *settings, struct rg_why *why)
{
    char text[400];
    rd_kafka_conf_t *conf = rg_kafka_conf_new(settings, RG_KAFKA_PRODUCER, NULL, true, why);

    if (conf == NULL)
        return NULL;
    rd_kafka_conf_set_opaque(conf, producer);
    rd_kafka_conf_set_dr_msg_cb(conf, on_delivery);
    rd_kafka_conf_set_error_cb(conf, on_error);
    rd_kafka_topic_conf_set_partitioner_cb(rd_kafka_conf_get_default_topic_conf(conf),
                                           partition_of);
    rd_kafka_t *rk = rd_kafka_new(RD_KAFKA_PRODUCER, conf, text, sizeof(text));
    if (rk == NULL) {
        rd_kafka_conf_destroy(conf);
        rg_why_set(why, RG_EINVAL, "", "%s", text);
    }
    return rk;
}

struct rg_producer *rg_producer_start(const struct rg_kafka_settings *settings, struct rg_why *why)
{
    struct rg_producer *producer = rg_zalloc(sizeof(*producer));

    atomic_init(&producer->stop_ms, -1);
    producer->rk = open_client(producer, settings, why);
    if (producer->rk == NULL) {
        rg_free(producer);
        return NULL;
    }
    rg_assert(pthread_create(&producer->thread, NULL, run, producer) == 0);
    pthread_setname_np(producer->thread, "kafka-produce");
    return producer;
}

static struct errand *errand_new(rg_delivery_fn *done, void *arg)
{
    struct errand *errand = NULL;

    if (done != NULL) {
        errand = rg_alloc(sizeof(*errand));
        *errand = (struct errand){done, arg};
    }
    return errand;
}

/* NULL for none: then the record has none. */
static rd_kafka_headers_t *headers_new(const struct rg_record_header *headers, size_t n)
{
    rd_kafka_headers_t *list = n > 0 ? rd_kafka_headers_new(n) : NULL;

    rg_assert(n <= RG_RECORD_MAX_HEADERS);
    for (size_t i = 0; i < n; i++)
        rd_kafka_header_add(list, headers[i].name.p, (ssize_t)headers[i].name.n, headers[i].value.p,
                            (ssize_t)headers[i].value.n);
    return list;
}

int rg_producer_send_with(struct rg_producer *producer, const char *topic, struct rg_str key,
                          struct rg_str value, const struct rg_record_header *headers,
                          size_t headers_n, rg_delivery_fn *done, void *arg)
{
    struct errand *errand = errand_new(done, arg);
    const char *key_p = key.n > 0 ? key.p : NULL;
    rd_kafka_headers_t *list = headers_new(headers, headers_n);
    rd_kafka_resp_err_t err = rd_kafka_producev(
        producer->rk, RD_KAFKA_V_TOPIC(topic), RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY),
        RD_KAFKA_V_KEY(key_p, key.n), RD_KAFKA_V_VALUE((void *)value.p, value.n),
        RD_KAFKA_V_HEADERS(list), RD_KAFKA_V_OPAQUE(errand), RD_KAFKA_V_END);

    if (err == RD_KAFKA_RESP_ERR_NO_ERROR)
        return 0;
    /* The list is the library's only where the message was taken. */
    if (list != NULL)
        rd_kafka_headers_destroy(list);
    rg_free(errand);
    return code_of(err);
}

int rg_producer_send(struct rg_producer *producer, const char *topic, struct rg_str key,
                     struct rg_str value, rg_delivery_fn *done, void *arg)
{
    return rg_producer_send_with(producer, topic, key, value, NULL, 0, done, arg);
}

void rg_producer_stop(struct rg_producer **producerp, int timeout_ms)
{
    struct rg_producer *producer = *producerp;

    if (producer == NULL)
        return;
    *producerp = NULL;
    atomic_store(&producer->stop_ms, timeout_ms < 0 ? 0 : timeout_ms);
    pthread_join(producer->thread, NULL);
    rd_kafka_destroy(producer->rk);
    rg_free(producer);
}
