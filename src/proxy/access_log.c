#include "proxy/access_log.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/counter.h"
#include "base/err.h"
#include "base/random.h"
#include "base/utf8.h"

/*
 * Two buffers change places: reactors fill the one while the writer empties the other. The writer
 * waits a little before it takes what there is, so that a busy gateway wakes it a hundred times a
 * second and not once a request.
 *
 * What is written at once is at most PIPE_BUF bytes of whole lines, which a pipe takes whole or
 * not at all: lines of the other log, which other threads write to the same place, come between
 * ours and never into them.
 */

#define BUFFER_BYTES   (2 << 20) /* each of the two */
#define LINGER_MS      10
#define LAST_WRITES_MS 1000
#define POLL_MS        100 /* how soon a writer who waits for a reader notices the end */

enum {
    LINE_BYTES = PIPE_BUF
};

struct buffer {
    char *p;
    size_t n;
};

struct rg_access_log {
    struct rg_access_log_settings settings;
    pthread_t writer;
    atomic_ullong written, dropped; /* lines */
    atomic_bool is_over;            /* what is not written yet, is dropped */

    pthread_mutex_t lock; /* of what follows */
    pthread_cond_t changed;
    struct buffer filling;
    bool is_ending;
    bool has_ended;

    struct buffer emptying; /* the writer only */
};

/* ---- a line ---- */

struct line {
    char p[LINE_BYTES];
    size_t n;
    bool is_json;
};

static void add(struct line *line, const char *p, size_t n)
{
    /* Every value has a limit below, and together they leave room. */
    rg_assert(n <= sizeof(line->p) - line->n);
    memcpy(line->p + line->n, p, n);
    line->n += n;
}

static void add_c(struct line *line, const char *text)
{
    add(line, text, strlen(text));
}

static void add_number(struct line *line, uint64_t number)
{
    char digits[24];
    size_t at = sizeof(digits);

    do {
        digits[--at] = (char)('0' + number % 10);
        number /= 10;
    } while (number > 0);
    add(line, digits + at, sizeof(digits) - at);
}

static void add_key(struct line *line, const char *key)
{
    add_c(line, line->is_json ? ",\"" : " ");
    add_c(line, key);
    add_c(line, line->is_json ? "\":" : "=");
}

/* As the other log has them: JSON's escapes, in text too, where they keep a line one line. */
static size_t escape(const char *p, size_t n, char out[8], size_t *ret_n)
{
    unsigned char c = (unsigned char)*p;
    size_t taken = rg_utf8_sequence(p, n);

    if (taken == 0) {
        memcpy(out, "\\ufffd", 6);
        *ret_n = 6;
        return 1;
    }
    if (c == '"' || c == '\\') {
        out[0] = '\\';
        out[1] = (char)c;
        *ret_n = 2;
    } else if (c < 0x20 || c == 0x7f) {
        *ret_n = (size_t)snprintf(out, 8, "\\u%04x", c);
    } else {
        memcpy(out, p, taken);
        *ret_n = taken;
    }
    return taken;
}

/* At most max bytes; what is longer ends with "...". */
static void add_escaped(struct line *line, struct rg_str s, size_t max)
{
    const size_t start = line->n;
    char out[8];
    size_t out_n;

    for (size_t i = 0; i < s.n;) {
        i += escape(s.p + i, s.n - i, out, &out_n);
        if (line->n - start + out_n > max - 3) {
            add_c(line, "...");
            return;
        }
        add(line, out, out_n);
    }
}

static bool needs_quotes(struct rg_str s)
{
    for (size_t i = 0; i < s.n; i++) {
        unsigned char c = (unsigned char)s.p[i];
        if (c <= 0x20 || c == '"' || c == '\\' || c == '=' || c == 0x7f)
            return true;
    }
    return s.n == 0 || !rg_utf8_is_valid(s);
}

/* Limits are of what is written. */
enum {
    MAX_NAME = 64,
    MAX_ID = 256,
    MAX_PATH = 1536
};

