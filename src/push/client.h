/*
 * client.h - one connected client: an SSE stream, a WebSocket, or a long-polling client.
 *
 * A client is open until something ends it; then it is closing, while what must still be
 * said (a close frame, the end of a stream) goes out; then it is gone. It is freed in one place.
 *
 * Thread: the reactor of its hub. No pointer to a client crosses a thread; see token.h for
 * handles.
 */
#pragma once

#include "event/index.h"
#include "net/stream.h"
#include "push/gzip.h"
#include "push/outbox.h"
#include "push/token.h"

struct rg_bond;
struct rg_channels;
struct rg_client;
struct rg_claims;
struct rg_device;
struct rg_hub;
struct rg_seat;
struct rg_longpoll;
struct rg_phx_longpoll;
struct rg_phx_ws;
struct rg_ws_side;

enum rg_transport {
    RG_SSE,
    RG_WS,
    RG_LONGPOLL,
    RG_PHX_SSE, /* these three: sockets of the channels dialect */
    RG_PHX_WS,
    RG_PHX_LONGPOLL,
    RG_TRANSPORTS
};

enum rg_client_state {
    RG_CLIENT_OPEN,
    RG_CLIENT_DOOMED,  /* ended in the middle of a fan-out; closes when that is done */
    RG_CLIENT_CLOSING, /* says goodbye; takes no more events */
    RG_CLIENT_DEAD     /* about to be freed; nothing may be done with it */
};

/* Why a connection ends; each is a label of rgate_disconnects_total. */
enum rg_end {
    RG_END_PEER,       /* the client closed, or its socket broke */
    RG_END_PEER_CLOSE, /* the client sent a close frame */
    RG_END_SLOW,       /* over CLIENT_QUEUE_BYTES */
    RG_END_STALLED,    /* took no byte for HTTP_WRITE_TIMEOUT */
    RG_END_PROTOCOL,   /* malformed WebSocket frames */
    RG_END_POLICY,     /* sent data where only listening is allowed, or too much of it */
    RG_END_REFUSED,    /* the connect request was not acceptable */
    RG_END_SHUTDOWN,   /* the gateway stops */
    RG_END_EXPIRED,    /* a long-polling client that stopped polling */
    RG_END_KILLED,     /* its session was banned */
    RG_END_TOKEN,      /* its token has expired (JWT_EXPIRY_CLOSES, CHANNEL_EXPIRY_CLOSES) */
    RG_END_IDLE,       /* a channel socket that sent nothing for CHANNEL_IDLE_TIMEOUT */
    RG_ENDS
};

/* Why a client is not let in; each but the first is a label of rgate_refused_connects_total. */
enum rg_refusal {
    RG_ADMITTED,
    RG_REFUSED_QUERY,         /* 400: the query string is malformed */
    RG_REFUSED_ORIGIN,        /* 403: of a page whose origin is not in ORIGINS */
    RG_REFUSED_TOKEN,         /* 400: its token or ticket is not valid */
    RG_REFUSED_SUBSCRIPTIONS, /* 400: they are not acceptable */
    RG_REFUSED_CHECK,         /* 400: SUBSCRIPTION_CHECK says no */
    RG_REFUSED_LIMIT,         /* 429: there is no room; limits.h says which */
    RG_REFUSED_DRAINING,      /* 503: the gateway stops before it was decided */
    RG_REFUSALS
};

/* Why a channel cannot be joined; each is a label of rgate_channel_refusals_total. */
enum rg_join_refusal {
    RG_JOIN_UNMATCHED,     /* there is no such topic */
    RG_JOIN_NO_USER,       /* the token does not name a user */
    RG_JOIN_DENIED,        /* the topic is somebody else's */
    RG_JOIN_SUBSCRIPTIONS, /* events: the constraints are not acceptable */
    RG_JOIN_CHECK,         /* events: SUBSCRIPTION_CHECK says no */
    RG_JOIN_LIMIT,         /* MAX_CHANNELS, MAX_SUBSCRIPTIONS */
    RG_JOIN_REFUSALS
};

/* What one kind of client does in its own way; what may be NULL says so. */
struct rg_client_ops {
    const char *name; /* for the log */
    enum rg_transport transport;
    /* After the close frame that we send the peer's is awaited (WebSocket). */
    bool waits_for_peer;
    /* Takes bytes that the peer sent; may end the client. NULL: they mean nothing. */
    void (*receive)(struct rg_client *client, char *p, size_t n);
    /* heartbeat_at_ms has come: moves it on, and does what is due. May end the client. */
    void (*beat)(struct rg_client *client, uint64_t now_ms);
    /* Without a stream: keeps a message until a request fetches it. NULL: with a stream. */
    void (*put)(struct rg_client *client, struct rg_msg *msg);
    /* Without a stream: answers requests that wait, if there is something. True if it did. */
    bool (*answer)(struct rg_client *client);
    /* Without a stream: whether client, which has ended, is kept for a last request. May be NULL.
     */
    bool (*lingers)(const struct rg_client *client);
    /* The token will expire soon. NULL: the client is not told. */
    void (*warn)(struct rg_client *client, struct rg_str warning_json);
    /* What is kept for the client, in bytes. NULL: what its outbox has. */
    size_t (*queued_bytes)(const struct rg_client *client);
    /* Says why the client ends (client->end), while messages can still be put. May be NULL. */
    void (*say_why)(struct rg_client *client);
    /* Appends the last bytes of the stream. NULL: there are none. */
    void (*add_goodbye)(struct rg_client *client, unsigned code, const char *reason,
                        struct rg_buf *out);
    /* The client leaves the index: others hear of it. Not in a fan-out. May be NULL. */
    void (*leave)(struct rg_client *client);
    /* Frees the client's side. May be NULL. */
    void (*free)(struct rg_client *client);
};

