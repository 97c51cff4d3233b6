#include "http/h1_fields_priv.h"

#include "base/alloc.h"

bool rg_h1_is_all(struct rg_str s, unsigned char class)
{
    for (size_t i = 0; i < s.n; i++) {
        if (!is(s.p[i], class))
            return false;
    }
    return true;
}

const char *rg_h1_take_field(struct rg_h1_cursor *at, struct rg_http_field *ret)
{
    ret->name = rg_h1_take(at, TOKEN);
    if (ret->name.n == 0)
        return "a header field has no name or continues the previous line";
    if (!rg_h1_take_char(at, ':'))
        return "the field name is not directly followed by a colon";
    ret->value = rg_str_trim(rg_h1_take(at, VALUE));
    if (!rg_h1_take_crlf(at))
        return "the field value has a control byte";
    return NULL;
}

static const char *note_length(struct rg_h1_framing_fields *framing, struct rg_str value)
{
    if (++framing->lengths > 1)
        return "Content-Length is repeated";
    if (value.n > RG_H1_MAX_LENGTH_DIGITS || rg_str_to_u64(value, UINT64_MAX, &framing->length) < 0)
        return "Content-Length is not a number of at most 19 digits";
    return NULL;
}

static const char *note_coding(struct rg_h1_framing_fields *framing, struct rg_str value)
{
    framing->coding = value;
    return ++framing->codings > 1 ? "Transfer-Encoding is repeated" : NULL;
}

static void note_connection(struct rg_h1_framing_fields *framing, struct rg_str value)
{
    while (value.p != NULL) {
        struct rg_str option = rg_str_trim(rg_str_split(&value, ','));
        if (rg_str_eq_nocase(option, RG_STR("close")))
            framing->says_close = true;
        else if (rg_str_eq_nocase(option, RG_STR("keep-alive")))
            framing->says_keep_alive = true;
    }
}

const char *rg_h1_note_framing(struct rg_h1_framing_fields *framing,
                               const struct rg_http_field *field)
{
    /* The length alone rules out nearly every field. */
    switch (field->name.n) {
    case 10:
        if (rg_str_eq_nocase(field->name, RG_STR("connection")))
            note_connection(framing, field->value);
        return NULL;
    case 14:
        if (rg_str_eq_nocase(field->name, RG_STR("content-length")))
            return note_length(framing, field->value);
        return NULL;
    case 17:
        if (rg_str_eq_nocase(field->name, RG_STR("transfer-encoding")))
            return note_coding(framing, field->value);
        return NULL;
    default:
        return NULL;
    }
}

/* A list of tokens in which "chunked" comes last or not at all (RFC 9112 6.1). */
static bool is_list_of_codings(struct rg_str list)
{
    while (list.p != NULL) {
        struct rg_str coding = rg_str_trim(rg_str_split(&list, ','));
        if (coding.n == 0 || !rg_h1_is_all(coding, TOKEN))
            return false;
        if (list.p != NULL && rg_str_eq_nocase(coding, RG_STR("chunked")))
            return false;
    }
    return true;
}

const char *rg_h1_check_coding(const struct rg_h1_framing_fields *framing, unsigned minor,
                               bool *ret_chunked, bool *ret_unknown)
{
    *ret_chunked = false;
    *ret_unknown = false;
    if (framing->codings == 0)
        return NULL;
    if (framing->lengths > 0)
        return "both Transfer-Encoding and Content-Length";
    if (minor == 0)
        return "Transfer-Encoding in HTTP/1.0";
    *ret_chunked = rg_str_eq_nocase(framing->coding, RG_STR("chunked"));
    if (*ret_chunked)
        return NULL;
    *ret_unknown = is_list_of_codings(framing->coding);
    return *ret_unknown ? "the coding is not chunked" : "Transfer-Encoding is malformed";
}

/* Whether one of these eight bytes is below 16, as CR, LF and NUL are. */
static bool has_low_byte(uint64_t bytes)
{
    const uint64_t high_bits = UINT64_C(0x8080808080808080);

    return ((bytes - UINT64_C(0x1010101010101010)) & ~bytes & high_bits) != 0;
}

static char blank_control(char c)
{
    return c == '\r' || c == '\n' || c == '\0' ? ' ' : c;
}

void rg_h1_add_field(struct rg_buf *out, struct rg_str name, struct rg_str value)
{
    char *to = rg_buf_reserve(out, name.n + value.n + 4);
    size_t i = 0;

    if (name.n > 0)
        memcpy(to, name.p, name.n);
    to += name.n;
    *to++ = ':';
    *to++ = ' ';
    for (; i + 8 <= value.n; i += 8) {
        uint64_t bytes;
        memcpy(&bytes, value.p + i, 8);
        if (has_low_byte(bytes))
            break;
        memcpy(to + i, &bytes, 8);
    }
    for (; i < value.n; i++)
        to[i] = blank_control(value.p[i]);
    to[value.n] = '\r';
    to[value.n + 1] = '\n';
    out->n += name.n + value.n + 4;
}

void rg_h1_add_length(struct rg_buf *out, uint64_t length)
{
    rg_buf_add_str(out, RG_STR("content-length: "));
    rg_buf_add_u64(out, length);
    rg_buf_add(out, "\r\n", 2);
}

bool rg_h1_is_of_hop(struct rg_str name)
{
    /* By length, of which few fields have one of these. */
    static const struct rg_str names[][2] = {
        [2] = {{"te", 2}},
        [7] = {{"trailer", 7}, {"upgrade", 7}},
        [10] = {{"connection", 10}, {"keep-alive", 10}},
        [14] = {{"content-length", 14}, {"http2-settings", 14}},
        [16] = {{"proxy-connection", 16}},
        [17] = {{"transfer-encoding", 17}},
    };

    if (name.n >= RG_COUNT_OF(names) || names[name.n][0].n == 0)
        return false;
    return rg_str_eq_nocase(name, names[name.n][0]) || rg_str_eq_nocase(name, names[name.n][1]);
}
