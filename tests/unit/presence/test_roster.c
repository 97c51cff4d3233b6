#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include <pthread.h>
#include <stdatomic.h>

#include "base/alloc.h"
#include "presence/roster.h"

#include "view.h"

#define INTERVAL 50
#define THREADS  4
#define USERS    1000

/* What the roster has called back. */
struct told {
    struct rg_roster *roster;
    struct rg_str watched; /* the one topic that is; n == 0: none, p == NULL: all */
    size_t looks;          /* is_watched */
    size_t diffs, waits;
    uint64_t version;
    char last[32];        /* its topic */
    uint64_t due_ms;      /* of the last wait */
    struct rg_buf topics; /* of the diffs, each with a blank behind */
    struct rg_buf json;   /* of the last */
    struct view view;     /* of all diffs */
    bool is_viewing;
};

static bool is_watched(void *arg, struct rg_str topic)
{
    struct told *told = arg;

    told->looks++;
    return told->watched.p == NULL || rg_str_eq(topic, told->watched);
}

static void announce(void *arg, const struct rg_roster_diff *diff)
{
    struct told *told = arg;

    /* Of one topic; this one is not the next of those of all. */
    if (told->diffs++ > 0 && rg_str_eq(diff->topic, rg_str_c(told->last)))
        assert_true(diff->version > told->version);
    snprintf(told->last, sizeof(told->last), "%.*s", RG_STR_ARG(diff->topic));
    told->version = diff->version;
    rg_buf_add_str(&told->topics, diff->topic);
    rg_buf_add_char(&told->topics, ' ');
    rg_buf_clear(&told->json);
    rg_buf_add_str(&told->json, diff->json);
    *rg_buf_reserve(&told->json, 1) = '\0';
    if (told->is_viewing)
        view_apply(&told->view, diff->json);
}

static void wait(void *arg, uint64_t due_ms)
{
    struct told *told = arg;

    told->waits++;
    told->due_ms = due_ms;
}

static void told_init(struct told *told, uint64_t interval_ms, struct rg_str watched)
{
    *told = (struct told){.watched = watched};
    told->roster =
        rg_roster_new(&(struct rg_roster_settings){interval_ms, is_watched, announce, wait, told});
}

static void told_done(struct told *told)
{
    rg_roster_free(&told->roster);
    rg_buf_done(&told->topics);
    rg_buf_done(&told->json);
}

#define TOLD(name, interval, watched)                                                              \
    RG_CLEANUP(told_done) struct told name;                                                        \
    told_init(&name, interval, watched)

#define ALL  ((struct rg_str){NULL, 0})
#define NONE RG_STR("")

/* user joins one topic with {"n":number}. */
static struct rg_presences *join(struct told *told, const char *user, const char *topic, int number,
                                 uint64_t now_ms)
{
    struct rg_str name = rg_str_c(topic);
    char meta[32];
    struct rg_roster_entrant entrant = {.user = rg_str_c(user), .topics = &name, .topics_n = 1};

    entrant.meta = rg_str_n(meta, (size_t)snprintf(meta, sizeof(meta), "{\"n\":%d}", number));
    return rg_roster_join(told->roster, &entrant, NONE, now_ms, NULL, NULL);
}

static void leave(struct told *told, struct rg_presences *presences, uint64_t now_ms)
{
    rg_roster_leave(told->roster, &presences, now_ms);
    assert_null(presences);
}

/* A channel that only watches; returns its version. */
static uint64_t watch(struct told *told, const char *topic, uint64_t now_ms, struct rg_buf *state)
{
    struct rg_roster_entrant nobody = {.user = RG_STR("support")};
    uint64_t version = 0;

    if (state != NULL)
        rg_buf_clear(state);
    assert_null(rg_roster_join(told->roster, &nobody, rg_str_c(topic), now_ms, state, &version));
    return version;
}

static void assert_text(const struct rg_buf *buf, const char *wanted)
{
    assert_int_equal(buf->n, strlen(wanted));
    assert_memory_equal(buf->p, wanted, buf->n);
}

/* ---- what is told ---- */

static void a_first_join_is_announced_at_once_with_its_meta_and_reference(void **state)
{
    TOLD(told, INTERVAL, ALL);
    struct rg_presences *ada = join(&told, "ada", "user:ada", 7, 1000);
    char ref[RG_PHX_REF_LEN + 1], wanted[200];

    (void)state;
    rg_presences_ref(ada, 0, ref);
    snprintf(wanted, sizeof(wanted),
             "{\"joins\":{\"ada\":{\"metas\":[{\"n\":7,\"phx_ref\":\"%s\"}]}},\"leaves\":{}}", ref);
    assert_text(&told.json, wanted);
    assert_text(&told.topics, "user:ada ");
    assert_int_equal(told.version, 1);
    assert_int_equal(told.waits, 0);

    leave(&told, ada, 1000 + INTERVAL);
    snprintf(wanted, sizeof(wanted),
             "{\"joins\":{},\"leaves\":{\"ada\":{\"metas\":[{\"n\":7,\"phx_ref\":\"%s\"}]}}}", ref);
    assert_text(&told.json, wanted);
    assert_int_equal(told.version, 2);
}

