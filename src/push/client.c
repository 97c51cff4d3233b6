#include "push/client.h"

#include "auth/blacklist.h"
#include "auth/claims.h"
#include "base/alloc.h"
#include "base/clock.h"
#include "base/log.h"
#include "push/device.h"
#include "push/gateway_event.h"
#include "push/hub.h"
#include "push/limits.h"
#include "push/session.h"
#include "push/sse.h"

#define MAX_IOV 64
#define CLOSE_TIMEOUT_MS                                                                           \
    3000 /* for the peer's part of a WebSocket closing handshake; a last poll */
#define WS_TOKEN_EXPIRED 4401 /* of the codes for private use (RFC 6455 7.4.2): HTTP's 401 */

static const char shutting_down[] = "The gateway is shutting down.";
static const char session_killed[] = "Session killed.";

static const char *const end_names[] = {"peer",     "peer_close", "slow",          "stalled",
                                        "protocol", "policy",     "refused",       "shutdown",
                                        "expired",  "killed",     "token_expired", "idle"};

/* ---- timer: heartbeats, the write deadline, the end of a token, no polls any more ---- */

static uint64_t expiry_due_ms(const struct rg_client *client)
{
    return client->bond != NULL ? rg_expiry_due_ms(&client->bond->expiry) : UINT64_MAX;
}

static void set_timer(struct rg_client *client)
{
    uint64_t deadline = UINT64_MAX;

    if (client->state == RG_CLIENT_OPEN) {
        uint64_t expiry = expiry_due_ms(client);
        deadline = client->heartbeat_at_ms < expiry ? client->heartbeat_at_ms : expiry;
    }
    if (client->stalled_since_ms != 0) {
        uint64_t cut = client->stalled_since_ms + client->hub->push->settings.write_timeout_ms;
        deadline = cut < deadline ? cut : deadline;
    }
    if (client->state == RG_CLIENT_CLOSING && client->stalled_since_ms == 0)
        deadline = client->hub->reactor->now_ms + CLOSE_TIMEOUT_MS;
    rg_wheel_set(&client->hub->reactor->wheel, &client->timer, deadline);
}

void rg_client_set_beat(struct rg_client *client, uint64_t at_ms)
{
    client->heartbeat_at_ms = at_ms;
    set_timer(client);
}

void rg_client_beat(struct rg_client *client, uint64_t now_ms)
{
    uint64_t interval = client->hub->push->settings.heartbeat_ms;
    uint64_t next = client->heartbeat_at_ms + interval;

    rg_outbox_shrink(&client->outbox);
    rg_client_set_beat(client, next > now_ms ? next : now_ms + interval);
    /* Bytes on their way say as much, and a heartbeat must not be what makes a queue too long. */
    if (client->outbox.n == 0)
        rg_client_put(client, rg_hub_heartbeat(client->hub, client->encoding));
}

static void on_expiry_due(struct rg_client *client, uint64_t now)
{
    struct rg_expiry *expiry = &client->bond->expiry;
    struct rg_buf data = {0};

    if (now >= expiry->at_ms) {
        rg_client_end(client, RG_END_TOKEN, WS_TOKEN_EXPIRED, RG_SESSION_EXPIRED);
        return;
    }
    rg_expiry_add_warning(expiry, now, &data);
    expiry->warn_at_ms = UINT64_MAX;
    set_timer(client);
    if (client->ops->warn != NULL)
        client->ops->warn(client, rg_buf_str(&data));
    rg_buf_done(&data);
}

static void on_timer(struct rg_timer *timer)
{
    struct rg_client *client = RG_CONTAINER_OF(timer, struct rg_client, timer);
    struct rg_hub *hub = client->hub;
    uint64_t now = hub->reactor->now_ms;

    if (client->state == RG_CLIENT_CLOSING)
        rg_client_kill(client);
    else if (client->stalled_since_ms != 0 &&
             now >= client->stalled_since_ms + hub->push->settings.write_timeout_ms)
        rg_client_end(client, RG_END_STALLED, 1008, "The client does not read.");
    else if (now >= expiry_due_ms(client))
        on_expiry_due(client, now);
    else if (now >= client->heartbeat_at_ms)
        client->ops->beat(client, now);
    else
        set_timer(client);
    rg_hub_settle(hub);
}

/* ---- what the socket says ---- */

