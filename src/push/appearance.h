/*
 * appearance.h - what others see of somebody who is present: the meta of a presence, and the
 * CloudEvents that tell of it.
 *
 * A meta (legacy-channels.md 10.2) is for those who may join the topic: it has all claims of the
 * token and where the user is. The events rig.presence.join and rig.presence.leave are for anybody
 * who subscribes to them, so they have neither claims nor an address.
 *
 * Thread: any; no state.
 */
#pragma once

#include "auth/identity.h"
#include "base/buf.h"
#include "push/client.h"
#include "push/device.h"

#define RG_PRESENCE_JOIN  "rig.presence.join"
#define RG_PRESENCE_LEAVE "rig.presence.leave"

/* Borrowed parts. */
struct rg_appearance {
    struct rg_str claims; /* JSON object without duplicate names */
    const struct rg_identity *identity;
    const struct rg_device *device; /* NULL: not known */
    enum rg_transport transport;    /* of the channels dialect */
    int64_t time_ms;                /* 1970: since when the user is there */
};

/*
 * Appends a JSON object: the claims, and time, address, device, browser, user_agent and transport,
 * which take the place of claims of the same names. Without phx_ref, which is the roster's.
 */
void rg_appearance_add_meta(const struct rg_appearance *appearance, struct rg_buf *out);

/*
 * Appends a CloudEvent of type (one of the above), whose data is {"user":..,"roles":[..],
 * "phx_ref":..,"time":..,"transport":..,"device":..,"browser":..}.
 */
void rg_appearance_add_event(const struct rg_appearance *appearance, const char *type,
                             const char *phx_ref, struct rg_buf *out);
