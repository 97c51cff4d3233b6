/*
 * session.h - which clients of one reactor belong to which session (client-api.md section 13).
 *
 * A session is found by its name, compared byte for byte. A client may belong to several; it leaves
 * them all when it ends, and never one alone. What a token means for a client is kept in a bond,
 * which only clients with a token have.
 *
 * A hub has two such indexes: one by session, and one by the jti of tokens where that is another
 * name than the session's, so that all that a token has opened can be closed.
 *
 * Thread: the reactor.
 */
#pragma once

#include "push/expiry.h"

struct rg_client;
struct rg_device;
struct rg_sessions;
struct rg_tie;

/* A client whose tokens keep changing their session ends here and connects again. */
#define RG_MAX_SESSIONS_PER_CLIENT 4096

/* The sessions of one client in one index. Zero-initialised, embedded. */
struct rg_ties {
    struct rg_tie *first; /* internal */
    uint32_t n;           /* sessions */
};

struct rg_bond {
    struct rg_ties sessions; /* in the hub's index of sessions */
    struct rg_ties tokens;   /* in that of tokens */
    struct rg_expiry expiry;
    int64_t since_ms;         /* 1970: when the client got its first token */
    struct rg_device *device; /* freed with the bond; NULL: not known */
};

/* An empty index. */
struct rg_sessions *rg_sessions_new(void);
/* Every client must have left. */
void rg_sessions_free(struct rg_sessions **sessionsp);

/*
 * Makes client (borrowed until it leaves), whose ties are given, one of those that belong to
 * the session of this name; nothing changes if it does already. Returns 1 if it is new there, 0 if
 * not, RG_EFULL if it belongs to too many.
 */
int rg_sessions_join(struct rg_sessions *sessions, struct rg_ties *ties, struct rg_client *client,
                     struct rg_str name);

/* Takes the client of these ties out of all its sessions. */
void rg_sessions_leave(struct rg_sessions *sessions, struct rg_ties *ties);

/* Calls fn for each client of the session. fn must not change the index. */
void rg_sessions_each(const struct rg_sessions *sessions, struct rg_str name,
                      void (*fn)(struct rg_client *client));

/* The same until fn returns false. */
void rg_sessions_walk(const struct rg_sessions *sessions, struct rg_str name,
                      bool (*fn)(void *arg, struct rg_client *client), void *arg);

/* Sessions that clients belong to. */
size_t rg_sessions_count(const struct rg_sessions *sessions);

/* True if the client of these ties belongs to the session of this name. */
bool rg_ties_have(const struct rg_ties *ties, struct rg_str name);

/* Calls fn with the name of each session that the client of these ties belongs to. */
void rg_ties_each(const struct rg_ties *ties, void (*fn)(void *arg, struct rg_str name), void *arg);
