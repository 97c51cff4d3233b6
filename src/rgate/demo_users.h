/*
 * demo_users.h - the users of the development page: logging in, and being thrown out. Two are
 * customers, with events and a channel of their own; one is of their support and may join every
 * channel.
 *
 * Real tokens under the gateway's own key, and the real session blacklist; only the passwords are
 * missing.
 *
 * Thread: endpoints on any reactor.
 */
#pragma once

#include "auth/blacklist.h"
#include "http/server.h"

#define RG_DEMO_USER_ROUTES 2

/* The event type whose events belong to one user each, by the claim sub. */
#define RG_DEMO_PRIVATE_TYPE "message.private"

struct rg_demo_users {
    const char *alg;                /* JWT_ALG; only HS algorithms can make tokens */
    struct rg_str secret;           /* JWT_SECRET_KEY */
    struct rg_blacklist *blacklist; /* borrowed */
};

/* The user of the support. */
#define RG_DEMO_AGENT "sam"

/* The names of the customers, and how many there are. */
extern const char *const rg_demo_user_names[];
extern const size_t rg_demo_user_names_n;

/* Fills rows with "/_dev/login" and "/_dev/kick"; users is borrowed. */
void rg_demo_user_routes(struct rg_demo_users *users, struct rg_route rows[RG_DEMO_USER_ROUTES]);
