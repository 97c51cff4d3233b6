/*
 * A token's way:  cache? -> form -> key -> signature -> claims -> cache -> blacklist.
 *
 * Each step says how the matter ends; one table says what the client and the metrics are told.
 */
#include "auth/verifier.h"

#include "auth/jwks.h"
#include "auth/jws.h"
#include "auth/key.h"
#include "auth/object.h"
#include "auth/token_cache.h"
#include "base/alloc.h"
#include "base/clock.h"
#include "base/counter.h"
#include "base/log.h"
#include "event/projection.h"

/* Between two refreshes of the key set that tokens ask for. */
#define MIN_REFRESH_INTERVAL_MS 5000

/* Beyond this a double does not count seconds any more. */
#define MAX_TIME_S ((int64_t)1 << 53)

const char rg_verifier_algorithms[] = RG_KEY_ALGORITHMS;

/* What becomes of a token; each is a label. */
enum outcome {
    VERIFIED,
    CACHED,
    NO_KEY, /* none is configured */
    OVERSIZED,
    MALFORMED, /* not a token */
    HEADER,    /* with extensions that must be understood */
    ALGORITHM, /* not one of the key's */
    UNKNOWN_KEY,
    SIGNATURE,
    CLAIMS, /* not an object, or with a name twice */
    EXPIRED,
    NOT_YET,
    ISSUER,
    AUDIENCE,
    BLACKLISTED,
    OUTCOMES,
    WAIT /* for a refresh of the key set: nothing has become of it yet */
};

#define COUNTED(label)                                                                             \
    "rgate_tokens_total", "counter", "outcome=\"" label "\"",                                      \
        "Tokens that were checked, by what came of it."

static const struct rg_counter_row rows[OUTCOMES] = {
    [VERIFIED] = {COUNTED("verified")},       [CACHED] = {COUNTED("cached")},
    [NO_KEY] = {COUNTED("no_key")},           [OVERSIZED] = {COUNTED("oversized")},
    [MALFORMED] = {COUNTED("malformed")},     [HEADER] = {COUNTED("header")},
    [ALGORITHM] = {COUNTED("algorithm")},     [UNKNOWN_KEY] = {COUNTED("unknown_key")},
    [SIGNATURE] = {COUNTED("signature")},     [CLAIMS] = {COUNTED("claims")},
    [EXPIRED] = {COUNTED("expired")},         [NOT_YET] = {COUNTED("not_yet")},
    [ISSUER] = {COUNTED("issuer")},           [AUDIENCE] = {COUNTED("audience")},
    [BLACKLISTED] = {COUNTED("blacklisted")},
};

struct rg_verifier {
    /* Set once. */
    struct rg_key *key;   /* NULL: none */
    struct rg_jwks *jwks; /* NULL: none */
    char *issuer;         /* NULL: any */
    char *audience;       /* NULL: any */
    int64_t leeway_s;
    struct rg_blacklist *blacklist; /* NULL: none */
    struct rg_projection *projection;
    int session_slot, jti_slot;
    struct rg_token_cache *cache;

    /* Any thread adds. Apart, so that this does not slow down whoever reads the above. */
    struct rg_counters *outcomes;
};

/* ---- key and signature ---- */

static enum outcome verify_with(const struct rg_key *key, const struct rg_jws *jws,
                                struct rg_str token)
{
    struct rg_str alg = rg_buf_str(&jws->alg);

    if (!rg_key_allows(key, alg))
        return ALGORITHM;
    return rg_key_verify(key, alg, token) == 0 ? VERIFIED : SIGNATURE;
}

/* With our own key, if there is one. */
static enum outcome verify_without_set(const struct rg_verifier *verifier, const struct rg_jws *jws,
                                       struct rg_str token)
{
    return verifier->key != NULL ? verify_with(verifier->key, jws, token) : UNKNOWN_KEY;
}

/*
 * The key that the token names, if the set has it, decides; else our own. Only a token that no key
 * of ours has signed may be worth waiting for new ones.
 */
static enum outcome verify_with_set(const struct rg_verifier *verifier, const struct rg_jws *jws,
                                    struct rg_str token, bool may_wait)
{
    struct rg_str kid = jws->has_kid ? rg_buf_str(&jws->kid) : (struct rg_str){NULL, 0};
    uint64_t generation = rg_jwks_generation(verifier->jwks);
    struct rg_keyset *set = rg_jwks_get(verifier->jwks);
    bool may_come = set == NULL || kid.p != NULL;
    const struct rg_key *key = set != NULL ? rg_keyset_find(set, kid, rg_buf_str(&jws->alg)) : NULL;
    enum outcome outcome =
        key != NULL ? verify_with(key, jws, token) : verify_without_set(verifier, jws, token);

