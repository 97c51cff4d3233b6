/*
 * A poll's way, when its request is on reactor A and its client on reactor B:
 *
 *   A: handle()  ──post──▶  B: attach() ── nothing new: waits in the client's list
 *                               │
 *   A: finish()  ◀──post──  B: reply()     an event, the time-out, or the client's end
 *
 * Where A is B the steps call each other directly. A poll for a client that is gone comes back as
 * such, and A admits a new client with what the poll has kept of its request.
 */
#include "push/longpoll.h"

#include "base/alloc.h"
#include "event/json.h"
#include "http/cookie.h"
#include "http/query.h"
#include "push/admission.h"
#include "push/gateway_event.h"

struct poll {
    struct rg_inbox_item item; /* while it travels */
    struct rg_exchange_handle exchange;
    struct rg_client_handle client;
    struct rg_answer answer;
    struct rg_buf query;  /* this and the next three for a new client, should this one be gone */
    struct rg_buf cookie; /* the token in it */
    struct rg_buf agent;
    bool is_foreign;
    struct rg_buf last_id; /* what the requester knows already */
    struct rg_buf body;    /* the answer */
    struct rg_buf new_id;
    bool is_gone;

    struct poll *prev, *next; /* in the client's list while it waits */
    struct rg_timer timer;
    struct rg_longpoll *longpoll;
};

struct rg_longpoll {
    struct rg_client *client;
    struct rg_msg **ring; /* cap of them, a power of two */
    uint32_t cap, head, n;
    struct poll *waiting;
};

/* The client has begun, or has polled: LONGPOLL_IDLE_TIMEOUT counts from now. */
static void restart_idle(struct rg_client *client)
{
    rg_client_set_beat(client,
                       client->hub->reactor->now_ms + client->hub->push->settings.longpoll_idle_ms);
}

/* ---- the events kept ---- */

static struct rg_msg **kept(const struct rg_longpoll *lp, uint32_t i)
{
    return &lp->ring[(lp->head + i) & (lp->cap - 1)];
}

static void ring_grow(struct rg_longpoll *lp)
{
    uint32_t cap = lp->cap > 0 ? lp->cap * 2 : 4;
    struct rg_msg **ring = rg_realloc_array(NULL, cap, sizeof(ring[0]));

    for (uint32_t i = 0; i < lp->n; i++)
        ring[i] = *kept(lp, i);
    rg_free(lp->ring);
    lp->ring = ring;
    lp->cap = cap;
    lp->head = 0;
}

static void put(struct rg_client *client, struct rg_msg *msg)
{
    struct rg_longpoll *lp = client->longpoll;

    if (lp->n == RG_LONGPOLL_MAX_EVENTS) {
        rg_msg_unref(kept(lp, 0));
        lp->head++;
        lp->n--;
    }
    if (lp->n == lp->cap)
        ring_grow(lp);
    *kept(lp, lp->n) = rg_msg_ref(msg);
    lp->n++;
}

/* The number of the first event behind the newest one with this id; 0 if the id is not there (7.6).
 */
static uint32_t first_after(const struct rg_longpoll *lp, struct rg_str id)
{
    for (uint32_t i = lp->n; i > 0; i--) {
        if (rg_str_eq((*kept(lp, i - 1))->id, id))
            return i;
    }
    return 0;
}

/* ---- cookies ---- */

/*
 * The id as a JSON string; of what is between its quotes, everything that may not stand in a cookie
 * value (RFC 6265 4.1.1) is percent-encoded.
 */
static void add_id_cookie(struct rg_buf *out, struct rg_str id)
{
    static const char unsafe[] = "\"%,;\\";
    struct rg_buf json = {0};

    rg_json_add_string(&json, id);
    rg_buf_add_c(out, "last_event_id=\"");
    for (size_t i = 1; i + 1 < json.n; i++) {
        unsigned char c = (unsigned char)json.p[i];
        if (c <= 0x20 || c >= 0x7f || memchr(unsafe, c, sizeof(unsafe) - 1) != NULL)
            rg_buf_addf(out, "%%%02X", c);
        else
            rg_buf_add_char(out, (char)c);
    }
    rg_buf_add_c(out, "\"; path=/; HttpOnly");
    rg_buf_done(&json);
}

