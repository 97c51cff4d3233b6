/*
 * push.h - what all reactors of one process share of the push side.
 *
 * Settings, the extractors, the interest table, the key of connection tokens: immutable or made for
 * sharing. Everything that changes with clients is in the hubs, one per reactor.
 *
 * Thread: building, one; then read by all.
 */
#pragma once

#include "auth/identity.h"
#include "auth/policy.h"
#include "auth/seal.h"
#include "auth/ticket.h"
#include "auth/verifier.h"
#include "base/counter.h"
#include "event/interest.h"
#include "event/tally.h"
#include "net/reactor.h"
#include "presence/directory.h"
#include "presence/roster.h"

struct rg_announcer;
struct rg_hub;
struct rg_limits;

/* The channels dialect (legacy-channels.md). */
struct rg_channel_settings {
    bool is_on;                         /* CHANNELS */
    struct rg_identity_fields identity; /* JWT_USER_FIELD, JWT_ROLES_FIELD, CHANNEL_ROLES */
    const char *session_role;           /* SESSION_ROLE */
    size_t max_channels;                /* MAX_CHANNELS: of one socket */
    size_t max_message_bytes;           /* CHANNEL_MESSAGE_BYTES */
    uint64_t idle_ms;                   /* CHANNEL_IDLE_TIMEOUT */
    uint64_t heartbeat_ms;              /* CHANNEL_HEARTBEAT_INTERVAL */
    uint64_t longpoll_wait_ms;          /* CHANNEL_LONGPOLL_TIMEOUT */
    uint64_t longpoll_idle_ms;          /* CHANNEL_LONGPOLL_IDLE_TIMEOUT */
    bool expiry_closes;                 /* CHANNEL_EXPIRY_CLOSES */
    uint64_t presence_interval_ms;      /* PRESENCE_INTERVAL */
};

struct rg_push_settings {
    const char *cors;             /* CORS */
    size_t client_queue_bytes;    /* CLIENT_QUEUE_BYTES */
    uint64_t heartbeat_ms;        /* HEARTBEAT_INTERVAL */
    uint64_t write_timeout_ms;    /* HTTP_WRITE_TIMEOUT */
    uint64_t longpoll_wait_ms;    /* LONGPOLL_TIMEOUT */
    uint64_t longpoll_idle_ms;    /* LONGPOLL_IDLE_TIMEOUT */
    size_t max_subscriptions;     /* MAX_SUBSCRIPTIONS */
    size_t max_event_bytes;       /* MAX_EVENT_BYTES */
    struct rg_str secret;         /* NODE_COOKIE; n == 0: random per start */
    size_t compression_min_bytes; /* COMPRESSION_MIN_BYTES; SIZE_MAX: compression is off */

    struct rg_verifier *verifier;        /* NULL: no token is valid */
    struct rg_blacklist *blacklist;      /* NULL: no session is banned */
    struct rg_tickets *tickets;          /* NULL: there are none */
    struct rg_limits *limits;            /* NULL: there are none */
    struct rg_policy subscription_check; /* SUBSCRIPTION_CHECK */
    struct rg_policy submission_check;   /* SUBMISSION_CHECK */
    const char *jwt_cookie;              /* JWT_COOKIE; NULL: tokens are not taken from cookies */
    const char *origins;                 /* ORIGINS, comma-separated; "*" or NULL: any */
    bool expiry_closes;                  /* JWT_EXPIRY_CLOSES */
    uint64_t expiry_warning_ms;          /* JWT_EXPIRY_WARNING */
    struct rg_channel_settings channels;
};

struct rg_push {
    struct rg_push_settings settings;
    const struct rg_extractors *extractors;
    struct rg_interest *interest;
    struct rg_seal *connection_seal;
    struct rg_seal *poll_seal;      /* of channel sockets that are polled */
    uint64_t instance;              /* of this process: an old token is genuine but gone */
    struct rg_roster *roster;       /* who is present on which channel; owned */
    struct rg_announcer *announcer; /* wakes a reactor for it; owned */
    struct rg_directory *directory; /* which sessions have connections; owned */
    struct rg_tally tally;          /* what became of the events, from every source */
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

/*
 * Ends every client of this session on every hub: SSE with rig.session_killed, WebSocket with close
 * 1000 "Session killed.", long-polling silently (client-api.md 13.3). Thread: any registered with
 * rcu.h.
 */
void rg_push_kill_session(struct rg_push *push, struct rg_str session);
/* The same for every client of a token whose session has another name than its jti. */
void rg_push_kill_token(struct rg_push *push, struct rg_str jti);
