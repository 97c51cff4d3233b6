/* What a request must have to get to its service, and what of it gets there. */
#include "stage.h"

static void a_request_goes_on_as_it_came(void **state)
{
    (void)state;
    ask("PUT /open/7?a=%20b&c HTTP/1.1\r\n" HOST "X-A: 1\r\nConnection: x-b\r\nX-B: 2\r\n"
        "Content-Length: 2\r\n\r\nhi");
    expect_asked("PUT /open/7?a=%20b&c HTTP/1.1\r\n" HOST "X-A: 1\r\ncontent-length: 2\r\n\r\nhi");
    answer("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok");
    expect_answer("\r\n\r\nok");
}

static void only_what_may_have_one_has_a_body(void **state)
{
    (void)state;
    ask("GET /open/7 HTTP/1.1\r\n" HOST "\r\n");
    expect_asked("GET /open/7 HTTP/1.1\r\n" HOST "\r\n");
    assert_false(peer_has(&upstream, "content-length"));
    answer("HTTP/1.1 204 No Content\r\n\r\n");
    expect_answer("HTTP/1.1 204 ");

    ask("POST /open/7 HTTP/1.1\r\n" HOST "\r\n");
    expect_asked("POST /open/7 HTTP/1.1\r\n" HOST "content-length: 0\r\n\r\n");
    answer("HTTP/1.1 204 No Content\r\n\r\n");

    ask("DELETE /open/7 HTTP/1.1\r\n" HOST "content-length: 1\r\n\r\nx");
    expect_asked("DELETE /open/7 HTTP/1.1\r\n" HOST "content-length: 1\r\n\r\nx");
}

static void without_a_host_the_service_is_told_its_own(void **state)
{
    char fields[64];

    (void)state;
    ask("GET /open/7 HTTP/1.0\r\n\r\n");
    snprintf(fields, sizeof(fields), "GET /open/7 HTTP/1.1\r\nhost: localhost:%u\r\n\r\n",
             service.port);
    expect_asked(fields);
}

static void head_is_get(void **state)
{
    (void)state;
    ask("HEAD /open/7 HTTP/1.1\r\n" HOST "\r\n");
    expect_asked("GET /open/7 HTTP/1.1\r\n");
}

static void a_path_that_is_not_safe_is_400(void **state)
{
    (void)state;
    ask("GET /open/../mine/7 HTTP/1.1\r\n" HOST "\r\n");
    expect_refusal("HTTP/1.1 400 ", "{\"message\":\"Bad Request: the path has a dot segment\"}");
}

static void without_a_route_it_is_404(void **state)
{
    (void)state;
    ask("GET /nowhere HTTP/1.1\r\n" HOST "\r\n");
    expect_refusal("HTTP/1.1 404 ", "{\"message\":\"Route is not available\"}");
    expect_count("method=\"GET\",path=\"N/A\",target=\"N/A\",response_from=\"N/A\","
                 "status=\"not_found\"",
                 1);
    peer_forget(&client);
    ask("PURGE /open/7 HTTP/1.1\r\n" HOST "\r\n");
    expect_refusal("HTTP/1.1 404 ", "{\"message\":\"Route is not available\"}");
    expect_count("method=\"other\",path=\"N/A\",target=\"N/A\",response_from=\"N/A\","
                 "status=\"not_found\"",
                 1);
}

static void without_a_token_it_is_401(void **state)
{
    (void)state;
    ask("GET /mine/7 HTTP/1.1\r\n" HOST "authorization: bad\r\n\r\n");
    expect_refusal("HTTP/1.1 401 ", "{\"message\":\"Missing or invalid token\"}");
    assert_true(peer_has(&client, "www-authenticate: Bearer\r\n"));
    assert_int_equal(records.n, 0);
}

static void with_a_token_it_is_recorded_and_goes_on(void **state)
{
    (void)state;
    ask("GET /mine/7?x HTTP/1.1\r\n" HOST "authorization: @\r\n\r\n");
    expect_asked("authorization: ");
    rg_buf_add_char(&records, '\0');
    assert_non_null(strstr(records.p, "\"username\":\"ada\",\"jti\":\"ja\""));
    assert_non_null(strstr(records.p, "\"request_path\":\"/mine/7\""));
}

