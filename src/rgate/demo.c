#include "rgate/demo.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/random.h"
#include "event/json.h"
#include "rgate/demo_answer.h"
#include "rgate/page.h"

#define EVENT_EVERY_MS  500
#define PRIVATE_EVERY   4 /* of that many events one is private */
#define STOP_TIMEOUT_MS 1000
#define MAX_PUBLISH     (1024 * 1024)

const char rg_demo_extractors[] =
    "{\"" RG_DEMO_PRIVATE_TYPE "\":{"
    "\"to\":{\"stable_field_index\":0,\"event\":{\"json_pointer\":\"/data/to\"},"
    "\"jwt\":{\"json_pointer\":\"/sub\"}}},"
    "\"chat.message\":{"
    "\"room\":{\"stable_field_index\":0,\"event\":{\"json_pointer\":\"/data/room\"}},"
    "\"author\":{\"stable_field_index\":1,\"event\":{\"json_pointer\":\"/data/author\"}}},"
    "\"stock.price\":{"
    "\"symbol\":{\"stable_field_index\":0,\"event\":{\"json_pointer\":\"/data/symbol\"}}},"
    "\"temperature.measured\":{"
    "\"city\":{\"stable_field_index\":0,\"event\":{\"json_pointer\":\"/data/city\"}}}}";

struct rg_demo {
    const struct rg_kafka_settings *settings;
    struct rg_demo_users users;
    const struct rg_extractors *extractors;
    struct rg_producer *producer;
    struct rg_static_page page, phoenix;
    unsigned client_port, internal_port;

    pthread_t thread;
    bool is_talking;
    pthread_mutex_t lock;
    pthread_cond_t wake;
    bool is_stopping; /* under the lock */
};

/* ---- demo events ---- */

static const char *pick(const char *const *words, size_t n)
{
    return words[rg_random_below(n)];
}
#define PICK(words) pick((words), RG_COUNT_OF(words))

/* One to each user in turn: the first of a page's two lists gets what the second must not see. */
static void add_private_data(struct rg_buf *out, uint64_t number)
{
    static const char *const texts[] = {"Your parcel is on its way.", "Your invoice is ready.",
                                        "You have a new follower.", "Your export is finished."};

    rg_buf_addf(out, "{\"to\":\"%s\",\"text\":\"%s\"}",
                rg_demo_user_names[number / PRIVATE_EVERY % rg_demo_user_names_n], PICK(texts));
}

static void add_data(struct rg_buf *out, uint64_t number)
{
    static const char *const rooms[] = {"blue", "green"};
    static const char *const authors[] = {"ada", "bob", "cyd"};
    static const char *const texts[] = {"Good morning!",
                                        "Has anyone seen the release notes?",
                                        "The build is green again.",
                                        "Lunch?",
                                        "Ship it.",
                                        "That was quick."};
    static const char *const symbols[] = {"ACME", "GLOBEX", "INITECH"};
    static const char *const cities[] = {"Berlin", "Lisbon", "Oslo"};

    switch (number % 3) {
    case 0:
        rg_buf_addf(out, "{\"room\":\"%s\",\"author\":\"%s\",\"text\":\"%s\"}", PICK(rooms),
                    PICK(authors), PICK(texts));
        break;
    case 1:
        rg_buf_addf(out, "{\"symbol\":\"%s\",\"price\":%" PRIu64 ".%02" PRIu64 "}", PICK(symbols),
                    80 + rg_random_below(40), rg_random_below(100));
        break;
    default:
        rg_buf_addf(out, "{\"city\":\"%s\",\"celsius\":%" PRIu64 ".%" PRIu64 "}", PICK(cities),
                    8 + rg_random_below(15), rg_random_below(10));
        break;
    }
}

static void produce_one(struct rg_demo *demo, uint64_t number)
{
    static const char *const types[] = {"chat.message", "stock.price", "temperature.measured"};
    bool is_private = number % PRIVATE_EVERY == PRIVATE_EVERY - 1;
    const char *type = is_private ? RG_DEMO_PRIVATE_TYPE : types[number % 3];
    struct rg_buf event = {0};
    char id[RG_UUID_LEN + 1], time[RG_RFC3339_SIZE];

    rg_random_uuid(id);
    rg_clock_rfc3339(time, rg_clock_wall_us());
    rg_buf_addf(&event,
                "{\"specversion\":\"1.0\",\"type\":\"%s\",\"source\":\"/rgate/demo\",\"id\":\"%s\","
                "\"time\":\"%s\",\"data\":",
                type, id, time);
    if (is_private)
        add_private_data(&event, number);
    else
        add_data(&event, number);
    rg_buf_add_char(&event, '}');
    rg_producer_send(demo->producer, demo->settings->source_topics.items[0], rg_str_c(type),
                     rg_buf_str(&event), NULL, NULL);
    rg_buf_done(&event);
}

