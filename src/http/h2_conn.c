/*
 * nghttp2 keeps the protocol's state and is fed with bytes; everything that follows from them is
 * put off to the end of the turn, so that neither a handler nor an owner of a stream ever runs
 * inside of nghttp2 or of one another:
 *
 *   on_readable: bytes --> nghttp2 --> callbacks: requests collected, streams made due
 *   at_turn_end: due streams: handlers answer, owners read and write --> out --> one write
 *
 * What a stream writes in between (an event for a client) is framed into out at once and leaves
 * with that same write.
 *
 * A connection goes through: session open; session over (GOAWAY is among what is unsent);
 * lingering, so that the peer can read our last words; closed. Its memory stays until the owners of
 * its streams have let go of them.
 */
#include "http/h2_conn_priv.h"

#include "base/alloc.h"
#include "base/log.h"

#define CHECK_MS         1000 /* how often time limits are looked at while there are any */
#define LINGER_MS        2000
#define LINGER_MAX_BYTES ((size_t)256 * 1024)
#define CONN_WINDOW      (1024 * 1024)
#define MIN_SPARE        4096
#define MAX_UNFLUSHED    ((size_t)4 * 1024 * 1024) /* of all connections of a server */
#define GOAWAY_SIZE      17

/*
 * RFC 9113 10.5. Streams that are ended before their time, by the peer or because of it; and as
 * many as may be open at a time, which may go at once.
 */
#define RESET_BURST       400
#define RESET_RATE        100
/* Frames that move nothing forward: PING, SETTINGS, PRIORITY, empty DATA and unknown ones. */
#define TALK_BURST        500
#define TALK_RATE         100
/* CONTINUATION frames of one header block. */
#define MAX_CONTINUATIONS 8
/* Of an answer; more than a service may send us. */
#define MAX_HEAD_SENT     ((size_t)128 * 1024)
/* Answers to PING and SETTINGS that wait to be written. */
#define MAX_ACKS          200

static void run_due(struct rg_h2_conn *c);

/* ---- recognising it ---- */

int rg_h2_detect(const char *p, size_t n)
{
    static const char preface[] = NGHTTP2_CLIENT_MAGIC;
    size_t known = n < NGHTTP2_CLIENT_MAGIC_LEN ? n : NGHTTP2_CLIENT_MAGIC_LEN;

    if (memcmp(p, preface, known) != 0)
        return -1;
    return known == NGHTTP2_CLIENT_MAGIC_LEN;
}

/* ---- the end of a connection ---- */

void rg_h2_conn_reap(struct rg_h2_conn *c)
{
    if (c->socket != NULL || c->streams != NULL || c->is_working)
        return;
    rg_reactor_cancel_late(&c->late);
    rg_free(c);
}

/* Nothing goes through the session any more: its streams are lost. */
static void end_session(struct rg_h2_conn *c)
{
    if (c->session == NULL)
        return;
    for (struct rg_h2_stream *s = c->streams; s != NULL; s = s->next)
        rg_h2_stream_lost(s);
    nghttp2_session_del(c->session);
    c->session = NULL;
    if (!c->is_working)
        run_due(c);
}

static void conn_close(struct rg_h2_conn *c)
{
    if (c->is_working) {
        c->wants_close = true;
        return;
    }
    end_session(c);
    c->server->h2_unflushed -= c->unflushed;
    rg_stream_close(&c->socket);
    rg_reactor_cancel_timer(c->reactor, &c->timer);
    rg_reactor_cancel_late(&c->late);
    rg_http_server_remove(c->server, &c->link);
    rg_count(c->server->counters, RG_HTTP_H2_CONNECTIONS, -1);
    rg_buf_done(&c->out);
    rg_h2_conn_reap(c);
}

/* Our last word is out: let the peer read it before the connection goes. */
static void linger(struct rg_h2_conn *c)
{
    c->is_lingering = true;
    rg_stream_shutdown(c->socket);
    rg_stream_want(c->socket, true, false);
    rg_reactor_set_timer(c->reactor, &c->timer, LINGER_MS);
}

