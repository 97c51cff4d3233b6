/*
 * Who is where:
 *
 *   topics ── topic ── users ── presence <-> presence <-> ...    one user's in one topic: a ring
 *   users ─── user <── presences { meta, presence, presence }    one entrant's: one allocation
 *
 * What is to be told: a topic has news from its first announcement on until an interval has passed
 * without another. All news stand in a queue in the order in which they may be announced next,
 * because each goes to its end when it is announced and the interval is the same for all. So a
 * topic remembers its last announcement, even without anybody in it, exactly as long as that
 * matters.
 *
 * A presence that has left without its leave being told stays in its entrant's allocation, in a map
 * of the news that is like the topic's of users.
 */
#include "presence/roster.h"

#include <pthread.h>

#include "base/alloc.h"
#include "base/counter.h"
#include "base/hash.h"
#include "base/map.h"
#include "presence/ring_priv.h"

#define KEPT_BYTES     65536 /* of the buffer for diffs */
#define MIN_JOINED     4
#define REAPED_AT_ONCE 2   /* more than come at once */
#define TOLD_AT_ONCE   500 /* changes in a diff, so that none is long to write and to queue */

struct rg_topic {
    struct rg_map_link link;
    struct rg_map users; /* the first of each ring */
    struct news *news;   /* or NULL */
    uint32_t presences_n;
    uint32_t n;
    char name[];
};

struct news {
    struct news *next, *prev; /* the queue */
    struct rg_topic *topic;
    uint64_t due_ms;             /* the interval since the last announcement has passed */
    uint64_t version;            /* of the last change */
    struct rg_presence **joined; /* to be told; of each ring the newest */
    uint32_t joined_n, joined_cap;
    uint32_t left_n;
    struct rg_map left; /* to be told: the first of each ring of those who have left */
};

struct rg_roster {
    struct rg_roster_settings settings; /* set once */
    struct rg_hash_key hash_key;

    pthread_mutex_t lock; /* for all that follows */
    struct rg_map topics, users;
    uint64_t topics_n; /* with anybody in them */
    uint64_t joins, leaves, diffs;
    uint64_t version;
    uint64_t now_ms;    /* the latest that any thread has come with: theirs differ a little */
    struct news queue;  /* the ends */
    uint64_t untold_n;  /* changes to be told, of all topics */
    uint64_t wake_ms;   /* a flush has been asked for; UINT64_MAX: none */
    struct rg_buf json; /* a diff while it is announced */
};

struct rg_roster *rg_roster_new(const struct rg_roster_settings *settings)
{
    struct rg_roster *roster = rg_zalloc(sizeof(*roster));

    roster->settings = *settings;
    rg_hash_key_random(&roster->hash_key);
    pthread_mutex_init(&roster->lock, NULL);
    roster->queue.next = roster->queue.prev = &roster->queue;
    roster->wake_ms = UINT64_MAX;
    return roster;
}

/* Never 0: that means "from the start" where users are listed. */
static uint64_t hash_of(const struct rg_roster *roster, struct rg_str name)
{
    uint64_t hash = rg_hash64(&roster->hash_key, name.p, name.n);

    return hash != 0 ? hash : 1;
}

static void lock(struct rg_roster *roster)
{
    pthread_mutex_lock(&roster->lock);
}

static void lock_at(struct rg_roster *roster, uint64_t now_ms)
{
    lock(roster);
    if (now_ms > roster->now_ms)
        roster->now_ms = now_ms;
}

static void unlock(struct rg_roster *roster)
{
    pthread_mutex_unlock(&roster->lock);
}

/* ---- users ---- */

static bool is_user(const struct rg_map_link *link, const void *name)
{
    return rg_str_eq(rg_user_name(RG_CONTAINER_OF(link, const struct rg_user, link)),
                     *(const struct rg_str *)name);
}

static struct rg_user *find_user_locked(struct rg_roster *roster, struct rg_str name, uint64_t hash)
{
    struct rg_map_link *link = rg_map_find(&roster->users, hash, is_user, &name);

    return link != NULL ? RG_CONTAINER_OF(link, struct rg_user, link) : NULL;
}

static struct rg_user *ref_user_locked(struct rg_roster *roster, struct rg_str name, uint64_t hash)
{
    struct rg_user *user = find_user_locked(roster, name, hash);

