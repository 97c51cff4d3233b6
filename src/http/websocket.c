#include "http/websocket.h"

#include <openssl/evp.h>

#include "base/base64.h"
#include "base/random.h"
#include "base/utf8.h"
#include "http/ws_extension.h"

#define FIN             0x80
#define RESERVED        0x70
#define MASKED          0x80
#define LENGTH_16       126
#define LENGTH_64       127
#define MAX_CLOSE_TEXT  (RG_WS_MAX_CONTROL - 2)
#define NOT_ON_THE_WIRE 1005 /* RFC 6455 7.1.5: the code of a close frame without one */

static bool is_control(unsigned opcode)
{
    return opcode >= RG_WS_CLOSE;
}

static int violation(struct rg_why *why, const char *text)
{
    return rg_why_set(why, -1002, "", "%s", text);
}

static int check_first_byte(const struct rg_ws_reader *r, struct rg_why *why)
{
    unsigned opcode = r->header[0] & 0x0f;
    bool may_have_rsv1 = r->allows_rsv1 && (opcode == RG_WS_TEXT || opcode == RG_WS_BINARY);

    if ((r->header[0] & RESERVED & ~(may_have_rsv1 ? RG_WS_RSV1 : 0)) != 0)
        return violation(why, "a reserved bit is set in a WebSocket frame");
    if ((opcode > RG_WS_BINARY && opcode < RG_WS_CLOSE) || opcode > RG_WS_PONG)
        return violation(why, "a WebSocket frame has a reserved opcode");
    if (is_control(opcode) && (r->header[0] & FIN) == 0)
        return violation(why, "a WebSocket control frame is fragmented");
    if (opcode == RG_WS_CONTINUATION && !r->in_message)
        return violation(why, "a WebSocket continuation frame continues nothing");
    if ((opcode == RG_WS_TEXT || opcode == RG_WS_BINARY) && r->in_message)
        return violation(why, "a WebSocket message starts inside of another");
    return 0;
}

static int check_second_byte(const struct rg_ws_reader *r, struct rg_why *why)
{
    bool is_masked = (r->header[1] & MASKED) != 0;

    if (is_masked != r->expects_mask)
        return violation(why, r->expects_mask ? "a WebSocket frame from a client is not masked"
                                              : "a WebSocket frame from a server is masked");
    if (is_control(r->header[0] & 0x0f) && (r->header[1] & 0x7f) > RG_WS_MAX_CONTROL)
        return violation(why, "a WebSocket control frame is longer than 125 bytes");
    return 0;
}

/* The header's length as far as its first bytes tell. */
static unsigned header_size(const struct rg_ws_reader *r)
{
    if (r->header_n < 2)
        return 2;
    unsigned length = r->header[1] & 0x7f;
    return 2 + (length == LENGTH_16 ? 2 : length == LENGTH_64 ? 8 : 0) + (r->expects_mask ? 4 : 0);
}

/* Reads the payload's length from a complete header. */
static int parse_length(struct rg_ws_reader *r, struct rg_why *why)
{
    unsigned bytes = header_size(r) - 2 - (r->expects_mask ? 4 : 0);
    uint64_t length = bytes == 0 ? r->header[1] & 0x7f : 0;

    for (unsigned i = 0; i < bytes; i++)
        length = length << 8 | r->header[2 + i];
    if (length > INT64_MAX)
        return violation(why, "the length of a WebSocket frame has its top bit set");
    if ((bytes == 2 && length < LENGTH_16) || (bytes == 8 && length <= UINT16_MAX))
        return violation(why, "the length of a WebSocket frame is not written minimally");
    r->payload_left = length;
    return 0;
}

static int begin_payload(struct rg_ws_reader *r, struct rg_why *why)
{
    int err = parse_length(r, why);
    if (err < 0)
        return err;

    r->opcode = r->header[0] & 0x0f;
    r->is_final = (r->header[0] & FIN) != 0;
    r->is_compressed = (r->header[0] & RG_WS_RSV1) != 0;
    if (!is_control(r->opcode))
        r->in_message = !r->is_final;
    if (r->expects_mask)
        memcpy(r->mask, r->header + r->header_n - 4, 4);
    r->mask_at = 0;
    r->in_payload = true;
    return 0;
}

/*
 * Takes header bytes one by one, so that a violation is found at the same byte however
 * the bytes were cut on their way.
 */
