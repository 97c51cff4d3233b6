/*
 * A session is in two maps, in both by the hash of its name: that of all sessions and, if its user
 * is known, that of its user's.
 */
#include "presence/directory.h"

#include <pthread.h>

#include "base/alloc.h"
#include "base/err.h"
#include "base/hash.h"
#include "base/map.h"

struct user {
    struct rg_map_link link;
    struct rg_map sessions;
    uint32_t n;
    char name[];
};

struct session {
    struct rg_map_link link;         /* in all sessions */
    struct rg_map_link link_of_user; /* in its user's, if there is one */
    struct user *user;               /* NULL: not known */
    int64_t since_ms;
    size_t connections;
    uint32_t n;
    char name[];
};

struct rg_directory {
    struct rg_hash_key hash_key;

    pthread_mutex_t lock; /* for all that follows */
    struct rg_map sessions, users;
};

struct rg_directory *rg_directory_new(void)
{
    struct rg_directory *directory = rg_zalloc(sizeof(*directory));

    rg_hash_key_random(&directory->hash_key);
    pthread_mutex_init(&directory->lock, NULL);
    return directory;
}

/* Never 0: as a cursor that is the first page. */
static uint64_t hash_of(const struct rg_directory *directory, struct rg_str name)
{
    uint64_t hash = rg_hash64(&directory->hash_key, name.p, name.n);

    return hash != 0 ? hash : 1;
}

static bool is_user(const struct rg_map_link *link, const void *name)
{
    const struct user *user = RG_CONTAINER_OF(link, const struct user, link);

    return rg_str_eq(rg_str_n(user->name, user->n), *(const struct rg_str *)name);
}

static struct user *find_user_locked(struct rg_directory *directory, struct rg_str name,
                                     uint64_t hash)
{
    struct rg_map_link *link = rg_map_find(&directory->users, hash, is_user, &name);

    return link != NULL ? RG_CONTAINER_OF(link, struct user, link) : NULL;
}

static struct user *need_user_locked(struct rg_directory *directory, struct rg_str name)
{
    uint64_t hash = hash_of(directory, name);
    struct user *user = find_user_locked(directory, name, hash);

    if (user != NULL)
        return user;
    user = rg_alloc(sizeof(*user) + name.n);
    *user = (struct user){.n = (uint32_t)name.n};
    memcpy(user->name, name.p, name.n);
    rg_map_add(&directory->users, &user->link, hash);
    return user;
}

static bool is_session(const struct rg_map_link *link, const void *name)
{
    const struct session *session = RG_CONTAINER_OF(link, const struct session, link);

    return rg_str_eq(rg_str_n(session->name, session->n), *(const struct rg_str *)name);
}

static struct session *find_locked(struct rg_directory *directory, struct rg_str name,
                                   uint64_t hash)
{
    struct rg_map_link *link = rg_map_find(&directory->sessions, hash, is_session, &name);

    return link != NULL ? RG_CONTAINER_OF(link, struct session, link) : NULL;
}

static struct session *need_locked(struct rg_directory *directory, struct rg_str name,
                                   uint64_t hash, int64_t now_ms)
{
    struct session *session = find_locked(directory, name, hash);

    if (session != NULL)
        return session;
    session = rg_alloc(sizeof(*session) + name.n);
    *session = (struct session){.since_ms = now_ms, .n = (uint32_t)name.n};
    if (name.n > 0)
        memcpy(session->name, name.p, name.n);
    rg_map_add(&directory->sessions, &session->link, hash);
    return session;
}

void rg_directory_enter(struct rg_directory *directory, struct rg_str session, struct rg_str user,
                        int64_t now_ms)
{
    uint64_t hash = hash_of(directory, session);

    pthread_mutex_lock(&directory->lock);
    struct session *entered = need_locked(directory, session, hash, now_ms);
    entered->connections++;
    if (entered->user == NULL && user.n > 0) {
        entered->user = need_user_locked(directory, user);
        rg_map_add(&entered->user->sessions, &entered->link_of_user, hash);
    }
    pthread_mutex_unlock(&directory->lock);
}