    if (user == NULL) {
        user = rg_alloc(sizeof(*user) + name.n);
        user->refs = 0;
        user->n = (uint32_t)name.n;
        if (name.n > 0)
            memcpy(user->name, name.p, name.n);
        rg_map_add(&roster->users, &user->link, hash);
    }
    user->refs++;
    return user;
}

static void unref_user_locked(struct rg_roster *roster, struct rg_user *user)
{
    if (--user->refs > 0)
        return;
    rg_map_remove(&roster->users, &user->link);
    rg_free(user);
}

/* ---- topics ---- */

static struct rg_str topic_name(const struct rg_topic *topic)
{
    return rg_str_n(topic->name, topic->n);
}

static bool is_topic(const struct rg_map_link *link, const void *name)
{
    return rg_str_eq(topic_name(RG_CONTAINER_OF(link, const struct rg_topic, link)),
                     *(const struct rg_str *)name);
}

static struct rg_topic *find_topic_locked(struct rg_roster *roster, struct rg_str name,
                                          uint64_t hash)
{
    struct rg_map_link *link = rg_map_find(&roster->topics, hash, is_topic, &name);

    return link != NULL ? RG_CONTAINER_OF(link, struct rg_topic, link) : NULL;
}

static struct rg_topic *need_topic_locked(struct rg_roster *roster, struct rg_str name,
                                          uint64_t hash)
{
    struct rg_topic *topic = find_topic_locked(roster, name, hash);

    if (topic != NULL)
        return topic;
    topic = rg_alloc(sizeof(*topic) + name.n);
    *topic = (struct rg_topic){.n = (uint32_t)name.n};
    if (name.n > 0)
        memcpy(topic->name, name.p, name.n);
    rg_map_add(&roster->topics, &topic->link, hash);
    return topic;
}

static void forget_if_empty_locked(struct rg_roster *roster, struct rg_topic *topic)
{
    if (topic->presences_n > 0 || topic->news != NULL)
        return;
    rg_map_remove(&roster->topics, &topic->link);
    rg_map_done(&topic->users);
    rg_free(topic);
}

static bool is_watched_locked(const struct rg_roster *roster, const struct rg_topic *topic)
{
    return roster->settings.is_watched(roster->settings.arg, topic_name(topic));
}

static void unref_presences_locked(struct rg_roster *roster, struct rg_presences *presences)
{
    if (--presences->refs > 0)
        return;
    unref_user_locked(roster, presences->user);
    rg_free(presences);
}

/* ---- news ---- */

static uint32_t untold(const struct news *news)
{
    return news->joined_n + news->left_n;
}

static void unqueue(struct news *news)
{
    news->prev->next = news->next;
    news->next->prev = news->prev;
    news->next = news->prev = news;
}

/* New news are not in the queue, but nothing is behind their first change: it is announced. */
static struct news *need_news_locked(struct rg_topic *topic)
{
    if (topic->news == NULL) {
        struct news *news = rg_zalloc(sizeof(*news));
        news->next = news->prev = news;
        news->topic = topic;
        topic->news = news;
    }
    return topic->news;
}

static void unref_ring_locked(struct rg_roster *roster, struct rg_presence *first)
{
    struct rg_presence *last = first->prev;

    for (struct rg_presence *presence = first, *next;; presence = next) {
        bool is_last = presence == last;
        next = presence->next;
        unref_presences_locked(roster, rg_presences_of(presence));
        if (is_last)
            return;
    }
}

/* Nothing is to be told any more. */
static void clear_locked(struct rg_roster *roster, struct news *news)
{
    roster->untold_n -= untold(news);
    for (uint32_t i = 0; i < news->joined_n; i++)
        news->joined[i]->joined = 0;
    news->joined_n = 0;
    for (struct rg_map_link *link = rg_map_first(&news->left, 0), *next; link != NULL;
         link = next) {
        next = rg_map_next(&news->left, link);
        unref_ring_locked(roster, rg_ring_of(link));
    }
    rg_map_done(&news->left);
    news->left_n = 0;
}

static void forget_news_locked(struct rg_roster *roster, struct news *news)
{
    clear_locked(roster, news);
    unqueue(news);
    news->topic->news = NULL;
    rg_free(news->joined);
    rg_free(news);
}

/* The interval of the oldest in the queue has passed without a change. */
static void forget_oldest_locked(struct rg_roster *roster)
{
    struct rg_topic *topic = roster->queue.next->topic;

    forget_news_locked(roster, roster->queue.next);
    forget_if_empty_locked(roster, topic);
}

