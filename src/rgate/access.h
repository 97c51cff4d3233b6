/*
 * access.h - what decides who gets in, built from the configuration.
 *
 * Tokens, tickets, the session blacklist, the checks that other services make, the limits, and the
 * HTTP client that keys and answers come through. All reactors share one of each.
 *
 * Thread: building and the end, main; what is in it, any.
 */
#pragma once

#include "push/limits.h"
#include "push/push.h"
#include "rgate/config.h"

struct rg_access {
    struct rg_http_client *http;
    struct rg_blacklist *blacklist;
    struct rg_verifier *verifier;
    struct rg_tickets *tickets;
    struct rg_limits *limits;
    struct rg_policy subscription_check, submission_check;
};

/* config has been checked; it is borrowed. Key sets are fetched from here on. */
void rg_access_init(struct rg_access *access, const struct rg_config *config);

/* Puts what is in access into the settings of the push side. */
void rg_access_apply(const struct rg_access *access, struct rg_push_settings *settings);

/*
 * Stops asking others: whoever waits for an answer is told that there is none. Afterwards nothing
 * is posted to a reactor from here. Before the reactors end.
 */
void rg_access_stop(struct rg_access *access);

/* Frees everything; the push side is gone. */
void rg_access_done(struct rg_access *access);

void rg_access_expose(const struct rg_access *access, struct rg_buf *out);
