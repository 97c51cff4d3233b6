/*
 * Authorization fields: every token found is a part of the field, and one more credential at the
 * end is one more token, whatever stands before it.
 */
#include "base/buf.h"
#include "base/err.h"
#include "push/bearer.h"

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t n);

static size_t count(struct rg_str field, struct rg_str *last)
{
    struct rg_str rest = field, token = {NULL, 0};
    const char *from = field.p;
    size_t n = 0;

    while (rg_bearer_next(&rest, &token)) {
        rg_assert(token.n > 0 && token.p >= from && token.p + token.n <= field.p + field.n);
        rg_assert(memchr(token.p, ',', token.n) == NULL);
        rg_assert(rg_str_eq(rg_str_trim(token), token));
        from = token.p + token.n;
        *last = token;
        n++;
    }
    return n;
}

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t n)
{
    struct rg_str field = rg_str_n((const char *)input, n), last = {NULL, 0};
    struct rg_buf longer = {0};
    size_t tokens_n = count(field, &last);

    rg_buf_add_str(&longer, field);
    rg_buf_add_c(&longer, ",bEARER last");
    rg_assert(count(rg_buf_str(&longer), &last) == tokens_n + 1);
    rg_assert(rg_str_eq(last, RG_STR("last")));
    rg_buf_done(&longer);
    return 0;
}
