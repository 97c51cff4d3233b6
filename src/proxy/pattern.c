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

enum then {
    THEN_END,
    THEN_SEGMENT, /* [^/]+ or {id} */
    THEN_GROUP    /* ([^/]+) */
};

struct part {
    size_t end; /* of its literal in text, which begins where the one before ends */
    enum then then;
};

struct rg_pattern {
    bool has_case;
    bool takes_bare; /* the path without its slash may match as well */
    size_t groups_n; /* without the whole */

    pcre2_code *code; /* NULL: by parts */
    bool is_utf;

    char *text; /* the literals of all parts, in lower case unless has_case */
    struct part *parts;
    size_t parts_n;

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

/* ---- reading ---- */

static bool is_alnum(char c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static char lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c | 0x20) : c;
}

/* What a token of a regular expression is; all that is not simply text or a segment is other. */
enum token {
    TOKEN_END,
    TOKEN_CHAR,
    TOKEN_SEGMENT,
    TOKEN_GROUP,
    TOKEN_OTHER
};

static bool skip(struct rg_str *rest, struct rg_str token)
{
    if (!rg_str_starts_with(*rest, token))
        return false;
    rest->p += token.n;
    rest->n -= token.n;
    return true;
}

/* Takes a token off *rest, unless it is TOKEN_OTHER; *ret is the character. */
static enum token next_token(struct rg_str *rest, char *ret)
{
    if (rest->n == 0)
        return TOKEN_END;
    if (skip(rest, RG_STR("([^/]+)")))
        return TOKEN_GROUP;
    if (skip(rest, RG_STR("[^/]+")))
        return TOKEN_SEGMENT;
    char c = rest->p[0];
    size_t n = 1;
    if (c == '\\' && rest->n > 1 && rest->p[1] > ' ' && rest->p[1] < 0x7f &&
        !is_alnum(rest->p[1])) {
        c = rest->p[1];
        n = 2;
    } else if (c == '\0' || (!is_alnum(c) && strchr("/-_~!@%&=:;,'\"<>#", c) == NULL)) {
        return TOKEN_OTHER;
    }
    *rest = rg_str_n(rest->p + n, rest->n - n);
    *ret = c;
    return TOKEN_CHAR;
}

/* Without one ^ in front and one $ behind. A backslash before that $ is left alone, and what ends
 * with a backslash is not plain. */
static struct rg_str without_anchors(struct rg_str text)
{
    skip(&text, RG_STR("^"));
    if (rg_str_ends_with(text, RG_STR("$")))
        text.n--;
    return text;
}

/* ---- parts ---- */

struct parts {
    struct rg_buf text;
    struct part *at;
    size_t n, cap;
};

static void parts_done(struct parts *parts)
{
    rg_buf_done(&parts->text);
    rg_free(parts->at);
}

static void add_part(struct parts *parts, enum then then)
{
    if (parts->n == parts->cap) {
        parts->cap = parts->cap > 0 ? 2 * parts->cap : 4;
        parts->at = rg_realloc_array(parts->at, parts->cap, sizeof(parts->at[0]));
    }
    parts->at[parts->n++] = (struct part){parts->text.n, then};
}

/* True if the last thing was a segment, which only a slash or the end may follow. */
static bool is_behind_segment(const struct parts *parts)
{
    return parts->n > 0 && parts->at[parts->n - 1].end == parts->text.n;
}

/* False if the pattern needs more than parts. */
static bool read_parts(struct rg_str text, struct parts *parts)
{
    char c;

    for (;;) {
        switch (next_token(&text, &c)) {
        case TOKEN_CHAR:
            if (is_behind_segment(parts) && c != '/')
                return false;
            rg_buf_add_char(&parts->text, lower(c));
            break;
        case TOKEN_SEGMENT:
        case TOKEN_GROUP:
            if (is_behind_segment(parts))
                return false;
            add_part(parts, text.p[-1] == ')' ? THEN_GROUP : THEN_SEGMENT);
            break;
        case TOKEN_END:
            add_part(parts, THEN_END);
            return true;
        case TOKEN_OTHER:
            return false;
        }
    }
}

static bool read_parts_2017(struct rg_str path, struct parts *parts)
{
    while (path.n > 0) {
        if (skip(&path, RG_STR("{id}"))) {
            if (is_behind_segment(parts))
                return false;
            add_part(parts, THEN_SEGMENT);
            continue;
        }
        if (is_behind_segment(parts) && path.p[0] != '/')
            return false;
        rg_buf_add_char(&parts->text, path.p[0]);
        path = rg_str_n(path.p + 1, path.n - 1);
    }
    add_part(parts, THEN_END);
    return true;
}

static size_t count_groups(const struct parts *parts)
{
    size_t n = 0;

    for (size_t i = 0; i < parts->n; i++)
        n += parts->at[i].then == THEN_GROUP;
    return n;
}

static void set_prefix(struct rg_pattern *pattern, struct rg_str prefix)
{
    pattern->prefix = rg_strndup(prefix.p, prefix.n);
    pattern->prefix_n = prefix.n;
    for (size_t i = 0; i < prefix.n; i++)
        pattern->prefix[i] = lower(prefix.p[i]);
}

static void take_parts(struct rg_pattern *pattern, struct parts *parts)
{
    pattern->groups_n = count_groups(parts);
    pattern->parts = RG_STEAL(parts->at);
    pattern->parts_n = parts->n;
    set_prefix(pattern, rg_str_n(parts->text.p, pattern->parts[0].end));
    pattern->text = rg_buf_steal(&parts->text);
}

/* ---- what a regular expression begins with ---- */

