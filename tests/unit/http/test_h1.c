#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "base/buf.h"
#include "http/h1.h"

#define HOST "Host: h\r\n"
#define GET  "GET / HTTP/1.1\r\n"

/* The outcome of reading a head: 0 with req filled, a positive status, or -1 for more bytes. */
struct outcome {
    int status;
    size_t head_n;
    size_t decided_at; /* bytes that had to be there for it */
    struct rg_request req;
    struct rg_h1_framing framing;
    struct rg_why why;
};

static void read_scanned(struct outcome *out, const char *p, long scanned, size_t n)
{
    out->decided_at = n;
    if (scanned == 0) {
        out->status = -1;
    } else if (scanned < 0) {
        out->status = (int)-scanned;
    } else {
        out->head_n = (size_t)scanned;
        out->status = -rg_h1_parse_head(p, out->head_n, &out->req, &out->framing, &out->why);
    }
}

static void read_at_once(struct outcome *out, const char *p, size_t n,
                         const struct rg_h1_limits *limits)
{
    struct rg_h1_scan scan = {0};

    memset(out, 0, sizeof(*out));
    read_scanned(out, p, rg_h1_scan(&scan, p, n, limits, &out->why), n);
}

static void read_byte_by_byte(struct outcome *out, const char *p, size_t n,
                              const struct rg_h1_limits *limits)
{
    struct rg_h1_scan scan = {0};
    long scanned = 0;
    size_t have = 0;

    memset(out, 0, sizeof(*out));
    while (have < n && scanned == 0)
        scanned = rg_h1_scan(&scan, p, ++have, limits, &out->why);
    read_scanned(out, p, scanned, have);
}

/* Reads p in both ways from memory of exactly its size; they must agree. */
static int status_with(struct rg_str text, const struct rg_h1_limits *limits, struct outcome *ret)
{
    static struct outcome slow;
    static struct outcome fast;
    char *copy = rg_alloc(text.n);

    memcpy(copy, text.p, text.n);
    read_at_once(&fast, copy, text.n, limits);
    read_byte_by_byte(&slow, copy, text.n, limits);
    rg_free(copy);
    if (slow.status != fast.status || slow.head_n != fast.head_n)
        fail_msg("at once %d (%s), byte by byte %d (%s): %.*s", fast.status, fast.why.text,
                 slow.status, slow.why.text, RG_STR_ARG(text));
    if (ret != NULL)
        *ret = slow;
    return fast.status;
}

static int status_of(struct rg_str text)
{
    return status_with(text, &rg_h1_default_limits, NULL);
}

struct head_case {
    int status;
    struct rg_str text;
};

#define CASE(status, literal)                                                                      \
    {                                                                                              \
        status,                                                                                    \
        {                                                                                          \
            literal, sizeof(literal) - 1                                                           \
        }                                                                                          \
    }

static void check_cases(const struct head_case *cases, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        int status = status_of(cases[i].text);
        if (status != cases[i].status)
            fail_msg("case %zu: %d instead of %d for %.*s", i, status, cases[i].status,
                     RG_STR_ARG(cases[i].text));
    }
}

