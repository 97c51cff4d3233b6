#include <curl/curl.h>

#include "base/alloc.h"
#include "rgate/args.h"
#include "rgate/subscriber.h"

enum {
    CONNECT_S = 5,
    MAX_EVENT_BYTES = 64 << 20, /* more than a gateway accepts; a stranger's stream ends here */
    MAX_ANSWER_BYTES = 4096
};

/* What of the stream has not become an event yet (HTML standard, section 9.2.6). */
struct stream {
    struct rg_subscriber *sub;
    CURL *curl;
    struct rg_buf line;
    struct rg_buf data;   /* each data line and a LF */
    bool was_cr;          /* the next LF belongs to it */
    struct rg_buf answer; /* text of a refusal */
};

static void end_line(struct stream *stream)
{
    struct rg_str line = rg_buf_str(&stream->line);

    if (line.n == 0 && stream->data.n > 0) {
        rg_subscriber_take(stream->sub, rg_str_n(stream->data.p, stream->data.n - 1));
        rg_buf_clear(&stream->data);
    } else if (rg_str_starts_with(line, RG_STR("data:"))) {
        size_t skip = line.n > 5 && line.p[5] == ' ' ? 6 : 5;
        rg_buf_add(&stream->data, line.p + skip, line.n - skip);
        rg_buf_add_char(&stream->data, '\n');
    }
    rg_buf_clear(&stream->line);
}

/* False when no more is wanted. */
static bool read_events(struct stream *stream, struct rg_str bytes)
{
    for (size_t i = 0; i < bytes.n && !rg_subscriber_is_done(stream->sub); i++) {
        char c = bytes.p[i];
        if (c == '\r' || (c == '\n' && !stream->was_cr))
            end_line(stream);
        else if (c != '\n')
            rg_buf_add_char(&stream->line, c);
        stream->was_cr = c == '\r';
    }
    return !rg_subscriber_is_done(stream->sub) &&
           stream->line.n + stream->data.n <= MAX_EVENT_BYTES;
}

static long status_of(CURL *curl)
{
    long status = 0;

    curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &status);
    return status;
}

static size_t on_bytes(char *p, size_t size, size_t n, void *arg)
{
    struct stream *stream = arg;

    if (status_of(stream->curl) == 200) {
        stream->sub->was_connected = true;
        return read_events(stream, rg_str_n(p, size * n)) ? size * n : 0;
    }
    if (stream->answer.n + size * n <= MAX_ANSWER_BYTES)
        rg_buf_add(&stream->answer, p, size * n);
    return size * n;
}

static int on_progress(void *arg, curl_off_t total, curl_off_t now, curl_off_t up_total,
                       curl_off_t up_now)
{
    const struct stream *stream = arg;

    (void)total, (void)now, (void)up_total, (void)up_now;
    return rg_subscriber_is_done(stream->sub);
}

static int tell_end(struct stream *stream, CURLcode code, const char *error, struct rg_why *why)
{
    long status = status_of(stream->curl);

    if (rg_subscriber_is_done(stream->sub))
        return 0;
    if (code != CURLE_OK)
        return rg_why_set(why, rg_trust_outcome(code), "", "%s",
                          error[0] != '\0' ? error : curl_easy_strerror(code));
    if (status == 200)
        return 0;
    /* Too many connections and troubles of the server pass; the rest is our own mistake. */
    return rg_why_set(why, status == 429 || status >= 500 ? RG_EAGAIN : RG_EINVAL, "",
                      "status %ld: %.*s", status, RG_STR_ARG(rg_buf_str(&stream->answer)));
}

int rg_subscriber_run_sse(struct rg_subscriber *sub, struct rg_why *why)
{
    RG_CLEANUP(rg_buf_done) struct rg_buf url = {0};
    char error[CURL_ERROR_SIZE] = "";
    CURL *curl = curl_easy_init();
    struct stream stream = {.sub = sub, .curl = curl};
    struct curl_slist *headers = curl_slist_append(NULL, "accept: text/event-stream");
    int err;

    rg_assert(curl != NULL);
    rg_args_add_url(&url, sub->url, "/_rig/v1/connection/sse");
    rg_buf_add(&url, sub->query.p, sub->query.n);
    curl_easy_setopt(curl, CURLOPT_URL, url.p);
    curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(curl, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    rg_trust_apply(&sub->trust, curl);
    curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers);
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, on_bytes);
    curl_easy_setopt(curl, CURLOPT_WRITEDATA, &stream);
    curl_easy_setopt(curl, CURLOPT_XFERINFOFUNCTION, on_progress);
    curl_easy_setopt(curl, CURLOPT_XFERINFODATA, &stream);
    curl_easy_setopt(curl, CURLOPT_NOPROGRESS, 0L);
    curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, error);
    curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT, (long)CONNECT_S);
    curl_easy_setopt(curl, CURLOPT_TCP_KEEPALIVE, 1L);
    err = tell_end(&stream, curl_easy_perform(curl), error, why);
    curl_easy_cleanup(curl);
    curl_slist_free_all(headers);
    rg_buf_done(&stream.line);
    rg_buf_done(&stream.data);
    rg_buf_done(&stream.answer);
    return err;
}
