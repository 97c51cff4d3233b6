/*
 * Start:  ports are bound, then reactors, then the consumer start; the control loop runs on the
 * main thread.
 *
 * End, on SIGTERM or SIGINT:
 *   1. health says 503; the consumer stops reading and hands over what it has
 *   2. each reactor, behind the events in its inbox: stops accepting, says goodbye to its clients,
 *      writes what is queued, and reports that it is empty - or SHUTDOWN_TIMEOUT is over and cuts
 *      what is left
 *   3. when all have reported: the reactors end, records of requests are sent, offsets are
 *      committed, the group is left, exit 0
 *
 * A second signal ends the process at once.
 *
 * SIGHUP reads the certificate again; not in development, where the terminal that goes away sends
 * it.
 */
#include "rgate/wiring.h"

#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/rcu.h"
#include "kafka/consumer.h"
#include "net/listener.h"
#include "ops/admin.h"
#include "ops/pages.h"
#include "ops/session_blacklist.h"
#include "proxy/apis.h"
#include "proxy/forward.h"
#include "proxy/responses.h"
#include "push/api.h"
#include "push/session_admin.h"
#include "push/user_messages.h"
#include "rgate/access.h"
#include "rgate/demo.h"
#include "rgate/https.h"
#include "rgate/page.h"
#include "rgate/services.h"

#define CLIENT_ROUTES (RG_API_ROUTES + RG_DEMO_ROUTES + 2)
#define INTERNAL_ROUTES                                                                            \
    (2 + RG_USER_MESSAGES_ROUTES + RG_SESSION_BLACKLIST_ROUTES + RG_SESSION_ADMIN_ROUTES +         \
     RG_APIS_ROUTES + RG_RESPONSES_ROUTES + RG_PAGES_ROUTES + RG_ADMIN_ROUTES)
#define HTTP_DRAIN_MS     3000 /* for answers under way, once the clients are gone */
#define COMMIT_TIMEOUT_MS 3000
#define RECORD_TIMEOUT_MS 1000 /* for records of requests */
#define ANSWERS_CHECK_MS  1000
#define ROOM_FOR_COMMANDS ((size_t)1024 * 1024)

/* One reactor with what lives on it. */
struct shard {
    struct rg_reactor reactor;
    struct rg_gateway *gateway;
    struct rg_hub *hub;
    struct rg_http_server *http;
    struct rg_listener *listener, *https_listener;
    struct rg_route routes[CLIENT_ROUTES];
    struct rg_publish_endpoint publish;
    struct rg_demo_endpoint *demo;
    struct rg_forwarder *forwarder;
    int fd, https_fd; /* of the listeners until they are open */

    struct rg_inbox_item drain, cut, stop, report; /* commands to it, and its report */
    struct rg_timer http_drain;
    uint64_t http_drain_until_ms;
    bool is_reported;
};

struct rg_gateway {
    const struct rg_config *config;
    struct rg_access access;
    struct rg_services services;
    struct rg_push *push;
    struct rg_http_settings http_settings, internal_http_settings;
    struct shard *shards;
    unsigned shards_n;
    struct rg_static_page welcome;

    struct rg_reactor control;
    struct rg_http_server *internal_http;
    struct rg_listener *internal_listener, *internal_https_listener;
    struct rg_route internal_routes[INTERNAL_ROUTES];
    struct rg_publish_endpoint internal_publish;
    struct rg_session_admin session_admin;
    struct rg_apis apis;
    struct rg_pages pages;
    struct rg_dispatcher *control_dispatcher;
    int internal_fd, internal_https_fd;
    struct rg_ports ports;
    struct rg_health health;
    struct rg_metrics metrics;

    struct rg_consumer *consumer; /* NULL: Kafka is off */
    struct rg_dispatcher *ingest_dispatcher;
    struct rg_timer answers_check; /* until answers are read from Kafka */
    bool awaits_answers;           /* they were wanted at the start: part of being ready */

    uv_signal_t sigterm, sigint, sighup;
    struct rg_timer deadline;
    uint64_t shutdown_started_ms;
    unsigned drained_n;
    bool is_stopping;
};

/* ---- Kafka to the hubs ---- */