static void reap_locked(struct rg_roster *roster)
{
    for (unsigned i = 0; i < REAPED_AT_ONCE; i++) {
        struct news *oldest = roster->queue.next;
        if (oldest == &roster->queue || oldest->due_ms > roster->now_ms || untold(oldest) > 0)
            return;
        forget_oldest_locked(roster);
    }
}

/* To the end of the queue, as nobody is due later. Without an interval there is no queue. */
static void put_off_locked(struct rg_roster *roster, struct news *news)
{
    if (roster->settings.interval_ms == 0) {
        forget_news_locked(roster, news);
        return;
    }
    unqueue(news);
    news->due_ms = roster->now_ms + roster->settings.interval_ms;
    news->next = &roster->queue;
    news->prev = roster->queue.prev;
    news->prev->next = news->next->prev = news;
    reap_locked(roster);
}

/* Not the topic, but the news may be forgotten. */
static void announce_locked(struct rg_roster *roster, struct news *news)
{
    struct rg_buf *json = &roster->json;

    rg_buf_add_c(json, "{\"joins\":");
    rg_ring_add_joined(json, news->joined, news->joined_n);
    rg_buf_add_c(json, ",\"leaves\":");
    rg_ring_add_all(json, &news->left);
    rg_buf_add_char(json, '}');
    roster->settings.announce(
        roster->settings.arg,
        &(struct rg_roster_diff){topic_name(news->topic), rg_buf_str(json), news->version});
    roster->diffs++;
    if (json->cap > KEPT_BYTES)
        rg_buf_done(json);
    rg_buf_clear(json);
    clear_locked(roster, news);
    put_off_locked(roster, news);
}

/* Announces what is to be told, or has it announced when that is not too soon any more. */
static void settle_locked(struct rg_roster *roster, struct news *news)
{
    if (untold(news) == 0)
        return;
    if (news->due_ms <= roster->now_ms || untold(news) >= TOLD_AT_ONCE) {
        announce_locked(roster, news);
    } else if (news->due_ms < roster->wake_ms) {
        roster->wake_ms = news->due_ms;
        roster->settings.wait(roster->settings.arg, news->due_ms);
    }
}

static void note_join_locked(struct rg_roster *roster, struct news *news,
                             struct rg_presence *presence)
{
    if (news->joined_n == news->joined_cap) {
        news->joined_cap = news->joined_cap > 0 ? 2 * news->joined_cap : MIN_JOINED;
        news->joined = rg_realloc_array(news->joined, news->joined_cap, sizeof(news->joined[0]));
    }
    news->joined[news->joined_n++] = presence;
    presence->joined = news->joined_n;
    roster->untold_n++;
}

static void cancel_join_locked(struct rg_roster *roster, struct news *news,
                               struct rg_presence *presence)
{
    struct rg_presence *last = news->joined[--news->joined_n];

    news->joined[presence->joined - 1] = last;
    last->joined = presence->joined;
    presence->joined = 0;
    roster->untold_n--;
}

static void note_leave_locked(struct rg_roster *roster, struct news *news,
                              struct rg_presence *presence)
{
    rg_ring_add(&news->left, presence);
    news->left_n++;
    rg_presences_of(presence)->refs++;
    roster->untold_n++;
}

/* presence is in its topic's users now (is_join), or it has left them. */
static void tell_locked(struct rg_roster *roster, struct rg_presence *presence, bool is_join)
{
    struct rg_topic *topic = presence->topic;

    roster->version++;
    if (!is_watched_locked(roster, topic)) {
        /* Whoever was told what was before is gone. */
        if (topic->news != NULL)
            clear_locked(roster, topic->news);
        return;
    }
    struct news *news = need_news_locked(topic);
    if (is_join)
        note_join_locked(roster, news, presence);
    else if (presence->joined != 0)
        cancel_join_locked(roster, news, presence);
    else
        note_leave_locked(roster, news, presence);
    news->version = roster->version;
    settle_locked(roster, news);
}

/* ---- coming and going ---- */

static void enter_locked(struct rg_roster *roster, struct rg_presence *presence, struct rg_str name)
{
    struct rg_topic *topic = need_topic_locked(roster, name, presence->link.hash);

    presence->topic = topic;
    rg_ring_add(&topic->users, presence);
    if (topic->presences_n++ == 0)
        roster->topics_n++;
    roster->joins++;
    tell_locked(roster, presence, true);
}

