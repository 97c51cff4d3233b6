/* Headers of the PROXY protocol: what is one, how long it is, and whose connection it names. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "net/proxy_protocol.h"

#define SIGNATURE "\r\n\r\n\0\r\nQUIT\n"
#define V4        "\xc0\0\2\7\xc6\x33\x64\1\xdc\4\1\xbb"
#define V6        "\x20\1\xd\xb8\0\0\0\0\0\0\0\0\0\0\0\7\x20\1\xd\xb8\0\0\0\0\0\0\0\0\0\0\0\1\xdc\4\1\xbb"
#define MAPPED                                                                                     \
    "\0\0\0\0\0\0\0\0\0\0\xff\xff\xc0\0\2\7\0\0\0\0\0\0\0\0\0\0\xff\xff\xc6\x33\x64\1\0\1\0\2"

/* Whatever of it has come: nothing is decided before the end, and nothing behind it counts. */
static void expect_header(struct rg_str header, const char *peer)
{
    char got[RG_PEER_SIZE], bytes[RG_PROXY_HEADER_MAX + 10];
    struct rg_why why;

    memcpy(bytes, header.p, header.n);
    memset(bytes + header.n, 0xff, 10);
    for (size_t n = 0; n < header.n; n++)
        assert_int_equal(rg_proxy_header_read(bytes, n, got, &why), 0);
    for (size_t n = header.n; n <= header.n + 10; n++) {
        assert_int_equal(rg_proxy_header_read(bytes, n, got, &why), (long)header.n);
        assert_string_equal(got, peer);
    }
}

static void expect_refused(struct rg_str header)
{
    char peer[RG_PEER_SIZE];
    struct rg_why why = {0};

    assert_int_equal(rg_proxy_header_read(header.p, header.n, peer, &why), RG_ESYNTAX);
    assert_true(why.text[0] != '\0');
}

static void lines_name_the_client(void **state)
{
    (void)state;
    expect_header(RG_STR("PROXY TCP4 192.0.2.7 198.51.100.1 56324 443\r\n"), "192.0.2.7");
    expect_header(RG_STR("PROXY TCP4 255.255.255.255 255.255.255.255 65535 0\r\n"),
                  "255.255.255.255");
    expect_header(RG_STR("PROXY TCP6 2001:db8::7 2001:db8::1 56324 443\r\n"), "2001:db8::7");
    expect_header(RG_STR("PROXY TCP6 2001:0DB8:0000::0007 ::1 56324 443\r\n"), "2001:db8::7");
    expect_header(RG_STR("PROXY TCP6 ::ffff:192.0.2.7 ::1 1 2\r\n"), "192.0.2.7");
    expect_header(RG_STR("PROXY TCP6 ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff "
                         "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff 65535 65535\r\n"),
                  "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff");
}

static void unknown_lines_name_nobody(void **state)
{
    (void)state;
    expect_header(RG_STR("PROXY UNKNOWN\r\n"), "");
    expect_header(RG_STR("PROXY UNKNOWN ffff::1 anything 1 2 3\r\n"), "");
}

static void malformed_lines_are_refused(void **state)
{
    (void)state;
    expect_refused(RG_STR("GET / HTTP/1.1\r\n"));
    expect_refused(RG_STR("PROXY\r\n"));
    expect_refused(RG_STR("PROXY TCP4\r\n"));
    expect_refused(RG_STR("PROXY TCP4 192.0.2.7\r\n"));
    expect_refused(RG_STR("proxy TCP4 192.0.2.7 198.51.100.1 1 2\r\n"));
    expect_refused(RG_STR("PROXY  TCP4 192.0.2.7 198.51.100.1 1 2\r\n"));
    expect_refused(RG_STR("PROXY TCP5 192.0.2.7 198.51.100.1 1 2\r\n"));
    expect_refused(RG_STR("PROXY UNKNOWNX\r\n"));
    expect_refused(RG_STR("PROXY TCP4 192.0.2.7 198.51.100.1 1\r\n"));
    expect_refused(RG_STR("PROXY TCP4 192.0.2.7 198.51.100.1 1 2 \r\n"));
    expect_refused(RG_STR("PROXY TCP4 192.0.2.7 198.51.100.1 1 2 3\r\n"));
    expect_refused(RG_STR("PROXY TCP4 192.0.2.7  198.51.100.1 1 2\r\n"));
    expect_refused(RG_STR("PROXY TCP4 192.0.2.07 198.51.100.1 1 2\r\n"));
    expect_refused(RG_STR("PROXY TCP4 192.0.2.256 198.51.100.1 1 2\r\n"));
    expect_refused(RG_STR("PROXY TCP4 192.0.2 198.51.100.1 1 2\r\n"));
    expect_refused(RG_STR("PROXY TCP4 ::1 ::1 1 2\r\n"));
    expect_refused(RG_STR("PROXY TCP6 192.0.2.7 198.51.100.1 1 2\r\n"));
    expect_refused(RG_STR("PROXY TCP6 fe80::1%eth0 ::1 1 2\r\n"));
    expect_refused(RG_STR("PROXY TCP4 192.0.2.7 198.51.100.1 65536 2\r\n"));
    expect_refused(RG_STR("PROXY TCP4 192.0.2.7 198.51.100.1 1 02\r\n"));
    expect_refused(RG_STR("PROXY TCP4 192.0.2.7 198.51.100.1 -1 2\r\n"));
    expect_refused(RG_STR("PROXY TCP4 192.0.2.7 198.51.100.1 1 2\n"));
    expect_refused(RG_STR("PROXY TCP4 192.0.2.7 198.51.100.1 1 2\rX"));
    expect_refused(RG_STR("PROXY UNKNOWN a\0b\r\n"));
    expect_refused(RG_STR("PROXY UNKNOWN a\xff\r\n"));
}

