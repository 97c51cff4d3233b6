/*
 * definition_priv.h - what the readers of a definition and of its endpoints share.
 *
 * A reading knows where it is (a JSON pointer) and whose faults it finds (their key), so that a
 * rule only says what is wrong.
 *
 * Thread: whoever reads.
 */
#pragma once

#include "proxy/definition.h"

struct rg_reading {
    struct rg_faults *faults;
    rg_getenv_fn *env;
    struct rg_api *api; /* being made */
    bool is_jwt;        /* auth_type */
    struct rg_buf key;  /* of the faults; ends with NUL, which counts */
    struct rg_buf at;   /* JSON pointer to the object being read, without NUL */
};

/* The key of the faults from here on; the second part is left out where it is NULL. */
void rg_reading_set_key(struct rg_reading *r, const char *first, const char *second);

/* Goes down to a member or an element; returns what rg_reading_leave() goes back with. */
size_t rg_reading_enter(struct rg_reading *r, const char *member);
size_t rg_reading_enter_at(struct rg_reading *r, size_t i);
void rg_reading_leave(struct rg_reading *r, size_t from);

/* A fault of field, which is told by the pointer to member; NULL: to where the reading is. */
void rg_reading_fault(struct rg_reading *r, const char *member, const char *field, const char *fmt,
                      ...) __attribute__((format(printf, 4, 5)));

/* A fault of a member. */
#define RG_WRONG(r, member, ...) rg_reading_fault((r), (member), (member), __VA_ARGS__)

#define RG_MUST_BE_STRING  "must be string"
#define RG_MUST_BE_OBJECT  "must be object"
#define RG_MUST_BE_INTEGER "must be integer"
#define RG_MUST_BE_BOOLEAN "must be boolean"
#define RG_MUST_BE_PRESENT "must be present"
#define RG_MUST_BE_JWT     "must be one of [\"jwt\"]"

/* Neither missing nor null. */
bool rg_reading_is_given(const json_t *value);
/* Not null, false, "", [] or {} either (api-gateway.md 3.2). */
bool rg_reading_is_present(const json_t *value);

/* The text of a member that must be there and not be empty (rules 1 and 2); else NULL. */
const char *rg_reading_text(struct rg_reading *r, const json_t *object, const char *member);
/* The text of a member that need not be there; NULL where it is not. */
const char *rg_reading_optional_text(struct rg_reading *r, const json_t *object,
                                     const char *member);
/* The same for an object, a number from min to max, and true or false. */
json_t *rg_reading_optional_object(struct rg_reading *r, const json_t *object, const char *member);
bool rg_reading_optional_number(struct rg_reading *r, const json_t *object, const char *member,
                                uint64_t min, uint64_t max, uint64_t *ret);
bool rg_reading_optional_flag(struct rg_reading *r, const json_t *object, const char *member,
                              bool otherwise);

/* The index of the name that text is, without case, or n. */
size_t rg_reading_choice(const char *text, const char *const *names, size_t n);

/* A copy that the caller owns; NULL of NULL. */
char *rg_reading_copy(const char *text);

/* True for a token (RFC 9110 5.6.2): methods and names of fields. */
bool rg_reading_is_token(const char *text);

/* Reads one element of endpoints, which may be changed, into *endpoint, whose api is r->api. */
void rg_reading_endpoint(struct rg_reading *r, json_t *json, struct rg_endpoint *endpoint);

/* Reads the member proxy into r->api and, of every endpoint, into *ret: where it leads. */
struct rg_reading_place {
    struct rg_upstream_service *service;
    char *host, *text;
};
void rg_reading_proxy(struct rg_reading *r, const json_t *json, struct rg_reading_place *ret);
void rg_reading_place_done(struct rg_reading_place *place);

/* Reads the members of an object into names and values: for claims, or as they are. */
size_t rg_reading_fields(struct rg_reading *r, json_t *object, bool is_of_claims,
                         struct rg_api_field **ret);
