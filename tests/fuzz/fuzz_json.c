/*
 * Any text: the check and the projector agree about it; what passed can be walked,
 * unescaped and counted without a step outside, and written again.
 */
#include "base/alloc.h"
#include "event/projection.h"

static struct rg_projection *projection;
static struct rg_projector *projector;
static struct rg_buf scratch;

static const char *const pointers[] = {"/data",  "/data/a",   "/a/b/c",   "/a/0",
                                       "/0/1/2", "/a~1b",     "",         "/",
                                       "/a/10",  "/data/0/x", "/\xc3\xa9"};

static void prepare(void)
{
    projection = rg_projection_new();
    for (size_t i = 0; i < RG_COUNT_OF(pointers); i++)
        rg_projection_add(projection, rg_str_c(pointers[i]));
    projector = rg_projector_new(projection);
}

static bool is_inside(struct rg_str part, struct rg_str whole)
{
    return part.p >= whole.p && part.p + part.n <= whole.p + whole.n;
}

static void use_scalar(struct rg_json value)
{
    struct rg_json_number number;
    struct rg_json again;

    if (value.kind == RG_JSON_NUMBER)
        rg_assert(rg_json_number(value, &number) == 0 || value.text.n > 512);
    if (value.kind != RG_JSON_STRING)
        return;
    rg_buf_clear(&scratch);
    struct rg_str text = rg_json_string(value, &scratch);
    rg_assert(rg_json_key_eq(rg_str_n(value.text.p + 1, value.text.n - 2), text));
    struct rg_buf written = {0};
    rg_json_add_string(&written, text);
    rg_assert(rg_json_check(rg_buf_str(&written), &again, NULL) == 0);
    rg_buf_done(&written);
}

/* Recursion is fine here: the check has bounded the depth. */
static void walk(struct rg_json value)
{
    struct rg_json_cursor cursor = {0};
    struct rg_json child, checked;
    struct rg_str key;

    rg_assert(rg_json_check(value.text, &checked, NULL) == 0);
    rg_assert(checked.kind == value.kind && rg_str_eq(checked.text, value.text));
    use_scalar(value);
    while (rg_json_next(value, &cursor, &key, &child)) {
        rg_assert(is_inside(child.text, value.text));
        walk(child);
    }
}

static void use_slots(struct rg_json root)
{
    for (size_t i = 0; i < RG_COUNT_OF(pointers); i++) {
        struct rg_json value = rg_projector_get(projector, (int)i);
        if (value.kind != RG_JSON_NONE) {
            rg_assert(is_inside(value.text, root.text));
            walk(value);
        }
    }
    /* A pointer of one plain name must find what a walk finds. */
    struct rg_json member = rg_json_member(root, RG_STR("data"));
    rg_assert(member.text.p == rg_projector_get(projector, 0).text.p);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct rg_str text = {(const char *)data, n};
    struct rg_json value, root;
    struct rg_why why, other_why;

    if (projection == NULL)
        prepare();
    int err = rg_json_check(text, &value, &why);
    int other_err = rg_projector_run(projector, text, &root, &other_why);
    rg_assert(err == other_err);
    if (err < 0) {
        rg_assert(strcmp(why.place, other_why.place) == 0 && strcmp(why.text, other_why.text) == 0);
        rg_assert(rg_projector_get(projector, 0).kind == RG_JSON_NONE);
    } else {
        rg_assert(value.kind == root.kind && value.text.p == root.text.p);
        walk(value);
        use_slots(root);
    }
    (void)rg_projector_run_below(projector, RG_STR("/a"), text);
    return 0;
}
