/*
 * What comes from topics, with two hubs without clients; who has joined which channel, and who has
 * subscribed to what, is written into the interest table by hand.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "../net/peer.h"
#include "base/alloc.h"
#include "base/rcu.h"
#include "event/addressees.h"
#include "event/subscription.h"
#include "push/hub.h"

enum {
    SHARDS = 2,
    KEYS = 8
};

static struct rg_extractors *extractors;
static struct rg_push *push;
static struct rg_reactor reactors[SHARDS];
static struct rg_hub *hubs[SHARDS];
static struct rg_dispatcher *dispatcher;

/* In the interest table. */
static struct {
    struct rg_subscription_key key;
    unsigned reactor;
} keys[KEYS];
static size_t keys_n;

static const struct rg_origin origin = {RG_SOURCE_KAFKA, 0, 0, 0, -1};

static void settle(void *ctx)
{
    rg_hub_settle(ctx);
}

static int setup(void **state)
{
    const struct rg_push_settings settings = {.cors = "*", .max_event_bytes = 1 << 20};

    (void)state;
    push = rg_push_new(&settings, extractors);
    for (unsigned i = 0; i < SHARDS; i++) {
        rg_reactor_init(&reactors[i], i, (size_t)8 << 20);
        reactors[i].thread = pthread_self();
        hubs[i] = rg_hub_new(push, &reactors[i]);
        reactors[i].ctx = hubs[i];
        reactors[i].on_batch = settle;
    }
    dispatcher = rg_dispatcher_new(push);
    return 0;
}

static void turn(void)
{
    for (unsigned i = 0; i < SHARDS; i++)
        peer_turn(&reactors[i]);
}

static int teardown(void **state)
{
    (void)state;
    turn();
    rg_dispatcher_free(&dispatcher);
    for (; keys_n > 0; keys_n--)
        rg_interest_remove(push->interest, keys[keys_n - 1].reactor, &keys[keys_n - 1].key);
    for (unsigned i = 0; i < SHARDS; i++) {
        rg_hub_free(&hubs[i]);
        rg_reactor_done(&reactors[i]);
    }
    rg_push_free(&push);
    rg_rcu_barrier();
    return 0;
}

static void add_key(unsigned reactor, struct rg_subscription_key key)
{
    rg_assert(keys_n < KEYS);
    keys[keys_n].key = key;
    keys[keys_n++].reactor = reactor;
    assert_int_equal(rg_interest_add(push->interest, reactor, &key), 0);
}

static void join(unsigned reactor, const char *topic)
{
    add_key(reactor, rg_subscription_key_of_channel(rg_str_c(topic)));
}

static void subscribe(unsigned reactor, const char *type)
{
    RG_CLEANUP(rg_subscription_set_free) struct rg_subscription_set *set = NULL;
    char list[64];

    snprintf(list, sizeof(list), "[{\"eventType\":\"%s\"}]", type);
    assert_int_equal(rg_subscription_parse(extractors, rg_str_c(list), false, 100, &set, NULL), 0);
    assert_int_equal(set->keys_n, 1);
    add_key(reactor, set->keys[0]);
}

/* What one record did. */
struct outcome {
    int err;
    uint64_t events[SHARDS]; /* to each hub */
    size_t bytes[SHARDS];    /* put into each inbox */
    struct rg_why why;
};

static struct outcome dispatch(const char *text, enum rg_format format)
{
    uint64_t before[SHARDS];
    struct outcome outcome = {0};

    for (unsigned i = 0; i < SHARDS; i++)
        before[i] = rg_counters_get(hubs[i]->counters, RG_HUB_EVENTS);
    outcome.err = rg_dispatch_record(dispatcher, rg_str_c(text), format, &origin, &outcome.why);
    for (unsigned i = 0; i < SHARDS; i++)
        outcome.bytes[i] = atomic_load(&reactors[i].inbox.queued_bytes);
    turn();
    for (unsigned i = 0; i < SHARDS; i++)
        outcome.events[i] = rg_counters_get(hubs[i]->counters, RG_HUB_EVENTS) - before[i];
    return outcome;
}

