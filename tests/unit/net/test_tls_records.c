/*
 * Records of TLS 1.3 between two sides that share secrets, and those of RFC 8448 section 3. TLS 1.2
 * and the way from a handshake to here are in test_tls.c, against OpenSSL.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "net/tls_records_priv.h"

#define HEX_RANDOM "0000000000000000000000000000000000000000000000000000000000000000"
#define CLIENT_SECRET                                                                              \
    "9e40646ce79a7f9dc05af8889bce6552"                                                             \
    "875afa0b06df0087f792ebb7c17504a5"
#define SERVER_SECRET                                                                              \
    "a11af9f05531f856ad47116b45a95032"                                                             \
    "8204b4f44bfb6b3a4b4f1f3fcb631643"
#define MORE "00112233445566778899aabbccddeeff" /* a hash of 384 bits is longer */

static struct rg_tls_records server, client;
static char wire[RG_TLS_MAX_SEALED + RG_TLS_OVERHEAD];
static char *big;

/* The secrets as OpenSSL tells them; the client's side has them the other way round. */
static void give_secrets(struct rg_tls_records *records, bool is_client, bool is_long)
{
    const char *in = is_client ? SERVER_SECRET : CLIENT_SECRET;
    const char *out = is_client ? CLIENT_SECRET : SERVER_SECRET;
    char line[256];

    *records = (struct rg_tls_records){0};
    rg_tls_records_take_secret(records, "EXPORTER_SECRET " HEX_RANDOM " 00");
    snprintf(line, sizeof(line), "CLIENT_TRAFFIC_SECRET_0 " HEX_RANDOM " %s%s", in,
             is_long ? MORE : "");
    rg_tls_records_take_secret(records, line);
    snprintf(line, sizeof(line), "SERVER_TRAFFIC_SECRET_0 " HEX_RANDOM " %s%s", out,
             is_long ? MORE : "");
    rg_tls_records_take_secret(records, line);
}

static void begin(int nid)
{
    bool is_long = nid == NID_aes_256_gcm;

    give_secrets(&server, false, is_long);
    give_secrets(&client, true, is_long);
    assert_true(rg_tls_records_begin_13(&server, nid));
    assert_true(rg_tls_records_begin_13(&client, nid));
}

static int set_up(void **state)
{
    (void)state;
    begin(NID_aes_128_gcm);
    return 0;
}

/* The client seals, the server opens; p of another type may be padded. Returns what open does. */
static int carry(int type, const char *p, size_t n, char **text, size_t *text_n)
{
    size_t wire_n = rg_tls_records_seal(&client, type, p, n, wire);

    assert_int_equal(rg_tls_records_length(wire, wire_n), wire_n);
    return rg_tls_records_open(&server, wire, text, text_n);
}

static void assert_carried(const char *p, size_t n)
{
    char *text;
    size_t text_n;

    assert_int_equal(carry(RG_TLS_DATA, p, n, &text, &text_n), RG_TLS_DATA);
    assert_int_equal(text_n, n);
    if (n > 0)
        assert_memory_equal(text, p, n);
}

/* Opens what seal wrote, which may be a KeyUpdate and data. Returns the records. */
static unsigned open_all(struct rg_tls_records *records, char *p, size_t n, const char *expected,
                         size_t expected_n)
{
    unsigned count = 0;
    char *text = NULL;
    size_t text_n = 0, at = 0;
    int type = 0;

    for (; at < n; count++) {
        int record_n = rg_tls_records_length(p + at, n - at);
        assert_true(record_n > 0);
        type = rg_tls_records_open(records, p + at, &text, &text_n);
        at += (size_t)record_n;
    }
    assert_int_equal(type, RG_TLS_DATA);
    assert_int_equal(text_n, expected_n);
    assert_memory_equal(text, expected, expected_n);
    return count;
}

