/*
 * For builds with the thread sanitizer only, compiled into every program that links this folder.
 *
 * librdkafka makes its threads with C11's thrd_create(), of which the sanitizer does not
 * know: it would end the program. And the library is not instrumented, so that all it does
 * between its own threads would look like races; ours are still seen.
 */
#include <pthread.h>
#include <threads.h>

const char *__tsan_default_suppressions(void);

__attribute__((visibility("default"))) const char *__tsan_default_suppressions(void)
{
    return "called_from_lib:librdkafka.so.1\nrace:librdkafka.so.1\nthread:librdkafka.so.1\n";
}

/* A thrd_start_t returns an int where pthread_create() wants a pointer; nobody reads it. */
__attribute__((visibility("default"))) int thrd_create(thrd_t *thread, thrd_start_t start,
                                                       void *arg)
{
    return pthread_create(thread, NULL, (void *(*)(void *))(void *)start, arg) == 0 ? thrd_success
                                                                                    : thrd_error;
}

__attribute__((visibility("default"))) int thrd_join(thrd_t thread, int *result)
{
    (void)result;
    return pthread_join(thread, NULL) == 0 ? thrd_success : thrd_error;
}
