#include "proxy/multipart.h"

#include <string.h>

static struct rg_str behind(struct rg_str s, size_t n)
{
    return rg_str_n(s.p + n, s.n - n);
}

static int malformed(struct rg_why *why, const char *what)
{
    return rg_why_set(why, RG_ESYNTAX, "", "%s", what);
}

/* ---- parameters, as in Content-Type and Content-Disposition ---- */

static bool is_token_byte(char c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
           (c != '\0' && strchr("!#$%&'*+-.^_`|~", c) != NULL);
}

static void skip_blanks(struct rg_str *rest)
{
    while (rest->n > 0 && (rest->p[0] == ' ' || rest->p[0] == '\t'))
        *rest = behind(*rest, 1);
}

static struct rg_str take_token(struct rg_str *rest)
{
    size_t n = 0;

    while (n < rest->n && is_token_byte(rest->p[n]))
        n++;
    struct rg_str token = rg_str_n(rest->p, n);
    *rest = behind(*rest, n);
    return token;
}

/* What is between quotes; false if they do not end. A backslash protects a quote or itself. */
static bool take_quoted(struct rg_str *rest, struct rg_str *ret)
{
    size_t n = 1;

    while (n < rest->n && rest->p[n] != '"') {
        bool is_protecting = rest->p[n] == '\\' && n + 1 < rest->n &&
                             (rest->p[n + 1] == '"' || rest->p[n + 1] == '\\');
        n += is_protecting ? 2 : 1;
    }
    if (n >= rest->n)
        return false;
    *ret = rg_str_n(rest->p + 1, n - 1);
    *rest = behind(*rest, n + 1);
    return true;
}

/*
 * Takes ;name=value off *rest, which is behind the value that the parameters are of: 1, 0 at the
 * end, or RG_ESYNTAX.
 */
static int take_parameter(struct rg_str *rest, struct rg_str *name, struct rg_str *value)
{
    skip_blanks(rest);
    if (rest->n == 0)
        return 0;
    if (rest->p[0] != ';')
        return RG_ESYNTAX;
    *rest = behind(*rest, 1);
    skip_blanks(rest);
    if (rest->n == 0)
        return 0; /* a semicolon too many is harmless */
    *name = take_token(rest);
    if (name->n == 0 || rest->n == 0 || rest->p[0] != '=')
        return RG_ESYNTAX;
    *rest = behind(*rest, 1);
    if (rest->n > 0 && rest->p[0] == '"')
        return take_quoted(rest, value) ? 1 : RG_ESYNTAX;
    *value = take_token(rest);
    return value->n > 0 ? 1 : RG_ESYNTAX;
}

void rg_multipart_unquote(struct rg_str quoted, struct rg_buf *out)
{
    for (size_t i = 0; i < quoted.n; i++) {
        if (quoted.p[i] == '\\' && i + 1 < quoted.n &&
            (quoted.p[i + 1] == '"' || quoted.p[i + 1] == '\\'))
            i++;
        rg_buf_add_char(out, quoted.p[i]);
    }
}

/* ---- the whole ---- */

static struct rg_str media_type(struct rg_str content_type)
{
    return rg_str_trim(rg_str_split(&content_type, ';'));
}

bool rg_multipart_is_form(struct rg_str content_type)
{
    return rg_str_eq_nocase(media_type(content_type), RG_STR("multipart/form-data"));
}

static bool is_boundary(struct rg_str boundary)
{
    if (boundary.n == 0 || boundary.n > RG_MULTIPART_MAX_BOUNDARY ||
        boundary.p[boundary.n - 1] == ' ')
        return false;
    for (size_t i = 0; i < boundary.n; i++) {
        char c = boundary.p[i];
        if (!is_token_byte(c) && (c == '\0' || strchr("(),/:=? ", c) == NULL))
            return false;
    }
    return true;
}

static int find_boundary(struct rg_str content_type, struct rg_str *ret, struct rg_why *why)
{
    struct rg_str rest = content_type, name, value;
    int more;

    *ret = rg_str_n(NULL, 0);
    rest = behind(rest, rg_str_split(&content_type, ';').n);
    while ((more = take_parameter(&rest, &name, &value)) == 1) {
        if (!rg_str_eq_nocase(name, RG_STR("boundary")))
            continue;
        if (ret->p != NULL)
            return malformed(why, "the content type has two boundaries");
        *ret = value;
    }
    if (more < 0)
        return malformed(why, "the content type has a malformed parameter");
    return is_boundary(*ret) ? 0 : malformed(why, "the content type has no usable boundary");
}

/*
 * Takes the rest of a delimiter's line off reader->rest: blanks and a line end, or the two dashes
 * of the last one, behind which nothing counts.
 */
static int end_delimiter(struct rg_multipart *reader, struct rg_why *why)
{
    if (rg_str_starts_with(reader->rest, RG_STR("--"))) {
        reader->rest = rg_str_n(NULL, 0);
        return 0;
    }
    skip_blanks(&reader->rest);
    if (!rg_str_starts_with(reader->rest, RG_STR("\r\n")))
        return malformed(why, "a delimiter is not followed by a line end");
    reader->rest = behind(reader->rest, 2);
    return 0;
}

int rg_multipart_begin(struct rg_multipart *reader, struct rg_str content_type, struct rg_str body,
                       struct rg_why *why)
{
    struct rg_str boundary;
    int err = find_boundary(content_type, &boundary, why);

