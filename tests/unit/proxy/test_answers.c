/* Who waits, on a loop that the test turns itself; then with answers from many threads at once. */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "../net/peer.h"
#include "auth/seal.h"
#include "base/alloc.h"
#include "base/base64.h"
#include "proxy/answers.h"

#define SECRET    RG_STR("of the tests")
#define WAITS     16
#define ANSWERERS 4

static struct rg_reactor reactor;
static struct rg_answers *answers;
static struct rg_answer_room *room;

/* A request that waits. */
struct waiting {
    struct rg_wait *wait;
    struct rg_buf id;
    unsigned answered, timed_out;
    int status;
    struct rg_buf fields, body;
};

static void on_answer(void *arg, const struct rg_answer *answer)
{
    struct waiting *w = arg;

    w->answered++;
    w->status = answer->status;
    rg_buf_clear(&w->fields);
    rg_buf_clear(&w->body);
    for (size_t i = 0; i < answer->fields_n; i++) {
        rg_buf_add_str(&w->fields, answer->fields[i].name);
        rg_buf_add_char(&w->fields, '=');
        rg_buf_add_str(&w->fields, answer->fields[i].value);
        rg_buf_add_char(&w->fields, ';');
    }
    rg_buf_add_str(&w->body, answer->body);
}

static void on_timeout(void *arg)
{
    struct waiting *w = arg;

    w->timed_out++;
}

static const struct rg_wait_events events = {on_answer, on_timeout};

static struct waiting begin(void)
{
    return (struct waiting){0};
}

static void wait_begin(struct waiting *w)
{
    w->wait = rg_wait_begin(room, &events, w, &w->id);
}

static void done(struct waiting *w)
{
    rg_buf_done(&w->id);
    rg_buf_done(&w->fields);
    rg_buf_done(&w->body);
}

static int deliver_to(const struct waiting *w, int status, const char *body)
{
    const struct rg_answer answer = {.status = status, .body = rg_str_c(body)};

    return rg_answers_deliver(answers, rg_buf_str(&w->id), &answer);
}

static int deliver_text(const char *id)
{
    const struct rg_answer answer = {.status = 200};

    return rg_answers_deliver(answers, rg_str_c(id), &answer);
}

static void assert_body(const struct waiting *w, const char *text)
{
    assert_true(rg_str_eq(rg_buf_str(&w->body), rg_str_c(text)));
}

static int setup(void **state)
{
    (void)state;
    peer_reactor_init(&reactor);
    answers = rg_answers_new(SECRET);
    room = rg_answer_room_new(answers, &reactor);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    rg_answer_room_free(&room);
    peer_turn(&reactor);
    assert_int_equal(reactor.wheel.pending, 0);
    rg_answers_free(&answers);
    rg_reactor_done(&reactor);
    return 0;
}

static void who_waits_gets_a_copy_of_the_answer(void **state)
{
    struct waiting w = begin();
    char name[] = "x-a", value[] = "1", body[] = "{ \"b\":1, \"a\":2 }";
    const struct rg_http_field fields[] = {{rg_str_c(name), rg_str_c(value)},
                                           {RG_STR("set-cookie"), RG_STR("")}};
    const struct rg_answer answer = {201, fields, 2, rg_str_c(body)};

    (void)state;
    wait_begin(&w);
    rg_wait_open(w.wait, 5000);
    assert_int_equal(rg_answers_deliver(answers, rg_buf_str(&w.id), &answer), 0);
    name[0] = value[0] = body[0] = '?';
    peer_turn(&reactor);
    assert_int_equal(w.answered, 1);
    assert_int_equal(w.status, 201);
    assert_body(&w, "{ \"b\":1, \"a\":2 }");
    assert_true(rg_str_eq(rg_buf_str(&w.fields), RG_STR("x-a=1;set-cookie=;")));
    peer_let_pass(&reactor, 10000);
    assert_int_equal(w.timed_out, 0);
    done(&w);
}

