#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "http/request.h"

#define assert_str(s, text) assert_true(rg_str_eq((s), RG_STR(text)))

static void a_copy_outlives_what_it_was_made_of(void **state)
{
    char bytes[] = "PATCH /a/b?c=d host x.example body";
    struct rg_request req = {
        .method = RG_PATCH,
        .method_name = rg_str_n(bytes, 5),
        .target = rg_str_n(bytes + 6, 8),
        .path = rg_str_n(bytes + 6, 4),
        .query = rg_str_n(bytes + 11, 3),
        .minor = 1,
        .fields = {{rg_str_n(bytes + 15, 4), rg_str_n(bytes + 20, 9)},
                   {rg_str_n(bytes + 15, 1), rg_str_n(bytes + 20, 0)}},
        .fields_n = 2,
        .body = rg_str_n(bytes + 30, 4),
    };
    struct rg_request *copy = rg_request_copy(&req);

    (void)state;
    memset(bytes, 'x', sizeof(bytes));
    memset(&req, 0, sizeof(req));
    assert_int_equal(copy->method, RG_PATCH);
    assert_int_equal(copy->minor, 1);
    assert_str(copy->method_name, "PATCH");
    assert_str(copy->target, "/a/b?c=d");
    assert_str(copy->path, "/a/b");
    assert_str(copy->query, "c=d");
    assert_str(copy->body, "body");
    assert_int_equal(copy->fields_n, 2);
    assert_str(rg_request_field(copy, RG_STR("HOST")), "x.example");
    assert_str(rg_request_field(copy, RG_STR("h")), "");
    rg_free(copy);
}

static void what_is_not_there_is_not_in_the_copy_either(void **state)
{
    struct rg_request req = {.method = RG_GET, .target = RG_STR("/?"), .path = RG_STR("/")};

    (void)state;
    req.path = rg_str_n(req.target.p, 1);
    req.query = rg_str_n(req.target.p + 2, 0);
    struct rg_request *copy = rg_request_copy(&req);
    assert_non_null(copy->query.p); /* there is a '?' */
    assert_int_equal(copy->query.n, 0);
    assert_null(copy->body.p);
    assert_null(copy->protocol.p);
    rg_free(copy);

    req.query = rg_str_n(NULL, 0);
    copy = rg_request_copy(&req);
    assert_null(copy->query.p);
    rg_free(copy);
}

static void a_list_has_a_token_whatever_its_lines_and_case(void **state)
{
    struct rg_request req = {
        .fields = {{RG_STR("Connection"), RG_STR("a, ,Close")},
                   {RG_STR("connection"), RG_STR("b")}},
        .fields_n = 2,
    };

    (void)state;
    assert_true(rg_request_has_token(&req, RG_STR("connection"), RG_STR("close")));
    assert_true(rg_request_has_token(&req, RG_STR("connection"), RG_STR("B")));
    assert_false(rg_request_has_token(&req, RG_STR("connection"), RG_STR("clos")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_copy_outlives_what_it_was_made_of),
        cmocka_unit_test(what_is_not_there_is_not_in_the_copy_either),
        cmocka_unit_test(a_list_has_a_token_whatever_its_lines_and_case),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
