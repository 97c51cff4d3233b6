/*
 * The roster against a model that is too simple to be wrong: of each topic it knows who is there
 * and what has been told, and when. Chance, from a fixed seed, lets entrants come and go, watchers
 * come and go, time pass and flushes be late. After each step every watcher, who has nothing but
 * its presence_state and the diffs from its version on, must know exactly what the model has told.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "presence/roster.h"

#include "view.h"

#define TOPICS    5
#define MOST      40 /* entrants at a time */
#define TOPICS_OF 4  /* of an entrant, at most */
#define WATCHERS  6
#define STEPS     8000
#define FIRST_MS  1000000

static const char *const topic_names[TOPICS] = {"user:ada", "role:a\"b", "role:", "t", "user:bob"};
static const char *const user_names[] = {"ada", "bob", "c\\d", "\xc3\xa4\"", "x\ny", "z"};

struct entrant {
    struct rg_presences *presences; /* NULL: not there */
    size_t topics_n;
    size_t topics[TOPICS_OF];
    char refs[TOPICS_OF][RG_PHX_REF_LEN + 1];
    const char *user;
    int64_t number;
};

struct watcher {
    size_t topic;    /* TOPICS: watches nothing */
    bool has_joined; /* the index knows it earlier than the roster */
    uint64_t from;   /* version */
    uint64_t last;   /* version of the last diff */
    struct view view;
};

/* What the model knows of a topic. */
struct model {
    struct view here, told;
    uint64_t next_ms; /* the next announcement may be then */
};

struct world {
    struct rg_roster *roster;
    uint64_t interval_ms, now_ms;
    uint64_t random;
    struct entrant entrants[MOST];
    struct watcher watchers[WATCHERS];
    struct model models[TOPICS];
    int64_t numbers;
    uint64_t wake_ms;    /* when the roster wants to be flushed */
    size_t diffs;        /* that the roster announced */
    size_t wanted_diffs; /* the model */
    size_t news;         /* changes in all diffs */
};

static struct world world;

static unsigned pick(unsigned n)
{
    world.random ^= world.random << 13;
    world.random ^= world.random >> 7;
    world.random ^= world.random << 17;
    return (unsigned)((world.random >> 11) % n);
}

/* ---- what the roster calls ---- */

static size_t topic_of(struct rg_str name)
{
    size_t i = 0;

    while (!rg_str_eq(name, rg_str_c(topic_names[i])))
        assert_true(++i < TOPICS);
    return i;
}

static bool watches(size_t topic)
{
    for (size_t i = 0; i < WATCHERS; i++) {
        if (world.watchers[i].topic == topic)
            return true;
    }
    return false;
}

static bool is_watched(void *arg, struct rg_str topic)
{
    (void)arg;
    return watches(topic_of(topic));
}

static void announce(void *arg, const struct rg_roster_diff *diff)
{
    size_t topic = topic_of(diff->topic);

    (void)arg;
    world.diffs++;
    for (size_t i = 0; i < WATCHERS; i++) {
        struct watcher *watcher = &world.watchers[i];
        if (watcher->topic != topic || !watcher->has_joined)
            continue;
        /* What is announced after it has joined concerns it, all of it. */
        assert_true(diff->version >= watcher->from);
        assert_true(diff->version > watcher->last);
        watcher->last = diff->version;
        world.news += view_apply(&watcher->view, diff->json);
    }
}

static void wait(void *arg, uint64_t due_ms)
{
    (void)arg;
    assert_true(due_ms < world.wake_ms);
    assert_true(due_ms > world.now_ms);
    world.wake_ms = due_ms;
}

/* ---- the model ---- */

static bool same(const struct view *a, const struct view *b)
{
    if (a->n != b->n)
        return false;
    for (size_t i = 0; i < a->n; i++) {
        size_t k = view_find(b, a->metas[i].ref);
        if (k == b->n || strcmp(a->metas[i].user, b->metas[k].user) != 0 ||
            a->metas[i].number != b->metas[k].number)
            return false;
    }
    return true;
}

