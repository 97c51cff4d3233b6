/*
 * For each method a trie of what patterns begin with, in lower case:
 *
 *     "/orders" [#3]*                  * all of a path: tried only where the path ends here
 *      +- "/" [#4 #9]                  others: tried on every path that comes by
 *      +- "-archive/" [#0]
 *
 * Patterns are sorted by text, so those of a node stand side by side, and so do the nodes below it:
 * a node says where they begin and how many they are. A path is walked down once, to the last node
 * that it goes through, and from there up again, over the nodes that have patterns only. All of
 * them are tried until one matches, and from then on those of a lower rank only: so the result is
 * the first of all that match, in whichever order nodes are visited.
 */
#include "proxy/table.h"

#include <stdlib.h>

#include "base/alloc.h"

#define NONE UINT32_MAX

/* An endpoint in its place in the index. */
struct entry {
    const struct rg_endpoint *endpoint;
    struct rg_str prefix; /* the pattern's */
    uint32_t rank;
    bool is_whole;
};

struct run {
    uint32_t from, n;
};

struct node {
    struct rg_str label;       /* of the prefix, what is added to that of the node above */
    struct run wholes, others; /* entries, by ascending rank */
    struct run below;          /* nodes */
    uint32_t up;               /* the next node above that has others, or NONE */
};

struct method {
    struct rg_str name;
    uint32_t root;
};

struct rg_table {
    struct rg_api **apis;
    size_t apis_n;
    struct entry *entries; /* by method, prefix, wholes first, rank */
    uint32_t entries_n;
    struct node *nodes;
    char *firsts; /* of each node's label, the first byte: those below a node are one text */
    uint32_t nodes_n, nodes_cap;
    struct method *methods; /* by name */
    uint32_t methods_n;
};

/* ---- ranks ---- */

static int compare_apis(const void *a, const void *b)
{
    const struct rg_api *x = *(struct rg_api *const *)a;
    const struct rg_api *y = *(struct rg_api *const *)b;

    if (x->dialect != y->dialect)
        return x->dialect == RG_DIALECT_2017 ? 1 : -1;
    return strcmp(x->id, y->id);
}

static void take_apis(struct rg_table *table, struct rg_api *const *apis, size_t n)
{
    size_t endpoints = 0;

    table->apis = rg_realloc_array(NULL, n, sizeof(apis[0]));
    for (size_t i = 0; i < n; i++) {
        if (!apis[i]->is_matched)
            continue;
        table->apis[table->apis_n++] = rg_api_ref(apis[i]);
        endpoints += apis[i]->endpoints_n;
    }
    if (table->apis_n > 1)
        qsort(table->apis, table->apis_n, sizeof(table->apis[0]), compare_apis);
    rg_assert(endpoints < NONE / 2);
    table->entries = rg_realloc_array(NULL, endpoints, sizeof(table->entries[0]));
}

static void add_entries(struct rg_table *table, const struct rg_api *api)
{
    for (size_t i = 0; i < api->endpoints_n; i++) {
        const struct rg_endpoint *endpoint = &api->endpoints[i];
        struct rg_pattern_prefix prefix = rg_pattern_prefix(endpoint->pattern);
        table->entries[table->entries_n] =
            (struct entry){endpoint, prefix.text, table->entries_n, prefix.is_whole};
        table->entries_n++;
    }
}

/* ---- building ---- */

static int compare_text(struct rg_str a, struct rg_str b)
{
    size_t n = a.n < b.n ? a.n : b.n;
    int order = n > 0 ? memcmp(a.p, b.p, n) : 0;

    return order != 0 ? order : (a.n > b.n) - (a.n < b.n);
}

static int compare_entries(const void *a, const void *b)
{
    const struct entry *x = a, *y = b;
    int order = strcmp(x->endpoint->method, y->endpoint->method);

    if (order == 0)
        order = compare_text(x->prefix, y->prefix);
    if (order == 0)
        order = (int)y->is_whole - (int)x->is_whole;
    return order != 0 ? order : (x->rank > y->rank) - (x->rank < y->rank);
}

/* A node for the entries of run, the first at bytes of whose prefixes the nodes above have; its
 * label is all that they share beyond. */
