#include "base/alloc.h"
#include "event/json.h"
#include "push/channels_priv.h"
#include "push/hub.h"

/* ---- what is asked for ---- */

/* How many subscriptions this is in the sense of MAX_SUBSCRIPTIONS. */
static uint32_t count_constraints(struct rg_json one_of)
{
    struct rg_json_cursor cursor = {0};
    struct rg_json constraint;
    struct rg_str none;
    uint32_t n = 0;

    while (rg_json_next(one_of, &cursor, &none, &constraint))
        n++;
    return n > 0 ? n : 1;
}

/* What is left of MAX_SUBSCRIPTIONS for the channel of topic. */
static size_t constraints_left(const struct rg_client *client, struct rg_str topic)
{
    const struct rg_channels *channels = client->channels;
    size_t max = client->hub->push->settings.max_subscriptions, used = 0;

    for (size_t i = 0; i < channels->n; i++) {
        if (!rg_str_eq(rg_channel_topic(channels->at[i]), topic))
            used += channels->at[i]->constraints_n;
    }
    for (const struct rg_channel_waiting *w = channels->waiting; w != NULL; w = w->next) {
        if (!rg_str_eq(rg_channel_topic(w->channel), topic))
            used += w->channel->constraints_n;
    }
    return used < max ? max - used : 0;
}

/* The join's payload as a subscription. */
static int read_subscription(const struct rg_client *client, const struct rg_phx_message *join,
                             struct rg_str type, struct rg_subscription_set **ret,
                             struct rg_why *why)
{
    struct rg_json one_of = {RG_JSON_ARRAY, RG_STR("[]")};
    struct rg_buf list = {0};

    if (join->payload.kind == RG_JSON_OBJECT) {
        struct rg_json given = rg_json_member(join->payload, RG_STR("oneOf"));
        one_of = given.kind != RG_JSON_NONE ? given : one_of;
    } else if (join->payload.kind != RG_JSON_NONE && join->payload.kind != RG_JSON_NULL) {
        return rg_why_set(why, RG_EINVAL, "", "the payload must be an object");
    }
    rg_buf_add_c(&list, "[{\"eventType\":");
    rg_json_add_string(&list, type);
    rg_buf_add_c(&list, ",\"oneOf\":");
    rg_buf_add_str(&list, one_of.text);
    rg_buf_add_c(&list, "}]");
    int err = rg_subscription_parse(client->hub->push->extractors, rg_buf_str(&list), false,
                                    constraints_left(client, join->topic), ret, why);
    rg_buf_done(&list);
    return err;
}

static bool refuse_subscription(struct rg_client *client, const struct rg_phx_message *join,
                                int err, const struct rg_why *why)
{
    const struct rg_phx_reply to = rg_channel_reply_to(join);
    struct rg_buf text = {0};

    if (err == RG_EFULL)
        return rg_channels_refuse(client, &to, RG_JOIN_LIMIT, "too many subscriptions");
    rg_buf_add_c(&text, why->text);
    /* A place in the list of one that was made of the payload. */
    if (rg_str_starts_with(rg_str_c(why->place), RG_STR("/0/")))
        rg_buf_addf(&text, " at %s", why->place + 2);
    rg_buf_add_char(&text, '\0');
    rg_channels_refuse(client, &to, RG_JOIN_SUBSCRIPTIONS, text.p);
    rg_buf_done(&text);
    return false;
}

/* ---- SUBSCRIPTION_CHECK ---- */

static void on_verdict(struct rg_question *question)
{
    struct rg_channel_waiting *waiting =
        RG_CONTAINER_OF(question, struct rg_channel_waiting, question);
    struct rg_channel *channel = waiting->channel;
    struct rg_client *client = waiting->client;

    if (client != NULL)
        rg_channels_unlink_waiting(client->channels, waiting);
    if (client != NULL && question->is_allowed) {
        rg_channels_enter(client, RG_STEAL(channel));
    } else if (client != NULL) {
        struct rg_phx_reply to = rg_channel_reply_to_join(channel);
        rg_channels_refuse(client, &to, RG_JOIN_CHECK, "subscription denied (not authorized)");
    }
    rg_channel_free(&channel);
    rg_free(waiting);
}

/* Takes channel, and waits with it. set is what it would subscribe to. */
static bool ask_service(struct rg_client *client, struct rg_channel *channel,
                        const struct rg_subscription_set *set)
{
    struct rg_channels *channels = client->channels;
    struct rg_channel_waiting *waiting = rg_zalloc(sizeof(*waiting));
    struct rg_buf body = {0}, authorization = {0};

    rg_buf_add_c(&body, "{\"subscriptions\":");
    rg_buf_add_str(&body, rg_buf_str(&set->echo));
    rg_buf_add_char(&body, '}');
    if (channels->token != NULL)
        rg_buf_addf(&authorization, "Bearer %s", channels->token);
    int err = rg_question_ask(&waiting->question, client->hub,
                              &client->hub->push->settings.subscription_check,
                              RG_STR("application/json; charset=utf-8"), rg_buf_str(&authorization),
                              rg_buf_str(&body), on_verdict);
    rg_buf_done(&body);
    rg_buf_done(&authorization);
    if (err < 0) {
        struct rg_phx_reply to = rg_channel_reply_to_join(channel);
        rg_channels_refuse(client, &to, RG_JOIN_CHECK, "the gateway is shutting down");
        rg_channel_free(&channel);
        rg_free(waiting);
        return false;
    }
    waiting->client = client;
    waiting->channel = channel;
    waiting->next = channels->waiting;
    channels->waiting = waiting;
    channels->waiting_n++;
    return true;
}

bool rg_channel_join_events(struct rg_client *client, const struct rg_phx_message *join,
                            struct rg_str type)
{
    const struct rg_policy *policy = &client->hub->push->settings.subscription_check;
    struct rg_subscription_set *set = NULL;
    struct rg_why why = {0};
    struct rg_channel_waiting *waiting;
    bool is_in;
    int err = read_subscription(client, join, type, &set, &why);

    if (err < 0)
        return refuse_subscription(client, join, err, &why);
    rg_assert(set != NULL);
    struct rg_channel *channel = rg_channel_new(RG_CHANNEL_EVENTS, join);
    channel->keys_n = (uint32_t)set->keys_n;
    channel->keys = RG_STEAL(set->keys);
    channel->constraints_n = count_constraints(rg_json_member(join->payload, RG_STR("oneOf")));
    waiting = rg_channels_find_waiting(client->channels, join->topic);
    if (waiting != NULL)
        rg_channels_unlink_waiting(client->channels, waiting);
    /* jwt_validation: who has channels came with a valid token. */
    is_in = policy->kind == RG_POLICY_ASK ? ask_service(client, channel, set)
                                          : rg_channels_enter(client, channel);
    rg_subscription_set_free(&set);
    return is_in;
}
