#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>
#include <jansson.h>

#include "base/alloc.h"
#include "event/projection.h"

/* A projection with a projector over it; slots are those of the pointers in order. */
struct fixture {
    struct rg_projection *projection;
    struct rg_projector *projector;
};

static struct fixture fixture_new(const char *const *pointers, size_t n)
{
    struct fixture f = {.projection = rg_projection_new()};
    for (size_t i = 0; i < n; i++)
        assert_int_equal(rg_projection_add(f.projection, rg_str_c(pointers[i])), i);
    f.projector = rg_projector_new(f.projection);
    return f;
}

static void fixture_done(struct fixture *f)
{
    rg_projector_free(&f->projector);
    rg_projection_free(&f->projection);
}

#define FIXTURE(f, ...)                                                                            \
    static const char *const f##_pointers[] = {__VA_ARGS__};                                       \
    RG_CLEANUP(fixture_done)                                                                       \
    struct fixture f = fixture_new(f##_pointers, RG_COUNT_OF(f##_pointers))

static int run(struct fixture *f, const char *text)
{
    return rg_projector_run(f->projector, rg_str_c(text), NULL, NULL);
}

/* NULL text: the slot must be empty. */
static void expect(struct fixture *f, int slot, const char *text)
{
    struct rg_json value = rg_projector_get(f->projector, slot);

    if (text == NULL) {
        assert_int_equal(value.kind, RG_JSON_NONE);
        return;
    }
    assert_int_not_equal(value.kind, RG_JSON_NONE);
    assert_int_equal(value.text.n, strlen(text));
    assert_memory_equal(value.text.p, text, value.text.n);
}

static void pointers_get_slots_once_and_malformed_ones_none(void **state)
{
    (void)state;
    FIXTURE(f, "/a", "", "/a/b", "/");
    assert_int_equal(rg_projection_slots(f.projection), 4);
    assert_int_equal(rg_projection_add(f.projection, RG_STR("/a/b")), 2);
    assert_int_equal(rg_projection_add(f.projection, RG_STR("")), 1);
    static const char *const malformed[] = {"a", "#/a", "/a~", "/a~2b", "/~~0", " /a"};
    for (size_t i = 0; i < RG_COUNT_OF(malformed); i++)
        assert_int_equal(rg_projection_add(f.projection, rg_str_c(malformed[i])), RG_ESYNTAX);
    assert_int_equal(rg_projection_slots(f.projection), 4);
}

static void values_are_found_at_every_depth(void **state)
{
    (void)state;
    FIXTURE(f, "/type", "/data", "/data/room", "/data/who/name", "/none", "");
    assert_int_equal(run(&f, " {\"data\" : {\"x\":[1,{\"room\":0}], \"room\":\"blue\","
                             "\"who\":{ \"name\":\"al\" } },\"type\":7 } "),
                     0);
    expect(&f, 0, "7");
    expect(&f, 1, "{\"x\":[1,{\"room\":0}], \"room\":\"blue\",\"who\":{ \"name\":\"al\" } }");
    expect(&f, 2, "\"blue\"");
    expect(&f, 3, "\"al\"");
    expect(&f, 4, NULL);
    assert_int_equal(rg_projector_get(f.projector, 5).kind, RG_JSON_OBJECT);
    expect(&f, 6, NULL);
    expect(&f, -1, NULL);
}

static void a_step_into_what_is_no_container_finds_nothing(void **state)
{
    (void)state;
    FIXTURE(f, "/data/room", "/data/0");
    static const char *const texts[] = {"{\"data\":\"hello\"}",
                                        "{\"data\":null}",
                                        "{\"data\":3}",
                                        "{\"data\":[]}",
                                        "{\"data\":{}}",
                                        "[]",
                                        "\"data\"",
                                        "{}"};
    for (size_t i = 0; i < RG_COUNT_OF(texts); i++) {
        assert_int_equal(run(&f, texts[i]), 0);
        expect(&f, 0, NULL);
        expect(&f, 1, NULL);
    }
}

static void tokens_and_names_are_compared_unescaped(void **state)
{
    (void)state;
    FIXTURE(f, "/a~1b", "/m~0n", "/~01", "/data", "/", "/\xc3\xa9");
    assert_int_equal(run(&f, "{\"a\\/b\":1,\"m~n\":2,\"~1\":3,\"\\u0064ata\":4,\"\":5,"
                             "\"\\u00e9\":6}"),
                     0);
    static const char *const expected[] = {"1", "2", "3", "4", "5", "6"};
    for (size_t i = 0; i < RG_COUNT_OF(expected); i++)
        expect(&f, (int)i, expected[i]);
}

static void an_escaped_name_too_long_to_match_is_passed_over(void **state)
{
    (void)state;
    FIXTURE(f, "/ab");
    assert_int_equal(run(&f, "{\"\\u0061\\u0062\\u0063\":1,\"\\u0061\\u0062\":2}"), 0);
    expect(&f, 0, "2");
}

static void array_indices_are_those_of_rfc_6901(void **state)
{
    (void)state;
    FIXTURE(f, "/t/0", "/t/2/x", "/t/11", "/t/00", "/t/-", "/t/99999999999999999999");
    assert_int_equal(run(&f, "{\"t\":[\"z\",1,{\"x\":5},3,4,5,6,7,8,9,10,[11]]}"), 0);
    expect(&f, 0, "\"z\"");
    expect(&f, 1, "5");
    expect(&f, 2, "[11]");
    expect(&f, 3, NULL);
    expect(&f, 4, NULL);
    expect(&f, 5, NULL);
    /* In an object they are names like any other. */
    assert_int_equal(run(&f, "{\"t\":{\"00\":1,\"-\":2,\"99999999999999999999\":3,\"0\":4}}"), 0);
    expect(&f, 0, "4");
    expect(&f, 3, "1");
    expect(&f, 4, "2");
    expect(&f, 5, "3");
}

static void the_first_of_duplicate_names_counts(void **state)
{
    (void)state;
    FIXTURE(f, "/a", "/b/x", "/b/y");
    assert_int_equal(run(&f, "{\"a\":1,\"\\u0061\":2,\"b\":{\"x\":1,\"x\":2},\"b\":{\"y\":3}}"), 0);
    expect(&f, 0, "1");
    expect(&f, 1, "1");
    expect(&f, 2, NULL);
    /* Also where the first one has no members to look into. */
    assert_int_equal(run(&f, "{\"b\":null,\"b\":{\"x\":1}}"), 0);
    expect(&f, 1, NULL);
}

static void a_run_forgets_the_one_before(void **state)
{
    (void)state;
    FIXTURE(f, "/a", "/b");
    expect(&f, 0, NULL);
    assert_int_equal(run(&f, "{\"a\":1,\"b\":2}"), 0);
    assert_int_equal(run(&f, "{\"b\":3}"), 0);
    expect(&f, 0, NULL);
    expect(&f, 1, "3");
    assert_int_equal(run(&f, "{\"a\":1,\"b\":2"), RG_ESYNTAX);
    expect(&f, 0, NULL);
    expect(&f, 1, NULL);
    assert_int_equal(run(&f, ""), RG_ESYNTAX);
}

static void the_whole_text_is_checked_also_where_pointers_lead(void **state)
{
    (void)state;
    FIXTURE(f, "/a/b", "/a/0", "/0/0");
    static const char *const broken[] = {
        "{\"a\":{\"b\":1,}}", "{\"a\":{\"b\" 1}}",   "{\"a\":{b:1}}",    "{\"a\":{\"b\":1]}",
        "{\"a\":[1,]}",       "{\"a\":[1}",          "{\"a\":[1 2]}",    "{\"a\":1}{}",
        "{\"a\":{\"b\":01}}", "{\"a\":{\"b\":1}",    "[[1],[2]",         "{,}",
        "{\"c\":{\"b\":1,}}", "{\"a\":{\"\\x\":1}}", "{\"a\":{\"b\":}}", "[,]",
        "\xef\xbb\xbf{}",     "{\"a\":\"\x01\"}",    "{\"\xff\":1}",     ""};
    for (size_t i = 0; i < RG_COUNT_OF(broken); i++) {
        struct rg_why by_run, by_check;
        struct rg_json value;
        struct rg_str text = rg_str_c(broken[i]);
        assert_int_equal(rg_projector_run(f.projector, text, NULL, &by_run), RG_ESYNTAX);
        assert_int_equal(rg_json_check(text, &value, &by_check), RG_ESYNTAX);
        assert_string_equal(by_run.place, by_check.place);
        assert_string_equal(by_run.text, by_check.text);
    }
}

static void nesting_is_bounded_also_where_pointers_lead(void **state)
{
    (void)state;
    RG_CLEANUP(rg_buf_done) struct rg_buf pointer = {0}, text = {0};
    RG_CLEANUP(fixture_done) struct fixture f = {.projection = rg_projection_new()};

    for (int i = 0; i < RG_JSON_MAX_DEPTH + 2; i++) {
        rg_buf_add_c(&pointer, "/0");
        rg_projection_add(f.projection, rg_buf_str(&pointer));
    }
    f.projector = rg_projector_new(f.projection);
    for (int depth = RG_JSON_MAX_DEPTH; depth <= RG_JSON_MAX_DEPTH + 1; depth++) {
        rg_buf_clear(&text);
        for (int i = 0; i < depth; i++)
            rg_buf_add_char(&text, '[');
        rg_buf_add_char(&text, '7');
        for (int i = 0; i < depth; i++)
            rg_buf_add_char(&text, ']');
        assert_int_equal(rg_projector_run(f.projector, rg_buf_str(&text), NULL, NULL),
                         depth <= RG_JSON_MAX_DEPTH ? 0 : RG_EINVAL);
        expect(&f, RG_JSON_MAX_DEPTH - 1, depth <= RG_JSON_MAX_DEPTH ? "7" : NULL);
    }
}

static void text_in_a_string_is_seen_below_its_pointer(void **state)
{
    (void)state;
    FIXTURE(f, "/data", "/data/a/b", "/other");
    assert_true(rg_projector_leads_below(f.projector, RG_STR("/data")));
    assert_false(rg_projector_leads_below(f.projector, RG_STR("/other")));
    assert_false(rg_projector_leads_below(f.projector, RG_STR("/unknown")));

    assert_int_equal(run(&f, "{\"data\":\"...\",\"other\":1}"), 0);
    assert_int_equal(
        rg_projector_run_below(f.projector, RG_STR("/data"), RG_STR(" {\"a\":{\"b\":5}} ")), 0);
    expect(&f, 0, "\"...\"");
    expect(&f, 1, "5");
    expect(&f, 2, "1");

    assert_int_equal(run(&f, "{\"data\":\"...\"}"), 0);
    assert_int_equal(
        rg_projector_run_below(f.projector, RG_STR("/data"), RG_STR("{\"a\":{\"b\":5}} x")),
        RG_ESYNTAX);
    expect(&f, 1, NULL);
    assert_int_equal(rg_projector_run_below(f.projector, RG_STR("/data"), RG_STR("")), RG_ESYNTAX);
    assert_int_equal(rg_projector_run_below(f.projector, RG_STR("/nope"), RG_STR("1")), 0);
}

/* -- runs that end early ---------------------------------------------------- */

/* Ends the run at a slot, and remembers what it was told. */
struct listener {
    struct fixture *f;
    int last; /* the run ends with this slot */
    int told[8];
    size_t n;
};

static bool listen(void *arg, int slot)
{
    struct listener *listener = arg;

    rg_assert(listener->n < RG_COUNT_OF(listener->told));
    listener->told[listener->n++] = slot;
    assert_int_not_equal(rg_projector_get(listener->f->projector, slot).kind, RG_JSON_NONE);
    return slot == listener->last;
}

static int run_until(struct listener *listener, const char *text, struct rg_why *why)
{
    listener->n = 0;
    return rg_projector_run_until(listener->f->projector, rg_str_c(text), listen, listener, NULL,
                                  why);
}

static void a_run_that_nobody_ends_tells_each_slot_once_as_it_is_filled(void **state)
{
    (void)state;
    FIXTURE(f, "/a/b", "/c", "/a", "/none");
    struct listener listener = {&f, -1, {0}, 0};

    assert_int_equal(run_until(&listener, "{\"c\":1,\"a\":{\"b\":2,\"b\":3},\"c\":4}", NULL), 0);
    assert_int_equal(listener.n, 3);
    assert_int_equal(listener.told[0], 1);
    assert_int_equal(listener.told[1], 0);
    assert_int_equal(listener.told[2], 2); /* a container when it ends */
    expect(&f, 2, "{\"b\":2,\"b\":3}");
}

static void what_follows_the_end_of_a_run_is_not_looked_at(void **state)
{
    (void)state;
    FIXTURE(f, "/a", "/b");
    struct listener listener = {&f, 0, {0}, 0};

    assert_int_equal(run_until(&listener, "{\"a\":1,\"b\":}} no JSON", NULL), 1);
    assert_int_equal(listener.n, 1);
    expect(&f, 0, "1");
    expect(&f, 1, NULL);
    /* Not even what follows the whole value. */
    assert_int_equal(run_until(&listener, "{\"b\":2,\"a\":1} more", NULL), 1);
    expect(&f, 1, "2");
}

static void a_mistake_before_the_end_of_a_run_is_a_mistake(void **state)
{
    (void)state;
    FIXTURE(f, "/a", "/b");
    struct listener listener = {&f, 1, {0}, 0};
    struct rg_why why = {0};

    assert_int_equal(run_until(&listener, "{\"a\":1,\"x\":nil,\"b\":2}", &why), RG_ESYNTAX);
    assert_string_equal(why.place, "byte 11");
    assert_int_equal(listener.n, 1);
    expect(&f, 0, NULL);
    assert_int_equal(run_until(&listener, "", &why), RG_ESYNTAX);
    assert_int_equal(listener.n, 0);
}

static void a_run_after_one_that_was_ended_starts_afresh(void **state)
{
    (void)state;
    FIXTURE(f, "/a", "/b/c");
    struct listener listener = {&f, 0, {0}, 0};

    assert_int_equal(run_until(&listener, "{\"a\":1,\"b\":{\"c\":2}}", NULL), 1);
    assert_int_equal(run(&f, "{\"b\":{\"c\":3}}"), 0);
    assert_int_equal(listener.n, 1); /* and nobody is told any more */
    expect(&f, 0, NULL);
    expect(&f, 1, "3");
    assert_int_equal(run_until(&listener, "{\"a\":4}", NULL), 1);
    assert_int_equal(rg_projector_run_below(f.projector, RG_STR("/b"), RG_STR("{\"c\":5}")), 0);
    expect(&f, 1, "5");
}

/* -- the same answers as another implementation gives ----------------------- */

static uint64_t random_state;

static unsigned below(unsigned bound)
{
    random_state = random_state * 6364136223846793005ULL + 1442695040888963407ULL;
    return (unsigned)(random_state >> 33) % bound;
}

/* As JSON writes them, as a pointer does. Two spellings of one name never share an object. */
static const struct {
    const char *json, *other_json, *pointer;
} names[] = {
    {"a", "\\u0061", "a"},
    {"bb", "b\\u0062", "bb"},
    {"0", "\\u0030", "0"},
    {"1", "1", "1"},
    {"10", "1\\u0030", "10"},
    {"x/y", "x\\/y", "x~1y"},
    {"~", "\\u007e", "~0"},
    {"", "", ""},
    {"\xc3\xa9", "\\u00e9", "\xc3\xa9"},
    {"q\\\"", "q\\u0022", "q\""},
    {"longer name", "longer\\u0020name", "longer name"},
    {"\xf0\x9f\x98\x80", "\\ud83d\\ude00", "\xf0\x9f\x98\x80"},
};

static void add_space(struct rg_buf *out)
{
    static const char *const spaces[] = {"", "", "", " ", "\n", "\t  ", "\r\n    "};
    rg_buf_add_c(out, spaces[below(RG_COUNT_OF(spaces))]);
}

static void add_random(struct rg_buf *out, unsigned depth);

static void add_random_object(struct rg_buf *out, unsigned depth)
{
    bool is_first = true;

    rg_buf_add_char(out, '{');
    add_space(out);
    for (size_t i = below(4); i < RG_COUNT_OF(names); i += 1 + below(6)) {
        if (!is_first)
            rg_buf_add_char(out, ',');
        is_first = false;
        add_space(out);
        rg_buf_addf(out, "\"%s\"", below(3) > 0 ? names[i].json : names[i].other_json);
        add_space(out);
        rg_buf_add_char(out, ':');
        add_space(out);
        add_random(out, depth + 1);
        add_space(out);
    }
    rg_buf_add_char(out, '}');
}

static void add_random_array(struct rg_buf *out, unsigned depth)
{
    unsigned n = below(3) > 0 ? below(4) : below(14);

    rg_buf_add_char(out, '[');
    add_space(out);
    for (unsigned i = 0; i < n; i++) {
        if (i > 0)
            rg_buf_add_char(out, ',');
        add_space(out);
        add_random(out, depth + 1);
        add_space(out);
    }
    rg_buf_add_char(out, ']');
}

static void add_random(struct rg_buf *out, unsigned depth)
{
    static const char *const scalars[] = {"null",
                                          "true",
                                          "false",
                                          "0",
                                          "-17",
                                          "2.5e-3",
                                          "\"\"",
                                          "\"]}\\\",{[\"",
                                          "\"\\\\\"",
                                          "\"a text that is longer than sixteen bytes\"",
                                          "\"\xc3\xa9\xe2\x82\xac\\n\"",
                                          "[]",
                                          "{}"};

    if (depth < 6 && below(8) > depth && below(10) > 0) {
        if (below(3) > 0)
            add_random_object(out, depth);
        else
            add_random_array(out, depth);
        return;
    }
    rg_buf_add_c(out, scalars[below(RG_COUNT_OF(scalars))]);
}

/* What jansson's tree has below at under names[i]. */
static json_t *step(json_t *at, size_t i)
{
    RG_CLEANUP(rg_buf_done) struct rg_buf quoted = {0}, name = {0};
    struct rg_json key;

    rg_buf_addf(&quoted, "\"%s\"", names[i].json);
    assert_int_equal(rg_json_check(rg_buf_str(&quoted), &key, NULL), 0);
    rg_json_unescape(key, &name);
    rg_buf_add_char(&name, '\0');
    if (!json_is_array(at))
        return json_object_get(at, name.p);
    if (name.p[0] < '0' || name.p[0] > '9')
        return NULL;
    return json_array_get(at, (size_t)atoi(name.p));
}

/* A random pointer, and what jansson's tree has there; most steps lead somewhere. */
static json_t *random_pointer(json_t *root, struct rg_buf *pointer)
{
    json_t *at = root;

    rg_buf_clear(pointer);
    for (unsigned steps = below(6); steps > 0; steps--) {
        size_t i = below(RG_COUNT_OF(names));
        for (unsigned tries = below(8); tries > 0 && step(at, i) == NULL; tries--)
            i = below(RG_COUNT_OF(names));
        rg_buf_addf(pointer, "/%s", names[i].pointer);
        at = step(at, i);
    }
    return at;
}

static void assert_same(struct rg_json value, json_t *expected)
{
    if (expected == NULL) {
        assert_int_equal(value.kind, RG_JSON_NONE);
        return;
    }
    assert_int_not_equal(value.kind, RG_JSON_NONE);
    json_t *got = json_loadb(value.text.p, value.text.n, JSON_DECODE_ANY, NULL);
    assert_non_null(got);
    assert_true(json_equal(got, expected));
    json_decref(got);
}

enum {
    POINTERS = 12
};

/* Returns how many of the pointers led to something. */
static size_t compare_one(struct rg_str text)
{
    RG_CLEANUP(rg_buf_done) struct rg_buf pointer = {0};
    RG_CLEANUP(fixture_done) struct fixture f = {.projection = rg_projection_new()};
    json_t *root = json_loadb(text.p, text.n, JSON_DECODE_ANY, NULL);
    json_t *expected[POINTERS];
    int slots[POINTERS];
    size_t n = 0;

    assert_non_null(root);
    for (size_t i = 0; i < POINTERS; i++) {
        expected[i] = random_pointer(root, &pointer);
        slots[i] = rg_projection_add(f.projection, rg_buf_str(&pointer));
        n += expected[i] != NULL && expected[i] != root;
    }
    f.projector = rg_projector_new(f.projection);
    assert_int_equal(rg_projector_run(f.projector, text, NULL, NULL), 0);
    for (size_t i = 0; i < POINTERS; i++)
        assert_same(rg_projector_get(f.projector, slots[i]), expected[i]);
    json_decref(root);
    return n;
}

/* The cursor's way through text, compared with jansson's tree. */
static void walk_same(struct rg_json value, json_t *expected)
{
    struct rg_json_cursor cursor = {0};
    struct rg_json child;
    struct rg_str key;
    size_t n = 0;

    while (rg_json_next(value, &cursor, &key, &child)) {
        json_t *other = json_array_get(expected, n++);
        if (value.kind == RG_JSON_OBJECT) {
            RG_CLEANUP(rg_buf_done) struct rg_buf name = {0};
            struct rg_json whole = {RG_JSON_STRING, {key.p - 1, key.n + 2}};
            rg_json_unescape(whole, &name);
            rg_buf_add_char(&name, '\0');
            other = json_object_get(expected, name.p);
        }
        assert_non_null(other);
        assert_same(child, other);
        walk_same(child, other);
    }
    assert_int_equal(n, json_array_size(expected) + json_object_size(expected));
}

static void random_documents_give_what_a_tree_gives(void **state)
{
    (void)state;
    RG_CLEANUP(rg_buf_done) struct rg_buf text = {0};
    size_t found = 0;

    random_state = 20240506;
    for (int i = 0; i < 3000; i++) {
        rg_buf_clear(&text);
        add_space(&text);
        add_random(&text, 0);
        add_space(&text);
        found += compare_one(rg_buf_str(&text));
        if (i % 10 == 0) {
            struct rg_json value;
            json_t *root = json_loadb(text.p, text.n, JSON_DECODE_ANY, NULL);
            assert_int_equal(rg_json_check(rg_buf_str(&text), &value, NULL), 0);
            walk_same(value, root);
            json_decref(root);
        }
    }
    /* Otherwise the comparison would be about nothing. */
    assert_true(found > 4000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pointers_get_slots_once_and_malformed_ones_none),
        cmocka_unit_test(values_are_found_at_every_depth),
        cmocka_unit_test(a_step_into_what_is_no_container_finds_nothing),
        cmocka_unit_test(tokens_and_names_are_compared_unescaped),
        cmocka_unit_test(an_escaped_name_too_long_to_match_is_passed_over),
        cmocka_unit_test(array_indices_are_those_of_rfc_6901),
        cmocka_unit_test(the_first_of_duplicate_names_counts),
        cmocka_unit_test(a_run_forgets_the_one_before),
        cmocka_unit_test(the_whole_text_is_checked_also_where_pointers_lead),
        cmocka_unit_test(nesting_is_bounded_also_where_pointers_lead),
        cmocka_unit_test(text_in_a_string_is_seen_below_its_pointer),
        cmocka_unit_test(a_run_that_nobody_ends_tells_each_slot_once_as_it_is_filled),
        cmocka_unit_test(what_follows_the_end_of_a_run_is_not_looked_at),
        cmocka_unit_test(a_mistake_before_the_end_of_a_run_is_a_mistake),
        cmocka_unit_test(a_run_after_one_that_was_ended_starts_afresh),
        cmocka_unit_test(random_documents_give_what_a_tree_gives),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