static bool has_news(const struct model *model)
{
    return !same(&model->here, &model->told);
}

static void model_announce(struct model *model)
{
    model->told = model->here;
    model->next_ms = world.now_ms + world.interval_ms;
    world.wanted_diffs++;
}

static void model_change(size_t topic)
{
    struct model *model = &world.models[topic];

    if (!watches(topic))
        model->told = model->here;
    else if (has_news(model) && model->next_ms <= world.now_ms)
        model_announce(model);
}

static void model_join(const struct entrant *entrant, size_t i)
{
    struct view_meta meta = {.number = entrant->number};

    strcpy(meta.ref, entrant->refs[i]);
    strcpy(meta.user, entrant->user);
    view_join(&world.models[entrant->topics[i]].here, &meta);
    model_change(entrant->topics[i]);
}

static void model_leave(const struct entrant *entrant, size_t i)
{
    struct view *here = &world.models[entrant->topics[i]].here;

    here->metas[view_find(here, entrant->refs[i])] = here->metas[here->n - 1];
    here->n--;
    model_change(entrant->topics[i]);
}

static void model_watch(size_t topic)
{
    struct model *model = &world.models[topic];

    if (has_news(model))
        model_announce(model);
}

static void model_flush(void)
{
    for (size_t topic = 0; topic < TOPICS; topic++) {
        struct model *model = &world.models[topic];
        if (!has_news(model) || model->next_ms > world.now_ms)
            continue;
        if (watches(topic))
            model_announce(model);
        else
            model->told = model->here;
    }
}

/* ---- steps ---- */

/* A watcher that only the index knows so far may be in it: then it joins now. */
static void step_join(void)
{
    struct entrant *entrant = &world.entrants[pick(MOST)];
    struct watcher *watcher = &world.watchers[pick(WATCHERS)];
    RG_CLEANUP(rg_buf_done) struct rg_buf state = {0};
    struct rg_str topics[TOPICS_OF], watched = {NULL, 0};
    uint64_t version = 0;
    char meta[32];

    if (entrant->presences != NULL)
        return;
    entrant->user = user_names[pick(RG_COUNT_OF(user_names))];
    entrant->number = world.numbers++;
    entrant->topics_n = pick(TOPICS_OF + 1);
    for (size_t i = 0; i < entrant->topics_n; i++) {
        entrant->topics[i] = pick(TOPICS); /* now and then one twice */
        topics[i] = rg_str_c(topic_names[entrant->topics[i]]);
    }
    if (watcher->topic < TOPICS && !watcher->has_joined)
        watched = rg_str_c(topic_names[watcher->topic]);
    if (watched.n > 0) {
        /* Its own presences are announced while it joins, so it must know the state before. */
        const struct rg_roster_entrant nobody = {.user = RG_STR("s")};
        model_watch(watcher->topic);
        assert_null(
            rg_roster_join(world.roster, &nobody, watched, world.now_ms, &state, &watcher->from));
        view_set(&watcher->view, rg_buf_str(&state));
        watcher->has_joined = true;
        watcher->last = 0;
        rg_buf_clear(&state);
    }
    const struct rg_roster_entrant comes = {
        rg_str_c(entrant->user),
        rg_str_n(meta, (size_t)snprintf(meta, sizeof(meta), "{\"n\":%d}", (int)entrant->number)),
        topics, entrant->topics_n};
    entrant->presences =
        rg_roster_join(world.roster, &comes, watched, world.now_ms, &state, &version);
    assert_int_equal(entrant->presences != NULL, entrant->topics_n > 0);
    if (watched.n > 0) {
        struct view view;
        view_set(&view, rg_buf_str(&state));
        assert_true(same(&view, &world.models[watcher->topic].here));
        assert_int_equal(version, watcher->from);
    }
    for (size_t i = 0; i < entrant->topics_n; i++) {
        rg_presences_ref(entrant->presences, i, entrant->refs[i]);
        model_join(entrant, i);
    }
}

