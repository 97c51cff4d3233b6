#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <malloc.h>
#include <stdio.h>

#include "base/alloc.h"
#include "base/rcu.h"
#include "event/index.h"

/* Keys without JSON: number i of them, of one type that has that many field sets or few. */
static struct rg_subscription_key key_number(uint32_t i, uint64_t fields)
{
    char name[32];
    int n = snprintf(name, sizeof(name), "key %u", i);

    return (struct rg_subscription_key){.key = rg_match_key_of_type(rg_str_n(name, (size_t)n)),
                                        .type = rg_match_key_of_type(RG_STR("a type")),
                                        .fields = fields};
}

static struct rg_subscription_set set_of(struct rg_subscription_key *keys, size_t n)
{
    return (struct rg_subscription_set){.keys = keys, .keys_n = n};
}

struct world {
    struct rg_interest *interest;
    struct rg_index *index;
};

static struct world world_new(void)
{
    struct world w = {.interest = rg_interest_new()};
    w.index = rg_index_new(w.interest, 3);
    return w;
}

static void world_done(struct world *w)
{
    assert_int_equal(rg_index_keys(w->index), 0);
    assert_int_equal(rg_index_memberships(w->index), 0);
    assert_int_equal(rg_interest_count(w->interest), 0);
    rg_index_free(&w->index);
    rg_interest_free(&w->interest);
    assert_null(w->index);
    assert_null(w->interest);
}

/* How often the subscriber stands under a key; positions must agree both ways. */
static size_t count_slots(const struct world *w, struct rg_match_key key,
                          const struct rg_subscriber *subscriber)
{
    const struct rg_index_slot *slots;
    size_t n, count = 0;

    slots = rg_index_find(w->index, key, &n);
    assert_true((slots == NULL) == (n == 0));
    for (size_t i = 0; i < n; i++) {
        assert_true(slots[i].membership < slots[i].subscriber->memberships_n);
        assert_int_equal(slots[i].subscriber->memberships[slots[i].membership].at, i);
        count += slots[i].subscriber == subscriber;
    }
    return count;
}

static void unknown_key_has_no_subscribers(void **state)
{
    struct world w = world_new();
    size_t n = 7;

    (void)state;
    assert_null(rg_index_find(w.index, key_number(1, 1).key, &n));
    assert_int_equal(n, 0);
    world_done(&w);
}

static void subscriber_is_found_under_each_of_its_keys(void **state)
{
    struct rg_subscription_key keys[] = {key_number(1, 1), key_number(2, 1)};
    struct rg_subscription_set set = set_of(keys, 2);
    struct rg_subscriber a = {0}, b = {0};
    struct world w = world_new();

    (void)state;
    assert_int_equal(rg_index_set(w.index, &a, &set), 0);
    set.keys_n = 1;
    assert_int_equal(rg_index_set(w.index, &b, &set), 0);
    assert_int_equal(count_slots(&w, keys[0].key, &a), 1);
    assert_int_equal(count_slots(&w, keys[1].key, &a), 1);
    assert_int_equal(count_slots(&w, keys[0].key, &b), 1);
    assert_int_equal(count_slots(&w, keys[1].key, &b), 0);
    assert_int_equal(rg_index_keys(w.index), 2);
    assert_int_equal(rg_index_memberships(w.index), 3);
    assert_int_equal(rg_interest_count(w.interest), 2);

    rg_index_leave(w.index, &a);
    assert_int_equal(count_slots(&w, keys[0].key, &a), 0);
    assert_int_equal(count_slots(&w, keys[0].key, &b), 1);
    assert_int_equal(rg_index_keys(w.index), 1);
    assert_int_equal(rg_interest_count(w.interest), 1);
    rg_index_leave(w.index, &a);
    rg_index_leave(w.index, &b);
    world_done(&w);
}

