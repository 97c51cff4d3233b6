/*
 * The life of an event here: deliver() runs for each inbox item and only moves references;
 * rg_hub_settle() runs once per batch and does the system calls. An event that is alone in its
 * batch is written as it is fanned out, so that nobody waits for a batch of one. While deliver()
 * runs over an index entry nothing may change the index, so a client that must end then is put on
 * the list of the doomed.
 */
#include "push/hub.h"

#include "base/alloc.h"
#include "http/websocket.h"
#include "push/announce.h"
#include "push/channels.h"

#define PREFETCH_AHEAD 8

#define BY_TRANSPORT(row, name, type, help)                                                        \
    [(row) + RG_SSE] = {name, type, "transport=\"sse\"", help},                                    \
             [(row) + RG_WS] = {name, type, "transport=\"ws\"", ""},                               \
             [(row) + RG_LONGPOLL] = {name, type, "transport=\"longpolling\"", ""},                \
             [(row) + RG_PHX_SSE] = {name, type, "transport=\"channels_sse\"", ""},                \
             [(row) + RG_PHX_WS] = {name, type, "transport=\"channels_ws\"", ""},                  \
             [(row) + RG_PHX_LONGPOLL] = {name, type, "transport=\"channels_longpolling\"", ""}

#define BY_END(end, label)                                                                         \
    [RG_HUB_ENDS + (end)] = {"rgate_disconnects_total", "counter", "reason=\"" label "\"",         \
                             "Connections that ended, by reason."}

#define BY_REFUSAL(refusal, label)                                                                 \
    [RG_HUB_REFUSALS + (refusal)] = {"rgate_refused_connects_total", "counter",                    \
                                     "reason=\"" label "\"",                                       \
                                     "Clients that were not let in, by reason."}

#define BY_JOIN_REFUSAL(refusal, label)                                                            \
    [RG_HUB_JOIN_REFUSALS + (refusal)] = {"rgate_channel_refusals_total", "counter",               \
                                          "reason=\"" label "\"",                                  \
                                          "Channels that could not be joined, by reason."}

const struct rg_counter_row rg_hub_counter_rows[RG_HUB_ROWS] = {
    BY_TRANSPORT(RG_HUB_CLIENTS, "rgate_connections", "gauge", "Open client connections."),
    BY_TRANSPORT(RG_HUB_CONNECTS, "rgate_connects_total", "counter", "Client connections opened."),
    BY_TRANSPORT(RG_HUB_DELIVERIES, "rgate_deliveries_total", "counter",
                 "Events put into a client's queue."),
    BY_END(RG_END_PEER, "peer"),
    BY_END(RG_END_PEER_CLOSE, "peer_close"),
    BY_END(RG_END_SLOW, "slow"),
    BY_END(RG_END_STALLED, "stalled"),
    BY_END(RG_END_PROTOCOL, "protocol"),
    BY_END(RG_END_POLICY, "policy"),
    BY_END(RG_END_REFUSED, "refused"),
    BY_END(RG_END_SHUTDOWN, "shutdown"),
    BY_END(RG_END_EXPIRED, "expired"),
    BY_END(RG_END_KILLED, "killed"),
    BY_END(RG_END_TOKEN, "token_expired"),
    BY_END(RG_END_IDLE, "idle"),
    BY_REFUSAL(RG_REFUSED_QUERY, "query"),
    BY_REFUSAL(RG_REFUSED_ORIGIN, "origin"),
    BY_REFUSAL(RG_REFUSED_TOKEN, "token"),
    BY_REFUSAL(RG_REFUSED_SUBSCRIPTIONS, "subscriptions"),
    BY_REFUSAL(RG_REFUSED_CHECK, "check"),
    BY_REFUSAL(RG_REFUSED_LIMIT, "limit"),
    BY_REFUSAL(RG_REFUSED_DRAINING, "draining"),
    BY_JOIN_REFUSAL(RG_JOIN_UNMATCHED, "unmatched"),
    BY_JOIN_REFUSAL(RG_JOIN_NO_USER, "no_user"),
    BY_JOIN_REFUSAL(RG_JOIN_DENIED, "denied"),
    BY_JOIN_REFUSAL(RG_JOIN_SUBSCRIPTIONS, "subscriptions"),
    BY_JOIN_REFUSAL(RG_JOIN_CHECK, "check"),
    BY_JOIN_REFUSAL(RG_JOIN_LIMIT, "limit"),
    [RG_HUB_JOINS] = {"rgate_channel_joins_total", "counter", NULL, "Channels that were joined."},
    [RG_HUB_MESSAGES] = {"rgate_channel_messages_total", "counter", NULL,
                         "Messages from channel sockets."},
    [RG_HUB_PRESENCE_LOST] = {"rgate_presence_events_lost_total", "counter", NULL,
                              "Events rig.presence.join and rig.presence.leave for which a "
                              "subscriber's reactor had no room."},
    [RG_HUB_SUBSCRIPTIONS] = {"rig_subscriptions_total", "gauge", NULL,
                              "Current subscriptions, joined channels among them."},
    [RG_HUB_EVENTS] = {"rgate_events_fanned_out_total", "counter", NULL,
                       "Events taken from an inbox, once per reactor that wanted them."},
    [RG_HUB_WRITES] = {"rgate_writes_total", "counter", NULL,
                       "System calls that wrote to push clients."},
};

