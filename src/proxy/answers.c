/*
 * An id names a place on a reactor, and its generation, like every handle. It also says of which
 * start of which node it is, and when the wait began: with a configured secret, ids of another
 * start are authentic, too, and must find nobody.
 *
 *   rg_answers_deliver()             the room                          the wait
 *   any thread: copy ──lock──▶ a list of deliveries ──inbox──▶ open: told / begun: kept / gone:
 * dropped
 */
#include "proxy/answers.h"

#include "auth/seal.h"
#include "base/alloc.h"
#include "base/base64.h"
#include "base/clock.h"
#include "base/random.h"
#include "base/slots.h"
#include "http/response.h"

enum {
    MAX_ROOMS = 65,                   /* all reactors there can be, and the control loop */
    MAX_UNDER_WAY = 32 * 1024 * 1024, /* bytes of answers that a room has not looked at yet */
    MAX_FIELDS_BYTES = 64 * 1024,     /* names and values of one answer */
    MAX_KEPT_FIELDS = RG_MAX_FIELDS_PER_MESSAGE - RG_RESPONSE_MAX_FIELDS /* ours come, too */
};

/* What an id says. Nobody else reads it, so its layout is ours. */
struct place {
    uint64_t node; /* random per start */
    int64_t issued_us;
    uint32_t reactor;
    uint32_t slot;
    uint32_t generation;
    uint32_t unused; /* 0; no padding, which would be sealed, too */
};
_Static_assert(sizeof(struct place) == 32, "all of it is sealed");

/* A copy of an answer, in one allocation. */
struct delivery {
    struct delivery *next;
    struct place place;
    size_t bytes;
    struct rg_answer answer;
    struct rg_http_field fields[]; /* and behind them what they and the answer point to */
};

struct rg_answer_room {
    struct rg_answers *answers; /* set once, down to item */
    struct rg_reactor *reactor;

    struct delivery *first, **last; /* under answers->lock, down to is_posted */
    size_t under_way;               /* bytes of these */
    bool is_open;
    bool is_posted; /* item is in the inbox */

    struct rg_inbox_item item; /* whoever posts it, then the reactor */

    struct rg_slots waits; /* the reactor only */
};

struct rg_answers {
    struct rg_seal *seal; /* set once */
    uint64_t node;

    pthread_mutex_t lock;
    struct rg_answer_room *rooms[MAX_ROOMS]; /* by reactor; one that was made stays */
};

struct rg_wait {
    struct rg_answer_room *room;
    const struct rg_wait_events *events;
    void *arg;
    struct rg_timer timer;
    struct rg_late late; /* tells of kept */
    struct delivery *kept;
    int64_t issued_us;
    uint32_t slot;
    bool is_open;
};

/* ---- all of it ---- */

struct rg_answers *rg_answers_new(struct rg_str secret)
{
    struct rg_answers *answers = rg_zalloc(sizeof(*answers));

    answers->seal = rg_seal_new(secret, "correlation id");
    rg_random_bytes(&answers->node, sizeof(answers->node));
    pthread_mutex_init(&answers->lock, NULL);
    return answers;
}

void rg_answers_free(struct rg_answers **answersp)
{
    struct rg_answers *answers = *answersp;

    if (answers == NULL)
        return;
    *answersp = NULL;
    for (size_t i = 0; i < MAX_ROOMS; i++) {
        rg_assert(answers->rooms[i] == NULL || !answers->rooms[i]->is_open);
        if (answers->rooms[i] != NULL)
            rg_slots_done(&answers->rooms[i]->waits);
        rg_free(answers->rooms[i]);
    }
    pthread_mutex_destroy(&answers->lock);
    rg_seal_free(&answers->seal);
    rg_free(answers);
}

/* ---- rooms ---- */

/* A room that is left stays where it is: its item may be in the inbox, and generations go on. */
struct rg_answer_room *rg_answer_room_new(struct rg_answers *answers, struct rg_reactor *reactor)
{
    struct rg_answer_room *room;

    rg_assert(reactor->id < MAX_ROOMS);
    pthread_mutex_lock(&answers->lock);
    room = answers->rooms[reactor->id];
    if (room == NULL)
        room = answers->rooms[reactor->id] = rg_zalloc(sizeof(*room));
    rg_assert(!room->is_open);
    room->answers = answers;
    room->reactor = reactor;
    room->last = &room->first;
    room->is_open = true;
    pthread_mutex_unlock(&answers->lock);
    return room;
}

/* Takes all that was delivered. */
static struct delivery *take_deliveries(struct rg_answer_room *room)
{
    struct delivery *first = room->first;

