#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "http/accept.h"

static struct rg_request req;

/* With each value in a field of its own; NULL: no further field. */
static void expect(bool accepts, const char *first, const char *second)
{
    req.fields_n = 0;
    req.fields[req.fields_n++] = (struct rg_http_field){RG_STR("accept-encoding"), RG_STR("x")};
    if (first != NULL)
        req.fields[req.fields_n++] = (struct rg_http_field){RG_STR("Accept"), rg_str_c(first)};
    if (second != NULL)
        req.fields[req.fields_n++] = (struct rg_http_field){RG_STR("accept"), rg_str_c(second)};
    if (rg_accepts_json(&req) != accepts)
        fail_msg("%s, %s", first != NULL ? first : "-", second != NULL ? second : "-");
}

static void what_clients_send_is_understood(void **state)
{
    (void)state;
    expect(true, NULL, NULL);
    expect(true, "application/json", NULL);
    expect(true, "Application/JSON ; charset=utf-8", NULL);
    expect(true, "*/*", NULL);
    expect(true, "application/*;q=0.2", NULL);
    expect(true, "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", NULL);
    expect(true, "text/html", "application/json");
    expect(false, "text/html", NULL);
    expect(false, "text/*, application/xml", "image/png");
    expect(false, "application/jsonp, */json, *", NULL);
    expect(false, "", NULL);
}

static void zero_means_not_acceptable(void **state)
{
    (void)state;
    expect(false, "application/json;q=0", NULL);
    expect(false, "*/* ; v=1 ; Q=0.000", NULL);
    expect(true, "*/*;q=0.001", NULL);
    expect(true, "application/json;q=0, application/json", NULL);
}

static void the_most_exact_range_decides(void **state)
{
    (void)state;
    expect(false, "application/json;q=0, */*", NULL);
    expect(false, "*/*", "application/*;q=0");
    expect(true, "*/*;q=0, application/*", NULL);
    expect(true, "application/*;q=0", "application/json");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_clients_send_is_understood),
        cmocka_unit_test(zero_means_not_acceptable),
        cmocka_unit_test(the_most_exact_range_decides),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
