/*
 * presence.c - rg-presence, what it costs that users are present, without sockets.
 *
 * So many users come, one after the other, each to a topic of its own and to one that all share,
 * and go again. Measured are CPU time and the memory that malloc has given out, the administration
 * of its pieces included:
 *
 *   reference   the same texts in a plain hash table: two things a user, one allocation each
 *   unwatched   the roster, where nobody watches any of the topics
 *   watched     the roster, where one watches the topic that all share, and diffs come in batches
 *   own         the roster, where each user watches its own topic and gets its state
 *
 * Each is done twice and the second time counts, so that nobody pays for the heap's growth. Prints
 * one JSON line.
 */
#include <getopt.h>
#include <inttypes.h>
#include <malloc.h>
#include <stdio.h>
#include <time.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/hash.h"
#include "base/map.h"
#include "bench/args.h"
#include "presence/roster.h"

#define MAX_USERS 10000000
#define BATCH     1000
#define SHARED    "role:customer"

struct result {
    double bytes, join_ns, leave_ns; /* per user */
    uint64_t diffs, diff_bytes;
};

static size_t users_n = 100000;
static uint64_t interval_ms = 50;

static uint64_t cpu_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static size_t used_bytes(void)
{
    struct mallinfo2 info = mallinfo2();

    return info.uordblks + info.hblkhd;
}

/* Who comes, as text. Made a batch at a time, not measured. */
struct person {
    char user[32], topic[40], meta[300];
    size_t user_n, topic_n, meta_n;
};

static struct person persons[BATCH];

static void person_init(struct person *person, size_t i)
{
    person->user_n = (size_t)snprintf(person->user, sizeof(person->user), "customer-%08zu", i);
    person->topic_n =
        (size_t)snprintf(person->topic, sizeof(person->topic), "user:%s", person->user);
    person->meta_n = (size_t)snprintf(
        person->meta, sizeof(person->meta),
        "{\"username\":\"%s\",\"role\":[\"customer\"],\"jti\":\"5f0c9f3e-7d6b-4f0e-%016zx\","
        "\"exp\":1900000000,\"time\":1505990000123,\"address\":\"192.0.2.7\","
        "\"device\":\"desktop\",\"browser\":\"Chrome\"}",
        person->user, i);
}

/* Calls come for every user, and returns the CPU time of all the calls. */
static uint64_t come_all(void (*come)(void *arg, size_t i, const struct person *person), void *arg)
{
    uint64_t sum_ns = 0;

    for (size_t begin = 0; begin < users_n; begin += BATCH) {
        size_t n = users_n - begin < BATCH ? users_n - begin : BATCH;
        for (size_t i = 0; i < n; i++)
            person_init(&persons[i], begin + i);
        uint64_t start = cpu_ns();
        for (size_t i = 0; i < n; i++)
            come(arg, begin + i, &persons[i]);
        sum_ns += cpu_ns() - start;
    }
    return sum_ns;
}

/* ---- the reference ---- */

struct thing {
    struct rg_map_link link;
    uint32_t n, meta_n;
    char text[]; /* the key, then the meta */
};

struct table {
    struct rg_hash_key key;
    struct rg_map map;
    struct thing **things;
    size_t n;
};

static bool has_text(const struct rg_map_link *link, const void *key)
{
    const struct thing *thing = RG_CONTAINER_OF(link, const struct thing, link);

    return rg_str_eq(rg_str_n(thing->text, thing->n), *(const struct rg_str *)key);
}

static void table_add(struct table *table, struct rg_str key, struct rg_str meta)
{
    uint64_t hash = rg_hash64(&table->key, key.p, key.n);
    struct thing *thing;

    rg_assert(rg_map_find(&table->map, hash, has_text, &key) == NULL);
    thing = rg_alloc(sizeof(*thing) + key.n + meta.n);
    thing->n = (uint32_t)key.n;
    thing->meta_n = (uint32_t)meta.n;
    memcpy(thing->text, key.p, key.n);
    if (meta.n > 0)
        memcpy(thing->text + key.n, meta.p, meta.n);
    rg_map_add(&table->map, &thing->link, hash);
    table->things[table->n++] = thing;
}

static void come_to_table(void *arg, size_t i, const struct person *person)
{
    (void)i;
    table_add(arg, rg_str_n(person->topic, person->topic_n),
              rg_str_n(person->meta, person->meta_n));
    table_add(arg, rg_str_n(person->user, person->user_n), (struct rg_str){NULL, 0});
}

static struct result measure_reference(void)
{
    struct table table = {.things = rg_realloc_array(NULL, 2 * users_n, sizeof(void *))};
    struct result result = {0};
    size_t before = used_bytes();
    uint64_t start;

    rg_hash_key_random(&table.key);
    result.join_ns = (double)come_all(come_to_table, &table) / (double)users_n;
    result.bytes = (double)(used_bytes() - before) / (double)users_n;

    start = cpu_ns();
    for (size_t i = 0; i < table.n; i++) {
        rg_map_remove(&table.map, &table.things[i]->link);
        rg_free(table.things[i]);
    }
    result.leave_ns = (double)(cpu_ns() - start) / (double)users_n;
    rg_map_done(&table.map);
    rg_free(table.things);
    return result;
}

