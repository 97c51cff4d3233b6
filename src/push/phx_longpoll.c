/*
 * A request's way, when it is on reactor A and its socket on B:
 *
 *   A: send()    ──post──▶  B: arrive()   POST: its messages are taken
 *                               │         GET: what is queued, or it waits
 *   A: finish()  ◀──post──  B: reply()
 *
 *   A: on_gone() ──post──▶  B: bid_farewell()   whoever asked has left: its GET waits no more
 *
 * Where A is B the steps call each other directly. A GET for a socket that is gone comes back as
 * such, and A opens a new one with what was kept of the request.
 */
#include "push/phx_longpoll.h"

#include "base/alloc.h"
#include "http/query.h"
#include "push/hub.h"
#include "push/socket_admission.h"

#define MAX_IOV 64
#define BATCH_QUEUES                                                                               \
    8 /* how many times CLIENT_QUEUE_BYTES one batch may have for a GET that waits */

/* One request. */
struct visit {
    struct rg_inbox_item item; /* while it travels */
    struct rg_hub *hub;        /* of A */
    struct rg_exchange_handle exchange;
    struct rg_client_handle client;
    /* Of A only: the answer, and, of a GET, who may open a new socket. */
    struct rg_socket_admission admission;
    bool is_post;
    bool is_batch;        /* POST: one message a line */
    bool is_gone;         /* GET: there is no such socket */
    struct rg_str posted; /* a slice of the request, or of body */
    int status;           /* of the answer */
    struct rg_buf body;   /* what was posted, while that travels; then, that of the answer */

    struct rg_timer timer; /* while it waits */
    struct rg_phx_longpoll *side;
    struct rg_late late; /* when its socket has ended */
};

struct rg_phx_longpoll {
    struct rg_client *client;
    struct visit *waiting; /* a GET; NULL: none */
};

/* ---- answers, on the reactor of the request ---- */

static void set_body(struct visit *visit, int status)
{
    rg_buf_clear(&visit->body);
    rg_buf_addf(&visit->body, "{\"status\":%d}", status);
}

static void add_id(struct visit *visit, const struct rg_push *push, int status)
{
    rg_buf_clear(&visit->body);
    rg_buf_addf(&visit->body, "{\"status\":%d,\"token\":\"", status);
    rg_token_add_poll_id(push, visit->client, &visit->body);
    rg_buf_add_c(&visit->body, "\",\"messages\":[");
}

static void respond(struct visit *visit, struct rg_exchange *exchange)
{
    struct rg_answer *answer = &visit->admission.answer;

    rg_answer_add(answer, RG_STR("cache-control"), RG_STR("no-store"));
    rg_answer_json(answer, exchange, visit->status, rg_buf_str(&visit->body));
}

static void visit_free(struct visit *visit)
{
    rg_socket_admission_done(&visit->admission);
    rg_buf_done(&visit->body);
    rg_free(visit);
}

/* ---- a new socket ---- */

/* What a GET is told that waited for the socket, or was about to open it. */
static int status_of_end(const struct rg_client *client)
{
    return client->end == RG_END_KILLED || client->end == RG_END_TOKEN ? 403 : 410;
}

/* A GET has been answered, or the socket has been opened: its next one is due. */
static void restart_idle(struct rg_client *client)
{
    const struct rg_hub *hub = client->hub;

    rg_client_set_beat(client,
                       hub->reactor->now_ms + hub->push->settings.channels.longpoll_idle_ms);
}

static void open_socket(struct visit *visit)
{
    struct rg_socket_admission *admission = &visit->admission;
    struct rg_hub *hub = admission->hub;
    struct rg_client *client =
        rg_client_new(hub, &rg_phx_longpoll_ops,
                      admission->vsn == RG_PHX_V1 ? RG_ENC_PHX_JSON_V1 : RG_ENC_PHX_JSON_V2, NULL);

    client->phx_longpoll = rg_zalloc(sizeof(*client->phx_longpoll));
    client->phx_longpoll->client = client;
    visit->client = rg_client_get_handle(client);
    restart_idle(client);
    rg_socket_admission_let_in(admission, client);
    if (client->state != RG_CLIENT_OPEN) {
        set_body(visit, status_of_end(client));
        return;
    }
    add_id(visit, hub->push, 410);
    rg_buf_add_c(&visit->body, "]}");
}