/* Reads such a cookie, and also one that was not percent-encoded, or is no JSON at all (7.11). */
static void read_id_cookie(struct rg_str value, struct rg_buf *out)
{
    struct rg_buf json = {0};
    struct rg_json parsed;

    rg_buf_add_char(&json, '"');
    if (rg_percent_decode(value, false, &json) < 0) {
        json.n = 1;
        rg_buf_add_str(&json, value);
    }
    rg_buf_add_char(&json, '"');
    if (rg_json_check(rg_buf_str(&json), &parsed, NULL) == 0 && parsed.kind == RG_JSON_STRING)
        rg_json_unescape(parsed, out);
    else
        rg_buf_add(out, json.p + 1, json.n - 2);
    rg_buf_done(&json);
}

/* ---- answers, on the reactor of the request ---- */

static void respond(struct poll *poll, struct rg_exchange *exchange, struct rg_hub *hub)
{
    struct rg_buf token = {0}, id = {0};

    rg_buf_add_c(&token, "connection_token=");
    rg_token_add(hub->push, poll->client, &token);
    rg_buf_add_c(&token, "; path=/; HttpOnly");
    add_id_cookie(&id, rg_buf_str(&poll->new_id));
    rg_answer_add(&poll->answer, RG_STR("cache-control"), RG_STR("no-cache"));
    rg_answer_add(&poll->answer, RG_STR("set-cookie"), rg_buf_str(&token));
    rg_answer_add(&poll->answer, RG_STR("set-cookie"), rg_buf_str(&id));
    rg_answer_json(&poll->answer, exchange, 200, rg_buf_str(&poll->body));
    rg_buf_done(&token);
    rg_buf_done(&id);
}

static void poll_free(struct poll *poll)
{
    rg_buf_done(&poll->query);
    rg_buf_done(&poll->cookie);
    rg_buf_done(&poll->agent);
    rg_buf_done(&poll->last_id);
    rg_buf_done(&poll->body);
    rg_buf_done(&poll->new_id);
    rg_free(poll);
}

/* The first request of a client (7.1), until it is decided. */
struct opening {
    struct rg_admission admission;
    struct poll *poll;
};

/* Opens the client and says "ok". */
static void open_client(struct opening *opening, struct rg_exchange *exchange)
{
    struct rg_admission *admission = &opening->admission;
    struct rg_hub *hub = admission->hub;
    struct poll *poll = opening->poll;
    struct rg_client *client = rg_client_new(hub, &rg_longpoll_ops, RG_ENC_JSON, NULL);

    client->longpoll = rg_zalloc(sizeof(*client->longpoll));
    client->longpoll->client = client;
    restart_idle(client);
    poll->client = rg_client_get_handle(client);
    rg_admission_let_in(admission, client);

    rg_buf_clear(&poll->body);
    rg_buf_add_c(&poll->body, "\"ok\"");
    rg_buf_clear(&poll->new_id);
    rg_buf_add_c(&poll->new_id, "first_event");
    respond(poll, exchange, hub);
}

static void decided(struct rg_admission *admission, struct rg_exchange *exchange)
{
    struct opening *opening = RG_CONTAINER_OF(admission, struct opening, admission);

    if (exchange != NULL && admission->refusal != RG_ADMITTED)
        rg_admission_refuse(admission, exchange);
    else if (exchange != NULL)
        open_client(opening, exchange);
    rg_admission_done(admission);
    poll_free(opening->poll);
    rg_free(opening);
}

/* Takes the poll. */
static void admit(struct rg_hub *hub, struct poll *poll, struct rg_exchange *exchange)
{
    const struct rg_applicant applicant = {rg_buf_str(&poll->query), rg_buf_str(&poll->cookie),
                                           rg_buf_str(&poll->agent), poll->is_foreign};
    struct opening *opening = rg_zalloc(sizeof(*opening));

    opening->poll = poll;
    opening->admission.answer = poll->answer;
    rg_admission_begin(&opening->admission, hub, RG_LONGPOLL, &applicant, exchange, decided);
}

