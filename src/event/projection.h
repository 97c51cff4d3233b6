/*
 * projection.h - the few values wanted from a JSON text, in one pass.
 *
 * A projection is a set of JSON pointers (RFC 6901), compiled into a tree of
 * names once. Applying it checks the whole text and picks up the values at
 * the pointers on the way: no tree of the text is built, and what no pointer
 * leads to is skipped over. Of duplicate names the first one counts; array
 * indices are "0" or a number without leading zero.
 *
 * Thread: building, one; a built projection is immutable and shared by all.
 * A projector holds the state of one pass and belongs to one thread.
 */
#pragma once

#include "event/json.h"

struct rg_projection;

/* An empty projection, owned by the caller. */
struct rg_projection *rg_projection_new(void);
void rg_projection_free(struct rg_projection **projectionp);

/*
 * Adds a pointer and returns its slot (0, 1, ...); the same pointer gives the same
 * slot. The empty pointer means the whole text. Returns RG_ESYNTAX for text that is not
 * a JSON pointer: not empty and not starting with '/', or '~' without 0 or 1.
 */
int rg_projection_add(struct rg_projection *projection, struct rg_str pointer);

size_t rg_projection_slots(const struct rg_projection *projection);

struct rg_projector;

/* projection is borrowed and must not change any more. */
struct rg_projector *rg_projector_new(const struct rg_projection *projection);
void rg_projector_free(struct rg_projector **projectorp);

/*
 * Checks text as rg_json_check() does and remembers the values at the pointers, which
 * are slices of text. Fills *ret_root (may be NULL) with the whole value.
 */
int rg_projector_run(struct rg_projector *projector, struct rg_str text, struct rg_json *ret_root,
                     struct rg_why *why);

/*
 * Told of each slot as it is filled (its value is there already); returning true ends the run.
 */
typedef bool rg_projector_found_fn(void *arg, int slot);

/*
 * As rg_projector_run(), but may be ended by found. Returns 1 then: what was found counts, what
 * follows in the text has not been looked at.
 */
int rg_projector_run_until(struct rg_projector *projector, struct rg_str text,
                           rg_projector_found_fn *found, void *arg, struct rg_json *ret_root,
                           struct rg_why *why);

/* What the last successful run found at a slot; kind RG_JSON_NONE if nothing. Borrowed from its
 * text. */
struct rg_json rg_projector_get(const struct rg_projector *projector, int slot);

/* True if a pointer leads to somewhere below pointer, so that rg_projector_run_below() is of use.
 */
bool rg_projector_leads_below(const struct rg_projector *projector, struct rg_str pointer);

/*
 * After a run: looks at text (JSON inside a JSON string, unescaped) as if it stood at
 * pointer, and fills the slots below it. What is not JSON leaves them empty: returns
 * RG_ESYNTAX or RG_EINVAL then, as rg_json_check() does. Slots that are already filled
 * stay as they are. text must outlive the use of the slots.
 */
int rg_projector_run_below(struct rg_projector *projector, struct rg_str pointer,
                           struct rg_str text);
