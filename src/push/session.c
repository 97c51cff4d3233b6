/*
 * Clients and sessions meet in ties. A tie stands in two lists: the session's, from which it can be
 * taken at any place, and its client's, which only grows until all of it goes.
 *
 *   map ---> session ---> tie <---> tie
 *                          |         |
 *               ties ------'         '---- ties of another client
 */
#include "push/session.h"

#include "base/alloc.h"
#include "base/err.h"
#include "base/hash.h"
#include "base/map.h"

struct session {
    struct rg_map_link link;
    struct rg_tie *ties; /* never empty */
    size_t n;
    char name[];
};

struct rg_tie {
    struct session *session;
    struct rg_client *client;
    struct rg_tie *prev, *next;    /* of the same session */
    struct rg_tie *next_of_client; /* of the same client */
};

struct rg_sessions {
    struct rg_map map;
    struct rg_hash_key hash_key;
};

struct rg_sessions *rg_sessions_new(void)
{
    struct rg_sessions *sessions = rg_zalloc(sizeof(*sessions));

    rg_hash_key_random(&sessions->hash_key);
    return sessions;
}

void rg_sessions_free(struct rg_sessions **sessionsp)
{
    struct rg_sessions *sessions = RG_STEAL(*sessionsp);

    if (sessions == NULL)
        return;
    rg_assert(sessions->map.n == 0);
    rg_map_done(&sessions->map);
    rg_free(sessions);
}

static struct rg_str name_of(const struct session *session)
{
    return rg_str_n(session->name, session->n);
}

static bool has_name(const struct rg_map_link *link, const void *name)
{
    const struct session *session = RG_CONTAINER_OF(link, const struct session, link);

    return rg_str_eq(name_of(session), *(const struct rg_str *)name);
}

static struct session *find(const struct rg_sessions *sessions, struct rg_str name, uint64_t hash)
{
    struct rg_map_link *link = rg_map_find(&sessions->map, hash, has_name, &name);
    return link != NULL ? RG_CONTAINER_OF(link, struct session, link) : NULL;
}

static struct session *get(struct rg_sessions *sessions, struct rg_str name)
{
    uint64_t hash = rg_hash64(&sessions->hash_key, name.p, name.n);
    struct session *session = find(sessions, name, hash);

    if (session == NULL) {
        session = rg_alloc(sizeof(*session) + name.n);
        session->ties = NULL;
        session->n = name.n;
        memcpy(session->name, name.p, name.n);
        rg_map_add(&sessions->map, &session->link, hash);
    }
    return session;
}

bool rg_ties_have(const struct rg_ties *ties, struct rg_str name)
{
    for (const struct rg_tie *tie = ties->first; tie != NULL; tie = tie->next_of_client) {
        if (rg_str_eq(name_of(tie->session), name))
            return true;
    }
    return false;
}

void rg_ties_each(const struct rg_ties *ties, void (*fn)(void *arg, struct rg_str name), void *arg)
{
    for (const struct rg_tie *tie = ties->first; tie != NULL; tie = tie->next_of_client)
        fn(arg, name_of(tie->session));
}

int rg_sessions_join(struct rg_sessions *sessions, struct rg_ties *ties, struct rg_client *client,
                     struct rg_str name)
{
    if (rg_ties_have(ties, name))
        return 0;
    if (ties->n == RG_MAX_SESSIONS_PER_CLIENT)
        return RG_EFULL;
    struct session *session = get(sessions, name);
    struct rg_tie *tie = rg_alloc(sizeof(*tie));
    *tie = (struct rg_tie){session, client, NULL, session->ties, ties->first};
    if (session->ties != NULL)
        session->ties->prev = tie;
    session->ties = tie;
    ties->first = tie;
    ties->n++;
    return 1;
}

/* The last tie takes the session along. */
static void untie(struct rg_sessions *sessions, struct rg_tie *tie)
{
    struct session *session = tie->session;

    if (tie->next != NULL)
        tie->next->prev = tie->prev;
    if (tie->prev != NULL)
        tie->prev->next = tie->next;
    else
        session->ties = tie->next;
    if (session->ties == NULL) {
        rg_map_remove(&sessions->map, &session->link);
        rg_free(session);
    }
    rg_free(tie);
}

void rg_sessions_leave(struct rg_sessions *sessions, struct rg_ties *ties)
{
    while (ties->first != NULL) {
        struct rg_tie *tie = ties->first;
        ties->first = tie->next_of_client;
        untie(sessions, tie);
    }
    ties->n = 0;
}

static const struct rg_tie *first_tie(const struct rg_sessions *sessions, struct rg_str name)
{
    const struct session *session =
        find(sessions, name, rg_hash64(&sessions->hash_key, name.p, name.n));

    return session != NULL ? session->ties : NULL;
}

void rg_sessions_each(const struct rg_sessions *sessions, struct rg_str name,
                      void (*fn)(struct rg_client *client))
{
    for (const struct rg_tie *tie = first_tie(sessions, name); tie != NULL; tie = tie->next)
        fn(tie->client);
}

void rg_sessions_walk(const struct rg_sessions *sessions, struct rg_str name,
                      bool (*fn)(void *arg, struct rg_client *client), void *arg)
{
    for (const struct rg_tie *tie = first_tie(sessions, name); tie != NULL; tie = tie->next) {
        if (!fn(arg, tie->client))
            return;
    }
}

size_t rg_sessions_count(const struct rg_sessions *sessions)
{
    return sessions->map.n;
}
