/*
 * A token's way:  cache? -> form -> header -> key -> signature -> claims -> cache -> blacklist.
 *
 * The cache is an array of pointers to immutable entries, some to each bucket. Looking is a hash
 * and a few comparisons under RCU; adding exchanges one pointer. So no thread ever waits for
 * another, and the worst that two at once can do is to verify the same token twice.
 */
#include "auth/verifier.h"

#include <jansson.h>
#include <math.h>
#include <openssl/sha.h>

#include "auth/jwks.h"
#include "auth/jws.h"
#include "auth/key.h"
#include "base/alloc.h"
#include "base/clock.h"
#include "base/counter.h"
#include "base/log.h"
#include "base/random.h"
#include "base/rcu.h"
#include "event/json.h"

#define RG_JWS_MAX_BYTES 16384
#define MAX_HEADER       4096
#define WAYS             4                         /* entries of a bucket */
#define MAX_EXP          INT64_C(1000000000000000) /* later is as good as never */

const char rg_verifier_algorithms[] =
    "HS256,HS384,HS512,RS256,RS384,RS512,PS256,PS384,PS512,ES256,ES384,ES512,EdDSA";

static const char not_a_token[] = "Could not verify token";
static const char bad_signature[] = "Invalid signature";
static const char expired[] = "token expired";

/* What becomes of a token; each is a label. */
enum outcome {
    VERIFIED,
    CACHED,
    NO_KEY,    /* none is configured */
    MALFORMED, /* not a token, or too long */
    HEADER,    /* not acceptable: crit */
    ALGORITHM, /* not one of the key's */
    UNKNOWN_KEY,
    SIGNATURE,
    CLAIMS, /* not an object, or with duplicate names */
    EXPIRED,
    NOT_YET,
    ISSUER,
    AUDIENCE,
    BLACKLISTED,
    OUTCOMES
};
static const char *const outcome_names[OUTCOMES] = {
    "verified",  "cached", "no_key",  "malformed", "header", "algorithm", "unknown_key",
    "signature", "claims", "expired", "not_yet",   "issuer", "audience",  "blacklisted"};

struct entry {
    struct rcu_head rcu;
    unsigned char digest[SHA256_DIGEST_LENGTH];
    uint64_t generation; /* of the key set it was verified under */
    struct rg_claims *claims;
};

struct rg_verifier {
    struct rg_key *key;   /* NULL: none */
    struct rg_jwks *jwks; /* NULL: none */
    char *issuer, *audience, *session_field;
    int64_t leeway_s;
    struct rg_blacklist *blacklist;
    atomic_ulong outcomes[OUTCOMES];
    _Atomic(struct entry *) *cache;
    size_t buckets; /* 0: no cache */
};

/* ---- refusing ---- */

static int refuse(enum outcome *outcome, enum outcome reason, struct rg_why *why,
                  const char *sentence)
{
    *outcome = reason;
    return rg_why_set(why, RG_EDENIED, "", "%s", sentence);
}

static struct rg_str text_of(const json_t *value)
{
    return json_is_string(value) ? rg_str_n(json_string_value(value), json_string_length(value))
                                 : (struct rg_str){NULL, 0};
}

/* ---- key and signature ---- */

static int verify_with(const struct rg_key *key, struct rg_str alg, struct rg_str token,
                       enum outcome *outcome, struct rg_why *why)
{
    if (!rg_key_allows(key, alg))
        return refuse(outcome, ALGORITHM, why, bad_signature);
    if (rg_key_verify(key, alg, token) < 0)
        return refuse(outcome, SIGNATURE, why, bad_signature);
    return 0;
}

static int verify_with_set(struct rg_verifier *v, struct rg_str kid, struct rg_str alg,
                           struct rg_str token, enum outcome *outcome, struct rg_why *why)
{
    struct rg_keyset *set = rg_jwks_get(v->jwks);
    const struct rg_key *key = set != NULL ? rg_keyset_find(set, kid, alg) : NULL;
    int err;