static void finish(struct rg_inbox_item *item, void *ctx)
{
    struct rg_hub *hub = ctx;
    struct poll *poll = RG_CONTAINER_OF(item, struct poll, item);
    struct rg_exchange *exchange = rg_http_server_find(hub->http, poll->exchange);

    /* A requester that has gone asks again, with the same last id. */
    if (exchange != NULL && poll->is_gone) {
        admit(hub, poll, exchange);
    } else {
        if (exchange != NULL)
            respond(poll, exchange, hub);
        poll_free(poll);
    }
    rg_hub_settle(hub);
}

/* ---- polls, on the reactor of the client ---- */

static void reply(struct rg_hub *hub, struct poll *poll)
{
    if (poll->exchange.reactor == hub->reactor->id)
        finish(&poll->item, hub);
    else
        rg_reactor_post(hub->push->hubs[poll->exchange.reactor]->reactor, &poll->item, finish, 0);
}

static void unlink_poll(struct poll *poll)
{
    struct rg_longpoll *lp = poll->longpoll;

    rg_reactor_cancel_timer(lp->client->hub->reactor, &poll->timer);
    if (poll->prev != NULL)
        poll->prev->next = poll->next;
    else
        lp->waiting = poll->next;
    if (poll->next != NULL)
        poll->next->prev = poll->prev;
}

/* Writes the body of 7.5 with the events from number first on. */
static void fill(struct poll *poll, const struct rg_longpoll *lp, uint32_t first)
{
    struct rg_str id = lp->n > 0 ? (*kept(lp, lp->n - 1))->id : rg_buf_str(&poll->last_id);

    rg_buf_add_str(&poll->new_id, id);
    rg_buf_add_c(&poll->body, "{\"last_event_id\":");
    rg_json_add_string(&poll->body, id);
    rg_buf_add_c(&poll->body, ",\"events\":[");
    for (uint32_t i = first; i < lp->n; i++) {
        const struct rg_msg *msg = *kept(lp, i);
        if (i > first)
            rg_buf_add_char(&poll->body, ',');
        rg_buf_add(&poll->body, msg->p, msg->n);
    }
    rg_buf_add_c(&poll->body, "]}");
    lp->client->sent_bytes += poll->body.n;
}

static void on_wait_over(struct rg_timer *timer)
{
    struct poll *poll = RG_CONTAINER_OF(timer, struct poll, timer);
    struct rg_hub *hub = poll->longpoll->client->hub;

    unlink_poll(poll);
    fill(poll, poll->longpoll, first_after(poll->longpoll, rg_buf_str(&poll->last_id)));
    reply(hub, poll);
    rg_hub_settle(hub);
}

static void wait_for_events(struct poll *poll, struct rg_longpoll *lp)
{
    struct rg_hub *hub = lp->client->hub;

    poll->longpoll = lp;
    poll->prev = NULL;
    poll->next = lp->waiting;
    if (lp->waiting != NULL)
        lp->waiting->prev = poll;
    lp->waiting = poll;
    poll->timer.fn = on_wait_over;
    rg_reactor_set_timer(hub->reactor, &poll->timer, hub->push->settings.longpoll_wait_ms);
}

/* The client that is polled; also one whose token has expired, for its last event. */
static struct rg_client *find_client(struct rg_hub *hub, struct rg_client_handle handle)
{
    struct rg_client *client = rg_slots_get(&hub->clients, handle.slot, handle.generation);

    if (client == NULL || client->ops != &rg_longpoll_ops)
        return NULL;
    return client->state == RG_CLIENT_OPEN || client->state == RG_CLIENT_CLOSING ? client : NULL;
}

static void attach(struct rg_inbox_item *item, void *ctx)
{
    struct rg_hub *hub = ctx;
    struct poll *poll = RG_CONTAINER_OF(item, struct poll, item);
    struct rg_client *client = find_client(hub, poll->client);

    if (client == NULL) {
        poll->is_gone = true;
        reply(hub, poll);
        return;
    }
    if (client->state == RG_CLIENT_OPEN)
        restart_idle(client);
    uint32_t first = first_after(client->longpoll, rg_buf_str(&poll->last_id));
    if (first == client->longpoll->n) {
        wait_for_events(poll, client->longpoll);
        return;
    }
    fill(poll, client->longpoll, first);
    if (client->state == RG_CLIENT_CLOSING)
        rg_client_kill(client);
    reply(hub, poll);
}