static void where_no_token_is_needed_nothing_is_recorded(void **state)
{
    (void)state;
    ask("GET /open/7 HTTP/1.1\r\n" HOST "authorization: @\r\n\r\n");
    expect_asked("GET /open/7 ");
    assert_int_equal(records.n, 0);
}

static void a_method_that_is_not_forwarded_is_405(void **state)
{
    (void)state;
    ask("PATCH /open/7 HTTP/1.1\r\n" HOST "content-length: 1\r\n\r\nx");
    expect_refusal("HTTP/1.1 405 ", "{\"message\":\"Method is not supported\"}");
}

static void a_form_may_say_what_its_post_is(void **state)
{
    (void)state;
    ask("POST /open/7 HTTP/1.1\r\n" HOST "content-type: application/x-www-form-urlencoded\r\n"
        "content-length: 11\r\n\r\n_method=put");
    expect_asked("PUT /open/7 HTTP/1.1\r\n");
    expect_asked("\r\n\r\n_method=put");
}

#define FORM(file, more)                                                                           \
    "--b\r\ncontent-disposition: form-data; name=\"" file "\"; filename=\"a\"\r\n\r\n1\r\n" more   \
    "--b--\r\n"

static void ask_form(const char *body)
{
    struct rg_buf text = {0};

    rg_buf_addf(&text,
                "POST /open/7 HTTP/1.1\r\n" HOST
                "content-type: multipart/form-data; boundary=b\r\ncontent-length: %zu\r\n\r\n%s",
                strlen(body), body);
    rg_buf_add_char(&text, '\0');
    ask(text.p);
    rg_buf_done(&text);
}

static void an_upload_goes_on_in_its_new_form(void **state)
{
    const char *composed =
        FORM("file", "--b\r\ncontent-disposition: form-data; name=\"content-type\"\r\n\r\n"
                     "application/octet-stream\r\n"
                     "--b\r\ncontent-disposition: form-data; name=\"filename\"\r\n\r\na\r\n");
    char length[64];

    (void)state;
    ask_form(FORM("qqfile", ""));
    expect_asked(composed);
    snprintf(length, sizeof(length), "content-length: %zu\r\n", strlen(composed));
    assert_true(peer_has(&upstream, length));
    assert_true(peer_has(&upstream, "content-type: multipart/form-data; boundary=b\r\n"));
}

static void a_malformed_form_is_400(void **state)
{
    (void)state;
    ask_form("--b\r\n");
    expect_refusal("HTTP/1.1 400 ", "{\"message\":\"Bad Request: the form has no end\"}");
}

static void a_form_of_too_many_parts_is_413(void **state)
{
    struct rg_buf body = {0};

    (void)state;
    for (size_t i = 0; i < 1001; i++)
        rg_buf_add_c(&body, "--b\r\ncontent-disposition: form-data; name=a\r\n\r\n\r\n");
    rg_buf_add_c(&body, "--b--");
    rg_buf_add_char(&body, '\0');
    ask_form(body.p);
    expect_refusal("HTTP/1.1 413 ",
                   "{\"message\":\"Content Too Large: the form has more than 1000 parts\"}");
    rg_buf_done(&body);
}

static void a_form_that_is_too_long_is_413(void **state)
{
    (void)state;
    ask("POST /open/7 HTTP/1.1\r\n" HOST "content-type: application/x-www-form-urlencoded\r\n"
        "content-length: 100001\r\n\r\n");
    expect_answer("{\"message\":\"Content Too Large");
}

static void a_form_for_no_route_is_not_read(void **state)
{
    (void)state;
    ask("POST /nowhere HTTP/1.1\r\n" HOST "content-type: application/x-www-form-urlencoded\r\n"
        "content-length: 100\r\n\r\n_method=put");
    expect_refusal("HTTP/1.1 404 ", "{\"message\":\"Route is not available\"}");
}

