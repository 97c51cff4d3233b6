#include "event/addressees.h"

#include <stdio.h>

#define PREFIX_N 5 /* of "user:" and "role:" */

static bool is_there(const struct rg_projector *projector, int slot)
{
    enum rg_json_kind kind = rg_projector_get(projector, slot).kind;

    return kind != RG_JSON_NONE && kind != RG_JSON_NULL;
}

bool rg_addressees_are_named(const struct rg_projector *projector)
{
    return is_there(projector, RG_SLOT_USERNAME) || is_there(projector, RG_SLOT_ROLES);
}

static bool is_listed(const struct rg_addressees *list, struct rg_str topic)
{
    for (size_t i = 0; i < list->n; i++) {
        if (rg_str_eq(list->topics[i], topic))
            return true;
    }
    return false;
}

/* Adds the topic of a name that is a string or a number. scratch has room for it. */
static int add(struct rg_addressees *list, const char *prefix, struct rg_json name,
               struct rg_buf *scratch, struct rg_why *why)
{
    size_t start = scratch->n;

    rg_buf_add(scratch, prefix, PREFIX_N);
    if (name.kind == RG_JSON_STRING)
        rg_json_unescape(name, scratch);
    else
        rg_buf_add_str(scratch, name.text);
    struct rg_str topic = rg_str_n(scratch->p + start, scratch->n - start);
    if (topic.n == PREFIX_N)
        return rg_why_set(why, RG_EINVAL, "", "a name must not be empty");
    if (is_listed(list, topic)) {
        scratch->n = start;
        return 0;
    }
    if (list->n == RG_MAX_ADDRESSEES)
        return rg_why_set(why, RG_EFULL, "", "a message is for %d users and roles at most",
                          RG_MAX_ADDRESSEES);
    list->topics[list->n++] = topic;
    return 0;
}

static int add_user(struct rg_addressees *list, struct rg_json user, struct rg_buf *scratch,
                    struct rg_why *why)
{
    if (user.kind != RG_JSON_STRING && user.kind != RG_JSON_NUMBER)
        return rg_why_set(why, RG_EINVAL, "", "username must be a string or a number, not %s",
                          rg_json_kind_name(user.kind));
    return add(list, "user:", user, scratch, why);
}

static int add_role(struct rg_addressees *list, struct rg_json role, struct rg_buf *scratch,
                    struct rg_why *why)
{
    if (role.kind != RG_JSON_STRING)
        return rg_why_set(why, RG_EINVAL, "", "a role must be a string, not %s",
                          rg_json_kind_name(role.kind));
    return add(list, "role:", role, scratch, why);
}

static int add_roles(struct rg_addressees *list, struct rg_json roles, struct rg_buf *scratch,
                     struct rg_why *why)
{
    struct rg_json_cursor cursor = {0};
    struct rg_json role;
    struct rg_str none;
    int err = 0;

    if (roles.kind != RG_JSON_ARRAY)
        return add_role(list, roles, scratch, why);
    while (err == 0 && rg_json_next(roles, &cursor, &none, &role))
        err = add_role(list, role, scratch, why);
    return err;
}

/* So that what is complained of can be found in a text with both. */
static int at(const char *place, int err, struct rg_why *why)
{
    if (err < 0 && why != NULL)
        snprintf(why->place, sizeof(why->place), "%s", place);
    return err;
}

int rg_addressees_read(const struct rg_projector *projector, struct rg_buf *scratch,
                       struct rg_addressees *ret, struct rg_why *why)
{
    struct rg_json user = rg_projector_get(projector, RG_SLOT_USERNAME);
    struct rg_json roles = rg_projector_get(projector, RG_SLOT_ROLES);
    int err = 0;

    ret->n = 0;
    rg_buf_clear(scratch);
    /* So that no topic moves: those in the list, and the name behind the last that has a place. */
    rg_buf_reserve(scratch, user.text.n + roles.text.n + (RG_MAX_ADDRESSEES + 1) * PREFIX_N);
    if (is_there(projector, RG_SLOT_USERNAME))
        err = at("/username", add_user(ret, user, scratch, why), why);
    if (err == 0 && is_there(projector, RG_SLOT_ROLES))
        err = at("/roles", add_roles(ret, roles, scratch, why), why);
    if (err == 0 && ret->n == 0)
        err = rg_why_set(why, RG_EINVAL, "", "there is neither a username nor a role");
    return err;
}
