/*
 * demo.h - what only `rgate dev` has: a Kafka inside, a producer of demo events, and the
 * endpoints of the page at "/".
 *
 * Thread: start and stop from main; endpoints on any reactor.
 */
#pragma once

#include "event/extractor.h"
#include "http/server.h"
#include "kafka/embedded.h"
#include "kafka/producer.h"
#include "rgate/demo_users.h"

struct rg_demo;

/* What the demo events' fields are called, as a value for EXTRACTORS. */
extern const char rg_demo_extractors[];

#define RG_DEMO_ROUTES (4 + RG_DEMO_USER_ROUTES)

/* is_talking: produce demo events, about two a second. settings is borrowed. NULL with why. */
struct rg_demo *rg_demo_start(const struct rg_kafka_settings *settings,
                              const struct rg_extractors *extractors, bool is_talking,
                              struct rg_why *why);
void rg_demo_stop(struct rg_demo **demop);

/* Tells the page where things are; before the reactors run. */
void rg_demo_set_ports(struct rg_demo *demo, unsigned client_port, unsigned internal_port);

/* Tells the demo who can log in and be thrown out; before the reactors run. */
void rg_demo_set_users(struct rg_demo *demo, const struct rg_demo_users *users);

/* One reactor's view of the demo: answers come back to its server. Freed with rg_free(). */
struct rg_demo_endpoint *rg_demo_endpoint_new(struct rg_demo *demo);
void rg_demo_endpoint_attach(struct rg_demo_endpoint *endpoint, struct rg_reactor *reactor,
                             struct rg_http_server *server);

/* Fills rows with "/", "/_dev/info", "/_dev/publish", "/_dev/phoenix.js" and those of the users. */
void rg_demo_routes(struct rg_demo_endpoint *endpoint, struct rg_route rows[RG_DEMO_ROUTES]);
