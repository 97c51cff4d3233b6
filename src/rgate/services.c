#include "rgate/services.h"

#include "base/alloc.h"
#include "base/log.h"
#include "event/tally.h"
#include "http/upstream.h"
#include "kafka/consumer.h"
#include "kafka/producer.h"

/* ---- what goes to Kafka ---- */

/* A message under way, so that what becomes of it is counted for whoever sent it. */
struct shipment {
    struct rg_services *services;
    rg_record_sent_fn *sent;
    void *sent_arg;
    char topic[]; /* NUL-terminated */
};

static void count(const struct rg_services *services, const char *topic, int err)
{
    rg_produced_count(&services->produced, RG_STR("kafka"), rg_str_c(topic), err);
}

/* Thread: the producer's. */
static void on_sent(void *arg, int err, const struct rg_why *why, int32_t partition, int64_t offset)
{
    struct shipment *shipment = arg;

    count(shipment->services, shipment->topic, err);
    shipment->sent(shipment->sent_arg, err, why, partition, offset);
    rg_free(shipment);
}

static int send_with(struct rg_services *services, const char *topic, struct rg_str key,
                     struct rg_str value, const struct rg_record_header *headers, size_t headers_n,
                     rg_record_sent_fn *sent, void *sent_arg)
{
    size_t topic_size = strlen(topic) + 1;
    struct shipment *shipment = rg_alloc(sizeof(*shipment) + topic_size);

    *shipment = (struct shipment){.services = services, .sent = sent, .sent_arg = sent_arg};
    memcpy(shipment->topic, topic, topic_size);
    int err = rg_producer_send_with(services->producer, topic, key, value, headers, headers_n,
                                    on_sent, shipment);
    if (err < 0) {
        count(services, topic, err);
        rg_free(shipment);
    }
    return err;
}

/* The log does not know Kafka. Of type rg_record_send_fn; arg is the services. */
static int send_record(void *arg, const char *topic, struct rg_str key, struct rg_str value,
                       rg_record_sent_fn *sent, void *sent_arg)
{
    return send_with(arg, topic, key, value, NULL, 0, sent, sent_arg);
}

/* The same for an event that says of its content type what ours say (api-gateway.md 11.3). */
static int send_event(void *arg, const char *topic, struct rg_str key, struct rg_str value,
                      rg_record_sent_fn *sent, void *sent_arg)
{
    static const struct rg_record_header header = {{"ce_contenttype", 14},
                                                   {"application/json", 16}};

    return send_with(arg, topic, key, value, &header, 1, sent, sent_arg);
}

/* Definitions that send to Kafka may come at any time; a producer that sends nothing costs little.
 */
static void start_producer(struct rg_services *services)
{
    struct rg_why why = {0};

    if (!rg_kafka_is_on(&services->config->kafka))
        return;
    services->producer = rg_producer_start(&services->config->kafka, &why);
    if (services->producer == NULL)
        rg_log_error("nothing is sent: no kafka producer", RG_FS("reason", why.text));
}

static void start_log(struct rg_services *services)
{
    const struct rg_config *config = services->config;
    bool has_producer = services->producer != NULL;
    bool needs_records = has_producer && rg_config_records_2017(config);
    bool needs_events = has_producer && rg_config_logs_requests_to(config, "kafka");
    const struct rg_request_log_settings settings = {
        .topic = config->kafka.log_topic,
        .identity = {config->jwt_user_field, config->jwt_roles_field, NULL, 0},
        .send = needs_records ? send_record : NULL,
        .send_arg = services,
        .send_event = needs_events ? send_event : NULL,
        .writes_lines = rg_config_logs_requests_to(config, "console"),
    };

    if (needs_records || needs_events || settings.writes_lines)
        services->log = rg_request_log_new(&settings);
}

/* ---- answers from Kafka ---- */

static int on_answer(void *arg, const struct rg_kafka_message *message, struct rg_why *why)
{
    struct rg_services *services = arg;
    struct rg_http_field fields[RG_RECORD_MAX_HEADERS + 1];

    for (size_t i = 0; i < message->headers_n; i++)
        fields[i] = (struct rg_http_field){message->headers[i].name, message->headers[i].value};
    return rg_answers_deliver_record(services->answers, fields, message->headers_n, message->event,
                                     why);
}

static bool waits_for_kafka(const struct rg_api *api)
{
    for (size_t i = 0; i < api->endpoints_n; i++) {
        if (api->endpoints[i].response_from == RG_FROM_KAFKA)
            return true;
    }
    return false;
}

