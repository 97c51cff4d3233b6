/*
 * envelope.h - CloudEvents: what an event says about itself.
 *
 * Versions 1.0, 0.2 and 0.1 in structured mode are read in one pass, checked
 * as client-api.md 11.2 asks and otherwise left alone: subscribers receive the
 * bytes that came in. Events in binary mode (attributes in headers) are turned
 * into structured text first.
 *
 * Thread: any; the projector belongs to the caller's thread.
 */
#pragma once

#include "event/extractor.h"

#define RG_CE_MAX_TYPE       4096 /* bytes of an event type, unescaped */
#define RG_CE_MAX_ATTRIBUTES 128  /* of an event in binary mode */

enum rg_ce_version {
    RG_CE_1_0,
    RG_CE_0_2,
    RG_CE_0_1
};

struct rg_envelope {
    enum rg_ce_version version;
    struct rg_str type; /* unescaped; borrowed from the text or from scratch */
    struct rg_str id;   /* unescaped; a number as its JSON text */
    struct rg_str text; /* the event as it came, white space around included (5.3) */
};

/*
 * Reads one structured event. projector must be of rg_extractors_projection(); afterwards
 * its slots hold what the extractors' pointers lead to (also into a `data` that is a
 * string of JSON text, where the content type says so). scratch is cleared and then holds
 * what had to be unescaped. Returns RG_ESYNTAX (not one JSON value), RG_EINVAL (JSON, but not
 * a CloudEvent: not an object, no version, type missing or empty, ...).
 */
int rg_envelope_parse(struct rg_projector *projector, struct rg_str text, struct rg_buf *scratch,
                      struct rg_envelope *ret, struct rg_why *why);

/*
 * True if the text that projector has just read to its end says that it is an event, rightly or
 * not: it has one of the attributes for the version. A text that could not be read says nothing.
 */
bool rg_envelope_is_claimed(const struct rg_projector *projector);

/*
 * Answers for one event's type: does anybody want it at all, and if so, which of the type's fields
 * are asked for anywhere (a bit each; none if *ret_type is NULL: the type has no fields).
 */
typedef bool rg_envelope_wanted_fn(void *arg, struct rg_str type,
                                   const struct rg_extractor_type **ret_type, uint64_t *ret_fields);

/*
 * Looks at an event only as far as it takes to tell who wants it. Returns 1 if wanted said nobody,
 * 2 if the values of all fields asked for are in the projector now, in both cases without having
 * looked at the rest of the text or filled *ret; otherwise what rg_envelope_parse() would, having
 * done the same.
 */
int rg_envelope_glance(struct rg_projector *projector, struct rg_str text,
                       rg_envelope_wanted_fn *wanted, void *arg, struct rg_buf *scratch,
                       struct rg_envelope *ret, struct rg_why *why);

/* One attribute of an event in binary mode: its name without prefix, lower case, and its value. */
struct rg_ce_attribute {
    struct rg_str name;
    struct rg_str value;
};

/*
 * Appends the structured form of an event in binary mode (client-api.md 11.3, and 17.6 if
 * is_kafka: the content type is always kept and data that does not parse becomes a string).
 * content_type is the header's value, empty if absent; an empty body means no data. Whether
 * the event has a type and an id is for rg_envelope_parse() to say, as for any other.
 *
 * Returns RG_EINVAL if there is no specversion 1.0 or 0.2 (from Kafka also 0.1 as
 * cloudeventsversion) among the attributes, if a name is not one, comes twice or is "data",
 * or if there are too many; RG_ESYNTAX or RG_EINVAL (too deep) for a JSON body that is not
 * JSON (HTTP only). out is unchanged then.
 */
int rg_envelope_compose(const struct rg_ce_attribute *attributes, size_t n,
                        struct rg_str content_type, struct rg_str body, bool is_kafka,
                        struct rg_buf *out, struct rg_why *why);

/* How a content type header asks for an event to be read (client-api.md 11.1, 17.2). */
enum rg_ce_mode {
    RG_CE_STRUCTURED,
    RG_CE_BINARY,
    RG_CE_BATCH,       /* application/cloudevents-batch: not supported */
    RG_CE_JSON_BATCH,  /* HTTP: application/cloudevents-batch+json, an array of structured events */
    RG_CE_UNSUPPORTED, /* application/cloudevents+<other> */
    RG_CE_NOT_A_TYPE   /* missing or not a media type */
};
enum rg_ce_mode rg_envelope_http_mode(struct rg_str content_type, bool has_ce_specversion);
enum rg_ce_mode rg_envelope_kafka_mode(struct rg_str content_type);
