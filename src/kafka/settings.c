#include "kafka/settings.h"

#include <librdkafka/rdkafka.h>
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "base/log.h"
#include "kafka/conf_priv.h"
#include "kafka/tlsfile_priv.h"

#define AT(member) .offset = offsetof(struct rg_kafka_settings, member), .section = "Kafka"

const struct rg_option rg_kafka_options[] = {
    {.name = "KAFKA_BROKERS",
     .type = RG_OPT_LIST,
     AT(brokers),
     .help = "Brokers to start from, host:port, comma-separated; Kafka is off without."},
    {.name = "KAFKA_HOSTS",
     .type = RG_OPT_LIST,
     AT(hosts),
     .help =
         "The 2017 name of KAFKA_BROKERS, used if that is unset; the topic of that time, message, "
         "is then read, too."},
    {.name = "KAFKA_SOURCE_TOPICS",
     .type = RG_OPT_LIST,
     AT(source_topics),
     .help = "Topics with events and messages for clients, comma-separated; unset: rig, and where "
             "KAFKA_HOSTS is in use also message."},
    {.name = "KAFKA_TOPIC_FORMATS",
     .type = RG_OPT_LIST,
     AT(topic_formats),
     .help = "What the messages of source topics are, topic=format, comma-separated: cloudevents "
             "(events for whoever has subscribed), messages (JSON objects for the user in username "
             "and the roles in roles) or auto, which is the default: recognised by content."},
    {.name = "KAFKATOFILTER_KAFKA_GROUP_ID",
     .type = RG_OPT_STRING,
     .def = "rig-kafka-to-filter",
     AT(group_id),
     .help = "Consumer group in which the source topics are read."},
    {.name = "KAFKA_LOG_TOPIC",
     .type = RG_OPT_STRING,
     AT(log_topic),
     .help = "Topic for records of requests to services behind the gateway; unset means "
             "rig-request-log, or message where PROXY_CONFIG_FILE has a list of routes."},
    {.name = "KAFKA_CONSUME",
     .type = RG_OPT_CHOICE,
     .def = "group",
     .choices = "group|all",
     AT(consume),
     .help = "group: each partition is read by one node; all: every node reads everything."},
    {.name = "KAFKA_RESTART_DELAY_MS",
     .type = RG_OPT_MS,
     .def = "20000",
     .max = 2147483647,
     AT(restart_delay_ms),
     .help = "The longest pause between two attempts to connect."},
    {.name = "KAFKA_PROPERTIES",
     .type = RG_OPT_STRING,
     .flags = RG_OPT_SECRET,
     AT(properties),
     .help = "Further librdkafka properties, name=value, comma-separated; a comma inside a value "
             "is written \\,"},
    {.name = "KAFKA_SASL",
     .type = RG_OPT_STRING,
     .flags = RG_OPT_SECRET,
     AT(sasl),
     .help = "<mechanism>:<user>:<password> with plain, scram-sha-256 or scram-sha-512; or "
             "oauthbearer, with its details in KAFKA_PROPERTIES."},
    {.name = "KAFKA_SSL_ENABLED",
     .type = RG_OPT_BOOL,
     .def = "false",
     AT(ssl_enabled),
     .help = "TLS to the brokers."},
    {.name = "KAFKA_SSL_CA_CERTFILE",
     .type = RG_OPT_STRING,
     .def = "ca.crt.pem",
     .flags = RG_OPT_EMPTY_COUNTS,
     AT(ssl_ca),
     .help = "Certificates of the authorities to trust; empty: the system's."},
    {.name = "KAFKA_SSL_CERTFILE",
     .type = RG_OPT_STRING,
     .def = "client.crt.pem",
     .flags = RG_OPT_EMPTY_COUNTS,
     AT(ssl_cert),
     .help = "Client certificate; empty: none."},
    {.name = "KAFKA_SSL_KEYFILE",
     .type = RG_OPT_STRING,
     .def = "client.key.pem",
     .flags = RG_OPT_EMPTY_COUNTS,
     AT(ssl_key),
     .help = "Key of the client certificate; empty: none."},
    {.name = "KAFKA_SSL_KEYFILE_PASS",
     .type = RG_OPT_STRING,
     .flags = RG_OPT_SECRET,
     AT(ssl_key_pass),
     .help = "Passphrase of the key."},
    {.name = "KAFKA_SSL_VERIFY",
     .type = RG_OPT_BOOL,
     .def = "true",
     AT(ssl_verify),
     .help = "Check the brokers' certificates and host names; false only for old set-ups."},
};
const size_t rg_kafka_options_n = RG_COUNT_OF(rg_kafka_options);

