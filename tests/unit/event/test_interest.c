#include "fixture.h"

#include <pthread.h>
#include <stdatomic.h>

#include "base/alloc.h"
#include "base/rcu.h"
#include "event/interest.h"

static struct rg_extractors *extractors;

static const char event_text[] =
    "{\"data\":{\"room\":\"blue\",\"author\":\"ada\",\"size\":1,\"urgent\":true}}";

/* What one thread needs to ask for matches of the event above. */
struct asker {
    struct rg_interest *interest;
    struct rg_projector *projector;
    struct rg_match_key_builder builder;
    struct rg_interest_match matches[RG_MAX_FIELD_SETS];
    size_t n;
};

static struct asker *asker_new(struct rg_interest *interest)
{
    struct asker *a = rg_zalloc(sizeof(*a));

    a->interest = interest;
    a->projector = rg_projector_new(rg_extractors_projection(extractors));
    rg_assert(rg_projector_run(a->projector, rg_str_c(event_text), NULL, NULL) == 0);
    return a;
}

static void asker_free(struct asker *a)
{
    rg_projector_free(&a->projector);
    rg_buf_done(&a->builder.text);
    rg_free(a);
}

static void ask(struct asker *a, struct rg_str type)
{
    a->n = rg_interest_match(a->interest, type, rg_extractors_find(extractors, type), a->projector,
                             &a->builder, a->matches);
}

/* The reactors that the last answer has for a key; 0 if it lacks the key. */
static uint64_t answer(const struct asker *a, struct rg_match_key key)
{
    for (size_t i = 0; i < a->n; i++) {
        if (rg_match_key_eq(a->matches[i].key, key))
            return a->matches[i].reactors;
    }
    return 0;
}

/* The key that the event has for a field set of chat.posted. */
static struct rg_subscription_key key_of(struct asker *a, uint64_t fields)
{
    struct rg_subscription_key key = {.type = rg_match_key_of_type(RG_STR("chat.posted")),
                                      .fields = fields};

    rg_assert(rg_match_key_of_event(&a->builder, key.type,
                                    rg_extractors_find(extractors, RG_STR("chat.posted")), fields,
                                    a->projector, &key.key) == 0);
    return key;
}

static void event_nobody_wants_matches_nothing(void **state)
{
    struct rg_interest *interest = rg_interest_new();
    struct asker *a = asker_new(interest);

    (void)state;
    ask(a, RG_STR("chat.posted"));
    assert_int_equal(a->n, 0);
    /* No type, no key: the builder was not even touched. */
    assert_null(a->builder.text.p);
    asker_free(a);
    rg_interest_free(&interest);
}

static void match_names_the_reactors_of_each_key(void **state)
{
    struct rg_interest *interest = rg_interest_new();
    struct asker *a = asker_new(interest);
    struct rg_subscription_key room = key_of(a, 1), all = key_of(a, 0);

    (void)state;
    assert_int_equal(rg_interest_add(interest, 0, &room), 0);
    assert_int_equal(rg_interest_add(interest, 63, &room), 0);
    assert_int_equal(rg_interest_add(interest, 7, &all), 0);
    assert_int_equal(rg_interest_count(interest), 2);
    ask(a, RG_STR("chat.posted"));
    assert_int_equal(a->n, 2);
    assert_int_equal(answer(a, room.key), 1 | (uint64_t)1 << 63);
    assert_int_equal(answer(a, all.key), 1 << 7);
    ask(a, RG_STR("chat"));
    assert_int_equal(a->n, 0);

    rg_interest_remove(interest, 0, &room);
    ask(a, RG_STR("chat.posted"));
    assert_int_equal(answer(a, room.key), (uint64_t)1 << 63);
    rg_interest_remove(interest, 63, &room);
    rg_interest_remove(interest, 7, &all);
    ask(a, RG_STR("chat.posted"));
    assert_int_equal(a->n, 0);
    assert_int_equal(rg_interest_count(interest), 0);
    asker_free(a);
    rg_interest_free(&interest);
}

