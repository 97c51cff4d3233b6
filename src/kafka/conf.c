#include "kafka/conf_priv.h"

#include <inttypes.h>
#include <librdkafka/rdkafka.h>
#include <stdatomic.h>
#include <stdio.h>
#include <syslog.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/log.h"

struct property {
    const char *name;
    const char *value;
};

static const struct property common_properties[] = {
    {"client.id", "rgate"},
    {"socket.nagle.disable", "true"},
    {"socket.keepalive.enable", "true"},
    {"socket.connection.setup.timeout.ms", "10000"},
    {"log.connection.close", "false"},
    /* Topics that are created later, and partitions that are added, are found this soon. */
    {"topic.metadata.refresh.interval.ms", "5000"},
};

static const struct property consumer_properties[] = {
    {"partition.assignment.strategy", "cooperative-sticky"},
    {"auto.offset.reset", "latest"},
    {"session.timeout.ms", "30000"},
    {"heartbeat.interval.ms", "5000"},
    {"enable.auto.offset.store", "false"},
    {"enable.auto.commit", "true"},
    {"auto.commit.interval.ms", "5000"},
    {"allow.auto.create.topics", "false"},
    /* A waiting fetch delays a partition that is added to it; an event ends the wait anyway. */
    {"fetch.wait.max.ms", "100"},
    {"fetch.error.backoff.ms", "200"},
    /* librdkafka looks only once a second whether a full queue has drained: one that holds less
     * than a second's worth would set the pace. So bytes bound it, not the number of messages. */
    {"queued.min.messages", "1000000"},
    {"queued.max.messages.kbytes", "65536"},
};

static const struct property producer_properties[] = {
    {"acks", "all"},
    {"request.timeout.ms", "10000"},
    {"message.timeout.ms", "10000"},
    {"compression.codec", "none"},
    {"linger.ms", "0"},
    {"retries", "3"},
    {"retry.backoff.ms", "500"},
    /* With more than one a retry could overtake. */
    {"max.in.flight", "1"},
    {"queue.buffering.max.messages", "100000"},
    {"queue.buffering.max.kbytes", "65536"},
};

bool rg_kafka_is_reserved(const char *property)
{
    static const char *const reserved[] = {
        "bootstrap.servers",        "metadata.broker.list", "group.id",
        "enable.auto.offset.store", "partitioner",          "enable.partition.eof",
        "test.mock.num.brokers"};

    for (size_t i = 0; i < RG_COUNT_OF(reserved); i++) {
        if (strcmp(property, reserved[i]) == 0)
            return true;
    }
    return false;
}

/* ---------------------------------------------------------------------- log */

/* What librdkafka repeats word for word is written once in this time. */
#define REPEAT_MS 60000

static bool is_repetition(const char *text)
{
    static struct {
        _Atomic uint64_t hash;
        _Atomic uint64_t at_ms;
    } seen[64];
    uint64_t hash = 14695981039346656037u;
    uint64_t now = rg_clock_mono_ms();

    for (const char *p = text; *p != '\0'; p++)
        hash = (hash ^ (unsigned char)*p) * 1099511628211u;
    size_t i = hash % RG_COUNT_OF(seen);
    if (atomic_load(&seen[i].hash) == hash && now - atomic_load(&seen[i].at_ms) < REPEAT_MS)
        return true;
    atomic_store(&seen[i].at_ms, now);
    atomic_store(&seen[i].hash, hash);
    return false;
}

/*
 * Warnings of no use to an operator: connection attempts and fatal errors (the owner of the client
 * logs the change of state instead), properties that only the other kind of client knows, old
 * brokers, and automatic commits that a rebalance puts off.
 */
static bool is_noise(const char *facility, const char *text)
{
    static const char *const noise[] = {"FAIL", "ERROR", "FATAL", "CONFWARN", "AUTOCREATE"};

    for (size_t i = 0; i < RG_COUNT_OF(noise); i++) {
        if (strcmp(facility, noise[i]) == 0)
            return true;
    }
    return strcmp(facility, "COMMITFAIL") == 0 &&
           strstr(text, "Group rebalance in progress") != NULL;
}

static void on_log(const rd_kafka_t *rk, int level, const char *facility, const char *text)
{
    (void)rk;
    if (level > LOG_WARNING || is_noise(facility, text))
        rg_log_debug("kafka client", RG_FS("facility", facility), RG_FS("text", text));
    else if (!is_repetition(text))
        rg_log_warn("kafka client", RG_FS("facility", facility), RG_FS("text", text));
}

/* ----------------------------------------------------------------- building */

