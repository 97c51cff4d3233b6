/*
 * All pointers together form a tree of names, and one hash table holds every edge of
 * it: (node, name) -> node. A run descends into a container only where its node has
 * children; any other value is one call of the scanner, which is the plain check.
 *
 * What a run finds is stamped with the number of the run, so that starting the next
 * one forgets everything by counting on. The stamp of a node says that its name was
 * met in this run: a duplicate is then skipped like a name nobody asked for.
 */
#include "event/projection.h"

#include "base/alloc.h"
#include "event/json_priv.h"
#include "event/name_priv.h"

#define NOWHERE (-1)
#define ROOT    0

/* Enough for any index into a text that fits in memory. */
#define MAX_INDEX_DIGITS 18

struct node {
    char *name; /* NULL for the root */
    size_t name_n;
    struct rg_name_ends ends; /* of the name */
    int parent;
    int slot; /* NOWHERE: no pointer ends here */
    bool has_children;
    uint64_t indices; /* elements of an array from this one on have no node */
};

struct rg_projection {
    struct node *nodes; /* a parent stands before its children */
    size_t nodes_n;
    size_t slots;
    size_t max_name; /* bytes of the longest name */

    int *table; /* nodes by parent and name; NOWHERE: free */
    size_t table_mask;
};

/* A container that the run has descended into. */
struct frame {
    int node;
    bool is_object;
    uint64_t index;    /* of the element that comes next, in an array */
    const char *start; /* of the container */
};

struct found {
    uint64_t run;
    struct rg_json value;
};

struct rg_projector {
    const struct rg_projection *projection;
    uint64_t run;
    uint64_t *entered;   /* per node: the last run that met its name */
    struct found *found; /* per slot */
    struct rg_buf name;  /* a name that had escapes */
    struct frame frames[RG_JSON_MAX_DEPTH];
    unsigned depth;
    rg_projector_found_fn *tell; /* NULL: nobody is told */
    void *tell_arg;
    bool is_ended; /* who is told has seen enough */
};

/* -- the tree -------------------------------------------------------------- */

static inline size_t place_of(const struct rg_projection *t, int parent, struct rg_str name,
                              struct rg_name_ends ends)
{
    return rg_name_hash(ends, name.n, (uint64_t)parent) & t->table_mask;
}

static inline int child_of(const struct rg_projection *t, int parent, struct rg_str name)
{
    struct rg_name_ends ends = rg_name_ends(name);

    for (size_t i = place_of(t, parent, name, ends);; i = (i + 1) & t->table_mask) {
        int id = t->table[i];
        if (id == NOWHERE)
            return NOWHERE;
        const struct node *node = &t->nodes[id];
        if (node->parent == parent &&
            rg_name_eq(rg_str_n(node->name, node->name_n), node->ends, name, ends))
            return id;
    }
}

static void table_put(struct rg_projection *t, int id)
{
    const struct node *node = &t->nodes[id];
    size_t i = place_of(t, node->parent, rg_str_n(node->name, node->name_n), node->ends);

    while (t->table[i] != NOWHERE)
        i = (i + 1) & t->table_mask;
    t->table[i] = id;
}

static void table_resize(struct rg_projection *t, size_t size)
{
    t->table = rg_realloc_array(t->table, size, sizeof(*t->table));
    t->table_mask = size - 1;
    for (size_t i = 0; i < size; i++)
        t->table[i] = NOWHERE;
    for (size_t id = ROOT + 1; id < t->nodes_n; id++)
        table_put(t, (int)id);
}

static int node_new(struct rg_projection *t, int parent)
{
    t->nodes = rg_realloc_array(t->nodes, t->nodes_n + 1, sizeof(*t->nodes));
    t->nodes[t->nodes_n] = (struct node){.parent = parent, .slot = NOWHERE};
    return (int)t->nodes_n++;
}

struct rg_projection *rg_projection_new(void)
{
    struct rg_projection *t = rg_zalloc(sizeof(*t));

    node_new(t, NOWHERE);
    table_resize(t, 16);
    return t;
}

void rg_projection_free(struct rg_projection **projectionp)
{
    struct rg_projection *t = *projectionp;

    *projectionp = NULL;
    if (t == NULL)
        return;
    for (size_t i = 0; i < t->nodes_n; i++)
        rg_free(t->nodes[i].name);
    rg_free(t->nodes);
    rg_free(t->table);
    rg_free(t);
}

size_t rg_projection_slots(const struct rg_projection *projection)
{
    return projection->slots;
}

/* True if name is an array index (RFC 6901 section 4) that text in memory can reach. */
static bool is_index(struct rg_str name, uint64_t *ret)
{
    if (name.n > MAX_INDEX_DIGITS || (name.n > 1 && name.p[0] == '0'))
        return false;
    return rg_str_to_u64(name, UINT64_MAX - 1, ret) == 0;
}

