/*
 * What a client that has shaken hands may send: records of any inner text and type, and bytes that
 * are no record. The first byte chooses the cipher; each piece that follows begins with its length
 * and with what it is: sealed with the client's keys, or as it stands.
 */
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/buf.h"
#include "net/tls_records_priv.h"

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t n);

#define SECRET " 000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"
#define LONG   SECRET "202122232425262728292a2b2c2d2e2f"

static void begin(struct rg_tls_records *records, int nid)
{
    bool is_long = nid == NID_aes_256_gcm;

    /* Both directions have the same secret, so each side opens what the other seals. */
    rg_tls_records_take_secret(records, is_long ? "CLIENT_TRAFFIC_SECRET_0" SECRET LONG
                                                : "CLIENT_TRAFFIC_SECRET_0" SECRET SECRET);
    rg_tls_records_take_secret(records, is_long ? "SERVER_TRAFFIC_SECRET_0" SECRET LONG
                                                : "SERVER_TRAFFIC_SECRET_0" SECRET SECRET);
    rg_assert(rg_tls_records_begin_13(records, nid));
}

/* Opens what is complete. Returns false when the connection has ended. */
static bool open_all(struct rg_tls_records *server, struct rg_tls_records *client,
                     struct rg_buf *wire)
{
    size_t at = 0;

    while (rg_tls_records_has(wire->p + at, wire->n - at)) {
        int record_n = rg_tls_records_length(wire->p + at, wire->n - at);
        char *text = NULL;
        size_t text_n = 0;
        if (record_n < 0)
            return false;
        int type = rg_tls_records_open(server, wire->p + at, &text, &text_n);
        if (type < 0)
            return false;
        rg_assert(text >= wire->p + at && text + text_n <= wire->p + at + record_n);
        rg_assert(text_n <= RG_TLS_MAX_PLAIN);
        rg_assert(type == RG_TLS_DATA || type == RG_TLS_ALERT || text_n == 0);
        if (type == RG_TLS_HANDSHAKE)
            client->out = server->in;
        at += (size_t)record_n;
    }
    rg_buf_consume(wire, at);
    return true;
}

/* The server's answer opens, whatever the client has asked for. */
static void check_answer(struct rg_tls_records *server, struct rg_tls_records *client)
{
    char wire[16 + RG_TLS_OVERHEAD], *text = NULL;
    size_t text_n = 0, n = rg_tls_records_seal(server, RG_TLS_DATA, "answer", 6, wire), at = 0;
    int type = 0;

    while (at < n) {
        int record_n = rg_tls_records_length(wire + at, n - at);
        rg_assert(record_n > 0 && at + (size_t)record_n <= n);
        type = rg_tls_records_open(client, wire + at, &text, &text_n);
        at += (size_t)record_n;
    }
    rg_assert(type == RG_TLS_DATA && text_n == 6 && memcmp(text, "answer", 6) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t n)
{
    static const int nids[] = {NID_aes_128_gcm, NID_aes_256_gcm, NID_chacha20_poly1305};
    struct rg_tls_records server = {0}, client = {0};
    struct rg_buf wire = {0};
    size_t at = 1;

    if (n == 0)
        return 0;
    rg_buf_reserve(&wire, 1); /* there is a place even where nothing comes */
    begin(&server, nids[input[0] % RG_COUNT_OF(nids)]);
    begin(&client, nids[input[0] % RG_COUNT_OF(nids)]);
    while (at + 2 <= n) {
        size_t piece = input[at], left = n - at - 2;
        int type = input[at + 1];
        const char *p = (const char *)input + at + 2;
        piece = piece < left ? piece : left;
        if (type == 255)
            rg_buf_add(&wire, p, piece);
        else
            wire.n += rg_tls_records_seal(&client, type, p, piece,
                                          rg_buf_reserve(&wire, piece + RG_TLS_OVERHEAD));
        at += 2 + piece;
        if (!open_all(&server, &client, &wire))
            break;
    }
    check_answer(&server, &client);
    rg_buf_done(&wire);
    return 0;
}
