/*
 * Paths in their one form: what is let through is in it, whether it was changed or not, and has no
 * dot segments, however often dots are decoded and wherever a segment is cut.
 */
#include <stdlib.h>

#include "base/buf.h"
#include "http/query.h"
#include "proxy/path.h"

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t n);

static void check_segments(struct rg_str path)
{
    while (path.p != NULL) {
        struct rg_str segment = rg_str_split(&path, '/');
        struct rg_str name = rg_str_split(&segment, ';');
        rg_assert(!rg_str_eq(name, RG_STR(".")) && !rg_str_eq(name, RG_STR("..")));
    }
}

static void check_form(struct rg_str path, struct rg_str form)
{
    struct rg_buf again = {0}, decoded = {0};
    struct rg_str same;

    rg_assert(form.n >= 1 && form.n <= path.n);
    rg_assert(form.p[0] == '/' && (form.n == 1 || form.p[1] != '/'));
    rg_assert(rg_path_normalise(form, &again, &same, NULL) == 0);
    rg_assert(same.p == form.p && same.n == form.n);
    check_segments(form);
    /* Not where escapes stand for what is not UTF-8. */
    if (rg_percent_decode(form, false, &decoded) == 0)
        check_segments(rg_buf_str(&decoded));
    if (!rg_path_has_encoded_slash(form) && rg_path_check(path, NULL) == 0)
        rg_assert(form.p == path.p || path.p[1] == '/');
    rg_buf_done(&again);
    rg_buf_done(&decoded);
}

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t n)
{
    struct rg_str path = rg_str_n((const char *)input, n), form;
    struct rg_buf scratch = {0};

    if (rg_path_normalise(path, &scratch, &form, NULL) == 0)
        check_form(path, form);
    rg_buf_done(&scratch);
    return 0;
}