static int on_kafka_event(void *arg, const struct rg_kafka_message *m, struct rg_why *why)
{
    struct rg_gateway *gateway = arg;
    struct rg_origin origin = {RG_SOURCE_KAFKA, m->topic_no, m->partition, m->offset,
                               m->timestamp_ms};

    return rg_dispatch_record(gateway->ingest_dispatcher, m->event, m->format, &origin, why);
}

static void on_ingest_start(void *arg)
{
    struct rg_gateway *gateway = arg;
    gateway->ingest_dispatcher = rg_dispatcher_new(gateway->push);
}

static void on_ingest_stop(void *arg)
{
    struct rg_gateway *gateway = arg;
    rg_dispatcher_free(&gateway->ingest_dispatcher);
}

static void start_consumer(struct rg_gateway *gateway)
{
    struct rg_consumer_sink sink = {on_kafka_event, on_ingest_start, on_ingest_stop, gateway};

    if (rg_kafka_is_on(&gateway->config->kafka))
        gateway->consumer =
            rg_consumer_start(&gateway->config->kafka, &sink, &gateway->push->tally);
}

/* Definitions come and go while we run; the first that waits for answers has them read. */
static void on_answers_check(struct rg_timer *timer)
{
    struct rg_gateway *gateway = RG_CONTAINER_OF(timer, struct rg_gateway, answers_check);

    rg_reactor_assert(&gateway->control);
    if (!rg_services_read_answers(&gateway->services, &gateway->push->tally))
        rg_reactor_set_timer(&gateway->control, timer, ANSWERS_CHECK_MS);
}

static void start_answers(struct rg_gateway *gateway)
{
    gateway->answers_check.fn = on_answers_check;
    rg_rcu_thread_start(); /* the loop, which does so itself, does not run yet */
    if (!rg_services_read_answers(&gateway->services, &gateway->push->tally))
        rg_reactor_set_timer(&gateway->control, &gateway->answers_check, ANSWERS_CHECK_MS);
    rg_rcu_thread_stop();
    gateway->awaits_answers = gateway->services.answer_consumer != NULL;
}

/* ---- what operators ask ---- */

static void expose_forwarders(const struct rg_gateway *gateway, struct rg_buf *out)
{
    struct rg_forwarder *all[RG_MAX_REACTORS];

    for (unsigned i = 0; i < gateway->shards_n; i++)
        all[i] = gateway->shards[i].forwarder;
    rg_forwarders_expose(all, gateway->shards_n, out);
}

static void expose(void *arg, struct rg_buf *out)
{
    struct rg_gateway *gateway = arg;
    const struct rg_counters *blocks[RG_MAX_REACTORS + 1];

    rg_push_expose(gateway->push, out);
    rg_access_expose(&gateway->access, out);
    rg_services_expose(&gateway->services, out);
    expose_forwarders(gateway, out);
    for (unsigned i = 0; i < gateway->shards_n; i++)
        blocks[i] = rg_http_server_counters(gateway->shards[i].http);
    rg_counters_expose(out, rg_http_counter_rows, rg_http_counter_rows_n, blocks,
                       gateway->shards_n);
    rg_metric_head(out, "rgate_accept_pauses_total", "counter",
                   "Times that accepting paused because descriptors ran out.");
    rg_buf_addf(out, "rgate_accept_pauses_total %lu\n", rg_listener_pauses());
    rg_metric_head(out, "rgate_info", "gauge", "The version, as a label.");
    rg_buf_add_c(out, "rgate_info{version=\"" RG_VERSION "\"} 1\n");
    rg_https_expose(gateway->config->tls, out);
    if (gateway->consumer != NULL)
        rg_consumer_expose(gateway->consumer, out);
}

/* Requests that wait for answers from Kafka would wait in vain. */
static bool is_ready_for_answers(const struct rg_gateway *gateway)
{
    struct rg_consumer_status status = {.has_joined = true};

    if (gateway->awaits_answers && gateway->services.answer_consumer != NULL)
        rg_consumer_get_status(gateway->services.answer_consumer, &status);
    return status.has_joined;
}

