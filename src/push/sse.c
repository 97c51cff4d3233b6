#include "push/sse.h"

#include <stdio.h>

#include "base/alloc.h"
#include "push/admission.h"
#include "push/compression.h"
#include "push/gateway_event.h"

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

static void add_event(struct rg_buf *out, struct rg_str type, struct rg_str json)
{
    rg_buf_reserve(out, type.n + json.n + 64);
    add_type_line(out, type);
    add_data_lines(out, json);
    rg_buf_add_char(out, '\n');
}

static struct rg_frame *chunk(struct rg_str body)
{
    char head[CHUNK_HEAD_MAX + 1];
    size_t head_n = (size_t)snprintf(head, sizeof(head), "%zx\r\n", body.n);
    struct rg_frame *frame = rg_frame_new(head_n + body.n + 2);

    memcpy(frame->p, head, head_n);
    memcpy(frame->p + head_n, body.p, body.n);
    memcpy(frame->p + head_n + body.n, "\r\n", 2);
    frame->body_at = (uint32_t)head_n;
    frame->body_n = (uint32_t)body.n;
    return frame;
}

/* One chunk with a piece of a gzip stream; deflater NULL: stored as it is. */
static struct rg_frame *gzip_chunk(struct rg_str text, struct rg_deflater *deflater)
{
    struct rg_buf piece = {0};

    if (deflater != NULL)
        rg_gzip_add_deflated(&piece, text, deflater);
    else
        rg_gzip_add_stored(&piece, text);
    struct rg_frame *frame = chunk(rg_buf_str(&piece));
    frame->sum = rg_gzip_sum(text);
    rg_buf_done(&piece);
    return frame;
}

struct rg_frame *rg_sse_encode(struct rg_str type, struct rg_str json)
{
    struct rg_buf body = {0};

    add_event(&body, type, json);
    struct rg_frame *frame = chunk(rg_buf_str(&body));
    rg_buf_done(&body);
    return frame;
}

struct rg_frame *rg_sse_encode_event(const struct rg_event *event, void *arg)
{
    (void)arg;
    return rg_sse_encode(rg_event_type(event), rg_event_text(event));
}

struct rg_frame *rg_sse_encode_gzip(struct rg_str type, struct rg_str json,
                                    struct rg_deflater *deflater)
{
    struct rg_buf body = {0};

    add_event(&body, type, json);
    struct rg_frame *frame = gzip_chunk(rg_buf_str(&body), deflater);
    rg_buf_done(&body);
    return frame;
}

struct rg_frame *rg_sse_encode_gzip_event(const struct rg_event *event, void *arg)
{
    const struct rg_compressor *compressor = arg;
    bool is_small = event->text_n < compressor->min_bytes;

    return rg_sse_encode_gzip(rg_event_type(event), rg_event_text(event),
                              is_small ? NULL : compressor->deflater);
}

static bool is_gzip(enum rg_encoding encoding)
{
    return encoding == RG_ENC_SSE_GZIP_CHUNKED || encoding == RG_ENC_SSE_GZIP_PLAIN;
}

static bool is_chunked(enum rg_encoding encoding)
{
    return encoding == RG_ENC_SSE_CHUNKED || encoding == RG_ENC_SSE_GZIP_CHUNKED ||
           encoding == RG_ENC_PHX_SSE_CHUNKED;
}

struct rg_frame *rg_sse_wrap(enum rg_encoding encoding, struct rg_str text)
{
    return is_gzip(encoding) ? gzip_chunk(text, NULL) : chunk(text);
}

/* Appends bytes that are a whole chunk where there are chunks. */
static void add_part(struct rg_buf *out, enum rg_encoding encoding, struct rg_str bytes)
{
    if (is_chunked(encoding))
        rg_buf_addf(out, "%zx\r\n", bytes.n);
    rg_buf_add_str(out, bytes);
    if (is_chunked(encoding))
        rg_buf_add_c(out, "\r\n");
}

void rg_sse_add_begin(struct rg_buf *out, enum rg_encoding encoding)
{
    struct rg_buf header = {0};

    if (!is_gzip(encoding))
        return;
    rg_gzip_add_header(&header);
    add_part(out, encoding, rg_buf_str(&header));
    rg_buf_done(&header);
}

void rg_sse_add_end(struct rg_buf *out, enum rg_encoding encoding,
                    const struct rg_gzip_total *total, bool is_cut)
{
    const struct rg_str why = RG_STR(": closed: the client reads too slowly\n\n");
    struct rg_buf last = {0};

    if (is_gzip(encoding) && is_cut)
        rg_gzip_add_stored(&last, why);
    else if (is_gzip(encoding))
        rg_gzip_add_end(&last, total);
    else if (is_cut)
        rg_buf_add_str(&last, why);
    if (last.n > 0)
        add_part(out, encoding, rg_buf_str(&last));
    if (is_chunked(encoding))
        rg_buf_add_c(out, "0\r\n\r\n");
    rg_buf_done(&last);
}

