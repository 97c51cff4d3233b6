#include "push/phx_ws.h"

#include "base/alloc.h"
#include "http/ws_message.h"
#include "push/socket_admission.h"

#define PROTOCOL         "phoenix"
#define UNDECODABLE      1011 /* 4.4: what the clients of old know */
#define WS_TOKEN_EXPIRED 4401

struct rg_phx_ws {
    struct rg_ws_message_reader reader;
    uint64_t received_ms; /* when anything came last */
};

/* ---- what clients send ---- */

static struct rg_phx_ws *side_new(const struct rg_client *client)
{
    struct rg_phx_ws *side = rg_zalloc(sizeof(*side));

    side->reader.frames.expects_mask = true;
    side->reader.limits = &client->hub->channel_limits;
    side->received_ms = client->hub->reactor->now_ms;
    return side;
}

static void free_side(struct rg_client *client)
{
    rg_channels_free(client);
    if (client->phx_ws == NULL)
        return;
    rg_ws_message_reader_done(&client->phx_ws->reader);
    rg_free(client->phx_ws);
    client->phx_ws = NULL;
}

static void pong(struct rg_client *client, struct rg_str payload)
{
    struct rg_buf frame = {0};

    if (client->state != RG_CLIENT_OPEN || !rg_channels_spend(client))
        return;
    rg_ws_add_frame(&frame, RG_WS_PONG, payload, false);
    rg_client_send_bytes(client, frame.p, frame.n);
    rg_buf_done(&frame);
}

static void take_close(struct rg_client *client, struct rg_str payload)
{
    struct rg_str reason;
    unsigned code = 0;
    int err = rg_ws_parse_close(payload, &code, &reason);

    if (client->state == RG_CLIENT_CLOSING)
        rg_client_end(client, RG_END_PEER, 0, NULL);
    else if (err < 0)
        rg_client_end(client, RG_END_PROTOCOL, (unsigned)-err, "");
    else
        rg_client_end(client, RG_END_PEER_CLOSE, code == 1005 ? 0 : code, "");
}

/* Text or binary, which are the same here (4.5). */
static void take_text(struct rg_client *client, struct rg_str text)
{
    enum rg_phx_vsn vsn = client->encoding == RG_ENC_PHX_WS_V1 ? RG_PHX_V1 : RG_PHX_V2;
    struct rg_phx_message message;
    struct rg_buf scratch = {0};

    if (client->state != RG_CLIENT_OPEN)
        return;
    if (rg_phx_parse(vsn, text, &scratch, &message, NULL) < 0)
        rg_client_end(client, RG_END_PROTOCOL, UNDECODABLE, "");
    else
        rg_channels_take(client, &message);
    rg_buf_done(&scratch);
}

static void take(struct rg_client *client, const struct rg_ws_message *message)
{
    switch (message->opcode) {
    case RG_WS_CLOSE:
        take_close(client, message->data);
        break;
    case RG_WS_PING:
        pong(client, message->data);
        break;
    case RG_WS_PONG:
        break;
    case RG_WS_TEXT:
    case RG_WS_BINARY:
    case RG_WS_CONTINUATION:
        take_text(client, message->data);
        break;
    }
}

static void refuse(struct rg_client *client, unsigned code)
{
    if (client->state == RG_CLIENT_OPEN)
        rg_client_end(client, RG_END_PROTOCOL, code, "");
    else
        rg_client_end(client, RG_END_PEER, 0, NULL);
}

static void receive(struct rg_client *client, char *p, size_t n)
{
    int result = 1;

    client->phx_ws->received_ms = client->hub->reactor->now_ms;
    /* Once more than there are messages, so that nothing is kept of the last one. */
    while (result != 0 && client->state != RG_CLIENT_DEAD) {
        struct rg_ws_message_reader *reader = &client->phx_ws->reader;
        struct rg_ws_message message;

        result = rg_ws_message_read(reader, &p, &n, &message, NULL);
        if (result < 0)
            refuse(client, (unsigned)-result);
        else if (result > 0)
            take(client, &message);
        /* Of a client that is told to go only its goodbye counts. */
        if (client->state == RG_CLIENT_CLOSING)
            rg_ws_message_skip(&client->phx_ws->reader);
    }
}

/* The idle rule (6.2). The timer is moved when it fires, not with each frame. */
static void beat(struct rg_client *client, uint64_t now_ms)
{
    uint64_t due_ms = client->phx_ws->received_ms + client->hub->push->settings.channels.idle_ms;

    rg_outbox_shrink(&client->outbox);
    if (now_ms >= due_ms)
        rg_client_end(client, RG_END_IDLE, 1000, "");
    else
        rg_client_set_beat(client, due_ms);
}

