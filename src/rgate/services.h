/*
 * services.h - what leads to the services behind the gateway, built from the configuration: the
 * proxy, the producer of what it sends to Kafka, and the consumer of answers that come from there.
 *
 * All reactors share one of each.
 *
 * Thread: building and the end, main; what is in it, any.
 */
#pragma once

#include "proxy/access_log.h"
#include "proxy/answers.h"
#include "proxy/catalogue.h"
#include "proxy/produced.h"
#include "proxy/proxy.h"
#include "rgate/config.h"

struct rg_consumer;
struct rg_producer;
struct rg_tally;

struct rg_services {
    const struct rg_config *config;
    struct rg_catalogue *catalogue; /* the API definitions in force */
    struct rg_quota *quota;
    struct rg_answers *answers;
    struct rg_access_log *access_log; /* NULL: off */
    struct rg_produced produced;
    struct rg_producer *producer; /* NULL: Kafka is off */
    struct rg_request_log *log;   /* NULL: nobody asks for records */
    struct rg_proxy *proxy;

    struct rg_consumer *answer_consumer; /* NULL: not started */
};

/* config has been checked; it is borrowed like verifier. */
void rg_services_init(struct rg_services *services, const struct rg_config *config,
                      struct rg_verifier *verifier);

/*
 * Starts reading answers from Kafka where that is on and a definition has an endpoint that waits
 * for them (response_from kafka), which one may have at any time: false if it is worth asking
 * again. What is read is counted in tally, borrowed. Not on a reactor of clients.
 */
bool rg_services_read_answers(struct rg_services *services, struct rg_tally *tally);

/* Reads no more of them, within about timeout_ms. Before the reactors end. */
void rg_services_stop_answers(struct rg_services *services, int timeout_ms);

/* Waits at most timeout_ms for records under way. No request is served any more. */
void rg_services_stop(struct rg_services *services, int timeout_ms);

/* Frees everything; the reactors have ended. */
void rg_services_done(struct rg_services *services);

void rg_services_expose(const struct rg_services *services, struct rg_buf *out);
