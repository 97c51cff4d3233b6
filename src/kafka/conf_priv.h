/*
 * conf_priv.h - what the clients of this folder have in common.
 *
 * Turns the settings into a librdkafka configuration and routes that library's log lines
 * to ours. Only for kafka/.
 *
 * Thread: any.
 */
#pragma once

#include "kafka/settings.h"

struct rd_kafka_conf_s;

enum rg_kafka_role {
    RG_KAFKA_CONSUMER,
    RG_KAFKA_PRODUCER
};

/*
 * Returns a configuration that the caller gives to rd_kafka_new() or destroys, or NULL with
 * why. group_id is for consumers, otherwise ignored. Pass with_brokers false to get a client
 * that never connects.
 */
struct rd_kafka_conf_s *rg_kafka_conf_new(const struct rg_kafka_settings *settings,
                                          enum rg_kafka_role role, const char *group_id,
                                          bool with_brokers, struct rg_why *why);

/*
 * Takes the next name=value off *rest (a comma inside a value is written \,) into name and
 * value, which are cleared first and end with NUL. Returns 1, 0 at the end, or RG_ESYNTAX
 * for an item without '=' or without a name; name then holds the item.
 */
int rg_kafka_next_property(const char **rest, struct rg_buf *name, struct rg_buf *value);

/* True if the gateway relies on the value of this property and sets it itself. */
bool rg_kafka_is_reserved(const char *property);

/*
 * Splits KAFKA_SASL into librdkafka's name of the mechanism and two allocated strings (NULL for
 * oauthbearer). Returns RG_EINVAL with why->text for any other form.
 */
struct rg_kafka_sasl {
    const char *mechanism;
    char *user;
    char *password;
};
int rg_kafka_sasl_parse(const char *text, struct rg_kafka_sasl *ret, struct rg_why *why);
void rg_kafka_sasl_done(struct rg_kafka_sasl *sasl);