static void the_traces_of_the_rfc_are_made_and_read(void **state)
{
    static const unsigned char of_client[] = {
        0x17, 0x03, 0x03, 0x00, 0x43, 0xa2, 0x3f, 0x70, 0x54, 0xb6, 0x2c, 0x94, 0xd0, 0xaf, 0xfa,
        0xfe, 0x82, 0x28, 0xba, 0x55, 0xcb, 0xef, 0xac, 0xea, 0x42, 0xf9, 0x14, 0xaa, 0x66, 0xbc,
        0xab, 0x3f, 0x2b, 0x98, 0x19, 0xa8, 0xa5, 0xb4, 0x6b, 0x39, 0x5b, 0xd5, 0x4a, 0x9a, 0x20,
        0x44, 0x1e, 0x2b, 0x62, 0x97, 0x4e, 0x1f, 0x5a, 0x62, 0x92, 0xa2, 0x97, 0x70, 0x14, 0xbd,
        0x1e, 0x3d, 0xea, 0xe6, 0x3a, 0xee, 0xbb, 0x21, 0x69, 0x49, 0x15, 0xe4};
    static const unsigned char of_server[] = {
        0x17, 0x03, 0x03, 0x00, 0x43, 0x2e, 0x93, 0x7e, 0x11, 0xef, 0x4a, 0xc7, 0x40, 0xe5, 0x38,
        0xad, 0x36, 0x00, 0x5f, 0xc4, 0xa4, 0x69, 0x32, 0xfc, 0x32, 0x25, 0xd0, 0x5f, 0x82, 0xaa,
        0x1b, 0x36, 0xe3, 0x0e, 0xfa, 0xf9, 0x7d, 0x90, 0xe6, 0xdf, 0xfc, 0x60, 0x2d, 0xcb, 0x50,
        0x1a, 0x59, 0xa8, 0xfc, 0xc4, 0x9c, 0x4b, 0xf2, 0xe5, 0xf0, 0xa2, 0x1c, 0x00, 0x47, 0xc2,
        0xab, 0xf3, 0x32, 0x54, 0x0d, 0xd0, 0x32, 0xe1, 0x67, 0xc2, 0x95, 0x5d};
    char payload[50], *text;
    size_t text_n;

    (void)state;
    for (size_t i = 0; i < sizeof(payload); i++)
        payload[i] = (char)i;
    /* The server has sent one ticket before. */
    rg_tls_records_count_sent(&server, SSL3_RT_HEADER);
    rg_tls_records_count_sent(&server, SSL3_RT_INNER_CONTENT_TYPE);
    assert_int_equal(rg_tls_records_seal(&server, RG_TLS_DATA, payload, sizeof(payload), wire),
                     sizeof(of_server));
    assert_memory_equal(wire, of_server, sizeof(of_server));
    memcpy(wire, of_client, sizeof(of_client));
    assert_int_equal(rg_tls_records_open(&server, wire, &text, &text_n), RG_TLS_DATA);
    assert_int_equal(text_n, sizeof(payload));
    assert_memory_equal(text, payload, sizeof(payload));
}

static void every_cipher_carries_every_length(void **state)
{
    static const int nids[] = {NID_aes_128_gcm, NID_aes_256_gcm, NID_chacha20_poly1305};
    static const size_t lengths[] = {0, 1, 15, 16, 17, 1000, RG_TLS_MAX_PLAIN};

    (void)state;
    for (size_t i = 0; i < RG_COUNT_OF(nids); i++) {
        begin(nids[i]);
        for (size_t k = 0; k < RG_COUNT_OF(lengths); k++)
            assert_carried(big, lengths[k]);
    }
}

static void a_cipher_without_its_secrets_is_refused(void **state)
{
    struct rg_tls_records records = {0};

    (void)state;
    assert_false(rg_tls_records_begin_13(&records, NID_aes_128_gcm));
    give_secrets(&records, false, true);
    assert_false(rg_tls_records_begin_13(&records, NID_aes_128_gcm));
    give_secrets(&records, false, false);
    assert_false(rg_tls_records_begin_13(&records, NID_aes_128_ccm));
}

