/*
 * The text that is hashed, for a type and a non-empty set of fields:
 *
 *   type key (16) | fields (8) | value of the lowest field | ... | value of the highest
 *
 * A value says what it is and how long, so that no two lists of values give the same text:
 *
 *   's' length (8) unescaped bytes | 'i' int64 (8) | 'd' double (8) | 't' | 'f'
 *
 * Byte order is the machine's: match keys never leave the process.
 */
#include "event/matchkey.h"

#include <string.h>

/* A builder that had to take a huge value gives the memory back with the next key. */
#define KEEP_BYTES (64 * 1024)

#define HEAD_BYTES (sizeof(struct rg_match_key) + sizeof(uint64_t))

/*
 * Secrets of their own, so that no event type can be chosen to look like a text of the form above,
 * and neither like a channel's topic.
 */
static struct {
    struct rg_hash_key types;
    struct rg_hash_key values;
    struct rg_hash_key channels;
    bool is_chosen;
} secret;

void rg_match_key_init(void)
{
    rg_hash_key_random(&secret.types);
    rg_hash_key_random(&secret.values);
    rg_hash_key_random(&secret.channels);
    secret.is_chosen = true;
}

struct rg_match_key rg_match_key_of_type(struct rg_str event_type)
{
    rg_assert(secret.is_chosen);
    return (struct rg_match_key){rg_hash128(&secret.types, event_type.p, event_type.n)};
}

struct rg_match_key rg_match_key_of_channel(struct rg_str topic)
{
    rg_assert(secret.is_chosen);
    return (struct rg_match_key){rg_hash128(&secret.channels, topic.p, topic.n)};
}

struct rg_match_key rg_match_key_of_channels(void)
{
    return rg_match_key_of_channel(RG_STR(""));
}

void rg_match_key_begin(struct rg_match_key_builder *b, struct rg_match_key type_key,
                        uint64_t fields)
{
    if (b->text.cap > KEEP_BYTES)
        rg_buf_done(&b->text);
    rg_buf_clear(&b->text);
    rg_buf_add(&b->text, &type_key, sizeof(type_key));
    rg_buf_add(&b->text, &fields, sizeof(fields));
}

static void add_string(struct rg_buf *text, struct rg_json value)
{
    struct rg_str raw = rg_str_n(value.text.p + 1, value.text.n - 2);
    size_t start = text->n;
    uint64_t n = raw.n;

    rg_buf_add_char(text, 's');
    rg_buf_add(text, &n, sizeof(n));
    if (raw.n == 0)
        return;
    if (memchr(raw.p, '\\', raw.n) == NULL) {
        rg_buf_add_str(text, raw);
        return;
    }
    rg_json_unescape(value, text);
    n = text->n - start - 1 - sizeof(n);
    memcpy(text->p + start + 1, &n, sizeof(n));
}

static int add_number(struct rg_buf *text, struct rg_json value)
{
    struct rg_json_number number;

    if (rg_json_number(value, &number) < 0)
        return RG_EINVAL;
    /* -0.0, and what is too small for a double: equal to 0, but of other bits. */
    if (!number.is_integer && number.v.d == 0)
        number = (struct rg_json_number){.is_integer = true, .v.i = 0};

    rg_buf_add_char(text, number.is_integer ? 'i' : 'd');
    rg_buf_add(text, &number.v, sizeof(number.v));
    return 0;
}

int rg_match_key_add(struct rg_match_key_builder *b, struct rg_json value)
{
    switch (value.kind) {
    case RG_JSON_STRING:
        add_string(&b->text, value);
        return 0;
    case RG_JSON_NUMBER:
        return add_number(&b->text, value);
    case RG_JSON_TRUE:
        rg_buf_add_char(&b->text, 't');
        return 0;
    case RG_JSON_FALSE:
        rg_buf_add_char(&b->text, 'f');
        return 0;
    case RG_JSON_NONE:
    case RG_JSON_NULL:
    case RG_JSON_ARRAY:
    case RG_JSON_OBJECT:
        break;
    }
    return RG_EINVAL;
}

struct rg_match_key rg_match_key_end(struct rg_match_key_builder *b)
{
    struct rg_match_key key;
    uint64_t fields;

    rg_assert(b->text.n >= HEAD_BYTES);
    memcpy(&fields, b->text.p + sizeof(key), sizeof(fields));
    if (fields == 0)
        memcpy(&key, b->text.p, sizeof(key)); /* the type names "every event of this type" */
    else
        key.h = rg_hash128(&secret.values, b->text.p, b->text.n);
    return key;
}

int rg_match_key_of_event(struct rg_match_key_builder *b, struct rg_match_key type_key,
                          const struct rg_extractor_type *type, uint64_t fields,
                          const struct rg_projector *projector, struct rg_match_key *ret)
{
    rg_match_key_begin(b, type_key, fields);
    for (uint64_t rest = fields; rest != 0; rest &= rest - 1) {
        size_t i = (size_t)__builtin_ctzll(rest);
        if (type == NULL || i >= type->fields_n)
            return RG_ENOTFOUND;
        if (rg_match_key_add(b, rg_projector_get(projector, type->fields[i].slot)) < 0)
            return RG_ENOTFOUND;
    }
    *ret = rg_match_key_end(b);
    return 0;
}