static void an_early_answer_is_kept_until_the_wait_opens(void **state)
{
    struct waiting w = begin();

    (void)state;
    wait_begin(&w);
    assert_int_equal(deliver_to(&w, 200, "early"), 0);
    peer_turn(&reactor);
    peer_let_pass(&reactor, 60000);
    assert_int_equal(w.answered, 0);
    rg_wait_open(w.wait, 5000);
    assert_int_equal(w.answered, 0); /* not from inside of the call */
    peer_turn(&reactor);
    assert_int_equal(w.answered, 1);
    assert_body(&w, "early");
    done(&w);
}

static void exactly_one_answer_is_used(void **state)
{
    struct waiting open = begin(), early = begin();

    (void)state;
    wait_begin(&open);
    rg_wait_open(open.wait, 5000);
    wait_begin(&early);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(deliver_to(&open, 200 + i, i == 0 ? "first" : "later"), 0);
        assert_int_equal(deliver_to(&early, 200 + i, i == 0 ? "first" : "later"), 0);
    }
    peer_turn(&reactor);
    assert_int_equal(deliver_to(&early, 500, "later"), 0);
    peer_turn(&reactor);
    rg_wait_open(early.wait, 5000);
    peer_turn(&reactor);
    assert_int_equal(open.answered, 1);
    assert_int_equal(early.answered, 1);
    assert_body(&open, "first");
    assert_body(&early, "first");
    assert_int_equal(deliver_to(&open, 200, "late"), 0);
    assert_int_equal(deliver_to(&early, 200, "late"), 0);
    peer_turn(&reactor);
    assert_int_equal(open.answered + early.answered, 2);
    done(&open);
    done(&early);
}

static void without_an_answer_the_time_is_over(void **state)
{
    struct waiting w = begin();

    (void)state;
    wait_begin(&w);
    peer_let_pass(&reactor, 60000);
    assert_int_equal(w.timed_out, 0);
    rg_wait_open(w.wait, 5000);
    peer_move_time(&reactor, 4900);
    assert_int_equal(w.timed_out, 0);
    peer_let_pass(&reactor, 100);
    assert_int_equal(w.timed_out, 1);
    assert_int_equal(deliver_to(&w, 200, "late"), 0);
    peer_turn(&reactor);
    assert_int_equal(w.answered, 0);
    done(&w);
}

static void who_gave_up_hears_nothing(void **state)
{
    struct waiting open = begin(), kept = begin(), never = begin();

    (void)state;
    wait_begin(&open);
    rg_wait_open(open.wait, 1000);
    wait_begin(&kept);
    assert_int_equal(deliver_to(&kept, 200, "x"), 0);
    peer_turn(&reactor);
    rg_wait_open(kept.wait, 1000); /* it would be told at the end of the turn */
    assert_int_equal(deliver_to(&open, 200, "x"), 0);
    rg_wait_cancel(&open.wait);
    rg_wait_cancel(&kept.wait);
    rg_wait_cancel(&never.wait);
    assert_null(open.wait);
    peer_let_pass(&reactor, 5000);
    assert_int_equal(open.answered + open.timed_out + kept.answered + kept.timed_out, 0);
    done(&open);
    done(&kept);
}

static void an_answer_never_reaches_the_next_one_in_the_same_place(void **state)
{
    struct waiting first = begin(), second = begin();

    (void)state;
    wait_begin(&first);
    rg_wait_cancel(&first.wait);
    wait_begin(&second);
    rg_wait_open(second.wait, 5000);
    assert_false(rg_str_eq(rg_buf_str(&first.id), rg_buf_str(&second.id)));
    assert_int_equal(deliver_to(&first, 200, "of the first"), 0);
    peer_turn(&reactor);
    assert_int_equal(second.answered, 0);
    done(&first);
    done(&second);
}

