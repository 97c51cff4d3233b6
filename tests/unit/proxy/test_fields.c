#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/buf.h"
#include "proxy/fields.h"

/* The fields that go on of a request with these lines, as lines. */
static void expect(const char *lines, const char *wanted)
{
    struct rg_http_field fields[RG_MAX_FIELDS_PER_MESSAGE];
    struct rg_request req = {0};
    struct rg_str rest = rg_str_c(lines);
    struct rg_buf got = {0};

    while (rest.n > 0) {
        struct rg_str value = rg_str_split(&rest, '\n');
        struct rg_str name = rg_str_split(&value, ':');
        req.fields[req.fields_n++] = (struct rg_http_field){name, rg_str_trim(value)};
    }
    size_t n = rg_fields_to_forward(&req, fields);
    for (size_t i = 0; i < n; i++)
        rg_buf_addf(&got, "%.*s: %.*s\n", RG_STR_ARG(fields[i].name), RG_STR_ARG(fields[i].value));
    rg_buf_add_char(&got, '\0');
    assert_string_equal(got.p, wanted);
    rg_buf_done(&got);
}

static void all_but_those_of_the_connection_go_on_in_their_order(void **state)
{
    (void)state;
    expect("Host: a\nAuthorization: Bearer x\nCookie: a=b\nX-A: 1\nx-a: 2\n",
           "Host: a\nAuthorization: Bearer x\nCookie: a=b\nX-A: 1\nx-a: 2\n");
    expect("host: a\nKeep-Alive: 5\nProxy-Connection: x\nTE: trailers\nTrailer: x\nUpgrade: h2c\n"
           "HTTP2-Settings: x\nExpect: 100-continue\nProxy-Authorization: x\nb: 1\n",
           "host: a\nb: 1\n");
}

static void what_connection_names_stays_here(void **state)
{
    (void)state;
    expect("host: a\nconnection: keep-alive, X-Hop\nx-hop: 1\nx-b: 2\nConnection: x-B\n",
           "host: a\n");
}

static void host_cannot_be_taken_away(void **state)
{
    (void)state;
    expect("Host: a\nConnection: host\n", "Host: a\n");
}

static void the_framing_of_the_request_stays_here(void **state)
{
    (void)state;
    expect("host: a\nContent-Length: 5\nTransfer-Encoding: chunked\ncontent-type: x\n",
           "host: a\ncontent-type: x\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_but_those_of_the_connection_go_on_in_their_order),
        cmocka_unit_test(what_connection_names_stays_here),
        cmocka_unit_test(host_cannot_be_taken_away),
        cmocka_unit_test(the_framing_of_the_request_stays_here),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