    if (key == NULL && outcome != VERIFIED && may_wait && may_come &&
        rg_jwks_ask_refresh(verifier->jwks, generation))
        outcome = WAIT;
    rg_keyset_unref(&set);
    return outcome;
}

static enum outcome check_signature(const struct rg_verifier *verifier, const struct rg_jws *jws,
                                    struct rg_str token, bool may_wait)
{
    return verifier->jwks != NULL ? verify_with_set(verifier, jws, token, may_wait)
                                  : verify_without_set(verifier, jws, token);
}

/* ---- claims ---- */

/* The first whole second at or after a time. */
static int64_t whole_second(double time_s)
{
    if (time_s >= (double)MAX_TIME_S)
        return MAX_TIME_S;
    if (time_s <= (double)-MAX_TIME_S)
        return -MAX_TIME_S;
    int64_t second = (int64_t)time_s;
    return second + ((double)second < time_s);
}

static bool is_text(const json_t *value, const char *text)
{
    return json_is_string(value) &&
           rg_str_eq(rg_str_n(json_string_value(value), json_string_length(value)), rg_str_c(text));
}

static bool is_for(const json_t *aud, const char *audience)
{
    const json_t *one;
    size_t i;

    json_array_foreach(aud, i, one)
    {
        if (is_text(one, audience))
            return true;
    }
    return is_text(aud, audience);
}

/* RFC 7519 section 4.1. *ret_exp_s includes the leeway. */
static enum outcome check_claims(const struct rg_verifier *verifier, const json_t *claims,
                                 int64_t now_s, int64_t *ret_exp_s)
{
    const json_t *exp = json_object_get(claims, "exp");
    const json_t *nbf = json_object_get(claims, "nbf");

    if (!json_is_number(exp))
        return EXPIRED;
    *ret_exp_s = whole_second(json_number_value(exp)) + verifier->leeway_s;
    if (*ret_exp_s <= now_s)
        return EXPIRED;
    if (nbf != NULL &&
        (!json_is_number(nbf) || whole_second(json_number_value(nbf)) - verifier->leeway_s > now_s))
        return NOT_YET;
    if (verifier->issuer != NULL && !is_text(json_object_get(claims, "iss"), verifier->issuer))
        return ISSUER;
    if (verifier->audience != NULL && !is_for(json_object_get(claims, "aud"), verifier->audience))
        return AUDIENCE;
    return VERIFIED;
}

/* client-api.md 13.2: numbers and booleans name a session by their JSON text. */
static struct rg_str name_of(struct rg_json value, struct rg_buf *scratch)
{
    switch (value.kind) {
    case RG_JSON_STRING:
        return rg_json_string(value, scratch);
    case RG_JSON_NUMBER:
    case RG_JSON_TRUE:
    case RG_JSON_FALSE:
        return value.text;
    default:
        return (struct rg_str){NULL, 0};
    }
}

static struct rg_claims *make_claims(const struct rg_verifier *verifier, struct rg_str text,
                                     int64_t exp_s)
{
    struct rg_projector *projector = rg_projector_new(verifier->projection);
    RG_CLEANUP(rg_buf_done) struct rg_buf session = {0};
    RG_CLEANUP(rg_buf_done) struct rg_buf jti = {0};
    struct rg_json root;

    int err = rg_projector_run(projector, text, &root, NULL);
    rg_assert(err == 0); /* rg_object_read() has seen the text */
    struct rg_claims *claims = rg_claims_new(
        root.text, exp_s, name_of(rg_projector_get(projector, verifier->session_slot), &session),
        name_of(rg_projector_get(projector, verifier->jti_slot), &jti));
    rg_projector_free(&projector);
    return claims;
}

static enum outcome read_claims(const struct rg_verifier *verifier, struct rg_str text,
                                int64_t now_s, struct rg_claims **ret)
{
    RG_CLEANUP(rg_object_done) json_t *object = NULL;
    int64_t exp_s;

    if (rg_object_read(text, &object, NULL) < 0)
        return CLAIMS;
    enum outcome outcome = check_claims(verifier, object, now_s, &exp_s);
    if (outcome == VERIFIED)
        *ret = make_claims(verifier, text, exp_s);
    return outcome;
}

/* ---- tokens ---- */

