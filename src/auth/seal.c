#include "auth/seal.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>

#include "base/alloc.h"
#include "base/base64.h"
#include "base/random.h"

enum {
    KEY_BYTES = 32,
    TAG_BYTES = 16
};

struct rg_seal {
    unsigned char key[KEY_BYTES];
};

static void hmac_sha256(const void *key, size_t key_n, const void *p, size_t n,
                        unsigned char out[EVP_MAX_MD_SIZE])
{
    unsigned int out_n = 0;
    const unsigned char *mac = HMAC(EVP_sha256(), key, (int)key_n, p, n, out, &out_n);

    rg_assert(mac != NULL && out_n == KEY_BYTES);
}

/* One secret serves several purposes; what is sealed for one must not open for another. */
static void derive_key(struct rg_seal *seal, struct rg_str secret, const char *purpose)
{
    unsigned char mac[EVP_MAX_MD_SIZE];
    RG_CLEANUP(rg_buf_done) struct rg_buf label = {0};

    rg_buf_addf(&label, "rgate seal: %s", purpose);
    hmac_sha256(secret.p, secret.n, label.p, label.n, mac);
    memcpy(seal->key, mac, KEY_BYTES);
    OPENSSL_cleanse(mac, sizeof(mac));
}

struct rg_seal *rg_seal_new(struct rg_str secret, const char *purpose)
{
    struct rg_seal *seal = rg_alloc(sizeof(*seal));

    if (secret.n > 0)
        derive_key(seal, secret, purpose);
    else
        rg_random_bytes(seal->key, KEY_BYTES);
    return seal;
}

void rg_seal_free(struct rg_seal **sealp)
{
    if (*sealp == NULL)
        return;
    OPENSSL_cleanse(*sealp, sizeof(**sealp));
    rg_free(*sealp);
    *sealp = NULL;
}

void rg_seal_add(const struct rg_seal *seal, const void *payload, size_t n, struct rg_buf *out)
{
    unsigned char bytes[RG_SEAL_MAX_PAYLOAD + EVP_MAX_MD_SIZE];

    rg_assert(n <= RG_SEAL_MAX_PAYLOAD);
    memcpy(bytes, payload, n);
    hmac_sha256(seal->key, KEY_BYTES, payload, n, bytes + n);
    rg_base64url_add(out, bytes, n + TAG_BYTES);
}

int rg_seal_open(const struct rg_seal *seal, struct rg_str token, void *payload, size_t n)
{
    unsigned char bytes[RG_SEAL_MAX_PAYLOAD + TAG_BYTES];
    unsigned char mac[EVP_MAX_MD_SIZE];

    rg_assert(n <= RG_SEAL_MAX_PAYLOAD);
    if (rg_base64url_decode(token, bytes, sizeof(bytes)) != (long)(n + TAG_BYTES))
        return RG_EINVAL;
    hmac_sha256(seal->key, KEY_BYTES, bytes, n, mac);
    if (CRYPTO_memcmp(mac, bytes + n, TAG_BYTES) != 0)
        return RG_EINVAL;
    memcpy(payload, bytes, n);
    return 0;
}
