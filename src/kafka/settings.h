/*
 * settings.h - the variables of configuration.md 2.4, and the librdkafka configuration they become.
 *
 * Thread: start-up; immutable afterwards.
 */
#pragma once

#include "base/option.h"
#include "event/format.h"

enum rg_kafka_consume {
    RG_CONSUME_GROUP,
    RG_CONSUME_ALL
};

struct rg_kafka_settings {
    struct rg_option_list brokers;       /* KAFKA_BROKERS; empty: Kafka is off */
    struct rg_option_list hosts;         /* KAFKA_HOSTS, the 2017 name; used if brokers is empty */
    struct rg_option_list source_topics; /* KAFKA_SOURCE_TOPICS; never empty once checked */
    struct rg_option_list topic_formats; /* KAFKA_TOPIC_FORMATS: topic=format */
    char *group_id;                      /* KAFKATOFILTER_KAFKA_GROUP_ID */
    char *log_topic;                     /* KAFKA_LOG_TOPIC; NULL: unset */
    int consume;                         /* KAFKA_CONSUME: enum rg_kafka_consume */
    int64_t restart_delay_ms;            /* KAFKA_RESTART_DELAY_MS: the most a back-off grows to */
    char *properties;                    /* KAFKA_PROPERTIES: name=value, comma-separated */
    char *sasl;                          /* KAFKA_SASL */
    bool ssl_enabled;                    /* KAFKA_SSL_ENABLED */
    char *ssl_ca, *ssl_cert, *ssl_key;   /* KAFKA_SSL_*FILE; "" : do not use one */
    char *ssl_key_pass;                  /* KAFKA_SSL_KEYFILE_PASS */
    bool ssl_verify;                     /* KAFKA_SSL_VERIFY */
};

/* The rows of these variables. */
extern const struct rg_option rg_kafka_options[];
extern const size_t rg_kafka_options_n;

/*
 * Checks what a single row cannot: broker items (host:port, missing port becomes 9092), topic
 * names (none: rig, and message where KAFKA_HOSTS is in use) and their formats, the SASL form
 * (plain|scram-sha-256|scram-sha-512:<user>:<password>, or oauthbearer, whose details come from
 * KAFKA_PROPERTIES), TLS files (found as configuration.md section 1 says; certificate and key fit),
 * and every name and value of KAFKA_PROPERTIES against librdkafka itself. Adds all problems;
 * changes settings to the completed values. Warnings (deprecated name in use, clear-text
 * credentials, verification off) are logged by rg_kafka_settings_warn().
 */
void rg_kafka_settings_check(struct rg_kafka_settings *settings, struct rg_problems *problems);
void rg_kafka_settings_warn(const struct rg_kafka_settings *settings);

/* Checks the names of topics that variable lists, and drops those that are listed twice. */
void rg_kafka_check_topics(struct rg_option_list *topics, const char *variable,
                           struct rg_problems *problems);

static inline bool rg_kafka_is_on(const struct rg_kafka_settings *settings)
{
    return settings->brokers.n > 0;
}

/* What the messages of a source topic may be. settings were checked. */
enum rg_format rg_kafka_topic_format(const struct rg_kafka_settings *settings, const char *topic);

/*
 * Asks the brokers for the cluster's metadata within timeout_ms. Returns 0 and appends a line for a
 * person (brokers, source topics with their partitions, topics that do not exist) to out, or a
 * negative code with why.
 */
int rg_kafka_try(const struct rg_kafka_settings *settings, int timeout_ms, struct rg_buf *out,
                 struct rg_why *why);
