#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "proxy/multipart.h"

#define TYPE            "multipart/form-data; boundary=b"
#define DISPOSITION(as) "Content-Disposition: form-data; " as "\r\n"
#define PART(as, text)  "--b\r\n" DISPOSITION(as) "\r\n" text "\r\n"
#define END             "--b--\r\n"

static struct rg_why why;

/* The parts as name[filename]=content, one to a line; -1 if the form is refused (see why). */
static int read_form(struct rg_str type, struct rg_str body, struct rg_buf *out)
{
    struct rg_multipart reader;
    struct rg_part part;
    int more = rg_multipart_begin(&reader, type, body, &why);

    if (more < 0)
        return more;
    while ((more = rg_multipart_next(&reader, &part, &why)) == 1) {
        rg_buf_add_str(out, part.name);
        if (part.filename.p != NULL)
            rg_buf_addf(out, "[%.*s]", RG_STR_ARG(part.filename));
        rg_buf_addf(out, "=%.*s\n", RG_STR_ARG(part.content));
    }
    assert_int_equal(rg_multipart_next(&reader, &part, NULL), 0); /* nothing comes after the end */
    return more;
}

static void expect_of(const char *type, const char *body, const char *parts)
{
    struct rg_buf got = {0};

    why = (struct rg_why){0};
    int err = read_form(rg_str_c(type), rg_str_c(body), &got);
    assert_string_equal(why.text, "");
    assert_int_equal(err, 0);
    rg_buf_add_char(&got, '\0');
    assert_string_equal(got.p, parts);
    rg_buf_done(&got);
}

static void expect(const char *body, const char *parts)
{
    expect_of(TYPE, body, parts);
}

static void refuse_of(const char *type, const char *body, const char *reason)
{
    struct rg_buf got = {0};

    why = (struct rg_why){0};
    int err = read_form(rg_str_c(type), rg_str_c(body), &got);
    assert_string_equal(why.text, reason);
    assert_int_equal(err, RG_ESYNTAX);
    rg_buf_done(&got);
}

static void refuse(const char *body, const char *reason)
{
    refuse_of(TYPE, body, reason);
}

static void a_form_is_known_by_its_type(void **state)
{
    (void)state;
    assert_true(rg_multipart_is_form(RG_STR("multipart/form-data; boundary=x")));
    assert_true(rg_multipart_is_form(RG_STR("Multipart/Form-Data")));
    assert_false(rg_multipart_is_form(RG_STR("multipart/mixed; boundary=x")));
    assert_false(rg_multipart_is_form(RG_STR("multipart/form-datax")));
    assert_false(rg_multipart_is_form(rg_str_n(NULL, 0)));
}

static void parts_come_in_their_order_with_name_and_content(void **state)
{
    (void)state;
    expect(PART("name=\"a\"", "1") PART("name=\"b\"; filename=\"c.txt\"", "two\r\nlines") END,
           "a=1\nb[c.txt]=two\r\nlines\n");
    expect(PART("name=a", "") PART("filename=x;name=\"\"", "-") END, "a=\n[x]=-\n");
    expect(END, "");
}

static void other_fields_of_a_part_are_kept(void **state)
{
    const char body[] =
        "--b\r\nX-A: 1\r\n" DISPOSITION("name=\"a\"") "content-type:\ttext/plain \r\n\r\nz\r\n" END;
    struct rg_multipart reader;
    struct rg_part part;

    (void)state;
    assert_int_equal(rg_multipart_begin(&reader, RG_STR(TYPE), rg_str_c(body), &why), 0);
    assert_int_equal(rg_multipart_next(&reader, &part, &why), 1);
    assert_int_equal(part.fields_n, 3);
    assert_true(rg_str_eq(part.fields[2].name, RG_STR("content-type")));
    assert_true(rg_str_eq(part.fields[2].value, RG_STR("text/plain")));
    assert_true(rg_str_starts_with(part.whole, RG_STR("X-A: 1\r\n")));
    assert_true(rg_str_ends_with(part.whole, RG_STR("\r\n\r\nz")));
    assert_int_equal(rg_multipart_next(&reader, &part, &why), 0);
    assert_int_equal(rg_multipart_next(&reader, &part, &why), 0);
}

