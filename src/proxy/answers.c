#include "proxy/answers.h"

#include "base/alloc.h"

struct rg_answers {
    int unused;
};

struct rg_answer_room {
    struct rg_reactor *reactor;
};

struct rg_wait {
    struct rg_answer_room *room;
    const struct rg_wait_events *events;
    void *arg;
    struct rg_timer timer;
};

struct rg_answers *rg_answers_new(struct rg_str secret)
{
    (void)secret;
    return rg_zalloc(sizeof(struct rg_answers));
}

void rg_answers_free(struct rg_answers **answersp)
{
    rg_free(*answersp);
    *answersp = NULL;
}

struct rg_answer_room *rg_answer_room_new(struct rg_answers *answers, struct rg_reactor *reactor)
{
    struct rg_answer_room *room = rg_zalloc(sizeof(*room));

    (void)answers;
    room->reactor = reactor;
    return room;
}

void rg_answer_room_free(struct rg_answer_room **roomp)
{
    rg_free(*roomp);
    *roomp = NULL;
}

static void on_timer(struct rg_timer *timer)
{
    struct rg_wait *wait = RG_CONTAINER_OF(timer, struct rg_wait, timer);
    const struct rg_wait_events *events = wait->events;
    void *arg = wait->arg;

    rg_free(wait);
    events->on_timeout(arg);
}

struct rg_wait *rg_wait_begin(struct rg_answer_room *room, const struct rg_wait_events *events,
                              void *arg, struct rg_buf *id)
{
    struct rg_wait *wait = rg_zalloc(sizeof(*wait));

    wait->room = room;
    wait->events = events;
    wait->arg = arg;
    wait->timer.fn = on_timer;
    rg_buf_add_c(id, "none");
    return wait;
}

void rg_wait_open(struct rg_wait *wait, uint64_t timeout_ms)
{
    rg_reactor_set_timer(wait->room->reactor, &wait->timer, timeout_ms);
}

void rg_wait_cancel(struct rg_wait **waitp)
{
    if (*waitp == NULL)
        return;
    rg_reactor_cancel_timer((*waitp)->room->reactor, &(*waitp)->timer);
    rg_free(*waitp);
    *waitp = NULL;
}

int rg_answers_deliver(struct rg_answers *answers, struct rg_str id, const struct rg_answer *answer)
{
    (void)answers;
    (void)id;
    (void)answer;
    return RG_EINVAL;
}

size_t rg_answer_fields(const struct rg_http_field *fields, size_t n, bool is_kafka,
                        struct rg_http_field *ret)
{
    (void)fields;
    (void)n;
    (void)is_kafka;
    (void)ret;
    return 0;
}

int rg_answer_status(struct rg_str text, int *ret)
{
    (void)text;
    (void)ret;
    return RG_EINVAL;
}
