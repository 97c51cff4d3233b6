/*
 * session.h - which clients of one reactor belong to which session (client-api.md section 13).
 *
 * A session is found by its name, compared byte for byte. A client may belong to several; it leaves
 * them all when it ends, and never one alone. What a token means for a client is kept in a bond,
 * which only clients with a token have.
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

struct rg_bond {
    struct rg_tie *ties; /* internal: to sessions */
    uint32_t ties_n;     /* internal */
    struct rg_expiry expiry;
    struct rg_device *device; /* freed with the bond; NULL: not known */
};

/* An empty index. */
struct rg_sessions *rg_sessions_new(void);
/* Every client must have left. */
void rg_sessions_free(struct rg_sessions **sessionsp);

/*
 * Makes client (borrowed until it leaves), whose bond is given, one of those that belong to
 * the session of this name; nothing changes if it does already. RG_EFULL if it belongs to too many.
 */
int rg_sessions_join(struct rg_sessions *sessions, struct rg_bond *bond, struct rg_client *client,
                     struct rg_str name);

/* Takes the client of this bond out of all its sessions. */
void rg_sessions_leave(struct rg_sessions *sessions, struct rg_bond *bond);

/* Calls fn for each client of the session. fn must not change the index. */
void rg_sessions_each(const struct rg_sessions *sessions, struct rg_str name,
                      void (*fn)(struct rg_client *client));

/* Sessions that clients belong to. */
size_t rg_sessions_count(const struct rg_sessions *sessions);
