/*
 * format.h - what a message from a topic may be.
 */
#pragma once

enum rg_format {
    RG_FORMAT_AUTO,        /* either; its content tells which */
    RG_FORMAT_CLOUDEVENTS, /* an event, for whoever has subscribed to it */
    RG_FORMAT_MESSAGES,    /* for the users and roles that it names */
    RG_FORMAT_NO_EVENT     /* such a message; what claims to be an event is neither */
};