static void an_empty_meta_has_the_reference_alone(void **state)
{
    static const char *const metas[] = {"{}", "{ \n\t}", "{ \"a\" : 1 }"};
    static const char *const wanted[] = {
        "{\"phx_ref\":", "{\"phx_ref\":", "{\"a\" : 1,\"phx_ref\":"};
    struct rg_str topic = RG_STR("t");

    (void)state;
    for (size_t i = 0; i < RG_COUNT_OF(metas); i++) {
        TOLD(told, INTERVAL, NONE);
        RG_CLEANUP(rg_buf_done) struct rg_buf out = {0};
        struct rg_roster_entrant entrant = {RG_STR("u"), rg_str_c(metas[i]), &topic, 1};
        struct rg_presences *u = rg_roster_join(told.roster, &entrant, NONE, 0, NULL, NULL);

        rg_roster_add_metas(told.roster, topic, &out);
        assert_memory_equal(out.p + 1, wanted[i], strlen(wanted[i]));
        leave(&told, u, 0);
    }
}

static void user_names_are_escaped(void **state)
{
    static const char name[] = "a\"b\\c\n\xc3\xa4\x01\xff\xe2\x80\xa8";
    struct rg_str topic = RG_STR("user:x");
    struct rg_roster_entrant entrant = {{name, sizeof(name) - 1}, RG_STR("{}"), &topic, 1};
    TOLD(told, INTERVAL, ALL);
    RG_CLEANUP(rg_buf_done) struct rg_buf out = {0};
    static const char begin[] =
        "{\"joins\":{\"a\\\"b\\\\c\\n\xc3\xa4\\u0001\xef\xbf\xbd\xe2\x80\xa8\":{\"metas\":[";

    (void)state;
    struct rg_presences *x = rg_roster_join(told.roster, &entrant, NONE, 0, NULL, NULL);
    assert_true(told.json.n > sizeof(begin));
    assert_memory_equal(told.json.p, begin, sizeof(begin) - 1);
    view_apply(&told.view, rg_buf_str(&told.json));
    watch(&told, "user:x", 0, &out);
    view_set(&told.view, rg_buf_str(&out));
    assert_int_equal(told.view.n, 1);
    leave(&told, x, 0);
}

static void references_are_twelve_characters_and_all_different(void **state)
{
    struct rg_str topics[] = {RG_STR("a"), RG_STR("b"), RG_STR("c"), RG_STR("a")};
    struct rg_roster_entrant entrant = {RG_STR("u"), RG_STR("{}"), topics, RG_COUNT_OF(topics)};
    TOLD(told, INTERVAL, NONE);
    char refs[RG_COUNT_OF(topics)][RG_PHX_REF_LEN + 1];

    (void)state;
    struct rg_presences *u = rg_roster_join(told.roster, &entrant, NONE, 0, NULL, NULL);
    for (size_t i = 0; i < RG_COUNT_OF(topics); i++) {
        rg_presences_ref(u, i, refs[i]);
        assert_int_equal(strlen(refs[i]), 12);
        assert_int_equal(refs[i][11], '=');
        for (size_t k = 0; k < i; k++)
            assert_string_not_equal(refs[i], refs[k]);
    }
    leave(&told, u, 0);
}

static void changes_within_the_interval_are_announced_together_at_its_end(void **state)
{
    TOLD(told, INTERVAL, ALL);
    struct rg_presences *all[4];

    (void)state;
    told.is_viewing = true;
    all[0] = join(&told, "ada", "t", 0, 1000);
    assert_int_equal(told.diffs, 1);
    all[1] = join(&told, "bob", "t", 1, 1010);
    assert_int_equal(told.waits, 1);
    assert_int_equal(told.due_ms, 1000 + INTERVAL);
    all[2] = join(&told, "ada", "t", 2, 1020);
    all[3] = join(&told, "bob", "t", 3, 1030);
    leave(&told, all[0], 1040);
    assert_int_equal(told.diffs, 1);
    assert_int_equal(told.waits, 1);

    assert_int_equal(rg_roster_flush(told.roster, 1000 + INTERVAL - 1), 1000 + INTERVAL);
    assert_int_equal(told.diffs, 1);
    assert_int_equal(rg_roster_flush(told.roster, 1000 + INTERVAL), UINT64_MAX);
    assert_int_equal(told.diffs, 2);
    assert_int_equal(told.version, 5);
    assert_int_equal(told.view.n, 3);
    for (unsigned i = 1; i < 4; i++)
        leave(&told, all[i], 2000);
}