static void good_heads_are_accepted(void **state)
{
    static const struct head_case cases[] = {
        CASE(0, GET HOST "\r\n"),
        CASE(0, "GET / HTTP/1.0\r\n\r\n"),
        CASE(0, "GET / HTTP/1.0\r\n" HOST "\r\n"),
        CASE(0, "\r\n" GET HOST "\r\n"),
        CASE(0, "\r\n\r\n\r\n\r\n" GET HOST "\r\n"),
        CASE(0, GET "host:h\r\n\r\n"),
        CASE(0, GET "hOsT: \t h \t\r\n\r\n"),
        CASE(0, GET "Host:\r\n\r\n"),
        CASE(0, GET "Host: [::1]:4000\r\n\r\n"),
        CASE(0, GET "Host: a-b.example:80\r\n\r\n"),
        CASE(0, GET HOST "X:\r\n\r\n"),
        CASE(0, GET HOST "X: \r\n\r\n"),
        CASE(0, GET HOST "X: a\tb\r\n\r\n"),
        CASE(0, GET HOST "X: \x80\xff\r\n\r\n"),
        CASE(0, GET HOST "!#$%&'*+-.^_`|~09azAZ: x\r\n\r\n"),
        CASE(0, GET HOST "X: :\r\nX: ,;\"'(){}<>@\r\n\r\n"),
        CASE(0, "GET /a/b?c=d&e={[\"|\\^`]} HTTP/1.1\r\n" HOST "\r\n"),
        CASE(0, "GET // HTTP/1.1\r\n" HOST "\r\n"),
        CASE(0, "GET /? HTTP/1.1\r\n" HOST "\r\n"),
        CASE(0, "GET /%00%zz HTTP/1.1\r\n" HOST "\r\n"),
        CASE(0, "OPTIONS * HTTP/1.1\r\n" HOST "\r\n"),
        CASE(0, "GET http://h/a?b HTTP/1.1\r\n" HOST "\r\n"),
        CASE(0, "GET HTTPS://H HTTP/1.1\r\n" HOST "\r\n"),
        CASE(0, "GET http://h/ HTTP/1.0\r\n\r\n"),
        CASE(0, "FROBNICATE / HTTP/1.1\r\n" HOST "\r\n"),
        CASE(0, "M23456789M23456789M23456789M2345 / HTTP/1.1\r\n" HOST "\r\n"),
        CASE(0, "get / HTTP/1.1\r\n" HOST "\r\n"),
        CASE(0, "POST / HTTP/1.1\r\n" HOST "Content-Length: 0\r\n\r\n"),
        CASE(0, "POST / HTTP/1.1\r\n" HOST "content-length:\t5 \r\n\r\nhello"),
        CASE(0, "POST / HTTP/1.1\r\n" HOST "Content-Length: 9999999999999999999\r\n\r\n"),
        CASE(0, "POST / HTTP/1.1\r\n" HOST "Content-Length: 0000000000000000007\r\n\r\n"),
        CASE(0, "POST / HTTP/1.0\r\n" HOST "Content-Length: 5\r\n\r\nhello"),
        CASE(0, "POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
        CASE(0, "POST / HTTP/1.1\r\n" HOST "TRANSFER-ENCODING: Chunked\r\n\r\n0\r\n\r\n"),
        CASE(0, "POST / HTTP/1.1\r\n" HOST "Expect: 100-Continue\r\n\r\n"),
        CASE(0, "POST / HTTP/1.0\r\n" HOST "Expect: anything\r\n\r\n"),
        CASE(0, GET HOST "Connection: close\r\n\r\n"),
        CASE(0, GET HOST "Connection: , keep-alive,,x\r\n\r\n"),
        CASE(0, GET HOST "\r\nGET /next HTTP/1.1\r\n"),
        CASE(0, GET HOST "\r\n\0\r\r\n\n"),
    };
    (void)state;
    check_cases(cases, RG_COUNT_OF(cases));
}

static void malformed_request_lines_are_refused(void **state)
{
    static const struct head_case cases[] = {
        CASE(400, "\r\n\r\n\r\n\r\n\r\n" GET HOST "\r\n"),
        CASE(400, "\n" GET HOST "\r\n"),
        CASE(400, " GET / HTTP/1.1\r\n" HOST "\r\n"),
        CASE(400, "GET  / HTTP/1.1\r\n" HOST "\r\n"),
        CASE(400, "GET\t/ HTTP/1.1\r\n" HOST "\r\n"),
        CASE(400, "GET /\tHTTP/1.1\r\n" HOST "\r\n"),
        CASE(400, "GET /  HTTP/1.1\r\n" HOST "\r\n"),
        CASE(400, "GET / HTTP/1.1 \r\n" HOST "\r\n"),
        CASE(400, "GET / HTTP/1.1\n" HOST "\r\n"),
        CASE(400, "GET / HTTP/1.1\r" HOST "\r\n"),
        CASE(400, "GET / HTTP/1.1\r\r\n" HOST "\r\n"),
        CASE(400, "GET /\r\n\r\n"),
        CASE(400, "GET\r\n\r\n"),
        CASE(400, "GET \r\n\r\n"),
        CASE(400, "GET / \r\n\r\n"),
        CASE(400, "GET  HTTP/1.1\r\n" HOST "\r\n"),
        CASE(400, " / HTTP/1.1\r\n" HOST "\r\n"),
        CASE(400, "GET / http/1.1\r\n" HOST "\r\n"),
        CASE(400, "GET / HTTP/1\r\n" HOST "\r\n"),
        CASE(400, "GET / HTTP/1.\r\n" HOST "\r\n"),
        CASE(400, "GET / HTTP/1.10\r\n" HOST "\r\n"),
        CASE(400, "GET / HTTP/01.1\r\n" HOST "\r\n"),
        CASE(400, "GET / HTTP/+1.1\r\n" HOST "\r\n"),
        CASE(400, "GET / HTTP/1,1\r\n" HOST "\r\n"),
        CASE(400, "GET / HTTP /1.1\r\n" HOST "\r\n"),
        CASE(400, "GET / HTTPS/1.1\r\n" HOST "\r\n"),
        CASE(400, "GET / x HTTP/1.1\r\n" HOST "\r\n"),
        CASE(505, "GET / HTTP/0.9\r\n" HOST "\r\n"),
        CASE(505, "GET / HTTP/1.2\r\n" HOST "\r\n"),
        CASE(505, "GET / HTTP/1.9\r\n" HOST "\r\n"),
        CASE(505, "GET / HTTP/2.0\r\n" HOST "\r\n"),
        CASE(505, "GET / HTTP/3.1\r\n" HOST "\r\n"),
        CASE(400, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
        CASE(400, "G(T / HTTP/1.1\r\n" HOST "\r\n"),
        CASE(400, "G\x80T / HTTP/1.1\r\n" HOST "\r\n"),
        CASE(400, "GET: / HTTP/1.1\r\n" HOST "\r\n"),
        CASE(400, "G\0T / HTTP/1.1\r\n" HOST "\r\n"),
        CASE(501, "M23456789M23456789M23456789M23456 / HTTP/1.1\r\n" HOST "\r\n"),
        CASE(501, "CONNECT h:443 HTTP/1.1\r\n" HOST "\r\n"),
        CASE(501, "CONNECT / HTTP/1.1\r\n" HOST "\r\n"),
        CASE(400, "GET a HTTP/1.1\r\n" HOST "\r\n"),
        CASE(400, "GET ?a HTTP/1.1\r\n" HOST "\r\n"),
        CASE(400, "GET * HTTP/1.1\r\n" HOST "\r\n"),
        CASE(400, "OPTIONS *a HTTP/1.1\r\n" HOST "\r\n"),
        CASE(400, "GET h:80 HTTP/1.1\r\n" HOST "\r\n"),
        CASE(400, "GET /a#b HTTP/1.1\r\n" HOST "\r\n"),
        CASE(400, "GET /\x80 HTTP/1.1\r\n" HOST "\r\n"),
        CASE(400, "GET /\x7f HTTP/1.1\r\n" HOST "\r\n"),
        CASE(400, "GET /\x01 HTTP/1.1\r\n" HOST "\r\n"),
        CASE(400, "GET /\0 HTTP/1.1\r\n" HOST "\r\n"),
        CASE(400, "GET ftp://h/ HTTP/1.1\r\n" HOST "\r\n"),
        CASE(400, "GET http:/h/ HTTP/1.1\r\n" HOST "\r\n"),
        CASE(400, "GET http:///a HTTP/1.1\r\n" HOST "\r\n"),
        CASE(400, "GET http://h?a HTTP/1.1\r\n" HOST "\r\n"),
        CASE(400, "GET http://u@h/ HTTP/1.1\r\n" HOST "\r\n"),
        CASE(400, "GET http://other/ HTTP/1.1\r\n" HOST "\r\n"),
        CASE(400, "GET http://h:80/ HTTP/1.1\r\n" HOST "\r\n"),
        CASE(400, "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"),
    };
    (void)state;
    check_cases(cases, RG_COUNT_OF(cases));
}

static void malformed_fields_are_refused(void **state)
{
    static const struct head_case cases[] = {
        CASE(400, GET "\r\n"),
        CASE(400, GET "X: y\r\n\r\n"),
        CASE(400, GET HOST HOST "\r\n"),
        CASE(400, "GET / HTTP/1.0\r\n" HOST HOST "\r\n"),
        CASE(400, GET "Host: a, b\r\n\r\n"),
        CASE(400, GET "Host: a,b\r\n\r\n"),
        CASE(400, GET "Host: a b\r\n\r\n"),
        CASE(400, GET "Host: u@h\r\n\r\n"),
        CASE(400, GET "Host: h/x\r\n\r\n"),
        CASE(400, GET "Host: h?x\r\n\r\n"),
        CASE(400, GET "Host: h\\x\r\n\r\n"),
        CASE(400, GET "Host: \x80\r\n\r\n"),
        CASE(400, GET "Host : h\r\n\r\n"),
        CASE(400, GET "Host\t: h\r\n\r\n"),
        CASE(400, GET " Host: h\r\n\r\n"),
        CASE(400, GET "\tHost: h\r\n\r\n"),
        CASE(400, GET HOST " folded\r\n\r\n"),
        CASE(400, GET HOST "\tfolded\r\n\r\n"),
        CASE(400, GET HOST "X: a\r\n b\r\n\r\n"),
        CASE(400, GET HOST "X: a\r\n \r\n\r\n"),
        CASE(400, GET HOST ": y\r\n\r\n"),
        CASE(400, GET HOST ":\r\n\r\n"),
        CASE(400, GET HOST "X\r\n\r\n"),
        CASE(400, GET HOST "X y: z\r\n\r\n"),
        CASE(400, GET HOST "X(: z\r\n\r\n"),
        CASE(400, GET HOST "\"X\": z\r\n\r\n"),
        CASE(400, GET HOST "X\x80: z\r\n\r\n"),
        CASE(400, GET HOST "X\x01: z\r\n\r\n"),
        CASE(400, GET HOST "X\0: z\r\n\r\n"),
        CASE(400, GET HOST "X: \0\r\n\r\n"),
        CASE(400, GET HOST "X: \x01\r\n\r\n"),
        CASE(400, GET HOST "X: \x0b\r\n\r\n"),
        CASE(400, GET HOST "X: \x0c\r\n\r\n"),
        CASE(400, GET HOST "X: \x1f\r\n\r\n"),
        CASE(400, GET HOST "X: \x7f\r\n\r\n"),
        CASE(400, GET HOST "X: a\rb\r\n\r\n"),
        CASE(400, GET HOST "X: a\r\r\n\r\n"),
        CASE(400, GET HOST "X: a\nY: b\r\n\r\n"),
        CASE(400, GET HOST "X: a\n\r\n"),
        CASE(400, GET HOST "X: a\r\n\n"),
        CASE(400, GET HOST "\n\n"),
        CASE(400, GET HOST "\r\r\n"),
        CASE(417, GET HOST "Expect: 200-ok\r\n\r\n"),
        CASE(417, GET HOST "Expect: 100-continue, x\r\n\r\n"),
        CASE(417, GET HOST "Expect:\r\n\r\n"),
    };
    (void)state;
    check_cases(cases, RG_COUNT_OF(cases));
}

#define POST "POST / HTTP/1.1\r\n" HOST
#define CL   "Content-Length: "
#define TE   "Transfer-Encoding: "

static void ambiguous_framing_is_refused(void **state)
{
    static const struct head_case cases[] = {
        CASE(400, POST CL "\r\n\r\n"),
        CASE(400, POST CL "+5\r\n\r\n"),
        CASE(400, POST CL "-5\r\n\r\n"),
        CASE(400, POST CL "5 5\r\n\r\n"),
        CASE(400, POST CL "5,5\r\n\r\n"),
        CASE(400, POST CL "5, 5\r\n\r\n"),
        CASE(400, POST CL "5,\r\n\r\n"),
        CASE(400, POST CL "0x5\r\n\r\n"),
        CASE(400, POST CL "5.0\r\n\r\n"),
        CASE(400, POST CL "5e0\r\n\r\n"),
        CASE(400, POST CL "5_0\r\n\r\n"),
        CASE(400, POST CL "\"5\"\r\n\r\n"),
        CASE(400, POST CL "\xd9\xa5\r\n\r\n"),
        CASE(400, POST CL "10000000000000000000\r\n\r\n"),
        CASE(400, POST CL "18446744073709551616\r\n\r\n"),
        CASE(400, POST CL "00000000000000000005\r\n\r\n"),
        CASE(400, POST CL "5\r\n" CL "5\r\n\r\n"),
        CASE(400, POST CL "5\r\n" CL "6\r\n\r\n"),
        CASE(400, POST CL "5\r\ncontent-length: 5\r\n\r\n"),
        CASE(400, POST "Content-Length : 5\r\n\r\n"),
        CASE(400, POST "Content-Length\r\n\r\n"),
        CASE(400, POST CL "5\r\n" TE "chunked\r\n\r\n"),
        CASE(400, POST TE "chunked\r\n" CL "5\r\n\r\n"),
        CASE(400, POST TE "gzip\r\n" CL "5\r\n\r\n"),
        CASE(400, POST TE "chunked\r\n" TE "chunked\r\n\r\n"),
        CASE(400, POST TE "gzip\r\n" TE "chunked\r\n\r\n"),
        CASE(400, POST TE "chunked\r\n" TE "identity\r\n\r\n"),
        CASE(400, "POST / HTTP/1.0\r\n" HOST TE "chunked\r\n\r\n"),
        CASE(400, "POST / HTTP/1.0\r\n" HOST TE "gzip\r\n\r\n"),
        CASE(400, POST TE "\r\n\r\n"),
        CASE(400, POST TE ",chunked\r\n\r\n"),
        CASE(400, POST TE "chunked,\r\n\r\n"),
        CASE(400, POST TE "chunked, chunked\r\n\r\n"),
        CASE(400, POST TE "chunked, gzip\r\n\r\n"),
        CASE(400, POST TE "chunked;q=1\r\n\r\n"),
        CASE(400, POST TE "\"chunked\"\r\n\r\n"),
        CASE(400, POST TE "chunked chunked\r\n\r\n"),
        CASE(400, POST TE "\x0b"
                          "chunked\r\n\r\n"),
        CASE(400, POST TE "chunked\x0c\r\n\r\n"),
        CASE(400, POST TE "chunked\x80\r\n\r\n"),
        CASE(400, POST TE "\r\n chunked\r\n\r\n"),
        CASE(400, POST TE "chun\r\n ked\r\n\r\n"),
        CASE(400, POST "Transfer-Encoding : chunked\r\n\r\n"),
        CASE(400, POST "Transfer-Encoding\t: chunked\r\n\r\n"),
        CASE(400, POST " Transfer-Encoding: chunked\r\n\r\n"),
        CASE(400, POST "X: y\nTransfer-Encoding: chunked\r\n\r\n"),
        CASE(400, POST "X: y\rTransfer-Encoding: chunked\r\n\r\n"),
        CASE(501, POST TE "gzip\r\n\r\n"),
        CASE(501, POST TE "identity\r\n\r\n"),
        CASE(501, POST TE "xchunked\r\n\r\n"),
        CASE(501, POST TE "chunkedx\r\n\r\n"),
        CASE(501, POST TE "gzip, chunked\r\n\r\n"),
    };
    (void)state;
    check_cases(cases, RG_COUNT_OF(cases));
}

static void unfinished_heads_ask_for_more(void **state)
{
    struct rg_str whole = RG_STR("\r\n" GET HOST "X: y\r\n\r\n");
    (void)state;

    for (size_t n = 0; n < whole.n; n++)
        assert_int_equal(status_of(rg_str_n(whole.p, n)), -1);
    assert_int_equal(status_of(whole), 0);
}

static void bad_bytes_are_refused_before_the_line_ends(void **state)
{
    static const struct head_case cases[] = {
        CASE(400, "GET / HT\rx"),     CASE(400, "GET /\0"), CASE(400, GET "Host: h\rx"),
        CASE(400, GET "Host: \0"),    CASE(400, "\n"),      CASE(400, "\rG"),
        CASE(-1, "GET / HTTP/1.1\r"), CASE(-1, "\r"),
    };
    (void)state;
    check_cases(cases, RG_COUNT_OF(cases));
}

static void add_filled(struct rg_buf *buf, char c, size_t n)
{
    memset(rg_buf_reserve(buf, n), c, n);
    buf->n += n;
}

/* A request whose request line has line_n bytes and that has one field line of field_n bytes. */
static int status_of_sizes(size_t line_n, size_t field_n, const char *ending)
{
    const struct rg_h1_limits limits = {.request_line = 64, .field = 40, .head = 100};
    struct rg_buf text = {0};

    rg_buf_add_c(&text, "GET /");
    add_filled(&text, 'a', line_n - strlen("GET / HTTP/1.1"));
    rg_buf_add_c(&text, " HTTP/1.1\r\n" HOST "X:");
    add_filled(&text, 'y', field_n - 2);
    rg_buf_add_c(&text, ending);
    int status = status_with(rg_buf_str(&text), &limits, NULL);
    rg_buf_done(&text);
    return status;
}

static void request_line_limit_is_exact(void **state)
{
    (void)state;
    assert_int_equal(status_of_sizes(63, 10, "\r\n\r\n"), 0);
    assert_int_equal(status_of_sizes(64, 10, "\r\n\r\n"), 0);
    assert_int_equal(status_of_sizes(65, 10, "\r\n\r\n"), 414);
    assert_int_equal(status_of_sizes(66, 10, "\r\n\r\n"), 414);
    assert_int_equal(status_of_sizes(500, 10, "\r\n\r\n"), 414);
}

static void field_limit_is_exact(void **state)
{
    (void)state;
    assert_int_equal(status_of_sizes(20, 40, "\r\n\r\n"), 0);
    assert_int_equal(status_of_sizes(20, 41, "\r\n\r\n"), 431);
    assert_int_equal(status_of_sizes(20, 42, "\r\n\r\n"), 431);
    assert_int_equal(status_of_sizes(20, 400, "\r\n\r\n"), 431);
    assert_int_equal(status_of_sizes(20, 40, "\n"), 400);
    assert_int_equal(status_of_sizes(20, 41, "\n"), 431);
    assert_int_equal(status_of_sizes(20, 40, "\r"), -1);
    assert_int_equal(status_of_sizes(20, 40, "\rx"), 400);
    assert_int_equal(status_of_sizes(20, 39, "\rx"), 400);
}

static void a_line_that_never_ends_is_refused_at_the_limit(void **state)
{
    struct rg_buf text = {0};
    struct outcome out;
    (void)state;

    add_filled(&text, 'a', rg_h1_default_limits.request_line);
    assert_int_equal(status_of(rg_buf_str(&text)), -1);
    rg_buf_add_char(&text, 'a');
    assert_int_equal(status_with(rg_buf_str(&text), &rg_h1_default_limits, &out), 414);
    assert_int_equal(out.decided_at, rg_h1_default_limits.request_line + 1);
    rg_buf_done(&text);
}

static void all_fields_together_are_limited(void **state)
{
    const struct rg_h1_limits limits = {.request_line = 64, .field = 40, .head = 100};
    (void)state;

    /* HOST has 9 bytes, so 91 are left: 4 lines of 22 and 3 more. */
#define LINE22 "X: 45678901234567890\r\n"
    assert_int_equal(sizeof(LINE22) - 1, 22);
    assert_int_equal(
        status_with(RG_STR(GET HOST LINE22 LINE22 LINE22 LINE22 "a:b\r\n\r\n"), &limits, NULL), 0);
    assert_int_equal(
        status_with(RG_STR(GET HOST LINE22 LINE22 LINE22 LINE22 "a:bc\r\n\r\n"), &limits, NULL),
        431);
    assert_int_equal(
        status_with(RG_STR(GET HOST LINE22 LINE22 LINE22 LINE22 LINE22 "\r\n"), &limits, NULL),
        431);
}

static int status_of_field_count(unsigned n)
{
    struct rg_buf text = {0};

    rg_buf_add_c(&text, GET HOST);
    for (unsigned i = 1; i < n; i++)
        rg_buf_add_c(&text, "a:\r\n");
    rg_buf_add_c(&text, "\r\n");
    int status = status_of(rg_buf_str(&text));

    /* The parser does not rely on the scan for this. */
    struct rg_request req;
    struct rg_h1_framing framing;
    assert_int_equal(-rg_h1_parse_head(text.p, text.n, &req, &framing, NULL), status);
    rg_buf_done(&text);
    return status;
}

static void the_101st_field_is_refused(void **state)
{
    (void)state;
    assert_int_equal(status_of_field_count(1), 0);
    assert_int_equal(status_of_field_count(100), 0);
    assert_int_equal(status_of_field_count(101), 431);
    assert_int_equal(status_of_field_count(5000), 431);
}

static void assert_str(struct rg_str s, const char *expected)
{
    assert_int_equal(s.n, strlen(expected));
    assert_memory_equal(s.p, expected, s.n);
}

/* Parses without copying, so that the slices stay valid. */
static struct outcome parsed(struct rg_str text)
{
    static struct outcome out;

    read_at_once(&out, text.p, text.n, &rg_h1_default_limits);
    if (out.status != 0)
        fail_msg("%d: %s", out.status, out.why.text);
    return out;
}

static void a_head_comes_back_in_its_parts(void **state)
{
    struct rg_str text =
        RG_STR("\r\nPUT /a/b?c=d?e HTTP/1.1\r\nHost: h:1\r\nX-One:\t a \tb \r\nEmpty:\r\n\r\nrest");
    struct outcome out = parsed(text);
    (void)state;

    assert_int_equal(out.req.method, RG_PUT);
    assert_str(out.req.method_name, "PUT");
    assert_str(out.req.target, "/a/b?c=d?e");
    assert_str(out.req.path, "/a/b");
    assert_str(out.req.query, "c=d?e");
    assert_int_equal(out.req.minor, 1);
    assert_int_equal(out.req.fields_n, 3);
    assert_str(out.req.fields[0].name, "Host");
    assert_str(out.req.fields[0].value, "h:1");
    assert_str(out.req.fields[1].value, "a \tb");
    assert_str(out.req.fields[2].value, "");
    assert_str(rg_request_field(&out.req, RG_STR("x-one")), "a \tb");
    assert_null(rg_request_field(&out.req, RG_STR("x-on")).p);
    assert_int_equal(out.head_n, text.n - strlen("rest"));
}

static void a_missing_query_differs_from_an_empty_one(void **state)
{
    (void)state;
    assert_null(parsed(RG_STR("GET /a HTTP/1.0\r\n\r\n")).req.query.p);
    assert_non_null(parsed(RG_STR("GET /a? HTTP/1.0\r\n\r\n")).req.query.p);
    assert_int_equal(parsed(RG_STR("GET /a? HTTP/1.0\r\n\r\n")).req.query.n, 0);
}

static void absolute_form_is_reduced_to_path_and_query(void **state)
{
    struct outcome out = parsed(RG_STR("GET http://H:80/a?b HTTP/1.1\r\nHost: h:80\r\n\r\n"));
    (void)state;

    assert_str(out.req.target, "/a?b");
    assert_str(out.req.path, "/a");
    assert_str(out.req.query, "b");
    out = parsed(RG_STR("GET https://h HTTP/1.1\r\n" HOST "\r\n"));
    assert_str(out.req.target, "/");
    assert_null(out.req.query.p);
}

static void framing_is_as_the_fields_say(void **state)
{
    struct rg_h1_framing f = parsed(RG_STR(GET HOST "\r\n")).framing;
    (void)state;

    assert_false(f.is_chunked || f.has_length || f.expects_continue);
    assert_int_equal(f.length, 0);
    f = parsed(RG_STR(POST CL "9999999999999999999\r\nExpect: 100-continue\r\n\r\n")).framing;
    assert_true(f.has_length && f.expects_continue);
    assert_true(f.length == 9999999999999999999ULL);
    f = parsed(RG_STR(POST TE "chunked\r\n\r\n")).framing;
    assert_true(f.is_chunked);
    assert_false(f.has_length);
}

static void keep_alive_follows_version_and_connection(void **state)
{
    (void)state;
    assert_true(parsed(RG_STR(GET HOST "\r\n")).framing.keep_alive);
    assert_false(parsed(RG_STR(GET HOST "Connection: x, CLOSE\r\n\r\n")).framing.keep_alive);
    assert_false(parsed(RG_STR(GET HOST "Connection: keep-alive\r\nConnection: close\r\n\r\n"))
                     .framing.keep_alive);
    assert_true(parsed(RG_STR(GET HOST "Connection: closed\r\n\r\n")).framing.keep_alive);
    assert_false(parsed(RG_STR("GET / HTTP/1.0\r\n\r\n")).framing.keep_alive);
    assert_true(
        parsed(RG_STR("GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n")).framing.keep_alive);
}

static void methods_are_known_by_exact_name(void **state)
{
    static const char *const known[] = {"GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH"};
    (void)state;

    for (size_t i = 0; i < RG_COUNT_OF(known); i++) {
        enum rg_method method = rg_method_from(rg_str_c(known[i]));
        assert_int_not_equal(method, RG_METHOD_OTHER);
        assert_str(rg_method_name(method), known[i]);
    }
    assert_int_equal(rg_method_from(RG_STR("get")), RG_METHOD_OTHER);
    assert_int_equal(rg_method_from(RG_STR("GETS")), RG_METHOD_OTHER);
    assert_int_equal(rg_method_from(RG_STR("")), RG_METHOD_OTHER);
}

static void tokens_are_found_in_all_lines_of_a_list(void **state)
{
    struct outcome out =
        parsed(RG_STR(GET HOST "Upgrade: a, ,WebSocket\r\nX: y\r\nupgrade: h2c\r\n\r\n"));
    (void)state;

    assert_true(rg_request_has_token(&out.req, RG_STR("upgrade"), RG_STR("websocket")));
    assert_true(rg_request_has_token(&out.req, RG_STR("Upgrade"), RG_STR("H2C")));
    assert_false(rg_request_has_token(&out.req, RG_STR("upgrade"), RG_STR("socket")));
    assert_false(rg_request_has_token(&out.req, RG_STR("x"), RG_STR("a")));
    assert_false(rg_request_has_token(&out.req, RG_STR("none"), RG_STR("a")));
}

static void the_parser_survives_any_cut_of_a_head(void **state)
{
    struct rg_str whole = RG_STR(POST "Expect: 100-continue\r\n" TE "chunked\r\n\r\n");
    struct rg_request req;
    struct rg_h1_framing framing;
    (void)state;

    for (size_t n = 0; n < whole.n; n++) {
        char *copy = rg_alloc(n);
        memcpy(copy, whole.p, n);
        assert_int_equal(rg_h1_parse_head(copy, n, &req, &framing, NULL), -400);
        rg_free(copy);
    }
    assert_int_equal(rg_h1_parse_head(whole.p, whole.n, &req, &framing, NULL), 0);
}

static void a_refusal_names_place_and_reason(void **state)
{
    struct outcome out;
    (void)state;

    status_with(RG_STR(GET HOST "X : y\r\n\r\n"), &rg_h1_default_limits, &out);
    assert_string_equal(out.why.place, "header field 2");
    assert_true(strstr(out.why.text, "colon") != NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(good_heads_are_accepted),
        cmocka_unit_test(malformed_request_lines_are_refused),
        cmocka_unit_test(malformed_fields_are_refused),
        cmocka_unit_test(ambiguous_framing_is_refused),
        cmocka_unit_test(unfinished_heads_ask_for_more),
        cmocka_unit_test(bad_bytes_are_refused_before_the_line_ends),
        cmocka_unit_test(request_line_limit_is_exact),
        cmocka_unit_test(field_limit_is_exact),
        cmocka_unit_test(a_line_that_never_ends_is_refused_at_the_limit),
        cmocka_unit_test(all_fields_together_are_limited),
        cmocka_unit_test(the_101st_field_is_refused),
        cmocka_unit_test(a_head_comes_back_in_its_parts),
        cmocka_unit_test(a_missing_query_differs_from_an_empty_one),
        cmocka_unit_test(absolute_form_is_reduced_to_path_and_query),
        cmocka_unit_test(framing_is_as_the_fields_say),
        cmocka_unit_test(keep_alive_follows_version_and_connection),
        cmocka_unit_test(methods_are_known_by_exact_name),
        cmocka_unit_test(tokens_are_found_in_all_lines_of_a_list),
        cmocka_unit_test(the_parser_survives_any_cut_of_a_head),
        cmocka_unit_test(a_refusal_names_place_and_reason),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