static void refuse(struct visit *visit, struct rg_exchange *exchange)
{
    visit->status = rg_socket_admission_status(&visit->admission, 200);
    set_body(visit, visit->status == 200 ? 403 : 500);
    respond(visit, exchange);
}

static void decided(struct rg_socket_admission *admission, struct rg_exchange *exchange)
{
    struct visit *visit = RG_CONTAINER_OF(admission, struct visit, admission);

    if (exchange != NULL && admission->refusal != RG_ADMITTED) {
        refuse(visit, exchange);
    } else if (exchange != NULL) {
        open_socket(visit);
        respond(visit, exchange);
    }
    visit_free(visit);
}

static void finish(struct rg_inbox_item *item, void *ctx)
{
    struct rg_hub *hub = ctx;
    struct visit *visit = RG_CONTAINER_OF(item, struct visit, item);
    struct rg_exchange *exchange = rg_http_server_find(hub->http, visit->exchange);

    /* Messages for one who has gone a moment ago are lost, as on the way to any client. */
    if (exchange != NULL && visit->is_gone) {
        rg_socket_admission_decide(&visit->admission, exchange, decided);
        return;
    }
    if (exchange != NULL)
        respond(visit, exchange);
    visit_free(visit);
}

/* ---- requests, on the reactor of the socket ---- */

static struct rg_client *find_socket(struct rg_hub *hub, struct rg_client_handle handle)
{
    struct rg_client *client = rg_hub_find(hub, handle);

    return client != NULL && client->ops == &rg_phx_longpoll_ops ? client : NULL;
}

static void reply(struct rg_hub *hub, struct visit *visit)
{
    if (visit->exchange.reactor == hub->reactor->id)
        finish(&visit->item, hub);
    else
        rg_reactor_post(hub->push->hubs[visit->exchange.reactor]->reactor, &visit->item, finish, 0);
}

static void finish_late(struct rg_late *late)
{
    struct visit *visit = RG_CONTAINER_OF(late, struct visit, late);
    struct rg_hub *hub = visit->hub;

    finish(&visit->item, hub);
    rg_hub_settle(hub);
}

/*
 * The same where a client ends: an answer can let the next request of its connection run, and that
 * must not be in the middle of what ends the client.
 */
static void reply_late(struct rg_hub *hub, struct visit *visit)
{
    if (visit->exchange.reactor != hub->reactor->id) {
        reply(hub, visit);
        return;
    }
    visit->late.fn = finish_late;
    rg_reactor_run_late(hub->reactor, &visit->late);
}

/* Moves everything that is queued into the answer (7.4). */
static void take_queue(struct rg_client *client, struct rg_buf *out)
{
    struct rg_outbox *queue = &client->outbox;
    struct iovec iov[MAX_IOV];
    int n;

    while ((n = rg_outbox_peek(queue, iov, MAX_IOV)) > 0) {
        size_t bytes = 0;
        for (int i = 0; i < n; i++) {
            if (out->p[out->n - 1] != '[')
                rg_buf_add_char(out, ',');
            rg_buf_add(out, iov[i].iov_base, iov[i].iov_len);
            bytes += iov[i].iov_len;
        }
        rg_outbox_consume(queue, bytes);
        client->sent_bytes += bytes;
    }
    rg_outbox_shrink(queue);
}

static void fill(struct visit *visit, struct rg_client *client)
{
    add_id(visit, client->hub->push, client->outbox.n > 0 ? 200 : 204);
    take_queue(client, &visit->body);
    rg_buf_add_c(&visit->body, "]}");
}

/* The GET that waits, which then does not any more; NULL if there is none. */
static struct visit *release(struct rg_phx_longpoll *side)
{
    struct visit *visit = RG_STEAL(side->waiting);