static bool anybody_waits_for_kafka(struct rg_catalogue *catalogue)
{
    struct rg_api **apis = NULL;
    size_t n = rg_catalogue_list(catalogue, &apis);
    bool waits = false;

    for (size_t i = 0; i < n; i++) {
        waits |= waits_for_kafka(apis[i]);
        rg_api_unref(&apis[i]);
    }
    rg_free(apis);
    return waits;
}

bool rg_services_read_answers(struct rg_services *services, struct rg_tally *tally)
{
    const struct rg_config *config = services->config;
    const struct rg_consumer_source source = {"kafka-answers", &config->proxy_kafka_response_topics,
                                              config->proxy_kafka_response_group_id, true};
    const struct rg_consumer_sink sink = {.event = on_answer, .arg = services};

    if (services->answer_consumer != NULL || !rg_kafka_is_on(&config->kafka))
        return true;
    if (!anybody_waits_for_kafka(services->catalogue))
        return false;
    services->answer_consumer = rg_consumer_start_of(&config->kafka, &source, &sink, tally);
    return true;
}

void rg_services_stop_answers(struct rg_services *services, int timeout_ms)
{
    rg_consumer_stop(&services->answer_consumer, timeout_ms);
}

/* ---- life ---- */

static void start_access_log(struct rg_services *services)
{
    const struct rg_access_log_settings settings = {
        (enum rg_access_format)services->config->access_log,
        (unsigned)services->config->access_log_sample, 1};

    if (settings.format != RG_ACCESS_OFF)
        services->access_log = rg_access_log_new(&settings);
}

static struct rg_proxy *build_proxy(const struct rg_services *services,
                                    struct rg_verifier *verifier)
{
    const struct rg_config *config = services->config;
    uint64_t connect_ms = (uint64_t)config->proxy_connect_timeout_ms;
    uint64_t recv_ms = (uint64_t)config->proxy_recv_timeout_ms;
    const struct rg_proxy_settings settings = {
        .catalogue = services->catalogue,
        .verifier = verifier,
        .quota = services->quota,
        .answers = services->answers,
        .log = services->log,
        .access_log = services->access_log,
        .outgoing = {config->forwarded_headers, config->trusted_proxies, config->host_address,
                     "rgate"},
        .cors = config->cors,
        .is_2017 = rg_config_is_2017(config),
        .connect_timeout_ms = recv_ms < connect_ms ? recv_ms : connect_ms,
        .recv_timeout_ms = recv_ms,
        .max_body_bytes = (uint64_t)config->proxy_body_bytes,
        .answer_timeout_ms =
            {
                [RG_FROM_KAFKA] = (uint64_t)config->proxy_kafka_response_timeout_ms,
                [RG_FROM_HTTP_ASYNC] = (uint64_t)config->proxy_http_async_response_timeout_ms,
                [RG_FROM_KINESIS] = (uint64_t)config->proxy_kinesis_response_timeout_ms,
                [RG_FROM_NATS] = (uint64_t)config->proxy_nats_response_timeout_ms,
            },
    };

    return rg_proxy_new(&settings);
}

void rg_services_init(struct rg_services *services, const struct rg_config *config,
                      struct rg_verifier *verifier)
{
    *services = (struct rg_services){.config = config};
    services->catalogue = rg_catalogue_new(config->apis, config->apis_n);
    services->quota = rg_quota_new(RG_QUOTA_MAX_BUCKETS);
    services->answers = rg_answers_new(rg_str_c(config->node_cookie));
    start_access_log(services);
    rg_produced_init(&services->produced);
    start_producer(services);
    start_log(services);
    services->proxy = build_proxy(services, verifier);
}

void rg_services_stop(struct rg_services *services, int timeout_ms)
{
    rg_producer_stop(&services->producer, timeout_ms);
}

void rg_services_done(struct rg_services *services)
{
    rg_services_stop(services, 0);
    rg_proxy_free(&services->proxy);
    rg_request_log_free(&services->log);
    rg_produced_done(&services->produced);
    if (services->access_log != NULL)
        rg_access_log_free(&services->access_log);
    rg_answers_free(&services->answers);
    rg_quota_free(&services->quota);
    rg_catalogue_free(&services->catalogue);
}

void rg_services_expose(const struct rg_services *services, struct rg_buf *out)
{
    rg_proxy_expose(services->proxy, out);
    rg_produced_expose(&services->produced, out);
    rg_catalogue_expose(services->catalogue, out);
    rg_quota_expose(services->quota, out);
    if (services->access_log != NULL)
        rg_access_log_expose(services->access_log, out);
}