static void add_str(struct line *line, const char *key, struct rg_str value, size_t max)
{
    bool is_quoted = line->is_json || needs_quotes(value);

    add_key(line, key);
    if (is_quoted)
        add_c(line, "\"");
    add_escaped(line, value, max);
    if (is_quoted)
        add_c(line, "\"");
}

/* What is not known is left out. */
static void add_known(struct line *line, const char *key, struct rg_str value, size_t max)
{
    if (value.n > 0)
        add_str(line, key, value, max);
}

static void add_uint(struct line *line, const char *key, uint64_t value)
{
    add_key(line, key);
    add_number(line, value);
}

/* Milliseconds, to the microsecond. */
static void add_ms(struct line *line, const char *key, uint64_t ns)
{
    uint64_t us = ns / 1000;
    const char fraction[4] = {'.', (char)('0' + us / 100 % 10), (char)('0' + us / 10 % 10),
                              (char)('0' + us % 10)};

    add_key(line, key);
    add_number(line, us / 1000);
    add(line, fraction, sizeof(fraction));
}

static void begin_line(struct line *line)
{
    char time[RG_RFC3339_SIZE];

    rg_clock_rfc3339(time, rg_clock_wall_us());
    add_c(line, line->is_json ? "{\"time\":\"" : "");
    /* Without its +00:00: microseconds, or milliseconds as in the other log. */
    add(line, time, line->is_json ? 26 : 23);
    add_c(line, line->is_json ? "Z\",\"type\":\"access\"" : "Z [info] access");
}

/* From a moment to a later one, if it came. */
static void add_span(struct line *line, const char *key, uint64_t from, uint64_t to)
{
    if (to > 0)
        add_ms(line, key, to > from ? to - from : 0);
}

static void add_times(struct line *line, const struct rg_upstream_timing *timing, uint64_t total_ns)
{
    if (timing != NULL) {
        add_span(line, "queue_ms", 0, timing->queued_ns);
        add_span(line, "connect_ms", timing->queued_ns, timing->connected_ns);
        add_span(line, "first_byte_ms", timing->connected_ns, timing->first_byte_ns);
    }
    add_ms(line, "total_ms", total_ns);
    if (timing == NULL)
        return;
    add_known(line, "upstream", rg_str_c(timing->address), 2 * MAX_NAME);
    add_key(line, "reused");
    add_c(line, timing->is_reused ? "true" : "false");
    add_uint(line, "tries", timing->tries);
}

static void make_line(struct line *line, const struct rg_access_record *record)
{
    begin_line(line);
    add_known(line, "client", rg_str_c(record->peer), MAX_NAME);
    add_str(line, "method", record->method, MAX_NAME);
    add_str(line, "path", record->path, MAX_PATH);
    add_known(line, "version", rg_str_c(record->version), MAX_NAME);
    add_known(line, "api", rg_str_c(record->api), MAX_ID);
    add_known(line, "endpoint", rg_str_c(record->endpoint), MAX_ID);
    add_uint(line, "status", record->status > 0 ? (uint64_t)record->status : 0);
    add_known(line, "outcome", rg_str_c(record->outcome), MAX_NAME);
    add_uint(line, "bytes_in", record->bytes_in);
    add_uint(line, "bytes_out", record->bytes_out);
    add_times(line, record->timing,
              record->ended_ns > record->started_ns ? record->ended_ns - record->started_ns : 0);
    add_known(line, "request_id", record->request_id, MAX_ID);
    add_known(line, "trace_id", record->trace_id, MAX_NAME);
    add_known(line, "session", record->session, MAX_ID);
    add_c(line, line->is_json ? "}\n" : "\n");
}

/* ---- the writer ---- */

