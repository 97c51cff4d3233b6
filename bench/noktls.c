/*
 * noktls.c - rg-noktls.so, a kernel without TLS.
 *
 * Loaded before libc (LD_PRELOAD), it refuses TCP_ULP as a kernel without kernel TLS does, so that
 * a program that would let the kernel encrypt encrypts itself: for comparing both on one machine.
 */
#include <dlfcn.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

__attribute__((visibility("default"))) int setsockopt(int fd, int level, int name,
                                                      const void *value, socklen_t n)
{
    int (*next)(int, int, int, const void *, socklen_t);

    if (level == IPPROTO_TCP && name == TCP_ULP) {
        errno = ENOENT;
        return -1;
    }
    next = dlsym(RTLD_NEXT, "setsockopt");
    return next(fd, level, name, value, n);
}
