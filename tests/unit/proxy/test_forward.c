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

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_request_goes_on_as_it_came),
        TEST(only_what_may_have_one_has_a_body),
        TEST(without_a_host_the_service_is_told_its_own),
        TEST(head_is_get),
        TEST(a_path_that_is_not_safe_is_400),
        TEST(without_a_route_it_is_404),
        TEST(without_a_token_it_is_401),
        TEST(with_a_token_it_is_recorded_and_goes_on),
        TEST(where_no_token_is_needed_nothing_is_recorded),
        TEST(a_method_that_is_not_forwarded_is_405),
        TEST(a_form_may_say_what_its_post_is),
        TEST(an_upload_goes_on_in_its_new_form),
        TEST(a_malformed_form_is_400),
        TEST(a_form_of_too_many_parts_is_413),
        TEST(what_follows_on_a_connection_is_served_when_it_is_its_turn),
    };

    return cmocka_run_group_tests(tests, group_setup, group_teardown);
}
