/*
 * verifier.h - says whether a JSON Web Token is valid, and what it claims (RFC 7519, RFC 7515,
 * RFC 8725).
 *
 * A token is valid if a configured key signed it with the algorithm that the key is for, its exp is
 * a number in the future, its nbf (if any) is not, issuer and audience are the configured ones (if
 * any are), and neither its session nor its jti is on the blacklist. What was verified once is
 * remembered until it expires, in a bounded cache keyed by a hash of the token, so a signature
 * is checked once. The blacklist is asked every time.
 *
 * Thread: after rg_verifier_new(), any registered with rcu.h.
 */
#pragma once

#include "auth/blacklist.h"
#include "auth/claims.h"
#include "base/buf.h"

struct rg_http_client;
struct rg_verifier;

struct rg_verifier_settings {
    const char *alg;                /* JWT_ALG */
    struct rg_str key;              /* JWT_SECRET_KEY, read: secret or PEM; n == 0: no such key */
    const char *jwks;               /* JWT_JWKS: path or URL; NULL: none */
    uint64_t jwks_interval_ms;      /* JWT_JWKS_INTERVAL: between two refreshes */
    const char *issuer;             /* JWT_ISSUER; NULL: any */
    const char *audience;           /* JWT_AUDIENCE; NULL: any */
    int64_t leeway_s;               /* JWT_LEEWAY */
    const char *session_field;      /* JWT_SESSION_FIELD, a JSON pointer */
    size_t cache_entries;           /* JWT_CACHE_ENTRIES; 0: no cache */
    struct rg_blacklist *blacklist; /* NULL: none */
    struct rg_http_client *http;    /* fetches a key set from a URL; NULL where jwks is no URL */
};

/*
 * settings is copied, blacklist and http are borrowed. NULL, with why (place: the variable), for an
 * algorithm that is not known, a key that does not fit it, a key set file that cannot be read. A
 * URL is fetched in the background from here on.
 */
struct rg_verifier *rg_verifier_new(const struct rg_verifier_settings *settings,
                                    struct rg_why *why);

/* The HTTP client must have been freed before: it may call back until then. */
void rg_verifier_free(struct rg_verifier **verifierp);

/* True if no key is configured, so that no token is valid. */
bool rg_verifier_is_keyless(const struct rg_verifier *verifier);

/*
 * Checks a token (compact serialisation, without "Bearer"). Returns 0 with a reference in *ret; or
 * RG_EDENIED, with the sentence for the client in why->text, one of the tails of client-api.md
 * 4.3 ("Could not verify token", "Invalid signature", "token expired", `Ignoring blacklisted JWT
 * with ID "<jti>".`); or RG_EAGAIN where the token names a key that a refresh of the key set, which
 * is under way, may bring: ask again when rg_verifier_wait() says so. Counts, except for RG_EAGAIN.
 */
int rg_verifier_check(struct rg_verifier *verifier, struct rg_str token, struct rg_claims **ret,
                      struct rg_why *why);

/*
 * Calls fn(arg) once when the refresh of the key set ends, whatever its outcome, on the HTTP
 * client's thread; at once, on this thread, if none is under way. RG_EFULL if too many wait.
 */
int rg_verifier_wait(struct rg_verifier *verifier, void (*fn)(void *arg), void *arg);

/* The same check at a given time, without cache, counters and log: for tests. */
int rg_verifier_check_at(struct rg_verifier *verifier, struct rg_str token, int64_t now_s,
                         struct rg_claims **ret, struct rg_why *why);

/* Appends metrics: tokens verified, refused by reason, cache hits, refreshes of the key set. */
void rg_verifier_expose(const struct rg_verifier *verifier, struct rg_buf *out);

/* Algorithms for JWT_ALG and key sets, for config and --help: "HS256,HS384,…". */
extern const char rg_verifier_algorithms[];
