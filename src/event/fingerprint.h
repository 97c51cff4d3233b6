/*
 * fingerprint.h - tells whether two JSON values say the same, without comparing them.
 *
 * White space, the order of an object's members and how strings are escaped make no difference;
 * the spelling of a number does. A keyed hash, so nobody outside can make two values meet; it
 * never leaves the process.
 *
 * Thread: any.
 */
#pragma once

#include "base/hash.h"
#include "event/json.h"

/* value is of checked text. */
struct rg_hash128 rg_fingerprint_of_json(struct rg_json value);
