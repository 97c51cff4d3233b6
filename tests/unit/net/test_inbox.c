#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <pthread.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "net/inbox.h"

#define ALL SIZE_MAX

/* An item that says who put it and as which of theirs. */
struct note {
    struct rg_inbox_item item;
    unsigned putter;
    unsigned number;
};

enum {
    PUTTERS = 4,
    NOTES_EACH = 20000
};

/* What the owner has seen so far. */
struct reader {
    struct rg_inbox inbox;
    unsigned next[PUTTERS];
    size_t n;
    struct note *put_while_running; /* put by the next item that runs */
};

static void read_note(struct rg_inbox_item *item, void *ctx)
{
    struct note *note = RG_CONTAINER_OF(item, struct note, item);
    struct reader *reader = ctx;

    assert_int_equal(note->number, reader->next[note->putter]);
    reader->next[note->putter]++;
    reader->n++;
    if (reader->put_while_running != NULL) {
        struct note *other = RG_STEAL(reader->put_while_running);
        rg_inbox_put(&reader->inbox, &other->item, read_note, 1);
    }
}

static void items_run_in_the_order_they_were_put(void **state)
{
    struct note notes[10] = {0};
    struct reader reader = {0};

    (void)state;
    rg_inbox_init(&reader.inbox, 100);
    for (unsigned i = 0; i < 10; i++) {
        notes[i].number = i;
        rg_inbox_put(&reader.inbox, &notes[i].item, read_note, 1);
    }
    assert_false(rg_inbox_drain(&reader.inbox, &reader, ALL));
    assert_int_equal(reader.n, 10);
}

static void the_wake_up_is_asked_for_exactly_when_the_inbox_was_empty(void **state)
{
    struct note notes[4] = {0};
    struct reader reader = {0};

    (void)state;
    rg_inbox_init(&reader.inbox, 100);
    for (unsigned i = 0; i < 4; i++)
        notes[i].number = i;
    assert_true(rg_inbox_put(&reader.inbox, &notes[0].item, read_note, 0));
    assert_false(rg_inbox_put(&reader.inbox, &notes[1].item, read_note, 0));
    rg_inbox_drain(&reader.inbox, &reader, ALL);
    assert_true(rg_inbox_put(&reader.inbox, &notes[2].item, read_note, 0));
    assert_false(rg_inbox_put(&reader.inbox, &notes[3].item, read_note, 0));
    rg_inbox_drain(&reader.inbox, &reader, ALL);
    assert_int_equal(reader.n, 4);
}

static void a_short_drain_says_that_more_is_waiting_and_keeps_the_order(void **state)
{
    struct note notes[7] = {0};
    struct reader reader = {0};

    (void)state;
    rg_inbox_init(&reader.inbox, 100);
    for (unsigned i = 0; i < 5; i++) {
        notes[i].number = i;
        rg_inbox_put(&reader.inbox, &notes[i].item, read_note, 0);
    }
    assert_true(rg_inbox_drain(&reader.inbox, &reader, 2));
    assert_int_equal(reader.n, 2);
    /* What comes now is behind what was taken, though not yet run. */
    for (unsigned i = 5; i < 7; i++) {
        notes[i].number = i;
        rg_inbox_put(&reader.inbox, &notes[i].item, read_note, 0);
    }
    assert_true(rg_inbox_drain(&reader.inbox, &reader, 3));
    assert_int_equal(reader.n, 5);
    assert_false(rg_inbox_drain(&reader.inbox, &reader, 2));
    assert_int_equal(reader.n, 7);
    assert_false(rg_inbox_drain(&reader.inbox, &reader, ALL));
}

static void an_item_put_by_an_item_runs_in_the_next_drain(void **state)
{
    struct note notes[2] = {{.number = 0}, {.number = 1}};
    struct reader reader = {.put_while_running = &notes[1]};

    (void)state;
    rg_inbox_init(&reader.inbox, 100);
    rg_inbox_put(&reader.inbox, &notes[0].item, read_note, 0);
    rg_inbox_drain(&reader.inbox, &reader, ALL);
    assert_int_equal(reader.n, 1);
    rg_inbox_drain(&reader.inbox, &reader, ALL);
    assert_int_equal(reader.n, 2);
}

static void note_whether_alone(struct rg_inbox_item *item, void *ctx)
{
    struct reader *reader = ctx;

    (void)item;
    reader->n += reader->inbox.is_alone;
}

static void an_item_is_alone_if_its_batch_has_no_other(void **state)
{
    struct note notes[3] = {0};
    struct reader reader = {0};

    (void)state;
    rg_inbox_init(&reader.inbox, 100);
    rg_inbox_put(&reader.inbox, &notes[0].item, note_whether_alone, 0);
    rg_inbox_drain(&reader.inbox, &reader, ALL);
    assert_int_equal(reader.n, 1);
    for (unsigned i = 0; i < 3; i++)
        rg_inbox_put(&reader.inbox, &notes[i].item, note_whether_alone, 0);
    rg_inbox_drain(&reader.inbox, &reader, ALL);
    assert_int_equal(reader.n, 1);
}