static bool is_ready(void *arg, struct rg_buf *members)
{
    struct rg_gateway *gateway = arg;
    struct rg_consumer_status status;

    if (gateway->consumer == NULL) {
        rg_buf_add_c(members, "\"kafka\":{\"ready\":true,\"reason\":\"not configured\"}");
        return true;
    }
    rg_consumer_get_status(gateway->consumer, &status);
    bool is_kafka_ready = status.is_connected && status.has_joined && is_ready_for_answers(gateway);
    rg_buf_addf(members, "\"kafka\":{\"ready\":%s,\"partitions\":%u,\"paused\":%s,\"reason\":",
                is_kafka_ready ? "true" : "false", status.partitions,
                status.is_paused ? "true" : "false");
    const char *reason = is_kafka_ready                 ? "consuming"
                         : status.last_error[0] != '\0' ? status.last_error
                                                        : "joining the consumer group";
    rg_json_add_string(members, rg_str_c(reason));
    rg_buf_add_char(members, '}');
    return is_kafka_ready;
}

/* ---- the graceful end ---- */

/* What is left of SHUTDOWN_TIMEOUT, at most max_ms. */
static int time_left(const struct rg_gateway *gateway, uint64_t max_ms)
{
    uint64_t spent = rg_clock_mono_ms() - gateway->shutdown_started_ms;
    uint64_t timeout = (uint64_t)gateway->config->shutdown_timeout_ms;
    uint64_t left = spent < timeout ? timeout - spent : 0;

    return (int)(left < max_ms ? left : max_ms);
}

static void control_finish(struct rg_gateway *gateway)
{
    rg_reactor_assert(&gateway->control);
    rg_services_stop(&gateway->services, time_left(gateway, RECORD_TIMEOUT_MS));
    if (gateway->consumer != NULL)
        rg_consumer_stop(&gateway->consumer, time_left(gateway, COMMIT_TIMEOUT_MS));
    rg_reactor_cancel_timer(&gateway->control, &gateway->deadline);
    rg_listener_close(&gateway->internal_listener);
    rg_listener_close(&gateway->internal_https_listener);
    rg_http_server_close_all(gateway->internal_http);
    uv_close((uv_handle_t *)&gateway->sigterm, NULL);
    uv_close((uv_handle_t *)&gateway->sigint, NULL);
    if (uv_is_active((uv_handle_t *)&gateway->sighup))
        uv_close((uv_handle_t *)&gateway->sighup, NULL);
    rg_reactor_stop(&gateway->control);
}

static void stop_shard(struct rg_inbox_item *item, void *ctx)
{
    struct shard *shard = RG_CONTAINER_OF(item, struct shard, stop);

    (void)ctx;
    rg_reactor_assert(&shard->reactor);
    rg_reactor_stop(&shard->reactor);
}

/* Nobody on the control loop waits for the reactors any more. */
static void on_asked_all(void *arg)
{
    struct rg_gateway *gateway = arg;

    /* Before the reactors: what comes in is posted to them. */
    rg_reactor_cancel_timer(&gateway->control, &gateway->answers_check);
    rg_services_stop_answers(&gateway->services, time_left(gateway, COMMIT_TIMEOUT_MS));
    /* Only now: until all are empty, they may still owe each other answers. */
    for (unsigned i = 0; i < gateway->shards_n; i++)
        rg_reactor_post(&gateway->shards[i].reactor, &gateway->shards[i].stop, stop_shard, 0);
    control_finish(gateway);
}

/* On the control loop: one more reactor is empty. */
static void on_report(struct rg_inbox_item *item, void *ctx)
{
    struct rg_gateway *gateway = RG_CONTAINER_OF(item, struct shard, report)->gateway;

    (void)ctx;
    if (++gateway->drained_n < gateway->shards_n)
        return;
    /* Whoever waits for an answer from elsewhere hears that there is none, while it still can. */
    rg_access_stop(&gateway->access);
    rg_session_admin_stop(&gateway->session_admin, on_asked_all, gateway);
}

static void report_empty(struct shard *shard)
{
    if (shard->is_reported)
        return;
    shard->is_reported = true;
    rg_reactor_cancel_timer(&shard->reactor, &shard->http_drain);
    /* From here on nobody brings a token or asks a service: what they are asked through ends soon.
     */
    rg_http_server_close_all(shard->http);
    rg_forwarder_close(shard->forwarder);
    rg_reactor_post(&shard->gateway->control, &shard->report, on_report, 0);
}

