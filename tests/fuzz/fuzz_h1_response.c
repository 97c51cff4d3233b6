/*
 * Heads of answers: the outcome does not depend on how the bytes are cut, and what is told of an
 * accepted head can be passed on. The first four bytes seed the cuts, the fifth chooses method and
 * limit.
 */
#include "base/alloc.h"
#include "base/buf.h"
#include "http/class_priv.h"
#include "http/h1_response.h"

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t n);

/* The size of the next piece, 1 to max. */
static size_t next_piece(uint32_t *seed, size_t max)
{
    *seed = *seed * 1664525u + 1013904223u;
    return 1 + (*seed >> 8) % (max < 16 ? max : 16);
}

static bool is_of_hop(struct rg_str name)
{
    static const char *const names[] = {"connection", "content-length",  "transfer-encoding",
                                        "keep-alive", "upgrade",         "te",
                                        "trailer",    "proxy-connection"};

    for (size_t i = 0; i < RG_COUNT_OF(names); i++) {
        if (rg_str_eq_nocase(name, rg_str_c(names[i])))
            return true;
    }
    return false;
}

static void check_field(const struct rg_h1_response *res, const struct rg_http_field *field,
                        struct rg_str head)
{
    bool is_switch = res->status == 101 && rg_str_eq_nocase(field->name, RG_STR("upgrade"));

    rg_assert(field->name.n > 0 && (is_switch || !is_of_hop(field->name)));
    rg_assert(field->name.p >= head.p && field->value.p + field->value.n <= head.p + head.n);
    for (size_t i = 0; i < field->name.n; i++)
        rg_assert(is(field->name.p[i], TOKEN));
    for (size_t i = 0; i < field->value.n; i++)
        rg_assert(is(field->value.p[i], VALUE));
    rg_assert(rg_str_trim(field->value).n == field->value.n);
}

static void check(const struct rg_h1_response *res, enum rg_method method, struct rg_str head)
{
    bool is_bare = res->status < 200 || res->status == 204 || res->status == 304;

    rg_assert(res->status >= 100 && res->status <= 599 && res->minor <= 1);
    rg_assert(res->fields_n <= RG_MAX_FIELDS_PER_MESSAGE && res->length >= -1);
    rg_assert(res->body == RG_H1_BODY_NONE || (!is_bare && method != RG_HEAD));
    rg_assert(res->body != RG_H1_BODY_LENGTH || res->length > 0);
    rg_assert(res->body != RG_H1_BODY_CHUNKED || (res->length == -1 && res->minor == 1));
    rg_assert(res->body != RG_H1_BODY_TO_CLOSE || (res->length == -1 && !res->keep_alive));
    for (size_t i = 0; i < res->fields_n; i++)
        check_field(res, &res->fields[i], head);
}

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t n)
{
    static struct rg_h1_response res;
    struct rg_h1_scan at_once = {0}, cut = {0};
    struct rg_why why;
    uint32_t seed;
    long other = 0;

    if (n < 5)
        return 0;
    memcpy(&seed, input, sizeof(seed));
    enum rg_method method = (input[4] & 1) != 0 ? RG_HEAD : RG_GET;
    size_t max_bytes = (input[4] & 2) != 0 ? 40 : 65536;
    struct rg_str text = rg_str_n((const char *)input + 5, n - 5);

    long head_n = rg_h1_scan_response(&at_once, text.p, text.n, max_bytes, &why);
    for (size_t have = 0; have < text.n && other == 0;) {
        have += next_piece(&seed, text.n - have);
        other = rg_h1_scan_response(&cut, text.p, have, max_bytes, &why);
    }
    rg_assert(head_n == other && head_n <= (long)text.n);
    if (head_n > 0 && rg_h1_parse_response(text.p, (size_t)head_n, method, &res, &why) == 0)
        check(&res, method, rg_str_n(text.p, (size_t)head_n));

    /* The parser has to cope without the scan, too. */
    if (rg_h1_parse_response(text.p, text.n, method, &res, NULL) == 0)
        check(&res, method, text);
    return 0;
}