static void names_are_what_stands_between_their_quotes(void **state)
{
    struct rg_buf plain = {0};

    (void)state;
    expect(PART("name=\"a\\\"b;c\"; filename=\"C:\\\\dir\\x.txt\"", "1") END,
           "a\\\"b;c[C:\\\\dir\\x.txt]=1\n");
    rg_multipart_unquote(RG_STR("a\\\"b\\\\c\\d\\"), &plain);
    assert_true(rg_str_eq(rg_buf_str(&plain), RG_STR("a\"b\\c\\d\\")));
    rg_buf_done(&plain);
}

static void the_boundary_may_be_quoted(void **state)
{
    (void)state;
    expect_of("multipart/form-data; charset=utf-8; Boundary=\"b\"", PART("name=a", "1") END,
              "a=1\n");
    expect_of("multipart/form-data;boundary=\"a (b)\";",
              "--a (b)\r\n" DISPOSITION("name=a") "\r\n1\r\n--a (b)--", "a=1\n");
}

static void what_lies_around_a_delimiter_may_be_blank(void **state)
{
    (void)state;
    expect("\r\n--b \t\r\n" DISPOSITION("name=a") "\r\n1\r\n--b-- \r\nwhatever follows", "a=1\n");
}

static void content_may_look_like_a_delimiter_until_it_is_one(void **state)
{
    (void)state;
    expect(PART("name=a", " --b\r\n-\r\n--c--\r\n--") END, "a= --b\r\n-\r\n--c--\r\n--\n");
    refuse(PART("name=a", "x\r\n--bc") END, "a delimiter is not followed by a line end");
    /* The empty line is where it is looked for, too. */
    refuse(PART("name=a", "--b\r\n") END, "a part has no empty line behind its fields");
}

static void a_boundary_that_is_missing_or_doubtful_is_refused(void **state)
{
    (void)state;
    refuse_of("multipart/form-data", END, "the content type has no usable boundary");
    refuse_of("multipart/form-data; boundary=\"\"", END, "the content type has no usable boundary");
    refuse_of("multipart/form-data; boundary=\"b \"", END,
              "the content type has no usable boundary");
    refuse_of("multipart/form-data; boundary="
              "12345678901234567890123456789012345678901234567890123456789012345678901",
              END, "the content type has no usable boundary");
    refuse_of("multipart/form-data; boundary=b; boundary=b", END,
              "the content type has two boundaries");
    refuse_of("multipart/form-data; boundary", END, "the content type has a malformed parameter");
    refuse_of("multipart/form-data; boundary=\"b", END,
              "the content type has a malformed parameter");
    refuse_of("multipart/form-data; boundary=b c", END,
              "the content type has a malformed parameter");
}

static void a_form_that_does_not_begin_or_end_is_refused(void **state)
{
    (void)state;
    refuse("", "the body does not begin with its boundary");
    refuse("preamble\r\n" END, "the body does not begin with its boundary");
    refuse("--b", "a delimiter is not followed by a line end");
    refuse("--b\n" DISPOSITION("name=a"), "a delimiter is not followed by a line end");
    refuse("--b\r\n", "the form has no end");
    refuse(PART("name=a", "1"), "the form has no end");
}