static int set(rd_kafka_conf_t *conf, const char *name, const char *value, struct rg_why *why)
{
    char text[400];

    if (rd_kafka_conf_set(conf, name, value, text, sizeof(text)) != RD_KAFKA_CONF_OK)
        return rg_why_set(why, RG_EINVAL, name, "%s", text);
    return 0;
}

static int set_all(rd_kafka_conf_t *conf, const struct property *rows, size_t n, struct rg_why *why)
{
    int err = 0;

    for (size_t i = 0; i < n && err == 0; i++)
        err = set(conf, rows[i].name, rows[i].value, why);
    return err;
}

static int set_brokers(rd_kafka_conf_t *conf, const struct rg_option_list *brokers,
                       struct rg_why *why)
{
    RG_CLEANUP(rg_buf_done) struct rg_buf list = {0};

    for (size_t i = 0; i < brokers->n; i++) {
        rg_buf_add_c(&list, i > 0 ? "," : "");
        rg_buf_add_c(&list, brokers->items[i]);
    }
    rg_buf_add_char(&list, '\0');
    return set(conf, "bootstrap.servers", list.p, why);
}

static int set_backoff(rd_kafka_conf_t *conf, int64_t most_ms, struct rg_why *why)
{
    char text[24];
    int err;

    most_ms = most_ms < 100 ? 100 : most_ms > 3600000 ? 3600000 : most_ms;
    err = set(conf, "reconnect.backoff.ms", "100", why);
    snprintf(text, sizeof(text), "%" PRId64, most_ms);
    return err < 0 ? err : set(conf, "reconnect.backoff.max.ms", text, why);
}

static int set_file(rd_kafka_conf_t *conf, const char *name, const char *path, struct rg_why *why)
{
    return path != NULL && path[0] != '\0' ? set(conf, name, path, why) : 0;
}

static int set_tls(rd_kafka_conf_t *conf, const struct rg_kafka_settings *settings,
                   struct rg_why *why)
{
    int err = set_file(conf, "ssl.ca.location", settings->ssl_ca, why);

    if (err == 0)
        err = set_file(conf, "ssl.certificate.location", settings->ssl_cert, why);
    if (err == 0)
        err = set_file(conf, "ssl.key.location", settings->ssl_key, why);
    if (err == 0)
        err = set_file(conf, "ssl.key.password", settings->ssl_key_pass, why);
    if (err == 0)
        err = set(conf, "enable.ssl.certificate.verification",
                  settings->ssl_verify ? "true" : "false", why);
    if (err == 0)
        err = set(conf, "ssl.endpoint.identification.algorithm",
                  settings->ssl_verify ? "https" : "none", why);
    return err;
}

static int set_sasl(rd_kafka_conf_t *conf, const char *text, struct rg_why *why)
{
    RG_CLEANUP(rg_kafka_sasl_done) struct rg_kafka_sasl sasl = {0};
    int err = rg_kafka_sasl_parse(text, &sasl, why);

    if (err == 0)
        err = set(conf, "sasl.mechanisms", sasl.mechanism, why);
    if (err == 0 && sasl.user != NULL)
        err = set(conf, "sasl.username", sasl.user, why);
    if (err == 0 && sasl.password != NULL)
        err = set(conf, "sasl.password", sasl.password, why);
    return err;
}

static int set_security(rd_kafka_conf_t *conf, const struct rg_kafka_settings *settings,
                        struct rg_why *why)
{
    static const char *const protocols[2][2] = {{"plaintext", "ssl"},
                                                {"sasl_plaintext", "sasl_ssl"}};
    bool has_sasl = settings->sasl != NULL;
    int err = set(conf, "security.protocol", protocols[has_sasl][settings->ssl_enabled], why);

    if (err == 0 && settings->ssl_enabled)
        err = set_tls(conf, settings, why);
    if (err == 0 && has_sasl)
        err = set_sasl(conf, settings->sasl, why);
    return err;
}

static int set_properties(rd_kafka_conf_t *conf, const char *properties, struct rg_why *why)
{
    RG_CLEANUP(rg_buf_done) struct rg_buf name = {0};
    RG_CLEANUP(rg_buf_done) struct rg_buf value = {0};
    const char *rest = properties;
    int err = 1;

    while (rest != NULL && (err = rg_kafka_next_property(&rest, &name, &value)) > 0) {
        if (rg_kafka_is_reserved(name.p))
            continue;
        err = set(conf, name.p, value.p, why);
        if (err < 0)
            return err;
    }
    return err < 0 ? rg_why_set(why, err, name.p, "not of the form name=value") : 0;
}