static long read_header(struct rg_ws_reader *r, const char *p, size_t n, struct rg_why *why)
{
    size_t i = 0;

    while (i < n && !r->in_payload) {
        int err = 0;
        r->header[r->header_n++] = (unsigned char)p[i++];
        if (r->header_n == 1)
            err = check_first_byte(r, why);
        else if (r->header_n == 2)
            err = check_second_byte(r, why);
        if (err == 0 && r->header_n == header_size(r))
            err = begin_payload(r, why);
        if (err < 0)
            return err;
    }
    return (long)i;
}

/* Masks or unmasks n bytes that start at byte `at` of the mask; returns where the mask stands. */
static unsigned char apply_mask(char *p, size_t n, const unsigned char mask[4], unsigned char at)
{
    unsigned char bytes[8];
    uint64_t key;
    size_t i = 0;

    for (unsigned k = 0; k < 8; k++)
        bytes[k] = mask[(at + k) & 3];
    memcpy(&key, bytes, 8);
    for (; n - i >= 8; i += 8) {
        uint64_t word;
        memcpy(&word, p + i, 8);
        word ^= key;
        memcpy(p + i, &word, 8);
    }
    for (; i < n; i++)
        p[i] = (char)(p[i] ^ bytes[i & 7]);
    return (unsigned char)((at + n) & 3);
}

long rg_ws_read(struct rg_ws_reader *r, char *p, size_t n, struct rg_ws_part *ret,
                bool *ret_has_part, struct rg_why *why)
{
    bool starts_frame = !r->in_payload;
    long header_bytes = read_header(r, p, n, why);

    *ret_has_part = false;
    if (header_bytes < 0 || !r->in_payload)
        return header_bytes;

    size_t at = (size_t)header_bytes;
    size_t run = n - at < r->payload_left ? n - at : (size_t)r->payload_left;
    /* Without payload at hand a part is worth reporting only for its header. */
    if (run == 0 && !starts_frame)
        return header_bytes;
    if (r->expects_mask)
        r->mask_at = apply_mask(p + at, run, r->mask, r->mask_at);
    r->payload_left -= run;
    if (r->payload_left == 0) {
        r->in_payload = false;
        r->header_n = 0;
    }
    *ret = (struct rg_ws_part){
        .opcode = (enum rg_ws_opcode)r->opcode,
        .is_final = r->is_final,
        .is_compressed = r->is_compressed,
        .starts_frame = starts_frame,
        .ends_frame = r->payload_left == 0,
        .data = {p + at, run},
        .frame_left = r->payload_left,
    };
    *ret_has_part = true;
    return (long)(at + run);
}

size_t rg_ws_header(char out[RG_WS_MAX_HEADER], enum rg_ws_opcode opcode, uint64_t payload_n)
{
    unsigned bytes = payload_n < LENGTH_16 ? 0 : payload_n <= UINT16_MAX ? 2 : 8;

    out[0] = (char)(FIN | opcode);
    out[1] = (char)(bytes == 0 ? payload_n : bytes == 2 ? LENGTH_16 : LENGTH_64);
    for (unsigned i = 0; i < bytes; i++)
        out[2 + i] = (char)(payload_n >> (8 * (bytes - 1 - i)));
    return 2 + bytes;
}

void rg_ws_add_frame(struct rg_buf *out, enum rg_ws_opcode opcode, struct rg_str payload,
                     bool is_masked)
{
    char header[RG_WS_MAX_HEADER];
    size_t header_n = rg_ws_header(header, opcode, payload.n);
    unsigned char mask[4];

    if (is_masked) {
        rg_random_bytes(mask, sizeof(mask));
        header[1] = (char)((unsigned char)header[1] | MASKED);
        memcpy(header + header_n, mask, sizeof(mask));
        header_n += sizeof(mask);
    }
    rg_buf_add(out, header, header_n);
    size_t at = out->n;
    rg_buf_add_str(out, payload);
    if (is_masked && payload.n > 0)
        apply_mask(out->p + at, payload.n, mask, 0);
}

/* The longest start of s of at most max bytes that ends between two characters. */
static struct rg_str cut(struct rg_str s, size_t max)
{
    if (s.n <= max)
        return s;
    s.n = max;
    while (s.n > 0 && ((unsigned char)s.p[s.n] & 0xc0) == 0x80)
        s.n--;
    return s;
}

void rg_ws_add_close(struct rg_buf *out, unsigned code, struct rg_str reason, bool is_masked)
{
    char payload[RG_WS_MAX_CONTROL];
    struct rg_str text = cut(reason, MAX_CLOSE_TEXT);

    if (code == 0) {
        rg_ws_add_frame(out, RG_WS_CLOSE, rg_str_n(payload, 0), is_masked);
        return;
    }
    payload[0] = (char)(code >> 8);
    payload[1] = (char)code;
    if (text.n > 0)
        memcpy(payload + 2, text.p, text.n);
    rg_ws_add_frame(out, RG_WS_CLOSE, rg_str_n(payload, 2 + text.n), is_masked);
}