static void an_id_is_short_and_of_harmless_characters(void **state)
{
    struct waiting w = begin();

    (void)state;
    wait_begin(&w);
    assert_true(w.id.n > 40 && w.id.n <= RG_ANSWER_MAX_ID);
    for (size_t i = 0; i < w.id.n; i++)
        assert_non_null(memchr("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-",
                               w.id.p[i], 64));
    done(&w);
}

static void padding_is_accepted(void **state)
{
    struct waiting w = begin();

    (void)state;
    wait_begin(&w);
    rg_wait_open(w.wait, 5000);
    while (w.id.n % 4 != 0)
        rg_buf_add_char(&w.id, '=');
    assert_int_equal(deliver_to(&w, 200, ""), 0);
    peer_turn(&reactor);
    assert_int_equal(w.answered, 1);
    done(&w);
}

static void an_altered_id_reaches_nobody(void **state)
{
    struct waiting w = begin();

    (void)state;
    wait_begin(&w);
    rg_wait_open(w.wait, 5000);
    assert_int_equal(rg_answers_check(answers, rg_buf_str(&w.id)), 0);
    for (size_t i = 0; i < w.id.n; i++) {
        char was = w.id.p[i];
        w.id.p[i] = was == 'A' ? 'B' : 'A';
        int err = deliver_to(&w, 200, "");
        assert_true(err == RG_EINVAL || (err == RG_ESYNTAX && i == w.id.n - 1));
        assert_int_equal(rg_answers_check(answers, rg_buf_str(&w.id)), err);
        w.id.p[i] = was;
    }
    peer_turn(&reactor);
    assert_int_equal(w.answered, 0);
    done(&w);
}

static void what_is_no_id_is_told_by_its_kind(void **state)
{
    struct rg_buf long_one = {0};

    (void)state;
    assert_int_equal(deliver_text("!!!"), RG_ESYNTAX);
    assert_int_equal(deliver_text("a+b/"), RG_ESYNTAX);
    assert_int_equal(deliver_text(""), RG_EINVAL);
    assert_int_equal(deliver_text("AAAA"), RG_EINVAL);
    for (int i = 0; i < 400; i++)
        rg_buf_add_c(&long_one, "AAAA");
    rg_buf_add_char(&long_one, '\0');
    assert_int_equal(deliver_text(long_one.p), RG_EINVAL);
    rg_buf_done(&long_one);
}

static void a_token_for_another_purpose_is_no_id(void **state)
{
    struct rg_seal *seal = rg_seal_new(SECRET, "connection token");
    struct waiting w = begin();
    struct rg_buf token = {0};
    unsigned char payload[RG_SEAL_MAX_PAYLOAD + 16];

    (void)state;
    wait_begin(&w);
    long n = rg_base64url_decode(rg_buf_str(&w.id), payload, sizeof(payload));
    rg_seal_add(seal, payload, (size_t)n - 16, &token);
    rg_buf_add_char(&token, '\0');
    assert_int_equal(deliver_text(token.p), RG_EINVAL);
    rg_buf_done(&token);
    rg_seal_free(&seal);
    done(&w);
}

static void an_id_of_another_start_is_authentic_and_finds_nobody(void **state)
{
    struct rg_answers *before = rg_answers_new(SECRET);
    struct rg_answer_room *old_room = rg_answer_room_new(before, &reactor);
    struct waiting old = begin(), w = begin();

    (void)state;
    old.wait = rg_wait_begin(old_room, &events, &old, &old.id);
    rg_answer_room_free(&old_room);
    rg_answers_free(&before);
    wait_begin(&w);
    rg_wait_open(w.wait, 5000);
    assert_int_equal(deliver_to(&old, 200, ""), 0);
    peer_turn(&reactor);
    assert_int_equal(w.answered + old.answered, 0);
    done(&old);
    done(&w);
}

