/*
 * h1_fields_priv.h - what heads of requests (h1.c) and of answers (h1_response.c) have in common:
 * bytes taken one after the other, field lines, and the fields that decide about framing.
 *
 * Functions that fail return the sentence that says why; the caller says where.
 *
 * Thread: any; no state.
 */
#pragma once

#include "base/buf.h"
#include "http/class_priv.h"
#include "http/request.h"

#define RG_H1_MAX_LENGTH_DIGITS 19 /* fit into 64 bits whatever they are */

/* What of a head is not parsed yet. */
struct rg_h1_cursor {
    const char *p;
    const char *end;
};

/* Takes the longest run of bytes of this class. */
static inline struct rg_str rg_h1_take(struct rg_h1_cursor *at, unsigned char class)
{
    const char *start = at->p;
    const char *p = start;

    while (p < at->end && is(*p, class))
        p++;
    at->p = p;
    return rg_str_n(start, (size_t)(p - start));
}

static inline bool rg_h1_take_char(struct rg_h1_cursor *at, char c)
{
    if (at->p == at->end || *at->p != c)
        return false;
    at->p++;
    return true;
}

static inline bool rg_h1_take_crlf(struct rg_h1_cursor *at)
{
    if (at->end - at->p < 2 || at->p[0] != '\r' || at->p[1] != '\n')
        return false;
    at->p += 2;
    return true;
}

static inline bool rg_h1_take_text(struct rg_h1_cursor *at, struct rg_str text)
{
    if (!rg_str_starts_with(rg_str_n(at->p, (size_t)(at->end - at->p)), text))
        return false;
    at->p += text.n;
    return true;
}

bool rg_h1_is_all(struct rg_str s, unsigned char class);

/* The fields that say where a message ends and what becomes of its connection. */
struct rg_h1_framing_fields {
    unsigned lengths, codings; /* how often each came */
    uint64_t length;
    struct rg_str coding;
    bool says_close;
    bool says_keep_alive;
};

/* Takes one field line. Returns NULL, or what is wrong with it. */
const char *rg_h1_take_field(struct rg_h1_cursor *at, struct rg_http_field *ret);

/* Notes the field if it is one of these. Returns NULL, or what is wrong with it. */
const char *rg_h1_note_framing(struct rg_h1_framing_fields *framing,
                               const struct rg_http_field *field);

/*
 * Checks the transfer coding against the rest of the head (RFC 9112 6.1): none, or exactly chunked.
 * Sets *ret_chunked; returns NULL or what is wrong. A well-formed list of other codings is wrong,
 * too, and sets *ret_unknown.
 */
const char *rg_h1_check_coding(const struct rg_h1_framing_fields *framing, unsigned minor,
                               bool *ret_chunked, bool *ret_unknown);

/* Appends a field line. CR, LF and NUL in value become spaces, so that no value ends its line. */
void rg_h1_add_field(struct rg_buf *out, struct rg_str name, struct rg_str value);

/* Appends Content-Length. */
void rg_h1_add_length(struct rg_buf *out, uint64_t length);

/*
 * Whether a field of this name is between two neighbours (RFC 9110 7.6.1) or announces a message's
 * framing: neither is ever passed on.
 */
bool rg_h1_is_of_hop(struct rg_str name);
