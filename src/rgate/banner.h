/*
 * banner.h - what the gateway says about itself when it starts.
 *
 * Scripts read the lines "client port: http://HOST:PORT", "internal port: http://HOST:PORT" and, in
 * development, "kafka bootstrap: HOST:PORT", which stand on lines of their own in exactly this
 * form.
 *
 * Thread: main.
 */
#pragma once

#include "rgate/config.h"

/* kafka_bootstrap: of the embedded Kafka, or NULL. Written to stdout and flushed. */
void rg_banner_print(const struct rg_config *config, bool is_dev, unsigned client_port,
                     unsigned internal_port, const char *kafka_bootstrap);