static void a_body_whose_end_comes_soon_goes_on_with_its_length(void **state)
{
    (void)state;
    ask("PUT /open/7 HTTP/1.1\r\n" HOST "transfer-encoding: chunked\r\n\r\n2\r\nhi\r\n");
    assert_true(service_is_alone(&reactor, &service));
    ask("1\r\n!\r\n0\r\n\r\n");
    expect_asked("content-length: 3\r\n\r\nhi!");
}

static void one_whose_end_does_not_goes_on_in_chunks(void **state)
{
    struct rg_buf piece = {0};

    (void)state;
    ask("PUT /open/7 HTTP/1.1\r\n" HOST "transfer-encoding: chunked\r\n\r\n");
    rg_buf_add_c(&piece, "10001\r\n");
    memset(rg_buf_reserve(&piece, 0x10001), 'x', 0x10001);
    piece.n += 0x10001;
    rg_buf_add(&piece, "\r\n", 3);
    ask(piece.p);
    rg_buf_done(&piece);
    expect_asked("transfer-encoding: chunked\r\n");
    expect_asked("xxxx\r\n");
    ask("3\r\nend\r\n0\r\n\r\n");
    expect_asked("3\r\nend\r\n0\r\n\r\n");
}

static void what_follows_on_a_connection_is_served_when_it_is_its_turn(void **state)
{
    (void)state;
    ask("GET /open/1 HTTP/1.1\r\n" HOST "\r\nGET /open/2 HTTP/1.1\r\n" HOST "\r\n");
    expect_asked("GET /open/1 ");
    assert_false(peer_has(&upstream, "GET /open/2 "));
    answer("HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\none");
    expect_asked("GET /open/2 ");
    answer("HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\ntwo");
    expect_answer("two");
    assert_true(peer_has(&client, "one"));
}

/* ---- definitions ---- */

static void the_service_is_asked_in_its_own_name(void **state)
{
    char host[64];

    (void)state;
    ask("GET /items/5?a=%20b&c HTTP/1.1\r\n" HOST "X-A: 1\r\nForwarded: for=9.9.9.9\r\n\r\n");
    expect_asked("\r\n\r\n");
    snprintf(host, sizeof(host), "GET /items/5?a=%%20b&c HTTP/1.1\r\nhost: 127.0.0.1:%u\r\n",
             service.port);
    assert_true(peer_has(&upstream, host));
    assert_true(peer_has(&upstream, "X-A: 1\r\n"));
    assert_true(peer_has(&upstream, "traceparent: 00-"));
    assert_false(peer_has(&upstream, "9.9.9.9"));
}

static void a_path_is_matched_and_sent_in_its_plainest_form(void **state)
{
    (void)state;
    ask("GET //x/../items?q HTTP/1.1\r\n" HOST "\r\n");
    expect_asked("GET /items?q HTTP/1.1\r\n");
    stage_again();
    ask("GET /x/%2e%2e/mine HTTP/1.1\r\n" HOST "\r\n");
    expect_refusal("HTTP/1.1 401 ", "Authentication failed.");
    stage_again();
    ask("GET /items? HTTP/1.1\r\n" HOST "\r\n");
    expect_asked("GET /items HTTP/1.1\r\n");
}

static void a_path_is_replaced_and_the_query_kept(void **state)
{
    (void)state;
    ask("GET /old/7/part/9?x=1 HTTP/1.1\r\n" HOST "\r\n");
    expect_asked("GET /new/9/7?x=1 HTTP/1.1\r\n");
}

static void a_path_that_says_nothing_is_400(void **state)
{
    (void)state;
    ask("GET /items/%zz HTTP/1.1\r\n" HOST "\r\n");
    expect_answer("Bad request: the path");
    assert_true(peer_has(&client, "HTTP/1.1 400 "));
    assert_true(peer_has(&client, "content-type: text/plain; charset=utf-8\r\n"));
}

