#include "proxy/upload.h"

#include <string.h>

#include "http/query.h"
#include "proxy/multipart.h"

#define METHOD_FIELD "_method"
#define UPLOAD_FIELD "qqfile"

/* ---- reading ---- */

static struct rg_str content_type_of(const struct rg_request *req)
{
    return rg_request_field(req, RG_STR("content-type"));
}

/* Any case will do; what is no such method changes nothing. */
static enum rg_method method_of(struct rg_str value)
{
    const enum rg_method methods[] = {RG_PUT, RG_PATCH, RG_DELETE};

    for (size_t i = 0; i < sizeof(methods) / sizeof(methods[0]); i++) {
        if (rg_str_eq_nocase(value, rg_method_name(methods[i])))
            return methods[i];
    }
    return RG_POST;
}

static bool is_field(struct rg_str quoted, struct rg_str name)
{
    struct rg_buf plain = {0};

    rg_multipart_unquote(quoted, &plain);
    bool is = rg_str_eq(rg_buf_str(&plain), name);
    rg_buf_done(&plain);
    return is;
}

/* Where no file was chosen, a browser sends a part with an empty name of a file. */
static bool is_upload(const struct rg_part *part)
{
    return part->filename.n > 0 && is_field(part->name, RG_STR(UPLOAD_FIELD));
}

static struct rg_str media_type_of(const struct rg_part *part)
{
    for (size_t i = 0; i < part->fields_n; i++) {
        if (rg_str_eq_nocase(part->fields[i].name, RG_STR("content-type")))
            return part->fields[i].value;
    }
    return RG_STR("application/octet-stream");
}

/* What becomes the content of a part must not be taken for the delimiter behind an empty line. */
static bool is_delimiter(const struct rg_multipart *reader, struct rg_str text)
{
    return rg_str_starts_with(text, rg_str_n(reader->delimiter + 2, reader->delimiter_n - 2));
}

static int read_part(const struct rg_multipart *reader, const struct rg_part *part,
                     struct rg_form *ret, struct rg_why *why)
{
    if (is_upload(part)) {
        if (is_delimiter(reader, part->filename) || is_delimiter(reader, media_type_of(part)))
            return rg_why_set(why, RG_ESYNTAX, "", "the name or type of a file is the boundary");
        ret->has_upload = true;
    } else if (part->filename.p == NULL && is_field(part->name, RG_STR(METHOD_FIELD))) {
        ret->method = method_of(part->content);
    }
    return 0;
}

static int read_multipart(const struct rg_request *req, struct rg_form *ret, struct rg_why *why)
{
    struct rg_multipart reader;
    struct rg_part part;
    int more = rg_multipart_begin(&reader, content_type_of(req), req->body, why);
    int err = more < 0 ? more : 0;

    while (err == 0 && (more = rg_multipart_next(&reader, &part, why)) == 1)
        err = read_part(&reader, &part, ret, why);
    return err < 0 ? err : more;
}

static bool is_urlencoded(struct rg_str content_type)
{
    return rg_str_eq_nocase(rg_str_trim(rg_str_split(&content_type, ';')),
                            RG_STR("application/x-www-form-urlencoded"));
}

static void read_urlencoded(const struct rg_request *req, struct rg_form *ret)
{
    struct rg_buf scratch = {0};
    struct rg_str value;

    /* Few forms have it, and to read one all of it is decoded. */
    if (memmem(req->body.p, req->body.n, METHOD_FIELD, strlen(METHOD_FIELD)) == NULL)
        return;
    if (rg_query_get(req->body, RG_STR(METHOD_FIELD), &scratch, &value) == 1)
        ret->method = method_of(value);
    rg_buf_done(&scratch);
}

bool rg_form_is_one(const struct rg_request *req)
{
    return rg_multipart_is_form(content_type_of(req)) || is_urlencoded(content_type_of(req));
}

int rg_form_read(const struct rg_request *req, struct rg_form *ret, struct rg_why *why)
{
    *ret = (struct rg_form){.method = RG_POST};
    if (rg_multipart_is_form(content_type_of(req)))
        return read_multipart(req, ret, why);
    if (req->body.n > 0 && is_urlencoded(content_type_of(req)))
        read_urlencoded(req, ret);
    return 0;
}

/* ---- composing ---- */

static void add_delimiter(const struct rg_multipart *reader, struct rg_buf *out)
{
    /* The first one has no line before it. */
    size_t skip = out->n == 0 ? 2 : 0;

    rg_buf_add(out, reader->delimiter + skip, reader->delimiter_n - skip);
}

static void begin_part(const struct rg_multipart *reader, struct rg_buf *out)
{
    add_delimiter(reader, out);
    rg_buf_add_c(out, "\r\n");
}

static void begin_text(const struct rg_multipart *reader, const char *name, struct rg_buf *out)
{
    begin_part(reader, out);
    rg_buf_addf(out, "content-disposition: form-data; name=\"%s\"\r\n\r\n", name);
}

/* The file itself: its own fields but for the disposition, and its content. */
static void add_file(const struct rg_multipart *reader, const struct rg_part *part,
                     struct rg_buf *out)
{
    begin_part(reader, out);
    rg_buf_add_c(out, "content-disposition: form-data; name=\"file\"; filename=\"");
    rg_buf_add_str(out, part->filename); /* as it was between quotes, or a token */
    rg_buf_add_c(out, "\"\r\n");
    for (size_t i = 0; i < part->fields_n; i++) {
        const struct rg_http_field *field = &part->fields[i];
        if (rg_str_eq_nocase(field->name, RG_STR("content-disposition")))
            continue;
        rg_buf_add_str(out, field->name);
        rg_buf_add_c(out, ": ");
        rg_buf_add_str(out, field->value);
        rg_buf_add_c(out, "\r\n");
    }
    rg_buf_add_c(out, "\r\n");
    rg_buf_add_str(out, part->content);
}

static void add_upload(const struct rg_multipart *reader, const struct rg_part *part,
                       struct rg_buf *out)
{
    add_file(reader, part, out);
    begin_text(reader, "content-type", out);
    rg_buf_add_str(out, media_type_of(part));
    begin_text(reader, "filename", out);
    rg_multipart_unquote(part->filename, out);
}

void rg_upload_compose(const struct rg_request *req, struct rg_buf *out)
{
    struct rg_multipart reader;
    struct rg_part part;

    rg_assert(out->n == 0);
    rg_assert(rg_multipart_begin(&reader, content_type_of(req), req->body, NULL) == 0);
    rg_buf_reserve(out, req->body.n);
    while (rg_multipart_next(&reader, &part, NULL) == 1) {
        if (is_upload(&part)) {
            add_upload(&reader, &part, out);
        } else {
            begin_part(&reader, out);
            rg_buf_add_str(out, part.whole);
        }
    }
    add_delimiter(&reader, out);
    rg_buf_add_c(out, "--\r\n");
}
