/* definitions.h - definitions as tests write them, and what is read of them. */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "proxy/definition.h"
#include "proxy/document.h"

#define PROXY "\"proxy\":{\"target_url\":\"localhost\",\"port\":3000}"
#define NAMED "\"id\":\"q\",\"name\":\"n\""

/* An API with these endpoints, and one with this endpoint called e. */
#define WITH_ENDPOINTS(list)                                                                       \
    "{" NAMED "," PROXY ",\"version_data\":{\"default\":{\"endpoints\":[" list "]}}}"
#define E                   "\"id\":\"e\",\"method\":\"GET\",\"path_regex\":\"/x\""
#define WITH_E(more)        WITH_ENDPOINTS("{" E more "}")
#define VERSION             "\"version_data\":{\"default\":{\"endpoints\":[]}}"
#define WITH_MEMBERS(more)  "{" NAMED "," PROXY "," VERSION more "}"
#define WITH_PROXY(members) "{" NAMED ",\"proxy\":{" members "}," VERSION "}"
#define JWT_WITH_E(auth, more)                                                                     \
    "{" NAMED "," PROXY ",\"auth_type\":\"jwt\"" auth                                              \
    ",\"version_data\":{\"default\":{\"endpoints\":[{" E more "}]}}}"

/* NAME_HOST is what a test says; nothing else is set. */
static const char *value_of_name_host;

static inline const char *definition_env(const char *name)
{
    return strcmp(name, "NAME_HOST") == 0 ? value_of_name_host : NULL;
}

static inline struct rg_api *read_as(const char *text, enum rg_definition_source source,
                                     struct rg_faults *faults)
{
    struct rg_why why = {0};
    json_t *json = rg_document_read(rg_str_c(text), &why);

    if (json == NULL)
        fail_msg("%s %s: %s", why.place, why.text, text);
    struct rg_api *api = rg_definition_read(json, source, definition_env, "", faults);
    rg_document_unref(&json);
    return api;
}

/* It has no faults; the caller owns it. */
static inline struct rg_api *read_good(const char *text)
{
    struct rg_faults faults = {0};
    struct rg_api *api = read_as(text, RG_DEFINITION_NEW, &faults);

    if (api == NULL) {
        struct rg_buf out = {0};
        rg_faults_add_json(&faults, &out);
        fail_msg("%.*s: %s", RG_STR_ARG(rg_buf_str(&out)), text);
    }
    return api;
}

/* Its faults by field, and by pointer, are exactly these; pointers NULL: whatever they are. */
static inline void expect_faults_as(const char *text, enum rg_definition_source source,
                                    const char *json, const char *pointers)
{
    struct rg_faults faults = {0};
    struct rg_buf out = {0};

    assert_null(read_as(text, source, &faults));
    rg_faults_add_json(&faults, &out);
    rg_buf_add_char(&out, '\0');
    assert_string_equal(out.p, json);
    if (pointers != NULL) {
        rg_buf_clear(&out);
        rg_faults_add_pointers(&faults, 1024, &out);
        rg_buf_add_char(&out, '\0');
        assert_string_equal(out.p, pointers);
    }
    rg_buf_done(&out);
    rg_faults_done(&faults);
}

static inline void expect_faults(const char *text, const char *json, const char *pointers)
{
    expect_faults_as(text, RG_DEFINITION_NEW, json, pointers);
}

/* The only fault is that of a member of the endpoint e. */
static inline void expect_fault_of_e(const char *text, const char *fault, const char *member)
{
    char json[512], pointer[256];

    snprintf(json, sizeof(json), "{\"q/e\":[{%s}]}", fault);
    snprintf(pointer, sizeof(pointer), "/version_data/default/endpoints/0/%s", member);
    expect_faults(text, json, pointer);
}

static inline void expect_good(const char *text)
{
    struct rg_api *api = read_good(text);

    rg_api_unref(&api);
}