/* ------------------------------------------------------------------ brokers */

#define DEFAULT_PORT 9092

static bool is_host(struct rg_str host)
{
    bool is_bracketed = host.n > 2 && host.p[0] == '[' && host.p[host.n - 1] == ']';

    if (is_bracketed)
        host = rg_str_n(host.p + 1, host.n - 2);
    for (size_t i = 0; i < host.n; i++) {
        char c = host.p[i];
        bool is_plain = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') ||
                        (c >= 'A' && c <= 'Z') || c == '.' || c == '-' || c == '_';
        if (!is_plain && !(is_bracketed && (c == ':' || c == '%')))
            return false;
    }
    return host.n > 0;
}

/* Splits at the colon before the port; port.p is NULL if there is none. */
static void split_port(struct rg_str item, struct rg_str *host, struct rg_str *port)
{
    const char *colon = memrchr(item.p, ':', item.n);

    *host = item;
    *port = (struct rg_str){NULL, 0};
    if (colon == NULL || item.p[item.n - 1] == ']')
        return;
    host->n = (size_t)(colon - item.p);
    *port = rg_str_n(colon + 1, item.n - host->n - 1);
}

static void complete_broker(char **item, const char *variable, struct rg_problems *problems)
{
    RG_CLEANUP(rg_buf_done) struct rg_buf full = {0};
    struct rg_str host, port;
    uint64_t number = DEFAULT_PORT;

    split_port(rg_str_c(*item), &host, &port);
    if (!is_host(host)) {
        rg_problem_add(problems, variable, *item,
                       "not of the form host:port (an IPv6 address stands in brackets)");
        return;
    }
    if (port.p != NULL && (rg_str_to_u64(port, 65535, &number) < 0 || number == 0)) {
        rg_problem_add(problems, variable, *item, "the port must be a number from 1 to 65535");
        return;
    }
    rg_buf_addf(&full, "%.*s:%u", RG_STR_ARG(host), (unsigned)number);
    rg_free(*item);
    *item = rg_buf_steal(&full);
}

static void complete_brokers(struct rg_option_list *list, const char *variable,
                             struct rg_problems *problems)
{
    for (size_t i = 0; i < list->n; i++)
        complete_broker(&list->items[i], variable, problems);
}

static struct rg_option_list copy_of(const struct rg_option_list *list)
{
    struct rg_option_list copy = {rg_alloc(list->n * sizeof(char *)), list->n};

    for (size_t i = 0; i < list->n; i++)
        copy.items[i] = rg_strndup(list->items[i], strlen(list->items[i]));
    return copy;
}

static bool is_same(const struct rg_option_list *a, const struct rg_option_list *b)
{
    bool same = a->n == b->n;

    for (size_t i = 0; i < a->n && same; i++)
        same = strcmp(a->items[i], b->items[i]) == 0;
    return same;
}

static void check_brokers(struct rg_kafka_settings *settings, struct rg_problems *problems)
{
    bool has_brokers = settings->brokers.n > 0;

    complete_brokers(&settings->brokers, "KAFKA_BROKERS", problems);
    if (has_brokers || settings->hosts.n == 0)
        return;
    complete_brokers(&settings->hosts, "KAFKA_HOSTS", problems);
    rg_free(settings->brokers.items);
    settings->brokers = copy_of(&settings->hosts);
}

/* ------------------------------------------------------------------- topics */

static bool is_topic(const char *name)
{
    size_t n = strlen(name);

    return n > 0 && n <= 249 && strcmp(name, ".") != 0 && strcmp(name, "..") != 0 &&
           strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-") == n;
}