/* nghttp2 would not frame this any more. */
static void add_goaway(struct rg_h2_conn *c, uint32_t code)
{
    uint32_t last = (uint32_t)nghttp2_session_get_last_proc_stream_id(c->session);
    const unsigned char frame[GOAWAY_SIZE] = {
        0,
        0,
        8,
        NGHTTP2_GOAWAY,
        0,
        0,
        0,
        0,
        0,
        (unsigned char)(last >> 24),
        (unsigned char)(last >> 16),
        (unsigned char)(last >> 8),
        (unsigned char)last,
        (unsigned char)(code >> 24),
        (unsigned char)(code >> 16),
        (unsigned char)(code >> 8),
        (unsigned char)code,
    };

    rg_buf_add(&c->out, frame, sizeof(frame));
}

/* Ends the connection because of what the peer does. */
static void cut(struct rg_h2_conn *c, uint32_t code, const char *reason)
{
    rg_log_info("http2 connection cut", RG_FS("reason", reason));
    add_goaway(c, code);
    end_session(c);
    rg_h2_run_late(c);
}

static void cut_flood(struct rg_h2_conn *c)
{
    rg_count(c->server->counters, RG_HTTP_H2_FLOODS, 1);
    cut(c, NGHTTP2_ENHANCE_YOUR_CALM, "flood");
}

/* ---- output ---- */

void rg_h2_run_late(struct rg_h2_conn *c)
{
    rg_reactor_run_late(c->reactor, &c->late);
}

void rg_h2_make_due(struct rg_h2_stream *s)
{
    struct rg_h2_conn *c = s->conn;

    if (s->is_due)
        return;
    s->is_due = true;
    s->next_due = NULL;
    if (c->due_last != NULL)
        c->due_last->next_due = s;
    else
        c->due_first = s;
    c->due_last = s;
    rg_h2_run_late(c);
}

void rg_h2_cancel_due(struct rg_h2_stream *s)
{
    struct rg_h2_conn *c = s->conn;
    struct rg_h2_stream *before = NULL;

    if (!s->is_due)
        return;
    for (struct rg_h2_stream *i = c->due_first; i != s; i = i->next_due)
        before = i;
    if (before != NULL)
        before->next_due = s->next_due;
    else
        c->due_first = s->next_due;
    if (c->due_last == s)
        c->due_last = before;
    s->is_due = false;
}

/*
 * Memory for output goes from connection to connection: an event for thousands of them would
 * otherwise have the allocator take large pieces apart and join them again for each.
 */
static void take_spare(struct rg_h2_conn *c)
{
    struct rg_http_server *server = c->server;

    if (c->out.p == NULL && server->h2_spare_n > 0)
        c->out = server->h2_spare[--server->h2_spare_n];
}

static void give_spare(struct rg_h2_conn *c)
{
    struct rg_http_server *server = c->server;

    if (c->out.cap < MIN_SPARE || server->h2_spare_n == RG_H2_MAX_SPARE) {
        rg_buf_done(&c->out);
        return;
    }
    rg_buf_clear(&c->out);
    server->h2_spare[server->h2_spare_n++] = c->out;
    c->out = (struct rg_buf){0};
}

static void forget_unflushed(struct rg_h2_conn *c)
{
    c->server->h2_unflushed -= c->unflushed;
    c->unflushed = 0;
}

/* Writes what the socket takes; false if it takes no more for now. */
static bool flush(struct rg_h2_conn *c)
{
    size_t at = 0;

    forget_unflushed(c);
    while (at < c->out.n && !c->is_broken) {
        long n = rg_stream_write(c->socket, c->out.p + at, c->out.n - at);
        if (n == UV_EAGAIN)
            break;
        if (n < 0)
            c->is_broken = true;
        else
            at += (size_t)n;
    }
    if (at > 0)
        c->stuck_since_ms = 0;
    if (at == c->out.n) {
        give_spare(c);
        return true;
    }
    rg_buf_consume(&c->out, at);
    if (c->stuck_since_ms == 0)
        c->stuck_since_ms = c->reactor->now_ms;
    return false;
}

/* Frames until there is no room, or nothing to frame; true if there is no room. */
static bool fill(struct rg_h2_conn *c)
{
    const uint8_t *p;

    while (c->session != NULL && !rg_h2_is_full(c)) {
        ssize_t n = nghttp2_session_mem_send(c->session, &p);
        if (n < 0)
            c->is_broken = true;
        if (n <= 0)
            break;
        rg_buf_add(&c->out, p, (size_t)n);
    }
    return rg_h2_is_full(c);
}