static void an_encoded_slash_needs_an_endpoint_that_takes_it(void **state)
{
    (void)state;
    ask("GET /items/a%2Fb HTTP/1.1\r\n" HOST "\r\n");
    expect_refusal("HTTP/1.1 400 ", "Bad request: the path has an encoded slash.");
    stage_again();
    ask("GET /files/a%2Fb HTTP/1.1\r\n" HOST "\r\n");
    expect_asked("GET /files/a%2Fb HTTP/1.1\r\n");
}

static void what_nobody_has_is_404(void **state)
{
    (void)state;
    ask("POST /items/5 HTTP/1.1\r\n" HOST "content-length: 1\r\n\r\nx");
    expect_refusal("HTTP/1.1 404 ", "{\"message\":\"Not Found\"}");
    assert_false(peer_has(&client, "access-control"));
    expect_count("method=\"POST\",path=\"/items/5\",target=\"N/A\",response_from=\"N/A\","
                 "status=\"not_found\"",
                 1);
}

static void head_is_head_where_somebody_has_it(void **state)
{
    (void)state;
    ask("HEAD /heads HTTP/1.1\r\n" HOST "\r\n");
    expect_asked("HEAD /heads HTTP/1.1\r\n");
    answer("HTTP/1.1 200 OK\r\ncontent-length: 77\r\n\r\n");
    expect_answer("content-length: 77\r\n");
    ask("HEAD /items HTTP/1.1\r\n" HOST "\r\n");
    expect_asked("GET /items HTTP/1.1\r\n");
    expect_count("method=\"HEAD\",path=\"/heads\",target=\"http\",response_from=\"http\","
                 "status=\"ok\"",
                 1);
}

static void a_method_that_no_service_is_asked_with_is_405(void **state)
{
    (void)state;
    ask("ODD /items HTTP/1.1\r\n" HOST "\r\n");
    expect_refusal("HTTP/1.1 405 ", "Method not allowed.");
}

static void without_a_token_scripts_may_read_that_it_is_401(void **state)
{
    (void)state;
    ask("GET /mine HTTP/1.1\r\n" HOST "authorization: @\r\n\r\n");
    expect_refusal("HTTP/1.1 401 ", "Authentication failed.");
    assert_true(peer_has(&client, "www-authenticate: Bearer\r\n"));
    assert_true(peer_has(&client, "access-control-allow-origin: https://a.test\r\n"
                                  "access-control-allow-methods: *\r\n"
                                  "access-control-allow-headers: content-type\r\n"));
    assert_int_equal(records.n, 0);
}

static void with_a_token_it_goes_on_and_so_does_the_token(void **state)
{
    (void)state;
    ask("GET /mine HTTP/1.1\r\n" HOST "authorization: Basic eA==, bearer @\r\n\r\n");
    expect_asked("authorization: Basic eA==, bearer ");
    rg_buf_add_char(&records, '\0');
    assert_non_null(strstr(records.p, "\"type\":\"com.rig.proxy.api.call\""));
    assert_non_null(strstr(records.p, "\"request_path\":\"/mine\""));
}

static void a_body_may_come_with_any_method(void **state)
{
    (void)state;
    ask("DELETE /items/5 HTTP/1.1\r\n" HOST "content-length: 4\r\n\r\nbody");
    expect_asked("content-length: 4\r\n\r\nbody");
}

static void forms_are_not_looked_at(void **state)
{
    (void)state;
    ask("POST /items HTTP/1.1\r\n" HOST "content-type: application/x-www-form-urlencoded\r\n"
        "content-length: 11\r\n\r\n_method=put");
    expect_asked("POST /items HTTP/1.1\r\n");
    expect_asked("_method=put");
}

static void an_endpoint_of_events_answers_preflights(void **state)
{
    (void)state;
    ask("OPTIONS /events HTTP/1.1\r\n" HOST "\r\n");
    expect_answer("\r\n\r\n");
    assert_true(peer_has(&client, "HTTP/1.1 204 "));
    assert_true(peer_has(&client, "access-control-allow-headers: content-type,authorization\r\n"));
    expect_count("method=\"OPTIONS\",path=\"/events\",target=\"kafka\",response_from=\"http\","
                 "status=\"ok\"",
                 1);
}

