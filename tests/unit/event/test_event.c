#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <pthread.h>
#include <string.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "event/event.h"

static const struct rg_origin origin = {RG_SOURCE_KAFKA, 3, 7, 1234567890123, 99};

static struct rg_event *new_event(const char *text, const char *type, const char *id,
                                  unsigned links_n)
{
    struct rg_envelope envelope = {
        .text = rg_str_c(text), .type = rg_str_c(type), .id = rg_str_c(id)};
    struct rg_interest_match matches[] = {{.reactors = 5}, {.reactors = (uint64_t)1 << 63}};

    matches[0].key.h.w[0] = 11;
    matches[1].key.h.w[1] = 12;
    return rg_event_new(&envelope, &origin, matches, 2, links_n);
}

static atomic_uint encoded;

static struct rg_frame *encode_type(const struct rg_event *event, void *arg)
{
    struct rg_frame *frame = rg_frame_new(event->type_n);

    (void)arg;
    memcpy(frame->p, event->type, event->type_n);
    frame->body_n = frame->n;
    atomic_fetch_add(&encoded, 1);
    return frame;
}

static struct rg_frame *encode_with_nul(const struct rg_event *event, void *arg)
{
    struct rg_frame *frame = rg_frame_new(2);

    (void)event;
    (void)arg;
    memcpy(frame->p, "\0x", 2);
    return frame;
}

static void event_holds_copies(void **state)
{
    char text[] = "{\"a\":1}", type[] = "t.y", id[] = "i";
    uint64_t before = rg_clock_mono_ns();
    struct rg_event *event = new_event(text, type, id, 2);

    (void)state;
    memset(text, 'x', sizeof(text));
    memset(type, 'x', sizeof(type));
    memset(id, 'x', sizeof(id));
    assert_true(rg_str_eq(rg_event_text(event), RG_STR("{\"a\":1}")));
    assert_true(rg_str_eq(rg_event_type(event), RG_STR("t.y")));
    assert_true(rg_str_eq(rg_event_id(event), RG_STR("i")));
    assert_int_equal(event->matches_n, 2);
    assert_int_equal(event->matches[0].key.h.w[0], 11);
    assert_int_equal(event->matches[1].key.h.w[1], 12);
    assert_int_equal(event->reactors, 5 | (uint64_t)1 << 63);
    assert_memory_equal(&event->origin, &origin, sizeof(origin));
    assert_true(event->born_ns >= before && event->born_ns <= rg_clock_mono_ns());
    rg_event_unref(&event);
    assert_null(event);
    rg_event_unref(&event);
}

static void links_are_zeroed_and_aligned(void **state)
{
    static const struct rg_event_link zero;

    (void)state;
    for (unsigned n = 0; n < 9; n++) {
        struct rg_event *event = new_event("{\"odd\":1}", "abc", "12345", n);
        assert_int_equal(event->links_n, n);
        assert_int_equal((uintptr_t)event->links % _Alignof(struct rg_event_link), 0);
        assert_int_equal((uintptr_t)event->matches % _Alignof(struct rg_interest_match), 0);
        for (unsigned i = 0; i < n; i++) {
            assert_memory_equal(&event->links[i], &zero, sizeof(zero));
            /* The last byte of each is ours: a sanitizer would tell. */
            memset(&event->links[i], 0xff, sizeof(event->links[i]));
        }
        assert_true(rg_str_eq(rg_event_text(event), RG_STR("{\"odd\":1}")));
        rg_event_unref(&event);
    }
}

static void event_without_matches_and_id_is_fine(void **state)
{
    struct rg_envelope envelope = {.text = RG_STR("{}"), .type = RG_STR("t")};
    struct rg_event *event = rg_event_new(&envelope, &origin, NULL, 0, 0);

    (void)state;
    assert_int_equal(event->reactors, 0);
    assert_int_equal(event->matches_n, 0);
    assert_int_equal(event->id_n, 0);
    assert_true(rg_event_bytes(event) >= sizeof(*event) + 3);
    rg_event_unref(&event);
}