static enum outcome verify(const struct rg_verifier *verifier, struct rg_str token, int64_t now_s,
                           bool may_wait, struct rg_claims **ret)
{
    RG_CLEANUP(rg_jws_done) struct rg_jws jws = {0};

    if (rg_verifier_is_keyless(verifier))
        return NO_KEY;
    int err = rg_jws_read(token, &jws);
    if (err < 0)
        return err == RG_EFULL ? OVERSIZED : err == RG_EINVAL ? HEADER : MALFORMED;
    enum outcome outcome = check_signature(verifier, &jws, token, may_wait);
    if (outcome != VERIFIED)
        return outcome;
    return read_claims(verifier, rg_buf_str(&jws.payload), now_s, ret);
}

static bool is_banned(const struct rg_verifier *verifier, const struct rg_claims *claims)
{
    if (verifier->blacklist == NULL)
        return false;
    if (claims->session.n > 0 && rg_blacklist_has(verifier->blacklist, claims->session))
        return true;
    return claims->jti.n > 0 && !rg_str_eq(claims->jti, claims->session) &&
           rg_blacklist_has(verifier->blacklist, claims->jti);
}

static int refuse_banned(const struct rg_claims *claims, struct rg_why *why)
{
    rg_assert(claims != NULL);
    struct rg_str id = claims->jti.n > 0 ? claims->jti : claims->session;
    const size_t max = 200; /* more of a name helps nobody, and the sentence must fit */

    return rg_why_set(why, RG_EDENIED, "", "Ignoring blacklisted JWT with ID \"%.*s\".",
                      (int)(id.n < max ? id.n : max), id.p);
}

/* What the client is told is no more than client-api.md 4.3 has; the reason is for the metrics. */
static int tell(enum outcome outcome, const struct rg_claims *claims, struct rg_why *why)
{
    switch (outcome) {
    case VERIFIED:
    case CACHED:
        return 0;
    case WAIT:
        return RG_EAGAIN;
    case BLACKLISTED:
        return refuse_banned(claims, why);
    case ALGORITHM:
    case UNKNOWN_KEY:
    case SIGNATURE:
        return rg_why_set(why, RG_EDENIED, "", "Invalid signature");
    case EXPIRED:
        return rg_why_set(why, RG_EDENIED, "", "token expired");
    default:
        return rg_why_set(why, RG_EDENIED, "", "Could not verify token");
    }
}

/* Returns the result of a check; takes claims, which go to *ret if it is 0. */
static int conclude(enum outcome outcome, struct rg_claims *claims, struct rg_claims **ret,
                    struct rg_why *why)
{
    int err = tell(outcome, claims, why);

    if (err == 0)
        *ret = RG_STEAL(claims);
    rg_claims_unref(&claims);
    return err;
}

static enum outcome verify_cached(struct rg_verifier *verifier, struct rg_str token, int64_t now_s,
                                  struct rg_claims **ret)
{
    /* Before the keys are looked at: should they change meanwhile, what is remembered is outdated
     * at once. */
    uint64_t generation = verifier->jwks != NULL ? rg_jwks_generation(verifier->jwks) : 0;

    if (token.n > RG_JWS_MAX_BYTES)
        return OVERSIZED;
    *ret = rg_token_cache_find(verifier->cache, token, generation, now_s);
    if (*ret != NULL)
        return CACHED;
    enum outcome outcome = verify(verifier, token, now_s, true, ret);
    if (outcome == VERIFIED)
        rg_token_cache_add(verifier->cache, token, generation, now_s, *ret);
    return outcome;
}

int rg_verifier_check(struct rg_verifier *verifier, struct rg_str token, struct rg_claims **ret,
                      struct rg_why *why)
{
    struct rg_claims *claims = NULL;
    enum outcome outcome = verify_cached(verifier, token, rg_clock_wall_us() / 1000000, &claims);

    if (outcome == WAIT)
        return RG_EAGAIN;
    if (claims != NULL && is_banned(verifier, claims)) {
        outcome = BLACKLISTED;
        rg_token_cache_drop(verifier->cache, token);
    }
    atomic_fetch_add_explicit(&verifier->outcomes->v[outcome], 1, memory_order_relaxed);
    if (outcome > CACHED)
        rg_log_debug("token refused", RG_FS("reason", rows[outcome].labels));
    return conclude(outcome, claims, ret, why);
}

int rg_verifier_check_at(struct rg_verifier *verifier, struct rg_str token, int64_t now_s,
                         struct rg_claims **ret, struct rg_why *why)
{
    struct rg_claims *claims = NULL;
    enum outcome outcome = verify(verifier, token, now_s, false, &claims);

