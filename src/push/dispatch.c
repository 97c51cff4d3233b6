#include "push/dispatch.h"

#include "base/alloc.h"
#include "base/rcu.h"
#include "push/hub.h"

struct rg_dispatcher {
    struct rg_push *push;
    struct rg_projector *projector;
    struct rg_match_key_builder builder;
    struct rg_buf scratch;
    struct rg_interest_match matches[RG_MAX_FIELD_SETS];
    struct rg_interest_view view; /* of the event that is glanced at */
    const struct rg_extractor_type *glanced_type;
};

struct rg_dispatcher *rg_dispatcher_new(struct rg_push *push)
{
    struct rg_dispatcher *d = rg_zalloc(sizeof(*d));

    d->push = push;
    d->projector = rg_projector_new(rg_extractors_projection(push->extractors));
    return d;
}

void rg_dispatcher_free(struct rg_dispatcher **dispatcherp)
{
    struct rg_dispatcher *d = *dispatcherp;

    if (d == NULL)
        return;
    *dispatcherp = NULL;
    rg_projector_free(&d->projector);
    rg_buf_done(&d->builder.text);
    rg_buf_done(&d->scratch);
    rg_free(d);
}

static bool all_have_room(const struct rg_push *push, uint64_t reactors)
{
    for (; reactors != 0; reactors &= reactors - 1) {
        unsigned r = (unsigned)__builtin_ctzll(reactors);
        if (!rg_hub_has_room(push->hubs[r]))
            return false;
    }
    return true;
}

static void hand_over(struct rg_push *push, struct rg_event *event)
{
    for (uint64_t left = event->reactors; left != 0; left &= left - 1) {
        unsigned r = (unsigned)__builtin_ctzll(left);
        rg_hub_post_event(push->hubs[r], rg_event_ref(event));
    }
}

static bool is_wanted(void *arg, struct rg_str type, const struct rg_extractor_type **ret_type,
                      uint64_t *ret_fields)
{
    struct rg_dispatcher *d = arg;

    d->glanced_type = rg_extractors_find(d->push->extractors, type);
    *ret_type = d->glanced_type;
    return rg_interest_look(d->push->interest, type, &d->view, ret_fields);
}

/* As rg_envelope_glance(), but 1 also if the fields' values tell that nobody wants the event. */
static int glance(struct rg_dispatcher *d, struct rg_str text, struct rg_envelope *envelope,
                  struct rg_why *why)
{
    rg_rcu_read_lock();
    int seen = rg_envelope_glance(d->projector, text, is_wanted, d, &d->scratch, envelope, why);
    if (seen == 2 && rg_interest_look_match(d->push->interest, &d->view, d->glanced_type,
                                            d->projector, &d->builder, d->matches) == 0)
        seen = 1;
    rg_rcu_read_unlock();
    return seen;
}

/*
 * Reads the event as far as care asks. Returns 0 with envelope filled if it must be looked up, 1 if
 * it is certain that nobody wants it, or an error.
 */
static int read_event(struct rg_dispatcher *d, struct rg_str text, enum rg_care care,
                      struct rg_envelope *envelope, struct rg_why *why)
{
    int seen = care == RG_CHECK_ENVELOPE ? glance(d, text, envelope, why) : 2;

    return seen == 2 ? rg_envelope_parse(d->projector, text, &d->scratch, envelope, why) : seen;
}

static size_t match(struct rg_dispatcher *d, struct rg_str type)
{
    return rg_interest_match(d->push->interest, type, rg_extractors_find(d->push->extractors, type),
                             d->projector, &d->builder, d->matches);
}

int rg_dispatch(struct rg_dispatcher *d, struct rg_str text, enum rg_care care,
                const struct rg_origin *origin, struct rg_envelope *ret, struct rg_why *why)
{
    struct rg_push *push = d->push;
    struct rg_envelope envelope;
    uint64_t reactors = 0;
    int err = read_event(d, text, care, &envelope, why);

    if (err != 0)
        return err < 0 ? err : 0;
    if (ret != NULL)
        *ret = envelope;
    size_t n = match(d, envelope.type);
    if (n == 0)
        return 0;
    for (size_t i = 0; i < n; i++)
        reactors |= d->matches[i].reactors;
    if (!all_have_room(push, reactors))
        return RG_EAGAIN;

    struct rg_event *event = rg_event_new(&envelope, origin, d->matches, n, push->hubs_n);
    rg_series_add(rg_family_get(push->tally.forwarded, envelope.type, (struct rg_str){NULL, 0}), 1);
    hand_over(push, event);
    rg_event_unref(&event);
    return 0;
}
