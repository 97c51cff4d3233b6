/*
 * jwks.h - a key set that somebody else keeps up to date: a file, or a URL.
 *
 * A URL is fetched at the start, again after each interval, and earlier, but at most every few
 * seconds, when a token names a key that is not there. Until new keys have arrived whole the old
 * ones stay in force, however long the other side is down.
 *
 * Thread: any; one lock, held to look at or exchange a pointer.
 */
#pragma once

#include "auth/keyset.h"
#include "base/buf.h"

struct rg_http_client;
struct rg_jwks;

struct rg_jwks_settings {
    const char *source;          /* a file's path, or an http or https URL */
    uint64_t interval_ms;        /* between two refreshes */
    uint64_t min_interval_ms;    /* after a refresh, before tokens may ask for the next */
    struct rg_http_client *http; /* NULL: a file is read once */
    uint64_t (*now_ms)(void);    /* a monotonic clock, for min_interval_ms */
};

/*
 * A file must be readable now; a URL is fetched in the background. settings is copied, http
 * borrowed. NULL with why on failure.
 */
struct rg_jwks *rg_jwks_new(const struct rg_jwks_settings *settings, struct rg_why *why);

/* The HTTP client is gone. */
void rg_jwks_free(struct rg_jwks **jwksp);

/* A reference to the set in force; NULL if none has arrived yet. */
struct rg_keyset *rg_jwks_get(struct rg_jwks *jwks);

/* Counts the exchanges of the set: what was verified under an earlier one may be so no more. */
uint64_t rg_jwks_generation(const struct rg_jwks *jwks);

/*
 * A token names a key that was not there under this generation. True if waiting may help: a refresh
 * is under way, or there are newer keys already.
 */
bool rg_jwks_ask_refresh(struct rg_jwks *jwks, uint64_t generation);

/* Calls fn(arg) when the refresh has ended, or at once if none is under way. RG_EFULL: too many
 * wait. */
int rg_jwks_wait(struct rg_jwks *jwks, void (*fn)(void *arg), void *arg);

/* Appends metrics. */
void rg_jwks_expose(struct rg_jwks *jwks, struct rg_buf *out);
