/*
 * multipart.h - the parts of a form with files (RFC 7578 multipart/form-data, RFC 2046 5.1).
 *
 * Strict where a form can be read in two ways: the body begins with its first delimiter, lines end
 * in CR LF, fields of a part are not folded, and a part says once what it is. What follows the last
 * delimiter is ignored, as the standard wants it.
 *
 * Thread: any; no state but the reader's own.
 */
#pragma once

#include "base/buf.h"
#include "base/err.h"
#include "http/request.h"

#define RG_MULTIPART_MAX_BOUNDARY 70 /* RFC 2046 5.1.1 */
#define RG_MULTIPART_MAX_PARTS    1000
#define RG_MULTIPART_MAX_HEAD     8192 /* bytes of a part's fields */
#define RG_MULTIPART_MAX_FIELDS   16   /* of a part */

/* A reader; all of it is the reader's own. */
struct rg_multipart {
    struct rg_str rest; /* behind the last delimiter line; p == NULL at the end */
    size_t parts_n;
    size_t delimiter_n;
    char delimiter[4 + RG_MULTIPART_MAX_BOUNDARY]; /* CR LF, two dashes, boundary */
};

/* Slices of the body. */
struct rg_part {
    struct rg_str whole; /* fields, empty line and content */
    struct rg_str content;
    struct rg_str name;     /* between the quotes, as it is there */
    struct rg_str filename; /* the same; p == NULL if the part is no file */
    struct rg_http_field fields[RG_MULTIPART_MAX_FIELDS];
    size_t fields_n;
};

/* True if a content type is multipart/form-data, whatever its parameters. */
bool rg_multipart_is_form(struct rg_str content_type);

/*
 * Begins reading body. RG_ESYNTAX with why if the content type has no usable boundary, or the body
 * does not begin with it. body is borrowed while the reader is in use.
 */
int rg_multipart_begin(struct rg_multipart *reader, struct rg_str content_type, struct rg_str body,
                       struct rg_why *why);

/*
 * The next part: 1 with *ret, 0 at the end, or RG_ESYNTAX or RG_EFULL with why, after which there
 * is no more.
 */
int rg_multipart_next(struct rg_multipart *reader, struct rg_part *ret, struct rg_why *why);

/*
 * Appends a name of a part without what stands for its quotes: \" and \\. Any other backslash is
 * meant: it is in the path that an old browser sends.
 */
void rg_multipart_unquote(struct rg_str quoted, struct rg_buf *out);