static void a_record_that_was_touched_does_not_open(void **state)
{
    char *text;
    size_t text_n, n = rg_tls_records_seal(&client, RG_TLS_DATA, "hello", 5, wire);
    char touched[64];

    (void)state;
    /* The type is checked before; the two bytes of the version are protected, too. */
    for (size_t i = 1; i < n; i++) {
        memcpy(touched, wire, n);
        touched[i] ^= 1;
        if (i == 3 || i == 4) /* another length is another record */
            continue;
        assert_int_equal(rg_tls_records_open(&server, touched, &text, &text_n),
                         -RG_ALERT_BAD_RECORD_MAC);
    }
    /* It still opens as it was, once. */
    memcpy(touched, wire, n);
    assert_int_equal(rg_tls_records_open(&server, touched, &text, &text_n), RG_TLS_DATA);
    memcpy(touched, wire, n);
    assert_int_equal(rg_tls_records_open(&server, touched, &text, &text_n),
                     -RG_ALERT_BAD_RECORD_MAC);
}

static void padding_is_taken_off(void **state)
{
    static const char padded[] = "hello\x17\0\0\0";
    char *text;
    size_t text_n;

    (void)state;
    /* The sealed type 0 is one more byte of padding. */
    assert_int_equal(carry(0, padded, sizeof(padded), &text, &text_n), RG_TLS_DATA);
    assert_int_equal(text_n, 5);
    assert_memory_equal(text, "hello", 5);
    assert_int_equal(carry(0, "\0\0\0", 3, &text, &text_n), -RG_ALERT_UNEXPECTED_MESSAGE);
}

static void lengths_and_types_that_cannot_be_are_refused(void **state)
{
    (void)state;
    assert_int_equal(rg_tls_records_length("\x17\x03\x03\x00", 4), 0);
    assert_int_equal(rg_tls_records_length("\x17\x03\x03\x41\x00", 5), 5 + 0x4100);
    assert_int_equal(rg_tls_records_length("\x17\x03\x03\x41\x01", 5), -RG_ALERT_RECORD_OVERFLOW);
    assert_int_equal(rg_tls_records_length("GET /", 5), -RG_ALERT_UNEXPECTED_MESSAGE);
    assert_int_equal(rg_tls_records_length("\x14\x03\x03\x00\x01", 5),
                     -RG_ALERT_UNEXPECTED_MESSAGE);
}

static void short_and_open_records_are_refused(void **state)
{
    char too_short[] = "\x17\x03\x03\x00\x0f"
                       "0123456789abcde";
    char in_clear[] = "\x15\x03\x03\x00\x02\x01\x00";
    char *text;
    size_t text_n;

    (void)state;
    assert_int_equal(rg_tls_records_open(&server, too_short, &text, &text_n),
                     -RG_ALERT_DECODE_ERROR);
    assert_int_equal(rg_tls_records_open(&server, in_clear, &text, &text_n),
                     -RG_ALERT_UNEXPECTED_MESSAGE);
}

static void handshakes_but_key_updates_are_refused(void **state)
{
    static const struct {
        const char *p;
        size_t n;
        int outcome;
    } cases[] = {
        {"\x01\x00\x00\x01\x00", 5, -RG_ALERT_UNEXPECTED_MESSAGE}, /* ClientHello */
        {"\x18\x00\x00\x01", 4, -RG_ALERT_UNEXPECTED_MESSAGE},
        {"\x18\x00\x00\x01\x00\x18", 6, -RG_ALERT_UNEXPECTED_MESSAGE},
        {"", 0, -RG_ALERT_UNEXPECTED_MESSAGE},
        {"\x18\x00\x00\x01\x02", 5, -RG_ALERT_DECODE_ERROR},
        {"\x18\x00\x00\x02\x00", 5, -RG_ALERT_DECODE_ERROR},
    };
    char *text;
    size_t text_n;

    (void)state;
    for (size_t i = 0; i < RG_COUNT_OF(cases); i++) {
        begin(NID_aes_128_gcm);
        assert_int_equal(carry(RG_TLS_HANDSHAKE, cases[i].p, cases[i].n, &text, &text_n),
                         cases[i].outcome);
    }
}