static const struct rg_http_link_ops link_ops;

/* Writes for all connections what they keep for the end of the turn. */
static void flush_all(struct rg_http_server *server)
{
    for (struct rg_http_link *link = server->links; link != NULL; link = link->next) {
        struct rg_h2_conn *c = RG_CONTAINER_OF(link, struct rg_h2_conn, link);
        if (link->ops != &link_ops || c->unflushed == 0)
            continue;
        if (c->stuck_since_ms == 0)
            flush(c);
        else
            forget_unflushed(c);
    }
}

void rg_h2_pump(struct rg_h2_conn *c)
{
    struct rg_http_server *server = c->server;
    size_t before = c->out.n;

    rg_h2_run_late(c);
    if (c->socket == NULL)
        return;
    take_spare(c);
    while (fill(c)) {
        c->is_full = true;
        if (c->stuck_since_ms != 0 || !flush(c))
            break;
        take_spare(c);
        before = 0;
    }
    if (c->out.n == 0)
        give_spare(c);
    if (c->out.n <= before)
        return;
    c->unflushed += c->out.n - before;
    server->h2_unflushed += c->out.n - before;
    /* An event for everybody: the first need not wait for the last, nor memory hold it for all. */
    if (server->h2_unflushed >= MAX_UNFLUSHED)
        flush_all(server);
}

/* ---- what there is to do at the end of a turn ---- */

static void arm(struct rg_h2_conn *c, uint64_t delay_ms)
{
    struct rg_reactor *reactor = c->reactor;

    if (!rg_timer_is_pending(&c->timer) || c->timer.deadline_ms > reactor->now_ms + delay_ms)
        rg_reactor_set_timer(reactor, &c->timer, delay_ms);
}

static uint64_t idle_limit(const struct rg_h2_conn *c)
{
    /* Who has not even said hello yet is held to the time of a head. */
    return c->has_settings ? c->server->settings->idle_timeout_ms
                           : c->server->settings->header_timeout_ms;
}

static void arm_for_state(struct rg_h2_conn *c)
{
    uint64_t now = c->reactor->now_ms;

    if (c->timed_n > 0 || c->stuck_since_ms != 0) {
        arm(c, CHECK_MS);
    } else if (c->streams_n == 0) {
        uint64_t end = c->idle_since_ms + idle_limit(c);
        arm(c, end > now ? end - now : 0);
    } else {
        /* Only streams that others look after. */
        rg_reactor_cancel_timer(c->reactor, &c->timer);
    }
}

static void run_due(struct rg_h2_conn *c)
{
    c->is_working = true;
    while (c->due_first != NULL) {
        struct rg_h2_stream *s = c->due_first;
        c->due_first = s->next_due;
        if (c->due_first == NULL)
            c->due_last = NULL;
        s->is_due = false;
        rg_h2_serve(s);
    }
    c->is_working = false;
}

/* All that wait for room, in turns: whoever found none last time comes first. */
static void wake_writers(struct rg_h2_conn *c)
{
    struct rg_h2_stream *first = c->next_writer != NULL ? c->next_writer : c->streams;

    c->next_writer = NULL;
    for (struct rg_h2_stream *s = first; s != NULL; s = s->next)
        rg_h2_wake_writer(s);
    for (struct rg_h2_stream *s = c->streams; s != first; s = s->next)
        rg_h2_wake_writer(s);
}

/* Everything that can be done and written now. */
static void work(struct rg_h2_conn *c)
{
    bool goes_on;

    do {
        rg_h2_pump(c); /* what nghttp2 has to say first: it may end streams */
        run_due(c);
        rg_h2_pump(c);
        if (c->wants_close || c->is_broken)
            return;
        flush(c);
        if (c->is_full && !rg_h2_is_full(c)) {
            c->is_full = false;
            c->may_go_on = true;
        }
        goes_on = c->may_go_on;
        c->may_go_on = false;
        if (goes_on)
            wake_writers(c);
    } while ((c->due_first != NULL || goes_on) && !c->is_broken);
}

static bool is_session_over(const struct rg_h2_conn *c)
{
    return c->session == NULL ||
           (!nghttp2_session_want_read(c->session) && !nghttp2_session_want_write(c->session));
}