static void set_replaces_and_keeps_common_keys_once(void **state)
{
    struct rg_subscription_key keys[] = {key_number(1, 1), key_number(2, 1), key_number(3, 1)};
    struct rg_subscription_set before = set_of(keys, 2), after = set_of(keys + 1, 2);
    struct rg_subscriber a = {0};
    struct world w = world_new();

    (void)state;
    assert_int_equal(rg_index_set(w.index, &a, &before), 0);
    assert_int_equal(rg_index_set(w.index, &a, &after), 0);
    assert_int_equal(count_slots(&w, keys[0].key, &a), 0);
    assert_int_equal(count_slots(&w, keys[1].key, &a), 1);
    assert_int_equal(count_slots(&w, keys[2].key, &a), 1);
    assert_int_equal(rg_index_memberships(w.index), 2);

    after.keys_n = 0;
    assert_int_equal(rg_index_set(w.index, &a, &after), 0);
    assert_null(a.memberships);
    world_done(&w);
}

static void too_many_field_sets_leave_the_old_keys_in_force(void **state)
{
    struct rg_subscription_key *keys = rg_alloc((RG_MAX_FIELD_SETS + 1) * sizeof(*keys));
    struct rg_subscription_set set = set_of(keys, RG_MAX_FIELD_SETS - 1);
    struct rg_subscriber a = {0}, b = {0};
    struct world w = world_new();

    (void)state;
    for (uint32_t i = 0; i <= RG_MAX_FIELD_SETS; i++)
        keys[i] = key_number(i, i);
    assert_int_equal(rg_index_set(w.index, &a, &set), 0);

    /* One more field set fits, the next one does not. */
    set = set_of(&keys[RG_MAX_FIELD_SETS - 1], 2);
    struct rg_subscription_set old = set_of(&keys[0], 1);
    assert_int_equal(rg_index_set(w.index, &b, &old), 0);
    assert_int_equal(rg_index_set(w.index, &b, &set), RG_EFULL);
    assert_int_equal(b.memberships_n, 1);
    assert_int_equal(count_slots(&w, keys[0].key, &b), 1);
    assert_int_equal(count_slots(&w, keys[RG_MAX_FIELD_SETS - 1].key, &b), 0);
    assert_int_equal(rg_interest_count(w.interest), RG_MAX_FIELD_SETS - 1);

    set.keys_n = 1;
    assert_int_equal(rg_index_set(w.index, &b, &set), 0);
    assert_int_equal(count_slots(&w, keys[0].key, &b), 0);
    rg_index_leave(w.index, &b);
    rg_index_leave(w.index, &a);
    rg_free(keys);
    world_done(&w);
}

/* Random joins, replacements and leaves, next to a table that anybody can check by eye. */
#define MODEL_KEYS        48
#define MODEL_SUBSCRIBERS 40
#define MODEL_STEPS       20000

struct model {
    struct world w;
    struct rg_subscription_key keys[MODEL_KEYS];
    struct rg_subscriber subscribers[MODEL_SUBSCRIBERS];
    bool holds[MODEL_SUBSCRIBERS][MODEL_KEYS];
    uint64_t seed;
};

/* Knuth's 64-bit linear congruential generator: the same numbers everywhere. */
static uint32_t model_random(struct model *m, uint32_t bound)
{
    m->seed = m->seed * 6364136223846793005ULL + 1442695040888963407ULL;
    return (uint32_t)(m->seed >> 33) % bound;
}

static void model_set(struct model *m, uint32_t who)
{
    struct rg_subscription_key chosen[MODEL_KEYS];
    uint32_t one_in = 1 + model_random(m, 24);
    size_t n = 0;

    for (uint32_t k = 0; k < MODEL_KEYS; k++) {
        m->holds[who][k] = model_random(m, one_in) == 0;
        if (m->holds[who][k])
            chosen[n++] = m->keys[k];
    }
    struct rg_subscription_set set = set_of(chosen, n);
    assert_int_equal(rg_index_set(m->w.index, &m->subscribers[who], &set), 0);
}

static void model_leave(struct model *m, uint32_t who)
{
    memset(m->holds[who], 0, sizeof(m->holds[who]));
    rg_index_leave(m->w.index, &m->subscribers[who]);
}