static void there_is_room_until_more_than_the_limit_waits(void **state)
{
    struct note notes[3] = {{.number = 0}, {.number = 1}, {.number = 2}};
    struct reader reader = {0};

    (void)state;
    rg_inbox_init(&reader.inbox, 100);
    assert_true(rg_inbox_has_room(&reader.inbox));
    rg_inbox_put(&reader.inbox, &notes[0].item, read_note, 100);
    assert_true(rg_inbox_has_room(&reader.inbox));
    /* The limit holds a source back; what is put nevertheless is taken. */
    rg_inbox_put(&reader.inbox, &notes[1].item, read_note, 1);
    assert_false(rg_inbox_has_room(&reader.inbox));
    rg_inbox_put(&reader.inbox, &notes[2].item, read_note, 500);
    assert_int_equal(atomic_load(&reader.inbox.queued_bytes), 601);

    rg_inbox_drain(&reader.inbox, &reader, 1);
    assert_int_equal(atomic_load(&reader.inbox.queued_bytes), 501);
    assert_false(rg_inbox_has_room(&reader.inbox));
    rg_inbox_drain(&reader.inbox, &reader, ALL);
    assert_int_equal(atomic_load(&reader.inbox.queued_bytes), 0);
    assert_true(rg_inbox_has_room(&reader.inbox));
    assert_int_equal(reader.n, 3);
}

/* ---- several threads ---- */

struct putter {
    pthread_t thread;
    struct rg_inbox *inbox;
    unsigned id;
    unsigned wakes;
};

static void free_note(struct rg_inbox_item *item, void *ctx)
{
    read_note(item, ctx);
    rg_free(RG_CONTAINER_OF(item, struct note, item));
}

static void *put_all(void *arg)
{
    struct putter *putter = arg;

    for (unsigned i = 0; i < NOTES_EACH; i++) {
        struct note *note = rg_alloc(sizeof(*note));
        note->putter = putter->id;
        note->number = i;
        putter->wakes += rg_inbox_put(putter->inbox, &note->item, free_note, 3);
    }
    return NULL;
}

static void the_order_of_each_putter_is_kept_across_threads(void **state)
{
    struct reader reader = {0};
    struct putter putters[PUTTERS];
    unsigned wakes = 0;
    size_t drains = 0;

    (void)state;
    rg_inbox_init(&reader.inbox, 100);
    for (unsigned i = 0; i < PUTTERS; i++) {
        putters[i] = (struct putter){.inbox = &reader.inbox, .id = i};
        assert_int_equal(pthread_create(&putters[i].thread, NULL, put_all, &putters[i]), 0);
    }
    while (reader.n < (size_t)PUTTERS * NOTES_EACH) {
        rg_inbox_drain(&reader.inbox, &reader, 100);
        drains++;
    }
    for (size_t i = 0; i < PUTTERS; i++) {
        pthread_join(putters[i].thread, NULL);
        wakes += putters[i].wakes;
        assert_int_equal(reader.next[i], NOTES_EACH);
    }
    /* Each drain can empty the inbox once at most. */
    assert_true(wakes >= 1 && wakes <= drains);
    assert_int_equal(atomic_load(&reader.inbox.queued_bytes), 0);
}

/* The owner of this one sleeps until it is told to wake up: a lost wake-up never ends. */
struct sleeper {
    struct reader reader;
    pthread_mutex_t lock;
    pthread_cond_t wake;
    bool is_woken;
};

static void *put_and_wake(void *arg)
{
    struct sleeper *sleeper = arg;

    for (unsigned i = 0; i < NOTES_EACH; i++) {
        struct note *note = rg_zalloc(sizeof(*note));
        note->number = i;
        if (!rg_inbox_put(&sleeper->reader.inbox, &note->item, free_note, 1))
            continue;
        pthread_mutex_lock(&sleeper->lock);
        sleeper->is_woken = true;
        pthread_cond_signal(&sleeper->wake);
        pthread_mutex_unlock(&sleeper->lock);
    }
    return NULL;
}

static void no_wake_up_is_lost(void **state)
{
    struct sleeper sleeper = {.lock = PTHREAD_MUTEX_INITIALIZER, .wake = PTHREAD_COND_INITIALIZER};
    pthread_t thread;

    (void)state;
    rg_inbox_init(&sleeper.reader.inbox, 100);
    assert_int_equal(pthread_create(&thread, NULL, put_and_wake, &sleeper), 0);
    while (sleeper.reader.n < NOTES_EACH) {
        pthread_mutex_lock(&sleeper.lock);
        while (!sleeper.is_woken)
            pthread_cond_wait(&sleeper.wake, &sleeper.lock);
        sleeper.is_woken = false;
        pthread_mutex_unlock(&sleeper.lock);
        while (rg_inbox_drain(&sleeper.reader.inbox, &sleeper.reader, 16))
            continue;
    }
    pthread_join(thread, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(items_run_in_the_order_they_were_put),
        cmocka_unit_test(the_wake_up_is_asked_for_exactly_when_the_inbox_was_empty),
        cmocka_unit_test(a_short_drain_says_that_more_is_waiting_and_keeps_the_order),
        cmocka_unit_test(an_item_put_by_an_item_runs_in_the_next_drain),
        cmocka_unit_test(an_item_is_alone_if_its_batch_has_no_other),
        cmocka_unit_test(there_is_room_until_more_than_the_limit_waits),
        cmocka_unit_test(the_order_of_each_putter_is_kept_across_threads),
        cmocka_unit_test(no_wake_up_is_lost),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