/* ---- clients ---- */

static void warn(struct rg_client *client, struct rg_str warning_json)
{
    rg_client_send_gateway_event(client, RG_SESSION_EXPIRING, warning_json);
}

static void say_why(struct rg_client *client)
{
    if (client->end == RG_END_TOKEN)
        rg_client_send_gateway_event(client, RG_SESSION_EXPIRED, (struct rg_str){0});
    else if (client->end == RG_END_KILLED)
        rg_client_send_gateway_event(client, RG_SESSION_KILLED, (struct rg_str){0});
}

static void add_goodbye(struct rg_client *client, unsigned code, const char *reason,
                        struct rg_buf *out)
{
    bool is_cut = client->end == RG_END_SLOW || client->end == RG_END_STALLED;

    (void)code;
    (void)reason;
    rg_sse_add_end(out, client->encoding, &client->gzip, is_cut);
}

const struct rg_client_ops rg_sse_ops = {
    .name = "sse",
    .transport = RG_SSE,
    .beat = rg_client_beat,
    .warn = warn,
    .say_why = say_why,
    .add_goodbye = add_goodbye,
};

/* ---- the endpoint ---- */

/* A request for a stream, until it is decided. */
struct opening {
    struct rg_admission admission;
    bool is_gzip;
};

static enum rg_encoding encoding(bool is_gzip, bool is_chunked)
{
    if (is_gzip)
        return is_chunked ? RG_ENC_SSE_GZIP_CHUNKED : RG_ENC_SSE_GZIP_PLAIN;
    return is_chunked ? RG_ENC_SSE_CHUNKED : RG_ENC_SSE_PLAIN;
}

static void open_stream(struct opening *opening, struct rg_exchange *exchange)
{
    struct rg_admission *admission = &opening->admission;
    struct rg_response head = {.status = 200};
    struct rg_taken taken;

    rg_response_add(&head, RG_STR("content-type"), RG_STR("text/event-stream; charset=utf-8"));
    rg_response_add(&head, RG_STR("cache-control"), RG_STR("no-cache"));
    rg_response_add(&head, RG_STR("x-accel-buffering"), RG_STR("no"));
    rg_answer_add_cors(&admission->answer, &head);
    if (opening->is_gzip) {
        rg_response_add(&head, RG_STR("content-encoding"), RG_STR("gzip"));
        rg_response_add(&head, RG_STR("vary"), RG_STR("accept-encoding"));
    }
    rg_exchange_take_stream(exchange, &head, &taken);

    struct rg_client *client = rg_client_new(
        admission->hub, &rg_sse_ops, encoding(opening->is_gzip, taken.is_chunked), taken.stream);
    rg_client_begin(client, rg_buf_str(&taken.head));
    rg_taken_done(&taken);
    rg_admission_let_in(admission, client);
}

static void decided(struct rg_admission *admission, struct rg_exchange *exchange)
{
    struct opening *opening = RG_CONTAINER_OF(admission, struct opening, admission);

    if (exchange != NULL && admission->refusal != RG_ADMITTED)
        rg_admission_refuse(admission, exchange);
    else if (exchange != NULL)
        open_stream(opening, exchange);
    rg_admission_done(admission);
    rg_free(opening);
}

static void get(struct rg_hub *hub, struct rg_exchange *exchange, const struct rg_answer *answer)
{
    const struct rg_request *req = rg_exchange_request(exchange);
    const struct rg_applicant applicant = rg_applicant_of(hub->push, req);
    struct opening *opening = rg_zalloc(sizeof(*opening));

    opening->admission.answer = *answer;
    opening->is_gzip = rg_compression_accepts_gzip(hub->push, req);
    rg_admission_begin(&opening->admission, hub, RG_SSE, &applicant, exchange, decided);
    rg_hub_settle(hub);
}

void rg_sse_handle(void *arg, struct rg_exchange *exchange)
{
    struct rg_hub *hub = arg;
    const struct rg_request *req = rg_exchange_request(exchange);
    struct rg_answer answer = rg_answer_begin(hub->push, req);

    if (req->method == RG_OPTIONS) {
        rg_answer_preflight(&answer, exchange, "GET", "*");
    } else if (req->method == RG_GET) {
        get(hub, exchange, &answer);
    } else {
        rg_answer_add(&answer, RG_STR("allow"), RG_STR("GET, OPTIONS"));
        rg_answer_text(&answer, exchange, 405, "Method not allowed.");
    }
}
