#include "base/alloc.h"
#include "event/json.h"
#include "push/channels_priv.h"

struct rg_channel *rg_channel_new(enum rg_channel_kind kind, const struct rg_phx_message *join)
{
    struct rg_channel *channel =
        rg_zalloc(sizeof(*channel) + join->topic.n + join->ref.n + join->join_ref.n);
    const struct rg_str parts[] = {join->topic, join->ref, join->join_ref};
    char *to = channel->text;

    channel->kind = (unsigned char)kind;
    channel->topic_n = (uint16_t)join->topic.n;
    channel->ref_n = (uint16_t)join->ref.n;
    channel->join_ref_n = (uint16_t)join->join_ref.n;
    for (size_t i = 0; i < RG_COUNT_OF(parts); i++) {
        if (parts[i].n > 0)
            memcpy(to, parts[i].p, parts[i].n);
        to += parts[i].n;
    }
    return channel;
}

void rg_channel_free(struct rg_channel **channelp)
{
    struct rg_channel *channel = RG_STEAL(*channelp);

    if (channel == NULL)
        return;
    rg_assert(channel->presences == NULL);
    rg_free(channel->keys);
    rg_free(channel);
}

/* The references as messages have them: p == NULL where there was none. */
static struct rg_str ref_of(const struct rg_channel *channel)
{
    return rg_str_n(channel->ref_n > 0 ? channel->text + channel->topic_n : NULL, channel->ref_n);
}

static struct rg_str join_ref_of(const struct rg_channel *channel)
{
    const char *at = channel->text + channel->topic_n + channel->ref_n;

    return rg_str_n(channel->join_ref_n > 0 ? at : NULL, channel->join_ref_n);
}

bool rg_channel_is_ref(const struct rg_channel *channel, struct rg_str ref)
{
    return rg_str_eq(ref, ref_of(channel)) || rg_str_eq(ref, join_ref_of(channel));
}

/* ---- what is said ---- */

void rg_channel_say(struct rg_client *client, const struct rg_phx_reply *reply)
{
    struct rg_msg *msg = rg_phx_msg(client->encoding, reply);

    rg_client_put(client, msg);
    rg_msg_unref(&msg);
}

struct rg_phx_reply rg_channel_reply_to(const struct rg_phx_message *message)
{
    return (struct rg_phx_reply){.join_ref = message->join_ref,
                                 .ref = message->ref,
                                 .topic = message->topic,
                                 .event = RG_STR("phx_reply")};
}

struct rg_phx_reply rg_channel_reply_to_join(const struct rg_channel *channel)
{
    return (struct rg_phx_reply){.join_ref = join_ref_of(channel),
                                 .ref = ref_of(channel),
                                 .topic = rg_channel_topic(channel),
                                 .event = RG_STR("phx_reply")};
}

void rg_channel_answer(struct rg_client *client, const struct rg_phx_reply *to, const char *status,
                       struct rg_str response)
{
    struct rg_phx_reply reply = *to;
    struct rg_buf payload = {0};

    rg_buf_addf(&payload, "{\"status\":\"%s\",\"response\":", status);
    rg_buf_add_str(&payload, response);
    rg_buf_add_char(&payload, '}');
    reply.payload = rg_buf_str(&payload);
    rg_channel_say(client, &reply);
    rg_buf_done(&payload);
}

void rg_channel_answer_reason(struct rg_client *client, const struct rg_phx_reply *to,
                              const char *reason)
{
    struct rg_buf response = {0};

    rg_buf_add_c(&response, "{\"reason\":");
    rg_json_add_string(&response, rg_str_c(reason));
    rg_buf_add_char(&response, '}');
    rg_channel_answer(client, to, "error", rg_buf_str(&response));
    rg_buf_done(&response);
}

/* phx_close and phx_error: both references are those of the join (4.3). */
static void say_end(struct rg_client *client, const struct rg_channel *channel, struct rg_str event,
                    struct rg_str payload)
{
    rg_channel_say(client, &(struct rg_phx_reply){ref_of(channel), ref_of(channel),
                                                  rg_channel_topic(channel), event, payload});
}

void rg_channel_say_error(struct rg_client *client, const struct rg_channel *channel,
                          const char *payload)
{
    say_end(client, channel, RG_STR("phx_error"), rg_str_c(payload));
}

void rg_channel_close(struct rg_client *client, struct rg_channel **channelp)
{
    if (*channelp != NULL && rg_channels_is_open(client))
        say_end(client, *channelp, RG_STR("phx_close"), RG_STR("{}"));
    rg_channel_free(channelp);
}