static void a_line_has_at_most_107_bytes(void **state)
{
    char line[110] = "PROXY UNKNOWN ";
    char peer[RG_PEER_SIZE];

    (void)state;
    memset(line + 14, 'x', sizeof(line) - 14);
    memcpy(line + 105, "\r\n", 2);
    expect_header(rg_str_n(line, 107), "");
    memcpy(line + 105, "xx\r\n", 4);
    assert_int_equal(rg_proxy_header_read(line, 106, peer, NULL), 0);
    expect_refused(rg_str_n(line, 107));
    expect_refused(rg_str_n(line, 109));
}

static void binary_headers_name_the_client(void **state)
{
    (void)state;
    expect_header(RG_STR(SIGNATURE "\x21\x11\0\x0c" V4), "192.0.2.7");
    expect_header(RG_STR(SIGNATURE "\x21\x21\0\x24" V6), "2001:db8::7");
    expect_header(RG_STR(SIGNATURE "\x21\x21\0\x24" MAPPED), "192.0.2.7");
}

static void what_follows_the_addresses_is_skipped(void **state)
{
    (void)state;
    expect_header(RG_STR(SIGNATURE "\x21\x11\0\x13" V4 "\4\0\4abcd"), "192.0.2.7");
}

static void the_balancers_own_connections_name_nobody(void **state)
{
    char header[16 + 216] = SIGNATURE "\x21\x31\0\xd8";

    (void)state;
    expect_header(RG_STR(SIGNATURE "\x20\0\0\0"), "");
    expect_header(RG_STR(SIGNATURE "\x20\x11\0\x0c" V4), "");
    expect_header(RG_STR(SIGNATURE "\x20\x99\0\3abc"), "");
    expect_header(RG_STR(SIGNATURE "\x21\0\0\0"), "");
    expect_header(RG_STR(SIGNATURE "\x21\0\0\3abc"), "");
    expect_header(rg_str_n(header, sizeof(header)), "");
}

static void malformed_binary_headers_are_refused(void **state)
{
    (void)state;
    expect_refused(RG_STR("\r\n\r\nGET"));
    expect_refused(RG_STR("\r\n\r\n\0\r\nQUIT\r"));
    expect_refused(RG_STR(SIGNATURE "\x11\x11\0\x0c" V4));
    expect_refused(RG_STR(SIGNATURE "\x22\x11\0\x0c" V4));
    expect_refused(RG_STR(SIGNATURE "\x21\x11\0\x0b" V4));
    expect_refused(RG_STR(SIGNATURE "\x21\x21\0\x23" V6));
    expect_refused(RG_STR(SIGNATURE "\x21\x12\0\x0c" V4));
    expect_refused(RG_STR(SIGNATURE "\x21\x22\0\x24" V6));
    expect_refused(RG_STR(SIGNATURE "\x21\x31\0\xd7" V6));
    expect_refused(RG_STR(SIGNATURE "\x21\x41\0\x0c" V4));
    expect_refused(RG_STR(SIGNATURE "\x21\x01\0\x0c" V4));
}

static void a_binary_header_has_a_limit(void **state)
{
    char header[RG_PROXY_HEADER_MAX] = SIGNATURE "\x21\x11\2\x08" V4;

    (void)state;
    expect_header(rg_str_n(header, sizeof(header)), "192.0.2.7");
    expect_refused(RG_STR(SIGNATURE "\x21\x11\2\x09" V4));
    expect_refused(RG_STR(SIGNATURE "\x20\0\xff\xff"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lines_name_the_client),
        cmocka_unit_test(unknown_lines_name_nobody),
        cmocka_unit_test(malformed_lines_are_refused),
        cmocka_unit_test(a_line_has_at_most_107_bytes),
        cmocka_unit_test(binary_headers_name_the_client),
        cmocka_unit_test(what_follows_the_addresses_is_skipped),
        cmocka_unit_test(the_balancers_own_connections_name_nobody),
        cmocka_unit_test(malformed_binary_headers_are_refused),
        cmocka_unit_test(a_binary_header_has_a_limit),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
