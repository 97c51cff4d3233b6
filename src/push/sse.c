#include "push/sse.h"

#include <stdio.h>

#include "push/answer.h"
#include "push/client.h"
#include "push/connect.h"
#include "push/hub.h"

#define CHUNK_HEAD_MAX 18 /* 16 hex digits and CRLF */

static void add_type_line(struct rg_buf *out, struct rg_str type)
{
    rg_buf_add_c(out, "event: ");
    for (size_t i = 0; i < type.n; i++) {
        char c = type.p[i];
        rg_buf_add_char(out, c == '\r' || c == '\n' || c == '\0' ? ' ' : c);
    }
    rg_buf_add_char(out, '\n');
}

/* CR, LF and CRLF all end a line for the receiver, so each starts a new data line (5.5). */
static void add_data_lines(struct rg_buf *out, struct rg_str json)
{
    size_t start = 0;

    for (size_t i = 0; i <= json.n; i++) {
        if (i < json.n && json.p[i] != '\n' && json.p[i] != '\r')
            continue;
        rg_buf_add_c(out, "data: ");
        rg_buf_add(out, json.p + start, i - start);
        rg_buf_add_char(out, '\n');
        if (i + 1 < json.n && json.p[i] == '\r' && json.p[i + 1] == '\n')
            i++;
        start = i + 1;
    }
}

struct rg_frame *rg_sse_encode(struct rg_str type, struct rg_str json)
{
    struct rg_buf body = {0};
    char head[CHUNK_HEAD_MAX + 1];

    rg_buf_reserve(&body, type.n + json.n + 64);
    add_type_line(&body, type);
    add_data_lines(&body, json);
    rg_buf_add_char(&body, '\n');

    size_t head_n = (size_t)snprintf(head, sizeof(head), "%zx\r\n", body.n);
    struct rg_frame *frame = rg_frame_new(head_n + body.n + 2);
    memcpy(frame->p, head, head_n);
    memcpy(frame->p + head_n, body.p, body.n);
    memcpy(frame->p + head_n + body.n, "\r\n", 2);
    frame->body_at = (uint32_t)head_n;
    frame->body_n = (uint32_t)body.n;
    rg_buf_done(&body);
    return frame;
}

struct rg_frame *rg_sse_encode_event(const struct rg_event *event)
{
    return rg_sse_encode(rg_event_type(event), rg_event_text(event));
}

/* ---- the endpoint ---- */

static void open_stream(struct rg_hub *hub, struct rg_exchange *exchange,
                        struct rg_subscription_set **setp)
{
    struct rg_response head = {.status = 200};
    struct rg_taken taken;

    rg_response_add(&head, RG_STR("content-type"), RG_STR("text/event-stream; charset=utf-8"));
    rg_response_add(&head, RG_STR("cache-control"), RG_STR("no-cache"));
    rg_response_add(&head, RG_STR("x-accel-buffering"), RG_STR("no"));
    rg_response_add(&head, RG_STR("access-control-allow-origin"),
                    rg_str_c(hub->push->settings.cors));
    rg_exchange_take_stream(exchange, &head, &taken);

    struct rg_client *client = rg_client_new(
        hub, RG_SSE, taken.is_chunked ? RG_ENC_SSE_CHUNKED : RG_ENC_SSE_PLAIN, taken.stream);
    if (taken.head.n > 0)
        rg_client_send_bytes(client, taken.head.p, taken.head.n);
    rg_taken_done(&taken);
    rg_client_greet(client, setp);
}

void rg_sse_handle(void *arg, struct rg_exchange *exchange)
{
    struct rg_hub *hub = arg;
    const struct rg_request *req = rg_exchange_request(exchange);
    struct rg_subscription_set *set = NULL;
    struct rg_answer answer = rg_answer_begin(hub->push, req);
    struct rg_why why = {0};

    if (req->method == RG_OPTIONS) {
        rg_answer_preflight(&answer, exchange, "GET", "*");
        return;
    }
    if (req->method != RG_GET) {
        rg_answer_add(&answer, RG_STR("allow"), RG_STR("GET, OPTIONS"));
        rg_answer_text(&answer, exchange, 405, "Method not allowed.");
        return;
    }
    if (rg_connect_parse(hub, req, false, &set, &why) < 0) {
        rg_answer_text(&answer, exchange, 400, why.text);
        return;
    }
    open_stream(hub, exchange, &set);
    rg_hub_settle(hub);
}
