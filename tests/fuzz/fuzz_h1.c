/*
 * HTTP/1.1 heads and chunked bodies: the outcome does not depend on how the bytes are cut.
 * The first four bytes seed the cuts, the fifth chooses small or default limits.
 */
#include <stdlib.h>

#include "base/alloc.h"
#include "base/buf.h"
#include "base/err.h"
#include "http/chunked.h"
#include "http/h1.h"

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t n);

/* The size of the next piece, 1 to max; everything at once if *seed is NULL. */
static size_t next_piece(uint32_t *seed, size_t max)
{
    if (seed == NULL || max <= 1)
        return max;
    *seed = *seed * 1664525u + 1013904223u;
    size_t limit = (*seed >> 30) == 0 ? max : 1 + (*seed >> 28);
    return 1 + (*seed >> 8) % (limit < max ? limit : max);
}

static void add_field(struct rg_buf *out, struct rg_str s)
{
    rg_buf_addf(out, "%zu:", s.n);
    rg_buf_add_str(out, s);
}

static void add_head(struct rg_buf *out, const struct rg_request *req,
                     const struct rg_h1_framing *framing)
{
    rg_buf_addf(out, "%d %u %d %d %d %d %llu ", req->method, req->minor, framing->is_chunked,
                framing->has_length, framing->keep_alive, framing->expects_continue,
                (unsigned long long)framing->length);
    add_field(out, req->method_name);
    add_field(out, req->target);
    add_field(out, req->path);
    add_field(out, req->query);
    for (size_t i = 0; i < req->fields_n; i++) {
        add_field(out, req->fields[i].name);
        add_field(out, req->fields[i].value);
    }
}

static void check_head(const struct rg_request *req, const struct rg_h1_framing *framing)
{
    rg_assert(!framing->is_chunked || (!framing->has_length && req->minor == 1));
    rg_assert(framing->has_length || framing->length == 0);
    rg_assert(req->target.n > 0 && (req->target.p[0] == '/' || req->target.p[0] == '*'));
    rg_assert(req->fields_n <= RG_MAX_FIELDS_PER_MESSAGE);
    for (size_t i = 0; i < req->fields_n; i++) {
        struct rg_str value = req->fields[i].value;
        rg_assert(req->fields[i].name.n > 0);
        for (size_t k = 0; k < value.n; k++)
            rg_assert((unsigned char)value.p[k] >= 0x20 || value.p[k] == '\t');
    }
}

/* Decodes text as a chunked body and writes down the outcome. */
static void read_chunked(struct rg_str text, uint32_t *seed, struct rg_buf *out)
{
    struct rg_chunked chunked = {0};
    size_t at = 0;
    bool is_done = false;
    long used = 0;

    while (at < text.n && used >= 0 && !is_done) {
        struct rg_str data;
        size_t n = next_piece(seed, text.n - at);
        used = rg_chunked_take(&chunked, text.p + at, n, &data, &is_done, NULL);
        if (used < 0)
            break;
        rg_assert((size_t)used <= n && (used > 0 || is_done));
        rg_assert(data.p >= text.p + at && data.p + data.n <= text.p + at + used);
        rg_buf_add_str(out, data);
        at += (size_t)used;
    }
    rg_buf_addf(out, " %ld %d %zu", used < 0 ? used : 0, is_done, used < 0 ? 0 : at);
}

/* Reads head and body and writes down the outcome. */
static void read_message(struct rg_str text, const struct rg_h1_limits *limits, uint32_t *seed,
                         struct rg_buf *out)
{
    static struct rg_request req;
    struct rg_h1_framing framing;
    struct rg_h1_scan scan = {0};
    struct rg_why why;
    long head_n = 0;

    for (size_t have = 0; have < text.n && head_n == 0;) {
        have += next_piece(seed, text.n - have);
        head_n = rg_h1_scan(&scan, text.p, have, limits, &why);
        rg_assert(head_n <= (long)have);
    }
    rg_buf_addf(out, "%ld ", head_n);
    if (head_n <= 0)
        return;
    int err = rg_h1_parse_head(text.p, (size_t)head_n, &req, &framing, &why);
    rg_buf_addf(out, "%d ", err);
    if (err < 0)
        return;
    check_head(&req, &framing);
    add_head(out, &req, &framing);
    if (framing.is_chunked)
        read_chunked(rg_str_n(text.p + head_n, text.n - (size_t)head_n), seed, out);
}

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t n)
{
    static const struct rg_h1_limits small = {.request_line = 40, .field = 30, .head = 80};
    struct rg_buf at_once = {0};
    struct rg_buf cut = {0};
    uint32_t seed;

    if (n < 5)
        return 0;
    memcpy(&seed, input, sizeof(seed));
    const struct rg_h1_limits *limits = input[4] == 's' ? &small : &rg_h1_default_limits;
    struct rg_str text = rg_str_n((const char *)input + 5, n - 5);

    read_message(text, limits, NULL, &at_once);
    read_message(text, limits, &seed, &cut);
    rg_assert(rg_str_eq(rg_buf_str(&at_once), rg_buf_str(&cut)));

    rg_buf_clear(&at_once);
    rg_buf_clear(&cut);
    read_chunked(text, NULL, &at_once);
    read_chunked(text, &seed, &cut);
    rg_assert(rg_str_eq(rg_buf_str(&at_once), rg_buf_str(&cut)));

    /* The parser has to cope without the scan, too. */
    struct rg_request req;
    struct rg_h1_framing framing;
    rg_h1_parse_head(text.p, text.n, &req, &framing, NULL);

    rg_buf_done(&at_once);
    rg_buf_done(&cut);
    return 0;
}
