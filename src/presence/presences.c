#include "presence/presences_priv.h"

#include "base/base64.h"
#include "base/random.h"

static char *meta_of(struct rg_presences *presences)
{
    return (char *)&presences->at[presences->n];
}

static bool is_space(char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

/* The members of a JSON object, without braces and white space around. */
static struct rg_str members_of(struct rg_str object)
{
    rg_assert(object.n >= 2 && object.p[0] == '{' && object.p[object.n - 1] == '}');
    struct rg_str members = {object.p + 1, object.n - 2};
    while (members.n > 0 && is_space(members.p[0]))
        members = rg_str_n(members.p + 1, members.n - 1);
    while (members.n > 0 && is_space(members.p[members.n - 1]))
        members.n--;
    return members;
}

struct rg_presences *rg_presences_new(const struct rg_roster_entrant *entrant)
{
    struct rg_str members = members_of(entrant->meta);
    size_t at_bytes = entrant->topics_n * sizeof(struct rg_presence);
    struct rg_presences *presences;

    rg_assert(entrant->topics_n <= INT32_MAX && members.n < UINT32_MAX - 2);
    presences = rg_alloc(sizeof(*presences) + at_bytes + members.n + 2);
    *presences = (struct rg_presences){.refs = 1, .n = (uint32_t)entrant->topics_n};
    for (uint32_t i = 0; i < presences->n; i++) {
        presences->at[i] = (struct rg_presence){.i = i};
        rg_random_bytes(presences->at[i].ref, RG_REF_BYTES);
    }
    char *meta = meta_of(presences);
    *meta = '{';
    memcpy(meta + 1, members.p, members.n);
    meta[1 + members.n] = ',';
    presences->meta_n = (uint32_t)(members.n > 0 ? members.n + 2 : 1);
    return presences;
}

void rg_presences_ref(const struct rg_presences *presences, size_t i, char out[RG_PHX_REF_LEN + 1])
{
    RG_CLEANUP(rg_buf_done) struct rg_buf ref = {0};

    rg_assert(i < presences->n);
    rg_base64_add(&ref, presences->at[i].ref, RG_REF_BYTES);
    rg_assert(ref.n == RG_PHX_REF_LEN);
    memcpy(out, ref.p, ref.n);
    out[RG_PHX_REF_LEN] = '\0';
}

void rg_presence_add_meta(struct rg_buf *out, const struct rg_presence *presence)
{
    struct rg_presences *presences = rg_presences_of(presence);

    rg_buf_add(out, meta_of(presences), presences->meta_n);
    rg_buf_add_c(out, "\"phx_ref\":\"");
    rg_base64_add(out, presence->ref, RG_REF_BYTES);
    rg_buf_add_c(out, "\"}");
}
