/*
 * Most patterns are plain text, and plain text with segments that may be anything: [^/]+, in a
 * group or not. These become parts, each a literal and what follows it, and are matched by one walk
 * over the path. That is the same as the regular expression says, without going back, because a
 * segment must be followed by a slash or the end: it takes all up to there or nothing does.
 *
 * Everything else is PCRE2's. That a match is the whole of a path is told by options and not by
 * text around the pattern: so a pattern like a)(b, (?x)a#b or \Qab keeps its own meaning, and a ^
 * in front and a $ at the end say nothing new.
 */
#include "proxy/pattern.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>
#include <pthread.h>

#include "base/alloc.h"
#include "base/buf.h"
#include "base/utf8.h"
#include "proxy/pattern_text.h"

/* Of one attempt. Patterns that people write need a few hundred steps; this many take about
 * a millisecond. */
#define MAX_STEPS       50000
#define MAX_DEPTH       10000
#define MAX_HEAP_KIB    4096
#define JIT_STACK_BYTES 32768
#define JIT_STACK_MAX   524288
#define MAX_NESTING     64
#define MAX_COMPILED    32768

#define INVALID "must be a valid regular expression"

struct rg_pattern {
    bool has_case;
    bool takes_bare; /* the path without its slash may match as well */
    size_t groups_n; /* without the whole */

    pcre2_code *code; /* NULL: by parts */
    bool is_utf;

    struct rg_pattern_parts parts; /* in lower case unless has_case */

    char *prefix;
    size_t prefix_n;
};

/* ---- what a thread matches with ---- */

struct workspace {
    pcre2_match_data *found;
    pcre2_match_context *limits;
    pcre2_jit_stack *stack;
};

static pthread_once_t workspace_once = PTHREAD_ONCE_INIT;
static pthread_key_t workspace_key;

static void workspace_free(void *p)
{
    struct workspace *workspace = p;

    pcre2_match_data_free(workspace->found);
    pcre2_match_context_free(workspace->limits);
    pcre2_jit_stack_free(workspace->stack);
    rg_free(workspace);
}

static void prepare_key(void)
{
    rg_assert(pthread_key_create(&workspace_key, workspace_free) == 0);
}

static struct workspace *workspace_new(void)
{
    struct workspace *workspace = rg_zalloc(sizeof(*workspace));

    workspace->found = pcre2_match_data_create(RG_PATTERN_MAX_GROUPS + 1, NULL);
    workspace->limits = pcre2_match_context_create(NULL);
    rg_assert(workspace->found != NULL && workspace->limits != NULL);
    pcre2_set_match_limit(workspace->limits, MAX_STEPS);
    pcre2_set_depth_limit(workspace->limits, MAX_DEPTH);
    pcre2_set_heap_limit(workspace->limits, MAX_HEAP_KIB);
    /* NULL where there is no JIT; it would use 32 KiB of the thread's own stack without. */
    workspace->stack = pcre2_jit_stack_create(JIT_STACK_BYTES, JIT_STACK_MAX, NULL);
    if (workspace->stack != NULL)
        pcre2_jit_stack_assign(workspace->limits, NULL, workspace->stack);
    return workspace;
}

static struct workspace *workspace_of_thread(void)
{
    rg_assert(pthread_once(&workspace_once, prepare_key) == 0);
    struct workspace *workspace = pthread_getspecific(workspace_key);
    if (workspace == NULL) {
        workspace = workspace_new();
        rg_assert(pthread_setspecific(workspace_key, workspace) == 0);
    }
    return workspace;
}

/* ---- compiling ---- */

static char lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c | 0x20) : c;
}

static void set_prefix(struct rg_pattern *pattern, struct rg_str prefix)
{
    pattern->prefix = rg_strndup(prefix.p, prefix.n);
    pattern->prefix_n = prefix.n;
    for (size_t i = 0; i < prefix.n; i++)
        pattern->prefix[i] = lower(prefix.p[i]);
}

static void take_parts(struct rg_pattern *pattern, struct rg_pattern_parts *parts)
{
    pattern->parts = *parts;
    *parts = (struct rg_pattern_parts){0};
    /* So that there is a text, though of no bytes. */
    rg_buf_reserve(&pattern->parts.text, 1);
    pattern->groups_n = rg_pattern_count_groups(&pattern->parts);
    set_prefix(pattern, rg_str_n(pattern->parts.text.p, pattern->parts.at[0].end));
}

