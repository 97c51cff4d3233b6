/*
 * Patterns and paths, a line each. Whatever compiles matches within its limits; groups are slices
 * of the path; and what matches begins with what the index looks for.
 */
#include <stdlib.h>

#include "base/err.h"
#include "proxy/pattern.h"

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t n);

static void check_captures(struct rg_str path, const struct rg_captures *captures)
{
    rg_assert(captures->n >= 1 && captures->n <= RG_PATTERN_MAX_GROUPS + 1);
    for (size_t i = 0; i < captures->n; i++) {
        struct rg_str group = captures->group[i];
        rg_assert(group.p == NULL ? i > 0 && group.n == 0
                                  : group.p >= path.p && group.p + group.n <= path.p + path.n);
    }
    rg_assert(captures->group[0].n >= path.n - 1);
}

static void check_match(const struct rg_pattern *pattern, struct rg_str path)
{
    struct rg_captures captures;
    struct rg_pattern_prefix prefix = rg_pattern_prefix(pattern);
    int found = rg_pattern_match(pattern, path, &captures);

    rg_assert(found == 0 || found == 1 || found == RG_EFULL);
    if (prefix.is_whole && !prefix.has_case && path.n > 0)
        rg_assert((found == 1) == rg_str_eq_nocase(path, prefix.text));
    if (found != 1)
        return;
    check_captures(path, &captures);
    rg_assert(rg_str_starts_with_nocase(path, prefix.text));
}

static void check_2017(struct rg_str text, struct rg_str path)
{
    struct rg_pattern *pattern = rg_pattern_compile_2017(text, NULL);
    struct rg_captures captures;

    if (pattern == NULL)
        return;
    check_match(pattern, path);
    /* {id} stands for itself as well. */
    if (rg_str_starts_with(text, RG_STR("/")))
        rg_assert(rg_pattern_match(pattern, text, &captures) != 0);
    rg_pattern_free(&pattern);
}

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t n)
{
    struct rg_str path = rg_str_n((const char *)input, n);
    struct rg_str text = rg_str_split(&path, '\n');
    struct rg_why why;
    struct rg_pattern *pattern = rg_pattern_compile(text, &why);

    /* As in a request: it begins with a slash. */
    if (rg_str_starts_with(path, RG_STR("/"))) {
        if (pattern != NULL)
            check_match(pattern, path);
        check_2017(text, path);
    }
    rg_pattern_free(&pattern);
    return 0;
}
