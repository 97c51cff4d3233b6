#include "http/client.h"

#include <curl/curl.h>
#include <pthread.h>
#include <stdio.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/rcu.h"
#include "base/str.h"

#define LONGEST_WAIT_MS 60000 /* whoever wants something wakes the thread */
#define MAX_URL         8192

const struct rg_http_client_settings rg_http_client_default_settings = {
    .max_requests = 1024,
    .connect_timeout_ms = 8000,
    .timeout_ms = 13000,
    .user_agent = "rgate/" RG_VERSION,
};

struct call {
    struct call *next; /* in the queue */
    struct call *prev_busy, *next_busy;
    CURL *easy;
    struct curl_slist *fields;
    struct rg_buf body;   /* sent */
    struct rg_buf answer; /* received */
    size_t max_answer;
    bool is_too_long;
    char error[CURL_ERROR_SIZE];
    rg_http_client_fn *fn;
    void *arg;
};

struct rg_http_client {
    struct rg_http_client_settings settings;
    CURLM *multi;
    pthread_t thread;

    pthread_mutex_t lock; /* the queue, the count, the tick */
    struct call *queue, **queue_end;
    unsigned calls_n;
    bool is_stopping;
    uint64_t tick_ms, next_tick_ms;
    void (*tick)(void *arg);
    void *tick_arg;

    struct call *busy; /* the thread only */
};

/* ---- one request ---- */

static void call_free(struct call *call)
{
    curl_easy_cleanup(call->easy);
    curl_slist_free_all(call->fields);
    rg_buf_done(&call->body);
    rg_buf_done(&call->answer);
    rg_free(call);
}

static size_t on_answer(char *p, size_t size, size_t n, void *arg)
{
    struct call *call = arg;

    if (size * n > call->max_answer - call->answer.n) {
        call->is_too_long = true;
        return CURL_WRITEFUNC_ERROR;
    }
    rg_buf_add(&call->answer, p, size * n);
    return size * n;
}

static void add_field(struct call *call, const char *name, struct rg_str value)
{
    RG_CLEANUP(rg_buf_done) struct rg_buf line = {0};

    rg_buf_addf(&line, "%s: ", name);
    rg_buf_add_str(&line, value);
    rg_buf_add_char(&line, '\0');
    struct curl_slist *more = curl_slist_append(call->fields, line.p);
    rg_assert(more != NULL);
    call->fields = more;
}

static void prepare(struct call *call, const struct rg_http_client_settings *settings,
                    const struct rg_http_client_request *request)
{
    CURL *easy = call->easy;
    uint64_t timeout_ms = request->timeout_ms > 0 ? request->timeout_ms : settings->timeout_ms;

    curl_easy_setopt(easy, CURLOPT_URL, request->url);
    curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(easy, CURLOPT_FOLLOWLOCATION, 0L);
    curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
    /* Else giving up on a name that takes long to look up stops the thread until it is found. */
    curl_easy_setopt(easy, CURLOPT_QUICK_EXIT, 1L);
    curl_easy_setopt(easy, CURLOPT_USERAGENT, settings->user_agent);
    curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, (long)settings->connect_timeout_ms);
    curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, (long)timeout_ms);
    curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_answer);
    curl_easy_setopt(easy, CURLOPT_WRITEDATA, call);
    curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, call->error);
    curl_easy_setopt(easy, CURLOPT_PRIVATE, call);
    if (request->authorization.n > 0)
        add_field(call, "authorization", request->authorization);
    if (request->is_post) {
        add_field(call, "content-type", request->content_type);
        /* No waiting for "100 Continue". */
        add_field(call, "expect", (struct rg_str){NULL, 0});
        rg_buf_add_str(&call->body, request->body);
        curl_easy_setopt(easy, CURLOPT_POST, 1L);
        curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)call->body.n);
        curl_easy_setopt(easy, CURLOPT_POSTFIELDS, call->body.n > 0 ? call->body.p : "");
    }
    curl_easy_setopt(easy, CURLOPT_HTTPHEADER, call->fields);
}