static void on_http_drain(struct rg_timer *timer)
{
    struct shard *shard = RG_CONTAINER_OF(timer, struct shard, http_drain);

    /* Tunnels have until all is cut: they end when those who use them want it. */
    bool is_drained = rg_http_server_connections(shard->http) == 0 ||
                      shard->reactor.now_ms >= shard->http_drain_until_ms;
    if (is_drained && rg_forwarder_tunnels(shard->forwarder) == 0)
        report_empty(shard);
    else
        rg_reactor_set_timer(&shard->reactor, &shard->http_drain, 1);
}

static void on_hub_empty(void *arg)
{
    struct shard *shard = arg;

    shard->http_drain.fn = on_http_drain;
    shard->http_drain_until_ms = shard->reactor.now_ms + HTTP_DRAIN_MS;
    on_http_drain(&shard->http_drain);
}

static void drain_shard(struct rg_inbox_item *item, void *ctx)
{
    struct shard *shard = RG_CONTAINER_OF(item, struct shard, drain);

    (void)ctx;
    rg_listener_close(&shard->listener);
    rg_listener_close(&shard->https_listener);
    rg_http_server_drain(shard->http);
    rg_hub_drain(shard->hub, on_hub_empty, shard);
}

static void cut_shard(struct rg_inbox_item *item, void *ctx)
{
    struct shard *shard = RG_CONTAINER_OF(item, struct shard, cut);

    (void)ctx;
    rg_hub_kill_all(shard->hub);
    report_empty(shard);
}

static void on_deadline(struct rg_timer *timer)
{
    struct rg_gateway *gateway = RG_CONTAINER_OF(timer, struct rg_gateway, deadline);

    rg_log_warn("shutdown timed out", RG_FU("connections", rg_push_clients(gateway->push)));
    for (unsigned i = 0; i < gateway->shards_n; i++)
        rg_reactor_post(&gateway->shards[i].reactor, &gateway->shards[i].cut, cut_shard, 0);
}

static void on_signal(uv_signal_t *handle, int number)
{
    struct rg_gateway *gateway = handle->data;
    uint64_t timeout = (uint64_t)gateway->config->shutdown_timeout_ms;

    rg_reactor_assert(&gateway->control);
    if (gateway->is_stopping) {
        rg_log_warn("second signal, ending at once", RG_FI("signal", number));
        _exit(1);
    }
    gateway->is_stopping = true;
    gateway->control.now_ms = rg_clock_mono_ms();
    gateway->shutdown_started_ms = gateway->control.now_ms;
    atomic_store(&gateway->health.is_shutting_down, true);
    rg_log_info("shutting down", RG_FI("signal", number),
                RG_FU("connections", rg_push_clients(gateway->push)));
    if (gateway->consumer != NULL)
        rg_consumer_quiesce(gateway->consumer);
    for (unsigned i = 0; i < gateway->shards_n; i++)
        rg_reactor_post(&gateway->shards[i].reactor, &gateway->shards[i].drain, drain_shard, 0);
    gateway->deadline.fn = on_deadline;
    /* A part of the time is for the commit that follows. */
    rg_reactor_set_timer(&gateway->control, &gateway->deadline, timeout - timeout / 5);
}

static void on_reload_signal(uv_signal_t *handle, int number)
{
    struct rg_gateway *gateway = handle->data;

    (void)number;
    rg_reactor_assert(&gateway->control);
    rg_https_reload(gateway->config->tls);
}

static void watch_signal(struct rg_gateway *gateway, uv_signal_t *handle, int number,
                         uv_signal_cb on_number)
{
    rg_assert(uv_signal_init(&gateway->control.loop, handle) == 0);
    handle->data = gateway;
    rg_assert(uv_signal_start(handle, on_number, number) == 0);
}

/* ---- building ---- */

static void settle_hub(void *ctx)
{
    rg_hub_settle(ctx);
}

static unsigned reactor_count(const struct rg_config *config)
{
    cpu_set_t set;
    long n = config->reactors;

    if (n == 0)
        n = sched_getaffinity(0, sizeof(set), &set) == 0 ? CPU_COUNT(&set) : 1;
    return (unsigned)(n < RG_MAX_REACTORS ? n : RG_MAX_REACTORS);
}

