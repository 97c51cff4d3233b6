/*
 * banner.h - what the gateway says about itself when it starts.
 *
 * Scripts read the lines "client port: http://HOST:PORT", "internal port: http://HOST:PORT", with
 * HTTPS "client https port: https://HOST:PORT" and "internal https port: https://HOST:PORT", and,
 * in development, "kafka bootstrap: HOST:PORT", which stand on lines of their own in exactly this
 * form.
 *
 * Thread: main.
 */
#pragma once

#include "rgate/config.h"
#include "rgate/wiring.h"

/* What development adds to the banner. */
struct rg_dev_banner {
    const char *kafka_bootstrap;
    bool is_self_signed; /* the certificate was made for this run */
};

/* dev NULL: serve mode. Written to stdout and flushed. */
void rg_banner_print(const struct rg_config *config, const struct rg_ports *ports,
                     const struct rg_dev_banner *dev);
