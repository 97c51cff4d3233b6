/*
 * name_priv.h - a quick hash of names that come from the configuration.
 *
 * Looks at the length and at most 16 bytes. It has no secret: tables that use it
 * hold configured names only, so whoever sends events chooses what is looked up
 * but can make no chain longer.
 *
 * Thread: any.
 */
#pragma once

#include "base/str.h"

static inline uint64_t rg_name_hash(struct rg_str name, uint64_t salt)
{
    uint64_t head = 0, tail = 0;
    uint64_t h;

    if (name.n >= 8) {
        memcpy(&head, name.p, 8);
        memcpy(&tail, name.p + name.n - 8, 8);
    } else if (name.n >= 4) {
        memcpy(&head, name.p, 4);
        memcpy(&tail, name.p + name.n - 4, 4);
    } else {
        for (size_t i = 0; i < name.n; i++)
            head = head << 8 | (unsigned char)name.p[i];
    }
    h = (head ^ name.n ^ salt << 32) * 0x9e3779b97f4a7c15ULL;
    h = (h ^ h >> 32 ^ tail) * 0xd6e8feb86659fd93ULL;
    return h ^ h >> 32;
}