static void very_many_changes_are_announced_before_the_interval_is_over(void **state)
{
    TOLD(told, INTERVAL, ALL);
    struct rg_presences *all[1600];
    char user[16];

    (void)state;
    for (unsigned i = 0; i < RG_COUNT_OF(all); i++) {
        snprintf(user, sizeof(user), "u%u", i);
        all[i] = join(&told, user, "t", (int)i, 1000);
    }
    /* The first alone, then three times as many as a diff takes; the rest waits. */
    assert_int_equal(told.diffs, 4);
    assert_int_equal(told.version, 1501);
    assert_int_equal(rg_roster_flush(told.roster, 1000 + INTERVAL), UINT64_MAX);
    assert_int_equal(told.diffs, 5);
    assert_int_equal(told.version, 1600);
    for (unsigned i = 0; i < RG_COUNT_OF(all); i++)
        leave(&told, all[i], 3000);
}

static void what_comes_and_goes_within_the_interval_is_not_announced(void **state)
{
    TOLD(told, INTERVAL, ALL);
    struct rg_presences *ada = join(&told, "ada", "t", 0, 1000);

    (void)state;
    for (unsigned i = 0; i < 20; i++) {
        struct rg_presences *bob = join(&told, "bob", "t", 1, 1001 + i);
        leave(&told, bob, 1001 + i);
    }
    assert_int_equal(rg_roster_flush(told.roster, 1000 + INTERVAL), UINT64_MAX);
    assert_int_equal(told.diffs, 1);
    /* Nothing has been announced since, so that the next change needs not wait. */
    struct rg_presences *bob = join(&told, "bob", "t", 1, 1000 + INTERVAL);
    assert_int_equal(told.diffs, 2);
    leave(&told, bob, 3000);
    leave(&told, ada, 4000);
}

static void one_who_leaves_and_comes_back_is_another_presence(void **state)
{
    TOLD(told, INTERVAL, ALL);
    struct rg_presences *ada = join(&told, "ada", "t", 0, 1000);

    (void)state;
    leave(&told, ada, 1001);
    ada = join(&told, "ada", "t", 1, 1002);
    assert_int_equal(told.diffs, 1);
    rg_roster_flush(told.roster, 2000);
    assert_int_equal(told.diffs, 2);
    assert_non_null(strstr(told.json.p, "{\"joins\":{\"ada\":{\"metas\":[{\"n\":1,"));
    assert_non_null(strstr(told.json.p, "\"leaves\":{\"ada\":{\"metas\":[{\"n\":0,"));
    leave(&told, ada, 3000);
}

static void a_change_when_the_flush_is_late_is_announced_with_what_has_waited(void **state)
{
    TOLD(told, INTERVAL, ALL);
    struct rg_presences *a = join(&told, "a", "t", 0, 1000), *b = join(&told, "b", "t", 1, 1001),
                        *c = join(&told, "c", "t", 2, 1000 + INTERVAL);

    (void)state;
    assert_int_equal(told.diffs, 2);
    assert_int_equal(told.version, 3);
    /* From here the next interval counts. */
    struct rg_presences *d = join(&told, "d", "t", 3, 1000 + 2 * INTERVAL - 1);
    assert_int_equal(told.diffs, 2);
    assert_int_equal(rg_roster_flush(told.roster, 1000 + 2 * INTERVAL), UINT64_MAX);
    assert_int_equal(told.diffs, 3);
    leave(&told, a, 2000);
    leave(&told, b, 2000);
    leave(&told, c, 2000);
    leave(&told, d, 2000);
}

static void a_topic_without_anybody_still_waits_for_its_interval(void **state)
{
    TOLD(told, INTERVAL, ALL);
    struct rg_presences *ada = join(&told, "ada", "t", 0, 1000);

    (void)state;
    leave(&told, ada, 1000 + INTERVAL);
    assert_int_equal(told.diffs, 2);
    ada = join(&told, "ada", "t", 1, 1001 + INTERVAL);
    assert_int_equal(told.diffs, 2);
    assert_int_equal(told.due_ms, 1000 + 2 * INTERVAL);
    leave(&told, ada, 1002 + INTERVAL);
    assert_int_equal(rg_roster_flush(told.roster, 1000 + 2 * INTERVAL), UINT64_MAX);
    assert_int_equal(told.diffs, 2);
}