struct rg_hub_doomed {
    struct rg_client *client;
    unsigned code;
    const char *reason;
};

/* What a link of an event holds while the event is in this hub's inbox. */
struct delivery {
    struct rg_inbox_item item;
    struct rg_event *event;
};
_Static_assert(sizeof(struct delivery) <= sizeof(struct rg_event_link), "a link has room for it");

/* Makes room for one more element in a growing array. */
#define GROW(array, n, cap)                                                                        \
    do {                                                                                           \
        if ((n) == (cap)) {                                                                        \
            (cap) = (cap) > 0 ? 2 * (cap) : 64;                                                    \
            (array) = rg_realloc_array((array), (cap), sizeof((array)[0]));                        \
        }                                                                                          \
    } while (0)

struct rg_hub *rg_hub_new(struct rg_push *push, struct rg_reactor *reactor)
{
    struct rg_hub *hub = rg_zalloc(sizeof(*hub));
    struct rg_buf ping = {0};

    rg_assert(push->hubs_n < RG_MAX_REACTORS && push->hubs_n == reactor->id);
    hub->push = push;
    hub->reactor = reactor;
    hub->index = rg_index_new(push->interest, reactor->id);
    hub->sessions = rg_sessions_new();
    hub->tokens = rg_sessions_new();
    hub->dispatcher = rg_dispatcher_new(push);
    hub->compressor = rg_compressor_new(push->settings.compression_min_bytes);
    hub->counters = rg_counters_new(RG_HUB_ROWS);
    hub->channel_limits = (struct rg_ws_message_limits){
        .max_bytes = push->settings.channels.max_message_bytes, .max_fragments = 64};

    for (enum rg_encoding e = RG_ENC_SSE_CHUNKED; e <= RG_ENC_SSE_GZIP_PLAIN; e++)
        hub->heartbeats[e] = rg_msg_from_sse(e, RG_STR(": heartbeat\n\n"));
    for (enum rg_encoding e = RG_ENC_PHX_SSE_CHUNKED; e <= RG_ENC_PHX_SSE_PLAIN; e++)
        hub->heartbeats[e] = rg_msg_from_sse(e, RG_STR("event: heartbeat\n\n"));
    rg_ws_add_frame(&ping, RG_WS_PING, RG_STR(""), false);
    hub->heartbeats[RG_ENC_WS] = rg_msg_from_bytes(ping.p, ping.n);
    hub->heartbeats[RG_ENC_WS_DEFLATE] = rg_msg_ref(hub->heartbeats[RG_ENC_WS]);
    rg_buf_done(&ping);

    push->hubs[push->hubs_n++] = hub;
    return hub;
}

void rg_hub_free(struct rg_hub **hubp)
{
    struct rg_hub *hub = *hubp;

    if (hub == NULL)
        return;
    *hubp = NULL;
    rg_announcer_stop(hub->push->announcer, hub);
    rg_hub_settle(hub);
    rg_assert(hub->clients_n == 0 && hub->questions_n == 0);
    for (size_t i = 0; i < RG_ENC_COUNT; i++)
        rg_msg_unref(&hub->heartbeats[i]);
    rg_index_free(&hub->index);
    rg_sessions_free(&hub->sessions);
    rg_sessions_free(&hub->tokens);
    rg_dispatcher_free(&hub->dispatcher);
    rg_compressor_free(&hub->compressor);
    rg_counters_free(&hub->counters);
    rg_slots_done(&hub->clients);
    rg_free(hub->touched);
    rg_free(hub->doomed);
    rg_free(hub->buried);
    rg_free(hub);
}