/* RFC 6455 7.4 and the codes registered since (1012 to 1014). */
static bool may_be_sent(unsigned code)
{
    return (code >= 1000 && code <= 1003) || (code >= 1007 && code <= 1014) ||
           (code >= 3000 && code <= 4999);
}

int rg_ws_parse_close(struct rg_str payload, unsigned *ret_code, struct rg_str *ret_reason)
{
    if (payload.n == 0) {
        *ret_code = NOT_ON_THE_WIRE;
        *ret_reason = payload;
        return 0;
    }
    if (payload.n == 1)
        return -1002;

    unsigned code = (unsigned)(unsigned char)payload.p[0] << 8 | (unsigned char)payload.p[1];
    struct rg_str reason = rg_str_n(payload.p + 2, payload.n - 2);
    if (!may_be_sent(code))
        return -1002;
    if (!rg_utf8_is_valid(reason))
        return -1007;
    *ret_code = code;
    *ret_reason = reason;
    return 0;
}

/* The only field of this name; p is NULL where there is none or more than one. */
static struct rg_str single_field(const struct rg_request *req, struct rg_str name)
{
    size_t at = 0;
    const struct rg_http_field *field = rg_request_next_field(req, name, &at);

    if (field == NULL || rg_request_next_field(req, name, &at) != NULL)
        return (struct rg_str){NULL, 0};
    return field->value;
}

/* 16 bytes in base64: 22 digits and the padding. */
static bool is_key(struct rg_str key)
{
    if (key.n != 24 || key.p[22] != '=' || key.p[23] != '=')
        return false;
    for (size_t i = 0; i < 22; i++) {
        char c = key.p[i];
        if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
              c == '+' || c == '/'))
            return false;
    }
    return true;
}

/* An extended CONNECT has neither Upgrade nor a key (RFC 8441 5). */
static int check_h2_handshake(const struct rg_request *req, struct rg_why *why)
{
    if (!rg_str_eq(req->protocol, RG_STR("websocket")))
        return rg_why_set(why, -400, "", "a WebSocket is opened with CONNECT");
    if (!rg_str_eq(single_field(req, RG_STR("sec-websocket-version")), RG_STR("13")))
        return rg_why_set(why, -400, "sec-websocket-version", "the version is not 13");
    return rg_ws_check_extensions(req, why);
}

int rg_ws_check_handshake(const struct rg_request *req, char accept[RG_WS_ACCEPT_SIZE],
                          struct rg_why *why)
{
    if (req->is_h2) {
        accept[0] = '\0';
        return check_h2_handshake(req, why);
    }

    /* In HTTP/1.0 there is no Upgrade (RFC 9110 7.8). */
    if (req->minor < 1 || !rg_request_has_token(req, RG_STR("connection"), RG_STR("upgrade")) ||
        !rg_request_has_token(req, RG_STR("upgrade"), RG_STR("websocket")))
        return rg_why_set(why, -426, "", "this is not a WebSocket upgrade request");
    if (req->method != RG_GET)
        return rg_why_set(why, -400, "", "a WebSocket is opened with GET");

    struct rg_str version = single_field(req, RG_STR("sec-websocket-version"));
    if (!rg_str_eq(version, RG_STR("13")) && !rg_str_eq(version, RG_STR("8")) &&
        !rg_str_eq(version, RG_STR("7")))
        return rg_why_set(why, -400, "sec-websocket-version", "the version is not 13, 8 or 7");
    struct rg_str key = single_field(req, RG_STR("sec-websocket-key"));
    if (!is_key(key))
        return rg_why_set(why, -400, "sec-websocket-key", "the key is not 16 bytes in base64");
    int err = rg_ws_check_extensions(req, why);
    if (err < 0)
        return err;

    rg_ws_accept(key, accept);
    return 0;
}

void rg_ws_accept(struct rg_str key, char accept[RG_WS_ACCEPT_SIZE])
{
    struct rg_buf text = {0};
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned digest_n;

    rg_buf_add_str(&text, key);
    rg_buf_add_c(&text, "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"); /* RFC 6455 1.3 */
    rg_assert(EVP_Digest(text.p, text.n, digest, &digest_n, EVP_sha1(), NULL) == 1);
    rg_buf_clear(&text);
    rg_base64_add(&text, digest, digest_n);
    rg_assert(text.n == RG_WS_ACCEPT_SIZE - 1);
    memcpy(accept, text.p, text.n);
    accept[text.n] = '\0';
    rg_buf_done(&text);
}