static void assert_delivered(const char *text, enum rg_format format, unsigned first,
                             unsigned second)
{
    struct outcome outcome = dispatch(text, format);

    if (outcome.err != 0)
        fail_msg("%s: %d: %s: %s", text, outcome.err, outcome.why.place, outcome.why.text);
    if (outcome.events[0] != first || outcome.events[1] != second)
        fail_msg("%s: %u and %u", text, (unsigned)outcome.events[0], (unsigned)outcome.events[1]);
}

static void assert_refused(const char *text, enum rg_format format, int err, const char *what)
{
    struct outcome outcome = dispatch(text, format);

    if (outcome.err != err || strstr(outcome.why.text, what) == NULL)
        fail_msg("%s: %d, %s", text, outcome.err, outcome.why.text);
    assert_int_equal(outcome.events[0] + outcome.events[1], 0);
}

static void assert_exposed(const char *line)
{
    struct rg_buf out = {0};

    rg_tally_expose(&push->tally, &out);
    rg_buf_add_char(&out, '\0');
    if (strstr(out.p, line) == NULL)
        fail_msg("%s lacks %s", out.p, line);
    rg_buf_done(&out);
}

#define EVENT(more) "{\"specversion\":\"1.0\",\"type\":\"chat\",\"id\":\"1\"" more "}"

static void a_message_goes_where_its_user_has_joined(void **state)
{
    (void)state;
    join(1, "user:ada");
    assert_delivered("{\"username\":\"ada\"}", RG_FORMAT_AUTO, 0, 1);
    assert_delivered("{\"username\":\"ada\"}", RG_FORMAT_MESSAGES, 0, 1);
    assert_delivered("{\"username\":\"ada\"}", RG_FORMAT_NO_EVENT, 0, 1);
    assert_delivered("{\"username\":\"bob\"}", RG_FORMAT_AUTO, 0, 0);
    assert_exposed("rig_consumed_events_forwarded_total{type=\"message\"} 3\n");
}

static void a_message_for_several_is_one_on_each_channel(void **state)
{
    (void)state;
    join(0, "user:ada");
    join(0, "role:vip");
    join(1, "role:vip");
    assert_delivered("{\"username\":\"ada\",\"roles\":[\"vip\",\"other\",\"vip\"]}", RG_FORMAT_AUTO,
                     2, 1);
    assert_exposed("rig_consumed_events_forwarded_total{type=\"message\"} 1\n");
}

static void the_payload_is_the_object_without_the_space_around_it(void **state)
{
    (void)state;
    join(0, "user:ada");
    struct outcome bare = dispatch("{\"username\":\"ada\", \"n\":{} }", RG_FORMAT_AUTO);
    struct outcome spaced =
        dispatch(" \r\n\t{\"username\":\"ada\", \"n\":{} }\n\n", RG_FORMAT_AUTO);

    assert_true(bare.bytes[0] > 0);
    assert_int_equal(bare.bytes[0], spaced.bytes[0]);
}

static void what_claims_to_be_an_event_is_one_or_nothing(void **state)
{
    (void)state;
    join(0, "user:ada");
    subscribe(1, "chat");
    assert_delivered(EVENT(",\"username\":\"ada\""), RG_FORMAT_AUTO, 0, 1);
    assert_delivered(
        "{\"username\":\"ada\",\"type\":\"chat\",\"id\":\"1\",\"specversion\":\"1.0\"}",
        RG_FORMAT_AUTO, 0, 1);
    assert_refused("{\"username\":\"ada\",\"specversion\":\"9\"}", RG_FORMAT_AUTO, RG_EINVAL,
                   "specversion must be");
    assert_refused("{\"username\":\"ada\",\"cloudEventsVersion\":\"0.1\"}", RG_FORMAT_AUTO,
                   RG_EINVAL, "eventType is missing");
    assert_refused(EVENT(",\"username\":\"ada\"] "), RG_FORMAT_AUTO, RG_ESYNTAX, "expected");
    /* A type and an id alone claim nothing. */
    assert_delivered("{\"username\":\"ada\",\"type\":\"chat\",\"id\":\"1\"}", RG_FORMAT_AUTO, 1, 0);
}

