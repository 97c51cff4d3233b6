#include "push/ws.h"

#include "base/alloc.h"
#include "base/log.h"
#include "base/utf8.h"
#include "http/websocket.h"
#include "push/answer.h"
#include "push/client.h"
#include "push/connect.h"
#include "push/hub.h"

#define MAX_MESSAGE   4096
#define MAX_FRAGMENTS 64

static const char no_talk[] = "This WebSocket endpoint cannot be used for two-way communication.";

struct rg_ws_side {
    struct rg_ws_reader reader;
    struct rg_buf control; /* payload of the control frame that is arriving */
    struct rg_buf message; /* payload of the data message that is arriving */
    unsigned fragments;    /* of that message */
    bool is_text;
};

struct rg_frame *rg_ws_encode(struct rg_str json)
{
    char header[RG_WS_MAX_HEADER];
    size_t header_n = rg_ws_header(header, RG_WS_TEXT, json.n);
    struct rg_frame *frame = rg_frame_new(header_n + json.n);

    memcpy(frame->p, header, header_n);
    memcpy(frame->p + header_n, json.p, json.n);
    frame->body_at = (uint32_t)header_n;
    frame->body_n = (uint32_t)json.n;
    return frame;
}

struct rg_frame *rg_ws_encode_event(const struct rg_event *event)
{
    return rg_ws_encode(rg_event_text(event));
}

/* ---- what clients send ---- */

void rg_ws_side_free(struct rg_ws_side **sidep)
{
    struct rg_ws_side *side = *sidep;

    if (side == NULL)
        return;
    *sidep = NULL;
    rg_buf_done(&side->control);
    rg_buf_done(&side->message);
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

static void take_control(struct rg_client *client, const struct rg_ws_part *part)
{
    struct rg_ws_side *side = client->ws;
    struct rg_str payload = part->data;

    if (!(part->starts_frame && part->ends_frame)) {
        rg_buf_add_str(&side->control, part->data);
        payload = rg_buf_str(&side->control);
    }
    if (!part->ends_frame)
        return;
    if (part->opcode == RG_WS_CLOSE)
        take_close(client, payload);
    else if (part->opcode == RG_WS_PING && client->state == RG_CLIENT_OPEN)
        pong(client, payload);
    /* A pong needs no answer, and a missing one has no consequence (6.2). */
    if (client->ws != NULL)
        rg_buf_done(&side->control);
}

/* A data message ends the connection; it is only looked at to tell which code fits. */
static void take_data(struct rg_client *client, const struct rg_ws_part *part)
{
    struct rg_ws_side *side = client->ws;

    if (client->state != RG_CLIENT_OPEN)
        return;
    if (part->starts_frame) {
        side->fragments++;
        if (part->opcode != RG_WS_CONTINUATION)
            side->is_text = part->opcode == RG_WS_TEXT;
    }
    /* What a frame only claims to contain counts, so nobody waits for it. */
    bool is_too_much = part->frame_left > MAX_MESSAGE ||
                       side->message.n + part->data.n + part->frame_left > MAX_MESSAGE ||
                       side->fragments > MAX_FRAGMENTS;
    if (!is_too_much) {
        rg_buf_add_str(&side->message, part->data);
        if (!part->ends_frame || !part->is_final)
            return;
    }
    bool is_bad_text =
        !is_too_much && side->is_text && !rg_utf8_is_valid(rg_buf_str(&side->message));
    rg_buf_done(&side->message);
    if (is_bad_text)
        rg_client_end(client, RG_END_PROTOCOL, 1007, "");
    else
        rg_client_end(client, RG_END_POLICY, 1000, no_talk);
}

void rg_ws_receive(struct rg_client *client, char *p, size_t n)
{
    while (n > 0 && client->state != RG_CLIENT_DEAD) {
        struct rg_ws_part part;
        struct rg_why why = {0};
        bool has_part = false;
        long used = rg_ws_read(&client->ws->reader, p, n, &part, &has_part, &why);

        if (used < 0) {
            if (client->state == RG_CLIENT_OPEN)
                rg_client_end(client, RG_END_PROTOCOL, (unsigned)-used, "");
            else
                rg_client_end(client, RG_END_PEER, 0, NULL);
            return;
        }
        if (has_part && part.opcode >= RG_WS_CLOSE)
            take_control(client, &part);
        else if (has_part)
            take_data(client, &part);
        p += used;
        n -= (size_t)used;
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
    client->ws = rg_zalloc(sizeof(*client->ws));
    client->ws->reader.expects_mask = true;
    if (taken.head.n > 0)
        rg_client_send_bytes(client, taken.head.p, taken.head.n);
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