static void a_type_has_the_union_of_the_field_sets_in_use(void **state)
{
    struct rg_interest *interest = rg_interest_new();
    struct asker *a = asker_new(interest);
    struct rg_subscription_key all = key_of(a, 0), room = key_of(a, 1), both = key_of(a, 5);
    uint64_t fields = 77;

    (void)state;
    assert_false(rg_interest_of_type(interest, RG_STR("chat.posted"), &fields));
    assert_int_equal(fields, 77);
    assert_int_equal(rg_interest_add(interest, 3, &all), 0);
    assert_true(rg_interest_of_type(interest, RG_STR("chat.posted"), &fields));
    assert_int_equal(fields, 0);
    assert_false(rg_interest_of_type(interest, RG_STR("chat"), &fields));

    assert_int_equal(rg_interest_add(interest, 3, &room), 0);
    assert_int_equal(rg_interest_add(interest, 4, &both), 0);
    assert_true(rg_interest_of_type(interest, RG_STR("chat.posted"), &fields));
    assert_int_equal(fields, 5);
    rg_interest_remove(interest, 4, &both);
    rg_interest_remove(interest, 3, &all);
    assert_true(rg_interest_of_type(interest, RG_STR("chat.posted"), &fields));
    assert_int_equal(fields, 1);
    rg_interest_remove(interest, 3, &room);
    assert_false(rg_interest_of_type(interest, RG_STR("chat.posted"), &fields));
    asker_free(a);
    rg_interest_free(&interest);
}

static void other_values_do_not_match(void **state)
{
    RG_CLEANUP(rg_subscription_set_free)
    struct rg_subscription_set *set =
        fixture_set(extractors, "[{\"eventType\":\"chat.posted\",\"oneOf\":[{\"room\":\"red\"},"
                                "{\"room\":\"blue\",\"author\":\"bob\"},{\"author\":\"ada\"}]}]");
    struct rg_interest *interest = rg_interest_new();
    struct asker *a = asker_new(interest);

    (void)state;
    for (size_t i = 0; i < set->keys_n; i++)
        assert_int_equal(rg_interest_add(interest, 1, &set->keys[i]), 0);
    ask(a, RG_STR("chat.posted"));
    assert_int_equal(a->n, 1);
    assert_int_equal(answer(a, key_of(a, 2).key), 2);
    asker_free(a);
    /* What is left in the table is freed with it. */
    rg_interest_free(&interest);
}

static void field_sets_of_a_type_are_bounded(void **state)
{
    struct rg_interest *interest = rg_interest_new();
    struct rg_subscription_key key = {.type = rg_match_key_of_type(RG_STR("t"))};

    (void)state;
    for (uint64_t i = 0; i < RG_MAX_FIELD_SETS; i++) {
        key.fields = i;
        key.key.h.w[0] = i;
        assert_int_equal(rg_interest_add(interest, 0, &key), 0);
    }
    struct rg_subscription_key more = key;
    more.fields = RG_MAX_FIELD_SETS;
    more.key.h.w[1] = 1;
    assert_int_equal(rg_interest_add(interest, 0, &more), RG_EFULL);
    assert_int_equal(rg_interest_count(interest), RG_MAX_FIELD_SETS);

    /* Another key of a known field set is welcome, and so is a new set once one has gone. */
    more.fields = 5;
    assert_int_equal(rg_interest_add(interest, 0, &more), 0);
    rg_interest_remove(interest, 0, &key);
    more.key.h.w[1] = 2;
    more.fields = RG_MAX_FIELD_SETS;
    assert_int_equal(rg_interest_add(interest, 0, &more), 0);
    rg_interest_free(&interest);
}

/*
 * Readers and writers at once. Reactor 0 holds {room} all the time; reactors 1 and 2 come
 * and go with all field sets of the event, and with types and keys of their own.
 */
#define READERS     2
#define WRITERS     2
#define READER_ASKS 6000
#define WRITER_ADDS 1500
#define FIELD_SETS  16

static struct rg_interest *shared;
static atomic_int wrong;

static void expect(bool is_right)
{
    if (!is_right)
        atomic_fetch_add(&wrong, 1);
}

