#include "auth/identity.h"

#include "base/alloc.h"
#include "event/json.h"

static struct rg_json claim_at(struct rg_json claims, const char *field)
{
    if (field[0] == '/')
        return rg_json_at(claims, rg_str_c(field));
    return rg_json_member(claims, rg_str_c(field));
}

/* A string that is not empty. */
static bool is_name(struct rg_json value)
{
    return value.kind == RG_JSON_STRING && value.text.n > 2;
}

/* Steps over the roles: the elements of a list, or the one string that stands for a list. */
static bool next_role(struct rg_json roles, struct rg_json_cursor *cursor, struct rg_json *ret)
{
    struct rg_str none;

    if (roles.kind == RG_JSON_STRING) {
        bool is_first = cursor->at == NULL;
        cursor->at = roles.text.p;
        *ret = roles;
        return is_first;
    }
    if (roles.kind != RG_JSON_ARRAY)
        return false;
    while (rg_json_next(roles, cursor, &none, ret)) {
        if (ret->kind == RG_JSON_STRING)
            return true;
    }
    return false;
}

static bool has(const struct rg_str *list, size_t n, struct rg_str s)
{
    for (size_t i = 0; i < n; i++) {
        if (rg_str_eq(list[i], s))
            return true;
    }
    return false;
}

static struct rg_str put(char **at, struct rg_str s)
{
    char *p = *at;

    memcpy(p, s.p, s.n);
    *at += s.n;
    return rg_str_n(p, s.n);
}

/* Texts are at most as long as their JSON, so this is enough for all of them. */
static struct rg_identity *allocate(struct rg_json user, struct rg_json roles,
                                    struct rg_str **ret_roles, char **ret_text)
{
    struct rg_json_cursor cursor = {0};
    struct rg_json role;
    size_t n = 0, text_n = user.text.n;

    while (next_role(roles, &cursor, &role)) {
        n++;
        text_n += role.text.n;
    }
    struct rg_identity *identity =
        rg_zalloc(sizeof(*identity) + n * sizeof(struct rg_str) + text_n);
    *ret_roles = (struct rg_str *)(identity + 1);
    *ret_text = (char *)(*ret_roles + n);
    identity->roles = *ret_roles;
    return identity;
}

static bool is_privileged(const struct rg_identity_fields *fields, struct rg_str role)
{
    for (size_t i = 0; i < fields->privileged_n; i++) {
        if (rg_str_eq(rg_str_c(fields->privileged[i]), role))
            return true;
    }
    return false;
}

struct rg_identity *rg_identity_new(const struct rg_identity_fields *fields, struct rg_str claims)
{
    struct rg_json root = {0}, user, roles, role;
    struct rg_json_cursor cursor = {0};
    struct rg_buf scratch = {0};
    struct rg_str *role_at;
    char *text_at;

    if (rg_json_check(claims, &root, NULL) < 0)
        root.kind = RG_JSON_NONE;
    user = claim_at(root, fields->user);
    roles = claim_at(root, fields->roles);
    struct rg_identity *identity = allocate(user, roles, &role_at, &text_at);

    if (is_name(user))
        identity->user = put(&text_at, rg_json_string(user, &scratch));
    /* Each is compared with all before it; the issuer of tokens writes few. */
    while (next_role(roles, &cursor, &role)) {
        rg_buf_clear(&scratch);
        struct rg_str name = rg_json_string(role, &scratch);
        if (has(identity->roles, identity->roles_n, name))
            continue;
        role_at[identity->roles_n++] = put(&text_at, name);
        identity->is_privileged |= is_privileged(fields, name);
    }
    rg_buf_done(&scratch);
    return identity;
}

void rg_identity_free(struct rg_identity **identityp)
{
    rg_free(RG_STEAL(*identityp));
}
