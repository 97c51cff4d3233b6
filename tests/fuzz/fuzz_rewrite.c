/*
 * Replacements: three lines are the replacement, a path, whose segments are the groups, and a
 * query. What comes out is one path with one slash in front and no dot segments, and ends no
 * request line.
 */
#include <stdlib.h>

#include "proxy/path.h"
#include "proxy/rewrite.h"

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t n);

static void capture(struct rg_str path, struct rg_captures *captures)
{
    struct rg_str rest = rg_str_n(path.p + 1, path.n - 1);

    captures->group[0] = path;
    for (captures->n = 1; rest.p != NULL && captures->n <= RG_PATTERN_MAX_GROUPS; captures->n++) {
        struct rg_str segment = rg_str_split(&rest, '/');
        captures->group[captures->n] = segment.n > 0 ? segment : (struct rg_str){NULL, 0};
    }
}

static void check(struct rg_str out, struct rg_str query)
{
    struct rg_buf copy = {0};
    struct rg_str path = rg_str_split(&out, '?');

    rg_assert(path.n > 0 && path.p[0] == '/' && (path.n == 1 || path.p[1] != '/'));
    for (size_t i = 0; i < path.n; i++)
        rg_assert((unsigned char)path.p[i] > ' ' && path.p[i] != 0x7f && path.p[i] != '#');
    rg_buf_add_str(&copy, path);
    rg_assert(rg_path_remove_dots(copy.p, copy.n) == path.n);
    if (query.p != NULL)
        rg_assert(query.n == 0 || rg_str_ends_with(out, query));
    rg_buf_done(&copy);
}

static void expand(struct rg_str replacement, struct rg_str path, struct rg_str query)
{
    struct rg_rewrite *rewrite = rg_rewrite_new(replacement);
    struct rg_captures captures;
    struct rg_buf out = {0};

    capture(path, &captures);
    rg_buf_add_c(&out, "front");
    int err = rg_rewrite_expand(rewrite, &captures, query, &out);
    rg_assert(err == 0 || err == RG_EFULL);
    rg_assert(out.n <= 5 + RG_REWRITE_MAX_BYTES && memcmp(out.p, "front", 5) == 0);
    if (err == 0)
        check(rg_str_n(out.p + 5, out.n - 5), query);
    else
        rg_assert(out.n == 5);
    rg_buf_done(&out);
    rg_rewrite_free(&rewrite);
}

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t n)
{
    struct rg_str query = rg_str_n((const char *)input, n), path;
    struct rg_str replacement = rg_str_split(&query, '\n');
    struct rg_str raw = rg_str_split(&query, '\n');
    struct rg_buf scratch = {0};

    if (replacement.n > 0 && rg_path_normalise(raw, &scratch, &path, NULL) == 0)
        expand(replacement, path, query);
    rg_buf_done(&scratch);
    return 0;
}