    if (visit != NULL)
        rg_reactor_cancel_timer(side->client->hub->reactor, &visit->timer);
    return visit;
}

static bool answer(struct rg_client *client)
{
    struct visit *visit;

    if (client->outbox.n == 0 || (visit = release(client->phx_longpoll)) == NULL)
        return false;
    fill(visit, client);
    restart_idle(client);
    reply(client->hub, visit);
    return true;
}

static void on_wait_over(struct rg_timer *timer)
{
    struct visit *visit = RG_CONTAINER_OF(timer, struct visit, timer);
    struct rg_client *client = visit->side->client;
    struct rg_hub *hub = client->hub;

    release(visit->side);
    fill(visit, client);
    restart_idle(client);
    reply(hub, visit);
    rg_hub_settle(hub);
}

static void wait_for_messages(struct visit *visit, struct rg_client *client)
{
    struct rg_hub *hub = client->hub;

    visit->side = client->phx_longpoll;
    visit->side->waiting = visit;
    visit->timer.fn = on_wait_over;
    rg_reactor_set_timer(hub->reactor, &visit->timer,
                         hub->push->settings.channels.longpoll_wait_ms);
    rg_client_set_beat(client, UINT64_MAX); /* whoever waits polls (7.8) */
}

static void fetch(struct visit *visit, struct rg_client *client)
{
    struct rg_hub *hub = client->hub;
    struct visit *earlier = release(client->phx_longpoll);

    if (earlier != NULL) {
        add_id(earlier, hub->push, 204);
        rg_buf_add_c(&earlier->body, "]}");
    }
    if (client->outbox.n == 0) {
        wait_for_messages(visit, client);
        visit = NULL;
    } else {
        fill(visit, client);
        restart_idle(client);
    }
    /* What an answer lets happen may end the client: it is not looked at any more. */
    if (earlier != NULL)
        reply(hub, earlier);
    if (visit != NULL)
        reply(hub, visit);
}

/* The news that nobody waits for an answer any more, on their way to B. */
struct farewell {
    struct rg_inbox_item item;
    struct rg_client_handle client;
    struct rg_exchange_handle exchange;
};

/* What comes from now on waits for the next GET, and that is due. */
static void drop(struct rg_hub *hub, const struct farewell *farewell)
{
    const struct rg_exchange_handle *gone = &farewell->exchange;
    struct rg_client *client = find_socket(hub, farewell->client);
    const struct visit *waiting = client != NULL ? client->phx_longpoll->waiting : NULL;

    if (waiting == NULL || waiting->exchange.reactor != gone->reactor ||
        waiting->exchange.slot != gone->slot || waiting->exchange.generation != gone->generation)
        return;
    struct visit *visit = release(client->phx_longpoll);
    restart_idle(client);
    reply(hub, visit);
}

static void bid_farewell(struct rg_inbox_item *item, void *ctx)
{
    struct farewell *farewell = RG_CONTAINER_OF(item, struct farewell, item);

    drop(ctx, farewell);
    rg_free(farewell);
}

/* On A, wherever the visit is now: it is there until it has been seen that its exchange is gone. */
static void on_gone(void *arg)
{
    const struct visit *visit = arg;
    struct rg_hub *hub = visit->hub;
    struct farewell farewell = {.client = visit->client, .exchange = visit->exchange};

    if (farewell.client.reactor == hub->reactor->id) {
        drop(hub, &farewell);
        rg_hub_settle(hub);
        return;
    }
    struct farewell *travelling = rg_alloc(sizeof(*travelling));
    *travelling = farewell;
    rg_reactor_post(hub->push->hubs[farewell.client.reactor]->reactor, &travelling->item,
                    bid_farewell, 0);
}