static void what_is_not_built_in_is_502(void **state)
{
    (void)state;
    ask("POST /events HTTP/1.1\r\n" HOST "content-length: 2\r\n\r\n{}");
    expect_refusal("HTTP/1.1 502 ", "Bad gateway.");
    assert_true(peer_has(&client, "access-control-allow-headers: content-type,authorization\r\n"));
    expect_count("method=\"POST\",path=\"/events\",target=\"kafka\",response_from=\"http\","
                 "status=\"unreachable\"",
                 1);
}

static void a_definition_that_is_deleted_ends_no_request(void **state)
{
    (void)state;
    ask("GET /items HTTP/1.1\r\n" HOST "\r\n");
    expect_asked("\r\n\r\n");
    assert_int_equal(rg_catalogue_remove(catalogue, RG_STR("shop")), 0);
    answer("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok");
    expect_answer("\r\n\r\nok");
    peer_forget(&client);
    ask("GET /items HTTP/1.1\r\n" HOST "\r\n");
    expect_answer("{\"message\":\"Not Found\"}");
}

static void an_upgrade_with_a_body_is_400(void **state)
{
    static const char *const bodies[] = {"content-length: 1\r\n\r\nx",
                                         "transfer-encoding: chunked\r\n\r\n0\r\n\r\n"};

    (void)state;
    for (size_t i = 0; i < RG_COUNT_OF(bodies); i++) {
        ask("GET /socket HTTP/1.1\r\n" HOST "connection: upgrade\r\nupgrade: x\r\n");
        ask(bodies[i]);
        expect_refusal("HTTP/1.1 400 ", "Bad request: an upgrade must have no body.");
        stage_again();
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST_2017(a_request_goes_on_as_it_came),
        TEST_2017(only_what_may_have_one_has_a_body),
        TEST_2017(without_a_host_the_service_is_told_its_own),
        TEST_2017(head_is_get),
        TEST_2017(a_path_that_is_not_safe_is_400),
        TEST_2017(without_a_route_it_is_404),
        TEST_2017(without_a_token_it_is_401),
        TEST_2017(with_a_token_it_is_recorded_and_goes_on),
        TEST_2017(where_no_token_is_needed_nothing_is_recorded),
        TEST_2017(a_method_that_is_not_forwarded_is_405),
        TEST_2017(a_form_may_say_what_its_post_is),
        TEST_2017(an_upload_goes_on_in_its_new_form),
        TEST_2017(a_malformed_form_is_400),
        TEST_2017(a_form_of_too_many_parts_is_413),
        TEST_2017(a_form_that_is_too_long_is_413),
        TEST_2017(a_form_for_no_route_is_not_read),
        TEST_2017(a_body_whose_end_comes_soon_goes_on_with_its_length),
        TEST_2017(one_whose_end_does_not_goes_on_in_chunks),
        TEST_2017(what_follows_on_a_connection_is_served_when_it_is_its_turn),
        TEST(the_service_is_asked_in_its_own_name),
        TEST(a_path_is_matched_and_sent_in_its_plainest_form),
        TEST(a_path_is_replaced_and_the_query_kept),
        TEST(a_path_that_says_nothing_is_400),
        TEST(an_encoded_slash_needs_an_endpoint_that_takes_it),
        TEST(what_nobody_has_is_404),
        TEST(head_is_head_where_somebody_has_it),
        TEST(a_method_that_no_service_is_asked_with_is_405),
        TEST(without_a_token_scripts_may_read_that_it_is_401),
        TEST(with_a_token_it_goes_on_and_so_does_the_token),
        TEST(a_body_may_come_with_any_method),
        TEST(an_upgrade_with_a_body_is_400),
        TEST(forms_are_not_looked_at),
        TEST(an_endpoint_of_events_answers_preflights),
        TEST(what_is_not_built_in_is_502),
        TEST(a_definition_that_is_deleted_ends_no_request),
    };

    return cmocka_run_group_tests(tests, group_setup, group_teardown);
}
