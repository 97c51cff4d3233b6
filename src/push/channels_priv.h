/*
 * channels_priv.h - what the parts of the channels of a socket share: channels.c, who joins what
 * and leaves; channel.c, one channel and what is said on it; channel_presence.c, who is seen there;
 * channel_events.c, the topics of events.
 *
 * A client may end with any message that it is sent, and then its channels are gone. So every
 * change is made as a whole first (array, index, roster) and told afterwards.
 *
 * Thread: the reactor of the client.
 */
#pragma once

#include "auth/identity.h"
#include "push/channels.h"
#include "push/question.h"

enum rg_channel_kind {
    RG_CHANNEL_OWN,    /* "user:..." of the bearer of the token */
    RG_CHANNEL_OTHERS, /* of somebody else */
    RG_CHANNEL_ROLE,   /* "role:..." */
    RG_CHANNEL_EVENTS  /* "events:..." */
};

/* One joined topic, or one that is about to be. */
struct rg_channel {
    unsigned char kind; /* enum rg_channel_kind */
    uint16_t topic_n, ref_n, join_ref_n;
    uint32_t keys_n, constraints_n;
    struct rg_subscription_key *keys; /* of events: keys_n of them */
    struct rg_presences *presences;   /* NULL: nobody is seen because of it */
    uint64_t version;                 /* of the roster, when it began to watch */
    int64_t joined_ms;                /* 1970; not of events */
    char text[];                      /* topic, and the references of its phx_join */
};

/* A channel that waits for SUBSCRIPTION_CHECK. */
struct rg_channel_waiting {
    struct rg_question question;
    struct rg_client *client; /* NULL: another join or a leave has taken its place */
    struct rg_channel *channel;
    struct rg_channel_waiting *next;
};

struct rg_channels {
    struct rg_claims *claims;
    struct rg_identity *identity;
    char *token;            /* NULL: nobody asks for it */
    struct rg_channel **at; /* n of them, by topic */
    struct rg_channel_waiting *waiting;
    uint32_t n, waiting_n;
    uint32_t allowance; /* messages that may come at once */
    uint64_t allowance_at_ms;
};

static inline bool rg_channels_is_open(const struct rg_client *client)
{
    return client->state == RG_CLIENT_OPEN;
}

/* ---- channel.c: one channel, which has one owner ---- */

struct rg_channel *rg_channel_new(enum rg_channel_kind kind, const struct rg_phx_message *join);
/* Sets *channelp to NULL (NULL is fine). Nobody is seen because of it any more. */
void rg_channel_free(struct rg_channel **channelp);

static inline struct rg_str rg_channel_topic(const struct rg_channel *channel)
{
    return rg_str_n(channel->text, channel->topic_n);
}

/* True if ref is one of the references of its join. */
bool rg_channel_is_ref(const struct rg_channel *channel, struct rg_str ref);

/* Whom an answer is for, as a phx_reply without its payload; slices of the argument. */
struct rg_phx_reply rg_channel_reply_to(const struct rg_phx_message *message);
struct rg_phx_reply rg_channel_reply_to_join(const struct rg_channel *channel);

/* Each of these may end the client. response is JSON. */
void rg_channel_say(struct rg_client *client, const struct rg_phx_reply *reply);
void rg_channel_answer(struct rg_client *client, const struct rg_phx_reply *to, const char *status,
                       struct rg_str response);
void rg_channel_answer_reason(struct rg_client *client, const struct rg_phx_reply *to,
                              const char *reason);
/* phx_error, for a channel that ends against its will. */
void rg_channel_say_error(struct rg_client *client, const struct rg_channel *channel,
                          const char *payload);
/* phx_close, unless the client has ended, for one that is the caller's; frees it (NULL is fine). */
void rg_channel_close(struct rg_client *client, struct rg_channel **channelp);

/* ---- channel_presence.c ---- */

/*
 * The channel, whose key is in the index, watches its topic and is seen where it should be; the
 * presence_state that it begins with (10.4), of the own topic only, is appended to state.
 */
void rg_channel_appear(struct rg_client *client, struct rg_channel *channel, struct rg_buf *state);
/* The opposite. Outside of a fan-out, as everything that ends clients. */
void rg_channel_vanish(const struct rg_client *client, struct rg_channel *channel);

/* ---- channel_events.c ---- */

/* phx_join of "events:<type>". False if it was refused. */
bool rg_channel_join_events(struct rg_client *client, const struct rg_phx_message *join,
                            struct rg_str type);

/* ---- channels.c ---- */

struct rg_channel *rg_channels_find(const struct rg_channels *channels, struct rg_str topic);
struct rg_channel_waiting *rg_channels_find_waiting(const struct rg_channels *channels,
                                                    struct rg_str topic);
/* Takes it off the list. It is freed when its answer comes. */
void rg_channels_unlink_waiting(struct rg_channels *channels, struct rg_channel_waiting *waiting);

/* The rest of joining, once it is certain. Takes channel. False if there is no room in the index.
 */
bool rg_channels_enter(struct rg_client *client, struct rg_channel *channel);
/* Refuses a join; a channel that was joined before is closed all the same (5.4). Returns false. */
bool rg_channels_refuse(struct rg_client *client, const struct rg_phx_reply *to,
                        enum rg_join_refusal refusal, const char *reason);
