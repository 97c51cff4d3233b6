/*
 * h2_client.h - a client of HTTP/2 in the thread of the test, and a server for it.
 *
 * The client is nghttp2's, on one end of a socket pair; what it sends and what it receives passes
 * through the test, which can also send bytes of its own making. The server runs on a loop that the
 * test turns by hand (../net/peer.h).
 *
 * Thread: the test's.
 */
#pragma once

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>
#include <nghttp2/nghttp2.h>

#include "../net/peer.h"
#include "base/alloc.h"
#include "base/log.h"
#include "base/rcu.h"
#include "http/h2_guard.h"
#include "http/server_priv.h"

#define MAX_ANSWERS 128

/* What came back on one stream. */
struct answer {
    int32_t id;
    int status;             /* of the final head */
    bool was_told_to_go_on; /* 100 */
    struct rg_buf fields;   /* "name: value\n" each, all heads */
    struct rg_buf body;
    bool is_over;
    uint32_t code; /* once it is over */
};

struct client {
    struct peer peer;
    nghttp2_session *session;
    struct answer answers[MAX_ANSWERS];
    size_t answers_n;
    struct rg_buf upload; /* what requests with a body send: the same for all */
    bool keeps_upload_open;
    struct rg_buf heard; /* all bytes from the server */
    bool has_goaway;
    uint32_t goaway_code;
    int32_t goaway_last_id;
};

static struct rg_reactor reactor;
static struct rg_http_server *server;
static struct rg_http_settings settings;
static struct client client;

/* ---- the client's side ---- */

static inline struct answer *answer_of(struct client *c, int32_t id)
{
    for (size_t i = 0; i < c->answers_n; i++) {
        if (c->answers[i].id == id)
            return &c->answers[i];
    }
    rg_assert(c->answers_n < MAX_ANSWERS);
    c->answers[c->answers_n].id = id;
    return &c->answers[c->answers_n++];
}

static inline struct answer *answer(int32_t id)
{
    return answer_of(&client, id);
}

static inline int client_on_header(nghttp2_session *session, const nghttp2_frame *frame,
                                   const uint8_t *name, size_t name_n, const uint8_t *value,
                                   size_t value_n, uint8_t flags, void *arg)
{
    struct answer *a = answer_of(arg, frame->hd.stream_id);

    (void)session;
    (void)flags;
    if (name_n == 7 && memcmp(name, ":status", 7) == 0) {
        a->status = atoi((const char *)value);
        a->was_told_to_go_on |= a->status == 100;
    }
    rg_buf_addf(&a->fields, "%.*s: %.*s\n", (int)name_n, (const char *)name, (int)value_n,
                (const char *)value);
    return 0;
}

static inline int client_on_data(nghttp2_session *session, uint8_t flags, int32_t id,
                                 const uint8_t *p, size_t n, void *arg)
{
    (void)session;
    (void)flags;
    rg_buf_add(&answer_of(arg, id)->body, p, n);
    return 0;
}

static inline int client_on_close(nghttp2_session *session, int32_t id, uint32_t code, void *arg)
{
    struct answer *a = answer_of(arg, id);

    (void)session;
    a->is_over = true;
    a->code = code;
    return 0;
}

static inline uint32_t read_u32(const char *p)
{
    const unsigned char *b = (const unsigned char *)p;

    return (uint32_t)b[0] << 24 | (uint32_t)b[1] << 16 | (uint32_t)b[2] << 8 | b[3];
}

/* Looks for GOAWAY itself: nghttp2 hears nothing more once it has objected to anything. */
static inline void client_note_goaway(struct client *c)
{
    struct rg_h2_guard guard = {0};
    struct rg_h2_frame frame;

    for (size_t at = 0; at < c->heard.n;) {
        bool is_frame;
        at += rg_h2_guard_walk(&guard, c->heard.p + at, c->heard.n - at, &frame, &is_frame);
        if (is_frame && frame.type == NGHTTP2_GOAWAY && c->heard.n - at >= 8) {
            c->has_goaway = true;
            c->goaway_last_id = (int32_t)read_u32(c->heard.p + at);
            c->goaway_code = read_u32(c->heard.p + at + 4);
        }
    }
}

