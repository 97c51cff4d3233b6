#include "auth/jws.h"

#include "auth/object.h"
#include "base/alloc.h"
#include "base/base64.h"

#define MAX_HEADER 4096

/* Without padding: RFC 7515 leaves it away, and two texts for one token are one too many. */
static bool is_base64url(struct rg_str s)
{
    rg_assert(s.p != NULL || s.n == 0);
    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];
        bool is_letter = (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
        if (!is_letter && !(c >= '0' && c <= '9') && c != '-' && c != '_')
            return false;
    }
    return s.n % 4 != 1;
}

static bool decode(struct rg_str part, struct rg_buf *out)
{
    long n = rg_base64url_decode(part, rg_buf_reserve(out, part.n), part.n);

    if (n < 0)
        return false;
    out->n = (size_t)n;
    return true;
}

/* RFC 7515 section 4.1. What changes the meaning of the signature is refused. */
static int read_members(const json_t *header, struct rg_jws *jws)
{
    const json_t *kid = json_object_get(header, "kid");

    if (!json_is_string(json_object_get(header, "alg")) || (kid != NULL && !json_is_string(kid)))
        return RG_ESYNTAX;
    if (json_object_get(header, "crit") != NULL || json_object_get(header, "b64") != NULL)
        return RG_EINVAL;
    rg_buf_add_str(&jws->alg, rg_object_string(header, "alg"));
    jws->has_kid = kid != NULL;
    if (jws->has_kid)
        rg_buf_add_str(&jws->kid, rg_object_string(header, "kid"));
    return 0;
}

static int read_header(struct rg_str part, struct rg_jws *jws)
{
    RG_CLEANUP(rg_buf_done) struct rg_buf text = {0};
    RG_CLEANUP(rg_object_done) json_t *header = NULL;

    if (part.n > MAX_HEADER || !decode(part, &text) ||
        rg_object_read(rg_buf_str(&text), &header, NULL) < 0)
        return RG_ESYNTAX;
    return read_members(header, jws);
}

int rg_jws_read(struct rg_str token, struct rg_jws *jws)
{
    struct rg_str rest = token;

    *jws = (struct rg_jws){0};
    if (token.n > RG_JWS_MAX_BYTES)
        return RG_EFULL;
    struct rg_str header = rg_str_split(&rest, '.');
    struct rg_str payload = rest.p != NULL ? rg_str_split(&rest, '.') : rest;
    /* What is left must be the signature: a fourth part has a dot, which is not base64url. */
    if (rest.n == 0 || !is_base64url(header) || !is_base64url(payload) || !is_base64url(rest) ||
        !decode(payload, &jws->payload))
        return RG_ESYNTAX;
    return read_header(header, jws);
}

void rg_jws_done(struct rg_jws *jws)
{
    rg_buf_done(&jws->alg);
    rg_buf_done(&jws->kid);
    rg_buf_done(&jws->payload);
}
