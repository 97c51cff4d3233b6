#include "push/ws.h"

#include "base/alloc.h"
#include "base/log.h"
#include "http/ws_message.h"
#include "push/answer.h"
#include "push/client.h"
#include "push/connect.h"
#include "push/hub.h"

/* Enough to tell which code fits; what comes is thrown away in any case. */
static const struct rg_ws_message_limits limits = {.max_bytes = 4096, .max_fragments = 64};

static const char no_talk[] = "This WebSocket endpoint cannot be used for two-way communication.";

struct rg_ws_side {
    struct rg_ws_message_reader reader;
};

static struct rg_frame *text_frame(struct rg_str payload, bool is_compressed)
{
    char header[RG_WS_MAX_HEADER];
    size_t header_n = rg_ws_header(header, RG_WS_TEXT, payload.n);
    struct rg_frame *frame = rg_frame_new(header_n + payload.n);

    if (is_compressed)
        header[0] = (char)((unsigned char)header[0] | RG_WS_RSV1);
    memcpy(frame->p, header, header_n);
    memcpy(frame->p + header_n, payload.p, payload.n);
    frame->body_at = (uint32_t)header_n;
    frame->body_n = (uint32_t)payload.n;
    return frame;
}

struct rg_frame *rg_ws_encode(struct rg_str json)
{
    return text_frame(json, false);
}

struct rg_frame *rg_ws_encode_event(const struct rg_event *event, void *arg)
{
    (void)arg;
    return text_frame(rg_event_text(event), false);
}

struct rg_frame *rg_ws_encode_deflate_event(const struct rg_event *event, void *arg)
{
    const struct rg_compressor *compressor = arg;
    struct rg_str text = rg_event_text(event);
    struct rg_buf packed = {0};
    struct rg_frame *frame;

    rg_deflater_add(compressor->deflater, text, &packed);
    packed.n -= RG_DEFLATE_TAIL_N;
    if (packed.n < text.n)
        frame = text_frame(rg_buf_str(&packed), true);
    else
        frame = text_frame(text, false);
    rg_buf_done(&packed);
    return frame;
}

/* ---- what clients send ---- */

static struct rg_ws_side *side_new(const struct rg_client *client)
{
    struct rg_ws_side *side = rg_zalloc(sizeof(*side));

    side->reader.frames.expects_mask = true;
    side->reader.limits = &limits;
    if (client->encoding == RG_ENC_WS_DEFLATE) {
        side->reader.frames.allows_rsv1 = true;
        side->reader.inflater = client->hub->compressor->inflater;
    }
    return side;
}

void rg_ws_side_free(struct rg_ws_side **sidep)
{
    struct rg_ws_side *side = *sidep;

    if (side == NULL)
        return;
    *sidep = NULL;
    rg_ws_message_reader_done(&side->reader);
    rg_free(side);
}

static void pong(struct rg_client *client, struct rg_str payload)
{
    struct rg_buf frame = {0};

    rg_ws_add_frame(&frame, RG_WS_PONG, payload, false);
    rg_client_send_bytes(client, frame.p, frame.n);
    rg_buf_done(&frame);
}

static void take_close(struct rg_client *client, struct rg_str payload)
{
    struct rg_str reason;
    unsigned code = 0;
    int err = rg_ws_parse_close(payload, &code, &reason);

    if (client->state == RG_CLIENT_CLOSING) {
        rg_client_end(client, RG_END_PEER, 0, NULL);
        return;
    }
    /* Echo the code; an empty close is echoed empty (RFC 6455 5.5.1). */
    if (err < 0)
        rg_client_end(client, RG_END_PROTOCOL, (unsigned)-err, "");
    else
        rg_client_end(client, RG_END_PEER_CLOSE, code == 1005 ? 0 : code, "");
}

static void take(struct rg_client *client, const struct rg_ws_message *message)
{
    switch (message->opcode) {
    case RG_WS_CLOSE:
        take_close(client, message->data);
        break;
    case RG_WS_PING:
        if (client->state == RG_CLIENT_OPEN)
            pong(client, message->data);
        break;
    case RG_WS_PONG: /* needs no answer, and a missing one has no consequence (6.2) */
        break;
    default:
        rg_client_end(client, RG_END_POLICY, 1000, no_talk);
    }
}

/* A message is too much here whether it is large or not. */
static void refuse(struct rg_client *client, unsigned code)
{
    if (client->state != RG_CLIENT_OPEN)
        rg_client_end(client, RG_END_PEER, 0, NULL);
    else if (code == 1009)
        rg_client_end(client, RG_END_POLICY, 1000, no_talk);
    else
        rg_client_end(client, RG_END_PROTOCOL, code, "");
}

void rg_ws_receive(struct rg_client *client, char *p, size_t n)
{
    while (n > 0 && client->state != RG_CLIENT_DEAD) {
        struct rg_ws_message_reader *reader = &client->ws->reader;
        struct rg_ws_message message;
        int result = rg_ws_message_read(reader, &p, &n, &message, NULL);

        if (result < 0)
            refuse(client, (unsigned)-result);
        else if (result > 0)
            take(client, &message);
        /* Of a client that is told to go only its goodbye counts. */
        if (client->state == RG_CLIENT_CLOSING)
            rg_ws_message_skip(reader);
    }
}

/* ---- the endpoint ---- */

static void upgrade(struct rg_hub *hub, struct rg_exchange *exchange, const char *accept,
                    struct rg_subscription_set **setp)
{
    bool is_h2 = rg_exchange_request(exchange)->is_h2;
    struct rg_response head = {.status = is_h2 ? 200 : 101};
    struct rg_taken taken;

    if (!is_h2) {
        rg_response_add(&head, RG_STR("upgrade"), RG_STR("websocket"));
        rg_response_add(&head, RG_STR("sec-websocket-accept"), rg_str_c(accept));
    }
    rg_exchange_take_stream(exchange, &head, &taken);

    struct rg_client *client = rg_client_new(hub, RG_WS, RG_ENC_WS, taken.stream);
    client->ws = side_new(client);
    rg_client_begin(client, rg_buf_str(&taken.head));
    /* A refused connection is opened and closed: browsers do not show a status (4.3). */
    if (*setp == NULL)
        rg_client_end(client, RG_END_REFUSED, 1000, "Bad request.");
    else
        rg_client_greet(client, setp);
    if (taken.early.n > 0)
        rg_ws_receive(client, taken.early.p, taken.early.n);
    rg_taken_done(&taken);
}

void rg_ws_handle(void *arg, struct rg_exchange *exchange)
{
    struct rg_hub *hub = arg;
    const struct rg_request *req = rg_exchange_request(exchange);
    struct rg_subscription_set *set = NULL;
    char accept[RG_WS_ACCEPT_SIZE];
    struct rg_why why = {0};
    int err = rg_ws_check_handshake(req, accept, &why);

    if (err < 0) {
        struct rg_answer answer = rg_answer_begin(hub->push, req);
        answer.is_cors = false;
        if (err == -426) {
            rg_answer_add(&answer, RG_STR("connection"), RG_STR("upgrade"));
            rg_answer_add(&answer, RG_STR("upgrade"), RG_STR("websocket"));
            rg_answer_add(&answer, RG_STR("sec-websocket-version"), RG_STR("13"));
        }
        rg_answer_text(&answer, exchange, -err, why.text);
        return;
    }
    if (rg_connect_parse(hub, req, false, &set, &why) < 0)
        rg_log_debug("websocket refused", RG_FS("reason", why.text));
    upgrade(hub, exchange, accept, &set);
    rg_hub_settle(hub);
}