    if (key != NULL)
        err = verify_with(key, alg, token, outcome, why);
    else if (v->key != NULL && rg_key_allows(v->key, alg))
        err = verify_with(v->key, alg, token, outcome, why);
    else if (rg_jwks_ask_refresh(v->jwks))
        err = RG_EAGAIN;
    else
        err = refuse(outcome, UNKNOWN_KEY, why, bad_signature);
    rg_keyset_unref(&set);
    return err;
}

static int check_signature(struct rg_verifier *v, const struct rg_jws *jws, struct rg_str token,
                           enum outcome *outcome, struct rg_why *why)
{
    struct rg_str alg = rg_buf_str(&jws->alg);

    if (v->jwks == NULL)
        return verify_with(v->key, alg, token, outcome, why);
    return verify_with_set(v, jws->has_kid ? rg_buf_str(&jws->kid) : (struct rg_str){NULL, 0}, alg,
                           token, outcome, why);
}

/* ---- claims ---- */

/* Seconds since 1970, rounded down; false for what is no finite number. */
static bool read_time(const json_t *value, int64_t *ret)
{
    double seconds;

    if (json_is_integer(value)) {
        json_int_t n = json_integer_value(value);
        *ret = n > MAX_EXP ? MAX_EXP : n < -MAX_EXP ? -MAX_EXP : n;
        return true;
    }
    if (!json_is_real(value))
        return false;
    seconds = floor(json_real_value(value));
    if (!isfinite(seconds))
        return false;
    *ret = seconds > (double)MAX_EXP    ? MAX_EXP
           : seconds < -(double)MAX_EXP ? -MAX_EXP
                                        : (int64_t)seconds;
    return true;
}

static bool has_audience(const json_t *aud, const char *wanted)
{
    const json_t *each;
    size_t i;

    if (json_is_string(aud))
        return strcmp(json_string_value(aud), wanted) == 0;
    json_array_foreach(aud, i, each)
    {
        if (json_is_string(each) && strcmp(json_string_value(each), wanted) == 0)
            return true;
    }
    return false;
}

/* RFC 6901: one step of a pointer, "~1" and "~0" undone. */
static const json_t *step(const json_t *value, struct rg_str token)
{
    RG_CLEANUP(rg_buf_done) struct rg_buf name = {0};
    uint64_t i = 0;

    for (size_t k = 0; k < token.n; k++) {
        bool is_escape = token.p[k] == '~' && k + 1 < token.n;
        rg_buf_add_char(&name, !is_escape ? token.p[k] : token.p[k + 1] == '1' ? '/' : '~');
        k += is_escape;
    }
    if (json_is_array(value))
        return rg_str_to_u64(rg_buf_str(&name), UINT32_MAX, &i) == 0
                   ? json_array_get(value, (size_t)i)
                   : NULL;
    rg_buf_add_char(&name, '\0');
    return json_object_get(value, name.p);
}

/* The session's name (13.2): strings as they are, numbers and booleans as JSON writes them. */
static void read_session(const json_t *claims, const char *pointer, struct rg_buf *out)
{
    struct rg_str rest = rg_str_c(pointer);
    const json_t *value = claims;
    char text[64];

    rg_str_split(&rest, '/');
    while (rest.p != NULL && value != NULL)
        value = step(value, rg_str_split(&rest, '/'));
    if (json_is_string(value)) {
        rg_buf_add_str(out, text_of(value));
    } else if (json_is_number(value) || json_is_boolean(value)) {
        size_t n = json_dumpb(value, text, sizeof(text), JSON_ENCODE_ANY);
        if (n <= sizeof(text))
            rg_buf_add(out, text, n);
    }
}

static int check_times(const struct rg_verifier *v, const json_t *claims, int64_t now_s,
                       int64_t *exp_s, enum outcome *outcome, struct rg_why *why)
{
    const json_t *nbf = json_object_get(claims, "nbf");
    int64_t nbf_s = 0;

    if (!read_time(json_object_get(claims, "exp"), exp_s) || *exp_s <= now_s - v->leeway_s)
        return refuse(outcome, EXPIRED, why, expired);
    if (nbf != NULL && (!read_time(nbf, &nbf_s) || nbf_s > now_s + v->leeway_s))
        return refuse(outcome, NOT_YET, why, not_a_token);
    return 0;
}

