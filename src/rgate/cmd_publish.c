#include <curl/curl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/random.h"
#include "event/json.h"
#include "http/query.h"
#include "kafka/producer.h"
#include "rgate/args.h"
#include "rgate/cmd.h"
#include "rgate/trust.h"

enum {
    DELIVERY_MS = 10000,
    CONNECT_S = 5,
    ANSWER_S = 15
};

static const char default_url[] = "http://localhost:4000";
static const char default_internal_url[] = "http://localhost:4010";

static const char help[] =
    "Usage: rgate publish [options] [BODY | @FILE | -]\n"
    "\n"
    "Publishes one event: to Kafka if KAFKA_BROKERS is set or --brokers is given, otherwise\n"
    "over HTTP to a running gateway. BODY is the whole event; - reads it from standard input.\n"
    "\n"
    "Build a CloudEvent instead of giving a body:\n"
    "  --type TYPE         its type\n"
    "  --data VALUE        its data: JSON, any other text, @FILE or -\n"
    "  --source SOURCE     its source (default: rgate)\n"
    "  --id ID             its id (default: a random UUID)\n"
    "\n"
    "Send a message to one user instead, to the channel user:NAME:\n"
    "  --user NAME         BODY (JSON) or --data is what the user's devices get; sent to the\n"
    "                      internal port, so --url is http://localhost:4010 if not given\n"
    "\n"
    "To Kafka:\n"
    "  --brokers LIST      bootstrap brokers (default: KAFKA_BROKERS)\n"
    "  --topic TOPIC       (default: the first of KAFKA_SOURCE_TOPICS, which is rig)\n"
    "  --key KEY           key of the message, which selects the partition\n"
    "\n"
    "Over HTTP:\n"
    "  --url URL           of the gateway (default: http://localhost:4000)\n"
    "  --cacert FILE       PEM file with the certificates to trust for https://\n"
    "  --insecure          trust any certificate\n"
    "  --jwt TOKEN         sent as Authorization: Bearer TOKEN\n"
    "\n"
    "  -h, --help          this text\n"
    "\n"
    "Examples:\n"
    "  rgate publish --type greeting --data '{\"name\":\"John\"}'\n"
    "  rgate publish --brokers localhost:9092 --topic rig --key john @event.json\n"
    "  rgate publish --user ada '{\"balance\":12}'\n"
    "  generate-event | rgate publish --url http://localhost:4000 -\n";

enum {
    TYPE = 256,
    DATA,
    SOURCE,
    ID,
    BROKERS,
    TOPIC,
    KEY,
    URL,
    JWT,
    CACERT,
    USER,
    INSECURE
};

static const struct option options[] = {
    {"type", required_argument, NULL, TYPE},
    {"data", required_argument, NULL, DATA},
    {"source", required_argument, NULL, SOURCE},
    {"id", required_argument, NULL, ID},
    {"brokers", required_argument, NULL, BROKERS},
    {"topic", required_argument, NULL, TOPIC},
    {"key", required_argument, NULL, KEY},
    {"url", required_argument, NULL, URL},
    {"jwt", required_argument, NULL, JWT},
    {"cacert", required_argument, NULL, CACERT},
    {"user", required_argument, NULL, USER},
    {"insecure", no_argument, NULL, INSECURE},
    {"help", no_argument, NULL, 'h'},
    {0},
};

struct wish {
    const char *type, *data, *source, *id;
    const char *brokers, *topic, *key;
    const char *url, *jwt;
    const char *user; /* NULL: an event, not a message to a user */
    struct rg_trust trust;
    const char *body;
};

/* --------------------------------------------------------------------- event */

static void add_attribute(struct rg_buf *out, const char *name, struct rg_str value)
{
    rg_buf_addf(out, ",\"%s\":", name);
    rg_json_add_string(out, value);
}

