/*
 * Two hubs without clients; who wants what is written into the interest table by hand. What a
 * dispatch did is read off the inboxes, which the loops empty only when the test says so.
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
#include "event/subscription.h"
#include "push/hub.h"

enum {
    SHARDS = 2
};

static struct rg_extractors *extractors;
static struct rg_push *push;
static struct rg_reactor reactors[SHARDS];
static struct rg_hub *hubs[SHARDS];
static struct rg_subscription_set *sets[SHARDS]; /* in the interest table */
static struct rg_dispatcher *dispatcher;

static const struct rg_origin origin = {RG_SOURCE_KAFKA, 0, 0, 0, -1};

#define FIELD(name, index, pointer)                                                                \
    "\"" name "\":{\"stable_field_index\":" index ",\"event\":{\"json_pointer\":\"" pointer "\"}}"

/* Fields in data, in arrays, among the attributes, and data itself. */
static const char extractors_json[] =
    /* clang-format off */
    "{\"chat\":{"
        FIELD("room", "0", "/data/room") "," FIELD("author", "1", "/data/author") ","
        FIELD("size", "2", "/data/size") "," FIELD("deep", "3", "/data/list/0/deep") ","
        FIELD("id", "4", "/id") "," FIELD("source", "5", "/source") ","
        FIELD("data", "6", "/data") "," FIELD("slash", "7", "/data/a~1b") ","
        FIELD("version", "8", "/specversion") "," FIELD("empty", "9", "/data/") "},"
    "\"one\":{" FIELD("room", "0", "/data/room") "},"
    "\"top\":{" FIELD("subject", "0", "/subject") "," FIELD("old", "1", "/eventID") "}}";
/* clang-format on */

/* ---- the stage ---- */

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

/* Replaces what a reactor wants. */
static void want(unsigned reactor, const char *subscriptions)
{
    struct rg_subscription_set *set = sets[reactor];
    struct rg_why why = {0};

    for (size_t i = 0; set != NULL && i < set->keys_n; i++)
        rg_interest_remove(push->interest, reactor, &set->keys[i]);
    rg_subscription_set_free(&sets[reactor]);
    if (subscriptions == NULL)
        return;
    if (rg_subscription_parse(extractors, rg_str_c(subscriptions), false, 100, &sets[reactor],
                              &why) < 0)
        fail_msg("%s: %s: %s", subscriptions, why.place, why.text);
    for (size_t i = 0; i < sets[reactor]->keys_n; i++)
        assert_int_equal(rg_interest_add(push->interest, reactor, &sets[reactor]->keys[i]), 0);
}

static int teardown(void **state)
{
    (void)state;
    turn();
    rg_dispatcher_free(&dispatcher);
    for (unsigned i = 0; i < SHARDS; i++) {
        want(i, NULL);
        rg_hub_free(&hubs[i]);
        rg_reactor_done(&reactors[i]);
    }
    assert_int_equal(rg_interest_count(push->interest), 0);
    rg_push_free(&push);
    rg_rcu_barrier();
    return 0;
}

/* What one dispatch did. */
struct outcome {
    int err;
    size_t bytes[SHARDS]; /* put into each inbox; 0: nothing */
    bool is_delivered;    /* into at least one */
    struct rg_envelope envelope;
    struct rg_why why;
};

static struct outcome dispatch(struct rg_str text, enum rg_care care)
{
    struct outcome outcome = {0};
    size_t before[SHARDS];

    for (unsigned i = 0; i < SHARDS; i++)
        before[i] = atomic_load(&reactors[i].inbox.queued_bytes);
    outcome.err = rg_dispatch(dispatcher, text, care, &origin, &outcome.envelope, &outcome.why);
    for (unsigned i = 0; i < SHARDS; i++) {
        outcome.bytes[i] = atomic_load(&reactors[i].inbox.queued_bytes) - before[i];
        outcome.is_delivered |= outcome.bytes[i] > 0;
    }
    return outcome;
}