static void exit_locked(struct rg_roster *roster, struct rg_presence *presence)
{
    struct rg_topic *topic = presence->topic;

    rg_ring_take(&topic->users, presence);
    if (--topic->presences_n == 0)
        roster->topics_n--;
    roster->leaves++;
    tell_locked(roster, presence, false);
    forget_if_empty_locked(roster, topic);
}

static void begin_watching_locked(struct rg_roster *roster, struct rg_str name, uint64_t hash,
                                  struct rg_buf *state)
{
    struct rg_topic *topic = find_topic_locked(roster, name, hash);

    if (topic != NULL && topic->news != NULL && untold(topic->news) > 0)
        announce_locked(roster, topic->news);
    if (state != NULL)
        rg_ring_add_all(state, topic != NULL ? &topic->users : &(struct rg_map){0});
}

static struct rg_presences *make(const struct rg_roster *roster,
                                 const struct rg_roster_entrant *entrant)
{
    struct rg_presences *presences = rg_presences_new(entrant);

    /* Of the topic until it is in: so no name is hashed under the lock. */
    for (uint32_t i = 0; i < presences->n; i++)
        presences->at[i].link.hash = hash_of(roster, entrant->topics[i]);
    return presences;
}

struct rg_presences *rg_roster_join(struct rg_roster *roster,
                                    const struct rg_roster_entrant *entrant, struct rg_str watched,
                                    uint64_t now_ms, struct rg_buf *state, uint64_t *ret_version)
{
    struct rg_presences *presences = entrant->topics_n > 0 ? make(roster, entrant) : NULL;
    uint64_t user_hash = hash_of(roster, entrant->user);
    uint64_t watched_hash = hash_of(roster, watched);

    lock_at(roster, now_ms);
    if (watched.n > 0) {
        begin_watching_locked(roster, watched, watched_hash, state);
        *ret_version = roster->version + 1;
    }
    if (presences != NULL) {
        presences->user = ref_user_locked(roster, entrant->user, user_hash);
        for (uint32_t i = 0; i < presences->n; i++)
            enter_locked(roster, &presences->at[i], entrant->topics[i]);
    }
    unlock(roster);
    return presences;
}

void rg_roster_leave(struct rg_roster *roster, struct rg_presences **presencesp, uint64_t now_ms)
{
    struct rg_presences *presences = RG_STEAL(*presencesp);

    if (presences == NULL)
        return;
    lock_at(roster, now_ms);
    for (uint32_t i = 0; i < presences->n; i++)
        exit_locked(roster, &presences->at[i]);
    unref_presences_locked(roster, presences);
    unlock(roster);
}

uint64_t rg_roster_flush(struct rg_roster *roster, uint64_t now_ms)
{
    struct news *news;
    uint64_t next_ms;

    lock_at(roster, now_ms);
    while ((news = roster->queue.next) != &roster->queue && news->due_ms <= roster->now_ms) {
        if (untold(news) > 0 && is_watched_locked(roster, news->topic))
            announce_locked(roster, news);
        else
            forget_oldest_locked(roster);
    }
    /* The first in the queue may have nothing to tell: then the next flush forgets it. */
    next_ms = roster->untold_n > 0 ? news->due_ms : UINT64_MAX;
    roster->wake_ms = next_ms;
    unlock(roster);
    return next_ms;
}

void rg_roster_free(struct rg_roster **rosterp)
{
    struct rg_roster *roster = RG_STEAL(*rosterp);

    if (roster == NULL)
        return;
    rg_assert(roster->joins == roster->leaves);
    while (roster->queue.next != &roster->queue)
        forget_oldest_locked(roster);
    rg_assert(roster->topics.n == 0 && roster->users.n == 0);
    rg_map_done(&roster->topics);
    rg_map_done(&roster->users);
    rg_buf_done(&roster->json);
    pthread_mutex_destroy(&roster->lock);
    rg_free(roster);
}

/* ---- questions ---- */

size_t rg_roster_count(struct rg_roster *roster, struct rg_str topic)
{
    uint64_t hash = hash_of(roster, topic);

    lock(roster);
    struct rg_topic *found = find_topic_locked(roster, topic, hash);
    size_t n = found != NULL ? found->presences_n : 0;
    unlock(roster);
    return n;
}

