/* Requests to ban a session. The input is a content-type, LF, and a body. */
#include <stdlib.h>

#include "base/utf8.h"
#include "ops/session_blacklist.h"

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t n)
{
    struct rg_str body = rg_str_n((const char *)input, n);
    struct rg_str type = rg_str_split(&body, '\n');
    struct rg_buf session = {0};
    struct rg_why why = {0};
    uint64_t seconds = 0;
    int err = rg_session_blacklist_read(type, body, &session, &seconds, &why);

    if (err == 0) {
        rg_assert(session.n > 0 && session.n <= RG_SESSION_MAX);
        rg_assert(rg_utf8_is_valid(rg_buf_str(&session)));
        rg_assert(seconds >= 1 && seconds <= RG_BLACKLIST_MAX_SECONDS);
    } else {
        rg_assert(err == RG_EINVAL || err == RG_ESYNTAX || err == RG_ENOTFOUND);
        /* What goes into the answer is text, however much of a value it repeats. */
        rg_assert((err == RG_EINVAL) == (why.text[0] != '\0'));
        rg_assert(rg_utf8_is_valid(rg_str_c(why.text)));
    }
    rg_buf_done(&session);
    return 0;
}