static void without_a_secret_an_id_of_another_start_is_refused(void **state)
{
    struct rg_answers *one = rg_answers_new(rg_str_n(NULL, 0)), *two = rg_answers_new(RG_STR(""));
    struct rg_answer_room *there = rg_answer_room_new(one, &reactor);
    struct waiting w = begin();

    (void)state;
    w.wait = rg_wait_begin(there, &events, &w, &w.id);
    assert_int_equal(rg_answers_check(one, rg_buf_str(&w.id)), 0);
    assert_int_equal(rg_answers_check(two, rg_buf_str(&w.id)), RG_EINVAL);
    rg_answer_room_free(&there);
    rg_answers_free(&one);
    rg_answers_free(&two);
    done(&w);
}

static void a_status_without_a_body_gets_none(void **state)
{
    static const int statuses[] = {204, 304};

    (void)state;
    for (size_t i = 0; i < RG_COUNT_OF(statuses); i++) {
        struct waiting w = begin();
        wait_begin(&w);
        rg_wait_open(w.wait, 5000);
        assert_int_equal(deliver_to(&w, statuses[i], "body"), 0);
        peer_turn(&reactor);
        assert_int_equal(w.status, statuses[i]);
        assert_int_equal(w.body.n, 0);
        done(&w);
    }
}

static void a_room_that_is_left_tells_nobody_and_takes_nothing(void **state)
{
    struct waiting w = begin(), next = begin();

    (void)state;
    wait_begin(&w);
    rg_wait_open(w.wait, 1000);
    assert_int_equal(deliver_to(&w, 200, "under way"), 0);
    rg_answer_room_free(&room);
    assert_int_equal(deliver_to(&w, 200, "too late"), 0);
    peer_let_pass(&reactor, 5000);
    assert_int_equal(w.answered + w.timed_out, 0);

    room = rg_answer_room_new(answers, &reactor);
    wait_begin(&next);
    rg_wait_open(next.wait, 1000);
    assert_int_equal(deliver_to(&w, 200, "to the one before"), 0);
    peer_turn(&reactor);
    assert_int_equal(next.answered, 0);
    assert_int_equal(deliver_to(&next, 200, ""), 0);
    peer_turn(&reactor);
    assert_int_equal(next.answered, 1);
    done(&w);
    done(&next);
}

static void answers_under_way_have_a_limit(void **state)
{
    struct waiting w = begin();
    const size_t body_bytes = (size_t)8 * 1024 * 1024;
    char *body = rg_zalloc(body_bytes);
    const struct rg_answer big = {.status = 200, .body = rg_str_n(body, body_bytes)};
    int taken = 0;

    (void)state;
    wait_begin(&w);
    rg_wait_open(w.wait, 5000);
    while (rg_answers_deliver(answers, rg_buf_str(&w.id), &big) == 0)
        assert_true(++taken < 5);
    assert_true(taken >= 3);
    assert_int_equal(rg_answers_deliver(answers, rg_buf_str(&w.id), &big), RG_EAGAIN);
    peer_turn(&reactor);
    assert_int_equal(w.answered, 1);
    assert_int_equal(rg_answers_deliver(answers, rg_buf_str(&w.id), &big), 0);
    peer_turn(&reactor);
    rg_free(body);
    done(&w);
}

static void an_answer_has_a_limit_of_fields(void **state)
{
    struct waiting w = begin();
    struct rg_http_field fields[RG_MAX_FIELDS_PER_MESSAGE];
    char value[1024] = "";
    struct rg_answer answer = {.status = 200, .fields = fields, .fields_n = 84};

    (void)state;
    memset(value, 'v', sizeof(value));
    for (size_t i = 0; i < RG_MAX_FIELDS_PER_MESSAGE; i++)
        fields[i] = (struct rg_http_field){RG_STR("x-a"), RG_STR("v")};
    wait_begin(&w);
    assert_int_equal(rg_answers_deliver(answers, rg_buf_str(&w.id), &answer), 0);
    answer.fields_n = 85;
    assert_int_equal(rg_answers_deliver(answers, rg_buf_str(&w.id), &answer), RG_EFULL);
    answer.fields_n = 64;
    for (size_t i = 0; i < RG_MAX_FIELDS_PER_MESSAGE; i++)
        fields[i].value = rg_str_n(value, sizeof(value));
    assert_int_equal(rg_answers_deliver(answers, rg_buf_str(&w.id), &answer), RG_EFULL);
    done(&w);
}