/* What no endpoint of ours takes is for a service. */
static struct rg_route catch_all(const struct shard *shard)
{
    return (struct rg_route){RG_METHODS_ALL, "*", rg_forward_handle, shard->forwarder,
                             RG_BODY_STREAMED};
}

/* Our page, unless a definition has "/", which may be so from one request to the next. */
static void serve_home(void *arg, struct rg_exchange *exchange)
{
    struct shard *shard = arg;

    if (rg_proxy_has(shard->gateway->services.proxy, RG_STR("GET"), RG_STR("/")))
        rg_forward_handle(shard->forwarder, exchange);
    else
        rg_static_handle(&shard->gateway->welcome, exchange);
}

static size_t client_routes(struct shard *shard)
{
    struct rg_gateway *gateway = shard->gateway;
    struct rg_route *rows = shard->routes;
    size_t n = 0;

    if (shard->demo != NULL) {
        rg_demo_routes(shard->demo, rows);
        n += RG_DEMO_ROUTES;
    } else if (gateway->config->welcome_page) {
        rows[n++] =
            (struct rg_route){RG_METHOD_BIT(RG_GET), "/", serve_home, shard, RG_BODY_STREAMED};
    }
    rows[n++] = (struct rg_route){RG_METHOD_BIT(RG_GET), "/_rig/health", rg_health_handle,
                                  &gateway->health, 0};
    n += rg_api_routes(shard->hub, &shard->publish, rows + n);
    rows[n++] = catch_all(shard);
    return n;
}

/* NULL where HTTPS is off. */
static struct rg_listener *open_https(struct rg_gateway *gateway, struct rg_reactor *reactor,
                                      int fd, struct rg_http_server *http)
{
    if (fd < 0)
        return NULL;
    rg_http_server_set_tls(http, gateway->config->tls);
    return rg_listener_open(reactor, fd, rg_http_server_accept_tls, http);
}

static void build_shard(struct rg_gateway *gateway, unsigned id, const struct rg_dev_options *dev)
{
    struct shard *shard = &gateway->shards[id];

    shard->gateway = gateway;
    rg_reactor_init(&shard->reactor, id, (size_t)gateway->config->inbox_bytes);
    shard->hub = rg_hub_new(gateway->push, &shard->reactor);
    shard->reactor.ctx = shard->hub;
    shard->reactor.on_batch = settle_hub;
    if (dev->demo != NULL)
        shard->demo = rg_demo_endpoint_new(dev->demo);
    shard->forwarder = rg_forwarder_new(gateway->services.proxy, &shard->reactor);
    size_t n = client_routes(shard);
    shard->http = rg_http_server_new(&shard->reactor, &gateway->http_settings, shard->routes, n);
    shard->hub->http = shard->http;
    if (shard->demo != NULL)
        rg_demo_endpoint_attach(shard->demo, &shard->reactor, shard->http);
    shard->listener =
        rg_listener_open(&shard->reactor, shard->fd, rg_http_server_accept, shard->http);
    shard->https_listener = open_https(gateway, &shard->reactor, shard->https_fd, shard->http);
}

/* Fills the rows of the internal port. */
static void internal_routes(struct rg_gateway *gateway)
{
    const unsigned post = RG_METHOD_BIT(RG_POST);
    size_t max = (size_t)gateway->config->max_event_bytes;
    struct rg_route *rows = gateway->internal_routes;
    size_t n = 0;

    rows[n++] =
        (struct rg_route){post, "/v3/messages", rg_publish_handle, &gateway->internal_publish, max};
    rows[n++] =
        (struct rg_route){post, "/v2/messages", rg_publish_handle, &gateway->internal_publish, max};
    rg_user_messages_routes(gateway->push, rows + n);
    n += RG_USER_MESSAGES_ROUTES;
    rg_session_blacklist_routes(gateway->access.blacklist, rows + n);
    n += RG_SESSION_BLACKLIST_ROUTES;
    rg_session_admin_routes(&gateway->session_admin, rows + n);
    n += RG_SESSION_ADMIN_ROUTES;
    rg_apis_routes(&gateway->apis, rows + n);
    n += RG_APIS_ROUTES;
    rg_responses_routes(gateway->services.answers, max, rows + n);
    n += RG_RESPONSES_ROUTES;
    rg_pages_routes(&gateway->pages, rows + n);
    n += RG_PAGES_ROUTES;
    rg_admin_routes(&gateway->health, &gateway->metrics, rows + n);
    rg_assert(n + RG_ADMIN_ROUTES == INTERNAL_ROUTES);
}

