/*
 * Offers of WebSocket extensions: what is taken is answered with what RFC 7692 allows, and only if
 * it was offered; white space and empty elements change nothing. Lines of the input are fields.
 */
#include "base/alloc.h"
#include "base/err.h"
#include "http/ws_extension.h"

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t n);

static struct rg_request req;

static void add_field(struct rg_str value)
{
    if (req.fields_n == RG_MAX_FIELDS_PER_MESSAGE)
        return;
    req.fields[req.fields_n++] =
        (struct rg_http_field){RG_STR("Sec-WebSocket-Extensions"), rg_str_trim(value)};
}

static bool contains(struct rg_str text, struct rg_str part)
{
    return text.n > 0 && memmem(text.p, text.n, part.p, part.n) != NULL;
}

/* The answer's parameters are known, and the offer of a window is in the request. */
static void check_answer(struct rg_str answer, struct rg_str input)
{
    struct rg_str rest = answer;

    rg_assert(contains(input, RG_STR("permessage-deflate")));
    rg_assert(rg_str_eq(rg_str_split(&rest, ';'), RG_STR("permessage-deflate")));
    rg_assert(rg_str_eq(rg_str_split(&rest, ';'), RG_STR(" server_no_context_takeover")));
    rg_assert(rg_str_eq(rg_str_split(&rest, ';'), RG_STR(" client_no_context_takeover")));
    if (rest.p == NULL)
        return;
    rg_assert(rg_str_eq(rest, RG_STR(" server_max_window_bits=15")));
    rg_assert(contains(input, RG_STR("server_max_window_bits")));
}

/* The same list with more white space and empty elements. */
static struct rg_buf stretch(struct rg_str value)
{
    struct rg_buf out = {0};
    bool is_quoted = false;

    rg_buf_add_c(&out, ",\t, ");
    for (size_t i = 0; i < value.n; i++) {
        char c = value.p[i];
        is_quoted ^= c == '"';
        bool is_separator = !is_quoted && (c == ',' || c == ';' || c == '=');
        if (is_separator)
            rg_buf_add_c(&out, " \t");
        rg_buf_add_char(&out, c);
        if (is_separator)
            rg_buf_add_c(&out, "\t ");
        if (is_separator && c == ',')
            rg_buf_add_c(&out, ",");
    }
    rg_buf_add_c(&out, " ,");
    return out;
}

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t n)
{
    struct rg_str text = rg_str_n((const char *)input, n);
    struct rg_str lines = text;
    struct rg_buf first = {0};
    struct rg_buf second = {0};
    struct rg_buf stretched[RG_MAX_FIELDS_PER_MESSAGE];
    struct rg_why why;

    req.fields_n = 0;
    while (lines.p != NULL)
        add_field(rg_str_split(&lines, '\n'));
    int err = rg_ws_check_extensions(&req, &why);
    bool is_taken = rg_ws_accept_deflate(&req, &first);
    rg_assert(err == 0 || err == -400);
    rg_assert(is_taken == (first.n > 0));
    if (is_taken)
        check_answer(rg_buf_str(&first), text);

    if (err == 0) {
        for (size_t i = 0; i < req.fields_n; i++) {
            stretched[i] = stretch(req.fields[i].value);
            req.fields[i].value = rg_buf_str(&stretched[i]);
        }
        rg_assert(rg_ws_check_extensions(&req, NULL) == 0);
        rg_assert(rg_ws_accept_deflate(&req, &second) == is_taken);
        rg_assert(rg_str_eq(rg_buf_str(&first), rg_buf_str(&second)));
        for (size_t i = 0; i < req.fields_n; i++)
            rg_buf_done(&stretched[i]);
    }
    rg_buf_done(&first);
    rg_buf_done(&second);
    return 0;
}