/* ---- threads ---- */

struct answerer {
    pthread_t thread;
    struct waiting *waits; /* WAITS of them; the ids are only read */
    unsigned refused;
};

static void *answer_all(void *arg)
{
    struct answerer *answerer = arg;

    for (int round = 0; round < 50; round++) {
        for (size_t i = 0; i < WAITS; i++)
            answerer->refused += deliver_to(&answerer->waits[i], 200, "x") < 0;
    }
    return NULL;
}

static void answers_from_many_threads_reach_each_one_once(void **state)
{
    struct waiting waits[WAITS] = {0};
    struct answerer answerers[ANSWERERS] = {0};

    (void)state;
    for (size_t i = 0; i < WAITS; i++)
        wait_begin(&waits[i]);
    for (size_t i = 0; i < ANSWERERS; i++) {
        answerers[i].waits = waits;
        assert_int_equal(pthread_create(&answerers[i].thread, NULL, answer_all, &answerers[i]), 0);
    }
    for (size_t i = 0; i < WAITS; i++) {
        rg_wait_open(waits[i].wait, 60000);
        peer_turn(&reactor);
    }
    for (size_t i = 0; i < ANSWERERS; i++)
        assert_int_equal(pthread_join(answerers[i].thread, NULL), 0);
    peer_turn(&reactor);
    for (size_t i = 0; i < ANSWERERS; i++)
        assert_int_equal(answerers[i].refused, 0);
    for (size_t i = 0; i < WAITS; i++) {
        assert_int_equal(waits[i].answered, 1);
        done(&waits[i]);
    }
}

/* ---- records ---- */

/* An answer as a record with these headers; w's id stands for @. */
static int deliver_record(const struct waiting *w, const struct rg_http_field *headers, size_t n,
                          struct rg_why *why)
{
    struct rg_http_field fields[RG_MAX_FIELDS_PER_MESSAGE + 1];

    for (size_t i = 0; i < n; i++) {
        fields[i] = headers[i];
        if (rg_str_eq(fields[i].value, RG_STR("@")))
            fields[i].value = rg_buf_str(&w->id);
    }
    return rg_answers_deliver_record(answers, fields, n, RG_STR("tea"), why);
}

static void a_record_is_an_answer(void **state)
{
    const struct rg_http_field headers[] = {{RG_STR("RIG-Correlation"), RG_STR("@")},
                                            {RG_STR("Rig-Response-Code"), RG_STR("418")},
                                            {RG_STR("content-type"), RG_STR("text/plain")},
                                            {RG_STR("x-a"), rg_str_n(NULL, 0)},
                                            {RG_STR("server"), RG_STR("teapot")},
                                            {RG_STR("Content-Length"), RG_STR("99")}};
    struct waiting w = begin();
    struct rg_why why = {0};

    (void)state;
    wait_begin(&w);
    rg_wait_open(w.wait, 5000);
    assert_int_equal(deliver_record(&w, headers, RG_COUNT_OF(headers), &why), 0);
    peer_turn(&reactor);
    assert_int_equal(w.answered, 1);
    assert_int_equal(w.status, 418);
    assert_body(&w, "tea");
    assert_true(
        rg_str_eq(rg_buf_str(&w.fields), RG_STR("content-type=text/plain;x-a=;server=teapot;")));
    done(&w);
}