static void new_keys_are_answered_with_new_keys_once(void **state)
{
    static const char request[] = "\x18\x00\x00\x01\x01";
    struct rg_tls_half before = server.out;
    char *text;
    size_t text_n;

    (void)state;
    for (int i = 0; i < 3; i++) {
        assert_int_equal(carry(RG_TLS_HANDSHAKE, request, 5, &text, &text_n), RG_TLS_HANDSHAKE);
        assert_int_equal(text_n, 0);
        /* What a client does with its own request: its next record has the next keys. */
        client.out = server.in;
    }
    assert_carried("under new keys", 14);
    assert_memory_equal(server.out.key, before.key, sizeof(before.key));

    size_t n = rg_tls_records_seal(&server, RG_TLS_DATA, "answer", 6, wire);
    assert_memory_not_equal(server.out.key, before.key, 16);
    assert_int_equal(open_all(&client, wire, n, "answer", 6), 2);
    n = rg_tls_records_seal(&server, RG_TLS_DATA, "more", 4, wire);
    assert_int_equal(open_all(&client, wire, n, "more", 4), 1);
}

static void a_flood_of_key_updates_ends(void **state)
{
    static const char update[] = "\x18\x00\x00\x01\x00";
    char *text;
    size_t text_n;
    int type, n = 0;

    (void)state;
    while ((type = carry(RG_TLS_HANDSHAKE, update, 5, &text, &text_n)) == RG_TLS_HANDSHAKE) {
        client.out = server.in;
        n++;
    }
    assert_int_equal(type, -RG_ALERT_UNEXPECTED_MESSAGE);
    assert_in_range(n, 16, 64);
}

static void keys_do_not_live_for_ever(void **state)
{
    struct rg_tls_half before;

    (void)state;
    server.out.seq = client.in.seq = ((uint64_t)1 << 24) - 1;
    before = server.out;
    size_t n = rg_tls_records_seal(&server, RG_TLS_DATA, "last", 4, wire);
    assert_int_equal(open_all(&client, wire, n, "last", 4), 1);
    n = rg_tls_records_seal(&server, RG_TLS_DATA, "first", 5, wire);
    assert_int_equal(open_all(&client, wire, n, "first", 5), 2);
    assert_memory_not_equal(server.out.key, before.key, 16);
    assert_int_equal(server.out.seq, 1);
}

static void the_longest_record_with_new_keys_fits(void **state)
{
    (void)state;
    server.owes_update = true;
    size_t n = rg_tls_records_seal(&server, RG_TLS_DATA, big, RG_TLS_MAX_PLAIN, wire);
    assert_true(n <= RG_TLS_MAX_PLAIN + RG_TLS_OVERHEAD);
    assert_int_equal(open_all(&client, wire, n, big, RG_TLS_MAX_PLAIN), 2);
}

#define TEST(name) cmocka_unit_test_setup(name, set_up)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(the_traces_of_the_rfc_are_made_and_read),
        TEST(every_cipher_carries_every_length),
        TEST(a_cipher_without_its_secrets_is_refused),
        TEST(a_record_that_was_touched_does_not_open),
        TEST(padding_is_taken_off),
        TEST(lengths_and_types_that_cannot_be_are_refused),
        TEST(short_and_open_records_are_refused),
        TEST(handshakes_but_key_updates_are_refused),
        TEST(new_keys_are_answered_with_new_keys_once),
        TEST(a_flood_of_key_updates_ends),
        TEST(keys_do_not_live_for_ever),
        TEST(the_longest_record_with_new_keys_fits),
    };

    big = rg_alloc(RG_TLS_MAX_PLAIN);
    for (size_t i = 0; i < RG_TLS_MAX_PLAIN; i++)
        big[i] = (char)(i * 31 % 251);
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    rg_free(big);
    return failed;
}