    room->first = NULL;
    room->last = &room->first;
    room->under_way = 0;
    return first;
}

static void drop_deliveries(struct delivery *first)
{
    while (first != NULL) {
        struct delivery *next = first->next;
        rg_free(first);
        first = next;
    }
}

static void end_wait(struct rg_wait *wait)
{
    rg_reactor_cancel_timer(wait->room->reactor, &wait->timer);
    rg_reactor_cancel_late(&wait->late);
    rg_slots_release(&wait->room->waits, wait->slot);
    rg_free(wait->kept);
    rg_free(wait);
}

void rg_answer_room_free(struct rg_answer_room **roomp)
{
    struct rg_answer_room *room = *roomp;

    if (room == NULL)
        return;
    *roomp = NULL;
    pthread_mutex_lock(&room->answers->lock);
    room->is_open = false;
    struct delivery *first = take_deliveries(room);
    pthread_mutex_unlock(&room->answers->lock);
    drop_deliveries(first);
    for (uint32_t i = 0; i < room->waits.n; i++) {
        if (room->waits.at[i].thing != NULL)
            end_wait(room->waits.at[i].thing);
    }
}

/* ---- waiting ---- */

static void on_timer(struct rg_timer *timer)
{
    struct rg_wait *wait = RG_CONTAINER_OF(timer, struct rg_wait, timer);
    const struct rg_wait_events *events = wait->events;
    void *arg = wait->arg;

    end_wait(wait);
    events->on_timeout(arg);
}

/* The end of a wait that has its answer in kept. */
static void tell(struct rg_wait *wait)
{
    const struct rg_wait_events *events = wait->events;
    void *arg = wait->arg;
    struct delivery *delivery = RG_STEAL(wait->kept);

    end_wait(wait);
    events->on_answer(arg, &delivery->answer);
    rg_free(delivery);
}

static void on_late(struct rg_late *late)
{
    tell(RG_CONTAINER_OF(late, struct rg_wait, late));
}

struct rg_wait *rg_wait_begin(struct rg_answer_room *room, const struct rg_wait_events *events,
                              void *arg, struct rg_buf *id)
{
    struct rg_wait *wait = rg_zalloc(sizeof(*wait));

    wait->room = room;
    wait->events = events;
    wait->arg = arg;
    wait->timer.fn = on_timer;
    wait->late.fn = on_late;
    wait->issued_us = rg_clock_wall_us();
    wait->slot = rg_slots_take(&room->waits, wait);
    const struct place place = {.node = room->answers->node,
                                .issued_us = wait->issued_us,
                                .reactor = room->reactor->id,
                                .slot = wait->slot,
                                .generation = room->waits.at[wait->slot].generation};
    rg_seal_add(room->answers->seal, &place, sizeof(place), id);
    return wait;
}

void rg_wait_open(struct rg_wait *wait, uint64_t timeout_ms)
{
    rg_assert(!wait->is_open);
    wait->is_open = true;
    if (wait->kept != NULL)
        rg_reactor_run_late(wait->room->reactor, &wait->late);
    else
        rg_reactor_set_timer(wait->room->reactor, &wait->timer, timeout_ms);
}

void rg_wait_cancel(struct rg_wait **waitp)
{
    if (*waitp != NULL)
        end_wait(RG_STEAL(*waitp));
}

/* ---- delivering ---- */

/* Who waits for it gets it; whoever has one already keeps that. */
static void arrive(struct rg_answer_room *room, struct delivery *delivery)
{
    const struct place *place = &delivery->place;
    struct rg_wait *wait = rg_slots_get(&room->waits, place->slot, place->generation);

    if (wait == NULL || wait->kept != NULL || wait->issued_us != place->issued_us) {
        rg_free(delivery);
        return;
    }
    wait->kept = delivery;
    if (wait->is_open)
        tell(wait);
}

/* On the room's reactor. */
static void on_deliveries(struct rg_inbox_item *item, void *ctx)
{
    struct rg_answer_room *room = RG_CONTAINER_OF(item, struct rg_answer_room, item);

    (void)ctx;
    rg_reactor_assert(room->reactor);
    pthread_mutex_lock(&room->answers->lock);
    room->is_posted = false;
    struct delivery *first = take_deliveries(room);
    pthread_mutex_unlock(&room->answers->lock);
    while (first != NULL) {
        struct delivery *next = first->next;
        arrive(room, first);
        first = next;
    }
}