static bool is_listed(const struct rg_option_list *list, size_t n, const char *item)
{
    for (size_t i = 0; i < n; i++) {
        if (strcmp(list->items[i], item) == 0)
            return true;
    }
    return false;
}

static void add_item(struct rg_option_list *list, const char *item)
{
    list->items = rg_realloc_array(list->items, list->n + 1, sizeof(list->items[0]));
    list->items[list->n++] = rg_strndup(item, strlen(item));
}

/* The topics of the two times, if none are chosen. */
static void complete_topics(struct rg_kafka_settings *settings, bool uses_hosts)
{
    if (settings->source_topics.n > 0)
        return;
    add_item(&settings->source_topics, "rig");
    if (uses_hosts)
        add_item(&settings->source_topics, "message");
}

static void check_topic(const char *topic, const char *variable, struct rg_problems *problems)
{
    if (!is_topic(topic))
        rg_problem_add(problems, variable, topic,
                       "a topic name has 1 to 249 letters, digits, '.', '_' or '-'");
}

void rg_kafka_check_topics(struct rg_option_list *topics, const char *variable,
                           struct rg_problems *problems)
{
    size_t kept = 0;

    for (size_t i = 0; i < topics->n; i++) {
        check_topic(topics->items[i], variable, problems);
        if (is_listed(topics, kept, topics->items[i]))
            rg_free(topics->items[i]);
        else
            topics->items[kept++] = topics->items[i];
    }
    topics->n = kept;
}

/* The format of an item topic=format, and the topic's length; a negative code if it has none. */
static int parse_format(const char *item, size_t *ret_topic_n, enum rg_format *ret)
{
    static const char *const names[] = {[RG_FORMAT_AUTO] = "auto",
                                        [RG_FORMAT_CLOUDEVENTS] = "cloudevents",
                                        [RG_FORMAT_MESSAGES] = "messages"};
    const char *equals = strchr(item, '=');

    if (equals == NULL)
        return RG_ESYNTAX;
    struct rg_str topic = rg_str_trim(rg_str_n(item, (size_t)(equals - item)));
    for (size_t i = 0; i < RG_COUNT_OF(names); i++) {
        if (rg_str_eq_nocase(rg_str_trim(rg_str_c(equals + 1)), rg_str_c(names[i]))) {
            *ret_topic_n = topic.n;
            *ret = (enum rg_format)i;
            return 0;
        }
    }
    return RG_EINVAL;
}

/* True if the item, which parse_format() liked, is about this topic. */
static bool is_about(const char *item, size_t n, const char *topic)
{
    return rg_str_eq(rg_str_n(item, n), rg_str_c(topic));
}

static bool is_source(const struct rg_kafka_settings *settings, const char *item, size_t n)
{
    for (size_t i = 0; i < settings->source_topics.n; i++) {
        if (is_about(item, n, settings->source_topics.items[i]))
            return true;
    }
    return false;
}

static void check_formats(const struct rg_kafka_settings *settings, struct rg_problems *problems)
{
    enum rg_format format, earlier;
    size_t n, earlier_n;

    for (size_t i = 0; i < settings->topic_formats.n; i++) {
        const char *item = settings->topic_formats.items[i];
        if (parse_format(item, &n, &format) < 0) {
            rg_problem_add(problems, "KAFKA_TOPIC_FORMATS", item,
                           "not of the form topic=format with the format cloudevents, messages or "
                           "auto");
            continue;
        }
        if (!is_source(settings, item, n))
            rg_problem_add(problems, "KAFKA_TOPIC_FORMATS", item,
                           "the topic is not among those of KAFKA_SOURCE_TOPICS");
        for (size_t k = 0; k < i; k++) {
            const char *other = settings->topic_formats.items[k];
            if (parse_format(other, &earlier_n, &earlier) == 0 && format != earlier &&
                rg_str_eq(rg_str_n(other, earlier_n), rg_str_n(item, n)))
                rg_problem_add(problems, "KAFKA_TOPIC_FORMATS", item,
                               "the topic has another format already: \"%s\"", other);
        }
    }
}

