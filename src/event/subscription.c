#include "event/subscription.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "event/fingerprint.h"

/* One list being read. */
struct reading {
    const struct rg_extractors *extractors;
    struct rg_subscription_set *set;
    size_t keys_cap;
    size_t max;
    size_t counted;   /* of max: a subscription, or each of its constraints */
    const char *root; /* pointer to the list */
    struct rg_why *why;

    struct rg_buf scratch; /* the event type, where it has escapes */
    struct rg_match_key_builder builder;
};

/* One subscription of the list. */
struct element {
    size_t at;
    struct rg_match_key type_key;
    const struct rg_extractor_type *type; /* NULL: no fields configured */
    const char *one_of_place;             /* of the list, under the alias that was used */
};

/* Says what is wrong at a place below element number at of the list. */
static int complain(struct reading *r, size_t at, const char *below, const char *text)
{
    char place[sizeof(r->why->place)];

    snprintf(place, sizeof(place), "%s/%zu%s", r->root, at, below);
    return rg_why_set(r->why, RG_EINVAL, place, "%s", text);
}

static int complain_clause(struct reading *r, const struct element *e, size_t clause,
                           const char *below, const char *text)
{
    char place[64];

    snprintf(place, sizeof(place), "%s/%zu%s", e->one_of_place, clause, below);
    return complain(r, e->at, place, text);
}

static int count(struct reading *r)
{
    if (r->counted >= r->max)
        return rg_why_set(r->why, RG_EFULL, r->root, "more than %zu subscriptions", r->max);
    r->counted++;
    return 0;
}

static void add_key(struct reading *r, const struct element *e, struct rg_match_key key,
                    uint64_t fields)
{
    struct rg_subscription_set *set = r->set;

    if (set->keys_n == r->keys_cap) {
        r->keys_cap = r->keys_cap > 0 ? r->keys_cap * 2 : 4;
        set->keys = rg_realloc_array(set->keys, r->keys_cap, sizeof(set->keys[0]));
    }
    set->keys[set->keys_n++] = (struct rg_subscription_key){key, e->type_key, fields};
}

/* A constraint, normalised: what it asks of the fields that the extractors know. */
struct clause {
    bool is_impossible;
    uint64_t fields; /* those with a value */
    struct rg_json values[RG_MAX_FIELDS];
};

/* The position of the field with this raw name, or fields_n. */
static size_t find_field(const struct rg_extractor_type *type, struct rg_str raw)
{
    size_t i = 0;

    while (i < type->fields_n && !rg_json_key_eq(raw, rg_str_c(type->fields[i].name)))
        i++;
    return i;
}

static bool is_scalar(enum rg_json_kind kind)
{
    return kind == RG_JSON_STRING || kind == RG_JSON_NUMBER || kind == RG_JSON_TRUE ||
           kind == RG_JSON_FALSE;
}

/* Reads a constraint object; false if a field name is empty. */
static bool read_clause(const struct rg_extractor_type *type, struct rg_json object,
                        struct clause *ret)
{
    struct rg_json_cursor cursor = {0};
    struct rg_json value;
    struct rg_str name;
    uint64_t seen = 0;

    ret->is_impossible = false;
    ret->fields = 0;
    while (rg_json_next(object, &cursor, &name, &value)) {
        if (name.n == 0)
            return false;
        size_t i = type != NULL ? find_field(type, name) : 0;
        if (type == NULL || i == type->fields_n)
            continue;

        uint64_t bit = (uint64_t)1 << i;
        if ((seen & bit) != 0) /* of duplicate names the first one counts */
            continue;
        seen |= bit;
        if (value.kind == RG_JSON_NULL)
            continue;
        if (!is_scalar(value.kind))
            ret->is_impossible = true;
        ret->fields |= bit;
        ret->values[i] = value;
    }
    return true;
}

static void add_clause_key(struct reading *r, const struct element *e, const struct clause *clause)
{
    if (clause->is_impossible)
        return;
    rg_match_key_begin(&r->builder, e->type_key, clause->fields);
    for (uint64_t rest = clause->fields; rest != 0; rest &= rest - 1) {
        /* A number too long to be read equals nothing. */
        if (rg_match_key_add(&r->builder, clause->values[__builtin_ctzll(rest)]) < 0)
            return;
    }
    add_key(r, e, rg_match_key_end(&r->builder), clause->fields);
}

static int read_clauses(struct reading *r, const struct element *e, struct rg_json one_of)
{
    struct rg_json_cursor cursor = {0};
    struct rg_json object;
    struct rg_str none;
    struct clause clause;
    size_t n = 0;
    int err;

    for (; rg_json_next(one_of, &cursor, &none, &object); n++) {
        err = count(r);
        if (err < 0)
            return err;
        if (object.kind != RG_JSON_OBJECT)
            return complain_clause(
                r, e, n, "",
                "a disjunctive clause expected to be a conjunction represented by a map");
        if (!read_clause(e->type, object, &clause))
            return complain_clause(r, e, n, "/", "a field name in a disjunctive clause is empty");
        add_clause_key(r, e, &clause);
    }
    if (n > 0)
        return 0;

    err = count(r);
    if (err == 0)
        add_key(r, e, e->type_key, 0);
    return err;
}

