/*
 * matchkey.h - the one idea: a subscription is a set of match keys, an event
 * yields a handful of match keys, delivery is a hash lookup.
 *
 * A match key stands for (event type, set of fields, the fields' values). It is a
 * keyed 128-bit hash: equal keys mean equal text for every practical purpose, and
 * nobody outside can make two texts meet. The empty field set means "every
 * event of this type".
 *
 * Thread: any. The secret is set once at start.
 */
#pragma once

#include "base/hash.h"
#include "event/extractor.h"

struct rg_match_key {
    struct rg_hash128 h;
};

static inline bool rg_match_key_eq(struct rg_match_key a, struct rg_match_key b)
{
    return a.h.w[0] == b.h.w[0] && a.h.w[1] == b.h.w[1];
}

/* Chooses the secret at random. Before any other use and before other threads exist. */
void rg_match_key_init(void);

/* The key of "every event of this type"; it also names the type itself in tables. */
struct rg_match_key rg_match_key_of_type(struct rg_str event_type);

/*
 * The key of a channel's topic ("user:ada"), for messages to whoever has joined it. It is the key
 * of no event, whatever its type and fields. rg_match_key_of_channels() takes the place of the
 * type.
 */
struct rg_match_key rg_match_key_of_channel(struct rg_str topic);
struct rg_match_key rg_match_key_of_channels(void);

/*
 * Builds the key for a field set: begin, add each field of the set in ascending order of
 * its position in the extractor type, end. A field's value is a scalar JSON value; it is
 * normalised so that equal values (30, 30.0, 3e1; "a", "\u0061") give equal keys.
 */
struct rg_match_key_builder {
    struct rg_buf text; /* reused from key to key; rg_buf_done() it in the end */
};
void rg_match_key_begin(struct rg_match_key_builder *b, struct rg_match_key type_key,
                        uint64_t fields);
/* Returns 0, or RG_EINVAL where value is not a scalar (null, array, object, none). */
int rg_match_key_add(struct rg_match_key_builder *b, struct rg_json value);
struct rg_match_key rg_match_key_end(struct rg_match_key_builder *b);

/*
 * The key of the event that projector has just read, for one field set of its type.
 * Returns RG_ENOTFOUND if one of the fields has no scalar value in the event: then no
 * subscription with this field set can match.
 */
int rg_match_key_of_event(struct rg_match_key_builder *b, struct rg_match_key type_key,
                          const struct rg_extractor_type *type, uint64_t fields,
                          const struct rg_projector *projector, struct rg_match_key *ret);