static void the_format_of_a_topic_has_the_last_word(void **state)
{
    (void)state;
    join(0, "user:ada");
    subscribe(1, "chat");
    assert_delivered(EVENT(",\"username\":\"ada\""), RG_FORMAT_MESSAGES, 1, 0);
    assert_delivered(EVENT(",\"username\":\"ada\""), RG_FORMAT_CLOUDEVENTS, 0, 1);
    assert_refused(EVENT(",\"username\":\"ada\""), RG_FORMAT_NO_EVENT, RG_EINVAL, "content type");
    assert_refused("{\"username\":\"ada\"}", RG_FORMAT_CLOUDEVENTS, RG_EINVAL, "specversion");
    assert_refused(EVENT(""), RG_FORMAT_MESSAGES, RG_EINVAL, "neither a username nor a role");
}

static void what_is_neither_is_refused_with_the_reason(void **state)
{
    static const struct {
        const char *text;
        int err;
        const char *what;
    } cases[] = {
        {"not-json", RG_ESYNTAX, "expected a value"},
        {"{\"username\":\"ada\"", RG_ESYNTAX, "ends too early"},
        {"{\"payload\":1}", RG_EINVAL, "neither an event"},
        {"[1]", RG_EINVAL, "not an array"},
        {"\"s\"", RG_EINVAL, "not a string"},
        {"{\"username\":true}", RG_EINVAL, "not a boolean"},
        {"{\"username\":\"ada\",\"roles\":[1]}", RG_EINVAL, "not a number"},
        {"", RG_ESYNTAX, "ends too early"},
    };

    (void)state;
    join(0, "user:ada");
    for (size_t i = 0; i < RG_COUNT_OF(cases); i++)
        assert_refused(cases[i].text, RG_FORMAT_AUTO, cases[i].err, cases[i].what);
    assert_refused("[1]", RG_FORMAT_MESSAGES, RG_EINVAL, "not an array");
}

static void without_room_for_all_nobody_gets_any_of_it(void **state)
{
    static const char text[] = "{\"username\":\"ada\",\"roles\":[\"vip\"]}";

    (void)state;
    join(0, "user:ada");
    join(1, "role:vip");
    reactors[1].inbox.max_bytes = 1;
    assert_int_equal(rg_dispatch_record(dispatcher, RG_STR("{\"roles\":\"vip\"}"), RG_FORMAT_AUTO,
                                        &origin, NULL),
                     0);
    for (enum rg_format format = RG_FORMAT_AUTO; format <= RG_FORMAT_MESSAGES; format += 2) {
        assert_int_equal(rg_dispatch_record(dispatcher, rg_str_c(text), format, &origin, NULL),
                         RG_EAGAIN);
        assert_int_equal(atomic_load(&reactors[0].inbox.queued_bytes), 0);
    }
    /* Who is not concerned by it is not held up. */
    assert_int_equal(rg_dispatch_record(dispatcher, RG_STR("{\"username\":\"ada\"}"),
                                        RG_FORMAT_AUTO, &origin, NULL),
                     0);
    turn();
    assert_delivered(text, RG_FORMAT_AUTO, 1, 1);
}

static void a_message_counts_the_reactors_that_it_reaches(void **state)
{
    const struct rg_str topics[] = {RG_STR("user:ada"), RG_STR("role:vip"), RG_STR("role:none")};

    (void)state;
    assert_int_equal(rg_dispatch_message(push, topics, 3, RG_STR("5"), &origin), 0);
    join(0, "user:ada");
    join(0, "role:vip");
    join(1, "role:vip");
    assert_int_equal(rg_dispatch_message(push, topics, 1, RG_STR("5"), &origin), 1);
    assert_int_equal(rg_dispatch_message(push, topics, 3, RG_STR("5"), &origin), 2);
    assert_int_equal(rg_dispatch_message(push, topics, 0, RG_STR("5"), &origin), 0);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_message_goes_where_its_user_has_joined),
        TEST(a_message_for_several_is_one_on_each_channel),
        TEST(the_payload_is_the_object_without_the_space_around_it),
        TEST(what_claims_to_be_an_event_is_one_or_nothing),
        TEST(the_format_of_a_topic_has_the_last_word),
        TEST(what_is_neither_is_refused_with_the_reason),
        TEST(without_room_for_all_nobody_gets_any_of_it),
        TEST(a_message_counts_the_reactors_that_it_reaches),
    };
    struct rg_problems problems = {0};

    rg_rcu_thread_start();
    rg_match_key_init();
    extractors = rg_extractors_new((struct rg_str){NULL, 0}, &problems);
    rg_assert(extractors != NULL);
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    rg_extractors_free(&extractors);
    rg_rcu_thread_stop();
    return failed;
}
