#include "base/hash.h"

#include <stdbool.h>
#include <string.h>

#include "base/random.h"

#define ROTL(x, b) (((x) << (b)) | ((x) >> (64 - (b))))

struct sip {
    uint64_t v0, v1, v2, v3;
};

static inline void sip_round(struct sip *s)
{
    s->v0 += s->v1;
    s->v1 = ROTL(s->v1, 13) ^ s->v0;
    s->v0 = ROTL(s->v0, 32);
    s->v2 += s->v3;
    s->v3 = ROTL(s->v3, 16) ^ s->v2;
    s->v0 += s->v3;
    s->v3 = ROTL(s->v3, 21) ^ s->v0;
    s->v2 += s->v1;
    s->v1 = ROTL(s->v1, 17) ^ s->v2;
    s->v2 = ROTL(s->v2, 32);
}

static inline uint64_t load64(const unsigned char *p)
{
    uint64_t v;
    memcpy(&v, p, 8);
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    v = __builtin_bswap64(v);
#endif
    return v;
}

static inline struct sip absorb(const struct rg_hash_key *key, const void *data, size_t n,
                                bool wide)
{
    /* Nothing may be given as NULL, to which not even 0 may be added. */
    const unsigned char *p = n > 0 ? data : (const unsigned char *)"";
    const unsigned char *end = p + (n & ~(size_t)7);
    struct sip s = {key->k[0] ^ 0x736f6d6570736575ULL, key->k[1] ^ 0x646f72616e646f6dULL,
                    key->k[0] ^ 0x6c7967656e657261ULL, key->k[1] ^ 0x7465646279746573ULL};
    uint64_t last = (uint64_t)n << 56;

    if (wide)
        s.v1 ^= 0xee;
    for (; p != end; p += 8) {
        uint64_t m = load64(p);
        s.v3 ^= m;
        sip_round(&s);
        sip_round(&s);
        s.v0 ^= m;
    }
    for (size_t i = 0; i < (n & 7); i++)
        last |= (uint64_t)end[i] << (8 * i);
    s.v3 ^= last;
    sip_round(&s);
    sip_round(&s);
    s.v0 ^= last;
    return s;
}

static inline uint64_t squeeze(struct sip *s)
{
    for (int i = 0; i < 4; i++)
        sip_round(s);
    return s->v0 ^ s->v1 ^ s->v2 ^ s->v3;
}

void rg_hash_key_random(struct rg_hash_key *key)
{
    rg_random_bytes(key, sizeof(*key));
}

uint64_t rg_hash64(const struct rg_hash_key *key, const void *p, size_t n)
{
    struct sip s = absorb(key, p, n, false);
    s.v2 ^= 0xff;
    return squeeze(&s);
}

struct rg_hash128 rg_hash128(const struct rg_hash_key *key, const void *p, size_t n)
{
    struct rg_hash128 h;
    struct sip s = absorb(key, p, n, true);
    s.v2 ^= 0xee;
    h.w[0] = squeeze(&s);
    s.v1 ^= 0xdd;
    h.w[1] = squeeze(&s);
    return h;
}