size_t rg_roster_count_users(struct rg_roster *roster, struct rg_str topic)
{
    uint64_t hash = hash_of(roster, topic);

    lock(roster);
    struct rg_topic *found = find_topic_locked(roster, topic, hash);
    size_t n = found != NULL ? found->users.n : 0;
    unlock(roster);
    return n;
}

size_t rg_roster_count_user(struct rg_roster *roster, struct rg_str topic, struct rg_str user)
{
    uint64_t topic_hash = hash_of(roster, topic), user_hash = hash_of(roster, user);
    size_t n = 0;

    lock(roster);
    struct rg_topic *found = find_topic_locked(roster, topic, topic_hash);
    struct rg_user *found_user = find_user_locked(roster, user, user_hash);
    if (found != NULL && found_user != NULL)
        n = rg_ring_count(rg_ring_find(&found->users, found_user));
    unlock(roster);
    return n;
}

void rg_roster_add_metas(struct rg_roster *roster, struct rg_str topic, struct rg_buf *out)
{
    uint64_t hash = hash_of(roster, topic);

    rg_buf_add_char(out, '[');
    lock(roster);
    struct rg_topic *found = find_topic_locked(roster, topic, hash);
    for (struct rg_map_link *link = found != NULL ? rg_map_first(&found->users, 0) : NULL;
         link != NULL; link = rg_map_next(&found->users, link))
        rg_ring_add_metas(out, rg_ring_of(link));
    unlock(roster);
    rg_buf_add_char(out, ']');
}

struct listing {
    void (*fn)(void *arg, struct rg_str user, uint64_t hash);
    void *arg;
};

static void list_one(void *arg, const struct rg_map_link *link)
{
    const struct listing *listing = arg;

    listing->fn(listing->arg, rg_user_name(rg_presence_user(rg_ring_of(link))), link->hash);
}

size_t rg_roster_list_users(struct rg_roster *roster, struct rg_str topic, uint64_t after,
                            size_t max, void (*fn)(void *arg, struct rg_str user, uint64_t hash),
                            void *arg)
{
    uint64_t hash = hash_of(roster, topic);
    struct listing listing = {fn, arg};
    size_t n = 0;

    if (after == UINT64_MAX)
        return 0;
    lock(roster);
    struct rg_topic *found = find_topic_locked(roster, topic, hash);
    if (found != NULL)
        n = rg_map_page(&found->users, after + 1, max, list_one, &listing);
    unlock(roster);
    return n;
}

enum {
    ROW_PRESENCES,
    ROW_USERS,
    ROW_TOPICS,
    ROW_JOINS,
    ROW_LEAVES,
    ROW_DIFFS,
    ROWS
};

static const struct rg_counter_row rows[ROWS] = {
    [ROW_PRESENCES] = {"rgate_presence_presences", "gauge", NULL,
                       "Presences: users in topics, once for each channel they are there by."},
    [ROW_USERS] = {"rgate_presence_users", "gauge", NULL, "Users who are present in any topic."},
    [ROW_TOPICS] = {"rgate_presence_topics", "gauge", NULL, "Topics with anybody present."},
    [ROW_JOINS] = {"rgate_presence_joins_total", "counter", NULL, "Presences that began."},
    [ROW_LEAVES] = {"rgate_presence_leaves_total", "counter", NULL, "Presences that ended."},
    [ROW_DIFFS] = {"rgate_presence_diffs_total", "counter", NULL,
                   "Diffs announced to whoever watches a topic."},
};

void rg_roster_expose(struct rg_roster *roster, struct rg_buf *out)
{
    struct rg_counters *block = rg_counters_new(ROWS);
    const struct rg_counters *const blocks[] = {block};

    lock(roster);
    rg_count(block, ROW_PRESENCES, (int64_t)(roster->joins - roster->leaves));
    /* Users whose leave is still to be told are among them, for less than an interval. */
    rg_count(block, ROW_USERS, (int64_t)roster->users.n);
    rg_count(block, ROW_TOPICS, (int64_t)roster->topics_n);
    rg_count(block, ROW_JOINS, (int64_t)roster->joins);
    rg_count(block, ROW_LEAVES, (int64_t)roster->leaves);
    rg_count(block, ROW_DIFFS, (int64_t)roster->diffs);
    unlock(roster);
    rg_counters_expose(out, rows, ROWS, blocks, 1);
    rg_counters_free(&block);
}
