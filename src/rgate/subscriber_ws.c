#include <curl/curl.h>
#include <errno.h>
#include <poll.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "base/base64.h"
#include "base/clock.h"
#include "base/random.h"
#include "http/websocket.h"
#include "rgate/args.h"
#include "rgate/subscriber.h"

enum {
    CONNECT_S = 5,
    HANDSHAKE_MS = 5000,
    SEND_MS = 5000,
    WAIT_MS = 1000, /* how long a signal that arrived between test and poll may go unnoticed */
    MAX_MESSAGE_BYTES = 64 << 20,
    MAX_HEAD_BYTES = 16384
};

struct link {
    struct rg_subscriber *sub;
    CURL *curl;
    struct rg_buf in;
    struct rg_ws_reader reader;
    struct rg_buf message; /* of the data frames so far */
    struct rg_buf control; /* of the control frame so far */
    bool is_closed;        /* the gateway's close frame has come */
};

/* --------------------------------------------------------------------- bytes */

static void wait_for(struct link *link, short events, int timeout_ms)
{
    curl_socket_t fd = CURL_SOCKET_BAD;

    curl_easy_getinfo(link->curl, CURLINFO_ACTIVESOCKET, &fd);
    poll(&(struct pollfd){.fd = fd, .events = events}, 1, timeout_ms);
}

static int send_all(struct link *link, const struct rg_buf *bytes, struct rg_why *why)
{
    uint64_t until_ms = rg_clock_mono_ms() + SEND_MS;

    for (size_t at = 0; at < bytes->n;) {
        size_t sent = 0;
        CURLcode code = curl_easy_send(link->curl, bytes->p + at, bytes->n - at, &sent);
        if (code != CURLE_OK && code != CURLE_AGAIN)
            return rg_why_set(why, RG_EAGAIN, "", "%s", curl_easy_strerror(code));
        if (rg_clock_mono_ms() > until_ms)
            return rg_why_set(why, RG_EAGAIN, "", "the gateway does not read");
        if (code == CURLE_AGAIN)
            wait_for(link, POLLOUT, WAIT_MS);
        at += sent;
    }
    return 0;
}

/* Appends what has arrived to in, waiting up to WAIT_MS for it. */
static int receive(struct link *link, struct rg_why *why)
{
    size_t n = 0;
    CURLcode code = curl_easy_recv(link->curl, rg_buf_reserve(&link->in, 65536), 65536, &n);

    if (code == CURLE_AGAIN) {
        wait_for(link, POLLIN, WAIT_MS);
        return 0;
    }
    if (code != CURLE_OK)
        return rg_why_set(why, RG_EAGAIN, "", "%s", curl_easy_strerror(code));
    if (n == 0)
        return rg_why_set(why, RG_EAGAIN, "", "the connection ended without a close frame");
    link->in.n += n;
    return 0;
}

/* ----------------------------------------------------------------- handshake */

static void add_request(struct rg_buf *out, CURLU *parts, const struct rg_buf *key)
{
    char *host = NULL;
    char *port = NULL;
    char *path = NULL;
    char *query = NULL;

    curl_url_get(parts, CURLUPART_HOST, &host, 0);
    curl_url_get(parts, CURLUPART_PORT, &port, CURLU_DEFAULT_PORT);
    curl_url_get(parts, CURLUPART_PATH, &path, 0);
    curl_url_get(parts, CURLUPART_QUERY, &query, 0);
    rg_buf_addf(out,
                "GET %s%s%s HTTP/1.1\r\nhost: %s:%s\r\nupgrade: websocket\r\n"
                "connection: upgrade\r\nsec-websocket-version: 13\r\n"
                "sec-websocket-key: %.*s\r\n\r\n",
                path, query != NULL ? "?" : "", query != NULL ? query : "", host, port,
                RG_STR_ARG(rg_buf_str(key)));
    curl_free(host);
    curl_free(port);
    curl_free(path);
    curl_free(query);
}

/* Bytes of the answer's head with its empty line, or 0 while that is incomplete. */
static size_t head_length(const struct rg_buf *in)
{
    const char *end = in->n > 0 ? memmem(in->p, in->n, "\r\n\r\n", 4) : NULL;

    return end != NULL ? (size_t)(end - in->p) + 4 : 0;
}