    if (err < 0)
        return err;
    rg_assert(boundary.p != NULL);
    *reader = (struct rg_multipart){.delimiter_n = 4 + boundary.n};
    memcpy(reader->delimiter, "\r\n--", 4);
    memcpy(reader->delimiter + 4, boundary.p, boundary.n);
    struct rg_str first = rg_str_n(reader->delimiter + 2, reader->delimiter_n - 2);
    if (rg_str_starts_with(body, RG_STR("\r\n")))
        body = behind(body, 2);
    if (!rg_str_starts_with(body, first))
        return malformed(why, "the body does not begin with its boundary");
    reader->rest = behind(body, first.n);
    return end_delimiter(reader, why);
}

/* ---- a part ---- */

static int read_disposition(struct rg_part *part, struct rg_str value, struct rg_why *why)
{
    struct rg_str rest = value, name, text;
    int more;

    if (part->name.p != NULL)
        return malformed(why, "a part has two dispositions");
    if (!rg_str_eq_nocase(take_token(&rest), RG_STR("form-data")))
        return malformed(why, "a part is not form-data");
    while ((more = take_parameter(&rest, &name, &text)) == 1) {
        struct rg_str *to = rg_str_eq_nocase(name, RG_STR("name"))       ? &part->name
                            : rg_str_eq_nocase(name, RG_STR("filename")) ? &part->filename
                                                                         : NULL;
        if (to == NULL)
            continue;
        if (to->p != NULL)
            return malformed(why, "a part has two names");
        *to = text;
    }
    if (more < 0)
        return malformed(why, "a part has a malformed disposition");
    return part->name.p != NULL ? 0 : malformed(why, "a part has no name");
}

/* Without control bytes: what goes into a new head must not begin a line there. */
static bool is_value(struct rg_str value)
{
    for (size_t i = 0; i < value.n; i++) {
        unsigned char c = (unsigned char)value.p[i];
        if ((c < 0x20 && c != '\t') || c == 0x7f)
            return false;
    }
    return true;
}

static int read_field(struct rg_part *part, struct rg_str line, struct rg_why *why)
{
    struct rg_str rest = line;
    struct rg_http_field field = {.name = take_token(&rest)};

    if (field.name.n == 0 || rest.n == 0 || rest.p[0] != ':' || !is_value(rest))
        return malformed(why, "a part has a malformed field");
    field.value = rg_str_trim(behind(rest, 1));
    if (part->fields_n == RG_MULTIPART_MAX_FIELDS)
        return rg_why_set(why, RG_EFULL, "", "a part has more than %d fields",
                          RG_MULTIPART_MAX_FIELDS);
    part->fields[part->fields_n++] = field;
    if (rg_str_eq_nocase(field.name, RG_STR("content-disposition")))
        return read_disposition(part, field.value, why);
    return 0;
}

/* Takes a line off *rest; false if it has no end. */
static bool take_line(struct rg_str *rest, struct rg_str *ret)
{
    const char *end = rest->n > 0 ? memmem(rest->p, rest->n, "\r\n", 2) : NULL;

    if (end == NULL)
        return false;
    *ret = rg_str_n(rest->p, (size_t)(end - rest->p));
    *rest = behind(*rest, ret->n + 2);
    return true;
}

static int read_part(struct rg_part *part, struct rg_why *why)
{
    struct rg_str rest = part->whole, line;
    size_t max_n = rest.n > RG_MULTIPART_MAX_HEAD ? RG_MULTIPART_MAX_HEAD : rest.n;
    struct rg_str head = rg_str_n(rest.p, max_n);

    for (;;) {
        if (!take_line(&head, &line))
            return max_n < part->whole.n
                       ? rg_why_set(why, RG_EFULL, "", "a part's fields are longer than %d bytes",
                                    RG_MULTIPART_MAX_HEAD)
                       : malformed(why, "a part has no empty line behind its fields");
        if (line.n == 0)
            break;
        int err = read_field(part, line, why);
        if (err < 0)
            return err;
    }
    part->content = behind(rest, (size_t)(head.p - rest.p));
    return part->name.p != NULL ? 0 : malformed(why, "a part has no disposition");
}

static int take_part(struct rg_multipart *reader, struct rg_part *ret, struct rg_why *why)
{
    const char *end =
        memmem(reader->rest.p, reader->rest.n, reader->delimiter, reader->delimiter_n);

    if (reader->parts_n++ == RG_MULTIPART_MAX_PARTS)
        return rg_why_set(why, RG_EFULL, "", "the form has more than %d parts",
                          RG_MULTIPART_MAX_PARTS);
    if (end == NULL)
        return malformed(why, "the form has no end");
    *ret = (struct rg_part){.whole = rg_str_n(reader->rest.p, (size_t)(end - reader->rest.p))};
    reader->rest = behind(reader->rest, ret->whole.n + reader->delimiter_n);
    int err = end_delimiter(reader, why);
    return err < 0 ? err : read_part(ret, why);
}

int rg_multipart_next(struct rg_multipart *reader, struct rg_part *ret, struct rg_why *why)
{
    if (reader->rest.p == NULL)
        return 0;
    int err = take_part(reader, ret, why);
    if (err < 0)
        reader->rest = rg_str_n(NULL, 0);
    return err < 0 ? err : 1;
}
