/*
 * The channels of a socket lie in an array, sorted by topic. Joins that wait for an answer from
 * elsewhere are in a list beside it.
 *
 * A client may end with any message that it is sent, and then its channels are gone. So every
 * change is made as a whole first (array, index, roster) and told afterwards.
 */
#include "push/channels.h"

#include "auth/identity.h"
#include "base/alloc.h"
#include "base/clock.h"
#include "base/log.h"
#include "push/appearance.h"
#include "push/hub.h"
#include "push/question.h"

enum kind {
    OWN,    /* "user:..." of the bearer of the token */
    OTHERS, /* of somebody else */
    ROLE,   /* "role:..." */
    EVENTS  /* "events:..." */
};

/* One joined topic, or one that is about to be. */
struct channel {
    enum kind kind;
    uint32_t topic_n, ref_n, join_ref_n;
    uint32_t keys_n, constraints_n;
    struct rg_subscription_key *keys; /* EVENTS: keys_n of them */
    struct rg_presences *presences;   /* NULL: nobody sees it */
    uint64_t version;                 /* of the roster, when it began to watch */
    int64_t joined_ms;                /* 1970 */
    char text[];                      /* topic, and the references of its phx_join */
};

/* A channel that waits for SUBSCRIPTION_CHECK. */
struct waiting {
    struct rg_question question;
    struct rg_client *client; /* NULL: another join or a leave has taken its place */
    struct channel *channel;
    struct waiting *next;
};

struct rg_channels {
    struct rg_claims *claims;
    struct rg_identity *identity;
    char *token;         /* NULL: nobody asks for it */
    struct channel **at; /* n of them */
    struct waiting *waiting;
    uint32_t n, waiting_n;
    uint32_t allowance; /* messages that may come at once */
    uint64_t allowance_at_ms;
};

/* ---- one channel ---- */

static struct channel *channel_new(enum kind kind, const struct rg_phx_message *join)
{
    struct channel *channel =
        rg_zalloc(sizeof(*channel) + join->topic.n + join->ref.n + join->join_ref.n);
    const struct rg_str parts[] = {join->topic, join->ref, join->join_ref};
    char *to = channel->text;

    channel->kind = kind;
    channel->topic_n = (uint32_t)join->topic.n;
    channel->ref_n = (uint32_t)join->ref.n;
    channel->join_ref_n = (uint32_t)join->join_ref.n;
    for (size_t i = 0; i < RG_COUNT_OF(parts); i++) {
        if (parts[i].n > 0)
            memcpy(to, parts[i].p, parts[i].n);
        to += parts[i].n;
    }
    return channel;
}

static void channel_free(struct channel **channelp)
{
    struct channel *channel = RG_STEAL(*channelp);

    if (channel == NULL)
        return;
    rg_assert(channel->presences == NULL);
    rg_free(channel->keys);
    rg_free(channel);
}

static struct rg_str topic_of(const struct channel *channel)
{
    return rg_str_n(channel->text, channel->topic_n);
}

/* The references as messages have them: p == NULL where there was none. */
static struct rg_str ref_of(const struct channel *channel)
{
    return rg_str_n(channel->ref_n > 0 ? channel->text + channel->topic_n : NULL, channel->ref_n);
}

static struct rg_str join_ref_of(const struct channel *channel)
{
    const char *at = channel->text + channel->topic_n + channel->ref_n;

    return rg_str_n(channel->join_ref_n > 0 ? at : NULL, channel->join_ref_n);
}

/* ---- what is said ---- */

static bool is_open(const struct rg_client *client)
{
    return client->state == RG_CLIENT_OPEN;
}

static void say(struct rg_client *client, const struct rg_phx_reply *reply)
{
    struct rg_msg *msg = rg_phx_msg(client->encoding, reply);

    rg_client_put(client, msg);
    rg_msg_unref(&msg);
}

/* Whom an answer is for. */
static struct rg_phx_reply reply_to(const struct rg_phx_message *message)
{
    return (struct rg_phx_reply){.join_ref = message->join_ref,
                                 .ref = message->ref,
                                 .topic = message->topic,
                                 .event = RG_STR("phx_reply")};
}

static struct rg_phx_reply reply_to_join(const struct channel *channel)
{
    return (struct rg_phx_reply){.join_ref = join_ref_of(channel),
                                 .ref = ref_of(channel),
                                 .topic = topic_of(channel),
                                 .event = RG_STR("phx_reply")};
}

