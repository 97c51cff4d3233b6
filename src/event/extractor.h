/*
 * extractor.h - which fields of which event types subscriptions may ask for.
 *
 * The compiled form of EXTRACTORS (client-api.md 10.1): per event type a few
 * named fields, each with a JSON pointer into the event and maybe one into a
 * token's claims. Immutable once built.
 *
 * Thread: building, one; then shared by all.
 */
#pragma once

#include "base/err.h"
#include "base/option.h"
#include "event/projection.h"

#define RG_MAX_FIELDS 64 /* per event type: a set of fields is one 64-bit word */

struct rg_extractor_field {
    char *name;
    int slot;          /* of its pointer in rg_extractors_projection() */
    char *jwt_pointer; /* NULL: not taken from tokens */
    int64_t stable_index;
};

struct rg_extractor_type {
    char *name;
    size_t name_n;
    struct rg_extractor_field *fields; /* ordered by stable_index */
    size_t fields_n;
};

struct rg_extractors;

/*
 * Builds from the JSON text of EXTRACTORS (already read if it was a file); NULL p means no
 * extractors. On a mistake returns NULL and adds every problem found (event type, field
 * and what is expected) under the variable EXTRACTORS.
 */
struct rg_extractors *rg_extractors_new(struct rg_str json, struct rg_problems *problems);
void rg_extractors_free(struct rg_extractors **extractorsp);

/* The fields of an event type; NULL if it has none configured. */
const struct rg_extractor_type *rg_extractors_find(const struct rg_extractors *extractors,
                                                   struct rg_str event_type);

/* All types, for automatic subscriptions and for `rgate check`. */
size_t rg_extractors_count(const struct rg_extractors *extractors);
const struct rg_extractor_type *rg_extractors_at(const struct rg_extractors *extractors, size_t i);

/*
 * The projection that yields the envelope's attributes (slots RG_SLOT_*, below) and the
 * pointers of all fields in one pass.
 */
const struct rg_projection *rg_extractors_projection(const struct rg_extractors *extractors);

/* The first slots of that projection: the attributes of an envelope, and what messages have
 * instead.
 */
enum {
    RG_SLOT_SPECVERSION,     /* /specversion        1.0, 0.2 */
    RG_SLOT_TYPE,            /* /type               1.0, 0.2 */
    RG_SLOT_ID,              /* /id                 1.0, 0.2 */
    RG_SLOT_OLD_VERSION,     /* /cloudEventsVersion 0.1 */
    RG_SLOT_OLD_TYPE,        /* /eventType          0.1 */
    RG_SLOT_OLD_ID,          /* /eventID            0.1 */
    RG_SLOT_CONTENTTYPE,     /* /contenttype        0.2 */
    RG_SLOT_OLD_CONTENTTYPE, /* /contentType      0.1 */
    RG_SLOT_DATACONTENTTYPE, /* /datacontenttype  1.0 */
    RG_SLOT_SOURCE,          /* /source             all */
    RG_SLOT_DATA,            /* /data               all */
    RG_SLOT_USERNAME,        /* /username           of what is no event, see addressees.h */
    RG_SLOT_ROLES,           /* /roles */
    RG_SLOT_ENVELOPE_COUNT
};