static bool answer(struct rg_client *client)
{
    struct rg_longpoll *lp = client->longpoll;
    struct rg_hub *hub = client->hub;
    bool was_answered = false;

    for (struct poll *poll = lp->waiting, *next; poll != NULL; poll = next) {
        uint32_t first = first_after(lp, rg_buf_str(&poll->last_id));
        next = poll->next;
        if (first == lp->n)
            continue;
        unlink_poll(poll);
        fill(poll, lp, first);
        reply(hub, poll);
        was_answered = true;
        /* The answer may have let another request run that changed the list, or ended the client.
         */
        if (client->state == RG_CLIENT_DEAD)
            break;
        next = lp->waiting;
    }
    return was_answered;
}

static void free_side(struct rg_client *client)
{
    struct rg_longpoll *lp = RG_STEAL(client->longpoll);

    if (lp == NULL)
        return;
    struct rg_hub *hub = lp->client->hub;
    while (lp->waiting != NULL) {
        struct poll *poll = lp->waiting;
        unlink_poll(poll);
        fill(poll, lp, first_after(lp, rg_buf_str(&poll->last_id)));
        reply(hub, poll);
    }
    for (uint32_t i = 0; i < lp->n; i++)
        rg_msg_unref(kept(lp, i));
    rg_free(lp->ring);
    rg_free(lp);
}

/* ---- clients ---- */

/* It has not polled for LONGPOLL_IDLE_TIMEOUT. */
static void beat(struct rg_client *client, uint64_t now_ms)
{
    (void)now_ms;
    rg_client_end(client, RG_END_EXPIRED, 0, NULL);
}

/* One whose token has expired stays for a moment, so that its next poll can fetch the event. */
static bool lingers(const struct rg_client *client)
{
    return client->end == RG_END_TOKEN;
}

static void warn(struct rg_client *client, struct rg_str warning_json)
{
    rg_client_send_gateway_event(client, RG_SESSION_EXPIRING, warning_json);
}

static size_t queued_bytes(const struct rg_client *client)
{
    const struct rg_longpoll *lp = client->longpoll;
    size_t n = 0;

    for (uint32_t i = 0; lp != NULL && i < lp->n; i++)
        n += (*kept(lp, i))->n;
    return n;
}

static void say_why(struct rg_client *client)
{
    if (client->end == RG_END_TOKEN)
        rg_client_send_gateway_event(client, RG_SESSION_EXPIRED, (struct rg_str){0});
}

const struct rg_client_ops rg_longpoll_ops = {
    .name = "longpolling",
    .transport = RG_LONGPOLL,
    .beat = beat,
    .put = put,
    .answer = answer,
    .lingers = lingers,
    .warn = warn,
    .say_why = say_why,
    .queued_bytes = queued_bytes,
    .free = free_side,
};

/* ---- the endpoint ---- */

void rg_longpoll_handle(void *arg, struct rg_exchange *exchange)
{
    struct rg_hub *hub = arg;
    const struct rg_request *req = rg_exchange_request(exchange);
    const struct rg_applicant applicant = rg_applicant_of(hub->push, req);
    struct rg_str token = rg_cookie_get(req, RG_STR("connection_token"));
    struct rg_str last_id = rg_cookie_get(req, RG_STR("last_event_id"));
    struct poll *poll = rg_zalloc(sizeof(*poll));

    poll->answer = rg_answer_begin(hub->push, req);
    poll->answer.allows_credentials = true;
    if (req->method == RG_OPTIONS) {
        rg_answer_preflight(&poll->answer, exchange, "GET", "*");
        poll_free(poll);
        return;
    }
    poll->exchange = rg_exchange_get_handle(exchange);
    rg_buf_add_str(&poll->query, applicant.query);
    rg_buf_add_str(&poll->cookie, applicant.cookie);
    rg_buf_add_str(&poll->agent, applicant.agent);
    poll->is_foreign = applicant.is_foreign;
    read_id_cookie(last_id, &poll->last_id);
    if (token.p == NULL || rg_token_read(hub->push, token, &poll->client) < 0) {
        poll->is_gone = true;
        finish(&poll->item, hub);
    } else if (poll->client.reactor == hub->reactor->id) {
        attach(&poll->item, hub);
    } else {
        rg_reactor_post(hub->push->hubs[poll->client.reactor]->reactor, &poll->item, attach, 0);
    }
    rg_hub_settle(hub);
}