static void topics_wait_for_themselves_and_the_first_is_asked_for(void **state)
{
    TOLD(told, INTERVAL, ALL);
    struct rg_presences *all[4];

    (void)state;
    all[0] = join(&told, "a", "x", 0, 1000);
    all[1] = join(&told, "a", "y", 0, 1020);
    all[2] = join(&told, "b", "y", 1, 1030);
    assert_int_equal(told.due_ms, 1020 + INTERVAL);
    all[3] = join(&told, "b", "x", 1, 1040); /* later, but due earlier */
    assert_int_equal(told.waits, 2);
    assert_int_equal(told.due_ms, 1000 + INTERVAL);
    assert_int_equal(rg_roster_flush(told.roster, 1000 + INTERVAL), 1020 + INTERVAL);
    assert_text(&told.topics, "x y x ");
    assert_int_equal(rg_roster_flush(told.roster, 1020 + INTERVAL), UINT64_MAX);
    assert_text(&told.topics, "x y x y ");
    for (unsigned i = 0; i < RG_COUNT_OF(all); i++)
        leave(&told, all[i], 2000);
}

static void a_clock_that_is_a_little_behind_disturbs_nothing(void **state)
{
    TOLD(told, INTERVAL, ALL);
    struct rg_presences *a = join(&told, "a", "x", 0, 1000), *b = join(&told, "a", "y", 0, 997),
                        *c = join(&told, "b", "y", 1, 998);

    (void)state;
    assert_int_equal(told.due_ms, 1000 + INTERVAL);
    assert_int_equal(rg_roster_flush(told.roster, 990), 1000 + INTERVAL);
    assert_int_equal(rg_roster_flush(told.roster, 1000 + INTERVAL), UINT64_MAX);
    assert_int_equal(told.diffs, 3);
    leave(&told, a, 2000);
    leave(&told, b, 2000);
    leave(&told, c, 2000);
}

static void without_an_interval_every_change_is_announced_by_itself(void **state)
{
    TOLD(told, 0, ALL);
    struct rg_presences *all[10];

    (void)state;
    told.is_viewing = true;
    for (unsigned i = 0; i < RG_COUNT_OF(all); i++) {
        all[i] = join(&told, i % 2 != 0 ? "ada" : "bob", "t", (int)i, 1000);
        assert_int_equal(told.diffs, i + 1);
        assert_int_equal(told.view.n, i + 1);
    }
    for (unsigned i = 0; i < RG_COUNT_OF(all); i++)
        leave(&told, all[i], 1000);
    assert_int_equal(told.diffs, 2 * RG_COUNT_OF(all));
    assert_int_equal(told.view.n, 0);
    assert_int_equal(told.waits, 0);
    assert_int_equal(rg_roster_flush(told.roster, 1000), UINT64_MAX);
}

static void an_entrant_comes_to_its_topics_in_their_order(void **state)
{
    struct rg_str topics[] = {RG_STR("role:b"), RG_STR("role:a"), RG_STR("user:u")};
    struct rg_roster_entrant entrant = {RG_STR("u"), RG_STR("{}"), topics, RG_COUNT_OF(topics)};
    TOLD(told, INTERVAL, ALL);

    (void)state;
    struct rg_presences *u = rg_roster_join(told.roster, &entrant, NONE, 0, NULL, NULL);
    assert_text(&told.topics, "role:b role:a user:u ");
    leave(&told, u, 1000);
    assert_text(&told.topics, "role:b role:a user:u role:b role:a user:u ");
}

/* ---- who watches ---- */

static void where_nobody_watches_a_change_costs_one_look(void **state)
{
    struct rg_str topics[] = {RG_STR("role:a"), RG_STR("user:u")};
    struct rg_roster_entrant entrant = {RG_STR("u"), RG_STR("{}"), topics, RG_COUNT_OF(topics)};
    TOLD(told, INTERVAL, NONE);
    struct rg_presences *all[100];

    (void)state;
    for (unsigned i = 0; i < RG_COUNT_OF(all); i++)
        all[i] = rg_roster_join(told.roster, &entrant, NONE, i, NULL, NULL);
    assert_int_equal(told.looks, 2 * RG_COUNT_OF(all));
    for (unsigned i = 0; i < RG_COUNT_OF(all); i++)
        leave(&told, all[i], 100 + i);
    assert_int_equal(told.looks, 4 * RG_COUNT_OF(all));
    assert_int_equal(told.diffs, 0);
    assert_int_equal(told.waits, 0);
    assert_int_equal(rg_roster_flush(told.roster, 1000), UINT64_MAX);
    assert_int_equal(told.looks, 4 * RG_COUNT_OF(all));
}

