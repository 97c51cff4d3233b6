/*
 * channels.h - the channels of one socket, and what its client says on them (legacy-channels.md
 * sections 5, 9 and 10).
 *
 * The same for WebSocket, long-polling and SSE: a transport hands in what the client says, and
 * what is answered goes out through rg_client_put() in the client's encoding. Topics are
 * "user:<name>", "role:<name>" and "events:<type>"; the last gives the CloudEvents of a type, with
 * the constraints of the join's payload ({"oneOf":[{"name":"John"}]}), by the same match index and
 * after the same SUBSCRIPTION_CHECK as for the other dialect. The subscriptions that an extractor
 * derives from claims (client-api.md 12.6) do not apply: a channel gets what was joined.
 *
 * While a join of "events:..." waits for SUBSCRIPTION_CHECK, another join of the topic, or a leave,
 * takes its place: it gets no reply then.
 *
 * Whoever comes with the own "user:..." topic appears in it and in the topics of the own roles, and
 * is announced to subscribers of rig.presence.join and rig.presence.leave (see appearance.h): one
 * event for each device, whatever the number of roles.
 *
 * Thread: the reactor of the client.
 */
#pragma once

#include "auth/claims.h"
#include "push/client.h"
#include "push/device.h"
#include "push/phx.h"

struct rg_channels;

/*
 * Messages that a socket may send in a second, and at once. More end it (1008). A join or leave
 * counts as more than one where the socket has many constraints.
 */
#define RG_CHANNELS_RATE 1000

/*
 * Gives client, which has just been made, its channels (none yet) and binds it to its token's
 * session. claims and device are taken (*claimsp and *devicep become NULL). May end the client: its
 * session may be banned already.
 */
void rg_channels_open(struct rg_client *client, struct rg_claims **claimsp,
                      struct rg_device **devicep);

/*
 * The token that the client came with; the service of SUBSCRIPTION_CHECK gets it. Kept (as a copy)
 * only where there is such a service. Behind rg_channels_open().
 */
void rg_channels_set_token(struct rg_client *client, struct rg_str token);

/* Takes one message; may end the client. What it refuses it answers; the socket stays. */
void rg_channels_take(struct rg_client *client, const struct rg_phx_message *message);

/*
 * Counts one more against RG_CHANNELS_RATE: for what is no message (a ping), as rg_channels_take()
 * counts those. False: that was one too many, and the client has ended.
 */
bool rg_channels_spend(struct rg_client *client);

/*
 * Joins a topic for a client that cannot say so itself (SSE, 8.1), and sends the reply. True if it
 * was allowed, or waits for SUBSCRIPTION_CHECK. The queue may be too small for the replies: look at
 * the client's state afterwards.
 */
bool rg_channels_join(struct rg_client *client, struct rg_str topic);

/* For rg_client_ops: the client says on each channel why it ends (phx_error, 5.8) ... */
void rg_channels_say_why(struct rg_client *client);
/* ... leaves all channels and their presences ... */
void rg_channels_leave(struct rg_client *client);
/* ... and everything is freed. */
void rg_channels_free(struct rg_client *client);

/* Whether a diff of presences is news to the client; not one from before it joined. */
bool rg_channels_wants(const struct rg_channels *channels, const struct rg_event *event);

/* For lists of connections. */
size_t rg_channels_count(const struct rg_channels *channels);
struct rg_str rg_channels_topic(const struct rg_channels *channels, size_t i);