static const char *env(const char *name)
{
    return getenv(name);
}

static void build_control(struct rg_gateway *gateway, const struct rg_dev_options *dev)
{
    rg_reactor_init(&gateway->control, gateway->shards_n, ROOM_FOR_COMMANDS);
    gateway->control.ctx = gateway;
    gateway->control_dispatcher = rg_dispatcher_new(gateway->push);
    gateway->internal_publish =
        (struct rg_publish_endpoint){gateway->push, gateway->control_dispatcher, false, NULL};
    gateway->session_admin =
        (struct rg_session_admin){.push = gateway->push, .reactor = &gateway->control};
    gateway->apis = (struct rg_apis){gateway->services.catalogue, "rig@127.0.0.1", env};
    gateway->pages = rg_page_internal();
    gateway->health.ready = is_ready;
    gateway->health.ready_arg = gateway;
    gateway->metrics = (struct rg_metrics){gateway->config->metrics_enabled, expose, gateway};

    internal_routes(gateway);
    gateway->internal_http = rg_http_server_new(&gateway->control, &gateway->internal_http_settings,
                                                gateway->internal_routes, INTERNAL_ROUTES);
    gateway->session_admin.http = gateway->internal_http;
    gateway->internal_listener = rg_listener_open(&gateway->control, gateway->internal_fd,
                                                  rg_http_server_accept, gateway->internal_http);
    gateway->internal_https_listener =
        open_https(gateway, &gateway->control, gateway->internal_https_fd, gateway->internal_http);
    watch_signal(gateway, &gateway->sigterm, SIGTERM, on_signal);
    watch_signal(gateway, &gateway->sigint, SIGINT, on_signal);
    if (dev->demo == NULL)
        watch_signal(gateway, &gateway->sighup, SIGHUP, on_reload_signal);
}

static void on_ban(void *arg, struct rg_str session)
{
    rg_push_kill_session(arg, session);
}

static struct rg_push *build_push(const struct rg_config *config, const struct rg_access *access)
{
    struct rg_push_settings settings = {
        .cors = config->cors,
        .client_queue_bytes = (size_t)config->client_queue_bytes,
        .heartbeat_ms = (uint64_t)config->heartbeat_ms,
        .write_timeout_ms = (uint64_t)config->http_write_timeout_ms,
        .longpoll_wait_ms = (uint64_t)config->longpoll_wait_ms,
        .longpoll_idle_ms = (uint64_t)config->longpoll_idle_ms,
        .max_subscriptions = (size_t)config->max_subscriptions,
        .max_event_bytes = (size_t)config->max_event_bytes,
        .secret = rg_str_c(config->node_cookie),
        .compression_min_bytes =
            config->compression ? (size_t)config->compression_min_bytes : SIZE_MAX,
        .jwt_cookie = config->jwt_cookie,
        .origins = config->origins,
        .expiry_closes = config->jwt_expiry_closes,
        .expiry_warning_ms = (uint64_t)config->jwt_expiry_warning_ms,
        .channels =
            {
                .is_on = config->channels,
                .identity = {config->jwt_user_field, config->jwt_roles_field,
                             (const char *const *)config->channel_roles.items,
                             config->channel_roles.n},
                .session_role = config->session_role,
                .max_channels = (size_t)config->max_channels,
                .max_message_bytes = (size_t)config->channel_message_bytes,
                .idle_ms = (uint64_t)config->channel_idle_ms,
                .heartbeat_ms = (uint64_t)config->channel_heartbeat_ms,
                .longpoll_wait_ms = (uint64_t)config->channel_longpoll_wait_ms,
                .longpoll_idle_ms = (uint64_t)config->channel_longpoll_idle_ms,
                .expiry_closes = config->channel_expiry_closes,
                .presence_interval_ms = (uint64_t)config->presence_interval_ms,
            },
    };

    rg_access_apply(access, &settings);
    struct rg_push *push = rg_push_new(&settings, config->extractors);
    rg_blacklist_on_ban(access->blacklist, on_ban, push);
    return push;
}

