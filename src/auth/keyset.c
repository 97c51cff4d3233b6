#include "auth/keyset.h"

#include <stdatomic.h>

#include "auth/object.h"
#include "base/alloc.h"
#include "base/log.h"

struct entry {
    struct rg_str kid; /* p is NULL: the key has none */
    struct rg_key *key;
};

struct rg_keyset {
    atomic_uint refs;
    char *text; /* as received, to see whether anything has changed */
    size_t text_n;
    struct entry keys[RG_KEYSET_MAX_KEYS];
    size_t n;
};

struct rg_keyset *rg_keyset_ref(struct rg_keyset *set)
{
    atomic_fetch_add_explicit(&set->refs, 1, memory_order_relaxed);
    return set;
}

void rg_keyset_unref(struct rg_keyset **setp)
{
    struct rg_keyset *set = RG_STEAL(*setp);

    if (set == NULL || atomic_fetch_sub_explicit(&set->refs, 1, memory_order_acq_rel) > 1)
        return;
    for (size_t i = 0; i < set->n; i++) {
        rg_free((char *)set->keys[i].kid.p);
        rg_key_free(&set->keys[i].key);
    }
    rg_free(set->text);
    rg_free(set);
}

/* Parameters that only who signs may have (RFC 7518 6.2.2, 6.3.2; RFC 8037 2). */
static bool is_private(const json_t *jwk)
{
    static const char *const names[] = {"d", "p", "q", "dp", "dq", "qi", "oth"};

    for (size_t i = 0; i < RG_COUNT_OF(names); i++) {
        if (json_object_get(jwk, names[i]) != NULL)
            return true;
    }
    return false;
}

static bool has_kid(const struct rg_keyset *set, struct rg_str kid)
{
    for (size_t i = 0; i < set->n; i++) {
        if (set->keys[i].kid.p != NULL && rg_str_eq(set->keys[i].kid, kid))
            return true;
    }
    return false;
}

static int add_key(struct rg_keyset *set, size_t number, const json_t *jwk, struct rg_why *why)
{
    const json_t *kid_value = json_object_get(jwk, "kid");
    struct rg_str kid = {NULL, 0};
    struct rg_why reason = {0};
    char place[32];

    snprintf(place, sizeof(place), "/keys/%zu", number);
    if (!json_is_object(jwk) || (kid_value != NULL && !json_is_string(kid_value)))
        return rg_why_set(why, RG_EINVAL, place, "is no JSON Web Key");
    if (is_private(jwk))
        return rg_why_set(why, RG_EINVAL, place,
                          "is a private key, which must not be in a set for verifiers");
    if (kid_value != NULL)
        kid = rg_str_n(json_string_value(kid_value), json_string_length(kid_value));
    if (kid.p != NULL && has_kid(set, kid))
        return rg_why_set(why, RG_EINVAL, place, "has the kid of another key");

    struct rg_key *key = rg_key_from_jwk(jwk, &reason);
    if (key == NULL) {
        rg_log_info("key left out", RG_FSTR("kid", kid), RG_FS("reason", reason.text));
        return 0;
    }
    set->keys[set->n].key = key;
    if (kid.p != NULL)
        set->keys[set->n].kid = rg_str_n(rg_strndup(kid.p, kid.n), kid.n);
    set->n++;
    if (rg_key_is_symmetric(key) != rg_key_is_symmetric(set->keys[0].key))
        return rg_why_set(why, RG_EINVAL, place, "secrets and public keys are in one set");
    return 0;
}

static int read_keys(struct rg_keyset *set, const json_t *root, struct rg_why *why)
{
    const json_t *keys = json_object_get(root, "keys");
    const json_t *jwk;
    size_t i;

    if (!json_is_array(keys))
        return rg_why_set(why, RG_EINVAL, "", "is not an object with an array \"keys\"");
    if (json_array_size(keys) > RG_KEYSET_MAX_KEYS)
        return rg_why_set(why, RG_EFULL, "", "has more than %d keys", RG_KEYSET_MAX_KEYS);
    json_array_foreach(keys, i, jwk)
    {
        int err = add_key(set, i, jwk, why);
        if (err < 0)
            return err;
    }
    return set->n > 0 ? 0 : rg_why_set(why, RG_EINVAL, "", "has no key that verifies signatures");
}

struct rg_keyset *rg_keyset_parse(struct rg_str text, struct rg_why *why)
{
    RG_CLEANUP(rg_object_done) json_t *root = NULL;

    if (text.n > RG_KEYSET_MAX_BYTES) {
        rg_why_set(why, RG_EFULL, "", "is longer than %d bytes", RG_KEYSET_MAX_BYTES);
        return NULL;
    }
    if (rg_object_read(text, &root, why) < 0)
        return NULL;
    struct rg_keyset *set = rg_zalloc(sizeof(*set));
    atomic_init(&set->refs, 1);
    set->text = rg_strndup(text.p, text.n);
    set->text_n = text.n;
    if (read_keys(set, root, why) < 0)
        rg_keyset_unref(&set);
    return set;
}

const struct rg_key *rg_keyset_find(const struct rg_keyset *set, struct rg_str kid,
                                    struct rg_str alg)
{
    const struct rg_key *found = NULL;

    for (size_t i = 0; i < set->n; i++) {
        const struct entry *entry = &set->keys[i];
        if (kid.p != NULL && entry->kid.p != NULL && rg_str_eq(entry->kid, kid))
            return entry->key;
        if (kid.p != NULL || !rg_key_allows(entry->key, alg))
            continue;
        /* Which of two is meant is not for us to guess. */
        if (found != NULL)
            return NULL;
        found = entry->key;
    }
    return found;
}

size_t rg_keyset_count(const struct rg_keyset *set)
{
    return set->n;
}

bool rg_keyset_is_from(const struct rg_keyset *set, struct rg_str text)
{
    return rg_str_eq(rg_str_n(set->text, set->text_n), text);
}