static void at_turn_end(struct rg_late *late)
{
    struct rg_h2_conn *c = RG_CONTAINER_OF(late, struct rg_h2_conn, late);

    if (c->socket == NULL || c->is_lingering) {
        run_due(c);
        rg_h2_conn_reap(c);
        return;
    }
    work(c);
    if (c->is_flooded && c->session != NULL && !c->is_broken) {
        cut_flood(c);
        flush(c);
    }
    if (c->wants_close || c->is_broken) {
        conn_close(c);
        return;
    }
    if (is_session_over(c) && c->out.n == 0) {
        end_session(c);
        linger(c);
        return;
    }
    rg_stream_want(c->socket, !rg_h2_is_full(c), c->out.n > 0);
    arm_for_state(c);
    /* What was put off by the work itself is done. */
    rg_reactor_cancel_late(&c->late);
}

/* ---- input ---- */

static bool spend(struct rg_h2_budget *budget, uint64_t now_ms, unsigned burst, unsigned rate)
{
    uint64_t earned = (now_ms - budget->at_ms) * rate / 1000;

    if (earned > 0) {
        budget->left = earned > burst - budget->left ? burst : budget->left + (unsigned)earned;
        budget->at_ms = now_ms;
    }
    if (budget->left == 0)
        return false;
    budget->left--;
    return true;
}

static int flooded(struct rg_h2_conn *c)
{
    c->is_flooded = true;
    return NGHTTP2_ERR_CALLBACK_FAILURE;
}

static unsigned reset_burst(const struct rg_http_server *server)
{
    return RESET_BURST + server->settings->h2_max_streams;
}

static int spend_reset(struct rg_h2_conn *c)
{
    if (spend(&c->resets, c->reactor->now_ms, reset_burst(c->server), RESET_RATE))
        return 0;
    return flooded(c);
}

void rg_h2_remember_closed(struct rg_h2_conn *c, const struct rg_h2_stream *s)
{
    c->closed[c->closed_at++ % RG_H2_CLOSED] = s->has_ended ? s->id : -s->id;
}

/*
 * What a frame for a stream that is closed means (RFC 9113 5.1): a code, or NGHTTP2_NO_ERROR. What
 * the peer may have sent before it knew is ignored, and so is what we cannot know any more; nghttp2
 * would ignore all of it.
 */
static uint32_t check_closed(struct rg_h2_conn *c, const struct rg_h2_frame *frame)
{
    bool is_new = frame->type == NGHTTP2_HEADERS && frame->stream_id > c->last_id;

    if (is_new)
        c->last_id = frame->stream_id;
    if (is_new || frame->stream_id > c->last_id ||
        nghttp2_session_find_stream(c->session, frame->stream_id) != NULL)
        return NGHTTP2_NO_ERROR;
    for (size_t i = 0; i < RG_H2_CLOSED; i++) {
        if (c->closed[i] == frame->stream_id)
            return NGHTTP2_STREAM_CLOSED;
        if (c->closed[i] == -frame->stream_id)
            return NGHTTP2_NO_ERROR;
    }
    /* A request must not go back to a lower number (5.1.1). What comes behind our GOAWAY is ignored
     * from its first frame on. */
    return frame->type == NGHTTP2_HEADERS && !c->is_draining ? NGHTTP2_PROTOCOL_ERROR
                                                             : NGHTTP2_NO_ERROR;
}

/* Priorities mean nothing here, but must be well formed (RFC 9113 6.3, RFC 7540 5.3.1). */
static uint32_t check_priority(const struct rg_h2_frame *frame)
{
    if (frame->stream_id == 0 || frame->depends_on == frame->stream_id)
        return NGHTTP2_PROTOCOL_ERROR;
    return frame->length == RG_H2_PRIORITY_SIZE ? NGHTTP2_NO_ERROR : NGHTTP2_FRAME_SIZE_ERROR;
}

static bool is_mere_talk(const struct rg_h2_frame *frame)
{
    switch (frame->type) {
    case NGHTTP2_DATA:
        return frame->length == 0 && (frame->flags & NGHTTP2_FLAG_END_STREAM) == 0;
    case NGHTTP2_HEADERS:
    case NGHTTP2_CONTINUATION:
    case NGHTTP2_RST_STREAM:
    case NGHTTP2_WINDOW_UPDATE:
        return false;
    default:
        return true;
    }
}