static bool is_delivered(const char *text, enum rg_care care)
{
    struct outcome outcome = dispatch(rg_str_c(text), care);

    if (outcome.err != 0)
        fail_msg("%s: %s: %s", text, outcome.why.place, outcome.why.text);
    return outcome.is_delivered;
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

/* ---- one by one ---- */

#define HEAD           "{\"specversion\":\"1.0\",\"type\":\"chat\",\"id\":\"1\",\"source\":\"/s\","
#define EVENT_IN(room) HEAD "\"data\":{\"room\":\"" room "\"}}"
#define WANT_BLUE      "[{\"eventType\":\"chat\",\"oneOf\":[{\"room\":\"blue\"}]}]"

static void who_wants_an_event_gets_it_with_either_care(void **state)
{
    (void)state;
    want(1, WANT_BLUE);
    for (enum rg_care care = RG_CHECK_ALL; care <= RG_CHECK_ENVELOPE; care++) {
        struct outcome outcome = dispatch(RG_STR(EVENT_IN("blue")), care);
        assert_int_equal(outcome.err, 0);
        assert_int_equal(outcome.bytes[0], 0);
        assert_true(outcome.bytes[1] > 0);
        assert_true(rg_str_eq(outcome.envelope.type, RG_STR("chat")));
        assert_true(rg_str_eq(outcome.envelope.text, RG_STR(EVENT_IN("blue"))));
        assert_false(is_delivered(EVENT_IN("red"), care));
    }
    assert_int_equal(rg_counters_get(hubs[1]->counters, RG_HUB_EVENTS), 0);
    turn();
    assert_int_equal(rg_counters_get(hubs[1]->counters, RG_HUB_EVENTS), 2);
    assert_int_equal(rg_counters_get(hubs[0]->counters, RG_HUB_EVENTS), 0);
}

static void a_glance_does_not_notice_a_malformed_rest_that_nobody_wants(void **state)
{
    static const char *const texts[] = {
        /* Nobody wants the type; nobody wants what the fields say. */
        "{\"specversion\":\"1.0\",\"type\":\"other\",\"id\":\"1\",\"rest\":!",
        HEAD "\"data\":{\"room\":\"red\",\"rest\":!",
    };

    (void)state;
    want(0, WANT_BLUE);
    for (size_t i = 0; i < RG_COUNT_OF(texts); i++) {
        assert_int_equal(dispatch(rg_str_c(texts[i]), RG_CHECK_ALL).err, RG_ESYNTAX);
        struct outcome outcome = dispatch(rg_str_c(texts[i]), RG_CHECK_ENVELOPE);
        assert_int_equal(outcome.err, 0);
        assert_false(outcome.is_delivered);
        assert_null(outcome.envelope.text.p);
    }
}

static void a_malformed_rest_of_a_wanted_event_is_refused_with_the_reason(void **state)
{
    (void)state;
    want(0, WANT_BLUE);
    for (enum rg_care care = RG_CHECK_ALL; care <= RG_CHECK_ENVELOPE; care++) {
        struct outcome outcome = dispatch(RG_STR(HEAD "\"data\":{\"room\":\"blue\"}]"), care);
        assert_int_equal(outcome.err, RG_ESYNTAX);
        assert_false(outcome.is_delivered);
        assert_non_null(strstr(outcome.why.text, "expected ',' or '}'"));
    }
}

static void a_glance_reads_on_where_attributes_come_late(void **state)
{
    (void)state;
    want(0, WANT_BLUE);
    assert_true(is_delivered("{\"data\":{\"room\":\"blue\"},\"id\":\"1\",\"type\":\"chat\","
                             "\"specversion\":\"1.0\"}",
                             RG_CHECK_ENVELOPE));
    assert_true(is_delivered("{\"cloudEventsVersion\":\"0.1\",\"eventType\":\"chat\","
                             "\"eventID\":\"1\",\"data\":{\"room\":\"blue\"}}",
                             RG_CHECK_ENVELOPE));
    assert_true(is_delivered("{\"specversion\":\"1.0\",\"id\":\"1\",\"type\":\"ch\\u0061t\","
                             "\"data\":{\"room\":\"blue\"}}",
                             RG_CHECK_ENVELOPE));
}

static void a_glance_looks_into_json_in_a_string(void **state)
{
    (void)state;
    want(0, WANT_BLUE);
    assert_true(is_delivered(HEAD "\"data\":\"{\\\"room\\\":\\\"blue\\\"}\","
                                  "\"datacontenttype\":\"application/json\"}",
                             RG_CHECK_ENVELOPE));
    assert_false(is_delivered(HEAD "\"data\":\"{\\\"room\\\":\\\"blue\\\"}\"}", RG_CHECK_ENVELOPE));
}

static void without_room_nothing_happens_and_nothing_is_counted(void **state)
{
    (void)state;
    want(0, WANT_BLUE);
    want(1, WANT_BLUE);
    reactors[1].inbox.max_bytes = 100;
    assert_true(is_delivered(EVENT_IN("blue"), RG_CHECK_ENVELOPE));
    for (enum rg_care care = RG_CHECK_ALL; care <= RG_CHECK_ENVELOPE; care++) {
        struct outcome outcome = dispatch(RG_STR(EVENT_IN("blue")), care);
        assert_int_equal(outcome.err, RG_EAGAIN);
        assert_false(outcome.is_delivered);
    }
    assert_false(is_delivered(EVENT_IN("red"), RG_CHECK_ENVELOPE));
    assert_exposed("rig_consumed_events_forwarded_total{type=\"chat\"} 1\n");
    turn();
    assert_true(is_delivered(EVENT_IN("blue"), RG_CHECK_ENVELOPE));
    assert_exposed("rig_consumed_events_forwarded_total{type=\"chat\"} 2\n");
}

/* ---- batches ---- */

static int dispatch_batch(const char *text, size_t *ret_n, struct rg_why *why)
{
    int checked = rg_dispatch_check_batch(dispatcher, rg_str_c(text), why);
    int err = rg_dispatch_batch(dispatcher, rg_str_c(text), &origin, ret_n, why);

    if (err != RG_EAGAIN)
        assert_int_equal(checked, err);
    return err;
}

static void a_batch_goes_to_whoever_wants_one_of_its_events(void **state)
{
    struct rg_why why = {0};
    size_t n = 0;

    (void)state;
    want(0, WANT_BLUE);
    want(1, "[{\"eventType\":\"chat\"}]");
    assert_int_equal(
        dispatch_batch("[" EVENT_IN("red") ",\n" EVENT_IN("blue") "," EVENT_IN("blue") "]", &n,
                       &why),
        0);
    assert_int_equal(n, 3);
    assert_int_equal(dispatch_batch(" [ ] ", &n, &why), 0);
    assert_int_equal(n, 0);
    turn();
    assert_int_equal(rg_counters_get(hubs[0]->counters, RG_HUB_EVENTS), 2);
    assert_int_equal(rg_counters_get(hubs[1]->counters, RG_HUB_EVENTS), 3);
}

static void one_bad_event_keeps_the_whole_batch_back(void **state)
{
    static const struct {
        const char *text, *place;
    } cases[] = {
        {"[" EVENT_IN("blue") "," EVENT_IN("blue") ",{}]", "index 2"},
        {"[5," EVENT_IN("blue") "]", "index 0"},
        {"[" EVENT_IN("blue") ",]", "byte "},
        {"[" EVENT_IN("blue") "] x", "byte "},
        {EVENT_IN("blue"), ""},
    };

    (void)state;
    want(0, WANT_BLUE);
    for (size_t i = 0; i < RG_COUNT_OF(cases); i++) {
        struct rg_why why = {0};
        size_t n;
        assert_true(dispatch_batch(cases[i].text, &n, &why) < 0);
        assert_true(rg_str_starts_with(rg_str_c(why.place), rg_str_c(cases[i].place)));
        assert_string_not_equal(why.text, "");
    }
    assert_int_equal(atomic_load(&reactors[0].inbox.queued_bytes), 0);
}

static void a_batch_without_room_for_all_is_not_begun(void **state)
{
    struct rg_why why = {0};
    size_t n;

    (void)state;
    want(0, "[{\"eventType\":\"other\"}]");
    want(1, WANT_BLUE);
    /* The first event could go, the second could not. */
    reactors[1].inbox.max_bytes = 0;
    assert_true(is_delivered(EVENT_IN("blue"), RG_CHECK_ALL));
    assert_int_equal(
        dispatch_batch(
            "[{\"specversion\":\"1.0\",\"type\":\"other\",\"id\":\"1\"}," EVENT_IN("blue") "]", &n,
            &why),
        RG_EAGAIN);
    assert_int_equal(atomic_load(&reactors[0].inbox.queued_bytes), 0);
    turn();
    assert_int_equal(rg_counters_get(hubs[1]->counters, RG_HUB_EVENTS), 1);
}

static void a_batch_has_a_limit(void **state)
{
    struct rg_buf text = {0};
    struct rg_why why = {0};
    size_t n = 0;

    (void)state;
    for (int i = 0; i < RG_MAX_BATCH; i++)
        rg_buf_addf(&text, "%c" EVENT_IN("red"), i == 0 ? '[' : ',');
    rg_buf_add_c(&text, "]");
    rg_buf_add_char(&text, '\0');
    assert_int_equal(dispatch_batch(text.p, &n, &why), 0);
    assert_int_equal(n, RG_MAX_BATCH);
    text.n -= 2;
    rg_buf_add_c(&text, "," EVENT_IN("red") "]");
    rg_buf_add_char(&text, '\0');
    assert_int_equal(dispatch_batch(text.p, &n, &why), RG_EFULL);
    rg_buf_done(&text);
}

/* ---- the same with either care, for whatever comes ---- */

static uint64_t random_state = 1;

static unsigned below(unsigned bound)
{
    random_state = random_state * 6364136223846793005ULL + 1442695040888963407ULL;
    return (unsigned)(random_state >> 33) % bound;
}

static bool one_in(unsigned n)
{
    return below(n) == 0;
}

#define PICK(array) ((array)[below(RG_COUNT_OF(array))])

/* Few and often equal, so that events match. */
static const char *const scalars[] = {"\"blue\"",
                                      "\"blue\"",
                                      "\"blue\"",
                                      "\"bl\\u0075e\"",
                                      "\"red\"",
                                      "\"\"",
                                      "\"30\"",
                                      "30",
                                      "30",
                                      "30.0",
                                      "3e1",
                                      "-0",
                                      "0.0",
                                      "1e400",
                                      "true",
                                      "false",
                                      "\"1.0\"",
                                      "\"/s\"",
                                      "\"\\ud83d\\ude00\""};
static const char *const others[] = {
    "null", "[]", "{}", "[\"blue\"]", "{\"deep\":\"blue\"}", "[{\"deep\":\"blue\"}]"};
static const char *const types[] = {"chat", "chat", "chat", "one", "top", "bare"};

static const char *scalar(void)
{
    return one_in(2) ? scalars[below(3)] : PICK(scalars);
}

static void add_space(struct rg_buf *out)
{
    static const char *const spaces[] = {" ", "\n", "\t", "\r\n  "};

    if (one_in(20))
        rg_buf_add_c(out, PICK(spaces));
}

/* Plain text (without quotes and control bytes) as a JSON string, now and then with escapes. */
static void add_string(struct rg_buf *out, const char *plain)
{
    bool has_escapes = one_in(15);

    rg_buf_add_char(out, '"');
    for (; *plain != '\0'; plain++) {
        if (has_escapes && one_in(3))
            rg_buf_addf(out, one_in(2) ? "\\u%04x" : "\\u%04X", (unsigned char)*plain);
        else
            rg_buf_add_char(out, *plain);
    }
    rg_buf_add_char(out, '"');
}

/* The members of one object, in the order in which they will stand. */
struct members {
    struct rg_buf texts[32];
    size_t n;
};

/* The member that comes next, with its name; its value is for the caller to add. */
static struct rg_buf *add_member(struct members *members, const char *name)
{
    struct rg_buf *text = &members->texts[members->n++];

    assert_true(members->n <= RG_COUNT_OF(members->texts));
    add_space(text);
    add_string(text, name);
    add_space(text);
    rg_buf_add_char(text, ':');
    add_space(text);
    return text;
}

/* Writes the members as an object, most often in another order, and empties them. */
static void end_members(struct members *members, struct rg_buf *out)
{
    bool is_shuffled = one_in(2);

    for (size_t i = members->n; is_shuffled && i > 1; i--) {
        size_t other = below((unsigned)i);
        struct rg_buf text = members->texts[i - 1];
        members->texts[i - 1] = members->texts[other];
        members->texts[other] = text;
    }
    rg_buf_add_char(out, '{');
    for (size_t i = 0; i < members->n; i++) {
        if (i > 0)
            rg_buf_add_char(out, ',');
        rg_buf_add_str(out, rg_buf_str(&members->texts[i]));
        add_space(out);
        rg_buf_done(&members->texts[i]);
    }
    rg_buf_add_char(out, '}');
    members->n = 0;
}

static void add_data_object(struct rg_buf *out)
{
    static const char *const names[] = {"room", "author", "size", "a/b", "", "more", "list"};
    struct members members = {0};

    for (size_t i = 0; i < RG_COUNT_OF(names); i++) {
        for (bool again = !one_in(3); again; again = one_in(12)) {
            struct rg_buf *text = add_member(&members, names[i]);
            const char *value = one_in(8) ? PICK(others) : scalar();
            if (strcmp(names[i], "list") == 0 && !one_in(5))
                rg_buf_addf(text, "[{\"deep\":%s},%s]", value, scalar());
            else
                rg_buf_add_c(text, value);
            if (members.n > 24)
                break;
        }
    }
    end_members(&members, out);
}

/* An object, or its text in a string, or anything else. */
static void add_data(struct rg_buf *out)
{
    struct rg_buf text = {0};
    unsigned form = below(20);

    add_data_object(&text);
    if (form < 13) {
        rg_buf_add_str(out, rg_buf_str(&text));
    } else if (form < 18) {
        if (one_in(6))
            text.n -= 1 + below((unsigned)text.n / 2);
        rg_json_add_string(out, rg_buf_str(&text));
    } else {
        rg_buf_add_c(out, one_in(2) ? PICK(others) : scalar());
    }
    rg_buf_done(&text);
}

/* A value that should be a string with this content. */
static void add_attribute(struct members *members, const char *name, const char *value)
{
    if (one_in(40))
        return;
    for (bool again = true; again; again = one_in(25) && members->n < 24) {
        struct rg_buf *text = add_member(members, name);
        if (one_in(40))
            rg_buf_add_c(text, one_in(2) ? PICK(others) : scalar());
        else
            add_string(text, value);
        value = one_in(2) ? value : "1.0";
    }
}

static void add_extras(struct members *members)
{
    static const char *const names[] = {"subject",   "type",        "id",   "specversion",
                                        "eventType", "contentType", "time", "cloudEventsVersion",
                                        "eventID",   "extension"};
    for (unsigned left = below(3); left > 0 && members->n < 28; left--) {
        struct rg_buf *text = add_member(members, PICK(names));
        if (one_in(3))
            add_data(text);
        else
            rg_buf_add_c(text, scalar());
    }
}

/* An event, which may have any of the flaws that one can have and still be JSON. */
static void add_event(struct rg_buf *out)
{
    static const char *const content_types[] = {"application/json", "APPLICATION/x+JSON;a=b",
                                                "text/plain"};
    static char long_type[RG_CE_MAX_TYPE + 2];
    struct members members = {0};
    unsigned version = below(10);
    const char *type = PICK(types);

    if (one_in(200)) {
        memset(long_type, 't', RG_CE_MAX_TYPE + below(2));
        type = long_type;
    }
    if (version < 8) {
        add_attribute(&members, "specversion", version < 6 ? "1.0" : "0.2");
        add_attribute(&members, "type", type);
        add_attribute(&members, "id", one_in(2) ? "blue" : "1");
    } else {
        add_attribute(&members, "cloudEventsVersion", version == 8 ? "0.1" : "0.2");
        add_attribute(&members, "eventType", type);
        add_attribute(&members, "eventID", one_in(2) ? "blue" : "1");
    }
    add_attribute(&members, "source", one_in(2) ? "/s" : "blue");
    if (one_in(2))
        add_attribute(&members,
                      version < 6   ? "datacontenttype"
                      : version < 8 ? "contenttype"
                                    : "contentType",
                      PICK(content_types));
    add_extras(&members);
    if (!one_in(10))
        add_data(add_member(&members, "data"));
    end_members(&members, out);
}

/* Cuts the text off, or changes, adds or removes a byte somewhere. */
static void garble(struct rg_buf *text)
{
    static const char bytes[] = "\"\\{}[]:,0at \x01\xc3\xff";
    size_t at = below((unsigned)text->n);
    char byte = bytes[below(sizeof(bytes) - 1)];

    switch (below(4)) {
    case 0:
        text->n = at;
        break;
    case 1:
        text->p[at] = byte;
        break;
    case 2:
        rg_buf_add_char(text, '\0');
        memmove(text->p + at + 1, text->p + at, text->n - at - 1);
        text->p[at] = byte;
        break;
    default:
        memmove(text->p + at, text->p + at + 1, text->n - at - 1);
        text->n--;
        break;
    }
}

static void add_constraint(struct rg_buf *out, const char *type)
{
    static const char *const fields[] = {"room", "room",  "author",  "size",  "deep",  "id",
                                         "data", "slash", "version", "empty", "source"};
    static const char *const top_fields[] = {"subject", "old"};

    rg_buf_add_char(out, '{');
    for (unsigned i = 0, n = below(4); i < n; i++)
        rg_buf_addf(out, "%s\"%s\":%s", i > 0 ? "," : "",
                    strcmp(type, "top") == 0 ? PICK(top_fields) : PICK(fields),
                    one_in(20) ? PICK(others) : scalar());
    rg_buf_add_char(out, '}');
}

/* The subscriptions of one reactor, for a few types. */
static void add_subscriptions(struct rg_buf *out)
{
    unsigned n = below(3);

    rg_buf_add_char(out, '[');
    for (unsigned i = 0; i < n; i++) {
        const char *type = PICK(types);
        rg_buf_addf(out, "%s{\"eventType\":\"%s\",\"oneOf\":[", i > 0 ? "," : "", type);
        for (unsigned k = 0, clauses = one_in(8) ? 0 : 1 + below(3); k < clauses; k++) {
            rg_buf_add_c(out, k > 0 ? "," : "");
            add_constraint(out, type);
        }
        rg_buf_add_c(out, "]}");
    }
    rg_buf_add_char(out, ']');
}

/* How often each case came up: a test in which one never does proves nothing. */
static struct {
    unsigned delivered, unwanted, refused, unnoticed;
} cases;

static void assert_same_with_either_care(struct rg_str text, const char *const wanted[SHARDS])
{
    struct outcome all = dispatch(text, RG_CHECK_ALL);
    struct rg_envelope expected = all.envelope;
    char type[RG_CE_MAX_TYPE];
    bool is_same;

    /* The envelope is valid until the next call. */
    if (all.is_delivered)
        memcpy(type, expected.type.p, expected.type.n);
    expected.type.p = type;
    struct outcome glanced = dispatch(text, RG_CHECK_ENVELOPE);

    if (all.err < 0)
        is_same = !glanced.is_delivered && (glanced.err == 0 || glanced.err == all.err);
    else
        is_same = glanced.err == 0 && memcmp(glanced.bytes, all.bytes, sizeof(all.bytes)) == 0;
    if (is_same && all.is_delivered)
        is_same = glanced.envelope.version == expected.version &&
                  rg_str_eq(glanced.envelope.type, expected.type) &&
                  rg_str_eq(glanced.envelope.text, text);
    if (!is_same)
        fail_msg("%.*s\nwanted: %s and %s\nall: %d, %zu and %zu bytes\n"
                 "glance: %d, %zu and %zu bytes",
                 RG_STR_ARG(text), wanted[0], wanted[1], all.err, all.bytes[0], all.bytes[1],
                 glanced.err, glanced.bytes[0], glanced.bytes[1]);
    cases.delivered += all.is_delivered;
    cases.unwanted += all.err == 0 && !all.is_delivered;
    cases.refused += all.err < 0;
    cases.unnoticed += all.err < 0 && glanced.err == 0;
}

static void either_care_delivers_the_same_events(void **state)
{
    struct rg_buf text = {0}, subscriptions[SHARDS] = {{0}};
    const char *wanted[SHARDS];

    (void)state;
    for (int round = 0; round < 300; round++) {
        for (unsigned i = 0; i < SHARDS; i++) {
            rg_buf_clear(&subscriptions[i]);
            add_subscriptions(&subscriptions[i]);
            rg_buf_add_char(&subscriptions[i], '\0');
            wanted[i] = subscriptions[i].p;
            want(i, wanted[i]);
        }
        for (int i = 0; i < 60; i++) {
            rg_buf_clear(&text);
            add_event(&text);
            if (one_in(4))
                garble(&text);
            assert_same_with_either_care(rg_buf_str(&text), wanted);
        }
        turn();
    }
    print_message("%u delivered, %u unwanted, %u refused (%u unnoticed at a glance)\n",
                  cases.delivered, cases.unwanted, cases.refused, cases.unnoticed);
    assert_true(cases.delivered > 1000 && cases.unwanted > 1000);
    assert_true(cases.refused > 1000 && cases.unnoticed > 200);
    rg_buf_done(&text);
    for (unsigned i = 0; i < SHARDS; i++)
        rg_buf_done(&subscriptions[i]);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(who_wants_an_event_gets_it_with_either_care),
        TEST(a_glance_does_not_notice_a_malformed_rest_that_nobody_wants),
        TEST(a_malformed_rest_of_a_wanted_event_is_refused_with_the_reason),
        TEST(a_glance_reads_on_where_attributes_come_late),
        TEST(a_glance_looks_into_json_in_a_string),
        TEST(without_room_nothing_happens_and_nothing_is_counted),
        TEST(a_batch_goes_to_whoever_wants_one_of_its_events),
        TEST(one_bad_event_keeps_the_whole_batch_back),
        TEST(a_batch_without_room_for_all_is_not_begun),
        TEST(a_batch_has_a_limit),
        TEST(either_care_delivers_the_same_events),
    };
    struct rg_problems problems = {0};

    rg_rcu_thread_start();
    rg_match_key_init();
    extractors = rg_extractors_new(rg_str_c(extractors_json), &problems);
    rg_assert(extractors != NULL);
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    rg_extractors_free(&extractors);
    rg_rcu_thread_stop();
    return failed;
}
