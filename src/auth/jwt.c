#include "auth/jwt.h"

#include <cjose/cjose.h>
#include <jansson.h>

static const char *const hmac_algorithms[] = {"HS256", "HS384", "HS512"};

static bool is_hmac(const char *alg)
{
    for (size_t i = 0; i < sizeof(hmac_algorithms) / sizeof(hmac_algorithms[0]); i++) {
        if (strcmp(alg, hmac_algorithms[i]) == 0)
            return true;
    }
    return false;
}

static int check_claims(struct rg_str claims, struct rg_why *why)
{
    json_error_t error;
    json_t *json = json_loadb(claims.p != NULL ? claims.p : "", claims.n,
                              JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, &error);
    bool is_object = json_is_object(json);

    if (json == NULL)
        return rg_why_set(why, RG_EINVAL, "", "the claims are not JSON: %s", error.text);
    json_decref(json);
    if (!is_object)
        return rg_why_set(why, RG_EINVAL, "", "the claims must be a JSON object");
    return 0;
}

static int sign(const cjose_jwk_t *key, cjose_header_t *header, struct rg_str claims,
                struct rg_buf *out, cjose_err *err)
{
    cjose_jws_t *jws = cjose_jws_sign(key, header, (const uint8_t *)claims.p, claims.n, err);
    const char *compact = NULL;
    bool is_done = jws != NULL && cjose_jws_export(jws, &compact, err);

    if (is_done)
        rg_buf_add_c(out, compact); /* owned by jws */
    cjose_jws_release(jws);
    return is_done ? 0 : RG_EINVAL;
}

int rg_jwt_mint(const char *alg, struct rg_str secret, struct rg_str claims, struct rg_buf *out,
                struct rg_why *why)
{
    cjose_err error = {.message = "no memory"};
    int err;

    if (!is_hmac(alg))
        return rg_why_set(why, RG_EINVAL, "", "the algorithm must be HS256, HS384 or HS512");
    /* A token under an empty key could be made by anybody. */
    if (secret.n == 0)
        return rg_why_set(why, RG_EINVAL, "", "the secret is empty");
    err = check_claims(claims, why);
    if (err < 0)
        return err;

    cjose_jwk_t *key = cjose_jwk_create_oct_spec((const uint8_t *)secret.p, secret.n, &error);
    cjose_header_t *header = cjose_header_new(&error);
    err = RG_EINVAL;
    if (key != NULL && header != NULL && cjose_header_set(header, CJOSE_HDR_ALG, alg, &error) &&
        cjose_header_set(header, "typ", "JWT", &error))
        err = sign(key, header, claims, out, &error);
    cjose_header_release(header);
    cjose_jwk_release(key);
    if (err < 0)
        return rg_why_set(why, err, "", "cannot sign: %s", error.message);
    return 0;
}