static void answer(struct rg_client *client, const struct rg_phx_reply *to, const char *status,
                   struct rg_str response)
{
    struct rg_phx_reply reply = *to;
    struct rg_buf payload = {0};

    rg_buf_addf(&payload, "{\"status\":\"%s\",\"response\":", status);
    rg_buf_add_str(&payload, response);
    rg_buf_add_char(&payload, '}');
    reply.payload = rg_buf_str(&payload);
    say(client, &reply);
    rg_buf_done(&payload);
}

static void answer_reason(struct rg_client *client, const struct rg_phx_reply *to,
                          const char *reason)
{
    struct rg_buf response = {0};

    rg_buf_add_c(&response, "{\"reason\":");
    rg_json_add_string(&response, rg_str_c(reason));
    rg_buf_add_char(&response, '}');
    answer(client, to, "error", rg_buf_str(&response));
    rg_buf_done(&response);
}

/* phx_close and phx_error: both references are those of the join (4.3). */
static void say_end(struct rg_client *client, const struct channel *channel, struct rg_str event,
                    struct rg_str payload)
{
    say(client, &(struct rg_phx_reply){ref_of(channel), ref_of(channel), topic_of(channel), event,
                                       payload});
}

/* Of a channel that is not one of the client's any more. */
static void say_close(struct rg_client *client, struct channel **channelp)
{
    if (*channelp != NULL && is_open(client))
        say_end(client, *channelp, RG_STR("phx_close"), RG_STR("{}"));
    channel_free(channelp);
}

/* ---- presence ---- */

static struct rg_appearance appearance_of(const struct rg_client *client,
                                          const struct channel *channel)
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
static void tell_subscribers(const struct rg_client *client, const struct channel *channel,
                             const char *type)
{
    static const struct rg_origin origin = {RG_SOURCE_GATEWAY, 0, -1, -1, -1};
    const struct rg_hub *hub = client->hub;
    char phx_ref[RG_PHX_REF_LEN + 1];
    struct rg_appearance appearance;
    struct rg_buf event = {0};
    struct rg_why why = {0};
    uint64_t fields;

    if (!rg_interest_of_type(hub->push->interest, rg_str_c(type), &fields))
        return;
    appearance = appearance_of(client, channel);
    /* The own topic is behind those of the roles. */
    rg_presences_ref(channel->presences, appearance.identity->roles_n, phx_ref);
    rg_appearance_add_event(&appearance, type, phx_ref, &event);
    if (rg_dispatch(hub->dispatcher, rg_buf_str(&event), RG_CHECK_ALL, &origin, NULL, &why) < 0)
        rg_log_warn("presence event lost", RG_FS("reason", why.text));
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

static void appear_in(struct rg_client *client, struct channel *channel,
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
        topic_of(channel), hub->reactor->now_ms, state, &channel->version);
    rg_buf_done(&meta);
}

/* The channel, whose key is in the index, watches and is seen; state as in 10.4 for the own topic.
 */
static void appear(struct rg_client *client, struct channel *channel, struct rg_buf *state)
{
    const struct rg_identity *identity = client->channels->identity;
    struct rg_str topic = topic_of(channel), *topics;
    struct rg_buf text = {0};

    switch (channel->kind) {
    case OWN:
        topics = own_topics(identity, topic, &text);
        appear_in(client, channel, topics, identity->roles_n + 1, state);
        rg_free(topics);
        rg_buf_done(&text);
        tell_subscribers(client, channel, RG_PRESENCE_JOIN);
        break;
    case OTHERS:
        appear_in(client, channel, &topic, 1, NULL);
        break;
    case ROLE:
        appear_in(client, channel, NULL, 0, NULL);
        break;
    case EVENTS:
        break;
    }
}