static size_t fields_bytes(const struct rg_answer *answer)
{
    size_t n = 0;

    for (size_t i = 0; i < answer->fields_n; i++)
        n += answer->fields[i].name.n + answer->fields[i].value.n;
    return n;
}

static struct rg_str put(char **at, struct rg_str s)
{
    struct rg_str copy = rg_str_n(*at, s.n);

    if (s.n > 0)
        memcpy(*at, s.p, s.n);
    *at += s.n;
    return copy;
}

static struct delivery *delivery_new(const struct place *place, const struct rg_answer *answer)
{
    struct rg_str body = rg_response_is_bodiless(answer->status) ? rg_str_n(NULL, 0) : answer->body;
    size_t bytes = sizeof(struct delivery) + answer->fields_n * sizeof(struct rg_http_field) +
                   fields_bytes(answer) + body.n;
    struct delivery *delivery = rg_alloc(bytes);
    char *at = (char *)&delivery->fields[answer->fields_n];

    *delivery = (struct delivery){.place = *place, .bytes = bytes};
    delivery->answer.status = answer->status;
    delivery->answer.fields = delivery->fields;
    delivery->answer.fields_n = answer->fields_n;
    for (size_t i = 0; i < answer->fields_n; i++) {
        delivery->fields[i].name = put(&at, answer->fields[i].name);
        delivery->fields[i].value = put(&at, answer->fields[i].value);
    }
    delivery->answer.body = put(&at, body);
    return delivery;
}

/* Takes delivery unless there is no room for it: RG_EAGAIN. The lock is held. */
static int enqueue_locked(struct rg_answer_room *room, struct delivery *delivery)
{
    if (room->under_way > 0 && room->under_way + delivery->bytes > MAX_UNDER_WAY)
        return RG_EAGAIN;
    *room->last = delivery;
    room->last = &delivery->next;
    room->under_way += delivery->bytes;
    if (!room->is_posted)
        rg_reactor_post(room->reactor, &room->item, on_deliveries, 0);
    room->is_posted = true;
    return 0;
}

static int send_to(struct rg_answers *answers, const struct place *place,
                   const struct rg_answer *answer)
{
    struct delivery *delivery = delivery_new(place, answer);
    int err = 0;

    pthread_mutex_lock(&answers->lock);
    struct rg_answer_room *room = answers->rooms[place->reactor];
    if (room != NULL && room->is_open) {
        err = enqueue_locked(room, delivery);
        if (err == 0)
            delivery = NULL;
    }
    pthread_mutex_unlock(&answers->lock);
    rg_free(delivery);
    return err;
}

static int read_id(const struct rg_answers *answers, struct rg_str id, struct place *ret)
{
    unsigned char bytes[RG_ANSWER_MAX_ID];

    if (rg_base64url_decode(id, bytes, sizeof(bytes)) == RG_ESYNTAX)
        return RG_ESYNTAX;
    return rg_seal_open(answers->seal, id, ret, sizeof(*ret));
}

int rg_answers_check(const struct rg_answers *answers, struct rg_str id)
{
    struct place place;

    return read_id(answers, id, &place);
}

int rg_answers_deliver(struct rg_answers *answers, struct rg_str id, const struct rg_answer *answer)
{
    struct place place;
    int err = read_id(answers, id, &place);

    if (err < 0)
        return err;
    if (answer->fields_n > MAX_KEPT_FIELDS || fields_bytes(answer) > MAX_FIELDS_BYTES)
        return RG_EFULL;
    if (place.node != answers->node || place.reactor >= MAX_ROOMS)
        return 0;
    return send_to(answers, &place, answer);
}

/* ---- what an answer may say ---- */

/* Of framing, of the connection, and what is the gateway's to say. Never passed on. */
static const struct rg_str ours[] = {
    {"connection", 10},
    {"keep-alive", 10},
    {"proxy-connection", 16},
    {"transfer-encoding", 17},
    {"te", 2},
    {"trailer", 7},
    {"upgrade", 7},
    {"expect", 6},
    {"http2-settings", 14},
    {"proxy-authenticate", 18},
    {"host", 4},
    {"proxy-authorization", 19},
    {"content-length", 14},
    {"date", 4},
    {"x-request-id", 12},
    {"traceparent", 11},
    {"tracestate", 10},
};

/* What a caller of /v3/responses may say of the answer; its other fields are about itself. */
static const struct rg_str of_answers[] = {
    {"content-type", 12},     {"content-language", 16},    {"content-encoding", 16},
    {"location", 8},          {"content-disposition", 19}, {"etag", 4},
    {"last-modified", 13},    {"cache-control", 13},       {"expires", 7},
    {"retry-after", 11},      {"set-cookie", 10},          {"link", 4},
    {"www-authenticate", 16},
};

