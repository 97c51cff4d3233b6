/*
 * announce.h - what the roster has to say, on its way to those who watch.
 *
 * Functions for struct rg_roster_settings, with the struct rg_push as arg: they run under the
 * roster's lock, on whatever thread changed it.
 *
 * Thread: any registered with rcu.h.
 */
#pragma once

#include "presence/roster.h"

/* True if anybody has joined the channel with this topic. */
bool rg_announce_is_watched(void *arg, struct rg_str topic);

/* Posts presence_diff to every reactor where somebody has. */
void rg_announce_diff(void *arg, const struct rg_roster_diff *diff);

/* Lets a reactor flush the roster at due_ms (rg_clock_mono_ms()). */
void rg_announce_wait(void *arg, uint64_t due_ms);
