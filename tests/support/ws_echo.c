/*
 * ws_echo - a WebSocket server that sends back what it gets.
 *
 *   ws_echo [PORT]      on loopback; without PORT on a free one. Prints "port N".
 *
 * Made of the parts that the gateway is made of (http/server, ws_message, ws_extension), for suites
 * that test an implementation of the protocol by an echo, which the gateway's endpoint is not.
 * permessage-deflate is taken where it is offered. Then every message is compressed, also one that
 * does not shrink: suites expect it.
 */
#include <signal.h>
#include <stdio.h>

#include "base/alloc.h"
#include "http/server.h"
#include "http/ws_extension.h"
#include "http/ws_message.h"
#include "net/listener.h"

/* 16 MiB, and 4 MiB in fragments of 64 bytes, are the largest that the suites send. */
static const struct rg_ws_message_limits limits = {
    .max_bytes = 16 << 20, .max_fragments = 1 << 16, .max_ratio = 500};

static struct rg_deflater *deflater;
static struct rg_inflater *inflater;

struct echo {
    struct rg_stream *stream;
    struct rg_ws_message_reader reader;
    struct rg_buf out;
    size_t sent;     /* bytes of out */
    bool is_closing; /* our close frame is in out; what comes is thrown away */
};

/* ---- what goes out ---- */

static void end(struct echo *echo)
{
    rg_stream_close(&echo->stream);
    rg_ws_message_reader_done(&echo->reader);
    rg_buf_done(&echo->out);
    rg_free(echo);
}

/* Writes what the socket takes; reads no more while something is left. False: it has ended. */
static bool flush(struct echo *echo)
{
    while (echo->sent < echo->out.n) {
        long n = rg_stream_write(echo->stream, echo->out.p + echo->sent, echo->out.n - echo->sent);
        if (n == UV_EAGAIN) {
            rg_stream_want(echo->stream, false, true);
            return true;
        }
        if (n < 0) {
            end(echo);
            return false;
        }
        echo->sent += (size_t)n;
    }
    rg_buf_done(&echo->out);
    echo->sent = 0;
    /* The end of the stream comes behind the close frame; the peer's is waited for. */
    if (echo->is_closing)
        rg_stream_shutdown(echo->stream);
    rg_stream_want(echo->stream, true, false);
    return true;
}

static void say_goodbye(struct echo *echo, unsigned code)
{
    rg_ws_add_close(&echo->out, code, RG_STR(""), false);
    echo->is_closing = true;
}

static void answer_close(struct echo *echo, struct rg_str payload)
{
    struct rg_str reason;
    unsigned code = 0;
    int err = rg_ws_parse_close(payload, &code, &reason);

    say_goodbye(echo, err < 0 ? (unsigned)-err : code == 1005 ? 0 : code);
}

static void send_back(struct echo *echo, const struct rg_ws_message *message)
{
    struct rg_buf packed = {0};
    char header[RG_WS_MAX_HEADER];

    if (echo->reader.inflater == NULL) {
        rg_ws_add_frame(&echo->out, message->opcode, message->data, false);
        return;
    }
    rg_deflater_add(deflater, message->data, &packed);
    packed.n -= RG_DEFLATE_TAIL_N;
    size_t header_n = rg_ws_header(header, message->opcode, packed.n);
    header[0] = (char)((unsigned char)header[0] | RG_WS_RSV1);
    rg_buf_add(&echo->out, header, header_n);
    rg_buf_add_str(&echo->out, rg_buf_str(&packed));
    rg_buf_done(&packed);
}

/* ---- what comes in ---- */

static void take(struct echo *echo, const struct rg_ws_message *message)
{
    if (message->opcode == RG_WS_CLOSE)
        answer_close(echo, message->data);
    else if (message->opcode == RG_WS_PING)
        rg_ws_add_frame(&echo->out, RG_WS_PONG, message->data, false);
    else if (message->opcode != RG_WS_PONG)
        send_back(echo, message);
}