/* Waits until somebody reads; false if nobody did to the end. */
static bool wait_for_room(struct rg_access_log *log)
{
    struct pollfd poll_fd = {.fd = log->settings.fd, .events = POLLOUT};

    while (!atomic_load_explicit(&log->is_over, memory_order_relaxed)) {
        int n = poll(&poll_fd, 1, POLL_MS);
        if (n > 0 || (n < 0 && errno != EINTR))
            return true;
    }
    return false;
}

static bool write_all(struct rg_access_log *log, const char *p, size_t n)
{
    while (n > 0) {
        if (!wait_for_room(log))
            return false;
        ssize_t done = write(log->settings.fd, p, n);
        if (done < 0 && errno != EINTR && errno != EAGAIN)
            return false;
        if (done > 0) {
            p += done;
            n -= (size_t)done;
        }
    }
    return true;
}

static size_t count_lines(const char *p, size_t n)
{
    const char *end = p + n;
    size_t lines = 0;

    while (p < end && (p = memchr(p, '\n', (size_t)(end - p))) != NULL) {
        p++;
        lines++;
    }
    return lines;
}

static void write_buffer(struct rg_access_log *log, struct buffer *buffer)
{
    const char *p = buffer->p;
    size_t left = buffer->n;

    while (left > 0) {
        size_t n = left < LINE_BYTES ? left : LINE_BYTES;
        const char *last = memrchr(p, '\n', n);
        rg_assert(last != NULL);
        n = (size_t)(last + 1 - p);
        bool is_written = write_all(log, p, n);
        atomic_fetch_add_explicit(is_written ? &log->written : &log->dropped, count_lines(p, n),
                                  memory_order_relaxed);
        p += n;
        left -= n;
    }
    buffer->n = 0;
}

static struct timespec in_ms(uint64_t ms)
{
    struct timespec at;

    clock_gettime(CLOCK_MONOTONIC, &at);
    at.tv_sec += (time_t)(ms / 1000);
    at.tv_nsec += (long)(ms % 1000) * 1000000;
    if (at.tv_nsec >= 1000000000) {
        at.tv_sec++;
        at.tv_nsec -= 1000000000;
    }
    return at;
}

/* Takes the lock, waits for lines and then for some more; false at the end. */
static bool take_buffer(struct rg_access_log *log)
{
    pthread_mutex_lock(&log->lock);
    while (log->filling.n == 0 && !log->is_ending)
        pthread_cond_wait(&log->changed, &log->lock);
    const struct timespec until = in_ms(LINGER_MS);
    while (!log->is_ending && log->filling.n < BUFFER_BYTES / 2 &&
           pthread_cond_timedwait(&log->changed, &log->lock, &until) == 0) {
    }
    struct buffer full = log->filling;
    log->filling = log->emptying;
    log->emptying = full;
    pthread_mutex_unlock(&log->lock);
    return full.n > 0;
}

static void *write_lines(void *arg)
{
    struct rg_access_log *log = arg;

    pthread_setname_np(pthread_self(), "access-log");
    while (take_buffer(log))
        write_buffer(log, &log->emptying);
    pthread_mutex_lock(&log->lock);
    log->has_ended = true;
    pthread_cond_broadcast(&log->changed);
    pthread_mutex_unlock(&log->lock);
    return NULL;
}

/* Signals are for the other threads. */
static void start_writer(struct rg_access_log *log)
{
    sigset_t all, old;

    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    rg_assert(pthread_create(&log->writer, NULL, write_lines, log) == 0);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
}

static bool wait_for_end(struct rg_access_log *log)
{
    const struct timespec until = in_ms(LAST_WRITES_MS);
    int err = 0;

    pthread_mutex_lock(&log->lock);
    log->is_ending = true;
    pthread_cond_broadcast(&log->changed);
    while (!log->has_ended && err == 0)
        err = pthread_cond_timedwait(&log->changed, &log->lock, &until);
    bool has_ended = log->has_ended;
    pthread_mutex_unlock(&log->lock);
    return has_ended;
}

