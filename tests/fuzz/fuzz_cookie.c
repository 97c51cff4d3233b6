/*
 * Cookie fields. The input is a cookie's name and then the fields' values, each behind a LF.
 */
#include "base/buf.h"
#include "base/err.h"
#include "http/cookie.h"

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t n);

static bool is_part_of(struct rg_str part, struct rg_str whole)
{
    return part.p >= whole.p && part.p + part.n <= whole.p + whole.n;
}

static void check_value(const struct rg_request *req, struct rg_str value)
{
    bool is_found = false;

    for (size_t i = 0; i < req->fields_n; i++)
        is_found |= is_part_of(value, req->fields[i].value);
    rg_assert(is_found);
    rg_assert(value.n == 0 || memchr(value.p, ';', value.n) == NULL);
}

/* Names as they can be asked for: a token, hence without white space and separators. */
static bool is_name(struct rg_str name)
{
    for (size_t i = 0; i < name.n; i++) {
        if (name.p[i] <= ' ' || name.p[i] == ';' || name.p[i] == '=')
            return false;
    }
    return name.n > 0;
}

/* One more cookie of that name decides only where there was none. */
static void check_first(struct rg_request *req, struct rg_str name, struct rg_str value)
{
    struct rg_buf text = {0};

    rg_buf_add_str(&text, name);
    rg_buf_add_c(&text, "=last");
    req->fields[req->fields_n++] = (struct rg_http_field){RG_STR("Cookie"), rg_buf_str(&text)};
    struct rg_str again = rg_cookie_get(req, name);
    rg_assert(rg_str_eq(again, value.p != NULL ? value : RG_STR("last")));
    rg_buf_done(&text);
}

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t n)
{
    static struct rg_request req;
    struct rg_str rest = rg_str_n((const char *)input, n);
    struct rg_str name = rg_str_split(&rest, '\n');

    req.fields_n = 0;
    while (rest.p != NULL && req.fields_n < RG_MAX_FIELDS_PER_MESSAGE - 1)
        req.fields[req.fields_n++] =
            (struct rg_http_field){RG_STR("cookie"), rg_str_split(&rest, '\n')};
    struct rg_str value = rg_cookie_get(&req, name);
    if (value.p != NULL)
        check_value(&req, value);
    if (is_name(name))
        check_first(&req, name, value);
    return 0;
}