/* ---- clients ---- */

void rg_hub_join(struct rg_hub *hub, struct rg_client *client)
{
    client->slot = rg_slots_take(&hub->clients, client);
    hub->clients_n++;
    rg_count(hub->counters, RG_HUB_CLIENTS + client->transport, 1);
    rg_count(hub->counters, RG_HUB_CONNECTS + client->transport, 1);
}

struct rg_client_handle rg_hub_handle(const struct rg_hub *hub, const struct rg_client *client)
{
    return (struct rg_client_handle){hub->reactor->id, client->slot,
                                     hub->clients.at[client->slot].generation};
}

struct rg_client *rg_hub_find(struct rg_hub *hub, struct rg_client_handle handle)
{
    struct rg_client *client = rg_slots_get(&hub->clients, handle.slot, handle.generation);

    return client != NULL && client->state == RG_CLIENT_OPEN ? client : NULL;
}

void rg_hub_touch(struct rg_hub *hub, struct rg_client *client)
{
    if (client->touched_at != 0)
        return;
    GROW(hub->touched, hub->touched_n, hub->touched_cap);
    hub->touched[hub->touched_n++] = client;
    client->touched_at = hub->touched_n;
}

void rg_hub_doom(struct rg_hub *hub, struct rg_client *client, unsigned code, const char *reason)
{
    GROW(hub->doomed, hub->doomed_n, hub->doomed_cap);
    hub->doomed[hub->doomed_n++] = (struct rg_hub_doomed){client, code, reason};
}

void rg_hub_bury(struct rg_hub *hub, struct rg_client *client)
{
    if (client->touched_at != 0)
        hub->touched[client->touched_at - 1] = NULL;
    rg_slots_release(&hub->clients, client->slot);
    hub->clients_n--;
    rg_count(hub->counters, RG_HUB_CLIENTS + client->transport, -1);
    GROW(hub->buried, hub->buried_n, hub->buried_cap);
    hub->buried[hub->buried_n++] = client;
}

struct rg_msg *rg_hub_heartbeat(struct rg_hub *hub, enum rg_encoding encoding)
{
    return hub->heartbeats[encoding];
}

/* ---- events ---- */

bool rg_hub_has_room(const struct rg_hub *hub)
{
    return rg_inbox_has_room(&hub->reactor->inbox);
}

static void fan_out(struct rg_hub *hub, struct rg_event *event, const struct rg_index_slot *slots,
                    size_t n, struct rg_msg *msgs[RG_ENC_COUNT])
{
    for (size_t i = 0; i < n; i++) {
        if (i + PREFETCH_AHEAD < n)
            __builtin_prefetch(slots[i + PREFETCH_AHEAD].subscriber, 1);
        struct rg_client *client =
            RG_CONTAINER_OF(slots[i].subscriber, struct rg_client, subscriber);
        /* Several of its subscriptions may match; it gets the event once (10.7). */
        if (client->last_event == hub->event_number)
            continue;
        client->last_event = hub->event_number;
        if (event->kind == RG_EVENT_PRESENCE && client->channels != NULL &&
            !rg_channels_wants(client->channels, event))
            continue;
        if (msgs[client->encoding] == NULL)
            msgs[client->encoding] = rg_msg_from_event(event, client->encoding, hub->compressor);
        rg_count(hub->counters, RG_HUB_DELIVERIES + client->transport, 1);
        if (hub->reactor->inbox.is_alone)
            rg_client_put_now(client, msgs[client->encoding]);
        else
            rg_client_put(client, msgs[client->encoding]);
    }
}

