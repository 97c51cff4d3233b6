#include "base/alloc.h"
#include "base/log.h"
#include "event/json.h"
#include "proxy/apis_priv.h"
#include "proxy/definition.h"
#include "proxy/document.h"

/* How often others may be faster before a change is given up; each try costs a definition. */
#define MAX_TRIES 100

/* ---- answers ---- */

void rg_apis_answer_done(struct rg_apis_answer *answer)
{
    rg_buf_done(&answer->body);
    rg_buf_done(&answer->pointers);
}

void rg_apis_answer_bad_request(struct rg_apis_answer *ret, int status)
{
    ret->status = status;
    rg_buf_add_c(&ret->body, "{\"errors\":{\"detail\":\"Bad request\"}}");
}

static void done(struct rg_apis_answer *ret, int status)
{
    ret->status = status;
    rg_buf_add_c(&ret->body, "{\"message\":\"ok\"}");
}

/* {"message":"API with id=a already exists."} */
static void refuse(struct rg_apis_answer *ret, int status, struct rg_str id, const char *what)
{
    RG_CLEANUP(rg_buf_done) struct rg_buf text = {0};

    rg_buf_add_c(&text, "API with id=");
    rg_buf_add_str(&text, id);
    rg_buf_add_c(&text, what);
    ret->status = status;
    rg_buf_add_c(&ret->body, "{\"message\":");
    rg_json_add_string(&ret->body, rg_buf_str(&text));
    rg_buf_add_char(&ret->body, '}');
}

static void not_there(struct rg_apis_answer *ret, struct rg_str id)
{
    refuse(ret, 404, id, " doesn't exists."); /* as RIG writes it */
}

static const char *const change_names[] = {
    [RG_POST] = "add", [RG_PUT] = "replace", [RG_DELETE] = "remove"};

static void log_done(const struct rg_apis_question *question, struct rg_str id)
{
    rg_log_info("api definition changed", RG_FS("change", change_names[question->method]),
                RG_FSTR("id", id));
}

static void log_refused(const struct rg_apis_question *question, struct rg_str id, int status)
{
    rg_log_warn("api definition refused", RG_FS("change", change_names[question->method]),
                RG_FSTR("id", id), RG_FI("status", status));
}

/* 400 for what is wrong with a definition. */
static void tell_faults(const struct rg_apis_question *question, struct rg_str id,
                        const struct rg_faults *faults, struct rg_apis_answer *ret)
{
    RG_CLEANUP(rg_buf_done) struct rg_buf first = {0};

    ret->status = 400;
    ret->is_problem = question->takes_problems;
    if (ret->is_problem)
        rg_faults_add_problem(faults, &ret->body);
    else
        rg_faults_add_json(faults, &ret->body);
    rg_faults_add_pointers(faults, RG_APIS_MAX_POINTERS, &ret->pointers);
    rg_fault_add_text(&faults->list[0], &first);
    rg_log_warn("api definition refused", RG_FS("change", change_names[question->method]),
                RG_FSTR("id", id), RG_FI("status", 400), RG_FU("faults", rg_faults_count(faults)),
                RG_FS("pointer", faults->list[0].pointer), RG_FSTR("fault", rg_buf_str(&first)));
}

/* ---- GET ---- */

/* management-api.md 2.2: the definition, and what is kept beside it. */
static void add_shown(const struct rg_apis *apis, const struct rg_api *api, struct rg_buf *out)
{
    rg_assert(api->shown.n > 2 && api->shown.p[api->shown.n - 1] == '}');
    rg_buf_add(out, api->shown.p, api->shown.n - 1);
    rg_buf_addf(out, ",\"active\":%s,\"ref_number\":%llu,\"timestamp\":\"%s\",\"node_name\":",
                api->is_active ? "true" : "false", (unsigned long long)api->ref_number,
                api->timestamp);
    rg_json_add_string(out, rg_str_c(apis->node_name));
    rg_buf_add_char(out, '}');
}

static void show_all(const struct rg_apis *apis, struct rg_apis_answer *ret)
{
    struct rg_api **list;
    size_t n = rg_catalogue_list(apis->catalogue, &list);

    ret->status = 200;
    rg_buf_add_char(&ret->body, '[');
    for (size_t i = 0; i < n; i++) {
        if (i > 0)
            rg_buf_add_char(&ret->body, ',');
        add_shown(apis, list[i], &ret->body);
        rg_api_unref(&list[i]);
    }
    rg_buf_add_char(&ret->body, ']');
    rg_free(list);
}

static void show_one(const struct rg_apis *apis, struct rg_str id, struct rg_apis_answer *ret)
{
    RG_CLEANUP(rg_api_unref) struct rg_api *api = rg_catalogue_get(apis->catalogue, id);

    if (api == NULL) {
        not_there(ret, id);
        return;
    }
    ret->status = 200;
    add_shown(apis, api, &ret->body);
}

/* ---- bodies ---- */

/* The object of a body; NULL where it is none. */
static json_t *read_body(const struct rg_apis_question *question)
{
    if (!question->has_type || question->body.n == 0)
        return json_object();
    json_t *json = rg_document_read(question->body, NULL);
    if (!json_is_object(json))
        rg_document_unref(&json);
    return json;
}

