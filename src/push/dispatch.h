/*
 * dispatch.h - from an event's text to the inboxes of the reactors that want it.
 *
 * The one way into the gateway for every event, whatever brought it: the text is read, one lookup
 * per field set in use tells who wants it, and it gets a place in the inbox of each interested
 * reactor. An event nobody wants ends here without having been copied.
 *
 * Thread: a dispatcher belongs to one thread (ingest, each reactor, the control loop), registered
 * with rcu.h.
 */
#pragma once

#include "event/event.h"
#include "event/format.h"
#include "push/push.h"

struct rg_dispatcher;

/* push is borrowed. */
struct rg_dispatcher *rg_dispatcher_new(struct rg_push *push);
void rg_dispatcher_free(struct rg_dispatcher **dispatcherp);

/* How much of an event that nobody wants is looked at. */
enum rg_care {
    RG_CHECK_ALL,     /* everything: its sender is told what is wrong with it */
    RG_CHECK_ENVELOPE /* as far as it takes to see that nobody wants it */
};

/*
 * Reads one structured event and hands it to the reactors. Returns 0 (also when nobody wants it);
 * RG_EAGAIN if an inbox that it must go to has no room, and then nothing happened (for an event of
 * RG_SOURCE_GATEWAY, which nobody could send again, twice as much may wait there); RG_ESYNTAX or
 * RG_EINVAL, with why, if it is not a CloudEvent. What reaches a reactor was checked to its end,
 * whatever care says; care decides whether mistakes in other events are noticed. ret (may be NULL)
 * receives what was read, valid until the next call; it is not filled for an event that
 * RG_CHECK_ENVELOPE ended early.
 */
int rg_dispatch(struct rg_dispatcher *dispatcher, struct rg_str text, enum rg_care care,
                const struct rg_origin *origin, struct rg_envelope *ret, struct rg_why *why);

/*
 * Says what rg_dispatch() would say about an event with RG_CHECK_ALL, and goes no further: for an
 * event whose sender may not be allowed to send it.
 */
int rg_dispatch_check(struct rg_dispatcher *dispatcher, struct rg_str text, struct rg_why *why);

/*
 * Takes a message to all that have joined its topic; nobody: nothing happens. The payload must be
 * checked JSON. Returns the number of reactors it was handed to, or RG_EAGAIN if an inbox has no
 * room (not for RG_EVENT_PRESENCE, which always goes through).
 */
int rg_dispatch_to_channel(struct rg_push *push, enum rg_event_kind kind,
                           const struct rg_channel_message *message,
                           const struct rg_origin *origin);

/*
 * A message for users and roles (legacy-channels.md 11.3): takes payload, which must be checked
 * JSON, to all that have joined one of the n topics (at most RG_MAX_ADDRESSEES), as the channel's
 * event "message". Returns the number of reactors that somebody is on, 0 if there is nobody;
 * RG_EAGAIN if one of their inboxes has no room, and then nobody gets it.
 */
int rg_dispatch_message(struct rg_push *push, const struct rg_str *topics, size_t n,
                        struct rg_str payload, const struct rg_origin *origin);

/*
 * What comes from a topic. RG_FORMAT_CLOUDEVENTS: an event, read with RG_CHECK_ENVELOPE.
 * RG_FORMAT_MESSAGES: an object for those that it names (event/addressees.h), who get it as it is.
 * RG_FORMAT_AUTO: what claims to be an event is one or nothing; any other object that names
 * somebody is a message. RG_FORMAT_NO_EVENT: the latter only. Returns as rg_dispatch() does.
 */
int rg_dispatch_record(struct rg_dispatcher *dispatcher, struct rg_str text, enum rg_format format,
                       const struct rg_origin *origin, struct rg_why *why);

#define RG_MAX_BATCH 10000 /* a reactor is busy with nothing else meanwhile */

/*
 * Several events at once: text is a JSON array of structured events. All are checked before the
 * first is handed on, and either all go or none. Returns 0 with the number of events in *ret_n;
 * RG_EAGAIN if an inbox that one of them must go to has no room; RG_ESYNTAX or RG_EINVAL with why
 * (place: the index of the event that is none); RG_EFULL for more than RG_MAX_BATCH.
 */
int rg_dispatch_batch(struct rg_dispatcher *dispatcher, struct rg_str text,
                      const struct rg_origin *origin, size_t *ret_n, struct rg_why *why);

/* As rg_dispatch_check(), for a batch. */
int rg_dispatch_check_batch(struct rg_dispatcher *dispatcher, struct rg_str text,
                            struct rg_why *why);