/* One message of a POST; the status of the answer. */
static int take(struct rg_client *client, struct rg_str text, struct rg_buf *scratch)
{
    enum rg_phx_vsn vsn = client->encoding == RG_ENC_PHX_JSON_V1 ? RG_PHX_V1 : RG_PHX_V2;
    struct rg_phx_message message;

    if (text.n > client->hub->push->settings.channels.max_message_bytes)
        return 413;
    if (rg_phx_parse(vsn, text, scratch, &message, NULL) < 0)
        return 400;
    rg_channels_take(client, &message);
    return client->state == RG_CLIENT_OPEN ? 200 : 410;
}

static int take_lines(struct rg_client *client, struct rg_str text, struct rg_buf *scratch)
{
    int status = 200;
    unsigned n = 0;

    while (text.p != NULL && status == 200) {
        struct rg_str line = rg_str_split(&text, '\n');
        if (rg_str_ends_with(line, RG_STR("\r")))
            line.n--;
        if (line.n == 0)
            continue;
        status = n++ < RG_PHX_MAX_BATCH ? take(client, line, scratch) : 400;
    }
    return status;
}

static void take_post(struct visit *visit, struct rg_client *client)
{
    struct rg_buf scratch = {0};
    int status = visit->is_batch ? take_lines(client, visit->posted, &scratch)
                                 : take(client, visit->posted, &scratch);

    rg_buf_done(&scratch);
    visit->status = status == 410 ? 200 : status;
    set_body(visit, status);
}

static void arrive(struct rg_inbox_item *item, void *ctx)
{
    struct rg_hub *hub = ctx;
    struct visit *visit = RG_CONTAINER_OF(item, struct visit, item);
    struct rg_client *client = find_socket(hub, visit->client);

    if (client != NULL && !visit->is_post) {
        fetch(visit, client);
        return;
    }
    if (client != NULL)
        take_post(visit, client);
    else if (visit->is_post)
        set_body(visit, 410);
    else
        visit->is_gone = true;
    reply(hub, visit);
}

/* ---- sockets ---- */

static void put(struct rg_client *client, struct rg_msg *msg)
{
    size_t max_bytes = client->hub->push->settings.client_queue_bytes;

    /* Whoever waits gets all of it when the batch is done, however slowly it reads. */
    if (client->phx_longpoll->waiting != NULL)
        max_bytes *= BATCH_QUEUES;
    if (rg_outbox_put(&client->outbox, msg, max_bytes) < 0)
        rg_client_end(client, RG_END_SLOW, 0, NULL);
}

/* It has not polled for CHANNEL_LONGPOLL_IDLE_TIMEOUT. */
static void beat(struct rg_client *client, uint64_t now_ms)
{
    (void)now_ms;
    rg_client_end(client, RG_END_EXPIRED, 0, NULL);
}

/* Whoever waits hears why the token's end is its channels' end, too; a ban is 403 at once (7.10).
 */
static void say_why(struct rg_client *client)
{
    struct visit *visit;

    if (client->end != RG_END_TOKEN)
        return;
    rg_channels_say_why(client);
    if (client->state != RG_CLIENT_OPEN || client->outbox.n == 0)
        return;
    visit = release(client->phx_longpoll);
    if (visit == NULL)
        return;
    fill(visit, client);
    reply_late(client->hub, visit);
}

static void free_side(struct rg_client *client)
{
    struct rg_phx_longpoll *side = RG_STEAL(client->phx_longpoll);
    struct rg_hub *hub = client->hub;

    rg_channels_free(client);
    if (side == NULL)
        return;
    struct visit *visit = release(side);
    rg_free(side);
    if (visit == NULL)
        return;
    set_body(visit, status_of_end(client));
    reply_late(hub, visit);
}

const struct rg_client_ops rg_phx_longpoll_ops = {
    .name = "channels_longpolling",
    .transport = RG_PHX_LONGPOLL,
    .beat = beat,
    .put = put,
    .answer = answer,
    .say_why = say_why,
    .leave = rg_channels_leave,
    .free = free_side,
};

/* ---- the endpoint ---- */

