#include "presence/ring_priv.h"

#include "event/json.h"

static bool is_of_user(const struct rg_map_link *link, const void *user)
{
    return rg_presence_user(rg_ring_of(link)) == user;
}

struct rg_presence *rg_ring_find(const struct rg_map *rings, const struct rg_user *user)
{
    struct rg_map_link *link = rg_map_find(rings, user->link.hash, is_of_user, user);

    return link != NULL ? rg_ring_of(link) : NULL;
}

void rg_ring_add(struct rg_map *rings, struct rg_presence *presence)
{
    const struct rg_user *user = rg_presence_user(presence);
    struct rg_presence *first = rg_ring_find(rings, user);

    presence->is_first = first == NULL;
    if (first == NULL) {
        presence->next = presence->prev = presence;
        rg_map_add(rings, &presence->link, user->link.hash);
        return;
    }
    presence->next = first;
    presence->prev = first->prev;
    presence->prev->next = presence->next->prev = presence;
}

void rg_ring_take(struct rg_map *rings, struct rg_presence *presence)
{
    struct rg_presence *next = presence->next;

    if (presence->is_first) {
        rg_map_remove(rings, &presence->link);
        presence->is_first = false;
        if (next != presence) {
            next->is_first = true;
            rg_map_add(rings, &next->link, rg_presence_user(next)->link.hash);
        }
    }
    presence->prev->next = next;
    next->prev = presence->prev;
}

size_t rg_ring_count(const struct rg_presence *first)
{
    const struct rg_presence *presence = first;
    size_t n = 0;

    if (first == NULL)
        return 0;
    do {
        n++;
        presence = presence->next;
    } while (presence != first);
    return n;
}

/* ---- as JSON ---- */

/* Between members and elements, all of which are objects here or end with one. */
static void add_comma(struct rg_buf *out)
{
    if (out->p[out->n - 1] == '}')
        rg_buf_add_char(out, ',');
}

void rg_ring_add_metas(struct rg_buf *out, const struct rg_presence *first)
{
    const struct rg_presence *presence = first;

    do {
        add_comma(out);
        rg_presence_add_meta(out, presence);
        presence = presence->next;
    } while (presence != first);
}

static void begin_user(struct rg_buf *out, const struct rg_user *user)
{
    add_comma(out);
    rg_json_add_string(out, rg_user_name(user));
    rg_buf_add_c(out, ":{\"metas\":[");
}

static void end_user(struct rg_buf *out)
{
    rg_buf_add_c(out, "]}");
}

void rg_ring_add_all(struct rg_buf *out, const struct rg_map *rings)
{
    rg_buf_add_char(out, '{');
    for (struct rg_map_link *link = rg_map_first(rings, 0); link != NULL;
         link = rg_map_next(rings, link)) {
        begin_user(out, rg_presence_user(rg_ring_of(link)));
        rg_ring_add_metas(out, rg_ring_of(link));
        end_user(out);
    }
    rg_buf_add_char(out, '}');
}

static void tell_joined(struct rg_buf *out, struct rg_presence *presence)
{
    add_comma(out);
    rg_presence_add_meta(out, presence);
    presence->joined = 0;
}

void rg_ring_add_joined(struct rg_buf *out, struct rg_presence *const *joined, size_t n)
{
    rg_buf_add_char(out, '{');
    for (size_t i = 0; i < n; i++) {
        struct rg_presence *presence = joined[i];
        if (presence->joined == 0)
            continue; /* has been told with another of its ring */
        begin_user(out, rg_presence_user(presence));
        tell_joined(out, presence);
        /* Within a ring they stand together: they are the newest. */
        for (struct rg_presence *next = presence->next; next->joined != 0; next = next->next)
            tell_joined(out, next);
        for (struct rg_presence *prev = presence->prev; prev->joined != 0; prev = prev->prev)
            tell_joined(out, prev);
        end_user(out);
    }
    rg_buf_add_char(out, '}');
}