/* False where the writer cannot be stopped. */
static bool stop_writer(struct rg_access_log *log)
{
    bool has_ended = wait_for_end(log);

    if (!has_ended) {
        atomic_store_explicit(&log->is_over, true, memory_order_relaxed);
        has_ended = wait_for_end(log);
    }
    if (has_ended)
        pthread_join(log->writer, NULL);
    else
        pthread_detach(log->writer);
    return has_ended;
}

/* ---- the log ---- */

struct rg_access_log *rg_access_log_new(const struct rg_access_log_settings *settings)
{
    struct rg_access_log *log = rg_zalloc(sizeof(*log));
    pthread_condattr_t attr;

    log->settings = *settings;
    if (settings->format == RG_ACCESS_OFF)
        return log;
    pthread_mutex_init(&log->lock, NULL);
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&log->changed, &attr);
    pthread_condattr_destroy(&attr);
    /* Memory that is never used costs an address only. */
    log->filling.p = rg_alloc(BUFFER_BYTES);
    log->emptying.p = rg_alloc(BUFFER_BYTES);
    start_writer(log);
    return log;
}

void rg_access_log_free(struct rg_access_log **logp)
{
    struct rg_access_log *log = RG_STEAL(*logp);

    if (log == NULL)
        return;
    if (log->settings.format != RG_ACCESS_OFF) {
        /* Another thread has taken the room between a poll() and its write(), and nobody reads:
         * the writer keeps what it needs, and the process is about to end. */
        if (!stop_writer(log))
            return;
        pthread_cond_destroy(&log->changed);
        pthread_mutex_destroy(&log->lock);
        rg_free(log->filling.p);
        rg_free(log->emptying.p);
    }
    rg_free(log);
}

/* Xorshift (G. Marsaglia, 2003): of the requests that are told of nobody has to be unable to guess
 * the next. */
static uint32_t next_random(void)
{
    static _Thread_local uint64_t x;

    while (x == 0)
        rg_random_bytes(&x, sizeof(x));
    x ^= x << 13;
    x ^= x >> 7;
    x ^= x << 17;
    return (uint32_t)(x >> 32);
}

bool rg_access_log_wants(struct rg_access_log *log, int status)
{
    if (log->settings.format == RG_ACCESS_OFF)
        return false;
    if (status == 0 || status >= 500 || log->settings.sample_ppm >= 1000000)
        return true;
    return next_random() % 1000000 < log->settings.sample_ppm;
}

void rg_access_log_put(struct rg_access_log *log, const struct rg_access_record *record)
{
    struct line line;

    if (log->settings.format == RG_ACCESS_OFF)
        return;
    line.n = 0;
    line.is_json = log->settings.format == RG_ACCESS_JSON;
    make_line(&line, record);

    pthread_mutex_lock(&log->lock);
    struct buffer *to = &log->filling;
    size_t before = to->n;
    bool fits = line.n <= BUFFER_BYTES - before;
    if (fits) {
        memcpy(to->p + before, line.p, line.n);
        to->n += line.n;
    }
    pthread_mutex_unlock(&log->lock);

    if (!fits)
        atomic_fetch_add_explicit(&log->dropped, 1, memory_order_relaxed);
    else if (before == 0 || (before < BUFFER_BYTES / 2 && before + line.n >= BUFFER_BYTES / 2))
        pthread_cond_signal(&log->changed);
}

void rg_access_log_expose(struct rg_access_log *log, struct rg_buf *out)
{
    if (log->settings.format == RG_ACCESS_OFF)
        return;
    rg_metric_head(out, "rgate_access_log_lines_total", "counter",
                   "Lines of the access log that were written.");
    rg_buf_addf(out, "rgate_access_log_lines_total %llu\n",
                atomic_load_explicit(&log->written, memory_order_relaxed));
    rg_metric_head(out, "rgate_access_log_dropped_total", "counter",
                   "Lines of the access log that were lost because nobody took them in time.");
    rg_buf_addf(out, "rgate_access_log_dropped_total %llu\n",
                atomic_load_explicit(&log->dropped, memory_order_relaxed));
}