/* ---- the thread ---- */

static void finish(struct rg_http_client *client, struct call *call,
                   const struct rg_http_client_result *result)
{
    if (call->prev_busy != NULL)
        call->prev_busy->next_busy = call->next_busy;
    else
        client->busy = call->next_busy;
    if (call->next_busy != NULL)
        call->next_busy->prev_busy = call->prev_busy;
    curl_multi_remove_handle(client->multi, call->easy);
    pthread_mutex_lock(&client->lock);
    client->calls_n--;
    pthread_mutex_unlock(&client->lock);
    call->fn(call->arg, result);
    call_free(call);
}

static void finish_done(struct rg_http_client *client, CURL *easy, CURLcode code)
{
    struct rg_http_client_result result = {0};
    struct call *call = NULL;
    long status = 0;

    curl_easy_getinfo(easy, CURLINFO_PRIVATE, &call);
    curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &status);
    if (call->is_too_long)
        result.err = rg_why_set(&result.why, RG_EFULL, "", "the answer is longer than %zu bytes",
                                call->max_answer);
    else if (code != CURLE_OK)
        result.err =
            rg_why_set(&result.why, code == CURLE_OPERATION_TIMEDOUT ? RG_EAGAIN : RG_EINVAL, "",
                       "%s", call->error[0] != '\0' ? call->error : curl_easy_strerror(code));
    result.status = (int)status;
    result.body = rg_buf_str(&call->answer);
    finish(client, call, &result);
}

static void finish_all_done(struct rg_http_client *client)
{
    CURLMsg *message;
    int left;

    while ((message = curl_multi_info_read(client->multi, &left)) != NULL) {
        if (message->msg == CURLMSG_DONE)
            finish_done(client, message->easy_handle, message->data.result);
    }
}

static void begin(struct rg_http_client *client, struct call *call)
{
    call->next_busy = client->busy;
    if (client->busy != NULL)
        client->busy->prev_busy = call;
    client->busy = call;
    rg_assert(curl_multi_add_handle(client->multi, call->easy) == CURLM_OK);
}

static void cancel_all(struct rg_http_client *client)
{
    struct rg_http_client_result result = {.err = RG_ECANCELED};

    rg_why_set(&result.why, RG_ECANCELED, "", "the gateway is shutting down");
    while (client->busy != NULL)
        finish(client, client->busy, &result);
}

/* Takes what is new. Returns false at the end. */
static bool take_queue(struct rg_http_client *client)
{
    pthread_mutex_lock(&client->lock);
    struct call *queue = RG_STEAL(client->queue);
    client->queue_end = &client->queue;
    bool goes_on = !client->is_stopping;
    pthread_mutex_unlock(&client->lock);
    while (queue != NULL) {
        struct call *next = queue->next;
        begin(client, queue);
        queue = next;
    }
    return goes_on;
}

/* Calls the tick if it is due; returns the milliseconds until it is again. */
static int run_tick(struct rg_http_client *client)
{
    uint64_t now = rg_clock_mono_ms();

    pthread_mutex_lock(&client->lock);
    void (*tick)(void *arg) = client->tick;
    bool is_due = tick != NULL && now >= client->next_tick_ms;
    if (is_due)
        client->next_tick_ms = now + client->tick_ms;
    uint64_t left_ms = tick != NULL ? client->next_tick_ms - now : LONGEST_WAIT_MS;
    pthread_mutex_unlock(&client->lock);
    if (is_due)
        tick(client->tick_arg);
    return left_ms < LONGEST_WAIT_MS ? (int)left_ms : LONGEST_WAIT_MS;
}

static void *run(void *arg)
{
    struct rg_http_client *client = arg;
    int running;

    pthread_setname_np(pthread_self(), "http-client");
    rg_rcu_thread_start();
    while (take_queue(client)) {
        int wait_ms = run_tick(client);
        curl_multi_perform(client->multi, &running);
        finish_all_done(client);
        curl_multi_poll(client->multi, NULL, 0, wait_ms, NULL);
    }
    cancel_all(client);
    rg_rcu_thread_stop();
    return NULL;
}

