/*
 * outbox.h - what one client has yet to receive.
 *
 * A bounded queue of references to messages. Fan-out puts one reference per client; the
 * connection takes bytes out as its socket accepts them. A full outbox refuses and keeps what
 * it has: what to do about a slow client is the caller's decision. One message fits
 * without any allocation, which is all that most clients ever need.
 *
 * Thread: the reactor that owns the connection. Never shared, hence no lock.
 */
#pragma once

#include <sys/uio.h>

#include "push/msg.h"

struct rg_outbox {
    struct rg_msg **ring; /* NULL: the single slot below */
    struct rg_msg *single;
    uint32_t cap_log2; /* of the ring */
    uint32_t head, n;  /* messages */
    uint32_t sent;     /* bytes of the first message that are out */
    size_t bytes;      /* of all messages, what is out included */
};

/* Drops everything and frees the ring; the outbox is empty then. */
void rg_outbox_done(struct rg_outbox *box);

/*
 * Appends msg and takes a reference of its own; the caller keeps the other. Returns RG_EFULL, with
 * nothing changed, if more than max_bytes would be queued; an empty outbox takes any message.
 */
int rg_outbox_put(struct rg_outbox *box, struct rg_msg *msg, size_t max_bytes);

/* Fills at most max entries with the bytes to write next and returns their number. */
int rg_outbox_peek(const struct rg_outbox *box, struct iovec *iov, int max);

/* Says that n bytes of what peek gave are out. */
void rg_outbox_consume(struct rg_outbox *box, size_t n);

/* Drops every message of which no byte is out. Returns how many. */
size_t rg_outbox_truncate(struct rg_outbox *box);

/* Gives back what a burst made the ring grow to; only if the outbox is empty. */
void rg_outbox_shrink(struct rg_outbox *box);
