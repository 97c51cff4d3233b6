/*
 * Paths that are safe to route by. What is let through has no other reading: decoded once, it has
 * the same segments, none of which is a dot segment.
 */
#include <stdlib.h>

#include "http/query.h"
#include "proxy/path.h"

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t n);

static size_t count(struct rg_str s, char c)
{
    size_t found = 0;

    for (size_t i = 0; i < s.n; i++)
        found += s.p[i] == c;
    return found;
}

static void check_decoded(struct rg_str path, struct rg_str decoded)
{
    struct rg_str rest = decoded;

    rg_assert(count(path, '/') == count(decoded, '/'));
    rg_assert(count(path, '.') == count(decoded, '.'));
    rg_assert(count(decoded, '\\') == 0);
    while (rest.p != NULL) {
        struct rg_str segment = rg_str_split(&rest, '/');
        rg_assert(!rg_str_eq(segment, RG_STR(".")) && !rg_str_eq(segment, RG_STR("..")));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t n)
{
    struct rg_str path = rg_str_n((const char *)input, n);
    struct rg_buf decoded = {0};

    if (rg_path_check(path, NULL) == 0 && rg_percent_decode(path, false, &decoded) == 0)
        check_decoded(path, rg_buf_str(&decoded));
    rg_buf_done(&decoded);
    return 0;
}