static bool is_among(struct rg_str name, const struct rg_str *names, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (rg_str_eq_nocase(name, names[i]))
            return true;
    }
    return false;
}

/* Names beginning with x- but for those that proxies add. */
static bool is_custom(struct rg_str name)
{
    return rg_str_starts_with_nocase(name, RG_STR("x-")) &&
           !rg_str_starts_with_nocase(name, RG_STR("x-forwarded-")) &&
           !rg_str_eq_nocase(name, RG_STR("x-request-id")) &&
           !rg_str_eq_nocase(name, RG_STR("x-real-ip"));
}

/* RFC 9110 5.6.2. */
static bool is_token_char(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           (c != '\0' && strchr("!#$%&'*+-.^_`|~", c) != NULL);
}

/* Headers of Kafka are any bytes; a field of HTTP is not (RFC 9110 5.5, 5.6.2). */
static bool is_field(const struct rg_http_field *field)
{
    for (size_t i = 0; i < field->name.n; i++) {
        if (!is_token_char(field->name.p[i]))
            return false;
    }
    for (size_t i = 0; i < field->value.n; i++) {
        unsigned char c = (unsigned char)field->value.p[i];
        if ((c < 0x20 && c != '\t') || c == 0x7f)
            return false;
    }
    return field->name.n > 0;
}

static bool may_pass(const struct rg_http_field *field, bool is_kafka)
{
    /* Of what the gateway says of its own a browser takes no two. */
    if (is_among(field->name, ours, RG_COUNT_OF(ours)) ||
        rg_str_starts_with_nocase(field->name, RG_STR("access-control-allow-")) ||
        rg_str_starts_with_nocase(field->name, RG_STR("rig-")) || !is_field(field))
        return false;
    return is_kafka || is_custom(field->name) ||
           is_among(field->name, of_answers, RG_COUNT_OF(of_answers));
}

size_t rg_answer_fields(const struct rg_http_field *fields, size_t n, bool is_kafka,
                        struct rg_http_field *ret)
{
    size_t kept = 0;

    for (size_t i = 0; i < n; i++) {
        if (may_pass(&fields[i], is_kafka))
            ret[kept++] = fields[i];
    }
    return kept;
}

int rg_answer_status(struct rg_str text, int *ret)
{
    uint64_t status;

    if (rg_str_to_u64(text, 599, &status) < 0 || status < 200)
        return RG_EINVAL;
    *ret = (int)status;
    return 0;
}

/* ---- records ---- */

static const struct rg_http_field *find(const struct rg_http_field *fields, size_t n,
                                        struct rg_str name)
{
    for (size_t i = 0; i < n; i++) {
        if (rg_str_eq_nocase(fields[i].name, name))
            return &fields[i];
    }
    return NULL;
}

static int missing(struct rg_why *why, const char *name)
{
    return rg_why_set(why, RG_EINVAL, "", "header %s is missing", name);
}

/* Says what is wrong with err; what is in an id is nothing for a log. */
static int explain(struct rg_why *why, int err)
{
    switch (err) {
    case RG_ESYNTAX:
        return rg_why_set(why, err, "", "the correlation id is not base64");
    case RG_EINVAL:
        return rg_why_set(why, err, "", "the correlation id is not one of this gateway");
    case RG_EFULL:
        return rg_why_set(why, err, "", "the headers are too many or too long");
    default:
        return err;
    }
}

int rg_answers_deliver_record(struct rg_answers *answers, const struct rg_http_field *fields,
                              size_t n, struct rg_str body, struct rg_why *why)
{
    const struct rg_http_field *id = find(fields, n, RG_STR("rig-correlation"));
    const struct rg_http_field *code = find(fields, n, RG_STR("rig-response-code"));
    struct rg_http_field kept[RG_MAX_FIELDS_PER_MESSAGE];
    struct rg_answer answer = {.fields = kept, .body = body};

    if (id == NULL)
        return missing(why, "rig-correlation");
    if (code == NULL)
        return missing(why, "rig-response-code");
    if (rg_answer_status(code->value, &answer.status) < 0)
        return rg_why_set(why, RG_EINVAL, "", "rig-response-code is not a number from 200 to 599");
    if (n > RG_COUNT_OF(kept))
        return explain(why, RG_EFULL);
    answer.fields_n = rg_answer_fields(fields, n, true, kept);
    return explain(why, rg_answers_deliver(answers, id->value, &answer));
}
