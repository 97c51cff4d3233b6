/*
 * What a request for sessions says: the first line of the input as the name of a connection, the
 * rest as a query. What is accepted is within its limits and means the same when it is written
 * again.
 */
#include "push/session_admin.h"
#include "push/survey.h"

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t n);

static void read_id(struct rg_str id)
{
    struct rg_client_handle handle, again;
    struct rg_buf text = {0};

    if (rg_survey_read_id(id, 4, &handle) < 0)
        return;
    rg_assert(handle.reactor < 4);
    rg_survey_add_id(&text, handle);
    rg_assert(text.n <= id.n);
    rg_assert(rg_survey_read_id(rg_buf_str(&text), 4, &again) == 0);
    rg_assert(again.reactor == handle.reactor && again.slot == handle.slot &&
              again.generation == handle.generation);
    rg_buf_done(&text);
}

static void read_query(struct rg_str query)
{
    struct rg_session_query ret = {0};
    struct rg_why why = {0};
    int err = rg_session_query_read(query, &ret, &why);

    if (err == 0)
        rg_assert(ret.limit >= 1 && ret.limit <= 1000 && ret.user.n <= query.n);
    else
        rg_assert(err == RG_EINVAL && why.text[0] != '\0');
    rg_buf_done(&ret.user);
}

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t n)
{
    struct rg_str rest = rg_str_n((const char *)input, n);

    read_id(rg_str_split(&rest, '\n'));
    if (rest.p != NULL)
        read_query(rest);
    return 0;
}