static struct rg_http_settings build_http_settings(const struct rg_config *config)
{
    struct rg_http_settings settings = rg_http_default_settings;

    settings.idle_timeout_ms = (uint64_t)config->http_idle_timeout_ms;
    settings.header_timeout_ms = (uint64_t)config->http_header_timeout_ms;
    settings.write_timeout_ms = (uint64_t)config->http_write_timeout_ms;
    settings.body_min_rate = (uint64_t)config->http_body_min_rate;
    settings.is_h2_on = config->http2;
    settings.h2_max_streams = (uint32_t)config->http2_max_streams;
    return settings;
}

/* ---- ports ---- */

static void port_problem(struct rg_problems *problems, const char *variable, int64_t port,
                         const struct rg_why *why)
{
    char value[24];

    snprintf(value, sizeof(value), "%lld", (long long)port);
    rg_problem_add(problems, variable, value, "%s", why->text);
}

static int dup_inherited(int fd)
{
    return fd >= 0 ? fcntl(fd, F_DUPFD_CLOEXEC, 0) : -1;
}

/* A port that shall be open. */
struct port_choice {
    const char *variable; /* that chose it */
    const char *name;     /* of an inherited socket, or its position */
    unsigned position;
    const char *host;
    int64_t port;
};

/* A descriptor, or a negative number and a problem. *port is 0 before the first of a choice. */
static int open_port(const struct port_choice *choice, unsigned *port, struct rg_problems *problems)
{
    int inherited = rg_listener_inherited(choice->name, choice->position);
    bool is_first = *port == 0;
    struct rg_why why = {0};
    int fd = inherited >= 0
                 ? dup_inherited(inherited)
                 : rg_listener_bind(choice->host, is_first ? (unsigned)choice->port : *port,
                                    is_first, &why);

    if (fd < 0)
        port_problem(problems, choice->variable, choice->port, &why);
    else
        *port = rg_listener_port(fd);
    return fd;
}

/* One descriptor per reactor: sockets of their own on the same port, or copies of the inherited
 * one. */
static bool open_client_port(struct rg_gateway *gateway, struct rg_problems *problems)
{
    const struct rg_config *config = gateway->config;
    const struct port_choice choice = {"INBOUND_PORT", "client", 0, config->inbound_host,
                                       config->inbound_port};
    bool is_open = true;

    for (unsigned i = 0; is_open && i < gateway->shards_n; i++) {
        gateway->shards[i].fd = open_port(&choice, &gateway->ports.client, problems);
        is_open = gateway->shards[i].fd >= 0;
    }
    return is_open;
}

static bool open_client_https_port(struct rg_gateway *gateway, struct rg_problems *problems)
{
    const struct rg_config *config = gateway->config;
    const struct port_choice choice = {"INBOUND_HTTPS_PORT", "client-https", 2,
                                       config->inbound_host, config->inbound_https_port};
    bool is_open = true;

    for (unsigned i = 0; is_open && i < gateway->shards_n; i++) {
        gateway->shards[i].https_fd = open_port(&choice, &gateway->ports.client_https, problems);
        is_open = gateway->shards[i].https_fd >= 0;
    }
    return is_open;
}

static bool open_internal_port(struct rg_gateway *gateway, struct rg_problems *problems)
{
    const struct rg_config *config = gateway->config;
    const struct port_choice choice = {"API_HTTP_PORT", "internal", 1, config->api_http_host,
                                       config->api_http_port};

    gateway->internal_fd = open_port(&choice, &gateway->ports.internal, problems);
    return gateway->internal_fd >= 0;
}

static bool open_internal_https_port(struct rg_gateway *gateway, struct rg_problems *problems)
{
    const struct rg_config *config = gateway->config;
    const struct port_choice choice = {"API_HTTPS_PORT", "internal-https", 3, config->api_http_host,
                                       config->api_https_port};

    gateway->internal_https_fd = open_port(&choice, &gateway->ports.internal_https, problems);
    return gateway->internal_https_fd >= 0;
}

/* All that shall be open, so that every problem is told at once. */
static bool open_ports(struct rg_gateway *gateway, struct rg_problems *problems)
{
    bool is_open = open_client_port(gateway, problems);

    is_open &= open_internal_port(gateway, problems);
    if (gateway->config->tls != NULL) {
        is_open &= open_client_https_port(gateway, problems);
        is_open &= open_internal_https_port(gateway, problems);
    }
    return is_open;
}