static uint32_t add_node(struct rg_table *table, struct run run, size_t at, uint32_t up)
{
    struct rg_str first = table->entries[run.from].prefix;
    struct rg_str last = table->entries[run.from + run.n - 1].prefix;
    size_t end = at;

    /* Whoever is between two texts in order begins with what these share. */
    while (end < first.n && end < last.n && first.p[end] == last.p[end])
        end++;
    if (table->nodes_n == table->nodes_cap) {
        table->nodes_cap = table->nodes_cap > 0 ? 2 * table->nodes_cap : 16;
        table->nodes = rg_realloc_array(table->nodes, table->nodes_cap, sizeof(table->nodes[0]));
    }
    /* Until the node is opened, others has its entries, all of them. */
    table->nodes[table->nodes_n] = (struct node){
        .label = rg_str_n(first.n > 0 ? first.p + at : first.p, end - at), .others = run, .up = up};
    return table->nodes_n++;
}

/* How many entries of run satisfy is(entry, at, like), which those do that stand in front. */
static uint32_t count_while(const struct rg_table *table, struct run run, size_t at,
                            bool (*is)(const struct entry *entry, size_t at,
                                       const struct entry *like))
{
    const struct entry *entries = table->entries + run.from;
    uint32_t low = 0, high = run.n;

    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (is(&entries[middle], at, &entries[0]))
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static bool ends(const struct entry *entry, size_t at, const struct entry *like)
{
    (void)like;
    return entry->prefix.n == at;
}

static bool ends_whole(const struct entry *entry, size_t at, const struct entry *like)
{
    (void)like;
    return entry->prefix.n == at && entry->is_whole;
}

static bool goes_on_alike(const struct entry *entry, size_t at, const struct entry *like)
{
    return entry->prefix.p[at] == like->prefix.p[at];
}

static struct run rest_of(struct run run, uint32_t n)
{
    return (struct run){run.from + n, run.n - n};
}

/* Divides the entries of node i into its own and those of nodes below, which are added. at: how
 * long the prefix of the node is. */
static void open_node(struct rg_table *table, uint32_t i, size_t at)
{
    struct node node = table->nodes[i];
    struct run run = node.others;

    node.wholes = (struct run){run.from, count_while(table, run, at, ends_whole)};
    run = rest_of(run, node.wholes.n);
    node.others = (struct run){run.from, count_while(table, run, at, ends)};
    run = rest_of(run, node.others.n);
    node.below.from = table->nodes_n;
    while (run.n > 0) {
        struct run alike = {run.from, count_while(table, run, at, goes_on_alike)};
        add_node(table, alike, at, node.others.n > 0 ? i : node.up);
        run = rest_of(run, alike.n);
    }
    node.below.n = table->nodes_n - node.below.from;
    table->nodes[i] = node;
}

/* The prefix of a node that is not open yet: all its entries begin with it. */
static size_t prefix_length(const struct rg_table *table, uint32_t i)
{
    const struct node *node = &table->nodes[i];
    const struct rg_str *first = &table->entries[node->others.from].prefix;

    return node->label.n > 0 ? (size_t)(node->label.p - first->p) + node->label.n : 0;
}

static void add_method(struct rg_table *table, struct run run)
{
    struct rg_str name = rg_str_c(table->entries[run.from].endpoint->method);
    uint32_t i = add_node(table, run, 0, NONE);

    table->methods =
        rg_realloc_array(table->methods, table->methods_n + 1, sizeof(table->methods[0]));
    table->methods[table->methods_n++] = (struct method){name, i};
    /* Each round opens one node and adds those below it behind the last. */
    for (; i < table->nodes_n; i++)
        open_node(table, i, prefix_length(table, i));
}

static bool has_method(const struct entry *entry, size_t at, const struct entry *like)
{
    (void)at;
    return strcmp(entry->endpoint->method, like->endpoint->method) == 0;
}

static void index_entries(struct rg_table *table)
{
    struct run run = {0, table->entries_n};

    if (run.n > 1)
        qsort(table->entries, run.n, sizeof(table->entries[0]), compare_entries);
    while (run.n > 0) {
        struct run alike = {run.from, count_while(table, run, 0, has_method)};
        add_method(table, alike);
        run = rest_of(run, alike.n);
    }
    table->firsts = rg_alloc(table->nodes_n);
    for (uint32_t i = 0; i < table->nodes_n; i++)
        table->firsts[i] = table->nodes[i].label.n > 0 ? table->nodes[i].label.p[0] : '\0';
}

struct rg_table *rg_table_new(struct rg_api *const *apis, size_t n)
{
    struct rg_table *table = rg_zalloc(sizeof(*table));

    take_apis(table, apis, n);
    for (size_t i = 0; i < table->apis_n; i++)
        add_entries(table, table->apis[i]);
    index_entries(table);
    return table;
}

void rg_table_free(struct rg_table **tablep)
{
    struct rg_table *table = *tablep;

    *tablep = NULL;
    if (table == NULL)
        return;
    for (size_t i = 0; i < table->apis_n; i++)
        rg_api_unref(&table->apis[i]);
    rg_free(table->apis);
    rg_free(table->entries);
    rg_free(table->nodes);
    rg_free(table->firsts);
    rg_free(table->methods);
    rg_free(table);
}

size_t rg_table_endpoints(const struct rg_table *table)
{
    return table->entries_n;
}

/* ---- finding ---- */

static uint32_t find_root(const struct rg_table *table, struct rg_str method)
{
    uint32_t low = 0, high = table->methods_n;

    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        int order = compare_text(table->methods[middle].name, method);
        if (order == 0)
            return table->methods[middle].root;
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return NONE;
}

static char lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c | 0x20) : c;
}

