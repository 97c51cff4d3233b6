#include "ops/metrics.h"

#include <dirent.h>
#include <stdio.h>
#include <sys/resource.h>
#include <unistd.h>

#include "ops/admin.h"

/* Fields of /proc/self/stat behind the command name, proc(5). */
struct process_stat {
    unsigned long long utime, stime, starttime, vsize;
    long long rss_pages;
};

static bool read_stat(struct process_stat *ret)
{
    char line[1024];
    FILE *file = fopen("/proc/self/stat", "re");

    if (file == NULL)
        return false;
    size_t n = fread(line, 1, sizeof(line) - 1, file);
    fclose(file);
    line[n] = '\0';
    /* The name is in parentheses and may itself contain any of them. */
    const char *rest = strrchr(line, ')');
    return rest != NULL &&
           sscanf(rest + 1,
                  " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %llu %llu %*d %*d %*d %*d %*d %*d "
                  "%llu %llu %lld",
                  &ret->utime, &ret->stime, &ret->starttime, &ret->vsize, &ret->rss_pages) == 5;
}

static long long boot_time_s(void)
{
    char line[256];
    long long s = 0;
    FILE *file = fopen("/proc/stat", "re");

    if (file == NULL)
        return 0;
    while (fgets(line, sizeof(line), file) != NULL) {
        if (sscanf(line, "btime %lld", &s) == 1)
            break;
    }
    fclose(file);
    return s;
}

static unsigned long open_fds(void)
{
    unsigned long n = 0;
    DIR *dir = opendir("/proc/self/fd");

    if (dir == NULL)
        return 0;
    while (readdir(dir) != NULL)
        n++;
    closedir(dir);
    /* Not ".", "..", nor the descriptor of the directory itself. */
    return n > 3 ? n - 3 : 0;
}

static void add_gauge(struct rg_buf *out, const char *name, const char *type, const char *help,
                      double value)
{
    rg_metric_head(out, name, type, help);
    rg_buf_addf(out, "%s %.17g\n", name, value);
}

void rg_metrics_add_process(struct rg_buf *out)
{
    struct process_stat stat = {0};
    struct rlimit limit = {0};
    double tick = (double)sysconf(_SC_CLK_TCK);

    if (!read_stat(&stat))
        return;
    getrlimit(RLIMIT_NOFILE, &limit);
    add_gauge(out, "process_cpu_seconds_total", "counter", "User and system CPU time spent.",
              (double)(stat.utime + stat.stime) / tick);
    add_gauge(out, "process_resident_memory_bytes", "gauge", "Resident memory.",
              (double)stat.rss_pages * (double)sysconf(_SC_PAGESIZE));
    add_gauge(out, "process_virtual_memory_bytes", "gauge", "Virtual memory.", (double)stat.vsize);
    add_gauge(out, "process_open_fds", "gauge", "Open file descriptors.", (double)open_fds());
    add_gauge(out, "process_max_fds", "gauge", "Most file descriptors the process may have.",
              (double)limit.rlim_cur);
    add_gauge(out, "process_start_time_seconds", "gauge", "Start of the process, Unix time.",
              (double)boot_time_s() + (double)stat.starttime / tick);
}

void rg_metrics_handle(void *arg, struct rg_exchange *exchange)
{
    const struct rg_metrics *metrics = arg;
    struct rg_response response = {.status = 200};
    struct rg_buf body = {0};

    if (!metrics->is_enabled) {
        rg_admin_not_found(NULL, exchange);
        return;
    }
    metrics->expose(metrics->expose_arg, &body);
    rg_metrics_add_process(&body);
    rg_response_add(&response, RG_STR("content-type"), RG_STR("text/plain; version=0.0.4"));
    response.body = rg_buf_str(&body);
    rg_exchange_respond(exchange, &response);
    rg_buf_done(&body);
}
