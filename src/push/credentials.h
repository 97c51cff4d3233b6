/*
 * credentials.h - which tokens a request carries, and what they are worth.
 *
 * Requests to a connection and events carry tokens in Authorization (client-api.md 12.5). Where
 * JWT_COOKIE names a cookie, its token counts if there is no other: a browser adds it by itself,
 * also to requests of pages that the user did not mean to trust, so the page's origin must be
 * one of ORIGINS then. Credentials of other schemes (of a proxy before us) are no tokens.
 *
 * Thread: the reactor.
 */
#pragma once

#include "http/request.h"
#include "push/push.h"

/* True if a page of an origin that is not in ORIGINS made the request (RFC 6454 section 7). */
bool rg_credentials_is_foreign(const struct rg_push *push, const struct rg_request *req);

/* The token in the cookie that JWT_COOKIE names; n == 0 if there is none. A slice of req. */
struct rg_str rg_credentials_cookie(const struct rg_push *push, const struct rg_request *req);

/*
 * Authorization as if it were one field: a slice of req, or of *scratch (which is empty before) if
 * there are several; n == 0 if there is none.
 */
struct rg_str rg_credentials_join(const struct rg_request *req, struct rg_buf *scratch);

/*
 * As above, but where there is no token the cookie counts, as "Bearer <its value>". RG_EDENIED
 * if it would count, but the request is foreign.
 */
int rg_credentials_read(const struct rg_push *push, const struct rg_request *req,
                        struct rg_buf *scratch, struct rg_str *ret);

/*
 * Checks one token: 0 with a reference in *ret, RG_EDENIED with the reason in why->text, or
 * RG_EAGAIN where new keys should be awaited first; not if is_last_try.
 */
int rg_credentials_verify(const struct rg_push *push, struct rg_str token, bool is_last_try,
                          struct rg_claims **ret, struct rg_why *why);

#define RG_MAX_CREDENTIALS 8 /* of one request; another is as good as an invalid one */

struct rg_credentials {
    struct rg_claims *claims[RG_MAX_CREDENTIALS]; /* of the valid tokens, as listed */
    size_t n;
    bool has_invalid;
    struct rg_why reason; /* why the first invalid one is */
};

/*
 * Checks every bearer token in authorization (12.5.1). Returns 0 with *ret filled, or RG_EAGAIN,
 * with nothing in it, where new keys should be awaited first; not if is_last_try.
 */
int rg_credentials_check(const struct rg_push *push, struct rg_str authorization, bool is_last_try,
                         struct rg_credentials *ret);
void rg_credentials_done(struct rg_credentials *credentials);
