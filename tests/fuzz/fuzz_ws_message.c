/*
 * WebSocket messages: the outcome does not depend on how the bytes are cut, limits hold, text is
 * UTF-8. The first four bytes seed the cuts, the fifth says whether messages may be compressed.
 */
#include "base/alloc.h"
#include "base/utf8.h"
#include "http/ws_message.h"

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t n);

static const struct rg_ws_message_limits limits = {
    .max_bytes = 100000, .max_fragments = 8, .max_ratio = 100};

static struct rg_inflater *inflater;

/* The size of the next piece, 1 to max; everything at once if *seed is NULL. */
static size_t next_piece(uint32_t *seed, size_t max)
{
    if (seed == NULL || max <= 1)
        return max;
    *seed = *seed * 1664525u + 1013904223u;
    size_t limit = (*seed >> 30) == 0 ? max : 1 + (*seed >> 28);
    return 1 + (*seed >> 8) % (limit < max ? limit : max);
}

static void add_message(struct rg_buf *out, const struct rg_ws_message *message)
{
    rg_assert(message->opcode != RG_WS_CONTINUATION);
    rg_assert(message->data.n <=
              (message->opcode >= RG_WS_CLOSE ? RG_WS_MAX_CONTROL : limits.max_bytes));
    rg_assert(message->opcode != RG_WS_TEXT || rg_utf8_is_valid(message->data));
    rg_buf_addf(out, "(%d %zu ", message->opcode, message->data.n);
    rg_buf_add_str(out, message->data);
    rg_buf_add_char(out, ')');
}

/* Reads a copy of text, since payload is unmasked in place, and writes down the outcome. */
static void read_messages(struct rg_str text, bool is_compressed, uint32_t *seed,
                          struct rg_buf *out)
{
    struct rg_ws_message_reader reader = {
        .frames = {.expects_mask = !is_compressed, .allows_rsv1 = is_compressed},
        .limits = &limits,
        .inflater = is_compressed ? inflater : NULL,
    };
    char *copy = rg_strndup(text.p, text.n);
    size_t at = 0;
    int result = 0;

    while (at < text.n && result != -1002) {
        char *p = copy + at;
        size_t piece = next_piece(seed, text.n - at);
        size_t left = piece;
        do {
            struct rg_ws_message message;
            char *before = p;
            size_t left_before = left;
            result = rg_ws_message_read(&reader, &p, &left, &message, NULL);
            rg_assert(p == before + (left_before - left));
            if (result > 0)
                add_message(out, &message);
            else if (result < 0)
                rg_buf_addf(out, "%d", result);
            rg_assert(result == -1002 || result == -1007 || result == -1009 || result == 1 ||
                      (result == 0 && left == 0));
            rg_assert(reader.data.n <= limits.max_bytes + 1 &&
                      reader.control.n <= RG_WS_MAX_CONTROL);
        } while (left > 0 && result != -1002);
        at += piece;
    }
    rg_ws_message_reader_done(&reader);
    rg_free(copy);
}

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t n)
{
    struct rg_buf at_once = {0};
    struct rg_buf cut = {0};
    uint32_t seed;

    if (n < 5)
        return 0;
    if (inflater == NULL)
        inflater = rg_inflater_new();
    memcpy(&seed, input, sizeof(seed));
    struct rg_str text = rg_str_n((const char *)input + 5, n - 5);

    read_messages(text, input[4] == 'z', NULL, &at_once);
    read_messages(text, input[4] == 'z', &seed, &cut);
    rg_assert(rg_str_eq(rg_buf_str(&at_once), rg_buf_str(&cut)));
    rg_buf_done(&at_once);
    rg_buf_done(&cut);
    return 0;
}