/* text: without ^. */
static void find_prefix(struct rg_pattern *pattern, struct rg_str text)
{
    RG_CLEANUP(rg_buf_done) struct rg_buf prefix = {0};

    /* So that it is the text of the path: its slash. Nothing is known where only that is left. */
    if (pattern->takes_bare)
        rg_buf_add_char(&prefix, '/');
    size_t start = prefix.n;
    rg_pattern_read_prefix(text, &prefix);
    set_prefix(pattern, prefix.n > start ? rg_buf_str(&prefix) : RG_STR(""));
}

static pcre2_compile_context *compile_limits(void)
{
    pcre2_compile_context *limits = pcre2_compile_context_create(NULL);

    rg_assert(limits != NULL);
    pcre2_set_parens_nest_limit(limits, MAX_NESTING);
    return limits;
}

static int refuse(struct rg_why *why, int code, size_t at)
{
    PCRE2_UCHAR reason[200];

    if (pcre2_get_error_message(code, reason, sizeof(reason)) < 0)
        reason[0] = '\0';
    return rg_why_set(why, RG_EINVAL, "", INVALID ": byte %zu: %s", at, (const char *)reason);
}

static int check_compiled(struct rg_pattern *pattern, struct rg_why *why)
{
    uint32_t groups = 0;
    size_t bytes = 0;

    pcre2_pattern_info(pattern->code, PCRE2_INFO_CAPTURECOUNT, &groups);
    pcre2_pattern_info(pattern->code, PCRE2_INFO_SIZE, &bytes);
    if (groups > RG_PATTERN_MAX_GROUPS)
        return rg_why_set(why, RG_EINVAL, "", INVALID ": it has %u groups, and %d are allowed",
                          groups, RG_PATTERN_MAX_GROUPS);
    if (bytes > MAX_COMPILED)
        return rg_why_set(why, RG_EINVAL, "", INVALID ": it is too large once it is compiled");
    pattern->groups_n = groups;
    return 0;
}

static int compile_regex(struct rg_pattern *pattern, struct rg_str text, uint32_t options,
                         struct rg_why *why)
{
    pcre2_compile_context *limits = compile_limits();
    PCRE2_SIZE at = 0;
    int code = 0;

    pattern->code = pcre2_compile(
        (PCRE2_SPTR)text.p, text.n,
        PCRE2_ANCHORED | PCRE2_ENDANCHORED | PCRE2_DOLLAR_ENDONLY | options, &code, &at, limits);
    pcre2_compile_context_free(limits);
    if (pattern->code == NULL)
        return refuse(why, code, at);
    int err = check_compiled(pattern, why);
    if (err < 0)
        return err;
    /* Without JIT, or where memory must not be executable, it is interpreted. */
    (void)pcre2_jit_compile(pattern->code, PCRE2_JIT_COMPLETE);
    pattern->is_utf = (options & PCRE2_UTF) != 0;
    return 0;
}

static int check_length(struct rg_str text, struct rg_why *why)
{
    if (text.n <= RG_PATTERN_MAX_BYTES)
        return 0;
    return rg_why_set(why, RG_EINVAL, "", INVALID ": it has %zu bytes, and %d are allowed", text.n,
                      RG_PATTERN_MAX_BYTES);
}

static int compile(struct rg_pattern *pattern, struct rg_str text, struct rg_why *why)
{
    RG_CLEANUP(rg_pattern_parts_done) struct rg_pattern_parts parts = {0};
    struct rg_str bare = rg_pattern_without_anchors(text);
    struct rg_str inner = text;

    rg_pattern_skip(&inner, RG_STR("^"));
    pattern->takes_bare = inner.n > 0 && rg_pattern_is_alnum(inner.p[0]);
    if (pattern->takes_bare)
        rg_buf_add_char(&parts.text, '/');
    if (rg_pattern_read(bare, &parts) && rg_pattern_count_groups(&parts) <= RG_PATTERN_MAX_GROUPS) {
        take_parts(pattern, &parts);
        return 0;
    }
    find_prefix(pattern, inner);
    /* \C would cut characters in two. */
    return compile_regex(pattern, text, PCRE2_CASELESS | PCRE2_UTF | PCRE2_NEVER_BACKSLASH_C, why);
}

