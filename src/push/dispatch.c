#include "push/dispatch.h"

#include <stdio.h>

#include "base/alloc.h"
#include "base/rcu.h"
#include "event/addressees.h"
#include "push/hub.h"

struct rg_dispatcher {
    struct rg_push *push;
    struct rg_projector *projector;
    struct rg_match_key_builder builder;
    struct rg_buf scratch;
    struct rg_interest_match matches[RG_MAX_FIELD_SETS];
    struct rg_interest_view view; /* of the event that is glanced at */
    const struct rg_extractor_type *glanced_type;
    struct rg_addressees addressees; /* of the message that is read */
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

static bool all_have_reserve(const struct rg_push *push, uint64_t reactors)
{
    for (; reactors != 0; reactors &= reactors - 1) {
        unsigned r = (unsigned)__builtin_ctzll(reactors);
        if (!rg_inbox_has_reserve(&push->hubs[r]->reactor->inbox))
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

/* Looks up who wants the event that was just read; *ret_reactors are all of them together. */
static size_t match(struct rg_dispatcher *d, struct rg_str type, uint64_t *ret_reactors)
{
    size_t n =
        rg_interest_match(d->push->interest, type, rg_extractors_find(d->push->extractors, type),
                          d->projector, &d->builder, d->matches);

    *ret_reactors = 0;
    for (size_t i = 0; i < n; i++)
        *ret_reactors |= d->matches[i].reactors;
    return n;
}

/* Makes the event of the n matches that were just found and hands it to their reactors. */
static void forward(struct rg_dispatcher *d, const struct rg_envelope *envelope,
                    const struct rg_origin *origin, size_t n)
{
    struct rg_push *push = d->push;
    struct rg_event *event = rg_event_new(envelope, origin, d->matches, n, push->hubs_n);

    rg_series_add(rg_family_get(push->tally.forwarded, envelope->type, (struct rg_str){NULL, 0}),
                  1);
    hand_over(push, event);
    rg_event_unref(&event);
}

int rg_dispatch(struct rg_dispatcher *d, struct rg_str text, enum rg_care care,
                const struct rg_origin *origin, struct rg_envelope *ret, struct rg_why *why)
{
    struct rg_envelope envelope;
    uint64_t reactors;
    int err = read_event(d, text, care, &envelope, why);

    if (err != 0)
        return err < 0 ? err : 0;
    if (ret != NULL)
        *ret = envelope;
    size_t n = match(d, envelope.type, &reactors);
    if (n == 0)
        return 0;
    bool has_room = origin->source == RG_SOURCE_GATEWAY ? all_have_reserve(d->push, reactors)
                                                        : all_have_room(d->push, reactors);
    if (!has_room)
        return RG_EAGAIN;
    forward(d, &envelope, origin, n);
    return 0;
}

/* ---- messages on channels ---- */

static void send_on(struct rg_push *push, enum rg_event_kind kind,
                    const struct rg_channel_message *message, const struct rg_origin *origin,
                    uint64_t reactors)
{
    struct rg_event *event =
        rg_event_new_for_channel(kind, message, origin, reactors, push->hubs_n);

    hand_over(push, event);
    rg_event_unref(&event);
}

int rg_dispatch_to_channel(struct rg_push *push, enum rg_event_kind kind,
                           const struct rg_channel_message *message, const struct rg_origin *origin)
{
    uint64_t reactors = rg_interest_get(push->interest, rg_match_key_of_channel(message->topic));

    if (reactors == 0)
        return 0;
    if (kind != RG_EVENT_PRESENCE && !all_have_room(push, reactors))
        return RG_EAGAIN;
    send_on(push, kind, message, origin, reactors);
    return __builtin_popcountll(reactors);
}

int rg_dispatch_message(struct rg_push *push, const struct rg_str *topics, size_t n,
                        struct rg_str payload, const struct rg_origin *origin)
{
    struct rg_channel_message message = {.name = RG_STR("message"), .payload = payload};
    uint64_t reactors[RG_MAX_ADDRESSEES], all = 0;

    rg_assert(n <= RG_MAX_ADDRESSEES);
    for (size_t i = 0; i < n; i++) {
        reactors[i] = rg_interest_get(push->interest, rg_match_key_of_channel(topics[i]));
        all |= reactors[i];
    }
    if (all == 0)
        return 0;
    if (!all_have_room(push, all))
        return RG_EAGAIN;
    for (size_t i = 0; i < n; i++) {
        message.topic = topics[i];
        if (reactors[i] != 0)
            send_on(push, RG_EVENT_CHANNEL, &message, origin, reactors[i]);
    }
    rg_series_add(rg_family_get(push->tally.forwarded, message.name, (struct rg_str){NULL, 0}), 1);
    return __builtin_popcountll(all);
}

/* ---- records of topics: events, or messages ---- */

/* An object without the white space around it, in text that is known to be one. */
static struct rg_str object_in(struct rg_str text)
{
    const char *start = memchr(text.p, '{', text.n);
    const char *end = memrchr(text.p, '}', text.n);

    return rg_str_n(start, (size_t)(end + 1 - start));
}

/* The text that was just read is a message, if it is anything. */
static int forward_message(struct rg_dispatcher *d, struct rg_str text,
                           const struct rg_origin *origin, struct rg_why *why)
{
    int err = rg_addressees_read(d->projector, &d->scratch, &d->addressees, why);

    if (err < 0)
        return err;
    err = rg_dispatch_message(d->push, d->addressees.topics, d->addressees.n, object_in(text),
                              origin);
    return err < 0 ? err : 0;
}

static int dispatch_as_message(struct rg_dispatcher *d, struct rg_str text, enum rg_format format,
                               const struct rg_origin *origin, struct rg_why *why)
{
    struct rg_json root;
    int err = rg_projector_run(d->projector, text, &root, why);

    if (err < 0)
        return err;
    if (root.kind != RG_JSON_OBJECT)
        return rg_why_set(why, RG_EINVAL, "", "a message must be a JSON object, not %s",
                          rg_json_kind_name(root.kind));
    if (format == RG_FORMAT_NO_EVENT && rg_envelope_is_claimed(d->projector))
        return rg_why_set(why, RG_EINVAL, "",
                          "the content type of a whole event is application/cloudevents+json, or "
                          "there is none");
    return forward_message(d, text, origin, why);
}

/* What was found to be neither is read once more, by whoever can say what is wrong with it. */
static int refuse_record(struct rg_dispatcher *d, struct rg_str text,
                         const struct rg_origin *origin, struct rg_why *why)
{
    struct rg_json root;
    int err = rg_projector_run(d->projector, text, &root, why);

    if (err < 0)
        return err;
    if (root.kind == RG_JSON_OBJECT && !rg_envelope_is_claimed(d->projector))
        return rg_why_set(why, RG_EINVAL, "",
                          "neither an event (with specversion or cloudEventsVersion) nor a message "
                          "(with username or roles)");
    return rg_dispatch(d, text, RG_CHECK_ENVELOPE, origin, NULL, why);
}

int rg_dispatch_record(struct rg_dispatcher *d, struct rg_str text, enum rg_format format,
                       const struct rg_origin *origin, struct rg_why *why)
{
    if (format == RG_FORMAT_CLOUDEVENTS)
        return rg_dispatch(d, text, RG_CHECK_ENVELOPE, origin, NULL, why);
    if (format != RG_FORMAT_AUTO)
        return dispatch_as_message(d, text, format, origin, why);

    /* Messages are found among what is no event, so that telling them apart costs events nothing.
     * No sentence yet: it takes longer than the reading, and is right for few. */
    int err = rg_dispatch(d, text, RG_CHECK_ENVELOPE, origin, NULL, NULL);
    if (err >= 0 || err == RG_EAGAIN)
        return err;
    if (!rg_envelope_is_claimed(d->projector) && rg_addressees_are_named(d->projector))
        return forward_message(d, text, origin, why);
    return refuse_record(d, text, origin, why);
}

/* ---- checking only ---- */

int rg_dispatch_check(struct rg_dispatcher *d, struct rg_str text, struct rg_why *why)
{
    struct rg_envelope envelope;

    return rg_envelope_parse(d->projector, text, &d->scratch, &envelope, why);
}

/* ---- batches ---- */

static int complain(struct rg_why *why, int err, size_t index, const struct rg_why *reason)
{
    char place[sizeof(reason->place)];

    snprintf(place, sizeof(place), "index %zu%s%.64s", index, reason->place[0] != '\0' ? ", " : "",
             reason->place);
    return rg_why_set(why, err, place, "%s", reason->text);
}

static int read_array(struct rg_str text, struct rg_json *ret, struct rg_why *why)
{
    int err = rg_json_check(text, ret, why);

    if (err == 0 && ret->kind != RG_JSON_ARRAY)
        return rg_why_set(why, RG_EINVAL, "", "a batch must be an array of events");
    return err;
}

/* Reads all events of a batch; *ret_reactors are all that want one of them. */
static int read_batch(struct rg_dispatcher *d, struct rg_json batch, size_t *ret_n,
                      uint64_t *ret_reactors, struct rg_why *why)
{
    struct rg_json_cursor cursor = {0};
    struct rg_envelope envelope;
    struct rg_why reason = {0};
    uint64_t reactors;
    struct rg_str none;
    struct rg_json one;

    *ret_n = 0;
    *ret_reactors = 0;
    for (; rg_json_next(batch, &cursor, &none, &one); ++*ret_n) {
        if (*ret_n == RG_MAX_BATCH)
            return rg_why_set(why, RG_EFULL, "", "a batch has at most %d events", RG_MAX_BATCH);
        int err = rg_envelope_parse(d->projector, one.text, &d->scratch, &envelope, &reason);
        if (err < 0)
            return complain(why, err, *ret_n, &reason);
        match(d, envelope.type, &reactors);
        *ret_reactors |= reactors;
    }
    return 0;
}

int rg_dispatch_check_batch(struct rg_dispatcher *d, struct rg_str text, struct rg_why *why)
{
    struct rg_json batch;
    uint64_t reactors;
    size_t n;
    int err = read_array(text, &batch, why);

    return err < 0 ? err : read_batch(d, batch, &n, &reactors, why);
}

int rg_dispatch_batch(struct rg_dispatcher *d, struct rg_str text, const struct rg_origin *origin,
                      size_t *ret_n, struct rg_why *why)
{
    struct rg_json_cursor cursor = {0};
    struct rg_envelope envelope;
    struct rg_json batch, one;
    uint64_t reactors = 0;
    struct rg_str none;
    int err = read_array(text, &batch, why);

    if (err == 0)
        err = read_batch(d, batch, ret_n, &reactors, why);
    if (err < 0)
        return err;
    if (!all_have_room(d->push, reactors))
        return RG_EAGAIN;
    /* Read again rather than kept: an event's keys would take more room than its text. */
    while (rg_json_next(batch, &cursor, &none, &one)) {
        rg_assert(rg_envelope_parse(d->projector, one.text, &d->scratch, &envelope, NULL) == 0);
        size_t n = match(d, envelope.type, &reactors);
        if (n > 0)
            forward(d, &envelope, origin, n);
    }
    return 0;
}