static inline ssize_t client_upload(nghttp2_session *session, int32_t id, uint8_t *buf, size_t n,
                                    uint32_t *flags, nghttp2_data_source *source, void *arg)
{
    struct client *c = arg;
    size_t *at = source->ptr;
    size_t run = c->upload.n - *at < n ? c->upload.n - *at : n;

    (void)session;
    (void)id;
    if (run == 0 && c->keeps_upload_open)
        return NGHTTP2_ERR_DEFERRED;
    if (run > 0)
        memcpy(buf, c->upload.p + *at, run);
    *at += run;
    if (*at == c->upload.n && !c->keeps_upload_open) {
        *flags |= NGHTTP2_DATA_FLAG_EOF;
    }
    return (ssize_t)run;
}

/* Takes what the server has sent. */
static inline void client_take(struct client *c)
{
    peer_forget(&c->peer);
    peer_take(&c->peer, SIZE_MAX);
    rg_buf_add(&c->heard, c->peer.got.p, c->peer.got.n);
    client_note_goaway(c);
    if (c->session != NULL && c->peer.got.n > 0)
        assert_int_equal(
            nghttp2_session_mem_recv(c->session, (const uint8_t *)c->peer.got.p, c->peer.got.n),
            (int)c->peer.got.n);
}

/* Writes what nghttp2 has to say, without a turn. */
static inline void client_flush(struct client *c)
{
    const uint8_t *p;
    ssize_t n;

    while (c->session != NULL && (n = nghttp2_session_mem_send(c->session, &p)) > 0)
        (void)!send(c->peer.fd, p, (size_t)n, MSG_NOSIGNAL);
}

/* Both sides say what they have to say until neither has anything left. */
static inline void talk(void)
{
    do {
        client_flush(&client);
        peer_turn(&reactor);
        client_take(&client);
    } while (client.peer.got.n > 0 || nghttp2_session_want_write(client.session));
    peer_turn(&reactor);
}

static inline void client_open(struct client *c, const nghttp2_settings_entry *entries, size_t n,
                               bool acks)
{
    nghttp2_session_callbacks *callbacks;
    nghttp2_option *options;

    nghttp2_session_callbacks_new(&callbacks);
    nghttp2_session_callbacks_set_on_header_callback(callbacks, client_on_header);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, client_on_data);
    nghttp2_session_callbacks_set_on_stream_close_callback(callbacks, client_on_close);
    nghttp2_option_new(&options);
    /* With it the test says when windows open. */
    nghttp2_option_set_no_auto_window_update(options, !acks);
    nghttp2_option_set_max_send_header_block_length(options, 1024 * 1024);
    rg_assert(nghttp2_session_client_new2(&c->session, callbacks, c, options) == 0);
    nghttp2_option_del(options);
    nghttp2_session_callbacks_del(callbacks);
    nghttp2_submit_settings(c->session, NGHTTP2_FLAG_NONE, entries, n);
}

static inline void client_done(struct client *c)
{
    for (size_t i = 0; i < c->answers_n; i++) {
        rg_buf_done(&c->answers[i].fields);
        rg_buf_done(&c->answers[i].body);
    }
    nghttp2_session_del(c->session);
    rg_buf_done(&c->upload);
    rg_buf_done(&c->heard);
    peer_close(&c->peer);
    *c = (struct client){.peer.fd = -1};
}

/* "name: value" as a field; for a pseudo-header field the colon at the start counts, too. */
static inline nghttp2_nv field(const char *text)
{
    const char *colon = strchr(text + 1, ':');

    return (nghttp2_nv){(uint8_t *)text, (uint8_t *)colon + 2, (size_t)(colon - text),
                        strlen(colon + 2), NGHTTP2_NV_FLAG_NONE};
}

#define MAX_REQUEST_FIELDS 600

/* Submits a request with these fields (and NULL); returns its stream. */
static inline int32_t submit(bool has_body, const char *const *texts)
{
    static size_t upload_at[1024];
    static size_t uploads;
    nghttp2_nv fields[MAX_REQUEST_FIELDS];
    size_t n = 0;

    for (; texts[n] != NULL; n++)
        fields[n] = field(texts[n]);
    size_t *at = &upload_at[uploads++ % RG_COUNT_OF(upload_at)];
    *at = 0;
    nghttp2_data_provider provider = {{.ptr = at}, client_upload};
    return nghttp2_submit_request(client.session, NULL, fields, n, has_body ? &provider : NULL,
                                  NULL);
}