enum rg_format rg_kafka_topic_format(const struct rg_kafka_settings *settings, const char *topic)
{
    enum rg_format format;
    size_t n;

    for (size_t i = 0; i < settings->topic_formats.n; i++) {
        const char *item = settings->topic_formats.items[i];
        if (parse_format(item, &n, &format) == 0 && is_about(item, n, topic))
            return format;
    }
    return RG_FORMAT_AUTO;
}

/* --------------------------------------------------------------- TLS, SASL */

static bool is_used(const char *path)
{
    return path != NULL && path[0] != '\0';
}

static bool find_file(char **path, const char *variable, struct rg_problems *problems)
{
    char *found;

    if (!is_used(*path))
        return false;
    found = rg_tlsfile_find(*path);
    if (found == NULL) {
        rg_problem_add(problems, variable, *path,
                       "no such file that can be read (empty: do not use one)");
        return false;
    }
    rg_free(*path);
    *path = found;
    return true;
}

static bool check_certificate(char **path, const char *variable, struct rg_problems *problems)
{
    struct rg_why why = {0};

    if (!find_file(path, variable, problems))
        return false;
    if (rg_tlsfile_check_certificate(*path, &why) == 0)
        return true;
    rg_problem_add(problems, variable, *path, "%s", why.text);
    return false;
}

static void check_key(struct rg_kafka_settings *settings, bool has_certificate,
                      struct rg_problems *problems)
{
    struct rg_why why = {0};
    int err;

    if (!find_file(&settings->ssl_key, "KAFKA_SSL_KEYFILE", problems))
        return;
    err = rg_tlsfile_check_key(settings->ssl_key, settings->ssl_key_pass,
                               has_certificate ? settings->ssl_cert : NULL, &why);
    if (err == RG_ENOTFOUND)
        rg_problem_add(problems, "KAFKA_SSL_KEYFILE_PASS", NULL, "%s of KAFKA_SSL_KEYFILE %s",
                       why.text, settings->ssl_key);
    else if (err < 0)
        rg_problem_add(problems, "KAFKA_SSL_KEYFILE", settings->ssl_key, "%s", why.text);
}

static void check_tls(struct rg_kafka_settings *settings, struct rg_problems *problems)
{
    bool has_certificate;

    if (!settings->ssl_enabled)
        return;
    check_certificate(&settings->ssl_ca, "KAFKA_SSL_CA_CERTFILE", problems);
    has_certificate = check_certificate(&settings->ssl_cert, "KAFKA_SSL_CERTFILE", problems);
    check_key(settings, has_certificate, problems);
    if (is_used(settings->ssl_cert) && !is_used(settings->ssl_key))
        rg_problem_add(problems, "KAFKA_SSL_KEYFILE", NULL,
                       "needed by the certificate of KAFKA_SSL_CERTFILE");
    if (is_used(settings->ssl_key) && !is_used(settings->ssl_cert))
        rg_problem_add(problems, "KAFKA_SSL_CERTFILE", NULL,
                       "needed by the key of KAFKA_SSL_KEYFILE");
}

static void check_sasl(const char *text, struct rg_problems *problems)
{
    RG_CLEANUP(rg_kafka_sasl_done) struct rg_kafka_sasl sasl = {0};
    struct rg_why why = {0};

    if (text != NULL && rg_kafka_sasl_parse(text, &sasl, &why) < 0)
        rg_problem_add(problems, "KAFKA_SASL", NULL, "%s", why.text);
}

/* --------------------------------------------------------------- properties */

static void check_property(rd_kafka_conf_t *conf, const char *name, const char *value,
                           struct rg_problems *problems)
{
    char text[400];

    if (rg_kafka_is_reserved(name))
        rg_problem_add(problems, "KAFKA_PROPERTIES", NULL, "%s: the gateway sets this itself",
                       name);
    else if (rd_kafka_conf_set(conf, name, value, text, sizeof(text)) != RD_KAFKA_CONF_OK)
        rg_problem_add(problems, "KAFKA_PROPERTIES", NULL, "%s: %s", name, text);
}

