/*
 * upload.h - forms as services of 2017 expect them: files sent on, methods named in a field
 * (legacy-channels.md 14.4.4, 14.4.5).
 *
 * A file in the field "qqfile" goes on as three parts: "file" with the content, "content-type" and
 * "filename" with what the browser said of it. All other parts stay as they are.
 *
 * Thread: any; no state.
 */
#pragma once

#include "base/buf.h"
#include "base/err.h"
#include "http/request.h"

/* Whether a request says that its body is a form, of either kind. */
bool rg_form_is_one(const struct rg_request *req);

/* What matters of a form that was posted. */
struct rg_form {
    enum rg_method method; /* that it shall be treated as: RG_PUT, RG_PATCH, RG_DELETE; RG_POST */
    bool has_upload;
};

/*
 * Looks at a POST; what is no form is a form without anything. RG_ESYNTAX or RG_EFULL with why for
 * a form with files that is malformed.
 */
int rg_form_read(const struct rg_request *req, struct rg_form *ret, struct rg_why *why);

/*
 * Writes the body that goes on in place of that of req, whose form has an upload, to out, which is
 * empty. Its content type is the same.
 */
void rg_upload_compose(const struct rg_request *req, struct rg_buf *out);