/* The dialect's own words for some ends (6.3, 13.3). */
static void add_goodbye(struct rg_client *client, unsigned code, const char *reason,
                        struct rg_buf *out)
{
    if (client->end == RG_END_KILLED)
        rg_ws_add_close(out, code, RG_STR(""), false);
    else if (client->end == RG_END_TOKEN)
        rg_ws_add_close(out, WS_TOKEN_EXPIRED, RG_STR("token expired"), false);
    else
        rg_ws_add_close(out, code, rg_str_c(reason), false);
}

const struct rg_client_ops rg_phx_ws_ops = {
    .name = "channels_ws",
    .transport = RG_PHX_WS,
    .waits_for_peer = true,
    .receive = receive,
    .beat = beat,
    .say_why = rg_channels_say_why,
    .add_goodbye = add_goodbye,
    .leave = rg_channels_leave,
    .free = free_side,
};

/* ---- the endpoint ---- */

/* A request for a socket, until it is decided. */
struct opening {
    struct rg_socket_admission admission;
    char accept[RG_WS_ACCEPT_SIZE];
    bool is_upgrade; /* and a good one */
    bool is_h2;
    bool has_protocol; /* the client names it */
};

/* Which protocols a client speaks is compared as it is (RFC 6455 11.3.4). */
static bool names_protocol(const struct rg_request *req)
{
    const struct rg_http_field *field;
    size_t at = 0;

    while ((field = rg_request_next_field(req, RG_STR("sec-websocket-protocol"), &at)) != NULL) {
        struct rg_str rest = field->value;
        while (rest.p != NULL) {
            if (rg_str_eq(rg_str_trim(rg_str_split(&rest, ',')), RG_STR(PROTOCOL)))
                return true;
        }
    }
    return false;
}

static void take_stream(const struct opening *opening, struct rg_exchange *exchange,
                        struct rg_taken *ret)
{
    struct rg_response head = {.status = opening->is_h2 ? 200 : 101};

    /* HTTP/2 has no upgrade, and no key to prove anything with (RFC 8441 section 5). */
    if (!opening->is_h2) {
        rg_response_add(&head, RG_STR("upgrade"), RG_STR("websocket"));
        rg_response_add(&head, RG_STR("sec-websocket-accept"), rg_str_c(opening->accept));
    }
    if (opening->has_protocol)
        rg_response_add(&head, RG_STR("sec-websocket-protocol"), RG_STR(PROTOCOL));
    rg_exchange_take_stream(exchange, &head, ret);
}

static void open_socket(struct opening *opening, struct rg_exchange *exchange)
{
    struct rg_socket_admission *admission = &opening->admission;
    struct rg_hub *hub = admission->hub;
    struct rg_taken taken;

    take_stream(opening, exchange, &taken);
    struct rg_client *client = rg_client_new(
        hub, &rg_phx_ws_ops, admission->vsn == RG_PHX_V1 ? RG_ENC_PHX_WS_V1 : RG_ENC_PHX_WS_V2,
        taken.stream);
    client->phx_ws = side_new(client);
    rg_client_set_beat(client, hub->reactor->now_ms + hub->push->settings.channels.idle_ms);
    rg_client_begin(client, rg_buf_str(&taken.head));
    rg_socket_admission_let_in(admission, client);
    if (taken.early.n > 0 && client->state != RG_CLIENT_DEAD)
        receive(client, taken.early.p, taken.early.n);
    rg_taken_done(&taken);
}

static void decided(struct rg_socket_admission *admission, struct rg_exchange *exchange)
{
    struct opening *opening = RG_CONTAINER_OF(admission, struct opening, admission);

    /* In the order of section 6: whether it is an upgrade matters last. */
    if (exchange != NULL && admission->refusal != RG_ADMITTED)
        rg_answer_empty(&admission->answer, exchange, rg_socket_admission_status(admission, 403));
    else if (exchange != NULL && !opening->is_upgrade)
        rg_answer_empty(&admission->answer, exchange, 400);
    else if (exchange != NULL)
        open_socket(opening, exchange);
    rg_socket_admission_done(admission);
    rg_free(opening);
}

void rg_phx_ws_handle(void *arg, struct rg_exchange *exchange)
{
    struct rg_hub *hub = arg;
    const struct rg_request *req = rg_exchange_request(exchange);
    struct rg_answer answer = rg_answer_begin(hub->push, req);

    answer.is_cors = false;
    if (req->method != RG_GET) {
        rg_answer_empty(&answer, exchange, 400);
        return;
    }
    struct opening *opening = rg_zalloc(sizeof(*opening));
    opening->admission.answer = answer;
    opening->is_h2 = req->is_h2;
    opening->is_upgrade = rg_ws_check_handshake(req, opening->accept, NULL) == 0;
    opening->has_protocol = names_protocol(req);
    rg_socket_admission_begin(&opening->admission, hub, RG_PHX_WS, rg_str_n(NULL, 0), exchange,
                              decided);
    rg_hub_settle(hub);
}
