/*
 * From subscription JSON and event JSON to "received" or not, through everything in between:
 * envelope, interest table, index. The numbers are those of client-api.md section 19.
 */
#include "fixture.h"

#include <stdio.h>

#include "base/alloc.h"
#include "base/rcu.h"
#include "event/envelope.h"
#include "event/index.h"

static struct rg_extractors *extractors;

/* One subscriber and what it takes to ask whether an event reaches it. */
struct world {
    struct rg_interest *interest;
    struct rg_index *index;
    struct rg_subscriber subscriber;
    struct rg_projector *projector;
    struct rg_match_key_builder builder;
    struct rg_buf scratch;
};

static void world_init(struct world *w, const char *subscriptions)
{
    RG_CLEANUP(rg_subscription_set_free)
    struct rg_subscription_set *set = fixture_set(extractors, subscriptions);

    *w = (struct world){.interest = rg_interest_new()};
    w->index = rg_index_new(w->interest, 5);
    w->projector = rg_projector_new(rg_extractors_projection(extractors));
    assert_int_equal(rg_index_set(w->index, &w->subscriber, set), 0);
}

static void world_done(struct world *w)
{
    rg_index_leave(w->index, &w->subscriber);
    rg_index_free(&w->index);
    rg_interest_free(&w->interest);
    rg_projector_free(&w->projector);
    rg_buf_done(&w->builder.text);
    rg_buf_done(&w->scratch);
}

/* How many keys lead an event to the subscriber; both tables must agree. */
static size_t world_ask(struct world *w, const char *event)
{
    struct rg_interest_match matches[RG_MAX_FIELD_SETS];
    struct rg_envelope envelope;
    struct rg_why why = {0};
    size_t n, slots_n;

    if (rg_envelope_parse(w->projector, rg_str_c(event), &w->scratch, &envelope, &why) < 0)
        fail_msg("%s: %s", event, why.text);
    n = rg_interest_match(w->interest, envelope.type, rg_extractors_find(extractors, envelope.type),
                          w->projector, &w->builder, matches);
    for (size_t i = 0; i < n; i++) {
        const struct rg_index_slot *slots = rg_index_find(w->index, matches[i].key, &slots_n);
        assert_int_equal(matches[i].reactors, 1 << 5);
        assert_int_equal(slots_n, 1);
        assert_ptr_equal(slots[0].subscriber, &w->subscriber);
    }
    return n;
}

#define EV(type, data)                                                                             \
    "{\"specversion\":\"0.2\",\"type\":\"" type "\",\"source\":\"/t\",\"id\":\"1\",\"data\":" data \
    "}"
#define CHAT(data)  EV("chat.posted", data)
#define SUB(one_of) "[{\"eventType\":\"chat.posted\",\"oneOf\":" one_of "}]"
#define MAX_EVENTS  10