    if (claims != NULL && is_banned(verifier, claims))
        outcome = BLACKLISTED;
    return conclude(outcome, claims, ret, why);
}

int rg_verifier_wait(struct rg_verifier *verifier, void (*fn)(void *arg), void *arg)
{
    if (verifier->jwks != NULL)
        return rg_jwks_wait(verifier->jwks, fn, arg);
    fn(arg);
    return 0;
}

bool rg_verifier_is_keyless(const struct rg_verifier *verifier)
{
    return verifier->key == NULL && verifier->jwks == NULL;
}

void rg_verifier_expose(const struct rg_verifier *verifier, struct rg_buf *out)
{
    const struct rg_counters *block = verifier->outcomes;

    rg_counters_expose(out, rows, OUTCOMES, &block, 1);
    if (verifier->jwks != NULL)
        rg_jwks_expose(verifier->jwks, out);
}

/* ---- making ---- */

static char *copy_of(const char *text)
{
    return text != NULL ? rg_strndup(text, strlen(text)) : NULL;
}

/* Puts the variable's name in place of what a function below said. */
static int in_variable(struct rg_why *why, int err, const char *variable)
{
    if (err < 0 && why != NULL)
        snprintf(why->place, sizeof(why->place), "%s", variable);
    return err;
}

static int make_key(struct rg_verifier *verifier, const struct rg_verifier_settings *settings,
                    struct rg_why *why)
{
    if (!rg_key_is_algorithm(settings->alg))
        return rg_why_set(why, RG_EINVAL, "JWT_ALG", "must be one of " RG_KEY_ALGORITHMS);
    if (settings->key.n == 0)
        return 0;
    verifier->key = rg_key_new(settings->alg, settings->key, why);
    return in_variable(why, verifier->key != NULL ? 0 : RG_EINVAL, "JWT_SECRET_KEY");
}

static int make_jwks(struct rg_verifier *verifier, const struct rg_verifier_settings *settings,
                     struct rg_why *why)
{
    const struct rg_jwks_settings jwks = {.source = settings->jwks,
                                          .interval_ms = settings->jwks_interval_ms,
                                          .min_interval_ms = MIN_REFRESH_INTERVAL_MS,
                                          .http = settings->http,
                                          .now_ms = rg_clock_mono_ms};

    if (settings->jwks == NULL)
        return 0;
    verifier->jwks = rg_jwks_new(&jwks, why);
    return in_variable(why, verifier->jwks != NULL ? 0 : RG_EINVAL, "JWT_JWKS");
}

static int make_projection(struct rg_verifier *verifier,
                           const struct rg_verifier_settings *settings, struct rg_why *why)
{
    verifier->projection = rg_projection_new();
    verifier->jti_slot = rg_projection_add(verifier->projection, RG_STR("/jti"));
    verifier->session_slot =
        rg_projection_add(verifier->projection, rg_str_c(settings->session_field));
    if (verifier->session_slot < 0)
        return rg_why_set(why, RG_EINVAL, "JWT_SESSION_FIELD", "must be a JSON pointer");
    return 0;
}

struct rg_verifier *rg_verifier_new(const struct rg_verifier_settings *settings, struct rg_why *why)
{
    struct rg_verifier *verifier = rg_zalloc(sizeof(*verifier));

    verifier->issuer = copy_of(settings->issuer);
    verifier->audience = copy_of(settings->audience);
    verifier->leeway_s = settings->leeway_s;
    verifier->blacklist = settings->blacklist;
    verifier->cache = rg_token_cache_new(settings->cache_entries);
    verifier->outcomes = rg_counters_new(OUTCOMES);
    /* The key set last: once it has been made, somebody else may call it. */
    if (make_projection(verifier, settings, why) < 0 || make_key(verifier, settings, why) < 0 ||
        make_jwks(verifier, settings, why) < 0)
        rg_verifier_free(&verifier);
    return verifier;
}

void rg_verifier_free(struct rg_verifier **verifierp)
{
    struct rg_verifier *verifier = RG_STEAL(*verifierp);

    if (verifier == NULL)
        return;
    rg_jwks_free(&verifier->jwks);
    rg_key_free(&verifier->key);
    rg_projection_free(&verifier->projection);
    rg_token_cache_free(&verifier->cache);
    rg_counters_free(&verifier->outcomes);
    rg_free(verifier->issuer);
    rg_free(verifier->audience);
    rg_free(verifier);
}