static void on_readable(struct rg_stream *stream)
{
    struct rg_client *client = stream->owner;
    struct rg_hub *hub = client->hub;
    char *buffer = hub->reactor->read_buffer;
    long n = rg_stream_read(stream, buffer, RG_READ_BUFFER);

    if (n == UV_EAGAIN)
        return;
    if (n <= 0)
        rg_client_end(client, RG_END_PEER, 0, NULL);
    else if (client->ops->receive != NULL)
        client->ops->receive(client, buffer, (size_t)n);
    rg_hub_settle(hub);
}

static void on_writable(struct rg_stream *stream)
{
    struct rg_client *client = stream->owner;
    struct rg_hub *hub = client->hub;

    rg_client_flush(client);
    rg_hub_settle(hub);
}

static void on_hangup(struct rg_stream *stream)
{
    struct rg_client *client = stream->owner;
    struct rg_hub *hub = client->hub;

    rg_client_end(client, RG_END_PEER, 0, NULL);
    rg_hub_settle(hub);
}

static const struct rg_stream_events client_events = {on_readable, on_writable, on_hangup};

/* ---- life ---- */

struct rg_client *rg_client_new(struct rg_hub *hub, const struct rg_client_ops *ops,
                                enum rg_encoding encoding, struct rg_stream *stream)
{
    struct rg_client *client = rg_zalloc(sizeof(*client));

    client->hub = hub;
    client->ops = ops;
    client->transport = (unsigned char)ops->transport;
    client->encoding = (unsigned char)encoding;
    client->stream = stream;
    client->timer.fn = on_timer;
    rg_hub_join(hub, client);
    rg_client_set_beat(client, hub->reactor->now_ms + hub->push->settings.heartbeat_ms);
    if (stream != NULL)
        rg_stream_adopt(stream, &client_events, client);
    return client;
}

void rg_client_begin(struct rg_client *client, struct rg_str head)
{
    struct rg_buf bytes = {0};

    rg_buf_add_str(&bytes, head);
    rg_sse_add_begin(&bytes, client->encoding);
    if (bytes.n > 0)
        rg_client_send_bytes(client, bytes.p, bytes.n);
    rg_buf_done(&bytes);
}

void rg_client_greet(struct rg_client *client, struct rg_subscription_set **setp)
{
    struct rg_buf data = {0};

    rg_buf_add_c(&data, "{\"connection_token\":\"");
    rg_token_add(client->hub->push, rg_client_get_handle(client), &data);
    rg_buf_add_c(&data, "\"}");
    rg_client_send_gateway_event(client, "rig.connection.create", rg_buf_str(&data));
    rg_buf_done(&data);
    /* A queue that is too small or a socket that is broken ends a client with its first words. */
    if (client->state != RG_CLIENT_OPEN) {
        rg_subscription_set_free(setp);
        return;
    }

    if (rg_client_subscribe(client, setp) < 0) {
        rg_log_warn("client refused", RG_FS("reason", "too many field sets in use"));
        rg_subscription_set_free(setp);
        rg_client_end(client, RG_END_REFUSED, 1013, "Too many kinds of subscriptions.");
    }
    if (client->hub->is_draining)
        rg_client_end(client, RG_END_SHUTDOWN, 1001, shutting_down);
    rg_client_flush(client);
}

int rg_client_subscribe(struct rg_client *client, struct rg_subscription_set **setp)
{
    struct rg_subscription_set *set = *setp;
    struct rg_hub *hub = client->hub;
    int err = rg_index_set(hub->index, &client->subscriber, set);

    if (err < 0)
        return err;
    *setp = NULL;
    rg_count(hub->counters, RG_HUB_SUBSCRIPTIONS,
             (int64_t)set->subscriptions_n - (int64_t)client->subscriptions_n);
    client->subscriptions_n = (uint32_t)set->subscriptions_n;
    rg_client_send_gateway_event(client, "rig.subscriptions_set", rg_buf_str(&set->echo));
    rg_subscription_set_free(&set);
    return 0;
}

struct rg_client_handle rg_client_get_handle(const struct rg_client *client)
{
    return rg_hub_handle(client->hub, client);
}

/* ---- messages ---- */

/* What the client's gzip stream contains, if it has one, once it gets msg. */
static void count(struct rg_client *client, const struct rg_msg *msg)
{
    if (msg->sum.n > 0)
        rg_gzip_count(&client->gzip, &msg->sum);
}

