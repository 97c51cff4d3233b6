/*
 * wiring.h - the map of what talks to what.
 *
 * Builds the parts and connects them: listeners to HTTP servers, routes to handlers, the Kafka
 * consumer to the dispatcher, counters to /metrics, signals to the graceful end. Nothing else in
 * the program knows more than its own folder and those below.
 *
 *   main thread        control loop: internal port, signals, shutdown
 *   reactor threads    one loop, HTTP server, hub and listener each
 *   ingest thread      owned by kafka/consumer, feeds the hubs' inboxes
 *
 * Thread: main.
 */
#pragma once

#include "rgate/config.h"

struct rg_gateway;
struct rg_demo;

/* What `rgate dev` adds. */
struct rg_dev_options {
    struct rg_demo *demo; /* its endpoints and page; NULL: serve mode */
};

/*
 * Opens the ports and prepares everything; config is borrowed. NULL, with problems, if a port
 * cannot be had.
 */
struct rg_gateway *rg_gateway_new(const struct rg_config *config, const struct rg_dev_options *dev,
                                  struct rg_problems *problems);

/* The ports it listens on; 0: HTTPS is off. */
struct rg_ports {
    unsigned client, client_https;
    unsigned internal, internal_https;
};
const struct rg_ports *rg_gateway_ports(const struct rg_gateway *gateway);

/* Runs until SIGTERM or SIGINT and the graceful end that follows. Returns the exit status. */
int rg_gateway_run(struct rg_gateway *gateway);

void rg_gateway_free(struct rg_gateway **gatewayp);
