#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "proxy/upload.h"

#define MULTIPART  "multipart/form-data; boundary=b"
#define URLENCODED "application/x-www-form-urlencoded"

#define DISPOSITION(as)  "content-disposition: form-data; " as "\r\n"
#define PART(head, text) "--b\r\n" head "\r\n" text "\r\n"

static struct rg_request posted(const char *type, const char *body)
{
    struct rg_request req = {.method = RG_POST, .body = rg_str_c(body)};

    req.fields[req.fields_n++] = (struct rg_http_field){RG_STR("Content-Type"), rg_str_c(type)};
    return req;
}

static void expect_method(const char *type, const char *body, enum rg_method method)
{
    struct rg_request req = posted(type, body);
    struct rg_why why = {0};
    struct rg_form form;

    assert_int_equal(rg_form_read(&req, &form, &why), 0);
    assert_int_equal(form.method, method);
    assert_false(form.has_upload);
}

static void a_form_may_name_another_method(void **state)
{
    (void)state;
    expect_method(URLENCODED, "a=1&_method=PUT", RG_PUT);
    expect_method(URLENCODED "; charset=utf-8", "_method=delete", RG_DELETE);
    expect_method(URLENCODED, "_method=DELETE&_method=Patch", RG_PATCH);
    expect_method(MULTIPART, PART(DISPOSITION("name=\"_method\""), "PUT") "--b--", RG_PUT);
}

static void other_methods_and_other_bodies_change_nothing(void **state)
{
    (void)state;
    expect_method(URLENCODED, "_method=GET", RG_POST);
    expect_method(URLENCODED, "_method=", RG_POST);
    expect_method(URLENCODED, "x_method=PUT", RG_POST);
    expect_method(URLENCODED, "_method=PUT&a=%", RG_POST);
    expect_method(URLENCODED, "", RG_POST);
    expect_method("application/json", "{\"_method\":\"PUT\"}", RG_POST);
    expect_method("application/json", "_method=PUT", RG_POST);
    expect_method(MULTIPART, PART(DISPOSITION("name=\"_method\"; filename=\"x\""), "PUT") "--b--",
                  RG_POST);
}

static void a_request_without_a_content_type_is_no_form(void **state)
{
    struct rg_request req = {.method = RG_POST, .body = RG_STR("_method=PUT")};
    struct rg_form form;

    (void)state;
    assert_int_equal(rg_form_read(&req, &form, NULL), 0);
    assert_int_equal(form.method, RG_POST);
}

static void expect_upload(const char *body, const char *wanted)
{
    struct rg_request req = posted(MULTIPART, body);
    struct rg_why why = {0};
    struct rg_buf out = {0};
    struct rg_form form;

    assert_int_equal(rg_form_read(&req, &form, &why), 0);
    assert_true(form.has_upload);
    rg_upload_compose(&req, &out);
    rg_buf_add_char(&out, '\0');
    assert_string_equal(out.p, wanted);
    rg_buf_done(&out);
}

static void an_uploaded_file_goes_on_as_three_parts(void **state)
{
    (void)state;
    expect_upload(
        PART("Content-Disposition: form-data; name=\"k\"\r\n", "123")
            PART(DISPOSITION("name=\"qqfile\"; filename=\"a.txt\"") "Content-Type: text/plain\r\n",
                 "Hello") "--b--\r\n",
        PART("Content-Disposition: form-data; name=\"k\"\r\n", "123")
            PART(DISPOSITION("name=\"file\"; filename=\"a.txt\"") "Content-Type: text/plain\r\n",
                 "Hello") PART(DISPOSITION("name=\"content-type\""), "text/plain")
                PART(DISPOSITION("name=\"filename\""), "a.txt") "--b--\r\n");
}

static void all_other_parts_stay_as_they_are(void **state)
{
    (void)state;
    expect_upload(
        PART(DISPOSITION("name=\"qqfile\"; filename=\"a\"") "X-A: 1\r\n", "")
            PART(DISPOSITION("name=\"f\"; filename=\"z\"") "Content-Type: image/png\r\n", "\r\n")
                PART(DISPOSITION("name=\"qqfile\""), "no file") "--b--\r\n",
        PART(DISPOSITION("name=\"file\"; filename=\"a\"") "X-A: 1\r\n", "")
            PART(DISPOSITION("name=\"content-type\""), "application/octet-stream")
                PART(DISPOSITION("name=\"filename\""), "a")
                    PART(DISPOSITION("name=\"f\"; filename=\"z\"") "Content-Type: image/png\r\n",
                         "\r\n") PART(DISPOSITION("name=\"qqfile\""), "no file") "--b--\r\n");
}

static void the_name_of_a_file_is_told_without_its_quoting(void **state)
{
    (void)state;
    expect_upload(PART(DISPOSITION("name=\"qqfile\"; filename=\"a\\\"b\\c.txt\""), "1") "--b--\r\n",
                  PART(DISPOSITION("name=\"file\"; filename=\"a\\\"b\\c.txt\""), "1")
                      PART(DISPOSITION("name=\"content-type\""), "application/octet-stream")
                          PART(DISPOSITION("name=\"filename\""), "a\"b\\c.txt") "--b--\r\n");
}

static void a_field_without_a_chosen_file_is_no_upload(void **state)
{
    struct rg_request req =
        posted(MULTIPART, PART(DISPOSITION("name=\"qqfile\"; filename=\"\""), "") "--b--\r\n");
    struct rg_form form;

    (void)state;
    assert_int_equal(rg_form_read(&req, &form, NULL), 0);
    assert_false(form.has_upload);
}

static void a_file_whose_name_would_end_the_form_is_refused(void **state)
{
    static const char *const heads[] = {
        DISPOSITION("name=\"qqfile\"; filename=\"--b--\""),
        DISPOSITION("name=\"qqfile\"; filename=\"a\"") "Content-Type: --bx\r\n",
    };

    (void)state;
    for (size_t i = 0; i < sizeof(heads) / sizeof(heads[0]); i++) {
        struct rg_buf body = {0};
        rg_buf_addf(&body, "--b\r\n%s\r\n1\r\n--b--", heads[i]);
        rg_buf_add_char(&body, '\0');
        struct rg_request req = posted(MULTIPART, body.p);
        struct rg_why why = {0};
        struct rg_form form;
        assert_int_equal(rg_form_read(&req, &form, &why), RG_ESYNTAX);
        assert_string_equal(why.text, "the name or type of a file is the boundary");
        rg_buf_done(&body);
    }
}

static void a_malformed_form_is_refused(void **state)
{
    struct rg_request req = posted(MULTIPART, PART(DISPOSITION("name=\"qqfile\""), "1"));
    struct rg_why why = {0};
    struct rg_form form;

    (void)state;
    assert_int_equal(rg_form_read(&req, &form, &why), RG_ESYNTAX);
    assert_string_equal(why.text, "the form has no end");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_form_may_name_another_method),
        cmocka_unit_test(other_methods_and_other_bodies_change_nothing),
        cmocka_unit_test(a_request_without_a_content_type_is_no_form),
        cmocka_unit_test(an_uploaded_file_goes_on_as_three_parts),
        cmocka_unit_test(all_other_parts_stay_as_they_are),
        cmocka_unit_test(the_name_of_a_file_is_told_without_its_quoting),
        cmocka_unit_test(a_field_without_a_chosen_file_is_no_upload),
        cmocka_unit_test(a_file_whose_name_would_end_the_form_is_refused),
        cmocka_unit_test(a_malformed_form_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