static void a_watched_topic_is_told_of_and_others_are_not(void **state)
{
    struct rg_str topics[] = {RG_STR("role:a"), RG_STR("role:b"), RG_STR("user:u")};
    struct rg_roster_entrant entrant = {RG_STR("u"), RG_STR("{}"), topics, RG_COUNT_OF(topics)};
    TOLD(told, INTERVAL, RG_STR("role:b"));

    (void)state;
    struct rg_presences *u = rg_roster_join(told.roster, &entrant, NONE, 0, NULL, NULL);
    assert_text(&told.topics, "role:b ");
    leave(&told, u, 0);
    rg_roster_flush(told.roster, INTERVAL);
    assert_text(&told.topics, "role:b role:b ");
}

static void the_state_is_that_before_the_own_presence(void **state)
{
    TOLD(told, INTERVAL, ALL);
    RG_CLEANUP(rg_buf_done) struct rg_buf out = {0};
    struct rg_str topic = RG_STR("user:ada");
    struct rg_roster_entrant ada = {RG_STR("ada"), RG_STR("{\"n\":1}"), &topic, 1};
    uint64_t version = 0;

    (void)state;
    struct rg_presences *first = rg_roster_join(told.roster, &ada, topic, 1000, &out, &version);
    assert_text(&out, "{}");
    assert_int_equal(version, 1);
    assert_int_equal(told.version, 1); /* of the own presence: not before its version */

    rg_buf_clear(&out);
    ada.meta = RG_STR("{\"n\":2}");
    struct rg_presences *second = rg_roster_join(told.roster, &ada, topic, 2000, &out, &version);
    view_set(&told.view, rg_buf_str(&out));
    assert_int_equal(told.view.n, 1);
    assert_int_equal(told.view.metas[0].number, 1);
    assert_int_equal(version, 2);
    view_apply(&told.view, rg_buf_str(&told.json));
    assert_int_equal(told.view.n, 2);
    leave(&told, second, 3000);
    view_apply(&told.view, rg_buf_str(&told.json));
    assert_int_equal(told.view.n, 1);
    assert_int_equal(told.view.metas[0].number, 1);
    leave(&told, first, 4000);
}

static void the_state_is_appended(void **state)
{
    TOLD(told, INTERVAL, ALL);
    RG_CLEANUP(rg_buf_done) struct rg_buf out = {0};
    struct rg_roster_entrant nobody = {.user = RG_STR("s")};
    struct rg_presences *a = join(&told, "a", "t", 1, 0);
    uint64_t version;

    (void)state;
    rg_buf_add_c(&out, "{}");
    assert_null(rg_roster_join(told.roster, &nobody, RG_STR("t"), 1, &out, &version));
    assert_memory_equal(out.p, "{}{\"a\":", 7);
    leave(&told, a, 1000);
}

static void a_newcomer_is_not_told_of_what_its_state_has(void **state)
{
    TOLD(told, INTERVAL, ALL);
    RG_CLEANUP(rg_buf_done) struct rg_buf out = {0};
    struct rg_presences *a = join(&told, "a", "t", 0, 1000), *b = join(&told, "b", "t", 1, 1010);

    (void)state;
    assert_int_equal(told.diffs, 1);
    uint64_t version = watch(&told, "t", 1020, &out);
    assert_int_equal(told.diffs, 2); /* for those who watched before */
    assert_true(told.version < version);
    view_set(&told.view, rg_buf_str(&out));
    assert_int_equal(told.view.n, 2);
    rg_roster_flush(told.roster, 1020 + INTERVAL);
    assert_int_equal(told.diffs, 2);
    leave(&told, b, 2000);
    assert_true(told.version >= version);
    leave(&told, a, 3000);
}

static void an_announcement_to_a_newcomer_counts_for_the_interval(void **state)
{
    TOLD(told, INTERVAL, ALL);
    struct rg_str topic = RG_STR("t");
    struct rg_roster_entrant entrant = {RG_STR("c"), RG_STR("{}"), &topic, 1};
    uint64_t version;

    (void)state;
    struct rg_presences *a = join(&told, "a", "t", 0, 1000), *b = join(&told, "b", "t", 1, 1010);
    struct rg_presences *c = rg_roster_join(told.roster, &entrant, topic, 1020, NULL, &version);
    assert_int_equal(told.diffs, 2); /* a; b; and c has to wait */
    assert_int_equal(rg_roster_flush(told.roster, 1000 + INTERVAL), 1020 + INTERVAL);
    assert_int_equal(rg_roster_flush(told.roster, 1020 + INTERVAL), UINT64_MAX);
    assert_int_equal(told.diffs, 3);
    assert_true(told.version >= version);
    leave(&told, a, 2000);
    leave(&told, b, 2000);
    leave(&told, c, 2000);
}