static void *talk(void *arg)
{
    struct rg_demo *demo = arg;
    uint64_t next_ms = rg_clock_mono_ms();

    pthread_setname_np(pthread_self(), "demo");
    pthread_mutex_lock(&demo->lock);
    for (uint64_t number = 0; !demo->is_stopping; number++) {
        pthread_mutex_unlock(&demo->lock);
        produce_one(demo, number);
        pthread_mutex_lock(&demo->lock);
        next_ms += EVENT_EVERY_MS;
        struct timespec until = {(time_t)(next_ms / 1000), (long)(next_ms % 1000) * 1000000};
        while (!demo->is_stopping && rg_clock_mono_ms() < next_ms)
            pthread_cond_timedwait(&demo->wake, &demo->lock, &until);
    }
    pthread_mutex_unlock(&demo->lock);
    return NULL;
}

struct rg_demo *rg_demo_start(const struct rg_kafka_settings *settings,
                              const struct rg_extractors *extractors, bool is_talking,
                              struct rg_why *why)
{
    struct rg_demo *demo = rg_zalloc(sizeof(*demo));
    pthread_condattr_t attr;

    demo->settings = settings;
    demo->extractors = extractors;
    demo->page = rg_page_dev();
    demo->phoenix = rg_page_phoenix();
    demo->producer = rg_producer_start(settings, why);
    if (demo->producer == NULL) {
        rg_free(demo);
        return NULL;
    }
    pthread_mutex_init(&demo->lock, NULL);
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&demo->wake, &attr);
    pthread_condattr_destroy(&attr);
    demo->is_talking = is_talking && pthread_create(&demo->thread, NULL, talk, demo) == 0;
    return demo;
}

void rg_demo_stop(struct rg_demo **demop)
{
    struct rg_demo *demo = *demop;

    if (demo == NULL)
        return;
    *demop = NULL;
    pthread_mutex_lock(&demo->lock);
    demo->is_stopping = true;
    pthread_cond_signal(&demo->wake);
    pthread_mutex_unlock(&demo->lock);
    if (demo->is_talking)
        pthread_join(demo->thread, NULL);
    rg_producer_stop(&demo->producer, STOP_TIMEOUT_MS);
    pthread_cond_destroy(&demo->wake);
    pthread_mutex_destroy(&demo->lock);
    rg_free(demo);
}

void rg_demo_set_ports(struct rg_demo *demo, unsigned client_port, unsigned internal_port)
{
    demo->client_port = client_port;
    demo->internal_port = internal_port;
}

void rg_demo_set_users(struct rg_demo *demo, const struct rg_demo_users *users)
{
    demo->users = *users;
}

/* ---- endpoints of the page ---- */

struct rg_demo_endpoint {
    struct rg_demo *demo;
    struct rg_reactor *reactor;
    struct rg_http_server *server;
};

struct rg_demo_endpoint *rg_demo_endpoint_new(struct rg_demo *demo)
{
    struct rg_demo_endpoint *endpoint = rg_zalloc(sizeof(*endpoint));
    endpoint->demo = demo;
    return endpoint;
}

void rg_demo_endpoint_attach(struct rg_demo_endpoint *endpoint, struct rg_reactor *reactor,
                             struct rg_http_server *server)
{
    endpoint->reactor = reactor;
    endpoint->server = server;
}

static void add_extractors(struct rg_buf *out, const struct rg_extractors *extractors)
{
    for (size_t i = 0; i < rg_extractors_count(extractors); i++) {
        const struct rg_extractor_type *type = rg_extractors_at(extractors, i);
        rg_buf_add_c(out, i > 0 ? "," : "");
        rg_json_add_string(out, rg_str_n(type->name, type->name_n));
        rg_buf_add_c(out, ":[");
        for (size_t f = 0; f < type->fields_n; f++) {
            rg_buf_add_c(out, f > 0 ? "," : "");
            rg_json_add_string(out, rg_str_c(type->fields[f].name));
        }
        rg_buf_add_char(out, ']');
    }
}

static void info(void *arg, struct rg_exchange *exchange)
{
    const struct rg_demo *demo = ((struct rg_demo_endpoint *)arg)->demo;
    const struct rg_option_list *topics = &demo->settings->source_topics;
    struct rg_buf body = {0};

    rg_buf_addf(&body,
                "{\"version\":\"" RG_VERSION "\",\"client_url\":\"http://localhost:%u\","
                "\"internal_url\":\"http://localhost:%u\",\"kafka_bootstrap\":",
                demo->client_port, demo->internal_port);
    rg_json_add_string(&body, rg_str_c(demo->settings->brokers.items[0]));
    rg_buf_add_c(&body, ",\"topics\":[");
    for (size_t i = 0; i < topics->n; i++) {
        rg_buf_add_c(&body, i > 0 ? "," : "");
        rg_json_add_string(&body, rg_str_c(topics->items[i]));
    }
    rg_buf_add_c(&body, "],\"extractors\":{");
    add_extractors(&body, demo->extractors);
    rg_buf_add_c(&body, "},\"private_type\":\"" RG_DEMO_PRIVATE_TYPE "\",\"users\":[");
    for (size_t i = 0; i < rg_demo_user_names_n; i++)
        rg_buf_addf(&body, "%s\"%s\"", i > 0 ? "," : "", rg_demo_user_names[i]);
    rg_buf_add_c(&body, "],\"agent\":\"" RG_DEMO_AGENT "\"}");
    rg_demo_answer(exchange, 200, rg_buf_str(&body));
    rg_buf_done(&body);
}