static void deliver(struct rg_inbox_item *item, void *ctx)
{
    struct rg_hub *hub = ctx;
    struct rg_event *event = RG_CONTAINER_OF(item, struct delivery, item)->event;
    struct rg_msg *msgs[RG_ENC_COUNT] = {NULL};
    uint64_t own_bit = (uint64_t)1 << hub->reactor->id;

    hub->event_number++;
    hub->is_delivering = true;
    for (uint32_t i = 0; i < event->matches_n; i++) {
        size_t n = 0;
        if ((event->matches[i].reactors & own_bit) == 0)
            continue;
        const struct rg_index_slot *slots = rg_index_find(hub->index, event->matches[i].key, &n);
        fan_out(hub, event, slots, n, msgs);
    }
    hub->is_delivering = false;
    rg_count(hub->counters, RG_HUB_EVENTS, 1);
    for (size_t i = 0; i < RG_ENC_COUNT; i++)
        rg_msg_unref(&msgs[i]);
    rg_event_unref(&event);
}

void rg_hub_post_event(struct rg_hub *hub, struct rg_event *event)
{
    struct delivery *delivery = (struct delivery *)&event->links[hub->reactor->id];

    delivery->event = event;
    rg_reactor_post(hub->reactor, &delivery->item, deliver, rg_event_bytes(event));
}

static void close_doomed(struct rg_hub *hub)
{
    for (uint32_t i = 0; i < hub->doomed_n; i++) {
        struct rg_client *client = hub->doomed[i].client;
        /* Killed meanwhile. */
        if (client->state != RG_CLIENT_DOOMED)
            continue;
        client->state = RG_CLIENT_OPEN;
        rg_client_end(client, client->end, hub->doomed[i].code, hub->doomed[i].reason);
    }
    hub->doomed_n = 0;
}

void rg_hub_settle(struct rg_hub *hub)
{
    /* Answering a poll can let the next request of its connection run, which settles too. */
    if (hub->is_settling)
        return;
    hub->is_settling = true;
    close_doomed(hub);
    /* Flushing may touch clients again (an answer to a poll, a goodbye): they are at the end. */
    for (uint32_t i = 0; i < hub->touched_n; i++) {
        struct rg_client *client = hub->touched[i];
        if (client == NULL)
            continue;
        client->touched_at = 0;
        if (i + 1 < hub->touched_n)
            __builtin_prefetch(hub->touched[i + 1], 1);
        rg_client_flush(client);
    }
    hub->touched_n = 0;
    hub->is_settling = false;
    for (uint32_t i = 0; i < hub->buried_n; i++)
        rg_free(hub->buried[i]);
    hub->buried_n = 0;
    if (hub->is_draining && hub->clients_n == 0 && hub->on_empty != NULL) {
        void (*on_empty)(void *arg) = hub->on_empty;
        hub->on_empty = NULL;
        on_empty(hub->on_empty_arg);
    }
}

/* ---- the end ---- */

void rg_hub_drain(struct rg_hub *hub, void (*on_empty)(void *arg), void *arg)
{
    hub->is_draining = true;
    hub->on_empty = on_empty;
    hub->on_empty_arg = arg;
    for (uint32_t i = 0; i < hub->clients.n; i++) {
        if (hub->clients.at[i].thing != NULL)
            rg_client_end(hub->clients.at[i].thing, RG_END_SHUTDOWN, 1001,
                          "The gateway is shutting down.");
    }
    rg_hub_settle(hub);
}

/* The index must not change meanwhile: all are doomed. */
static void kill_all_of(struct rg_hub *hub, const struct rg_sessions *index, struct rg_str name,
                        void (*end_killed)(struct rg_client *client))
{
    hub->is_delivering = true;
    rg_sessions_each(index, name, end_killed);
    hub->is_delivering = false;
}

static void end_killed_socket(struct rg_client *client)
{
    if (client->channels != NULL)
        rg_client_end_killed(client);
}

void rg_hub_kill_session(struct rg_hub *hub, struct rg_str session)
{
    kill_all_of(hub, hub->sessions, session, rg_client_end_killed);
    kill_all_of(hub, hub->tokens, session, end_killed_socket);
}

void rg_hub_kill_token(struct rg_hub *hub, struct rg_str jti)
{
    kill_all_of(hub, hub->tokens, jti, rg_client_end_killed);
}

void rg_hub_kill_all(struct rg_hub *hub)
{
    for (uint32_t i = 0; i < hub->clients.n; i++) {
        if (hub->clients.at[i].thing != NULL)
            rg_client_kill(hub->clients.at[i].thing);
    }
    rg_hub_settle(hub);
}