/* Whether c is one of those that may follow "(?" without changing what is read after it. */
static bool is_plain_group(char c)
{
    return strchr(":=!<>P|", c) != NULL && c != '\0';
}

/* Moves *i from the [ of a class to its ]. False if it cannot be told where that is. */
static bool skip_class(struct rg_str text, size_t *i)
{
    size_t at = *i + 1;

    if (at < text.n && text.p[at] == '^')
        at++;
    if (at < text.n && text.p[at] == ']')
        at++;
    for (; at < text.n && text.p[at] != ']'; at++) {
        if (text.p[at] == '\\')
            at++;
        else if (text.p[at] == '[')
            return false;
    }
    *i = at;
    return at < text.n;
}

/* Moves *depth for the parenthesis at i. False if it begins something that reads differently. */
static bool enter(struct rg_str text, size_t i, size_t *depth)
{
    char next = i + 1 < text.n ? text.p[i + 1] : '\0';
    char after = i + 2 < text.n ? text.p[i + 2] : '\0';

    ++*depth;
    return next != '*' && (next != '?' || is_plain_group(after));
}

/*
 * True if there may be a | outside of all groups, so that nothing is known of the beginning. What
 * is not understood (comments, options, verbs, quotation, classes in classes) counts as one: then
 * the pattern is tried on more paths than necessary, and no harm is done.
 */
static bool may_have_alternatives(struct rg_str text)
{
    size_t depth = 0;

    if (memchr(text.p, '|', text.n) == NULL)
        return false;
    for (size_t i = 0; i < text.n; i++) {
        switch (text.p[i]) {
        case '\\':
            if (++i == text.n || text.p[i] == 'Q' || text.p[i] == 'c')
                return true;
            break;
        case '[':
            if (!skip_class(text, &i))
                return true;
            break;
        case '(':
            if (!enter(text, i, &depth))
                return true;
            break;
        case ')':
            if (depth == 0)
                return true;
            depth--;
            break;
        case '|':
            if (depth == 0)
                return true;
            break;
        default:
            break;
        }
    }
    return false;
}

/* True if the last character before rest is there exactly once, whatever rest is. */
static bool leaves_alone(struct rg_str rest)
{
    if (rest.p[0] == '(')
        return rest.n > 1 && rest.p[1] != '?' && rest.p[1] != '*';
    return rest.p[0] == '.' || rest.p[0] == '[';
}

static void find_prefix(struct rg_pattern *pattern, struct rg_str text)
{
    RG_CLEANUP(rg_buf_done) struct rg_buf prefix = {0};
    struct rg_str rest = text;
    enum token token = TOKEN_CHAR;
    char c;

    /* So that it is the text of the path: its slash. */
    if (pattern->takes_bare)
        rg_buf_add_char(&prefix, '/');
    size_t start = prefix.n;
    while (token == TOKEN_CHAR) {
        token = next_token(&rest, &c);
        if (token == TOKEN_CHAR)
            rg_buf_add_char(&prefix, c);
    }
    if (token == TOKEN_OTHER && !leaves_alone(rest) && prefix.n > start)
        prefix.n--;
    if (prefix.n == start || may_have_alternatives(text))
        prefix.n = 0;
    set_prefix(pattern, rg_buf_str(&prefix));
}

/* ---- compiling ---- */

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
    RG_CLEANUP(parts_done) struct parts parts = {0};
    struct rg_str bare = without_anchors(text);
    struct rg_str inner = text;

    skip(&inner, RG_STR("^"));
    pattern->takes_bare = inner.n > 0 && is_alnum(inner.p[0]);
    if (pattern->takes_bare)
        rg_buf_add_char(&parts.text, '/');
    if (read_parts(bare, &parts) && count_groups(&parts) <= RG_PATTERN_MAX_GROUPS) {
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
    const char *id = memmem(path.p, path.n, "{id}", 4);

    set_prefix(pattern, rg_str_n(path.p, (size_t)(id - path.p)));
    while (path.n > 0) {
        if (skip(&path, RG_STR("{id}"))) {
            rg_buf_add_str(&text, RG_STR("[^/]+"));
            continue;
        }
        if (!is_alnum(path.p[0]) && (unsigned char)path.p[0] < 0x80)
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
    RG_CLEANUP(parts_done) struct parts parts = {0};

    if (check_length(path, why) < 0)
        return NULL;
    if (!rg_str_starts_with(path, RG_STR("/")))
        rg_buf_add_char(&whole, '/');
    rg_buf_add_str(&whole, path);
    pattern->has_case = true;
    if (read_parts_2017(rg_buf_str(&whole), &parts))
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
    rg_free(pattern->text);
    rg_free(pattern->parts);
    rg_free(pattern->prefix);
    rg_free(pattern);
}

/* ---- matching ---- */

static bool is_literal_at(const struct rg_pattern *pattern, size_t from, size_t n, const char *p)
{
    const char *literal = pattern->text + from;

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

    for (size_t i = 0; i < pattern->parts_n; i++) {
        const struct part *part = &pattern->parts[i];
        size_t n = part->end - from;
        if (path.n - at < n || !is_literal_at(pattern, from, n, path.p + at))
            return false;
        at += n;
        from = part->end;
        if (part->then == THEN_END)
            break;
        const char *slash = at < path.n ? memchr(path.p + at, '/', path.n - at) : NULL;
        n = slash != NULL ? (size_t)(slash - path.p) - at : path.n - at;
        if (n == 0)
            return false;
        if (part->then == THEN_GROUP)
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
        .is_whole = pattern->code == NULL && pattern->parts_n == 1,
        .has_case = pattern->has_case,
    };
}
