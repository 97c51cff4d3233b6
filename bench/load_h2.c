#include "bench/load_h2.h"

#include <errno.h>
#include <nghttp2/nghttp2.h>

#include "base/alloc.h"
#include "base/err.h"
#include "bench/args.h"

#define STREAM_WINDOW     INT32_MAX
#define CONNECTION_WINDOW INT32_MAX

/* One client. */
struct stream {
    bool is_subscribed;
    struct rg_load_tail tail;
};

struct rg_load_h2 {
    nghttp2_session *session;
    struct rg_load_tally *tally;
    struct rg_buf unsent;
    unsigned waiting;   /* not subscribed yet */
    unsigned streams_n; /* neither closed nor failed */
    struct stream streams[];
};

static int on_data(nghttp2_session *session, uint8_t flags, int32_t id, const uint8_t *data,
                   size_t n, void *arg)
{
    struct rg_load_h2 *h2 = arg;
    struct stream *stream = nghttp2_session_get_stream_user_data(session, id);
    const char *p = (const char *)data;

    (void)flags;
    if (stream->is_subscribed) {
        rg_load_tally_scan(h2->tally, &stream->tail, p, n);
    } else if (rg_load_tail_has(&stream->tail, RG_LOAD_SUBSCRIBED, p, n)) {
        stream->is_subscribed = true;
        h2->waiting--;
        atomic_fetch_add(&h2->tally->ready, 1);
    }
    return 0;
}

static int on_close(nghttp2_session *session, int32_t id, uint32_t error, void *arg)
{
    struct rg_load_h2 *h2 = arg;
    struct stream *stream = nghttp2_session_get_stream_user_data(session, id);

    (void)error;
    if (stream->is_subscribed) {
        atomic_fetch_add(&h2->tally->closed, 1);
    } else {
        atomic_fetch_add(&h2->tally->failed, 1);
        h2->waiting--;
    }
    h2->streams_n--;
    return 0;
}

static nghttp2_session *new_session(struct rg_load_h2 *h2)
{
    nghttp2_settings_entry settings[] = {
        {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, STREAM_WINDOW},
        {NGHTTP2_SETTINGS_ENABLE_PUSH, 0},
    };
    nghttp2_session_callbacks *callbacks;
    nghttp2_session *session;

    if (nghttp2_session_callbacks_new(&callbacks) != 0)
        rg_args_fail("nghttp2 refuses its callbacks");
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, on_data);
    nghttp2_session_callbacks_set_on_stream_close_callback(callbacks, on_close);
    if (nghttp2_session_client_new(&session, callbacks, h2) != 0 ||
        nghttp2_submit_settings(session, NGHTTP2_FLAG_NONE, settings, RG_COUNT_OF(settings)) != 0 ||
        nghttp2_session_set_local_window_size(session, NGHTTP2_FLAG_NONE, 0, CONNECTION_WINDOW) !=
            0)
        rg_args_fail("nghttp2 refuses a session");
    nghttp2_session_callbacks_del(callbacks);
    return session;
}

static nghttp2_nv field(struct rg_str name, struct rg_str value)
{
    return (nghttp2_nv){.name = (uint8_t *)name.p,
                        .namelen = name.n,
                        .value = (uint8_t *)value.p,
                        .valuelen = value.n};
}

static void ask(struct rg_load_h2 *h2, const struct rg_load_plan *plan, struct stream *stream,
                unsigned number)
{
    RG_CLEANUP(rg_buf_done) struct rg_buf path = {0};
    nghttp2_nv fields[4];

    rg_load_plan_path(plan, false, number, &path);
    fields[0] = field(RG_STR(":method"), RG_STR("GET"));
    fields[1] = field(RG_STR(":scheme"), plan->is_tls ? RG_STR("https") : RG_STR("http"));
    fields[2] = field(RG_STR(":authority"), RG_STR("bench"));
    fields[3] = field(RG_STR(":path"), rg_buf_str(&path));
    if (nghttp2_submit_request(h2->session, NULL, fields, RG_COUNT_OF(fields), NULL, stream) < 0)
        rg_args_fail("nghttp2 refuses a request");
}

struct rg_load_h2 *rg_load_h2_new(struct rg_load_network *net, unsigned first_number,
                                  unsigned streams)
{
    struct rg_load_h2 *h2 = rg_zalloc(sizeof(*h2) + sizeof(*h2->streams) * streams);

    h2->tally = net->tally;
    h2->waiting = h2->streams_n = streams;
    h2->session = new_session(h2);
    for (unsigned i = 0; i < streams; i++)
        ask(h2, net->plan, &h2->streams[i], first_number + i);
    return h2;
}

void rg_load_h2_free(struct rg_load_h2 **h2p)
{
    struct rg_load_h2 *h2 = *h2p;

    if (h2 == NULL)
        return;
    atomic_fetch_add(&h2->tally->failed, h2->waiting);
    atomic_fetch_add(&h2->tally->closed, h2->streams_n - h2->waiting);
    nghttp2_session_del(h2->session);
    rg_buf_done(&h2->unsent);
    rg_free(h2);
    *h2p = NULL;
}

static int collect(struct rg_load_h2 *h2)
{
    const uint8_t *p;
    ssize_t n;

    while ((n = nghttp2_session_mem_send(h2->session, &p)) > 0)
        rg_buf_add(&h2->unsent, p, (size_t)n);
    return n < 0 ? RG_EINVAL : 0;
}

int rg_load_h2_flush(struct rg_load_h2 *h2, struct rg_load_socket *socket)
{
    if (collect(h2) < 0)
        return RG_EINVAL;
    while (h2->unsent.n > 0) {
        long n = rg_load_socket_write(socket, h2->unsent.p, h2->unsent.n);

        if (n == -EAGAIN)
            return 0;
        if (n <= 0)
            return RG_EINVAL;
        rg_buf_consume(&h2->unsent, (size_t)n);
    }
    rg_buf_done(&h2->unsent); /* nothing for long */
    return 1;
}

int rg_load_h2_feed(struct rg_load_h2 *h2, const char *p, size_t n)
{
    ssize_t taken = nghttp2_session_mem_recv(h2->session, (const uint8_t *)p, n);

    return taken == (ssize_t)n ? 0 : RG_EINVAL;
}

bool rg_load_h2_is_settled(const struct rg_load_h2 *h2)
{
    return h2->waiting == 0;
}
