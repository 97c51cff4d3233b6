/* Fields that definitions add to requests: add_headers (api-gateway.md 7) and claim_headers. */
#include "base/alloc.h"
#include "proxy/definition_priv.h"

/* Whoever writes the message writes these. */
static const char *const of_framing[] = {
    "connection", "content-length",    "expect",  "http2-settings",   "keep-alive", "te",
    "trailer",    "transfer-encoding", "upgrade", "proxy-connection",
};

static char *lower(const char *text)
{
    char *copy = rg_reading_copy(text);

    for (char *p = copy; *p != '\0'; p++) {
        if (*p >= 'A' && *p <= 'Z')
            *p = (char)(*p + ('a' - 'A'));
    }
    return copy;
}

static bool is_of_framing(const char *name)
{
    return rg_reading_choice(name, of_framing, RG_COUNT_OF(of_framing)) < RG_COUNT_OF(of_framing);
}

/* Tab is the one control character that a value may have (RFC 9110 5.5). */
static bool has_control(const char *text)
{
    for (; *text != '\0'; text++) {
        unsigned char c = (unsigned char)*text;
        if ((c < 0x20 && c != '\t') || c == 0x7f)
            return true;
    }
    return false;
}

/* RFC 6901 section 3 */
static bool is_pointer(const char *text)
{
    if (*text != '\0' && *text != '/')
        return false;
    for (; *text != '\0'; text++) {
        if (*text == '~' && text[1] != '0' && text[1] != '1')
            return false;
    }
    return true;
}

/* What is wrong with the name, or NULL. */
static const char *wrong_name(const char *name, bool is_of_claims)
{
    if (!rg_reading_is_token(name) || strlen(name) > RG_DEFINITION_MAX_FIELD_BYTES)
        return "must be the name of a field";
    if (is_of_framing(name))
        return "must not be a field of framing or connection";
    if (is_of_claims && rg_str_eq_nocase(rg_str_c(name), RG_STR("host")))
        return "must not be host";
    return NULL;
}

/* What is wrong with the value, or NULL. */
static const char *wrong_value(const json_t *value, bool is_of_claims)
{
    const char *text = json_string_value(value);

    if (text == NULL)
        return RG_MUST_BE_STRING;
    if (strlen(text) > RG_DEFINITION_MAX_FIELD_BYTES)
        return "must have a length of at most 8192";
    if (is_of_claims)
        return is_pointer(text) ? NULL : "must be a JSON pointer like /sub";
    return has_control(text) ? "must have no line breaks or other control characters" : NULL;
}

static bool is_known(const struct rg_api_field *fields, size_t n, const char *name)
{
    for (size_t i = 0; i < n; i++) {
        if (strcmp(fields[i].name, name) == 0)
            return true;
    }
    return false;
}

size_t rg_reading_fields(struct rg_reading *r, json_t *object, bool is_of_claims,
                         struct rg_api_field **ret)
{
    struct rg_api_field *fields;
    const char *name;
    json_t *value;
    size_t n = 0;

    if (json_object_size(object) > RG_DEFINITION_MAX_FIELDS) {
        rg_reading_fault(r, NULL, is_of_claims ? "claim_headers" : "add_headers",
                         "must have at most %d members", RG_DEFINITION_MAX_FIELDS);
        return 0;
    }
    fields = rg_zalloc((json_object_size(object) + 1) * sizeof(*fields));
    json_object_foreach(object, name, value)
    {
        const char *wrong = wrong_name(name, is_of_claims);
        char *lowered = lower(name);
        if (wrong == NULL)
            wrong = wrong_value(value, is_of_claims);
        if (wrong == NULL && is_known(fields, n, lowered))
            wrong = "must differ from other names by more than case";
        if (wrong != NULL) {
            RG_WRONG(r, name, "%s", wrong);
            rg_free(lowered);
            continue;
        }
        fields[n++] = (struct rg_api_field){lowered, rg_reading_copy(json_string_value(value))};
    }
    *ret = fields;
    return n;
}