/* Looks at a frame before nghttp2 does. */
static void check_frame(struct rg_h2_conn *c, const struct rg_h2_frame *frame)
{
    uint32_t code = NGHTTP2_NO_ERROR;

    if (frame->type == NGHTTP2_HEADERS || frame->type == NGHTTP2_DATA)
        code = check_closed(c, frame);
    else if (frame->type == NGHTTP2_PRIORITY)
        code = check_priority(frame);
    if (code != NGHTTP2_NO_ERROR) {
        rg_count(c->server->counters, RG_HTTP_MALFORMED, 1);
        c->is_refused = true;
        nghttp2_session_terminate_session(c->session, code);
    } else if (is_mere_talk(frame) && !spend(&c->talk, c->reactor->now_ms, TALK_BURST, TALK_RATE)) {
        c->is_flooded = true;
    }
}

/* A frame that is complete and allowed. */
static int on_frame(nghttp2_session *session, const nghttp2_frame *frame, void *arg)
{
    struct rg_h2_conn *c = arg;
    struct rg_h2_stream *s = nghttp2_session_get_stream_user_data(session, frame->hd.stream_id);
    bool is_end = (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) != 0;

    switch (frame->hd.type) {
    case NGHTTP2_HEADERS:
        if (s != NULL && frame->headers.cat == NGHTTP2_HCAT_REQUEST)
            rg_h2_head_complete(s, is_end);
        else if (s != NULL && is_end)
            rg_h2_stream_ended(s);
        break;
    case NGHTTP2_DATA:
        if (s != NULL && is_end)
            rg_h2_stream_ended(s);
        break;
    case NGHTTP2_RST_STREAM:
        if (s != NULL)
            s->has_ended = true;
        rg_count(c->server->counters, RG_HTTP_H2_RESETS_IN, 1);
        return spend_reset(c);
    case NGHTTP2_SETTINGS:
        c->has_settings = true;
        c->may_go_on = true;
        break;
    case NGHTTP2_WINDOW_UPDATE:
        c->may_go_on = true;
        break;
    default:
        break;
    }
    return 0;
}

static int on_bad_frame(nghttp2_session *session, const nghttp2_frame *frame, int err, void *arg)
{
    struct rg_h2_conn *c = arg;

    (void)session;
    rg_count(c->server->counters, RG_HTTP_MALFORMED, 1);
    rg_log_debug("http2 frame refused", RG_FI("type", frame->hd.type),
                 RG_FS("reason", nghttp2_strerror(err)));
    return 0;
}

static int on_frame_sent(nghttp2_session *session, const nghttp2_frame *frame, void *arg)
{
    struct rg_h2_conn *c = arg;
    int32_t id = frame->hd.stream_id;

    if (frame->hd.type == NGHTTP2_RST_STREAM) {
        uint32_t code = frame->rst_stream.error_code;
        rg_count(c->server->counters, RG_HTTP_H2_RESETS_OUT, 1);
        /* These two are our own will; all others the peer can bring about. */
        if (code != NGHTTP2_NO_ERROR && code != NGHTTP2_CANCEL && spend_reset(c) != 0)
            return 0;
    }
    if ((frame->hd.type == NGHTTP2_HEADERS || frame->hd.type == NGHTTP2_DATA) &&
        (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) != 0) {
        struct rg_h2_stream *s = nghttp2_session_get_stream_user_data(session, id);
        if (s != NULL)
            s->has_sent_end = true;
        /* The rest of a request that is answered is of no use (RFC 9113 8.1). */
        if (nghttp2_session_get_stream_remote_close(session, id) == 0)
            nghttp2_submit_rst_stream(session, NGHTTP2_FLAG_NONE, id, NGHTTP2_NO_ERROR);
    }
    return 0;
}

static ssize_t feed(struct rg_h2_conn *c, const char *p, size_t n)
{
    struct rg_h2_frame frame;

    while (n > 0) {
        bool is_frame = false;
        size_t run = n < c->preface_left ? n : c->preface_left;
        c->preface_left -= (unsigned)run;
        if (run == 0)
            run = rg_h2_guard_walk(&c->guard, p, n, &frame, &is_frame);
        if (is_frame)
            check_frame(c, &frame);
        if (c->is_refused || c->is_flooded)
            break;
        ssize_t used = nghttp2_session_mem_recv(c->session, (const uint8_t *)p, run);
        if (used < 0)
            return used;
        p += run;
        n -= run;
    }
    return 0;
}