static const struct {
    const char *name, *subscriptions;
    const char *received[MAX_EVENTS];
    const char *not_received[MAX_EVENTS];
} cases[] = {
    {"client-api 70: type alone",
     "[{\"eventType\":\"chat.posted\"}]",
     {CHAT("{}"), CHAT("null"), CHAT("\"hello\"")},
     {EV("chat.posted.x", "{}"), EV("Chat.posted", "{}"), EV("chat", "{}")}},
    {"client-api 71: one string",
     SUB("[{\"room\":\"blue\"}]"),
     {CHAT("{\"room\":\"blue\"}"), CHAT("{\"room\":\"bl\\u0075e\",\"more\":1}")},
     {CHAT("{\"room\":\"Blue\"}"), CHAT("{\"room\":\"blue \"}"), CHAT("{\"room\":null}"),
      CHAT("{}"), CHAT("{\"room\":[\"blue\"]}"), CHAT("{\"room\":{\"x\":\"blue\"}}"),
      EV("chat", "{\"room\":\"blue\"}")}},
    {"client-api 72: two fields of one constraint",
     SUB("[{\"room\":\"blue\",\"author\":\"ada\"}]"),
     {CHAT("{\"room\":\"blue\",\"author\":\"ada\"}"),
      CHAT("{\"author\":\"ada\",\"size\":1,\"room\":\"blue\"}")},
     {CHAT("{\"room\":\"blue\",\"author\":\"bob\"}"), CHAT("{\"room\":\"blue\"}"),
      CHAT("{\"room\":\"red\",\"author\":\"ada\"}"), CHAT("{\"author\":\"ada\"}"),
      CHAT("{\"room\":\"ada\",\"author\":\"blue\"}")}},
    {"client-api 73: two constraints",
     SUB("[{\"room\":\"blue\"},{\"author\":\"ada\"}]"),
     {CHAT("{\"room\":\"blue\"}"), CHAT("{\"author\":\"ada\"}"),
      CHAT("{\"room\":\"blue\",\"author\":\"ada\"}"),
      CHAT("{\"room\":\"red\",\"author\":\"ada\"}")},
     {CHAT("{\"room\":\"ada\",\"author\":\"blue\"}"), CHAT("{}")}},
    {"client-api 74: number",
     SUB("[{\"size\":30}]"),
     {CHAT("{\"size\":30}"), CHAT("{\"size\":30.0}"), CHAT("{\"size\":3e1}")},
     {CHAT("{\"size\":\"30\"}"), CHAT("{\"size\":31}"), CHAT("{\"size\":true}")}},
    {"client-api 75: true",
     SUB("[{\"urgent\":true}]"),
     {CHAT("{\"urgent\":true}")},
     {CHAT("{\"urgent\":\"true\"}"), CHAT("{\"urgent\":1}"), CHAT("{\"urgent\":false}")}},
    {"client-api 75: false",
     SUB("[{\"urgent\":false}]"),
     {CHAT("{\"urgent\":false}")},
     {CHAT("{}"), CHAT("{\"urgent\":null}"), CHAT("{\"urgent\":0}"), CHAT("{\"urgent\":\"\"}")}},
    {"client-api 76: null is a wildcard",
     SUB("[{\"room\":null}]"),
     {CHAT("{}"), CHAT("{\"room\":\"blue\"}"), CHAT("{\"room\":null}"), CHAT("5")},
     {EV("chat", "{}")}},
    {"client-api 76: so is an empty constraint",
     SUB("[{}]"),
     {CHAT("{}"), CHAT("{\"room\":\"blue\"}"), CHAT("null")},
     {EV("chat", "{}")}},
    {"client-api 77: unknown field",
     SUB("[{\"rooom\":\"blue\"}]"),
     {CHAT("{}"), CHAT("{\"room\":\"red\"}"), CHAT("{\"rooom\":\"red\"}")},
     {EV("chat", "{}")}},
    {"client-api 78: unknown and known field",
     SUB("[{\"rooom\":\"x\",\"room\":\"blue\"}]"),
     {CHAT("{\"room\":\"blue\"}")},
     {CHAT("{\"room\":\"red\"}"), CHAT("{\"rooom\":\"x\"}")}},
    {"client-api 79: array never matches",
     SUB("[{\"room\":[\"blue\"]}]"),
     {0},
     {CHAT("{\"room\":[\"blue\"]}"), CHAT("{\"room\":\"blue\"}"), CHAT("{}")}},
    {"client-api 80: attribute of the envelope",
     "[{\"eventType\":\"top.level\",\"oneOf\":[{\"subj\":\"s1\"}]}]",
     {"{\"specversion\":\"0.2\",\"type\":\"top.level\",\"source\":\"/t\",\"id\":\"1\","
      "\"subject\":\"s1\"}"},
     {"{\"specversion\":\"0.2\",\"type\":\"top.level\",\"source\":\"/t\",\"id\":\"1\","
      "\"subject\":\"s2\"}",
      EV("top.level", "{\"subject\":\"s1\"}")}},
    {"client-api 81: data is not an object",
     SUB("[{\"room\":\"blue\"}]"),
     {CHAT("{\"room\":\"blue\"}")},
     {CHAT("\"hello\""), CHAT("null"), CHAT("[\"blue\"]"), CHAT("7")}},
    {"client-api 82: contenttype does not hide data",
     SUB("[{\"room\":\"blue\"}]"),
     {"{\"specversion\":\"0.2\",\"type\":\"chat.posted\",\"source\":\"/t\",\"id\":\"1\","
      "\"contenttype\":\"application/json\",\"data\":{\"room\":\"blue\"}}"},
     {0}},
};

static void subscriptions_receive_what_they_ask_for(void **state)
{
    struct world w;

    (void)state;
    for (size_t i = 0; i < RG_COUNT_OF(cases); i++) {
        world_init(&w, cases[i].subscriptions);
        for (size_t k = 0; k < MAX_EVENTS && cases[i].received[k] != NULL; k++) {
            if (world_ask(&w, cases[i].received[k]) == 0)
                fail_msg("%s: not received: %s", cases[i].name, cases[i].received[k]);
        }
        for (size_t k = 0; k < MAX_EVENTS && cases[i].not_received[k] != NULL; k++) {
            if (world_ask(&w, cases[i].not_received[k]) != 0)
                fail_msg("%s: received: %s", cases[i].name, cases[i].not_received[k]);
        }
        world_done(&w);
    }
}

static void replaced_subscriptions_are_out_of_force(void **state)
{
    RG_CLEANUP(rg_subscription_set_free)
    struct rg_subscription_set *red = fixture_set(extractors, SUB("[{\"room\":\"red\"}]"));
    RG_CLEANUP(rg_subscription_set_free)
    struct rg_subscription_set *none = rg_subscription_set_empty();
    struct world w;

    (void)state;
    world_init(&w, SUB("[{\"room\":\"blue\"}]"));
    assert_int_equal(rg_index_set(w.index, &w.subscriber, red), 0);
    assert_int_equal(world_ask(&w, CHAT("{\"room\":\"blue\"}")), 0);
    assert_int_equal(world_ask(&w, CHAT("{\"room\":\"red\"}")), 1);
    assert_int_equal(rg_index_set(w.index, &w.subscriber, none), 0);
    assert_int_equal(world_ask(&w, CHAT("{\"room\":\"red\"}")), 0);
    world_done(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(subscriptions_receive_what_they_ask_for),
        cmocka_unit_test(replaced_subscriptions_are_out_of_force),
    };

    rg_rcu_thread_start();
    rg_match_key_init();
    extractors = fixture_extractors();
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    rg_extractors_free(&extractors);
    rg_rcu_thread_stop();
    return failed;
}