static int build_event(const struct wish *wish, struct rg_buf *out, struct rg_why *why)
{
    RG_CLEANUP(rg_buf_done) struct rg_buf data = {0};
    char uuid[RG_UUID_LEN + 1];
    char now[RG_RFC3339_SIZE];
    int err;

    rg_random_uuid(uuid);
    rg_clock_rfc3339(now, rg_clock_wall_us());
    rg_buf_add_c(out, "{\"specversion\":\"1.0\"");
    add_attribute(out, "id", rg_str_c(wish->id != NULL ? wish->id : uuid));
    add_attribute(out, "type", rg_str_c(wish->type));
    add_attribute(out, "source", rg_str_c(wish->source != NULL ? wish->source : "rgate"));
    add_attribute(out, "time", rg_str_c(now));
    if (wish->data != NULL) {
        err = rg_args_read(wish->data, &data, why);
        if (err < 0)
            return err;
        rg_buf_add_c(out, ",\"data\":");
        rg_args_add_json(out, rg_buf_str(&data));
    }
    rg_buf_add_char(out, '}');
    return 0;
}

/* --------------------------------------------------------------------- Kafka */

static const char *process_env(const char *name)
{
    return getenv(name);
}

struct delivery {
    bool is_done;
    int err;
    struct rg_why why;
    int32_t partition;
    int64_t offset;
};

/* On the producer's thread; rg_producer_stop() ends that before the result is read. */
static void delivered(void *arg, int err, const struct rg_why *why, int32_t partition,
                      int64_t offset)
{
    struct delivery *delivery = arg;

    *delivery = (struct delivery){true, err, {{0}, {0}}, partition, offset};
    if (why != NULL)
        delivery->why = *why;
}

static int produce(const struct rg_kafka_settings *kafka, const char *topic,
                   const struct wish *wish, struct rg_str body)
{
    struct delivery delivery = {0};
    struct rg_why why = {0};
    struct rg_producer *producer = rg_producer_start(kafka, &why);
    int err;

    if (producer == NULL)
        return rg_args_failed("publish", "cannot start a Kafka producer: %s", why.text);
    err = rg_producer_send(producer, topic, rg_str_c(wish->key), body, delivered, &delivery);
    rg_producer_stop(&producer, DELIVERY_MS);
    if (err < 0)
        return rg_args_failed("publish", "cannot send to topic %s: %s", topic, rg_strerror(err));
    if (!delivery.is_done)
        return rg_args_failed("publish", "topic %s: not confirmed within %d s", topic,
                              DELIVERY_MS / 1000);
    if (delivery.err < 0)
        return rg_args_failed("publish", "topic %s: %s", topic,
                              delivery.why.text[0] != '\0' ? delivery.why.text
                                                           : rg_strerror(delivery.err));
    printf("topic %s partition %d offset %lld\n", topic, delivery.partition,
           (long long)delivery.offset);
    return 0;
}

static int publish_to_kafka(const struct wish *wish, struct rg_str body)
{
    struct rg_kafka_settings kafka = {0};
    RG_CLEANUP(rg_problems_done) struct rg_problems problems = {0};
    const char *topic = wish->topic;
    int status;

    rg_log_set_fd(STDERR_FILENO); /* standard output is for the result */
    if (wish->brokers != NULL)
        setenv("KAFKA_BROKERS", wish->brokers, 1);
    rg_options_parse(rg_kafka_options, rg_kafka_options_n, process_env, &kafka, &problems);
    rg_kafka_settings_check(&kafka, &problems);
    if (topic == NULL && kafka.source_topics.n > 0)
        topic = kafka.source_topics.items[0];
    if (problems.n > 0) {
        fwrite(problems.lines.p, 1, problems.lines.n, stderr);
        status = 1;
    } else if (!rg_kafka_is_on(&kafka) || topic == NULL) {
        status = rg_args_wrong("publish", "--brokers and --topic must not be empty");
    } else {
        status = produce(&kafka, topic, wish, body);
    }
    rg_options_done(rg_kafka_options, rg_kafka_options_n, &kafka);
    return status;
}