static void take_bytes(struct rg_h2_conn *c, const char *p, size_t n)
{
    if (c->session == NULL || c->is_refused)
        return;
    ssize_t err = feed(c, p, n);
    if (c->is_flooded || err == NGHTTP2_ERR_FLOODED)
        cut_flood(c);
    else if (err == NGHTTP2_ERR_BAD_CLIENT_MAGIC)
        cut(c, NGHTTP2_PROTOCOL_ERROR, "false preface");
    else if (err < 0)
        cut(c, NGHTTP2_INTERNAL_ERROR, nghttp2_strerror((int)err));
    rg_h2_run_late(c);
}

static void on_readable(struct rg_stream *stream)
{
    struct rg_h2_conn *c = stream->owner;
    char *buffer = c->reactor->read_buffer;
    long n = rg_stream_read(stream, buffer, RG_READ_BUFFER);

    if (n == UV_EAGAIN)
        return;
    if (c->is_lingering && n > 0) {
        c->lingered += (size_t)n;
        if (c->lingered > LINGER_MAX_BYTES)
            conn_close(c);
    } else if (n <= 0) {
        conn_close(c);
    } else {
        take_bytes(c, buffer, (size_t)n);
    }
}

static void on_writable(struct rg_stream *stream)
{
    struct rg_h2_conn *c = stream->owner;

    rg_h2_run_late(c);
}

static void on_hangup(struct rg_stream *stream)
{
    conn_close(stream->owner);
}

static const struct rg_stream_events conn_events = {on_readable, on_writable, on_hangup};

/* ---- time ---- */

static void time_out(struct rg_h2_conn *c, uint32_t code, const char *reason)
{
    rg_count(c->server->counters, RG_HTTP_TIMEOUTS, 1);
    cut(c, code, reason);
}

static bool is_head_late(const struct rg_h2_conn *c)
{
    uint64_t now = c->reactor->now_ms;

    for (const struct rg_h2_stream *s = c->streams; s != NULL; s = s->next) {
        if (!s->is_taken && s->request != NULL && s->request->state == RG_H2_HEAD && !s->is_over &&
            now >= s->request->since_ms + c->server->settings->header_timeout_ms)
            return true;
    }
    return false;
}

static void on_timer(struct rg_timer *timer)
{
    struct rg_h2_conn *c = RG_CONTAINER_OF(timer, struct rg_h2_conn, timer);
    uint64_t now = c->reactor->now_ms;

    if (c->is_lingering) {
        conn_close(c);
    } else if (c->stuck_since_ms != 0 &&
               now >= c->stuck_since_ms + c->server->settings->write_timeout_ms) {
        rg_count(c->server->counters, RG_HTTP_TIMEOUTS, 1);
        conn_close(c);
    } else if (c->session == NULL) {
        arm_for_state(c);
    } else if (c->streams_n == 0 && now >= c->idle_since_ms + idle_limit(c)) {
        nghttp2_session_terminate_session(c->session, NGHTTP2_NO_ERROR);
        rg_h2_run_late(c);
    } else if (is_head_late(c)) {
        time_out(c, NGHTTP2_ENHANCE_YOUR_CALM, "slow head");
    } else {
        for (struct rg_h2_stream *s = c->streams; s != NULL; s = s->next)
            rg_h2_check_time(s);
        arm_for_state(c);
    }
}

/* ---- life ---- */

static void drain(struct rg_http_link *link)
{
    struct rg_h2_conn *c = RG_CONTAINER_OF(link, struct rg_h2_conn, link);

    if (c->session == NULL || c->is_draining)
        return;
    c->is_draining = true;
    nghttp2_submit_goaway(c->session, NGHTTP2_FLAG_NONE,
                          nghttp2_session_get_last_proc_stream_id(c->session), NGHTTP2_NO_ERROR,
                          NULL, 0);
    rg_h2_run_late(c);
}

static void close_link(struct rg_http_link *link)
{
    conn_close(RG_CONTAINER_OF(link, struct rg_h2_conn, link));
}

static const struct rg_http_link_ops link_ops = {drain, close_link};

static void *mem_alloc(size_t n, void *arg)
{
    (void)arg;
    return rg_alloc(n);
}

