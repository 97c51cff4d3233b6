/* What the rules of definitions are made of. */
#include <stdio.h>

#include "base/alloc.h"
#include "proxy/definition_priv.h"

/* Longer names of members are not told: pointers have bounds, and end above them. */
#define MAX_MEMBER 256

void rg_reading_set_key(struct rg_reading *r, const char *first, const char *second)
{
    rg_buf_clear(&r->key);
    rg_buf_add_c(&r->key, first);
    if (second != NULL)
        rg_buf_addf(&r->key, "/%s", second);
    rg_buf_add_char(&r->key, '\0');
}

/* ---- where it is ---- */

/* RFC 6901 section 3 */
static void add_escaped(struct rg_buf *out, const char *member)
{
    for (; *member != '\0'; member++) {
        if (*member == '~')
            rg_buf_add_c(out, "~0");
        else if (*member == '/')
            rg_buf_add_c(out, "~1");
        else
            rg_buf_add_char(out, *member);
    }
}

size_t rg_reading_enter(struct rg_reading *r, const char *member)
{
    size_t from = r->at.n;

    if (strlen(member) <= MAX_MEMBER) {
        rg_buf_add_char(&r->at, '/');
        add_escaped(&r->at, member);
    }
    return from;
}

size_t rg_reading_enter_at(struct rg_reading *r, size_t i)
{
    size_t from = r->at.n;

    rg_buf_addf(&r->at, "/%zu", i);
    return from;
}

void rg_reading_leave(struct rg_reading *r, size_t from)
{
    rg_assert(from <= r->at.n);
    r->at.n = from;
}

/* ---- faults ---- */

/* A name that may be too long, cut between two characters. */
static void cut(char out[MAX_MEMBER + 1], const char *text)
{
    size_t n = strlen(text);

    if (n > MAX_MEMBER)
        n = MAX_MEMBER;
    while (n > 0 && ((unsigned char)text[n] & 0xc0) == 0x80)
        n--;
    memcpy(out, text, n);
    out[n] = '\0';
}

void rg_reading_fault(struct rg_reading *r, const char *member, const char *field, const char *fmt,
                      ...)
{
    char message[512], name[MAX_MEMBER + 1];
    size_t from = member != NULL ? rg_reading_enter(r, member) : r->at.n;
    va_list args;

    va_start(args, fmt);
    vsnprintf(message, sizeof(message), fmt, args);
    va_end(args);
    cut(name, field);
    rg_buf_add_char(&r->at, '\0');
    rg_faults_add(r->faults, r->key.p, name, r->at.p, "%s", message);
    rg_reading_leave(r, from);
}

/* ---- values ---- */

bool rg_reading_is_given(const json_t *value)
{
    return value != NULL && !json_is_null(value);
}

bool rg_reading_is_present(const json_t *value)
{
    if (!rg_reading_is_given(value) || json_is_false(value))
        return false;
    if (json_is_string(value))
        return json_string_length(value) > 0;
    if (json_is_array(value))
        return json_array_size(value) > 0;
    return !json_is_object(value) || json_object_size(value) > 0;
}

const char *rg_reading_text(struct rg_reading *r, const json_t *object, const char *member)
{
    const json_t *value = json_object_get(object, member);
    const char *text = json_string_value(value);
    bool is_given = rg_reading_is_given(value);

    if (text == NULL)
        RG_WRONG(r, member, RG_MUST_BE_STRING);
    if (!is_given || (text != NULL && *text == '\0'))
        RG_WRONG(r, member, "must have a length of at least 1");
    return text != NULL && *text != '\0' ? text : NULL;
}

const char *rg_reading_optional_text(struct rg_reading *r, const json_t *object, const char *member)
{
    const json_t *value = json_object_get(object, member);

    if (rg_reading_is_given(value) && !json_is_string(value))
        RG_WRONG(r, member, RG_MUST_BE_STRING);
    return json_string_value(value);
}

json_t *rg_reading_optional_object(struct rg_reading *r, const json_t *object, const char *member)
{
    json_t *value = json_object_get(object, member);

    if (rg_reading_is_given(value) && !json_is_object(value))
        RG_WRONG(r, member, RG_MUST_BE_OBJECT);
    return json_is_object(value) ? value : NULL;
}

bool rg_reading_optional_number(struct rg_reading *r, const json_t *object, const char *member,
                                uint64_t min, uint64_t max, uint64_t *ret)
{
    const json_t *value = json_object_get(object, member);
    json_int_t number = json_integer_value(value);

    if (!rg_reading_is_given(value))
        return false;
    if (!json_is_integer(value)) {
        RG_WRONG(r, member, RG_MUST_BE_INTEGER);
        return false;
    }
    if (number < 0 || (uint64_t)number < min || (uint64_t)number > max) {
        RG_WRONG(r, member, "must be between %llu and %llu", (unsigned long long)min,
                 (unsigned long long)max);
        return false;
    }
    *ret = (uint64_t)number;
    return true;
}

bool rg_reading_optional_flag(struct rg_reading *r, const json_t *object, const char *member,
                              bool otherwise)
{
    const json_t *value = json_object_get(object, member);

    if (!rg_reading_is_given(value))
        return otherwise;
    if (!json_is_boolean(value))
        RG_WRONG(r, member, RG_MUST_BE_BOOLEAN);
    return json_is_true(value);
}

size_t rg_reading_choice(const char *text, const char *const *names, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (rg_str_eq_nocase(rg_str_c(text), rg_str_c(names[i])))
            return i;
    }
    return n;
}

char *rg_reading_copy(const char *text)
{
    return text != NULL ? rg_strndup(text, strlen(text)) : NULL;
}

bool rg_reading_is_token(const char *text)
{
    for (const char *p = text; *p != '\0'; p++) {
        bool is_alnum =
            (*p >= '0' && *p <= '9') || (*p >= 'a' && *p <= 'z') || (*p >= 'A' && *p <= 'Z');
        if (!is_alnum && strchr("!#$%&'*+-.^_`|~", *p) == NULL)
            return false;
    }
    return *text != '\0';
}