static void *read_all_the_time(void *arg)
{
    struct rg_subscription_key keys[FIELD_SETS];
    struct asker *a;

    (void)arg;
    rg_rcu_thread_start();
    a = asker_new(shared);
    for (uint64_t i = 0; i < FIELD_SETS; i++)
        keys[i] = key_of(a, i);
    for (int i = 0; i < READER_ASKS; i++) {
        size_t known = 0;
        ask(a, RG_STR("chat.posted"));
        expect((answer(a, keys[1].key) & 1) != 0);
        for (size_t k = 0; k < FIELD_SETS; k++)
            known += answer(a, keys[k].key) != 0;
        expect(known == a->n); /* neither strangers nor doubles */
        for (size_t k = 0; k < a->n; k++)
            expect((a->matches[k].reactors & ~(uint64_t)7) == 0);
        ask(a, RG_STR("top.level"));
        expect(a->n <= 1);
    }
    asker_free(a);
    rg_rcu_thread_stop();
    return NULL;
}

static void *write_all_the_time(void *arg)
{
    unsigned reactor = *(unsigned *)arg;
    uint64_t bit = (uint64_t)1 << reactor;
    struct rg_match_key type = rg_match_key_of_type(RG_STR("top.level"));
    struct rg_subscription_key whole = {type, type, 0};
    struct asker *a;

    rg_rcu_thread_start();
    a = asker_new(shared);
    for (unsigned i = 0; i < WRITER_ADDS; i++) {
        struct rg_subscription_key key = key_of(a, (i * 7 + reactor) % FIELD_SETS);
        struct rg_subscription_key own = key;
        own.key.h.w[0] ^= (uint64_t)i << 8 | reactor;

        expect(rg_interest_add(shared, reactor, &key) == 0);
        expect(rg_interest_add(shared, reactor, &own) == 0);
        expect(rg_interest_add(shared, reactor, &whole) == 0);
        ask(a, RG_STR("chat.posted"));
        expect((answer(a, key.key) & bit) != 0);
        ask(a, RG_STR("top.level"));
        expect((answer(a, type) & bit) != 0);

        rg_interest_remove(shared, reactor, &whole);
        rg_interest_remove(shared, reactor, &own);
        rg_interest_remove(shared, reactor, &key);
        ask(a, RG_STR("chat.posted"));
        expect((answer(a, key.key) & bit) == 0);
        ask(a, RG_STR("top.level"));
        expect((answer(a, type) & bit) == 0);
    }
    asker_free(a);
    rg_rcu_thread_stop();
    return NULL;
}

static void readers_and_writers_do_not_disturb_each_other(void **state)
{
    pthread_t readers[READERS], writers[WRITERS];
    unsigned reactors[WRITERS];

    (void)state;
    shared = rg_interest_new();
    struct asker *a = asker_new(shared);
    struct rg_subscription_key room = key_of(a, 1);
    assert_int_equal(rg_interest_add(shared, 0, &room), 0);
    for (unsigned i = 0; i < WRITERS; i++) {
        reactors[i] = i + 1;
        assert_int_equal(pthread_create(&writers[i], NULL, write_all_the_time, &reactors[i]), 0);
    }
    for (unsigned i = 0; i < READERS; i++)
        assert_int_equal(pthread_create(&readers[i], NULL, read_all_the_time, NULL), 0);
    for (unsigned i = 0; i < READERS; i++)
        pthread_join(readers[i], NULL);
    for (unsigned i = 0; i < WRITERS; i++)
        pthread_join(writers[i], NULL);

    assert_int_equal(atomic_load(&wrong), 0);
    assert_int_equal(rg_interest_count(shared), 1);
    ask(a, RG_STR("chat.posted"));
    assert_int_equal(a->n, 1);
    assert_int_equal(answer(a, room.key), 1);
    asker_free(a);
    rg_interest_free(&shared);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(event_nobody_wants_matches_nothing),
        cmocka_unit_test(match_names_the_reactors_of_each_key),
        cmocka_unit_test(a_type_has_the_union_of_the_field_sets_in_use),
        cmocka_unit_test(other_values_do_not_match),
        cmocka_unit_test(field_sets_of_a_type_are_bounded),
        cmocka_unit_test(readers_and_writers_do_not_disturb_each_other),
    };

    rg_rcu_thread_start();
    rg_match_key_init();
    extractors = fixture_extractors();
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    rg_extractors_free(&extractors);
    rg_rcu_thread_stop();
    return failed;
}
