/*
 * The channels of a socket lie in an array, sorted by topic. Joins that wait for an answer from
 * elsewhere are in a list beside it.
 */
#include "push/channels.h"

#include "base/alloc.h"
#include "event/json.h"
#include "push/channels_priv.h"
#include "push/hub.h"

#define KEYS_PER_MESSAGE 100

/* ---- all channels ---- */

static int compare(struct rg_str a, struct rg_str b)
{
    int order = memcmp(a.p, b.p, a.n < b.n ? a.n : b.n);

    return order != 0 ? order : (a.n > b.n) - (a.n < b.n);
}

/* Where the channel of topic is, or would be. */
static size_t place_of(const struct rg_channels *channels, struct rg_str topic)
{
    size_t low = 0, high = channels->n;

    while (low < high) {
        size_t middle = (low + high) / 2;
        if (compare(rg_channel_topic(channels->at[middle]), topic) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

struct rg_channel *rg_channels_find(const struct rg_channels *channels, struct rg_str topic)
{
    size_t at = place_of(channels, topic);

    return at < channels->n && rg_str_eq(rg_channel_topic(channels->at[at]), topic)
               ? channels->at[at]
               : NULL;
}

struct rg_channel_waiting *rg_channels_find_waiting(const struct rg_channels *channels,
                                                    struct rg_str topic)
{
    struct rg_channel_waiting *waiting = channels->waiting;

    while (waiting != NULL && !rg_str_eq(rg_channel_topic(waiting->channel), topic))
        waiting = waiting->next;
    return waiting;
}

void rg_channels_unlink_waiting(struct rg_channels *channels, struct rg_channel_waiting *waiting)
{
    struct rg_channel_waiting **link = &channels->waiting;

    while (*link != waiting)
        link = &(*link)->next;
    *link = waiting->next;
    waiting->client = NULL;
    channels->waiting_n--;
}

/* Puts channel in its place; returns the one that was there. */
static struct rg_channel *put_in(struct rg_channels *channels, struct rg_channel *channel)
{
    size_t at = place_of(channels, rg_channel_topic(channel));
    struct rg_channel *old = rg_channels_find(channels, rg_channel_topic(channel));

    if (old == NULL) {
        channels->at = rg_realloc_array(channels->at, channels->n + 1, sizeof(struct rg_channel *));
        memmove(channels->at + at + 1, channels->at + at,
                (channels->n - at) * sizeof(struct rg_channel *));
        channels->n++;
    }
    channels->at[at] = channel;
    return old;
}

static void take_out(struct rg_channels *channels, const struct rg_channel *channel)
{
    size_t at = place_of(channels, rg_channel_topic(channel));

    channels->n--;
    memmove(channels->at + at, channels->at + at + 1,
            (channels->n - at) * sizeof(struct rg_channel *));
}

/* All keys are looked at whenever one changes, so a message to that effect counts as several. */
static void spend_for_keys(struct rg_channels *channels, size_t keys)
{
    size_t messages = keys / KEYS_PER_MESSAGE;

    channels->allowance -=
        messages < channels->allowance ? (uint32_t)messages : channels->allowance;
}

/*
 * The client gets from now on what its channels get. Topics of events differ in their type and all
 * others are keys of their own, so there are no duplicates. RG_EFULL as rg_index_set().
 */
static int use_keys(struct rg_client *client)
{
    const struct rg_channels *channels = client->channels;
    struct rg_hub *hub = client->hub;
    struct rg_subscription_set set = {0};
    size_t n = 0;

    for (size_t i = 0; i < channels->n; i++)
        n += channels->at[i]->kind == RG_CHANNEL_EVENTS ? channels->at[i]->keys_n : 1;
    set.keys = rg_realloc_array(NULL, n, sizeof(set.keys[0]));
    for (size_t i = 0; i < channels->n; i++) {
        const struct rg_channel *channel = channels->at[i];
        if (channel->kind != RG_CHANNEL_EVENTS)
            set.keys[set.keys_n++] = rg_subscription_key_of_channel(rg_channel_topic(channel));
        for (size_t k = 0; k < channel->keys_n; k++)
            set.keys[set.keys_n++] = channel->keys[k];
    }
    int err = rg_index_set(hub->index, &client->subscriber, &set);
    rg_free(set.keys);
    spend_for_keys(client->channels, n);
    if (err < 0)
        return err;
    rg_count(hub->counters, RG_HUB_SUBSCRIPTIONS,
             (int64_t)channels->n - (int64_t)client->subscriptions_n);
    client->subscriptions_n = channels->n;
    return 0;
}

/*
 * Ends the channel of topic, joined or waiting, without a word. Returns the joined one, which is
 * the caller's.
 */
static struct rg_channel *end_channel(struct rg_client *client, struct rg_str topic)
{
    struct rg_channels *channels = client->channels;
    struct rg_channel *channel = rg_channels_find(channels, topic);
    struct rg_channel_waiting *waiting = rg_channels_find_waiting(channels, topic);

    if (waiting != NULL)
        rg_channels_unlink_waiting(channels, waiting);
    if (channel == NULL)
        return NULL;
    take_out(channels, channel);
    rg_assert(use_keys(client) == 0); /* fewer keys are never too many */
    rg_channel_vanish(client, channel);
    return channel;
}

/* ---- joining ---- */

static void count_refusal(const struct rg_client *client, enum rg_join_refusal refusal)
{
    rg_count(client->hub->counters, RG_HUB_JOIN_REFUSALS + (size_t)refusal, 1);
}

bool rg_channels_refuse(struct rg_client *client, const struct rg_phx_reply *to,
                        enum rg_join_refusal refusal, const char *reason)
{
    struct rg_channel *old = end_channel(client, to->topic);

    count_refusal(client, refusal);
    rg_channel_answer_reason(client, to, reason);
    rg_channel_close(client, &old);
    return false;
}

bool rg_channels_enter(struct rg_client *client, struct rg_channel *channel)
{
    struct rg_channel *old = put_in(client->channels, channel);
    struct rg_phx_reply to = rg_channel_reply_to_join(channel);
    struct rg_buf state = {0};

    if (use_keys(client) < 0) {
        take_out(client->channels, channel);
        rg_assert(use_keys(client) == 0);
        rg_channels_refuse(client, &to, RG_JOIN_LIMIT, "too many different combinations of fields");
        rg_channel_close(client, &old);
        rg_channel_free(&channel);
        return false;
    }
    if (old != NULL)
        rg_channel_vanish(client, old);
    rg_channel_appear(client, channel, &state);
    rg_count(client->hub->counters, RG_HUB_JOINS, 1);
    rg_channel_answer(client, &to, "ok", RG_STR("{}"));
    rg_channel_close(client, &old);
    if (rg_channels_is_open(client) && channel->kind == RG_CHANNEL_OWN)
        rg_channel_say(client, &(struct rg_phx_reply){.topic = rg_channel_topic(channel),
                                                      .event = RG_STR("presence_state"),
                                                      .payload = rg_buf_str(&state)});
    rg_buf_done(&state);
    return true;
}

/* ---- who may join what ---- */

/* As a string of the language that the sentence of 9.3 comes from. */
static void add_quoted(struct rg_buf *out, struct rg_str s)
{
    static const char plain[] = "\"\\\a\b\t\n\v\f\r\x1b\x7f";
    static const char letters[] = "\"\\abtnvfred";

    rg_buf_add_char(out, '"');
    for (size_t i = 0; i < s.n; i++) {
        const char *special = s.p[i] != '\0' ? strchr(plain, s.p[i]) : NULL;
        if (special != NULL)
            rg_buf_addf(out, "\\%c", letters[special - plain]);
        else if ((unsigned char)s.p[i] < 0x20)
            rg_buf_addf(out, "\\x%02X", (unsigned char)s.p[i]);
        else if (s.p[i] == '#' && i + 1 < s.n && s.p[i + 1] == '{')
            rg_buf_add_c(out, "\\#");
        else
            rg_buf_add_char(out, s.p[i]);
    }
    rg_buf_add_char(out, '"');
}

static bool refuse_denied(struct rg_client *client, const struct rg_phx_message *join)
{
    const struct rg_phx_reply to = rg_channel_reply_to(join);
    struct rg_buf text = {0}, response = {0};

    rg_buf_add_c(&text, "unauthorized user with id ");
    add_quoted(&text, client->channels->identity->user);
    rg_buf_add_c(&text, " tried to join ");
    add_quoted(&text, join->topic);
    rg_buf_add_char(&text, '!');
    rg_json_add_string(&response, rg_buf_str(&text));
    count_refusal(client, RG_JOIN_DENIED);
    rg_channel_answer(client, &to, "error", rg_buf_str(&response));
    rg_buf_done(&text);
    rg_buf_done(&response);
    return false;
}

/* "user:..." and "role:..."; user is the name in the first. */
static bool join_people(struct rg_client *client, const struct rg_phx_message *join,
                        const struct rg_str *user)
{
    const struct rg_identity *identity = client->channels->identity;
    const struct rg_phx_reply to = rg_channel_reply_to(join);
    enum rg_channel_kind kind = RG_CHANNEL_ROLE;

    if (identity->user.p == NULL)
        return rg_channels_refuse(client, &to, RG_JOIN_NO_USER, "join crashed");
    if (user != NULL)
        kind = rg_str_eq(*user, identity->user) ? RG_CHANNEL_OWN : RG_CHANNEL_OTHERS;
    if (kind != RG_CHANNEL_OWN && !identity->is_privileged)
        return refuse_denied(client, join);
    return rg_channels_enter(client, rg_channel_new(kind, join));
}

/* One more topic would be too many. */
static bool is_full(const struct rg_client *client, struct rg_str topic)
{
    const struct rg_channels *channels = client->channels;

    return rg_channels_find(channels, topic) == NULL &&
           rg_channels_find_waiting(channels, topic) == NULL &&
           channels->n + channels->waiting_n >= client->hub->push->settings.channels.max_channels;
}

static struct rg_str behind(struct rg_str topic, struct rg_str prefix)
{
    return rg_str_n(topic.p + prefix.n, topic.n - prefix.n);
}

static bool join(struct rg_client *client, const struct rg_phx_message *message)
{
    const struct rg_str user = RG_STR("user:"), role = RG_STR("role:"), events = RG_STR("events:");
    const struct rg_phx_reply to = rg_channel_reply_to(message);
    struct rg_str topic = message->topic, name;

    if (topic.n > RG_PHX_MAX_TOPIC)
        return rg_channels_refuse(client, &to, RG_JOIN_LIMIT, "topic too long");
    if (is_full(client, topic))
        return rg_channels_refuse(client, &to, RG_JOIN_LIMIT, "too many channels");
    if (rg_str_starts_with(topic, events))
        return rg_channel_join_events(client, message, behind(topic, events));
    if (rg_str_starts_with(topic, role))
        return join_people(client, message, NULL);
    if (!rg_str_starts_with(topic, user))
        return rg_channels_refuse(client, &to, RG_JOIN_UNMATCHED, "unmatched topic");
    name = behind(topic, user);
    return join_people(client, message, &name);
}

bool rg_channels_join(struct rg_client *client, struct rg_str topic)
{
    const struct rg_phx_message message = {.topic = topic, .event = RG_STR("phx_join")};

    return rg_channels_is_open(client) && join(client, &message);
}

/* ---- everything else that clients say ---- */

static bool is_null(struct rg_str ref)
{
    return ref.n == 0 || rg_str_eq(ref, RG_STR("null"));
}

/* Whether the message is for a channel that has been joined again since (5.5). */
static bool is_stale(const struct rg_client *client, const struct rg_phx_message *message)
{
    const struct rg_channel_waiting *waiting =
        rg_channels_find_waiting(client->channels, message->topic);
    const struct rg_channel *channel =
        waiting != NULL ? waiting->channel : rg_channels_find(client->channels, message->topic);
    bool is_v1 = client->encoding == RG_ENC_PHX_WS_V1 || client->encoding == RG_ENC_PHX_JSON_V1;

    return channel != NULL && !is_v1 && !is_null(message->join_ref) &&
           !rg_channel_is_ref(channel, message->join_ref);
}

static void leave(struct rg_client *client, const struct rg_phx_message *message)
{
    const struct rg_phx_reply to = rg_channel_reply_to(message);

    if (is_stale(client, message))
        return;
    struct rg_channel *channel = end_channel(client, message->topic);
    rg_channel_answer(client, &to, "ok", RG_STR("{}"));
    rg_channel_close(client, &channel);
}

/* Nobody answers on a topic that is joined (5.7). */
static void take_other(struct rg_client *client, const struct rg_phx_message *message)
{
    struct rg_phx_reply to = rg_channel_reply_to(message);

    if (rg_str_eq(message->topic, RG_STR("phoenix")) &&
        rg_str_eq(message->event, RG_STR("heartbeat"))) {
        to.join_ref = rg_str_n(NULL, 0);
        rg_channel_answer(client, &to, "ok", RG_STR("{}"));
    } else if (rg_channels_find(client->channels, message->topic) == NULL &&
               rg_channels_find_waiting(client->channels, message->topic) == NULL) {
        rg_channel_answer_reason(client, &to, "unmatched topic");
    }
}

bool rg_channels_spend(struct rg_client *client)
{
    struct rg_channels *channels = client->channels;
    uint64_t now = client->hub->reactor->now_ms;
    uint64_t passed = now - channels->allowance_at_ms;
    uint64_t allowance = RG_CHANNELS_RATE;

    if (passed < 1000)
        allowance = channels->allowance + passed * RG_CHANNELS_RATE / 1000;
    if (allowance == 0) {
        rg_client_end(client, RG_END_POLICY, 1008, "Too many messages.");
        return false;
    }
    if (allowance > RG_CHANNELS_RATE)
        allowance = RG_CHANNELS_RATE;
    channels->allowance = (uint32_t)allowance - 1;
    channels->allowance_at_ms = now;
    return true;
}

void rg_channels_take(struct rg_client *client, const struct rg_phx_message *message)
{
    if (!rg_channels_is_open(client))
        return;
    rg_count(client->hub->counters, RG_HUB_MESSAGES, 1);
    if (!rg_channels_spend(client))
        return;
    if (rg_str_eq(message->event, RG_STR("phx_join")))
        join(client, message);
    else if (rg_str_eq(message->event, RG_STR("phx_leave")))
        leave(client, message);
    else
        take_other(client, message);
}

/* ---- life ---- */

void rg_channels_open(struct rg_client *client, struct rg_claims **claimsp,
                      struct rg_device **devicep)
{
    const struct rg_hub *hub = client->hub;
    struct rg_channels *channels = rg_zalloc(sizeof(*channels));
    struct rg_claims *claims = RG_STEAL(*claimsp);

    channels->claims = rg_claims_ref(claims);
    channels->identity = rg_identity_new(&hub->push->settings.channels.identity, claims->text);
    channels->allowance = RG_CHANNELS_RATE;
    channels->allowance_at_ms = hub->reactor->now_ms;
    client->channels = channels;
    rg_client_set_device(client, devicep);
    rg_client_bind(client, claims);
    rg_claims_unref(&claims);
    if (hub->is_draining)
        rg_client_end(client, RG_END_SHUTDOWN, 1001, "The gateway is shutting down.");
}

void rg_channels_set_token(struct rg_client *client, struct rg_str token)
{
    if (client->channels == NULL ||
        client->hub->push->settings.subscription_check.kind != RG_POLICY_ASK)
        return;
    rg_free(client->channels->token);
    client->channels->token = rg_strndup(token.p, token.n);
}

/* Why a client ends that might otherwise have gone on; NULL: its socket says it all. */
static const char *why_ended(const struct rg_client *client)
{
    if (client->end == RG_END_TOKEN)
        return "{\"reason\":\"token expired\"}";
    return client->end == RG_END_KILLED ? "{\"reason\":\"session ended\"}" : NULL;
}

void rg_channels_say_why(struct rg_client *client)
{
    const char *payload = why_ended(client);

    /* With a message that is too much the client ends for another reason, and has no channels. */
    for (size_t i = 0;
         payload != NULL && rg_channels_is_open(client) && i < rg_channels_count(client->channels);
         i++)
        rg_channel_say_error(client, client->channels->at[i], payload);
}

void rg_channels_leave(struct rg_client *client)
{
    struct rg_channels *channels = client->channels;

    if (channels == NULL)
        return;
    while (channels->waiting != NULL)
        rg_channels_unlink_waiting(channels, channels->waiting);
    for (size_t i = 0; i < channels->n; i++) {
        rg_channel_vanish(client, channels->at[i]);
        rg_channel_free(&channels->at[i]);
    }
    channels->n = 0;
}

void rg_channels_free(struct rg_client *client)
{
    struct rg_channels *channels = RG_STEAL(client->channels);

    if (channels == NULL)
        return;
    rg_assert(channels->n == 0 && channels->waiting == NULL);
    rg_claims_unref(&channels->claims);
    rg_identity_free(&channels->identity);
    rg_free(channels->token);
    rg_free(channels->at);
    rg_free(channels);
}

/* ---- questions ---- */

bool rg_channels_wants(const struct rg_channels *channels, const struct rg_event *event)
{
    const struct rg_channel *channel = rg_channels_find(channels, rg_event_type(event));

    return channel != NULL && (uint64_t)event->origin.offset >= channel->version;
}

size_t rg_channels_count(const struct rg_channels *channels)
{
    return channels->n;
}

struct rg_str rg_channels_topic(const struct rg_channels *channels, size_t i)
{
    rg_assert(i < channels->n);
    return rg_channel_topic(channels->at[i]);
}
