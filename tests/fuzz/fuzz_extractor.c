/*
 * Any text as EXTRACTORS: it is refused with a problem, or every type in it is found
 * again and every field has a slot.
 */
#include "base/alloc.h"
#include "event/extractor.h"

static void use_type(const struct rg_extractors *extractors, const struct rg_extractor_type *type)
{
    size_t slots = rg_projection_slots(rg_extractors_projection(extractors));

    rg_assert(rg_extractors_find(extractors, rg_str_n(type->name, type->name_n)) == type);
    rg_assert(type->fields_n <= RG_MAX_FIELDS);
    for (size_t i = 0; i < type->fields_n; i++) {
        const struct rg_extractor_field *field = &type->fields[i];
        rg_assert(field->slot >= 0 && (size_t)field->slot < slots);
        rg_assert(field->jwt_pointer == NULL || field->jwt_pointer[0] == '/');
        rg_assert(i == 0 || type->fields[i - 1].stable_index < field->stable_index);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct rg_problems problems = {0};
    struct rg_extractors *extractors =
        rg_extractors_new(rg_str_n((const char *)data, n), &problems);

    rg_assert((extractors == NULL) == (problems.n > 0));
    for (size_t i = 0; extractors != NULL && i < rg_extractors_count(extractors); i++)
        use_type(extractors, rg_extractors_at(extractors, i));
    rg_extractors_free(&extractors);
    rg_problems_done(&problems);
    return 0;
}