/* ---------------------------------------------------------------------- HTTP */

static size_t keep_answer(char *p, size_t size, size_t n, void *arg)
{
    struct rg_buf *answer = arg;
    size_t room = answer->n < 4096 ? 4096 - answer->n : 0;

    rg_buf_add(answer, p, size * n < room ? size * n : room);
    return size * n;
}

static struct curl_slist *headers_of(const struct wish *wish)
{
    RG_CLEANUP(rg_buf_done) struct rg_buf authorization = {0};
    struct curl_slist *headers =
        curl_slist_append(NULL, wish->user != NULL ? "content-type: application/json"
                                                   : "content-type: application/cloudevents+json");

    headers = curl_slist_append(headers, "expect:");
    if (wish->jwt != NULL) {
        rg_buf_addf(&authorization, "authorization: Bearer %s", wish->jwt);
        rg_buf_add_char(&authorization, '\0');
        headers = curl_slist_append(headers, authorization.p);
    }
    return headers;
}

static int tell_answer(CURL *curl, CURLcode code, const char *url, const char *error,
                       const struct rg_buf *answer, bool shows_answer)
{
    long status = 0;

    if (code != CURLE_OK)
        return rg_args_failed("publish", "%s: %s", url,
                              error[0] != '\0' ? error : curl_easy_strerror(code));
    curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &status);
    if (status < 200 || status > 299)
        return rg_args_failed("publish", "%s: status %ld: %.*s", url, status,
                              RG_STR_ARG(rg_buf_str(answer)));
    if (shows_answer)
        printf("status %ld %.*s\n", status, RG_STR_ARG(rg_buf_str(answer)));
    else
        printf("status %ld\n", status);
    return 0;
}

/* Where it goes, as a C string. */
static void add_url(const struct wish *wish, struct rg_buf *url)
{
    const char *base = wish->user != NULL ? default_internal_url : default_url;

    if (wish->url != NULL)
        base = wish->url;
    rg_args_add_url(url, base, wish->user != NULL ? "/v3/users/" : "/_rig/v1/events");
    if (wish->user != NULL) {
        rg_percent_encode(url, rg_str_c(wish->user));
        rg_buf_add_c(url, "/messages");
    }
    rg_buf_add_char(url, '\0');
}

static int publish_over_http(const struct wish *wish, struct rg_str body)
{
    RG_CLEANUP(rg_buf_done) struct rg_buf url = {0};
    RG_CLEANUP(rg_buf_done) struct rg_buf answer = {0};
    char error[CURL_ERROR_SIZE] = "";
    struct curl_slist *headers = headers_of(wish);
    CURL *curl = curl_easy_init();
    int status;

    rg_assert(curl != NULL);
    add_url(wish, &url);
    curl_easy_setopt(curl, CURLOPT_URL, url.p);
    curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(curl, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    rg_trust_apply(&wish->trust, curl);
    curl_easy_setopt(curl, CURLOPT_POSTFIELDS, body.p != NULL ? body.p : "");
    curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)body.n);
    curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers);
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, keep_answer);
    curl_easy_setopt(curl, CURLOPT_WRITEDATA, &answer);
    curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, error);
    curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT, (long)CONNECT_S);
    curl_easy_setopt(curl, CURLOPT_TIMEOUT, (long)ANSWER_S);
    status = tell_answer(curl, curl_easy_perform(curl), url.p, error, &answer, wish->user != NULL);
    curl_easy_cleanup(curl);
    curl_slist_free_all(headers);
    return status;
}

/* ------------------------------------------------------------------- command */

static bool take_option(struct wish *wish, int option)
{
    const char **where[] = {&wish->type,    &wish->data,          &wish->source, &wish->id,
                            &wish->brokers, &wish->topic,         &wish->key,    &wish->url,
                            &wish->jwt,     &wish->trust.ca_file, &wish->user};

    if (option < TYPE)
        return false;
    if (option == INSECURE) {
        wish->trust.is_blind = true;
        return true;
    }
    *where[option - TYPE] = optarg;
    return true;
}

