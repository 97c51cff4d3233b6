/*
 * jws.h - the form of a signed token: a JWS in compact serialisation (RFC 7515 section 7.1).
 *
 * Reads what stands before the signature has been checked, and believes none of it: the algorithm
 * is there to be compared, the kid to be looked up, and nothing else of the header is used.
 *
 * Thread: any.
 */
#pragma once

#include "base/buf.h"
#include "base/err.h"

#define RG_JWS_MAX_BYTES 16384

struct rg_jws {
    struct rg_buf alg, kid;
    bool has_kid;
    struct rg_buf payload; /* decoded; not yet to be trusted */
};

/*
 * Reads token into *jws, to be ended with rg_jws_done() in any case. Returns 0; RG_ESYNTAX for what
 * is no JWS: not three parts of base64url without padding, a header that is no JSON object or has a
 * name twice, a member of a wrong type; RG_EINVAL for a header with extensions that must be
 * understood (crit, b64); RG_EFULL for more than RG_JWS_MAX_BYTES.
 */
int rg_jws_read(struct rg_str token, struct rg_jws *jws);
void rg_jws_done(struct rg_jws *jws);
