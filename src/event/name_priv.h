/*
 * name_priv.h - quick look-ups of names that come from the configuration.
 *
 * A name is looked at through its length and at most its first and last 8 bytes, which
 * together are all of a name of up to 16. The hash has no secret: tables that use it
 * hold configured names only, so whoever sends events chooses what is looked up
 * but can make no chain longer.
 *
 * Thread: any.
 */
#pragma once

#include "base/str.h"

/* The first and last bytes; for names of up to 16 bytes equal ends and lengths mean equal names. */
struct rg_name_ends {
    uint64_t head, tail;
};

static inline struct rg_name_ends rg_name_ends(struct rg_str name)
{
    struct rg_name_ends ends = {0, 0};

    if (name.n >= 8) {
        memcpy(&ends.head, name.p, 8);
        memcpy(&ends.tail, name.p + name.n - 8, 8);
    } else if (name.n >= 4) {
        memcpy(&ends.head, name.p, 4);
        memcpy(&ends.tail, name.p + name.n - 4, 4);
    } else {
        for (size_t i = 0; i < name.n; i++)
            ends.head = ends.head << 8 | (unsigned char)name.p[i];
    }
    return ends;
}

static inline uint64_t rg_name_hash(struct rg_name_ends ends, size_t n, uint64_t salt)
{
    uint64_t h = (ends.head ^ n ^ salt << 32) * 0x9e3779b97f4a7c15ULL;

    h = (h ^ h >> 32 ^ ends.tail) * 0xd6e8feb86659fd93ULL;
    return h ^ h >> 32;
}

/* True if both are the same name; each comes with its ends. */
static inline bool rg_name_eq(struct rg_str a, struct rg_name_ends a_ends, struct rg_str b,
                              struct rg_name_ends b_ends)
{
    return a.n == b.n && a_ends.head == b_ends.head && a_ends.tail == b_ends.tail &&
           (a.n <= 16 || memcmp(a.p, b.p, a.n) == 0);
}
