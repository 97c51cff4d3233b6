/*
 *   SIZE --;--> EXT_NAME --=--> EXT_VALUE or EXT_QUOTED    (back to EXT_NAME with ';')
 *     \____________ CR ______________/
 *            SIZE_LF --size > 0--> DATA --> DATA_CR --> DATA_LF --> SIZE
 *                    --size = 0--> TRAILER_START --CR--> LAST_LF --> DONE
 *                                   |       ^
 *                                   name   LF
 *                                   v       |
 *                           TRAILER_NAME --> TRAILER_VALUE --CR--> TRAILER_LF
 */
#include "http/chunked.h"

#include "http/class_priv.h"
#include "http/trailers.h"

#define MAX_SIZE_DIGITS 16
#define MAX_EXTENSION   256

enum chunked_state {
    SIZE,
    EXT_START,
    EXT_NAME,
    EXT_VALUE_START,
    EXT_VALUE,
    EXT_QUOTED,
    EXT_QUOTED_PAIR,
    EXT_QUOTED_END,
    SIZE_LF,
    DATA,
    DATA_CR,
    DATA_LF,
    TRAILER_START,
    TRAILER_NAME,
    TRAILER_VALUE,
    TRAILER_LF,
    LAST_LF,
    DONE
};

#define MALFORMED (-1)

static unsigned hex_value(char c)
{
    return c <= '9' ? (unsigned)(c - '0') : (unsigned)((c | 0x20) - 'a') + 10;
}

/* Each next_in_...() returns the state behind byte c, or MALFORMED. */
static int next_in_size(struct rg_chunked *c, char byte)
{
    if (is(byte, HEX)) {
        if (c->digits == MAX_SIZE_DIGITS)
            return MALFORMED;
        c->digits++;
        c->left = c->left << 4 | hex_value(byte);
        return SIZE;
    }
    if (c->digits == 0)
        return MALFORMED;
    return byte == '\r' ? SIZE_LF : byte == ';' ? EXT_START : MALFORMED;
}

static int next_in_extension(struct rg_chunked *c, char byte)
{
    if (++c->ext_n > MAX_EXTENSION)
        return MALFORMED;
    switch (c->state) {
    case EXT_START:
        return is(byte, TOKEN) ? EXT_NAME : MALFORMED;
    case EXT_NAME:
        if (byte == '=')
            return EXT_VALUE_START;
        break;
    case EXT_VALUE_START:
        return byte == '"' ? EXT_QUOTED : is(byte, TOKEN) ? EXT_VALUE : MALFORMED;
    case EXT_QUOTED:
        if (byte == '"')
            return EXT_QUOTED_END;
        return byte == '\\' ? EXT_QUOTED_PAIR : is(byte, QUOTED) ? EXT_QUOTED : MALFORMED;
    case EXT_QUOTED_PAIR:
        return is(byte, VALUE) ? EXT_QUOTED : MALFORMED;
    default:
        break;
    }
    if (byte == '\r')
        return SIZE_LF;
    if (byte == ';')
        return EXT_START;
    return c->state != EXT_QUOTED_END && is(byte, TOKEN) ? c->state : MALFORMED;
}

/* The empty line, which is all that nearly all bodies have there. */
static bool is_in_last_line(const struct rg_chunked *c, char byte)
{
    return c->state == LAST_LF || (c->state == TRAILER_START && byte == '\r');
}

static int next_in_trailer(struct rg_chunked *c, char byte)
{
    if (++c->trailer_bytes > RG_MAX_TRAILER_BYTES)
        return MALFORMED;
    if (c->trailers != NULL && !is_in_last_line(c, byte))
        rg_buf_add_char(c->trailers, byte);
    switch (c->state) {
    case TRAILER_START:
        if (byte == '\r')
            return LAST_LF;
        return is(byte, TOKEN) && ++c->trailers_n <= RG_MAX_TRAILERS ? TRAILER_NAME : MALFORMED;
    case TRAILER_NAME:
        return byte == ':' ? TRAILER_VALUE : is(byte, TOKEN) ? TRAILER_NAME : MALFORMED;
    case TRAILER_VALUE:
        return byte == '\r' ? TRAILER_LF : is(byte, VALUE) ? TRAILER_VALUE : MALFORMED;
    case TRAILER_LF:
        return byte == '\n' ? TRAILER_START : MALFORMED;
    default:
        return byte == '\n' ? DONE : MALFORMED;
    }
}

static int next_after_size(struct rg_chunked *c, char byte)
{
    if (byte != '\n')
        return MALFORMED;
    c->digits = 0;
    c->ext_n = 0;
    return c->left > 0 ? DATA : TRAILER_START;
}

static int next_state(struct rg_chunked *c, char byte)
{
    switch (c->state) {
    case SIZE:
        return next_in_size(c, byte);
    case SIZE_LF:
        return next_after_size(c, byte);
    case DATA_CR:
        return byte == '\r' ? DATA_LF : MALFORMED;
    case DATA_LF:
        return byte == '\n' ? SIZE : MALFORMED;
    default:
        return c->state < SIZE_LF ? next_in_extension(c, byte) : next_in_trailer(c, byte);
    }
}

static size_t take_data(struct rg_chunked *c, size_t n)
{
    size_t run = n < c->left ? n : (size_t)c->left;

    c->left -= run;
    if (c->left == 0)
        c->state = DATA_CR;
    return run;
}

long rg_chunked_take(struct rg_chunked *c, const char *p, size_t n, struct rg_str *ret_data,
                     bool *ret_done, struct rg_why *why)
{
    size_t at = 0;

    *ret_data = rg_str_n(p, 0);
    while (at < n && c->state != DONE && c->state != DATA) {
        int next = next_state(c, p[at++]);
        if (next == MALFORMED)
            return rg_why_set(why, -400, "", "the chunked body is malformed");
        c->state = next;
    }
    if (at < n && c->state == DATA) {
        size_t run = take_data(c, n - at);
        *ret_data = rg_str_n(p + at, run);
        at += run;
    }
    *ret_done = c->state == DONE;
    return (long)at;
}