static void receive(struct echo *echo, char *p, size_t n)
{
    struct rg_ws_message message;
    int result = 1;

    while (n > 0 && result != 0 && !echo->is_closing) {
        result = rg_ws_message_read(&echo->reader, &p, &n, &message, NULL);
        if (result < 0)
            say_goodbye(echo, (unsigned)-result);
        else if (result > 0)
            take(echo, &message);
    }
}

static void on_readable(struct rg_stream *stream)
{
    struct echo *echo = stream->owner;
    char *buffer = stream->reactor->read_buffer;
    long n = rg_stream_read(stream, buffer, RG_READ_BUFFER);

    if (n == UV_EAGAIN)
        return;
    if (n <= 0) {
        end(echo);
        return;
    }
    if (echo->is_closing)
        return;
    receive(echo, buffer, (size_t)n);
    flush(echo);
}

static void on_writable(struct rg_stream *stream)
{
    flush(stream->owner);
}

static void on_hangup(struct rg_stream *stream)
{
    end(stream->owner);
}

static const struct rg_stream_events events = {on_readable, on_writable, on_hangup};

/* ---- the handshake ---- */

static void handle(void *arg, struct rg_exchange *exchange)
{
    const struct rg_request *req = rg_exchange_request(exchange);
    struct rg_response head = {.status = 101};
    char accept[RG_WS_ACCEPT_SIZE];
    struct rg_buf extension = {0};
    struct rg_taken taken;
    struct rg_why why = {0};
    int err = rg_ws_check_handshake(req, accept, &why);

    (void)arg;
    if (err < 0) {
        head = (struct rg_response){.status = -err, .body = rg_str_c(why.text)};
        rg_exchange_respond(exchange, &head);
        return;
    }
    rg_response_add(&head, RG_STR("upgrade"), RG_STR("websocket"));
    rg_response_add(&head, RG_STR("sec-websocket-accept"), rg_str_c(accept));
    bool is_compressed = rg_ws_accept_deflate(req, &extension);
    if (is_compressed)
        rg_response_add(&head, RG_STR("sec-websocket-extensions"), rg_buf_str(&extension));
    rg_exchange_take_stream(exchange, &head, &taken);
    rg_buf_done(&extension);

    struct echo *echo = rg_zalloc(sizeof(*echo));
    echo->stream = taken.stream;
    echo->reader.frames.expects_mask = true;
    echo->reader.frames.allows_rsv1 = is_compressed;
    echo->reader.inflater = is_compressed ? inflater : NULL;
    echo->reader.limits = &limits;
    rg_stream_adopt(taken.stream, &events, echo);
    rg_buf_add_str(&echo->out, rg_buf_str(&taken.head));
    receive(echo, taken.early.p, taken.early.n);
    flush(echo);
    rg_taken_done(&taken);
}

int main(int argc, char **argv)
{
    static struct rg_reactor reactor;
    const struct rg_route routes[] = {{RG_METHODS_ALL, "*", handle, NULL, 0}};
    uint64_t port = 0;
    struct rg_why why = {0};

    if (argc > 2 || (argc == 2 && rg_str_to_u64(rg_str_c(argv[1]), 65535, &port) < 0)) {
        fputs("usage: ws_echo [PORT]\n", stderr);
        return 2;
    }
    signal(SIGPIPE, SIG_IGN);
    int fd = rg_listener_bind("127.0.0.1", (unsigned)port, true, &why);
    if (fd < 0) {
        fprintf(stderr, "ws_echo: %s\n", why.text);
        return 1;
    }
    deflater = rg_deflater_new();
    inflater = rg_inflater_new();
    rg_reactor_init(&reactor, 0, 1 << 20);
    reactor.thread = pthread_self();
    rg_listener_open(&reactor, fd, rg_http_server_accept,
                     rg_http_server_new(&reactor, &rg_http_default_settings, routes, 1));
    printf("port %u\n", rg_listener_port(fd));
    fflush(stdout);
    rg_reactor_run(&reactor);
    return 0;
}