/* ---- POST ---- */

static void add(const struct rg_apis *apis, const struct rg_apis_question *question,
                const json_t *json, struct rg_apis_answer *ret)
{
    RG_CLEANUP(rg_faults_done) struct rg_faults faults = {0};
    struct rg_str id = rg_str_c(json_string_value(json_object_get(json, "id")));
    struct rg_api *api = rg_definition_read(json, RG_DEFINITION_NEW, apis->env, "", &faults);

    if (api == NULL) {
        tell_faults(question, id, &faults, ret);
    } else if (rg_catalogue_add(apis->catalogue, api) < 0) {
        refuse(ret, 409, id, " already exists.");
        log_refused(question, id, 409);
    } else {
        done(ret, 201);
        log_done(question, id);
    }
}

/* ---- PUT ---- */

static bool is_valid(const struct rg_apis *apis, const struct rg_apis_question *question,
                     const json_t *json, struct rg_apis_answer *ret)
{
    RG_CLEANUP(rg_faults_done) struct rg_faults faults = {0};
    RG_CLEANUP(rg_api_unref)
    struct rg_api *api = rg_definition_read(json, RG_DEFINITION_PUT, apis->env, "", &faults);

    if (api == NULL)
        tell_faults(question, question->id, &faults, ret);
    return api != NULL;
}

/* 2.4: what the new definition does not say stays as it is, but only at the top. */
static json_t *merge(const struct rg_api *old, json_t *json)
{
    json_t *merged = json_loadb(old->shown.p, old->shown.n, 0, NULL);

    rg_assert(json_is_object(merged) && json_object_update(merged, json) == 0);
    return merged;
}

/* RG_EAGAIN if another definition than old is active by now. */
static int replace_old(const struct rg_apis *apis, const struct rg_apis_question *question,
                       const struct rg_api *old, json_t *json, struct rg_apis_answer *ret)
{
    RG_CLEANUP(rg_faults_done) struct rg_faults faults = {0};
    RG_CLEANUP(rg_document_unref) json_t *merged = merge(old, json);
    struct rg_api *api = rg_definition_read(merged, RG_DEFINITION_MERGED, apis->env, "", &faults);

    if (api != NULL)
        return rg_catalogue_exchange(apis->catalogue, old, api);
    /* Possible only where files or variables have changed since it was valid. */
    tell_faults(question, question->id, &faults, ret);
    return RG_EINVAL;
}

static int try_to_replace(const struct rg_apis *apis, const struct rg_apis_question *question,
                          json_t *json, struct rg_apis_answer *ret)
{
    RG_CLEANUP(rg_api_unref)
    struct rg_api *old = rg_catalogue_get(apis->catalogue, question->id);

    return old != NULL ? replace_old(apis, question, old, json, ret) : RG_ENOTFOUND;
}

static void replace(const struct rg_apis *apis, const struct rg_apis_question *question,
                    json_t *json, struct rg_apis_answer *ret)
{
    int err = RG_EAGAIN;

    json_object_set_new(json, "id", json_stringn(question->id.p, question->id.n));
    if (!is_valid(apis, question, json, ret))
        return;
    for (unsigned i = 0; i < MAX_TRIES && err == RG_EAGAIN; i++)
        err = try_to_replace(apis, question, json, ret);
    if (err == 0) {
        done(ret, 200);
        log_done(question, question->id);
    } else if (err == RG_ENOTFOUND) {
        not_there(ret, question->id);
        log_refused(question, question->id, 404);
    } else if (err == RG_EAGAIN) {
        refuse(ret, 409, question->id, " is changed by others all the time.");
        log_refused(question, question->id, 409);
    }
}

/* ---- DELETE ---- */

static void remove_one(const struct rg_apis *apis, const struct rg_apis_question *question,
                       struct rg_apis_answer *ret)
{
    if (rg_catalogue_remove(apis->catalogue, question->id) < 0) {
        not_there(ret, question->id);
        log_refused(question, question->id, 404);
        return;
    }
    ret->status = 204;
    log_done(question, question->id);
}

/* ---- all of them ---- */

static void change(const struct rg_apis *apis, const struct rg_apis_question *question,
                   struct rg_apis_answer *ret)
{
    RG_CLEANUP(rg_document_unref) json_t *json = read_body(question);

    if (json == NULL) {
        rg_apis_answer_bad_request(ret, 400);
        log_refused(question, question->id, 400);
    } else if (question->method == RG_POST) {
        add(apis, question, json, ret);
    } else {
        replace(apis, question, json, ret);
    }
}

void rg_apis_answer(const struct rg_apis *apis, const struct rg_apis_question *question,
                    struct rg_apis_answer *ret)
{
    if (question->method == RG_POST || question->method == RG_PUT)
        change(apis, question, ret);
    else if (question->method == RG_DELETE)
        remove_one(apis, question, ret);
    else if (question->id.n > 0)
        show_one(apis, question->id, ret);
    else
        show_all(apis, ret);
}