static void check_properties(const char *properties, struct rg_problems *problems)
{
    RG_CLEANUP(rg_buf_done) struct rg_buf name = {0};
    RG_CLEANUP(rg_buf_done) struct rg_buf value = {0};
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    const char *rest = properties;
    int err;

    while (rest != NULL && (err = rg_kafka_next_property(&rest, &name, &value)) != 0) {
        if (err > 0)
            check_property(conf, name.p, value.p, problems);
        else
            rg_problem_add(problems, "KAFKA_PROPERTIES", name.p, "not of the form name=value");
    }
    rd_kafka_conf_destroy(conf);
}

static const char *variable_to_blame(const struct rg_kafka_settings *settings, const char *text)
{
    if (settings->properties != NULL)
        return "KAFKA_PROPERTIES";
    if (strstr(text, "sasl") != NULL && settings->sasl != NULL)
        return "KAFKA_SASL";
    return settings->ssl_enabled ? "KAFKA_SSL_ENABLED" : "KAFKA_BROKERS";
}

/* What librdkafka only finds when a client is made: values that exclude each other, mostly. */
static void check_together(const struct rg_kafka_settings *settings, enum rg_kafka_role role,
                           struct rg_problems *problems)
{
    struct rg_why why = {0};
    char text[512] = "";
    rd_kafka_conf_t *conf = rg_kafka_conf_new(settings, role, settings->group_id, false, &why);
    rd_kafka_t *rk = NULL;

    if (conf != NULL)
        rk = rd_kafka_new(role == RG_KAFKA_CONSUMER ? RD_KAFKA_CONSUMER : RD_KAFKA_PRODUCER, conf,
                          text, sizeof(text));
    if (rk != NULL) {
        rd_kafka_destroy_flags(rk, RD_KAFKA_DESTROY_F_NO_CONSUMER_CLOSE);
        return;
    }
    if (conf != NULL)
        rd_kafka_conf_destroy(conf);
    else
        snprintf(text, sizeof(text), "%.90s: %.415s", why.place, why.text);
    rg_problem_add(problems, variable_to_blame(settings, text), NULL, "%s", text);
}

void rg_kafka_settings_check(struct rg_kafka_settings *settings, struct rg_problems *problems)
{
    bool uses_hosts = settings->brokers.n == 0 && settings->hosts.n > 0;
    size_t before = problems->n;

    check_brokers(settings, problems);
    complete_topics(settings, uses_hosts);
    rg_kafka_check_topics(&settings->source_topics, "KAFKA_SOURCE_TOPICS", problems);
    if (settings->log_topic != NULL)
        check_topic(settings->log_topic, "KAFKA_LOG_TOPIC", problems);
    check_formats(settings, problems);
    check_sasl(settings->sasl, problems);
    check_properties(settings->properties, problems);
    check_tls(settings, problems);
    if (!rg_kafka_is_on(settings))
        return;
    if (problems->n == before)
        check_together(settings, RG_KAFKA_CONSUMER, problems);
    if (problems->n == before)
        check_together(settings, RG_KAFKA_PRODUCER, problems);
}

void rg_kafka_settings_warn(const struct rg_kafka_settings *settings)
{
    if (settings->hosts.n > 0 && is_same(&settings->hosts, &settings->brokers))
        rg_log_warn("deprecated variable", RG_FS("name", "KAFKA_HOSTS"),
                    RG_FS("use", "KAFKA_BROKERS"));
    else if (settings->hosts.n > 0)
        rg_log_warn("deprecated variable ignored", RG_FS("name", "KAFKA_HOSTS"),
                    RG_FS("because_of", "KAFKA_BROKERS"));
    if (!rg_kafka_is_on(settings))
        return;
    if (settings->sasl != NULL && !settings->ssl_enabled)
        rg_log_warn("kafka credentials travel in clear text", RG_FS("enable", "KAFKA_SSL_ENABLED"));
    if (settings->ssl_enabled && !settings->ssl_verify)
        rg_log_warn("kafka brokers are not verified", RG_FS("variable", "KAFKA_SSL_VERIFY"));
}

/* ---------------------------------------------------------------------- try */

