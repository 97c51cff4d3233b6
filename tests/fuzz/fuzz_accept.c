/*
 * Accept: how a list is spread over fields makes no difference, and whoever also says that it takes
 * JSON gets it. Lines of the input are fields.
 */
#include "base/buf.h"
#include "base/err.h"
#include "http/accept.h"

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t n);

static struct rg_request req;

static void add_field(struct rg_str value)
{
    if (req.fields_n < RG_MAX_FIELDS_PER_MESSAGE)
        req.fields[req.fields_n++] = (struct rg_http_field){RG_STR("Accept"), rg_str_trim(value)};
}

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t n)
{
    struct rg_str lines = rg_str_n((const char *)input, n);
    struct rg_buf joined = {0};

    req.fields_n = 0;
    while (lines.p != NULL)
        add_field(rg_str_split(&lines, '\n'));
    bool accepts = rg_accepts_json(&req);

    for (size_t i = 0; i < req.fields_n; i++) {
        rg_buf_add_c(&joined, i > 0 ? " , " : "");
        rg_buf_add_str(&joined, req.fields[i].value);
    }
    if (req.fields_n > 0) {
        req.fields_n = 0;
        add_field(rg_buf_str(&joined));
        rg_assert(rg_accepts_json(&req) == accepts);
    }

    rg_buf_add_c(&joined, ",application/json");
    req.fields_n = 0;
    add_field(rg_buf_str(&joined));
    rg_assert(rg_accepts_json(&req));
    rg_buf_done(&joined);
    return 0;
}
