#include "proxy/service_tls.h"

#include <pthread.h>
#include <sys/stat.h>

#include "base/alloc.h"

#define KEPT_MAX 64
#define KEPT_MS  60000

struct kept {
    struct rg_buf name;
    struct rg_tls_client *client; /* NULL: the place is free */
    uint64_t read_ms;
};

/* The one thing here that outlives a call: what certificates say is the same for all. */
static struct {
    pthread_mutex_t lock;
    struct kept list[KEPT_MAX];
    size_t next; /* whose turn it is to make room */
} kept = {.lock = PTHREAD_MUTEX_INITIALIZER};

/* ---- names ---- */

/* The file's name with its length (so that names cannot run into each other), size and time. */
static void add_file(struct rg_buf *out, const char *path)
{
    struct stat st;

    if (path == NULL) {
        rg_buf_add_c(out, "-;");
        return;
    }
    rg_buf_addf(out, "%zu:%s", strlen(path), path);
    if (stat(path, &st) == 0)
        rg_buf_addf(out, ",%lld,%lld.%09ld,%llu", (long long)st.st_size,
                    (long long)st.st_mtim.tv_sec, st.st_mtim.tv_nsec,
                    (unsigned long long)st.st_ino);
    rg_buf_add_char(out, ';');
}

void rg_service_tls_name(const struct rg_tls_client_settings *settings, struct rg_buf *out)
{
    add_file(out, settings->ca_file);
    add_file(out, settings->cert_file);
    add_file(out, settings->key_file);
    rg_buf_add_c(out, settings->is_unverified ? "any" : "verified");
}

/* ---- what is kept ---- */

static void drop(struct kept *entry)
{
    rg_tls_client_unref(&entry->client);
    rg_buf_done(&entry->name);
}

/* Also drops what is too old. */
static struct rg_tls_client *find_locked(struct rg_str name, uint64_t now_ms)
{
    struct rg_tls_client *found = NULL;

    for (size_t i = 0; i < KEPT_MAX; i++) {
        struct kept *entry = &kept.list[i];
        if (entry->client == NULL)
            continue;
        if (now_ms - entry->read_ms >= KEPT_MS)
            drop(entry);
        else if (rg_str_eq(rg_buf_str(&entry->name), name))
            found = rg_tls_client_ref(entry->client);
    }
    return found;
}

static void keep_locked(struct rg_tls_client *client, struct rg_str name, uint64_t now_ms)
{
    struct kept *entry = &kept.list[kept.next];

    kept.next = (kept.next + 1) % KEPT_MAX;
    if (entry->client != NULL)
        drop(entry);
    entry->client = rg_tls_client_ref(client);
    entry->read_ms = now_ms;
    rg_buf_add_str(&entry->name, name);
}

/* A named pipe, say, could keep us waiting. */
static int check_file(const char *path, const char *setting, struct rg_why *why)
{
    struct stat st;

    if (path == NULL)
        return 0;
    if (stat(path, &st) < 0)
        return rg_why_set(why, RG_ENOTFOUND, setting, "must be a file that can be read");
    if (!S_ISREG(st.st_mode))
        return rg_why_set(why, RG_EINVAL, setting, "must be a regular file");
    return 0;
}

static struct rg_tls_client *read_files(const struct rg_tls_client_settings *settings,
                                        struct rg_why *why)
{
    if (check_file(settings->ca_file, "ca_file", why) < 0 ||
        check_file(settings->cert_file, "cert_file", why) < 0 ||
        check_file(settings->key_file, "key_file", why) < 0)
        return NULL;
    return rg_tls_client_new(settings, why);
}

struct rg_tls_client *rg_service_tls_get(const struct rg_tls_client_settings *settings,
                                         struct rg_str name, uint64_t now_ms, struct rg_why *why)
{
    pthread_mutex_lock(&kept.lock);
    struct rg_tls_client *client = find_locked(name, now_ms);
    pthread_mutex_unlock(&kept.lock);
    if (client != NULL)
        return client;

    client = read_files(settings, why);
    if (client == NULL)
        return NULL;
    pthread_mutex_lock(&kept.lock);
    keep_locked(client, name, now_ms);
    pthread_mutex_unlock(&kept.lock);
    return client;
}

void rg_service_tls_forget(void)
{
    pthread_mutex_lock(&kept.lock);
    for (size_t i = 0; i < KEPT_MAX; i++) {
        if (kept.list[i].client != NULL)
            drop(&kept.list[i]);
    }
    pthread_mutex_unlock(&kept.lock);
}
