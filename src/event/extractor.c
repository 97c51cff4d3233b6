#include "event/extractor.h"

#include <jansson.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "event/name_priv.h"

#define VARIABLE "EXTRACTORS"

struct rg_extractors {
    struct rg_extractor_type *types; /* as configured */
    size_t types_n;
    struct rg_projection *projection;

    size_t *table; /* numbers of types by name, counted from 1; 0: free */
    size_t table_mask;
};

static const struct {
    int slot;
    const char *pointer;
} envelope_slots[] = {
    {RG_SLOT_SPECVERSION, "/specversion"},
    {RG_SLOT_TYPE, "/type"},
    {RG_SLOT_ID, "/id"},
    {RG_SLOT_OLD_VERSION, "/cloudEventsVersion"},
    {RG_SLOT_OLD_TYPE, "/eventType"},
    {RG_SLOT_OLD_ID, "/eventID"},
    {RG_SLOT_CONTENTTYPE, "/contenttype"},
    {RG_SLOT_OLD_CONTENTTYPE, "/contentType"},
    {RG_SLOT_DATACONTENTTYPE, "/datacontenttype"},
    {RG_SLOT_SOURCE, "/source"},
    {RG_SLOT_DATA, "/data"},
    {RG_SLOT_USERNAME, "/username"},
    {RG_SLOT_ROLES, "/roles"},
};
_Static_assert(RG_COUNT_OF(envelope_slots) == RG_SLOT_ENVELOPE_COUNT, "one pointer per slot");

/* -- reading the configuration --------------------------------------------- */

/* Where in the configuration we are, for messages. */
struct reading {
    struct rg_problems *problems;
    struct rg_projection *projection;
    struct rg_buf where; /* event type "a", field "b": ; quoted as in JSON */
};

#define PROBLEM(r, value, fmt, ...)                                                                \
    rg_problem_add((r)->problems, VARIABLE, (value), "%.*s" fmt,                                   \
                   RG_STR_ARG(rg_buf_str(&(r)->where)) __VA_OPT__(, ) __VA_ARGS__)

static void say_where(struct reading *r, const char *type, const char *field)
{
    rg_buf_clear(&r->where);
    rg_buf_add_c(&r->where, "event type ");
    rg_json_add_string(&r->where, rg_str_c(type));
    if (field != NULL) {
        rg_buf_add_c(&r->where, ", field ");
        rg_json_add_string(&r->where, rg_str_c(field));
    }
    rg_buf_add_c(&r->where, ": ");
}

/* The pointer below settings.<part>.json_pointer, or NULL after a problem was added. */
static const char *read_pointer(struct reading *r, json_t *settings, const char *part)
{
    json_t *holder = json_object_get(settings, part);
    json_t *value = json_object_get(holder, "json_pointer");
    const char *text = json_string_value(value);
    RG_CLEANUP(rg_projection_free) struct rg_projection *trial = rg_projection_new();

    if (holder == NULL)
        PROBLEM(r, NULL, "%s.json_pointer is missing", part);
    else if (!json_is_object(holder))
        PROBLEM(r, NULL, "%s must be an object like {\"json_pointer\": \"/data/name\"}", part);
    else if (value == NULL)
        PROBLEM(r, NULL, "%s.json_pointer is missing", part);
    else if (text == NULL)
        PROBLEM(r, NULL, "%s.json_pointer must be a string", part);
    else if (*text == '\0')
        PROBLEM(r, text, "%s.json_pointer must not be empty", part);
    else if (*text != '/')
        PROBLEM(r, text, "%s.json_pointer must begin with '/'", part);
    else if (rg_projection_add(trial, rg_str_c(text)) < 0)
        PROBLEM(r, text, "%s.json_pointer has a '~' that is not part of ~0 or ~1", part);
    else
        return text;
    return NULL;
}

/* Fills *ret with settings.stable_field_index, if it is one that no field in type has yet. */
static bool read_index(struct reading *r, json_t *settings, const struct rg_extractor_type *type,
                       int64_t *ret)
{
    json_t *value = json_object_get(settings, "stable_field_index");

    if (value == NULL) {
        PROBLEM(r, NULL, "stable_field_index is missing");
        return false;
    }
    *ret = json_integer_value(value);
    if (!json_is_integer(value) || *ret < 0) {
        PROBLEM(r, NULL, "stable_field_index must be an integer from 0 on");
        return false;
    }
    for (size_t i = 0; i < type->fields_n; i++) {
        if (type->fields[i].stable_index == *ret) {
            RG_CLEANUP(rg_buf_done) struct rg_buf other = {0};
            rg_json_add_string(&other, rg_str_c(type->fields[i].name));
            PROBLEM(r, NULL, "stable_field_index %lld is also that of field %.*s", (long long)*ret,
                    RG_STR_ARG(rg_buf_str(&other)));
            return false;
        }
    }
    return true;
}

/* Appends a field to type; problems are added, and then the field may be left out. */
static void read_field(struct reading *r, struct rg_extractor_type *type, const char *name,
                       json_t *settings)
{
    struct rg_extractor_field field = {0};
    const char *event_pointer, *jwt_pointer = NULL;

    say_where(r, type->name, name);
    if (*name == '\0')
        PROBLEM(r, NULL, "the name of the field must not be empty");
    if (!json_is_object(settings)) {
        PROBLEM(r, NULL, "must be an object with stable_field_index and event.json_pointer");
        return;
    }
    bool has_index = read_index(r, settings, type, &field.stable_index);
    event_pointer = read_pointer(r, settings, "event");
    if (json_object_get(settings, "jwt") != NULL)
        jwt_pointer = read_pointer(r, settings, "jwt");
    if (!has_index || type->fields_n == RG_MAX_FIELDS)
        return;

    field.name = rg_strndup(name, strlen(name));
    if (event_pointer != NULL)
        field.slot = rg_projection_add(r->projection, rg_str_c(event_pointer));
    if (jwt_pointer != NULL)
        field.jwt_pointer = rg_strndup(jwt_pointer, strlen(jwt_pointer));
    type->fields[type->fields_n++] = field;
}