static void leave(struct entrant *entrant)
{
    if (entrant->presences == NULL)
        return;
    rg_roster_leave(world.roster, &entrant->presences, world.now_ms);
    for (size_t i = 0; i < entrant->topics_n; i++)
        model_leave(entrant, i);
}

static void step_watch(void)
{
    struct watcher *watcher = &world.watchers[pick(WATCHERS)];

    if (watcher->topic < TOPICS)
        watcher->topic = TOPICS;
    else if (pick(3) > 0)
        watcher->topic = pick(TOPICS);
    watcher->has_joined = false;
}

static void step_flush(void)
{
    model_flush();
    world.wake_ms = rg_roster_flush(world.roster, world.now_ms);
    assert_true(world.wake_ms > world.now_ms);
}

static void step_time(void)
{
    world.now_ms += pick(20);
    /* The flush comes in time, late, or is overtaken by changes. */
    if (world.now_ms >= world.wake_ms && pick(3) > 0)
        step_flush();
}

static void step(void)
{
    unsigned what = pick(100);

    if (what < 35)
        step_join();
    else if (what < 65)
        leave(&world.entrants[pick(MOST)]);
    else if (what < 75)
        step_watch();
    else if (what < 97)
        step_time();
    else
        step_flush();
}

static void check_topic(size_t topic)
{
    const struct model *model = &world.models[topic];
    const struct rg_str name = rg_str_c(topic_names[topic]);
    size_t users = 0;

    assert_int_equal(rg_roster_count(world.roster, name), model->here.n);
    for (size_t u = 0; u < RG_COUNT_OF(user_names); u++) {
        size_t n = 0;
        for (size_t i = 0; i < model->here.n; i++)
            n += strcmp(model->here.metas[i].user, user_names[u]) == 0;
        assert_int_equal(rg_roster_count_user(world.roster, name, rg_str_c(user_names[u])), n);
        users += n > 0;
    }
    assert_int_equal(rg_roster_count_users(world.roster, name), users);
    /* What waits has been asked for. */
    if (has_news(model) && watches(topic))
        assert_true(world.wake_ms <= model->next_ms);
}

static void check(void)
{
    assert_int_equal(world.diffs, world.wanted_diffs);
    for (size_t topic = 0; topic < TOPICS; topic++)
        check_topic(topic);
    for (size_t i = 0; i < WATCHERS; i++) {
        const struct watcher *watcher = &world.watchers[i];
        if (watcher->topic < TOPICS && watcher->has_joined)
            assert_true(same(&watcher->view, &world.models[watcher->topic].told));
    }
}

static void run(uint64_t seed, uint64_t interval_ms)
{
    memset(&world, 0, sizeof(world));
    world.random = seed;
    world.interval_ms = interval_ms;
    world.now_ms = FIRST_MS;
    world.wake_ms = UINT64_MAX;
    for (size_t i = 0; i < WATCHERS; i++)
        world.watchers[i].topic = TOPICS;
    world.roster =
        rg_roster_new(&(struct rg_roster_settings){interval_ms, is_watched, announce, wait, NULL});
    for (unsigned i = 0; i < STEPS; i++) {
        step();
        check();
    }
    for (size_t i = 0; i < MOST; i++)
        leave(&world.entrants[i]);
    check();
    assert_true(world.diffs > STEPS / 50);
    assert_true(world.news > STEPS / 50);
    rg_roster_free(&world.roster);
}

static void a_watcher_knows_what_has_been_told_and_nothing_else(void **state)
{
    (void)state;
    run(0x9e3779b97f4a7c15, 50);
}

static void a_watcher_knows_everything_at_once_where_there_is_no_interval(void **state)
{
    (void)state;
    run(0xbf58476d1ce4e5b9, 0);
}

static void a_watcher_knows_the_same_where_intervals_are_as_short_as_steps(void **state)
{
    (void)state;
    run(0x94d049bb133111eb, 5);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_watcher_knows_what_has_been_told_and_nothing_else),
        cmocka_unit_test(a_watcher_knows_everything_at_once_where_there_is_no_interval),
        cmocka_unit_test(a_watcher_knows_the_same_where_intervals_are_as_short_as_steps),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
