/*
 * WebSocket frames: the outcome does not depend on how the bytes are cut, and what one side
 * writes the other reads. The first four bytes seed the cuts, the fifth says which side reads.
 */
#include <stdlib.h>

#include "base/alloc.h"
#include "base/err.h"
#include "base/utf8.h"
#include "http/websocket.h"

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t n);

/* The size of the next piece, 1 to max; everything at once if *seed is NULL. */
static size_t next_piece(uint32_t *seed, size_t max)
{
    if (seed == NULL || max <= 1)
        return max;
    *seed = *seed * 1664525u + 1013904223u;
    size_t limit = (*seed >> 30) == 0 ? max : 1 + (*seed >> 28);
    return 1 + (*seed >> 8) % (limit < max ? limit : max);
}

static void add_part(struct rg_buf *out, const struct rg_ws_part *part)
{
    rg_assert(part->ends_frame == (part->frame_left == 0));
    rg_assert(part->starts_frame || part->data.n > 0);
    if (part->starts_frame)
        rg_buf_addf(out, "(%d %d %llu ", part->opcode, part->is_final,
                    (unsigned long long)part->frame_left + part->data.n);
    rg_buf_add_str(out, part->data);
    if (part->ends_frame)
        rg_buf_add_char(out, ')');
}

/* Reads a copy of text, since payload is unmasked in place, and writes down the outcome. */
static void read_frames(struct rg_str text, bool expects_mask, uint32_t *seed, struct rg_buf *out)
{
    struct rg_ws_reader reader = {.expects_mask = expects_mask};
    char *copy = rg_strndup(text.p, text.n);
    size_t at = 0;
    size_t have = 0;

    while (at < text.n) {
        struct rg_ws_part part;
        struct rg_why why;
        bool has_part;

        if (have == at)
            have += next_piece(seed, text.n - have);
        long used = rg_ws_read(&reader, copy + at, have - at, &part, &has_part, &why);
        if (used < 0) {
            rg_assert(used == -1002);
            rg_buf_add_c(out, "refused");
            break;
        }
        rg_assert(used > 0 && (size_t)used <= have - at);
        at += (size_t)used;
        if (has_part)
            add_part(out, &part);
        rg_assert(has_part || at == have);
    }
    rg_free(copy);
}

static void check_round_trip(struct rg_str payload, uint32_t *seed, bool is_masked)
{
    struct rg_buf frame = {0};
    struct rg_buf expected = {0};
    struct rg_buf got = {0};

    rg_ws_add_frame(&frame, RG_WS_BINARY, payload, is_masked);
    rg_buf_addf(&expected, "(2 1 %zu ", payload.n);
    rg_buf_add_str(&expected, payload);
    rg_buf_add_char(&expected, ')');
    read_frames(rg_buf_str(&frame), is_masked, seed, &got);
    rg_assert(rg_str_eq(rg_buf_str(&got), rg_buf_str(&expected)));
    rg_buf_done(&frame);
    rg_buf_done(&expected);
    rg_buf_done(&got);
}

/* What parses as a close payload comes back the same when it is written. */
static void check_close(struct rg_str payload)
{
    struct rg_buf frame = {0};
    struct rg_str reason;
    unsigned code;

    if (rg_ws_parse_close(payload, &code, &reason) == 0 && payload.n > 0) {
        rg_assert(rg_utf8_is_valid(reason));
        rg_ws_add_close(&frame, code, reason, false);
        rg_assert(frame.n <= 2 + RG_WS_MAX_CONTROL && frame.n - 2 <= payload.n);
        rg_assert(memcmp(frame.p + 2, payload.p, frame.n - 2) == 0);
        rg_assert(rg_ws_parse_close(rg_str_n(frame.p + 2, frame.n - 2), &code, &reason) == 0);
    }
    rg_buf_done(&frame);
}

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t n)
{
    struct rg_buf at_once = {0};
    struct rg_buf cut = {0};
    uint32_t seed;

    if (n < 5)
        return 0;
    memcpy(&seed, input, sizeof(seed));
    struct rg_str text = rg_str_n((const char *)input + 5, n - 5);

    read_frames(text, input[4] == 's', NULL, &at_once);
    read_frames(text, input[4] == 's', &seed, &cut);
    rg_assert(rg_str_eq(rg_buf_str(&at_once), rg_buf_str(&cut)));
    check_round_trip(text, &seed, true);
    check_round_trip(text, &seed, false);
    check_close(text);

    rg_buf_done(&at_once);
    rg_buf_done(&cut);
    return 0;
}