/* The first connection error says more than the "timed out" at the end. */
static void keep_first_error(rd_kafka_t *rk, int err, const char *reason, void *arg)
{
    struct rg_why *first = arg;

    (void)rk;
    if (first->text[0] == '\0' && err != RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN)
        rg_why_set(first, RG_EGONE, "", "%s", reason);
}

static rd_kafka_t *open_probe(const struct rg_kafka_settings *settings, struct rg_why *first,
                              struct rg_why *why)
{
    char text[400];
    rd_kafka_conf_t *conf =
        rg_kafka_conf_new(settings, RG_KAFKA_CONSUMER, settings->group_id, true, why);

    if (conf == NULL)
        return NULL;
    rd_kafka_conf_set_error_cb(conf, keep_first_error);
    rd_kafka_conf_set_opaque(conf, first);
    rd_kafka_t *rk = rd_kafka_new(RD_KAFKA_CONSUMER, conf, text, sizeof(text));
    if (rk == NULL) {
        rd_kafka_conf_destroy(conf);
        rg_why_set(why, RG_EINVAL, "", "%s", text);
    }
    return rk;
}

static void describe_topic(const rd_kafka_metadata_topic_t *topic, struct rg_buf *out)
{
    if (topic->err == RD_KAFKA_RESP_ERR_NO_ERROR)
        rg_buf_addf(out, "; topic %s: %d partitions", topic->topic, topic->partition_cnt);
    else if (topic->err == RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART)
        rg_buf_addf(out, "; topic %s: does not exist", topic->topic);
    else
        rg_buf_addf(out, "; topic %s: %s", topic->topic, rd_kafka_err2str(topic->err));
}

static void describe(const rd_kafka_metadata_t *metadata, struct rg_buf *out)
{
    rg_buf_addf(out, "Kafka: %d broker%s (", metadata->broker_cnt,
                metadata->broker_cnt == 1 ? "" : "s");
    for (int i = 0; i < metadata->broker_cnt; i++)
        rg_buf_addf(out, "%s%s:%d", i > 0 ? ", " : "", metadata->brokers[i].host,
                    metadata->brokers[i].port);
    rg_buf_add_char(out, ')');
    for (int i = 0; i < metadata->topic_cnt; i++)
        describe_topic(&metadata->topics[i], out);
    rg_buf_add_char(out, '\n');
}

static int ask(rd_kafka_t *rk, const struct rg_option_list *topics, int timeout_ms,
               struct rg_buf *out, struct rg_why *why)
{
    const struct rd_kafka_metadata *metadata;
    rd_kafka_topic_t **handles = rg_alloc(topics->n * sizeof(rd_kafka_topic_t *));
    rd_kafka_resp_err_t err;

    /* Metadata is asked for the topics that the client has a handle of. */
    for (size_t i = 0; i < topics->n; i++)
        handles[i] = rd_kafka_topic_new(rk, topics->items[i], NULL);
    err = rd_kafka_metadata(rk, 0, NULL, &metadata, timeout_ms);
    if (err == RD_KAFKA_RESP_ERR_NO_ERROR) {
        describe(metadata, out);
        rd_kafka_metadata_destroy(metadata);
    }
    for (size_t i = 0; i < topics->n; i++) {
        if (handles[i] != NULL)
            rd_kafka_topic_destroy(handles[i]);
    }
    rg_free(handles);
    return err == RD_KAFKA_RESP_ERR_NO_ERROR
               ? 0
               : rg_why_set(why, RG_EGONE, "", "%s", rd_kafka_err2str(err));
}

int rg_kafka_try(const struct rg_kafka_settings *settings, int timeout_ms, struct rg_buf *out,
                 struct rg_why *why)
{
    struct rg_why first = {0};
    rd_kafka_t *rk = open_probe(settings, &first, why);
    int err;

    if (rk == NULL)
        return RG_EINVAL;
    err = ask(rk, &settings->source_topics, timeout_ms, out, why);
    rd_kafka_poll(rk, 0);
    if (err < 0 && first.text[0] != '\0')
        rg_why_set(why, err, "", "%s", first.text);
    rd_kafka_destroy_flags(rk, RD_KAFKA_DESTROY_F_NO_CONSUMER_CLOSE);
    return err;
}