static int by_stable_index(const void *a, const void *b)
{
    int64_t x = ((const struct rg_extractor_field *)a)->stable_index;
    int64_t y = ((const struct rg_extractor_field *)b)->stable_index;

    return (x > y) - (x < y);
}

static void read_type(struct reading *r, struct rg_extractor_type *type, json_t *fields)
{
    const char *name;
    json_t *settings;

    say_where(r, type->name, NULL);
    if (type->name_n == 0)
        PROBLEM(r, NULL, "the name of the event type must not be empty");
    if (!json_is_object(fields)) {
        PROBLEM(r, NULL, "must be an object of fields");
        return;
    }
    if (json_object_size(fields) > RG_MAX_FIELDS)
        PROBLEM(r, NULL, "has %zu fields, at most %d are possible", json_object_size(fields),
                RG_MAX_FIELDS);
    type->fields = rg_zalloc(RG_MAX_FIELDS * sizeof(*type->fields));
    json_object_foreach(fields, name, settings) read_field(r, type, name, settings);
    if (type->fields_n > 0)
        qsort(type->fields, type->fields_n, sizeof(*type->fields), by_stable_index);
}

static void read_types(struct rg_extractors *x, json_t *root, struct rg_problems *problems)
{
    struct reading r = {.problems = problems, .projection = x->projection};
    const char *name;
    json_t *fields;

    x->types = rg_zalloc(json_object_size(root) * sizeof(*x->types));
    json_object_foreach(root, name, fields)
    {
        struct rg_extractor_type *type = &x->types[x->types_n++];
        type->name_n = strlen(name);
        type->name = rg_strndup(name, type->name_n);
        read_type(&r, type, fields);
    }
    rg_buf_done(&r.where);
}

static void decref(json_t **rootp)
{
    json_decref(*rootp);
}

static void read_text(struct rg_extractors *x, struct rg_str json, struct rg_problems *problems)
{
    json_error_t error;
    RG_CLEANUP(decref)
    json_t *root = json_loadb(json.p, json.n, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, &error);

    if (root == NULL)
        rg_problem_add(problems, VARIABLE, NULL, "not JSON: line %d column %d: %s", error.line,
                       error.column, error.text);
    else if (!json_is_object(root))
        rg_problem_add(problems, VARIABLE, NULL, "must be a JSON object of event types");
    else
        read_types(x, root, problems);
}

/* -- the compiled form ----------------------------------------------------- */

static uint64_t hash_of(struct rg_str name)
{
    return rg_name_hash(rg_name_ends(name), name.n, 0);
}

static void make_table(struct rg_extractors *x)
{
    size_t size = 4;

    while (size < x->types_n * 2)
        size *= 2;
    x->table = rg_zalloc(size * sizeof(*x->table));
    x->table_mask = size - 1;
    for (size_t n = 1; n <= x->types_n; n++) {
        const struct rg_extractor_type *type = &x->types[n - 1];
        size_t i = hash_of(rg_str_n(type->name, type->name_n)) & x->table_mask;
        while (x->table[i] != 0)
            i = (i + 1) & x->table_mask;
        x->table[i] = n;
    }
}

struct rg_extractors *rg_extractors_new(struct rg_str json, struct rg_problems *problems)
{
    RG_CLEANUP(rg_extractors_free) struct rg_extractors *x = rg_zalloc(sizeof(*x));
    size_t before = problems->n;

    x->projection = rg_projection_new();
    for (size_t i = 0; i < RG_COUNT_OF(envelope_slots); i++) {
        int slot = rg_projection_add(x->projection, rg_str_c(envelope_slots[i].pointer));
        rg_assert(slot == envelope_slots[i].slot);
    }
    if (json.p != NULL)
        read_text(x, json, problems);
    if (problems->n > before)
        return NULL;
    make_table(x);
    return RG_STEAL(x);
}

void rg_extractors_free(struct rg_extractors **extractorsp)
{
    struct rg_extractors *x = *extractorsp;

    *extractorsp = NULL;
    if (x == NULL)
        return;
    for (size_t i = 0; i < x->types_n; i++) {
        struct rg_extractor_type *type = &x->types[i];
        for (size_t k = 0; k < type->fields_n; k++) {
            rg_free(type->fields[k].name);
            rg_free(type->fields[k].jwt_pointer);
        }
        rg_free(type->fields);
        rg_free(type->name);
    }
    rg_free(x->types);
    rg_free(x->table);
    rg_projection_free(&x->projection);
    rg_free(x);
}

const struct rg_extractor_type *rg_extractors_find(const struct rg_extractors *extractors,
                                                   struct rg_str event_type)
{
    size_t n;

    for (size_t i = hash_of(event_type);; i++) {
        n = extractors->table[i & extractors->table_mask];
        if (n == 0)
            return NULL;
        const struct rg_extractor_type *type = &extractors->types[n - 1];
        if (rg_str_eq(rg_str_n(type->name, type->name_n), event_type))
            return type;
    }
}

size_t rg_extractors_count(const struct rg_extractors *extractors)
{
    return extractors->types_n;
}

const struct rg_extractor_type *rg_extractors_at(const struct rg_extractors *extractors, size_t i)
{
    rg_assert(i < extractors->types_n);
    return &extractors->types[i];
}

const struct rg_projection *rg_extractors_projection(const struct rg_extractors *extractors)
{
    return extractors->projection;
}