static void a_part_says_once_what_it_is(void **state)
{
    (void)state;
    refuse("--b\r\n\r\n1\r\n" END, "a part has no disposition");
    refuse("--b\r\n" DISPOSITION("name=a") DISPOSITION("name=b") "\r\n1\r\n" END,
           "a part has two dispositions");
    refuse(PART("name=a; name=b", "1") END, "a part has two names");
    refuse(PART("name=a; filename=b; filename=c", "1") END, "a part has two names");
    refuse(PART("filename=b", "1") END, "a part has no name");
    refuse(PART("name=\"a", "1") END, "a part has a malformed disposition");
    refuse(PART("name", "1") END, "a part has a malformed disposition");
    refuse("--b\r\nContent-Disposition: attachment; name=a\r\n\r\n1\r\n" END,
           "a part is not form-data");
}

static void fields_of_a_part_are_lines_of_their_own(void **state)
{
    (void)state;
    refuse("--b\r\n" DISPOSITION("name=a") " folded\r\n\r\n1\r\n" END,
           "a part has a malformed field");
    refuse("--b\r\n" DISPOSITION("name=a") "x y: 1\r\n\r\n1\r\n" END,
           "a part has a malformed field");
    refuse("--b\r\n" DISPOSITION("name=\"a\nb\"") "\r\n1\r\n" END, "a part has a malformed field");
    refuse("--b\r\n" DISPOSITION("name=a") "\r" END, "the form has no end");
    refuse("--b\r\n" DISPOSITION("name=a") END, "a part has no empty line behind its fields");
}

static int read_buf(struct rg_buf *body)
{
    struct rg_buf got = {0};

    why = (struct rg_why){0};
    rg_buf_add_c(body, END);
    int err = read_form(RG_STR(TYPE), rg_buf_str(body), &got);
    rg_buf_done(&got);
    rg_buf_clear(body);
    return err;
}

static void a_form_has_limits(void **state)
{
    struct rg_buf body = {0};

    (void)state;
    for (size_t i = 0; i < RG_MULTIPART_MAX_PARTS; i++)
        rg_buf_add_c(&body, PART("name=a", ""));
    assert_int_equal(read_buf(&body), 0);
    for (size_t i = 0; i < RG_MULTIPART_MAX_PARTS + 1; i++)
        rg_buf_add_c(&body, PART("name=a", ""));
    assert_int_equal(read_buf(&body), RG_EFULL);
    assert_string_equal(why.text, "the form has more than 1000 parts");

    rg_buf_add_c(&body, "--b\r\n" DISPOSITION("name=a"));
    for (size_t i = 0; i < RG_MULTIPART_MAX_FIELDS; i++)
        rg_buf_add_c(&body, "x: 1\r\n");
    rg_buf_add_c(&body, "\r\n\r\n");
    assert_int_equal(read_buf(&body), RG_EFULL);
    assert_string_equal(why.text, "a part has more than 16 fields");

    rg_buf_add_c(&body, "--b\r\n" DISPOSITION("name=a") "x: ");
    for (size_t i = 0; i < RG_MULTIPART_MAX_HEAD; i++)
        rg_buf_add_char(&body, 'x');
    rg_buf_add_c(&body, "\r\n\r\n\r\n");
    assert_int_equal(read_buf(&body), RG_EFULL);
    assert_string_equal(why.text, "a part's fields are longer than 8192 bytes");
    rg_buf_done(&body);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_form_is_known_by_its_type),
        cmocka_unit_test(parts_come_in_their_order_with_name_and_content),
        cmocka_unit_test(other_fields_of_a_part_are_kept),
        cmocka_unit_test(names_are_what_stands_between_their_quotes),
        cmocka_unit_test(the_boundary_may_be_quoted),
        cmocka_unit_test(what_lies_around_a_delimiter_may_be_blank),
        cmocka_unit_test(content_may_look_like_a_delimiter_until_it_is_one),
        cmocka_unit_test(a_boundary_that_is_missing_or_doubtful_is_refused),
        cmocka_unit_test(a_form_that_does_not_begin_or_end_is_refused),
        cmocka_unit_test(a_part_says_once_what_it_is),
        cmocka_unit_test(fields_of_a_part_are_lines_of_their_own),
        cmocka_unit_test(a_form_has_limits),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