static void part_from_user_locked(struct rg_directory *directory, struct session *session)
{
    struct user *user = session->user;

    rg_map_remove(&user->sessions, &session->link_of_user);
    if (user->sessions.n > 0)
        return;
    rg_map_remove(&directory->users, &user->link);
    rg_map_done(&user->sessions);
    rg_free(user);
}

static void forget_locked(struct rg_directory *directory, struct session *session)
{
    if (session->user != NULL)
        part_from_user_locked(directory, session);
    rg_map_remove(&directory->sessions, &session->link);
    rg_free(session);
}

void rg_directory_leave(struct rg_directory *directory, struct rg_str session)
{
    uint64_t hash = hash_of(directory, session);

    pthread_mutex_lock(&directory->lock);
    struct session *left = find_locked(directory, session, hash);
    rg_assert(left != NULL);
    if (--left->connections == 0)
        forget_locked(directory, left);
    pthread_mutex_unlock(&directory->lock);
}

void rg_directory_free(struct rg_directory **directoryp)
{
    struct rg_directory *directory = RG_STEAL(*directoryp);

    if (directory == NULL)
        return;
    for (struct rg_map_link *link = rg_map_first(&directory->sessions, 0), *next; link != NULL;
         link = next) {
        next = rg_map_next(&directory->sessions, link);
        forget_locked(directory, RG_CONTAINER_OF(link, struct session, link));
    }
    rg_map_done(&directory->sessions);
    rg_map_done(&directory->users);
    pthread_mutex_destroy(&directory->lock);
    rg_free(directory);
}

/* ---- questions ---- */

/* All sessions, or those of a user; NULL if there is no such user. */
static const struct rg_map *sessions_locked(struct rg_directory *directory, struct rg_str user)
{
    struct user *found;

    if (user.n == 0)
        return &directory->sessions;
    found = find_user_locked(directory, user, hash_of(directory, user));
    return found != NULL ? &found->sessions : NULL;
}

size_t rg_directory_count(struct rg_directory *directory, struct rg_str user)
{
    pthread_mutex_lock(&directory->lock);
    const struct rg_map *sessions = sessions_locked(directory, user);
    size_t n = sessions != NULL ? sessions->n : 0;
    pthread_mutex_unlock(&directory->lock);
    return n;
}

struct listing {
    void (*fn)(void *arg, const struct rg_directory_session *session);
    void *arg;
};

static void show(const struct listing *listing, const struct session *session)
{
    const struct user *user = session->user;
    const struct rg_directory_session shown = {
        .session = {session->name, session->n},
        .user = user != NULL ? rg_str_n(user->name, user->n) : (struct rg_str){NULL, 0},
        .connections = session->connections,
        .since_ms = session->since_ms,
        .cursor = session->link.hash,
    };

    listing->fn(listing->arg, &shown);
}

static void show_any(void *listing, const struct rg_map_link *link)
{
    show(listing, RG_CONTAINER_OF(link, const struct session, link));
}

static void show_of_user(void *listing, const struct rg_map_link *link)
{
    show(listing, RG_CONTAINER_OF(link, const struct session, link_of_user));
}

size_t rg_directory_list(struct rg_directory *directory, struct rg_str user, uint64_t after,
                         size_t max, void (*fn)(void *arg, const struct rg_directory_session *),
                         void *arg)
{
    struct listing listing = {fn, arg};
    size_t n = 0;

    if (after == UINT64_MAX)
        return 0;
    pthread_mutex_lock(&directory->lock);
    const struct rg_map *sessions = sessions_locked(directory, user);
    if (sessions != NULL)
        n = rg_map_page(sessions, after + 1, max, user.n > 0 ? show_of_user : show_any, &listing);
    pthread_mutex_unlock(&directory->lock);
    return n;
}

bool rg_directory_find(struct rg_directory *directory, struct rg_str session,
                       void (*fn)(void *arg, const struct rg_directory_session *), void *arg)
{
    uint64_t hash = hash_of(directory, session);
    const struct listing listing = {fn, arg};

    pthread_mutex_lock(&directory->lock);
    struct session *found = find_locked(directory, session, hash);
    if (found != NULL)
        show(&listing, found);
    pthread_mutex_unlock(&directory->lock);
    return found != NULL;
}
