/*
 * hub.h - all clients of one reactor.
 *
 * Takes the events from its inbox, finds the clients whose subscriptions match, puts
 * a reference into each one's outbox, and after the batch writes once per touched client.
 *
 * Thread: the reactor; where a function says any, any.
 */
#pragma once

#include "base/slots.h"
#include "http/server.h"
#include "http/ws_message.h"
#include "push/client.h"
#include "push/compression.h"
#include "push/dispatch.h"
#include "push/session.h"

/* Rows of the hub's counters; see hub.c for names and meaning. */
enum {
    RG_HUB_CLIENTS,                                      /* + enum rg_transport */
    RG_HUB_CONNECTS = RG_HUB_CLIENTS + RG_TRANSPORTS,    /* + enum rg_transport */
    RG_HUB_DELIVERIES = RG_HUB_CONNECTS + RG_TRANSPORTS, /* + enum rg_transport */
    RG_HUB_ENDS = RG_HUB_DELIVERIES + RG_TRANSPORTS,     /* + enum rg_end */
    RG_HUB_REFUSALS = RG_HUB_ENDS + RG_ENDS - 1, /* + enum rg_refusal, which counts from 1 */
    RG_HUB_JOIN_REFUSALS = RG_HUB_REFUSALS + RG_REFUSALS, /* + enum rg_join_refusal */
    RG_HUB_JOINS = RG_HUB_JOIN_REFUSALS + RG_JOIN_REFUSALS,
    RG_HUB_MESSAGES,
    RG_HUB_PRESENCE_LOST,
    RG_HUB_SUBSCRIPTIONS,
    RG_HUB_EVENTS,
    RG_HUB_WRITES,
    RG_HUB_ROWS
};
extern const struct rg_counter_row rg_hub_counter_rows[RG_HUB_ROWS];

struct rg_hub {
    struct rg_push *push;
    struct rg_reactor *reactor;
    struct rg_http_server
        *http; /* answers from elsewhere find their exchange here; set by wiring */
    struct rg_index *index;
    struct rg_sessions *sessions; /* whose clients are whose */
    struct rg_sessions *tokens;   /* the same by jti, where that is not the session's name */
    struct rg_dispatcher *dispatcher;
    struct rg_compressor *compressor; /* NULL: compression is off */
    struct rg_counters *counters;

    struct rg_slots clients;
    size_t clients_n;

    struct rg_client **touched; /* to flush after the batch; NULL where one was freed meanwhile */
    uint32_t touched_n, touched_cap;
    struct rg_hub_doomed *doomed; /* ended in a fan-out */
    uint32_t doomed_n, doomed_cap;
    struct rg_client **buried; /* dead, to be freed */
    uint32_t buried_n, buried_cap;

    uint64_t event_number;
    size_t questions_n; /* open ones; see question.h */
    bool is_delivering; /* whoever must end now is doomed: nothing may leave an index */
    bool is_settling;
    bool is_draining;
    void (*on_empty)(void *arg); /* while draining: the last client is gone */
    void *on_empty_arg;
    struct rg_msg *heartbeats[RG_ENC_COUNT];
    struct rg_ws_message_limits channel_limits; /* of what channel sockets send */
};

/* push and reactor are borrowed. The hub takes the number of the reactor in push->hubs. */
struct rg_hub *rg_hub_new(struct rg_push *push, struct rg_reactor *reactor);
void rg_hub_free(struct rg_hub **hubp);

/* True if the hub's inbox takes more events. Thread: any. */
bool rg_hub_has_room(const struct rg_hub *hub);

/* Puts event (the reference is taken) into the inbox. Thread: any registered with rcu.h. */
void rg_hub_post_event(struct rg_hub *hub, struct rg_event *event);

/* After a batch of inbox items: closes what was doomed, flushes what was touched, frees what is
 * dead. Everything that may touch or end clients outside of a batch ends with it. */
void rg_hub_settle(struct rg_hub *hub);

/* The client of a handle of this hub; NULL if it is gone. */
struct rg_client *rg_hub_find(struct rg_hub *hub, struct rg_client_handle handle);

/*
 * Ends all clients with a goodbye; new ones are ended at once. on_empty is called when the last is
 * gone (maybe before this returns).
 */
void rg_hub_drain(struct rg_hub *hub, void (*on_empty)(void *arg), void *arg);

/*
 * Ends all clients of a session (client-api.md 13.3), and channel sockets whose token has this jti
 * (legacy-channels.md 3.5). Outside of a batch rg_hub_settle() follows.
 */
void rg_hub_kill_session(struct rg_hub *hub, struct rg_str session);
/* The same for all clients of a token, by its jti. */
void rg_hub_kill_token(struct rg_hub *hub, struct rg_str jti);

/* Closes all clients at once. */
void rg_hub_kill_all(struct rg_hub *hub);

/* ---- for client.c ---- */

void rg_hub_join(struct rg_hub *hub, struct rg_client *client);
void rg_hub_touch(struct rg_hub *hub, struct rg_client *client);
void rg_hub_doom(struct rg_hub *hub, struct rg_client *client, unsigned code, const char *reason);
void rg_hub_bury(struct rg_hub *hub, struct rg_client *client);
struct rg_client_handle rg_hub_handle(const struct rg_hub *hub, const struct rg_client *client);
struct rg_msg *rg_hub_heartbeat(struct rg_hub *hub, enum rg_encoding encoding);

static inline bool rg_hub_is_delivering(const struct rg_hub *hub)
{
    return hub->is_delivering;
}