static void what_is_wrong_with_a_record_is_said(void **state)
{
    const struct rg_http_field id = {RG_STR("rig-correlation"), RG_STR("@")};
    const struct rg_http_field code = {RG_STR("rig-response-code"), RG_STR("200")};
    struct rg_http_field two[2] = {id, code};
    struct rg_http_field many[RG_MAX_FIELDS_PER_MESSAGE + 1];
    struct waiting w = begin();
    struct rg_why why = {0};

    (void)state;
    wait_begin(&w);
    rg_wait_open(w.wait, 5000);
    assert_int_equal(deliver_record(&w, NULL, 0, &why), RG_EINVAL);
    assert_string_equal(why.text, "header rig-correlation is missing");
    assert_int_equal(deliver_record(&w, &code, 1, &why), RG_EINVAL);
    assert_string_equal(why.text, "header rig-correlation is missing");
    assert_int_equal(deliver_record(&w, &id, 1, &why), RG_EINVAL);
    assert_string_equal(why.text, "header rig-response-code is missing");
    two[1].value = RG_STR("abc201");
    assert_int_equal(deliver_record(&w, two, 2, &why), RG_EINVAL);
    assert_string_equal(why.text, "rig-response-code is not a number from 200 to 599");
    two[1].value = RG_STR("200");
    two[0].value = RG_STR("!!!");
    assert_int_equal(deliver_record(&w, two, 2, &why), RG_ESYNTAX);
    assert_string_equal(why.text, "the correlation id is not base64");
    two[0].value = RG_STR("AAAA");
    assert_int_equal(deliver_record(&w, two, 2, &why), RG_EINVAL);
    assert_string_equal(why.text, "the correlation id is not one of this gateway");
    for (size_t i = 0; i < RG_COUNT_OF(many); i++)
        many[i] = (struct rg_http_field){RG_STR("x-a"), RG_STR("b")};
    many[0] = id;
    many[1] = code;
    assert_int_equal(deliver_record(&w, many, RG_COUNT_OF(many), &why), RG_EFULL);
    assert_string_equal(why.text, "the headers are too many or too long");
    peer_turn(&reactor);
    assert_int_equal(w.answered, 0);
    done(&w);
}

/* ---- fields and status ---- */

/* The names of what may pass, each with a comma behind. */
static void assert_passes(const struct rg_http_field *fields, size_t n, bool is_kafka,
                          const char *names)
{
    struct rg_http_field ret[32];
    struct rg_buf got = {0};
    size_t kept = rg_answer_fields(fields, n, is_kafka, ret);

    for (size_t i = 0; i < kept; i++) {
        rg_buf_add_str(&got, ret[i].name);
        rg_buf_add_char(&got, ',');
    }
    assert_true(rg_str_eq(rg_buf_str(&got), rg_str_c(names)));
    rg_buf_done(&got);
}

#define FIELD(name)                                                                                \
    {                                                                                              \
        RG_STR(name), RG_STR("v")                                                                  \
    }

static void fields_about_the_connection_and_of_the_gateway_never_pass(void **state)
{
    static const char *const names[] = {"connection",
                                        "Keep-Alive",
                                        "proxy-connection",
                                        "transfer-encoding",
                                        "te",
                                        "trailer",
                                        "upgrade",
                                        "content-length",
                                        "host",
                                        "Date",
                                        "rig-correlation",
                                        "RIG-Response-Code",
                                        "rig-anything",
                                        "proxy-authenticate",
                                        "expect",
                                        "traceparent",
                                        "TraceState",
                                        "X-Request-Id",
                                        "Access-Control-Allow-Origin"};

    (void)state;
    for (size_t i = 0; i < RG_COUNT_OF(names); i++) {
        const struct rg_http_field field = {rg_str_c(names[i]), RG_STR("v")};
        assert_passes(&field, 1, true, "");
        assert_passes(&field, 1, false, "");
    }
}

