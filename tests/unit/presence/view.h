/*
 * view.h - what a client makes of presence_state and presence_diff, as phoenix.js does: metas are
 * told apart by their phx_ref and by nothing else.
 *
 * Anything that a client could not make sense of fails the test: a diff without changes, a meta
 * that joins twice, one that leaves without being there, one user twice in an object.
 */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "event/json.h"
#include "presence/roster.h"

#define VIEW_MAX  512
#define VIEW_USER 64

struct view {
    size_t n;
    struct view_meta {
        char ref[RG_PHX_REF_LEN + 1];
        char user[VIEW_USER]; /* the key, unescaped */
        int64_t number;       /* member "n" of the meta; -1: none */
    } metas[VIEW_MAX];
};

static inline struct rg_json view_parse(struct rg_str text)
{
    struct rg_json json;

    assert_int_equal(rg_json_check(text, &json, NULL), 0);
    assert_int_equal(json.kind, RG_JSON_OBJECT);
    return json;
}

static inline size_t view_find(const struct view *view, const char *ref)
{
    size_t i = 0;

    while (i < view->n && strcmp(view->metas[i].ref, ref) != 0)
        i++;
    return i;
}

static inline struct view_meta view_read_meta(const char *user, struct rg_json json)
{
    struct rg_json ref = rg_json_member(json, RG_STR("phx_ref"));
    struct rg_json n = rg_json_member(json, RG_STR("n"));
    struct view_meta meta = {.number = -1};
    struct rg_json_number number;

    strcpy(meta.user, user);
    assert_int_equal(ref.kind, RG_JSON_STRING);
    assert_int_equal(ref.text.n, RG_PHX_REF_LEN + 2);
    memcpy(meta.ref, ref.text.p + 1, RG_PHX_REF_LEN);
    if (n.kind == RG_JSON_NUMBER) {
        assert_int_equal(rg_json_number(n, &number), 0);
        meta.number = number.v.i;
    }
    return meta;
}

static inline void view_join(struct view *view, const struct view_meta *meta)
{
    assert_int_equal(view_find(view, meta->ref), view->n);
    assert_true(view->n < VIEW_MAX);
    view->metas[view->n++] = *meta;
}

static inline void view_leave(struct view *view, const struct view_meta *meta)
{
    size_t i = view_find(view, meta->ref);

    assert_true(i < view->n);
    assert_string_equal(view->metas[i].user, meta->user);
    assert_int_equal(view->metas[i].number, meta->number);
    view->metas[i] = view->metas[--view->n];
}

static inline void view_check_is_new(char users[][VIEW_USER], size_t *users_n, const char *user)
{
    for (size_t i = 0; i < *users_n; i++)
        assert_string_not_equal(users[i], user);
    assert_true(*users_n < VIEW_MAX);
    strcpy(users[(*users_n)++], user);
}

/* {"ada":{"metas":[...]}}: calls fn for each meta and returns how many there are. */
static inline size_t view_each(struct view *view, struct rg_json presences,
                               void (*fn)(struct view *view, const struct view_meta *meta))
{
    static _Thread_local char users[VIEW_MAX][VIEW_USER];
    struct rg_json_cursor cursor = {0};
    struct rg_str key, no_key;
    struct rg_json entry, meta;
    size_t users_n = 0, n = 0;

    assert_int_equal(presences.kind, RG_JSON_OBJECT);
    while (rg_json_next(presences, &cursor, &key, &entry)) {
        RG_CLEANUP(rg_buf_done) struct rg_buf user = {0};
        struct rg_json metas = rg_json_member(entry, RG_STR("metas"));
        struct rg_json_cursor at = {0};
        size_t before = n;

        rg_json_unescape((struct rg_json){RG_JSON_STRING, {key.p - 1, key.n + 2}}, &user);
        rg_buf_add_char(&user, '\0');
        assert_true(user.n <= VIEW_USER);
        view_check_is_new(users, &users_n, user.p);
        assert_int_equal(metas.kind, RG_JSON_ARRAY);
        for (; rg_json_next(metas, &at, &no_key, &meta); n++) {
            struct view_meta read = view_read_meta(user.p, meta);
            fn(view, &read);
        }
        assert_true(n > before);
    }
    return n;
}

static inline void view_set(struct view *view, struct rg_str state)
{
    view->n = 0;
    view_each(view, view_parse(state), view_join);
}

/* Returns how many changes there were. */
static inline size_t view_apply(struct view *view, struct rg_str diff)
{
    struct rg_json json = view_parse(diff);
    size_t n = view_each(view, rg_json_member(json, RG_STR("joins")), view_join);

    n += view_each(view, rg_json_member(json, RG_STR("leaves")), view_leave);
    assert_true(n > 0);
    return n;
}