struct rg_pattern *rg_pattern_compile(struct rg_str text, struct rg_why *why)
{
    RG_CLEANUP(rg_pattern_free) struct rg_pattern *pattern = rg_zalloc(sizeof(*pattern));

    if (check_length(text, why) < 0 || compile(pattern, text, why) < 0)
        return NULL;
    return RG_STEAL(pattern);
}

/* A path of 2017 in which {id} is a part of a segment, as a regular expression. */
static int compile_quoted(struct rg_pattern *pattern, struct rg_str path, struct rg_why *why)
{
    RG_CLEANUP(rg_buf_done) struct rg_buf text = {0};
    const char *start = path.p;

    while (path.n > 0) {
        struct rg_str front = rg_str_n(start, (size_t)(path.p - start));
        if (rg_pattern_skip(&path, RG_STR("{id}"))) {
            if (pattern->prefix == NULL)
                set_prefix(pattern, front);
            rg_buf_add_str(&text, RG_STR("[^/]+"));
            continue;
        }
        if (!rg_pattern_is_alnum(path.p[0]) && (unsigned char)path.p[0] < 0x80)
            rg_buf_add_char(&text, '\\');
        rg_buf_add_char(&text, path.p[0]);
        path = rg_str_n(path.p + 1, path.n - 1);
    }
    return compile_regex(pattern, rg_buf_str(&text), 0, why);
}

struct rg_pattern *rg_pattern_compile_2017(struct rg_str path, struct rg_why *why)
{
    RG_CLEANUP(rg_pattern_free) struct rg_pattern *pattern = rg_zalloc(sizeof(*pattern));
    RG_CLEANUP(rg_buf_done) struct rg_buf whole = {0};
    RG_CLEANUP(rg_pattern_parts_done) struct rg_pattern_parts parts = {0};

    if (check_length(path, why) < 0)
        return NULL;
    if (!rg_str_starts_with(path, RG_STR("/")))
        rg_buf_add_char(&whole, '/');
    rg_buf_add_str(&whole, path);
    pattern->has_case = true;
    if (rg_pattern_read_2017(rg_buf_str(&whole), &parts))
        take_parts(pattern, &parts);
    else if (compile_quoted(pattern, rg_buf_str(&whole), why) < 0)
        return NULL;
    return RG_STEAL(pattern);
}

void rg_pattern_free(struct rg_pattern **patternp)
{
    struct rg_pattern *pattern = *patternp;

    *patternp = NULL;
    if (pattern == NULL)
        return;
    pcre2_code_free(pattern->code);
    rg_pattern_parts_done(&pattern->parts);
    rg_free(pattern->prefix);
    rg_free(pattern);
}

/* ---- matching ---- */

static bool is_literal_at(const struct rg_pattern *pattern, size_t from, size_t n, const char *p)
{
    const char *literal = pattern->parts.text.p + from;

    if (pattern->has_case)
        return memcmp(literal, p, n) == 0;
    for (size_t i = 0; i < n; i++) {
        if (literal[i] != lower(p[i]))
            return false;
    }
    return true;
}

static bool match_parts(const struct rg_pattern *pattern, struct rg_str path,
                        struct rg_captures *ret)
{
    size_t at = 0, from = 0, groups = 0;

    for (size_t i = 0; i < pattern->parts.n; i++) {
        const struct rg_pattern_part *part = &pattern->parts.at[i];
        size_t n = part->end - from;
        if (path.n - at < n || !is_literal_at(pattern, from, n, path.p + at))
            return false;
        at += n;
        from = part->end;
        if (part->then == RG_THEN_END)
            break;
        const char *slash = at < path.n ? memchr(path.p + at, '/', path.n - at) : NULL;
        n = slash != NULL ? (size_t)(slash - path.p) - at : path.n - at;
        if (n == 0)
            return false;
        if (part->then == RG_THEN_GROUP)
            ret->group[++groups] = rg_str_n(path.p + at, n);
        at += n;
    }
    if (at != path.n)
        return false;
    /* The slash in front of the first literal is not the pattern's own then. */
    size_t bare = pattern->takes_bare ? 1 : 0;
    ret->group[0] = rg_str_n(path.p + bare, path.n - bare);
    ret->n = groups + 1;
    return true;
}

