/*
 * services.h - what leads to the services behind the gateway, built from the configuration: the
 * proxy, and the producer of the records of its requests.
 *
 * All reactors share one of each.
 *
 * Thread: building and the end, main; what is in it, any.
 */
#pragma once

#include "proxy/access_log.h"
#include "proxy/answers.h"
#include "proxy/catalogue.h"
#include "proxy/proxy.h"
#include "rgate/config.h"

struct rg_producer;

struct rg_services {
    struct rg_catalogue *catalogue; /* the API definitions in force */
    struct rg_quota *quota;
    struct rg_answers *answers;
    struct rg_access_log *access_log;
    struct rg_proxy *proxy;       /* NULL: there are no routes */
    struct rg_request_log *log;   /* NULL: no route needs a token, or Kafka is off */
    struct rg_producer *producer; /* of the log */
};

/* config has been checked; it is borrowed like verifier. */
void rg_services_init(struct rg_services *services, const struct rg_config *config,
                      struct rg_verifier *verifier);

/* Waits at most timeout_ms for records under way. No request is served any more. */
void rg_services_stop(struct rg_services *services, int timeout_ms);

/* Frees everything; the reactors have ended. */
void rg_services_done(struct rg_services *services);

void rg_services_expose(const struct rg_services *services, struct rg_buf *out);