static struct rg_str header_value(struct rg_str head, struct rg_str name)
{
    while (head.p != NULL) {
        struct rg_str line = rg_str_split(&head, '\n');
        struct rg_str field = rg_str_split(&line, ':');
        if (line.n > 0 && rg_str_eq_nocase(field, name)) {
            line.n -= line.p[line.n - 1] == '\r';
            return rg_str_trim(line);
        }
    }
    return rg_str_c(NULL);
}

static int check_answer(struct rg_str head, const struct rg_buf *key, struct rg_why *why)
{
    char accept[RG_WS_ACCEPT_SIZE];
    long status = rg_str_starts_with(head, RG_STR("HTTP/1.1 ")) ? strtol(head.p + 9, NULL, 10) : 0;

    if (status != 101)
        return rg_why_set(why, status == 429 || status >= 500 ? RG_EAGAIN : RG_EINVAL, "",
                          "no WebSocket there: status %ld", status);
    rg_ws_accept(rg_buf_str(key), accept);
    if (!rg_str_eq(header_value(head, RG_STR("sec-websocket-accept")), rg_str_c(accept)))
        return rg_why_set(why, RG_EINVAL, "", "no WebSocket there: wrong sec-websocket-accept");
    return 0;
}

static int await_answer(struct link *link, const struct rg_buf *key, struct rg_why *why)
{
    uint64_t until_ms = rg_clock_mono_ms() + HANDSHAKE_MS;
    size_t n;
    int err;

    while ((n = head_length(&link->in)) == 0) {
        if (rg_subscriber_is_done(link->sub))
            return 0;
        if (rg_clock_mono_ms() > until_ms || link->in.n > MAX_HEAD_BYTES)
            return rg_why_set(why, RG_EAGAIN, "", "the gateway does not answer the handshake");
        err = receive(link, why);
        if (err < 0)
            return err;
    }
    err = check_answer(rg_str_n(link->in.p, n), key, why);
    if (err == 0) {
        rg_buf_consume(&link->in, n);
        link->sub->was_connected = true;
    }
    return err;
}

static int shake_hands(struct link *link, CURLU *parts, struct rg_why *why)
{
    RG_CLEANUP(rg_buf_done) struct rg_buf request = {0};
    RG_CLEANUP(rg_buf_done) struct rg_buf key = {0};
    unsigned char random[16];
    int err;

    rg_random_bytes(random, sizeof(random));
    rg_base64_add(&key, random, sizeof(random));
    add_request(&request, parts, &key);
    err = send_all(link, &request, why);
    return err < 0 ? err : await_answer(link, &key, why);
}

/* -------------------------------------------------------------------- frames */

static int end_closed(struct link *link, struct rg_why *why)
{
    RG_CLEANUP(rg_buf_done) struct rg_buf answer = {0};
    struct rg_str reason = {0};
    unsigned code = 1002;

    link->is_closed = true;
    rg_ws_parse_close(rg_buf_str(&link->control), &code, &reason);
    rg_ws_add_close(&answer, code == 1005 ? 0 : code, RG_STR(""), true);
    send_all(link, &answer, NULL);
    if (rg_str_eq(reason, RG_STR("Bad request.")))
        return rg_why_set(why, RG_EINVAL, "", "the gateway refused the subscriptions or the token");
    return code == 1000 || code == 1001
               ? 0
               : rg_why_set(why, RG_EAGAIN, "", "closed with code %u: %.*s", code,
                            RG_STR_ARG(reason));
}

static int take_control(struct link *link, const struct rg_ws_part *part, struct rg_why *why)
{
    int err = 0;

    rg_buf_add_str(&link->control, part->data);
    if (!part->ends_frame)
        return 0;
    if (part->opcode == RG_WS_CLOSE)
        err = end_closed(link, why);
    if (part->opcode == RG_WS_PING) {
        RG_CLEANUP(rg_buf_done) struct rg_buf pong = {0};
        rg_ws_add_frame(&pong, RG_WS_PONG, rg_buf_str(&link->control), true);
        err = send_all(link, &pong, why);
    }
    rg_buf_clear(&link->control);
    return err;
}

