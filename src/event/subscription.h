/*
 * subscription.h - what a client asks for, as match keys.
 *
 * Reads the subscription JSON of client-api.md section 8. A constraint's fields that
 * the extractors do not know, and those with value null, do not restrict; a
 * constraint with an array or object as value never matches.
 *
 * Thread: any. A subscription set is immutable once it was made and may be handed to
 * another thread; it has one owner.
 */
#pragma once

#include "event/matchkey.h"

/* One key with what an interest table must know about it. */
struct rg_subscription_key {
    struct rg_match_key key;
    struct rg_match_key type; /* rg_match_key_of_type() */
    uint64_t fields;          /* the field set; 0: every event of the type */
};

/* The key of whoever has joined a channel with this topic, which is not empty. */
struct rg_subscription_key rg_subscription_key_of_channel(struct rg_str topic);

struct rg_subscription_set {
    struct rg_subscription_key *keys; /* without duplicates */
    size_t keys_n;
    size_t subscriptions_n; /* as given, before they became keys */
    /* What rig.subscriptions_set tells the client: a JSON array of
     * {"eventType":...,"oneOf":[...]}, constraints as given (10.9). */
    struct rg_buf echo;
};

/*
 * Parses a JSON array of subscriptions into *ret, which the caller ends with
 * rg_subscription_set_free(). is_object_ok: also {"subscriptions":[...]} (7.3). A list of more
 * than max_subscriptions, counting constraints, is RG_EFULL. Errors: RG_ESYNTAX (not JSON),
 * RG_EINVAL (JSON, but not subscriptions) with the JSON pointer of the culprit in
 * why->place and the sentence of 8.3 in why->text.
 */
int rg_subscription_parse(const struct rg_extractors *extractors, struct rg_str json,
                          bool is_object_ok, size_t max_subscriptions,
                          struct rg_subscription_set **ret, struct rg_why *why);

/* As above for a value of text that was already checked. */
int rg_subscription_read(const struct rg_extractors *extractors, struct rg_json list,
                         size_t max_subscriptions, struct rg_subscription_set **ret,
                         struct rg_why *why);

/*
 * Puts the subscriptions of *firstp, which is freed, before those of set. A limit is not looked at.
 */
void rg_subscription_set_prepend(struct rg_subscription_set *set,
                                 struct rg_subscription_set **firstp);

/*
 * Drops subscriptions that were listed before (4.4): the same event type and constraints, maybe
 * spelled differently (white space, order of fields, escapes).
 */
void rg_subscription_set_unique(struct rg_subscription_set *set);

/* The empty set, owned by the caller. */
struct rg_subscription_set *rg_subscription_set_empty(void);
void rg_subscription_set_free(struct rg_subscription_set **setp);