static void mem_free(void *p, void *arg)
{
    (void)arg;
    rg_free(p);
}

static void *mem_calloc(size_t count, size_t n, void *arg)
{
    (void)arg;
    /* nghttp2 asks for a few structs of its own. */
    return rg_zalloc(count * n);
}

static void *mem_realloc(void *p, size_t n, void *arg)
{
    (void)arg;
    return rg_realloc(p, n);
}

static nghttp2_session_callbacks *callbacks_new(void)
{
    nghttp2_session_callbacks *callbacks = NULL;

    rg_assert(nghttp2_session_callbacks_new(&callbacks) == 0);
    nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks, on_frame);
    nghttp2_session_callbacks_set_on_invalid_frame_recv_callback(callbacks, on_bad_frame);
    nghttp2_session_callbacks_set_on_frame_send_callback(callbacks, on_frame_sent);
    nghttp2_session_callbacks_set_on_begin_headers_callback(callbacks, rg_h2_on_begin_headers);
    nghttp2_session_callbacks_set_on_header_callback(callbacks, rg_h2_on_header);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, rg_h2_on_data);
    nghttp2_session_callbacks_set_on_stream_close_callback(callbacks, rg_h2_on_stream_close);
    nghttp2_session_callbacks_set_send_data_callback(callbacks, rg_h2_send_data);
    return callbacks;
}

static nghttp2_option *options_new(void)
{
    nghttp2_option *options = NULL;

    rg_assert(nghttp2_option_new(&options) == 0);
    nghttp2_option_set_no_auto_window_update(options, 1);
    nghttp2_option_set_max_continuations(options, MAX_CONTINUATIONS);
    nghttp2_option_set_max_outbound_ack(options, MAX_ACKS);
    nghttp2_option_set_max_send_header_block_length(options, MAX_HEAD_SENT);
    /* Counted here, together with those that we send. */
    nghttp2_option_set_stream_reset_rate_limit(options, UINT32_MAX, UINT32_MAX);
    return options;
}

static nghttp2_session *session_new(struct rg_h2_conn *c)
{
    nghttp2_mem mem = {NULL, mem_alloc, mem_free, mem_calloc, mem_realloc};
    nghttp2_session_callbacks *callbacks = callbacks_new();
    nghttp2_option *options = options_new();
    nghttp2_session *session = NULL;
    const struct rg_http_settings *settings = c->server->settings;
    const nghttp2_settings_entry ours[] = {
        {NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, settings->h2_max_streams},
        {NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, (uint32_t)settings->limits.head},
        {NGHTTP2_SETTINGS_ENABLE_CONNECT_PROTOCOL, 1},
        {NGHTTP2_SETTINGS_NO_RFC7540_PRIORITIES, 1},
    };

    rg_assert(nghttp2_session_server_new3(&session, callbacks, c, options, &mem) == 0);
    nghttp2_option_del(options);
    nghttp2_session_callbacks_del(callbacks);
    rg_assert(nghttp2_submit_settings(session, NGHTTP2_FLAG_NONE, ours, RG_COUNT_OF(ours)) == 0);
    rg_assert(nghttp2_session_set_local_window_size(session, NGHTTP2_FLAG_NONE, 0, CONN_WINDOW) ==
              0);
    return session;
}

void rg_h2_conn_open(struct rg_http_server *server, struct rg_stream *stream,
                     struct rg_http_transport transport, const char *p, size_t n)
{
    struct rg_h2_conn *c = rg_zalloc(sizeof(*c));
    uint64_t now = server->reactor->now_ms;

    c->server = server;
    c->reactor = server->reactor;
    c->transport = transport;
    c->socket = stream;
    c->timer.fn = on_timer;
    c->late.fn = at_turn_end;
    c->idle_since_ms = now;
    c->preface_left = NGHTTP2_CLIENT_MAGIC_LEN;
    c->resets = (struct rg_h2_budget){reset_burst(server), now};
    c->talk = (struct rg_h2_budget){TALK_BURST, now};
    c->session = session_new(c);
    rg_http_server_add(server, &c->link, &link_ops);
    rg_count(server->counters, RG_HTTP_H2_CONNECTIONS, 1);
    rg_stream_adopt(stream, &conn_events, c);
    take_bytes(c, p, n);
    if (server->is_draining)
        drain(&c->link);
}
