/*
 * authorize.h - whether a request may take an endpoint that needs a token.
 *
 * An API says where tokens are (api-gateway.md section 6): in a field, of authorization every
 * credential behind "Bearer", of another one every value; in a parameter of the query, separated by
 * commas. In the manner of 2017 (legacy-channels.md 14.3) candidates are the parts of the query
 * parameter token, which white space separates, and every value of the authorization field, bare or
 * behind "Bearer ". One valid token is enough. A request may bring several, but not any number.
 *
 * Thread: the reactor.
 */
#pragma once

#include "auth/verifier.h"
#include "http/request.h"
#include "proxy/api.h"

#define RG_AUTHORIZE_MAX_TOKENS 8 /* what is behind them is not looked at */

/*
 * 0 with a reference to the claims of the first valid token in *ret, RG_EDENIED if there is none,
 * or RG_EAGAIN where none is, but new keys may tell otherwise (rg_verifier_wait()); not if
 * is_last_try.
 */
int rg_authorize(struct rg_verifier *verifier, const struct rg_api *api,
                 const struct rg_request *req, bool is_last_try, struct rg_claims **ret);