static void what_waits_is_dropped_where_nobody_watches_any_more(void **state)
{
    TOLD(told, INTERVAL, ALL);
    struct rg_presences *a = join(&told, "a", "t", 0, 1000), *b = join(&told, "b", "t", 1, 1010);

    (void)state;
    leave(&told, a, 1011);
    told.watched = NONE;
    assert_int_equal(rg_roster_flush(told.roster, 1000 + INTERVAL), UINT64_MAX);
    told.watched = ALL;
    assert_int_equal(rg_roster_flush(told.roster, 5000), UINT64_MAX);
    assert_int_equal(told.diffs, 1);
    leave(&told, b, 5001);
    assert_int_equal(told.diffs, 2);
}

static void a_change_that_nobody_sees_drops_what_waits(void **state)
{
    TOLD(told, INTERVAL, ALL);
    struct rg_presences *a = join(&told, "a", "t", 0, 1000), *b = join(&told, "a", "t", 1, 1010);

    (void)state;
    told.watched = NONE;
    struct rg_presences *c = join(&told, "a", "t", 2, 1020);
    told.watched = ALL;
    struct rg_presences *d = join(&told, "a", "t", 3, 1030);
    rg_roster_flush(told.roster, 1000 + INTERVAL);
    assert_int_equal(told.diffs, 2);
    assert_null(strstr(told.json.p, "\"n\":1"));
    assert_null(strstr(told.json.p, "\"n\":2"));
    assert_non_null(strstr(told.json.p, "\"n\":3"));
    leave(&told, a, 2000);
    leave(&told, b, 2000);
    leave(&told, c, 2000);
    leave(&told, d, 2000);
}

/* ---- questions ---- */

static void presences_and_users_are_counted_by_topic(void **state)
{
    TOLD(told, INTERVAL, NONE);
    struct rg_presences *a1 = join(&told, "a", "t", 0, 0), *a2 = join(&told, "a", "t", 1, 0),
                        *b = join(&told, "b", "t", 2, 0), *c = join(&told, "c", "u", 3, 0);

    (void)state;
    assert_int_equal(rg_roster_count(told.roster, RG_STR("t")), 3);
    assert_int_equal(rg_roster_count_users(told.roster, RG_STR("t")), 2);
    assert_int_equal(rg_roster_count_user(told.roster, RG_STR("t"), RG_STR("a")), 2);
    assert_int_equal(rg_roster_count_user(told.roster, RG_STR("t"), RG_STR("c")), 0);
    assert_int_equal(rg_roster_count_user(told.roster, RG_STR("t"), RG_STR("x")), 0);
    assert_int_equal(rg_roster_count(told.roster, RG_STR("x")), 0);
    assert_int_equal(rg_roster_count_users(told.roster, RG_STR("x")), 0);
    assert_int_equal(rg_roster_count_user(told.roster, RG_STR("x"), RG_STR("a")), 0);
    leave(&told, a1, 0);
    assert_int_equal(rg_roster_count_user(told.roster, RG_STR("t"), RG_STR("a")), 1);
    leave(&told, a2, 0);
    leave(&told, b, 0);
    leave(&told, c, 0);
    assert_int_equal(rg_roster_count(told.roster, RG_STR("t")), 0);
}

static void metas_of_a_topic_are_a_list(void **state)
{
    TOLD(told, INTERVAL, NONE);
    RG_CLEANUP(rg_buf_done) struct rg_buf out = {0};
    struct rg_json json, meta;
    struct rg_json_cursor cursor = {0};
    struct rg_str key;
    unsigned n = 0;

    (void)state;
    rg_roster_add_metas(told.roster, RG_STR("t"), &out);
    assert_text(&out, "[]");
    rg_buf_clear(&out);
    struct rg_presences *a1 = join(&told, "a", "t", 0, 0), *b = join(&told, "b", "t", 2, 0),
                        *a2 = join(&told, "a", "t", 1, 0);
    rg_roster_add_metas(told.roster, RG_STR("t"), &out);
    assert_int_equal(rg_json_check(rg_buf_str(&out), &json, NULL), 0);
    while (rg_json_next(json, &cursor, &key, &meta)) {
        view_read_meta("", meta);
        n++;
    }
    assert_int_equal(n, 3);
    leave(&told, a1, 0);
    leave(&told, a2, 0);
    leave(&told, b, 0);
}