/* A page's publish request on its way through Kafka's acknowledgement and back. */
struct publishing {
    struct rg_inbox_item item;
    struct rg_demo_endpoint *endpoint;
    struct rg_exchange_handle exchange;
    int err;
    struct rg_why why;
    int32_t partition;
    int64_t offset;
};

static void tell_page(struct rg_inbox_item *item, void *ctx)
{
    struct publishing *p = RG_CONTAINER_OF(item, struct publishing, item);
    struct rg_exchange *exchange = rg_http_server_find(p->endpoint->server, p->exchange);
    char json[96];

    (void)ctx;
    if (exchange != NULL && p->err < 0) {
        rg_demo_answer_error(exchange, 502, p->why.text);
    } else if (exchange != NULL) {
        snprintf(json, sizeof(json), "{\"partition\":%" PRId32 ",\"offset\":%" PRId64 "}",
                 p->partition, p->offset);
        rg_demo_answer(exchange, 202, rg_str_c(json));
    }
    rg_free(p);
}

static void delivered(void *arg, int err, const struct rg_why *why, int32_t partition,
                      int64_t offset)
{
    struct publishing *p = arg;

    p->err = err;
    if (why != NULL)
        p->why = *why;
    p->partition = partition;
    p->offset = offset;
    rg_reactor_post(p->endpoint->reactor, &p->item, tell_page, 0);
}

static bool is_topic(const struct rg_demo *demo, const char *topic)
{
    for (size_t i = 0; i < demo->settings->source_topics.n; i++) {
        if (strcmp(demo->settings->source_topics.items[i], topic) == 0)
            return true;
    }
    return false;
}

static void publish(void *arg, struct rg_exchange *exchange)
{
    struct rg_demo_endpoint *endpoint = arg;
    struct rg_demo *demo = endpoint->demo;
    const struct rg_request *req = rg_exchange_request(exchange);
    struct rg_buf topic = {0}, key = {0};
    struct rg_json body = {0};
    struct rg_why why = {0};
    char text[640];

    if (!rg_demo_is_own_page(exchange)) {
        rg_demo_answer_error(exchange, 403, "only the gateway's own page may publish here");
        return;
    }
    if (rg_json_check(req->body, &body, &why) < 0) {
        snprintf(text, sizeof(text), "the body is not JSON: %s at %s", why.text, why.place);
        rg_demo_answer_error(exchange, 400, text);
        return;
    }
    struct rg_json event = rg_json_member(body, RG_STR("event"));
    struct rg_json topic_value = rg_json_member(body, RG_STR("topic"));
    struct rg_json key_value = rg_json_member(body, RG_STR("key"));
    if (topic_value.kind == RG_JSON_STRING)
        rg_json_unescape(topic_value, &topic);
    rg_buf_add_char(&topic, '\0');
    if (key_value.kind == RG_JSON_STRING)
        rg_json_unescape(key_value, &key);

    if (event.kind != RG_JSON_OBJECT) {
        rg_demo_answer_error(exchange, 400, "\"event\" must be a JSON object");
    } else if (!is_topic(demo, topic.p)) {
        rg_demo_answer_error(exchange, 400, "\"topic\" must be one of KAFKA_SOURCE_TOPICS");
    } else {
        struct publishing *p = rg_zalloc(sizeof(*p));
        p->endpoint = endpoint;
        p->exchange = rg_exchange_get_handle(exchange);
        if (rg_producer_send(demo->producer, topic.p, rg_buf_str(&key), event.text, delivered, p) <
            0) {
            rg_demo_answer_error(exchange, 503, "too many messages are waiting for Kafka");
            rg_free(p);
        }
    }
    rg_buf_done(&topic);
    rg_buf_done(&key);
}

void rg_demo_routes(struct rg_demo_endpoint *endpoint, struct rg_route rows[RG_DEMO_ROUTES])
{
    rows[0] =
        (struct rg_route){RG_METHOD_BIT(RG_GET), "/", rg_static_handle, &endpoint->demo->page, 0};
    rows[1] = (struct rg_route){RG_METHOD_BIT(RG_GET), "/_dev/info", info, endpoint, 0};
    rows[2] =
        (struct rg_route){RG_METHOD_BIT(RG_POST), "/_dev/publish", publish, endpoint, MAX_PUBLISH};
    rows[3] = (struct rg_route){RG_METHOD_BIT(RG_GET), "/_dev/phoenix.js", rg_static_handle,
                                &endpoint->demo->phoenix, 0};
    rg_demo_user_routes(&endpoint->demo->users, rows + 4);
}
