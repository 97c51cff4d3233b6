#include "push/ws.h"

#include "base/alloc.h"
#include "http/ws_message.h"
#include "push/admission.h"
#include "push/compression.h"
#include "push/gateway_event.h"

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

static void free_side(struct rg_client *client)
{
    if (client->ws == NULL)
        return;
    rg_ws_message_reader_done(&client->ws->reader);
    rg_free(client->ws);
    client->ws = NULL;
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

static void receive(struct rg_client *client, char *p, size_t n)
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

static void warn(struct rg_client *client, struct rg_str warning_json)
{
    rg_client_send_gateway_event(client, RG_SESSION_EXPIRING, warning_json);
}

static void add_goodbye(struct rg_client *client, unsigned code, const char *reason,
                        struct rg_buf *out)
{
    (void)client;
    rg_ws_add_close(out, code, rg_str_c(reason), false);
}

const struct rg_client_ops rg_ws_ops = {
    .name = "ws",
    .transport = RG_WS,
    .waits_for_peer = true,
    .receive = receive,
    .beat = rg_client_beat,
    .warn = warn,
    .add_goodbye = add_goodbye,
    .free = free_side,
};

/* ---- the endpoint ---- */

/* A request for a WebSocket, until it is decided. */
struct opening {
    struct rg_admission admission;
    char accept[RG_WS_ACCEPT_SIZE];
    bool is_h2;
    bool is_deflate;
    struct rg_buf extension;
};

static void take_stream(const struct opening *opening, struct rg_exchange *exchange,
                        struct rg_taken *ret)
{
    struct rg_response head = {.status = opening->is_h2 ? 200 : 101};

    /* HTTP/2 has no upgrade, and no key to prove anything with (RFC 8441 section 5). */
    if (!opening->is_h2) {
        rg_response_add(&head, RG_STR("upgrade"), RG_STR("websocket"));
        rg_response_add(&head, RG_STR("sec-websocket-accept"), rg_str_c(opening->accept));
    }
    if (opening->is_deflate)
        rg_response_add(&head, RG_STR("sec-websocket-extensions"), rg_buf_str(&opening->extension));
    rg_exchange_take_stream(exchange, &head, ret);
}

static void open_socket(struct opening *opening, struct rg_exchange *exchange)
{
    struct rg_admission *admission = &opening->admission;
    struct rg_taken taken;

    take_stream(opening, exchange, &taken);
    struct rg_client *client =
        rg_client_new(admission->hub, &rg_ws_ops,
                      opening->is_deflate ? RG_ENC_WS_DEFLATE : RG_ENC_WS, taken.stream);
    client->ws = side_new(client);
    rg_client_begin(client, rg_buf_str(&taken.head));
    /* A refused connection is opened and closed: browsers do not show a status (4.3). */
    if (admission->refusal == RG_REFUSED_DRAINING)
        rg_client_end(client, RG_END_SHUTDOWN, 1001, admission->why.text);
    else if (admission->refusal != RG_ADMITTED)
        rg_client_end(client, RG_END_REFUSED, 1000, "Bad request.");
    else
        rg_admission_let_in(admission, client);
    if (taken.early.n > 0)
        receive(client, taken.early.p, taken.early.n);
    rg_taken_done(&taken);
}

static void decided(struct rg_admission *admission, struct rg_exchange *exchange)
{
    struct opening *opening = RG_CONTAINER_OF(admission, struct opening, admission);

    /* A page of another origin gets no WebSocket, not even one that is closed. */
    if (exchange != NULL && admission->refusal == RG_REFUSED_ORIGIN)
        rg_admission_refuse(admission, exchange);
    else if (exchange != NULL)
        open_socket(opening, exchange);
    rg_admission_done(admission);
    rg_buf_done(&opening->extension);
    rg_free(opening);
}

static void refuse_handshake(struct rg_exchange *exchange, struct rg_answer *answer, int status,
                             const char *text)
{
    const struct rg_request *req = rg_exchange_request(exchange);

    if (status == 426 && !req->is_h2) {
        rg_answer_add(answer, RG_STR("connection"), RG_STR("upgrade"));
        rg_answer_add(answer, RG_STR("upgrade"), RG_STR("websocket"));
    }
    if (status == 426)
        rg_answer_add(answer, RG_STR("sec-websocket-version"), RG_STR("13"));
    rg_answer_text(answer, exchange, status, text);
}

void rg_ws_handle(void *arg, struct rg_exchange *exchange)
{
    struct rg_hub *hub = arg;
    const struct rg_request *req = rg_exchange_request(exchange);
    const struct rg_applicant applicant = rg_applicant_of(hub->push, req);
    struct rg_answer answer = rg_answer_begin(hub->push, req);
    char accept[RG_WS_ACCEPT_SIZE] = "";
    struct rg_why why = {0};
    int err = rg_ws_check_handshake(req, accept, &why);

    answer.is_cors = false;
    if (err < 0) {
        refuse_handshake(exchange, &answer, -err, why.text);
        return;
    }
    struct opening *opening = rg_zalloc(sizeof(*opening));
    opening->admission.answer = answer;
    memcpy(opening->accept, accept, sizeof(accept));
    opening->is_h2 = req->is_h2;
    opening->is_deflate = rg_compression_accepts_deflate(hub->push, req, &opening->extension);
    rg_admission_begin(&opening->admission, hub, RG_WS, &applicant, exchange, decided);
    rg_hub_settle(hub);
}