/* Takes name. */
static int add_child(struct rg_projection *t, int parent, struct rg_buf *name)
{
    int id = node_new(t, parent);
    uint64_t index;

    t->nodes[id].name_n = name->n;
    t->nodes[id].ends = rg_name_ends(rg_buf_str(name));
    if (name->n > t->max_name)
        t->max_name = name->n;
    t->nodes[id].name = rg_buf_steal(name);
    t->nodes[parent].has_children = true;
    if (is_index(rg_str_n(t->nodes[id].name, t->nodes[id].name_n), &index) &&
        index >= t->nodes[parent].indices)
        t->nodes[parent].indices = index + 1;
    /* At most a quarter full, so that what is looked up in vain meets a free place, mostly at once.
     */
    if (t->nodes_n * 4 > t->table_mask + 1)
        table_resize(t, (t->table_mask + 1) * 2);
    else
        table_put(t, id);
    return id;
}

static bool is_pointer(struct rg_str pointer)
{
    if (pointer.n > 0 && pointer.p[0] != '/')
        return false;
    for (size_t i = 0; i < pointer.n; i++) {
        if (pointer.p[i] == '~' &&
            (i + 1 == pointer.n || (pointer.p[i + 1] != '0' && pointer.p[i + 1] != '1')))
            return false;
    }
    return true;
}

/* Takes the next reference token off *rest (which starts with '/') and decodes it into *name. */
static void next_token(struct rg_str *rest, struct rg_buf *name)
{
    size_t i = 1;

    rg_buf_clear(name);
    for (; i < rest->n && rest->p[i] != '/'; i++) {
        char c = rest->p[i];
        if (c == '~')
            c = rest->p[++i] == '0' ? '~' : '/';
        rg_buf_add_char(name, c);
    }
    *rest = rg_str_n(rest->p + i, rest->n - i);
}

int rg_projection_add(struct rg_projection *projection, struct rg_str pointer)
{
    RG_CLEANUP(rg_buf_done) struct rg_buf name = {0};
    int id = ROOT;

    if (!is_pointer(pointer))
        return RG_ESYNTAX;
    while (pointer.n > 0) {
        next_token(&pointer, &name);
        int child = child_of(projection, id, rg_buf_str(&name));
        id = child != NOWHERE ? child : add_child(projection, id, &name);
    }
    if (projection->nodes[id].slot == NOWHERE)
        projection->nodes[id].slot = (int)projection->slots++;
    return projection->nodes[id].slot;
}

/* The node of a pointer, or NOWHERE. */
static int find(const struct rg_projection *t, struct rg_str pointer)
{
    RG_CLEANUP(rg_buf_done) struct rg_buf name = {0};
    int id = ROOT;

    if (!is_pointer(pointer))
        return NOWHERE;
    while (pointer.n > 0 && id != NOWHERE) {
        next_token(&pointer, &name);
        id = child_of(t, id, rg_buf_str(&name));
    }
    return id;
}

/* -- a run ----------------------------------------------------------------- */

struct rg_projector *rg_projector_new(const struct rg_projection *projection)
{
    struct rg_projector *j = rg_zalloc(sizeof(*j));

    j->projection = projection;
    j->entered = rg_zalloc(projection->nodes_n * sizeof(*j->entered));
    j->found = rg_zalloc(projection->slots * sizeof(*j->found));
    /* Not 0, so that nothing is found before the first run. */
    j->run = 1;
    return j;
}

void rg_projector_free(struct rg_projector **projectorp)
{
    struct rg_projector *j = *projectorp;

    *projectorp = NULL;
    if (j == NULL)
        return;
    rg_free(j->entered);
    rg_free(j->found);
    rg_buf_done(&j->name);
    rg_free(j);
}

static inline void keep(struct rg_projector *j, int node, const char *start, const char *after)
{
    int slot = node != NOWHERE ? j->projection->nodes[node].slot : NOWHERE;

    if (slot == NOWHERE || j->found[slot].run == j->run)
        return;
    j->found[slot] =
        (struct found){j->run, {rg_json_kind_of(*start), rg_str_n(start, (size_t)(after - start))}};
    if (j->tell != NULL)
        j->is_ended |= j->tell(j->tell_arg, slot);
}

/* The child to go on with, or NOWHERE; only the first of duplicate names leads anywhere. */
static inline int enter(struct rg_projector *j, int parent, struct rg_str name)
{
    int id = child_of(j->projection, parent, name);

    if (id == NOWHERE || j->entered[id] == j->run)
        return NOWHERE;
    j->entered[id] = j->run;
    return id;
}

static int enter_index(struct rg_projector *j, struct frame *frame)
{
    char digits[MAX_INDEX_DIGITS + 2];
    char *p = digits + sizeof(digits);
    uint64_t index = frame->index++;

    if (index >= j->projection->nodes[frame->node].indices)
        return NOWHERE;
    do {
        *--p = (char)('0' + index % 10);
        index /= 10;
    } while (index > 0);
    return enter(j, frame->node, rg_str_n(p, (size_t)(digits + sizeof(digits) - p)));
}

