/*
 * directory.h - which sessions have open connections, for all reactors of the process.
 *
 * A session is named by a claim of a token (JWT_SESSION_FIELD); several connections may belong to
 * it. Here are only their number, the user's name and since when: what a connection is like, its
 * reactor knows.
 *
 * Thread: any. One lock, held for a table step or one page of a list.
 */
#pragma once

#include <stdbool.h>

#include "base/str.h"

struct rg_directory;

struct rg_directory *rg_directory_new(void);
void rg_directory_free(struct rg_directory **directoryp);

/* One more connection of session; user (n == 0: not known) counts where none was known yet. */
void rg_directory_enter(struct rg_directory *directory, struct rg_str session, struct rg_str user,
                        int64_t now_ms);
/* One less; the last takes the session along. */
void rg_directory_leave(struct rg_directory *directory, struct rg_str session);

/* Sessions; of this user if user.n > 0. */
size_t rg_directory_count(struct rg_directory *directory, struct rg_str user);

struct rg_directory_session {
    struct rg_str session, user; /* user.n == 0: not known */
    size_t connections;
    int64_t since_ms; /* 1970: of the oldest connection when it came */
    uint64_t cursor;  /* for the page behind it */
};

/*
 * Up to max sessions (of this user if user.n > 0) behind cursor after (0: the first page), in an
 * order that does not change while they are there. Returns how many; fewer than max: there are no
 * more. What fn gets is borrowed for its call; it must not call the directory.
 */
size_t rg_directory_list(struct rg_directory *directory, struct rg_str user, uint64_t after,
                         size_t max, void (*fn)(void *arg, const struct rg_directory_session *),
                         void *arg);

/* Calls fn with this session, if it is there; false if not. */
bool rg_directory_find(struct rg_directory *directory, struct rg_str session,
                       void (*fn)(void *arg, const struct rg_directory_session *), void *arg);