static int take_part(struct link *link, const struct rg_ws_part *part, struct rg_why *why)
{
    if (part->opcode >= RG_WS_CLOSE)
        return take_control(link, part, why);
    if (link->message.n + part->data.n > MAX_MESSAGE_BYTES)
        return rg_why_set(why, RG_EINVAL, "", "a message is longer than %d MiB",
                          MAX_MESSAGE_BYTES >> 20);
    rg_buf_add_str(&link->message, part->data);
    if (part->ends_frame && part->is_final) {
        rg_subscriber_take(link->sub, rg_buf_str(&link->message));
        rg_buf_clear(&link->message);
    }
    return 0;
}

static int read_frames(struct link *link, struct rg_why *why)
{
    size_t at = 0;
    int err = 0;

    while (err == 0 && at < link->in.n && !link->is_closed && !rg_subscriber_is_done(link->sub)) {
        struct rg_ws_part part;
        bool has_part = false;
        long n = rg_ws_read(&link->reader, link->in.p + at, link->in.n - at, &part, &has_part, why);
        if (n < 0)
            return RG_EAGAIN;
        if (has_part)
            err = take_part(link, &part, why);
        at += (size_t)n;
    }
    rg_buf_consume(&link->in, at);
    return err;
}

static int read_events(struct link *link, struct rg_why *why)
{
    RG_CLEANUP(rg_buf_done) struct rg_buf bye = {0};
    int err = 0;

    while (err == 0 && !link->is_closed && !rg_subscriber_is_done(link->sub)) {
        err = read_frames(link, why);
        if (err == 0 && !link->is_closed && !rg_subscriber_is_done(link->sub))
            err = receive(link, why);
    }
    if (err == 0 && !link->is_closed) {
        rg_ws_add_close(&bye, 1000, RG_STR(""), true);
        send_all(link, &bye, NULL);
    }
    return err;
}

/* ---------------------------------------------------------------- connection */

static int connect_to(struct link *link, const char *url, struct rg_why *why)
{
    char error[CURL_ERROR_SIZE] = "";
    CURLcode code;

    curl_easy_setopt(link->curl, CURLOPT_URL, url);
    curl_easy_setopt(link->curl, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(link->curl, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    curl_easy_setopt(link->curl, CURLOPT_CONNECT_ONLY, 1L);
    rg_trust_apply(&link->sub->trust, link->curl);
    curl_easy_setopt(link->curl, CURLOPT_ERRORBUFFER, error);
    curl_easy_setopt(link->curl, CURLOPT_CONNECTTIMEOUT, (long)CONNECT_S);
    curl_easy_setopt(link->curl, CURLOPT_TCP_KEEPALIVE, 1L);
    code = curl_easy_perform(link->curl);
    curl_easy_setopt(link->curl, CURLOPT_ERRORBUFFER, NULL);
    if (code == CURLE_OK)
        return 0;
    return rg_why_set(why, rg_trust_outcome(code), "", "%s",
                      error[0] != '\0' ? error : curl_easy_strerror(code));
}

/* ws:// and wss:// as browsers write them; libcurl knows them by the other names. */
static void add_url(struct rg_buf *out, const struct rg_subscriber *sub)
{
    const char *url = sub->url;

    if (strncmp(url, "ws:", 3) == 0 || strncmp(url, "wss:", 4) == 0) {
        rg_buf_add_c(out, "http");
        url += 2;
    }
    rg_args_add_url(out, url, "/_rig/v1/connection/ws");
    rg_buf_add(out, sub->query.p, sub->query.n);
}

int rg_subscriber_run_ws(struct rg_subscriber *sub, struct rg_why *why)
{
    RG_CLEANUP(rg_buf_done) struct rg_buf url = {0};
    struct link link = {.sub = sub, .curl = curl_easy_init()};
    CURLU *parts = curl_url();
    int err;

    rg_assert(link.curl != NULL && parts != NULL);
    add_url(&url, sub);
    if (curl_url_set(parts, CURLUPART_URL, url.p, 0) != CURLUE_OK)
        err = rg_why_set(why, RG_EINVAL, "", "this is not a URL");
    else
        err = connect_to(&link, url.p, why);
    if (err == 0)
        err = shake_hands(&link, parts, why);
    if (err == 0)
        err = read_events(&link, why);
    curl_url_cleanup(parts);
    curl_easy_cleanup(link.curl);
    rg_buf_done(&link.in);
    rg_buf_done(&link.message);
    rg_buf_done(&link.control);
    return rg_subscriber_is_done(sub) ? 0 : err;
}