static void event_lives_until_the_last_reference(void **state)
{
    struct rg_event *event = new_event("{}", "t", "1", 1);
    struct rg_event *other = rg_event_ref(event);

    (void)state;
    assert_ptr_equal(other, event);
    rg_event_unref(&event);
    assert_int_equal(atomic_load(&other->refs), 1);
    assert_true(rg_str_eq(rg_event_type(other), RG_STR("t")));
    rg_event_unref(&other);
}

static void frame_is_encoded_once_per_kind(void **state)
{
    struct rg_event *event = new_event("{}", "t.y", "1", 1);
    const struct rg_frame *sse, *ws;

    (void)state;
    atomic_store(&encoded, 0);
    sse = rg_event_frame(event, RG_FRAME_SSE, encode_type, NULL);
    assert_int_equal(sse->n, 3);
    assert_memory_equal(sse->p, "t.y", 3);
    assert_ptr_equal(rg_event_frame(event, RG_FRAME_SSE, encode_with_nul, NULL), sse);
    assert_int_equal(atomic_load(&encoded), 1);

    ws = rg_event_frame(event, RG_FRAME_WS, encode_with_nul, NULL);
    assert_ptr_not_equal(ws, sse);
    assert_int_equal(ws->n, 2);
    assert_memory_equal(ws->p, "\0x", 2);
    rg_event_unref(&event);
}

/* Several reactors take their references, want a frame in the same instant and give up theirs. */
#define REACTORS 4
#define ROUNDS   300

struct round {
    struct rg_event *event;
    pthread_barrier_t *start;
    const struct rg_frame *frame;
};

static void *one_reactor(void *arg)
{
    struct round *round = arg;
    struct rg_event *mine = round->event;

    pthread_barrier_wait(round->start);
    round->frame = rg_event_frame(mine, RG_FRAME_SSE, encode_type, NULL);
    if (memcmp(round->frame->p, "t.y", 3) != 0)
        round->frame = NULL;
    rg_event_unref(&mine);
    return NULL;
}

static void reactors_agree_on_one_frame(void **state)
{
    pthread_barrier_t start;

    (void)state;
    pthread_barrier_init(&start, NULL, REACTORS);
    for (int i = 0; i < ROUNDS; i++) {
        struct rg_event *event = new_event("{}", "t.y", "1", REACTORS);
        pthread_t threads[REACTORS];
        struct round rounds[REACTORS];

        for (int r = 0; r < REACTORS; r++) {
            rounds[r] = (struct round){rg_event_ref(event), &start, NULL};
            assert_int_equal(pthread_create(&threads[r], NULL, one_reactor, &rounds[r]), 0);
        }
        for (int r = 0; r < REACTORS; r++)
            pthread_join(threads[r], NULL);
        for (int r = 0; r < REACTORS; r++) {
            assert_non_null(rounds[r].frame);
            assert_ptr_equal(rounds[r].frame, rounds[0].frame);
        }
        assert_int_equal(atomic_load(&event->refs), 1);
        rg_event_unref(&event);
    }
    pthread_barrier_destroy(&start);
}

/* Nobody keeps a reference: whichever reactor is last frees event and frame. */
static void last_reactor_frees_the_event(void **state)
{
    pthread_barrier_t start;

    (void)state;
    pthread_barrier_init(&start, NULL, 2);
    for (int i = 0; i < ROUNDS; i++) {
        struct rg_event *event = new_event("{}", "t.y", "1", 2);
        struct round rounds[2] = {{rg_event_ref(event), &start, NULL}, {event, &start, NULL}};
        pthread_t thread;

        assert_int_equal(pthread_create(&thread, NULL, one_reactor, &rounds[0]), 0);
        one_reactor(&rounds[1]);
        pthread_join(thread, NULL);
        assert_non_null(rounds[0].frame);
        assert_ptr_equal(rounds[0].frame, rounds[1].frame);
    }
    pthread_barrier_destroy(&start);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(event_holds_copies),
        cmocka_unit_test(links_are_zeroed_and_aligned),
        cmocka_unit_test(event_without_matches_and_id_is_fine),
        cmocka_unit_test(event_lives_until_the_last_reference),
        cmocka_unit_test(frame_is_encoded_once_per_kind),
        cmocka_unit_test(reactors_agree_on_one_frame),
        cmocka_unit_test(last_reactor_frees_the_event),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
