/*
 * push.h - what all reactors of one process share of the push side.
 *
 * Settings, the extractors, the interest table, the key of connection tokens: immutable or made for
 * sharing. Everything that changes with clients is in the hubs, one per reactor.
 *
 * Thread: building, one; then read by all.
 */
#pragma once

#include "auth/seal.h"
#include "base/counter.h"
#include "event/interest.h"
#include "event/tally.h"
#include "net/reactor.h"

struct rg_hub;

/*
 * Verifies a bearer token. The push side asks whoever is connected here; with nobody connected
 * every token is refused, as with no key configured (client-api.md 12.4). Returns 0, or a negative
 * code with the sentence for the client in why->text.
 */
typedef int rg_token_check_fn(void *arg, struct rg_str token, struct rg_why *why);

struct rg_push_settings {
    const char *cors;               /* CORS */
    size_t client_queue_bytes;      /* CLIENT_QUEUE_BYTES */
    uint64_t heartbeat_ms;          /* HEARTBEAT_INTERVAL */
    uint64_t write_timeout_ms;      /* HTTP_WRITE_TIMEOUT */
    uint64_t longpoll_wait_ms;      /* LONGPOLL_TIMEOUT */
    uint64_t longpoll_idle_ms;      /* LONGPOLL_IDLE_TIMEOUT */
    size_t max_subscriptions;       /* MAX_SUBSCRIPTIONS */
    size_t max_event_bytes;         /* MAX_EVENT_BYTES */
    struct rg_str secret;           /* NODE_COOKIE; n == 0: random per start */
    rg_token_check_fn *check_token; /* NULL: no token is valid */
    void *check_token_arg;
};

struct rg_push {
    struct rg_push_settings settings;
    const struct rg_extractors *extractors;
    struct rg_interest *interest;
    struct rg_seal *connection_seal;
    uint64_t instance;     /* of this process: an old token is genuine but gone */
    struct rg_tally tally; /* what became of the events, from every source */
    struct rg_hub *hubs[RG_MAX_REACTORS];
    unsigned hubs_n;
};

/* settings is copied (its pointers borrowed), extractors borrowed. */
struct rg_push *rg_push_new(const struct rg_push_settings *settings,
                            const struct rg_extractors *extractors);
/* The hubs must be gone. */
void rg_push_free(struct rg_push **pushp);

/* Appends the push side's metrics: hub counters summed, families. Thread: any registered with
 * rcu.h. */
void rg_push_expose(const struct rg_push *push, struct rg_buf *out);

/* Open connections of all transports. Thread: any. */
size_t rg_push_clients(const struct rg_push *push);