struct page {
    uint64_t last;
    unsigned seen[USERS], others;
};

static void see(void *arg, struct rg_str user, uint64_t hash)
{
    struct page *page = arg;
    uint64_t i;

    assert_true(hash > page->last);
    page->last = hash;
    if (rg_str_to_u64(user, USERS - 1, &i) == 0)
        page->seen[i]++;
    else
        page->others++;
}

static void pages_of_users_show_each_once_while_others_come_and_go(void **state)
{
    TOLD(told, INTERVAL, NONE);
    static struct rg_presences *stay[USERS], *second[USERS], *come[USERS];
    static struct page page;
    unsigned pages = 0;
    char name[32];

    (void)state;
    for (unsigned i = 0; i < USERS; i++) {
        snprintf(name, sizeof(name), "%u", i);
        stay[i] = join(&told, name, "t", 0, 0);
        second[i] = join(&told, name, "t", 1, 0);
    }
    while (rg_roster_list_users(told.roster, RG_STR("t"), page.last, 7, see, &page) >= 7) {
        unsigned before = pages++ * 13 % USERS;
        for (unsigned i = before; i < before + 13 && i < USERS; i++) {
            snprintf(name, sizeof(name), "other %u", i);
            if (come[i] == NULL)
                come[i] = join(&told, name, "t", 0, 0);
            if (i % 3 == 0)
                leave(&told, RG_STEAL(come[i]), 0);
            if (second[i] != NULL && i % 2 == 0)
                leave(&told, RG_STEAL(second[i]), 0);
        }
    }
    assert_true(pages >= USERS / 7);
    for (unsigned i = 0; i < USERS; i++)
        assert_int_equal(page.seen[i], 1);
    assert_int_equal(rg_roster_list_users(told.roster, RG_STR("t"), UINT64_MAX, 7, see, &page), 0);
    assert_int_equal(rg_roster_list_users(told.roster, RG_STR("x"), 0, 7, see, &page), 0);
    for (unsigned i = 0; i < USERS; i++) {
        rg_roster_leave(told.roster, &stay[i], 0);
        rg_roster_leave(told.roster, &second[i], 0);
        rg_roster_leave(told.roster, &come[i], 0);
    }
}

static void assert_exposed(struct told *told, const char *line)
{
    RG_CLEANUP(rg_buf_done) struct rg_buf out = {0};

    rg_roster_expose(told->roster, &out);
    rg_buf_add_char(&out, '\0');
    if (strstr(out.p, line) == NULL)
        fail_msg("%s is not in\n%s", line, out.p);
}

static void metrics_say_what_is_there_and_what_was(void **state)
{
    struct rg_str topics[] = {RG_STR("role:a"), RG_STR("user:u")};
    struct rg_roster_entrant entrant = {RG_STR("u"), RG_STR("{}"), topics, RG_COUNT_OF(topics)};
    TOLD(told, INTERVAL, RG_STR("user:u"));

    (void)state;
    struct rg_presences *one = rg_roster_join(told.roster, &entrant, NONE, 0, NULL, NULL);
    struct rg_presences *two = rg_roster_join(told.roster, &entrant, NONE, 1000, NULL, NULL);
    leave(&told, one, 1001);
    assert_exposed(&told, "\nrgate_presence_users 1\n");
    assert_exposed(&told, "\nrgate_presence_topics 2\n");
    assert_exposed(&told, "\nrgate_presence_presences 2\n");
    assert_exposed(&told, "\nrgate_presence_joins_total 4\n");
    assert_exposed(&told, "\nrgate_presence_leaves_total 2\n");
    assert_exposed(&told, "\nrgate_presence_diffs_total 2\n");
    leave(&told, two, 2000);
    assert_exposed(&told, "\nrgate_presence_topics 0\n");
    assert_exposed(&told, "\nrgate_presence_presences 0\n");
    assert_exposed(&told, "\nrgate_presence_diffs_total 3\n");
    rg_roster_flush(told.roster, 3000);
    assert_exposed(&told, "\nrgate_presence_users 0\n");
}

static void a_roster_may_be_freed_while_leaves_wait(void **state)
{
    TOLD(told, INTERVAL, ALL);
    struct rg_presences *a = join(&told, "a", "t", 0, 1000);

    (void)state;
    leave(&told, a, 1001);
    assert_int_equal(told.waits, 1);
    rg_roster_leave(told.roster, &(struct rg_presences *){NULL}, 1002);
    rg_roster_free(&(struct rg_roster *){NULL});
}

/* ---- threads ---- */

static struct told shared;
static _Atomic uint64_t shared_ms;

