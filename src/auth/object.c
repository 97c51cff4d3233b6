#include "auth/object.h"

#include "event/json.h"

int rg_object_read(struct rg_str text, json_t **ret, struct rg_why *why)
{
    struct rg_json value;
    json_error_t error;

    /* Before jansson, which goes down into nested values by recursion. */
    if (rg_json_check(text, &value, why) < 0)
        return RG_ESYNTAX;
    if (value.kind != RG_JSON_OBJECT)
        return rg_why_set(why, RG_ESYNTAX, "", "it is not a JSON object");
    json_t *object = json_loadb(value.text.p, value.text.n,
                                JSON_REJECT_DUPLICATES | JSON_DECODE_INT_AS_REAL, &error);
    if (object == NULL)
        return rg_why_set(
            why, json_error_code(&error) == json_error_duplicate_key ? RG_EINVAL : RG_ESYNTAX, "",
            "%s", error.text);
    *ret = object;
    return 0;
}

void rg_object_done(json_t **objectp)
{
    json_decref(*objectp);
    *objectp = NULL;
}

struct rg_str rg_object_string(const json_t *object, const char *name)
{
    const json_t *value = json_object_get(object, name);

    return json_is_string(value) ? rg_str_n(json_string_value(value), json_string_length(value))
                                 : (struct rg_str){NULL, 0};
}
