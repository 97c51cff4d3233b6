/*
 * announce.h - what the roster has to say, on its way to those who watch.
 *
 * Functions for struct rg_roster_settings, with the struct rg_push as arg: they run under the
 * roster's lock, on whatever thread changed it. What waits is announced by the first hub's reactor,
 * which the announcer wakes.
 *
 * Thread: any registered with rcu.h, unless it says otherwise.
 */
#pragma once

#include "presence/roster.h"

struct rg_announcer;
struct rg_hub;
struct rg_push;

/* True if anybody has joined the channel with this topic. */
bool rg_announce_is_watched(void *arg, struct rg_str topic);

/* Posts presence_diff to every reactor where somebody has. */
void rg_announce_diff(void *arg, const struct rg_roster_diff *diff);

/* Lets a reactor flush the roster at due_ms (rg_clock_mono_ms()). */
void rg_announce_wait(void *arg, uint64_t due_ms);

/* push is borrowed, and need not be complete yet. */
struct rg_announcer *rg_announcer_new(struct rg_push *push);
void rg_announcer_free(struct rg_announcer **announcerp);

/*
 * hub, whose reactor has ended, is about to be freed: what still waits on it is never announced.
 * Thread: the one that frees it.
 */
void rg_announcer_stop(struct rg_announcer *announcer, const struct rg_hub *hub);