/* Outside of a fan-out, as everything that ends clients. */
static void vanish(const struct rg_client *client, struct channel *channel)
{
    const struct rg_hub *hub = client->hub;

    if (channel->kind == OWN)
        tell_subscribers(client, channel, RG_PRESENCE_LEAVE);
    rg_roster_leave(hub->push->roster, &channel->presences, hub->reactor->now_ms);
}

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
        if (compare(topic_of(channels->at[middle]), topic) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static struct channel *find(const struct rg_channels *channels, struct rg_str topic)
{
    size_t at = place_of(channels, topic);

    return at < channels->n && rg_str_eq(topic_of(channels->at[at]), topic) ? channels->at[at]
                                                                            : NULL;
}

static struct waiting *find_waiting(const struct rg_channels *channels, struct rg_str topic)
{
    struct waiting *waiting = channels->waiting;

    while (waiting != NULL && !rg_str_eq(topic_of(waiting->channel), topic))
        waiting = waiting->next;
    return waiting;
}

/* Takes it off the list. */
static void unlink_waiting(struct rg_channels *channels, struct waiting *waiting)
{
    struct waiting **link = &channels->waiting;

    while (*link != waiting)
        link = &(*link)->next;
    *link = waiting->next;
    waiting->client = NULL;
    channels->waiting_n--;
}

/* Puts channel in its place; returns the one that was there. */
static struct channel *put_in(struct rg_channels *channels, struct channel *channel)
{
    size_t at = place_of(channels, topic_of(channel));
    struct channel *old = find(channels, topic_of(channel));

    if (old == NULL) {
        channels->at = rg_realloc_array(channels->at, channels->n + 1, sizeof(struct channel *));
        memmove(channels->at + at + 1, channels->at + at,
                (channels->n - at) * sizeof(struct channel *));
        channels->n++;
    }
    channels->at[at] = channel;
    return old;
}

static void take_out(struct rg_channels *channels, const struct channel *channel)
{
    size_t at = place_of(channels, topic_of(channel));

    channels->n--;
    memmove(channels->at + at, channels->at + at + 1,
            (channels->n - at) * sizeof(struct channel *));
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
        n += channels->at[i]->kind == EVENTS ? channels->at[i]->keys_n : 1;
    set.keys = rg_realloc_array(NULL, n, sizeof(set.keys[0]));
    for (size_t i = 0; i < channels->n; i++) {
        const struct channel *channel = channels->at[i];
        if (channel->kind != EVENTS)
            set.keys[set.keys_n++] = rg_subscription_key_of_channel(topic_of(channel));
        for (size_t k = 0; k < channel->keys_n; k++)
            set.keys[set.keys_n++] = channel->keys[k];
    }
    int err = rg_index_set(hub->index, &client->subscriber, &set);
    rg_free(set.keys);
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
static struct channel *end_channel(struct rg_client *client, struct rg_str topic)
{
    struct rg_channels *channels = client->channels;
    struct channel *channel = find(channels, topic);
    struct waiting *waiting = find_waiting(channels, topic);

    if (waiting != NULL)
        unlink_waiting(channels, waiting);
    if (channel == NULL)
        return NULL;
    take_out(channels, channel);
    rg_assert(use_keys(client) == 0); /* fewer keys are never too many */
    vanish(client, channel);
    return channel;
}

/* ---- joining ---- */

static void count_refusal(const struct rg_client *client, enum rg_join_refusal refusal)
{
    rg_count(client->hub->counters, RG_HUB_JOIN_REFUSALS + (size_t)refusal, 1);
}

/* A channel that is joined again is closed, however that ends (5.4). Returns false. */
static bool refuse(struct rg_client *client, const struct rg_phx_reply *to,
                   enum rg_join_refusal refusal, const char *reason)
{
    struct channel *old = end_channel(client, to->topic);

    count_refusal(client, refusal);
    answer_reason(client, to, reason);
    say_close(client, &old);
    return false;
}

/* The rest of joining, once it is certain. Takes channel. */
static bool enter(struct rg_client *client, struct channel *channel)
{
    struct channel *old = put_in(client->channels, channel);
    struct rg_phx_reply to = reply_to_join(channel);
    struct rg_buf state = {0};

    if (use_keys(client) < 0) {
        take_out(client->channels, channel);
        rg_assert(use_keys(client) == 0);
        refuse(client, &to, RG_JOIN_LIMIT, "too many different combinations of fields");
        say_close(client, &old);
        channel_free(&channel);
        return false;
    }
    if (old != NULL)
        vanish(client, old);
    appear(client, channel, &state);
    rg_count(client->hub->counters, RG_HUB_JOINS, 1);
    answer(client, &to, "ok", RG_STR("{}"));
    say_close(client, &old);
    if (is_open(client) && channel->kind == OWN)
        say(client, &(struct rg_phx_reply){.topic = topic_of(channel),
                                           .event = RG_STR("presence_state"),
                                           .payload = rg_buf_str(&state)});
    rg_buf_done(&state);
    return true;
}

static void on_verdict(struct rg_question *question)
{
    struct waiting *waiting = RG_CONTAINER_OF(question, struct waiting, question);
    struct channel *channel = waiting->channel;
    struct rg_client *client = waiting->client;

    if (client != NULL)
        unlink_waiting(client->channels, waiting);
    if (client != NULL && question->is_allowed) {
        enter(client, RG_STEAL(channel));
    } else if (client != NULL) {
        struct rg_phx_reply to = reply_to_join(channel);
        refuse(client, &to, RG_JOIN_CHECK, "subscription denied (not authorized)");
    }
    channel_free(&channel);
    rg_free(waiting);
}

/* Takes channel, and waits with it. set is what it would subscribe to. */
static bool ask_service(struct rg_client *client, struct channel *channel,
                        const struct rg_subscription_set *set)
{
    struct rg_channels *channels = client->channels;
    struct waiting *waiting = rg_zalloc(sizeof(*waiting));
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
        struct rg_phx_reply to = reply_to_join(channel);
        refuse(client, &to, RG_JOIN_CHECK, "the gateway is shutting down");
        channel_free(&channel);
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

/* ---- topics of events ---- */

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
        if (!rg_str_eq(topic_of(channels->at[i]), topic))
            used += channels->at[i]->constraints_n;
    }
    for (const struct waiting *w = channels->waiting; w != NULL; w = w->next) {
        if (!rg_str_eq(topic_of(w->channel), topic))
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
    const struct rg_phx_reply to = reply_to(join);
    struct rg_buf text = {0};

    if (err == RG_EFULL)
        return refuse(client, &to, RG_JOIN_LIMIT, "too many subscriptions");
    rg_buf_add_c(&text, why->text);
    /* A place in the list of one that was made of the payload. */
    if (rg_str_starts_with(rg_str_c(why->place), RG_STR("/0/")))
        rg_buf_addf(&text, " at %s", why->place + 2);
    rg_buf_add_char(&text, '\0');
    refuse(client, &to, RG_JOIN_SUBSCRIPTIONS, text.p);
    rg_buf_done(&text);
    return false;
}

static bool join_events(struct rg_client *client, const struct rg_phx_message *join,
                        struct rg_str type)
{
    const struct rg_policy *policy = &client->hub->push->settings.subscription_check;
    struct rg_subscription_set *set = NULL;
    struct rg_why why = {0};
    struct waiting *waiting;
    bool is_in;
    int err = read_subscription(client, join, type, &set, &why);

    if (err < 0)
        return refuse_subscription(client, join, err, &why);
    struct channel *channel = channel_new(EVENTS, join);
    channel->keys_n = (uint32_t)set->keys_n;
    channel->keys = RG_STEAL(set->keys);
    channel->constraints_n = count_constraints(rg_json_member(join->payload, RG_STR("oneOf")));
    waiting = find_waiting(client->channels, join->topic);
    if (waiting != NULL)
        unlink_waiting(client->channels, waiting);
    /* jwt_validation: who has channels came with a valid token. */
    is_in =
        policy->kind == RG_POLICY_ASK ? ask_service(client, channel, set) : enter(client, channel);
    rg_subscription_set_free(&set);
    return is_in;
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
    const struct rg_phx_reply to = reply_to(join);
    struct rg_buf text = {0}, response = {0};

    rg_buf_add_c(&text, "unauthorized user with id ");
    add_quoted(&text, client->channels->identity->user);
    rg_buf_add_c(&text, " tried to join ");
    add_quoted(&text, join->topic);
    rg_buf_add_char(&text, '!');
    rg_json_add_string(&response, rg_buf_str(&text));
    count_refusal(client, RG_JOIN_DENIED);
    answer(client, &to, "error", rg_buf_str(&response));
    rg_buf_done(&text);
    rg_buf_done(&response);
    return false;
}

/* "user:..." and "role:..."; user is the name in the first. */
static bool join_people(struct rg_client *client, const struct rg_phx_message *join,
                        const struct rg_str *user)
{
    const struct rg_identity *identity = client->channels->identity;
    const struct rg_phx_reply to = reply_to(join);
    enum kind kind = ROLE;

    if (identity->user.p == NULL)
        return refuse(client, &to, RG_JOIN_NO_USER, "join crashed");
    if (user != NULL)
        kind = rg_str_eq(*user, identity->user) ? OWN : OTHERS;
    if (kind != OWN && !identity->is_privileged)
        return refuse_denied(client, join);
    return enter(client, channel_new(kind, join));
}

/* One more topic would be too many. */
static bool is_full(const struct rg_client *client, struct rg_str topic)
{
    const struct rg_channels *channels = client->channels;

    return find(channels, topic) == NULL && find_waiting(channels, topic) == NULL &&
           channels->n + channels->waiting_n >= client->hub->push->settings.channels.max_channels;
}

static struct rg_str behind(struct rg_str topic, struct rg_str prefix)
{
    return rg_str_n(topic.p + prefix.n, topic.n - prefix.n);
}

static bool join(struct rg_client *client, const struct rg_phx_message *message)
{
    const struct rg_str user = RG_STR("user:"), role = RG_STR("role:"), events = RG_STR("events:");
    const struct rg_phx_reply to = reply_to(message);
    struct rg_str topic = message->topic, name;

    if (is_full(client, topic))
        return refuse(client, &to, RG_JOIN_LIMIT, "too many channels");
    if (rg_str_starts_with(topic, events))
        return join_events(client, message, behind(topic, events));
    if (rg_str_starts_with(topic, role))
        return join_people(client, message, NULL);
    if (!rg_str_starts_with(topic, user))
        return refuse(client, &to, RG_JOIN_UNMATCHED, "unmatched topic");
    name = behind(topic, user);
    return join_people(client, message, &name);
}

bool rg_channels_join(struct rg_client *client, struct rg_str topic)
{
    const struct rg_phx_message message = {.topic = topic, .event = RG_STR("phx_join")};

    return is_open(client) && join(client, &message);
}

/* ---- everything else that clients say ---- */

static bool is_null(struct rg_str ref)
{
    return ref.n == 0 || rg_str_eq(ref, RG_STR("null"));
}

/* Whether the message is for a channel that has been joined again since (5.5). */
static bool is_stale(const struct rg_client *client, const struct rg_phx_message *message)
{
    const struct waiting *waiting = find_waiting(client->channels, message->topic);
    const struct channel *channel =
        waiting != NULL ? waiting->channel : find(client->channels, message->topic);
    bool is_v1 = client->encoding == RG_ENC_PHX_WS_V1 || client->encoding == RG_ENC_PHX_JSON_V1;

    return channel != NULL && !is_v1 && !is_null(message->join_ref) &&
           !rg_str_eq(message->join_ref, ref_of(channel)) &&
           !rg_str_eq(message->join_ref, join_ref_of(channel));
}

static void leave(struct rg_client *client, const struct rg_phx_message *message)
{
    const struct rg_phx_reply to = reply_to(message);

    if (is_stale(client, message))
        return;
    struct channel *channel = end_channel(client, message->topic);
    answer(client, &to, "ok", RG_STR("{}"));
    say_close(client, &channel);
}

/* Nobody answers on a topic that is joined (5.7). */
static void take_other(struct rg_client *client, const struct rg_phx_message *message)
{
    struct rg_phx_reply to = reply_to(message);

    if (rg_str_eq(message->topic, RG_STR("phoenix")) &&
        rg_str_eq(message->event, RG_STR("heartbeat"))) {
        to.join_ref = rg_str_n(NULL, 0);
        answer(client, &to, "ok", RG_STR("{}"));
    } else if (find(client->channels, message->topic) == NULL &&
               find_waiting(client->channels, message->topic) == NULL) {
        answer_reason(client, &to, "unmatched topic");
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
    if (!is_open(client))
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
         payload != NULL && is_open(client) && i < rg_channels_count(client->channels); i++)
        say_end(client, client->channels->at[i], RG_STR("phx_error"), rg_str_c(payload));
}

void rg_channels_leave(struct rg_client *client)
{
    struct rg_channels *channels = client->channels;

    if (channels == NULL)
        return;
    while (channels->waiting != NULL)
        unlink_waiting(channels, channels->waiting);
    for (size_t i = 0; i < channels->n; i++) {
        vanish(client, channels->at[i]);
        channel_free(&channels->at[i]);
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
    const struct channel *channel = find(channels, rg_event_type(event));

    return channel != NULL && (uint64_t)event->origin.offset >= channel->version;
}

size_t rg_channels_count(const struct rg_channels *channels)
{
    return channels->n;
}

struct rg_str rg_channels_topic(const struct rg_channels *channels, size_t i)
{
    rg_assert(i < channels->n);
    return topic_of(channels->at[i]);
}