/* An object without duplicate names, from text that is not nested too deeply; NULL otherwise. */
static json_t *read_object(struct rg_str text)
{
    struct rg_json checked;

    if (rg_json_check(text, &checked, NULL) < 0 || checked.kind != RG_JSON_OBJECT)
        return NULL;
    return json_loadb(text.p, text.n, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, NULL);
}

static int check_claims(const struct rg_verifier *v, struct rg_str text, int64_t now_s,
                        struct rg_claims **ret, enum outcome *outcome, struct rg_why *why)
{
    RG_CLEANUP(rg_buf_done) struct rg_buf session = {0};
    json_t *claims = read_object(text);
    int64_t exp_s = 0;
    int err;

    if (claims == NULL)
        return refuse(outcome, CLAIMS, why, not_a_token);
    struct rg_str iss = text_of(json_object_get(claims, "iss"));
    err = check_times(v, claims, now_s, &exp_s, outcome, why);
    if (err == 0 && v->issuer != NULL && !rg_str_eq(iss, rg_str_c(v->issuer)))
        err = refuse(outcome, ISSUER, why, not_a_token);
    if (err == 0 && v->audience != NULL &&
        !has_audience(json_object_get(claims, "aud"), v->audience))
        err = refuse(outcome, AUDIENCE, why, not_a_token);
    if (err == 0) {
        read_session(claims, v->session_field, &session);
        *ret = rg_claims_new(text, exp_s, rg_buf_str(&session),
                             text_of(json_object_get(claims, "jti")));
    }
    json_decref(claims);
    return err;
}

static int verify(struct rg_verifier *v, struct rg_str token, int64_t now_s, struct rg_claims **ret,
                  enum outcome *outcome, struct rg_why *why)
{
    RG_CLEANUP(rg_jws_done) struct rg_jws jws = {0};
    int err;

    if (rg_verifier_is_keyless(v))
        return refuse(outcome, NO_KEY, why, not_a_token);
    err = rg_jws_read(token, &jws);
    if (err < 0)
        return refuse(outcome, err == RG_EINVAL ? HEADER : MALFORMED, why, not_a_token);
    err = check_signature(v, &jws, token, outcome, why);
    if (err < 0)
        return err;
    return check_claims(v, rg_buf_str(&jws.payload), now_s, ret, outcome, why);
}

static int check_blacklist(const struct rg_verifier *v, const struct rg_claims *claims,
                           enum outcome *outcome, struct rg_why *why)
{
    struct rg_str banned = {NULL, 0};

    if (v->blacklist == NULL)
        return 0;
    if (claims->jti.n > 0 && rg_blacklist_has(v->blacklist, claims->jti))
        banned = claims->jti;
    else if (claims->session.n > 0 && rg_blacklist_has(v->blacklist, claims->session))
        banned = claims->session;
    if (banned.p == NULL)
        return 0;
    *outcome = BLACKLISTED;
    return rg_why_set(why, RG_EDENIED, "", "Ignoring blacklisted JWT with ID \"%.*s\".",
                      banned.n > 256 ? 256 : (int)banned.n, banned.p);
}

/* ---- the cache ---- */

static void entry_free(struct rcu_head *head)
{
    struct entry *entry = RG_CONTAINER_OF(head, struct entry, rcu);

    RG_RCU_CALLBACK(head);
    rg_claims_unref(&entry->claims);
    rg_free(entry);
}

static _Atomic(struct entry *) *bucket_of(struct rg_verifier *v, const unsigned char *digest)
{
    uint64_t n;

    memcpy(&n, digest, sizeof(n));
    return v->cache + n % v->buckets * WAYS;
}

static uint64_t generation_of(const struct rg_verifier *v)
{
    return v->jwks != NULL ? rg_jwks_generation(v->jwks) : 0;
}

