/*
 * channels.h - the channels of one socket, and what its client says on them (legacy-channels.md
 * sections 5, 9 and 10).
 *
 * The same for WebSocket, long-polling and SSE: a transport hands in what the client says, and
 * what is answered goes out through rg_client_put() in the client's encoding. Topics are
 * "user:<name>", "role:<name>" and "events:<type>"; the last gives the CloudEvents of a type, with
 * the constraints of the join's payload ({"oneOf":[{"name":"John"}]}), by the same match index and
 * after the same SUBSCRIPTION_CHECK as for the other dialect.
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
 * Gives client, which has just been made, its channels (none yet) and binds it to its token's
 * session. claims and device are taken (*claimsp and *devicep become NULL). May end the client: its
 * session may be banned already.
 */
void rg_channels_open(struct rg_client *client, struct rg_claims **claimsp,
                      struct rg_device **devicep);

/* Takes one message; may end the client. What it refuses it answers; the socket stays. */
void rg_channels_take(struct rg_client *client, const struct rg_phx_message *message);

/*
 * Joins a topic for a client that cannot say so itself (SSE, 8.1), and sends the reply. True if it
 * was allowed.
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
