#include "event/automatic.h"

#include "base/log.h"

/* A claim that is null counts as missing: as a constraint it would stand for any value. */
static bool find_claim(struct rg_json claims, const struct rg_extractor_field *field,
                       struct rg_json *ret)
{
    if (field->jwt_pointer == NULL)
        return false;
    *ret = rg_json_at(claims, rg_str_c(field->jwt_pointer));
    return ret->kind != RG_JSON_NONE && ret->kind != RG_JSON_NULL;
}

static void log_missing(struct rg_json claims, const struct rg_extractor_type *type)
{
    struct rg_json claim;

    if (!rg_log_enabled(RG_LOG_DEBUG))
        return;
    for (size_t i = 0; i < type->fields_n; i++) {
        const struct rg_extractor_field *field = &type->fields[i];
        if (field->jwt_pointer != NULL && !find_claim(claims, field, &claim))
            rg_log_debug("automatic subscription is broader, a claim is missing",
                         RG_FS("event_type", type->name), RG_FS("field", field->name),
                         RG_FS("claim", field->jwt_pointer));
    }
}

/* Appends the subscription to one event type to the list in out, if there is one. */
static void add_subscription(struct rg_json claims, const struct rg_extractor_type *type,
                             struct rg_buf *out)
{
    struct rg_json claim;
    size_t before = out->n, n = 0;

    rg_buf_add_c(out, out->n > 1 ? ",{\"eventType\":" : "{\"eventType\":");
    rg_json_add_string(out, rg_str_n(type->name, type->name_n));
    rg_buf_add_c(out, ",\"oneOf\":[");
    for (size_t i = 0; i < type->fields_n; i++) {
        if (!find_claim(claims, &type->fields[i], &claim))
            continue;
        rg_buf_add_char(out, n++ > 0 ? ',' : '{');
        rg_json_add_string(out, rg_str_c(type->fields[i].name));
        rg_buf_add_char(out, ':');
        rg_buf_add_str(out, claim.text);
    }
    rg_buf_add_c(out, "}]}");
    if (n == 0)
        out->n = before;
    else
        log_missing(claims, type);
}

/* All claims as one object: of duplicate names the first one counts. */
static int merge(const struct rg_str *claims, size_t claims_n, struct rg_buf *scratch,
                 struct rg_json *ret)
{
    struct rg_json_cursor cursor;
    struct rg_json one, value;
    struct rg_str name;

    rg_buf_add_char(scratch, '{');
    for (size_t i = 0; i < claims_n; i++) {
        if (rg_json_check(claims[i], &one, NULL) < 0 || one.kind != RG_JSON_OBJECT)
            return RG_EINVAL;
        cursor = (struct rg_json_cursor){0};
        if (!rg_json_next(one, &cursor, &name, &value))
            continue;
        if (scratch->n > 1)
            rg_buf_add_char(scratch, ',');
        rg_buf_add(scratch, one.text.p + 1, one.text.n - 2);
    }
    rg_buf_add_char(scratch, '}');
    return rg_json_check(rg_buf_str(scratch), ret, NULL);
}

void rg_automatic_prepend(const struct rg_extractors *extractors, const struct rg_str *claims,
                          size_t claims_n, struct rg_subscription_set *set)
{
    struct rg_subscription_set *automatic = NULL;
    struct rg_buf merged = {0}, list = {0};
    struct rg_why why = {0};
    struct rg_json all;
    int err = merge(claims, claims_n, &merged, &all);

    if (err == 0) {
        rg_buf_add_char(&list, '[');
        for (size_t i = 0; i < rg_extractors_count(extractors); i++)
            add_subscription(all, rg_extractors_at(extractors, i), &list);
        rg_buf_add_char(&list, ']');
        err =
            rg_subscription_parse(extractors, rg_buf_str(&list), false, SIZE_MAX, &automatic, &why);
    }
    if (err == 0)
        rg_subscription_set_prepend(set, &automatic);
    else
        rg_log_debug("no automatic subscriptions", RG_FS("reason", why.text));
    rg_buf_done(&merged);
    rg_buf_done(&list);
}