static void of_a_caller_only_what_speaks_of_the_answer_passes(void **state)
{
    const struct rg_http_field fields[] = {
        FIELD("Content-Type"),
        FIELD("user-agent"),
        FIELD("accept"),
        FIELD("set-cookie"),
        FIELD("set-cookie"),
        FIELD("X-Total"),
        FIELD("x-forwarded-for"),
        FIELD("X-Forwarded-Proto"),
        FIELD("x-request-id"),
        FIELD("x-real-ip"),
        FIELD("etag"),
        FIELD("authorization"),
        FIELD("traceparent"),
        FIELD("x-real-ips"),
        FIELD("www-authenticate"),
    };

    (void)state;
    assert_passes(fields, RG_COUNT_OF(fields), false,
                  "Content-Type,set-cookie,set-cookie,X-Total,etag,x-real-ips,www-authenticate,");
    assert_passes(fields, 3, true, "Content-Type,user-agent,accept,");
}

static void what_is_no_field_of_http_never_passes(void **state)
{
    const struct rg_http_field fields[] = {
        {RG_STR("x-a"), RG_STR("1\r\nx-b: 2")},
        {RG_STR("x-c\r\n"), RG_STR("v")},
        {RG_STR(""), RG_STR("v")},
        {RG_STR("x d"), RG_STR("v")},
        {RG_STR("x:e"), RG_STR("v")},
        {rg_str_n("x-f\0", 4), RG_STR("v")},
        {RG_STR("x-g"), rg_str_n("\0", 1)},
        {RG_STR("x-h"), RG_STR("\x7f")},
        {RG_STR("x-i"), RG_STR("\t\xc3\xa4 ok")},
        {RG_STR("x-j"), rg_str_n(NULL, 0)},
    };

    (void)state;
    assert_passes(fields, RG_COUNT_OF(fields), true, "x-i,x-j,");
    assert_passes(fields, RG_COUNT_OF(fields), false, "x-i,x-j,");
}

static void a_status_is_a_decimal_number_from_200_to_599(void **state)
{
    static const char *const bad[] = {"",     "abc201", "201abc", "199",   "600",
                                      "99",   "0",      "-200",   "+200",  " 200",
                                      "200 ", "2e2",    "0x1ff",  "200.0", "18446744073709551816"};
    int status = 7;

    (void)state;
    for (size_t i = 0; i < RG_COUNT_OF(bad); i++)
        assert_int_equal(rg_answer_status(rg_str_c(bad[i]), &status), RG_EINVAL);
    assert_int_equal(status, 7);
    assert_int_equal(rg_answer_status(RG_STR("200"), &status), 0);
    assert_int_equal(status, 200);
    assert_int_equal(rg_answer_status(RG_STR("599"), &status), 0);
    assert_int_equal(status, 599);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(who_waits_gets_a_copy_of_the_answer),
        TEST(an_early_answer_is_kept_until_the_wait_opens),
        TEST(exactly_one_answer_is_used),
        TEST(without_an_answer_the_time_is_over),
        TEST(who_gave_up_hears_nothing),
        TEST(an_answer_never_reaches_the_next_one_in_the_same_place),
        TEST(an_id_is_short_and_of_harmless_characters),
        TEST(padding_is_accepted),
        TEST(an_altered_id_reaches_nobody),
        TEST(what_is_no_id_is_told_by_its_kind),
        TEST(a_token_for_another_purpose_is_no_id),
        TEST(an_id_of_another_start_is_authentic_and_finds_nobody),
        TEST(without_a_secret_an_id_of_another_start_is_refused),
        TEST(a_status_without_a_body_gets_none),
        TEST(a_room_that_is_left_tells_nobody_and_takes_nothing),
        TEST(answers_under_way_have_a_limit),
        TEST(an_answer_has_a_limit_of_fields),
        TEST(answers_from_many_threads_reach_each_one_once),
        TEST(a_record_is_an_answer),
        TEST(what_is_wrong_with_a_record_is_said),
        cmocka_unit_test(fields_about_the_connection_and_of_the_gateway_never_pass),
        cmocka_unit_test(of_a_caller_only_what_speaks_of_the_answer_passes),
        cmocka_unit_test(what_is_no_field_of_http_never_passes),
        cmocka_unit_test(a_status_is_a_decimal_number_from_200_to_599),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
