#include "http/h2_guard.h"

#include <string.h>

#define TYPE_PRIORITY 2

static uint32_t length_of(const struct rg_h2_guard *guard)
{
    const unsigned char *b = guard->bytes;

    return (uint32_t)b[0] << 16 | (uint32_t)b[1] << 8 | b[2];
}

static int32_t read_id(const unsigned char *b)
{
    /* The top bit is reserved, or exclusive. */
    return (int32_t)((uint32_t)(b[0] & 0x7f) << 24 | (uint32_t)b[1] << 16 | (uint32_t)b[2] << 8 |
                     b[3]);
}

static bool has_priority(const struct rg_h2_guard *guard)
{
    return guard->bytes[3] == TYPE_PRIORITY && length_of(guard) == RG_H2_PRIORITY_SIZE;
}

/* How many bytes make the frame known, as far as those that are there tell. */
static size_t needed(const struct rg_h2_guard *guard)
{
    if (guard->n < RG_H2_FRAME_HEAD || !has_priority(guard))
        return RG_H2_FRAME_HEAD;
    return RG_H2_FRAME_HEAD + RG_H2_PRIORITY_SIZE;
}

static void begin_frame(struct rg_h2_guard *guard, struct rg_h2_frame *ret)
{
    const unsigned char *b = guard->bytes;
    bool is_whole = has_priority(guard);

    *ret = (struct rg_h2_frame){
        .length = length_of(guard),
        .type = b[3],
        .flags = b[4],
        .stream_id = read_id(b + 5),
        .depends_on = is_whole ? read_id(b + RG_H2_FRAME_HEAD) : 0,
    };
    guard->to_pass = is_whole ? 0 : ret->length;
    guard->n = 0;
}

size_t rg_h2_guard_walk(struct rg_h2_guard *guard, const char *p, size_t n, struct rg_h2_frame *ret,
                        bool *ret_is_frame)
{
    size_t at = 0;

    *ret_is_frame = false;
    if (guard->to_pass > 0) {
        size_t run = n < guard->to_pass ? n : guard->to_pass;
        guard->to_pass -= (uint32_t)run;
        return run;
    }
    while (at < n && guard->n < needed(guard)) {
        size_t missing = needed(guard) - guard->n;
        size_t run = n - at < missing ? n - at : missing;
        memcpy(guard->bytes + guard->n, p + at, run);
        guard->n = (unsigned char)(guard->n + run);
        at += run;
    }
    if (guard->n == needed(guard)) {
        begin_frame(guard, ret);
        *ret_is_frame = true;
    }
    return at;
}
