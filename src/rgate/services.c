#include "rgate/services.h"

#include "base/log.h"
#include "http/upstream.h"
#include "kafka/producer.h"

/* The log does not know Kafka. Of type rg_record_send_fn; arg is the producer. */
static int send_record(void *arg, const char *topic, struct rg_str key, struct rg_str value,
                       rg_record_sent_fn *sent, void *sent_arg)
{
    return rg_producer_send(arg, topic, key, value, sent, sent_arg);
}

static void start_log(struct rg_services *services, const struct rg_config *config)
{
    struct rg_why why = {0};

    services->producer = rg_producer_start(&config->kafka, &why);
    if (services->producer == NULL) {
        rg_log_error("requests are not recorded: no kafka producer", RG_FS("reason", why.text));
        return;
    }
    const struct rg_request_log_settings settings = {
        .topic = config->kafka.log_topic,
        .identity = {config->jwt_user_field, config->jwt_roles_field, NULL, 0},
        .send = send_record,
        .send_arg = services->producer,
    };
    services->log = rg_request_log_new(&settings);
}

void rg_services_init(struct rg_services *services, const struct rg_config *config,
                      struct rg_verifier *verifier)
{
    uint64_t connect_ms = rg_upstream_default_settings.connect_timeout_ms;
    uint64_t recv_ms = (uint64_t)config->proxy_recv_timeout_ms;

    const struct rg_access_log_settings access_settings = {
        (enum rg_access_format)config->access_log, (unsigned)config->access_log_sample, 1};

    *services = (struct rg_services){0};
    services->catalogue = rg_catalogue_new(config->apis, config->apis_n);
    services->quota = rg_quota_new(RG_QUOTA_MAX_BUCKETS);
    services->answers = rg_answers_new(rg_str_c(config->node_cookie));
    services->access_log = rg_access_log_new(&access_settings);
    if (config->routes == NULL)
        return;
    if (rg_kafka_is_on(&config->kafka) && rg_proxy_routes_need_tokens(config->routes))
        start_log(services, config);
    const struct rg_proxy_settings settings = {
        .routes = config->routes,
        .verifier = verifier,
        .log = services->log,
        .connect_timeout_ms = recv_ms < connect_ms ? recv_ms : connect_ms,
        .recv_timeout_ms = recv_ms,
    };
    services->proxy = rg_proxy_new(&settings);
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
    rg_access_log_free(&services->access_log);
    rg_answers_free(&services->answers);
    rg_quota_free(&services->quota);
    rg_catalogue_free(&services->catalogue);
}

void rg_services_expose(const struct rg_services *services, struct rg_buf *out)
{
    if (services->proxy != NULL)
        rg_proxy_expose(services->proxy, out);
    rg_catalogue_expose(services->catalogue, out);
    rg_quota_expose(services->quota, out);
    rg_access_log_expose(services->access_log, out);
}
