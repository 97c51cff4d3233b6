/*
 * interest.h - which reactors want which events: one table for the process.
 *
 * Whoever has an event (ingest, a reactor that got it over HTTP) asks once, here,
 * and puts the event into the inboxes of those reactors only. An event nobody wants
 * costs one failed lookup of its type. Per event type the table knows the distinct
 * field sets in use, so an event costs one lookup per field set, however many
 * subscriptions there are.
 *
 * Thread: reading, any that is registered with rcu.h (no lock, no waiting); writing,
 * any reactor, on the first and last subscriber of a key there (one short lock).
 */
#pragma once

#include "event/matchkey.h"
#include "event/subscription.h"

#define RG_MAX_REACTORS   64  /* a set of reactors is one 64-bit word */
#define RG_MAX_FIELD_SETS 256 /* per event type: bounds what one event can cost */

struct rg_interest;

struct rg_interest *rg_interest_new(void);
/* No thread may use the table any more. */
void rg_interest_free(struct rg_interest **interestp);

/*
 * Says that reactor now has its first subscriber of this key. In force for every lookup
 * that begins after the return. RG_EFULL if the type has RG_MAX_FIELD_SETS already.
 */
int rg_interest_add(struct rg_interest *interest, unsigned reactor,
                    const struct rg_subscription_key *key);

/* Says that reactor lost its last subscriber of this key. */
void rg_interest_remove(struct rg_interest *interest, unsigned reactor,
                        const struct rg_subscription_key *key);

/*
 * True if anybody wants events of this type; *ret_fields is then the union of the field sets in use
 * (0: only the type matters).
 */
bool rg_interest_of_type(struct rg_interest *interest, struct rg_str type, uint64_t *ret_fields);

/* What one event matches. */
struct rg_interest_match {
    struct rg_match_key key;
    uint64_t reactors; /* a bit each */
};

/*
 * Fills matches[] with the keys of the event in projector that some reactor wants and
 * returns their number (0: nobody). type is the event's type, extractor_type its
 * fields (NULL: none configured).
 */
size_t rg_interest_match(struct rg_interest *interest, struct rg_str type,
                         const struct rg_extractor_type *extractor_type,
                         const struct rg_projector *projector, struct rg_match_key_builder *builder,
                         struct rg_interest_match matches[RG_MAX_FIELD_SETS]);

/*
 * The two questions above for one event, with the type looked up once: first who wants the type at
 * all (false: nobody; fields as above), then who wants the event. Both inside of the same
 * rg_rcu_read_lock().
 */
struct rg_interest_view {
    struct rg_match_key type_key;
    const void *sets; /* internal */
};
bool rg_interest_look(struct rg_interest *interest, struct rg_str type,
                      struct rg_interest_view *ret, uint64_t *ret_fields);
size_t rg_interest_look_match(struct rg_interest *interest, const struct rg_interest_view *view,
                              const struct rg_extractor_type *extractor_type,
                              const struct rg_projector *projector,
                              struct rg_match_key_builder *builder,
                              struct rg_interest_match matches[RG_MAX_FIELD_SETS]);

/*
 * The reactors that want this key, a bit each: for messages that are addressed to a key, such as
 * those of channels, instead of matched by what they contain.
 */
uint64_t rg_interest_get(struct rg_interest *interest, struct rg_match_key key);

/* True if anybody has joined any channel. */
bool rg_interest_has_channels(struct rg_interest *interest);

/* Keys in the table, for metrics and tests. */
size_t rg_interest_count(const struct rg_interest *interest);