static void add_echo(struct reading *r, struct rg_str type, struct rg_json one_of)
{
    struct rg_buf *echo = &r->set->echo;

    rg_buf_add_c(echo, r->set->subscriptions_n > 0 ? ",{\"eventType\":" : "{\"eventType\":");
    rg_json_add_string(echo, type);
    rg_buf_add_c(echo, ",\"oneOf\":");
    rg_buf_add_str(echo, one_of.text);
    rg_buf_add_char(echo, '}');
}

/*
 * The first of the places, "/<name>" each, where the object has a member. *ret_place is that
 * place.
 */
static struct rg_json first_member(struct rg_json object, const char *const *places, size_t n,
                                   const char **ret_place)
{
    struct rg_json value = {0};

    for (size_t i = 0; i < n && value.kind == RG_JSON_NONE; i++) {
        *ret_place = places[i];
        value = rg_json_member(object, rg_str_c(places[i] + 1));
    }
    return value;
}

static int read_type(struct reading *r, size_t at, struct rg_json object, struct rg_str *ret)
{
    static const char *const places[] = {"/event_type", "/eventType"};
    const char *place;
    struct rg_json value = first_member(object, places, RG_COUNT_OF(places), &place);

    if (value.kind == RG_JSON_NONE)
        return complain(r, at, "", "event-type not found");
    if (value.kind != RG_JSON_STRING)
        return complain(r, at, place, "event-type not found: it must be a string");
    rg_buf_clear(&r->scratch);
    *ret = rg_json_string(value, &r->scratch);
    return ret->n > 0 ? 0 : complain(r, at, place, "event-type empty");
}

static int read_element(struct reading *r, size_t at, struct rg_json object)
{
    static const char *const places[] = {"/constraints", "/one_of", "/oneOf"};
    struct element e = {.at = at};
    struct rg_json one_of;
    struct rg_str type = {NULL, 0};
    int err;

    if (object.kind != RG_JSON_OBJECT)
        return complain(r, at, "", "a subscription expected to be represented by a map");
    err = read_type(r, at, object, &type);
    if (err < 0)
        return err;
    one_of = first_member(object, places, RG_COUNT_OF(places), &e.one_of_place);
    if (one_of.kind == RG_JSON_NONE)
        one_of = (struct rg_json){RG_JSON_ARRAY, RG_STR("[]")};
    if (one_of.kind != RG_JSON_ARRAY)
        return complain(r, at, e.one_of_place,
                        "constraints expected to be a list of disjunctive clauses");

    e.type_key = rg_match_key_of_type(type);
    e.type = rg_extractors_find(r->extractors, type);
    err = read_clauses(r, &e, one_of);
    if (err < 0)
        return err;
    add_echo(r, type, one_of);
    r->set->subscriptions_n++;
    return 0;
}

static int compare_keys(const void *a, const void *b)
{
    const struct rg_hash128 *x = &((const struct rg_subscription_key *)a)->key.h;
    const struct rg_hash128 *y = &((const struct rg_subscription_key *)b)->key.h;

    if (x->w[0] != y->w[0])
        return x->w[0] < y->w[0] ? -1 : 1;
    return (x->w[1] > y->w[1]) - (x->w[1] < y->w[1]);
}

/* Sorts out duplicates and gives back what was reserved beyond. */
static void settle_keys(struct rg_subscription_set *set)
{
    size_t n = 0;

    if (set->keys_n == 0)
        return;
    qsort(set->keys, set->keys_n, sizeof(set->keys[0]), compare_keys);
    for (size_t i = 0; i < set->keys_n; i++) {
        if (i == 0 || !rg_match_key_eq(set->keys[i].key, set->keys[n - 1].key))
            set->keys[n++] = set->keys[i];
    }
    set->keys_n = n;
    set->keys = rg_realloc_array(set->keys, n, sizeof(set->keys[0]));
}

static int read_elements(struct reading *r, struct rg_json list)
{
    struct rg_json_cursor cursor = {0};
    struct rg_json element;
    struct rg_str none;
    int err;

    if (list.kind != RG_JSON_ARRAY)
        return rg_why_set(r->why, RG_EINVAL, r->root, "subscriptions expected to be a list");
    rg_buf_add_char(&r->set->echo, '[');
    for (size_t at = 0; rg_json_next(list, &cursor, &none, &element); at++) {
        err = read_element(r, at, element);
        if (err < 0)
            return err;
    }
    rg_buf_add_char(&r->set->echo, ']');
    settle_keys(r->set);
    return 0;
}

