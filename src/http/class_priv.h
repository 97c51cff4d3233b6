/*
 * class_priv.h - what a byte may be part of, one look-up per byte.
 *
 * Thread: any; a constant.
 */
#pragma once

#include <stdbool.h>

enum {
    TOKEN = 1,  /* RFC 9110 5.6.2 */
    VALUE = 2,  /* RFC 9110 5.5: visible, obs-text, space, HTAB */
    TARGET = 4, /* visible ASCII without '#', which a client never sends */
    HOST = 8,   /* RFC 3986 3.2.2 and port, without ',' which joins repeated fields */
    HEX = 16,
    QUOTED = 32, /* RFC 9110 5.6.4: qdtext */
    ALL = TOKEN | VALUE | TARGET | HOST | QUOTED
};

extern const unsigned char rg_http_classes[256];

static inline bool is(char c, unsigned char class)
{
    return (rg_http_classes[(unsigned char)c] & class) != 0;
}
