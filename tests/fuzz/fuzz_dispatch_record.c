/*
 * Any text, as a record of a topic: what claims to be an event is to a topic with both what it is
 * to one with events, and anything else what it is to one with messages. Whom it is for is what a
 * plain walk over the object finds.
 */
#include <string.h>

#include "base/alloc.h"
#include "base/rcu.h"
#include "event/addressees.h"
#include "event/envelope.h"
#include "push/dispatch.h"

static struct rg_push *push;
static struct rg_dispatcher *dispatcher;
static struct rg_projector *projector;
static struct rg_buf scratch;

static void prepare(void)
{
    static const struct rg_push_settings settings = {.cors = "*"};
    struct rg_problems problems = {0};
    struct rg_extractors *extractors;

    rg_rcu_thread_start();
    rg_match_key_init();
    extractors = rg_extractors_new((struct rg_str){NULL, 0}, &problems);
    rg_assert(extractors != NULL);
    push = rg_push_new(&settings, extractors);
    dispatcher = rg_dispatcher_new(push);
    projector = rg_projector_new(rg_extractors_projection(extractors));
}

static int dispatch(struct rg_str text, enum rg_format format)
{
    static const struct rg_origin origin = {RG_SOURCE_KAFKA, 0, -1, -1, -1};
    struct rg_why why = {0};
    int err = rg_dispatch_record(dispatcher, text, format, &origin, &why);

    rg_assert(err == 0 || err == RG_ESYNTAX || err == RG_EINVAL || err == RG_EFULL);
    rg_assert((err == 0) == (why.text[0] == '\0'));
    return err;
}

static bool is_name(struct rg_json value)
{
    return value.kind == RG_JSON_STRING && value.text.n > 2;
}

static bool has(const struct rg_addressees *list, const char *prefix, struct rg_json value)
{
    struct rg_buf topic = {0};
    bool found = false;

    rg_buf_add_c(&topic, prefix);
    if (value.kind == RG_JSON_STRING)
        rg_json_unescape(value, &topic);
    else
        rg_buf_add_str(&topic, value.text);
    for (size_t i = 0; i < list->n && !found; i++)
        found = rg_str_eq(list->topics[i], rg_buf_str(&topic));
    rg_buf_done(&topic);
    return found;
}

/* The list has everybody whom object names. */
static void assert_complete(struct rg_json object, const struct rg_addressees *list)
{
    struct rg_json user = rg_json_member(object, RG_STR("username"));
    struct rg_json roles = rg_json_member(object, RG_STR("roles"));
    struct rg_json_cursor cursor = {0};
    struct rg_json role;
    struct rg_str none;
    size_t named = 0;

    if (user.kind == RG_JSON_NUMBER || is_name(user))
        named += has(list, "user:", user);
    if (is_name(roles))
        named += has(list, "role:", roles);
    while (roles.kind == RG_JSON_ARRAY && rg_json_next(roles, &cursor, &none, &role)) {
        rg_assert(is_name(role) && has(list, "role:", role));
        named++;
    }
    rg_assert(list->n > 0 && list->n <= named);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct rg_str text = rg_str_n((const char *)data, n);
    struct rg_addressees list;
    struct rg_json root;

    if (push == NULL)
        prepare();
    int either = dispatch(text, RG_FORMAT_AUTO);
    int event = dispatch(text, RG_FORMAT_CLOUDEVENTS);
    int message = dispatch(text, RG_FORMAT_MESSAGES);
    int no_event = dispatch(text, RG_FORMAT_NO_EVENT);

    if (rg_projector_run(projector, text, &root, NULL) < 0) {
        /* What nobody wants is only glanced at; a message is always read to its end. */
        rg_assert(either == event && message < 0 && no_event < 0);
        return 0;
    }
    if (rg_envelope_is_claimed(projector)) {
        rg_assert(either == event && no_event < 0);
    } else {
        rg_assert(either == message && no_event == message && event < 0);
    }
    if (message < 0)
        return 0;
    rg_assert(rg_addressees_read(projector, &scratch, &list, NULL) == 0);
    assert_complete(root, &list);
    return 0;
}