static int read_list(const struct rg_extractors *extractors, struct rg_json list, const char *root,
                     size_t max_subscriptions, struct rg_subscription_set **ret, struct rg_why *why)
{
    RG_CLEANUP(rg_subscription_set_free)
    struct rg_subscription_set *set = rg_zalloc(sizeof(*set));
    struct reading r = {
        .extractors = extractors, .set = set, .max = max_subscriptions, .root = root, .why = why};
    int err = read_elements(&r, list);

    rg_buf_done(&r.scratch);
    rg_buf_done(&r.builder.text);
    if (err == 0)
        *ret = RG_STEAL(set);
    return err;
}

int rg_subscription_read(const struct rg_extractors *extractors, struct rg_json list,
                         size_t max_subscriptions, struct rg_subscription_set **ret,
                         struct rg_why *why)
{
    return read_list(extractors, list, "", max_subscriptions, ret, why);
}

int rg_subscription_parse(const struct rg_extractors *extractors, struct rg_str json,
                          bool is_object_ok, size_t max_subscriptions,
                          struct rg_subscription_set **ret, struct rg_why *why)
{
    const char *root = "";
    struct rg_json value;
    int err = rg_json_check(json, &value, why);

    if (err < 0)
        return err;
    if (is_object_ok && value.kind == RG_JSON_OBJECT) {
        root = "/subscriptions";
        value = rg_json_member(value, RG_STR("subscriptions"));
        if (value.kind == RG_JSON_NONE)
            return rg_why_set(why, RG_EINVAL, "", "field \"subscriptions\" is not present");
    }
    return read_list(extractors, value, root, max_subscriptions, ret, why);
}

void rg_subscription_set_prepend(struct rg_subscription_set *set,
                                 struct rg_subscription_set **firstp)
{
    struct rg_subscription_set *first = *firstp;
    size_t n = set->keys_n + first->keys_n;

    if (first->keys_n > 0) {
        set->keys = rg_realloc_array(set->keys, n, sizeof(set->keys[0]));
        memcpy(set->keys + set->keys_n, first->keys, first->keys_n * sizeof(set->keys[0]));
        set->keys_n = n;
        settle_keys(set);
    }
    if (first->subscriptions_n > 0) {
        /* The closing bracket of the one becomes the comma before the other. */
        first->echo.n--;
        if (set->subscriptions_n > 0)
            rg_buf_add_char(&first->echo, ',');
        rg_buf_add(&first->echo, set->echo.p + 1, set->echo.n - 1);
        rg_buf_done(&set->echo);
        set->echo = first->echo;
        first->echo = (struct rg_buf){0};
        set->subscriptions_n += first->subscriptions_n;
    }
    rg_subscription_set_free(firstp);
}

/* Fingerprints that were seen: an open-addressed table at most half full. */
struct seen {
    struct rg_hash128 *at; /* w[0] == 0: free */
    size_t mask;
};

/* True if h was there already; it is afterwards. */
static bool see(struct seen *seen, struct rg_hash128 h)
{
    size_t i;

    h.w[0] |= 1;
    for (i = h.w[1] & seen->mask; seen->at[i].w[0] != 0; i = (i + 1) & seen->mask) {
        if (seen->at[i].w[0] == h.w[0] && seen->at[i].w[1] == h.w[1])
            return true;
    }
    seen->at[i] = h;
    return false;
}

void rg_subscription_set_unique(struct rg_subscription_set *set)
{
    struct rg_json list = {RG_JSON_ARRAY, rg_buf_str(&set->echo)};
    struct rg_json_cursor cursor = {0};
    struct rg_buf echo = {0};
    struct rg_json subscription;
    struct seen seen = {0};
    struct rg_str none;

    if (set->subscriptions_n < 2)
        return;
    while (seen.mask < 2 * set->subscriptions_n)
        seen.mask = 2 * seen.mask + 1;
    seen.at = rg_zalloc((seen.mask + 1) * sizeof(seen.at[0]));
    set->subscriptions_n = 0;
    while (rg_json_next(list, &cursor, &none, &subscription)) {
        if (see(&seen, rg_fingerprint_of_json(subscription)))
            continue;
        rg_buf_add_char(&echo, set->subscriptions_n++ > 0 ? ',' : '[');
        rg_buf_add_str(&echo, subscription.text);
    }
    rg_buf_add_char(&echo, ']');
    rg_free(seen.at);
    rg_buf_done(&set->echo);
    set->echo = echo;
}

struct rg_subscription_key rg_subscription_key_of_channel(struct rg_str topic)
{
    /* One field set for all, so that they share a list in the interest table. */
    return (struct rg_subscription_key){rg_match_key_of_channel(topic), rg_match_key_of_channels(),
                                        1};
}

struct rg_subscription_set *rg_subscription_set_empty(void)
{
    struct rg_subscription_set *set = rg_zalloc(sizeof(*set));

    rg_buf_add_c(&set->echo, "[]");
    return set;
}

void rg_subscription_set_free(struct rg_subscription_set **setp)
{
    struct rg_subscription_set *set = RG_STEAL(*setp);

    if (set == NULL)
        return;
    rg_free(set->keys);
    rg_buf_done(&set->echo);
    rg_free(set);
}