static void model_check(struct model *m)
{
    size_t keys = 0, memberships = 0;

    for (uint32_t k = 0; k < MODEL_KEYS; k++) {
        size_t want = 0, got;
        for (uint32_t s = 0; s < MODEL_SUBSCRIBERS; s++)
            want += m->holds[s][k];
        rg_index_find(m->w.index, m->keys[k].key, &got);
        assert_int_equal(got, want);
        keys += want > 0;
        memberships += want;
    }
    assert_int_equal(rg_index_keys(m->w.index), keys);
    assert_int_equal(rg_index_memberships(m->w.index), memberships);
    assert_int_equal(rg_interest_count(m->w.interest), keys);

    uint32_t k = model_random(m, MODEL_KEYS);
    for (uint32_t s = 0; s < MODEL_SUBSCRIBERS; s++)
        assert_int_equal(count_slots(&m->w, m->keys[k].key, &m->subscribers[s]), m->holds[s][k]);
}

static void index_agrees_with_a_naive_table(void **state)
{
    struct model *m = rg_zalloc(sizeof(*m));

    (void)state;
    m->w = world_new();
    m->seed = 20240506;
    for (uint32_t k = 0; k < MODEL_KEYS; k++)
        m->keys[k] = key_number(k, k % 3);
    for (int step = 0; step < MODEL_STEPS; step++) {
        uint32_t who = model_random(m, MODEL_SUBSCRIBERS);
        /* Now and then nearly everybody goes, so that everything also shrinks. */
        if (step % 1000 > 900 || model_random(m, 3) == 0)
            model_leave(m, who);
        else
            model_set(m, who);
        if (step % 16 == 0)
            model_check(m);
    }
    for (uint32_t s = 0; s < MODEL_SUBSCRIBERS; s++)
        model_leave(m, s);
    world_done(&m->w);
    rg_free(m);
}

#define CROWD 19000

static void join_crowd(struct world *w, struct rg_subscriber *crowd)
{
    for (uint32_t i = 0; i < CROWD; i++) {
        struct rg_subscription_key keys[] = {key_number(i, 1), key_number(CROWD, 2)};
        struct rg_subscription_set set = set_of(keys, 2);
        assert_int_equal(rg_index_set(w->index, &crowd[i], &set), 0);
    }
}

/* Bytes in use; always 0 where a sanitizer allocates. */
static size_t bytes_in_use(void)
{
    struct mallinfo2 info = mallinfo2();
    return info.uordblks + info.hblkhd;
}

/* A key of one's own and one that all share: at most 400 bytes a client, interest included. */
static void crowd_of_idle_clients_stays_small_and_leaves_nothing(void **state)
{
    struct rg_subscriber *crowd = rg_zalloc(CROWD * sizeof(*crowd));
    size_t before = bytes_in_use();
    struct world w = world_new();
    size_t n;

    (void)state;
    join_crowd(&w, crowd);
    size_t each = (bytes_in_use() - before) / CROWD;
    print_message("%zu bytes a client\n", each);
    assert_true(each <= 400);
    assert_int_equal(rg_index_keys(w.index), CROWD + 1);
    assert_int_equal(rg_interest_count(w.interest), CROWD + 1);
    rg_index_find(w.index, key_number(CROWD, 2).key, &n);
    assert_int_equal(n, CROWD);

    for (uint32_t i = 0; i < CROWD; i++)
        rg_index_leave(w.index, &crowd[(i * 7919) % CROWD]);
    world_done(&w);
    rg_free(crowd);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(unknown_key_has_no_subscribers),
        cmocka_unit_test(subscriber_is_found_under_each_of_its_keys),
        cmocka_unit_test(set_replaces_and_keeps_common_keys_once),
        cmocka_unit_test(too_many_field_sets_leave_the_old_keys_in_force),
        cmocka_unit_test(index_agrees_with_a_naive_table),
        cmocka_unit_test(crowd_of_idle_clients_stays_small_and_leaves_nothing),
    };

    rg_rcu_thread_start();
    rg_match_key_init();
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    rg_rcu_thread_stop();
    return failed;
}