/* p is at a member or element of the innermost frame; moves to its value and tells its node. */
static inline const char *enter_member(struct rg_projector *j, struct rg_json_scan *scan,
                                       const char *p, int *node)
{
    struct frame *frame = &j->frames[j->depth - 1];
    struct rg_str name;

    if (!frame->is_object) {
        *node = enter_index(j, frame);
        return p;
    }
    scan->has_escape = false;
    p = rg_json_scan_name(scan, p, &name);
    if (p == NULL)
        return NULL;
    if (scan->has_escape && name.n <= RG_JSON_MAX_ESCAPE * j->projection->max_name) {
        rg_buf_clear(&j->name);
        rg_json_unescape_raw(name, &j->name);
        name = rg_buf_str(&j->name);
    }
    *node = enter(j, frame->node, name);
    return p;
}

/* True if p is at a container that pointers lead into. */
static inline bool is_way(const struct rg_projector *j, const struct rg_json_scan *scan,
                          const char *p, int node)
{
    char c = rg_json_peek(scan, p);

    if (node == NOWHERE || j->depth == RG_JSON_MAX_DEPTH)
        return false;
    return (c == '{' && j->projection->nodes[node].has_children) ||
           (c == '[' && j->projection->nodes[node].indices > 0);
}

/* p is behind a value; leaves the frames that end here and moves to the next member, if any. */
static inline const char *leave(struct rg_projector *j, struct rg_json_scan *scan, const char *p)
{
    bool has_more = false;

    while (j->depth > 0 && !has_more) {
        const struct frame *frame = &j->frames[j->depth - 1];
        p = rg_json_scan_separator(scan, p, frame->is_object, &has_more);
        if (p == NULL)
            return NULL;
        if (!has_more) {
            keep(j, frame->node, frame->start, p);
            j->depth--;
        }
    }
    return p;
}

/* Reads the value at p, which stands at node. */
static const char *walk(struct rg_projector *j, struct rg_json_scan *scan, const char *p, int node)
{
    j->depth = 0;
    do {
        const char *start = p;
        bool is_complete = true;
        if (is_way(j, scan, p, node)) {
            p = rg_json_scan_open(scan, p, &is_complete);
            if (!is_complete)
                j->frames[j->depth++] = (struct frame){node, *start == '{', 0, start};
        } else {
            p = rg_json_scan_value(scan, p, j->depth);
        }
        if (p != NULL && is_complete) {
            keep(j, node, start, p);
            p = leave(j, scan, p);
        }
        if (p != NULL && j->depth > 0)
            p = enter_member(j, scan, p, &node);
    } while (p != NULL && j->depth > 0 && !j->is_ended);
    return p;
}

int rg_projector_run_until(struct rg_projector *projector, struct rg_str text,
                           rg_projector_found_fn *found, void *arg, struct rg_json *ret_root,
                           struct rg_why *why)
{
    struct rg_json_scan scan = {0};
    const char *start, *after;

    projector->run++;
    if (text.n == 0)
        return rg_json_check(text, ret_root, why);
    projector->tell = found;
    projector->tell_arg = arg;
    projector->is_ended = false;
    scan.end = text.p + text.n;
    start = rg_json_skip_space(text.p, scan.end);
    after = walk(projector, &scan, start, ROOT);
    projector->tell = NULL;
    if (after != NULL && projector->is_ended)
        return 1;
    if (after == NULL || rg_json_scan_end(&scan, after) == NULL) {
        projector->run++; /* forgets what was found before the mistake */
        return rg_json_scan_explain(&scan, text, why);
    }
    if (ret_root != NULL)
        *ret_root =
            (struct rg_json){rg_json_kind_of(*start), rg_str_n(start, (size_t)(after - start))};
    return 0;
}

int rg_projector_run(struct rg_projector *projector, struct rg_str text, struct rg_json *ret_root,
                     struct rg_why *why)
{
    return rg_projector_run_until(projector, text, NULL, NULL, ret_root, why);
}

struct rg_json rg_projector_get(const struct rg_projector *projector, int slot)
{
    const struct found *found;

    if (slot < 0 || (size_t)slot >= projector->projection->slots)
        return (struct rg_json){RG_JSON_NONE, {NULL, 0}};
    found = &projector->found[slot];
    return found->run == projector->run ? found->value : (struct rg_json){RG_JSON_NONE, {NULL, 0}};
}

bool rg_projector_leads_below(const struct rg_projector *projector, struct rg_str pointer)
{
    int node = find(projector->projection, pointer);

    return node != NOWHERE && projector->projection->nodes[node].has_children;
}

int rg_projector_run_below(struct rg_projector *projector, struct rg_str pointer,
                           struct rg_str text)
{
    int node = find(projector->projection, pointer);
    struct rg_json_scan scan = {.end = text.n > 0 ? text.p + text.n : text.p};
    struct rg_json value;

    /* Checked first, so that broken text leaves nothing behind. */
    int err = rg_json_check(text, &value, NULL);
    projector->is_ended = false;
    if (err == 0 && node != NOWHERE)
        walk(projector, &scan, value.text.p, node);
    return err;
}
