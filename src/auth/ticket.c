/*
 * All tickets live equally long, so they end in the order in which they were made: a queue, whose
 * front is looked at before anything else is done. Of a ticket only a keyed hash is kept: how long
 * a comparison takes says nothing about those outstanding.
 */
#include "auth/ticket.h"

#include <inttypes.h>
#include <pthread.h>

#include "base/alloc.h"
#include "base/base64.h"
#include "base/counter.h"
#include "base/hash.h"
#include "base/map.h"
#include "base/random.h"

#define TICKET_BYTES 32

struct ticket {
    struct rg_map_link link;
    struct rg_hash128 hash;
    uint64_t until_ms;          /* good before this moment */
    struct ticket *prev, *next; /* in the queue */
    size_t token_n;
    char token[];
};

struct rg_tickets {
    uint64_t lifetime_ms; /* set once */
    size_t max;
    struct rg_hash_key hash_key;

    pthread_mutex_t lock; /* for all that follows */
    struct rg_map map;
    struct ticket *oldest, *newest;
    size_t bytes; /* of the tokens */

    _Atomic uint64_t issued, redeemed, refused; /* any thread */
};

struct rg_tickets *rg_tickets_new(uint64_t lifetime_ms, size_t max)
{
    struct rg_tickets *tickets = rg_zalloc(sizeof(*tickets));

    tickets->lifetime_ms = lifetime_ms;
    tickets->max = max;
    rg_hash_key_random(&tickets->hash_key);
    pthread_mutex_init(&tickets->lock, NULL);
    return tickets;
}

/* Takes ticket out of the map and the queue. */
static void remove_locked(struct rg_tickets *tickets, struct ticket *ticket)
{
    rg_map_remove(&tickets->map, &ticket->link);
    tickets->bytes -= ticket->token_n;
    if (ticket->prev != NULL)
        ticket->prev->next = ticket->next;
    else
        tickets->oldest = ticket->next;
    if (ticket->next != NULL)
        ticket->next->prev = ticket->prev;
    else
        tickets->newest = ticket->prev;
}

static void add_locked(struct rg_tickets *tickets, struct ticket *ticket)
{
    rg_map_add(&tickets->map, &ticket->link, ticket->hash.w[0]);
    tickets->bytes += ticket->token_n;
    ticket->prev = tickets->newest;
    if (tickets->newest != NULL)
        tickets->newest->next = ticket;
    else
        tickets->oldest = ticket;
    tickets->newest = ticket;
}

static void forget_old_locked(struct rg_tickets *tickets, uint64_t now_ms)
{
    while (tickets->oldest != NULL && tickets->oldest->until_ms <= now_ms) {
        struct ticket *ticket = tickets->oldest;
        remove_locked(tickets, ticket);
        rg_free(ticket);
    }
}

void rg_tickets_free(struct rg_tickets **ticketsp)
{
    struct rg_tickets *tickets = RG_STEAL(*ticketsp);

    if (tickets == NULL)
        return;
    forget_old_locked(tickets, UINT64_MAX);
    rg_map_done(&tickets->map);
    pthread_mutex_destroy(&tickets->lock);
    rg_free(tickets);
}

static bool has_hash(const struct rg_map_link *link, const void *hash)
{
    const struct ticket *ticket = RG_CONTAINER_OF(link, const struct ticket, link);

    return memcmp(&ticket->hash, hash, sizeof(ticket->hash)) == 0;
}

static void count(_Atomic uint64_t *counter)
{
    atomic_fetch_add_explicit(counter, 1, memory_order_relaxed);
}

int rg_tickets_issue(struct rg_tickets *tickets, struct rg_str token, uint64_t now_ms,
                     char ret[RG_TICKET_LEN + 1])
{
    unsigned char bytes[TICKET_BYTES];
    RG_CLEANUP(rg_buf_done) struct rg_buf text = {0};
    struct ticket *ticket = rg_zalloc(sizeof(*ticket) + token.n);

    rg_random_bytes(bytes, sizeof(bytes));
    rg_base64url_add(&text, bytes, sizeof(bytes));
    rg_assert(text.n == RG_TICKET_LEN);
    ticket->hash = rg_hash128(&tickets->hash_key, text.p, text.n);
    ticket->until_ms = now_ms + tickets->lifetime_ms;
    ticket->token_n = token.n;
    memcpy(ticket->token, token.p, token.n);

    pthread_mutex_lock(&tickets->lock);
    forget_old_locked(tickets, now_ms);
    bool has_room =
        tickets->map.n < tickets->max && token.n <= RG_TICKETS_MAX_BYTES - tickets->bytes;
    if (has_room)
        add_locked(tickets, ticket);
    pthread_mutex_unlock(&tickets->lock);
    if (!has_room) {
        rg_free(ticket);
        return RG_EFULL;
    }
    memcpy(ret, text.p, RG_TICKET_LEN);
    ret[RG_TICKET_LEN] = '\0';
    count(&tickets->issued);
    return 0;
}

int rg_tickets_redeem(struct rg_tickets *tickets, struct rg_str ticket, uint64_t now_ms,
                      struct rg_buf *ret_token)
{
    struct rg_hash128 hash = rg_hash128(&tickets->hash_key, ticket.p, ticket.n);
    struct ticket *found = NULL;

    pthread_mutex_lock(&tickets->lock);
    forget_old_locked(tickets, now_ms);
    struct rg_map_link *link = rg_map_find(&tickets->map, hash.w[0], has_hash, &hash);
    if (link != NULL) {
        found = RG_CONTAINER_OF(link, struct ticket, link);
        remove_locked(tickets, found);
    }
    pthread_mutex_unlock(&tickets->lock);
    /* The clocks of two reactors differ a little, so one that is too old may not be at the front.
     */
    bool is_good = found != NULL && found->until_ms > now_ms;
    if (is_good)
        rg_buf_add(ret_token, found->token, found->token_n);
    rg_free(found);
    count(is_good ? &tickets->redeemed : &tickets->refused);
    return is_good ? 0 : RG_EDENIED;
}

uint64_t rg_tickets_lifetime_ms(const struct rg_tickets *tickets)
{
    return tickets->lifetime_ms;
}

void rg_tickets_expose(const struct rg_tickets *tickets, struct rg_buf *out)
{
    const struct {
        const char *outcome;
        const _Atomic uint64_t *n;
    } rows[] = {{"issued", &tickets->issued},
                {"redeemed", &tickets->redeemed},
                {"refused", &tickets->refused}};

    rg_metric_head(out, "rgate_tickets_total", "counter",
                   "One-time tickets: issued, redeemed, and refused when somebody came with one.");
    for (size_t i = 0; i < RG_COUNT_OF(rows); i++)
        rg_buf_addf(out, "rgate_tickets_total{outcome=\"%s\"} %" PRIu64 "\n", rows[i].outcome,
                    atomic_load_explicit(rows[i].n, memory_order_relaxed));
}