static void close_port(int fd)
{
    if (fd >= 0)
        close(fd);
}

static void close_ports(struct rg_gateway *gateway)
{
    for (unsigned i = 0; i < gateway->shards_n; i++) {
        close_port(gateway->shards[i].fd);
        close_port(gateway->shards[i].https_fd);
    }
    close_port(gateway->internal_fd);
    close_port(gateway->internal_https_fd);
}

/* ---- life ---- */

struct rg_gateway *rg_gateway_new(const struct rg_config *config, const struct rg_dev_options *dev,
                                  struct rg_problems *problems)
{
    struct rg_gateway *gateway = rg_zalloc(sizeof(*gateway));

    gateway->config = config;
    gateway->shards_n = reactor_count(config);
    gateway->shards = rg_zalloc(gateway->shards_n * sizeof(gateway->shards[0]));
    for (unsigned i = 0; i < gateway->shards_n; i++)
        gateway->shards[i].fd = gateway->shards[i].https_fd = -1;
    gateway->internal_fd = gateway->internal_https_fd = -1;
    if (!open_ports(gateway, problems)) {
        close_ports(gateway);
        rg_free(gateway->shards);
        rg_free(gateway);
        return NULL;
    }

    gateway->internal_http_settings = build_http_settings(config);
    gateway->http_settings = gateway->internal_http_settings;
    /* A balancer stands in front of the public ports only. */
    gateway->http_settings.has_proxy_protocol = config->proxy_protocol;
    gateway->welcome = rg_page_welcome();
    rg_access_init(&gateway->access, config);
    rg_services_init(&gateway->services, config, gateway->access.verifier);
    gateway->push = build_push(config, &gateway->access);
    if (dev->demo != NULL)
        rg_demo_set_users(dev->demo,
                          &(struct rg_demo_users){config->jwt_alg, rg_buf_str(&config->jwt_key),
                                                  gateway->access.blacklist});
    rg_tls_offer_h2(config->http2);
    if (config->tls != NULL)
        rg_tls_set_handshake_timeout(config->tls, gateway->http_settings.header_timeout_ms);
    for (unsigned i = 0; i < gateway->shards_n; i++)
        build_shard(gateway, i, dev);
    build_control(gateway, dev);
    return gateway;
}

const struct rg_ports *rg_gateway_ports(const struct rg_gateway *gateway)
{
    return &gateway->ports;
}

int rg_gateway_run(struct rg_gateway *gateway)
{
    for (unsigned i = 0; i < gateway->shards_n; i++)
        rg_assert(rg_reactor_start(&gateway->shards[i].reactor) == 0);
    start_consumer(gateway);
    start_answers(gateway);
    rg_https_log(gateway->config->tls);
    rg_log_info("started", RG_FU("reactors", gateway->shards_n),
                RG_FU("client_port", gateway->ports.client),
                RG_FU("internal_port", gateway->ports.internal));
    rg_reactor_run(&gateway->control);
    for (unsigned i = 0; i < gateway->shards_n; i++)
        rg_reactor_join(&gateway->shards[i].reactor);
    return 0;
}

void rg_gateway_free(struct rg_gateway **gatewayp)
{
    struct rg_gateway *gateway = *gatewayp;

    if (gateway == NULL)
        return;
    *gatewayp = NULL;
    rg_rcu_thread_start();
    for (unsigned i = 0; i < gateway->shards_n; i++) {
        struct shard *shard = &gateway->shards[i];
        rg_http_server_free(&shard->http);
        rg_forwarder_free(&shard->forwarder);
        rg_hub_free(&shard->hub);
        rg_free(shard->demo);
        rg_reactor_done(&shard->reactor);
    }
    rg_http_server_free(&gateway->internal_http);
    rg_dispatcher_free(&gateway->control_dispatcher);
    rg_reactor_done(&gateway->control);
    rg_push_free(&gateway->push);
    rg_services_done(&gateway->services);
    rg_access_done(&gateway->access);
    rg_rcu_thread_stop();
    rg_free(gateway->shards);
    rg_free(gateway);
}