static struct rg_claims *cache_find(struct rg_verifier *v, const unsigned char *digest,
                                    int64_t now_s)
{
    _Atomic(struct entry *) *bucket = bucket_of(v, digest);
    uint64_t generation = generation_of(v);
    struct rg_claims *claims = NULL;

    rg_rcu_read_lock();
    for (size_t i = 0; i < WAYS && claims == NULL; i++) {
        struct entry *entry = atomic_load_explicit(&bucket[i], memory_order_acquire);
        if (entry != NULL && entry->generation == generation &&
            memcmp(entry->digest, digest, SHA256_DIGEST_LENGTH) == 0 &&
            entry->claims->exp_s > now_s - v->leeway_s)
            claims = rg_claims_ref(entry->claims);
    }
    rg_rcu_read_unlock();
    return claims;
}

static void cache_put(size_t way, _Atomic(struct entry *) *bucket, struct entry *entry)
{
    struct entry *old = atomic_exchange_explicit(&bucket[way], entry, memory_order_acq_rel);
    if (old != NULL)
        rg_rcu_call(&old->rcu, entry_free);
}

static void cache_add(struct rg_verifier *v, const unsigned char *digest, uint64_t generation,
                      int64_t now_s, struct rg_claims *claims)
{
    _Atomic(struct entry *) *bucket = bucket_of(v, digest);
    struct entry *entry = rg_zalloc(sizeof(*entry));
    size_t way = rg_random_below(WAYS);

    memcpy(entry->digest, digest, SHA256_DIGEST_LENGTH);
    entry->generation = generation;
    entry->claims = rg_claims_ref(claims);
    rg_rcu_read_lock();
    for (size_t i = 0; i < WAYS; i++) {
        struct entry *other = atomic_load_explicit(&bucket[i], memory_order_acquire);
        if (other == NULL || other->generation != generation || other->claims->exp_s <= now_s)
            way = i;
    }
    rg_rcu_read_unlock();
    cache_put(way, bucket, entry);
}

/* What was verified for a session that is banned now need not be remembered any more. */
static void cache_drop(struct rg_verifier *v, const unsigned char *digest)
{
    _Atomic(struct entry *) *bucket = bucket_of(v, digest);

    for (size_t i = 0; i < WAYS; i++) {
        rg_rcu_read_lock();
        struct entry *entry = atomic_load_explicit(&bucket[i], memory_order_acquire);
        bool is_it = entry != NULL && memcmp(entry->digest, digest, SHA256_DIGEST_LENGTH) == 0;
        rg_rcu_read_unlock();
        if (is_it)
            cache_put(i, bucket, NULL);
    }
}

/* ---- what others call ---- */

static int64_t now_seconds(void)
{
    return (int64_t)(rg_clock_wall_us() / 1000000);
}

int rg_verifier_check(struct rg_verifier *v, struct rg_str token, struct rg_claims **ret,
                      struct rg_why *why)
{
    unsigned char digest[SHA256_DIGEST_LENGTH];
    struct rg_claims *claims = NULL;
    enum outcome outcome = CACHED;
    int64_t now_s = now_seconds();
    uint64_t generation = generation_of(v);
    int err = 0;

    if (v->buckets > 0 && token.n <= RG_JWS_MAX_BYTES) {
        SHA256((const unsigned char *)token.p, token.n, digest);
        claims = cache_find(v, digest, now_s);
    }
    if (claims == NULL) {
        outcome = VERIFIED;
        err = verify(v, token, now_s, &claims, &outcome, why);
        if (err == RG_EAGAIN)
            return err;
        if (err == 0 && v->buckets > 0)
            cache_add(v, digest, generation, now_s, claims);
    }
    if (err == 0) {
        err = check_blacklist(v, claims, &outcome, why);
        if (err < 0 && v->buckets > 0)
            cache_drop(v, digest);
    }
    atomic_fetch_add_explicit(&v->outcomes[outcome], 1, memory_order_relaxed);
    if (err == 0) {
        *ret = claims;
        return 0;
    }
    rg_claims_unref(&claims);
    rg_log_debug("token refused", RG_FS("reason", outcome_names[outcome]));
    return err;
}

