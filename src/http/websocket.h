/*
 * websocket.h - WebSocket framing (RFC 6455), server and client side.
 *
 * The reader takes the bytes of one peer and yields frames. It keeps what it must
 * between calls in a small struct; payload bytes are unmasked in place in the
 * caller's buffer. Data frames are only ever reported by their header and the run
 * of payload at hand, so no allocation follows from a claimed length.
 *
 * Thread: any; a reader belongs to its connection.
 */
#pragma once

#include "base/buf.h"
#include "base/err.h"
#include "http/request.h"

enum rg_ws_opcode {
    RG_WS_CONTINUATION = 0,
    RG_WS_TEXT = 1,
    RG_WS_BINARY = 2,
    RG_WS_CLOSE = 8,
    RG_WS_PING = 9,
    RG_WS_PONG = 10
};

#define RG_WS_MAX_HEADER  14   /* bytes of the longest frame header */
#define RG_WS_MAX_CONTROL 125  /* bytes of the longest control frame payload */
#define RG_WS_RSV1        0x40 /* in a header's first byte: a compressed message (RFC 7692 6) */

/* Where a peer's byte stream stands. Zeroed at the start; set expects_mask for a server. */
struct rg_ws_reader {
    bool expects_mask; /* set by the caller: frames must be masked (server) or not (client) */
    bool allows_rsv1;  /* set by the caller: messages may be compressed (RFC 7692) */
    bool in_message;   /* between a first fragment and its final one */
    unsigned char header[RG_WS_MAX_HEADER];
    unsigned char header_n;
    bool in_payload;      /* the current frame's header is complete */
    unsigned char opcode; /* of the current frame */
    bool is_final;
    bool is_compressed;
    unsigned char mask[4];
    unsigned char mask_at;
    uint64_t payload_left;
};

struct rg_ws_part {
    enum rg_ws_opcode opcode;
    bool is_final;       /* FIN bit of its frame */
    bool is_compressed;  /* RSV1 bit of its frame: the message that begins here is compressed */
    bool starts_frame;   /* first part of its frame */
    bool ends_frame;     /* last part of its frame */
    struct rg_str data;  /* unmasked payload in this part; may be empty */
    uint64_t frame_left; /* payload of this frame still to come after this part */
};

/*
 * Reads from p[0..n) up to the end of one part and returns the bytes consumed; *ret is
 * filled if *ret_has_part. Call again with the rest while n > 0. A protocol violation
 * (reserved bits or opcodes, wrong masking, fragmented or long control frames, a
 * continuation outside a message, a length with the top bit set or not minimal) returns
 * minus the close code, -1002, with why.
 */
long rg_ws_read(struct rg_ws_reader *r, char *p, size_t n, struct rg_ws_part *ret,
                bool *ret_has_part, struct rg_why *why);

/* Writes an unmasked header for a final frame; returns its length (2, 4 or 10). */
size_t rg_ws_header(char out[RG_WS_MAX_HEADER], enum rg_ws_opcode opcode, uint64_t payload_n);

/* Appends a whole final frame, masked with a random key if is_masked (client side). */
void rg_ws_add_frame(struct rg_buf *out, enum rg_ws_opcode opcode, struct rg_str payload,
                     bool is_masked);

/* Appends a close frame; code 0: without payload. The reason is cut to 123 bytes at a character. */
void rg_ws_add_close(struct rg_buf *out, unsigned code, struct rg_str reason, bool is_masked);

/*
 * Reads a close frame's payload: *ret_code is 1005 where it is empty. Returns 0, -1002 for
 * a bad length or a code that must not be on the wire (7.4), -1007 for a reason that is not UTF-8.
 */
int rg_ws_parse_close(struct rg_str payload, unsigned *ret_code, struct rg_str *ret_reason);

/*
 * Checks a client's opening handshake (RFC 6455 section 4.2.1). Returns 0; -426 if it is not an
 * upgrade request at all; -400 if it is one with a bad version, key or list of
 * extensions. On 0, accept receives the
 * value for Sec-WebSocket-Accept and a NUL (28 + 1 bytes). Versions 13, 8 and 7 are accepted.
 *
 * Over HTTP/2 (RFC 8441) there is no upgrade and no key: -400 for what is no extended CONNECT, or
 * for a version that is not 13; accept is "" then, and the answer is 200.
 */
#define RG_WS_ACCEPT_SIZE 29
int rg_ws_check_handshake(const struct rg_request *req, char accept[RG_WS_ACCEPT_SIZE],
                          struct rg_why *why);

/* The Sec-WebSocket-Accept value for a key. */
void rg_ws_accept(struct rg_str key, char accept[RG_WS_ACCEPT_SIZE]);