/* The last value of the parameter `token` that is a poll id; its handle unless it is an old one. */
static struct rg_str find_id(const struct rg_push *push, struct rg_str query,
                             struct rg_buf *scratch, struct rg_client_handle *ret_handle,
                             bool *ret_is_ours)
{
    struct rg_str id = {NULL, 0}, name, value;
    int result;

    *ret_is_ours = false;
    /* What is malformed is found where it matters: when a socket is to be opened. */
    while ((result = rg_query_next(&query, scratch, &name, &value)) != 0) {
        if (result < 0 || !rg_str_eq(name, RG_STR("token")))
            continue;
        int err = rg_token_read_poll_id(push, value, ret_handle);
        if (err == RG_EINVAL)
            continue;
        id = value;
        *ret_is_ours = err == 0;
    }
    return id;
}

/* Lets the visit begin its way; true if it could be that of a socket. */
static bool send_to_socket(struct rg_hub *hub, struct visit *visit, bool is_ours)
{
    if (!is_ours)
        return false;
    if (visit->client.reactor != hub->reactor->id)
        rg_reactor_post(hub->push->hubs[visit->client.reactor]->reactor, &visit->item, arrive, 0);
    else if (visit->is_post || find_socket(hub, visit->client) != NULL)
        arrive(&visit->item, hub);
    else
        return false;
    return true;
}

static void get(struct rg_hub *hub, struct visit *visit, struct rg_exchange *exchange)
{
    struct rg_buf scratch = {0};
    bool is_ours;
    struct rg_str id = find_id(hub->push, rg_exchange_request(exchange)->query, &scratch,
                               &visit->client, &is_ours);
    bool is_near = visit->client.reactor == hub->reactor->id;

    if (is_ours)
        rg_exchange_on_gone(exchange, on_gone, visit);
    /* Who comes back without having found the socket needs its request, which is gone by then. */
    if (!is_ours || !is_near || find_socket(hub, visit->client) == NULL)
        rg_socket_admission_read(&visit->admission, hub, RG_PHX_LONGPOLL, id, exchange);
    if (!send_to_socket(hub, visit, is_ours))
        rg_socket_admission_decide(&visit->admission, exchange, decided);
    rg_buf_done(&scratch);
}

static bool is_batch(const struct rg_request *req)
{
    struct rg_str type = rg_request_field(req, RG_STR("content-type"));

    return rg_str_eq_nocase(rg_str_trim(rg_str_split(&type, ';')), RG_STR("application/x-ndjson"));
}

static void post(struct rg_hub *hub, struct visit *visit, struct rg_exchange *exchange)
{
    const struct rg_request *req = rg_exchange_request(exchange);
    struct rg_buf scratch = {0};
    bool is_ours;

    find_id(hub->push, req->query, &scratch, &visit->client, &is_ours);
    visit->is_post = true;
    visit->is_batch = is_batch(req);
    visit->posted = req->body;
    if (is_ours && visit->client.reactor != hub->reactor->id) {
        rg_buf_add_str(&visit->body, req->body);
        visit->posted = rg_buf_str(&visit->body);
    }
    if (!send_to_socket(hub, visit, is_ours)) {
        set_body(visit, 410);
        reply(hub, visit);
    }
    rg_buf_done(&scratch);
}

void rg_phx_longpoll_handle(void *arg, struct rg_exchange *exchange)
{
    struct rg_hub *hub = arg;
    const struct rg_request *req = rg_exchange_request(exchange);
    struct rg_answer answer = rg_answer_begin(hub->push, req);

    /* Nothing comes by itself that a page could misuse; who is refused is told so in the body. */
    rg_answer_open(&answer);
    if (req->method == RG_OPTIONS) {
        rg_socket_admission_preflight(&answer, exchange);
        return;
    }
    if (req->method != RG_GET && req->method != RG_POST) {
        rg_answer_empty(&answer, exchange, 400);
        return;
    }
    struct visit *visit = rg_zalloc(sizeof(*visit));
    visit->hub = hub;
    visit->exchange = rg_exchange_get_handle(exchange);
    visit->admission.answer = answer;
    visit->status = 200;
    if (req->method == RG_GET)
        get(hub, visit, exchange);
    else
        post(hub, visit, exchange);
    rg_hub_settle(hub);
}