/* ---- what others call ---- */

static void init_library(void)
{
    rg_assert(curl_global_init(CURL_GLOBAL_DEFAULT) == 0);
}

struct rg_http_client *rg_http_client_new(const struct rg_http_client_settings *settings)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    struct rg_http_client *client = rg_zalloc(sizeof(*client));

    pthread_once(&once, init_library);
    client->settings = *settings;
    client->queue_end = &client->queue;
    client->multi = curl_multi_init();
    rg_assert(client->multi != NULL);
    pthread_mutex_init(&client->lock, NULL);
    rg_assert(pthread_create(&client->thread, NULL, run, client) == 0);
    return client;
}

void rg_http_client_set_tick(struct rg_http_client *client, uint64_t interval_ms,
                             void (*fn)(void *arg), void *arg)
{
    pthread_mutex_lock(&client->lock);
    client->tick_ms = interval_ms;
    client->next_tick_ms = rg_clock_mono_ms() + interval_ms;
    client->tick_arg = arg;
    client->tick = fn;
    pthread_mutex_unlock(&client->lock);
    curl_multi_wakeup(client->multi);
}

void rg_http_client_free(struct rg_http_client **clientp)
{
    struct rg_http_client *client = RG_STEAL(*clientp);

    if (client == NULL)
        return;
    pthread_mutex_lock(&client->lock);
    client->is_stopping = true;
    pthread_mutex_unlock(&client->lock);
    curl_multi_wakeup(client->multi);
    pthread_join(client->thread, NULL);
    curl_multi_cleanup(client->multi);
    pthread_mutex_destroy(&client->lock);
    rg_free(client);
}

/* A line end would make one field two; libcurl does not look. */
static bool is_field_value(struct rg_str value)
{
    for (size_t i = 0; i < value.n; i++) {
        if ((unsigned char)value.p[i] < 0x20 && value.p[i] != '\t')
            return false;
    }
    return true;
}

int rg_http_client_send(struct rg_http_client *client, const struct rg_http_client_request *request,
                        rg_http_client_fn *fn, void *arg, struct rg_why *why)
{
    if (!rg_http_client_is_url(rg_str_c(request->url)))
        return rg_why_set(why, RG_EINVAL, "", "not an http or https URL");
    if (!is_field_value(request->content_type) || !is_field_value(request->authorization))
        return rg_why_set(why, RG_EINVAL, "", "a field's value has a control byte");

    struct call *call = rg_zalloc(sizeof(*call));
    call->easy = curl_easy_init();
    rg_assert(call->easy != NULL);
    call->max_answer = request->max_body;
    call->fn = fn;
    call->arg = arg;
    prepare(call, &client->settings, request);

    pthread_mutex_lock(&client->lock);
    bool has_room = client->calls_n < client->settings.max_requests && !client->is_stopping;
    if (has_room) {
        client->calls_n++;
        *client->queue_end = call;
        client->queue_end = &call->next;
    }
    pthread_mutex_unlock(&client->lock);
    if (!has_room) {
        call_free(call);
        return rg_why_set(why, RG_EFULL, "", "too many requests are under way");
    }
    curl_multi_wakeup(client->multi);
    return 0;
}

bool rg_http_client_is_url(struct rg_str text)
{
    struct rg_str rest;

    if (text.p == NULL || text.n > MAX_URL)
        return false;
    if (rg_str_starts_with_nocase(text, RG_STR("http://")))
        rest = rg_str_n(text.p + 7, text.n - 7);
    else if (rg_str_starts_with_nocase(text, RG_STR("https://")))
        rest = rg_str_n(text.p + 8, text.n - 8);
    else
        return false;
    for (size_t i = 0; i < rest.n; i++) {
        if ((unsigned char)rest.p[i] <= 0x20 || rest.p[i] == 0x7f)
            return false;
    }
    return rest.n > 0 && rest.p[0] != '/' && rest.p[0] != '?' && rest.p[0] != '#' &&
           rest.p[0] != ':';
}
