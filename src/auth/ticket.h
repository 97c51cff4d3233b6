/*
 * ticket.h - one-time tickets: a short-lived stand-in for a token in a URL.
 *
 * EventSource and WebSocket of a browser cannot send a header, so a token would have to stand in
 * the URL, where proxies and histories keep it. A ticket is worth nothing there: it works once, for
 * seconds, on this node.
 *
 * Thread: any; one lock, held for a look into a table.
 */
#pragma once

#include "base/buf.h"
#include "base/err.h"

struct rg_tickets;

/* lifetime_ms: TICKET_LIFETIME; max: how many may be outstanding at once. */
struct rg_tickets *rg_tickets_new(uint64_t lifetime_ms, size_t max);
void rg_tickets_free(struct rg_tickets **ticketsp);

#define RG_TICKET_LEN        43                         /* 256 random bits in base64url */
#define RG_TICKETS_MAX_BYTES ((size_t)64 * 1024 * 1024) /* of the tokens they stand for */

/*
 * Makes a ticket for a token, which is copied. RG_EFULL if too many are outstanding, or too many
 * bytes of tokens.
 */
int rg_tickets_issue(struct rg_tickets *tickets, struct rg_str token, uint64_t now_ms,
                     char ret[RG_TICKET_LEN + 1]);

/*
 * Redeems a ticket: it is gone afterwards. Returns 0 with its token appended to ret_token, or
 * RG_EDENIED for one that does not exist, was used, or is too old. The token is to be verified like
 * any other: it may have expired, its session may have been banned, its key withdrawn.
 */
int rg_tickets_redeem(struct rg_tickets *tickets, struct rg_str ticket, uint64_t now_ms,
                      struct rg_buf *ret_token);

uint64_t rg_tickets_lifetime_ms(const struct rg_tickets *tickets);

/* Appends metrics: issued, redeemed, refused. */
void rg_tickets_expose(const struct rg_tickets *tickets, struct rg_buf *out);