static bool is_ascii(struct rg_str s)
{
    unsigned char all = 0;

    for (size_t i = 0; i < s.n; i++)
        all |= (unsigned char)s.p[i];
    return all < 0x80;
}

static void replace_all(char *p, size_t n, struct rg_str what, const char *by)
{
    char *end = p + n;

    while ((p = memmem(p, (size_t)(end - p), what.p, what.n)) != NULL) {
        memcpy(p, by, what.n);
        p += what.n;
    }
}

/*
 * Two signs beyond ASCII are the same as letters of it when case does not count: U+212A, the sign
 * of Kelvin, as k, and U+017F, the long s. A path with one of them must not be taken for another
 * path, so what is matched has letters without case in their place, of the same length and kind.
 */
static struct rg_str without_ascii_doubles(struct rg_str path, struct rg_buf *copy)
{
    static const struct rg_str kelvin = {"\xe2\x84\xaa", 3}, long_s = {"\xc5\xbf", 2};

    if (memmem(path.p, path.n, kelvin.p, kelvin.n) == NULL &&
        memmem(path.p, path.n, long_s.p, long_s.n) == NULL)
        return path;
    rg_buf_add_str(copy, path);
    replace_all(copy->p, copy->n, kelvin, "\xe2\x84\xb0"); /* script capital e */
    replace_all(copy->p, copy->n, long_s, "\xc4\xb8");     /* kra */
    return rg_buf_str(copy);
}

static void copy_captures(const struct rg_pattern *pattern, struct rg_str path,
                          pcre2_match_data *found, size_t found_n, struct rg_captures *ret)
{
    const PCRE2_SIZE *at = pcre2_get_ovector_pointer(found);

    ret->group[0] = path;
    ret->n = pattern->groups_n + 1;
    for (size_t i = 1; i < ret->n; i++) {
        bool took_part = i < found_n && at[2 * i] != PCRE2_UNSET;
        ret->group[i] = took_part ? rg_str_n(path.p + at[2 * i], at[2 * i + 1] - at[2 * i])
                                  : (struct rg_str){NULL, 0};
    }
}

/* subject is path, or stands for it, with the same length. */
static int match_regex(const struct rg_pattern *pattern, struct rg_str subject, struct rg_str path,
                       struct rg_captures *ret)
{
    struct workspace *workspace = workspace_of_thread();
    int found = pcre2_match(pattern->code, (PCRE2_SPTR)subject.p, subject.n, 0, PCRE2_NO_UTF_CHECK,
                            workspace->found, workspace->limits);

    if (found == PCRE2_ERROR_NOMATCH)
        return 0;
    if (found < 0)
        return RG_EFULL;
    copy_captures(pattern, path, workspace->found, (size_t)found, ret);
    return 1;
}

static int match_either(const struct rg_pattern *pattern, struct rg_str subject, struct rg_str path,
                        struct rg_captures *ret)
{
    int found = match_regex(pattern, subject, path, ret);

    if (found != 0 || !pattern->takes_bare || path.n == 0 || path.p[0] != '/')
        return found;
    return match_regex(pattern, rg_str_n(subject.p + 1, subject.n - 1),
                       rg_str_n(path.p + 1, path.n - 1), ret);
}

int rg_pattern_match(const struct rg_pattern *pattern, struct rg_str path, struct rg_captures *ret)
{
    RG_CLEANUP(rg_buf_done) struct rg_buf copy = {0};

    if (path.n == 0)
        return 0;
    if (pattern->code == NULL)
        return match_parts(pattern, path, ret) ? 1 : 0;
    if (!pattern->is_utf || is_ascii(path))
        return match_either(pattern, path, path, ret);
    /* PCRE2 is told not to look. */
    if (!rg_utf8_is_valid(path))
        return 0;
    return match_either(pattern, without_ascii_doubles(path, &copy), path, ret);
}

struct rg_pattern_prefix rg_pattern_prefix(const struct rg_pattern *pattern)
{
    return (struct rg_pattern_prefix){
        .text = rg_str_n(pattern->prefix, pattern->prefix_n),
        .is_whole = pattern->code == NULL && pattern->parts.n == 1,
        .has_case = pattern->has_case,
    };
}