static void consume(struct rg_client *client, size_t n)
{
    client->sent_bytes += n;
    rg_outbox_consume(&client->outbox, n);
}

static bool put(struct rg_client *client, struct rg_msg *msg)
{
    if (rg_outbox_put(&client->outbox, msg, client->hub->push->settings.client_queue_bytes) < 0)
        return false;
    count(client, msg);
    return true;
}

/* Queues msg; a client that has no room for it is ended. True if there is something to flush. */
static bool enqueue(struct rg_client *client, struct rg_msg *msg)
{
    if (put(client, msg))
        return true;
    /* The batch may be all that is queued: the socket may take it now. */
    if (client->stalled_since_ms == 0)
        rg_client_flush(client);
    if (client->state != RG_CLIENT_OPEN)
        return false;
    if (put(client, msg))
        return true;
    rg_client_end(client, RG_END_SLOW, 1008, "The client reads too slowly.");
    return false;
}

void rg_client_put(struct rg_client *client, struct rg_msg *msg)
{
    if (client->state != RG_CLIENT_OPEN)
        return;
    if (client->ops->put != NULL)
        client->ops->put(client, msg);
    else if (!enqueue(client, msg))
        return;
    /* A socket that takes nothing says when it does again; until then a flush is a call in vain. */
    if (client->stalled_since_ms == 0)
        rg_hub_touch(client->hub, client);
}

void rg_client_put_now(struct rg_client *client, struct rg_msg *msg)
{
    if (client->state != RG_CLIENT_OPEN || client->outbox.n > 0 || client->stream == NULL) {
        rg_client_put(client, msg);
        return;
    }
    long wrote = rg_stream_write(client->stream, msg->p, msg->n);
    rg_count(client->hub->counters, RG_HUB_WRITES, 1);
    if (wrote == (long)msg->n) {
        client->sent_bytes += msg->n;
        count(client, msg);
        return;
    }
    /* The rest waits; a broken socket is found again by the flush. */
    if (!enqueue(client, msg))
        return;
    if (wrote > 0)
        consume(client, (size_t)wrote);
    rg_hub_touch(client->hub, client);
}

void rg_client_send_bytes(struct rg_client *client, const char *p, size_t n)
{
    struct rg_msg *msg = rg_msg_from_bytes(p, n);

    rg_client_put(client, msg);
    rg_msg_unref(&msg);
}

void rg_client_send_gateway_event(struct rg_client *client, const char *type, struct rg_str data)
{
    struct rg_buf json = {0};
    char id[RG_UUID_LEN + 1];

    rg_gateway_event_add(&json, type, data, id);
    struct rg_msg *msg = rg_msg_from_json(client->encoding, rg_str_c(type),
                                          rg_str_n(id, RG_UUID_LEN), rg_buf_str(&json));
    rg_client_put(client, msg);
    rg_msg_unref(&msg);
    rg_buf_done(&json);
}

static void became_stalled(struct rg_client *client)
{
    client->stalled_since_ms = client->hub->reactor->now_ms;
    set_timer(client);
    rg_stream_want(client->stream, true, true);
}

static void drained(struct rg_client *client)
{
    if (client->stalled_since_ms != 0) {
        client->stalled_since_ms = 0;
        rg_stream_want(client->stream, true, false);
        set_timer(client);
    }
    if (client->state != RG_CLIENT_CLOSING)
        return;
    /* After a close frame of ours the client's is due; in all other cases this was the last byte.
     */
    if (client->ops->waits_for_peer && client->end != RG_END_PEER_CLOSE) {
        set_timer(client);
        return;
    }
    rg_client_kill(client);
}

void rg_client_flush(struct rg_client *client)
{
    struct iovec iov[MAX_IOV];

    /* The last answers of a long-polling client let the hub settle before it is buried. */
    if (client->state == RG_CLIENT_DEAD)
        return;
    if (client->ops->answer != NULL) {
        bool was_answered = client->ops->answer(client);
        if (was_answered && client->state == RG_CLIENT_CLOSING)
            rg_client_kill(client);
        return;
    }
    while (client->outbox.n > 0) {
        int n = rg_outbox_peek(&client->outbox, iov, MAX_IOV);
        size_t want = 0;
        for (int i = 0; i < n; i++)
            want += iov[i].iov_len;
        long wrote = n == 1 ? rg_stream_write(client->stream, iov[0].iov_base, iov[0].iov_len)
                            : rg_stream_writev(client->stream, iov, n);
        rg_count(client->hub->counters, RG_HUB_WRITES, 1);
        if (wrote < 0 && wrote != UV_EAGAIN) {
            rg_client_end(client, RG_END_PEER, 0, NULL);
            return;
        }
        if (wrote > 0)
            consume(client, (size_t)wrote);
        if (wrote < (long)want) {
            if (wrote > 0 || client->stalled_since_ms == 0)
                became_stalled(client);
            return;
        }
    }
    drained(client);
}

