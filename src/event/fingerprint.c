/*
 * What is hashed of a value:
 *
 *   scalar   kind | its text, of a string unescaped
 *   array    kind | fingerprint of each element, in order
 *   object   kind | sum of the fingerprints of its members, number of members
 *   member   fingerprint of its value | its name, unescaped
 *
 * The sum makes the order of members irrelevant. One call per level of nesting, and checked text
 * has at most RG_JSON_MAX_DEPTH of them.
 */
#include "event/fingerprint.h"

#include <pthread.h>

#include "event/json_priv.h"

static struct rg_hash_key key;
static pthread_once_t key_once = PTHREAD_ONCE_INIT;

static void choose_key(void)
{
    rg_hash_key_random(&key);
}

static struct rg_hash128 end(struct rg_buf *text)
{
    struct rg_hash128 h = rg_hash128(&key, text->p, text->n);

    rg_buf_done(text);
    return h;
}

static struct rg_hash128 of_value(struct rg_json value);

static struct rg_hash128 of_member(struct rg_str name, struct rg_json value)
{
    struct rg_hash128 h = of_value(value);
    struct rg_buf text = {0};

    rg_buf_add(&text, &h, sizeof(h));
    rg_json_unescape_raw(name, &text);
    return end(&text);
}

static void add_members(struct rg_buf *text, struct rg_json object)
{
    struct rg_json_cursor cursor = {0};
    uint64_t sums[3] = {0};
    struct rg_json value;
    struct rg_str name;

    while (rg_json_next(object, &cursor, &name, &value)) {
        struct rg_hash128 h = of_member(name, value);
        sums[0] += h.w[0];
        sums[1] += h.w[1];
        sums[2]++;
    }
    rg_buf_add(text, sums, sizeof(sums));
}

static void add_elements(struct rg_buf *text, struct rg_json array)
{
    struct rg_json_cursor cursor = {0};
    struct rg_json value;
    struct rg_str none;

    while (rg_json_next(array, &cursor, &none, &value)) {
        struct rg_hash128 h = of_value(value);
        rg_buf_add(text, &h, sizeof(h));
    }
}

static struct rg_hash128 of_value(struct rg_json value)
{
    struct rg_buf text = {0};

    rg_buf_add_char(&text, (char)value.kind);
    if (value.kind == RG_JSON_OBJECT)
        add_members(&text, value);
    else if (value.kind == RG_JSON_ARRAY)
        add_elements(&text, value);
    else if (value.kind == RG_JSON_STRING)
        rg_json_unescape(value, &text);
    else
        rg_buf_add_str(&text, value.text);
    return end(&text);
}

struct rg_hash128 rg_fingerprint_of_json(struct rg_json value)
{
    pthread_once(&key_once, choose_key);
    return of_value(value);
}
