#include "kafka/embedded.h"

#include <librdkafka/rdkafka.h>
#include <librdkafka/rdkafka_mock.h>

#include "base/alloc.h"
#include "base/log.h"
#include "kafka/embedded_priv.h"

struct rg_embedded_kafka {
    rd_kafka_t *rk; /* the library wants a client to hang the cluster on; it never connects */
    rd_kafka_mock_cluster_t *cluster;
};

static void on_log(const rd_kafka_t *rk, int level, const char *facility, const char *text)
{
    (void)rk;
    (void)level;
    rg_log_debug("embedded kafka", RG_FS("facility", facility), RG_FS("text", text));
}

static int open_cluster(struct rg_embedded_kafka *kafka, struct rg_why *why)
{
    char text[256];
    rd_kafka_conf_t *conf = rd_kafka_conf_new();

    rd_kafka_conf_set_log_cb(conf, on_log);
    kafka->rk = rd_kafka_new(RD_KAFKA_PRODUCER, conf, text, sizeof(text));
    if (kafka->rk == NULL) {
        rd_kafka_conf_destroy(conf);
        return rg_why_set(why, RG_EINVAL, "", "%s", text);
    }
    kafka->cluster = rd_kafka_mock_cluster_new(kafka->rk, 1);
    if (kafka->cluster == NULL)
        return rg_why_set(why, RG_EINVAL, "", "the embedded Kafka could not open its port");
    return 0;
}

static int create_topics(struct rg_embedded_kafka *kafka, const struct rg_option_list *topics,
                         int partitions, struct rg_why *why)
{
    for (size_t i = 0; i < topics->n; i++) {
        rd_kafka_resp_err_t err =
            rd_kafka_mock_topic_create(kafka->cluster, topics->items[i], partitions, 1);
        if (err != RD_KAFKA_RESP_ERR_NO_ERROR)
            return rg_why_set(why, RG_EINVAL, topics->items[i], "%s", rd_kafka_err2str(err));
    }
    return 0;
}

struct rg_embedded_kafka *rg_embedded_kafka_start(const struct rg_option_list *topics,
                                                  int partitions, struct rg_why *why)
{
    struct rg_embedded_kafka *kafka = rg_zalloc(sizeof(*kafka));
    int err = open_cluster(kafka, why);

    if (err == 0)
        err = create_topics(kafka, topics, partitions, why);
    if (err < 0)
        rg_embedded_kafka_stop(&kafka);
    return kafka;
}

const char *rg_embedded_kafka_bootstrap(const struct rg_embedded_kafka *kafka)
{
    return rd_kafka_mock_cluster_bootstraps(kafka->cluster);
}

struct rd_kafka_mock_cluster_s *rg_embedded_kafka_cluster(struct rg_embedded_kafka *kafka)
{
    return kafka->cluster;
}

void rg_embedded_kafka_stop(struct rg_embedded_kafka **kafkap)
{
    struct rg_embedded_kafka *kafka = *kafkap;

    if (kafka == NULL)
        return;
    *kafkap = NULL;
    if (kafka->cluster != NULL)
        rd_kafka_mock_cluster_destroy(kafka->cluster);
    if (kafka->rk != NULL)
        rd_kafka_destroy(kafka->rk);
    rg_free(kafka);
}
