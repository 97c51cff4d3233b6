/*
 * networks.h - sets of addresses: "10.0.0.0/8", "2001:db8::/32", "192.0.2.7" (RFC 4632, RFC 4291).
 *
 * IPv4 in IPv6 form counts as IPv4.
 *
 * Thread: building, one; then shared by all.
 */
#pragma once

#include "base/err.h"
#include "base/str.h"

struct rg_networks;

/* An empty set. */
struct rg_networks *rg_networks_new(void);
void rg_networks_free(struct rg_networks **networksp);

/* Adds a network or an address; RG_ESYNTAX with why (text: what is wrong) where it is neither. */
int rg_networks_add(struct rg_networks *networks, struct rg_str text, struct rg_why *why);

/* Whether an address, as text without port and brackets, is in one of them. NULL: in none. */
bool rg_networks_has(const struct rg_networks *networks, struct rg_str address);