/* ---- the end ---- */

static void leave_directory(void *arg, struct rg_str session)
{
    rg_directory_leave(arg, session);
}

static void leave_sessions(struct rg_client *client)
{
    struct rg_hub *hub = client->hub;
    struct rg_bond *bond = RG_STEAL(client->bond);

    rg_ties_each(&bond->sessions, leave_directory, hub->push->directory);
    rg_sessions_leave(hub->sessions, &bond->sessions);
    rg_sessions_leave(hub->tokens, &bond->tokens);
    rg_device_free(&bond->device);
    rg_free(bond);
}

static void leave(struct rg_client *client)
{
    struct rg_hub *hub = client->hub;

    rg_index_leave(hub->index, &client->subscriber);
    if (client->ops->leave != NULL)
        client->ops->leave(client);
    if (client->bond != NULL)
        leave_sessions(client);
    rg_count(hub->counters, RG_HUB_SUBSCRIPTIONS, -(int64_t)client->subscriptions_n);
    client->subscriptions_n = 0;
}

void rg_client_kill(struct rg_client *client)
{
    struct rg_hub *hub = client->hub;

    if (client->state == RG_CLIENT_DEAD)
        return;
    if (client->state != RG_CLIENT_CLOSING)
        leave(client);
    client->state = RG_CLIENT_DEAD;
    rg_reactor_cancel_timer(hub->reactor, &client->timer);
    rg_stream_close(&client->stream);
    rg_outbox_done(&client->outbox);
    if (client->ops->free != NULL)
        client->ops->free(client);
    if (client->seat != NULL)
        rg_limits_leave(hub->push->settings.limits, &client->seat);
    /* Whoever called may still look at its state: freed when the hub settles. */
    rg_hub_bury(hub, client);
}

static void say_goodbye(struct rg_client *client, unsigned code, const char *reason)
{
    struct rg_buf bytes = {0};

    if (client->ops->add_goodbye != NULL)
        client->ops->add_goodbye(client, code, reason, &bytes);
    if (bytes.n > 0) {
        struct rg_msg *msg = rg_msg_from_bytes(bytes.p, bytes.n);
        rg_outbox_put(&client->outbox, msg, SIZE_MAX);
        rg_msg_unref(&msg);
    }
    rg_buf_done(&bytes);
}

static void log_end(const struct rg_client *client)
{
    bool is_fault = client->end == RG_END_SLOW || client->end == RG_END_STALLED;

    RG_LOG_AT(is_fault ? RG_LOG_WARN : RG_LOG_DEBUG, "client dropped",
              RG_FS("reason", end_names[client->end]), RG_FS("transport", client->ops->name),
              RG_FU("queued", client->outbox.bytes));
}

void rg_client_end(struct rg_client *client, enum rg_end end, unsigned code, const char *reason)
{
    struct rg_hub *hub = client->hub;

    if (client->state == RG_CLIENT_DEAD || client->state == RG_CLIENT_DOOMED)
        return;
    if (client->state == RG_CLIENT_CLOSING) {
        /* A poll that may or may not come to fetch the last event holds no shutdown up. */
        if (end == RG_END_PEER || end == RG_END_PEER_CLOSE ||
            (end == RG_END_SHUTDOWN && client->stream == NULL))
            rg_client_kill(client);
        return;
    }
    client->end = (unsigned char)end;
    if (rg_hub_is_delivering(hub)) {
        /* The index must not change under the fan-out. */
        client->state = RG_CLIENT_DOOMED;
        rg_hub_doom(hub, client, code, reason);
        return;
    }
    if (client->ops->say_why != NULL)
        client->ops->say_why(client);
    /* No room for it: the client has ended meanwhile, as a slow one. */
    if (client->state != RG_CLIENT_OPEN)
        return;
    log_end(client);
    rg_count(hub->counters, RG_HUB_ENDS + (size_t)end, 1);
    bool lingers = client->ops->lingers != NULL && client->ops->lingers(client);
    if (end == RG_END_PEER || (client->stream == NULL && !lingers)) {
        rg_client_kill(client);
        return;
    }
    leave(client);
    client->state = RG_CLIENT_CLOSING;
    if (client->stream == NULL) {
        set_timer(client);
        return;
    }
    if (end == RG_END_SLOW || end == RG_END_STALLED)
        rg_outbox_truncate(&client->outbox);
    say_goodbye(client, code, reason);
    set_timer(client);
    rg_client_flush(client);
}

