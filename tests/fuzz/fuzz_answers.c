/*
 * Answers as records. The input is lines, each a header (name, colon, value); a value of @ stands
 * for an id of ours.
 */
#include <stdlib.h>

#include "base/alloc.h"
#include "proxy/answers.h"

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t n);

static void on_answer(void *arg, const struct rg_answer *answer)
{
    (void)arg;
    (void)answer;
}

static void on_timeout(void *arg)
{
    (void)arg;
}

static const struct rg_wait_events events = {on_answer, on_timeout};

/* What may pass can be a field of HTTP, and is none of ours. */
static void check_fields(const struct rg_http_field *fields, size_t n)
{
    struct rg_http_field kept[RG_MAX_FIELDS_PER_MESSAGE];
    size_t kept_n = rg_answer_fields(fields, n, true, kept);

    rg_assert(kept_n <= n && rg_answer_fields(fields, n, false, kept) <= kept_n);
    kept_n = rg_answer_fields(fields, n, true, kept);
    for (size_t i = 0; i < kept_n; i++) {
        rg_assert(kept[i].name.n > 0 && !rg_str_starts_with_nocase(kept[i].name, RG_STR("rig-")));
        rg_assert(kept[i].value.n == 0 || (memchr(kept[i].value.p, '\r', kept[i].value.n) == NULL &&
                                           memchr(kept[i].value.p, '\n', kept[i].value.n) == NULL &&
                                           memchr(kept[i].value.p, '\0', kept[i].value.n) == NULL));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t n)
{
    static struct rg_reactor reactor = {.id = 0};
    static struct rg_answers *answers;
    static struct rg_answer_room *room;
    static struct rg_buf id;
    struct rg_http_field fields[RG_MAX_FIELDS_PER_MESSAGE];
    struct rg_str rest = rg_str_n((const char *)input, n);
    struct rg_why why = {0};
    size_t fields_n = 0;

    if (answers == NULL) {
        answers = rg_answers_new(RG_STR("of the tests"));
        room = rg_answer_room_new(answers, &reactor);
        rg_wait_begin(room, &events, NULL, &id);
        rg_answer_room_free(&room); /* nobody waits: what is delivered is dropped */
    }
    while (rest.p != NULL && fields_n < RG_MAX_FIELDS_PER_MESSAGE) {
        struct rg_str value = rg_str_split(&rest, '\n');
        struct rg_str name = rg_str_split(&value, ':');
        if (value.p != NULL && rg_str_eq(value, RG_STR("@")))
            value = rg_buf_str(&id);
        fields[fields_n++] = (struct rg_http_field){name, value};
    }
    check_fields(fields, fields_n);
    int err = rg_answers_deliver_record(answers, fields, fields_n, RG_STR("body"), &why);
    rg_assert(err == 0 || why.text[0] != '\0');
    return 0;
}