/* ---- the roster ---- */

enum watching {
    WATCH_NOTHING,
    WATCH_SHARED,
    WATCH_OWN
};

struct watch {
    struct rg_roster *roster;
    enum watching watching;
    uint64_t due_ms;
    struct rg_presences **all;
    struct rg_buf state;
    struct result result;
};

static bool is_watched(void *arg, struct rg_str topic)
{
    const struct watch *watch = arg;
    bool is_shared = rg_str_eq(topic, RG_STR(SHARED));

    return watch->watching == (is_shared ? WATCH_SHARED : WATCH_OWN);
}

static void announce(void *arg, const struct rg_roster_diff *diff)
{
    struct watch *watch = arg;

    watch->result.diffs++;
    watch->result.diff_bytes += diff->json.n;
}

static void wait_until(void *arg, uint64_t due_ms)
{
    struct watch *watch = arg;

    watch->due_ms = due_ms;
}

/* The time, after what is due now has been announced. */
static uint64_t pass(struct watch *watch)
{
    uint64_t now_ms = rg_clock_mono_ms();

    if (now_ms >= watch->due_ms)
        watch->due_ms = rg_roster_flush(watch->roster, now_ms);
    return now_ms;
}

static void come_to_roster(void *arg, size_t i, const struct person *person)
{
    struct watch *watch = arg;
    struct rg_str topics[] = {RG_STR(SHARED), rg_str_n(person->topic, person->topic_n)};
    const struct rg_roster_entrant entrant = {rg_str_n(person->user, person->user_n),
                                              rg_str_n(person->meta, person->meta_n), topics,
                                              RG_COUNT_OF(topics)};
    bool is_own = watch->watching == WATCH_OWN;
    uint64_t version;

    rg_buf_clear(&watch->state);
    watch->all[i] =
        rg_roster_join(watch->roster, &entrant, is_own ? topics[1] : (struct rg_str){NULL, 0},
                       pass(watch), is_own ? &watch->state : NULL, &version);
}

static struct result measure_roster(enum watching watching)
{
    struct watch watch = {.watching = watching, .due_ms = UINT64_MAX};
    uint64_t start, join_ns;

    watch.roster = rg_roster_new(
        &(struct rg_roster_settings){interval_ms, is_watched, announce, wait_until, &watch});
    watch.all = rg_realloc_array(NULL, users_n, sizeof(void *));
    size_t before = used_bytes();
    join_ns = come_all(come_to_roster, &watch);
    start = cpu_ns();
    rg_roster_flush(watch.roster, rg_clock_mono_ms() + interval_ms);
    join_ns += cpu_ns() - start;
    watch.result.bytes = (double)(used_bytes() - before) / (double)users_n;
    watch.result.join_ns = (double)join_ns / (double)users_n;
    struct result result = watch.result;

    start = cpu_ns();
    for (size_t i = 0; i < users_n; i++)
        rg_roster_leave(watch.roster, &watch.all[i], pass(&watch));
    rg_roster_flush(watch.roster, rg_clock_mono_ms() + 2 * interval_ms);
    result.leave_ns = (double)(cpu_ns() - start) / (double)users_n;
    rg_roster_free(&watch.roster);
    rg_buf_done(&watch.state);
    rg_free(watch.all);
    return result;
}

static void print(const char *name, const struct result *result)
{
    printf("\"%s\":{\"bytes\":%.1f,\"join_ns\":%.1f,\"leave_ns\":%.1f,\"diffs\":%" PRIu64
           ",\"diff_bytes\":%" PRIu64 "},",
           name, result->bytes, result->join_ns, result->leave_ns, result->diffs,
           result->diff_bytes);
}

int main(int argc, char **argv)
{
    static const struct option options[] = {
        {"users", required_argument, NULL, 'u'}, {"interval", required_argument, NULL, 'i'}, {0}};
    static const char *const names[] = {"unwatched", "watched", "own"};
    struct result reference, results[RG_COUNT_OF(names)];
    int option;

    while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
        if (option == 'u')
            users_n = (size_t)rg_args_u64("--users", optarg, MAX_USERS);
        else if (option == 'i')
            interval_ms = rg_args_u64("--interval", optarg, 60000);
        else
            rg_args_fail("usage: rg-presence [--users N] [--interval MS]");
    }
    if (users_n == 0)
        rg_args_fail("--users must not be 0");
    mallopt(M_TRIM_THRESHOLD, INT32_MAX);
    for (unsigned round = 0; round < 2; round++) {
        reference = measure_reference();
        for (unsigned i = 0; i < RG_COUNT_OF(names); i++)
            results[i] = measure_roster((enum watching)i);
    }
    printf("{");
    print("reference", &reference);
    for (unsigned i = 0; i < RG_COUNT_OF(names); i++)
        print(names[i], &results[i]);
    printf("\"users\":%zu,\"interval_ms\":%" PRIu64 "}\n", users_n, interval_ms);
    return 0;
}