void rg_client_end_killed(struct rg_client *client)
{
    rg_client_end(client, RG_END_KILLED, 1000, session_killed);
}

/* ---- what a token means for an open client ---- */

static int64_t wall_ms(void)
{
    return rg_clock_wall_us() / 1000;
}

static struct rg_bond *get_bond(struct rg_client *client)
{
    if (client->bond == NULL) {
        client->bond = rg_zalloc(sizeof(*client->bond));
        client->bond->since_ms = wall_ms();
    }
    return client->bond;
}

static void enter_directory(const struct rg_push *push, const struct rg_claims *claims)
{
    const struct rg_identity_fields *fields = &push->settings.channels.identity;
    struct rg_identity *identity =
        fields->user != NULL ? rg_identity_new(fields, claims->text) : NULL;

    rg_directory_enter(push->directory, claims->session,
                       identity != NULL ? identity->user : RG_STR(""), wall_ms());
    rg_identity_free(&identity);
}

/*
 * Whether the client may stay. A ban that came after the token was checked found no client of this
 * name here: it is seen now. One that comes later finds it.
 */
static void check_ban(struct rg_client *client, struct rg_str name)
{
    struct rg_blacklist *blacklist = client->hub->push->settings.blacklist;

    if (blacklist != NULL && rg_blacklist_has(blacklist, name))
        rg_client_end_killed(client);
}

static void end_overtied(struct rg_client *client)
{
    rg_client_end(client, RG_END_POLICY, 1008, "Too many sessions.");
}

static void bind_session(struct rg_client *client, const struct rg_claims *claims)
{
    struct rg_hub *hub = client->hub;
    int err = rg_sessions_join(hub->sessions, &get_bond(client)->sessions, client, claims->session);

    if (err < 0) {
        end_overtied(client);
        return;
    }
    if (err > 0)
        enter_directory(hub->push, claims);
    check_ban(client, claims->session);
}

/* For what closes all that one token has opened (legacy-channels.md 13.3). */
static void bind_token(struct rg_client *client, struct rg_str jti)
{
    if (rg_sessions_join(client->hub->tokens, &get_bond(client)->tokens, client, jti) < 0)
        end_overtied(client);
    else
        check_ban(client, jti);
}

static void bind_expiry(struct rg_client *client, int64_t exp_s)
{
    const struct rg_hub *hub = client->hub;
    uint64_t now_ms = rg_clock_mono_ms();

    /* Not that of the turn, which may be older than the wall clock's: the client would end before
     * its token, and come back with it. */
    if (hub->reactor->now_ms > now_ms)
        now_ms = hub->reactor->now_ms;
    if (rg_expiry_extend(&get_bond(client)->expiry, exp_s, rg_clock_wall_us(), now_ms,
                         hub->push->settings.expiry_warning_ms))
        set_timer(client);
}

void rg_client_bind(struct rg_client *client, const struct rg_claims *claims)
{
    if (client->state != RG_CLIENT_OPEN)
        return;
    const struct rg_push_settings *settings = &client->hub->push->settings;
    if (client->channels != NULL ? settings->channels.expiry_closes : settings->expiry_closes)
        bind_expiry(client, claims->exp_s);
    if (claims->session.n > 0)
        bind_session(client, claims);
    if (claims->jti.n > 0 && !rg_str_eq(claims->jti, claims->session) &&
        client->state == RG_CLIENT_OPEN)
        bind_token(client, claims->jti);
}

void rg_client_set_device(struct rg_client *client, struct rg_device **devicep)
{
    struct rg_bond *bond = get_bond(client);

    rg_device_free(&bond->device);
    bond->device = RG_STEAL(*devicep);
}