struct rg_client {
    struct rg_subscriber subscriber; /* in the hub's index */
    uint64_t last_event;             /* number of the last event it got: never twice */
    struct rg_stream *stream;        /* NULL: long-polling */
    struct rg_outbox outbox;
    struct rg_hub *hub;
    const struct rg_client_ops *ops;
    struct rg_channels *channels; /* NULL: not of the channels dialect */
    struct rg_seat *seat; /* against MAX_CLIENTS and the like; may be NULL; given up at the end */
    struct rg_bond *bond; /* what its tokens mean for it; NULL: nothing */
    uint32_t slot;        /* in the hub's table */
    uint32_t touched_at;  /* in the hub's list of clients to flush, plus one; 0: not there */
    uint32_t subscriptions_n;
    unsigned char transport;   /* enum rg_transport */
    unsigned char encoding;    /* enum rg_encoding */
    unsigned char state;       /* enum rg_client_state */
    unsigned char end;         /* enum rg_end, once it ends */
    struct rg_timer timer;     /* the next of what follows, or of the bond */
    uint64_t heartbeat_at_ms;  /* the time of ops->beat(); what it means is the client's */
    uint64_t stalled_since_ms; /* 0: the socket takes what it gets */
    union {
        struct rg_gzip_total gzip; /* SSE: of the gzip stream, if it is one */
        struct rg_ws_side *ws;
        struct rg_longpoll *longpoll;
        struct rg_phx_ws *phx_ws;
        struct rg_phx_longpoll *phx_longpoll;
    };
    uint64_t sent_bytes; /* taken by the stream, or by answers to polls */
};

/*
 * A client on stream (taken; NULL for long-polling), open and in the hub's table. Its first beat is
 * due after HEARTBEAT_INTERVAL; see rg_client_set_beat().
 */
struct rg_client *rg_client_new(struct rg_hub *hub, const struct rg_client_ops *ops,
                                enum rg_encoding encoding, struct rg_stream *stream);

/* The next call of ops->beat(). */
void rg_client_set_beat(struct rg_client *client, uint64_t at_ms);

/* For ops->beat: a heartbeat in the client's encoding, unless bytes are on their way anyway. */
void rg_client_beat(struct rg_client *client, uint64_t now_ms);

/*
 * The first bytes: the head of the response, as far as it is not out already (it may be empty), and
 * what the client's encoding begins with. Once, before anything else is sent.
 */
void rg_client_begin(struct rg_client *client, struct rg_str head);

/*
 * The first words (client-api.md 4.4): sends rig.connection.create, puts the subscriptions in
 * force, sends rig.subscriptions_set. Takes *setp. May end the client.
 */
void rg_client_greet(struct rg_client *client, struct rg_subscription_set **setp);

/*
 * Replaces the subscriptions (section 9.2) and tells the client. Takes *setp. RG_EFULL as
 * rg_index_set(); nothing has changed then.
 */
int rg_client_subscribe(struct rg_client *client, struct rg_subscription_set **setp);

/*
 * Gives the client a message; it goes out when the hub flushes. A client whose queue is full is
 * ended. Safe in a fan-out.
 */
void rg_client_put(struct rg_client *client, struct rg_msg *msg);

/*
 * As rg_client_put(), but writes at once: for an event that is alone in its batch, so that the
 * first client need not wait until the last one was looked at.
 */
void rg_client_put_now(struct rg_client *client, struct rg_msg *msg);

/* Sends bytes that are not an event (a head, a control frame) and flushes. */
void rg_client_send_bytes(struct rg_client *client, const char *p, size_t n);

/* Sends a gateway event; data is JSON, or p == NULL. */
void rg_client_send_gateway_event(struct rg_client *client, const char *type, struct rg_str data);

/* Writes what the socket takes, or answers polls. May end the client. */
void rg_client_flush(struct rg_client *client);

/*
 * Ends the client, whatever its state: logs and counts why, leaves the index, says goodbye where
 * the transport has a way to (a WebSocket close frame with code and reason; code 0: without; an
 * event rig.session_killed or rig.session_expired), closes. For SSE and long-polling code and
 * reason are not used. A long-polling client whose token has expired stays for a moment, so that
 * its next poll can fetch the event.
 */
void rg_client_end(struct rg_client *client, enum rg_end end, unsigned code, const char *reason);

/* The same because the client's session was banned (client-api.md 13.3). */
void rg_client_end_killed(struct rg_client *client);

/* Closes at once, without a goodbye. */
void rg_client_kill(struct rg_client *client);

/*
 * Ties the client to the session of claims (13.2), if they name one; it may belong to several. A
 * session that is banned already ends the client at once. With JWT_EXPIRY_CLOSES the client also
 * ends when claims expire, unless bound to later ones before; a warning event comes first. Once the
 * head is out and the transport's side is there, before rg_client_greet(); or later.
 *
 * It is tied to the token's jti as well, so that it can be closed by that
 * (legacy-channels.md 13.3). A client with channels goes by CHANNEL_EXPIRY_CLOSES instead.
 */
void rg_client_bind(struct rg_client *client, const struct rg_claims *claims);

/* Keeps what is known of whoever is at the other end (taken; *devicep becomes NULL). */
void rg_client_set_device(struct rg_client *client, struct rg_device **devicep);

struct rg_client_handle rg_client_get_handle(const struct rg_client *client);
