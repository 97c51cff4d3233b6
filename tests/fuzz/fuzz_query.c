/*
 * Query strings and percent-coding. The input is a name, LF, and a query string.
 */
#include <stdlib.h>

#include "base/err.h"
#include "base/utf8.h"
#include "http/query.h"

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t n);

static void check_round_trip(struct rg_str text)
{
    struct rg_buf encoded = {0};
    struct rg_buf decoded = {0};

    rg_percent_encode(&encoded, text);
    int err = rg_percent_decode(rg_buf_str(&encoded), true, &decoded);
    rg_assert((err == 0) == rg_utf8_is_valid(text));
    rg_assert(rg_str_eq(rg_buf_str(&decoded), err == 0 ? text : rg_str_n(NULL, 0)));
    rg_buf_done(&encoded);
    rg_buf_done(&decoded);
}

static void check_query(struct rg_str query, struct rg_str name)
{
    struct rg_buf scratch = {0};
    struct rg_buf longer = {0};
    struct rg_str value = {NULL, 0};

    char *room = rg_buf_reserve(&scratch, query.n + 1);
    int result = rg_query_get(query, name, &scratch, &value);
    rg_assert(scratch.p == room);
    rg_assert(result == 1 || (scratch.n == 0 && (result == 0 || result == RG_ESYNTAX)));
    if (result == 1)
        rg_assert(value.p != NULL && value.n <= query.n && rg_utf8_is_valid(value));

    /* One more parameter of that name at the end decides, unless the rest is malformed. */
    if (rg_utf8_is_valid(name)) {
        rg_buf_add_str(&longer, query);
        rg_buf_add_char(&longer, '&');
        rg_percent_encode(&longer, name);
        rg_buf_add_c(&longer, "=last");
        rg_buf_clear(&scratch);
        int again = rg_query_get(rg_buf_str(&longer), name, &scratch, &value);
        rg_assert(again == (result < 0 ? result : 1));
        rg_assert(again < 0 || rg_str_eq(value, RG_STR("last")));
    }
    rg_buf_done(&scratch);
    rg_buf_done(&longer);
}

/* One after the other they are what rg_query_get() finds, and need no more room. */
static void check_parameters(struct rg_str query, struct rg_str name)
{
    struct rg_buf scratch = {0}, other = {0};
    struct rg_str rest = query, key, value, last = {NULL, 0}, wanted = {NULL, 0};
    bool is_malformed = false;
    int result;

    const char *room = rg_buf_reserve(&scratch, query.n + 1);
    while ((result = rg_query_next(&rest, &scratch, &key, &value)) != 0) {
        rg_assert(result == 1 || result == RG_ESYNTAX);
        is_malformed |= result < 0;
        if (result == 1 && rg_str_eq(key, name))
            last = value;
    }
    rg_assert(rest.p == NULL && scratch.p == room && scratch.n <= query.n);
    result = rg_query_get(query, name, &other, &wanted);
    /* A part without a name is no parameter to one of the two. */
    if (name.n > 0) {
        rg_assert((result < 0) == is_malformed);
        rg_assert(result < 0 || (result == 1) == (last.p != NULL));
        rg_assert(result < 1 || rg_str_eq(last, wanted));
    }
    rg_buf_done(&scratch);
    rg_buf_done(&other);
}

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t n)
{
    struct rg_str rest = rg_str_n((const char *)input, n);
    struct rg_str name = rg_str_split(&rest, '\n');

    check_round_trip(name);
    check_round_trip(rest);
    check_query(rest, name);
    check_parameters(rest, name);
    return 0;
}