static bool is_kafka_wanted(const struct wish *wish)
{
    static const char *const names[] = {"KAFKA_BROKERS", "KAFKA_HOSTS"};

    if (wish->brokers != NULL || wish->url != NULL || wish->user != NULL)
        return wish->brokers != NULL;
    for (size_t i = 0; i < RG_COUNT_OF(names); i++) {
        const char *value = getenv(names[i]);
        if (value != NULL && value[strspn(value, " \t")] != '\0')
            return true;
    }
    return false;
}

static int check_message(const struct wish *wish)
{
    if (wish->user[0] == '\0')
        return rg_args_wrong("publish", "the name of the user must not be empty");
    if (wish->type != NULL || wish->source != NULL || wish->id != NULL || wish->brokers != NULL ||
        wish->topic != NULL || wish->key != NULL || wish->jwt != NULL)
        return rg_args_wrong("publish",
                             "beside --user there can be a body or --data, --url, --cacert and "
                             "--insecure");
    if ((wish->body == NULL) == (wish->data == NULL))
        return rg_args_wrong("publish", "--user needs a message: give a body or --data");
    return 0;
}

static int check_wish(const struct wish *wish)
{
    bool is_kafka = is_kafka_wanted(wish);

    if (wish->user != NULL)
        return check_message(wish);
    if (wish->body == NULL && wish->type == NULL)
        return rg_args_wrong("publish", "nothing to publish: give a body, or --type and --data");
    if (wish->body != NULL &&
        (wish->type != NULL || wish->data != NULL || wish->source != NULL || wish->id != NULL))
        return rg_args_wrong("publish", "give either a body or --type, --data, --source, --id");
    if (wish->url != NULL && wish->brokers != NULL)
        return rg_args_wrong("publish", "give either --url or --brokers");
    if (!is_kafka && (wish->topic != NULL || wish->key != NULL))
        return rg_args_wrong("publish",
                             "--topic and --key need Kafka: set KAFKA_BROKERS or use --brokers");
    if (is_kafka && wish->jwt != NULL)
        return rg_args_wrong("publish", "--jwt needs --url");
    return 0;
}

/* What is sent: a message, a whole event, or one that is built. */
static int read_body(const struct wish *wish, struct rg_buf *body, struct rg_why *why)
{
    RG_CLEANUP(rg_buf_done) struct rg_buf data = {0};
    int err;

    if (wish->body != NULL)
        return rg_args_read(wish->body, body, why);
    if (wish->user == NULL)
        return build_event(wish, body, why);
    err = rg_args_read(wish->data, &data, why);
    if (err == 0)
        rg_args_add_json(body, rg_buf_str(&data));
    return err;
}

static int publish(const struct wish *wish)
{
    RG_CLEANUP(rg_buf_done) struct rg_buf body = {0};
    struct rg_why why;
    int status = check_wish(wish);
    int err;

    if (status != 0)
        return status;
    err = read_body(wish, &body, &why);
    if (err < 0)
        return rg_args_failed("publish", "%s", why.text);
    return is_kafka_wanted(wish) ? publish_to_kafka(wish, rg_buf_str(&body))
                                 : publish_over_http(wish, rg_buf_str(&body));
}

int rg_cmd_publish(int argc, char **argv)
{
    struct wish wish = {0};
    int option;

    optind = 0;
    while ((option = rg_args_next(argc, argv, options)) != -1) {
        if (option == 'h') {
            fputs(help, stdout);
            return 0;
        }
        if (!take_option(&wish, option))
            return 2;
    }
    if (optind < argc)
        wish.body = argv[optind++];
    if (optind < argc)
        return rg_args_wrong("publish", "one event at a time: unexpected argument \"%s\"",
                             argv[optind]);
    return publish(&wish);
}
