#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "http/accept_encoding.h"

static struct rg_request req;

/* With each value in a field of its own; NULL: no further field. */
static void expect(bool accepts, const char *first, const char *second)
{
    req.fields_n = 0;
    req.fields[req.fields_n++] = (struct rg_http_field){RG_STR("Accept"), RG_STR("gzip")};
    if (first != NULL)
        req.fields[req.fields_n++] =
            (struct rg_http_field){RG_STR("Accept-Encoding"), rg_str_c(first)};
    if (second != NULL)
        req.fields[req.fields_n++] =
            (struct rg_http_field){RG_STR("accept-encoding"), rg_str_c(second)};
    if (rg_accepts_gzip(&req) != accepts)
        fail_msg("%s, %s", first != NULL ? first : "-", second != NULL ? second : "-");
}

static void what_clients_send_is_understood(void **state)
{
    (void)state;
    expect(true, "gzip", NULL);
    expect(true, "gzip, deflate, br, zstd", NULL);
    expect(true, "deflate;q=0.5,GZIP ; Q=0.001", NULL);
    expect(true, "br;q=1.0, gzip;q=0.8, *;q=0.1", NULL);
    expect(true, "x-gzip", NULL);
    expect(true, "*", NULL);
    expect(true, ", ,gzip,", NULL);
    expect(true, "br", "gzip");
    expect(false, NULL, NULL);
    expect(false, "", NULL);
    expect(false, "deflate, br", NULL);
    expect(false, "identity", NULL);
    expect(false, "gzipped, xgzip", NULL);
}

static void zero_means_not_acceptable(void **state)
{
    (void)state;
    expect(false, "gzip;q=0", NULL);
    expect(false, "gzip;q=0.000, *;q=1", NULL);
    expect(false, "*;q=0", NULL);
    expect(true, "*;q=0, gzip", NULL);
    expect(false, "*", "gzip;q=0");
}

static void whoever_likes_no_coding_better_gets_none(void **state)
{
    (void)state;
    expect(false, "identity, gzip;q=0.5", NULL);
    expect(false, "gzip;q=0.5, identity;q=0.501", NULL);
    expect(true, "identity;q=0.5, gzip;q=0.5", NULL);
    expect(true, "identity;q=0, gzip;q=0.1", NULL);
}

static void malformed_elements_count_as_absent(void **state)
{
    static const char *const weights[] = {
        ";",         ";q",        ";q=",    ";q=2",     ";q=1.001", ";q=-1", ";q=.5",
        ";q=0.0000", ";q=1.0000", ";q=0x1", ";level=9", ";q=1 1",   ";q = 1"};

    (void)state;
    for (size_t i = 0; i < sizeof(weights) / sizeof(weights[0]); i++) {
        char field[64];
        strcpy(field, "gzip");
        strcat(field, weights[i]);
        expect(false, field, NULL);
        expect(true, field, "gzip;q=0.5");
    }
    expect(false, "gzip;q=0,5", NULL);
    expect(true, "gzip;q=1.", NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_clients_send_is_understood),
        cmocka_unit_test(zero_means_not_acceptable),
        cmocka_unit_test(whoever_likes_no_coding_better_gets_none),
        cmocka_unit_test(malformed_elements_count_as_absent),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