/* Comes to one watched topic and one that is not, again and again, with up to 8 at a time. */
static void *come_and_go(void *arg)
{
    unsigned number = *(unsigned *)arg;
    struct rg_presences *held[8] = {NULL};
    char user[2] = {(char)('a' + number % 3), '\0'}; /* two threads with one user */
    struct rg_str topics[] = {RG_STR("watched"), RG_STR("not"), RG_STR("watched")};
    struct rg_roster_entrant entrant = {rg_str_c(user), RG_STR("{\"n\":1}"), topics, 3};

    for (unsigned i = 0; i < 4000; i++) {
        uint64_t now_ms = atomic_fetch_add(&shared_ms, 1);
        struct rg_presences **presences = &held[(i * 7 + number) % RG_COUNT_OF(held)];

        if (*presences != NULL) {
            rg_roster_leave(shared.roster, presences, now_ms);
        } else {
            entrant.topics_n = 1 + i % 3;
            *presences = rg_roster_join(shared.roster, &entrant, NONE, now_ms, NULL, NULL);
        }
        if (i % 16 == 0)
            rg_roster_flush(shared.roster, now_ms);
        if (i % 64 == 0)
            rg_roster_count_user(shared.roster, RG_STR("watched"), entrant.user);
    }
    for (unsigned i = 0; i < RG_COUNT_OF(held); i++)
        rg_roster_leave(shared.roster, &held[i], atomic_load(&shared_ms));
    return NULL;
}

static void threads_may_join_and_leave_at_the_same_time(void **state)
{
    pthread_t threads[THREADS];
    unsigned numbers[THREADS];

    (void)state;
    atomic_store(&shared_ms, 1000);
    told_init(&shared, INTERVAL, RG_STR("watched"));
    shared.is_viewing = true;
    for (unsigned i = 0; i < THREADS; i++) {
        numbers[i] = i;
        assert_int_equal(pthread_create(&threads[i], NULL, come_and_go, &numbers[i]), 0);
    }
    for (unsigned i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    rg_roster_flush(shared.roster, atomic_load(&shared_ms) + INTERVAL);
    assert_true(shared.diffs > 100);
    assert_int_equal(shared.view.n, 0);
    assert_int_equal(rg_roster_count(shared.roster, RG_STR("watched")), 0);
    assert_exposed(&shared, "\nrgate_presence_presences 0\n");
    told_done(&shared);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_first_join_is_announced_at_once_with_its_meta_and_reference),
        cmocka_unit_test(an_empty_meta_has_the_reference_alone),
        cmocka_unit_test(user_names_are_escaped),
        cmocka_unit_test(references_are_twelve_characters_and_all_different),
        cmocka_unit_test(changes_within_the_interval_are_announced_together_at_its_end),
        cmocka_unit_test(very_many_changes_are_announced_before_the_interval_is_over),
        cmocka_unit_test(what_comes_and_goes_within_the_interval_is_not_announced),
        cmocka_unit_test(one_who_leaves_and_comes_back_is_another_presence),
        cmocka_unit_test(a_change_when_the_flush_is_late_is_announced_with_what_has_waited),
        cmocka_unit_test(a_topic_without_anybody_still_waits_for_its_interval),
        cmocka_unit_test(topics_wait_for_themselves_and_the_first_is_asked_for),
        cmocka_unit_test(a_clock_that_is_a_little_behind_disturbs_nothing),
        cmocka_unit_test(without_an_interval_every_change_is_announced_by_itself),
        cmocka_unit_test(an_entrant_comes_to_its_topics_in_their_order),
        cmocka_unit_test(where_nobody_watches_a_change_costs_one_look),
        cmocka_unit_test(a_watched_topic_is_told_of_and_others_are_not),
        cmocka_unit_test(the_state_is_that_before_the_own_presence),
        cmocka_unit_test(the_state_is_appended),
        cmocka_unit_test(a_newcomer_is_not_told_of_what_its_state_has),
        cmocka_unit_test(an_announcement_to_a_newcomer_counts_for_the_interval),
        cmocka_unit_test(what_waits_is_dropped_where_nobody_watches_any_more),
        cmocka_unit_test(a_change_that_nobody_sees_drops_what_waits),
        cmocka_unit_test(presences_and_users_are_counted_by_topic),
        cmocka_unit_test(metas_of_a_topic_are_a_list),
        cmocka_unit_test(pages_of_users_show_each_once_while_others_come_and_go),
        cmocka_unit_test(metrics_say_what_is_there_and_what_was),
        cmocka_unit_test(a_roster_may_be_freed_while_leaves_wait),
        cmocka_unit_test(threads_may_join_and_leave_at_the_same_time),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
