/*
 * Forms with files, and what of them goes on to a service. The input is a content type, LF, and a
 * body.
 */
#include <stdlib.h>

#include "proxy/multipart.h"
#include "proxy/upload.h"

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t n);

static bool lies_in(struct rg_str part, struct rg_str whole)
{
    return part.p >= whole.p && part.p + part.n <= whole.p + whole.n;
}

/* The parts of a form, or -1 if it is refused. */
static int count_parts(struct rg_str type, struct rg_str body)
{
    struct rg_multipart reader;
    struct rg_part part;
    int more = rg_multipart_begin(&reader, type, body, NULL);
    int parts = 0;

    if (more < 0)
        return -1;
    while ((more = rg_multipart_next(&reader, &part, NULL)) == 1) {
        rg_assert(lies_in(part.whole, body) && lies_in(part.content, part.whole));
        rg_assert(lies_in(part.name, part.whole));
        rg_assert(part.filename.p == NULL || lies_in(part.filename, part.whole));
        rg_assert(part.fields_n > 0 && part.fields_n <= RG_MULTIPART_MAX_FIELDS);
        parts++;
    }
    rg_assert(rg_multipart_next(&reader, &part, NULL) == 0);
    return more < 0 ? -1 : parts;
}

/* What goes on is a form of more parts, in which there is nothing to be sent on any more. */
static void check_upload(const struct rg_request *req, int parts)
{
    struct rg_buf body = {0};
    struct rg_form form;

    rg_upload_compose(req, &body);
    struct rg_request onward = *req;
    onward.body = rg_buf_str(&body);
    int more = count_parts(req->fields[0].value, onward.body);
    /* At the limit there is no room for two more, which is the service's to judge. */
    rg_assert(more > parts || parts > RG_MULTIPART_MAX_PARTS / 3);
    rg_assert(more < 0 || (rg_form_read(&onward, &form, NULL) == 0 && !form.has_upload));
    rg_buf_done(&body);
}

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t n)
{
    struct rg_str rest = rg_str_n((const char *)input, n);
    struct rg_request req = {.method = RG_POST};
    struct rg_form form;

    req.fields[req.fields_n++] =
        (struct rg_http_field){RG_STR("content-type"), rg_str_split(&rest, '\n')};
    req.body = rest.p != NULL ? rest : RG_STR("");
    int parts = count_parts(req.fields[0].value, req.body);
    int err = rg_form_read(&req, &form, NULL);
    if (rg_multipart_is_form(req.fields[0].value))
        rg_assert(err < 0 || parts >= 0);
    else
        rg_assert(err == 0 && !form.has_upload);
    if (err == 0 && form.has_upload)
        check_upload(&req, parts);
    return 0;
}
