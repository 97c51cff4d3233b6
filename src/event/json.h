/*
 * json.h - JSON text (RFC 8259) that is looked at but never turned into a tree.
 *
 * rg_json_check() says whether bytes are one JSON value; everything else here
 * works on text that passed it and therefore cannot fail on syntax. Values are
 * slices of the original text. No recursion; nesting is bounded by
 * RG_JSON_MAX_DEPTH. Strings must be valid UTF-8, because what a client sends as
 * an event ends up in WebSocket text frames, which must be.
 *
 * Thread: any; no state.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/str.h"

#define RG_JSON_MAX_DEPTH 64

enum rg_json_kind {
    RG_JSON_NONE, /* no value */
    RG_JSON_NULL,
    RG_JSON_FALSE,
    RG_JSON_TRUE,
    RG_JSON_NUMBER,
    RG_JSON_STRING,
    RG_JSON_ARRAY,
    RG_JSON_OBJECT
};

/* A value inside checked text: its kind and its exact bytes, without white space around. */
struct rg_json {
    enum rg_json_kind kind;
    struct rg_str text;
};

/* As a sentence names it: "a string", "null", "missing". Static storage. */
const char *rg_json_kind_name(enum rg_json_kind kind);

/*
 * Checks that text is exactly one JSON value with optional white space around and
 * fills *ret with it. A byte order mark is refused. Returns RG_ESYNTAX with the byte
 * offset in why->place ("byte 17") and what is wrong there; RG_EINVAL where nesting
 * is too deep.
 */
int rg_json_check(struct rg_str text, struct rg_json *ret, struct rg_why *why);

/*
 * One step of a walk over the members of an object or the elements of an array.
 * Start with a zeroed cursor; returns false at the end. key is the raw text
 * between the quotes, escapes included, and empty for arrays.
 */
struct rg_json_cursor {
    const char *at; /* NULL before the first step */
};
bool rg_json_next(struct rg_json container, struct rg_json_cursor *cursor, struct rg_str *key,
                  struct rg_json *value);

/* True if the raw key (or string content) between quotes, unescaped, equals plain. */
bool rg_json_key_eq(struct rg_str raw, struct rg_str plain);

/* First member of object with this (plain) name; kind RG_JSON_NONE if there is none. */
struct rg_json rg_json_member(struct rg_json object, struct rg_str name);

/*
 * What a JSON pointer (RFC 6901) leads to from root; kind RG_JSON_NONE if it leads nowhere. pointer
 * is empty or starts with '/'. Of duplicate names the first one counts.
 */
struct rg_json rg_json_at(struct rg_json root, struct rg_str pointer);

/*
 * Appends the content of a string value, unescaped. A lone surrogate escape becomes
 * U+FFFD. value.kind must be RG_JSON_STRING.
 */
void rg_json_unescape(struct rg_json value, struct rg_buf *out);

/*
 * The content of a string value: a slice of the text where it has no escapes, otherwise
 * unescaped into *scratch (appended; borrowed until scratch changes).
 */
struct rg_str rg_json_string(struct rg_json value, struct rg_buf *scratch);

/* Appends s as a JSON string with quotes. Bytes that are not UTF-8 become U+FFFD. */
void rg_json_add_string(struct rg_buf *out, struct rg_str s);

/*
 * A number by its value, so that 30, 30.0 and 3e1 are the same: an integer where it
 * is one and fits 64 bits, a double otherwise (client-api.md 10.2.3, 10.3).
 */
struct rg_json_number {
    bool is_integer;
    union {
        int64_t i;
        double d;
    } v;
};

/* Returns 0, or RG_EINVAL for a number longer than 512 bytes. value.kind must be RG_JSON_NUMBER. */
int rg_json_number(struct rg_json value, struct rg_json_number *ret);