static int fill(rd_kafka_conf_t *conf, const struct rg_kafka_settings *settings,
                enum rg_kafka_role role, const char *group_id, struct rg_why *why)
{
    int err = set_all(conf, common_properties, RG_COUNT_OF(common_properties), why);

    if (err == 0 && role == RG_KAFKA_CONSUMER)
        err = set_all(conf, consumer_properties, RG_COUNT_OF(consumer_properties), why);
    if (err == 0 && role == RG_KAFKA_CONSUMER)
        err = set(conf, "group.id", group_id, why);
    if (err == 0 && role == RG_KAFKA_PRODUCER)
        err = set_all(conf, producer_properties, RG_COUNT_OF(producer_properties), why);
    if (err == 0)
        err = set_backoff(conf, settings->restart_delay_ms, why);
    if (err == 0)
        err = set_security(conf, settings, why);
    if (err == 0)
        err = set_properties(conf, settings->properties, why);
    return err;
}

struct rd_kafka_conf_s *rg_kafka_conf_new(const struct rg_kafka_settings *settings,
                                          enum rg_kafka_role role, const char *group_id,
                                          bool with_brokers, struct rg_why *why)
{
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    int err = fill(conf, settings, role, group_id, why);

    if (err == 0 && with_brokers)
        err = set_brokers(conf, &settings->brokers, why);
    if (err < 0) {
        rd_kafka_conf_destroy(conf);
        return NULL;
    }
    rd_kafka_conf_set_log_cb(conf, on_log);
    return conf;
}

/* ------------------------------------------------------------------ parsing */

static void trim(struct rg_buf *buf)
{
    struct rg_str s = rg_str_trim(rg_buf_str(buf));

    if (s.n > 0)
        rg_buf_consume(buf, (size_t)(s.p - buf->p));
    buf->n = s.n;
    rg_buf_add_char(buf, '\0');
    buf->n--;
}

/* Appends one item without its escapes and returns what follows its comma; NULL at the end. */
static const char *take_item(const char *p, struct rg_buf *item)
{
    for (; *p != '\0' && *p != ','; p++) {
        if (p[0] == '\\' && p[1] == ',')
            p++;
        rg_buf_add_char(item, *p);
    }
    return *p == ',' ? p + 1 : NULL;
}

int rg_kafka_next_property(const char **rest, struct rg_buf *name, struct rg_buf *value)
{
    do {
        if (*rest == NULL)
            return 0;
        rg_buf_clear(name);
        *rest = take_item(*rest, name);
        trim(name);
    } while (name->n == 0);

    const char *equals = memchr(name->p, '=', name->n);
    if (equals == NULL || equals == name->p)
        return RG_ESYNTAX;

    size_t name_n = (size_t)(equals - name->p);
    rg_buf_clear(value);
    rg_buf_add(value, equals + 1, name->n - name_n - 1);
    trim(value);
    name->n = name_n;
    trim(name);
    return 1;
}

static const char *mechanism_of(struct rg_str name)
{
    static const char *const mechanisms[] = {"PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"};

    for (size_t i = 0; i < RG_COUNT_OF(mechanisms); i++) {
        if (rg_str_eq_nocase(name, rg_str_c(mechanisms[i])))
            return mechanisms[i];
    }
    return NULL;
}

int rg_kafka_sasl_parse(const char *text, struct rg_kafka_sasl *ret, struct rg_why *why)
{
    struct rg_str rest = rg_str_c(text);
    struct rg_str name = rg_str_split(&rest, ':');

    if (rg_str_eq_nocase(name, RG_STR("oauthbearer"))) {
        if (rest.n > 0)
            return rg_why_set(why, RG_EINVAL, "",
                              "oauthbearer takes its details from KAFKA_PROPERTIES");
        *ret = (struct rg_kafka_sasl){.mechanism = "OAUTHBEARER"};
        return 0;
    }

    const char *mechanism = mechanism_of(name);
    if (mechanism == NULL)
        return rg_why_set(why, RG_EINVAL, "",
                          "the mechanism must be plain, scram-sha-256, scram-sha-512 or "
                          "oauthbearer");
    struct rg_str user = rg_str_split(&rest, ':');
    if (user.n == 0 || rest.n == 0)
        return rg_why_set(why, RG_EINVAL, "", "not of the form <mechanism>:<user>:<password>");

    *ret = (struct rg_kafka_sasl){.mechanism = mechanism,
                                  .user = rg_strndup(user.p, user.n),
                                  .password = rg_strndup(rest.p, rest.n)};
    return 0;
}

void rg_kafka_sasl_done(struct rg_kafka_sasl *sasl)
{
    rg_free(sasl->user);
    rg_free(sasl->password);
    *sasl = (struct rg_kafka_sasl){0};
}
