#include "base/alloc.h"
#include "base/clock.h"
#include "push/appearance.h"
#include "push/channels_priv.h"
#include "push/hub.h"

static struct rg_appearance appearance_of(const struct rg_client *client,
                                          const struct rg_channel *channel)
{
    return (struct rg_appearance){
        .claims = client->channels->claims->text,
        .identity = client->channels->identity,
        .device = client->bond != NULL ? client->bond->device : NULL,
        .transport = client->ops->transport,
        .time_ms = channel->joined_ms,
    };
}

/* Tells subscribers of type, if there are any, of the presence in the user's own topic. */
static void tell_subscribers(const struct rg_client *client, const struct rg_channel *channel,
                             const char *type)
{
    static const struct rg_origin origin = {RG_SOURCE_GATEWAY, 0, -1, -1, -1};
    const struct rg_hub *hub = client->hub;
    char phx_ref[RG_PHX_REF_LEN + 1];
    struct rg_appearance appearance;
    struct rg_buf event = {0};
    uint64_t fields;

    if (!rg_interest_of_type(hub->push->interest, rg_str_c(type), &fields))
        return;
    appearance = appearance_of(client, channel);
    /* The own topic is behind those of the roles. */
    rg_presences_ref(channel->presences, appearance.identity->roles_n, phx_ref);
    rg_appearance_add_event(&appearance, type, phx_ref, &event);
    /* Whoever joins and leaves as fast as may be must not fill the memory of another reactor. */
    if (rg_dispatch(hub->dispatcher, rg_buf_str(&event), RG_CHECK_ALL, &origin, NULL, NULL) < 0)
        rg_count(hub->counters, RG_HUB_PRESENCE_LOST, 1);
    rg_buf_done(&event);
}

/* "role:<r>" for each own role, and "user:<own>" (9.4): slices of *text. */
static struct rg_str *own_topics(const struct rg_identity *identity, struct rg_str own,
                                 struct rg_buf *text)
{
    const struct rg_str prefix = RG_STR("role:");
    struct rg_str *topics = rg_realloc_array(NULL, identity->roles_n + 1, sizeof(topics[0]));
    size_t bytes = 0;

    for (size_t i = 0; i < identity->roles_n; i++)
        bytes += prefix.n + identity->roles[i].n;
    rg_buf_reserve(text, bytes);
    for (size_t i = 0; i < identity->roles_n; i++) {
        topics[i] = rg_str_n(text->p + text->n, prefix.n + identity->roles[i].n);
        rg_buf_add_str(text, prefix);
        rg_buf_add_str(text, identity->roles[i]);
    }
    topics[identity->roles_n] = own;
    return topics;
}

static void appear_in(struct rg_client *client, struct rg_channel *channel,
                      const struct rg_str *topics, size_t topics_n, struct rg_buf *state)
{
    const struct rg_hub *hub = client->hub;
    struct rg_appearance appearance;
    struct rg_buf meta = {0};

    channel->joined_ms = rg_clock_wall_us() / 1000;
    appearance = appearance_of(client, channel);
    if (topics_n > 0)
        rg_appearance_add_meta(&appearance, &meta);
    channel->presences = rg_roster_join(
        hub->push->roster,
        &(struct rg_roster_entrant){appearance.identity->user, rg_buf_str(&meta), topics, topics_n},
        rg_channel_topic(channel), hub->reactor->now_ms, state, &channel->version);
    rg_buf_done(&meta);
}

void rg_channel_appear(struct rg_client *client, struct rg_channel *channel, struct rg_buf *state)
{
    const struct rg_identity *identity = client->channels->identity;
    struct rg_str topic = rg_channel_topic(channel), *topics;
    struct rg_buf text = {0};

    switch (channel->kind) {
    case RG_CHANNEL_OWN:
        topics = own_topics(identity, topic, &text);
        appear_in(client, channel, topics, identity->roles_n + 1, state);
        rg_free(topics);
        rg_buf_done(&text);
        tell_subscribers(client, channel, RG_PRESENCE_JOIN);
        break;
    case RG_CHANNEL_OTHERS:
        appear_in(client, channel, &topic, 1, NULL);
        break;
    case RG_CHANNEL_ROLE:
        appear_in(client, channel, NULL, 0, NULL);
        break;
    case RG_CHANNEL_EVENTS:
        break;
    }
}

void rg_channel_vanish(const struct rg_client *client, struct rg_channel *channel)
{
    const struct rg_hub *hub = client->hub;

    if (channel->kind == RG_CHANNEL_OWN)
        tell_subscribers(client, channel, RG_PRESENCE_LEAVE);
    rg_roster_leave(hub->push->roster, &channel->presences, hub->reactor->now_ms);
}
