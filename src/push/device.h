/*
 * device.h - what is known of whoever is at the other end of a connection.
 *
 * Kept for connections with a token only, for the session API and for presence.
 *
 * Thread: any; immutable.
 */
#pragma once

#include "base/str.h"

struct rg_exchange;

#define RG_DEVICE_MAX_AGENT 256 /* bytes; a longer user agent is cut at a character */

/* One allocation, with its texts. */
struct rg_device {
    int64_t since_ms;      /* 1970: when the connection came */
    struct rg_str address; /* the peer's IP address; n == 0: not known */
    struct rg_str agent;   /* its user-agent; n == 0: it did not say */
};

/* now_ms is since 1970. Bytes of agent that are not UTF-8 become U+FFFD. The caller owns it. */
struct rg_device *rg_device_new(struct rg_str address, struct rg_str agent, int64_t now_ms);
/* The same of the request that exchange is about, in its handler. */
struct rg_device *rg_device_of(const struct rg_exchange *exchange);
void rg_device_free(struct rg_device **devicep);

/* What a user agent names itself: "Chrome", "Firefox", "Safari", "Edge", ... or "other". */
const char *rg_device_browser(struct rg_str agent);
/* "mobile", "tablet", "desktop", or "other" for what is no browser. */
const char *rg_device_kind(struct rg_str agent);
