#include "kafka/partitioner.h"

#include "base/random.h"

static inline uint32_t rotate_left(uint32_t x, unsigned bits)
{
    return x << bits | x >> (32 - bits);
}

static inline uint32_t scramble(uint32_t block)
{
    return rotate_left(block * 0xcc9e2d51u, 15) * 0x1b873593u;
}

/* Up to four bytes, little-endian on every machine. */
static uint32_t load(const char *p, size_t n)
{
    uint32_t block = 0;

    for (size_t i = 0; i < n; i++)
        block |= (uint32_t)(unsigned char)p[i] << (8 * i);
    return block;
}

uint32_t rg_murmur3(struct rg_str key)
{
    uint32_t h = 0;
    size_t i;

    for (i = 0; i + 4 <= key.n; i += 4)
        h = rotate_left(h ^ scramble(load(key.p + i, 4)), 13) * 5 + 0xe6546b64u;
    if (i < key.n)
        h ^= scramble(load(key.p + i, key.n - i));

    h ^= (uint32_t)key.n;
    h = (h ^ h >> 16) * 0x85ebca6bu;
    h = (h ^ h >> 13) * 0xc2b2ae35u;
    return h ^ h >> 16;
}

int32_t rg_partition_choose(struct rg_str key, int32_t partitions)
{
    if (key.n == 0)
        return (int32_t)rg_random_below((uint64_t)partitions);
    return (int32_t)(rg_murmur3(key) % (uint32_t)partitions);
}