/* Whether path goes on with label, which is in lower case. */
static bool goes_through(struct rg_str label, struct rg_str path)
{
    if (path.n < label.n)
        return false;
    for (size_t i = 0; i < label.n; i++) {
        if (lower(path.p[i]) != label.p[i])
            return false;
    }
    return true;
}

static uint32_t find_below(const struct rg_table *table, const struct node *node,
                           struct rg_str path)
{
    const char *firsts = table->firsts + node->below.from;

    if (node->below.n == 0 || path.n == 0)
        return NONE;
    const char *first = memchr(firsts, lower(path.p[0]), node->below.n);
    return first != NULL ? node->below.from + (uint32_t)(first - firsts) : NONE;
}

/* Where a path leads. */
struct way {
    uint32_t deepest;  /* node with others that the path goes through, or NONE */
    struct run wholes; /* of the node where it ends */
};

static struct way walk(const struct rg_table *table, struct rg_str method, struct rg_str path)
{
    struct way way = {.deepest = NONE};
    uint32_t i = find_root(table, method);

    while (i != NONE) {
        const struct node *node = &table->nodes[i];
        if (!goes_through(node->label, path))
            break;
        path = rg_str_n(path.p + node->label.n, path.n - node->label.n);
        if (node->others.n > 0)
            way.deepest = i;
        if (path.n == 0)
            way.wholes = node->wholes;
        i = find_below(table, node, path);
    }
    return way;
}

/* The search for the first. */
struct search {
    struct rg_str path;
    uint32_t best;  /* rank, or NONE */
    bool is_costly; /* the best is not known to match: that would have cost too much */
    struct rg_found *found;
};

static void try_run(const struct rg_table *table, struct run run, struct search *search)
{
    const struct entry *entries = table->entries + run.from;
    struct rg_captures captures;

    for (uint32_t i = 0; i < run.n && entries[i].rank < search->best; i++) {
        int found = rg_pattern_match(entries[i].endpoint->pattern, search->path, &captures);
        if (found == 0)
            continue;
        search->best = entries[i].rank;
        search->is_costly = found < 0;
        search->found->endpoint = entries[i].endpoint;
        if (found > 0) {
            memcpy(search->found->captures.group, captures.group,
                   captures.n * sizeof(captures.group[0]));
            search->found->captures.n = captures.n;
        }
        return;
    }
}

static bool matches_another(const struct rg_table *table, struct run run, struct rg_str path,
                            const struct rg_endpoint *found)
{
    const struct entry *entries = table->entries + run.from;
    struct rg_captures captures;

    for (uint32_t i = 0; i < run.n; i++) {
        if (entries[i].endpoint != found &&
            rg_pattern_match(entries[i].endpoint->pattern, path, &captures) > 0)
            return true;
    }
    return false;
}

static bool has_others(const struct rg_table *table, struct way way, struct rg_str path,
                       const struct rg_endpoint *found)
{
    if (matches_another(table, way.wholes, path, found))
        return true;
    for (uint32_t i = way.deepest; i != NONE; i = table->nodes[i].up) {
        if (matches_another(table, table->nodes[i].others, path, found))
            return true;
    }
    return false;
}

bool rg_table_find(const struct rg_table *table, struct rg_str method, struct rg_str path,
                   struct rg_found *ret, bool *ret_others)
{
    struct way way = walk(table, method, path);
    struct search search = {.path = path, .best = NONE, .found = ret};

    ret->endpoint = NULL;
    ret->costly = NULL;
    try_run(table, way.wholes, &search);
    for (uint32_t i = way.deepest; i != NONE; i = table->nodes[i].up)
        try_run(table, table->nodes[i].others, &search);
    if (search.is_costly)
        ret->costly = RG_STEAL(ret->endpoint);
    if (ret_others != NULL)
        *ret_others = ret->endpoint != NULL && has_others(table, way, path, ret->endpoint);
    return ret->endpoint != NULL;
}