int rg_verifier_check_at(struct rg_verifier *v, struct rg_str token, int64_t now_s,
                         struct rg_claims **ret, struct rg_why *why)
{
    enum outcome outcome;
    struct rg_claims *claims = NULL;
    int err = verify(v, token, now_s, &claims, &outcome, why);

    if (err == 0)
        err = check_blacklist(v, claims, &outcome, why);
    if (err == 0)
        *ret = claims;
    else
        rg_claims_unref(&claims);
    return err;
}

int rg_verifier_wait(struct rg_verifier *v, void (*fn)(void *arg), void *arg)
{
    if (v->jwks != NULL)
        return rg_jwks_wait(v->jwks, fn, arg);
    fn(arg);
    return 0;
}

bool rg_verifier_is_keyless(const struct rg_verifier *v)
{
    return v->key == NULL && v->jwks == NULL;
}

static char *copy(const char *text)
{
    return text != NULL ? rg_strndup(text, strlen(text)) : NULL;
}

/* Names the variable that rg_key_new() and rg_jwks_new() complain about. */
static void name_variable(struct rg_why *why, const char *variable)
{
    char place[sizeof(why->place)];

    if (why == NULL)
        return;
    snprintf(place, sizeof(place), "%s", why->place);
    if (strcmp(place, "alg") == 0)
        variable = "JWT_ALG";
    snprintf(why->place, sizeof(why->place), "%s", variable);
}

struct rg_verifier *rg_verifier_new(const struct rg_verifier_settings *settings, struct rg_why *why)
{
    struct rg_verifier *v = rg_zalloc(sizeof(*v));

    v->issuer = copy(settings->issuer);
    v->audience = copy(settings->audience);
    v->session_field = copy(settings->session_field != NULL ? settings->session_field : "/jti");
    v->leeway_s = settings->leeway_s;
    v->blacklist = settings->blacklist;
    v->buckets = (settings->cache_entries + WAYS - 1) / WAYS;
    if (v->buckets > 0)
        v->cache = rg_zalloc(v->buckets * WAYS * sizeof(v->cache[0]));
    if (settings->key.n > 0) {
        v->key = rg_key_new(settings->alg, settings->key, why);
        if (v->key == NULL) {
            name_variable(why, "JWT_SECRET_KEY");
            rg_verifier_free(&v);
            return NULL;
        }
    }
    if (settings->jwks != NULL) {
        v->jwks = rg_jwks_new(settings->jwks, settings->jwks_interval_ms, settings->http, why);
        if (v->jwks == NULL) {
            name_variable(why, "JWT_JWKS");
            rg_verifier_free(&v);
        }
    }
    return v;
}

void rg_verifier_free(struct rg_verifier **vp)
{
    struct rg_verifier *v = RG_STEAL(*vp);

    if (v == NULL)
        return;
    for (size_t i = 0; i < v->buckets * WAYS; i++) {
        struct entry *entry = atomic_load(&v->cache[i]);
        if (entry != NULL)
            entry_free(&entry->rcu);
    }
    rg_free(v->cache);
    rg_jwks_free(&v->jwks);
    rg_key_free(&v->key);
    rg_free(v->issuer);
    rg_free(v->audience);
    rg_free(v->session_field);
    rg_free(v);
}

void rg_verifier_expose(const struct rg_verifier *v, struct rg_buf *out)
{
    rg_metric_head(out, "rgate_tokens_total", "counter",
                   "Tokens that were checked, by what came of it.");
    for (size_t i = 0; i < OUTCOMES; i++)
        rg_buf_addf(out, "rgate_tokens_total{outcome=\"%s\"} %lu\n", outcome_names[i],
                    atomic_load(&v->outcomes[i]));
    if (v->jwks != NULL)
        rg_jwks_expose(v->jwks, out);
}