#define HEAD(method, path) ":method: " method, ":scheme: http", ":authority: h", ":path: " path

#define SUBMIT(has_body, ...) submit(has_body, (const char *const[]){__VA_ARGS__, NULL})
#define GET(path, ...)        SUBMIT(false, HEAD("GET", path), ##__VA_ARGS__)
#define POST(path, ...)       SUBMIT(true, HEAD("POST", path), ##__VA_ARGS__)

static inline bool has_field(int32_t id, const char *text)
{
    struct rg_buf *fields = &answer(id)->fields;

    return fields->n > 0 && memmem(fields->p, fields->n, text, strlen(text)) != NULL;
}

#define assert_body(id, text)                                                                      \
    do {                                                                                           \
        assert_int_equal(answer(id)->body.n, strlen(text));                                        \
        assert_memory_equal(answer(id)->body.p, text, strlen(text));                               \
    } while (0)

/* ---- frames made by hand ---- */

static inline void put_frame(unsigned char type, unsigned char flags, uint32_t id, const void *p,
                             size_t n)
{
    const unsigned char head[9] = {(unsigned char)(n >> 16),
                                   (unsigned char)(n >> 8),
                                   (unsigned char)n,
                                   type,
                                   flags,
                                   (unsigned char)(id >> 24),
                                   (unsigned char)(id >> 16),
                                   (unsigned char)(id >> 8),
                                   (unsigned char)id};

    /* The server may have closed already, which the test finds out later. */
    (void)!send(client.peer.fd, head, sizeof(head), MSG_NOSIGNAL);
    if (n > 0)
        (void)!send(client.peer.fd, p, n, MSG_NOSIGNAL);
}

/* ---- the stage ---- */

static inline uint64_t count(const char *name_and_labels)
{
    const struct rg_counters *block = rg_http_server_counters(server);
    struct rg_buf text = {0};
    uint64_t n = UINT64_MAX;

    rg_counters_expose(&text, rg_http_counter_rows, rg_http_counter_rows_n, &block, 1);
    rg_buf_add_char(&text, '\0');
    for (char *line = text.p; line != NULL; line = strchr(line, '\n')) {
        line += *line == '\n';
        size_t name_n = strlen(name_and_labels);
        if (strncmp(line, name_and_labels, name_n) == 0 && line[name_n] == ' ')
            n = strtoull(line + name_n, NULL, 10);
    }
    rg_buf_done(&text);
    return n;
}

static inline void stage_open(const struct rg_route *routes, size_t routes_n)
{
    settings = rg_http_default_settings;
    peer_reactor_init(&reactor);
    server = rg_http_server_new(&reactor, &settings, routes, routes_n);
    client = (struct client){.peer.fd = -1};
}

/* Connects without a word. */
static inline void stage_connect(int send_buffer)
{
    int theirs;

    client.peer = peer_open(&theirs, send_buffer);
    rg_http_server_accept(server, theirs);
}

static inline void stage_close(void)
{
    client_done(&client);
    peer_turn(&reactor);
    rg_http_server_close_all(server);
    assert_int_equal(rg_http_server_connections(server), 0);
    assert_int_equal(count("rgate_http2_connections"), 0);
    assert_int_equal(server->h2_unflushed, 0);
    assert_int_equal(reactor.wheel.pending, 0);
    rg_http_server_free(&server);
    rg_reactor_done(&reactor);
}

/* Takes all that the server has to say. */
static inline void hear_out(void)
{
    do {
        peer_turn(&reactor);
        client_take(&client);
    } while (client.peer.got.n > 0);
}

static inline void assert_closed(void)
{
    hear_out();
    assert_true(client.peer.has_seen_end);
    /* Lingering ends at the latest when the peer closes too. */
    peer_close(&client.peer);
    peer_turn(&reactor);
    assert_int_equal(rg_http_server_connections(server), 0);
}

static inline void assert_cut_off(uint32_t code)
{
    hear_out();
    assert_true(client.has_goaway);
    assert_int_equal(client.goaway_code, code);
    assert_closed();
}

/* Runs the array called tests, without a log. */
#define RUN(tests)                                                                                 \
    (signal(SIGPIPE, SIG_IGN), rg_log_set_fd(open("/dev/null", O_WRONLY | O_CLOEXEC)),             \
     rg_rcu_thread_start(), cmocka_run_group_tests(tests, NULL, NULL))
