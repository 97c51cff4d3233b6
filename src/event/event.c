/*
 * One allocation holds an event and what it points to, the most aligned first:
 *
 *   struct rg_event | links | matches | text | type | id
 */
#include "event/event.h"

#include "base/alloc.h"
#include "base/clock.h"

static char *put_str(char *at, struct rg_str s)
{
    if (s.n > 0)
        memcpy(at, s.p, s.n);
    return at + s.n;
}

static void put_texts(struct rg_event *event, char *at, const struct rg_envelope *envelope)
{
    event->text = at;
    event->text_n = (uint32_t)envelope->text.n;
    at = put_str(at, envelope->text);
    event->type = at;
    event->type_n = (uint32_t)envelope->type.n;
    at = put_str(at, envelope->type);
    event->id = at;
    event->id_n = (uint32_t)envelope->id.n;
    put_str(at, envelope->id);
}

static void put_matches(struct rg_event *event, struct rg_interest_match *at,
                        const struct rg_interest_match *matches, size_t n)
{
    event->matches = at;
    event->matches_n = (uint32_t)n;
    if (n > 0)
        memcpy(at, matches, n * sizeof(*matches));
    for (size_t i = 0; i < n; i++)
        event->reactors |= matches[i].reactors;
}

_Static_assert(sizeof(struct rg_event) % _Alignof(struct rg_event_link) == 0 &&
                   _Alignof(struct rg_event_link) >= _Alignof(struct rg_interest_match),
               "links and matches follow the struct without padding");

struct rg_event *rg_event_new(const struct rg_envelope *envelope, const struct rg_origin *origin,
                              const struct rg_interest_match *matches, size_t matches_n,
                              unsigned links_n)
{
    struct rg_event *event;

    rg_assert(envelope->text.n <= UINT32_MAX && envelope->type.n <= UINT32_MAX &&
              envelope->id.n <= UINT32_MAX);
    rg_assert(matches_n <= RG_MAX_FIELD_SETS && links_n <= RG_MAX_REACTORS);

    size_t links_bytes = links_n * sizeof(struct rg_event_link);
    size_t matches_bytes = matches_n * sizeof(*matches);
    event = rg_alloc(sizeof(*event) + links_bytes + matches_bytes + envelope->text.n +
                     envelope->type.n + envelope->id.n);
    memset(event, 0, sizeof(*event) + links_bytes);

    atomic_init(&event->refs, 1);
    for (int kind = 0; kind < RG_FRAME_KINDS; kind++)
        atomic_init(&event->frames[kind], NULL);
    event->born_ns = rg_clock_mono_ns();
    event->origin = *origin;
    event->links = (struct rg_event_link *)(event + 1);
    event->links_n = links_n;
    put_matches(event, (struct rg_interest_match *)(event->links + links_n), matches, matches_n);
    put_texts(event, (char *)event->links + links_bytes + matches_bytes, envelope);
    return event;
}

struct rg_event *rg_event_new_for_channel(enum rg_event_kind kind,
                                          const struct rg_channel_message *message,
                                          const struct rg_origin *origin, uint64_t reactors,
                                          unsigned links_n)
{
    const struct rg_envelope envelope = {
        .type = message->topic, .id = message->name, .text = message->payload};
    const struct rg_interest_match match = {rg_match_key_of_channel(message->topic), reactors};
    struct rg_event *event = rg_event_new(&envelope, origin, &match, 1, links_n);

    event->kind = kind;
    return event;
}

struct rg_event *rg_event_ref(struct rg_event *event)
{
    unsigned before = atomic_fetch_add_explicit(&event->refs, 1, memory_order_relaxed);
    rg_assert(before > 0 && before < UINT32_MAX);
    return event;
}

void rg_event_unref(struct rg_event **eventp)
{
    struct rg_event *event = RG_STEAL(*eventp);

    if (event == NULL || atomic_fetch_sub_explicit(&event->refs, 1, memory_order_acq_rel) > 1)
        return;
    for (int kind = 0; kind < RG_FRAME_KINDS; kind++)
        rg_free(atomic_load_explicit(&event->frames[kind], memory_order_relaxed));
    rg_free(event);
}

struct rg_frame *rg_frame_new(size_t n)
{
    struct rg_frame *frame;

    rg_assert(n <= UINT32_MAX);
    frame = rg_alloc(sizeof(*frame) + n);
    *frame = (struct rg_frame){.n = (uint32_t)n};
    return frame;
}

const struct rg_frame *rg_event_frame(struct rg_event *event, enum rg_frame_kind kind,
                                      rg_frame_encode_fn *encode, void *arg)
{
    struct rg_frame *frame = atomic_load_explicit(&event->frames[kind], memory_order_acquire);
    struct rg_frame *mine;

    if (frame != NULL)
        return frame;
    mine = encode(event, arg);
    if (atomic_compare_exchange_strong_explicit(&event->frames[kind], &frame, mine,
                                                memory_order_acq_rel, memory_order_acquire))
        return mine;
    rg_free(mine);
    return frame;
}
